/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the room share: the open store and how RocksDB's errors become ours. */
#ifndef BACKEND_STORE_H
#define BACKEND_STORE_H

#include "backend/backend.h"
#include "backend/shim.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

/* Values have files of their own: they are written in order, so theirs never overlap. */
enum family { FAMILY_OTHERS, FAMILY_VALUES, FAMILIES };

struct backend {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[FAMILIES];
    rocksdb_options_t *options[FAMILIES];
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read; /* of now; reads of a snapshot make their own */
    char *path;
    pthread_rwlock_t lock; /* of what db is: held to read for the length of one call */
    atomic_uint users;     /* walks and snapshots, which outlast calls */
    atomic_bool is_ended;  /* no file is to be rewritten any more */
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

static inline void store_lock(struct backend *backend)
{
    pthread_rwlock_rdlock(&backend->lock);
}

static inline void store_unlock(struct backend *backend)
{
    pthread_rwlock_unlock(&backend->lock);
}

/* Of a walk or a snapshot: what db is stays so until it leaves. */
static inline void store_enter(struct backend *backend)
{
    store_lock(backend);
    atomic_fetch_add(&backend->users, 1);
    store_unlock(backend);
}

static inline void store_leave(struct backend *backend)
{
    atomic_fetch_sub(&backend->users, 1);
}

MUST struct err store_open(struct backend *backend, struct why *why); /* the handles alone */
void store_close(struct backend *backend);
/* Takes text (RocksDB's, NULL: no failure) and frees it. */
MUST struct err store_err(struct backend *backend, const char *doing, char *text, struct why *why);
/* The same of an operation that changes the store: its first failure is kept for backend_health. */
MUST struct err store_change_err(
    struct backend *backend, const char *doing, char *text, struct why *why);
struct err store_code_of(const char *text); /* what RocksDB's text means */
static inline enum family store_family(struct slice key)
{
    return key.len && key.data[0] == 'd' ? FAMILY_VALUES : FAMILY_OTHERS;
}
/* On the disk, for whoever is not root. Errors: IO. */
MUST struct err store_free_bytes(const struct backend *backend, uint64_t *out, struct why *why);
/* Errors: as backend_open. */
MUST struct err store_options_init(
    struct backend *backend, const struct backend_options *options, struct why *why);
/* backend_take_files, without a look at what they hold. */
MUST struct err store_take_files(
    struct backend *backend, char *const *paths, size_t count, struct why *why);
/* Values that an earlier version left among the others go to their family. Nobody else may read or
 * write values meanwhile. Errors: as backend_write, BAD_CRC. */
MUST struct err store_gather(struct backend *backend, struct why *why);
/* As backend_iter_open and backend_clear, of what stands in one family. */
struct backend_iter *store_iter_open(
    struct backend *backend, enum family family, struct slice from, struct slice to);
MUST struct err store_clear(struct backend *backend, enum family family, struct slice from,
    struct slice to, struct why *why);
enum { TABLE_VERSION = 5 };
/* How blocks are cut, of every file. Gives. */
rocksdb_block_based_table_options_t *store_table_options(void);
void bulk_sweep(const char *path); /* removes what a bulk left in the folder */
/* Checksums verified, at the snapshot when there is one. Gives. */
rocksdb_readoptions_t *store_read_options(const struct backend_snapshot *snapshot);

#endif
