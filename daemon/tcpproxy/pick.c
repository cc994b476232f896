/* SPDX-License-Identifier: Apache-2.0 */
#include "tcpproxy/inner.h"

struct remote *pick_remote(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->remotes_count; i++) {
        struct remote *remote = &proxy->remotes[proxy->picked++ % proxy->remotes_count];
        if (!remote->is_inactive) {
            return remote;
        }
    }
    return NULL;
}
