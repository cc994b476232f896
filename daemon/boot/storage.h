/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything of a member that is not a thread or an edge: the data directory and what was read from
 * it. What comes into it from elsewhere, and leaves it as a snapshot, is in install.h.
 */
#ifndef BOOT_STORAGE_H
#define BOOT_STORAGE_H

#include "apply/apply.h"
#include "boot/found.h"
#include "config/config.h"
#include "disk/disk.h"
#include "server/server.h"
#include "snap/snap.h"
#include "wal/wal.h"

#include <pthread.h>

/* received.c: what was read of the store received last, for when it takes this one's place. */
struct storage_received {
    pthread_mutex_t turn;  /* one is read at a time: each may be large */
    pthread_mutex_t mutex; /* of the rest, and never held for long */
    char *folder;          /* where it lies; NULL: there is none */
    uint64_t index;        /* what it stands at */
    struct mvcc_reading *reading;
};

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
    struct storage_received received;
    struct snap_file snapshot; /* the newest found at start; zeros: none */
    uint64_t snapshot_index;
    struct server *server;          /* set by boot once it runs */
    void (*end_sending)(void *arg); /* of snapshots to others; NULL: none are sent */
    void *end_sending_arg;
    struct founding founding;    /* where there was no data */
    struct http_dialing dialing; /* how members are reached before the transport is there */
};

/* Fills *storage as far as it gets; storage_close in every case. Errors: whatever keeps a member
 * from starting, with why naming the file. */
MUST struct err storage_open(struct storage *storage, const struct config *config, struct why *why);
/* The same, where others may have to be asked over https. */
MUST struct err storage_open_dialing(struct storage *storage, const struct config *config,
    const struct http_dialing *dialing, struct why *why);
/* Makes the store durable first when is_clean. */
void storage_close(struct storage *storage, bool is_clean);

/* dirs.c: the folders, their permissions, the lock. */
MUST struct err storage_dirs(struct storage *storage, struct why *why);
/* Whether a folder in member/snap can be renamed to become the store. */
bool storage_can_swap(const struct storage *storage);

/* log.c: WAL and raft, new or found. */
MUST struct err storage_log(struct storage *storage, struct why *why);
/* repair.c: what to do with a member that lost data, by the number of members that are known. log
 * NULL: it was not read. */
const char *storage_repair(const struct storage *storage, const struct wal_log *log);
/* force.c: voters and learners by the newest snapshot and the log behind it. Errors: BAD_FORMAT. */
MUST struct err storage_ids(const struct storage *storage, const struct wal_log *log,
    struct raft_ids *out, struct why *why);
/* --force-new-cluster over a log that was found. */
MUST struct err storage_force_alone(struct storage *storage, struct wal_log *log, struct why *why);

/* store.c: what is at path is of that version ("3.6.0"; what is none passes). Errors: BAD_FORMAT (a
 * newer one than this member knows). */
MUST struct err storage_check_version(struct slice version, const char *path, struct why *why);
/* The same of the cluster version in a store. */
MUST struct err storage_check_cluster(struct backend *backend, const char *path, struct why *why);
/* install.c: the index in a row; *out stays where there is none. */
MUST struct err storage_read_index(
    struct storage *storage, const char *name, uint64_t *out, struct why *why);
/* RocksDB and what lives in it. The identity comes from the log. */
MUST struct err storage_store(
    struct storage *storage, const struct wal_identity *identity, struct why *why);

#endif
