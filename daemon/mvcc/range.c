/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a range at one revision, in slices: under the read lock some hundred entries are looked
 * at and references taken; outside it, versions that are no longer in memory are found through the
 * rows (an entry newer than the revision leads backwards by links) and cold values are fetched. A
 * slice sees later writes only as entries above the revision, so the slices together are one view.
 * Compaction may take rows from under a read at an old revision; then compact_revision is above it,
 * and that is looked at after everything else.
 */
#include "history.h"
#include "state.h"

#include "base/mem.h"

enum { SLICE_PICKS = 256, SLICE_VISITS = 1024, TRIES = 16 };

struct pick {
    struct blob *key;
    struct blob *value; /* NULL: to be fetched */
    revision create;
    revision mod;
    int64_t version;
    lease_id lease;
    int64_t sub;
    bool is_pending; /* mod and sub name a row; what it says is still to be read */
    bool is_newest;
};

struct walk {
    struct mvcc *mvcc;
    struct bounds bounds;
    revision rev;
    struct blob *last; /* looked at so far */
    bool is_end;
    bool has_values;
    size_t count;
    size_t cap;
    struct pick picks[]; /* cap of them */
};

static void pick_drop(struct pick *pick)
{
    blob_unref(pick->key);
    blob_unref(pick->value);
    *pick = (struct pick){0};
}

static void walk_fini(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++) {
        pick_drop(&walk->picks[i]);
    }
    blob_unref(walk->last);
    free(walk);
}

static struct walk *walk_new(
    struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t wanted)
{
    size_t cap = wanted < SLICE_PICKS ? (size_t)wanted : SLICE_PICKS;
    struct walk *walk = mem_alloc(sizeof(*walk) + cap * sizeof(walk->picks[0]));
    walk->cap = cap;
    walk->mvcc = mvcc;
    walk->bounds = *bounds;
    walk->rev = rev;
    walk->last = NULL;
    walk->is_end = false;
    walk->has_values = false;
    walk->count = 0;
    return walk;
}

/* The version that the ring's item replaced, at or below the walk's revision; false when the key
 * was not there. */
static bool pick_replaced(const struct ring_item *item, struct pick *pick)
{
    const struct mvcc_change *change = &item->change;
    if (change->prev_mod == 0) {
        return false;
    }
    pick->mod = change->prev_mod;
    pick->sub = change->prev_sub;
    pick->create = change->prev_create;
    pick->version = change->prev_version;
    pick->lease = change->prev_lease;
    pick->value = blob_ref(change->prev_value);
    return true;
}

/* Follows the links of an entry above the revision as far as the ring goes. False: not there at the
 * revision. */
static bool pick_older(const struct walk *walk, const struct index_entry *entry, struct pick *pick)
{
    revision main = entry->mod;
    int64_t sub = entry->sub;
    while (main > walk->rev) {
        const struct ring_item *item = ring_find(&walk->mvcc->ring, main, sub);
        if (!item) {
            pick->mod = main;
            pick->sub = sub;
            pick->is_pending = true;
            return true;
        }
        if (item->link_main <= walk->rev) {
            return pick_replaced(item, pick);
        }
        main = item->link_main;
        sub = item->link_sub;
    }
    return false;
}

/* Under the read lock. */
static bool pick_entry(struct walk *walk, struct index_entry *entry, struct pick *pick)
{
    *pick = (struct pick){0};
    if (entry->mod > walk->rev) {
        if (!pick_older(walk, entry, pick)) {
            return false;
        }
    } else if (entry->is_tombstone) {
        return false;
    } else {
        pick->create = entry->create;
        pick->mod = entry->mod;
        pick->version = entry->version;
        pick->lease = entry->lease;
        pick->sub = entry->sub;
        pick->is_newest = true;
        if (walk->has_values) {
            pick->value = blob_ref(entry->value);
        }
        if (!atomic_load_explicit(&entry->is_used, memory_order_relaxed)) {
            atomic_store_explicit(&entry->is_used, true, memory_order_relaxed);
        }
    }
    if (walk->has_values && !pick->value && !pick->is_pending) {
        const struct ring_item *item = ring_find(&walk->mvcc->ring, pick->mod, pick->sub);
        pick->value = item ? blob_ref(item->change.value) : NULL;
    }
    pick->key = blob_ref(entry->key);
    return true;
}

static void gather_one(struct walk *walk)
{
    walk->is_end = true;
    struct index_entry *entry = index_find(&walk->mvcc->index, walk->bounds.key);
    if (entry) {
        walk->count = pick_entry(walk, entry, &walk->picks[0]);
    }
}

/* Fills picks with up to wanted keys that may be there; some turn out not to be when their rows are
 * read. */
static void gather(struct walk *walk, size_t wanted)
{
    struct mvcc *mvcc = walk->mvcc;
    walk->count = 0;
    wanted = wanted < walk->cap ? wanted : walk->cap;
    lock_read(mvcc);
    if (walk->bounds.is_one) {
        gather_one(walk);
        unlock(mvcc);
        return;
    }
    struct index_cursor at = index_seek(
        &mvcc->index, walk->last ? blob_slice(walk->last) : walk->bounds.key, walk->last != NULL);
    struct blob *last = NULL;
    size_t visits = 0;
    while (at.leaf && walk->count < wanted && visits++ < SLICE_VISITS) {
        struct index_entry *entry = index_at(at);
        if (!walk->bounds.is_open && slice_cmp(blob_slice(entry->key), walk->bounds.end) >= 0) {
            walk->is_end = true;
            break;
        }
        last = entry->key;
        walk->count += pick_entry(walk, entry, &walk->picks[walk->count]);
        index_next(&at);
    }
    walk->is_end |= !at.leaf;
    if (last) {
        blob_ref(last);
        blob_unref(walk->last);
        walk->last = last;
    }
    unlock(mvcc);
}

static int by_revision(const void *a, const void *b)
{
    const struct pick *x = *(struct pick *const *)a;
    const struct pick *y = *(struct pick *const *)b;
    if (x->mod != y->mod) {
        return x->mod < y->mod ? -1 : 1;
    }
    return (x->sub > y->sub) - (x->sub < y->sub);
}

/* The rows that the chosen picks name; rows[i] may be NULL. */
static struct err rows_get(
    struct mvcc *mvcc, char prefix, struct pick **chosen, size_t count, struct blob **rows)
{
    struct row_key keys[SLICE_PICKS];
    struct slice slices[SLICE_PICKS];
    qsort(chosen, count, sizeof(struct pick *), by_revision);
    for (size_t i = 0; i < count; i++) {
        keys[i] = row_key(prefix, chosen[i]->mod, chosen[i]->sub);
        slices[i] = row_key_slice(&keys[i]);
    }
    if (count == 1) {
        return backend_get(mvcc->backend, NULL, slices[0], &rows[0], NULL);
    }
    return backend_get_many(mvcc->backend, NULL, slices, count, rows, NULL);
}

static struct err missing(const struct walk *walk)
{
    return atomic_load(&walk->mvcc->compacted) > walk->rev ? ERR(COMPACTED) : ERR(BAD_FORMAT);
}

/* One step back along the links. The pick ends up settled, dropped, or pending on an older row. */
static struct err pick_step(struct walk *walk, struct pick *pick, const struct blob *bytes)
{
    struct row row = {0};
    if (!bytes) {
        return missing(walk);
    }
    TRY(row_read(pick->mod, pick->sub, blob_slice(bytes), &row));
    if (!slice_eq(row.key, blob_slice(pick->key))) {
        return ERR(BAD_FORMAT);
    }
    if (row.main <= walk->rev) {
        if (row.is_tombstone) {
            pick_drop(pick);
            return OK;
        }
        pick->create = row.create;
        pick->version = row.version;
        pick->lease = row.lease;
        pick->is_pending = false;
        return OK;
    }
    /* What a creation replaced is at most a tombstone, which compaction may have dropped. */
    bool is_created = !row.is_tombstone && row.version == 1;
    if (row.link_main == 0 || (is_created && row.link_main <= walk->rev)) {
        pick_drop(pick);
        return OK;
    }
    pick->mod = row.link_main;
    pick->sub = row.link_sub;
    return OK;
}

static size_t choose_pending(struct walk *walk, struct pick **chosen)
{
    size_t count = 0;
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->picks[i].key && walk->picks[i].is_pending) {
            chosen[count++] = &walk->picks[i];
        }
    }
    return count;
}

static struct err settle(struct walk *walk)
{
    struct pick *chosen[SLICE_PICKS];
    struct blob *rows[SLICE_PICKS] = {0};
    size_t count;
    while ((count = choose_pending(walk, chosen)) > 0) {
        TRY(rows_get(walk->mvcc, 'l', chosen, count, rows));
        struct err err = OK;
        for (size_t i = 0; i < count; i++) {
            if (!err_is(err)) {
                err = pick_step(walk, chosen[i], rows[i]);
            }
            blob_unref(rows[i]);
        }
        TRY(err);
    }
    size_t kept = 0;
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->picks[i].key) {
            walk->picks[kept++] = walk->picks[i];
        }
    }
    walk->count = kept;
    return OK;
}

/* Values just fetched stay in memory while there is room: reads never push others out. */
static void keep_values(struct mvcc *mvcc, struct pick **chosen, size_t count)
{
    if (mvcc->value_cache_bytes == 0) {
        return;
    }
    lock_write(mvcc);
    for (size_t i = 0; i < count && mvcc->index.value_bytes < mvcc->value_cache_bytes; i++) {
        if (!chosen[i]->is_newest) {
            continue;
        }
        struct index_entry *entry = index_find(&mvcc->index, blob_slice(chosen[i]->key));
        if (entry && !entry->value && entry->mod == chosen[i]->mod &&
            entry->sub == chosen[i]->sub) {
            index_set_value(&mvcc->index, entry, blob_ref(chosen[i]->value));
        }
    }
    unlock(mvcc);
}

static struct err fetch(struct walk *walk)
{
    struct pick *chosen[SLICE_PICKS];
    struct blob *values[SLICE_PICKS] = {0};
    size_t count = 0;
    for (size_t i = 0; i < walk->count; i++) {
        if (!walk->picks[i].value) {
            chosen[count++] = &walk->picks[i];
        }
    }
    if (count == 0) {
        return OK;
    }
    TRY(rows_get(walk->mvcc, 'd', chosen, count, values));
    bool is_whole = true;
    for (size_t i = 0; i < count; i++) {
        chosen[i]->value = values[i];
        is_whole &= values[i] != NULL;
    }
    if (!is_whole) {
        return missing(walk);
    }
    keep_values(walk->mvcc, chosen, count);
    return OK;
}

struct refs {
    size_t count;
    struct blob *blobs[];
};

static void refs_free(void *arg)
{
    struct refs *refs = arg;
    for (size_t i = 0; i < refs->count; i++) {
        blob_unref(refs->blobs[i]);
    }
}

/* Hands the picks to the result; the arena keeps their references. */
static struct err hand_over(struct walk *walk, struct arena *arena, struct mvcc_range_result *out)
{
    if (walk->count == 0) {
        return OK;
    }
    struct refs *refs =
        arena_alloc(arena, sizeof(*refs) + 2 * walk->count * sizeof(refs->blobs[0]));
    if (!refs) {
        return ERR(TOO_BIG);
    }
    refs->count = 0;
    for (size_t i = 0; i < walk->count; i++) {
        struct pick *pick = &walk->picks[i];
        out->kvs[out->kvs_count++] = (struct mvcc_kv){blob_slice(pick->key),
            walk->has_values ? blob_slice(pick->value) : (struct slice){0}, pick->create, pick->mod,
            pick->version, pick->lease};
        refs->blobs[refs->count++] = pick->key;
        refs->blobs[refs->count++] = pick->value;
    }
    walk->count = 0;
    arena_defer(arena, refs_free, refs);
    return OK;
}

static struct err read_slice(
    struct walk *walk, size_t wanted, struct arena *arena, struct mvcc_range_result *out)
{
    gather(walk, wanted);
    TRY(settle(walk));
    if (walk->has_values) {
        TRY(fetch(walk));
    }
    return hand_over(walk, arena, out);
}

/* out->total keys at most are there, known before the walk so that the result is one array. */
static struct err read_range(struct mvcc *mvcc, const struct mvcc_range_options *options,
    struct walk *walk, struct arena *arena, struct mvcc_range_result *out)
{
    size_t wanted = (size_t)out->total;
    if (options->limit > 0 && (uint64_t)options->limit < wanted) {
        wanted = (size_t)options->limit;
    }
    if (wanted > SIZE_MAX / 2 / sizeof(struct mvcc_kv)) {
        return ERR(TOO_BIG);
    }
    out->kvs = arena_alloc(arena, wanted * sizeof(struct mvcc_kv));
    if (!out->kvs) {
        return ERR(TOO_BIG);
    }
    walk->has_values = !options->is_keys_only;
    while (out->kvs_count < wanted && !walk->is_end) {
        TRY(read_slice(walk, wanted - out->kvs_count, arena, out));
    }
    if (atomic_load(&mvcc->compacted) > walk->rev) {
        return ERR(COMPACTED);
    }
    return out->kvs_count == wanted || walk->bounds.is_one ? OK : ERR(BAD_FORMAT);
}

struct err range_at(struct mvcc *mvcc, const struct mvcc_range_options *options, revision rev,
    struct arena *arena, struct mvcc_range_result *out)
{
    struct bounds bounds = bounds_of(options->key, options->end);
    out->total = 1;
    if (!bounds.is_one) {
        TRY(count_at(mvcc, &bounds, rev, &out->total));
    } else if (options->is_count_only) {
        TRY(range_count(mvcc, &bounds, rev, &out->total));
    }
    if (options->is_count_only || out->total == 0) {
        return OK;
    }
    struct walk *walk = walk_new(mvcc, &bounds, rev, out->total);
    struct err err = read_range(mvcc, options, walk, arena, out);
    if (bounds.is_one) {
        out->total = (int64_t)out->kvs_count;
    }
    walk_fini(walk);
    return err;
}

struct err range_count(struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t *out)
{
    struct walk *walk = walk_new(mvcc, bounds, rev, bounds->is_one ? 1 : SLICE_PICKS);
    struct err err = OK;
    int64_t count = 0;
    while (!walk->is_end && !err_is(err)) {
        gather(walk, SLICE_PICKS);
        err = settle(walk);
        count += (int64_t)walk->count;
        for (size_t i = 0; i < walk->count; i++) {
            pick_drop(&walk->picks[i]);
        }
    }
    if (!err_is(err) && atomic_load(&mvcc->compacted) > rev) {
        err = ERR(COMPACTED);
    }
    walk_fini(walk);
    if (!err_is(err)) {
        *out = count;
    }
    return err;
}

/* A read of the newest that compaction overtook begins again, at what is newest then. */
static struct err read_again(struct mvcc *mvcc, const struct mvcc_range_options *options,
    struct arena *arena, struct mvcc_range_result *out)
{
    for (int i = 0;; i++) {
        revision newest = atomic_load(&mvcc->published);
        revision rev = options->rev > 0 ? options->rev : newest;
        if (rev > newest) {
            return ERR(FUTURE_REV);
        }
        struct mvcc_range_result result = {.rev = newest};
        struct err err = rev < atomic_load(&mvcc->compacted)
                             ? ERR(COMPACTED)
                             : range_at(mvcc, options, rev, arena, &result);
        if (!err_is(err)) {
            *out = result;
            return OK;
        }
        if (!IS(err, COMPACTED) || options->rev > 0 || i == TRIES) {
            return err;
        }
    }
}

struct err mvcc_range(struct mvcc *mvcc, const struct mvcc_range_options *options,
    struct arena *arena, struct mvcc_range_result *out)
{
    unsigned reloads = atomic_load(&mvcc->reloads);
    struct mvcc_range_result result;
    struct err err = read_again(mvcc, options, arena, &result);
    TRY(reloads_check(mvcc, reloads));
    if (!err_is(err)) {
        *out = result;
    }
    return err;
}
