/* SPDX-License-Identifier: Apache-2.0
 * The whole store in revision order, out and in. */
#include "pairs.h"
#include "state.h"

#include "base/mem.h"

void pairs_open(struct pairs *pairs, struct backend *backend,
    const struct backend_snapshot *snapshot, revision to)
{
    struct row_key from = row_key('l', 0, 0);
    struct row_key end = row_key('l', to + 1, 0);
    pairs->rows = backend_iter_open(backend, snapshot, row_key_slice(&from), row_key_slice(&end));
    from = row_key('v', 0, 0);
    end = row_key('v', to + 1, 0);
    pairs->values = backend_iter_open(backend, snapshot, row_key_slice(&from), row_key_slice(&end));
}

void pairs_close(struct pairs *pairs)
{
    backend_iter_close(pairs->rows);
    backend_iter_close(pairs->values);
}

static struct err value_next(
    struct pairs *pairs, const struct row *row, struct slice *out, struct why *why)
{
    struct slice key;
    struct slice value;
    struct row_key wanted = row_key('v', row->main, row->sub);
    while (backend_iter_next(pairs->values, &key, &value)) {
        if (slice_eq(key, row_key_slice(&wanted))) {
            *out = value;
            return OK;
        }
        if (slice_cmp(key, row_key_slice(&wanted)) > 0) {
            break;
        }
    }
    TRY(backend_iter_err(pairs->values, why));
    return why_set(why, ERR(BAD_FORMAT), "no value at revision %lld", (long long)row->main);
}

struct err pairs_next(struct pairs *pairs, struct row *out, struct slice *out_value,
    bool *out_is_end, struct why *why)
{
    struct slice key;
    struct slice bytes;
    *out_value = (struct slice){0};
    *out_is_end = !backend_iter_next(pairs->rows, &key, &bytes);
    if (*out_is_end) {
        return backend_iter_err(pairs->rows, why);
    }
    TRY(row_take(key, bytes, out, why));
    return out->is_tombstone ? OK : value_next(pairs, out, out_value, why);
}

struct err mvcc_export(struct mvcc *mvcc, const struct backend_snapshot *snapshot,
    bool (*fn)(void *arg, revision main, int64_t sub, bool is_tombstone, const struct mvcc_kv *kv),
    void *arg, struct why *why)
{
    struct pairs pairs;
    struct row row;
    struct slice value;
    bool is_end = false;
    bool is_wanted = true;
    pairs_open(&pairs, mvcc->backend, snapshot, INT64_MAX - 1);
    struct err err = pairs_next(&pairs, &row, &value, &is_end, why);
    while (!err_is(err) && !is_end && is_wanted) {
        struct mvcc_kv kv = {.key = row.key};
        if (!row.is_tombstone) {
            kv = (struct mvcc_kv){row.key, value, row.create, row.main, row.version, row.lease};
        }
        is_wanted = fn(arg, row.main, row.sub, row.is_tombstone, &kv);
        err = pairs_next(&pairs, &row, &value, &is_end, why);
    }
    pairs_close(&pairs);
    return err;
}

enum { IMPORT_BATCH = 1024 * 1024 };

struct mvcc_import {
    struct backend *backend;
    struct backend_batch *batch;
    struct index keys; /* the newest version of each so far: what the next one links to */
    revision main;
    int64_t sub;
};

struct mvcc_import *mvcc_import_new(struct backend *backend)
{
    struct mvcc_import *import = mem_new(sizeof(*import));
    import->backend = backend;
    import->batch = backend_batch_new();
    index_init(&import->keys);
    return import;
}

static struct err import_write(struct mvcc_import *import, size_t above, struct why *why)
{
    if (backend_batch_bytes(import->batch) <= above) {
        return OK;
    }
    TRY(backend_write(import->backend, import->batch, why));
    backend_batch_reset(import->batch);
    return OK;
}

static bool import_is_sound(const struct mvcc_import *import, const struct row *row)
{
    bool is_ordered =
        row->main > import->main || (row->main == import->main && row->sub > import->sub);
    bool is_version =
        row->is_tombstone || (row->create > 0 && row->create <= row->main && row->version > 0);
    return is_ordered && is_version && row->main > 0 && row->main < INT64_MAX - 1 &&
           row->sub >= 0 && row->sub <= UINT32_MAX && row->key.len > 0;
}

struct err mvcc_import_row(struct mvcc_import *import, revision main, int64_t sub,
    bool is_tombstone, const struct mvcc_kv *kv, struct why *why)
{
    struct row row = {.main = main, .sub = sub, .is_tombstone = is_tombstone, .key = kv->key};
    if (!is_tombstone) {
        row.create = kv->create;
        row.version = kv->version;
        row.lease = kv->lease;
    }
    if (!import_is_sound(import, &row)) {
        return why_set(why, ERR(BAD_FORMAT), "unsound row at revision %lld", (long long)main);
    }
    struct index_entry *entry = index_put(&import->keys, kv->key);
    row.link_main = entry->mod;
    row.link_sub = entry->sub;
    entry->mod = main;
    entry->sub = (uint32_t)sub;
    row_put(import->batch, &row);
    if (!is_tombstone) {
        struct row_key at = row_key('v', main, sub);
        backend_batch_put(import->batch, row_key_slice(&at), kv->value);
    }
    import->main = main;
    import->sub = sub;
    return import_write(import, IMPORT_BATCH, why);
}

struct err mvcc_import_end(struct mvcc_import *import, revision compact_rev, struct why *why)
{
    if (compact_rev > 0) {
        row_rev_put(import->batch, ROW_SCHEDULED, compact_rev);
        row_rev_put(import->batch, ROW_FINISHED, compact_rev);
    }
    struct err err = import_write(import, 0, why);
    backend_batch_free(import->batch);
    index_fini(&import->keys);
    free(import);
    return err;
}
