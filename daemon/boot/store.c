/* SPDX-License-Identifier: Apache-2.0
 *
 * Row: "mformat" -> "2", what this store's rows mean. A store that says otherwise is refused.
 */
#include "boot/install.h"
#include "boot/memory.h"
#include "boot/storage.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#include <stdio.h>
#include <unistd.h>

static struct err check_format(struct storage *storage, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(storage->backend, NULL, SLICE("mformat"), &row, why));
    struct err err = OK;
    if (row && !slice_eq(blob_slice(row), slice_str(apply_format))) {
        err = why_set(why, ERR(BAD_FORMAT),
            "%s was written by another version (format %.*s, this one knows %s)",
            storage->store_dir, (int)row->len, row->data, apply_format);
    }
    if (!row) {
        struct backend_batch *batch = backend_batch_new();
        backend_batch_put(batch, SLICE("mformat"), slice_str(apply_format));
        err = backend_write(storage->backend, batch, why);
        backend_batch_free(batch);
    }
    blob_unref(row);
    return err;
}

/* etcd's panic of the same words. What is newer may mean rows and entries that nobody here knows;
 * 3.7's are those of 3.6. */
struct err storage_check_version(struct slice version, const char *path, struct why *why)
{
    static const struct member_version newest = {3, 7};
    struct member_version found;
    char text[32];
    snprintf(text, sizeof(text), "%.*s", (int)version.len, (const char *)version.data);
    if (!member_version_parse(text, &found) || member_version_cmp(found, newest) <= 0) {
        return OK;
    }
    return why_set(why, ERR(BAD_FORMAT),
        "invalid downgrade; server version is lower than determined cluster version: %s is of %s, "
        "this one knows %u.%u at most",
        path, text, newest.major, newest.minor);
}

struct err storage_check_cluster(struct backend *backend, const char *path, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(backend, NULL, SLICE("mcluster_version"), &row, why));
    struct err err = row ? storage_check_version(blob_slice(row), path, why) : OK;
    blob_unref(row);
    return err;
}

/* Hashed at each compaction even where no check asks for it: it costs next to nothing. */
enum { HASH_KEYS_MAX = 20000, HASH_REVISIONS_MAX = 100000 };

/* A quarter of the memory that this process may use. */
static size_t value_cache_bytes(const struct config *config)
{
    return config->value_cache_bytes != UINT64_MAX ? (size_t)config->value_cache_bytes
                                                   : memory_share();
}

/* etcd's: one and a half election timeouts, in whole seconds. */
static int64_t lease_ttl_min_s(const struct config *config)
{
    int64_t ms =
        (int64_t)(3 * (config->election_ms / config->heartbeat_ms) / 2) * config->heartbeat_ms;
    return (ms + 999) / 1000;
}

/* The folder and its name are durable before anything in it is counted on: RocksDB syncs what is in
 * the folder, and nobody else its name. Also when it is there: a start that was killed may have
 * left it so. */
static struct err make_folder(struct storage *storage, struct why *why)
{
    TRY(disk_mkdir_all(storage->disk, storage->store_dir, 0700, why));
    TRY(disk_sync_folder(storage->disk, storage->member_dir, why));
    return disk_sync_folder(storage->disk, storage->config->data_dir, why);
}

/* Users and roles. A fresh store gets the first revision, as etcd's does, not by an entry of the
 * log: every member begins at the same one. */
static struct err open_auth(struct storage *storage, struct why *why)
{
    const struct config *config = storage->config;
    storage->auth = auth_table_new();
    TRY(auth_tokens_new(
        config->auth_token, (int64_t)config->auth_token_ttl_s, &storage->tokens, why));
    TRY(auth_load(storage->auth, storage->backend, why));
    struct backend_batch *batch = backend_batch_new();
    auth_begin(storage->auth, batch);
    struct err err = backend_write(storage->backend, batch, why);
    backend_batch_free(batch);
    return err;
}

struct err storage_store(
    struct storage *storage, const struct wal_identity *identity, struct why *why)
{
    const struct config *config = storage->config;
    uint64_t seed;
    int64_t began_ns = clock_mono_ns();
    /* First, for opening takes room too, and a crash may have left a whole store's worth. */
    TRY(snap_sweep(storage->disk, storage->snap_dir, storage->snapshot.meta.index, why));
    TRY(make_folder(storage, why));
    TRY(backend_open(
        &(struct backend_options){.path = storage->store_dir}, &storage->backend, why));
    TRY(check_format(storage, why));
    TRY(storage_check_cluster(storage->backend, storage->store_dir, why));
    TRY(storage_finish_install(storage, why));
    TRY(snap_sweep(storage->disk, storage->snap_dir, 0, why));
    bool is_checked = config->gates.compact_hash_check;
    struct mvcc_options mvcc = {.backend = storage->backend,
        .value_cache_bytes = value_cache_bytes(config),
        .hash_keys_max = is_checked ? SIZE_MAX : HASH_KEYS_MAX,
        .hash_revisions_max = is_checked ? INT64_MAX : HASH_REVISIONS_MAX};
    TRY(mvcc_open(&mvcc, &storage->mvcc, why));
    storage->leases = lease_table_new(lease_ttl_min_s(config));
    TRY(lease_load(storage->leases, storage->backend, why));
    storage->members = member_table_new(identity->cluster_id, identity->node_id);
    member_limit_learners(storage->members, config->learners_max);
    TRY(member_load(storage->members, storage->backend, why));
    TRY(open_auth(storage, why));
    rand_secret(&seed, sizeof(seed));
    storage->hub = watch_hub_new(storage->mvcc, config->watch_progress_ns / 1000000, seed);
    struct apply_options apply = {
        .backend = storage->backend,
        .mvcc = storage->mvcc,
        .leases = storage->leases,
        .members = storage->members,
        .hub = storage->hub,
        .auth = storage->auth,
        .tokens = storage->tokens,
        .quota_bytes = config->quota_bytes,
    };
    snap_metrics_init();
    TRY(apply_open(&apply, &storage->apply, why));
    LOG_INFO("opened backend db", LOG_STR("path", storage->store_dir),
        LOG_NS("took", clock_mono_ns() - began_ns));
    LOG_INFO("kvstore restored", LOG_INT("current-rev", mvcc_revision(storage->mvcc)),
        LOG_INT("keys", mvcc_keys(storage->mvcc)));
    return OK;
}
