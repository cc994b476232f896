/* SPDX-License-Identifier: Apache-2.0
 *
 * RocksDB's file of values that stand apart, looked through record by record (RocksDB itself does
 * that only as values are read). Little-endian:
 *   head 30: u32 magic, u32 version 1, u32 family, u8 whether values expire, u8 packing, u64 u64
 *            between which times
 *   record:  u64 key length, u64 value length, u64 expiration, u32 CRC of these, u32 CRC of what
 *            follows: key, value
 *   foot 32: u32 magic, 24 bytes, u32 CRC of these
 * CRC: CRC-32C, turned and shifted (rocks_mask). A packed value begins with its length before
 * (varint).
 */
#include "lookthrough.h"
#include "store.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

enum { HEAD = 30, RECORD = 32, FOOT = 32, CRC_AT = 24, BODY_CRC_AT = 28, PIECE = 256 * 1024 };
enum { FAMILY_AT = 8, EXPIRY_AT = 12, PACKING_AT = 13, TIMES_AT = 14 };
enum { PACKING_NONE = 0, PACKING_LZ4 = 4, LZ4_RATIO_MAX = 256 };

static const uint32_t magic = 2395959;

struct walk {
    FILE *file;
    const char *path;
    uint64_t left; /* bytes up to the foot */
    bool is_packed;
    uint8_t *piece;
};

static struct err broken(const struct walk *walk, const char *what, struct why *why)
{
    return why_set(why, ERR(BAD_CRC), "%s: %s", walk->path, what);
}

static struct err read_piece(struct walk *walk, uint8_t *out, size_t size, struct why *why)
{
    if (fread(out, 1, size, walk->file) != size) {
        return ferror(walk->file) ? why_errno(why, errno, "read %s", walk->path)
                                  : broken(walk, "it ends too early", why);
    }
    return OK;
}

/* Whoever reads a packed value makes room for as much as it says first. */
static bool is_true_length(const struct walk *walk, uint64_t len, size_t got)
{
    struct wire wire;
    uint64_t unpacked = 0;
    wire_init(&wire, slice_of(walk->piece, got));
    return !walk->is_packed ||
           (!err_is(varint_take(&wire, &unpacked)) && unpacked / LZ4_RATIO_MAX <= len);
}

static struct err check_value(struct walk *walk, uint64_t len, uint32_t *crc, struct why *why)
{
    for (uint64_t left = len; left;) {
        size_t size = left < PIECE ? (size_t)left : PIECE;
        TRY(read_piece(walk, walk->piece, size, why));
        if (left == len && !is_true_length(walk, len, size)) {
            return broken(walk, "a value claims to be longer than it can be", why);
        }
        *crc = crc32c(*crc, slice_of(walk->piece, size));
        left -= size;
    }
    return OK;
}

static struct err check_key(struct walk *walk, uint64_t len, uint32_t *crc, struct why *why)
{
    while (len) {
        size_t size = len < PIECE ? (size_t)len : PIECE;
        TRY(read_piece(walk, walk->piece, size, why));
        *crc = crc32c(*crc, slice_of(walk->piece, size));
        len -= size;
    }
    return OK;
}

static struct err check_record(struct walk *walk, struct why *why)
{
    uint8_t head[RECORD];
    if (walk->left < RECORD) {
        return broken(walk, "half a record", why);
    }
    TRY(read_piece(walk, head, sizeof(head), why));
    walk->left -= RECORD;
    uint64_t key_len = get_le64(head);
    uint64_t value_len = get_le64(head + 8);
    if (rocks_mask(crc32c(0, slice_of(head, CRC_AT))) != get_le32(head + CRC_AT)) {
        return broken(walk, "a record's head does not fit its checksum", why);
    }
    if (key_len > walk->left || value_len > walk->left - key_len) {
        return broken(walk, "a record is longer than the file", why);
    }
    walk->left -= key_len + value_len;
    uint32_t crc = 0;
    TRY(check_key(walk, key_len, &crc, why));
    TRY(check_value(walk, value_len, &crc, why));
    return rocks_mask(crc) == get_le32(head + BODY_CRC_AT)
               ? OK
               : broken(walk, "a value does not fit its checksum", why);
}

/* Whether, and between which times. */
static bool expires(const uint8_t head[HEAD])
{
    return head[EXPIRY_AT] || get_le64(head + TIMES_AT) || get_le64(head + TIMES_AT + 8);
}

static struct err check_records(struct walk *walk, struct why *why)
{
    uint8_t head[HEAD];
    uint8_t foot[FOOT];
    TRY(read_piece(walk, head, sizeof(head), why));
    if (get_le32(head) != magic || get_le32(head + 4) != 1) {
        return broken(walk, "no file of values, or of another version", why);
    }
    if (get_le32(head + FAMILY_AT) >= FAMILIES) { /* whether of the right one: shim.cc */
        return broken(walk, "its values are of no family of ours", why);
    }
    walk->is_packed = head[PACKING_AT] == PACKING_LZ4;
    if ((!walk->is_packed && head[PACKING_AT] != PACKING_NONE) || expires(head)) {
        return broken(walk, "its values are packed otherwise, or expire", why);
    }
    while (walk->left) {
        TRY(check_record(walk, why));
    }
    TRY(read_piece(walk, foot, sizeof(foot), why));
    bool fits = rocks_mask(crc32c(0, slice_of(foot, BODY_CRC_AT))) == get_le32(foot + BODY_CRC_AT);
    return fits && get_le32(foot) == magic ? OK : broken(walk, "its end is broken", why);
}

FILE *store_file_open(const char *path, struct slice bytes)
{
    return bytes.data ? fmemopen((void *)(uintptr_t)bytes.data, bytes.len, "rb")
                      : fopen(path, "rbe");
}

struct err blobfile_check(const char *path, struct slice bytes, struct why *why)
{
    struct walk walk = {.file = store_file_open(path, bytes), .path = path};
    if (!walk.file) {
        return why_errno(why, errno, "open %s", path);
    }
    struct err err = OK;
    long size = fseek(walk.file, 0, SEEK_END) == 0 ? ftell(walk.file) : -1;
    if (size < 0 || fseek(walk.file, 0, SEEK_SET) != 0) {
        err = why_errno(why, errno, "measure %s", path);
    } else if (size < HEAD + FOOT) {
        err = broken(&walk, "it is too short", why);
    } else {
        walk.left = (uint64_t)size - HEAD - FOOT;
        walk.piece = mem_alloc(PIECE);
        err = check_records(&walk, why);
        free(walk.piece);
    }
    fclose(walk.file);
    return err;
}
