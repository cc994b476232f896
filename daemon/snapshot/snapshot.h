/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole store as etcd's database, bbolt, written from rows (Maintenance.Snapshot, a slow
 * follower) and read back (restore, a received one); and between members of this kind as the rows
 * or the files that the store consists of. The export needs memory for one page a tree level and
 * for the small buckets; keys stream. Any thread, one at a time a handle. What is given is paths of
 * member/snap, whose names are snap's.
 */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include "backend/backend.h"
#include "base/err.h"
#include "base/slice.h"
#include "disk/disk.h"
#include "raft/raft.h"

struct snap_cluster; /* snap's */

enum { SNAPSHOT_SHA_BYTES = 32 };

/* The store as a bbolt database. */

enum snapshot_bucket { /* in the order of their names */
    SNAPSHOT_ALARM,
    SNAPSHOT_AUTH,
    SNAPSHOT_AUTH_ROLES,
    SNAPSHOT_AUTH_USERS,
    SNAPSHOT_CLUSTER,
    SNAPSHOT_KEY,
    SNAPSHOT_LEASE,
    SNAPSHOT_MEMBERS,
    SNAPSHOT_MEMBERS_REMOVED,
    SNAPSHOT_META,
    SNAPSHOT_BUCKETS,
};

const char *snapshot_bucket_name(enum snapshot_bucket bucket);

/* A row of the key bucket. */
struct snapshot_key {
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

struct snapshot_export;

/* Makes a file in dir that has no name any more. */
MUST struct err snapshot_export_open(
    struct disk *disk, const char *dir, struct snapshot_export **out, struct why *why);
/* Writes into the caller's empty file instead, which it syncs and closes itself. */
struct snapshot_export *snapshot_export_to(struct disk_file *file);
void snapshot_export_close(struct snapshot_export *export);

/* Rows of the small buckets, in any order, each key once; copied. */
void snapshot_export_row(struct snapshot_export *export, enum snapshot_bucket bucket,
    struct slice key, struct slice value);
void snapshot_export_index(struct snapshot_export *export, uint64_t index, uint64_t term);
void snapshot_export_conf(struct snapshot_export *export, const struct raft_conf_state *conf);
/* rev < 0: never. */
void snapshot_export_compacted(struct snapshot_export *export, int64_t scheduled, int64_t finished);
void snapshot_export_storage_version(struct snapshot_export *export, const char *version);
/* Both in seconds. */
void snapshot_export_lease(
    struct snapshot_export *export, int64_t id, int64_t ttl, int64_t remaining);
void snapshot_export_alarm(struct snapshot_export *export, uint64_t member_id, int32_t alarm);
void snapshot_export_auth(struct snapshot_export *export, bool is_enabled, uint64_t rev);
/* Leases, alarms, users, roles, compactions and the consistent index as the store's view has them;
 * view NULL: as they are now. Errors: what reading gives. */
MUST struct err snapshot_export_store(struct snapshot_export *export, struct backend *backend,
    struct backend_snapshot *view, struct why *why);
/* Members, removed members, cluster version. */
void snapshot_export_cluster(struct snapshot_export *export, const struct snap_cluster *cluster);

/* Writes the file; keys is called in the key bucket's turn and calls snapshot_export_key in
 * revision order. */
MUST struct err snapshot_export_finish(struct snapshot_export *export,
    struct err (*keys)(void *arg, struct snapshot_export *export, struct why *why), void *arg,
    struct why *why);
/* Errors: TOO_BIG, NO_DISK (the member would not have enough left) and disk's. */
MUST struct err snapshot_export_key(
    struct snapshot_export *export, const struct snapshot_key *key, struct why *why);

/* After finish: the database's length (of rows: about what they take on the disk); its bytes in
 * order (*out_got 0 at the end); their SHA-256 once all were read. */
uint64_t snapshot_export_bytes(const struct snapshot_export *export);
MUST struct err snapshot_export_read(
    struct snapshot_export *export, void *out, size_t size, size_t *out_got, struct why *why);
void snapshot_export_sha256(struct snapshot_export *export, uint8_t out[SNAPSHOT_SHA_BYTES]);

/* The same rows for a member that keeps them as this one: no database is made, they stream as they
 * are, and only snapshot_export_read is for it; *out_got 0 is its end. Takes over the view. */
struct snapshot_export *snapshot_export_rows(
    struct backend *backend, struct backend_snapshot *view);

/* The store's own files, for a member whose store can read them as they are (the same
 * backend_files_format and meaning of rows): made in a folder of its own in dir, which goes with
 * the export. Nothing may be applied meanwhile. snapshot_export_bytes is exact. Errors: TOO_BIG
 * (more files than anyone takes) and disk's. */
MUST struct err snapshot_export_files(struct disk *disk, const char *dir, struct backend *backend,
    struct snapshot_export **out, struct why *why);

enum snapshot_form {
    SNAPSHOT_DATABASE, /* everybody's */
    SNAPSHOT_ROWS,
    SNAPSHOT_FILES,
};

enum snapshot_form snapshot_export_form(const struct snapshot_export *export);

/* What an export is asked for by whoever waits for it. */
struct snapshot_order {
    enum snapshot_form best;
    bool (*is_over)(void *arg); /* nobody waits any more; NULL: somebody does */
    void *arg;
};

/* What takes such rows in: files in dir that the store can take as they are, and a list of them,
 * dir/<index as 16 hex digits>.snap.db. */
struct snapshot_refill;

/* Each row has to be one to is_row; NULL: nobody asks. */
struct snapshot_refill *snapshot_refill_new(struct disk *disk, const char *dir, uint64_t index,
    bool (*is_row)(struct slice key, struct slice value));
/* The next bytes, cut anywhere. Errors: BAD_FORMAT, BAD_CRC, TOO_BIG, IO, NO_DISK. */
MUST struct err snapshot_refill_take(
    struct snapshot_refill *refill, struct slice bytes, struct why *why);
/* Nothing more comes; with OK all is durable under its names. Errors: also TORN. */
MUST struct err snapshot_refill_end(struct snapshot_refill *refill, struct why *why);
/* removes: the files too. NULL is fine. */
void snapshot_refill_free(struct snapshot_refill *refill, bool removes);

struct snapshot_list {
    char **paths;
    size_t count;
};

/* Whether a received file is such a list and not a database. */
bool snapshot_is_list(struct disk *disk, const char *path);
/* Errors: BAD_FORMAT and disk's. */
MUST struct err snapshot_list_read(
    struct disk *disk, const char *dir, uint64_t index, struct snapshot_list *out, struct why *why);
void snapshot_list_fini(struct snapshot_list *list);

/* What takes such files in: they come to lie in a folder dir/<index>.files.<n>, a whole store, each
 * of its checksums looked at, and dir/<index>.snap.db is a note that names the folder. */
struct snapshot_unpack;

/* What rows mean is for others to judge. store NULL: nobody does. */
struct snapshot_check {
    struct err (*store)(void *arg, struct backend *store, struct why *why);
    void *arg;
};

struct snapshot_unpack *snapshot_unpack_new(
    struct disk *disk, const char *dir, const struct raft_snapshot_meta *meta);
/* The next bytes, cut anywhere. Errors: BAD_FORMAT, BAD_CRC, IO, NO_DISK. */
MUST struct err snapshot_unpack_take(
    struct snapshot_unpack *unpack, struct slice bytes, struct why *why);
/* Nothing more comes; with OK the store could be opened, stands where meta says, has passed the
 * check, has nothing in it that was its sender's alone, and is durable under its name. Errors: also
 * TORN and the check's. */
MUST struct err snapshot_unpack_end(
    struct snapshot_unpack *unpack, const struct snapshot_check *check, struct why *why);
/* removes: the files too. NULL is fine. */
void snapshot_unpack_free(struct snapshot_unpack *unpack, bool removes);
/* The folder that a received file names; NULL: it is no such note. Gives. */
char *snapshot_files_folder(struct disk *disk, const char *dir, uint64_t index);
/* Whether a folder looks like a whole store; nothing in it is read. */
bool snapshot_is_store(struct disk *disk, const char *folder);

/* And back. */

struct snapshot_import;

enum snapshot_hash {
    SNAPSHOT_HASH_REQUIRED, /* etcdutl snapshot restore: BAD_FORMAT when there is none */
    SNAPSHOT_HASH_IF_THERE,
    SNAPSHOT_HASH_SKIPPED,
};

/* Errors: BAD_CRC (the SHA-256 behind the pages does not fit), BAD_FORMAT, TORN, disk's. */
MUST struct err snapshot_import_open(struct disk *disk, const char *path, enum snapshot_hash hash,
    struct snapshot_import **out, struct why *why);
void snapshot_import_close(struct snapshot_import *import);
/* Calls fn for each row in key order until it fails; a bucket that is not there has no rows. */
MUST struct err snapshot_import_rows(struct snapshot_import *import, enum snapshot_bucket bucket,
    struct err (*fn)(void *arg, struct slice key, struct slice value, struct why *why), void *arg,
    struct why *why);
/* How far compaction was asked for and done; -1: never. Errors: also BAD_FORMAT. */
MUST struct err snapshot_import_compacted(
    struct snapshot_import *import, int64_t *out_scheduled, int64_t *out_finished, struct why *why);
/* A row of the key bucket; slices are lent by it. Errors: BAD_FORMAT. */
MUST struct err snapshot_key_parse(struct slice key, struct slice value, struct snapshot_key *out);

#endif
