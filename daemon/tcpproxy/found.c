/* SPDX-License-Identifier: Apache-2.0
 *
 * --discovery-srv: the endpoints that the domain's SRV records tell of, and which of them may be
 * used.
 */
#include "tcpproxy/found.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DIAL_MS = 5000, NS_A_S = 1000000000 };

static const char https[] = "https://";

static bool is_connected(const struct addrinfo *at)
{
    int error = 0;
    socklen_t len = sizeof(error);
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_there = fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0;
    if (fd >= 0 && !is_there && errno == EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        is_there = poll(&wait, 1, DIAL_MS) == 1 &&
                   getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return is_there;
}

static bool can_dial(struct arena *arena, const struct srv_record *record)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool is_there = false;
    if (getaddrinfo(record->host, arena_printf(arena, "%u", record->port), &hints, &found) != 0) {
        return false;
    }
    for (const struct addrinfo *at = found; at && !is_there; at = at->ai_next) {
        is_there = is_connected(at);
    }
    freeaddrinfo(found);
    return is_there;
}

/* Those that are reached over TLS; the words of what is wrong with the others. The reference only
 * connects: who the endpoint is, its clients ask, for whom it carries bytes. */
static void keep_secure(struct arena *arena, const struct text_list *all,
    const struct srv_records *records, struct found *out, struct buf *errors)
{
    for (size_t i = 0; i < all->count; i++) {
        const char *comma = errors->len ? "," : "";
        if (strncmp(all->items[i], https, sizeof(https) - 1) != 0) {
            buf_printf(errors, "%s\"%s\" is insecure", comma, all->items[i]);
        } else if (!can_dial(arena, &records->items[i])) {
            buf_printf(errors, "%s\"%s\" failed to dial", comma, all->items[i]);
        } else {
            out->records[out->count++] = records->items[i];
        }
    }
}

static const char *const *addresses(struct arena *arena, const struct found *found)
{
    const char **texts = arena_zalloc(arena, (found->count + 1) * sizeof(*texts));
    for (size_t i = 0; i < found->count; i++) {
        texts[i] =
            arena_printf(arena, "%s%s:%u", https, found->records[i].host, found->records[i].port);
    }
    return texts;
}

static void validate(struct arena *arena, const struct found_ask *ask, const struct text_list *all,
    const struct srv_records *records, struct found *out)
{
    struct buf errors;
    struct why why = {""};
    LOG_INFO("validating discovered SRV endpoints", LOG_STR("srv-server", ask->domain),
        LOG_STRS("endpoints", all->items));
    buf_init(&errors, SIZE_MAX);
    if (*ask->ca && err_is(tls_check_ca(ask->ca, clock_wall_ns() / NS_A_S, &why))) {
        buf_printf(&errors, "%s", why.text);
    } else {
        keep_secure(arena, all, records, out, &errors);
    }
    if (errors.len) {
        LOG_WARN("failed to validate discovered endpoints", LOG_STR("srv-server", ask->domain),
            LOG_STRS("endpoints", addresses(arena, out)),
            LOG_ERR(arena_printf(arena, "%.*s", (int)errors.len, errors.data)));
    } else {
        LOG_INFO("using validated discovered SRV endpoints", LOG_STR("srv-server", ask->domain),
            LOG_STRS("endpoints", addresses(arena, out)));
    }
    buf_fini(&errors);
}

struct err found_ask(
    struct arena *arena, const struct found_ask *ask, struct found *out, struct why *why)
{
    struct text_list all;
    struct srv_records records;
    TRY(srv_clients(arena, ask->domain, ask->service, &all, &records, why));
    LOG_INFO("discovered cluster from SRV", LOG_STR("srv-server", ask->domain),
        LOG_STRS("endpoints", all.items));
    out->records = arena_zalloc(arena, (records.count + 1) * sizeof(*out->records));
    out->count = 0;
    if (!ask->is_insecure) {
        validate(arena, ask, &all, &records, out);
        return OK;
    }
    for (size_t i = 0; i < records.count; i++) {
        out->records[out->count++] = records.items[i];
    }
    return OK;
}
