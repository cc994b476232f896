/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries that are a bare v2 request: members up to 3.5 tell their attributes and the cluster
 * version that way. What a bare request has as its method is a message in ours, and no message
 * begins as a method's name does, so the two are told apart by the second field.
 *
 * Any other path belongs to the v2 keys, which this store does not have: it changes nothing, here
 * as on every member that runs this code. (A 3.6 member would end at such an entry.)
 */
#include "apply/state.h"

#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"

#include <v2.pb-c.h>

static bool is_method(struct slice bytes)
{
    static const char *const methods[] = {"PUT", "POST", "DELETE", "QGET", "SYNC"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (slice_eq(bytes, slice_str(methods[i]))) {
            return true;
        }
    }
    return false;
}

bool apply_v2_is(struct slice data)
{
    struct wire wire;
    struct wire_field field;
    uint8_t first = data.len ? data.data[0] : 0;
    if (first != (1 << 3 | WIRE_VARINT) && first != (2 << 3 | WIRE_BYTES)) {
        return false; /* both begin so, and what this release writes does not */
    }
    wire_init(&wire, data);
    while (wire_more(&wire) && !err_is(wire_next(&wire, &field)) && field.number <= 2) {
        if (field.number == 2) {
            return field.type == WIRE_BYTES && is_method(field.bytes);
        }
    }
    return false;
}

/* "/0/members/<hex id>/attributes" */
static bool parse_member_path(const char *path, uint64_t *out_id)
{
    static const char prefix[] = "/0/members/";
    char *end;
    if (strncmp(path, prefix, sizeof(prefix) - 1) != 0) {
        return false;
    }
    *out_id = strtoull(path + sizeof(prefix) - 1, &end, 16);
    return *out_id && strcmp(end, "/attributes") == 0;
}

static void put(struct member_table *table, struct backend_batch *batch,
    const Etcdserverpb__Request *request, struct arena *arena)
{
    struct member member;
    struct member_version version;
    bool is_promote;
    uint64_t id;
    if (strcmp(request->path, "/0/version") == 0 && member_version_parse(request->val, &version)) {
        member_set_cluster_version(table, request->val, batch);
    } else if (parse_member_path(request->path, &id) &&
               !err_is(member_from_json(slice_str(request->val), arena, &member, &is_promote))) {
        member_set_attributes(table, id, &member, batch);
    }
}

static MUST struct err unpack(const struct raft_entry *entry, struct arena *arena,
    Etcdserverpb__Request **out, struct why *why)
{
    struct err err =
        pb_unpack_log(&etcdserverpb__request__descriptor, arena, blob_slice(entry->data), out);
    return err_is(err) ? why_set(why, ERR(BAD_FORMAT), "entry %llu holds a malformed v2 request",
                             (unsigned long long)entry->index)
                       : OK;
}

struct err apply_v2_entry(struct member_table *table, struct backend_batch *batch,
    const struct raft_entry *entry, uint64_t *out_id, struct why *why)
{
    Etcdserverpb__Request *request;
    struct arena *arena = arena_new(0);
    struct err err = unpack(entry, arena, &request, why);
    if (!err_is(err) && strcmp(request->method, "PUT") == 0 && request->path && request->val) {
        put(table, batch, request, arena);
    }
    if (!err_is(err)) {
        *out_id = request->id;
    }
    arena_free(arena);
    return err;
}

bool apply_is_v2_write(const struct raft_entry *entry)
{
    Etcdserverpb__Request *request;
    bool is_write = false;
    if (entry->type != RAFT_ENTRY_NORMAL || !entry->data || !apply_v2_is(blob_slice(entry->data))) {
        return false;
    }
    struct arena *arena = arena_new(0);
    if (!err_is(unpack(entry, arena, &request, NULL))) {
        bool makes = strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0;
        is_write = makes && request->path && strncmp(request->path, "/0/", 3) != 0;
    }
    arena_free(arena);
    return is_write;
}
