/* SPDX-License-Identifier: Apache-2.0
 * Rows that come in order go straight into files of RocksDB's format, past memtables and merges;
 * then the store takes the files in, all at once. What it costs in memory is one block and two
 * files' indexes: a file is ended and synced by a thread of its own while the next is written. */
#include "store.h"

#include "base/mem.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BULK_PREFIX "bulk-"
#define VALUES_MARK 'v'

enum { FILE_BYTES = 64 * 1024 * 1024, PACKING_WORTH = 8 };

struct ending {
    pthread_t thread;
    rocksdb_sstfilewriter_t *writer; /* NULL: none is under way */
    const char *path;
    char *text; /* what went wrong */
};

struct backend_bulk {
    char *prefix;
    rocksdb_options_t *options;
    rocksdb_envoptions_t *env;
    rocksdb_sstfilewriter_t *writer; /* NULL: no file is open */
    struct ending ending;
    bool is_packed;
    enum family family; /* of the file at hand */
    uint64_t bytes;     /* in it */
    char **paths;
    size_t count;
    size_t cap;
};

static struct err bulk_err(const char *path, char *text, struct why *why)
{
    if (!text) {
        return OK;
    }
    struct err err = why_set(why, store_code_of(text), "write %s: %s", path, text);
    rocksdb_free(text);
    return err;
}

struct backend_bulk *backend_bulk_new(const char *path_prefix)
{
    struct backend_bulk *bulk = mem_new(sizeof(*bulk));
    bulk->prefix = mem_strdup(path_prefix);
    bulk->options = rocksdb_options_create();
    rocksdb_block_based_table_options_t *table = store_table_options();
    rocksdb_block_based_options_set_no_block_cache(table, 1);
    rocksdb_options_set_block_based_table_factory(bulk->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_compression(bulk->options, rocksdb_lz4_compression);
    bulk->is_packed = true;
    bulk->env = rocksdb_envoptions_create();
    return bulk;
}

struct backend_bulk *backend_bulk_new_in(struct backend *backend, const char *name)
{
    char *prefix = mem_printf("%s/" BULK_PREFIX "%s-", backend->path, name);
    struct backend_bulk *bulk = backend_bulk_new(prefix);
    free(prefix);
    return bulk;
}

void bulk_sweep(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strncmp(entry->d_name, BULK_PREFIX, strlen(BULK_PREFIX)) == 0) {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* The name of a file tells whose rows it holds. */
static enum family family_of_file(const char *path)
{
    return path[strlen(path) - 1] == VALUES_MARK ? FAMILY_VALUES : FAMILY_OTHERS;
}

static struct err begin_file(struct backend_bulk *bulk, enum family family, struct why *why)
{
    char *text = NULL;
    const char mark[2] = {family == FAMILY_VALUES ? VALUES_MARK : '\0', '\0'};
    if (bulk->count == bulk->cap) {
        bulk->cap = bulk->cap ? bulk->cap * 2 : 16;
        bulk->paths = mem_grow(bulk->paths, bulk->cap * sizeof(*bulk->paths));
    }
    bulk->paths[bulk->count] = mem_printf("%s%06zu%s", bulk->prefix, bulk->count, mark);
    bulk->family = family;
    bulk->writer = rocksdb_sstfilewriter_create(bulk->env, bulk->options);
    rocksdb_sstfilewriter_open(bulk->writer, bulk->paths[bulk->count++], &text);
    bulk->bytes = 0;
    return bulk_err(bulk->paths[bulk->count - 1], text, why);
}

/* Values that do not pack are not worth the try: it costs more than all else. */
static void choose_packing(struct backend_bulk *bulk)
{
    uint64_t bytes = 0;
    rocksdb_sstfilewriter_file_size(bulk->writer, &bytes);
    if (bulk->is_packed && bytes > bulk->bytes - bulk->bytes / PACKING_WORTH) {
        bulk->is_packed = false;
        rocksdb_options_set_compression(bulk->options, rocksdb_no_compression);
    }
}

/* Synced by RocksDB: the next file need not wait for the disk. */
static void *run_ending(void *arg)
{
    struct ending *ending = arg;
    prctl(PR_SET_NAME, "bulk");
    rocksdb_sstfilewriter_finish(ending->writer, &ending->text);
    return NULL;
}

static struct err await_ending(struct backend_bulk *bulk, struct why *why)
{
    struct ending ending = bulk->ending;
    if (!ending.writer) {
        return OK;
    }
    check(pthread_join(ending.thread, NULL) == 0);
    ending.text = bulk->ending.text;
    bulk->ending = (struct ending){0};
    rocksdb_sstfilewriter_destroy(ending.writer);
    return bulk_err(ending.path, ending.text, why);
}

static struct err end_file(struct backend_bulk *bulk, struct why *why)
{
    TRY(await_ending(bulk, why));
    if (!bulk->writer) {
        return OK;
    }
    choose_packing(bulk);
    bulk->ending.writer = bulk->writer;
    bulk->ending.path = bulk->paths[bulk->count - 1];
    bulk->writer = NULL;
    if (pthread_create(&bulk->ending.thread, NULL, run_ending, &bulk->ending) != 0) {
        rocksdb_sstfilewriter_destroy(bulk->ending.writer);
        bulk->ending = (struct ending){0};
        return why_set(why, ERR(IO), "no thread to end a file");
    }
    return OK;
}

struct err backend_bulk_put(
    struct backend_bulk *bulk, struct slice key, struct slice value, struct why *why)
{
    char *text = NULL;
    enum family family = store_family(key);
    if (bulk->bytes >= FILE_BYTES || (bulk->writer && family != bulk->family)) {
        TRY(end_file(bulk, why));
    }
    if (!bulk->writer) {
        TRY(begin_file(bulk, family, why));
    }
    rocksdb_sstfilewriter_put(bulk->writer, (const char *)key.data, key.len,
        value.data ? (const char *)value.data : "", value.len, &text);
    bulk->bytes += key.len + value.len;
    return bulk_err(bulk->paths[bulk->count - 1], text, why);
}

struct err backend_bulk_end(struct backend_bulk *bulk, struct why *why)
{
    TRY(end_file(bulk, why));
    return await_ending(bulk, why);
}

size_t backend_bulk_paths(const struct backend_bulk *bulk, char *const **out)
{
    *out = bulk->paths;
    return bulk->count;
}

void backend_bulk_free(struct backend_bulk *bulk, bool removes)
{
    if (!bulk) {
        return;
    }
    struct err err = await_ending(bulk, NULL);
    (void)err; /* who frees before the end has lost it anyway */
    if (bulk->writer) {
        rocksdb_sstfilewriter_destroy(bulk->writer);
    }
    rocksdb_envoptions_destroy(bulk->env);
    rocksdb_options_destroy(bulk->options);
    for (size_t i = 0; i < bulk->count; i++) {
        if (removes) {
            unlink(bulk->paths[i]);
        }
        free(bulk->paths[i]);
    }
    free(bulk->paths);
    free(bulk->prefix);
    free(bulk);
}

struct err store_take_files(
    struct backend *backend, char *const *paths, size_t count, struct why *why)
{
    char *text = NULL;
    size_t counts[FAMILIES] = {0};
    const char **own[FAMILIES];
    for (int family = 0; family < FAMILIES; family++) {
        own[family] = mem_alloc((count + 1) * sizeof(char *));
    }
    for (size_t i = 0; i < count; i++) {
        enum family family = family_of_file(paths[i]);
        own[family][counts[family]++] = paths[i];
    }
    store_lock(backend);
    text = store_shim_ingest(backend->db, backend->families, own, counts, FAMILIES);
    store_unlock(backend);
    for (int family = 0; family < FAMILIES; family++) {
        free(own[family]);
    }
    return store_change_err(backend, "take files into", text, why);
}

struct err backend_take_files(
    struct backend *backend, char *const *paths, size_t count, struct why *why)
{
    TRY(store_take_files(backend, paths, count, why));
    return store_gather(backend, why); /* files that an earlier version wrote */
}
