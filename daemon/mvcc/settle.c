/* SPDX-License-Identifier: Apache-2.0
 *
 * What a read needs and memory does not have, from the rows: many keys in one question to the
 * backend, in revision order. An entry newer than the revision leads backwards by links, a row a
 * time; compaction may have dropped the row it leads to.
 */
#include "walk.h"

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
    struct row_key keys[WALK_PICKS];
    struct slice slices[WALK_PICKS];
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

struct err walk_settle(struct walk *walk)
{
    struct pick *chosen[WALK_PICKS];
    struct blob *rows[WALK_PICKS] = {0};
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

struct err walk_fetch(struct walk *walk)
{
    struct pick *chosen[WALK_PICKS];
    struct blob *values[WALK_PICKS] = {0};
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
