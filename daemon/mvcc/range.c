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
#include "walk.h"

enum { TRIES = 16 };

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
    walk_gather(walk, wanted);
    TRY(walk_settle(walk));
    if (walk->has_values) {
        TRY(walk_fetch(walk));
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
    walk_free(walk);
    return err;
}

struct err range_count(struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t *out)
{
    struct walk *walk = walk_new(mvcc, bounds, rev, bounds->is_one ? 1 : WALK_PICKS);
    struct err err = OK;
    int64_t count = 0;
    while (!walk->is_end && !err_is(err)) {
        walk_gather(walk, WALK_PICKS);
        err = walk_settle(walk);
        count += (int64_t)walk->count;
        for (size_t i = 0; i < walk->count; i++) {
            pick_drop(&walk->picks[i]);
        }
    }
    if (!err_is(err) && atomic_load(&mvcc->compacted) > rev) {
        err = ERR(COMPACTED);
    }
    walk_free(walk);
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
