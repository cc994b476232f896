/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pb.h"
#include "boot/heard.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

enum { FIELD_ALARM = 10, ANSWER_BYTES_MAX = 65536 };

struct monitor {
    struct storage *storage;
    struct questions *questions;
    int64_t newest_every_ms; /* 0: never */
    int64_t compaction_every_ms;
    int64_t newest_at_ms;
    int64_t compaction_at_ms;
    revision checked; /* compactions up to here agree */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_stopping;
};

/* Waits for one of server's callbacks. */
struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_done;
};

static void waiting_init(struct waiting *waiting)
{
    pthread_mutex_init(&waiting->mutex, NULL);
    pthread_cond_init(&waiting->cond, NULL);
    waiting->is_done = false;
}

static void waiting_done(struct waiting *waiting)
{
    pthread_mutex_lock(&waiting->mutex);
    waiting->is_done = true;
    pthread_cond_signal(&waiting->cond);
    pthread_mutex_unlock(&waiting->mutex);
}

static void waiting_wait(struct waiting *waiting)
{
    pthread_mutex_lock(&waiting->mutex);
    while (!waiting->is_done) {
        pthread_cond_wait(&waiting->cond, &waiting->mutex);
    }
    pthread_mutex_unlock(&waiting->mutex);
    pthread_mutex_destroy(&waiting->mutex);
    pthread_cond_destroy(&waiting->cond);
}

struct hashing {
    struct server_job job;
    struct waiting waiting;
    struct mvcc *mvcc;
    struct mvcc_hash hash;
    struct err err;
};

static void hash_run(struct server_job *job)
{
    struct hashing *hashing = CONTAINER_OF(job, struct hashing, job);
    hashing->err = mvcc_hash_kv(hashing->mvcc, 0, &hashing->hash, NULL);
    waiting_done(&hashing->waiting);
}

/* Of the newest state, on the back thread. */
static MUST struct err hash_newest(struct monitor *monitor, struct mvcc_hash *out)
{
    struct hashing hashing = {.job.run = hash_run, .mvcc = monitor->storage->mvcc};
    waiting_init(&hashing.waiting);
    if (!server_run(monitor->storage->server, &hashing.job)) {
        waiting_done(&hashing.waiting);
        hashing.err = ERR(STOPPED);
    }
    waiting_wait(&hashing.waiting);
    *out = hashing.hash;
    return hashing.err;
}

struct reading {
    struct server_read read;
    struct waiting waiting;
};

static void read_done(struct server_read *read)
{
    waiting_done(&CONTAINER_OF(read, struct reading, read)->waiting);
}

static MUST struct err wait_linearizable(struct monitor *monitor)
{
    struct reading reading = {.read.done = read_done};
    waiting_init(&reading.waiting);
    server_read_index(monitor->storage->server, &reading.read);
    waiting_wait(&reading.waiting);
    return reading.read.err;
}

struct raising {
    struct server_proposal proposal;
    struct arena *arena;
};

static void raised(struct server_proposal *proposal)
{
    struct raising *raising = CONTAINER_OF(proposal, struct raising, proposal);
    arena_free(raising->arena);
    free(raising);
}

static void raise_alarm(struct monitor *monitor, uint64_t id)
{
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    struct raising *raising = mem_new(sizeof(*raising));
    LOG_ERROR("raising a corruption alarm", LOG_HEX("member-id", id));
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    alarm.memberid = id;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    raising->arena = arena_new(0);
    raising->proposal.field = FIELD_ALARM;
    raising->proposal.request = pb_pack_arena(&alarm.base, raising->arena);
    raising->proposal.result.arena = raising->arena;
    raising->proposal.done = raised;
    server_propose(monitor->storage->server, &raising->proposal);
}

static MUST struct err check_newest(struct monitor *monitor)
{
    struct mvcc_hash before;
    struct mvcc_hash after;
    struct peer_answered *others;
    TRY(hash_newest(monitor, &before));
    size_t count = questions_hashes(monitor->questions, before.rev, &others);
    struct err err = wait_linearizable(monitor);
    if (!err_is(err)) {
        err = hash_newest(monitor, &after);
    }
    if (!err_is(err)) {
        uint64_t self_id = member_self_id(monitor->storage->members);
        uint64_t id = monitor_judge_newest(&before, &after, self_id, others, count);
        if (id) {
            raise_alarm(monitor, id);
        }
        LOG_INFO("finished peer corruption check", LOG_UINT("number-of-peers-checked", count));
    }
    free(others);
    return err;
}

/* From the newest compaction back, to the first that all others have an answer for. */
static void check_compactions(struct monitor *monitor)
{
    struct mvcc_hash hashes[MVCC_HASHES_MAX];
    size_t count = mvcc_hashes(monitor->storage->mvcc, hashes);
    size_t tried = 0;
    bool is_checked = false;
    LOG_INFO("starting compact hash check");
    for (size_t i = count; i > 0 && !is_checked && hashes[i - 1].rev > monitor->checked; i--) {
        const struct mvcc_hash *own = &hashes[i - 1];
        struct peer_answered *others;
        struct monitor_verdict verdict;
        size_t asked = questions_hashes(monitor->questions, own->rev, &others);
        monitor_judge_compaction(
            own, member_self_id(monitor->storage->members), others, asked, &verdict);
        free(others);
        for (size_t j = 0; j < verdict.count; j++) {
            LOG_ERROR("Detected compaction hash mismatch", LOG_INT("leader-revision", own->rev),
                LOG_UINT("leader-hash", own->hash), LOG_HEX("peer-id", verdict.alarms[j]));
            raise_alarm(monitor, verdict.alarms[j]);
        }
        is_checked = asked > 0 && verdict.is_checked;
        if (is_checked && verdict.count == 0) {
            LOG_INFO("successfully checked hash on whole cluster",
                LOG_UINT("number-of-peers-checked", asked), LOG_INT("revision", own->rev));
            monitor->checked = own->rev;
        }
        tried++;
    }
    LOG_INFO("finished compaction hash check", LOG_UINT("number-of-hashes-checked", tried));
}

static bool is_due(int64_t *at_ms, int64_t every_ms, int64_t now_ms)
{
    if (every_ms == 0 || now_ms < *at_ms) {
        return false;
    }
    *at_ms = now_ms + every_ms;
    return true;
}

static void look(struct monitor *monitor)
{
    int64_t now_ms = clock_mono_ms();
    struct server_status status;
    bool is_newest_due = is_due(&monitor->newest_at_ms, monitor->newest_every_ms, now_ms);
    bool is_compaction_due =
        is_due(&monitor->compaction_at_ms, monitor->compaction_every_ms, now_ms);
    server_status_get(monitor->storage->server, &status);
    if (is_newest_due && status.is_leader) {
        struct err err = check_newest(monitor);
        if (err_is(err)) {
            LOG_WARN("failed to check hash KV", LOG_ERR(err_text(err)));
        }
    }
    if (is_compaction_due && status.is_leader) {
        check_compactions(monitor);
    }
}

static int64_t next_ms(const struct monitor *monitor)
{
    int64_t next = INT64_MAX;
    if (monitor->newest_every_ms) {
        next = monitor->newest_at_ms;
    }
    if (monitor->compaction_every_ms && monitor->compaction_at_ms < next) {
        next = monitor->compaction_at_ms;
    }
    return next;
}

static void *run(void *arg)
{
    struct monitor *monitor = arg;
    pthread_mutex_lock(&monitor->mutex);
    while (!monitor->is_stopping) {
        int64_t at_ms = next_ms(monitor);
        struct timespec until = {at_ms / 1000, at_ms % 1000 * 1000000};
        if (clock_mono_ms() < at_ms) {
            pthread_cond_timedwait(&monitor->cond, &monitor->mutex, &until);
            continue;
        }
        pthread_mutex_unlock(&monitor->mutex);
        look(monitor);
        pthread_mutex_lock(&monitor->mutex);
    }
    pthread_mutex_unlock(&monitor->mutex);
    return NULL;
}

struct monitor *monitor_start(
    const struct config *config, struct storage *storage, struct questions *questions)
{
    int64_t newest_ms = config->corrupt_check_ns / 1000000;
    int64_t compaction_ms =
        config->gates.compact_hash_check ? config->compact_hash_check_ns / 1000000 : 0;
    pthread_condattr_t attr;
    if (newest_ms <= 0 && compaction_ms <= 0) {
        return NULL;
    }
    struct monitor *monitor = mem_new(sizeof(*monitor));
    monitor->storage = storage;
    monitor->questions = questions;
    monitor->newest_every_ms = newest_ms > 0 ? newest_ms : 0;
    monitor->compaction_every_ms = compaction_ms > 0 ? compaction_ms : 0;
    monitor->newest_at_ms = clock_mono_ms() + newest_ms;
    monitor->compaction_at_ms = clock_mono_ms() + compaction_ms;
    if (newest_ms > 0) {
        LOG_INFO("enabled corruption checking", LOG_MS("interval", newest_ms));
    }
    pthread_mutex_init(&monitor->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->cond, &attr);
    pthread_condattr_destroy(&attr);
    check(pthread_create(&monitor->thread, NULL, run, monitor) == 0);
    pthread_setname_np(monitor->thread, "monitor");
    return monitor;
}

void monitor_stop(struct monitor *monitor)
{
    if (!monitor) {
        return;
    }
    pthread_mutex_lock(&monitor->mutex);
    monitor->is_stopping = true;
    pthread_cond_signal(&monitor->cond);
    pthread_mutex_unlock(&monitor->mutex);
    pthread_join(monitor->thread, NULL);
    pthread_mutex_destroy(&monitor->mutex);
    pthread_cond_destroy(&monitor->cond);
    free(monitor);
}

/* Before anything runs. */

static bool fetch_hash(
    struct storage *storage, const struct member *member, revision rev, struct peer_hash *out)
{
    char *body = mem_printf("{\"revision\":%" PRId64 "}", rev);
    struct peer_question question = {.method = "GET",
        .path = "/members/hashkv",
        .body = slice_str(body),
        .content_type = "application/json",
        .bytes_max = ANSWER_BYTES_MAX,
        .timeout_ms = 5000 + 2 * (int64_t)storage->config->election_ms};
    bool is_known = false;
    for (size_t i = 0; i < member->peer_urls_count && !is_known; i++) {
        struct why why = {""};
        struct peer_fetched got = {0};
        struct err err = peer_fetch(member->peer_urls[i], &question, &storage->dialing, &got, &why);
        is_known = !err_is(err) && got.status == 200 && heard_hash(buf_slice(&got.body), out);
        if (!is_known) {
            LOG_WARN("failed hash kv request", LOG_INT("requested-revision", rev),
                LOG_STR("remote-peer-endpoint", member->peer_urls[i]),
                LOG_INT("status", got.status), LOG_ERR(why.text));
        }
        buf_fini(&got.body);
    }
    free(body);
    return is_known;
}

struct err monitor_initial(struct storage *storage, struct why *why)
{
    uint64_t self_id = member_self_id(storage->members);
    struct mvcc_hash own;
    struct member *list;
    size_t mismatches = 0;
    LOG_INFO("starting initial corruption check", LOG_HEX("local-member-id", self_id));
    TRY(mvcc_hash_kv(storage->mvcc, 0, &own, why));
    struct arena *arena = arena_new(0);
    size_t count = member_list(storage->members, arena, &list);
    for (size_t i = 0; i < count; i++) {
        struct peer_hash hash = {0};
        if (list[i].id == self_id || !fetch_hash(storage, &list[i], own.rev, &hash) ||
            hash.hash == own.hash) {
            continue;
        }
        bool is_same_state = hash.compact_revision == own.compact_rev;
        LOG_WARN(is_same_state ? "found different hash values from remote peer"
                               : "found different compact revision values from remote peer",
            LOG_HEX("remote-peer-id", list[i].id), LOG_INT("local-member-revision", own.rev),
            LOG_UINT("local-member-hash", own.hash), LOG_UINT("remote-peer-hash", hash.hash),
            LOG_INT("local-member-compact-revision", own.compact_rev),
            LOG_INT("remote-peer-compact-revision", hash.compact_revision));
        mismatches += is_same_state;
    }
    arena_free(arena);
    if (mismatches) {
        return why_set(
            why, ERR(CORRUPT), "%" PRIx64 " found data inconsistency with peers", self_id);
    }
    LOG_INFO(
        "initial corruption checking passed; no corruption", LOG_HEX("local-member-id", self_id));
    return OK;
}
