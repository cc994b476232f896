/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: what one frame of a segment holds, to and from bytes. Pure. */
#ifndef WAL_RECORD_H
#define WAL_RECORD_H

#include "base/buf.h"
#include "wal/wal.h"

enum record_type {
    RECORD_METADATA = 1,
    RECORD_ENTRY = 2,
    RECORD_STATE = 3,
    RECORD_CRC = 4,
    RECORD_SNAPSHOT = 5,
};

enum { FRAME_HEAD = 8 };

struct record {
    enum record_type type;
    uint32_t crc;
    struct slice data; /* lent by what was decoded */
};

/* The length field: record bytes and the padding behind them. Errors: BAD_FORMAT (one no encoder
 * writes). */
MUST struct err frame_head(uint64_t field, uint64_t *out_bytes, uint64_t *out_pad);

/* Append a frame each; *crc is the running checksum. */
void record_add_crc(struct buf *out, uint32_t crc);
void record_add_identity(struct buf *out, uint32_t *crc, const struct wal_identity *identity);
void record_add_entry(struct buf *out, uint32_t *crc, const struct raft_entry *entry);
void record_add_state(struct buf *out, uint32_t *crc, const struct raft_hard_state *hard);
void record_add_snapshot(struct buf *out, uint32_t *crc, const struct wal_snapshot *snapshot);

/* Of one frame's record bytes. Errors: BAD_FORMAT, also for fields that the format does not have:
 * the type is not under the checksum, so a flipped bit in it must not make an entry look like a
 * hard state. */
MUST struct err record_parse(struct slice bytes, struct record *out);
MUST struct err record_identity(struct slice data, struct wal_identity *out);
/* Gives a new blob in out->data. */
MUST struct err record_entry(struct slice data, struct raft_entry *out);
/* Only which index it is for. */
MUST struct err record_entry_index(struct slice data, uint64_t *out);
MUST struct err record_state(struct slice data, struct raft_hard_state *out);
MUST struct err record_snapshot(struct slice data, struct wal_snapshot *out);

#endif
