/* SPDX-License-Identifier: Apache-2.0
 *
 * All files written anew, without what was deleted (Defragment).
 */
#include "store.h"

enum {
    COMPACT_FORCE = 2, /* the lowest level too */
    KEPT_PART = 8,     /* of what is free, for the log and what is written meanwhile */
};

static struct err garbage_age(struct backend *backend, const char *part, struct why *why)
{
    const char *name = "blob_garbage_collection_age_cutoff";
    char *text = NULL;
    store_lock(backend);
    for (int i = 0; i < FAMILIES && !text; i++) {
        rocksdb_set_options_cf(backend->db, backend->families[i], 1, &name, &part, &text);
    }
    store_unlock(backend);
    return store_change_err(backend, "set up", text, why);
}

/* Of the family, below `end`; *out stays NULL when there is none. */
static struct err last_key(struct backend *backend, enum family family, struct slice end,
    struct blob **out, struct why *why)
{
    char *text = NULL;
    store_lock(backend);
    rocksdb_iterator_t *iter =
        store_shim_iter(backend->db, backend->read, backend->families[family], &text);
    if (!text) {
        text = store_shim_move(iter, STORE_MOVE_BEFORE, (const char *)end.data, end.len);
    }
    if (!text && rocksdb_iter_valid(iter)) {
        size_t len;
        const char *key = rocksdb_iter_key(iter, &len);
        *out = blob_new(slice_of(key, len));
    } else if (!text) {
        rocksdb_iter_get_error(iter, &text);
    }
    if (iter) {
        rocksdb_iter_destroy(iter);
    }
    store_unlock(backend);
    return store_err(backend, "walk", text, why);
}

/* Between bounds that what is written meanwhile stays out of. Where RocksDB finds something of the
 * range in a memtable, it flushes the families that hold something at that moment, and forgets one
 * that gets its first row right then; that could be the values of rows that it does flush. So the
 * last key is looked up first and then flushed with all that lies before it: within the bounds are
 * only deletions, and the value's goes before its row's. */
static struct err compact_family(
    struct backend *backend, enum family family, struct slice end, struct why *why)
{
    struct blob *last = NULL;
    TRY(last_key(backend, family, end, &last, why));
    struct err err = backend_flush(backend, why);
    if (last && !err_is(err)) {
        rocksdb_compactoptions_t *compact = rocksdb_compactoptions_create();
        rocksdb_compactoptions_set_exclusive_manual_compaction(compact, 0);
        rocksdb_compactoptions_set_bottommost_level_compaction(compact, COMPACT_FORCE);
        store_shim_end_by(compact, &backend->is_ended);
        store_lock(backend);
        rocksdb_compact_range_cf_opt(backend->db, backend->families[family], compact, "", 0,
            (const char *)last->data, last->len);
        store_unlock(backend);
        rocksdb_compactoptions_destroy(compact);
    }
    blob_unref(last);
    TRY(err);
    return atomic_load(&backend->is_ended)
               ? why_set(why, ERR(STOPPED), "the rewriting of %s was ended: the member stops",
                     backend->path)
               : OK;
}

/* Old and new lie side by side until a merge is done, and one that finds no room ends the member
 * (backend_health). */
static struct err check_room(struct backend *backend, struct why *why)
{
    uint64_t free_bytes = 0;
    uint64_t needed = backend_live_bytes(backend);
    TRY(store_free_bytes(backend, &free_bytes, why));
    uint64_t kept = free_bytes / KEPT_PART;
    return free_bytes - kept >= needed
               ? OK
               : why_set(why, ERR(NO_DISK),
                     "write %s: no space left on device: its files are written anew beside the old "
                     "ones, which needs %llu bytes; %llu are free, of which %llu are kept",
                     backend->path, (unsigned long long)needed, (unsigned long long)free_bytes,
                     (unsigned long long)kept);
}

struct err backend_compact_files(struct backend *backend, struct why *why)
{
    TRY(check_room(backend, why));
    TRY(garbage_age(backend, "1.0", why)); /* every value file, not the oldest alone */
    struct err err = compact_family(backend, FAMILY_VALUES, SLICE("e"), why);
    if (!err_is(err)) {
        err = compact_family(backend, FAMILY_OTHERS, SLICE("m"), why);
    }
    if (!atomic_load(&backend->is_ended)) { /* it costs a sync or two, and ends with the process */
        TRY(garbage_age(backend, "0.25", why));
    }
    TRY(err);
    return backend_health(backend, why); /* the merge itself tells nothing */
}

/* The flag alone ends a merge, but one that waits for another in its way would not see it before
 * that one's end. Who waits to put another store in this one's place keeps the lock from us until
 * the merge is over: then the flag has to do. */
void backend_end_compact_files(struct backend *backend)
{
    if (!atomic_exchange(&backend->is_ended, true) &&
        pthread_rwlock_tryrdlock(&backend->lock) == 0) {
        rocksdb_disable_manual_compaction(backend->db);
        store_unlock(backend);
    }
}
