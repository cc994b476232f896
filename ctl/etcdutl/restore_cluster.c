/* SPDX-License-Identifier: Apache-2.0
 * Who the members of the restored cluster are, with etcd's checks and words. */
#include "base/mem.h"
#include "base/url_match.h"
#include "ctl/etcdutl/restore.h"

static struct err check_duplicates(
    struct arena *arena, const struct url_cluster *cluster, struct why *why)
{
    const char *seen[RAFT_MEMBERS_MAX * 16];
    size_t count = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        for (size_t k = 0; k < cluster->items[i].urls.count; k++) {
            const char *url = cluster->items[i].urls.items[k].text;
            bool is_new = count < COUNT_OF(seen);
            for (size_t j = 0; j < count && is_new; j++) {
                is_new = strcmp(seen[j], url) != 0;
            }
            if (!is_new) {
                return why_set(why, ERR(BAD_INPUT), "initial cluster %s has duplicate url",
                    url_cluster_text(arena, cluster));
            }
            seen[count++] = url;
        }
    }
    return OK;
}

static int by_id(const void *a, const void *b)
{
    uint64_t one = ((const struct member *)a)->id;
    uint64_t two = ((const struct member *)b)->id;
    return (one > two) - (one < two);
}

static void make_members(
    struct restore *restore, const struct url_cluster *cluster, const char *token)
{
    struct member *members = arena_zalloc(restore->arena, cluster->count * sizeof(*members));
    uint64_t *ids = arena_zalloc(restore->arena, cluster->count * sizeof(*ids));
    for (size_t i = 0; i < cluster->count; i++) {
        const struct url_member *from = &cluster->items[i];
        struct member *member = &members[i];
        member->name = from->name;
        member->peer_urls = url_list_texts(restore->arena, &from->urls);
        member->peer_urls_count = from->urls.count;
        member->id = member_id_hash(member->peer_urls, member->peer_urls_count, token, 0);
        if (strcmp(from->name, restore->name) == 0) {
            restore->member_id = member->id;
        }
    }
    qsort(members, cluster->count, sizeof(*members), by_id);
    for (size_t i = 0; i < cluster->count; i++) {
        ids[i] = members[i].id;
    }
    restore->members = members;
    restore->members_count = cluster->count;
    restore->cluster_id = member_cluster_id_hash(ids, cluster->count);
}

struct err restore_cluster(struct restore *restore, const struct cmd_run *run, struct why *why)
{
    struct url_list advertised;
    struct url_cluster cluster;
    const char *urls = cmd_text(run, "initial-advertise-peer-urls");
    TRY(url_list_parse(restore->arena, urls, &advertised, why));
    TRY(url_cluster_parse(restore->arena, cmd_text(run, "initial-cluster"), &cluster, why));
    const struct url_member *self = url_cluster_find(&cluster, restore->name);
    if (!self) {
        return why_set(why, ERR(BAD_INPUT),
            "couldn't find local name %s in the initial cluster configuration",
            text_quote(restore->arena, restore->name));
    }
    TRY(url_check_advertised(restore->arena, self, &advertised, why));
    TRY(check_duplicates(restore->arena, &cluster, why));
    if (cluster.count > RAFT_MEMBERS_MAX) {
        return why_set(why, ERR(BAD_INPUT), "more than %d members", RAFT_MEMBERS_MAX);
    }
    make_members(restore, &cluster, cmd_text(run, "initial-cluster-token"));
    return OK;
}
