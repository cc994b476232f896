/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is corrupt, by etcd's rules.
 */
#include "base/log.h"
#include "boot/monitor.h"

enum { GROUPS_MAX = RAFT_MEMBERS_MAX + 1 };

struct group {
    uint32_t hash;
    uint64_t ids[RAFT_MEMBERS_MAX];
    size_t count;
};

struct groups {
    struct group items[GROUPS_MAX];
    size_t count;
};

static void add(struct groups *groups, uint32_t hash, uint64_t id)
{
    size_t at = 0;
    while (at < groups->count && groups->items[at].hash != hash) {
        at++;
    }
    struct group *group = &groups->items[at];
    if (at == groups->count) {
        *group = (struct group){.hash = hash};
        groups->count++;
    }
    group->ids[group->count++] = id;
}

static void alarm_all_but(const struct groups *groups, size_t majority, struct monitor_verdict *out)
{
    for (size_t i = 0; i < groups->count; i++) {
        for (size_t j = 0; i != majority && j < groups->items[i].count; j++) {
            out->alarms[out->count++] = groups->items[i].ids[j];
        }
    }
}

void monitor_judge_compaction(const struct mvcc_hash *own, uint64_t self_id,
    const struct peer_answered *others, size_t count, struct monitor_verdict *out)
{
    struct groups groups = {.count = 0};
    size_t checked = 0;
    *out = (struct monitor_verdict){.count = 0};
    add(&groups, own->hash, self_id);
    for (size_t i = 0; i < count && i + 1 < RAFT_MEMBERS_MAX; i++) {
        if (!err_is(others[i].err) && others[i].hash.compact_revision == own->compact_rev) {
            add(&groups, others[i].hash.hash, others[i].id);
            checked++;
        }
    }
    out->is_checked = groups.count > 1 || checked == count;
    if (groups.count == 1) {
        return;
    }
    size_t quorum = (count + 1) / 2 + 1;
    for (size_t i = 0; i < groups.count; i++) {
        if (groups.items[i].count >= quorum) {
            alarm_all_but(&groups, i, out);
            return;
        }
    }
    out->alarms[out->count++] = 0;
}

uint64_t monitor_judge_newest(const struct mvcc_hash *before, const struct mvcc_hash *after,
    uint64_t self_id, const struct peer_answered *others, size_t count)
{
    if (after->hash != before->hash && after->rev == before->rev &&
        after->compact_rev == before->compact_rev) {
        LOG_WARN("found hash mismatch", LOG_INT("revision-1", before->rev),
            LOG_UINT("hash-1", before->hash), LOG_INT("revision-2", after->rev),
            LOG_UINT("hash-2", after->hash));
        return self_id;
    }
    for (size_t i = 0; i < count; i++) {
        const struct peer_hash *hash = &others[i].hash;
        const char *what = NULL;
        if (err_is(others[i].err)) {
            continue;
        }
        if (hash->revision > after->current_rev) {
            what = "revision from follower must be less than or equal to leader's";
        } else if (hash->compact_revision > after->compact_rev) {
            what = "compact revision from follower must be less than or equal to leader's";
        } else if (hash->compact_revision == before->compact_rev && hash->hash != before->hash) {
            what = "same compact revision then hashes must match";
        }
        if (what) {
            LOG_WARN(what, LOG_HEX("follower-peer-id", others[i].id),
                LOG_INT("leader-revision", after->current_rev),
                LOG_INT("follower-revision", hash->revision),
                LOG_INT("leader-compact-revision", after->compact_rev),
                LOG_INT("follower-compact-revision", hash->compact_revision),
                LOG_UINT("leader-hash", before->hash), LOG_UINT("follower-hash", hash->hash));
            return others[i].id;
        }
    }
    return 0;
}
