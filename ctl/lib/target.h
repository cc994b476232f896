/* SPDX-License-Identifier: Apache-2.0
 *
 * What an endpoint means.
 */
#ifndef CTL_TARGET_H
#define CTL_TARGET_H

#include "base/arena.h"

/* Where an endpoint leads. */
enum client_creds { CLIENT_CREDS_OPTIONAL, CLIENT_CREDS_REQUIRED, CLIENT_CREDS_NEVER };

struct client_target {
    const char *address;     /* "127.0.0.1:2379", "unix:/run/etcd.sock" */
    const char *server_name; /* what its certificate must be for, unless told otherwise */
    enum client_creds creds;
};

/* http(s)://, unix(s): and bare addresses, as clientv3 reads them. In the arena. */
struct client_target client_target_of(struct arena *arena, const char *endpoint);

#endif
