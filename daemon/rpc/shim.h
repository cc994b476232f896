/* SPDX-License-Identifier: Apache-2.0
 *
 * What is offered to C++ only: handing an accepted socket to C core, and a switch of abseil's.
 */
#ifndef RPC_SHIM_H
#define RPC_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

/* Debian builds abseil without NDEBUG, so each of core's mutexes looks for deadlocks in a graph
 * behind one process-wide spinlock. Switches that off. */
void rpc_shim_init(void);
/* handler: what grpc_server_start left in the slot of the channel argument "external:<name>". Takes
 * fd. */
void rpc_shim_handle(void *handler, int fd);

#ifdef __cplusplus
}
#endif

#endif
