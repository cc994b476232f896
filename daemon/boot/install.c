/* SPDX-License-Identifier: Apache-2.0
 *
 * A leader's snapshot becomes this member's store. The log knows the snapshot by then, and its
 * database lies whole under member/snap. The row "minstalling" is written before the first old row
 * goes and leaves with the last new one, so that a crash between is seen at the next start and the
 * work done again from the same file.
 */
#include "boot/storage.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"

struct installing {
    struct storage *storage;
    const struct raft_snapshot_meta *meta;
    struct slice v2;
    struct snap_import *import;
    struct backend_batch *batch;
    struct mvcc_import *rows;
    struct member_table *members; /* only to write their rows */
    struct arena *arena;
    int64_t scheduled;
    int64_t finished;
    enum snap_bucket bucket; /* of the rows being taken */
};

static char *database_path(const struct storage *storage, uint64_t index)
{
    return mem_printf("%s/%016llx.snap.db", storage->snap_dir, (unsigned long long)index);
}

static struct err write_batch(struct installing *i, struct why *why)
{
    TRY(backend_write(i->storage->backend, i->batch, why));
    backend_batch_reset(i->batch);
    return OK;
}

static struct err clear_names(struct installing *i, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_iter *iter =
        backend_iter_open(i->storage->backend, NULL, SLICE("m"), SLICE("n"));
    while (backend_iter_next(iter, &key, &value)) {
        if (!slice_eq(key, SLICE("minstalling")) && !slice_eq(key, SLICE("mformat"))) {
            backend_batch_delete(i->batch, key);
        }
    }
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    return err_is(err) ? err : write_batch(i, why);
}

/* Everything but the mark, which is on disk before the first file goes. */
static struct err clear(struct installing *i, struct why *why)
{
    uint8_t mark[16];
    put_be64(mark, i->meta->index);
    put_be64(mark + 8, i->meta->term);
    backend_batch_put(i->batch, SLICE("minstalling"), slice_of(mark, sizeof(mark)));
    TRY(write_batch(i, why));
    TRY(backend_flush(i->storage->backend, why));
    TRY(backend_clear(i->storage->backend, SLICE("l"), SLICE("m"), why));
    TRY(backend_clear(i->storage->backend, SLICE("v"), SLICE("w"), why));
    return clear_names(i, why);
}

static struct err take_key(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    struct snap_key row;
    if (err_is(snap_key_parse(key, value, &row))) {
        return why_set(why, ERR(BAD_FORMAT), "malformed row in the key bucket");
    }
    if (!row.key.len) {
        return OK; /* only says how far revisions had been pushed */
    }
    struct mvcc_kv kv = {row.key, row.value, row.create, row.mod, row.version, row.lease};
    return mvcc_import_row(i->rows, row.main, row.sub, row.is_tombstone, &kv, why);
}

static struct err take_mark(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    bool is_scheduled = slice_eq(key, SLICE("scheduledCompactRev"));
    if (!is_scheduled && !slice_eq(key, SLICE("finishedCompactRev"))) {
        return OK;
    }
    if (value.len < 8) {
        return why_set(why, ERR(BAD_FORMAT), "malformed row in the meta bucket");
    }
    *(is_scheduled ? &i->scheduled : &i->finished) = (int64_t)get_be64(value.data);
    return OK;
}

/* A compaction that had begun goes on here. */
static struct err take_keys(struct installing *i, struct why *why)
{
    uint8_t raw[8];
    TRY(snap_import_rows(i->import, SNAP_META, take_mark, i, why));
    i->rows = mvcc_import_new(i->storage->backend);
    struct err err = snap_import_rows(i->import, SNAP_KEY, take_key, i, why);
    struct err ended = mvcc_import_end(i->rows, i->finished, err_is(err) ? NULL : why);
    if (i->scheduled > i->finished) {
        put_be64(raw, (uint64_t)i->scheduled);
        backend_batch_put(i->batch, SLICE("mscheduledCompactRev"), slice_of(raw, sizeof(raw)));
    }
    return err_is(err) ? err : ended;
}

static struct err take_lease(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    uint8_t raw[15] = {'m', 'l', 'e', 'a', 's', 'e', '/'};
    if (key.len != 8) {
        return why_set(why, ERR(BAD_FORMAT), "malformed row in the lease bucket");
    }
    memcpy(raw + 7, key.data, 8);
    backend_batch_put(i->batch, slice_of(raw, sizeof(raw)), value);
    return OK;
}

static struct err take_alarm(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    struct wire wire;
    struct wire_field field;
    uint8_t raw[23] = {'m', 'a', 'l', 'a', 'r', 'm', '/'};
    (void)value;
    wire_init(&wire, key);
    while (wire_more(&wire)) {
        if (err_is(wire_next(&wire, &field))) {
            return why_set(why, ERR(BAD_FORMAT), "malformed row in the alarm bucket");
        }
        if (field.number == 1 || field.number == 2) {
            put_be64(raw + 7 + 8 * (field.number - 1), field.value);
        }
    }
    backend_batch_put(i->batch, slice_of(raw, sizeof(raw)), (struct slice){0});
    return OK;
}

static struct err take_auth_row(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    struct err err = auth_import_row(snap_bucket_name(i->bucket), key, value, i->batch);
    return err_is(err)
               ? why_set(why, err, "malformed row in the %s bucket", snap_bucket_name(i->bucket))
               : OK;
}

static struct err take_auth(struct installing *i, struct why *why)
{
    static const enum snap_bucket buckets[] = {SNAP_AUTH, SNAP_AUTH_ROLES, SNAP_AUTH_USERS};
    for (size_t at = 0; at < COUNT_OF(buckets); at++) {
        i->bucket = buckets[at];
        TRY(snap_import_rows(i->import, i->bucket, take_auth_row, i, why));
    }
    return OK;
}

static struct err take_cluster(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    (void)why;
    if (slice_eq(key, SLICE("clusterVersion"))) {
        backend_batch_put(i->batch, SLICE("mcluster_version"), value);
    }
    return OK;
}

static void put_removed(struct installing *i, uint64_t id)
{
    uint8_t raw[17] = {'m', 'r', 'e', 'm', 'o', 'v', 'e', 'd', '/'};
    put_be64(raw + 9, id);
    backend_batch_put(i->batch, slice_of(raw, sizeof(raw)), (struct slice){0});
}

static struct err take_removed(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    char hex[17] = "";
    (void)value;
    if (key.len == 0 || key.len > 16) {
        return why_set(why, ERR(BAD_FORMAT), "malformed row in the members_removed bucket");
    }
    memcpy(hex, key.data, key.len);
    put_removed(i, strtoull(hex, NULL, 16));
    return OK;
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
        put_removed(i, cluster->removed[at]);
    }
    return OK;
}

/* Leaders before 3.6 keep the members in the v2 store and may have let the buckets fall behind;
 * later ones write both alike. So the v2 store counts where it tells of members. */
static struct err take_members(struct installing *i, struct why *why)
{
    struct snap_cluster cluster = {0};
    i->members = member_table_new(0, 0);
    member_limit_learners(i->members, SIZE_MAX);
    if (i->v2.len) {
        TRY(snap_v2_parse(i->v2, i->arena, &cluster, why));
    }
    if (cluster.version) {
        backend_batch_put(i->batch, SLICE("mcluster_version"), slice_str(cluster.version));
    }
    if (cluster.members_count) {
        return take_v2_members(i, &cluster, why);
    }
    TRY(snap_import_rows(i->import, SNAP_MEMBERS_REMOVED, take_removed, i, why));
    return snap_import_rows(i->import, SNAP_MEMBERS, take_member, i, why);
}

static struct err take_rest(struct installing *i, struct why *why)
{
    uint8_t index[16];
    TRY(snap_import_rows(i->import, SNAP_LEASE, take_lease, i, why));
    TRY(snap_import_rows(i->import, SNAP_ALARM, take_alarm, i, why));
    TRY(snap_import_rows(i->import, SNAP_CLUSTER, take_cluster, i, why));
    TRY(take_auth(i, why));
    TRY(take_members(i, why));
    put_be64(index, i->meta->index);
    put_be64(index + 8, i->meta->term);
    backend_batch_put(i->batch, SLICE("mconsistent_index"), slice_of(index, sizeof(index)));
    backend_batch_delete(i->batch, SLICE("minstalling"));
    TRY(write_batch(i, why));
    return backend_flush(i->storage->backend, why);
}

static struct err take_all(struct installing *i, struct why *why)
{
    TRY(clear(i, why));
    TRY(take_keys(i, why));
    return take_rest(i, why);
}

static struct err fill(struct storage *storage, const struct raft_snapshot_meta *meta,
    struct slice v2, struct why *why)
{
    struct installing i = {
        .storage = storage, .meta = meta, .v2 = v2, .scheduled = -1, .finished = -1};
    char *path = database_path(storage, meta->index);
    struct err err = snap_import_open(storage->disk, path, SNAP_HASH_IF_THERE, &i.import, why);
    if (!err_is(err)) {
        i.arena = arena_new(0);
        i.batch = backend_batch_new();
        err = take_all(&i, why);
        member_table_free(i.members);
        backend_batch_free(i.batch);
        arena_free(i.arena);
        snap_import_close(i.import);
    }
    if (!err_is(err)) {
        err = disk_remove(storage->disk, path, why);
    }
    free(path);
    return err;
}

struct err storage_install_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why)
{
    struct storage *storage = arg;
    TRY(fill(storage, meta, v2, why));
    TRY(mvcc_reload(storage->mvcc, why));
    TRY(lease_load(storage->leases, storage->backend, why));
    TRY(member_load(storage->members, storage->backend, why));
    TRY(auth_load(storage->auth, storage->backend, why));
    auth_tokens_forget(storage->tokens, NULL);
    TRY(apply_reload(storage->apply, why));
    watch_reload(storage->hub);
    return OK;
}

static struct err read_index(
    struct storage *storage, const char *name, uint64_t *out, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(storage->backend, NULL, slice_str(name), &row, why));
    if (row && row->len >= 8) {
        *out = get_be64(row->data);
    }
    blob_unref(row);
    return OK;
}

struct err storage_finish_install(struct storage *storage, struct why *why)
{
    const struct raft_snapshot_meta *meta = &storage->snapshot.meta;
    uint64_t applied = 0;
    uint64_t mark = 0;
    TRY(read_index(storage, "mconsistent_index", &applied, why));
    TRY(read_index(storage, "minstalling", &mark, why));
    char *path = database_path(storage, meta->index);
    bool has_file = meta->index && disk_exists(storage->disk, path);
    free(path);
    if (mark && !has_file) {
        return why_set(why, ERR(BAD_FORMAT),
            "%s was being replaced by the snapshot at index %llu, whose database is gone; restore "
            "the member from a snapshot",
            storage->store_dir, (unsigned long long)mark);
    }
    if (!mark && (!has_file || applied >= meta->index)) {
        return OK;
    }
    LOG_INFO("taking the received snapshot into the store", LOG_UINT("snapshot-index", meta->index),
        LOG_UINT("current-applied-index", applied));
    return fill(storage, meta, slice_of(storage->snapshot.data, storage->snapshot.data_len), why);
}
