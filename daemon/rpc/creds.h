/* SPDX-License-Identifier: Apache-2.0
 *
 * core's server credentials from our TLS options. Private to rpc.
 */
#ifndef RPC_CREDS_H
#define RPC_CREDS_H

#include "base/tls.h"

#include <grpc/grpc_security.h>

struct rpc_creds;

MUST struct err rpc_creds_new(
    const struct tls_options *options, struct rpc_creds **out_creds, struct why *why);
void rpc_creds_free(struct rpc_creds *creds);
grpc_server_credentials *rpc_creds_core(struct rpc_creds *creds);
/* Around handing a connection to core: takes a changed certificate into use, and has core's
 * handshake keep the versions and suites of the options. */
void rpc_creds_enter(struct rpc_creds *creds);
void rpc_creds_leave(void);

#endif
