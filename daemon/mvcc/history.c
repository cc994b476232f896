/* SPDX-License-Identifier: Apache-2.0
 *
 * The history in slices: from the ring where it reaches, else from the rows (which then are all in
 * the backend up to where the ring begins). Values of single revisions.
 */
#include "history.h"

enum { VALUES_FEW = 4, VALUES_MANY = 32 };

void log_slice_fini(struct log_slice *slice)
{
    for (size_t i = 0; i < slice->count; i++) {
        mvcc_change_fini(&slice->items[i].change);
    }
    slice->count = 0;
}

static bool is_behind(revision main, int64_t sub, struct log_place place)
{
    return main > place.main || (main == place.main && sub > place.sub);
}

static void add_item(struct log_slice *out, const struct ring_item *item, bool is_light)
{
    struct ring_item *slot = &out->items[out->count++];
    *slot = *item;
    if (is_light) {
        slot->change.value = NULL;
        slot->change.prev_value = NULL;
    }
    struct mvcc_change own = slot->change;
    mvcc_change_copy(&slot->change, &own);
    out->next = (struct log_place){item->change.main, item->change.sub + 1};
}

/* Under the read lock; the ring covers from. */
static void ring_read(
    const struct ring *ring, struct log_span span, bool is_light, struct log_slice *out)
{
    size_t i = ring_seek(ring, span.from.main, span.from.sub);
    for (; i < ring->count && out->count < LOG_SLICE; i++) {
        const struct ring_item *item = ring_at(ring, i);
        if (is_behind(item->change.main, item->change.sub, span.to)) {
            break;
        }
        add_item(out, item, is_light);
    }
    out->is_end = out->count < LOG_SLICE;
}

static struct ring_item item_of(const struct row *row)
{
    struct ring_item item = {.link_main = row->link_main, .link_sub = row->link_sub};
    item.change = (struct mvcc_change){
        .kind = row->is_tombstone ? MVCC_DELETE : MVCC_PUT,
        .main = row->main,
        .sub = row->sub,
        .create = row->create,
        .version = row->version,
        .lease = row->lease,
    };
    if (row->is_tombstone || row->version > 1) {
        item.change.prev_mod = row->link_main;
        item.change.prev_sub = row->link_sub;
    }
    return item;
}

static struct err value_get(
    struct mvcc *mvcc, revision main, int64_t sub, struct blob **out, struct why *why)
{
    struct row_key key = row_key('d', main, sub);
    return backend_get(mvcc->backend, NULL, row_key_slice(&key), out, why);
}

static struct err rows_read(
    struct mvcc *mvcc, struct log_span span, struct log_slice *out, struct why *why)
{
    struct err err = OK;
    struct slice key;
    struct slice value;
    struct log_place to = span.to;
    struct row_key first = row_key('l', span.from.main, span.from.sub);
    struct row_key last = row_key(
        'l', to.sub < INT64_MAX ? to.main : to.main + 1, to.sub < INT64_MAX ? to.sub + 1 : 0);
    struct backend_iter *iter =
        backend_iter_open(mvcc->backend, NULL, row_key_slice(&first), row_key_slice(&last));
    while (out->count < LOG_SLICE && backend_iter_next(iter, &key, &value)) {
        struct row row;
        err = row_take(key, value, &row, why);
        if (err_is(err)) {
            break;
        }
        struct ring_item *item = &out->items[out->count++];
        *item = item_of(&row);
        item->change.key = blob_new(row.key);
        out->next = (struct log_place){row.main, row.sub + 1};
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    return err;
}

/* The values of count rows from first on. One that is gone was compacted meanwhile, or the store is
 * damaged. */
static struct err values_read(
    struct mvcc *mvcc, struct ring_item *first, size_t items_count, size_t *bytes, struct why *why)
{
    struct row_key keys[VALUES_MANY];
    struct slice slices[VALUES_MANY] = {0};
    struct blob *values[VALUES_MANY] = {0};
    struct mvcc_change *chosen[VALUES_MANY];
    size_t count = 0;
    for (size_t i = 0; i < items_count; i++) {
        struct mvcc_change *change = &first[i].change;
        if (change->kind == MVCC_PUT) {
            keys[count] = row_key('d', change->main, change->sub);
            slices[count] = row_key_slice(&keys[count]);
            chosen[count++] = change;
        }
    }
    TRY(backend_get_many(mvcc->backend, NULL, slices, count, values, why));
    for (size_t i = 0; i < count; i++) {
        chosen[i]->value = values[i];
        *bytes += blob_slice(values[i]).len;
    }
    for (size_t i = 0; i < count; i++) {
        revision main = chosen[i]->main;
        if (!values[i]) {
            return main <= atomic_load(&mvcc->compacted)
                       ? ERR(COMPACTED)
                       : why_set(
                             why, ERR(BAD_FORMAT), "no value at revision %lld", (long long)main);
        }
    }
    return OK;
}

static void cut(struct log_slice *slice, size_t count)
{
    const struct mvcc_change *last = &slice->items[count - 1].change;
    slice->next = (struct log_place){last->main, last->sub + 1};
    for (size_t i = count; i < slice->count; i++) {
        mvcc_change_fini(&slice->items[i].change);
    }
    slice->count = count;
}

/* What the rows do not tell is how large their values are: few at a time while they are large. */
static struct err values_of(struct mvcc *mvcc, struct log_slice *out, struct why *why)
{
    size_t bytes = 0;
    size_t done = 0;
    while (done < out->count && bytes < LOG_SLICE_BYTES) {
        bool is_large = done == 0 || bytes / done > LOG_SLICE_BYTES / VALUES_MANY;
        size_t most = is_large ? VALUES_FEW : VALUES_MANY;
        size_t count = out->count - done < most ? out->count - done : most;
        TRY(values_read(mvcc, &out->items[done], count, &bytes, why));
        done += count;
    }
    if (done < out->count) {
        cut(out, done);
    }
    return OK;
}

/* *out_is_whole: the span has no other rows. */
static struct err rows_slice(struct mvcc *mvcc, struct log_span span, bool is_light,
    struct log_slice *out, bool *out_is_whole, struct why *why)
{
    struct err err = rows_read(mvcc, span, out, why);
    size_t count = out->count;
    if (!err_is(err) && !is_light) {
        err = values_of(mvcc, out, why);
    }
    if (err_is(err)) {
        log_slice_fini(out);
    }
    *out_is_whole = out->count == count && count < LOG_SLICE;
    return err;
}

/* Where the rows' part of a span ends: before the ring's oldest change, or with the span. */
static struct log_place rows_end(const struct ring *ring, struct log_place to)
{
    if (ring->count == 0) {
        return to;
    }
    const struct mvcc_change *oldest = &ring_at(ring, 0)->change;
    if (is_behind(oldest->main, oldest->sub, to)) {
        return to;
    }
    return oldest->sub > 0 ? (struct log_place){oldest->main, oldest->sub - 1}
                           : (struct log_place){oldest->main - 1, INT64_MAX};
}

struct err log_read(
    struct mvcc *mvcc, struct log_span span, bool is_light, struct log_slice *out, struct why *why)
{
    struct log_place to = span.to;
    out->count = 0;
    out->next = span.from;
    out->is_end = false;
    lock_read(mvcc);
    bool is_covered = ring_covers(&mvcc->ring, span.from.main, span.from.sub);
    if (is_covered) {
        ring_read(&mvcc->ring, span, is_light, out);
    } else {
        span.to = rows_end(&mvcc->ring, to);
    }
    unlock(mvcc);
    if (is_covered) {
        return OK;
    }
    bool is_whole;
    TRY(rows_slice(mvcc, span, is_light, out, &is_whole, why));
    if (is_whole) {
        out->is_end = span.to.main == to.main && span.to.sub == to.sub;
        out->next = span.to.sub < INT64_MAX ? (struct log_place){span.to.main, span.to.sub + 1}
                                            : (struct log_place){span.to.main + 1, 0};
    }
    return OK;
}

struct err mvcc_value(
    struct mvcc *mvcc, revision main, int64_t sub, struct blob **out, struct why *why)
{
    unsigned reloads = atomic_load(&mvcc->reloads);
    lock_read(mvcc);
    const struct ring_item *item = ring_find(&mvcc->ring, main, sub);
    struct blob *value = item ? blob_ref(item->change.value) : NULL;
    unlock(mvcc);
    struct err err = value ? OK : value_get(mvcc, main, sub, &value, why);
    if (err_is(reloads_check(mvcc, reloads))) {
        blob_unref(value);
        return ERR(TIMEOUT);
    }
    if (!err_is(err)) {
        *out = value;
    }
    return err;
}

/* Completes what a row alone does not say about the version that was replaced. */
static struct err prev_fill(struct mvcc *mvcc, struct mvcc_change *change, struct why *why)
{
    if (change->prev_mod == 0 || change->prev_value) {
        return OK;
    }
    TRY(mvcc_value(mvcc, change->prev_mod, change->prev_sub, &change->prev_value, why));
    if (change->prev_version > 0 && change->prev_value) {
        return OK;
    }
    struct blob *bytes = NULL;
    struct row row = {0};
    struct row_key key = row_key('l', change->prev_mod, change->prev_sub);
    TRY(backend_get(mvcc->backend, NULL, row_key_slice(&key), &bytes, why));
    struct err err =
        bytes ? row_read(change->prev_mod, change->prev_sub, blob_slice(bytes), &row) : OK;
    if (!err_is(err) && row.version > 0 && change->prev_value) {
        change->prev_create = row.create;
        change->prev_version = row.version;
        change->prev_lease = row.lease;
    } else if (!err_is(err)) {
        change->prev_mod = 0; /* compacted away */
        change->prev_sub = 0;
        blob_unref(change->prev_value);
        change->prev_value = NULL;
    }
    blob_unref(bytes);
    return err;
}

struct history {
    bool needs_prev;
    bool (*fn)(void *arg, const struct mvcc_change *change);
    void *arg;
    bool is_done;
};

static struct err slice_tell(
    struct mvcc *mvcc, struct log_slice *slice, struct history *history, struct why *why)
{
    for (size_t i = 0; i < slice->count && !history->is_done; i++) {
        struct mvcc_change *change = &slice->items[i].change;
        if (history->needs_prev) {
            TRY(prev_fill(mvcc, change, why));
        }
        history->is_done = !history->fn(history->arg, change);
        mvcc_change_fini(change); /* with its previous value, before the next one's is read */
    }
    return OK;
}

static struct err history_read(
    struct mvcc *mvcc, struct log_span span, struct history *history, struct why *why)
{
    struct log_slice slice = {.next = span.from};
    do {
        revision first = slice.next.main;
        span.from = slice.next;
        struct err err = log_read(mvcc, span, false, &slice, why);
        if (!err_is(err) && first < atomic_load(&mvcc->compacted)) {
            err = ERR(COMPACTED);
        }
        if (!err_is(err)) {
            err = slice_tell(mvcc, &slice, history, why);
        }
        log_slice_fini(&slice);
        TRY(err);
    } while (!slice.is_end && !history->is_done);
    return OK;
}

struct err mvcc_history(struct mvcc *mvcc, revision from, revision to, bool needs_prev,
    bool (*fn)(void *arg, const struct mvcc_change *change), void *arg, struct why *why)
{
    revision published = atomic_load(&mvcc->published);
    to = to < published ? to : published;
    from = from > 0 ? from : 1;
    if (from < atomic_load(&mvcc->compacted)) {
        return ERR(COMPACTED);
    }
    if (from > to) {
        return OK;
    }
    struct history history = {needs_prev, fn, arg, false};
    struct log_span span = {{from, 0}, {to, INT64_MAX}};
    return history_read(mvcc, span, &history, why);
}
