/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases: grant, renew, expire, revoke, and which keys hang on which lease. Time is given. What
 * must survive goes into the caller's batch (rows "mlease/" be64(id) -> leasepb.Lease).
 *
 * Threads: what takes a batch, and lease_change, on the apply thread; the rest on any thread. One
 * mutex inside.
 */
#ifndef LEASE_LEASE_H
#define LEASE_LEASE_H

#include "backend/backend.h"
#include "base/arena.h"

/* Seconds; etcd refuses longer ones. */
#define LEASE_TTL_MAX ((int64_t)9000000000)

struct lease_table;

/* ttl_min_s: shorter grants are raised to it, those of the store too (etcd: one and a half election
 * timeouts, rounded up to seconds). */
struct lease_table *lease_table_new(int64_t ttl_min_s);
void lease_table_free(struct lease_table *table);
/* Reads the rows, forgetting what the table held; keys are attached afterwards with lease_change.
 * Errors: IO, BAD_FORMAT. */
MUST struct err lease_load(struct lease_table *table, struct backend *backend, struct why *why);

/* A row of the bucket "lease" of etcd's database, as a row of the store. Errors: BAD_FORMAT. */
MUST struct err lease_import_row(struct slice key, struct slice value, struct backend_batch *batch);

/* Errors: LEASE_NOT_FOUND (id 0), LEASE_TTL_TOO_LARGE, LEASE_EXIST. *out_ttl: what was granted, in
 * seconds. */
MUST struct err lease_grant(struct lease_table *table, int64_t id, int64_t ttl_s,
    struct backend_batch *batch, int64_t *out_ttl_s);
/* Forgets the lease; its keys, in ascending order, are the caller's to delete: blobs in arena-held
 * references. Errors: LEASE_NOT_FOUND. */
MUST struct err lease_revoke(struct lease_table *table, int64_t id, struct backend_batch *batch,
    struct arena *arena, struct blob ***out_keys, size_t *out_count);
/* Remembers what remains of a lease, for the next promotion; 0: its whole time, which it has from
 * now where leases run, if it had less. Unknown ids are passed over. */
void lease_checkpoint(
    struct lease_table *table, int64_t id, int64_t remaining_s, struct backend_batch *batch);
/* The key moved from one lease to another (0: none). */
void lease_change(struct lease_table *table, struct blob *key, int64_t old_id, int64_t new_id);

bool lease_exists(struct lease_table *table, int64_t id);
size_t lease_count(struct lease_table *table);

/* The leader's part; now_ms is monotonic. */

/* Leases run from now: each gets what remained of it, at least, plus extend_ms. A thousand and more
 * are spread, as etcd does it, so that no second has more than three quarters of a thousand of
 * them end. */
void lease_promote(struct lease_table *table, int64_t now_ms, int64_t extend_ms);
/* Nothing expires any more. */
void lease_demote(struct lease_table *table);
/* The time that grants start from; call with each tick
 * and before a grant. */
void lease_set_now(struct lease_table *table, int64_t now_ms);
/* Errors: NOT_LEADER, LEASE_NOT_FOUND (also when expired and waiting to be revoked), AGAIN: nothing
 * was renewed, as the next leader would go by a checkpoint that says less; one of 0 has to be
 * applied first. *out_ttl in seconds. */
MUST struct err lease_renew(
    struct lease_table *table, int64_t id, int64_t now_ms, int64_t *out_ttl_s);
/* Up to max ids that have expired; each is given again only retry_ms later, if it was not revoked
 * by then. */
size_t lease_expired(
    struct lease_table *table, int64_t now_ms, int64_t retry_ms, int64_t *out_ids, size_t max);

/* A lease longer than this is checkpointed as often, so that it does not live on for its whole time
 * after a change of the leader. */
#define LEASE_CHECKPOINT_MS ((int64_t)5 * 60 * 1000)

struct lease_remains {
    int64_t id;
    int64_t remaining_s; /* 0: its whole time */
};

/* Up to max leases whose checkpoint is due; each is due again only when it would be then. Seconds
 * are rounded up. */
size_t lease_checkpoints_due(
    struct lease_table *table, int64_t now_ms, struct lease_remains *out, size_t max);

struct lease_info {
    int64_t id;
    int64_t granted_s;
    int64_t remaining_s; /* -1: unknown (not the leader) */
    int64_t expiry_ms;
    uint64_t turn; /* among those of one expiry */
};

/* Errors: LEASE_NOT_FOUND. keys (ascending, references held by the arena) only when out_keys is not
 * NULL. */
MUST struct err lease_look(struct lease_table *table, int64_t id, int64_t now_ms,
    struct arena *arena, struct lease_info *out, struct slice **out_keys, size_t *out_keys_count);
/* All of them, the soonest to expire first; in the arena. */
size_t lease_list(struct lease_table *table, struct arena *arena, struct lease_info **out);

#endif
