/* SPDX-License-Identifier: Apache-2.0
 *
 * The other end of a dump: its rows become files of the store's own kind, DIR/<index>.rows.<n>.*,
 * and a list of them takes the place of a received database, DIR/<index>.snap.db:
 *   "ketcd rows\n", then a name a line
 */
#include "base/codec.h"
#include "base/crc32c.h"
#include "snap/snap.h"
#include "snapshot/dump.h"
#include "snapshot/inner.h"

#include <stdatomic.h>
#include <stdio.h>

enum { LIST_MAX = 16 * 1024 * 1024, HELD_KEPT = 1024 * 1024 };

static const char list_head[] = "ketcd rows\n";

struct snapshot_refill {
    struct disk *disk;
    char *dir;
    char *path;
    struct backend_bulk *bulk;
    struct buf held; /* a head, or a block, that has not wholly come */
    struct buf last; /* key */
    size_t needed;   /* of the block; 0: its head */
    uint64_t crc;
    bool (*is_row)(struct slice key, struct slice value);
    bool is_over;
};

struct snapshot_refill *snapshot_refill_new(struct disk *disk, const char *dir, uint64_t index,
    bool (*is_row)(struct slice key, struct slice value))
{
    static atomic_uint count;
    struct snapshot_refill *refill = mem_new(sizeof(*refill));
    char *prefix = mem_printf(
        "%s/%016llx.rows.%u.", dir, (unsigned long long)index, atomic_fetch_add(&count, 1));
    refill->disk = disk;
    refill->is_row = is_row;
    refill->dir = mem_strdup(dir);
    refill->path = snap_received_path(dir, index);
    refill->bulk = backend_bulk_new(prefix);
    buf_init(&refill->held, DUMP_BLOCK_MAX);
    buf_init(&refill->last, DUMP_BLOCK_MAX);
    free(prefix);
    return refill;
}

void snapshot_refill_free(struct snapshot_refill *refill, bool removes)
{
    if (refill) {
        backend_bulk_free(refill->bulk, removes);
        buf_fini(&refill->held);
        buf_fini(&refill->last);
        free(refill->dir);
        free(refill->path);
        free(refill);
    }
}

static struct err take_bytes(struct wire *wire, struct slice *out)
{
    uint64_t len;
    TRY(varint_take(wire, &len));
    if (len > (uint64_t)(wire->end - wire->at)) {
        return ERR(BAD_FORMAT);
    }
    *out = slice_of(wire->at, (size_t)len);
    wire->at += len;
    return OK;
}

/* Ascending rows of the kinds there are, and none that is this member's own. */
static bool is_sound(const struct snapshot_refill *refill, struct slice key, struct slice value)
{
    bool is_kind = key.len > 1 && (key.data[0] == 'd' || key.data[0] == 'l' || key.data[0] == 'm');
    bool is_next = slice_cmp(key, buf_slice(&refill->last)) > 0;
    bool is_row = !refill->is_row || refill->is_row(key, value);
    return is_kind && is_next && is_row && !dump_is_own(key);
}

static struct err take_rows(struct snapshot_refill *refill, struct slice block, struct why *why)
{
    struct wire wire;
    wire_init(&wire, block);
    while (wire_more(&wire)) {
        struct slice key;
        struct slice value = {0};
        struct err err = take_bytes(&wire, &key);
        if (!err_is(err)) {
            err = take_bytes(&wire, &value);
        }
        if (err_is(err) || !is_sound(refill, key, value)) {
            return why_set(why, ERR(BAD_FORMAT), "malformed row in a received store");
        }
        TRY(backend_bulk_put(refill->bulk, key, value, why));
        buf_reset(&refill->last);
        buf_add_slice(&refill->last, key);
    }
    return OK;
}

static struct err take_head(struct snapshot_refill *refill, const uint8_t *head, struct why *why)
{
    uint64_t len = get_be64(head);
    refill->crc = get_be64(head + 8);
    refill->is_over = len == 0;
    if (len > DUMP_BLOCK_MAX) {
        return why_set(why, ERR(TOO_BIG), "a block of %llu bytes", (unsigned long long)len);
    }
    refill->needed = (size_t)len;
    return OK;
}

static struct err take_block(struct snapshot_refill *refill, struct slice block, struct why *why)
{
    if (crc32c(0, block) != refill->crc) {
        return why_set(why, ERR(BAD_CRC), "a block of a received store does not fit its checksum");
    }
    refill->needed = 0;
    return take_rows(refill, block, why);
}

/* A huge row's memory is not kept. */
static void forget(struct snapshot_refill *refill)
{
    if (refill->held.cap > HELD_KEPT) {
        buf_fini(&refill->held);
        buf_init(&refill->held, DUMP_BLOCK_MAX);
    }
    buf_reset(&refill->held);
}

struct err snapshot_refill_take(struct snapshot_refill *refill, struct slice bytes, struct why *why)
{
    while (bytes.len) {
        size_t needed = refill->needed ? refill->needed : DUMP_HEAD;
        size_t missing = needed - refill->held.len;
        size_t len = missing < bytes.len ? missing : bytes.len;
        if (refill->is_over) {
            return why_set(why, ERR(BAD_FORMAT), "bytes behind the end of a received store");
        }
        buf_add(&refill->held, bytes.data, len);
        bytes = slice_of(bytes.data + len, bytes.len - len);
        if (refill->held.len == needed) {
            TRY(refill->needed ? take_block(refill, buf_slice(&refill->held), why)
                               : take_head(refill, refill->held.data, why));
            forget(refill);
        }
    }
    return OK;
}

struct err snapshot_refill_end(struct snapshot_refill *refill, struct why *why)
{
    char *const *paths;
    struct buf list;
    if (!refill->is_over) {
        return why_set(why, ERR(TORN), "unexpected EOF");
    }
    TRY(backend_bulk_end(refill->bulk, why));
    TRY(disk_sync_folder(refill->disk, refill->dir, why));
    size_t count = backend_bulk_paths(refill->bulk, &paths);
    buf_init(&list, LIST_MAX);
    buf_add_str(&list, list_head);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&list, "%s\n", strrchr(paths[i], '/') + 1);
    }
    struct err err = list.is_full ? why_set(why, ERR(TOO_BIG), "a store of too many files")
                                  : note_write(refill->disk, refill->path, buf_slice(&list), why);
    buf_fini(&list);
    return err;
}

bool snapshot_is_list(struct disk *disk, const char *path)
{
    char head[sizeof(list_head)] = "";
    struct disk_file *file;
    size_t got = 0;
    if (err_is(disk_open(disk, path, DISK_READ, 0, &file, NULL))) {
        return false;
    }
    struct err err = disk_read(file, 0, head, sizeof(head) - 1, &got, NULL);
    disk_close(file);
    return !err_is(err) && strcmp(head, list_head) == 0;
}

/* The names behind the head; none of them leads elsewhere. */
static struct err parse_list(
    struct slice text, const char *dir, struct snapshot_list *out, struct why *why)
{
    size_t at = strlen(list_head);
    while (at < text.len) {
        const uint8_t *line = text.data + at;
        const uint8_t *end = memchr(line, '\n', text.len - at);
        if (!end || end == line || memchr(line, '/', (size_t)(end - line))) {
            return why_set(why, ERR(BAD_FORMAT), "%s holds a malformed list of files", dir);
        }
        out->paths = mem_grow(out->paths, (out->count + 1) * sizeof(*out->paths));
        out->paths[out->count++] =
            mem_printf("%s/%.*s", dir, (int)(end - line), (const char *)line);
        at += (size_t)(end - line) + 1;
    }
    return OK;
}

struct err snapshot_list_read(
    struct disk *disk, const char *dir, uint64_t index, struct snapshot_list *out, struct why *why)
{
    uint8_t *bytes;
    size_t len;
    char *path = snap_received_path(dir, index);
    struct snapshot_list list = {0};
    struct err err = disk_read_file(disk, path, LIST_MAX, &bytes, &len, why);
    if (!err_is(err)) {
        err = parse_list(slice_of(bytes, len), dir, &list, why);
        free(bytes);
    }
    free(path);
    if (err_is(err)) {
        snapshot_list_fini(&list);
        return err;
    }
    *out = list;
    return OK;
}

void snapshot_list_fini(struct snapshot_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->paths[i]);
    }
    free(list->paths);
    *list = (struct snapshot_list){0};
}
