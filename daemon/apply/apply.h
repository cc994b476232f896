/* SPDX-License-Identifier: Apache-2.0
 *
 * The replicated machine: one committed entry in, its effect on the store, the leases, the members,
 * the alarms and the watchers, and its result for whoever waits here. Every member applies the same
 * entries in the same order and comes to the same state. Also the read side of the same semantics
 * (ranges and read-only transactions), which any thread may call.
 *
 * Threads: apply_entry, apply_commit on the apply thread; the rest on any thread.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "auth/auth.h"
#include "base/payload.h"
#include "lease/lease.h"
#include "member/member.h"
#include "mvcc/mvcc.h"
#include "raft/raft.h"
#include "watch/watch.h"

#include <raft_internal.pb-c.h>
#include <rpc.pb-c.h>

struct apply;

struct apply_options {
    struct backend *backend; /* all borrowed */
    struct mvcc *mvcc;
    struct lease_table *leases;
    struct member_table *members;
    struct watch_hub *hub;
    struct auth_table *auth;
    struct auth_tokens *tokens;
    int64_t quota_bytes; /* 0: 2 GiB; < 0: none */
};

/* Reads the alarms and the consistent index, attaches keys to leases. Errors: IO, BAD_FORMAT. */
MUST struct err apply_open(
    const struct apply_options *options, struct apply **out, struct why *why);
void apply_close(struct apply *apply);
/* The store was replaced, and mvcc, leases and members have read it again: so does this. Nothing is
 * applied meanwhile. Errors: as apply_open. */
MUST struct err apply_reload(struct apply *apply, struct why *why);
const struct apply_options *apply_options_get(const struct apply *apply);

/* The last entry whose effect is in the store (as written, perhaps not yet flushed). Any thread. */
uint64_t apply_index(const struct apply *apply);
uint64_t apply_term(const struct apply *apply);

/* Requests: checks that need no state; etcd's order and codes. */

MUST struct err apply_check_range(const Etcdserverpb__RangeRequest *request);
MUST struct err apply_check_put(const Etcdserverpb__PutRequest *request);
MUST struct err apply_check_delete(const Etcdserverpb__DeleteRangeRequest *request);
/* Also that no two of its writes touch the same key. */
MUST struct err apply_check_txn(const Etcdserverpb__TxnRequest *request, int ops_max);

bool apply_txn_is_read_only(const Etcdserverpb__TxnRequest *request);
bool apply_txn_is_serializable(const Etcdserverpb__TxnRequest *request);

/* Permissions: asked for what is applied, and by the edges for what is only read. */

struct apply_guard {
    struct auth_table *auth;
    struct lease_table *leases;
    struct auth_caller caller;
};
/* All: OK while access control is off. Errors: USER_EMPTY, AUTH_OLD_REVISION, PERMISSION_DENIED. */
MUST struct err apply_may_range(
    const struct apply_guard *guard, const Etcdserverpb__RangeRequest *request);
MUST struct err apply_may_put(
    const struct apply_guard *guard, const Etcdserverpb__PutRequest *request);
MUST struct err apply_may_delete(
    const struct apply_guard *guard, const Etcdserverpb__DeleteRangeRequest *request);
/* At every depth. */
MUST struct err apply_may_txn(
    const struct apply_guard *guard, const Etcdserverpb__TxnRequest *request);
/* To revoke or renew it, one must be allowed to write all its keys; to see them, to read all. */
MUST struct err apply_may_write_lease(const struct apply_guard *guard, lease_id id);
MUST struct err apply_may_read_lease(const struct apply_guard *guard, lease_id id);

/* Reading: at the newest published revision, or the request's. */

/* What is read of the store for such an answer: more than it tells, where keys are left out or put
 * in another order after. */
struct mvcc_range_options apply_range_options(const Etcdserverpb__RangeRequest *request);
/* The response is in the arena; of its header only the revision is filled. Errors: COMPACTED,
 * FUTURE_REV, TOO_BIG, IO. */
MUST struct err apply_range(struct mvcc *mvcc, const Etcdserverpb__RangeRequest *request,
    struct arena *arena, Etcdserverpb__RangeResponse **out);
/* The same without the messages: what the response says, in the arena. */
struct apply_rows {
    const struct mvcc_kv *kvs;
    size_t count;
    int64_t total;
    bool has_more;
    revision rev; /* the header's */
};
MUST struct err apply_range_rows(struct mvcc *mvcc, const Etcdserverpb__RangeRequest *request,
    struct arena *arena, struct apply_rows *out);
/* Adds the packed RangeResponse to the payload: head (its field 1, packed) and the rows. With
 * an arena, which has to be the payload's home, larger values stay where they are, as parts of
 * their own; without, all is one part. */
void apply_rows_pack(
    const struct apply_rows *rows, struct slice head, struct arena *arena, struct payload *payload);
MUST struct err apply_txn_read(struct mvcc *mvcc, const Etcdserverpb__TxnRequest *request,
    struct arena *arena, Etcdserverpb__TxnResponse **out);

/* The configuration that the member table stands for. Any thread. */
void apply_conf_state(struct member_table *members, struct raft_conf_state *out);

/* Applying. */

/* What an entry came to. Filled only for entries that somebody waits for; the response lives in the
 * waiter's arena, and of its header the revision is filled. */
struct apply_result {
    struct arena *arena; /* the waiter's, given by find */
    struct err err;
    ProtobufCMessage *response; /* NULL on error */
    struct member *members;     /* conf changes: the members after it */
    size_t members_count;
};

/* A kind of request: the place of its field in InternalRaftRequest. */
enum { APPLY_OPS = 64, APPLY_OP_NAME_SIZE = 64 };
/* etcd's name of it, as in metrics: "Put", "LeaseGrant". */
void apply_op_name(unsigned op, char out[APPLY_OP_NAME_SIZE]);

/* Entries and their waiters. find returns the result to fill for the request with that id, or NULL;
 * done hands it back when the entry's effect is visible. conf is told of conf changes, by
 * their entries' index and in order (is_void: refused; nothing changed). */
struct apply_sink {
    struct apply_result *(*find)(void *arg, uint64_t request_id);
    void (*done)(void *arg, struct apply_result *result);
    void (*conf)(void *arg, uint64_t index, const struct raft_conf_change *change, bool is_void);
    void *arg;
    /* A request was applied. May be NULL. */
    void (*ended)(void *arg, unsigned op, struct err outcome);
};

/* Applies the entry, or passes over it when its index is not above apply_index (then no waiter is
 * called). Errors: IO, BAD_FORMAT (an entry that no member can understand): the member has to stop.
 */
MUST struct err apply_entry(struct apply *apply, const struct raft_entry *entry,
    const struct apply_sink *sink, struct why *why);
/* The time that tokens are given out at; before the entries of a batch. unix_s: since 1970. */
void apply_set_time(struct apply *apply, int64_t now_ms, int64_t unix_s);
/* Writes what the entries since the last commit did, with the consistent index, in one batch.
 * Errors: IO, NO_DISK: the member has to stop. */
MUST struct err apply_commit(struct apply *apply, struct why *why);

/* What an entry does to the members and nothing else: where everything else of it was applied
 * before. Errors: BAD_FORMAT. */
MUST struct err apply_members_entry(struct member_table *table, struct backend_batch *batch,
    const struct raft_entry *entry, struct why *why);
/* A row of any bucket of etcd's database but those of keys, members and the meta, as a row of the
 * store. Errors: BAD_FORMAT. */
MUST struct err apply_import_row(
    const char *bucket, struct slice key, struct slice value, struct backend_batch *batch);
/* Whether it writes a key of the v2 API, which is not served here. */
bool apply_is_v2_write(const struct raft_entry *entry);

/* Alarms and quota. */

struct apply_alarm {
    uint64_t member_id;
    Etcdserverpb__AlarmType type;
};

/* Of any member and type half of them, then only NOSPACE and CORRUPT of members of the cluster. */
enum { APPLY_ALARMS_MAX = 256 };
/* Fills up to APPLY_ALARMS_MAX; returns how many. */
size_t apply_alarms(struct apply *apply, struct apply_alarm *out);

/* Whether a NOSPACE alarm is up, of whichever member. */
bool apply_is_out_of_space(struct apply *apply);

/* Whether a write of that request still fits the quota. Size of the store against the quota, as
 * etcd counts. */
bool apply_fits_quota(struct apply *apply, const ProtobufCMessage *request);
int64_t apply_quota_bytes(const struct apply *apply);
/* Reads the store's size again; called now and then, since asking costs. */
void apply_measure(struct apply *apply);

/* What a store's row "mformat" says: how the rows of this version lie. */
extern const char apply_format[];

#endif
