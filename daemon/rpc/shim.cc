/* SPDX-License-Identifier: Apache-2.0
 *
 * core's own declaration of this class is in a header that is not installed; the vtable is its
 * interface. */
#include "rpc/shim.h"

#include <absl/synchronization/mutex.h>

struct grpc_byte_buffer;

namespace grpc_core
{
class TcpServerFdHandler
{
  public:
    virtual ~TcpServerFdHandler() = default;
    virtual void Handle(int listener_fd, int fd, grpc_byte_buffer *pending) = 0;
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
