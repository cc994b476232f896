/* SPDX-License-Identifier: Apache-2.0 */
#include "front/listen.h"

#include "base/address.h"
#include "base/mem.h"
#include "base/tcp.h"
#include "base/url_match.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* Go's words for the system's errors begin small. */
static struct err fail(struct why *why, const char *what, const char *call)
{
    int saved = errno;
    char text[128];
    snprintf(text, sizeof(text), "%s", strerror(saved));
    text[0] = (char)tolower((unsigned char)text[0]);
    return why_set(why, ERR(IO), "listen %s: %s: %s", what, call, text);
}

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
    tcp_listen_address(&address);
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
    int fd = tcp_listen(&address, reuse_port, &call);
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
    struct err e = bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0
                       ? fail(why, what, "bind")
                   : listen(fd, SOMAXCONN) != 0 ? fail(why, what, "listen")
                                                : OK;
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
