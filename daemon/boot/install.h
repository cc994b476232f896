/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes into a member's storage from elsewhere, and leaves it as a snapshot: etcd's own
 * database at the first start, a leader's store, snapshots for others and for clients.
 */
#ifndef BOOT_INSTALL_H
#define BOOT_INSTALL_H

#include "boot/storage.h"
#include "snapshot/snapshot.h"

/* adopt.c: locks etcd's own database, if there is one, until it is adopted or the storage closed.
 * Errors: LOCKED. */
MUST struct err storage_guard(struct storage *storage, struct why *why);
void storage_unguard(struct storage *storage);
/* Makes a store of etcd's database where there is one and no store that is as good. Before the
 * store is opened. */
MUST struct err storage_adopt(struct storage *storage, const struct wal_log *log, struct why *why);

/* snapshots.c. For server: the members as a v2 store, as of what is applied. Gives. */
struct blob *storage_snapshot_v2(void *arg);
/* For server: writes the snapshot file of the log, with that or the leader's as it came. */
struct err storage_keep_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why);
/* For the transport: what a MsgSnap stands for, in the best form or one that suits better. Replaces
 * the message's snapshot by one that says where the export stands, with the v2 store as its data.
 * Gives *out. Any thread but server's own. Errors: also STOPPED (order->is_over). */
struct err storage_snapshot_message(struct storage *storage, struct raft_message *message,
    const struct snapshot_order *order, struct snapshot_export **out, struct why *why);
/* What the files of this member's store and their rows mean: who says the same can take them. */
const char *storage_files_format(void);
/* For api, arg a struct storage whose server is set: a bbolt file of everything. Gives *out.
 * Errors: also STOPPED (order->is_over). */
struct err storage_snapshot_open(
    void *arg, const struct snapshot_order *order, struct snapshot_export **out, struct why *why);

/* received.c. For the transport: whether a store that came as files may become this member's. What
 * is read meanwhile is kept, of the last one, where it is not much more than this member has. */
MUST struct err storage_check_received(struct storage *storage,
    const struct raft_snapshot *snapshot, struct backend *store, struct why *why);
/* What was read of the store that was received in the folder; NULL: nothing is known of it, or it
 * is another that comes (folder NULL). Gives, and forgets all else. */
struct mvcc_reading *storage_take_reading(struct storage *storage, const char *folder);
/* Once so much is applied, a store up to there takes nobody's place any more. */
void storage_forget_reading(struct storage *storage, uint64_t applied);

/* install.c. For server: the store becomes what was received, be it a database, rows or files, and
 * all that was read from it is read again. */
struct err storage_install_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why);
/* At start, before the store is read: whether the newest snapshot was received and not yet, or not
 * wholly, taken into the store; then it is now. */
MUST struct err storage_finish_install(struct storage *storage, struct why *why);

#endif
