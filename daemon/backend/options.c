/* SPDX-License-Identifier: Apache-2.0
 * How RocksDB is set up: the store as a whole, and each of its families. */
#include "lookthrough.h"
#include "store.h"

#include "base/log.h"

#include <stdio.h>

enum {
    MIB = 1024 * 1024,
    CACHE_DEFAULT = 64 * MIB,
    MEMTABLE_DEFAULT = 32 * MIB,
    VALUE_APART_MIN = 4096, /* from here on a value apart reads as fast as one in a block */
    BLOCK_BYTES = 4 * 1024, /* a cold value costs reading and unpacking one block */
    LEVELS = 7,
    FILES_TO_MERGE = 8,
    FILE_OF_ROWS = 8 * MIB,
    MERGE_READS = MIB, /* at once, not block by block */
};

rocksdb_block_based_table_options_t *store_table_options(void)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, TABLE_VERSION);
    return table;
}

/* Values of a block's size and more are written once, into blob files, and merging moves only
 * references. Deleting leaves garbage there: the oldest quarter of the files is emptied in passing,
 * and by merges of its own once half of it is garbage. */
static void apart_init(rocksdb_options_t *o)
{
    rocksdb_options_set_enable_blob_files(o, 1);
    rocksdb_options_set_min_blob_size(o, VALUE_APART_MIN);
    rocksdb_options_set_blob_compression_type(o, rocksdb_lz4_compression);
    rocksdb_options_set_enable_blob_gc(o, 1);
    rocksdb_options_set_blob_gc_age_cutoff(o, 0.25);
    rocksdb_options_set_blob_gc_force_threshold(o, 0.5);
}

/* Files of values come in order: a flushed one is behind all others, and where nothing was deleted
 * since, it is moved down the levels as it is, for which it must be packed as they are there. Files
 * of the other rows all overlap; each merge rewrites, of the level below, the file with the newest
 * of them, which is small therefore; and what is merged soon is not packed. */
static void merges_init(rocksdb_options_t *o, enum family family)
{
    int packing[LEVELS];
    for (int i = 0; i < LEVELS; i++) {
        bool is_packed = i > 0 || family == FAMILY_VALUES;
        packing[i] = is_packed ? rocksdb_lz4_compression : rocksdb_no_compression;
    }
    rocksdb_options_set_compression_per_level(o, packing, LEVELS);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_level0_file_num_compaction_trigger(o, FILES_TO_MERGE);
    rocksdb_options_compaction_readahead_size(o, MERGE_READS);
    if (family == FAMILY_OTHERS) {
        rocksdb_options_set_target_file_size_base(o, FILE_OF_ROWS);
    }
}

/* RocksDB's own file of what it says would end the process when the disk is full. */
static void tell(const char *text)
{
    LOG_WARN("RocksDB says", LOG_STR("text", text));
}

static bool look(const char *path, char *text, size_t size)
{
    struct why why = {""};
    struct err err = tablefile_check(path, (struct slice){0}, &why);
    snprintf(text, size, "%s", why.text);
    return !IS(err, BAD_CRC); /* of what cannot be read RocksDB tells itself */
}

/* A received store is whole or none, and no thread of RocksDB's reads from it: what is thrown there
 * ends the process. */
static void store_init(rocksdb_options_t *o, bool is_received)
{
    rocksdb_options_set_create_if_missing(o, !is_received);
    rocksdb_options_set_create_missing_column_families(o, !is_received);
    rocksdb_options_set_disable_auto_compactions(o, is_received);
    if (is_received) {
        rocksdb_options_set_max_file_opening_threads(o, 1);
    }
    rocksdb_options_set_atomic_flush(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_bytes_per_sync(o, MIB);
    store_shim_tell(o, tell);
    store_shim_guard(o, look);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
}

static rocksdb_options_t *family_options(struct backend *backend,
    const struct backend_options *options, enum family family, struct why *why)
{
    /* Without the first, close would flush: what a crash loses and what a stop loses are to be the
     * same. The last remembers where the newest row of each prefix stands in the memtable: rows
     * come in order within a prefix, and the prefixes alternate. It forbids deletions of ranges:
     * RocksDB 7.8 puts them elsewhere and takes the same hint along. */
    char *text = NULL;
    rocksdb_options_t *base = rocksdb_options_create();
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_get_options_from_string(base,
        "avoid_flush_during_shutdown=true;avoid_flush_during_recovery=true;"
        "memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.1",
        o, &text);
    rocksdb_options_destroy(base);
    if (err_is(store_err(backend, "set up", text, why))) {
        rocksdb_options_destroy(o);
        return NULL;
    }
    size_t memtable = options->memtable_bytes ? options->memtable_bytes : MEMTABLE_DEFAULT;
    store_init(o, options->is_received);
    rocksdb_options_set_write_buffer_size(o, memtable);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    merges_init(o, family);
    apart_init(o);
    store_shim_lower_merges(o);
    rocksdb_options_set_block_based_table_factory(o, backend->table);
    return o;
}

struct err store_options_init(
    struct backend *backend, const struct backend_options *options, struct why *why)
{
    size_t bytes = options->block_cache_bytes ? options->block_cache_bytes : CACHE_DEFAULT;
    backend->cache = rocksdb_cache_create_lru(bytes);
    backend->table = store_table_options();
    rocksdb_block_based_options_set_block_cache(backend->table, backend->cache);
    for (int i = 0; i < FAMILIES; i++) {
        backend->options[i] = family_options(backend, options, (enum family)i, why);
        if (!backend->options[i]) {
            return ERR(IO);
        }
    }
    return OK;
}
