/* SPDX-License-Identifier: Apache-2.0
 *
 * What etcd's ServerConfig.VerifyBootstrap and VerifyJoinExisting refuse; asked only where there is
 * no data yet. */
#include "config/draft.h"

#include "base/mem.h"
#include "base/url_match.h"

#include <arpa/inet.h>

static struct err refuse(struct why *why, const char *text)
{
    return why_set(why, ERR(BAD_CONFIG), "%s", text);
}

struct err config_unique_urls(
    struct arena *arena, const struct url_cluster *cluster, const char *what, struct why *why)
{
    for (size_t i = 0; i < cluster->count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct url_list *a = &cluster->items[i].urls;
            const char *missing = url_list_missing(arena, a, &cluster->items[j].urls, "");
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
        TRY(url_check_advertised(arena, member, &config->advertise_peer, why));
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
