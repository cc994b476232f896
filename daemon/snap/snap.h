/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots in etcd's formats: the small files under member/snap that say where the log begins, and
 * the whole store as a bbolt database, written from rows (Maintenance.Snapshot, a slow follower)
 * and read back (restore, a received one). The export needs memory for one page a tree level and
 * for the small buckets; keys stream. Any thread, one at a time a handle; saving and purging files:
 * the wal thread, in order with its records.
 */
#ifndef SNAP_SNAP_H
#define SNAP_SNAP_H

#include "backend/backend.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "disk/disk.h"
#include "raft/raft.h"

enum { SNAP_SHA_BYTES = 32, SNAP_FILE_MAX = 256 * 1024 * 1024 };

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
/* Written beside, synced, renamed, the folder synced: when it returns, the wal may record it. */
MUST struct err snap_save(struct disk *disk, const char *dir, const struct raft_snapshot_meta *meta,
    struct slice data, struct why *why);
/* The newest good file that is one of the points that the log knows; broken ones met on the way
 * become NAME.broken. Errors: ABSENT (none), disk's. */
MUST struct err snap_load(struct disk *disk, const char *dir, const struct snap_point *points,
    size_t count, struct snap_file *out, struct why *why);
/* Of all that the log in wal_dir knows; *out stays as it is when there is none. */
MUST struct err snap_load_known(struct disk *disk, const char *dir, const char *wal_dir,
    struct snap_file *out, struct why *why);
void snap_file_fini(struct snap_file *file);
/* Where a store that was received at index is kept, or a note that leads to it. Gives. */
char *snap_received_path(const char *dir, uint64_t index);
/* Removes the oldest while there are more than files_max (0: keep all), and received databases
 * below index. */
MUST struct err snap_purge(
    struct disk *disk, const char *dir, size_t files_max, uint64_t index, struct why *why);
/* At start: removes received databases, but those at the index kept (0: none), and what a crash
 * left. A folder that was etcd's keeps what etcd received. */
MUST struct err snap_sweep(struct disk *disk, const char *dir, uint64_t kept, struct why *why);

/* raftpb.Snapshot, alone (in a peer's message) and framed with its checksum (in a file). Errors:
 * BAD_FORMAT, BAD_CRC. */
void snap_encode(const struct raft_snapshot_meta *meta, struct slice data, struct buf *out);
MUST struct err snap_decode(
    struct slice bytes, struct raft_snapshot_meta *out_meta, struct slice *out_data);
MUST struct err snap_decode_file(
    struct slice bytes, struct raft_snapshot_meta *out_meta, struct slice *out_data);

/* The store as a bbolt database. */

enum snap_bucket { /* in the order of their names */
    SNAP_ALARM,
    SNAP_AUTH,
    SNAP_AUTH_ROLES,
    SNAP_AUTH_USERS,
    SNAP_CLUSTER,
    SNAP_KEY,
    SNAP_LEASE,
    SNAP_MEMBERS,
    SNAP_MEMBERS_REMOVED,
    SNAP_META,
    SNAP_BUCKETS,
};

const char *snap_bucket_name(enum snap_bucket bucket);

/* A row of the key bucket. */
struct snap_key {
    int64_t main;
    int64_t sub;
    bool is_tombstone;
    struct slice key; /* empty: a bare revision, as etcdutl's --bump-revision leaves one */
    struct slice value;
    int64_t create;
    int64_t mod;
    int64_t version;
    int64_t lease;
};

struct snap_export;
/* Makes a file in dir that has no name any more. */
MUST struct err snap_export_open(
    struct disk *disk, const char *dir, struct snap_export **out, struct why *why);
/* Writes into the caller's empty file instead, which it syncs and closes itself. */
struct snap_export *snap_export_to(struct disk_file *file);
void snap_export_close(struct snap_export *export);

/* Rows of the small buckets, in any order, each key once; copied. */
void snap_export_row(
    struct snap_export *export, enum snap_bucket bucket, struct slice key, struct slice value);
void snap_export_index(struct snap_export *export, uint64_t index, uint64_t term);
void snap_export_conf(struct snap_export *export, const struct raft_conf_state *conf);
/* rev < 0: never. */
void snap_export_compacted(struct snap_export *export, int64_t scheduled, int64_t finished);
void snap_export_storage_version(struct snap_export *export, const char *version);
void snap_export_lease(struct snap_export *export, int64_t id, int64_t ttl, int64_t remaining);
void snap_export_alarm(struct snap_export *export, uint64_t member_id, int32_t alarm);
void snap_export_auth(struct snap_export *export, bool is_enabled, uint64_t rev);
/* Leases, alarms, users, roles, compactions and the consistent index as the store's view has them;
 * view NULL: as they are now. Errors: what reading gives. */
MUST struct err snap_export_store(struct snap_export *export, struct backend *backend,
    struct backend_snapshot *view, struct why *why);
/* Members, removed members, cluster version. */
void snap_export_cluster(struct snap_export *export, const struct snap_cluster *cluster);

/* Writes the file; keys is called in the key bucket's turn and calls snap_export_key in revision
 * order. */
MUST struct err snap_export_finish(struct snap_export *export,
    struct err (*keys)(void *arg, struct snap_export *export, struct why *why), void *arg,
    struct why *why);
MUST struct err snap_export_key(
    struct snap_export *export, const struct snap_key *key, struct why *why);

/* After finish: the database's length (of rows: about what they take on the disk); its bytes in
 * order (*out_got 0 at the end); their SHA-256 once all were read. */
uint64_t snap_export_bytes(const struct snap_export *export);
MUST struct err snap_export_read(
    struct snap_export *export, void *out, size_t size, size_t *out_got, struct why *why);
void snap_export_sha256(struct snap_export *export, uint8_t out[SNAP_SHA_BYTES]);

/* The same rows for a member that keeps them as this one: they stream as they are, and only
 * snap_export_read is for it; *out_got 0 is its end. Takes over the view. */
struct snap_export *snap_export_rows(struct backend *backend, struct backend_snapshot *view);

/* The store's own files, for a member whose store can read them as they are: made in a folder of
 * its own in dir, which goes with the export. Nothing may be applied meanwhile. snap_export_bytes
 * is exact. Errors: TOO_BIG (more files than anyone takes) and disk's. */
MUST struct err snap_export_files(struct disk *disk, const char *dir, struct backend *backend,
    struct snap_export **out, struct why *why);

enum snap_form {
    SNAP_DATABASE, /* everybody's */
    SNAP_ROWS,
    SNAP_FILES,
};
enum snap_form snap_export_form(const struct snap_export *export);

/* What takes such rows in, of which each has to be one to is_row (NULL: to nobody): files in dir
 * that the store can take, and a list of them, dir/<index as 16 hex digits>.snap.db. */
struct snap_refill *snap_refill_new(struct disk *disk, const char *dir, uint64_t index,
    bool (*is_row)(struct slice key, struct slice value));
/* The next bytes, cut anywhere. Errors: BAD_FORMAT, BAD_CRC, TOO_BIG, IO, NO_DISK. */
MUST struct err snap_refill_take(struct snap_refill *refill, struct slice bytes, struct why *why);
/* Nothing more comes; with OK all is durable under its names. Errors: also TORN. */
MUST struct err snap_refill_end(struct snap_refill *refill, struct why *why);
/* removes: the files too. NULL is fine. */
void snap_refill_free(struct snap_refill *refill, bool removes);

/* What takes such files in: to a folder dir/<index>.files.<n>, each checksum looked at, and
 * dir/<index>.snap.db is a note that names it. */
struct snap_unpack;
struct snap_unpack *snap_unpack_new(
    struct disk *disk, const char *dir, const struct raft_snapshot_meta *meta);
/* The next bytes, cut anywhere. Errors: BAD_FORMAT, BAD_CRC, IO, NO_DISK. */
MUST struct err snap_unpack_take(struct snap_unpack *unpack, struct slice bytes, struct why *why);
struct snap_check { /* what rows mean is for others to judge; store NULL: nobody does */
    struct err (*store)(void *arg, struct backend *store, struct why *why);
    void *arg;
};
/* Nothing more comes; with OK the store could be opened, stands where meta says, has passed the
 * check, holds nothing of its sender's alone and is durable. Errors: also TORN and the check's. */
MUST struct err snap_unpack_end(
    struct snap_unpack *unpack, const struct snap_check *check, struct why *why);
/* removes: the files too. NULL is fine. */
void snap_unpack_free(struct snap_unpack *unpack, bool removes);
/* The folder that a received file names; NULL: it is no such note. Gives. */
char *snap_files_folder(struct disk *disk, const char *dir, uint64_t index);

struct snap_list {
    char **paths;
    size_t count;
};
/* Whether a received file is such a list and not a database. */
bool snap_is_list(struct disk *disk, const char *path);
/* Errors: BAD_FORMAT and disk's. */
MUST struct err snap_list_read(
    struct disk *disk, const char *dir, uint64_t index, struct snap_list *out, struct why *why);
void snap_list_fini(struct snap_list *list);
/* And back. */
struct snap_import;
enum snap_hash {
    SNAP_HASH_REQUIRED, /* etcdutl snapshot restore: BAD_FORMAT when there is none */
    SNAP_HASH_IF_THERE,
    SNAP_HASH_SKIPPED,
};

/* Errors: BAD_CRC (the SHA-256 behind the pages does not fit), BAD_FORMAT, TORN, disk's. */
MUST struct err snap_import_open(struct disk *disk, const char *path, enum snap_hash hash,
    struct snap_import **out, struct why *why);
void snap_import_close(struct snap_import *import);
/* Calls fn for each row in key order until it fails; a bucket that is not there has no rows. */
MUST struct err snap_import_rows(struct snap_import *import, enum snap_bucket bucket,
    struct err (*fn)(void *arg, struct slice key, struct slice value, struct why *why), void *arg,
    struct why *why);
/* How far compaction was asked for and done; -1: never. Errors: also BAD_FORMAT. */
MUST struct err snap_import_compacted(
    struct snap_import *import, int64_t *out_scheduled, int64_t *out_finished, struct why *why);
/* A row of the key bucket; slices are lent by it. Errors: BAD_FORMAT. */
MUST struct err snap_key_parse(struct slice key, struct slice value, struct snap_key *out);

#endif
