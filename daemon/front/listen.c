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

/* The call that failed, with errno; NULL: none. */
static const char *bind_and_listen(int fd, const void *address, socklen_t len)
{
    if (bind(fd, address, len) != 0) {
        return "bind";
    }
    return listen(fd, SOMAXCONN) == 0 ? NULL : "listen";
}

/* "::" takes both families, whatever the machine's default; every other address is of its own. */
static const char *start_tcp(int fd, const struct sockaddr_storage *address, bool reuse_port)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    set_tcp_options(fd, reuse_port);
    if (address->ss_family != AF_INET6) {
        return bind_and_listen(fd, address, sizeof(struct sockaddr_in));
    }
    int is_only_v6 = !IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_only_v6, sizeof(is_only_v6)) != 0) {
        return "setsockopt";
    }
    return bind_and_listen(fd, address, sizeof(*v6));
}

/* -1: errno, and in out_call what failed. */
static int open_address(
    const struct sockaddr_storage *address, bool reuse_port, const char **out_call)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const char *call = fd < 0 ? "socket" : start_tcp(fd, address, reuse_port);
    if (!call) {
        return fd;
    }
    int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    *out_call = call;
    return -1;
}

static bool is_wildcard(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    return address->ss_family == AF_INET ? v4->sin_addr.s_addr == htonl(INADDR_ANY)
                                         : IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* IPv6 is switched off, or its sockets do not carry IPv4. */
static bool says_no_ipv6(int code)
{
    return code == EAFNOSUPPORT || code == EADDRNOTAVAIL || code == ENOPROTOOPT;
}

/* All addresses of both families, or of IPv4 where there is no other. */
static int open_wildcard(
    const struct sockaddr_storage *ipv4, bool reuse_port, const char **out_call)
{
    struct sockaddr_storage both = {0};
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&both;
    v6->sin6_family = AF_INET6;
    v6->sin6_addr = in6addr_any;
    v6->sin6_port = ((const struct sockaddr_in *)ipv4)->sin_port;
    int fd = open_address(&both, reuse_port, out_call);
    return fd < 0 && says_no_ipv6(errno) ? open_address(ipv4, reuse_port, out_call) : fd;
}

/* As Go reads it: a mapped address is of IPv4, and "::" is but another way to write 0.0.0.0. */
static struct err resolve(const struct url *url, struct sockaddr_storage *out, struct why *why)
{
    struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct sockaddr_storage address = {0};
    const char *host = url->host[0] ? url->host : "::";
    int rc = getaddrinfo(host, url->port[0] ? url->port : "0", &hints, &list);
    if (rc != 0) {
        return why_set(
            why, ERR(IO), "listen tcp %s: lookup %s: %s", url->authority, host, gai_strerror(rc));
    }
    const struct addrinfo *chosen = url_choose_address(list);
    memcpy(&address, chosen->ai_addr, chosen->ai_addrlen);
    freeaddrinfo(list);
    address_unmap(&address);
    if (is_wildcard(&address)) {
        in_port_t port = ((const struct sockaddr_in *)&address)->sin_port; /* the same for both */
        address = (struct sockaddr_storage){.ss_family = AF_INET};
        ((struct sockaddr_in *)&address)->sin_port = port;
    }
    *out = address;
    return OK;
}

static struct err open_tcp(
    const struct url *url, bool reuse_port, struct listen_result *out, struct why *why)
{
    char text[ADDRESS_TEXT_MAX];
    char what[ADDRESS_TEXT_MAX + 4];
    struct sockaddr_storage address;
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    const char *call = NULL;
    TRY(resolve(url, &address, why));
    address_text(&address, text);
    snprintf(what, sizeof(what), "tcp %s", text);
    int fd = is_wildcard(&address) ? open_wildcard(&address, reuse_port, &call)
                                   : open_address(&address, reuse_port, &call);
    if (fd < 0) {
        return fail(why, what, call);
    }
    getsockname(fd, (struct sockaddr *)&bound, &len);
    address_text(&bound, text);
    out->fd = fd;
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
    const char *call = bind_and_listen(fd, &address, sizeof(address));
    if (call) {
        struct err e = fail(why, what, call);
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
