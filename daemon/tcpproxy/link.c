/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection: the client's socket, a remote's, and the bytes between.
 *
 *   DIALING -- connected --> CARRYING -- one side ended --> ENDING: what came from it goes out,
 * then
 *      \-- no remote is left --> closed                             both are closed
 */
#include "tcpproxy/inner.h"

#include "base/mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { PENDING_HIGH = 256 << 10, PENDING_LOW = 64 << 10 };

struct link {
    struct list node;
    struct proxy *proxy;
    struct remote *remote;
    struct dial *dial;
    int fd; /* the client's, while dialing */
    struct bufferevent *sides[2];
    bool is_ending;
};

static void link_free(struct link *link)
{
    list_remove(&link->node);
    if (link->dial) {
        remote_dial_cancel(link->dial);
    }
    if (link->fd >= 0) {
        evutil_closesocket(link->fd);
    }
    for (int i = 0; i < 2; i++) {
        if (link->sides[i]) {
            bufferevent_free(link->sides[i]);
        }
    }
    free(link);
}

static struct bufferevent *other(const struct link *link, const struct bufferevent *side)
{
    return link->sides[side == link->sides[0]];
}

static void on_read(struct bufferevent *side, void *arg)
{
    struct bufferevent *to = other(arg, side);
    bufferevent_write_buffer(to, bufferevent_get_input(side));
    if (evbuffer_get_length(bufferevent_get_output(to)) >= PENDING_HIGH) {
        bufferevent_disable(side, EV_READ);
    }
}

/* What waits for this side fell under PENDING_LOW. */
static void on_write(struct bufferevent *side, void *arg)
{
    struct link *link = arg;
    if (!link->is_ending) {
        bufferevent_enable(other(link, side), EV_READ);
    } else if (evbuffer_get_length(bufferevent_get_output(side)) == 0) {
        link_free(link);
    }
}

static void on_event(struct bufferevent *side, short what, void *arg)
{
    struct link *link = arg;
    struct bufferevent *to = other(link, side);
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) {
        return;
    }
    if (link->is_ending || what & BEV_EVENT_WRITING) {
        link_free(link);
        return;
    }
    bufferevent_write_buffer(to, bufferevent_get_input(side));
    if (evbuffer_get_length(bufferevent_get_output(to)) == 0) {
        link_free(link);
        return;
    }
    link->is_ending = true;
    bufferevent_disable(side, EV_READ | EV_WRITE);
    bufferevent_disable(to, EV_READ);
    bufferevent_setwatermark(to, EV_WRITE, 0, 0);
}

static void open_side(struct link *link, int i, int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    link->sides[i] = bufferevent_socket_new(link->proxy->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(link->sides[i], on_read, on_write, on_event, link);
    bufferevent_setwatermark(link->sides[i], EV_WRITE, PENDING_LOW, 0);
    bufferevent_setwatermark(link->sides[i], EV_READ, 0, PENDING_HIGH);
}

static void dial_next(struct link *link);

static void dialed(void *arg, int fd, const char *error)
{
    struct link *link = arg;
    link->dial = NULL;
    if (fd < 0) {
        proxy_deactivate(link->proxy, link->remote, error);
        dial_next(link);
        return;
    }
    open_side(link, 0, link->fd);
    link->fd = -1;
    open_side(link, 1, fd);
    bufferevent_enable(link->sides[0], EV_READ | EV_WRITE);
    bufferevent_enable(link->sides[1], EV_READ | EV_WRITE);
}

static void dial_next(struct link *link)
{
    link->remote = pick_remote(link->proxy);
    if (!link->remote) {
        link_free(link);
        return;
    }
    link->dial = remote_dial_start(link->proxy, link->remote, dialed, link);
}

void link_start(struct proxy *proxy, int fd)
{
    struct link *link = mem_new(sizeof(*link));
    link->proxy = proxy;
    link->fd = fd;
    list_push(&proxy->links, &link->node);
    dial_next(link);
}

void links_close(struct proxy *proxy)
{
    while (!list_is_empty(&proxy->links)) {
        link_free(LIST_ITEM(proxy->links.next, struct link, node));
    }
}
