/* SPDX-License-Identifier: Apache-2.0
 * Rows into a bbolt file. Small buckets are collected and sorted, keys stream through. The file has
 * no name, so nothing is left behind whatever happens. */
#include "bolt/bolt.h"
#include "snapshot/dump.h"
#include "snapshot/inner.h"
#include "snapshot/pack.h"

#include <openssl/evp.h>
#include <pthread.h>

/* Keys and values of the API are limited to a request's size; this is the limit of what an export
 * encodes. */
enum { ROW_MAX = 64 * 1024 * 1024, LOOK_BYTES = 16 * 1024 * 1024 };

struct row {
    uint8_t *data; /* key, then value */
    size_t key_len;
    size_t value_len;
};

struct rows {
    struct row *items;
    size_t count;
    size_t cap;
};

struct snapshot_export {
    struct disk_file *file;
    bool owns_file;
    struct rows buckets[SNAPSHOT_BUCKETS];
    struct bolt_writer *writer;
    struct buf kv;
    struct disk *disk; /* not to be filled where dir lies; NULL: the caller's worry */
    char *dir;
    uint64_t kept; /* bytes that stay free there */
    uint64_t put;
    uint64_t looked; /* at so many that were put */
    uint64_t bytes;
    uint64_t offset; /* read so far */
    EVP_MD_CTX *sha;
    struct dump *dump; /* then only this */
    struct pack *pack; /* or this */
};

struct snapshot_export *snapshot_export_to(struct disk_file *file)
{
    struct snapshot_export *export = mem_new(sizeof(*export));
    export->file = file;
    export->writer = bolt_writer_new(file);
    buf_init(&export->kv, ROW_MAX);
    export->sha = EVP_MD_CTX_new();
    check(export->sha && EVP_DigestInit_ex(export->sha, EVP_sha256(), NULL) == 1);
    return export;
}

/* Open, and no longer in the folder. Two at once would meet at the name. */
static struct err open_nameless(
    struct disk *disk, const char *dir, struct disk_file **out, struct why *why)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct disk_file *file;
    char *path = disk_path(dir, "db.export");
    pthread_mutex_lock(&mutex);
    struct err e =
        disk_open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, 0600, &file, why);
    if (!err_is(e)) {
        e = disk_remove(disk, path, why);
        if (err_is(e)) {
            disk_close(file);
        } else {
            *out = file;
        }
    }
    pthread_mutex_unlock(&mutex);
    free(path);
    return e;
}

struct err snapshot_export_open(
    struct disk *disk, const char *dir, struct snapshot_export **out, struct why *why)
{
    struct disk_file *file;
    TRY(open_nameless(disk, dir, &file, why));
    *out = snapshot_export_to(file);
    (*out)->owns_file = true;
    (*out)->disk = disk;
    (*out)->dir = mem_strdup(dir);
    if (!err_is(disk_free_bytes(disk, dir, &(*out)->kept, NULL))) {
        (*out)->kept /= 8;
    }
    return OK;
}

struct snapshot_export *snapshot_export_rows(struct backend *backend, struct backend_snapshot *view)
{
    struct snapshot_export *export = mem_new(sizeof(*export));
    export->bytes = backend_live_bytes(backend);
    export->dump = dump_new(backend, view);
    return export;
}

struct err snapshot_export_files(struct disk *disk, const char *dir, struct backend *backend,
    struct snapshot_export **out, struct why *why)
{
    struct pack *pack;
    TRY(pack_new(disk, dir, backend, &pack, why));
    struct snapshot_export *export = mem_new(sizeof(*export));
    export->bytes = pack_bytes(pack);
    export->pack = pack;
    *out = export;
    return OK;
}

enum snapshot_form snapshot_export_form(const struct snapshot_export *export)
{
    return export->pack ? SNAPSHOT_FILES : export->dump ? SNAPSHOT_ROWS : SNAPSHOT_DATABASE;
}

static void rows_fini(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->items[i].data);
    }
    free(rows->items);
    *rows = (struct rows){0};
}

void snapshot_export_close(struct snapshot_export *export)
{
    if (!export) {
        return;
    }
    for (size_t i = 0; i < SNAPSHOT_BUCKETS; i++) {
        rows_fini(&export->buckets[i]);
    }
    bolt_writer_free(export->writer);
    buf_fini(&export->kv);
    free(export->dir);
    EVP_MD_CTX_free(export->sha);
    dump_free(export->dump);
    pack_free(export->pack);
    if (export->owns_file) {
        disk_close(export->file);
    }
    free(export);
}

void snapshot_export_row(struct snapshot_export *export, enum snapshot_bucket bucket,
    struct slice key, struct slice value)
{
    struct rows *rows = &export->buckets[bucket];
    check(bucket != SNAPSHOT_KEY);
    if (rows->count == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 16;
        rows->items = mem_grow(rows->items, rows->cap * sizeof(*rows->items));
    }
    struct row row = {mem_alloc(key.len + value.len), key.len, value.len};
    memcpy(row.data, key.data, key.len);
    if (value.len) {
        memcpy(row.data + key.len, value.data, value.len);
    }
    rows->items[rows->count++] = row;
}

static int row_cmp(const void *a, const void *b)
{
    const struct row *one = a;
    const struct row *two = b;
    return slice_cmp(slice_of(one->data, one->key_len), slice_of(two->data, two->key_len));
}

static struct err write_rows(struct snapshot_export *export, struct rows *rows, struct why *why)
{
    if (rows->count) {
        qsort(rows->items, rows->count, sizeof(*rows->items), row_cmp);
    }
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->items[i];
        TRY(bolt_writer_put(export->writer, slice_of(row->data, row->key_len),
            slice_of(row->data + row->key_len, row->value_len), why));
    }
    rows_fini(rows);
    return OK;
}

struct err snapshot_export_finish(struct snapshot_export *export,
    struct err (*keys)(void *arg, struct snapshot_export *export, struct why *why), void *arg,
    struct why *why)
{
    for (enum snapshot_bucket bucket = 0; bucket < SNAPSHOT_BUCKETS; bucket++) {
        struct slice name = slice_str(snapshot_bucket_name(bucket));
        TRY(bolt_writer_bucket(export->writer, name, why));
        if (bucket == SNAPSHOT_KEY) {
            TRY(keys(arg, export, why));
        } else {
            TRY(write_rows(export, &export->buckets[bucket], why));
        }
    }
    return bolt_writer_end(export->writer, &export->bytes, why);
}

/* The log and the store are written on the same disk, and the member ends when they cannot be. */
static struct err check_room(struct snapshot_export *export, size_t len, struct why *why)
{
    uint64_t free_bytes = 0;
    export->put += len;
    if (!export->disk || export->put < export->looked + LOOK_BYTES) {
        return OK;
    }
    export->looked = export->put;
    if (err_is(disk_free_bytes(export->disk, export->dir, &free_bytes, NULL)) ||
        free_bytes >= export->kept) {
        return OK;
    }
    return why_set(why, ERR(NO_DISK),
        "%s: a database of the store would take what the member needs, %llu bytes are free",
        export->dir, (unsigned long long)free_bytes);
}

struct err snapshot_export_key(
    struct snapshot_export *export, const struct snapshot_key *key, struct why *why)
{
    uint8_t rev[REV_MAX];
    size_t len = rev_put(key->main, key->sub, key->is_tombstone, rev);
    buf_reset(&export->kv);
    kv_encode(key, &export->kv);
    if (export->kv.is_full) {
        return why_set(why, ERR(TOO_BIG), "a key of more than %d bytes", ROW_MAX);
    }
    TRY(check_room(export, export->kv.len, why));
    return bolt_writer_put(export->writer, slice_of(rev, len), buf_slice(&export->kv), why);
}

uint64_t snapshot_export_bytes(const struct snapshot_export *export)
{
    return export->bytes;
}

struct err snapshot_export_read(
    struct snapshot_export *export, void *out, size_t size, size_t *out_got, struct why *why)
{
    size_t got;
    uint64_t left = export->bytes - export->offset;
    if (export->dump) {
        return dump_read(export->dump, out, size, out_got, why);
    }
    if (export->pack) {
        return pack_read(export->pack, out, size, out_got, why);
    }
    TRY(disk_read(export->file, export->offset, out, size < left ? size : (size_t)left, &got, why));
    if (!got && left) {
        return why_set(why, ERR(TORN), "the exported database is shorter than it was written");
    }
    check(EVP_DigestUpdate(export->sha, out, got) == 1);
    export->offset += got;
    *out_got = got;
    return OK;
}

void snapshot_export_sha256(struct snapshot_export *export, uint8_t out[SNAPSHOT_SHA_BYTES])
{
    check(export->offset == export->bytes);
    check(EVP_DigestFinal_ex(export->sha, out, NULL) == 1);
}
