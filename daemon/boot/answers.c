/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/answers.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"

/* One question that waits for a read index or the back thread. */
struct question {
    struct server_read read;
    struct server_renewal renewal;
    struct server_job job;
    struct answers *answers;
    struct peer_call *call;
    int64_t number; /* a lease's id, a revision */
    bool with_keys;
};

static struct question *question_new(
    struct answers *answers, struct peer_call *call, int64_t number)
{
    struct question *question = mem_new(sizeof(*question));
    question->answers = answers;
    question->call = call;
    question->number = number;
    return question;
}

void answer_members(struct answers *answers, struct peer_call *call)
{
    struct arena *arena = arena_new(0);
    struct member *list;
    struct buf json;
    size_t count = member_list(answers->storage->members, arena, &list);
    buf_init(&json, SIZE_MAX);
    buf_add_str(&json, "[");
    for (size_t i = 0; i < count; i++) {
        struct slice member = member_to_json(&list[i], arena);
        buf_add_str(&json, i ? "," : "");
        buf_add(&json, member.data, member.len);
    }
    buf_add_str(&json, "]");
    peer_answer_members(call, buf_slice(&json));
    buf_fini(&json);
    arena_free(arena);
}

void answer_version(struct answers *answers, struct peer_call *call)
{
    struct member_table *members = answers->storage->members;
    const char *storage = member_storage_version(members);
    peer_answer_version(call, storage ? member_cluster_version(members) : NULL, storage);
}

static void downgrade_read(struct server_read *read)
{
    struct question *question = CONTAINER_OF(read, struct question, read);
    struct member_downgrade downgrade;
    member_downgrade_get(question->answers->storage->members, &downgrade);
    peer_answer_downgrade_enabled(question->call, read->err, downgrade.is_enabled);
    free(question);
}

void answer_downgrade_enabled(struct answers *answers, struct peer_call *call)
{
    struct question *question = question_new(answers, call, 0);
    question->read.done = downgrade_read;
    server_read_index(answers->server, &question->read);
}

static void promoted(void *arg, struct err err, struct slice json)
{
    peer_answer_promote(arg, err, json);
}

void answer_promote(struct answers *answers, uint64_t id, struct peer_call *call)
{
    api_promote(answers->api, id, promoted, call);
}

static void hash_run(struct server_job *job)
{
    struct question *question = CONTAINER_OF(job, struct question, job);
    struct mvcc_hash hash = {0};
    struct err err = mvcc_hash_kv(question->answers->storage->mvcc, question->number, &hash, NULL);
    struct peer_hash answer = {.revision = hash.current_rev,
        .hash = hash.hash,
        .compact_revision = hash.compact_rev,
        .hash_revision = hash.rev};
    peer_answer_hash(question->call, err, &answer);
    free(question);
}

void answer_hash(struct answers *answers, int64_t rev, struct peer_call *call)
{
    struct question *question = question_new(answers, call, rev);
    question->job.run = hash_run;
    if (!server_run(answers->server, &question->job)) {
        struct peer_hash nothing = {0};
        peer_answer_hash(call, ERR(STOPPED), &nothing);
        free(question);
    }
}

/* Leases: the leader's answer, once it is known to lead and everything committed is applied. */

static void answer_renewal(struct question *question, struct err err, int64_t ttl_s)
{
    peer_answer_lease_renew(question->call, IS(err, TIMEOUT) ? ERR(TIMEDOUT) : err, ttl_s);
    free(question);
}

static void renewed(struct server_renewal *renewal)
{
    answer_renewal(CONTAINER_OF(renewal, struct question, renewal), renewal->err, renewal->ttl_s);
}

static void renew_read(struct server_read *read)
{
    struct question *question = CONTAINER_OF(read, struct question, read);
    if (err_is(read->err)) {
        answer_renewal(question, read->err, 0);
        return;
    }
    question->renewal = (struct server_renewal){.id = question->number, .done = renewed};
    server_renew(question->answers->server, &question->renewal);
}

void answer_lease_renew(struct answers *answers, int64_t id, struct peer_call *call)
{
    struct question *question = question_new(answers, call, id);
    question->read.done = renew_read;
    server_read_index(answers->server, &question->read);
}

static void look(struct question *question, struct arena *arena)
{
    struct lease_info info;
    struct slice *keys = NULL;
    size_t count = 0;
    struct server_status status;
    server_status_get(question->answers->server, &status);
    struct err err = status.is_leader ? lease_look(question->answers->storage->leases,
                                            question->number, clock_mono_ms(), arena, &info,
                                            question->with_keys ? &keys : NULL, &count)
                                      : ERR(NOT_LEADER);
    struct peer_lease lease = {.id = question->number};
    if (!err_is(err)) {
        lease.ttl = info.remaining_s;
        lease.granted_ttl = info.granted_s;
        lease.keys = keys;
        lease.keys_count = count;
    }
    peer_answer_lease_ttl(question->call, err, &lease);
}

static void ttl_read(struct server_read *read)
{
    struct question *question = CONTAINER_OF(read, struct question, read);
    if (err_is(read->err)) {
        struct peer_lease nothing = {0};
        peer_answer_lease_ttl(
            question->call, IS(read->err, TIMEOUT) ? ERR(TIMEDOUT) : read->err, &nothing);
    } else {
        struct arena *arena = arena_new(0);
        look(question, arena);
        arena_free(arena);
    }
    free(question);
}

void answer_lease_ttl(struct answers *answers, int64_t id, bool with_keys, struct peer_call *call)
{
    struct question *question = question_new(answers, call, id);
    question->with_keys = with_keys;
    question->read.done = ttl_read;
    server_read_index(answers->server, &question->read);
}
