/* SPDX-License-Identifier: Apache-2.0 */
#include "front/listen.h"

#include "base/address.h"
#include "base/mem.h"
#include "base/url_match.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { KEEPALIVE_S = 30 }; /* as etcd's listeners */

/* Go's words for the system's errors begin small. */
static struct err fail(struct why *why, const char *what, const char *call)
{
    int saved = errno;
    char text[128];
    snprintf(text, sizeof(text), "%s", strerror(saved));
    text[0] = (char)tolower((unsigned char)text[0]);
    return why_set(why, ERR(IO), "listen %s: %s: %s", what, call, text);
}

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* Accepted sockets inherit these on Linux. */
static void set_tcp_options(int fd, bool reuse_port)
{
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reuse_port) {
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S);
}

static struct err bind_and_listen(
    int fd, const struct sockaddr *address, socklen_t len, const char *what, struct why *why)
{
    if (bind(fd, address, len) != 0) {
        return fail(why, what, "bind");
    }
    return listen(fd, SOMAXCONN) == 0 ? OK : fail(why, what, "listen");
}

static struct err open_address(
    const struct addrinfo *info, const char *what, bool reuse_port, int *out_fd, struct why *why)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(why, what, "socket");
    }
    set_tcp_options(fd, reuse_port);
    if (info->ai_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)info->ai_addr;
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr));
    }
    struct err e = bind_and_listen(fd, info->ai_addr, info->ai_addrlen, what, why);
    if (err_is(e)) {
        close(fd);
        return e;
    }
    *out_fd = fd;
    return OK;
}

static struct err open_tcp(
    const struct url *url, bool reuse_port, struct listen_result *out, struct why *why)
{
    char what[300];
    char text[ADDRESS_TEXT_MAX];
    struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    const char *host = url->host[0] ? url->host : "::";
    snprintf(what, sizeof(what), "tcp %s", url->authority);
    int rc = getaddrinfo(host, url->port[0] ? url->port : "0", &hints, &list);
    if (rc != 0) {
        return why_set(why, ERR(IO), "listen %s: lookup %s: %s", what, host, gai_strerror(rc));
    }
    struct err e = open_address(url_choose_address(list), what, reuse_port, &out->fd, why);
    freeaddrinfo(list);
    if (err_is(e)) {
        return e;
    }
    getsockname(out->fd, (struct sockaddr *)&bound, &len);
    address_text(&bound, text);
    out->address = mem_strdup(text);
    return OK;
}

static struct err open_unix(const char *path, struct listen_result *out, struct why *why)
{
    char what[300];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(what, sizeof(what), "unix %s", path);
    if (strlen(path) >= sizeof(address.sun_path)) {
        return why_set(why, ERR(BAD_CONFIG), "listen %s: bind: invalid argument", what);
    }
    memcpy(address.sun_path, path, strlen(path));
    unlink(path); /* what a member that was killed left behind */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(why, what, "socket");
    }
    struct err e =
        bind_and_listen(fd, (const struct sockaddr *)&address, sizeof(address), what, why);
    if (err_is(e)) {
        close(fd);
        return e;
    }
    out->fd = fd;
    out->unix_path = mem_strdup(path);
    out->address = mem_strdup(path);
    return OK;
}

struct err listen_open(
    const struct url *url, bool reuse_port, struct listen_result *out, struct why *why)
{
    struct listen_result result = {.fd = -1};
    struct err e;
    if (url->scheme == URL_OTHER) {
        return why_set(why, ERR(BAD_CONFIG), "cannot listen on %s", url->text);
    }
    if (url_is_unix(url)) {
        struct arena *arena = arena_new(0);
        e = open_unix(url_unix_path(arena, url), &result, why);
        arena_free(arena);
    } else {
        e = open_tcp(url, reuse_port, &result, why);
    }
    if (!err_is(e)) {
        *out = result;
    }
    return e;
}
