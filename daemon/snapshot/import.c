/* SPDX-License-Identifier: Apache-2.0
 * A database of etcd's or ketcd's, checked before anything is taken out of it. A snapshot that a
 * client saved carries the SHA-256 of its pages at the end; one copied from a data directory or
 * received from a peer does not. */
#include "base/codec.h"
#include "bolt/bolt.h"
#include "snapshot/inner.h"

#include <openssl/evp.h>

enum { SECTOR = 512, CHUNK = 256 * 1024 };

struct snapshot_import {
    struct bolt *bolt;
};

static struct err hash_file(
    struct disk_file *file, uint64_t bytes, uint8_t out[SNAPSHOT_SHA_BYTES], struct why *why)
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    uint8_t *chunk = mem_alloc(CHUNK);
    struct err e = OK;
    check(sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1);
    for (uint64_t at = 0; at < bytes && !err_is(e);) {
        size_t got;
        size_t want = bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK;
        e = disk_read(file, at, chunk, want, &got, why);
        if (!err_is(e) && !got) {
            e = why_set(why, ERR(IO), "the snapshot became shorter while it was read");
        }
        if (!err_is(e)) {
            check(EVP_DigestUpdate(sha, chunk, got) == 1);
            at += got;
        }
    }
    check(EVP_DigestFinal_ex(sha, out, NULL) == 1);
    EVP_MD_CTX_free(sha);
    free(chunk);
    return e;
}

/* As Go prints bytes: etcdutl's words. */
static void print_bytes(const uint8_t *bytes, struct buf *out)
{
    for (size_t i = 0; i < SNAPSHOT_SHA_BYTES; i++) {
        buf_printf(out, "%c%u", i ? ' ' : '[', bytes[i]);
    }
    buf_add_byte(out, ']');
}

static struct err compare(const uint8_t *want, const uint8_t *have, struct why *why)
{
    struct buf one;
    struct buf two;
    if (memcmp(want, have, SNAPSHOT_SHA_BYTES) == 0) {
        return OK;
    }
    buf_init(&one, 256);
    buf_init(&two, 256);
    print_bytes(want, &one);
    print_bytes(have, &two);
    struct err e =
        why_set(why, ERR(BAD_CRC), "expected sha256 %s, got %s", buf_text(&one), buf_text(&two));
    buf_fini(&one);
    buf_fini(&two);
    return e;
}

static struct err check_hash(struct disk_file *file, enum snapshot_hash hash, struct why *why)
{
    uint64_t bytes;
    size_t got;
    uint8_t want[SNAPSHOT_SHA_BYTES];
    uint8_t have[SNAPSHOT_SHA_BYTES];
    TRY(disk_size(file, &bytes, why));
    if (bytes % SECTOR != SNAPSHOT_SHA_BYTES) {
        return hash != SNAPSHOT_HASH_REQUIRED
                   ? OK
                   : why_set(
                         why, ERR(BAD_FORMAT), "snapshot missing hash but --skip-hash-check=false");
    }
    TRY(disk_read(file, bytes - SNAPSHOT_SHA_BYTES, want, SNAPSHOT_SHA_BYTES, &got, why));
    TRY(hash_file(file, bytes - SNAPSHOT_SHA_BYTES, have, why));
    return compare(want, have, why);
}

struct err snapshot_import_open(struct disk *disk, const char *path, enum snapshot_hash hash,
    struct snapshot_import **out, struct why *why)
{
    struct bolt *bolt;
    if (hash != SNAPSHOT_HASH_SKIPPED) {
        struct disk_file *file;
        TRY(disk_open(disk, path, DISK_READ, 0, &file, why));
        struct err e = check_hash(file, hash, why);
        disk_close(file);
        TRY(e);
    }
    TRY(bolt_open(disk, path, &bolt, why));
    struct snapshot_import *import = mem_new(sizeof(*import));
    import->bolt = bolt;
    *out = import;
    return OK;
}

void snapshot_import_close(struct snapshot_import *import)
{
    if (import) {
        bolt_close(import->bolt);
        free(import);
    }
}

struct err snapshot_import_rows(struct snapshot_import *import, enum snapshot_bucket bucket,
    struct err (*fn)(void *arg, struct slice key, struct slice value, struct why *why), void *arg,
    struct why *why)
{
    struct bolt_cursor *cursor;
    struct bolt_item item = {0};
    TRY(bolt_bucket(import->bolt, slice_str(snapshot_bucket_name(bucket)), &cursor, why));
    struct err e = OK;
    while (cursor && !err_is(e)) {
        e = bolt_next(cursor, &item, why);
        if (err_is(e) || item.is_end) {
            break;
        }
        e = fn(arg, item.key, item.value, why);
    }
    bolt_cursor_close(cursor);
    return e;
}

static struct err see_mark(void *arg, struct slice key, struct slice value, struct why *why)
{
    int64_t *marks = arg;
    bool is_scheduled = slice_eq(key, SLICE("scheduledCompactRev"));
    if (!is_scheduled && !slice_eq(key, SLICE("finishedCompactRev"))) {
        return OK;
    }
    if (value.len < 8) {
        return why_set(why, ERR(BAD_FORMAT), "malformed row in the meta bucket");
    }
    marks[is_scheduled ? 0 : 1] = (int64_t)get_be64(value.data);
    return OK;
}

struct err snapshot_import_compacted(
    struct snapshot_import *import, int64_t *out_scheduled, int64_t *out_finished, struct why *why)
{
    int64_t marks[2] = {-1, -1};
    TRY(snapshot_import_rows(import, SNAPSHOT_META, see_mark, marks, why));
    *out_scheduled = marks[0];
    *out_finished = marks[1];
    return OK;
}
