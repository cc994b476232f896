/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening, closing, flushing and measuring the store. Files are RocksDB's; every block carries a
 * checksum that is verified whenever the block is read, so a flipped bit ends in BAD_CRC.
 */
#include "store.h"
#include "lookthrough.h"

#include "base/mem.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct err store_code_of(const char *text)
{
    if (strstr(text, "No space left")) {
        return ERR(NO_DISK);
    }
    if (strstr(text, "LOCK: ") || strstr(text, "lock hold by")) {
        return ERR(LOCKED);
    }
    if (strncmp(text, "Corruption", 10) == 0 || strstr(text, "checksum mismatch")) {
        return ERR(BAD_CRC);
    }
    return ERR(IO);
}

/* A writer that waits comes before readers, which come without end; no reader takes it twice. */
static void store_lock_init(struct backend *backend)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&backend->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

struct err store_err(struct backend *backend, const char *doing, char *text, struct why *why)
{
    if (!text) {
        return OK;
    }
    struct err err = why_set(why, store_code_of(text), "%s %s: %s", doing, backend->path, text);
    rocksdb_free(text);
    return err;
}

struct err store_change_err(struct backend *backend, const char *doing, char *text, struct why *why)
{
    struct why own = {""};
    struct err err = store_err(backend, doing, text, &own);
    if (err_is(err) && !atomic_flag_test_and_set(&backend->is_failing)) {
        backend->failure = own;
        atomic_store(&backend->has_failed, true);
    }
    return err_is(err) ? why_set(why, err, "%s", own.text) : OK;
}

rocksdb_readoptions_t *store_read_options(const struct backend_snapshot *snapshot)
{
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(read, 1);
    if (snapshot) {
        rocksdb_readoptions_set_snapshot(read, snapshot->rocks);
    }
    return read;
}

/* Batches know families by their numbers, which a store from elsewhere may have given otherwise. */
static struct err check_families(struct backend *backend, struct why *why)
{
    for (unsigned i = 0; i < FAMILIES; i++) {
        if (rocksdb_column_family_handle_get_id(backend->families[i]) != i) {
            return why_set(why, ERR(BAD_FORMAT),
                "%s: its families are numbered otherwise than ours", backend->path);
        }
    }
    return OK;
}

struct err store_open(struct backend *backend, struct why *why)
{
    static const char *const names[FAMILIES] = {"default", "values"};
    TRY(manifest_check(backend->path, why));
    char *text = store_shim_open((const rocksdb_options_t *const *)backend->options, backend->path,
        names, FAMILIES, backend->families, &backend->db);
    TRY(store_err(backend, "open", text, why));
    return check_families(backend, why);
}

static struct err check_none(struct backend *backend, enum family family, struct slice from,
    struct slice to, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_iter *iter = store_iter_open(backend, family, from, to);
    bool has_row = backend_iter_next(iter, &key, &value);
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    return has_row ? why_set(why, ERR(BAD_FORMAT), "%s holds rows of kinds that there are not",
                         backend->path)
                   : err;
}

/* Each value that a row names is in the file that it names. */
static struct err check_values(struct backend *backend, enum family family, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_iter *iter =
        store_iter_open(backend, family, (struct slice){0}, (struct slice){0});
    while (backend_iter_next(iter, &key, &value)) {
    }
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    return err;
}

static struct err check_apart(struct backend *backend, enum family family, struct why *why)
{
    bool has_any = false;
    char *text =
        store_shim_check_apart(backend->db, backend->families[family], backend->path, &has_any);
    TRY(store_err(backend, "open", text, why));
    return has_any ? check_values(backend, family, why) : OK;
}

/* What RocksDB, which trusts its files, would notice late or never. */
static struct err check_received(struct backend *backend, struct why *why)
{
    const struct slice none = {0};
    for (int i = 0; i < FAMILIES; i++) {
        TRY(check_apart(backend, (enum family)i, why));
    }
    TRY(check_none(backend, FAMILY_VALUES, none, SLICE("d"), why));
    TRY(check_none(backend, FAMILY_VALUES, SLICE("e"), none, why));
    TRY(check_none(backend, FAMILY_OTHERS, none, SLICE("l"), why));
    return check_none(backend, FAMILY_OTHERS, SLICE("n"), none, why);
}

const char *backend_path(const struct backend *backend)
{
    return backend->path;
}

struct err backend_open(
    const struct backend_options *options, struct backend **out, struct why *why)
{
    struct err err;
    struct backend *backend = mem_new(sizeof(*backend));
    backend->path = mem_strdup(options->path);
    store_lock_init(backend);
    if (!options->is_received && mkdir(options->path, 0700) != 0 && errno != EEXIST) {
        err = why_errno(why, errno, "make %s", options->path);
        goto out;
    }
    err = store_options_init(backend, options, why);
    if (err_is(err)) {
        goto out;
    }
    err = store_open(backend, why);
    if (err_is(err)) {
        goto out;
    }
    bulk_sweep(backend->path);
    backend->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(backend->write, 1);
    backend->read = store_read_options(NULL);
    err = options->is_received ? check_received(backend, why) : store_gather(backend, why);
    if (err_is(err)) {
        goto out;
    }
    *out = backend;
    return OK;
out:
    backend_close(backend);
    return err;
}

void store_close(struct backend *backend)
{
    for (int i = 0; i < FAMILIES; i++) {
        if (backend->families[i]) {
            rocksdb_column_family_handle_destroy(backend->families[i]);
        }
        backend->families[i] = NULL;
    }
    if (backend->db) {
        rocksdb_close(backend->db);
    }
    backend->db = NULL;
}

void backend_close(struct backend *backend)
{
    if (!backend) {
        return;
    }
    store_close(backend);
    if (backend->write) {
        rocksdb_writeoptions_destroy(backend->write);
    }
    if (backend->read) {
        rocksdb_readoptions_destroy(backend->read);
    }
    if (backend->table) {
        rocksdb_block_based_options_destroy(backend->table);
    }
    if (backend->cache) {
        rocksdb_cache_destroy(backend->cache);
    }
    for (int i = 0; i < FAMILIES; i++) {
        if (backend->options[i]) {
            rocksdb_options_destroy(backend->options[i]);
        }
    }
    pthread_rwlock_destroy(&backend->lock);
    free(backend->path);
    free(backend);
}

struct err backend_flush(struct backend *backend, struct why *why)
{
    store_lock(backend);
    char *text = store_shim_flush(backend->db, backend->families, FAMILIES);
    store_unlock(backend);
    return store_change_err(backend, "flush", text, why);
}

struct err store_free_bytes(const struct backend *backend, uint64_t *out, struct why *why)
{
    struct statvfs st;
    if (statvfs(backend->path, &st) != 0) {
        return why_errno(why, errno, "measure %s", backend->path);
    }
    *out = (uint64_t)st.f_bavail * st.f_frsize;
    return OK;
}

static uint64_t property(struct backend *backend, const char *name)
{
    uint64_t sum = 0;
    store_lock(backend);
    for (int i = 0; i < FAMILIES; i++) {
        uint64_t number = 0;
        bool is_known =
            rocksdb_property_int_cf(backend->db, backend->families[i], name, &number) == 0;
        sum += is_known ? number : 0;
    }
    store_unlock(backend);
    return sum;
}

struct err backend_health(struct backend *backend, struct why *why)
{
    uint64_t errors = property(backend, "rocksdb.background-errors");
    if (atomic_load(&backend->has_failed)) {
        return why_set(why, ERR(IO), "%s", backend->failure.text);
    }
    return errors ? why_set(why, ERR(IO),
                        "the background work of %s failed (%llu errors); the member's log says "
                        "why, in its lines \"RocksDB says\"",
                        backend->path, (unsigned long long)errors)
                  : OK;
}

/* What waits in memory will be in files soon: counted, so that a quota holds before the flush. */
uint64_t backend_disk_bytes(struct backend *backend)
{
    return property(backend, "rocksdb.total-sst-files-size") +
           property(backend, "rocksdb.total-blob-file-size") +
           property(backend, "rocksdb.cur-size-all-mem-tables");
}

uint64_t backend_live_bytes(struct backend *backend)
{
    return property(backend, "rocksdb.estimate-live-data-size") +
           property(backend, "rocksdb.cur-size-all-mem-tables");
}

uint64_t backend_range_bytes(struct backend *backend, struct slice from, struct slice to)
{
    const char *first = (const char *)from.data;
    const char *last = (const char *)to.data;
    uint64_t bytes = 0;
    char *text = NULL;
    store_lock(backend);
    rocksdb_approximate_sizes_cf(backend->db, backend->families[store_family(from)], 1, &first,
        &from.len, &last, &to.len, &bytes, &text);
    store_unlock(backend);
    rocksdb_free(text);
    return bytes;
}
