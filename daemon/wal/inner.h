/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room share: segments, the scan over them, the open log. */
#ifndef WAL_INNER_H
#define WAL_INNER_H

#include "wal/record.h"

struct segment {
    uint64_t seq;
    uint64_t index; /* of the first entry that it may hold */
    char *path;
    struct disk_file *file;
};

struct segments {
    struct segment *items;
    size_t count;
};

/* The segments in dir, oldest first, not opened. Errors: ABSENT (none). */
MUST struct err segments_list(
    struct disk *disk, const char *dir, struct segments *out, struct why *why);
/* Drops those that only hold entries before index + 1 (the last segment that begins at or before
 * index stays). Errors: ABSENT (they begin later), BAD_FORMAT (a hole in the sequence). */
MUST struct err segments_select(struct segments *segments, uint64_t index, struct why *why);
MUST struct err segments_open(
    struct segments *segments, struct disk *disk, bool is_locked, struct why *why);
void segments_fini(struct segments *segments);
/* Closes and forgets the first count. */
void segments_drop(struct segments *segments, size_t count);
void segments_push(struct segments *segments, struct segment segment);
/* A new file at path, locked, with room for bytes. */
MUST struct err segment_make(
    struct disk *disk, const char *path, uint64_t bytes, struct disk_file **out, struct why *why);
/* dir/<seq>-<index>.wal in new memory. */
char *segment_path(const char *dir, uint64_t seq, uint64_t index);

/* A walk over the records of opened segments. */
struct scan {
    const struct segments *segments; /* borrowed */
    size_t at;
    uint64_t bytes;  /* size of the segment at hand */
    uint64_t offset; /* behind the last good record in it */
    uint32_t crc;
    bool is_end;
    uint8_t *window;
    size_t window_cap;
    size_t window_len;
    uint64_t window_offset;
    size_t window_segment;
};

MUST struct err wal_scan_init(struct scan *scan, const struct segments *segments, struct why *why);
void wal_scan_fini(struct scan *scan);
/* The next record, lent until the next call; is_end at the end. Errors: TORN (a tail that a crash
 * explains, in the last segment only; offset is where it begins), BAD_CRC, BAD_FORMAT, IO. */
MUST struct err wal_scan_next(struct scan *scan, struct record *out, struct why *why);
/* why about the record behind the last good one. */
struct err wal_scan_why(const struct scan *scan, struct err e, struct why *why, const char *what);

struct wal {
    struct disk *disk;
    char *dir;
    uint64_t segment_bytes;
    bool is_unsafe_no_sync;
    struct wal_identity identity;
    struct raft_hard_state hard; /* the last one written */
    struct raft_hard_state late; /* a newer one that goes with the next write */
    bool has_late;
    uint64_t last_index;
    uint64_t snapshot_index; /* the last one recorded since the log was opened */
    uint32_t crc;
    struct segments segments; /* held; the last is written to */
    uint64_t offset;          /* in the last */
    uint64_t grown;           /* bytes written to it since it was begun or opened */
    bool is_written;          /* its space holds zeros, not only room for them */
    bool is_dirty;            /* written, not synced */
    struct buf out;
    struct disk_file *next; /* the prepared segment, NULL when none */
    char *next_path;
    unsigned next_count;
    bool is_next_written;
    bool is_spare_out;     /* begun and not ended */
    bool is_spare_refused; /* it failed once: not again for this segment */
    struct err failed;
    struct why failed_why;
};

struct wal *wal_new(const struct wal_options *options);
/* Starts the segment that comes next in the prepared file and makes it durable. */
MUST struct err wal_begin_segment(struct wal *wal, struct why *why);

#endif
