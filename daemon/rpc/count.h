/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics that etcd's gRPC middleware keeps:
 * grpc_server_{started,handled,msg_received,msg_sent}_total,
 * grpc_server_handling_seconds and etcd_network_client_grpc_{received,sent}_bytes_total. Any
 * thread. Private to rpc.
 */
#ifndef RPC_COUNT_H
#define RPC_COUNT_H

#include "api/api.h"
#include "base/metric.h"

enum { RPC_CODES = GRPC_CODE_UNAUTHENTICATED + 1 };

struct rpc_counters {
    struct metric *started;
    struct metric *received;
    struct metric *sent;
    struct metric *handled[RPC_CODES];
    struct metric *received_bytes;
    struct metric *sent_bytes;
    struct metric *handling; /* NULL: not kept */
};

/* All of a method's children are there from the start, with 0, as etcd's are. */
/* is_extensive: with the histogram of how long calls took. */
void rpc_counters_init(
    struct rpc_counters *counters, const struct api_method *method, bool is_extensive);
/* Now, where calls are timed. */
int64_t rpc_began_ns(const struct rpc_counters *counters);
void rpc_count_received(const struct rpc_counters *counters, size_t bytes);
void rpc_count_sent(const struct rpc_counters *counters, size_t bytes);
void rpc_count_handled(const struct rpc_counters *counters, enum grpc_code code, int64_t began_ns);

#endif
