/* SPDX-License-Identifier: Apache-2.0
 *
 * The store on disk: ordered keys and values in RocksDB, written in atomic batches without a log of
 * its own (the raft WAL is the log; after a crash everything above the last flushed batch is
 * applied again). The only room that knows RocksDB. Keys begin with a one-byte prefix:
 *
 *   'd' be64(main) be64(sub)   a value; these have files of their own
 *   'l' be64(main) be64(sub)   a revision row
 *   'm' name                   everything else
 *
 * Reads: any thread. Writes: one thread at a time (the apply thread), except where said.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "base/blob.h"
#include "base/err.h"

struct backend;
struct backend_batch;
struct backend_snapshot;
struct backend_iter;
struct backend_bulk;

struct backend_options {
    const char *path;         /* the folder; made (0700) when absent */
    size_t block_cache_bytes; /* 0: a default */
    size_t memtable_bytes;    /* 0: a default */
    bool is_received;         /* another's files, of which each was looked at (backend_check_file):
                               * a store of ours and whole, or BAD_FORMAT, BAD_CRC or IO */
};

/* Errors: IO, LOCKED, BAD_CRC, NO_DISK, BAD_FORMAT (no store of ours); why tells the file. */
MUST struct err backend_open(
    const struct backend_options *options, struct backend **out, struct why *why);
/* Flushes nothing by itself. NULL is fine. */
void backend_close(struct backend *backend);

/* The folder, as it was given. */
const char *backend_path(const struct backend *backend);

/* A batch is the caller's; it may be written and reset many times. */
struct backend_batch *backend_batch_new(void);
void backend_batch_free(struct backend_batch *batch);
void backend_batch_reset(struct backend_batch *batch);
void backend_batch_put(struct backend_batch *batch, struct slice key, struct slice value);
/* The value in two parts, stored as one: saves a copy where a row has a head. */
void backend_batch_put_parts(
    struct backend_batch *batch, struct slice key, const struct slice *parts, size_t count);
void backend_batch_delete(struct backend_batch *batch, struct slice key);
size_t backend_batch_bytes(const struct backend_batch *batch);
/* Atomic: all of it or nothing survives a crash. Not synced. Any thread. Errors: IO, NO_DISK. */
MUST struct err backend_write(
    struct backend *backend, struct backend_batch *batch, struct why *why);

/* *out_value is a new blob, or NULL when absent (no error). snapshot may be NULL (now). */
MUST struct err backend_get(struct backend *backend, const struct backend_snapshot *snapshot,
    struct slice key, struct blob **out_value, struct why *why);
/* count keys at once, all of them of values or none; out_values[i] is a new blob or NULL. */
MUST struct err backend_get_many(struct backend *backend, const struct backend_snapshot *snapshot,
    const struct slice *keys, size_t count, struct blob **out_values, struct why *why);

struct backend_snapshot *backend_snapshot_take(struct backend *backend);
void backend_snapshot_release(struct backend *backend, struct backend_snapshot *snapshot);

/* Walks [from, to) upwards; to empty: to the end. key and value are lent until the next call on the
 * iterator. */
struct backend_iter *backend_iter_open(struct backend *backend,
    const struct backend_snapshot *snapshot, struct slice from, struct slice to);
bool backend_iter_next(struct backend_iter *iter, struct slice *out_key, struct slice *out_value);
/* Whether the walk ended because of an error (BAD_CRC, IO) and not at the end. */
MUST struct err backend_iter_err(struct backend_iter *iter, struct why *why);
void backend_iter_close(struct backend_iter *iter);

/* Deletes all keys in [from, to), in many steps: a crash may leave some. Takes no heed of
 * snapshots. Nothing may be written there meanwhile. Errors: as backend_write. */
MUST struct err backend_clear(
    struct backend *backend, struct slice from, struct slice to, struct why *why);

/* Bulk: many rows in ascending order, each key once, for a store where nothing lies between the
 * first and the last of them. They go into files PATH_PREFIX000000, …, on the store's file system,
 * which nobody knows of before backend_take_files. One thread. */
struct backend_bulk *backend_bulk_new(const char *path_prefix);
/* In the store's own folder, where an open removes what a crash left. */
struct backend_bulk *backend_bulk_new_in(struct backend *backend, const char *name);
/* Errors: IO (also a key out of order), NO_DISK. */
MUST struct err backend_bulk_put(
    struct backend_bulk *bulk, struct slice key, struct slice value, struct why *why);
/* Ends and syncs the last file; the folder is the caller's to sync. No put after. */
MUST struct err backend_bulk_end(struct backend_bulk *bulk, struct why *why);
/* Borrowed until free. */
size_t backend_bulk_paths(const struct backend_bulk *bulk, char *const **out);
/* removes: what is still there of the files. NULL is fine. */
void backend_bulk_free(struct backend_bulk *bulk, bool removes);
/* All rows of the files become the store's at once and durably, over rows of the same keys; the
 * files are moved away. */
MUST struct err backend_take_files(
    struct backend *backend, char *const *paths, size_t count, struct why *why);

/* The store as files. */

/* Whoever says the same can open this member's files. */
const char *backend_files_format(void);
/* A new folder at path, on the same file system, with the store as it is now: its own files under
 * second names, flushed first. Writes meanwhile may be in it or not, so keep them away. */
MUST struct err backend_checkpoint(struct backend *backend, const char *path, struct why *why);
/* Whether a file of such a folder is part of the store, by its name. */
bool backend_file_is_ours(const char *name);
/* Reads a file through: every row or value, and each checksum on the way. bytes: what is in it, or
 * comes to be; without data the file is read. Any thread. Errors: BAD_CRC, IO. */
MUST struct err backend_check_file(const char *path, struct slice bytes, struct why *why);
/* The store becomes what lies in the folder from, which takes its place; the old one goes to aside,
 * which must not be there. Waits for open walks and snapshots, and everybody else for it. All
 * synced. A crash leaves the old one, or none and both folders, or the new one. After an error
 * whoever uses the store but closes it waits for ever. */
MUST struct err backend_replace(
    struct backend *backend, const char *from, const char *aside, struct why *why);

/* Makes everything written so far durable: memtables to files, synced. Blocks; other threads may
 * read and write. */
MUST struct err backend_flush(struct backend *backend, struct why *why);
/* Rewrites files in the background's stead, dropping what was deleted (Defragment). Blocks its
 * caller only. A batch that deletes an 'l' row deletes a value before it. Begins nothing where what
 * lives does not fit beside itself into seven eighths of what is free. Errors: NO_DISK, IO, STOPPED
 * (ended before the end). */
MUST struct err backend_compact_files(struct backend *backend, struct why *why);
/* Before a close: ends what backend_compact_files does, now and later. Waits for the merge under
 * way to leave, which it does at the next row. Any thread. */
void backend_end_compact_files(struct backend *backend);

/* Whether a write, a flush or a merge has failed since the store was opened. Nobody waits for those
 * in the background, and without this the store would take writes until its memory is full, then
 * hold them for ever. Errors: IO. */
MUST struct err backend_health(struct backend *backend, struct why *why);

/* Bytes of the files on disk, and an estimate of those that hold live data (etcd's dbSize and
 * dbSizeInUse). */
uint64_t backend_disk_bytes(struct backend *backend);
uint64_t backend_live_bytes(struct backend *backend);
/* An estimate of what lies in files between two keys, exact to some blocks. */
uint64_t backend_range_bytes(struct backend *backend, struct slice from, struct slice to);

#endif
