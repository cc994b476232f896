/* SPDX-License-Identifier: Apache-2.0
 *
 * The revisions are cut into parts of about as many bytes. A thread a part walks its rows and sorts
 * what it found by key; then the parts are merged into the leaves of the tree, the later part
 * winning where both know a key.
 */
#include "load.h"

#include "row.h"
#include "sort.h"

#include "base/mem.h"

#include <pthread.h>
#include <unistd.h>

enum { PARTS_MAX = 4, PART_BYTES_MIN = 4 * 1024 * 1024, PREFETCH = 8 };

struct part {
    struct backend *backend;
    bool is_check;               /* reads, and keeps nothing */
    revision from;               /* 0: from the first row */
    revision to;                 /* excluded; INT64_MAX: to the last */
    struct index_entry *entries; /* in revision order */
    size_t count;
    size_t cap;
    struct sort_item *items; /* in key order, distinct; order is the place in entries */
    size_t items_count;
    size_t at; /* items before it are handed out */
    struct err err;
    struct why why;
    pthread_t thread;
    bool has_thread;
};

struct load {
    struct index_source source;
    struct part parts[PARTS_MAX];
    size_t count;
};

static void part_add(struct part *part, const struct row *row)
{
    if (part->count == part->cap) {
        part->cap = part->cap ? part->cap * 2 : 1024;
        part->entries = mem_grow(part->entries, part->cap * sizeof(*part->entries));
    }
    part->entries[part->count++] = (struct index_entry){
        .key = blob_new(row->key),
        .create = row->create,
        .mod = row->main,
        .version = row->version,
        .lease = row->lease,
        .sub = (uint32_t)row->sub,
        .is_tombstone = row->is_tombstone,
    };
}

static struct err part_read(struct part *part)
{
    struct err err = OK;
    struct slice key;
    struct slice value;
    struct row_key from = row_key('l', part->from, 0);
    struct row_key to = row_key('l', part->to, 0);
    struct backend_iter *iter =
        backend_iter_open(part->backend, NULL, part->from == 0 ? SLICE("l") : row_key_slice(&from),
            part->to == INT64_MAX ? SLICE("m") : row_key_slice(&to));
    while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
        struct row row;
        check(part->count < UINT32_MAX);
        err = row_take(key, value, &row, &part->why);
        if (!err_is(err) && !part->is_check) {
            part_add(part, &row);
        }
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, &part->why);
    }
    backend_iter_close(iter);
    return err;
}

static bool is_same_key(const struct sort_item *a, const struct sort_item *b)
{
    return slice_eq(slice_of(a->key, a->len), slice_of(b->key, b->len));
}

/* By key; of each only the newest stays. */
static void part_sort(struct part *part)
{
    size_t kept = 0;
    struct sort_item *items = mem_alloc(part->count * sizeof(*items));
    for (size_t i = 0; i < part->count; i++) {
        const struct blob *key = part->entries[i].key;
        items[i] = (struct sort_item){.key = key->data, .len = key->len, .order = (uint32_t)i};
    }
    sort_items(items, part->count);
    for (size_t i = 0; i < part->count; i++) {
        if (i + PREFETCH < part->count) {
            __builtin_prefetch(items[i + PREFETCH].key);
        }
        if (i + 1 < part->count && is_same_key(&items[i], &items[i + 1])) {
            blob_unref(part->entries[items[i].order].key);
        } else {
            items[kept++] = items[i];
        }
    }
    part->items = items;
    part->items_count = kept;
}

static void *part_run(void *arg)
{
    struct part *part = arg;
    part->err = part_read(part);
    if (!err_is(part->err) && !part->is_check) {
        part_sort(part);
    }
    return NULL;
}

static void part_fini(struct part *part)
{
    for (size_t i = 0; !part->items && i < part->count; i++) {
        blob_unref(part->entries[i].key);
    }
    for (; part->items && part->at < part->items_count; part->at++) {
        blob_unref(part->entries[part->items[part->at].order].key);
    }
    free(part->entries);
    free(part->items);
}

static struct index_entry *part_take(struct part *part)
{
    size_t ahead = part->at + PREFETCH;
    if (ahead < part->items_count) {
        __builtin_prefetch(&part->entries[part->items[ahead].order]);
        __builtin_prefetch(part->items[ahead].key);
    }
    return &part->entries[part->items[part->at++].order];
}

/* The next key of all parts. */
static bool load_next(struct index_source *source, struct index_entry *out)
{
    struct load *load = CONTAINER_OF(source, struct load, source);
    struct part *best = NULL;
    struct slice best_key = {0};
    for (size_t i = 0; i < load->count; i++) {
        struct part *part = &load->parts[i];
        if (part->at == part->items_count) {
            continue;
        }
        struct slice key = slice_of(part->items[part->at].key, part->items[part->at].len);
        int diff = best ? slice_cmp(key, best_key) : -1;
        if (diff == 0) {
            blob_unref(part_take(best)->key);
        }
        if (diff <= 0) {
            best = part;
            best_key = key;
        }
    }
    if (best) {
        *out = *part_take(best);
    }
    return best != NULL;
}

static uint64_t bytes_below(struct backend *backend, revision rev)
{
    struct row_key first = row_key('l', 0, 0);
    struct row_key last = row_key('l', rev, 0);
    return backend_range_bytes(backend, row_key_slice(&first), row_key_slice(&last));
}

/* The first revision below which there are so many bytes. */
static revision cut_at(struct backend *backend, uint64_t bytes)
{
    revision low = 0;
    revision high = INT64_MAX;
    while (low < high) {
        revision mid = low + (high - low) / 2;
        if (bytes_below(backend, mid) >= bytes) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

static size_t parts_of(uint64_t bytes, unsigned threads)
{
    if (threads == 0) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        uint64_t parts = bytes / PART_BYTES_MIN;
        threads = parts < (uint64_t)cpus ? (unsigned)parts : (unsigned)cpus;
    }
    return threads < 1 ? 1 : threads < PARTS_MAX ? threads : PARTS_MAX;
}

static void load_cut(struct load *load, struct backend *backend, unsigned threads)
{
    uint64_t bytes = bytes_below(backend, INT64_MAX);
    revision from = 0;
    load->count = parts_of(bytes, threads);
    for (size_t i = 0; i < load->count; i++) {
        revision to =
            i + 1 < load->count ? cut_at(backend, bytes / load->count * (i + 1)) : INT64_MAX;
        load->parts[i] = (struct part){.backend = backend, .from = from, .to = to};
        from = to;
    }
}

static struct err load_run(struct load *load, struct why *why)
{
    for (size_t i = 1; i < load->count; i++) {
        struct part *part = &load->parts[i];
        part->has_thread = pthread_create(&part->thread, NULL, part_run, part) == 0;
    }
    for (size_t i = 0; i < load->count; i++) { /* those too that there was no thread for */
        if (!load->parts[i].has_thread) {
            part_run(&load->parts[i]);
        }
    }
    for (size_t i = 1; i < load->count; i++) {
        if (load->parts[i].has_thread) {
            pthread_join(load->parts[i].thread, NULL);
        }
    }
    for (size_t i = 0; i < load->count; i++) {
        const struct part *part = &load->parts[i];
        if (err_is(part->err)) {
            return why_set(why, part->err, "%s", part->why.text);
        }
    }
    return OK;
}

struct err load_check(struct backend *backend, unsigned threads, struct why *why)
{
    struct load load = {0};
    load_cut(&load, backend, threads);
    for (size_t i = 0; i < load.count; i++) {
        load.parts[i].is_check = true;
    }
    return load_run(&load, why);
}

struct err load_index(struct backend *backend, unsigned threads, struct index *index,
    revision *out_last, struct why *why)
{
    struct load load = {.source.next = load_next};
    load_cut(&load, backend, threads);
    struct err err = load_run(&load, why);
    if (!err_is(err)) {
        revision last = 0;
        for (size_t i = 0; i < load.count; i++) {
            const struct part *part = &load.parts[i];
            last = part->count ? part->entries[part->count - 1].mod : last;
        }
        *out_last = last;
        index_load(index, &load.source);
    }
    for (size_t i = 0; i < load.count; i++) {
        part_fini(&load.parts[i]);
    }
    return err;
}
