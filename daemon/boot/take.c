/* SPDX-License-Identifier: Apache-2.0
 *
 * Members: the v2 store tells of them as of the log's snapshot, and the entries behind it say what
 * has changed until the database's index. That is how members before 3.6 know them, whose buckets
 * may have fallen behind; later ones write both alike.
 */
#include "boot/take.h"

#include "apply/apply.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "mvcc/mvcc.h"

#include <json-c/json.h>

enum { TELL_NS = 2000000000, TELL_ROWS = 1024 };

struct installing {
    const struct taking *taking;
    struct backend *backend;
    struct backend_batch *batch;
    struct mvcc_import *rows;
    struct member_table *members; /* only to write their rows */
    struct arena *arena;
    int64_t scheduled;
    int64_t finished;
    enum snap_bucket bucket; /* of the rows being taken */
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
static void tell(struct installing *i, const struct snap_key *row)
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
    struct snap_key row;
    if (err_is(snap_key_parse(key, value, &row))) {
        return why_set(why, ERR(BAD_FORMAT), "malformed row in the key bucket");
    }
    if (!row.key.len) {
        return OK; /* only says how far revisions had been pushed */
    }
    tell(i, &row);
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
    TRY(snap_import_rows(i->taking->import, SNAP_META, take_mark, i, why));
    i->rows = mvcc_import_new(i->backend);
    struct err err = snap_import_rows(i->taking->import, SNAP_KEY, take_key, i, why);
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
        TRY(snap_import_rows(i->taking->import, i->bucket, take_auth_row, i, why));
    }
    return OK;
}

/* {"target-version":"3.5.0","enabled":true}; what it does not say is off. */
static void take_downgrade(struct installing *i, struct slice value)
{
    struct json_object *target;
    struct json_object *enabled;
    struct json_tokener *tokener = json_tokener_new_ex(4);
    struct json_object *root =
        json_tokener_parse_ex(tokener, (const char *)value.data, (int)value.len);
    if (root && json_object_object_get_ex(root, "enabled", &enabled) &&
        json_object_get_boolean(enabled) &&
        json_object_object_get_ex(root, "target-version", &target)) {
        backend_batch_put(i->batch, SLICE("mdowngrade"), slice_str(json_object_get_string(target)));
    }
    json_object_put(root);
    json_tokener_free(tokener);
}

static struct err take_cluster(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct installing *i = arg;
    (void)why;
    if (slice_eq(key, SLICE("clusterVersion"))) {
        backend_batch_put(i->batch, SLICE("mcluster_version"), value);
    } else if (slice_eq(key, SLICE("downgrade"))) {
        take_downgrade(i, value);
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
    TRY(snap_import_rows(i->taking->import, SNAP_MEMBERS_REMOVED, take_removed, i, why));
    return snap_import_rows(i->taking->import, SNAP_MEMBERS, take_member, i, why);
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
    uint8_t index[16];
    TRY(snap_import_rows(i->taking->import, SNAP_LEASE, take_lease, i, why));
    TRY(snap_import_rows(i->taking->import, SNAP_ALARM, take_alarm, i, why));
    TRY(snap_import_rows(i->taking->import, SNAP_CLUSTER, take_cluster, i, why));
    TRY(take_auth(i, why));
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

struct err take_database(const struct taking *taking, struct why *why)
{
    struct installing i = {.taking = taking,
        .backend = taking->backend,
        .scheduled = -1,
        .finished = -1,
        .told_ns = clock_mono_ns()};
    i.arena = arena_new(0);
    i.batch = backend_batch_new();
    struct err err = take_all(&i, why);
    if (!err_is(err)) {
        LOG_INFO("took a database into the store", LOG_STR("path", taking->path),
            LOG_UINT("rows", i.rows_taken), LOG_UINT("bytes", i.bytes_taken),
            LOG_UINT("index", taking->index), LOG_UINT("term", taking->term));
    }
    member_table_free(i.members);
    backend_batch_free(i.batch);
    arena_free(i.arena);
    return err;
}
