/* SPDX-License-Identifier: Apache-2.0
 *
 * The cluster version: the leader looks at what all members are and sets what all can be, at first
 * at once, then every few seconds, as etcd does. It falls only when a downgrade was asked for.
 */
#include "server/parts.h"
#include "server/version.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"

enum { FIELD_CLUSTER_VERSION_SET = 1300, LOOK_EVERY_MS = 5000, FIRST_LOOK_MS = 1000 };

static bool is_decided(struct server *server)
{
    return strcmp(member_cluster_version(server->options.members), "not_decided") != 0;
}

bool version_has_old_members(struct server *server)
{
    struct member_version version;
    return member_version_parse(member_cluster_version(server->options.members), &version) &&
           member_version_cmp(version, (struct member_version){3, 5}) < 0;
}

static void set(struct server *server, struct member_version version)
{
    Membershippb__ClusterVersionSetRequest request =
        MEMBERSHIPPB__CLUSTER_VERSION_SET_REQUEST__INIT;
    char text[32];
    snprintf(text, sizeof(text), "%u.%u.0", version.major, version.minor);
    request.ver = text;
    if (is_decided(server)) {
        LOG_INFO("updating cluster version using v3 API",
            LOG_STR("from", member_cluster_version(server->options.members)), LOG_STR("to", text));
    } else {
        LOG_INFO(
            "setting up initial cluster version using v3 API", LOG_STR("cluster-version", text));
    }
    leader_propose(server, FIELD_CLUSTER_VERSION_SET, &request.base);
}

/* Whoever leads no more by now proposes what the leader would. */
static void decide(struct server *server, const char *const *others, size_t count)
{
    struct member_downgrade downgrade;
    struct member_version current;
    struct member_version next;
    const char *versions[RAFT_MEMBERS_MAX * 2 + 1] = {KETCD_ETCD_VERSION};
    size_t all = 1;
    for (size_t i = 0; i < count && all < COUNT_OF(versions); i++) {
        versions[all++] = others[i];
    }
    bool has_current =
        member_version_parse(member_cluster_version(server->options.members), &current);
    member_downgrade_get(server->options.members, &downgrade);
    if (member_version_decide(has_current ? &current : NULL, versions, all, &downgrade, &next)) {
        set(server, next);
    }
}

static void answered(void *arg, const char *const *versions, size_t count)
{
    struct server *server = arg;
    decide(server, versions, count);
    atomic_store(&server->is_asking_versions, false);
}

void version_tick(struct server *server, int64_t now_ms)
{
    const struct server_asking *asking = &server->options.asking;
    if (now_ms < server->versions_at_ms || atomic_load(&server->is_asking_versions)) {
        return;
    }
    server->versions_at_ms = now_ms + (is_decided(server) ? LOOK_EVERY_MS : FIRST_LOOK_MS);
    if (server->known.count == 0) {
        decide(server, NULL, 0);
    } else if (asking
                   ->versions) { /* a learner counts too: it would not live through a higher one */
        atomic_store(&server->is_asking_versions, true);
        asking->versions(asking->arg, answered, server);
    }
}
