/* SPDX-License-Identifier: Apache-2.0
 * What RocksDB's C interface of 7.8 does not offer, and calls of it that read files: what they
 * throw becomes a text. */
#ifndef BACKEND_SHIM_H
#define BACKEND_SHIM_H

#include <rocksdb/c.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a text is given: NULL, or what went wrong, to be freed by rocksdb_free. */

/* options[i] of the family names[i]. */
char *store_shim_open(const rocksdb_options_t *const *options, const char *path,
    const char *const *names, size_t count, rocksdb_column_family_handle_t **out_families,
    rocksdb_t **out);
/* NULL: there is none, or *out_text says why. */
rocksdb_pinnableslice_t *store_shim_get(rocksdb_t *db, const rocksdb_readoptions_t *read,
    rocksdb_column_family_handle_t *family, const char *key, size_t key_len, char **out_text);

struct store_keys {
    const char *const *keys;
    const size_t *lens;
    size_t count;
    bool is_sorted;
};

/* out and out_texts: one a key, filled as far as it gets. */
char *store_shim_get_many(rocksdb_t *db, const rocksdb_readoptions_t *read,
    rocksdb_column_family_handle_t *family, const struct store_keys *keys,
    rocksdb_pinnableslice_t **out, char **out_texts);

enum store_move {
    STORE_MOVE_NEXT,
    STORE_MOVE_TO,     /* the key, or the first behind it */
    STORE_MOVE_BEFORE, /* the key, or the last before it */
};

rocksdb_iterator_t *store_shim_iter(rocksdb_t *db, const rocksdb_readoptions_t *read,
    rocksdb_column_family_handle_t *family, char **out_text);
/* After a text only destroying is left. */
char *store_shim_move(
    rocksdb_iterator_t *iter, enum store_move move, const char *key, size_t key_len);
/* That each file of values that the family names lies in the folder, as long as it says. */
char *store_shim_check_apart(
    rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *path, bool *out_has_any);

/* Flushes all these families as one: either what stands in their memtables is in files, or nothing
 * of it. (rocksdb_flush_cf of one after the other would tear batches apart.) */
char *store_shim_flush(
    rocksdb_t *db, rocksdb_column_family_handle_t *const *families, size_t count);
/* A merge with these options ends before its end once *flag, an atomic_bool that outlives it, is
 * true. */
void store_shim_end_by(rocksdb_compactoptions_t *options, void *flag);
/* Makes all rows of the files part of the store in one step: counts[i] files into families[i]. The
 * files are moved away. */
char *store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *families,
    const char **const *paths, const size_t *counts, size_t families_count);
/* What RocksDB warns of, and tells of errors, from any thread. */
void store_shim_tell(rocksdb_options_t *options, void (*tell)(const char *text));
/* Whether a table's file may be opened; if not, why in text. Any thread. */
typedef bool store_look(const char *path, char *text, size_t size);
/* Asks before each table is opened. All stores of the process have the same look. */
void store_shim_guard(rocksdb_options_t *options, store_look *look);
/* Merges, in whatever thread of RocksDB's, get out of the way of those that answer calls. */
void store_shim_lower_merges(rocksdb_options_t *options);
/* A handle good for batches and nothing else: the family of that id (0, 1 or 2) of any store. */
rocksdb_column_family_handle_t *store_shim_family(unsigned id);

/* Every row of a table's file, and the checksum of each block on the way. As backend_check_file. */
char *store_check_table(const char *path, const void *data, size_t len);
/* Of the bytes of a block and its kind of packing, as tables of ours have it. */
uint32_t store_shim_sum(const void *data, size_t len);
/* The number that a table has for that kind of checksum. */
unsigned store_shim_sum_kind(void);
/* RocksDB's version, and how rows lie in its families. */
const char *store_format(void);

#ifdef __cplusplus
}
#endif

#endif
