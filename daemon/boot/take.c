/* SPDX-License-Identifier: Apache-2.0
 *
 * Members: the v2 store tells of them as of the log's snapshot, and the entries behind it say what
 * has changed until the database's index. That is how members before 3.6 know them, whose buckets
 * may have fallen behind; later ones write both alike.
 */
#include "boot/take.h"

#include "apply/apply.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "mvcc/mvcc.h"
#include "snap/snap.h"

enum { TELL_NS = 2000000000, TELL_ROWS = 1024 };

struct installing {
    const struct taking *taking;
    struct backend *backend;
    struct backend_batch *batch;
    struct mvcc_import *rows;
    struct member_table *members; /* only to write their rows */
    struct arena *arena;
    enum snapshot_bucket bucket; /* of the rows being taken */
    uint64_t rows_taken;
    uint64_t bytes_taken;
    int64_t told_ns;
};

static struct err write_batch(struct installing *i, struct why *why)
{
    TRY(backend_write(i->backend, i->batch, why));
    backend_batch_reset(i->batch);
    return OK;
}

/* Millions of rows take a while: whoever watches should see that it goes on. */
static void tell(struct installing *i, const struct snapshot_key *row)
{
    i->bytes_taken += row->key.len + row->value.len;
    if (++i->rows_taken % TELL_ROWS || clock_mono_ns() - i->told_ns < TELL_NS) {
        return;
    }
    i->told_ns = clock_mono_ns();
    LOG_INFO("taking a database into the store", LOG_STR("path", i->taking->path),
        LOG_UINT("rows", i->rows_taken), LOG_UINT("bytes", i->bytes_taken),
        LOG_INT("revision", row->main));
}

static struct err take_key(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    struct snapshot_key row;
    if (err_is(snapshot_key_parse(key, value, &row))) {
        return why_set(why, ERR(BAD_FORMAT), "malformed row in the key bucket");
    }
    if (!row.key.len) {
        return OK; /* only says how far revisions had been pushed */
    }
    tell(i, &row);
    struct mvcc_kv kv = {row.key, row.value, row.create, row.mod, row.version, row.lease};
    return mvcc_import_row(i->rows, row.main, row.sub, row.is_tombstone, &kv, why);
}

/* A compaction that had begun goes on here. */
static struct err take_keys(struct installing *i, struct why *why)
{
    int64_t scheduled;
    int64_t finished;
    TRY(snapshot_import_compacted(i->taking->import, &scheduled, &finished, why));
    i->rows = mvcc_import_new(i->backend);
    TRY(snapshot_import_rows(i->taking->import, SNAPSHOT_KEY, take_key, i, why));
    return mvcc_import_end(i->rows, scheduled > finished ? scheduled : finished, finished, why);
}

static struct err take_row(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    const char *bucket = snapshot_bucket_name(i->bucket);
    struct err err = apply_import_row(bucket, key, value, i->batch);
    return err_is(err) ? why_set(why, err, "malformed row in the %s bucket", bucket) : OK;
}

static struct err take_bucket(struct installing *i, enum snapshot_bucket bucket, struct why *why)
{
    i->bucket = bucket;
    return snapshot_import_rows(i->taking->import, bucket, take_row, i, why);
}

static struct err take_member(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    struct member member;
    bool is_promote;
    (void)key;
    struct err err = member_from_json(value, i->arena, &member, &is_promote);
    if (!err_is(err)) {
        err = member_add(i->members, &member, i->batch);
    }
    return err_is(err) ? why_set(why, err, "the members bucket: %s", err_text(err)) : OK;
}

static struct err take_v2_members(
    struct installing *i, const struct snap_cluster *cluster, struct why *why)
{
    for (size_t at = 0; at < cluster->members_count; at++) {
        const struct snap_member *from = &cluster->members[at];
        struct member member = {from->id, from->is_learner, from->name, from->peer_urls,
            from->peer_urls_count, from->client_urls, from->client_urls_count};
        struct err err = member_add(i->members, &member, i->batch);
        if (err_is(err)) {
            return why_set(why, err, "the snapshot's v2 store: %s", err_text(err));
        }
    }
    for (size_t at = 0; at < cluster->removed_count; at++) {
        member_import_removed(cluster->removed[at], i->batch);
    }
    return OK;
}

static struct err take_listed_members(struct installing *i, struct why *why)
{
    struct snap_cluster cluster = {0};
    if (i->taking->v2.len) {
        TRY(snap_v2_parse(i->taking->v2, i->arena, &cluster, why));
    }
    if (cluster.version) {
        backend_batch_put(i->batch, SLICE("mcluster_version"), slice_str(cluster.version));
    }
    if (cluster.members_count) {
        return take_v2_members(i, &cluster, why);
    }
    if (i->taking->has_whole_log) {
        return OK;
    }
    TRY(take_bucket(i, SNAPSHOT_MEMBERS_REMOVED, why));
    return snapshot_import_rows(i->taking->import, SNAPSHOT_MEMBERS, take_member, i, why);
}

static struct err take_members(struct installing *i, struct why *why)
{
    const struct taking *taking = i->taking;
    i->members = member_table_new(0, 0);
    member_limit_learners(i->members, SIZE_MAX);
    TRY(take_listed_members(i, why));
    if (!taking->entries_count) {
        return OK;
    }
    TRY(write_batch(i, why));
    TRY(member_load(i->members, i->backend, why)); /* now it knows the removed ones as well */
    member_limit_learners(i->members, taking->learners_max);
    for (size_t at = 0; at < taking->entries_count; at++) {
        if (taking->entries[at].index <= taking->index) {
            TRY(apply_members_entry(i->members, i->batch, &taking->entries[at], why));
        }
    }
    return OK;
}

static struct err take_rest(struct installing *i, struct why *why)
{
    static const enum snapshot_bucket buckets[] = {SNAPSHOT_LEASE, SNAPSHOT_ALARM, SNAPSHOT_CLUSTER,
        SNAPSHOT_AUTH, SNAPSHOT_AUTH_ROLES, SNAPSHOT_AUTH_USERS};
    uint8_t index[16];
    for (size_t at = 0; at < COUNT_OF(buckets); at++) {
        TRY(take_bucket(i, buckets[at], why));
    }
    TRY(take_members(i, why));
    put_be64(index, i->taking->index);
    put_be64(index + 8, i->taking->term);
    backend_batch_put(i->batch, SLICE("mconsistent_index"), slice_of(index, sizeof(index)));
    backend_batch_delete(i->batch, SLICE("minstalling"));
    TRY(write_batch(i, why));
    return backend_flush(i->backend, why);
}

static struct err take_all(struct installing *i, struct why *why)
{
    TRY(take_keys(i, why));
    return take_rest(i, why);
}

struct err take_database(
    const struct taking *taking, struct mvcc_import **out_rows, struct why *why)
{
    struct installing i = {
        .taking = taking, .backend = taking->backend, .told_ns = clock_mono_ns()};
    i.arena = arena_new(0);
    i.batch = backend_batch_new();
    struct err err = take_all(&i, why);
    if (!err_is(err)) {
        LOG_INFO("took a database into the store", LOG_STR("path", taking->path),
            LOG_UINT("rows", i.rows_taken), LOG_UINT("bytes", i.bytes_taken),
            LOG_UINT("index", taking->index), LOG_UINT("term", taking->term));
    }
    if (out_rows && !err_is(err)) {
        *out_rows = i.rows;
    } else {
        mvcc_import_free(i.rows);
    }
    member_table_free(i.members);
    backend_batch_free(i.batch);
    arena_free(i.arena);
    return err;
}
