/* SPDX-License-Identifier: Apache-2.0
 * The snapshot's rows as a member's store. Members are the new cluster's, the log begins anew,
 * everything else is taken over. A compaction that the snapshot had begun, or that --mark-compacted
 * asks for, is done while rows pass. */
#include "apply/apply.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "ctl/etcdutl/restore.h"
#include "mvcc/mvcc.h"

struct taking {
    struct restore *restore;
    struct snapshot_import *import;
    struct backend *backend;
    struct backend_batch *batch;
    struct mvcc_import *rows;
    int64_t finished;  /* compacted in the snapshot */
    int64_t compacted; /* in the store */
    int64_t latest;
    struct newest *newest;
    enum snapshot_bucket bucket; /* of the rows being taken */
};

static struct err parse_key(
    struct slice key, struct slice value, struct snapshot_key *out, struct why *why)
{
    return err_is(snapshot_key_parse(key, value, out))
               ? why_set(why, ERR(BAD_FORMAT), "malformed row in the key bucket")
               : OK;
}

static struct err see_latest(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct taking *t = arg;
    struct snapshot_key row;
    TRY(parse_key(key, value, &row, why));
    t->latest = row.main;
    return OK;
}

static struct err see_newest(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct taking *t = arg;
    struct snapshot_key row;
    TRY(parse_key(key, value, &row, why));
    if (row.main <= t->compacted && row.key.len) {
        newest_add(t->newest, &row);
    }
    return OK;
}

/* What a compaction leaves: of each key the newest, no tombstone but one exactly at the revision.
 */
static bool is_kept(const struct taking *t, const struct snapshot_key *row)
{
    if (row->main > t->compacted) {
        return true;
    }
    return newest_has(t->newest, row) && (!row->is_tombstone || row->main == t->compacted);
}

static struct err take_key(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct taking *t = arg;
    struct snapshot_key row;
    TRY(parse_key(key, value, &row, why));
    /* A row without a key only says how far revisions had been pushed: the compaction mark says it
     * too. */
    if (!row.key.len || (t->newest && !is_kept(t, &row))) {
        return OK;
    }
    struct mvcc_kv kv = {
        .key = row.key,
        .value = row.value,
        .create = row.create,
        .mod = row.mod,
        .version = row.version,
        .lease = row.lease,
    };
    return mvcc_import_row(t->rows, row.main, row.sub, row.is_tombstone, &kv, why);
}

/* Which revision the store counts as compacted, and whether rows still have to go for it. */
static struct err plan(struct taking *t, struct why *why)
{
    int64_t scheduled;
    TRY(snapshot_import_compacted(t->import, &scheduled, &t->finished, why));
    TRY(snapshot_import_rows(t->import, SNAPSHOT_KEY, see_latest, t, why));
    t->compacted = scheduled > t->finished ? scheduled : t->finished;
    if (t->restore->bump) {
        if (t->restore->bump < 0 || t->restore->bump >= INT64_MAX - 1 - t->latest) {
            return why_set(why, ERR(BAD_FORMAT),
                "--bump-revision %llu leaves no revision behind %lld",
                (unsigned long long)t->restore->bump, (long long)t->latest);
        }
        LOG_INFO("bumping latest revision", LOG_INT("latest-revision", t->latest),
            LOG_INT("bump-amount", t->restore->bump),
            LOG_INT("new-latest-revision", t->latest + t->restore->bump));
        t->compacted = t->latest + t->restore->bump;
        LOG_INFO("marking revision compacted", LOG_INT("revision", t->compacted));
    }
    if (t->compacted > t->finished) {
        t->newest = newest_new();
        TRY(snapshot_import_rows(t->import, SNAPSHOT_KEY, see_newest, t, why));
    }
    return OK;
}

static struct err take_keys(struct taking *t, struct why *why)
{
    t->rows = mvcc_import_new(t->backend);
    struct err e = snapshot_import_rows(t->import, SNAPSHOT_KEY, take_key, t, why);
    if (!err_is(e)) {
        e = mvcc_import_end(t->rows, t->compacted, t->compacted, why);
    }
    mvcc_import_free(t->rows);
    return e;
}

static struct err take_row(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct taking *t = arg;
    const char *bucket = snapshot_bucket_name(t->bucket);
    struct err err = apply_import_row(bucket, key, value, t->batch);
    return err_is(err) ? why_set(why, err, "malformed row in the %s bucket", bucket) : OK;
}

static struct err take_buckets(struct taking *t, struct why *why)
{
    static const enum snapshot_bucket buckets[] = {SNAPSHOT_LEASE, SNAPSHOT_ALARM, SNAPSHOT_CLUSTER,
        SNAPSHOT_AUTH, SNAPSHOT_AUTH_ROLES, SNAPSHOT_AUTH_USERS};
    for (size_t at = 0; at < COUNT_OF(buckets); at++) {
        t->bucket = buckets[at];
        TRY(snapshot_import_rows(t->import, t->bucket, take_row, t, why));
    }
    return OK;
}

static struct err add_members(struct taking *t, struct why *why)
{
    const struct restore *restore = t->restore;
    struct member_table *table = member_table_new(restore->cluster_id, restore->member_id);
    struct err e = OK;
    for (size_t i = 0; i < restore->members_count && !err_is(e); i++) {
        e = member_add(table, &restore->members[i], t->batch);
        if (err_is(e)) {
            e = why_set(why, e, "member %s: %s", restore->members[i].name, err_text(e));
        }
    }
    member_table_free(table);
    return e;
}

static struct err take_rest(struct taking *t, struct why *why)
{
    uint8_t index[16];
    TRY(take_buckets(t, why));
    TRY(add_members(t, why));
    put_be64(index, t->restore->members_count);
    put_be64(index + 8, 1);
    backend_batch_put(t->batch, SLICE("mconsistent_index"), slice_of(index, sizeof(index)));
    backend_batch_put(t->batch, SLICE("mrestored"), slice_of(index, 8));
    backend_batch_put(t->batch, SLICE("mformat"), slice_str(apply_format));
    TRY(backend_write(t->backend, t->batch, why));
    return backend_flush(t->backend, why);
}

static struct err take_all(struct taking *t, struct why *why)
{
    TRY(plan(t, why));
    TRY(take_keys(t, why));
    return take_rest(t, why);
}

struct err restore_store(struct restore *restore, struct why *why)
{
    struct taking t = {.restore = restore};
    struct backend_options options = {.path = restore->store_dir};
    enum snapshot_hash hash = restore->skips_hash ? SNAPSHOT_HASH_SKIPPED : SNAPSHOT_HASH_REQUIRED;
    TRY(snapshot_import_open(disk_real(), restore->path, hash, &t.import, why));
    t.batch = backend_batch_new();
    struct err e = backend_open(&options, &t.backend, why);
    if (!err_is(e)) {
        e = take_all(&t, why);
    }
    newest_free(t.newest);
    backend_batch_free(t.batch);
    backend_close(t.backend);
    snapshot_import_close(t.import);
    return e;
}
