/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/discover.h"

#include "base/log.h"
#include "discovery/discovery.h"

static bool has_registry(const struct config *config)
{
    return config->discovery.endpoints.count > 0;
}

static struct err take(
    struct config *config, struct arena *arena, const char *cluster, struct why *why)
{
    struct why reason = {""};
    if (err_is(url_cluster_parse(arena, cluster, &config->members, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "error setting up initial cluster: %s", reason.text);
    }
    config->initial_cluster = cluster;
    return OK;
}

static struct err ask_dns(struct config *config, struct arena *arena, struct why *why)
{
    const char *cluster;
    struct why reason = {""};
    if (err_is(discovery_from_dns(config, arena, &cluster, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "error setting up initial cluster: %s", reason.text);
    }
    TRY(take(config, arena, cluster, why));
    return url_cluster_find(&config->members, config->name)
               ? OK
               : why_set(why, ERR(BAD_CONFIG),
                     "error setting up initial cluster: cannot find local etcd member %s in SRV "
                     "records",
                     text_quote(arena, config->name));
}

struct err discover_members(
    const struct config *config, struct arena *arena, struct config *out, struct why *why)
{
    struct url_member self = {config->name, config->advertise_peer};
    struct url_cluster alone = {&self, 1};
    *out = *config;
    if (has_registry(config)) {
        out->initial_cluster_token = config->discovery.token;
        return take(out, arena, url_cluster_text(arena, &alone), why);
    }
    return *config->discovery.srv_domain ? ask_dns(out, arena, why) : OK;
}

struct err discover_join(
    struct config *config, uint64_t member_id, struct arena *arena, struct why *why)
{
    struct why reason = {""};
    const char *cluster;
    if (!has_registry(config)) {
        return OK;
    }
    LOG_INFO("Bootstrapping cluster using v3 discovery.");
    if (err_is(discovery_join(config, member_id, arena, &cluster, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "failed to join discovery cluster (%s)", reason.text);
    }
    TRY(take(config, arena, cluster, why));
    return config_unique_urls(arena, &config->members, "discovery", why);
}

void discover_ignored(const struct config *config, const char *wal_dir)
{
    if (has_registry(config) || *config->discovery.url) {
        LOG_WARN(
            "discovery token is ignored since cluster already initialized; valid logs are found",
            LOG_STR("wal-dir", wal_dir));
    }
}
