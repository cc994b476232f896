/* SPDX-License-Identifier: Apache-2.0
 *
 * core's own declarations of the class, the struct and the function are in headers that are not
 * installed; the vtable and the layout are their interface (gRPC 1.51). */
#include "rpc/shim.h"

#include <absl/synchronization/mutex.h>
#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

struct grpc_closure {
    void *next;
    /* The second argument is an absl::Status, which the ABI hands over by its address. */
    void (*fn)(void *arg, void *error);
    void *arg;
    uintptr_t error;
};

grpc_call_error grpc_call_start_batch_and_execute(
    grpc_call *call, const grpc_op *ops, size_t count, grpc_closure *closure);

namespace grpc_core
{
class TcpServerFdHandler
{
  public:
    virtual ~TcpServerFdHandler() = default;
    virtual void Handle(int listener_fd, int fd, grpc_byte_buffer *pending) = 0;
};

/* What a grpc_server is. */
class Server
{
  public:
    void SendGoaways();
    bool HasOpenConnections();
};
} // namespace grpc_core

void rpc_shim_init(void)
{
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

void rpc_shim_handle(void *handler, int fd)
{
    static_cast<grpc_core::TcpServerFdHandler *>(handler)->Handle(-1, fd, nullptr);
}

namespace
{
struct work {
    void (*fn)(void *arg);
    void *arg;
};

void on_released(void *arg)
{
    const work *together = static_cast<work *>(arg);
    together->fn(together->arg);
}

void on_done(void *arg, void *error)
{
    rpc_closure *closure = static_cast<rpc_closure *>(arg);
    (void)error;
    closure->fn(closure);
}
} // namespace

/* Destroying a byte buffer opens a context, and in it gives a slice back to its owner: us. */
void rpc_shim_together(void (*fn)(void *arg), void *arg)
{
    static char nothing;
    work together = {fn, arg};
    grpc_slice slice = grpc_slice_new_with_user_data(&nothing, 1, on_released, &together);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice); /* the buffer has the last reference now */
    grpc_byte_buffer_destroy(buffer);
}

static void goaway(void *server)
{
    static_cast<grpc_core::Server *>(server)->SendGoaways();
}

void rpc_shim_goaway(grpc_server *server)
{
    rpc_shim_together(goaway, server);
}

bool rpc_shim_is_connected(grpc_server *server)
{
    return reinterpret_cast<grpc_core::Server *>(server)->HasOpenConnections();
}

grpc_call_error rpc_shim_batch(
    grpc_call *call, const grpc_op *ops, size_t count, struct rpc_closure *closure)
{
    static_assert(sizeof(closure->core) >= sizeof(grpc_closure), "no room for core's closure");
    grpc_closure *core = reinterpret_cast<grpc_closure *>(closure->core);
    *core = {nullptr, on_done, closure, 0};
    return grpc_call_start_batch_and_execute(call, ops, count, core);
}
