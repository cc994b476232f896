/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame:
 *   u64 little-endian   low 56 bits: record bytes; top byte: 0, or 0x80 | pad when pad bytes (1 to
 * 7) follow the record record              protobuf walpb.Record: type (1, varint), crc (2,
 * varint), data (3, bytes; left out when none) pad zeros           so that the next length field is
 * 8-byte aligned and never torn by a sector crc is CRC-32C, running over the data of every record
 * since the segment's crc record, which carries the value on from the segment before. data by type:
 * metadata {1: node id, 2: cluster id}; entry raftpb.Entry {1: type, 2: term, 3: index, 4: data};
 * state raftpb.HardState {1: term, 2: vote, 3: commit}; snapshot walpb.Snapshot {1: index, 2: term,
 * 3: raftpb.ConfState {1: voters, 2: learners, 3: outgoing, 4: learners next (each unpacked), 5:
 * auto leave}}. Zero numbers are written, as gogoproto does for non-nullable fields.
 */
#include "wal/record.h"

#include "base/codec.h"
#include "base/crc32c.h"

enum { HEAD_MAX = 48, CONF_MAX = 4 * RAFT_MEMBERS_MAX * 11 + 64 };

struct err frame_head(uint64_t field, uint64_t *out_bytes, uint64_t *out_pad)
{
    uint64_t top = field >> 56;
    uint64_t bytes = field & ((UINT64_C(1) << 56) - 1);
    uint64_t pad = top & 7;
    if ((top && top != (0x80 | pad)) || (top && !pad) || (bytes + pad) % 8 || !bytes) {
        return ERR(BAD_FORMAT);
    }
    *out_bytes = bytes;
    *out_pad = pad;
    return OK;
}

/* data in two parts, so that an entry's bytes are copied once. */
static void add_record(
    struct buf *out, uint32_t *crc, enum record_type type, struct slice head, struct slice tail)
{
    static const uint8_t zeros[8];
    size_t len = head.len + tail.len;
    *crc = crc32c(crc32c(*crc, head), tail);
    size_t bytes = 2 + 1 + varint_size(*crc) + (len ? 1 + varint_size(len) + len : 0);
    size_t pad = (8 - bytes % 8) % 8;
    uint8_t field[FRAME_HEAD];
    put_le64(field, bytes | (uint64_t)(pad ? 0x80 | pad : 0) << 56);
    if (!buf_reserve(out, FRAME_HEAD + bytes + pad)) {
        return;
    }
    buf_add(out, field, sizeof(field));
    wire_add_varint(out, 1, type);
    wire_add_varint(out, 2, *crc);
    if (len) {
        wire_add_head(out, 3, len);
        buf_add_slice(out, head);
        buf_add_slice(out, tail);
    }
    buf_add(out, zeros, pad);
}

void record_add_crc(struct buf *out, uint32_t crc)
{
    add_record(out, &crc, RECORD_CRC, (struct slice){0}, (struct slice){0});
}

static size_t put_field(uint8_t *out, uint32_t field, uint64_t number)
{
    out[0] = (uint8_t)(field << 3);
    return 1 + varint_put(out + 1, number);
}

void record_add_identity(struct buf *out, uint32_t *crc, const struct wal_identity *identity)
{
    uint8_t head[HEAD_MAX];
    size_t len = put_field(head, 1, identity->node_id);
    len += put_field(head + len, 2, identity->cluster_id);
    add_record(out, crc, RECORD_METADATA, slice_of(head, len), (struct slice){0});
}

void record_add_entry(struct buf *out, uint32_t *crc, const struct raft_entry *entry)
{
    uint8_t head[HEAD_MAX];
    struct slice data = blob_slice(entry->data);
    size_t len = put_field(head, 1, entry->type);
    len += put_field(head + len, 2, entry->term);
    len += put_field(head + len, 3, entry->index);
    if (entry->data) {
        head[len++] = 4 << 3 | WIRE_BYTES;
        len += varint_put(head + len, data.len);
    }
    add_record(out, crc, RECORD_ENTRY, slice_of(head, len), data);
}

void record_add_state(struct buf *out, uint32_t *crc, const struct raft_hard_state *hard)
{
    uint8_t head[HEAD_MAX];
    size_t len = put_field(head, 1, hard->term);
    len += put_field(head + len, 2, hard->vote);
    len += put_field(head + len, 3, hard->commit);
    add_record(out, crc, RECORD_STATE, slice_of(head, len), (struct slice){0});
}

static void add_ids(struct buf *out, uint32_t field, const struct raft_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        wire_add_varint(out, field, ids->ids[i]);
    }
}

void wal_conf_encode(const struct raft_conf_state *conf, struct buf *out)
{
    add_ids(out, 1, &conf->voters);
    add_ids(out, 2, &conf->learners);
    add_ids(out, 3, &conf->voters_outgoing);
    add_ids(out, 4, &conf->learners_next);
    wire_add_varint(out, 5, conf->auto_leave);
}

void record_add_snapshot(struct buf *out, uint32_t *crc, const struct wal_snapshot *snapshot)
{
    struct buf head;
    struct buf conf;
    buf_init(&head, HEAD_MAX);
    buf_init(&conf, CONF_MAX);
    wire_add_varint(&head, 1, snapshot->index);
    wire_add_varint(&head, 2, snapshot->term);
    if (snapshot->has_conf) {
        wal_conf_encode(&snapshot->conf, &conf);
        wire_add_head(&head, 3, conf.len);
    }
    check(!head.is_full && !conf.is_full);
    add_record(out, crc, RECORD_SNAPSHOT, buf_slice(&head), buf_slice(&conf));
    buf_fini(&head);
    buf_fini(&conf);
}

/* Fields in any order, each of the kind that types names by number (index 0: field 1); the last of
 * a kind counts. */
static struct err parse_fields(
    struct slice bytes, const enum wire_type *types, size_t count, struct wire_field *out)
{
    struct wire wire;
    struct wire_field field;
    memset(out, 0, count * sizeof(*out));
    wire_init(&wire, bytes);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number > count || field.type != types[field.number - 1]) {
            return ERR(BAD_FORMAT);
        }
        out[field.number - 1] = field;
    }
    return OK;
}

struct err record_parse(struct slice bytes, struct record *out)
{
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_VARINT, WIRE_BYTES};
    struct wire_field fields[3];
    TRY(parse_fields(bytes, types, 3, fields));
    uint64_t type = fields[0].value;
    if (type < RECORD_METADATA || type > RECORD_SNAPSHOT || fields[1].value > UINT32_MAX) {
        return ERR(BAD_FORMAT);
    }
    *out = (struct record){
        .type = (enum record_type)type,
        .crc = (uint32_t)fields[1].value,
        .data = fields[2].bytes,
    };
    return OK;
}

struct err record_identity(struct slice data, struct wal_identity *out)
{
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_VARINT};
    struct wire_field fields[2];
    TRY(parse_fields(data, types, 2, fields));
    *out = (struct wal_identity){.node_id = fields[0].value, .cluster_id = fields[1].value};
    return OK;
}

static struct err parse_entry(struct slice data, struct wire_field fields[4])
{
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_VARINT, WIRE_VARINT, WIRE_BYTES};
    TRY(parse_fields(data, types, 4, fields));
    bool is_good = fields[0].value <= RAFT_ENTRY_CONF_CHANGE_V2 && fields[2].value &&
                   fields[3].bytes.len <= UINT32_MAX;
    return is_good ? OK : ERR(BAD_FORMAT);
}

struct err record_entry(struct slice data, struct raft_entry *out)
{
    struct wire_field fields[4];
    TRY(parse_entry(data, fields));
    bool has_data = fields[3].number != 0;
    *out = (struct raft_entry){
        .type = (enum raft_entry_type)fields[0].value,
        .term = fields[1].value,
        .index = fields[2].value,
        .data = has_data ? blob_new(fields[3].bytes) : NULL,
    };
    return OK;
}

struct err record_entry_index(struct slice data, uint64_t *out)
{
    struct wire_field fields[4];
    TRY(parse_entry(data, fields));
    *out = fields[2].value;
    return OK;
}

struct err record_state(struct slice data, struct raft_hard_state *out)
{
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_VARINT, WIRE_VARINT};
    struct wire_field fields[3];
    TRY(parse_fields(data, types, 3, fields));
    *out = (struct raft_hard_state){
        .term = fields[0].value,
        .vote = fields[1].value,
        .commit = fields[2].value,
    };
    return OK;
}

/* Keeps them ascending, as raft's sets are. */
static struct err add_id(struct raft_ids *ids, uint64_t id)
{
    size_t at = ids->count;
    if (at == RAFT_MEMBERS_MAX) {
        return ERR(BAD_FORMAT);
    }
    while (at && ids->ids[at - 1] > id) {
        ids->ids[at] = ids->ids[at - 1];
        at--;
    }
    ids->ids[at] = id;
    ids->count++;
    return OK;
}

static struct err parse_ids(struct raft_ids *ids, const struct wire_field *field)
{
    struct wire wire;
    uint64_t id;
    if (field->type == WIRE_VARINT) {
        return add_id(ids, field->value);
    }
    if (field->type != WIRE_BYTES) {
        return ERR(BAD_FORMAT);
    }
    wire_init(&wire, field->bytes);
    while (wire_more(&wire)) {
        TRY(varint_take(&wire, &id));
        TRY(add_id(ids, id));
    }
    return OK;
}

static struct err parse_conf(struct slice bytes, struct raft_conf_state *conf)
{
    struct wire wire;
    struct wire_field field;
    struct raft_ids *sets[] = {
        &conf->voters, &conf->learners, &conf->voters_outgoing, &conf->learners_next};
    wire_init(&wire, bytes);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number <= 4) {
            TRY(parse_ids(sets[field.number - 1], &field));
        } else if (field.number == 5 && field.type == WIRE_VARINT) {
            conf->auto_leave = field.value != 0;
        } else {
            return ERR(BAD_FORMAT);
        }
    }
    return OK;
}

struct err wal_conf_decode(struct slice bytes, struct raft_conf_state *out)
{
    struct raft_conf_state conf = {0};
    TRY(parse_conf(bytes, &conf));
    *out = conf;
    return OK;
}

struct err record_snapshot(struct slice data, struct wal_snapshot *out)
{
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_VARINT, WIRE_BYTES};
    struct wire_field fields[3];
    struct wal_snapshot snapshot = {0};
    TRY(parse_fields(data, types, 3, fields));
    snapshot.index = fields[0].value;
    snapshot.term = fields[1].value;
    snapshot.has_conf = fields[2].number != 0;
    TRY(parse_conf(fields[2].bytes, &snapshot.conf));
    *out = snapshot;
    return OK;
}
