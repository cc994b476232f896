/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a conf change entry, as etcd has them (protobuf, scalars written even when zero):
 *
 *   v1  1: id  2: change type  3: node id  4: context
 *   v2  1: transition  2: (1: change type  2: node id), any number  3: context
 *
 * No bytes at all are a v2 change that leaves the joint configuration.
 */
#include "base/codec.h"
#include "raft/raft.h"

static struct err take_type(uint64_t value, enum raft_conf_change_type *out)
{
    if (value > RAFT_ADD_LEARNER_NODE) {
        return ERR(BAD_FORMAT);
    }
    *out = (enum raft_conf_change_type)value;
    return OK;
}

static struct err decode_v1(struct slice data, struct raft_conf_change *out)
{
    struct wire wire;
    struct wire_field field;
    out->is_v1 = true;
    out->changes_count = 1;
    wire_init(&wire, data);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.number == 4 && field.type == WIRE_BYTES) {
            out->context = field.bytes;
        } else if (field.type != WIRE_VARINT) {
            continue;
        } else if (field.number == 1) {
            out->id = field.value;
        } else if (field.number == 2) {
            TRY(take_type(field.value, &out->changes[0].type));
        } else if (field.number == 3) {
            out->changes[0].node_id = field.value;
        }
    }
    return OK;
}

static struct err decode_single(struct slice data, struct raft_conf_change_single *out)
{
    struct wire wire;
    struct wire_field field;
    wire_init(&wire, data);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.type == WIRE_VARINT && field.number == 1) {
            TRY(take_type(field.value, &out->type));
        } else if (field.type == WIRE_VARINT && field.number == 2) {
            out->node_id = field.value;
        }
    }
    return OK;
}

static struct err take_v2_field(const struct wire_field *field, struct raft_conf_change *out)
{
    if (field->number == 1 && field->type == WIRE_VARINT) {
        if (field->value > RAFT_TRANSITION_JOINT_EXPLICIT) {
            return ERR(BAD_FORMAT);
        }
        out->transition = (enum raft_transition)field->value;
    } else if (field->number == 2 && field->type == WIRE_BYTES) {
        if (out->changes_count == RAFT_MEMBERS_MAX) {
            return ERR(TOO_BIG);
        }
        TRY(decode_single(field->bytes, &out->changes[out->changes_count]));
        out->changes_count++;
    } else if (field->number == 3 && field->type == WIRE_BYTES) {
        out->context = field->bytes;
    }
    return OK;
}

static struct err decode_v2(struct slice data, struct raft_conf_change *out)
{
    struct wire wire;
    struct wire_field field;
    wire_init(&wire, data);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        TRY(take_v2_field(&field, out));
    }
    return OK;
}

struct err raft_conf_change_decode(
    enum raft_entry_type type, struct slice data, struct raft_conf_change *out)
{
    struct raft_conf_change change = {0};
    if (type == RAFT_ENTRY_CONF_CHANGE) {
        TRY(decode_v1(data, &change));
    } else if (type == RAFT_ENTRY_CONF_CHANGE_V2) {
        TRY(decode_v2(data, &change));
    } else {
        return ERR(BAD_FORMAT);
    }
    *out = change;
    return OK;
}

static void encode_v1(const struct raft_conf_change *change, struct buf *out)
{
    wire_add_varint(out, 1, change->id);
    wire_add_varint(out, 2, change->changes[0].type);
    wire_add_varint(out, 3, change->changes[0].node_id);
    if (change->context.data) {
        wire_add_bytes(out, 4, change->context);
    }
}

void raft_conf_change_encode(const struct raft_conf_change *change, struct buf *out)
{
    if (change->is_v1) {
        encode_v1(change, out);
        return;
    }
    wire_add_varint(out, 1, change->transition);
    for (size_t i = 0; i < change->changes_count; i++) {
        const struct raft_conf_change_single *single = &change->changes[i];
        wire_add_head(out, 2, 2 + varint_size(single->type) + varint_size(single->node_id));
        wire_add_varint(out, 1, single->type);
        wire_add_varint(out, 2, single->node_id);
    }
    if (change->context.data) {
        wire_add_bytes(out, 3, change->context);
    }
}
