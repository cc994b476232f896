/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd's small files under member/snap that say where the log begins, and the members as the v2
 * store's JSON, which is what they hold. The databases that lie beside them are room snapshot's;
 * their names are from here, where they are removed. Any thread; two save and purge, perhaps at
 * once: back this member's own, wal a leader's, each ahead of the log's record of it.
 */
#ifndef SNAP_SNAP_H
#define SNAP_SNAP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "disk/disk.h"
#include "raft/raft.h"

enum { SNAP_FILE_MAX = 256 * 1024 * 1024 };

/* The members, as snapshots tell of them. */

struct snap_member {
    uint64_t id;
    const char *name; /* NULL or empty: has not published itself yet */
    const char *const *peer_urls;
    size_t peer_urls_count;
    const char *const *client_urls;
    size_t client_urls_count;
    bool is_learner;
};

struct snap_cluster {
    const struct snap_member *members;
    size_t members_count;
    const uint64_t *removed;
    size_t removed_count;
    const char *version;   /* "3.6.0"; NULL: not decided */
    const char *downgrade; /* the target of one that is under way, "3.5.0"; NULL: none */
    bool has_v2_keys;      /* read only: keys of the v2 API are in it too */
};

/* A member as etcd's JSON has it, in the members bucket and in configuration changes. */
void snap_member_json(const struct snap_member *member, struct buf *out);
/* The v2 store that etcd puts into every raft snapshot: the membership, with the event ring it
 * insists on. */
void snap_v2_json(const struct snap_cluster *cluster, struct buf *out);
/* Reads a v2 store, etcd's or ours: the members it tells of, everything in the arena. What else is
 * in it is passed over. Errors: BAD_FORMAT, TOO_BIG (more than 128 members). */
MUST struct err snap_v2_parse(
    struct slice json, struct arena *arena, struct snap_cluster *out, struct why *why);

/* member/snap/<term>-<index>.snap. */

struct snap_file {
    struct raft_snapshot_meta meta;
    uint8_t *data; /* the v2 store's JSON */
    size_t data_len;
};

struct snap_point {
    uint64_t index;
    uint64_t term;
};

/* Makes the room's metrics, so that all are there from the start. */
void snap_metrics_init(void);

/* Written beside, synced, renamed, the folder synced: when it returns, the wal may record it.
 * Errors: TOO_BIG (more than SNAP_FILE_MAX), disk's. */
MUST struct err snap_save(struct disk *disk, const char *dir, const struct raft_snapshot_meta *meta,
    struct slice data, struct why *why);
/* The newest good file that is one of the points that the log knows. Broken ones met on the way are
 * renamed to NAME.broken. Errors: ABSENT (none), disk's. snap_file_fini. */
MUST struct err snap_load(struct disk *disk, const char *dir, const struct snap_point *points,
    size_t count, struct snap_file *out, struct why *why);
/* Of all that the log in wal_dir knows; *out stays as it is when there is none. */
MUST struct err snap_load_known(struct disk *disk, const char *dir, const char *wal_dir,
    struct snap_file *out, struct why *why);
void snap_file_fini(struct snap_file *file);

/* At start, once the log was opened behind newest (of index 0: there was none): files above it were
 * saved, but do not count. They are renamed to NAME.void, or a purge would keep them in the place
 * of those that do. */
MUST struct err snap_set_aside(struct disk *disk, const char *dir,
    const struct raft_snapshot_meta *newest, size_t *out_count, struct why *why);

/* Where a store that was received at index is kept, or a note that leads to it. Gives. */
char *snap_received_path(const char *dir, uint64_t index);
/* Removes the oldest while there are more than files_max (0: keep all), and received databases and
 * what was set aside below index. Two may be saved that the log does not know yet: with fewer than
 * 3 the one that it does may go. */
MUST struct err snap_purge(
    struct disk *disk, const char *dir, size_t files_max, uint64_t index, struct why *why);
/* At start: removes received databases, but those at the index kept (0: none), and what a crash
 * left of others. A folder that was etcd's keeps what etcd received. */
MUST struct err snap_sweep(struct disk *disk, const char *dir, uint64_t kept, struct why *why);

/* raftpb.Snapshot, alone (in a peer's message) and framed with its checksum (in a file). Errors:
 * BAD_FORMAT, BAD_CRC. */
void snap_encode(const struct raft_snapshot_meta *meta, struct slice data, struct buf *out);
MUST struct err snap_decode(
    struct slice bytes, struct raft_snapshot_meta *out_meta, struct slice *out_data);
MUST struct err snap_decode_file(
    struct slice bytes, struct raft_snapshot_meta *out_meta, struct slice *out_data);

#endif
