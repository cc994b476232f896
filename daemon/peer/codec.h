/* SPDX-License-Identifier: Apache-2.0
 *
 * raftpb.Message to and from raft's own struct. Pure.
 */
#ifndef PEER_CODEC_H
#define PEER_CODEC_H

#include "base/buf.h"
#include "raft/raft.h"

/* More than an append of many tiny entries has (etcd fills 1 MiB, an entry takes 6 bytes and more):
 * two bytes of the wire cost thirty of memory. */
enum { CODEC_ENTRIES_MAX = 256 << 10 };

/* Bytes that the encoder writes. */
size_t codec_entry_size(const struct raft_entry *entry);
size_t codec_message_size(const struct raft_message *message);

/* Appends. */
void codec_add_entry(const struct raft_entry *entry, struct buf *out);
void codec_add_message(const struct raft_message *message, struct buf *out);

/* *out owns what it holds. Takes memory in proportion to the bytes that are there. Errors:
 * BAD_FORMAT, TOO_BIG (entries). */
MUST struct err codec_parse_entry(struct slice bytes, struct raft_entry *out);
MUST struct err codec_parse_message(struct slice bytes, struct raft_message *out);

/* Adds a parsed entry to the message's array, of which *capacity are there; takes it over. */
void codec_push_entry(
    struct raft_message *message, size_t *capacity, const struct raft_entry *entry);

/* What streams carry when there is nothing to say. */
static inline bool codec_is_link_heartbeat(const struct raft_message *message)
{
    return message->type == RAFT_MSG_HEARTBEAT && message->from == 0 && message->to == 0;
}

#endif
