/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tcp.h"

#include "base/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { KEEPALIVE_S = 30 }; /* as etcd's listeners */

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

/* These tell the call that failed, with errno; NULL: none. */
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

static int listen_address(
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
static int listen_wildcard(
    const struct sockaddr_storage *ipv4, bool reuse_port, const char **out_call)
{
    struct sockaddr_storage both = {0};
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&both;
    v6->sin6_family = AF_INET6;
    v6->sin6_addr = in6addr_any;
    v6->sin6_port = ((const struct sockaddr_in *)ipv4)->sin_port;
    int fd = listen_address(&both, reuse_port, out_call);
    return fd < 0 && says_no_ipv6(errno) ? listen_address(ipv4, reuse_port, out_call) : fd;
}

void tcp_listen_address(struct sockaddr_storage *address)
{
    address_unmap(address);
    if (is_wildcard(address)) {
        in_port_t port = ((const struct sockaddr_in *)address)->sin_port; /* the same for both */
        *address = (struct sockaddr_storage){.ss_family = AF_INET};
        ((struct sockaddr_in *)address)->sin_port = port;
    }
}

int tcp_listen(const struct sockaddr_storage *address, bool reuse_port, const char **out_call)
{
    struct sockaddr_storage at = *address;
    tcp_listen_address(&at);
    return is_wildcard(&at) ? listen_wildcard(&at, reuse_port, out_call)
                            : listen_address(&at, reuse_port, out_call);
}
