/* SPDX-License-Identifier: Apache-2.0
 * Stores of earlier versions hold values among the other rows. */
#include "store.h"

enum { SLACK = 1 << 20 }; /* sizes are estimates, to a block */

/* Of values among the others, in tables and apart. */
static uint64_t bytes_of(struct backend *backend)
{
    static const char *const from = "d";
    static const char *const to = "e";
    const size_t len = 1;
    uint64_t tables = 0;
    uint64_t apart = 0;
    char *text = NULL;
    rocksdb_column_family_handle_t *family = backend->families[FAMILY_OTHERS];
    rocksdb_approximate_sizes_cf(backend->db, family, 1, &from, &len, &to, &len, &tables, &text);
    rocksdb_free(text); /* then the disk will say */
    bool is_known =
        rocksdb_property_int_cf(backend->db, family, "rocksdb.total-blob-file-size", &apart) == 0;
    return tables + (is_known ? apart : 0);
}

/* Old and new lie side by side until all are moved. Values that are not moved would not be found,
 * so there is no going on without. */
static struct err check_room(struct backend *backend, struct why *why)
{
    uint64_t free_bytes = 0;
    uint64_t bytes = bytes_of(backend);
    uint64_t needed = bytes + bytes / 8 + SLACK;
    TRY(store_free_bytes(backend, &free_bytes, why));
    return free_bytes >= needed
               ? OK
               : why_set(why, ERR(NO_DISK),
                     "%s is of an earlier version, and its values are moved to files of their own "
                     "once: that needs %llu bytes, %llu are free; make room and start again",
                     backend->path, (unsigned long long)needed, (unsigned long long)free_bytes);
}

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
    TRY(check_room(backend, why));
    struct backend_bulk *bulk = backend_bulk_new_in(backend, "gather");
    err = copy(backend, bulk, why);
    backend_bulk_free(bulk, true);
    TRY(err);
    TRY(store_clear(backend, FAMILY_OTHERS, SLICE("d"), SLICE("e"), why));
    return backend_flush(backend, why);
}
