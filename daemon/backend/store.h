/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the room share: the open store and how RocksDB's errors become ours. */
#ifndef BACKEND_STORE_H
#define BACKEND_STORE_H

#include "backend/backend.h"

#include <rocksdb/c.h>
#include <stdatomic.h>

struct backend {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *family;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read; /* of now; reads of a snapshot make their own */
    char *path;
    atomic_flag is_failing;
    atomic_bool has_failed; /* then failure says how; both stay */
    struct why failure;
};

struct backend_batch {
    rocksdb_writebatch_t *rocks;
};

struct backend_snapshot {
    const rocksdb_snapshot_t *rocks;
};

/* Takes text (RocksDB's, NULL: no failure) and frees it. */
MUST struct err store_err(struct backend *backend, const char *doing, char *text, struct why *why);
/* The same of an operation that changes the store: its first failure is kept for backend_health. */
MUST struct err store_change_err(
    struct backend *backend, const char *doing, char *text, struct why *why);
/* What RocksDB's text means. */
struct err store_code_of(const char *text);
/* How blocks are cut, of every file. Gives. */
rocksdb_block_based_table_options_t *store_table_options(void);
/* Removes what a bulk left in the folder. */
void bulk_sweep(const char *path);
/* Checksums verified, at the snapshot when there is one. Gives. */
rocksdb_readoptions_t *store_read_options(const struct backend_snapshot *snapshot);

#endif
