/* SPDX-License-Identifier: Apache-2.0
 *
 * Core's server, as rpc makes it. Private to rpc.
 */
#ifndef RPC_CORE_H
#define RPC_CORE_H

#include "rpc/internal.h"

/* Before anything else of core's; grpc_shutdown ends it. What core logs goes to our log. */
void rpc_core_init(void);
/* Makes rpc->server. */
void rpc_core_new(struct rpc *rpc, const struct rpc_options *options);
/* The methods and, when rpc->creds is there, the TLS port; once the lanes' queues are known. The
 * ports' handlers are in rpc when core's server is started. */
void rpc_core_register(struct rpc *rpc, bool is_extensive);

#endif
