/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/count.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

/* Go's names of the codes. */
static const char *const code_names[RPC_CODES] = {"OK", "Canceled", "Unknown", "InvalidArgument",
    "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
    "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated"};

static const char *const method_labels[] = {"grpc_method", "grpc_service", "grpc_type", NULL};
static const char *const handled_labels[] = {
    "grpc_code", "grpc_method", "grpc_service", "grpc_type", NULL};

static const char *type_name(enum api_kind kind)
{
    switch (kind) {
    case API_UNARY:
        return "unary";
    case API_SERVER_STREAM:
        return "server_stream";
    case API_BIDI:
        return "bidi_stream";
    }
    return "";
}

/* Prometheus' default buckets. */
static const double seconds[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

static struct metric *handling(const char *const *values)
{
    struct metric *family = metric_histogram("grpc_server_handling_seconds",
        "Histogram of response latency (seconds) of gRPC that had been application-level handled "
        "by the server.",
        seconds, COUNT_OF(seconds), method_labels);
    return metric_with(family, values);
}

void rpc_counters_init(
    struct rpc_counters *counters, const struct api_method *method, bool is_extensive)
{
    const char *slash = strrchr(method->path, '/');
    char *service = mem_strdup(method->path + 1);
    service[slash - method->path - 1] = 0;
    const char *const values[] = {slash + 1, service, type_name(method->kind), NULL};
    counters->started =
        metric_with(metric_counter("grpc_server_started_total",
                        "Total number of RPCs started on the server.", method_labels),
            values);
    counters->received = metric_with(
        metric_counter("grpc_server_msg_received_total",
            "Total number of RPC stream messages received on the server.", method_labels),
        values);
    counters->sent =
        metric_with(metric_counter("grpc_server_msg_sent_total",
                        "Total number of gRPC stream messages sent by the server.", method_labels),
            values);
    struct metric *handled = metric_counter("grpc_server_handled_total",
        "Total number of RPCs completed on the server, regardless of success or failure.",
        handled_labels);
    for (size_t i = 0; i < RPC_CODES; i++) {
        const char *const coded[] = {code_names[i], values[0], values[1], values[2], NULL};
        counters->handled[i] = metric_with(handled, coded);
    }
    counters->received_bytes = metric_counter("etcd_network_client_grpc_received_bytes_total",
        "The total number of bytes received from grpc clients.", NULL);
    counters->sent_bytes = metric_counter("etcd_network_client_grpc_sent_bytes_total",
        "The total number of bytes sent to grpc clients.", NULL);
    counters->handling = is_extensive ? handling(values) : NULL;
    free(service);
}

int64_t rpc_began_ns(const struct rpc_counters *counters)
{
    return counters->handling ? clock_mono_ns() : 0;
}

void rpc_count_received(const struct rpc_counters *counters, size_t bytes)
{
    metric_inc(counters->received);
    metric_add(counters->received_bytes, (double)bytes);
}

void rpc_count_sent(const struct rpc_counters *counters, size_t bytes)
{
    metric_inc(counters->sent);
    metric_add(counters->sent_bytes, (double)bytes);
}

void rpc_count_handled(const struct rpc_counters *counters, enum grpc_code code, int64_t began_ns)
{
    if (counters->handling) {
        metric_observe(counters->handling, (double)(clock_mono_ns() - began_ns) / 1e9);
    }
    metric_inc(counters->handled[(unsigned)code < RPC_CODES ? code : GRPC_CODE_UNKNOWN]);
}
