/* SPDX-License-Identifier: Apache-2.0 */
#include "http/dial.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ADDRESS_MS = 300 }; /* what each address gets at least: a round trip, and more */

struct dial {
    struct event_base *base;
    struct event *event; /* connected, or its time is over */
    struct lookup *lookup;
    const struct addrinfo *next; /* to be tried; the lookup's */
    int fd;
    int64_t deadline_ms;
    const char *local_address; /* NULL: any */
    char *where;
    struct why why;
    struct err err;
    dial_fn *done;
    void *arg;
};

static void dial_free(struct dial *dial)
{
    if (dial->event) {
        event_free(dial->event);
    }
    if (dial->fd >= 0) {
        close(dial->fd);
    }
    lookup_end(dial->lookup);
    free(dial->where);
    free(dial);
}

void dial_cancel(struct dial *dial)
{
    if (dial) {
        dial_free(dial);
    }
}

/* fd: the dial's own, which becomes the taker's; or -1. */
static void finish(struct dial *dial, int fd)
{
    dial_fn *done = dial->done;
    void *arg = dial->arg;
    struct err err = dial->err;
    struct why why = dial->why;
    check(err_is(err) == (fd < 0));
    if (fd >= 0) {
        dial->fd = -1;
    }
    dial_free(dial);
    done(arg, fd, err, why.text);
}

static void on_event(evutil_socket_t fd, short what, void *arg);

/* Waits for what (EV_WRITE on fd, or nothing but the time). */
static void await(struct dial *dial, int fd, short what, int64_t ms)
{
    struct timeval at = {ms / 1000, ms % 1000 * 1000};
    if (dial->event) {
        event_free(dial->event);
    }
    dial->event = event_new(dial->base, fd, what, on_event, dial);
    check(dial->event && event_add(dial->event, &at) == 0);
}

static int64_t left_ms(const struct dial *dial)
{
    int64_t left = dial->deadline_ms - clock_mono_ms();
    return left > 0 ? left : 0;
}

/* Of what is left, for the address whose turn it is. It may be one that nobody answers at, and
 * never refuses either: those behind it need time too. */
static int64_t share_ms(const struct dial *dial)
{
    int64_t left = left_ms(dial);
    int64_t count = 1;
    for (const struct addrinfo *next = dial->next; next; next = next->ai_next) {
        count++;
    }
    int64_t share = left / count;
    int64_t at_least = left < ADDRESS_MS ? left : ADDRESS_MS;
    return share < at_least ? at_least : share;
}

/* Addresses of the other family are reached as the kernel likes. */
static bool bind_to(struct dial *dial, int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr *address = (const struct sockaddr *)&v4;
    socklen_t size = sizeof(v4);
    void *ip = &v4.sin_addr;
    int late = 1;
    if (family == AF_INET6) {
        address = (const struct sockaddr *)&v6;
        size = sizeof(v6);
        ip = &v6.sin6_addr;
    }
    if (!dial->local_address || family == AF_UNIX ||
        inet_pton(family, dial->local_address, ip) != 1) {
        return true;
    }
    /* Without it the kernel would take a port for good: none is free for long lists of peers. */
    (void)setsockopt(dial->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof(late));
    if (bind(dial->fd, address, size) == 0) {
        return true;
    }
    dial->err = why_errno(&dial->why, errno, "dial %s: bind %s", dial->where, dial->local_address);
    return false;
}

static bool connect_to(
    struct dial *dial, int family, const struct sockaddr *address, socklen_t size)
{
    dial->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0) {
        dial->err = why_errno(&dial->why, errno, "dial %s: socket", dial->where);
        return false;
    }
    bool is_begun = bind_to(dial, family);
    if (is_begun && connect(dial->fd, address, size) != 0 && errno != EINPROGRESS) {
        dial->err = why_errno(&dial->why, errno, "dial %s: connect", dial->where);
        is_begun = false;
    }
    if (!is_begun) {
        close(dial->fd);
        dial->fd = -1;
        return false;
    }
    await(dial, dial->fd, EV_WRITE, share_ms(dial));
    return true;
}

/* False: no address is left, and dial->err says why the last was none. */
static bool try_next(struct dial *dial)
{
    if (dial->fd >= 0) {
        close(dial->fd);
        dial->fd = -1;
    }
    while (dial->next) {
        const struct addrinfo *address = dial->next;
        dial->next = address->ai_next;
        if (connect_to(dial, address->ai_family, address->ai_addr, address->ai_addrlen)) {
            return true;
        }
    }
    return false;
}

static void on_connected(struct dial *dial)
{
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
        failure = errno;
    }
    if (failure == 0) {
        dial->err = OK;
        finish(dial, dial->fd);
        return;
    }
    dial->err = why_errno(&dial->why, failure, "dial %s: connect", dial->where);
    if (!try_next(dial)) {
        finish(dial, -1);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;
    (void)fd;
    if (what & EV_WRITE) {
        on_connected(dial);
        return;
    }
    /* The loop's timers may come some milliseconds before our clock says so. What failed before it
     * waited for anything has a better reason. */
    if (dial->fd >= 0 || !err_is(dial->err)) {
        dial->err = why_set(&dial->why, ERR(TIMEDOUT), "dial %s: i/o timeout", dial->where);
    }
    if (!try_next(dial)) {
        finish(dial, -1);
    }
}

static void on_looked_up(void *arg, int failure, const struct addrinfo *addresses)
{
    struct dial *dial = arg;
    if (failure) {
        dial->err =
            why_set(&dial->why, ERR(IO), "dial %s: lookup: %s", dial->where, gai_strerror(failure));
        finish(dial, -1);
        return;
    }
    dial->next = addresses;
    if (!try_next(dial)) {
        finish(dial, -1);
    }
}

static bool connect_ip(struct dial *dial, const struct http_target *target)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    unsigned long number = strtoul(target->port, NULL, 10);
    uint16_t port = htons((uint16_t)number);
    if (number > UINT16_MAX) {
        dial->err = why_set(&dial->why, ERR(BAD_INPUT), "dial %s: invalid port", dial->where);
        return false;
    }
    if (inet_pton(AF_INET, target->host, &v4.sin_addr) == 1) {
        v4.sin_port = port;
        return connect_to(dial, AF_INET, (const struct sockaddr *)&v4, sizeof(v4));
    }
    v6.sin6_port = port;
    check(inet_pton(AF_INET6, target->host, &v6.sin6_addr) == 1);
    return connect_to(dial, AF_INET6, (const struct sockaddr *)&v6, sizeof(v6));
}

static bool connect_unix(struct dial *dial, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path)) {
        dial->err = why_set(&dial->why, ERR(BAD_INPUT), "dial %s: path too long", path);
        return false;
    }
    memcpy(address.sun_path, path, len);
    return connect_to(dial, AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
}

static bool is_ip(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static bool begin(struct dial *dial, const struct http_target *target)
{
    if (target->unix_path) {
        return connect_unix(dial, target->unix_path);
    }
    if (is_ip(target->host)) {
        return connect_ip(dial, target);
    }
    dial->lookup = lookup_start(dial->base, target->host, target->port, on_looked_up, dial);
    if (!dial->lookup) {
        dial->err = why_set(&dial->why, ERR(INTERNAL), "dial %s: no thread", dial->where);
        return false;
    }
    await(dial, -1, EV_TIMEOUT, left_ms(dial));
    return true;
}

struct dial *dial_start(struct event_base *base, const struct http_target *target,
    const struct http_dialing *dialing, dial_fn *done, void *arg)
{
    struct dial *dial = mem_new(sizeof(*dial));
    dial->base = base;
    dial->fd = -1;
    dial->where = mem_strdup(target->unix_path ? target->unix_path : target->authority);
    dial->deadline_ms = clock_mono_ms() + dialing->dial_ms;
    dial->local_address = dialing->local_address;
    dial->done = done;
    dial->arg = arg;
    if (!begin(dial, target)) {
        await(dial, -1, EV_TIMEOUT, 0);
    }
    return dial;
}
