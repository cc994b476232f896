/* SPDX-License-Identifier: Apache-2.0
 * Locks and elections: who waits for whom, and what becomes of those who do not wait any more. */
#include "service.h"

#include "api/queue.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"

#include <rpc.pb-c.h>
#include <stdio.h>
#include <unistd.h>
#include <v3electionpb.pb-c.h>
#include <v3lockpb.pb-c.h>

enum { LOOKS = 30000, LOOK_US = 2000 };

/* A call that may take its time. */
struct later {
    struct api_call call;
    struct arena *arena; /* of the response */
    atomic_bool is_done;
    struct api_status status;
    void *response;
};

static void done(struct api_call *call)
{
    atomic_store(&CONTAINER_OF(call, struct later, call)->is_done, true);
}

static struct later *begin_until(
    struct service *service, const char *path, const void *request, int64_t deadline_ns)
{
    struct later *later = mem_new(sizeof(*later));
    later->arena = arena_new(0);
    later->call = (struct api_call){.method = api_method_find(slice_str(path)),
        .arena = arena_new(0),
        .deadline_ns = deadline_ns,
        .done = done};
    assert_non_null(later->call.method);
    later->call.request = pb_pack_arena(request, later->call.arena);
    api_call_start(service->api, &later->call);
    return later;
}

static struct later *begin(struct service *service, const char *path, const void *request)
{
    return begin_until(service, path, request, INT64_MAX);
}

static struct later *finish(struct later *later)
{
    struct payload payload;
    struct buf packed;
    for (int i = 0; i < LOOKS && !atomic_load(&later->is_done); i++) {
        usleep(LOOK_US);
    }
    assert_true(atomic_load(&later->is_done));
    buf_init(&packed, SIZE_MAX);
    api_call_finish(&later->call, &payload, &later->status);
    for (size_t i = 0; i < payload.count; i++) {
        buf_add_slice(&packed, payload.parts[i].bytes);
    }
    if (later->status.code == GRPC_CODE_OK) {
        assert_false(err_is(pb_unpack(later->call.method->response, later->arena,
            arena_dup(later->arena, buf_slice(&packed)), &later->response)));
    }
    payload_fini(&payload);
    buf_fini(&packed);
    return later;
}

static void forget(struct later *later)
{
    arena_free(later->arena);
    arena_free(later->call.arena);
    free(later);
}

static void ended_with(struct later *later, enum grpc_code code, const char *text)
{
    finish(later);
    assert_string_equal(later->status.text, text);
    assert_int_equal(later->status.code, code);
    forget(later);
}

static void is_good(struct later *later)
{
    finish(later);
    assert_string_equal(later->status.text ? later->status.text : "", "");
    forget(later);
}

static void grant(struct service *service, int64_t id)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.id = id;
    request.ttl = 600;
    is_good(begin(service, "/etcdserverpb.Lease/LeaseGrant", &request));
}

static void end_lease(struct service *service, int64_t id)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    request.id = id;
    is_good(begin(service, "/etcdserverpb.Lease/LeaseRevoke", &request));
}

static ProtobufCBinaryData text(const char *text)
{
    return pb_bytes(slice_str(text));
}

static int64_t count(struct service *service, const char *key, const char *end)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = text(key);
    request.range_end = text(end);
    struct later *later = finish(begin(service, "/etcdserverpb.KV/Range", &request));
    int64_t count = ((Etcdserverpb__RangeResponse *)later->response)->count;
    forget(later);
    return count;
}

static void wait_count(struct service *service, const char *key, const char *end, int64_t want)
{
    for (int i = 0; i < LOOKS && count(service, key, end) != want; i++) {
        usleep(LOOK_US);
    }
    assert_int_equal(count(service, key, end), want);
}

static struct later *lock_until(struct service *service, int64_t lease, int64_t deadline_ns)
{
    V3lockpb__LockRequest request = V3LOCKPB__LOCK_REQUEST__INIT;
    request.name = text("l");
    request.lease = lease;
    return begin_until(service, "/v3lockpb.Lock/Lock", &request, deadline_ns);
}

static struct later *lock(struct service *service, int64_t lease)
{
    return lock_until(service, lease, INT64_MAX);
}

static void unlock(struct service *service, const char *key)
{
    V3lockpb__UnlockRequest request = V3LOCKPB__UNLOCK_REQUEST__INIT;
    request.key = text(key);
    is_good(begin(service, "/v3lockpb.Lock/Unlock", &request));
}

static void got(struct later *later, const char *key)
{
    finish(later);
    assert_int_equal(later->status.code, GRPC_CODE_OK);
    V3lockpb__LockResponse *response = later->response;
    assert_int_equal(response->key.len, strlen(key));
    assert_memory_equal(response->key.data, key, strlen(key));
    assert_int_not_equal(response->header->member_id, 0);
    assert_int_not_equal(response->header->raft_term, 0);
    forget(later);
}

/* Lease 1 holds l; those after it wait, each behind the one before. */
static void queue(struct service *service, struct later **out_waiters, int waiters)
{
    for (int64_t id = 1; id <= waiters + 1; id++) {
        grant(service, id);
    }
    got(lock(service, 1), "l/1");
    for (int i = 0; i < waiters; i++) {
        out_waiters[i] = lock(service, i + 2);
        wait_count(service, "l/", "l0", i + 2);
    }
}

static void test_locks_go_in_order(void **state)
{
    struct service *service = *state;
    struct later *waiters[3];
    queue(service, waiters, 3);
    got(lock(service, 1), "l/1"); /* the same lease again: nothing new */
    unlock(service, "l/1");
    got(waiters[0], "l/2");
    assert_false(atomic_load(&waiters[1]->is_done) || atomic_load(&waiters[2]->is_done));
    end_lease(service, 2);
    got(waiters[1], "l/3");
    unlock(service, "l/3");
    got(waiters[2], "l/4");
}

static void test_who_is_last_does_not_overtake(void **state)
{
    struct service *service = *state;
    struct later *waiters[2];
    queue(service, waiters, 2);
    unlock(service, "l/2"); /* it gave its place up without a word to us */
    wait_count(service, "l/", "l0", 2);
    assert_false(atomic_load(&waiters[1]->is_done));
    unlock(service, "l/1");
    got(waiters[1], "l/3");
    ended_with(waiters[0], GRPC_CODE_UNKNOWN, "mutex: session is expired");
}

static void test_who_is_cancelled_leaves(void **state)
{
    struct service *service = *state;
    struct later *waiters[2];
    queue(service, waiters, 2);
    api_call_cancel(&waiters[0]->call);
    ended_with(waiters[0], GRPC_CODE_CANCELLED, "context canceled");
    assert_int_equal(count(service, "l/2", ""), 0);
    unlock(service, "l/1");
    got(waiters[1], "l/3");
}

static void test_time_ends(void **state)
{
    struct service *service = *state;
    queue(service, NULL, 0);
    grant(service, 2);
    struct later *short_one = lock_until(service, 2, clock_mono_ns() + 50000000);
    ended_with(short_one, GRPC_CODE_DEADLINE_EXCEEDED, "context deadline exceeded");
    assert_int_equal(count(service, "l/", "l0"), 1);
}

static void test_stopping_keeps_places(void **state)
{
    struct service *service = *state;
    struct later *waiters[2];
    queue(service, waiters, 2);
    api_end_waiting(service->api);
    for (int i = 0; i < 2; i++) {
        ended_with(waiters[i], GRPC_CODE_UNAVAILABLE, "etcdserver: server stopped");
    }
    assert_int_equal(count(service, "l/", "l0"), 3);
    ended_with(lock(service, 1), GRPC_CODE_UNAVAILABLE, "etcdserver: server stopped");
}

static void test_a_lease_is_made_where_none_is_given(void **state)
{
    struct service *service = *state;
    Etcdserverpb__LeaseLeasesRequest request = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    struct later *locked = finish(lock(service, 0));
    assert_int_equal(locked->status.code, GRPC_CODE_OK);
    struct later *leases = finish(begin(service, "/etcdserverpb.Lease/LeaseLeases", &request));
    Etcdserverpb__LeaseLeasesResponse *response = leases->response;
    V3lockpb__LockResponse *lock = locked->response;
    char key[64];
    assert_int_equal(response->n_leases, 1);
    snprintf(key, sizeof(key), "l/%llx", (unsigned long long)response->leases[0]->id);
    assert_int_equal(lock->key.len, strlen(key));
    assert_memory_equal(lock->key.data, key, strlen(key));
    forget(locked);
    forget(leases);
    ended_with(lock_until(service, -1, INT64_MAX), GRPC_CODE_UNKNOWN,
        "etcdserver: requested lease not found");
}

/* Elections. */

static struct later *campaign(struct service *service, int64_t lease, const char *value)
{
    V3electionpb__CampaignRequest request = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;
    request.name = text("e");
    request.lease = lease;
    request.value = text(value);
    return begin(service, "/v3electionpb.Election/Campaign", &request);
}

static struct later *proclaim(
    struct service *service, V3electionpb__LeaderKey *leader, const char *value)
{
    V3electionpb__ProclaimRequest request = V3ELECTIONPB__PROCLAIM_REQUEST__INIT;
    request.leader = leader;
    request.value = text(value);
    return begin(service, "/v3electionpb.Election/Proclaim", &request);
}

static struct later *resign(struct service *service, V3electionpb__LeaderKey *leader)
{
    V3electionpb__ResignRequest request = V3ELECTIONPB__RESIGN_REQUEST__INIT;
    request.leader = leader;
    return begin(service, "/v3electionpb.Election/Resign", &request);
}

static struct later *leader(struct service *service)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    request.name = text("e");
    return begin(service, "/v3electionpb.Election/Leader", &request);
}

static V3electionpb__LeaderKey *leader_of(const struct later *won)
{
    return ((V3electionpb__CampaignResponse *)won->response)->leader;
}

static void test_leaders_come_and_go(void **state)
{
    struct service *service = *state;
    grant(service, 1);
    grant(service, 2);
    ended_with(leader(service), GRPC_CODE_UNKNOWN, "election: no leader");
    struct later *first = finish(campaign(service, 1, "a"));
    assert_int_equal(leader_of(first)->lease, 1);
    struct later *second = campaign(service, 2, "b");
    wait_count(service, "e/", "e0", 2);
    is_good(proclaim(service, leader_of(first), "c"));
    is_good(resign(service, leader_of(first)));
    finish(second);
    assert_int_equal(leader_of(second)->lease, 2);
    struct later *now = finish(leader(service));
    V3electionpb__LeaderResponse *response = now->response;
    assert_memory_equal(response->kv->value.data, "b", 1);
    ended_with(proclaim(service, leader_of(first), "d"), GRPC_CODE_UNKNOWN, "election: not leader");
    is_good(resign(service, leader_of(first))); /* nothing to do */
    ended_with(
        proclaim(service, NULL, "d"), GRPC_CODE_UNKNOWN, "\"leader\" field must be provided");
    ended_with(resign(service, NULL), GRPC_CODE_UNKNOWN, "\"leader\" field must be provided");
    forget(first);
    forget(second);
    forget(now);
}

static void test_a_candidate_that_is_cancelled_leaves(void **state)
{
    struct service *service = *state;
    grant(service, 1);
    grant(service, 2);
    forget(finish(campaign(service, 1, "a")));
    struct later *second = campaign(service, 2, "b");
    wait_count(service, "e/", "e0", 2);
    api_call_cancel(&second->call);
    ended_with(second, GRPC_CODE_CANCELLED, "context canceled");
    assert_int_equal(count(service, "e/", "e0"), 1);
}

static void test_campaigning_again_proclaims(void **state)
{
    struct service *service = *state;
    grant(service, 1);
    struct later *first = finish(campaign(service, 1, "a"));
    struct later *again = finish(campaign(service, 1, "b"));
    assert_int_equal(leader_of(first)->rev, leader_of(again)->rev);
    struct later *now = finish(leader(service));
    assert_memory_equal(((V3electionpb__LeaderResponse *)now->response)->kv->value.data, "b", 1);
    forget(first);
    forget(again);
    forget(now);
}

/* Observe. */

struct seen {
    struct api_stream stream;
    struct arena *arena;
    atomic_int wakes;
    atomic_int wake_us; /* how long it takes */
    struct api_status status;
};

static void wake(struct api_stream *stream)
{
    struct seen *seen = CONTAINER_OF(stream, struct seen, stream);
    atomic_fetch_add(&seen->wakes, 1);
    if (atomic_load(&seen->wake_us)) {
        usleep((useconds_t)atomic_load(&seen->wake_us));
    }
}

static void observe(struct service *service, struct seen *seen, const char *name)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    *seen = (struct seen){.arena = arena_new(0),
        .stream = {.method = api_method_find(SLICE("/v3electionpb.Election/Observe")),
            .arena = arena_new(0),
            .wake = wake}};
    request.name = text(name);
    api_stream_open(service->api, &seen->stream);
    api_stream_message(&seen->stream, pb_pack_arena(&request, seen->arena));
    api_stream_half_close(&seen->stream);
}

static enum api_next next(struct seen *seen, struct payload *payload)
{
    enum api_next next = API_NEXT_LATER;
    payload_init(payload);
    for (int i = 0; i < LOOKS && next == API_NEXT_LATER; i++) {
        next = api_stream_next(&seen->stream, payload, &seen->status);
        if (next == API_NEXT_LATER) {
            usleep(LOOK_US);
        }
    }
    return next;
}

static void sees(struct seen *seen, const char *value)
{
    struct payload payload;
    V3electionpb__LeaderResponse *response;
    assert_int_equal(next(seen, &payload), API_NEXT_MESSAGE);
    struct slice bytes = arena_dup(seen->arena, payload.parts[0].bytes);
    assert_int_equal(payload.count, 1);
    payload_fini(&payload);
    assert_false(err_is(
        pb_unpack(&v3electionpb__leader_response__descriptor, seen->arena, bytes, &response)));
    assert_int_equal(response->kv->value.len, strlen(value));
    assert_memory_equal(response->kv->value.data, value, strlen(value));
    assert_int_not_equal(response->header->member_id, 0);
}

static void unsee(struct seen *seen)
{
    api_stream_close(&seen->stream);
    arena_free(seen->stream.arena);
    arena_free(seen->arena);
}

static void test_observers_see_every_leader(void **state)
{
    struct service *service = *state;
    struct seen early;
    struct seen late;
    grant(service, 1);
    observe(service, &early, "e");
    struct later *won = finish(campaign(service, 1, "a"));
    sees(&early, "a");
    observe(service, &late, "e");
    sees(&late, "a");
    is_good(proclaim(service, leader_of(won), "b"));
    sees(&early, "b");
    sees(&late, "b");
    is_good(resign(service, leader_of(won)));
    forget(won);
    forget(finish(campaign(service, 1, "c")));
    sees(&early, "c");
    sees(&late, "c");
    unsee(&early);
    unsee(&late);
}

/* The numbers from 1 on. */
static void proclaim_all(struct service *service, struct later *won, int count)
{
    char value[16];
    for (int i = 1; i <= count; i++) {
        snprintf(value, sizeof(value), "%d", i);
        is_good(proclaim(service, leader_of(won), value));
    }
}

/* What a slow observer does not read waits in the watch, not in its queue; nothing is lost. */
static void test_a_slow_observer_gets_all(void **state)
{
    struct service *service = *state;
    struct seen seen;
    char value[16];
    grant(service, 1);
    struct later *won = finish(campaign(service, 1, "0"));
    observe(service, &seen, "e");
    sees(&seen, "0");
    proclaim_all(service, won, 100);
    for (int i = 1; i <= 100; i++) {
        snprintf(value, sizeof(value), "%d", i);
        sees(&seen, value);
    }
    forget(won);
    unsee(&seen);
}

static void is_woken(struct seen *seen, int wakes)
{
    for (int i = 0; i < LOOKS && atomic_load(&seen->wakes) < wakes; i++) {
        usleep(LOOK_US);
    }
    assert_true(atomic_load(&seen->wakes) >= wakes);
}

/* All that waited in the watch comes in one message. An observer that reads while that is said asks
 * for more once and not with each, or what stands behind the first time in the desk's queue is
 * lost. */
static void test_an_observer_that_reads_while_much_is_said_gets_all(void **state)
{
    enum { VALUES = 300, CALLS = 6, AHEAD = 20, WAKE_US = 200 };
    struct service *service = *state;
    struct seen seen;
    char value[16];
    grant(service, 1);
    struct later *won = finish(campaign(service, 1, "0"));
    observe(service, &seen, "e");
    sees(&seen, "0");
    proclaim_all(service, won, VALUES);
    struct later *behind[CALLS];
    atomic_store(&seen.wake_us, WAKE_US); /* so that it can read between two */
    int wakes = atomic_load(&seen.wakes);
    for (int i = 1; i <= VALUES; i++) {
        snprintf(value, sizeof(value), "%d", i);
        sees(&seen, value);
        if (i <= CALLS) {
            behind[i - 1] = leader(service);
            is_woken(&seen, wakes + i * AHEAD);
        }
    }
    for (int i = 0; i < CALLS; i++) {
        forget(finish(behind[i]));
    }
    forget(won);
    unsee(&seen);
}

enum { QUICK_READS = 16 }; /* as many as make a queue full */

/* Reads all when the queue has just been counted as full. */
static _Atomic(struct seen *) quick;
static atomic_size_t quick_reads;

size_t __real_api_queue_count(struct api_queue *queue);
size_t __wrap_api_queue_count(struct api_queue *queue);
size_t __wrap_api_queue_count(struct api_queue *queue)
{
    size_t count = __real_api_queue_count(queue);
    struct seen *seen = atomic_load(&quick);
    struct payload payload;
    if (!seen || queue->stream != &seen->stream || count < QUICK_READS) {
        return count;
    }
    while (api_stream_next(&seen->stream, &payload, &seen->status) == API_NEXT_MESSAGE) {
        payload_fini(&payload);
        atomic_fetch_add(&quick_reads, 1);
    }
    return count;
}

/* Then nothing is there by which it would ask for more. */
static void test_an_observer_that_reads_all_before_it_is_held_gets_the_rest(void **state)
{
    struct service *service = *state;
    struct seen seen;
    grant(service, 1);
    struct later *won = finish(campaign(service, 1, "0"));
    observe(service, &seen, "e");
    sees(&seen, "0");
    atomic_store(&quick, &seen);
    proclaim_all(service, won, QUICK_READS);
    for (int i = 0; i < LOOKS && atomic_load(&quick_reads) < QUICK_READS; i++) {
        usleep(LOOK_US);
    }
    assert_int_equal(atomic_load(&quick_reads), QUICK_READS);
    is_good(proclaim(service, leader_of(won), "last"));
    sees(&seen, "last");
    atomic_store(&quick, NULL);
    forget(won);
    unsee(&seen);
}

static void test_observers_are_let_go(void **state)
{
    struct service *service = *state;
    struct seen waiting;
    struct seen stopped;
    struct seen never;
    struct payload payload;
    observe(service, &waiting, "none");
    unsee(&waiting);
    observe(service, &stopped, "none");
    api_end_waiting(service->api);
    assert_int_equal(next(&stopped, &payload), API_NEXT_END);
    assert_int_equal(stopped.status.code, GRPC_CODE_UNAVAILABLE);
    unsee(&stopped);
    observe(service, &never, "none");
    assert_int_equal(next(&never, &payload), API_NEXT_END);
    assert_int_equal(never.status.code, GRPC_CODE_UNAVAILABLE);
    unsee(&never);
}

static void test_observe_refuses_what_is_no_request(void **state)
{
    struct service *service = *state;
    struct payload payload;
    struct seen seen = {.arena = arena_new(0),
        .stream = {.method = api_method_find(SLICE("/v3electionpb.Election/Observe")),
            .arena = arena_new(0),
            .wake = wake}};
    api_stream_open(service->api, &seen.stream);
    api_stream_message(&seen.stream, SLICE("\x0a\xff"));
    assert_int_equal(next(&seen, &payload), API_NEXT_END);
    assert_int_equal(seen.status.code, GRPC_CODE_INTERNAL);
    unsee(&seen);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, service_setup, service_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_locks_go_in_order),
        TEST(test_who_is_last_does_not_overtake),
        TEST(test_who_is_cancelled_leaves),
        TEST(test_time_ends),
        TEST(test_stopping_keeps_places),
        TEST(test_a_lease_is_made_where_none_is_given),
        TEST(test_leaders_come_and_go),
        TEST(test_a_candidate_that_is_cancelled_leaves),
        TEST(test_campaigning_again_proclaims),
        TEST(test_observers_see_every_leader),
        TEST(test_a_slow_observer_gets_all),
        TEST(test_an_observer_that_reads_while_much_is_said_gets_all),
        TEST(test_an_observer_that_reads_all_before_it_is_held_gets_the_rest),
        TEST(test_observers_are_let_go),
        TEST(test_observe_refuses_what_is_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
