/* SPDX-License-Identifier: Apache-2.0
 *
 * raftpb.Message {1: type, 2: to, 3: from, 4: term, 5: logTerm, 6: index, 7: entries, 8: commit,
 * 9: snapshot, 10: reject, 11: rejectHint, 12: context, 13: vote}; raftpb.Entry {1: type, 2: term,
 * 3: index, 4: data}; the snapshot is snap's. In this order, numbers written even when zero, as
 * gogoproto does for fields that are not nullable: the bytes are those of raft 3.6. Older members
 * leave 13 out and send an empty snapshot with every message, which counts as none.
 */
#include "peer/codec.h"

#include "base/codec.h"
#include "base/mem.h"
#include "snap/snap.h"

enum { HEAD_MAX = 128, ENTRY_HEAD_MAX = 48, FIRST_ENTRIES = 4, SNAPSHOT_MAX = SNAP_FILE_MAX };

static size_t put_field(uint8_t *out, uint32_t field, uint64_t number)
{
    out[0] = (uint8_t)(field << 3);
    return 1 + varint_put(out + 1, number);
}

static size_t put_entry_head(uint8_t *out, const struct raft_entry *entry)
{
    size_t len = put_field(out, 1, entry->type);
    len += put_field(out + len, 2, entry->term);
    len += put_field(out + len, 3, entry->index);
    if (entry->data) {
        out[len++] = 4 << 3 | WIRE_BYTES;
        len += varint_put(out + len, entry->data->len);
    }
    return len;
}

static size_t field_size(uint64_t number)
{
    return 1 + varint_size(number);
}

size_t codec_entry_size(const struct raft_entry *entry)
{
    size_t size = field_size(entry->type) + field_size(entry->term) + field_size(entry->index);
    return entry->data ? size + field_size(entry->data->len) + entry->data->len : size;
}

void codec_add_entry(const struct raft_entry *entry, struct buf *out)
{
    uint8_t head[ENTRY_HEAD_MAX];
    buf_add(out, head, put_entry_head(head, entry));
    buf_add_slice(out, blob_slice(entry->data));
}

static void encode_snapshot(const struct raft_snapshot *snapshot, struct buf *out)
{
    buf_init(out, SNAPSHOT_MAX);
    snap_encode(&snapshot->meta, blob_slice(snapshot->data), out);
}

static size_t snapshot_size(const struct raft_snapshot *snapshot)
{
    struct buf bytes;
    if (!snapshot) {
        return 0;
    }
    encode_snapshot(snapshot, &bytes);
    size_t len = bytes.len;
    buf_fini(&bytes);
    return field_size(len) + len;
}

size_t codec_message_size(const struct raft_message *message)
{
    size_t size = field_size(message->type) + field_size(message->to) + field_size(message->from) +
                  field_size(message->term) + field_size(message->log_term) +
                  field_size(message->index) + field_size(message->commit) + 2 +
                  field_size(message->reject_hint) + field_size(message->vote);
    for (size_t i = 0; i < message->entries_count; i++) {
        size_t len = codec_entry_size(&message->entries[i]);
        size += field_size(len) + len;
    }
    if (message->context) {
        size += field_size(message->context->len) + message->context->len;
    }
    return size + snapshot_size(message->snapshot);
}

static void add_snapshot(const struct raft_snapshot *snapshot, struct buf *out)
{
    struct buf bytes;
    encode_snapshot(snapshot, &bytes);
    wire_add_bytes(out, 9, buf_slice(&bytes));
    buf_fini(&bytes);
}

static void add_tail(const struct raft_message *message, struct buf *out)
{
    uint8_t tail[HEAD_MAX];
    size_t len = put_field(tail, 10, message->reject);
    len += put_field(tail + len, 11, message->reject_hint);
    if (message->context) {
        tail[len++] = 12 << 3 | WIRE_BYTES;
        len += varint_put(tail + len, message->context->len);
    }
    buf_add(out, tail, len);
    buf_add_slice(out, blob_slice(message->context));
    buf_add(out, tail, put_field(tail, 13, message->vote));
}

void codec_add_message(const struct raft_message *message, struct buf *out)
{
    uint8_t head[HEAD_MAX];
    size_t len = put_field(head, 1, message->type);
    len += put_field(head + len, 2, message->to);
    len += put_field(head + len, 3, message->from);
    len += put_field(head + len, 4, message->term);
    len += put_field(head + len, 5, message->log_term);
    len += put_field(head + len, 6, message->index);
    buf_add(out, head, len);
    for (size_t i = 0; i < message->entries_count; i++) {
        wire_add_head(out, 7, codec_entry_size(&message->entries[i]));
        codec_add_entry(&message->entries[i], out);
    }
    buf_add(out, head, put_field(head, 8, message->commit));
    if (message->snapshot) {
        add_snapshot(message->snapshot, out);
    }
    add_tail(message, out);
}

static bool is_entry_type(uint64_t number)
{
    return number <= RAFT_ENTRY_CONF_CHANGE_V2;
}

struct err codec_parse_entry(struct slice bytes, struct raft_entry *out)
{
    struct raft_entry entry = {0};
    struct slice data = {0};
    struct wire wire;
    struct wire_field field;
    wire_init(&wire, bytes);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 4 && field.type == WIRE_BYTES) {
            data = field.bytes;
        } else if (field.number > 4) {
            continue;
        } else if (field.type != WIRE_VARINT ||
                   (field.number == 1 && !is_entry_type(field.value))) {
            return ERR(BAD_FORMAT);
        } else if (field.number == 1) {
            entry.type = (enum raft_entry_type)field.value;
        } else if (field.number == 2) {
            entry.term = field.value;
        } else {
            entry.index = field.value;
        }
    }
    entry.data = data.data ? blob_new(data) : NULL;
    *out = entry;
    return OK;
}

void codec_push_entry(
    struct raft_message *message, size_t *capacity, const struct raft_entry *entry)
{
    if (message->entries_count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : FIRST_ENTRIES;
        message->entries = mem_grow(message->entries, *capacity * sizeof(*message->entries));
    }
    message->entries[message->entries_count++] = *entry;
}

static struct err take_entry(struct raft_message *message, size_t *capacity, struct slice bytes)
{
    struct raft_entry entry;
    if (message->entries_count == CODEC_ENTRIES_MAX) {
        return ERR(TOO_BIG);
    }
    TRY(codec_parse_entry(bytes, &entry));
    codec_push_entry(message, capacity, &entry);
    return OK;
}

static struct err take_snapshot(struct raft_message *message, struct slice bytes)
{
    struct raft_snapshot_meta meta = {0};
    struct slice data = {0};
    TRY(snap_decode(bytes, &meta, &data));
    struct blob *blob = data.data ? blob_new(data) : NULL;
    raft_snapshot_unref(message->snapshot);
    message->snapshot = raft_snapshot_new(&meta, blob);
    blob_unref(blob);
    return OK;
}

static struct err take_bytes(
    struct raft_message *message, size_t *capacity, const struct wire_field *field)
{
    switch (field->number) {
    case 7:
        return take_entry(message, capacity, field->bytes);
    case 9:
        return take_snapshot(message, field->bytes);
    case 12:
        blob_unref(message->context);
        message->context = blob_new(field->bytes);
        return OK;
    default:
        return field->number < 14 ? ERR(BAD_FORMAT) : OK;
    }
}

static struct err take_type(struct raft_message *message, uint64_t number)
{
    if (number > RAFT_MSG_FORGET_LEADER) {
        return ERR(BAD_FORMAT);
    }
    message->type = (enum raft_message_type)number;
    return OK;
}

static struct err take_number(struct raft_message *message, const struct wire_field *field)
{
    uint64_t *const numbers[] = {[2] = &message->to,
        [3] = &message->from,
        [4] = &message->term,
        [5] = &message->log_term,
        [6] = &message->index,
        [8] = &message->commit,
        [11] = &message->reject_hint,
        [13] = &message->vote};
    if (field->number == 1) {
        return take_type(message, field->value);
    }
    if (field->number == 10) {
        message->reject = field->value != 0;
    } else if (field->number < COUNT_OF(numbers) && numbers[field->number]) {
        *numbers[field->number] = field->value;
    } else if (field->number < COUNT_OF(numbers)) {
        return ERR(BAD_FORMAT);
    }
    return OK;
}

static struct err take_fields(struct raft_message *message, struct slice bytes)
{
    struct wire wire;
    struct wire_field field;
    size_t capacity = 0;
    wire_init(&wire, bytes);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.type == WIRE_VARINT) {
            TRY(take_number(message, &field));
        } else if (field.type == WIRE_BYTES) {
            TRY(take_bytes(message, &capacity, &field));
        } else if (field.number < 14) {
            return ERR(BAD_FORMAT);
        }
    }
    return OK;
}

struct err codec_parse_message(struct slice bytes, struct raft_message *out)
{
    struct raft_message message = {0};
    struct err err = take_fields(&message, bytes);
    if (!err_is(err) && message.snapshot && message.type != RAFT_MSG_SNAP) {
        raft_snapshot_unref(message.snapshot);
        message.snapshot = NULL;
    }
    if (!err_is(err) && message.type == RAFT_MSG_SNAP && !message.snapshot) {
        err = ERR(BAD_FORMAT);
    }
    if (err_is(err)) {
        raft_message_fini(&message);
        return err;
    }
    *out = message;
    return OK;
}
