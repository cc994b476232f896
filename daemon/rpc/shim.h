/* SPDX-License-Identifier: Apache-2.0
 *
 * What is offered to C++ only: handing an accepted socket to C core, batches of several calls whose
 * writes go out together, taking leave of clients, and a switch of abseil's.
 */
#ifndef RPC_SHIM_H
#define RPC_SHIM_H

#include <grpc/grpc.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What core runs when a batch is done: fn, on whatever thread of core's; it must not block. */
struct rpc_closure {
    void *core[12]; /* core's own closure, with room to spare */
    void (*fn)(struct rpc_closure *closure);
};

/* Debian builds abseil without NDEBUG, so each of core's mutexes looks for deadlocks in a graph
 * behind one process-wide spinlock. Switches that off. */
void rpc_shim_init(void);
/* handler: what grpc_server_start left in the slot of the channel argument "external:<name>". Takes
 * fd. */
void rpc_shim_handle(void *handler, int fd);
/* Tells all who are connected to send nothing new here; the server goes on answering. */
void rpc_shim_goaway(grpc_server *server);
bool rpc_shim_is_connected(grpc_server *server);
/* Runs fn in one execution context of core's: what its rpc_shim_batch calls want to write is
 * written when fn has returned, all of a connection's in one go. (grpc_call_start_batch has a
 * context of its own, hence a write of its own.) */
void rpc_shim_together(void (*fn)(void *arg), void *arg);
/* As grpc_call_start_batch, within rpc_shim_together; closure->fn is called at its end. */
grpc_call_error rpc_shim_batch(
    grpc_call *call, const grpc_op *ops, size_t count, struct rpc_closure *closure);

#ifdef __cplusplus
}
#endif

#endif
