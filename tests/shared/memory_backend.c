/* SPDX-License-Identifier: Apache-2.0
 * A write makes a new version of the rows where somebody still reads the old one: O(n), for small
 * stores. */
#include "tests/shared/memory_backend.h"

#include "backend/backend.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>

struct row {
    struct blob *key;
    struct blob *value;
};

struct version {
    atomic_uint refs;
    size_t count;
    size_t cap;
    struct row rows[];
};

/* A store and a snapshot are the same: something that holds a version. */
struct backend {
    struct list node;
    char *path;
    struct version *now;
    struct version *flushed;
    bool is_open;
};

struct backend_snapshot {
    struct version *version;
};

struct batch_op {
    struct blob *key;
    struct blob *value; /* NULL: delete */
};

struct backend_batch {
    struct batch_op *ops;
    size_t count;
    size_t bytes;
};

struct backend_iter {
    struct version *version;
    size_t at;
    struct blob *to;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list stores = {&stores, &stores};
static bool (*is_flush_due)(void);

static struct version *version_new(size_t cap)
{
    struct version *version = mem_new(sizeof(*version) + cap * sizeof(struct row));
    atomic_init(&version->refs, 1);
    version->cap = cap;
    return version;
}

static struct version *version_ref(struct version *version)
{
    atomic_fetch_add(&version->refs, 1);
    return version;
}

static void version_unref(struct version *version)
{
    if (!version || atomic_fetch_sub(&version->refs, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < version->count; i++) {
        blob_unref(version->rows[i].key);
        blob_unref(version->rows[i].value);
    }
    free(version);
}

/* The first row not below the key. */
static size_t version_seek(const struct version *version, struct slice key)
{
    size_t low = 0;
    size_t high = version->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (slice_cmp(blob_slice(version->rows[mid].key), key) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool is_at(const struct version *version, size_t at, struct slice key)
{
    return at < version->count && slice_eq(blob_slice(version->rows[at].key), key);
}

static struct version *version_take(
    struct backend *backend, const struct backend_snapshot *snapshot)
{
    pthread_mutex_lock(&mutex);
    struct version *version = version_ref(snapshot ? snapshot->version : backend->now);
    pthread_mutex_unlock(&mutex);
    return version;
}

void memory_backend_forget(void)
{
    struct list *node;
    while ((node = list_pop(&stores))) {
        struct backend *backend = LIST_ITEM(node, struct backend, node);
        check(!backend->is_open);
        version_unref(backend->flushed);
        free(backend->path);
        free(backend);
    }
}

void memory_backend_flush_when(bool (*is_due)(void))
{
    is_flush_due = is_due;
}

void memory_backend_crash(const char *path)
{
    LIST_EACH(node, &stores)
    {
        struct backend *backend = LIST_ITEM(node, struct backend, node);
        if (strcmp(backend->path, path) == 0 && backend->is_open) {
            backend_close(backend);
        }
    }
}

static struct backend *store_find(const char *path)
{
    LIST_EACH(node, &stores)
    {
        struct backend *backend = LIST_ITEM(node, struct backend, node);
        if (strcmp(backend->path, path) == 0) {
            return backend;
        }
    }
    struct backend *backend = mem_new(sizeof(*backend));
    backend->path = mem_dup(path, strlen(path) + 1);
    backend->flushed = version_new(0);
    list_push(&stores, &backend->node);
    return backend;
}

struct err backend_open(
    const struct backend_options *options, struct backend **out, struct why *why)
{
    (void)why;
    pthread_mutex_lock(&mutex);
    struct backend *backend = store_find(options->path);
    check(!backend->is_open);
    backend->is_open = true;
    backend->now = version_ref(backend->flushed);
    pthread_mutex_unlock(&mutex);
    *out = backend;
    return OK;
}

void backend_close(struct backend *backend)
{
    if (backend) {
        version_unref(backend->now);
        backend->now = NULL;
        backend->is_open = false;
    }
}

struct backend_batch *backend_batch_new(void)
{
    return mem_new(sizeof(struct backend_batch));
}

void backend_batch_reset(struct backend_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        blob_unref(batch->ops[i].key);
        blob_unref(batch->ops[i].value);
    }
    batch->count = 0;
    batch->bytes = 0;
}

void backend_batch_free(struct backend_batch *batch)
{
    if (batch) {
        backend_batch_reset(batch);
        free(batch->ops);
        free(batch);
    }
}

static void batch_add(struct backend_batch *batch, struct slice key, struct blob *value)
{
    batch->ops = mem_grow(batch->ops, (batch->count + 1) * sizeof(*batch->ops));
    batch->ops[batch->count++] = (struct batch_op){blob_new(key), value};
    batch->bytes += key.len + (value ? value->len : 0);
}

void backend_batch_put(struct backend_batch *batch, struct slice key, struct slice value)
{
    batch_add(batch, key, blob_new(value));
}

void backend_batch_put_parts(
    struct backend_batch *batch, struct slice key, const struct slice *parts, size_t count)
{
    struct buf value;
    buf_init(&value, UINT32_MAX);
    for (size_t i = 0; i < count; i++) {
        buf_add_slice(&value, parts[i]);
    }
    batch_add(batch, key, blob_new(buf_slice(&value)));
    buf_fini(&value);
}

void backend_batch_delete(struct backend_batch *batch, struct slice key)
{
    batch_add(batch, key, NULL);
}

size_t backend_batch_bytes(const struct backend_batch *batch)
{
    return batch->bytes;
}

static void version_apply(struct version *version, const struct batch_op *op)
{
    size_t at = version_seek(version, blob_slice(op->key));
    struct row *row = &version->rows[at];
    bool is_there = is_at(version, at, blob_slice(op->key));
    size_t behind = (version->count - at - is_there) * sizeof(*row);
    if (is_there) {
        blob_unref(row->key);
        blob_unref(row->value);
    }
    if (op->value) {
        memmove(row + 1, row + is_there, behind);
        *row = (struct row){blob_ref(op->key), blob_ref(op->value)};
    } else {
        memmove(row, row + is_there, behind);
    }
    version->count = version->count - is_there + (op->value != NULL);
}

static struct version *version_copy(const struct version *from, size_t cap)
{
    struct version *to = version_new(cap);
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        to->rows[i] = (struct row){blob_ref(from->rows[i].key), blob_ref(from->rows[i].value)};
    }
    return to;
}

/* One that nobody else reads, with room for more rows. New readers come under the mutex only. */
static void version_own(struct version **at, size_t more)
{
    struct version *version = *at;
    size_t needed = version->count + more;
    size_t cap = needed <= version->cap ? version->cap : needed + needed / 2;
    if (atomic_load(&version->refs) != 1) {
        *at = version_copy(version, cap);
        version_unref(version);
    } else if (cap > version->cap) {
        *at = mem_grow(version, sizeof(*version) + cap * sizeof(struct row));
        (*at)->cap = cap;
    }
}

struct err backend_write(struct backend *backend, struct backend_batch *batch, struct why *why)
{
    (void)why;
    pthread_mutex_lock(&mutex);
    version_own(&backend->now, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        version_apply(backend->now, &batch->ops[i]);
    }
    pthread_mutex_unlock(&mutex);
    return is_flush_due && is_flush_due() ? backend_flush(backend, why) : OK;
}

struct err backend_get(struct backend *backend, const struct backend_snapshot *snapshot,
    struct slice key, struct blob **out_value, struct why *why)
{
    return backend_get_many(backend, snapshot, &key, 1, out_value, why);
}

struct err backend_get_many(struct backend *backend, const struct backend_snapshot *snapshot,
    const struct slice *keys, size_t count, struct blob **out_values, struct why *why)
{
    (void)why;
    struct version *version = version_take(backend, snapshot);
    for (size_t i = 0; i < count; i++) {
        size_t at = version_seek(version, keys[i]);
        bool is_there = is_at(version, at, keys[i]);
        out_values[i] = is_there ? blob_ref(version->rows[at].value) : NULL;
    }
    version_unref(version);
    return OK;
}

struct backend_snapshot *backend_snapshot_take(struct backend *backend)
{
    struct backend_snapshot *snapshot = mem_new(sizeof(*snapshot));
    snapshot->version = version_take(backend, NULL);
    return snapshot;
}

void backend_snapshot_release(struct backend *backend, struct backend_snapshot *snapshot)
{
    (void)backend;
    if (snapshot) {
        version_unref(snapshot->version);
        free(snapshot);
    }
}

struct backend_iter *backend_iter_open(struct backend *backend,
    const struct backend_snapshot *snapshot, struct slice from, struct slice to)
{
    struct backend_iter *iter = mem_new(sizeof(*iter));
    iter->version = version_take(backend, snapshot);
    iter->at = version_seek(iter->version, from);
    iter->to = to.len ? blob_new(to) : NULL;
    return iter;
}

bool backend_iter_next(struct backend_iter *iter, struct slice *out_key, struct slice *out_value)
{
    if (iter->at == iter->version->count) {
        return false;
    }
    const struct row *row = &iter->version->rows[iter->at];
    if (iter->to && slice_cmp(blob_slice(row->key), blob_slice(iter->to)) >= 0) {
        return false;
    }
    iter->at++;
    *out_key = blob_slice(row->key);
    *out_value = blob_slice(row->value);
    return true;
}

struct err backend_iter_err(struct backend_iter *iter, struct why *why)
{
    (void)iter;
    (void)why;
    return OK;
}

void backend_iter_close(struct backend_iter *iter)
{
    if (iter) {
        version_unref(iter->version);
        blob_unref(iter->to);
        free(iter);
    }
}

struct err backend_flush(struct backend *backend, struct why *why)
{
    (void)why;
    pthread_mutex_lock(&mutex);
    struct version *old = backend->flushed;
    backend->flushed = version_ref(backend->now);
    pthread_mutex_unlock(&mutex);
    version_unref(old);
    return OK;
}

/* A batch that is written late; its one file's name is where the batch is. */
struct backend_bulk {
    struct backend_batch *batch;
    char *path;
};

struct backend_bulk *backend_bulk_new(const char *path_prefix)
{
    struct backend_bulk *bulk = mem_new(sizeof(*bulk));
    (void)path_prefix;
    bulk->batch = backend_batch_new();
    bulk->path = mem_printf("%p", (void *)bulk->batch);
    return bulk;
}

struct backend_bulk *backend_bulk_new_in(struct backend *backend, const char *name)
{
    (void)backend;
    return backend_bulk_new(name);
}

struct err backend_bulk_put(
    struct backend_bulk *bulk, struct slice key, struct slice value, struct why *why)
{
    (void)why;
    backend_batch_put(bulk->batch, key, value);
    return OK;
}

struct err backend_bulk_end(struct backend_bulk *bulk, struct why *why)
{
    (void)bulk;
    (void)why;
    return OK;
}

size_t backend_bulk_paths(const struct backend_bulk *bulk, char *const **out)
{
    *out = &bulk->path;
    return 1;
}

void backend_bulk_free(struct backend_bulk *bulk, bool removes)
{
    (void)removes;
    if (bulk) {
        backend_batch_free(bulk->batch);
        free(bulk->path);
        free(bulk);
    }
}

struct err backend_take_files(
    struct backend *backend, char *const *paths, size_t count, struct why *why)
{
    for (size_t i = 0; i < count; i++) {
        void *batch;
        check(sscanf(paths[i], "%p", &batch) == 1);
        TRY(backend_write(backend, batch, why));
    }
    return backend_flush(backend, why);
}

const char *backend_path(const struct backend *backend)
{
    return backend->path;
}

/* There are no files to give away: who asks is answered with rows. */
const char *backend_files_format(void)
{
    return "memory";
}

struct err backend_checkpoint(struct backend *backend, const char *path, struct why *why)
{
    (void)backend;
    return why_set(why, ERR(IO), "a store in memory has no files for %s", path);
}

bool backend_file_is_ours(const char *name)
{
    (void)name;
    return false;
}

struct err backend_check_file(const char *path, struct slice bytes, struct why *why)
{
    (void)bytes;
    return why_set(why, ERR(IO), "a store in memory has no file %s", path);
}

struct err backend_replace(
    struct backend *backend, const char *from, const char *aside, struct why *why)
{
    (void)backend;
    (void)aside;
    return why_set(why, ERR(IO), "a store in memory has no folder %s", from);
}

struct err backend_compact_files(struct backend *backend, struct why *why)
{
    return backend_flush(backend, why);
}

void backend_end_compact_files(struct backend *backend)
{
    (void)backend;
}

uint64_t backend_live_bytes(struct backend *backend)
{
    uint64_t bytes = 0;
    struct version *version = version_take(backend, NULL);
    for (size_t i = 0; i < version->count; i++) {
        bytes += version->rows[i].key->len + version->rows[i].value->len;
    }
    version_unref(version);
    return bytes;
}

uint64_t backend_disk_bytes(struct backend *backend)
{
    return backend_live_bytes(backend);
}

uint64_t backend_range_bytes(struct backend *backend, struct slice from, struct slice to)
{
    uint64_t bytes = 0;
    struct version *version = version_take(backend, NULL);
    for (size_t i = 0; i < version->count; i++) {
        struct slice key = blob_slice(version->rows[i].key);
        bool is_in = slice_cmp(key, from) >= 0 && slice_cmp(key, to) < 0;
        bytes += is_in ? key.len + version->rows[i].value->len : 0;
    }
    version_unref(version);
    return bytes;
}

struct err backend_health(struct backend *backend, struct why *why)
{
    (void)backend;
    (void)why;
    return OK;
}

struct err backend_clear(
    struct backend *backend, struct slice from, struct slice to, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_batch *batch = backend_batch_new();
    struct backend_iter *iter = backend_iter_open(backend, NULL, from, to);
    while (backend_iter_next(iter, &key, &value)) {
        backend_batch_delete(batch, key);
    }
    backend_iter_close(iter);
    struct err err = backend_write(backend, batch, why);
    backend_batch_free(batch);
    return err;
}
