/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd's HashKV: CRC-32C over the bucket name "key" and then, in revision order, each row's key
 * (be64(main) '_' be64(sub), 't' behind it for a tombstone) and its canonical mvccpb.KeyValue. Left
 * out are: rows above the hashed revision; tombstones at the compacted revision; and, if any key
 * lives at the hashed revision, rows up to the compacted revision that are not the living version
 * of their key at the hashed one. Rows that an unfinished compaction has yet to drop are left out
 * too: members hash alike however far they are.
 */
#include "pairs.h"
#include "state.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <time.h>

enum { WAIT_NS = 200 * 1000, WAITS_MAX = 50000, BUCKET_KEY_MAX = 18 };

struct seen_place {
    revision main;
    int64_t sub;
};

/* Rows up to the compacted revision that a later one replaced: by the compacted revision, and by
 * the hashed one. */
struct replaced {
    struct seen_place *places;
    size_t count;
    size_t cap;
};

struct hasher {
    revision rev;
    revision compacted;
    bool has_living;
    bool is_compaction;    /* of rev, before it drops anything */
    struct replaced early; /* replaced at or below the compacted revision */
    struct replaced late;
    uint32_t hash;
    struct buf kv;
};

static void replaced_add(struct replaced *replaced, revision main, int64_t sub)
{
    if (replaced->count == replaced->cap) {
        replaced->cap = replaced->cap ? replaced->cap * 2 : 1024;
        replaced->places = mem_grow(replaced->places, replaced->cap * sizeof(*replaced->places));
    }
    replaced->places[replaced->count++] = (struct seen_place){main, sub};
}

static int place_cmp(const void *a, const void *b)
{
    const struct seen_place *x = a;
    const struct seen_place *y = b;
    if (x->main != y->main) {
        return x->main < y->main ? -1 : 1;
    }
    return (x->sub > y->sub) - (x->sub < y->sub);
}

static bool replaced_has(const struct replaced *replaced, const struct row *row)
{
    struct seen_place place = {row->main, row->sub};
    return replaced->count > 0 &&
           bsearch(&place, replaced->places, replaced->count, sizeof(place), place_cmp);
}

/* First pass, over the small rows only. */
static struct err replaced_find(struct hasher *hasher, struct backend *backend,
    const struct backend_snapshot *snapshot, struct why *why)
{
    struct err err = OK;
    struct slice key;
    struct slice value;
    struct row_key from = row_key('l', 0, 0);
    struct row_key to = row_key('l', hasher->rev + 1, 0);
    struct backend_iter *iter =
        backend_iter_open(backend, snapshot, row_key_slice(&from), row_key_slice(&to));
    while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
        struct row row;
        err = row_take(key, value, &row, why);
        /* etcd's compaction keeps a tombstone exactly at its revision: then it keeps something. */
        hasher->has_living |=
            !err_is(err) && hasher->is_compaction && row.is_tombstone && row.main == hasher->rev;
        if (!err_is(err) && row.link_main > 0 && row.link_main <= hasher->compacted) {
            bool is_early = row.main <= hasher->compacted;
            replaced_add(is_early ? &hasher->early : &hasher->late, row.link_main, row.link_sub);
        }
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    struct replaced *both[2] = {&hasher->early, &hasher->late};
    for (int i = 0; i < 2; i++) {
        if (both[i]->count > 1) {
            qsort(both[i]->places, both[i]->count, sizeof(*both[i]->places), place_cmp);
        }
    }
    return err;
}

static bool is_hashed(const struct hasher *hasher, const struct row *row)
{
    if (row->main > hasher->compacted) {
        return true;
    }
    if (row->is_tombstone || replaced_has(&hasher->early, row)) {
        return false;
    }
    return !hasher->has_living || !replaced_has(&hasher->late, row);
}

static void hash_row(struct hasher *hasher, const struct row *row, struct slice value)
{
    uint8_t key[BUCKET_KEY_MAX];
    put_be64(key, (uint64_t)row->main);
    key[8] = '_';
    put_be64(key + 9, (uint64_t)row->sub);
    key[17] = 't';
    size_t key_len = row->is_tombstone ? BUCKET_KEY_MAX : BUCKET_KEY_MAX - 1;
    hasher->hash = crc32c(hasher->hash, slice_of(key, key_len));
    struct buf *kv = &hasher->kv;
    buf_reset(kv);
    wire_add_bytes_nz(kv, 1, row->key);
    if (!row->is_tombstone) {
        wire_add_varint_nz(kv, 2, (uint64_t)row->create);
        wire_add_varint_nz(kv, 3, (uint64_t)row->main);
        wire_add_varint_nz(kv, 4, (uint64_t)row->version);
        wire_add_bytes_nz(kv, 5, value);
        wire_add_varint_nz(kv, 6, (uint64_t)row->lease);
    }
    hasher->hash = crc32c(hasher->hash, buf_slice(kv));
}

static struct err rows_hash(struct hasher *hasher, struct backend *backend,
    const struct backend_snapshot *snapshot, struct why *why)
{
    struct pairs pairs;
    struct row row;
    struct slice value;
    bool is_end = false;
    pairs_open(&pairs, backend, snapshot, hasher->rev);
    struct err err = pairs_next(&pairs, &row, &value, &is_end, why);
    while (!err_is(err) && !is_end) {
        if (is_hashed(hasher, &row)) {
            hash_row(hasher, &row, value);
        }
        err = pairs_next(&pairs, &row, &value, &is_end, why);
    }
    pairs_close(&pairs);
    return err;
}

/* The rows of a revision reach the backend a moment after it is published. */
static struct err wait_written(struct mvcc *mvcc, revision rev)
{
    struct timespec pause = {0, WAIT_NS};
    for (int i = 0; atomic_load(&mvcc->written) < rev; i++) {
        if (i == WAITS_MAX) {
            return ERR(TIMEDOUT);
        }
        nanosleep(&pause, NULL);
    }
    return OK;
}

static struct err hasher_run(struct hasher *hasher, struct mvcc *mvcc, struct why *why)
{
    struct bounds all = bounds_of((struct slice){0}, slice_of("", 1));
    int64_t living = 0;
    TRY(wait_written(mvcc, hasher->rev));
    struct backend_snapshot *snapshot = backend_snapshot_take(mvcc->backend);
    struct err err = count_at(mvcc, &all, hasher->rev, &living);
    hasher->has_living = living > 0;
    if (!hasher->is_compaction && atomic_load(&mvcc->compacted) != hasher->compacted) {
        err = ERR(AGAIN); /* rows may have gone that the older compacted revision promises */
    }
    if (!err_is(err)) {
        err = replaced_find(hasher, mvcc->backend, snapshot, why);
    }
    if (!err_is(err)) {
        err = rows_hash(hasher, mvcc->backend, snapshot, why);
    }
    backend_snapshot_release(mvcc->backend, snapshot);
    return err;
}

static struct err hasher_finish(
    struct hasher *hasher, struct mvcc *mvcc, struct mvcc_hash *out, struct why *why)
{
    buf_init(&hasher->kv, SIZE_MAX / 2);
    hasher->hash = crc32c(0, SLICE("key"));
    /* below every revision, as the reference has it, nothing but the bucket's name is hashed */
    struct err err = hasher->rev < 0 ? OK : hasher_run(hasher, mvcc, why);
    if (!err_is(err)) {
        out->hash = hasher->hash;
        out->rev = hasher->rev;
        out->compact_rev = hasher->compacted;
    }
    free(hasher->early.places);
    free(hasher->late.places);
    buf_fini(&hasher->kv);
    return err;
}

static struct err hash_once(struct mvcc *mvcc, revision rev, struct mvcc_hash *out, struct why *why)
{
    /* In this order: what is compacted is then never above what is hashed. */
    revision compacted = atomic_load(&mvcc->compacted);
    revision current = atomic_load(&mvcc->published);
    if (rev > 0 && rev < compacted) {
        return ERR(COMPACTED);
    }
    if (rev > current) {
        return ERR(FUTURE_REV);
    }
    struct hasher hasher = {.rev = rev ? rev : current, .compacted = compacted};
    TRY(hasher_finish(&hasher, mvcc, out, why));
    out->current_rev = current;
    return OK;
}

static bool is_kept(struct mvcc *mvcc, revision rev, struct mvcc_hash *out)
{
    struct compact_hashes *hashes = &mvcc->hashes;
    bool is_found = false;
    pthread_mutex_lock(&hashes->mutex);
    for (size_t i = 0; i < hashes->count && !is_found; i++) {
        if (hashes->kept[i].rev == rev) {
            *out = hashes->kept[i];
            is_found = true;
        }
    }
    pthread_mutex_unlock(&hashes->mutex);
    return is_found;
}

struct err mvcc_hash_kv(struct mvcc *mvcc, revision rev, struct mvcc_hash *out, struct why *why)
{
    struct err err;
    if (is_kept(mvcc, rev, out)) {
        out->current_rev = atomic_load(&mvcc->published);
        return OK;
    }
    do {
        err = hash_once(mvcc, rev, out, why);
    } while (IS(err, AGAIN));
    return err;
}

size_t mvcc_hashes(struct mvcc *mvcc, struct mvcc_hash out[MVCC_HASHES_MAX])
{
    pthread_mutex_lock(&mvcc->hashes.mutex);
    size_t count = mvcc->hashes.count;
    memcpy(out, mvcc->hashes.kept, count * sizeof(*out));
    pthread_mutex_unlock(&mvcc->hashes.mutex);
    return count;
}

/* A compaction that was asked for while the one before it was under way has no hash that another
 * member must have too. */
void hashes_ask(struct mvcc *mvcc, revision rev, revision before, revision finished)
{
    struct compact_hashes *hashes = &mvcc->hashes;
    pthread_mutex_lock(&hashes->mutex);
    hashes->asked = rev;
    hashes->before = before == finished ? before : -2;
    pthread_mutex_unlock(&hashes->mutex);
}

/* The rows are others: the compaction that was asked for may be half done in them. */
void hashes_forget(struct mvcc *mvcc)
{
    struct compact_hashes *hashes = &mvcc->hashes;
    pthread_mutex_lock(&hashes->mutex);
    hashes->asked = 0;
    hashes->before = -2;
    hashes->is_due = false;
    pthread_mutex_unlock(&hashes->mutex);
}

/* A later compaction may be asked for at any moment of it: then this one has no hash either. */
struct err hashes_make(struct mvcc *mvcc, revision goal, struct why *why)
{
    struct compact_hashes *hashes = &mvcc->hashes;
    pthread_mutex_lock(&hashes->mutex);
    struct hasher hasher = {.rev = goal, .compacted = hashes->before, .is_compaction = true};
    bool is_due = hashes->asked == goal && hashes->before != -2;
    pthread_mutex_unlock(&hashes->mutex);
    hashes->is_due = is_due && (size_t)mvcc_keys(mvcc) <= hashes->keys_max &&
                     goal - hasher.compacted <= hashes->revisions_max;
    struct err err = hashes->is_due ? hasher_finish(&hasher, mvcc, &hashes->made, why) : OK;
    if (IS(err, COMPACTED) || IS(err, TIMEDOUT)) {
        hashes->is_due = false;
        err = OK;
    }
    return err;
}

void hashes_keep(struct mvcc *mvcc)
{
    struct compact_hashes *hashes = &mvcc->hashes;
    if (!hashes->is_due) {
        return;
    }
    pthread_mutex_lock(&hashes->mutex);
    if (hashes->count == MVCC_HASHES_MAX) {
        memmove(hashes->kept, hashes->kept + 1, --hashes->count * sizeof(hashes->kept[0]));
    }
    hashes->kept[hashes->count++] = hashes->made;
    hashes->is_due = false;
    pthread_mutex_unlock(&hashes->mutex);
}
