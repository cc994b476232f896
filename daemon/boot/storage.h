/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything of a member that is not a thread or an edge: the data directory and what is in it. */
#ifndef BOOT_STORAGE_H
#define BOOT_STORAGE_H

#include "apply/apply.h"
#include "boot/found.h"
#include "config/config.h"
#include "disk/disk.h"
#include "server/server.h"
#include "snap/snap.h"
#include "snapshot/snapshot.h"
#include "wal/wal.h"

struct storage {
    const struct config *config;
    struct disk *disk;
    struct disk_file *lock;
    int db_guard; /* etcd's own database, locked; -1: there is none, or no more */
    char *member_dir;
    char *wal_dir;
    char *snap_dir;
    char *store_dir;
    struct wal *wal;
    struct raft *raft;
    struct backend *backend;
    struct mvcc *mvcc;
    struct lease_table *leases;
    struct member_table *members;
    struct watch_hub *hub;
    struct auth_table *auth;
    struct auth_tokens *tokens;
    struct apply *apply;
    struct snap_file snapshot; /* the newest found at start; zeros: none */
    uint64_t snapshot_index;
    struct server *server;          /* set by boot once it runs */
    void (*end_sending)(void *arg); /* of snapshots to others; NULL: none are sent */
    void *end_sending_arg;
    struct founding founding;    /* where there was no data */
    struct http_dialing dialing; /* how members are reached before the transport is there */
};
/* Fills *storage as far as it gets; storage_close in every case. */
MUST struct err storage_open(struct storage *storage, const struct config *config, struct why *why);
/* Others may have to be asked. */
MUST struct err storage_open_dialing(struct storage *storage, const struct config *config,
    const struct http_dialing *dialing, struct why *why);
/* Makes the store durable first when is_clean. */
void storage_close(struct storage *storage, bool is_clean);
/* dirs.c: the folders, their permissions, the lock. */
MUST struct err storage_dirs(struct storage *storage, struct why *why);
/* Whether a folder in member/snap can be renamed to become the store. */
bool storage_can_swap(const struct storage *storage);
/* adopt.c: locks etcd's own database, if any, until it is adopted or closed. Errors: LOCKED. */
MUST struct err storage_guard(struct storage *storage, struct why *why);
void storage_unguard(struct storage *storage);
/* Makes a store of etcd's database where there is one and no store that is as good. Before the
 * store is opened. */
MUST struct err storage_adopt(struct storage *storage, const struct wal_log *log, struct why *why);
/* log.c: WAL and raft, new or found. */
MUST struct err storage_log(struct storage *storage, struct why *why);
/* force.c: --force-new-cluster. */
MUST struct err storage_force_alone(struct storage *storage, struct wal_log *log, struct why *why);
/* What a store's row "mformat" says. */
extern const char storage_format[];
/* store.c: what is at path is of that version ("3.6.0"; none passes). Errors: BAD_FORMAT (newer).
 */
MUST struct err storage_check_version(struct slice version, const char *path, struct why *why);
/* The same of the cluster version in a store. */
MUST struct err storage_check_cluster(struct backend *backend, const char *path, struct why *why);
/* RocksDB and what lives in it. */
MUST struct err storage_store(
    struct storage *storage, const struct wal_identity *identity, struct why *why);

/* snapshots.c. For server: the members as a v2 store, as of what is applied. */
struct blob *storage_snapshot_v2(void *arg);
/* The same: writes the snapshot file of the log. */
struct err storage_keep_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why);
/* For the transport, any thread but server's own: what a MsgSnap stands for, in the best form or
 * one that suits better; its snapshot becomes what the export is. */
struct err storage_snapshot_message(struct storage *storage, struct raft_message *message,
    enum snapshot_form best, struct snapshot_export **out, struct why *why);
/* What the files of this member's store and their rows mean: who says the same can take them. */
const char *storage_files_format(void);

/* received.c. For the transport: whether a store that came as files may become this member's. */
MUST struct err storage_check_received(struct storage *storage,
    const struct raft_snapshot *snapshot, struct backend *store, struct why *why);

/* install.c. For server: the store becomes what was received, and is read again. */
struct err storage_install_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why);
/* At start, before the store is read: the same, unless it is done. */
MUST struct err storage_finish_install(struct storage *storage, struct why *why);
/* For api, arg a struct storage whose server is set: a bbolt file of everything. */
struct err storage_snapshot_open(void *arg, struct snapshot_export **out, struct why *why);

#endif
