/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests say of the members, and entries taken for that alone: a store that is made of
 * another's database knows the members as of an older entry than everything else.
 */
#include "apply/state.h"

#include "base/pb.h"

static void set_attributes(struct member_table *table, struct backend_batch *batch,
    const Membershippb__ClusterMemberAttrSetRequest *request)
{
    const Membershippb__Attributes *attributes = request->member_attributes;
    if (attributes) {
        member_set_attributes(table, request->member_id,
            &(struct member){
                .name = attributes->name,
                .client_urls = (const char *const *)attributes->client_urls,
                .client_urls_count = attributes->n_client_urls,
            },
            batch);
    }
}

static void set_downgrade(struct member_table *table, struct backend_batch *batch,
    const Membershippb__DowngradeInfoSetRequest *request)
{
    struct member_downgrade downgrade = {.is_enabled = request->enabled};
    snprintf(downgrade.target, sizeof(downgrade.target), "%s", request->ver);
    member_set_downgrade(table, &downgrade, batch);
}

void apply_members_request(struct member_table *table, struct backend_batch *batch,
    const Etcdserverpb__InternalRaftRequest *request)
{
    if (request->cluster_version_set) {
        member_set_cluster_version(table, request->cluster_version_set->ver, batch);
    } else if (request->downgrade_info_set) {
        set_downgrade(table, batch, request->downgrade_info_set);
    } else if (request->cluster_member_attr_set) {
        set_attributes(table, batch, request->cluster_member_attr_set);
    }
}

struct err apply_members_entry(struct member_table *table, struct backend_batch *batch,
    const struct raft_entry *entry, struct why *why)
{
    Etcdserverpb__InternalRaftRequest *request;
    if (entry->type != RAFT_ENTRY_NORMAL) {
        return apply_members_conf(table, batch, entry, why);
    }
    if (!entry->data || entry->data->len == 0) {
        return OK;
    }
    if (apply_v2_is(blob_slice(entry->data))) {
        uint64_t id;
        return apply_v2_entry(table, batch, entry, &id, why);
    }
    struct arena *arena = arena_new(0);
    struct err err = pb_unpack_log(
        &etcdserverpb__internal_raft_request__descriptor, arena, blob_slice(entry->data), &request);
    if (err_is(err)) {
        err = why_set(why, ERR(BAD_FORMAT), "entry %llu holds a malformed request",
            (unsigned long long)entry->index);
    } else {
        apply_members_request(table, batch, request);
    }
    arena_free(arena);
    return err;
}
