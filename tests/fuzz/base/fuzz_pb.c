/* SPDX-License-Identifier: Apache-2.0
 * Messages of any bytes: refused, or stable: what they pack to unpacks and packs to the same
 * bytes. The first byte picks the message. Nesting never passes the limit. The same as requests
 * that go into the log. */
#include "base/mem.h"
#include "base/pb.h"

#include <raft_internal.pb-c.h>
#include <rpc.pb-c.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 8 << 20 };

typedef struct err (*unpack_fn)(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message);

static const struct {
    const ProtobufCMessageDescriptor *type;
    unpack_fn unpack;
} kinds[] = {
    {&etcdserverpb__txn_request__descriptor, pb_unpack},
    {&etcdserverpb__watch_request__descriptor, pb_unpack},
    {&etcdserverpb__internal_raft_request__descriptor, pb_unpack_log},
    {&etcdserverpb__range_request__descriptor, pb_unpack},
    {&etcdserverpb__watch_response__descriptor, pb_unpack},
};

/* What goes into the log is read there as it was here, and stays as it is when it comes again. */
static void propose(const ProtobufCMessageDescriptor *type, struct slice bytes)
{
    struct arena *arena = arena_new(ARENA_MAX);
    void *message = NULL;
    if (!err_is(pb_unpack_proposal(type, arena, &bytes, &message))) {
        struct arena *copies = arena_new(0);
        struct slice again = bytes;
        void *read = NULL;
        check(!err_is(pb_unpack_proposal(type, copies, &again, &read)));
        check(again.data == bytes.data && again.len == bytes.len);
        check(slice_eq(pb_pack_arena(read, copies), pb_pack_arena(message, copies)));
        arena_free(copies);
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const ProtobufCMessageDescriptor *type = kinds[data[0] % COUNT_OF(kinds)].type;
    unpack_fn unpack = kinds[data[0] % COUNT_OF(kinds)].unpack;
    struct arena *arena = arena_new(ARENA_MAX);
    void *message = NULL;
    if (!err_is(unpack(type, arena, slice_of(data + 1, size - 1), &message))) {
        struct arena *copies = arena_new(0);
        void *again = NULL;
        struct slice packed = pb_pack_arena(message, copies);
        check(!err_is(pb_unpack_log(type, copies, packed, &again)));
        check(slice_eq(pb_pack_arena(again, copies), packed));
        arena_free(copies);
    }
    arena_free(arena);
    propose(type, slice_of(data + 1, size - 1));
    return 0;
}
