/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening, closing, flushing and measuring the store. Files are RocksDB's; every block carries a
 * checksum that is verified whenever the block is read, so a flipped bit ends in BAD_CRC.
 */
#include "store.h"

#include "base/mem.h"

#include <errno.h>
#include <sys/stat.h>

enum {
    MIB = 1024 * 1024,
    CACHE_DEFAULT = 64 * MIB,
    MEMTABLE_DEFAULT = 32 * MIB,
    VALUE_APART_MIN = 4096, /* from here on a value apart reads as fast as one in a block */
    BLOCK_BYTES = 4 * 1024, /* a cold value costs reading and unpacking one block */
    LEVELS = 7,
    FILES_TO_MERGE = 8,
    LOG_LEVEL_WARN = 2,
    COMPACT_FORCE = 2, /* the lowest level too */
};

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

rocksdb_block_based_table_options_t *store_table_options(void)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, 5);
    return table;
}

static void table_init(struct backend *backend, const struct backend_options *options)
{
    size_t bytes = options->block_cache_bytes ? options->block_cache_bytes : CACHE_DEFAULT;
    backend->cache = rocksdb_cache_create_lru(bytes);
    backend->table = store_table_options();
    rocksdb_block_based_options_set_block_cache(backend->table, backend->cache);
    rocksdb_options_set_block_based_table_factory(backend->options, backend->table);
}

/* Every memtable spans all prefixes, so files overlap and merging them writes rows again and again.
 * Larger values are written once, into blob files, and merging moves only references.
 * Deleting leaves garbage there: the oldest quarter of the files is emptied in passing, and by
 * merges of its own once half of it is garbage. */
static void values_init(rocksdb_options_t *o)
{
    rocksdb_options_set_enable_blob_files(o, 1);
    rocksdb_options_set_min_blob_size(o, VALUE_APART_MIN);
    rocksdb_options_set_blob_compression_type(o, rocksdb_lz4_compression);
    rocksdb_options_set_enable_blob_gc(o, 1);
    rocksdb_options_set_blob_gc_age_cutoff(o, 0.25);
    rocksdb_options_set_blob_gc_force_threshold(o, 0.5);
}

/* Flushed files all overlap (see above), so each merge of the newest level rewrites the one below:
 * half as many merges for twice the files. What is merged soon is not packed. */
static void merges_init(rocksdb_options_t *o)
{
    int packing[LEVELS];
    for (int i = 0; i < LEVELS; i++) {
        packing[i] = i ? rocksdb_lz4_compression : rocksdb_no_compression;
    }
    rocksdb_options_set_compression_per_level(o, packing, LEVELS);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_level0_file_num_compaction_trigger(o, FILES_TO_MERGE);
}

static struct err options_init(
    struct backend *backend, const struct backend_options *options, struct why *why)
{
    /* Without the first, close would flush: what a crash loses and what a stop loses are to be the
     * same. The last remembers where the newest row of each prefix stands in the memtable: rows
     * come in order within a prefix, and the prefixes alternate. It forbids deletions of ranges:
     * RocksDB 7.8 puts them elsewhere and takes the same hint along. */
    char *text = NULL;
    rocksdb_options_t *base = rocksdb_options_create();
    backend->options = rocksdb_options_create();
    rocksdb_get_options_from_string(base,
        "avoid_flush_during_shutdown=true;avoid_flush_during_recovery=true;"
        "memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.1",
        backend->options, &text);
    rocksdb_options_destroy(base);
    TRY(store_err(backend, "set up", text, why));
    rocksdb_options_t *o = backend->options;
    size_t memtable = options->memtable_bytes ? options->memtable_bytes : MEMTABLE_DEFAULT;
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_write_buffer_size(o, memtable);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_bytes_per_sync(o, MIB);
    rocksdb_options_set_info_log_level(o, LOG_LEVEL_WARN);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_max_log_file_size(o, (size_t)4 * MIB);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    merges_init(o);
    values_init(o);
    table_init(backend, options);
    return OK;
}

static struct err db_open(struct backend *backend, struct why *why)
{
    const char *name = "default";
    const rocksdb_options_t *family_options = backend->options;
    char *text = NULL;
    backend->db = rocksdb_open_column_families(
        backend->options, backend->path, 1, &name, &family_options, &backend->family, &text);
    return store_err(backend, "open", text, why);
}

struct err backend_open(
    const struct backend_options *options, struct backend **out, struct why *why)
{
    struct err err;
    struct backend *backend = mem_new(sizeof(*backend));
    backend->path = mem_strdup(options->path);
    if (mkdir(options->path, 0700) != 0 && errno != EEXIST) {
        err = why_errno(why, errno, "make %s", options->path);
        goto out;
    }
    err = options_init(backend, options, why);
    if (err_is(err)) {
        goto out;
    }
    err = db_open(backend, why);
    if (err_is(err)) {
        goto out;
    }
    bulk_sweep(backend->path);
    backend->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(backend->write, 1);
    backend->read = store_read_options(NULL);
    *out = backend;
    return OK;
out:
    backend_close(backend);
    return err;
}

void backend_close(struct backend *backend)
{
    if (!backend) {
        return;
    }
    if (backend->family) {
        rocksdb_column_family_handle_destroy(backend->family);
    }
    if (backend->db) {
        rocksdb_close(backend->db);
    }
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
    if (backend->options) {
        rocksdb_options_destroy(backend->options);
    }
    free(backend->path);
    free(backend);
}

struct err backend_flush(struct backend *backend, struct why *why)
{
    char *text = NULL;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(flush, 1);
    rocksdb_flush(backend->db, flush, &text);
    rocksdb_flushoptions_destroy(flush);
    return store_change_err(backend, "flush", text, why);
}

static struct err garbage_age(struct backend *backend, const char *part, struct why *why)
{
    const char *name = "blob_garbage_collection_age_cutoff";
    char *text = NULL;
    rocksdb_set_options(backend->db, 1, &name, &part, &text);
    return store_change_err(backend, "set up", text, why);
}

static uint64_t property(struct backend *backend, const char *name)
{
    uint64_t number = 0;
    return rocksdb_property_int(backend->db, name, &number) == 0 ? number : 0;
}

struct err backend_health(struct backend *backend, struct why *why)
{
    uint64_t errors = property(backend, "rocksdb.background-errors");
    if (atomic_load(&backend->has_failed)) {
        return why_set(why, ERR(IO), "%s", backend->failure.text);
    }
    return errors ? why_set(why, ERR(IO),
                        "the store's background work failed %llu times; %s/LOG says why",
                        (unsigned long long)errors, backend->path)
                  : OK;
}

struct err backend_compact_files(struct backend *backend, struct why *why)
{
    TRY(backend_flush(backend, why));
    TRY(garbage_age(backend, "1.0", why)); /* every value file, not the oldest alone */
    rocksdb_compactoptions_t *compact = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(compact, 0);
    rocksdb_compactoptions_set_bottommost_level_compaction(compact, COMPACT_FORCE);
    rocksdb_compact_range_opt(backend->db, compact, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(compact);
    TRY(garbage_age(backend, "0.25", why));
    return backend_health(backend, why); /* the merge itself tells nothing */
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
    rocksdb_approximate_sizes(backend->db, 1, &first, &from.len, &last, &to.len, &bytes, &text);
    rocksdb_free(text);
    return bytes;
}
