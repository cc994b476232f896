/* SPDX-License-Identifier: Apache-2.0 */
#include "api/state.h"

#include "base/codec.h"

void api_fill_header(struct api *api, Etcdserverpb__ResponseHeader *header)
{
    header->cluster_id = api->cluster_id;
    header->member_id = api->member_id;
    header->raft_term = server_term(api->server);
    if (header->revision == 0) {
        header->revision = mvcc_revision(api->mvcc);
    }
}

void *api_new(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    void *message = arena_alloc(arena, type->sizeof_message);
    check(message); /* small; the arena's limit is for what clients send and ask for */
    type->message_init(message);
    return message;
}

Etcdserverpb__ResponseHeader *api_new_header(struct api *api, struct arena *arena)
{
    Etcdserverpb__ResponseHeader *header =
        api_new(arena, &etcdserverpb__response_header__descriptor);
    api_fill_header(api, header);
    return header;
}

void api_add_header(struct api *api, struct buf *out, revision rev)
{
    struct buf header;
    buf_init(&header, 64);
    wire_add_varint_nz(&header, 1, api->cluster_id);
    wire_add_varint_nz(&header, 2, api->member_id);
    wire_add_varint_nz(&header, 3, (uint64_t)rev);
    wire_add_varint_nz(&header, 4, server_term(api->server));
    wire_add_bytes(out, 1, buf_slice(&header));
    buf_fini(&header);
}
