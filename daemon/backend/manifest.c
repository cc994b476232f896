/* SPDX-License-Identifier: Apache-2.0
 *
 * RocksDB's MANIFEST, looked through before RocksDB reads it: which files are the store's, as a log
 * of changes. Where a record runs past the end, or is of a kind that only recycled logs have, it
 * takes the log to end there, as a crash may leave it; one flipped bit so makes an earlier store of
 * this one, or an empty one, and what it does not know of any more is removed. Blocks of 32 KiB:
 *   record: u32 CRC of what follows the length, u16 length, u8 kind (1 to 4), so many bytes;
 *           little-endian; none crosses a block, whose last bytes are zeros where no head fits
 * CRC: CRC-32C, turned and shifted (rocks_mask). Any other damage is RocksDB's to tell.
 */
#include "lookthrough.h"

#include "backend/backend.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

enum { BLOCK = 32 * 1024, HEAD = 7, LENGTH_AT = 4, KIND_AT = 6, KIND_MAX = 4, NAME_BYTES = 64 };

/* Whether fewer bytes than the head says are the whole record: then the head lies, for of a torn
 * one there is no end. */
static bool is_whole_before(struct slice record)
{
    uint32_t want = get_le32(record.data);
    uint32_t crc = 0;
    for (size_t at = KIND_AT; at < record.len; at++) {
        crc = crc32c(crc, slice_of(record.data + at, 1));
        if (rocks_mask(crc) == want) {
            return true;
        }
    }
    return false;
}

/* Whether each record of the block is one, up to where a crash may have cut the log off. */
static bool is_log(struct slice block)
{
    while (block.len >= HEAD) {
        size_t len = HEAD + block.data[LENGTH_AT] + ((size_t)block.data[LENGTH_AT + 1] << 8);
        uint8_t kind = block.data[KIND_AT];
        if (kind == 0) {
            return true; /* not written, whatever stands behind; a flipped head RocksDB tells of */
        }
        if (kind > KIND_MAX) {
            return false;
        }
        if (len > block.len) {
            return !is_whole_before(block);
        }
        block = slice_of(block.data + len, block.len - len);
    }
    return true;
}

static struct err check_log(const char *path, struct why *why)
{
    FILE *file = fopen(path, "rbe");
    if (!file) {
        return OK; /* RocksDB says so */
    }
    struct err err = OK;
    uint8_t *block = mem_alloc(BLOCK);
    size_t got = BLOCK;
    for (uint64_t at = 0; got == BLOCK && !err_is(err); at += got) {
        got = fread(block, 1, BLOCK, file);
        if (ferror(file)) {
            err = why_errno(why, errno, "read %s", path);
        } else if (!is_log(slice_of(block, got))) {
            err = why_set(why, ERR(BAD_CRC), "%s: a damaged record in the block at %llu", path,
                (unsigned long long)at);
        }
    }
    free(block);
    fclose(file);
    return err;
}

struct err manifest_check(const char *folder, struct why *why)
{
    char name[NAME_BYTES] = "";
    char *path = mem_printf("%s/CURRENT", folder);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(name, 1, sizeof(name) - 1, file) : 0;
    free(path);
    if (file) {
        fclose(file);
    }
    name[len ? len - 1 : 0] = 0; /* a line */
    if (!backend_file_is_ours(name)) {
        return OK; /* a new store, or RocksDB says so */
    }
    path = mem_printf("%s/%s", folder, name);
    struct err err = check_log(path, why);
    free(path);
    return err;
}
