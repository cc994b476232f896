/* SPDX-License-Identifier: Apache-2.0
 * What RocksDB's C interface of 7.8 does not offer. */
#ifndef BACKEND_SHIM_H
#define BACKEND_SHIM_H

#include <rocksdb/c.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flushes all these families as one: either what stands in their memtables is in files, or nothing
 * of it. (rocksdb_flush_cf of one after the other would tear batches apart.) NULL, or what went
 * wrong, to be freed by rocksdb_free. */
char *store_shim_flush(
    rocksdb_t *db, rocksdb_column_family_handle_t *const *families, size_t count);
/* Makes all rows of the files part of the store in one step: counts[i] files into families[i]. The
 * files are moved away. The result as above. */
char *store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *families,
    const char **const *paths, const size_t *counts, size_t families_count);
/* Merges, in whatever thread of RocksDB's, get out of the way of those that answer calls. */
void store_shim_lower_merges(rocksdb_options_t *options);
/* A handle good for batches and nothing else: the family of that id (0, 1 or 2) of any store. */
rocksdb_column_family_handle_t *store_shim_family(unsigned id);

/* Every block of a table's file against its checksum. The result as above. */
char *store_check_table(const char *path);
/* RocksDB's version, and how rows lie in its families. */
const char *store_format(void);

#ifdef __cplusplus
}
#endif

#endif
