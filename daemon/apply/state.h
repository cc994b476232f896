/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room share.
 */
#ifndef APPLY_STATE_H
#define APPLY_STATE_H

#include "apply/apply.h"

#include <pthread.h>
#include <stdatomic.h>

struct apply {
    struct apply_options options;
    struct backend_batch *batch;
    _Atomic uint64_t index;
    _Atomic uint64_t term;
    bool is_dirty;         /* the batch holds something, the index at least */
    pthread_mutex_t mutex; /* alarms */
    struct apply_alarm alarms[APPLY_ALARMS_MAX];
    size_t alarms_count;
    bool is_corrupt; /* apply thread: an alarm says so */
    bool is_out_of_space;
    int64_t quota_bytes;
    int64_t now_ms;
    int64_t unix_s;
    _Atomic int64_t store_bytes; /* last measured, and what was written since */
};

/* One entry's request on its way through. */
struct applying {
    struct apply *apply;
    const struct raft_entry *entry;
    const Etcdserverpb__InternalRaftRequest *request;
    struct apply_result *result; /* the waiter's, or a scratch one */
    struct arena *arena;         /* where responses are built */
    struct apply_guard guard;    /* who asked */
};

MUST struct err apply_alarms_load(struct apply *apply, struct why *why);
/* One Alarm request. */
void apply_alarm_request(struct applying *applying, const Etcdserverpb__AlarmRequest *request);
/* A conf change entry. */
MUST struct err apply_conf_entry(struct apply *apply, const struct raft_entry *entry,
    const struct apply_sink *sink, struct why *why);
/* v2.c: whether an entry's data is a bare v2 request, and what it does. */
bool apply_v2_is(struct slice data);
MUST struct err apply_v2_entry(struct member_table *table, struct backend_batch *batch,
    const struct raft_entry *entry, uint64_t *out_id, struct why *why);
/* conf.c: the same for a conf change alone. */
MUST struct err apply_members_conf(struct member_table *table, struct backend_batch *batch,
    const struct raft_entry *entry, struct why *why);
/* members.c: a request that is about members; others are passed over. */
void apply_members_request(struct member_table *table, struct backend_batch *batch,
    const Etcdserverpb__InternalRaftRequest *request);
/* op.c: which kind of request it is; APPLY_OPS: none that is known. */
unsigned apply_op_of(const Etcdserverpb__InternalRaftRequest *request);
int64_t apply_cost(const ProtobufCMessage *request);
/* Whether a NOSPACE alarm refuses it: it puts something. Members before 3.6 do not look into nested
 * transactions, and all members have to decide alike. */
bool apply_is_capped(struct apply *apply, const Etcdserverpb__TxnRequest *txn);
/* Counts the request; whether it fitted. */
bool apply_take_quota(struct apply *apply, const ProtobufCMessage *request);

/* alarm.c: the alarm's row. */
void apply_put_alarm(const struct apply_alarm *alarm, struct backend_batch *batch);

#endif
