/* SPDX-License-Identifier: Apache-2.0
 *
 * The one thing that C core offers to C++ only: handing over an accepted socket.
 */
#ifndef RPC_SHIM_H
#define RPC_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

/* handler: what grpc_server_start left in the slot of the channel argument "external:<name>". Takes
 * fd. */
void rpc_shim_handle(void *handler, int fd);

#ifdef __cplusplus
}
#endif

#endif
