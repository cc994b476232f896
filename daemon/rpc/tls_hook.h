/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS versions and cipher suites on core's handshakes. core 1.51 lets nobody choose them for one
 * server; but OpenSSL tells of every SSL object as it is made, and core makes a connection's on the
 * thread that hands the connection over.
 */
#ifndef RPC_TLS_HOOK_H
#define RPC_TLS_HOOK_H

#include "base/tls.h"

struct rpc_tls_hook;

/* Copies what it needs. */
struct rpc_tls_hook *rpc_tls_hook_new(const struct tls_options *options);
void rpc_tls_hook_free(struct rpc_tls_hook *hook);
/* SSL objects made on this thread from now on are held to hook; NULL: no longer. */
void rpc_tls_hook_enter(const struct rpc_tls_hook *hook);

#endif
