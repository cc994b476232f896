/* SPDX-License-Identifier: Apache-2.0
 *
 * What counts as torn is etcd's rule, narrowed. A crash may leave out any sectors of what was
 * written since the last sync, in space that was zeros before; a length field lies in one sector,
 * so it is whole or zero. So
 *   - zero where a length belongs, and zeros to the end of its sector; or the end of the file: the
 * end of the segment;
 *   - in the last segment only, a record that runs past the end of the file, or that is broken by
 * more than one bit (or by the only bit of its last sector, with nothing behind) and has a sector
 * of zeros: torn, if its head (when that was written) agrees with the length;
 *   - everything else is damage: a length that no encoder writes, a head that does not fit it, a
 * record that runs past the end although chained records follow. etcd takes some of these for torn
 * and cuts acknowledged records off.
 */
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wal/inner.h"

enum { WINDOW = 256 * 1024, SECTOR = 512, HEAD_MAX = 20, SEARCH_FACTOR = 8 };
static const uint32_t polynomial = 0x82f63b78; /* CRC-32C's, reflected */

static const struct segment *here(const struct scan *scan)
{
    return &scan->segments->items[scan->at];
}

struct err wal_scan_why(const struct scan *scan, struct err e, struct why *why, const char *what)
{
    return why_set(
        why, e, "%s at offset %llu: %s", here(scan)->path, (unsigned long long)scan->offset, what);
}

struct err wal_scan_init(struct scan *scan, const struct segments *segments, struct why *why)
{
    *scan = (struct scan){.segments = segments, .window_segment = SIZE_MAX};
    return disk_size(here(scan)->file, &scan->bytes, why);
}

void wal_scan_fini(struct scan *scan)
{
    free(scan->window);
    scan->window = NULL;
}

/* len bytes at offset of the segment at hand; the caller knows that they are inside it. */
static struct err look(
    struct scan *scan, uint64_t offset, size_t len, const uint8_t **out, struct why *why)
{
    bool is_in = scan->window_segment == scan->at && offset >= scan->window_offset &&
                 offset + len <= scan->window_offset + scan->window_len;
    if (!is_in) {
        size_t want = len > WINDOW ? len : WINDOW;
        if (want > scan->window_cap) {
            scan->window = mem_grow(scan->window, want);
            scan->window_cap = want;
        }
        scan->window_segment = SIZE_MAX;
        size_t got;
        TRY(disk_read(here(scan)->file, offset, scan->window, want, &got, why));
        if (got < len) {
            return why_set(why, ERR(IO), "%s became shorter while it was read", here(scan)->path);
        }
        scan->window_segment = scan->at;
        scan->window_offset = offset;
        scan->window_len = got;
    }
    *out = scan->window + (offset - scan->window_offset);
    return OK;
}

static bool is_last(const struct scan *scan)
{
    return scan->at + 1 == scan->segments->count;
}

/* Whether a record at offset parses; *out_next is the offset behind it. The record is lent by the
 * window. Its bytes are taken off *budget, however far that goes below zero. */
static bool try_record(
    struct scan *scan, uint64_t offset, int64_t *budget, struct record *out, uint64_t *out_next)
{
    const uint8_t *data;
    uint64_t bytes;
    uint64_t pad;
    if (scan->bytes - offset < FRAME_HEAD || err_is(look(scan, offset, FRAME_HEAD, &data, NULL)) ||
        err_is(frame_head(get_le64(data), &bytes, &pad)) ||
        bytes + pad > scan->bytes - offset - FRAME_HEAD) {
        return false;
    }
    *budget -= (int64_t)bytes;
    if (err_is(look(scan, offset, (size_t)(FRAME_HEAD + bytes), &data, NULL)) ||
        err_is(record_parse(slice_of(data + FRAME_HEAD, (size_t)bytes), out))) {
        return false;
    }
    *out_next = offset + FRAME_HEAD + bytes + pad;
    return true;
}

/* Whether two chained records stand anywhere behind the bad one: then it was not the last that was
 * written. Bytes that look like ever new records from every place would make this quadratic: past
 * some times the file's size they are taken for damage, which loses nothing. */
static bool has_chain_behind(struct scan *scan)
{
    struct record one;
    struct record two;
    uint64_t next;
    int64_t budget = (int64_t)scan->bytes * SEARCH_FACTOR;
    for (uint64_t at = scan->offset + FRAME_HEAD; at + FRAME_HEAD <= scan->bytes; at += 8) {
        if (budget < 0) {
            return true;
        }
        if (!try_record(scan, at, &budget, &one, &next) || next >= scan->bytes) {
            continue;
        }
        uint32_t crc = one.crc;
        if (try_record(scan, next, &budget, &two, &next) && two.type != RECORD_CRC &&
            two.data.len && crc32c(crc, two.data) == two.crc) {
            return true;
        }
    }
    return false;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    size_t i = 0;
    while (i < len && data[i] == 0) {
        i++;
    }
    return i == len;
}

/* How much of [offset, offset + len) lies in offset's sector. */
static size_t in_sector(uint64_t offset, size_t len)
{
    size_t run = SECTOR - (size_t)(offset % SECTOR);
    return run < len ? run : len;
}

/* Whether a sector's share of data, which starts at offset, is all zeros. */
static bool has_zero_sector(uint64_t offset, const uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t run = in_sector(offset + at, len - at);
        if (is_zero(data + at, run)) {
            return true;
        }
        at += run;
    }
    return false;
}

/* Whether the head of a record agrees with the length before it, or cannot be told: len bytes of it
 * are at hand. */
static bool head_fits(const uint8_t *head, size_t len, uint64_t bytes)
{
    struct wire wire;
    uint64_t number;
    wire_init(&wire, slice_of(head, len));
    for (uint8_t tag = 1 << 3; tag <= 2 << 3; tag += 1 << 3) {
        if (wire.at == wire.end) {
            return true;
        }
        if (*wire.at++ != tag || err_is(varint_take(&wire, &number))) {
            return wire.at == wire.end;
        }
        if (tag == 1 << 3 ? number < RECORD_METADATA || number > RECORD_SNAPSHOT
                          : number > UINT32_MAX) {
            return false;
        }
    }
    if ((uint64_t)(wire.at - head) == bytes || wire.at == wire.end) {
        return true;
    }
    if (*wire.at++ != (3 << 3 | WIRE_BYTES) || err_is(varint_take(&wire, &number))) {
        return wire.at == wire.end;
    }
    return number == bytes - (uint64_t)(wire.at - head);
}

/* A torn record's length is right: looks whether the record's head says so too. */
static bool may_be_torn(struct scan *scan, uint64_t bytes, struct why *why)
{
    const uint8_t *head;
    uint64_t at = scan->offset + FRAME_HEAD;
    uint64_t left = scan->bytes - at;
    size_t len = left < HEAD_MAX ? (size_t)left : HEAD_MAX;
    if (!is_last(scan)) {
        return false;
    }
    if (!len || err_is(look(scan, at, len, &head, why))) {
        return true;
    }
    if (at % SECTOR == 0 && is_zero(head, len)) {
        return true;
    }
    size_t first = in_sector(at, len);
    if (first < len && is_zero(head + first, len - first)) {
        len = first;
    }
    return head_fits(head, len, bytes);
}

static struct err too_long(struct scan *scan, uint64_t bytes, struct why *why)
{
    if (!may_be_torn(scan, bytes, why)) {
        return wal_scan_why(scan, ERR(BAD_FORMAT), why, "the record's length is damaged");
    }
    if (has_chain_behind(scan)) {
        return wal_scan_why(scan, ERR(BAD_FORMAT), why, "damaged length, good records follow");
    }
    return wal_scan_why(scan, ERR(TORN), why, "the record is cut off");
}

/* Whether a single bit, of the data or of the checksum itself, explains a checksum that is wrong by
 * these bits. A flipped bit leaves the same trace wherever the chain stood, which only depends on
 * how many bits come behind it. out: how many bytes; of the checksum's own, SIZE_MAX. */
static bool is_one_bit(uint32_t difference, size_t len, size_t *out_behind)
{
    uint32_t trace = polynomial;
    *out_behind = SIZE_MAX;
    if ((difference & (difference - 1)) == 0) {
        return true;
    }
    for (uint64_t bits = 0; bits < (uint64_t)len * 8; bits++) {
        if (trace == difference) {
            *out_behind = (size_t)(bits / 8);
            return true;
        }
        trace = trace >> 1 ^ (trace & 1 ? polynomial : 0);
    }
    return false;
}

/* Whether the last sector of a frame, which ends before that sector does, was never written, as far
 * as one can see. out: how much of the frame lies in it. */
static bool is_blank_behind(struct scan *scan, uint64_t end, size_t *out_share)
{
    const uint8_t *data;
    struct why unused;
    size_t share = (size_t)(end % SECTOR);
    uint64_t from = end - share;
    uint64_t until = from + SECTOR < scan->bytes ? from + SECTOR : scan->bytes;
    *out_share = share;
    return share && end < until &&
           !err_is(look(scan, from, (size_t)(until - from), &data, &unused)) &&
           is_zero(data, (size_t)(until - from));
}

/* A value may hold sectors of zeros of its own, so those alone do not say that its record is torn:
 * one that a single bit would make good was written whole. But when that bit would be the only one
 * of the last sector, and the log ends there, the sector is the likelier one to be missing: a
 * record's last byte is often of one bit. */
static bool is_flipped(struct scan *scan, struct slice bytes, uint64_t end)
{
    struct record record;
    size_t behind = 0;
    size_t share = 0;
    if (err_is(record_parse(bytes, &record)) || record.type == RECORD_CRC ||
        !is_one_bit(crc32c(scan->crc, record.data) ^ record.crc, record.data.len, &behind)) {
        return false;
    }
    size_t pad = (size_t)(-bytes.len & 7);
    return behind == SIZE_MAX || !is_blank_behind(scan, end, &share) || behind + pad >= share;
}

/* Parses the record and advances the chain. */
static struct err check_record(struct scan *scan, struct slice bytes, struct record *out)
{
    struct record record;
    TRY(record_parse(bytes, &record));
    bool is_chain = record.type == RECORD_CRC;
    uint32_t crc = is_chain ? record.crc : crc32c(scan->crc, record.data);
    if (is_chain ? scan->crc && scan->crc != crc : crc != record.crc) {
        return ERR(BAD_CRC);
    }
    scan->crc = crc;
    *out = record;
    return OK;
}

/* The frame at scan->offset, which lies inside the file. */
static struct err take(
    struct scan *scan, uint64_t bytes, uint64_t pad, struct record *out, struct why *why)
{
    const uint8_t *data;
    size_t len = (size_t)(bytes + pad);
    uint64_t at = scan->offset + FRAME_HEAD;
    TRY(look(scan, at, len, &data, why));
    struct err e = check_record(scan, slice_of(data, (size_t)bytes), out);
    if (!err_is(e)) {
        scan->offset = at + len;
        return OK;
    }
    bool is_torn = has_zero_sector(at, data, len) &&
                   !is_flipped(scan, slice_of(data, (size_t)bytes), at + len) &&
                   may_be_torn(scan, bytes, why);
    return is_torn ? wal_scan_why(scan, ERR(TORN), why, "the record is torn")
                   : wal_scan_why(scan, e, why, err_text(e));
}

/* Moves to the next segment, or to the end, keeping offset for the writer. */
static struct err step(struct scan *scan, struct why *why)
{
    if (is_last(scan)) {
        scan->is_end = true;
        return OK;
    }
    scan->at++;
    scan->offset = 0;
    return disk_size(here(scan)->file, &scan->bytes, why);
}

/* The length at scan->offset; 0: the segment ends here. */
static struct err take_length(struct scan *scan, uint64_t left, uint64_t *out, struct why *why)
{
    const uint8_t *data;
    size_t sector = in_sector(scan->offset, left < SECTOR ? (size_t)left : SECTOR);
    TRY(look(scan, scan->offset, sector, &data, why));
    uint64_t field = get_le64(data);
    if (!field && !is_zero(data, sector)) {
        return wal_scan_why(scan, ERR(BAD_FORMAT), why, "a record without a length");
    }
    *out = field;
    return OK;
}

struct err wal_scan_next(struct scan *scan, struct record *out, struct why *why)
{
    while (!scan->is_end) {
        uint64_t bytes;
        uint64_t pad;
        uint64_t field = 0;
        uint64_t left = scan->bytes - scan->offset;
        if (left >= FRAME_HEAD) {
            TRY(take_length(scan, left, &field, why));
        } else if (left) {
            return too_long(scan, 0, why);
        }
        if (!field) {
            TRY(step(scan, why));
            continue;
        }
        if (err_is(frame_head(field, &bytes, &pad))) {
            return wal_scan_why(scan, ERR(BAD_FORMAT), why, "not a record length");
        }
        if (bytes + pad > left - FRAME_HEAD) {
            return too_long(scan, bytes, why);
        }
        return take(scan, bytes, pad, out, why);
    }
    return OK;
}
