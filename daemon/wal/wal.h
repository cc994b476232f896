/* SPDX-License-Identifier: Apache-2.0
 *
 * The write-ahead log, byte for byte etcd's: entries, hard state and snapshot records in chained
 * segments under member/wal. What wal_append has acknowledged with must_sync survives a crash; a
 * torn tail is cut off, any other damage is refused and never repaired. A write or sync that fails
 * poisons the log: every later call that writes gives the same error, and the member has to stop (a
 * failed fsync is never retried). wal_open and wal_create: the starting thread. Everything else:
 * the wal thread.
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include "base/buf.h"
#include "base/err.h"
#include "disk/disk.h"
#include "raft/raft.h"

struct wal;

enum { WAL_SEGMENT_BYTES = 64 * 1000 * 1000, WAL_SPARE_AFTER = 1024 * 1024 };

struct wal_options {
    struct disk *disk;
    const char *dir;        /* member/wal, or --wal-dir; copied */
    uint64_t segment_bytes; /* a segment is cut once it is this long; 0: WAL_SEGMENT_BYTES */
    bool is_unsafe_no_sync; /* --unsafe-no-fsync */
};

/* Whose log it is; repeated at the head of each segment. */
struct wal_identity {
    uint64_t node_id;
    uint64_t cluster_id;
};

struct wal_snapshot {
    uint64_t index;
    uint64_t term;
    bool has_conf; /* written for every snapshot above index 0 since etcd 3.5 */
    struct raft_conf_state conf;
};

struct wal_snapshots {
    struct wal_snapshot *items; /* oldest first */
    size_t count;
};

/* What a log held when it was opened. */
struct wal_log {
    struct wal_identity identity;
    struct raft_hard_state hard; /* zeros: none was written */
    struct raft_entry
        *entries; /* after the snapshot, ascending without holes; may go beyond hard.commit */
    size_t entries_count;
    uint64_t
        torn_bytes; /* cut off the tail (0: clean); the damaged segment was kept as NAME.broken */
    uint64_t tail_offset; /* where the next record goes */
};

/* What one append cost; for etcd_disk_wal_* metrics. */
struct wal_cost {
    uint64_t bytes;
    int64_t write_ns;
    int64_t sync_ns; /* 0: nothing was synced */
};

/* Whether dir holds a segment. */
bool wal_exists(struct disk *disk, const char *dir);

/* A new log in a folder that holds none; the first segment appears atomically and synced.
 * Errors: EXISTS, LOCKED and disk's. */
MUST struct err wal_create(const struct wal_options *options, const struct wal_identity *identity,
    struct wal **out, struct why *why);

/* The snapshots that were recorded and committed, from all segments, without those that the log
 * went on as if they were not there: the newest of them that has a good file is what wal_open
 * starts from. Takes no lock, changes nothing. Errors: as wal_open. */
MUST struct err wal_snapshots_read(
    struct disk *disk, const char *dir, struct wal_snapshots *out, struct why *why);
void wal_snapshots_fini(struct wal_snapshots *snapshots);

/* Reads everything after the snapshot (index 0 term 0: from the start), locks the segments, gets
 * ready to append. Errors: ABSENT (no segment reaches back to it, or the record is missing),
 * LOCKED, BAD_CRC, BAD_FORMAT (why names file and offset), and disk's. *out_log is the caller's. */
MUST struct err wal_open(const struct wal_options *options, uint64_t index, uint64_t term,
    struct wal **out, struct wal_log *out_log, struct why *why);
/* The same, to look only: no lock, nothing repaired; a torn tail is left out and counted in
 * torn_bytes. */
MUST struct err wal_read(struct disk *disk, const char *dir, uint64_t index, uint64_t term,
    struct wal_log *out_log, struct why *why);
/* Gives back the entries' references. */
void wal_log_fini(struct wal_log *log);

/* Syncs what is not synced (unless poisoned), unlocks. NULL is fine. */
void wal_close(struct wal *wal);

struct wal_batch {
    const struct raft_hard_state *hard; /* the newest; NULL or zeros: unchanged */
    /* All that is queued; an index may step back (a truncated log). */
    const struct raft_entry *entries;
    size_t entries_count;
    bool must_sync;
};

/* Appends all of it with one write (in several, where there are many MiB) and, when asked, one
 * fdatasync; cuts the segment when it is full. A hard state alone in which only commit moved waits
 * for the next write, or the close. Borrows. out_cost may be NULL. Errors: IO, NO_DISK, poisoned
 * from then on. */
MUST struct err wal_append(
    struct wal *wal, const struct wal_batch *batch, struct wal_cost *out_cost, struct why *why);

/* Records a snapshot whose file is already synced; synced on return. conf is required above index
 * 0. */
MUST struct err wal_save_snapshot(
    struct wal *wal, const struct wal_snapshot *snapshot, struct why *why);

/* Lets go of the segments that only hold entries below index (one more is kept, as etcd does);
 * of none while the snapshot recorded last is ahead of the commit that the log holds. */
void wal_release_to(struct wal *wal, uint64_t index);
/* The sequence number of the oldest segment that is not let go of. */
uint64_t wal_held_from(const struct wal *wal);
/* Removes the oldest segments below held_from, of wal_held_from, while there are more than
 * files_max (0: keep all). May run beside everything but another of its kind and wal_close. Errors:
 * disk's; does not poison. */
MUST struct err wal_purge(
    struct wal *wal, uint64_t held_from, size_t files_max, size_t *out_removed, struct why *why);

/* A file of written zeros for the segment that comes next. Into space that is only allocated each
 * sync changes the file's map as well, and waits for the file system's journal and for whatever
 * else is on its way into it: other files' pages, trims. Into written space it waits for its own
 * bytes. Until there is one, a cut allocates. */
struct wal_spare;

/* Begins one if it is worth it now, else NULL: none is there or begun, the segment has grown
 * (by WAL_SPARE_AFTER, or a 64th of a smaller segment), the disk has room for four, syncs are
 * not off. The wal thread. Gives: to be ended before the log is closed. */
struct wal_spare *wal_spare_begin(struct wal *wal);
/* Goes on with it by a MiB; *out_is_more tells whether there is something left to do. Any one
 * thread, beside the log's. Errors: disk's; only wal_spare_end may follow. */
MUST struct err wal_spare_step(struct wal_spare *spare, bool *out_is_more, struct why *why);
/* The wal thread. Takes it over: the log moves on to it with the next append if its segment's own
 * space is not written, else when that is full. One that is not finished is removed. */
void wal_spare_end(struct wal *wal, struct wal_spare *spare);

/* raftpb.ConfState, for all who write etcd's formats; pure. */

void wal_conf_encode(const struct raft_conf_state *conf, struct buf *out);
/* Ids in any order, packed or not; ascending in *out. Errors: BAD_FORMAT. */
MUST struct err wal_conf_decode(struct slice bytes, struct raft_conf_state *out);

#endif
