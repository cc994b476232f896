/* SPDX-License-Identifier: Apache-2.0
 * Rows from elsewhere become an empty store. Both kinds of rows come in the order they are kept in,
 * so they are written as finished files. What stays in memory is the index, as each row links to
 * the one before of its key: the same index the store is read with afterwards. */
#include "load.h"
#include "state.h"

#include "base/buf.h"
#include "base/mem.h"

struct mvcc_import {
    struct backend *backend;
    struct backend_bulk *rows;
    struct backend_bulk *values;
    struct buf row;
    struct index keys; /* the newest version of each so far */
    revision main;
    int64_t sub;
};

enum { ROW_MAX = 64 * 1024 * 1024 };

struct mvcc_import *mvcc_import_new(struct backend *backend)
{
    struct mvcc_import *import = mem_new(sizeof(*import));
    import->backend = backend;
    import->rows = backend_bulk_new_in(backend, "rows");
    import->values = backend_bulk_new_in(backend, "values");
    buf_init(&import->row, ROW_MAX);
    index_init(&import->keys);
    return import;
}

void mvcc_import_free(struct mvcc_import *import)
{
    if (!import) {
        return;
    }
    backend_bulk_free(import->rows, true);
    backend_bulk_free(import->values, true);
    buf_fini(&import->row);
    index_fini(&import->keys);
    free(import);
}

static bool is_sound(const struct mvcc_import *import, const struct row *row)
{
    bool is_ordered =
        row->main > import->main || (row->main == import->main && row->sub > import->sub);
    bool is_version =
        row->is_tombstone || (row->create > 0 && row->create <= row->main && row->version > 0);
    return is_ordered && is_version && row->main > 0 && row->main < INT64_MAX - 1 &&
           row->sub >= 0 && row->sub <= UINT32_MAX && row->key.len > 0;
}

/* Links the row to the version before and becomes that one itself. */
static void note_newest(struct mvcc_import *import, struct row *row)
{
    struct index_entry *entry = index_put(&import->keys, row->key);
    row->link_main = entry->mod;
    row->link_sub = entry->sub;
    entry->create = row->create;
    entry->mod = row->main;
    entry->version = row->version;
    entry->lease = row->lease;
    entry->sub = (uint32_t)row->sub;
    if (entry->is_tombstone != row->is_tombstone) {
        index_set_living(&import->keys, entry, !row->is_tombstone);
    }
}

static struct err write_row(struct mvcc_import *import, const struct row *row, struct why *why)
{
    uint8_t head[ROW_HEAD_MAX];
    struct row_key at = row_key('l', row->main, row->sub);
    buf_reset(&import->row);
    buf_add(&import->row, head, row_head(row, head));
    buf_add_slice(&import->row, row->key);
    if (import->row.is_full) {
        return why_set(why, ERR(TOO_BIG), "a key of more than %d bytes", ROW_MAX);
    }
    return backend_bulk_put(import->rows, row_key_slice(&at), buf_slice(&import->row), why);
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
    if (!is_sound(import, &row)) {
        return why_set(why, ERR(BAD_FORMAT), "unsound row at revision %lld", (long long)main);
    }
    note_newest(import, &row);
    TRY(write_row(import, &row, why));
    if (!is_tombstone) {
        struct row_key at = row_key('d', main, sub);
        TRY(backend_bulk_put(import->values, row_key_slice(&at), kv->value, why));
    }
    import->main = main;
    import->sub = sub;
    return OK;
}

static struct err take_files(struct mvcc_import *import, struct why *why)
{
    char *const *rows;
    char *const *values;
    TRY(backend_bulk_end(import->rows, why));
    TRY(backend_bulk_end(import->values, why));
    size_t rows_count = backend_bulk_paths(import->rows, &rows);
    size_t values_count = backend_bulk_paths(import->values, &values);
    char **all = mem_new((rows_count + values_count + 1) * sizeof(*all));
    for (size_t i = 0; i < rows_count + values_count; i++) {
        all[i] = i < rows_count ? rows[i] : values[i - rows_count];
    }
    struct err err = backend_take_files(import->backend, all, rows_count + values_count, why);
    free(all);
    return err;
}

struct err mvcc_import_end(
    struct mvcc_import *import, revision scheduled, revision finished, struct why *why)
{
    struct backend_batch *batch = backend_batch_new();
    struct err err = take_files(import, why);
    if (scheduled >= 0) {
        row_rev_put(batch, ROW_SCHEDULED, scheduled);
    }
    if (finished >= 0) {
        row_rev_put(batch, ROW_FINISHED, finished);
    }
    err = err_is(err) ? err : backend_write(import->backend, batch, why);
    backend_batch_free(batch);
    return err;
}

struct err mvcc_reload_imported(struct mvcc *mvcc, struct mvcc_import *import, struct why *why)
{
    return mvcc_take_index(mvcc, &import->keys, import->main, why);
}
