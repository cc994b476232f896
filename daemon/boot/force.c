/* SPDX-License-Identifier: Apache-2.0
 *
 * --force-new-cluster: entries behind the log's end remove every other member, as if the cluster
 * had agreed to it. For a cluster whose majority is gone.
 *
 * What the log holds counts as committed. etcd drops what its log and its store do not know to be
 * so; here the store is durable only as far as it was flushed, and an entry that was acknowledged
 * may be known as committed nowhere but in the memory of members that are gone.
 */
#include "boot/storage.h"

#include "base/log.h"
#include "base/mem.h"

struct forced {
    struct raft_ids ids; /* members by the log's end */
    struct raft_entry entries[RAFT_MEMBERS_MAX + 1];
    size_t count;
};

static void add_id(struct raft_ids *ids, uint64_t id)
{
    size_t at = 0;
    while (at < ids->count && ids->ids[at] != id) {
        at++;
    }
    if (at == ids->count && ids->count < RAFT_MEMBERS_MAX) {
        ids->ids[ids->count++] = id;
    }
}

static void remove_id(struct raft_ids *ids, uint64_t id)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->ids[i] == id) {
            ids->ids[i] = ids->ids[--ids->count];
            return;
        }
    }
}

static MUST struct err take_change(
    struct raft_ids *ids, const struct raft_entry *entry, struct why *why)
{
    struct raft_conf_change change;
    if (err_is(raft_conf_change_decode(entry->type, blob_slice(entry->data), &change))) {
        return why_set(why, ERR(BAD_FORMAT), "entry %llu holds a malformed configuration change",
            (unsigned long long)entry->index);
    }
    for (size_t i = 0; i < change.changes_count; i++) {
        if (change.changes[i].type == RAFT_REMOVE_NODE) {
            remove_id(ids, change.changes[i].node_id);
        } else if (change.changes[i].type != RAFT_UPDATE_NODE) {
            add_id(ids, change.changes[i].node_id);
        }
    }
    return OK;
}

static void add_change(struct forced *forced, const struct wal_log *log,
    enum raft_conf_change_type type, struct slice context, uint64_t id)
{
    struct raft_conf_change change = {
        .is_v1 = true, .changes = {{type, id}}, .changes_count = 1, .context = context};
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX);
    raft_conf_change_encode(&change, &bytes);
    forced->entries[forced->count] = (struct raft_entry){
        .term = log->hard.term,
        .index = log->hard.commit + forced->count + 1,
        .type = RAFT_ENTRY_CONF_CHANGE,
        .data = blob_new(buf_slice(&bytes)),
    };
    forced->count++;
    buf_fini(&bytes);
}

/* A crash may have torn off the hard state that was written behind the last entries, and no entry
 * is of a lower term than the one before it. A vote is one of its term. */
static void raise_term(struct raft_hard_state *hard, uint64_t term)
{
    if (hard->term < term) {
        hard->term = term;
        hard->vote = 0;
    }
}

/* Itself first, should it be missing: no group may be without a voter at any moment. */
static void make_changes(struct forced *forced, const struct wal_log *log)
{
    uint64_t self = log->identity.node_id;
    struct raft_ids others = forced->ids;
    remove_id(&others, self);
    if (others.count == forced->ids.count) {
        const char *url = "http://localhost:2380";
        struct member member = {.id = self, .name = "", .peer_urls = &url, .peer_urls_count = 1};
        struct arena *arena = arena_new(0);
        add_change(forced, log, RAFT_ADD_NODE, member_to_json(&member, arena), self);
        arena_free(arena);
    }
    for (size_t i = 0; i < others.count; i++) {
        add_change(forced, log, RAFT_REMOVE_NODE, (struct slice){0}, others.ids[i]);
    }
}

struct err storage_ids(
    const struct storage *storage, const struct wal_log *log, struct raft_ids *out, struct why *why)
{
    const struct raft_conf_state *conf = &storage->snapshot.meta.conf;
    struct raft_ids ids = conf->voters;
    for (size_t i = 0; i < conf->learners.count; i++) {
        add_id(&ids, conf->learners.ids[i]);
    }
    for (size_t i = 0; i < log->entries_count; i++) {
        if (log->entries[i].type != RAFT_ENTRY_NORMAL) {
            TRY(take_change(&ids, &log->entries[i], why));
        }
    }
    *out = ids;
    return OK;
}

struct err storage_force_alone(struct storage *storage, struct wal_log *log, struct why *why)
{
    struct forced forced = {.count = 0};
    const struct raft_entry *end =
        log->entries_count ? &log->entries[log->entries_count - 1] : NULL;
    uint64_t last = end ? end->index : storage->snapshot.meta.index;
    raise_term(&log->hard, end ? end->term : storage->snapshot.meta.term);
    log->hard.commit = last > log->hard.commit ? last : log->hard.commit;
    TRY(storage_ids(storage, log, &forced.ids, why));
    make_changes(&forced, log);
    LOG_INFO("forcing restart member", LOG_HEX("cluster-id", log->identity.cluster_id),
        LOG_HEX("local-member-id", log->identity.node_id),
        LOG_UINT("commit-index", log->hard.commit + forced.count));
    log->entries =
        mem_grow(log->entries, (log->entries_count + forced.count + 1) * sizeof(*log->entries));
    memcpy(log->entries + log->entries_count, forced.entries, forced.count * sizeof(*log->entries));
    log->entries_count += forced.count;
    log->hard.commit += forced.count;
    struct wal_batch batch = {&log->hard, forced.entries, forced.count, true};
    return forced.count ? wal_append(storage->wal, &batch, NULL, why) : OK;
}
