/* SPDX-License-Identifier: Apache-2.0 */
#include "server/parts.h"
#include "server/version.h"

#include "base/clock.h"
#include "base/codec.h"

enum { HEADER_FIELD = 100, FIELD_AUTH_STATUS = 1013, FIELD_DOWNGRADE_INFO_SET = 1302 };

uint64_t server_next_id(struct server *server)
{
    return atomic_fetch_add(&server->next_id, 1);
}

static size_t field_size(uint32_t field, size_t len)
{
    return varint_size((uint64_t)field << 3) + varint_size(len) + len;
}

static void add_field(uint8_t *out, uint32_t field, struct slice bytes)
{
    out += varint_put(out, (uint64_t)field << 3 | WIRE_BYTES);
    out += varint_put(out, bytes.len);
    if (bytes.len) {
        memcpy(out, bytes.data, bytes.len);
    }
}

/* InternalRaftRequest{header{ID, username, auth_revision}, field: request}: what the client packed
 * goes in as it is, unless pb_unpack_proposal packed it again. */
static struct blob *encode(const struct server_proposal *proposal)
{
    struct buf header;
    buf_init(&header, SIZE_MAX); /* it counts in what admit bounds */
    wire_add_varint_nz(&header, 1, proposal->id);
    if (proposal->username) {
        wire_add_bytes_nz(&header, 2, slice_str(proposal->username));
        wire_add_varint_nz(&header, 3, proposal->auth_revision);
    }
    size_t len = field_size(HEADER_FIELD, header.len);
    struct blob *data = blob_new_size(len + field_size(proposal->field, proposal->request.len));
    add_field(data->data, HEADER_FIELD, buf_slice(&header));
    add_field(data->data + len, proposal->field, proposal->request);
    buf_fini(&header);
    return data;
}

/* etcdserverpb.Request{ID, Method, Path, Val}, with nothing around it. */
static struct blob *encode_v2(const struct server_proposal *proposal)
{
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX);
    wire_add_varint_nz(&bytes, 1, proposal->id);
    wire_add_bytes_nz(&bytes, 2, SLICE("PUT"));
    wire_add_bytes_nz(&bytes, 3, slice_str(proposal->v2_path));
    wire_add_bytes_nz(&bytes, 4, proposal->request);
    struct blob *data = blob_new(buf_slice(&bytes));
    buf_fini(&bytes);
    return data;
}

/* etcd's ConfChange carries the request's id itself. */
static struct blob *encode_conf(const struct server_proposal *proposal)
{
    struct raft_conf_change change = *proposal->conf;
    struct buf bytes;
    change.is_v1 = true;
    change.id = proposal->id;
    buf_init(&bytes, SIZE_MAX);
    raft_conf_change_encode(&change, &bytes);
    struct blob *data = blob_new(buf_slice(&bytes));
    buf_fini(&bytes);
    return data;
}

static bool is_newer_than_3_4(const struct server_proposal *proposal)
{
    bool is_bare = proposal->conf || proposal->v2_path;
    return !is_bare &&
           (proposal->field == FIELD_AUTH_STATUS || proposal->field == FIELD_DOWNGRADE_INFO_SET);
}

static struct err admit(struct server *server, struct server_proposal *proposal)
{
    if (atomic_load(&server->is_stopping)) {
        return ERR(STOPPED);
    }
    uint64_t commit = atomic_load_explicit(&server->commit_index, memory_order_relaxed);
    if (commit > apply_index(server->options.apply) + UNAPPLIED_MAX) {
        return ERR(REQUEST_TOO_MANY_REQUESTS);
    }
    if (is_newer_than_3_4(proposal) && version_has_old_members(server)) {
        return ERR(UNSUPPORTED);
    }
    proposal->data = proposal->conf      ? encode_conf(proposal)
                     : proposal->v2_path ? encode_v2(proposal)
                                         : encode(proposal);
    if (proposal->data->len > server->options.max_request_bytes) {
        return ERR(REQUEST_TOO_LARGE);
    }
    return OK;
}

void server_propose(struct server *server, struct server_proposal *proposal)
{
    atomic_fetch_add(&server->in_flight, 1);
    proposal->id = server_next_id(server);
    proposal->type = proposal->conf ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_NORMAL;
    proposal->data = NULL;
    proposal->deadline_ms = clock_mono_ms() + server_request_ms(server);
    struct err err = admit(server, proposal);
    if (err_is(err)) {
        proposal_finish(server, proposal, err);
        return;
    }
    struct core_proposal *envelope = mem_new(sizeof(*envelope));
    envelope->item.kind = CORE_PROPOSAL;
    envelope->id = proposal->id;
    envelope->proposal = proposal;
    if (!mailbox_push(&server->core_box, &envelope->item.node)) {
        bool is_stopping = atomic_load(&server->is_stopping);
        free(envelope);
        proposal_finish(
            server, proposal, is_stopping ? ERR(STOPPED) : ERR(REQUEST_TOO_MANY_REQUESTS));
    }
}
