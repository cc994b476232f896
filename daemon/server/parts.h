/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room call each other for.
 */
#ifndef SERVER_PARTS_H
#define SERVER_PARTS_H

#include "server/state.h"

/* waiter.c: core files, apply takes, core times out. */
bool waiter_file(struct server *server, struct server_proposal *proposal);
struct apply_result *waiter_find(void *arg, uint64_t request_id);
void waiter_done(void *arg, struct apply_result *result);
/* How etcd words that it took too long. */
struct err waiter_timeout(struct server *server, const struct server_proposal *proposal);
void waiter_expire(struct server *server, int64_t now_ms);
void waiter_fail_all(struct server *server, struct err err);
void proposal_finish(struct server *server, struct server_proposal *proposal, struct err err);

/* pump.c */
void *core_main(void *arg);
void pump_update(struct server *server);

/* persist.c */
void *wal_main(void *arg);
/* Writes the jobs' updates as one batch; false: the member has failed. */
bool persist_jobs(struct server *server, struct list *jobs);

/* applier.c */
void *apply_main(void *arg);
/* Hands the entries to apply: the thread, or at once when that is idle and they are few. Core. */
void applier_submit(struct server *server, const struct raft_entry *entries, size_t count);

/* The store is to become what the snapshot says, before all that follows. References it. Core. */
void applier_install(struct server *server, struct raft_snapshot *snapshot);

/* transport.c; core */
void transport_start(struct server *server);
void transport_send(struct server *server, struct raft_message *messages, size_t count);
/* A configuration change is in force and in the member table. */
void transport_conf(struct server *server, const struct raft_conf_change *change);
/* The member table is another. */
void transport_reset(struct server *server);
void transport_message(struct server *server, struct core_message *item);
void transport_report(struct server *server, struct core_report *report);
/* Gives raft what it could not take; drops what waited for too long. */
void transport_retry(struct server *server, int64_t now_ms);

/* install.c: on the apply thread, without the turn. False: the member has failed. */
bool install_snapshot(struct server *server, struct raft_snapshot *snapshot);

/* read.c */
void read_arrived(struct server *server, struct server_read *read);
/* Asks raft for one read index for all that came since the last. */
void read_ask(struct server *server);
void read_states(struct server *server, const struct raft_update *update);
void read_complete_applied(struct server *server);
/* Asks again what was not answered in time. Core. */
void read_retry(struct server *server, int64_t now_ms);
/* What was asked of the leader that is gone has no answer. */
void read_leader_lost(struct server *server);
void read_expire(struct server *server, int64_t now_ms, struct err err);

/* transfer.c; core */
void transfer_tick(struct server *server, int64_t now_ms);
void transfer_fail_all(struct server *server, struct err err);

/* leases.c, advance.c (before raft's); core, each tick. */
void leases_retry(struct server *server, int64_t now_ms);
void leases_fail_all(struct server *server, struct err err);
void advance_tick(struct server *server, int64_t now_ms);

/* leader.c: core, each tick and on changes. */
void leader_changed(struct server *server, struct raft_soft_state soft);
void leader_promote_leases(struct server *server);
size_t leader_revokes(size_t *batch, size_t under_way);
void leader_tick(struct server *server, int64_t now_ms);
/* A request of the member's own. message is packed now. */
void leader_propose(struct server *server, uint32_t field, const ProtobufCMessage *message);

/* Whether the log has grown enough; queues the job. Whoever has the apply turn. */
void snapshot_consider(struct server *server);
/* For what was not yet to be when the last entry was applied. Sync thread. */
void snapshot_tick(struct server *server);

/* back.c */
void *back_main(void *arg);
void *sync_main(void *arg);
/* A compaction was begun by apply: get to work. */
void back_compact(struct server *server);
void sync_wake(void *arg);
void server_metrics_init(struct server *server);
int64_t server_request_ms(const struct server *server);
/* The end, once; logs and tells the owner. */
void server_fail(struct server *server, const char *what);

#endif
