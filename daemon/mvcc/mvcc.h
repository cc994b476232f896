/* SPDX-License-Identifier: Apache-2.0
 *
 * Revisions of keys: the counted key index in memory, the rows by revision in the backend, reads at
 * any revision that is not compacted, transactions, compaction, hash. Semantics are etcd's
 * storage/mvcc; the shapes are daemon/README.md's. Writes: the apply thread. Reads: any thread,
 * never under a lock for longer than a few hundred entries.
 */
#ifndef MVCC_MVCC_H
#define MVCC_MVCC_H

#include "backend/backend.h"
#include "base/arena.h"

typedef int64_t revision;
typedef int64_t lease_id;

struct mvcc;
struct mvcc_import;
struct mvcc_txn;

/* One version of one key. The bytes are lent: by the arena of the read, or by the blobs of a
 * change. */
struct mvcc_kv {
    struct slice key;
    struct slice value;
    revision create;
    revision mod;
    int64_t version;
    lease_id lease;
};

struct mvcc_options {
    struct backend *backend;  /* borrowed; outlives the mvcc */
    size_t value_cache_bytes; /* newest values kept in memory; 0: none */
    size_t history_bytes;     /* newest changes kept in memory; 0: a default */
    /* A compaction hashes the store first when it holds no more keys than these, and no more
     * revisions since the compaction before: a walk over every row and every value of those
     * revisions, where compaction itself walks the newest rows. */
    size_t hash_keys_max;
    revision hash_revisions_max;
    unsigned open_threads; /* that read the rows at open; 0: as suits them and the machine */
};

/* Rebuilds the index from the rows. An empty store starts at revision 1, as etcd's. Errors: IO,
 * BAD_CRC, BAD_FORMAT. */
MUST struct err mvcc_open(const struct mvcc_options *options, struct mvcc **out, struct why *why);
void mvcc_close(struct mvcc *mvcc);
/* The rows are about to be replaced: what is read from now to the end of the reload that follows
 * fails with TIMEOUT, as does what was begun before, so that no answer is of both. */
void mvcc_reload_begin(struct mvcc *mvcc);
/* The rows were replaced by those of a later time of the same history, while nothing was applied,
 * compacted or read of history: reads them anew. Readers wait meanwhile. After an error nothing may
 * be read. Errors: as mvcc_open. */
MUST struct err mvcc_reload(struct mvcc *mvcc, struct why *why);
/* The same after an import that has ended: takes over its index instead of reading rows. */
MUST struct err mvcc_reload_imported(
    struct mvcc *mvcc, struct mvcc_import *import, struct why *why);

/* The last published revision; the last revision asked to be compacted (-1 when never). Any thread.
 */
revision mvcc_revision(const struct mvcc *mvcc);
revision mvcc_compact_revision(const struct mvcc *mvcc);
/* Keys alive now. */
int64_t mvcc_keys(const struct mvcc *mvcc);
/* What an open would have read of a store. */
struct mvcc_reading;
/* Whether a store from elsewhere could be opened: reads every row that an open does. Gives *out;
 * out NULL: keeps nothing. Any thread. Errors: BAD_FORMAT, BAD_CRC, IO. */
MUST struct err mvcc_check(struct backend *backend, struct mvcc_reading **out, struct why *why);
/* NULL is fine. */
void mvcc_reading_free(struct mvcc_reading *reading);
/* mvcc_reload where the rows are now those of the store that was read: takes over what is known. */
MUST struct err mvcc_reload_read(struct mvcc *mvcc, struct mvcc_reading *reading, struct why *why);
/* Whether such a row could be opened; what is no revision row could. */
bool mvcc_check_row(struct slice key, struct slice value);
/* At most so many keys of [key, end), as mvcc_range_options has them, live at that revision (<= 0:
 * now), told from what is in memory without a walk: exact now; for older ones all that may have
 * been deleted since count as well, wherever they were. */
int64_t mvcc_count_most(struct mvcc *mvcc, struct slice key, struct slice end, revision rev);
size_t mvcc_memory_bytes(const struct mvcc *mvcc);
/* Dropped by compactions since the open, for metrics. Any thread. */
uint64_t mvcc_compacted_rows(const struct mvcc *mvcc);
/* Calls fn for each living key that hangs on a lease, in no order, until it returns false. Before
 * the first write. */
void mvcc_each_leased(
    struct mvcc *mvcc, bool (*fn)(void *arg, struct blob *key, lease_id lease), void *arg);

/* Reading. */

struct mvcc_range_options {
    struct slice key;
    struct slice end; /* empty: the one key; one zero byte: every key >= key; else [key, end) */
    revision rev;     /* <= 0: the newest */
    int64_t limit;    /* <= 0: none */
    bool is_count_only;
    bool is_keys_only; /* values stay empty and are not fetched */
};

struct mvcc_range_result {
    struct mvcc_kv *kvs; /* in key order; in the arena */
    size_t kvs_count;
    int64_t total; /* keys in the range at that revision, whatever the limit */
    revision rev;  /* the store's newest revision when the read began (for the header) */
};

/* One consistent view. Everything in *out lives as long as the arena (it holds references).
 * Errors: COMPACTED, FUTURE_REV, TOO_BIG (arena), IO. */
MUST struct err mvcc_range(struct mvcc *mvcc, const struct mvcc_range_options *options,
    struct arena *arena, struct mvcc_range_result *out);

/* Writing: apply thread. */

enum mvcc_change_kind { MVCC_PUT, MVCC_DELETE };

/* What a transaction did to one key; one event for watchers, one line for the lease table.
 * References are held by whoever holds the change (mvcc_change_ref / unref). */
struct mvcc_change {
    enum mvcc_change_kind kind;
    revision main;
    int64_t sub;
    struct blob *key;
    struct blob *value; /* NULL for a delete or an empty value */
    revision create;    /* 0 for a delete */
    int64_t version;    /* 0 for a delete */
    lease_id lease;     /* 0 for a delete */
    /* The version it replaced; prev_mod 0 when there was none. */
    revision prev_mod;
    int64_t prev_sub;
    revision prev_create;
    int64_t prev_version;
    lease_id prev_lease;
    struct blob *prev_value; /* NULL when not in memory: then mvcc_value(prev_mod, prev_sub) */
};

void mvcc_change_copy(
    struct mvcc_change *out, const struct mvcc_change *from); /* takes references */
void mvcc_change_fini(struct mvcc_change *change);

/* Begins a transaction whose rows go into batch. One at a time. Nothing is visible to readers
 * before its end. */
struct mvcc_txn *mvcc_txn_begin(struct mvcc *mvcc, struct backend_batch *batch);
/* The revision before it, and the one its writes get. */
revision mvcc_txn_rev(const struct mvcc_txn *txn);
/* Whether it has written anything so far. */
bool mvcc_txn_is_dirty(const struct mvcc_txn *txn);
/* As mvcc_range, but sees the transaction's own writes at rev <= 0; rev in the result is the newest
 * it sees. */
MUST struct err mvcc_txn_range(struct mvcc_txn *txn, const struct mvcc_range_options *options,
    struct arena *arena, struct mvcc_range_result *out);
/* Current state of one key as the transaction sees it; false when it does not exist. Values are not
 * fetched: memory only. The key slice lent is the argument's. */
bool mvcc_txn_stat(struct mvcc_txn *txn, struct slice key, struct mvcc_kv *out);
void mvcc_txn_put(struct mvcc_txn *txn, struct slice key, struct slice value, lease_id lease);
/* Returns how many keys it deleted. */
int64_t mvcc_txn_delete_range(struct mvcc_txn *txn, struct slice key, struct slice end);
/* Publishes. *out_changes lends the changes until the next mvcc_txn_begin. Returns the store's
 * revision after it. */
revision mvcc_txn_end(
    struct mvcc_txn *txn, const struct mvcc_change **out_changes, size_t *out_count);
/* Call after the batch that holds the transactions so far was written: their rows can now be read
 * from the backend. */
void mvcc_batch_written(struct mvcc *mvcc);

/* History, for watchers that catch up and for the export. */

/* The value stored at a revision; *out NULL when it is not there (compacted). Any thread. Gives. */
MUST struct err mvcc_value(
    struct mvcc *mvcc, revision main, int64_t sub, struct blob **out, struct why *why);

/* Calls fn for each change in [from, to] in revision order, whole transactions only, until fn
 * returns false. Changes whose rows compaction has dropped are not there. prev_value is filled when
 * needs_prev. Errors: COMPACTED when from < the compacted revision, IO. Any thread. */
MUST struct err mvcc_history(struct mvcc *mvcc, revision from, revision to, bool needs_prev,
    bool (*fn)(void *arg, const struct mvcc_change *change), void *arg, struct why *why);

/* Compaction: etcd's rules (a tombstone exactly at rev stays until the next one). */

/* Apply thread: checks and marks; readers at < rev get COMPACTED from now on. Errors: COMPACTED,
 * FUTURE_REV. */
MUST struct err mvcc_compact_begin(struct mvcc *mvcc, revision rev, struct backend_batch *batch);
/* Back thread: drops what the last begin allows, in slices that yield between them. *out_done when
 * finished. */
MUST struct err mvcc_compact_step(
    struct mvcc *mvcc, size_t rows_max, bool *out_done, struct why *why);

/* Whole-store reads: back thread. */

struct mvcc_hash {
    uint32_t hash;
    revision rev; /* hashed at */
    revision compact_rev;
    revision current_rev;
};

/* etcd's HashKV, byte-exact. rev 0: the newest. At the revision of one of the last compactions it
 * is what that one hashed to, with the compacted revision before it. Errors: COMPACTED, FUTURE_REV,
 * IO. */
MUST struct err mvcc_hash_kv(
    struct mvcc *mvcc, revision rev, struct mvcc_hash *out, struct why *why);
/* What the last compactions hashed to, ascending. Any thread. */
enum { MVCC_HASHES_MAX = 10 };
size_t mvcc_hashes(struct mvcc *mvcc, struct mvcc_hash out[MVCC_HASHES_MAX]);

/* Every stored row in revision order as etcd's `key` bucket holds it (value: canonical
 * mvccpb.KeyValue, built by the callee of fn from kv): for the bbolt export. kv.value is filled.
 * From one snapshot of the backend, so that the meta rows of the same snapshot agree with it. fn
 * returns false to stop. */
MUST struct err mvcc_export(struct mvcc *mvcc, const struct backend_snapshot *snapshot,
    bool (*fn)(void *arg, revision main, int64_t sub, bool is_tombstone, const struct mvcc_kv *kv),
    void *arg, struct why *why);

/* The other way: rows in revision order into an empty store that no mvcc has open. Memory is what
 * the index takes. */
struct mvcc_import *mvcc_import_new(struct backend *backend);
MUST struct err mvcc_import_row(struct mvcc_import *import, revision main, int64_t sub,
    bool is_tombstone, const struct mvcc_kv *kv, struct why *why);
/* The rows become the store's, and the revisions up to which compaction was asked for and done (-1:
 * never). */
MUST struct err mvcc_import_end(
    struct mvcc_import *import, revision scheduled, revision finished, struct why *why);
/* NULL is fine; without an end before, nothing of it is left. */
void mvcc_import_free(struct mvcc_import *import);

#endif
