/* SPDX-License-Identifier: Apache-2.0 */
#include "http/slurp.h"

#include "base/err.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdbool.h>
#include <unistd.h>

enum { TURN_BYTES = 4096 }; /* libevent's; fewer than that were all there is */

void slurp(struct bufferevent *bev, size_t max)
{
    struct evbuffer *input = bufferevent_get_input(bev);
    size_t len = evbuffer_get_length(input);
    bool is_plain = !bufferevent_openssl_get_ssl(bev);
    ssize_t got = 1;
    while (is_plain && len >= TURN_BYTES && len < max && got > 0) {
        struct evbuffer_iovec room;
        size_t size = max - len;
        evbuffer_unfreeze(input, 0); /* its end is the bufferevent's, whose turn this is */
        check(evbuffer_reserve_space(input, (ev_ssize_t)size, &room, 1) == 1);
        got = read(bufferevent_getfd(bev), room.iov_base, size);
        room.iov_len = got > 0 ? (size_t)got : 0;
        check(evbuffer_commit_space(input, &room, 1) == 0);
        evbuffer_freeze(input, 0);
        len += room.iov_len;
        got = room.iov_len < size ? 0 : got; /* the end and errors show in the next turn */
    }
}
