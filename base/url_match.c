/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url_match.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <netdb.h>
#include <string.h>
#include <time.h>

enum { RETRY_MS = 1000 };

static const char *list_go(struct arena *arena, const struct url_list *list)
{
    struct text_list texts = {url_list_texts(arena, list), list->count};
    return arena_printf(arena, "[\"%s\"]", text_list_join(arena, &texts, "\" \""));
}

const struct addrinfo *url_choose_address(const struct addrinfo *list)
{
    for (const struct addrinfo *info = list; info; info = info->ai_next) {
        if (info->ai_family == AF_INET) {
            return info;
        }
    }
    return list;
}

/* A name may come up a moment after its host, so it is asked for again, as etcd does. */
static int look_up(const struct url *url, int64_t until_ms, struct addrinfo **out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int code = getaddrinfo(url->host, url->port, &hints, out);
    while (code != 0 && clock_mono_ms() + RETRY_MS <= until_ms) {
        LOG_WARN("failed to resolve URL Host", LOG_STR("url", url->text),
            LOG_STR("host", url->authority), LOG_MS("retry-interval", RETRY_MS),
            LOG_ERR(gai_strerror(code)));
        nanosleep(&(struct timespec){.tv_sec = RETRY_MS / 1000}, NULL);
        code = getaddrinfo(url->host, url->port, &hints, out);
    }
    return code;
}

/* The URL with its host as an address, written as addresses are. Errors: BAD_CONFIG. */
static struct err resolve(struct arena *arena, const struct url *url, int64_t until_ms,
    const char **out_text, struct why *why)
{
    struct addrinfo *found = NULL;
    char host[NI_MAXHOST];
    if (url_is_unix(url) || strcmp(url->host, "localhost") == 0) {
        *out_text = url->text;
        return OK;
    }
    int code = look_up(url, until_ms, &found);
    if (code == 0) {
        code = getnameinfo(
            found->ai_addr, found->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(found);
    }
    if (code != 0) {
        return why_set(why, ERR(BAD_CONFIG), "could not resolve host %s: %s", url->authority,
            gai_strerror(code));
    }
    bool has_colons = strchr(host, ':') != NULL;
    *out_text = arena_printf(arena, "%s://%s%s%s:%s", url->scheme_text, has_colons ? "[" : "", host,
        has_colons ? "]" : "", url->port);
    return OK;
}

static struct err resolve_all(struct arena *arena, const struct url_list *list, int64_t until_ms,
    struct text_list *out_list, struct why *why)
{
    const char **items = arena_alloc(arena, (list->count + 1) * sizeof(*items));
    for (size_t i = 0; i < list->count; i++) {
        TRY(resolve(arena, &list->items[i], until_ms, &items[i], why));
    }
    items[list->count] = NULL;
    *out_list = text_list_unique(arena, (struct text_list){items, list->count});
    return OK;
}

struct err url_list_same(struct arena *arena, const struct url_list *a, const struct url_list *b,
    int64_t until_ms, struct why *why)
{
    struct text_list at;
    struct text_list bt;
    if (a->count != b->count) {
        return why_set(
            why, ERR(BAD_CONFIG), "len(%s) != len(%s)", list_go(arena, a), list_go(arena, b));
    }
    if (strcmp(url_list_text(arena, a), url_list_text(arena, b)) == 0) {
        return OK;
    }
    TRY(resolve_all(arena, a, until_ms, &at, why));
    TRY(resolve_all(arena, b, until_ms, &bt, why));
    for (size_t i = 0; i < at.count && i < bt.count; i++) {
        if (strcmp(at.items[i], bt.items[i]) != 0) {
            return why_set(
                why, ERR(BAD_CONFIG), "resolved urls: \"%s\" != \"%s\"", at.items[i], bt.items[i]);
        }
    }
    return at.count == bt.count ? OK
                                : why_set(why, ERR(BAD_CONFIG), "resolved urls differ in number");
}

const char *url_list_missing(
    struct arena *arena, const struct url_list *a, const struct url_list *b, const char *prefix)
{
    const char **items = arena_alloc(arena, (a->count + 1) * sizeof(*items));
    struct text_list have = {url_list_texts(arena, b), b->count};
    struct text_list missing = {items, 0};
    for (size_t i = 0; i < a->count; i++) {
        if (!text_list_has(&have, a->items[i].text)) {
            items[missing.count++] = arena_printf(arena, "%s%s", prefix, a->items[i].text);
        }
    }
    return text_list_join(arena, &missing, ",");
}

struct err url_check_advertised(struct arena *arena, const struct url_member *self,
    const struct url_list *advertised, struct why *why)
{
    struct why reason;
    int64_t until = clock_mono_ms() + URL_RESOLVE_MS;
    if (!err_is(url_list_same(arena, advertised, &self->urls, until, &reason))) {
        return OK;
    }
    const char *prefix = arena_printf(arena, "%s=", self->name);
    const char *missing = url_list_missing(arena, &self->urls, advertised, prefix);
    if (*missing) {
        return why_set(why, ERR(BAD_CONFIG),
            "--initial-cluster has %s but missing from --initial-advertise-peer-urls=%s (%s)",
            missing, url_list_text(arena, advertised), reason.text);
    }
    struct url_member other = {self->name, *advertised};
    struct url_cluster alone = {&other, 1};
    missing = url_list_missing(arena, advertised, &self->urls, "");
    if (*missing) {
        return why_set(why, ERR(BAD_CONFIG),
            "--initial-advertise-peer-urls has %s but missing from --initial-cluster=%s", missing,
            url_cluster_text(arena, &alone));
    }
    return why_set(why, ERR(BAD_CONFIG), "failed to resolve %s to match --initial-cluster=%s (%s)",
        url_list_text(arena, advertised), url_cluster_text(arena, &alone), reason.text);
}
