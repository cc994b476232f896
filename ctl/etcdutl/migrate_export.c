/* SPDX-License-Identifier: Apache-2.0
 * The store's rows as etcd's buckets hold them. */
#include "ctl/etcdutl/migrate.h"
#include "mvcc/mvcc.h"

struct exporting {
    struct migrate *migrate;
    struct snapshot_export *export;
    struct mvcc *mvcc;
    struct err err; /* of a row on its way out */
    struct why *why;
};

static struct err add_rows(struct exporting *e, struct why *why)
{
    struct migrate *migrate = e->migrate;
    TRY(snapshot_export_store(e->export, migrate->backend, NULL, why));
    snapshot_export_cluster(e->export, &migrate->cluster);
    snapshot_export_conf(e->export, &migrate->meta.conf);
    if (member_version_cmp(migrate->target, (struct member_version){3, 5}) > 0) {
        snapshot_export_storage_version(e->export,
            arena_printf(migrate->arena, "%u.%u.0", migrate->target.major, migrate->target.minor));
    }
    return OK;
}

static bool add_key(
    void *arg, revision main, int64_t sub, bool is_tombstone, const struct mvcc_kv *kv)
{
    struct exporting *e = arg;
    struct snapshot_key key = {
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
    e->err = snapshot_export_key(e->export, &key, e->why);
    return !err_is(e->err);
}

static struct err add_keys(void *arg, struct snapshot_export *export, struct why *why)
{
    struct exporting *e = arg;
    (void)export;
    e->why = why;
    TRY(mvcc_export(e->mvcc, NULL, add_key, e, why));
    return e->err;
}

static struct err export(struct migrate *migrate, struct disk_file *file, struct why *why)
{
    struct exporting e = {.migrate = migrate};
    struct mvcc_options options = {.backend = migrate->backend};
    TRY(mvcc_open(&options, &e.mvcc, why));
    e.export = snapshot_export_to(file);
    struct err err = add_rows(&e, why);
    if (!err_is(err)) {
        err = snapshot_export_finish(e.export, add_keys, &e, why);
    }
    snapshot_export_close(e.export);
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
