/* SPDX-License-Identifier: Apache-2.0
 * The store's rows as etcd's buckets hold them. */
#include "base/codec.h"
#include "ctl/etcdutl/migrate.h"
#include "mvcc/mvcc.h"

struct exporting {
    struct migrate *migrate;
    struct snap_export *export;
    struct mvcc *mvcc;
    int64_t scheduled; /* -1: none */
    int64_t finished;
    bool is_auth_enabled;
    uint64_t auth_revision;
    struct err err; /* of a row on its way out */
    struct why *why;
};

static void add_auth_row(struct exporting *e, struct slice key, struct slice value)
{
    struct slice name = slice_of(key.data + 11, key.len > 11 ? key.len - 11 : 0);
    if (slice_has_prefix(key, SLICE("mauth_user/"))) {
        snap_export_row(e->export, SNAP_AUTH_USERS, name, value);
    } else if (slice_has_prefix(key, SLICE("mauth_role/"))) {
        snap_export_row(e->export, SNAP_AUTH_ROLES, name, value);
    } else if (slice_eq(key, SLICE("mauth_revision")) && value.len == 8) {
        e->auth_revision = get_be64(value.data);
    } else if (slice_eq(key, SLICE("mauth_enabled")) && value.len == 1) {
        e->is_auth_enabled = value.data[0];
    }
}

static void add_row(struct exporting *e, struct slice key, struct slice value)
{
    if (slice_has_prefix(key, SLICE("mlease/")) && key.len == 15) {
        snap_export_row(e->export, SNAP_LEASE, slice_of(key.data + 7, 8), value);
    } else if (slice_has_prefix(key, SLICE("malarm/")) && key.len == 23) {
        snap_export_alarm(e->export, get_be64(key.data + 7), (int32_t)get_be64(key.data + 15));
    } else if (slice_has_prefix(key, SLICE("mauth_"))) {
        add_auth_row(e, key, value);
    } else if (slice_eq(key, SLICE("mscheduledCompactRev")) && value.len == 8) {
        e->scheduled = (int64_t)get_be64(value.data);
    } else if (slice_eq(key, SLICE("mfinishedCompactRev")) && value.len == 8) {
        e->finished = (int64_t)get_be64(value.data);
    }
}

static struct err add_rows(struct exporting *e, struct why *why)
{
    struct slice key;
    struct slice value;
    struct migrate *migrate = e->migrate;
    struct backend_iter *iter = backend_iter_open(migrate->backend, NULL, SLICE("m"), SLICE("n"));
    while (backend_iter_next(iter, &key, &value)) {
        add_row(e, key, value);
    }
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    TRY(err);
    snap_export_cluster(e->export, &migrate->cluster);
    snap_export_index(e->export, migrate->meta.index, migrate->meta.term);
    snap_export_conf(e->export, &migrate->meta.conf);
    snap_export_compacted(e->export, e->scheduled, e->finished);
    snap_export_auth(e->export, e->is_auth_enabled, e->auth_revision);
    if (member_version_cmp(migrate->target, (struct member_version){3, 5}) > 0) {
        snap_export_storage_version(e->export,
            arena_printf(migrate->arena, "%u.%u.0", migrate->target.major, migrate->target.minor));
    }
    return OK;
}

static bool add_key(
    void *arg, revision main, int64_t sub, bool is_tombstone, const struct mvcc_kv *kv)
{
    struct exporting *e = arg;
    struct snap_key key = {
        .main = main,
        .sub = sub,
        .is_tombstone = is_tombstone,
        .key = kv->key,
        .value = kv->value,
        .create = kv->create,
        .mod = kv->mod,
        .version = kv->version,
        .lease = kv->lease,
    };
    e->err = snap_export_key(e->export, &key, e->why);
    return !err_is(e->err);
}

static struct err add_keys(void *arg, struct snap_export *export, struct why *why)
{
    struct exporting *e = arg;
    (void)export;
    e->why = why;
    TRY(mvcc_export(e->mvcc, NULL, add_key, e, why));
    return e->err;
}

static struct err export(struct migrate *migrate, struct disk_file *file, struct why *why)
{
    struct exporting e = {.migrate = migrate, .scheduled = -1, .finished = -1};
    struct mvcc_options options = {.backend = migrate->backend};
    TRY(mvcc_open(&options, &e.mvcc, why));
    e.export = snap_export_to(file);
    struct err err = add_rows(&e, why);
    if (!err_is(err)) {
        err = snap_export_finish(e.export, add_keys, &e, why);
    }
    snap_export_close(e.export);
    mvcc_close(e.mvcc);
    return err_is(err) ? err : disk_sync(file, why);
}

struct err migrate_export(struct migrate *migrate, const char *path, struct why *why)
{
    struct disk_file *file;
    unsigned flags = DISK_WRITE | DISK_CREATE | DISK_TRUNCATE;
    TRY(disk_open(migrate->disk, path, flags, 0600, &file, why));
    struct err err = export(migrate, file, why);
    disk_close(file);
    return err;
}
