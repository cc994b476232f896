/* SPDX-License-Identifier: Apache-2.0
 *
 * What a transaction reads from and writes to: a write transaction of mvcc, or the store at one
 * fixed revision.
 */
#ifndef APPLY_VIEW_H
#define APPLY_VIEW_H

#include "apply/apply.h"

struct view {
    struct mvcc *mvcc;
    struct mvcc_txn *txn; /* NULL: read only, at rev */
    revision rev;
    struct lease_table *leases; /* for checks of puts; NULL when read only */
    struct arena *arena;
    unsigned ranges; /* done through it */
    unsigned puts;
    unsigned deletes;
    size_t put_bytes;
};

MUST struct err view_range(
    struct view *view, const struct mvcc_range_options *options, struct mvcc_range_result *out);
/* The key's newest version without its value; false when it does not exist. */
MUST struct err view_stat(
    struct view *view, struct slice key, bool *out_exists, struct mvcc_kv *out);
/* The revision that a response made now carries. */
revision view_rev(const struct view *view);

MUST struct err view_range_request(struct view *view, const Etcdserverpb__RangeRequest *request,
    Etcdserverpb__RangeResponse **out);
MUST struct err view_check_key(const Etcdserverpb__PutRequest *request);
MUST struct err view_put(
    struct view *view, const Etcdserverpb__PutRequest *request, Etcdserverpb__PutResponse **out);
MUST struct err view_delete(struct view *view, const Etcdserverpb__DeleteRangeRequest *request,
    Etcdserverpb__DeleteRangeResponse **out);
MUST struct err view_txn(
    struct view *view, const Etcdserverpb__TxnRequest *request, Etcdserverpb__TxnResponse **out);

/* A message of the arena, initialised; NULL never (the arena of an apply has room, a read's is
 * checked before). */
void *view_new(struct arena *arena, size_t size, void (*init)(void *message));
Etcdserverpb__ResponseHeader *view_header(struct arena *arena, revision rev);
/* KeyValues for kvs, in the arena; NULL when the arena is full. */
Mvccpb__KeyValue **view_kvs(struct arena *arena, const struct mvcc_kv *kvs, size_t count);

static inline int int64_cmp(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

#define VIEW_NEW(arena, name)                                                                      \
    view_new(arena, name##__descriptor.sizeof_message, (void (*)(void *))name##__init)

#endif
