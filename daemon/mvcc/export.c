/* SPDX-License-Identifier: Apache-2.0
 * The whole store in revision order. */
#include "pairs.h"
#include "state.h"

#include "base/mem.h"

void pairs_open(struct pairs *pairs, struct backend *backend,
    const struct backend_snapshot *snapshot, revision to)
{
    struct row_key from = row_key('l', 0, 0);
    struct row_key end = row_key('l', to + 1, 0);
    pairs->rows = backend_iter_open(backend, snapshot, row_key_slice(&from), row_key_slice(&end));
    from = row_key('d', 0, 0);
    end = row_key('d', to + 1, 0);
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
    struct row_key wanted = row_key('d', row->main, row->sub);
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
