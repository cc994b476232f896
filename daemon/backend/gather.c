/* SPDX-License-Identifier: Apache-2.0
 * Stores of earlier versions hold values among the other rows. */
#include "store.h"

static struct err copy(struct backend *backend, struct backend_bulk *bulk, struct why *why)
{
    struct slice key;
    struct slice value;
    char *const *paths;
    struct backend_iter *iter = store_iter_open(backend, FAMILY_OTHERS, SLICE("d"), SLICE("e"));
    struct err err = OK;
    while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
        err = backend_bulk_put(bulk, key, value, why);
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    TRY(err);
    TRY(backend_bulk_end(bulk, why));
    size_t count = backend_bulk_paths(bulk, &paths);
    return store_take_files(backend, paths, count, why);
}

/* A crash on the way leaves values in both places: then they are copied again. */
struct err store_gather(struct backend *backend, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_iter *iter = store_iter_open(backend, FAMILY_OTHERS, SLICE("d"), SLICE("e"));
    bool has_values = backend_iter_next(iter, &key, &value);
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    TRY(err);
    if (!has_values) {
        return OK;
    }
    struct backend_bulk *bulk = backend_bulk_new_in(backend, "gather");
    err = copy(backend, bulk, why);
    backend_bulk_free(bulk, true);
    TRY(err);
    TRY(store_clear(backend, FAMILY_OTHERS, SLICE("d"), SLICE("e"), why));
    return backend_flush(backend, why);
}
