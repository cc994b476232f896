/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages one after the other on a stream: etcd's "message" and "msgapp" (version 2) framing, both
 * ways. Pure.
 */
#ifndef PEER_FRAME_H
#define PEER_FRAME_H

#include "peer/codec.h"

enum frame_kind { FRAME_MESSAGE, FRAME_MSGAPP };

/* etcd's: what a stream's message may take, and the message in front of a snapshot's database. */
enum { FRAME_BYTES_MAX = 512 << 20, FRAME_ENVELOPE_MAX = 64 << 20 };

struct frame_writer {
    enum frame_kind kind;
    uint64_t term; /* of the append before, and its last index */
    uint64_t index;
};

void frame_writer_init(struct frame_writer *writer, enum frame_kind kind);
/* Appends. On a msgapp stream: appends and link heartbeats only. */
void frame_add(struct frame_writer *writer, const struct raft_message *message, struct buf *out);
void frame_add_heartbeat(struct frame_writer *writer, struct buf *out);

enum frame_state {
    FRAME_KIND,         /* msgapp: one byte says what comes */
    FRAME_LENGTH,       /* of a message */
    FRAME_BODY,         /* the message */
    FRAME_COUNT,        /* of entries */
    FRAME_ENTRY_LENGTH, /* of the next one */
    FRAME_ENTRY,
    FRAME_COMMIT,
};

struct frame_reader {
    enum frame_kind kind;
    uint64_t local;
    uint64_t remote;
    uint64_t term;
    uint64_t index;
    uint64_t bytes_max;
    enum frame_state state;
    size_t needed; /* bytes until the state is over */
    struct buf held;
    struct raft_message message; /* whose entries are coming in */
    size_t capacity;
    uint64_t entries_left;
    uint64_t bytes; /* of those entries */
};

void frame_reader_init(struct frame_reader *reader, enum frame_kind kind, uint64_t local,
    uint64_t remote, uint64_t bytes_max);
void frame_reader_fini(struct frame_reader *reader);
/* Takes from data (and shortens it) up to the end of one message; *out_has says whether one is
 * there: *out is the caller's then. What is held grows with what came, never with what was
 * announced. After an error the stream is to be broken. Errors: BAD_FORMAT, TOO_BIG. */
MUST struct err frame_take(
    struct frame_reader *reader, struct slice *data, bool *out_has, struct raft_message *out);

#endif
