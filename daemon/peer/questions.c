/* SPDX-License-Identifier: Apache-2.0
 *
 * What members ask each other, and how the answers read:
 *   POST /leases           LeaseKeepAliveRequest {1: id} -> LeaseKeepAliveResponse {2: id, 3: ttl}
 *   POST /leases/internal  {1: LeaseTimeToLiveRequest {1: id, 2: keys}} -> {1:
 * LeaseTimeToLiveResponse {2: id, 3: ttl, 4: granted ttl, 5: keys}} POST /members/promote/<decimal
 * id> -> the members, as JSON GET  /members/hashkv   {"revision":N} ->
 * {"header":{"revision":N},"hash":N,…}
 */
#include "base/codec.h"
#include "base/mem.h"
#include "peer/told.h"

enum { SMALL_MAX = TOLD_SMALL_MAX, KEYS_MAX = 100 << 20, MEMBERS_MAX = 1 << 20 };

static bool says(const struct peer_answer *answer, const char *text)
{
    return answer->body.len &&
           memmem(answer->body.data, answer->body.len, text, strlen(text)) != NULL;
}

/* Leases. */

struct lease_ask {
    int64_t id;
    void (*renewed)(void *arg, struct err err, int64_t ttl);
    void (*told)(void *arg, struct err err, const struct peer_lease *lease);
    void *arg;
};

static struct err lease_err(const struct peer_answer *answer)
{
    TRY(answer->err);
    switch (answer->status) {
    case 200:
        return OK;
    case 404:
        return ERR(LEASE_NOT_FOUND);
    case 408:
        return ERR(TIMEDOUT);
    default:
        return says(answer, "not a primary lessor") ? ERR(NOT_LEADER) : ERR(INTERNAL);
    }
}

static void on_renewed(void *arg, const struct peer_answer *answer)
{
    struct lease_ask *ask = arg;
    int64_t id = 0;
    int64_t ttl = 0;
    struct err err = lease_err(answer);
    if (!err_is(err)) {
        err = told_renewed(answer->body, &id, &ttl);
    }
    if (!err_is(err) && id != ask->id) {
        err = ERR(BAD_FORMAT);
    }
    ask->renewed(ask->arg, err, ttl);
    free(ask);
}

void peer_ask_lease_renew(struct peer *peer, uint64_t id, int64_t lease_id, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, int64_t ttl), void *arg)
{
    struct lease_ask *ask = mem_new(sizeof(*ask));
    struct buf body;
    *ask = (struct lease_ask){.id = lease_id, .renewed = done, .arg = arg};
    buf_init(&body, SMALL_MAX);
    wire_add_varint_nz(&body, 1, (uint64_t)lease_id);
    struct peer_question question = {
        "POST", "/leases", buf_slice(&body), "application/protobuf", SMALL_MAX, timeout_ms};
    peer_ask(peer, id, &question, on_renewed, ask);
    buf_fini(&body);
}

static void on_told(void *arg, const struct peer_answer *answer)
{
    struct lease_ask *ask = arg;
    struct peer_lease lease = {0};
    struct err err = lease_err(answer);
    if (!err_is(err)) {
        err = told_lease(answer->body, &lease);
    }
    if (!err_is(err) && lease.id != ask->id) {
        err = ERR(BAD_FORMAT);
    }
    ask->told(ask->arg, err, err_is(err) ? NULL : &lease);
    free((void *)(uintptr_t)lease.keys);
    free(ask);
}

void peer_ask_lease_ttl(struct peer *peer, uint64_t id, int64_t lease_id, bool with_keys,
    int64_t timeout_ms, void (*done)(void *arg, struct err err, const struct peer_lease *lease),
    void *arg)
{
    struct lease_ask *ask = mem_new(sizeof(*ask));
    struct buf inner;
    struct buf body;
    *ask = (struct lease_ask){.id = lease_id, .told = done, .arg = arg};
    buf_init(&inner, SMALL_MAX);
    buf_init(&body, SMALL_MAX);
    wire_add_varint_nz(&inner, 1, (uint64_t)lease_id);
    wire_add_varint_nz(&inner, 2, with_keys);
    wire_add_bytes(&body, 1, buf_slice(&inner));
    struct peer_question question = {
        "POST", "/leases/internal", buf_slice(&body), "application/protobuf", KEYS_MAX, timeout_ms};
    peer_ask(peer, id, &question, on_told, ask);
    buf_fini(&inner);
    buf_fini(&body);
}

/* Promotion. */

struct promote_ask {
    void (*done)(void *arg, struct err err, struct slice json);
    void *arg;
};

static struct err promote_err(const struct peer_answer *answer)
{
    TRY(answer->err);
    if (answer->status == 200) {
        return OK;
    }
    if (answer->status == 404) {
        return ERR(MEMBER_NOT_FOUND);
    }
    if (answer->status == 412) {
        return says(answer, "in sync with leader") ? ERR(LEARNER_NOT_READY)
                                                   : ERR(MEMBER_NOT_LEARNER);
    }
    return ERR(INTERNAL);
}

static void on_promoted(void *arg, const struct peer_answer *answer)
{
    struct promote_ask *ask = arg;
    struct err err = promote_err(answer);
    ask->done(ask->arg, err, err_is(err) ? (struct slice){0} : answer->body);
    free(ask);
}

void peer_ask_promote(struct peer *peer, uint64_t id, uint64_t learner_id, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, struct slice json), void *arg)
{
    struct promote_ask *ask = mem_new(sizeof(*ask));
    char path[64];
    ask->done = done;
    ask->arg = arg;
    snprintf(path, sizeof(path), "/members/promote/%llu", (unsigned long long)learner_id);
    struct peer_question question = {"POST", path, {0}, NULL, MEMBERS_MAX, timeout_ms};
    peer_ask(peer, id, &question, on_promoted, ask);
}

/* Hashes. */

struct hash_ask {
    void (*done)(void *arg, struct err err, const struct peer_hash *hash);
    void *arg;
};

static struct err hash_err(const struct peer_answer *answer)
{
    TRY(answer->err);
    if (answer->status == 200) {
        return OK;
    }
    if (answer->status == 400 && says(answer, "required revision has been compacted")) {
        return ERR(COMPACTED);
    }
    if (answer->status == 400 && says(answer, "required revision is a future revision")) {
        return ERR(FUTURE_REV);
    }
    return answer->status == 412 ? ERR(CLUSTER_ID_MISMATCH) : ERR(INTERNAL);
}

static void on_hash(void *arg, const struct peer_answer *answer)
{
    struct hash_ask *ask = arg;
    struct peer_hash hash = {0};
    struct err err = hash_err(answer);
    if (!err_is(err)) {
        err = told_hash(answer->body, &hash);
    }
    ask->done(ask->arg, err, err_is(err) ? NULL : &hash);
    free(ask);
}

void peer_ask_hash(struct peer *peer, uint64_t id, int64_t revision, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, const struct peer_hash *hash), void *arg)
{
    struct hash_ask *ask = mem_new(sizeof(*ask));
    char body[64];
    ask->done = done;
    ask->arg = arg;
    int len = revision ? snprintf(body, sizeof(body), "{\"revision\":%lld}", (long long)revision)
                       : snprintf(body, sizeof(body), "{}");
    struct peer_question question = {"GET", "/members/hashkv", slice_of(body, (size_t)len),
        "application/json", SMALL_MAX, timeout_ms};
    peer_ask(peer, id, &question, on_hash, ask);
}
