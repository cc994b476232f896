/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a log: read from each snapshot that it names, opened (which may repair it), opened
 * again. As they are, and once more with every record's checksum put right, or the fuzzer would
 * never get past the chain. An input that begins with 0xff is a list of records, of any sizes and
 * in several segments: type, two bytes of length, data; see add_item. */
#include "base/codec.h"
#include "base/crc32c.h"
#include "disk/faulty.h"
#include "wal/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST = 0xff, CUT = 0, RAW = 7, SEGMENTS_MAX = 4, BYTES_MAX = 1 << 20 };

/* Segments in the making. */
struct log {
    struct disk *disk;
    struct buf bytes; /* of the segment at hand */
    uint32_t crc;
    uint64_t seq;
    uint64_t index; /* that its name says */
};

static void add_frame(struct log *log, uint64_t type, struct slice data)
{
    static const uint8_t zeros[8];
    uint8_t field[FRAME_HEAD] = {0};
    size_t begin = log->bytes.len;
    buf_add(&log->bytes, field, sizeof(field));
    log->crc = crc32c(log->crc, data);
    wire_add_varint(&log->bytes, 1, type);
    wire_add_varint(&log->bytes, 2, log->crc);
    if (data.len) {
        wire_add_bytes(&log->bytes, 3, data);
    }
    size_t len = log->bytes.len - begin - FRAME_HEAD;
    size_t pad = (8 - len % 8) % 8;
    buf_add(&log->bytes, zeros, pad);
    check(!log->bytes.is_full);
    put_le64(log->bytes.data + begin, len | (uint64_t)(pad ? 0x80 | pad : 0) << 56);
}

static void end_segment(struct log *log)
{
    char path[64];
    snprintf(path, sizeof(path), "/w/%016llx-%016llx.wal", (unsigned long long)log->seq,
        (unsigned long long)log->index);
    struct err e = disk_write_file(log->disk, path, buf_slice(&log->bytes), 0600, NULL);
    check(!err_is(e));
    buf_reset(&log->bytes);
    log->seq++;
}

/* CUT: the next segment, whose name says the number in data; RAW: no record. */
static void add_item(struct log *log, unsigned type, struct slice data)
{
    if (type == RAW) {
        buf_add_slice(&log->bytes, data);
    } else if (type != CUT) {
        add_frame(log, type, type == RECORD_CRC ? (struct slice){0} : data);
    } else if (log->seq < SEGMENTS_MAX) {
        end_segment(log);
        log->index = data.len >= 8 ? get_le64(data.data) : data.len ? data.data[0] : 0;
        add_frame(log, RECORD_CRC, (struct slice){0});
    }
}

static void write_list(struct log *log, const uint8_t *data, size_t size)
{
    add_frame(log, RECORD_CRC, (struct slice){0});
    for (size_t at = 0; size - at >= 3;) {
        size_t left = size - at - 3;
        size_t len = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
        len = len < left ? len : left;
        add_item(log, data[at] % 8, slice_of(data + at + 3, len));
        at += 3 + len;
    }
    end_segment(log);
}

/* Frame by frame as far as they parse, the rest as it is. */
static void write_chained(struct log *log, const uint8_t *data, size_t size)
{
    size_t at = 0;
    uint64_t bytes;
    uint64_t pad;
    struct record record;
    while (size - at >= FRAME_HEAD && !err_is(frame_head(get_le64(data + at), &bytes, &pad)) &&
           bytes <= size - at - FRAME_HEAD && pad <= size - at - FRAME_HEAD - bytes &&
           !err_is(record_parse(slice_of(data + at + FRAME_HEAD, (size_t)bytes), &record))) {
        if (record.type == RECORD_CRC) {
            log->crc = at == 0 ? record.crc : log->crc;
            record.data = (struct slice){0};
        }
        add_frame(log, record.type, record.data);
        at += (size_t)(FRAME_HEAD + bytes + pad);
    }
    buf_add(&log->bytes, data + at, size - at);
    end_segment(log);
}

static void check_log(struct wal_log *log, uint64_t after)
{
    for (size_t i = 0; i < log->entries_count; i++) {
        check(log->entries[i].index == after + 1 + i);
    }
    wal_log_fini(log);
}

/* What could be read can be opened. */
static void open_once(struct disk *disk, uint64_t index, uint64_t term, bool must_open)
{
    struct wal_options options = {.disk = disk, .dir = "/w", .segment_bytes = 4096};
    struct wal_log log;
    struct wal *wal;
    struct err e = wal_open(&options, index, term, &wal, &log, NULL);
    check(!must_open || !err_is(e));
    if (!err_is(e)) {
        check_log(&log, index);
        wal_close(wal);
    }
}

static void read_from(struct disk *disk, uint64_t index, uint64_t term, bool *out_is_good)
{
    struct wal_log log;
    *out_is_good = !err_is(wal_read(disk, "/w", index, term, &log, NULL));
    if (*out_is_good) {
        check_log(&log, index);
    }
}

static void use(struct disk *disk)
{
    struct wal_snapshots snapshots;
    struct wal_snapshot last = {0};
    bool is_good = false;
    if (!err_is(wal_snapshots_read(disk, "/w", &snapshots, NULL))) {
        for (size_t i = 0; i < snapshots.count && i < 8; i++) {
            last = snapshots.items[i];
            read_from(disk, last.index, last.term, &is_good);
        }
        wal_snapshots_fini(&snapshots);
    }
    if (is_good) {
        open_once(disk, last.index, last.term, true);
        open_once(disk, last.index, last.term, true);
    }
    read_from(disk, 0, 0, &is_good);
    open_once(disk, 0, 0, is_good);
    open_once(disk, 0, 0, is_good);
}

static void run(
    const uint8_t *data, size_t size, void (*write)(struct log *, const uint8_t *, size_t))
{
    struct log log = {.disk = disk_faulty_new(1)};
    struct err e = disk_mkdir(log.disk, "/w", 0700, NULL);
    check(!err_is(e));
    buf_init(&log.bytes, (size_t)4 * BYTES_MAX);
    write(&log, data, size);
    use(log.disk);
    buf_fini(&log.bytes);
    disk_faulty_free(log.disk);
}

static void write_raw(struct log *log, const uint8_t *data, size_t size)
{
    buf_add(&log->bytes, data, size);
    end_segment(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > BYTES_MAX) {
        return 0;
    }
    if (size && data[0] == LIST) {
        run(data + 1, size - 1, write_list);
    } else {
        run(data, size, write_raw);
        run(data, size, write_chained);
    }
    return 0;
}
