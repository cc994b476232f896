/* SPDX-License-Identifier: Apache-2.0
 *
 * What etcd's ServerConfig.VerifyBootstrap and VerifyJoinExisting refuse; asked only where there is
 * no data yet. */
#include "config/draft.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netdb.h>

static struct err refuse(struct why *why, const char *text)
{
    return why_set(why, ERR(BAD_CONFIG), "%s", text);
}

static const char *list_go(struct arena *arena, const struct url_list *list)
{
    struct text_list texts = {url_list_texts(arena, list), list->count};
    return arena_printf(arena, "[\"%s\"]", text_list_join(arena, &texts, "\" \""));
}

/* The URL with its host as an address; as it was when that is one already. Errors: BAD_CONFIG. */
static struct err resolve(
    struct arena *arena, const struct url *url, const char **out_text, struct why *why)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[NI_MAXHOST];
    if (url_is_unix(url)) {
        *out_text = url->text;
        return OK;
    }
    int code = getaddrinfo(url->host, url->port, &hints, &found);
    if (code == 0) {
        code = getnameinfo(
            found->ai_addr, found->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
    }
    freeaddrinfo(found);
    if (code != 0) {
        return why_set(why, ERR(BAD_CONFIG), "could not resolve host %s: %s", url->authority,
            gai_strerror(code));
    }
    *out_text = arena_printf(arena, "%s://%s:%s", url->scheme_text, host, url->port);
    return OK;
}

static struct err resolve_all(
    struct arena *arena, const struct url_list *list, struct text_list *out_list, struct why *why)
{
    const char **items = arena_alloc(arena, (list->count + 1) * sizeof(*items));
    for (size_t i = 0; i < list->count; i++) {
        TRY(resolve(arena, &list->items[i], &items[i], why));
    }
    items[list->count] = NULL;
    *out_list = text_list_unique(arena, (struct text_list){items, list->count});
    return OK;
}

struct err config_same_urls(
    struct arena *arena, const struct url_list *a, const struct url_list *b, struct why *why)
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
    TRY(resolve_all(arena, a, &at, why));
    TRY(resolve_all(arena, b, &bt, why));
    for (size_t i = 0; i < at.count && i < bt.count; i++) {
        if (strcmp(at.items[i], bt.items[i]) != 0) {
            return why_set(
                why, ERR(BAD_CONFIG), "resolved urls: \"%s\" != \"%s\"", at.items[i], bt.items[i]);
        }
    }
    return at.count == bt.count ? OK : refuse(why, "resolved urls differ in number");
}

/* Texts of a that b does not have, each behind prefix, joined; "" when there are none. */
static const char *missing_from(
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

static struct err check_advertised(const struct config *config, struct arena *arena,
    const struct url_member *member, struct why *why)
{
    const struct url_list *advertised = &config->advertise_peer;
    struct why reason;
    if (!err_is(config_same_urls(arena, advertised, &member->urls, &reason))) {
        return OK;
    }
    const char *prefix = arena_printf(arena, "%s=", config->name);
    const char *missing = missing_from(arena, &member->urls, advertised, prefix);
    if (*missing) {
        return why_set(why, ERR(BAD_CONFIG),
            "--initial-cluster has %s but missing from --initial-advertise-peer-urls=%s (%s)",
            missing, url_list_text(arena, advertised), reason.text);
    }
    struct url_member self = {config->name, *advertised};
    struct url_cluster alone = {&self, 1};
    missing = missing_from(arena, advertised, &member->urls, "");
    if (*missing) {
        return why_set(why, ERR(BAD_CONFIG),
            "--initial-advertise-peer-urls has %s but missing from --initial-cluster=%s", missing,
            url_cluster_text(arena, &alone));
    }
    return why_set(why, ERR(BAD_CONFIG), "failed to resolve %s to match --initial-cluster=%s (%s)",
        url_list_text(arena, advertised), url_cluster_text(arena, &alone), reason.text);
}

struct err config_unique_urls(
    struct arena *arena, const struct url_cluster *cluster, const char *what, struct why *why)
{
    for (size_t i = 0; i < cluster->count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct url_list *a = &cluster->items[i].urls;
            const char *missing = missing_from(arena, a, &cluster->items[j].urls, "");
            if (strlen(missing) != strlen(url_list_text(arena, a))) {
                return why_set(why, ERR(BAD_CONFIG), "%s cluster %s has duplicate url", what,
                    url_cluster_text(arena, cluster));
            }
        }
    }
    return OK;
}

static struct err check_discovery(const struct config *config, struct why *why)
{
    if (*config->discovery.url) {
        return refuse(why, "--discovery names a v2 discovery service, and v2 discovery is not part "
                           "of this program; use v3 discovery (--discovery-token and "
                           "--discovery-endpoints), --discovery-srv or --initial-cluster");
    }
    return OK;
}

static struct err verify(const struct config *config, struct arena *arena, struct why *why)
{
    struct url_cluster cluster;
    struct why reason;
    TRY(check_discovery(config, why));
    if (err_is(url_cluster_parse(arena, config->initial_cluster, &cluster, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "error setting up initial cluster: %s", reason.text);
    }
    const struct url_member *member = url_cluster_find(&cluster, config->name);
    if (!member) {
        return why_set(why, ERR(BAD_CONFIG),
            "couldn't find local name %s in the initial cluster configuration",
            text_quote(arena, config->name));
    }
    if (config->is_new_cluster) {
        TRY(check_advertised(config, arena, member, why));
    }
    return config_unique_urls(arena, &cluster, "initial", why);
}

static bool is_machine_address(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return v4.s_addr != htonl(INADDR_ANY) && ntohl(v4.s_addr) >> 24 != IN_LOOPBACKNET;
    }
    return inet_pton(AF_INET6, host, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
           !IN6_IS_ADDR_LOOPBACK(&v6);
}

const char *config_local_address(const struct config *config)
{
    for (size_t i = 0; config->gates.set_member_local_addr && i < config->advertise_peer.count;
         i++) {
        if (is_machine_address(config->advertise_peer.items[i].host)) {
            return config->advertise_peer.items[i].host;
        }
    }
    return NULL;
}

struct err config_verify_bootstrap(const struct config *config, struct why *why)
{
    struct arena *arena = arena_new(0);
    struct err e = verify(config, arena, why);
    arena_free(arena);
    return e;
}
