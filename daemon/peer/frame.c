/* SPDX-License-Identifier: Apache-2.0
 *
 * message: repeated { u64 length, raftpb.Message }; a link heartbeat is MsgHeartbeat from 0 to 0.
 *
 * msgapp: repeated one of (all numbers big-endian)
 *   0x00                                                       link heartbeat
 *   0x01 u64 count { u64 length, raftpb.Entry } * count u64 commit   an append that goes on where
 *                                                              the one before ended, in its term
 *   0x02 u64 length, raftpb.Message                            any append; sets term and index
 */
#include "peer/frame.h"

#include "base/codec.h"
#include "base/mem.h"

enum { KIND_HEARTBEAT = 0, KIND_ENTRIES = 1, KIND_APPEND = 2 };

static void add_be64(struct buf *out, uint64_t number)
{
    uint8_t bytes[8];
    put_be64(bytes, number);
    buf_add(out, bytes, sizeof(bytes));
}

void frame_writer_init(struct frame_writer *writer, enum frame_kind kind)
{
    *writer = (struct frame_writer){.kind = kind};
}

static void add_whole(const struct raft_message *message, struct buf *out)
{
    size_t size = codec_message_size(message);
    buf_reserve(out, 8 + size);
    add_be64(out, size);
    codec_add_message(message, out);
}

static void add_entries(const struct raft_message *message, struct buf *out)
{
    buf_add_byte(out, KIND_ENTRIES);
    add_be64(out, message->entries_count);
    for (size_t i = 0; i < message->entries_count; i++) {
        add_be64(out, codec_entry_size(&message->entries[i]));
        codec_add_entry(&message->entries[i], out);
    }
    add_be64(out, message->commit);
}

static uint64_t last_index(const struct raft_message *message)
{
    size_t count = message->entries_count;
    return count ? message->entries[count - 1].index : message->index;
}

static void add_append(
    struct frame_writer *writer, const struct raft_message *message, struct buf *out)
{
    bool goes_on = writer->index == message->index && writer->term == message->log_term &&
                   message->log_term == message->term;
    if (goes_on) {
        add_entries(message, out);
        writer->index += message->entries_count;
        return;
    }
    buf_add_byte(out, KIND_APPEND);
    add_whole(message, out);
    writer->term = message->term;
    writer->index = last_index(message);
}

void frame_add(struct frame_writer *writer, const struct raft_message *message, struct buf *out)
{
    if (writer->kind == FRAME_MESSAGE) {
        add_whole(message, out);
    } else {
        check(message->type == RAFT_MSG_APP);
        add_append(writer, message, out);
    }
}

void frame_add_heartbeat(struct frame_writer *writer, struct buf *out)
{
    const struct raft_message heartbeat = {.type = RAFT_MSG_HEARTBEAT};
    if (writer->kind == FRAME_MESSAGE) {
        add_whole(&heartbeat, out);
    } else {
        buf_add_byte(out, KIND_HEARTBEAT);
    }
}

static void expect(struct frame_reader *reader, enum frame_state state, uint64_t needed)
{
    reader->state = state;
    reader->needed = (size_t)needed;
}

/* Between two messages. */
static void rest(struct frame_reader *reader)
{
    if (reader->kind == FRAME_MESSAGE) {
        expect(reader, FRAME_LENGTH, 8);
    } else {
        expect(reader, FRAME_KIND, 1);
    }
}

void frame_reader_init(struct frame_reader *reader, enum frame_kind kind, uint64_t local,
    uint64_t remote, uint64_t bytes_max)
{
    *reader = (struct frame_reader){
        .kind = kind, .local = local, .remote = remote, .bytes_max = bytes_max};
    buf_init(&reader->held, SIZE_MAX);
    rest(reader);
}

void frame_reader_fini(struct frame_reader *reader)
{
    buf_fini(&reader->held);
    raft_message_fini(&reader->message);
}

static struct err take_kind(struct frame_reader *reader, uint8_t kind)
{
    switch (kind) {
    case KIND_HEARTBEAT:
        return OK;
    case KIND_APPEND:
        expect(reader, FRAME_LENGTH, 8);
        return OK;
    case KIND_ENTRIES:
        expect(reader, FRAME_COUNT, 8);
        return reader->term ? OK : ERR(BAD_FORMAT); /* there is nothing to go on from */
    default:
        return ERR(BAD_FORMAT);
    }
}

static struct err take_length(struct frame_reader *reader, uint64_t length)
{
    expect(reader, FRAME_BODY, length);
    return length > reader->bytes_max ? ERR(TOO_BIG) : OK;
}

static void next_entry(struct frame_reader *reader)
{
    expect(reader, reader->entries_left ? FRAME_ENTRY_LENGTH : FRAME_COMMIT, 8);
}

static struct err take_count(struct frame_reader *reader, uint64_t count)
{
    if (count > CODEC_ENTRIES_MAX) {
        return ERR(TOO_BIG);
    }
    reader->message = (struct raft_message){.type = RAFT_MSG_APP,
        .from = reader->remote,
        .to = reader->local,
        .term = reader->term,
        .log_term = reader->term,
        .index = reader->index};
    reader->capacity = 0;
    reader->bytes = 0;
    reader->entries_left = count;
    next_entry(reader);
    return OK;
}

static struct err take_entry_length(struct frame_reader *reader, uint64_t length)
{
    if (length > reader->bytes_max - reader->bytes) {
        return ERR(TOO_BIG);
    }
    reader->bytes += length;
    expect(reader, FRAME_ENTRY, length);
    return OK;
}

static struct err take_entry(struct frame_reader *reader, struct slice bytes)
{
    struct raft_entry entry;
    TRY(codec_parse_entry(bytes, &entry));
    codec_push_entry(&reader->message, &reader->capacity, &entry);
    reader->index++;
    reader->entries_left--;
    next_entry(reader);
    return OK;
}

static struct err take_body(
    struct frame_reader *reader, struct slice bytes, bool *out_has, struct raft_message *out)
{
    struct raft_message message;
    TRY(codec_parse_message(bytes, &message));
    if (reader->kind == FRAME_MSGAPP) {
        if (message.type != RAFT_MSG_APP || message.term == 0) {
            raft_message_fini(&message);
            return ERR(BAD_FORMAT);
        }
        reader->term = message.term;
        reader->index = last_index(&message);
    }
    rest(reader);
    *out = message;
    *out_has = true;
    return OK;
}

static void take_commit(
    struct frame_reader *reader, uint64_t commit, bool *out_has, struct raft_message *out)
{
    reader->message.commit = commit;
    *out = reader->message;
    *out_has = true;
    reader->message = (struct raft_message){0};
    rest(reader);
}

static struct err take_state(
    struct frame_reader *reader, struct slice bytes, bool *out_has, struct raft_message *out)
{
    switch (reader->state) {
    case FRAME_KIND:
        return take_kind(reader, bytes.data[0]);
    case FRAME_LENGTH:
        return take_length(reader, get_be64(bytes.data));
    case FRAME_BODY:
        return take_body(reader, bytes, out_has, out);
    case FRAME_COUNT:
        return take_count(reader, get_be64(bytes.data));
    case FRAME_ENTRY_LENGTH:
        return take_entry_length(reader, get_be64(bytes.data));
    case FRAME_ENTRY:
        return take_entry(reader, bytes);
    case FRAME_COMMIT:
        take_commit(reader, get_be64(bytes.data), out_has, out);
        return OK;
    }
    return OK;
}

/* The bytes of the state, once they are all there: out of data itself if they are, else gathered.
 */
static bool gather(struct frame_reader *reader, struct slice *data, struct slice *out)
{
    size_t missing = reader->needed - reader->held.len;
    size_t len = missing < data->len ? missing : data->len;
    bool is_direct = reader->held.len == 0 && len == reader->needed;
    if (!is_direct) {
        buf_add(&reader->held, data->data, len);
    }
    *out = is_direct ? slice_of(data->data, len) : buf_slice(&reader->held);
    *data = slice_of(data->data + len, data->len - len);
    return is_direct || reader->held.len == reader->needed;
}

enum { HELD_KEPT = 64 << 10 };

/* A huge message's memory is not kept. */
static void forget(struct frame_reader *reader)
{
    if (reader->held.cap > HELD_KEPT) {
        buf_fini(&reader->held);
        buf_init(&reader->held, SIZE_MAX);
    } else {
        buf_reset(&reader->held);
    }
}

struct err frame_take(
    struct frame_reader *reader, struct slice *data, bool *out_has, struct raft_message *out)
{
    struct slice bytes;
    bool has = false;
    while (!has && (data->len || reader->needed == 0) && gather(reader, data, &bytes)) {
        TRY(take_state(reader, bytes, &has, out));
        forget(reader);
    }
    *out_has = has;
    return OK;
}
