/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of RocksDB's file of rows. RocksDB takes a table's properties apart before it looks at
 * their checksum, and there a flipped bit can end the process (an assertion); so the checksum is
 * looked at first. Little-endian, lengths and places as varints:
 *   block:      its bytes, u8 packing, u32 checksum of both
 *   metaindex:  repeated: 0, length of the name, length of what follows it, name, the block's
 *               place, its length
 *   foot 53:    u8 kind of checksum, the metaindex' place, its length, those of the index, zeros,
 *               u32 version at 41, u64 magic
 * Taking a file into a store writes a number into its properties, whose checksum is that of zeros
 * there.
 */
#include "lookthrough.h"
#include "store.h"

#include "base/codec.h"
#include "base/mem.h"
#include "shim.h"

#include <errno.h>
#include <stdio.h>

enum { FOOT = 53, VERSION_AT = 41, MAGIC_AT = 45, TRAILER = 5, BLOCK_MAX = 1 << 20 };

static const uint64_t magic = 0x88e241b785f4cff7;

struct ending {
    FILE *file;
    const char *path;
    uint64_t size;
};

struct place {
    uint64_t at;
    uint64_t len;
};

static struct err broken(const struct ending *ending, const char *what, struct why *why)
{
    return why_set(why, ERR(BAD_CRC), "%s: %s", ending->path, what);
}

static struct err read_at(
    const struct ending *ending, uint64_t at, uint8_t *out, size_t size, struct why *why)
{
    if (fseeko(ending->file, (off_t)at, SEEK_SET) != 0 ||
        fread(out, 1, size, ending->file) != size) {
        return ferror(ending->file) ? why_errno(why, errno, "read %s", ending->path)
                                    : broken(ending, "it ends too early", why);
    }
    return OK;
}

static struct err take_place(struct wire *wire, struct place *out)
{
    TRY(varint_take(wire, &out->at));
    return varint_take(wire, &out->len);
}

static bool fits(const uint8_t *block, size_t len)
{
    return store_shim_sum(block, len + 1) == get_le32(block + len + 1);
}

/* Names begin like the one before them, and that part is left out. */
static bool fits_without_number(uint8_t *block, size_t len)
{
    static const char name[] = "external_sst_file.global_seqno";
    uint8_t *found = memmem(block, len, name, sizeof(name) - 1);
    if (!found || (size_t)(found - block) + sizeof(name) - 1 + 8 > len) {
        return false;
    }
    memset(found + sizeof(name) - 1, 0, 8);
    return fits(block, len);
}

/* Gives a block that fits its checksum. */
static struct err read_block(
    const struct ending *ending, const struct place *place, uint8_t **out, struct why *why)
{
    if (place->len > BLOCK_MAX || place->at > ending->size ||
        place->len + TRAILER > ending->size - place->at) {
        return broken(ending, "a block where there can be none", why);
    }
    size_t len = (size_t)place->len;
    uint8_t *block = mem_alloc(len + TRAILER);
    struct err err = read_at(ending, place->at, block, len + TRAILER, why);
    if (!err_is(err) && !fits(block, len) && !fits_without_number(block, len)) {
        err = broken(ending, "a block does not fit its checksum", why);
    }
    if (err_is(err)) {
        free(block);
        return err;
    }
    *out = block;
    return OK;
}

/* BAD_FORMAT: none is named. */
static struct err find_properties(struct slice metaindex, struct place *out)
{
    struct wire wire;
    wire_init(&wire, metaindex);
    for (;;) {
        uint64_t shared;
        uint64_t name_len;
        uint64_t value_len;
        struct slice name;
        struct slice value;
        TRY(varint_take(&wire, &shared));
        TRY(varint_take(&wire, &name_len));
        TRY(varint_take(&wire, &value_len));
        TRY(wire_run(&wire, name_len, &name));
        TRY(wire_run(&wire, value_len, &value));
        if (slice_eq(name, SLICE("rocksdb.properties"))) {
            wire_init(&wire, value);
            return take_place(&wire, out);
        }
    }
}

static struct err check_properties(
    const struct ending *ending, struct slice metaindex, struct why *why)
{
    struct place place;
    uint8_t *block = NULL;
    if (err_is(find_properties(metaindex, &place))) {
        return broken(ending, "a table without properties", why);
    }
    struct err err = read_block(ending, &place, &block, why);
    free(block);
    return err;
}

static struct err check_ending(const struct ending *ending, struct why *why)
{
    uint8_t foot[FOOT];
    struct wire wire;
    struct place place;
    uint8_t *block = NULL;
    TRY(read_at(ending, ending->size - FOOT, foot, FOOT, why));
    wire_init(&wire, slice_of(foot + 1, VERSION_AT - 1));
    if (get_le64(foot + MAGIC_AT) != magic || get_le32(foot + VERSION_AT) != TABLE_VERSION ||
        foot[0] != store_shim_sum_kind() || err_is(take_place(&wire, &place))) {
        return broken(ending, "no table, or not one of ours", why);
    }
    TRY(read_block(ending, &place, &block, why));
    struct err err = check_properties(ending, slice_of(block, (size_t)place.len), why);
    free(block);
    return err;
}

struct err tablefile_check(const char *path, struct slice bytes, struct why *why)
{
    struct ending ending = {.file = store_file_open(path, bytes), .path = path};
    if (!ending.file) {
        return why_errno(why, errno, "open %s", path);
    }
    struct err err = OK;
    off_t size = fseeko(ending.file, 0, SEEK_END) == 0 ? ftello(ending.file) : -1;
    if (size < 0) {
        err = why_errno(why, errno, "measure %s", path);
    } else if (size < FOOT) {
        err = broken(&ending, "it is too short", why);
    } else {
        ending.size = (uint64_t)size;
        err = check_ending(&ending, why);
    }
    fclose(ending.file);
    return err;
}
