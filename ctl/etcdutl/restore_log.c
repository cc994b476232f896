/* SPDX-License-Identifier: Apache-2.0
 * The log of a cluster that begins with this snapshot: a configuration entry a member at term 1,
 * all committed, and the snapshot at their end. Every member that is restored from the same
 * snapshot writes the same. */
#include "base/codec.h"
#include "ctl/etcdutl/restore.h"
#include "snap/snap.h"
#include "wal/wal.h"

enum { ENTRY_MAX = 1024 * 1024 };

/* raftpb.ConfChange {1: id, 2: type, 3: node, 4: context}: add this node. */
static struct blob *conf_change(const struct restore *restore, const struct member *member)
{
    struct buf out;
    buf_init(&out, ENTRY_MAX);
    wire_add_varint(&out, 1, 0);
    wire_add_varint(&out, 2, 0);
    wire_add_varint(&out, 3, member->id);
    wire_add_bytes(&out, 4, member_to_json(member, restore->arena));
    struct blob *blob = blob_new(buf_slice(&out));
    buf_fini(&out);
    return blob;
}

static struct err write_entries(const struct restore *restore, struct wal *wal, struct why *why)
{
    struct raft_entry entries[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < restore->members_count; i++) {
        entries[i] = (struct raft_entry){
            .term = 1,
            .index = i + 1,
            .type = RAFT_ENTRY_CONF_CHANGE,
            .data = conf_change(restore, &restore->members[i]),
        };
    }
    struct raft_hard_state hard = {1, restore->members[0].id, restore->members_count};
    struct wal_batch batch = {&hard, entries, restore->members_count, true};
    struct err e = wal_append(wal, &batch, NULL, why);
    for (size_t i = 0; i < restore->members_count; i++) {
        blob_unref(entries[i].data);
    }
    return e;
}

static struct err save_file(
    const struct restore *restore, const struct raft_snapshot_meta *meta, struct why *why)
{
    struct buf json;
    struct snap_member *members =
        arena_zalloc(restore->arena, restore->members_count * sizeof(*members));
    for (size_t i = 0; i < restore->members_count; i++) {
        members[i] = (struct snap_member){
            .id = restore->members[i].id,
            .name = restore->members[i].name,
            .peer_urls = restore->members[i].peer_urls,
            .peer_urls_count = restore->members[i].peer_urls_count,
        };
    }
    struct snap_cluster cluster = {.members = members, .members_count = restore->members_count};
    buf_init(&json, SNAP_FILE_MAX);
    snap_v2_json(&cluster, &json);
    struct err e = snap_save(disk_real(), restore->snap_dir, meta, buf_slice(&json), why);
    buf_fini(&json);
    return e;
}

static struct err write_log(const struct restore *restore, const char *dir, struct why *why)
{
    struct wal *wal;
    struct wal_options options = {.disk = disk_real(), .dir = dir};
    struct wal_identity identity = {restore->member_id, restore->cluster_id};
    struct raft_snapshot_meta meta = {.index = restore->members_count, .term = 1};
    for (size_t i = 0; i < restore->members_count; i++) {
        meta.conf.voters.ids[meta.conf.voters.count++] = restore->members[i].id;
    }
    struct wal_snapshot snapshot = {meta.index, meta.term, true, meta.conf};
    TRY(wal_create(&options, &identity, &wal, why));
    struct err e = write_entries(restore, wal, why);
    if (!err_is(e)) {
        e = save_file(restore, &meta, why);
    }
    if (!err_is(e)) {
        e = wal_save_snapshot(wal, &snapshot, why);
    }
    wal_close(wal);
    return e;
}

/* The log takes its name when all else is durable: a store without one is refused at start, half a
 * log would be taken for a whole one. */
struct err restore_log(const struct restore *restore, struct why *why)
{
    struct disk *disk = disk_real();
    const char *fresh = arena_printf(restore->arena, "%s.restoring", restore->wal_dir);
    TRY(disk_remove_all(disk, fresh, why));
    struct err err = write_log(restore, fresh, why);
    if (!err_is(err)) {
        err = disk_sync_parent(disk, restore->store_dir, why);
    }
    if (!err_is(err)) {
        err = disk_rename(disk, fresh, restore->wal_dir, why);
    }
    if (err_is(err)) {
        struct err removed = disk_remove_all(disk, fresh, NULL);
        (void)removed; /* the next restore does it */
        return err;
    }
    return disk_sync_parent(disk, restore->wal_dir, why);
}
