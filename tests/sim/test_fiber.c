/* SPDX-License-Identifier: Apache-2.0
 * Threads as fibers in a time of their own: order from the seed, waits that end, death, pauses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/rand.h"
#include "fiber.h"
#include "primitives.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { WORKERS = 5, TURNS = 200 };

static struct host host;
static struct host other;

static void begin(uint64_t seed)
{
    world_init(&(struct world_options){
        .seed = seed, .preempt_one_in = 3, .stall_one_in = 20, .stall_ns = 5 * MS});
    primitives_spurious(50);
    host_init(&host, "a", 0);
    host_init(&other, "b", 1);
}

static void end(void)
{
    host_kill(&host);
    host_kill(&other);
    world_fini();
}

static void spawn(struct host *at, void *(*run)(void *arg), void *arg)
{
    fiber_detach(fiber_spawn(at, "test", run, arg));
}

/* A counter that only a lock keeps right, and who moved it when. */
struct counting {
    pthread_mutex_t mutex;
    int value;
    uint64_t order;
};

struct worker {
    struct counting *counting;
    int number;
};

/* Some wait for the lock, some come back. */
static void take(pthread_mutex_t *mutex, bool is_waiting)
{
    if (is_waiting) {
        pthread_mutex_lock(mutex);
        return;
    }
    int rc;
    while ((rc = pthread_mutex_trylock(mutex)) == EBUSY) {
        nanosleep(&(struct timespec){0, 700}, NULL);
    }
    assert_int_equal(rc, 0);
}

static void *count(void *arg)
{
    struct worker *worker = arg;
    struct counting *counting = worker->counting;
    for (int i = 0; i < TURNS; i++) {
        take(&counting->mutex, worker->number % 2);
        int seen = counting->value;
        nanosleep(&(struct timespec){0, 1000}, NULL);
        counting->value = seen + 1;
        counting->order = counting->order * 31 + (uint64_t)worker->number;
        pthread_mutex_unlock(&counting->mutex);
    }
    return NULL;
}

static uint64_t count_together(uint64_t seed, uint64_t *out_trace)
{
    struct counting counting = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct worker workers[WORKERS];
    begin(seed);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){&counting, i};
        spawn(&host, count, &workers[i]);
    }
    assert_int_equal(world_run(NEVER), WORLD_EMPTY);
    assert_int_equal(counting.value, WORKERS * TURNS);
    *out_trace = world_trace();
    end();
    return counting.order;
}

static void test_a_seed_decides_the_order(void **state)
{
    (void)state;
    uint64_t traces[3];
    uint64_t first = count_together(1, &traces[0]);
    assert_int_equal(count_together(1, &traces[1]), first);
    assert_int_equal(traces[1], traces[0]);
    assert_true(count_together(2, &traces[2]) != first);
    assert_true(traces[2] != traces[0]);
}

struct crossing {
    pthread_mutex_t locks[2];
};

static void *cross(void *arg)
{
    struct crossing *crossing = arg;
    for (int i = 0;; i = 1 - i) {
        pthread_mutex_lock(&crossing->locks[i]);
        pthread_mutex_lock(&crossing->locks[1 - i]);
        pthread_mutex_unlock(&crossing->locks[1 - i]);
        pthread_mutex_unlock(&crossing->locks[i]);
    }
    return NULL;
}

static void test_locks_taken_crosswise_are_found(void **state)
{
    (void)state;
    struct crossing crossing = {{PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER}};
    begin(3);
    spawn(&host, cross, &crossing);
    spawn(&host, cross, &crossing);
    assert_int_equal(world_run(60 * SECOND), WORLD_DEADLOCK);
    end();
}

struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int rc;
    int64_t took_ns;
};

static void *wait_a_second(void *arg)
{
    struct waiting *waiting = arg;
    struct timespec until;
    int64_t began_ns = clock_mono_ns();
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&waiting->mutex);
    while (waiting->rc == 0) {
        waiting->rc = pthread_cond_timedwait(&waiting->cond, &waiting->mutex, &until);
    }
    pthread_mutex_unlock(&waiting->mutex);
    waiting->took_ns = clock_mono_ns() - began_ns;
    return NULL;
}

/* By the clock of the machine: a fast one has waited long enough sooner. */
static void test_a_deadline_is_by_the_hosts_clock(void **state)
{
    (void)state;
    struct waiting waiting = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&waiting.cond, &attr);
    begin(4);
    host_set_rate(&host, 100000);
    int64_t began_ns = world_now();
    spawn(&host, wait_a_second, &waiting);
    assert_int_equal(world_run(NEVER), WORLD_EMPTY);
    assert_int_equal(waiting.rc, ETIMEDOUT);
    assert_true(waiting.took_ns >= SECOND && waiting.took_ns < SECOND + 10 * MS);
    assert_true(world_now() - began_ns < SECOND);
    end();
}

struct post {
    struct mailbox box;
    struct list items[TURNS];
    size_t taken;
    int64_t idle_ns;
};

static void *put_items(void *arg)
{
    struct post *post = arg;
    for (int i = 0; i < TURNS; i++) {
        assert_true(mailbox_push_always(&post->box, &post->items[i]));
    }
    return NULL;
}

static void *take_items(void *arg)
{
    struct post *post = arg;
    struct list items;
    list_init(&items);
    while (post->taken < TURNS) {
        post->taken += mailbox_take(&post->box, &items, -1);
    }
    while (list_pop(&items)) {
    }
    int64_t began_ns = clock_mono_ns();
    assert_int_equal(mailbox_take(&post->box, &items, 250), 0);
    post->idle_ns = clock_mono_ns() - began_ns;
    return NULL;
}

static void test_mailboxes_work_over_fibers(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct post post = {0};
        begin(seed);
        mailbox_init(&post.box, 10);
        spawn(&host, take_items, &post);
        spawn(&host, put_items, &post);
        assert_int_equal(world_run(NEVER), WORLD_EMPTY);
        assert_int_equal(post.taken, TURNS);
        assert_true(post.idle_ns <= 256 * MS);
        mailbox_fini(&post.box);
        end();
    }
}

static int ticks;

static void *tick(void *arg)
{
    (void)arg;
    for (;;) {
        ticks++;
        fiber_sleep(10 * MS);
    }
    return NULL;
}

static void pause_other(void *arg)
{
    (void)arg;
    host_pause(&other, true);
}

static void go_on(void *arg)
{
    *(int *)arg = ticks;
    host_pause(&other, false);
}

static void kill_other(void *arg)
{
    (void)arg;
    host_kill(&other);
}

static void test_a_host_stands_still_and_dies(void **state)
{
    (void)state;
    int when_paused = 0;
    begin(5);
    ticks = 0;
    int64_t began_ns = world_now();
    spawn(&other, tick, NULL);
    world_at(began_ns + 95 * MS, pause_other, NULL);
    world_at(began_ns + 500 * MS, go_on, &when_paused);
    world_at(began_ns + 595 * MS, kill_other, NULL);
    assert_int_equal(world_run(NEVER), WORLD_EMPTY);
    assert_int_equal(when_paused, 10);
    assert_true(ticks >= 19 && ticks <= 20);
    end();
}

static pthread_rwlock_t shared;
static int readers_in;
static int readers_most;

static void *read_shared(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        pthread_rwlock_rdlock(&shared);
        readers_in++;
        readers_most = readers_in > readers_most ? readers_in : readers_most;
        fiber_sleep(20 * US);
        readers_in--;
        pthread_rwlock_unlock(&shared);
    }
    return NULL;
}

static void *write_shared(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        pthread_rwlock_wrlock(&shared);
        assert_int_equal(readers_in, 0);
        fiber_sleep(US);
        assert_int_equal(readers_in, 0);
        pthread_rwlock_unlock(&shared);
        fiber_sleep(5 * US);
    }
    return NULL;
}

static void test_readers_share_and_writers_do_not(void **state)
{
    (void)state;
    begin(6);
    readers_most = 0;
    pthread_rwlock_init(&shared, NULL);
    spawn(&host, read_shared, NULL);
    spawn(&host, read_shared, NULL);
    spawn(&host, write_shared, NULL);
    spawn(&host, write_shared, NULL);
    assert_int_equal(world_run(NEVER), WORLD_EMPTY);
    assert_int_equal(readers_most, 2);
    pthread_rwlock_destroy(&shared);
    end();
}

static void *square(void *arg)
{
    *(int *)arg *= *(int *)arg;
    return arg;
}

static void *join(void *arg)
{
    pthread_t thread;
    void *result = NULL;
    pthread_create(&thread, NULL, square, arg);
    pthread_setname_np(thread, "square");
    pthread_join(thread, &result);
    assert_ptr_equal(result, arg);
    return NULL;
}

static void test_threads_are_joined(void **state)
{
    (void)state;
    int number = 7;
    begin(7);
    spawn(&host, join, &number);
    assert_int_equal(world_run(NEVER), WORLD_EMPTY);
    assert_int_equal(number, 49);
    end();
}

static uint64_t secrets[2];

static void *draw(void *arg)
{
    rand_secret(arg, sizeof(uint64_t));
    return NULL;
}

static void test_secrets_come_from_the_seed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(8);
        spawn(&host, draw, &secrets[i]);
        world_run(NEVER);
        end();
    }
    assert_true(secrets[0] != 0);
    assert_int_equal(secrets[0], secrets[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_decides_the_order),
        cmocka_unit_test(test_locks_taken_crosswise_are_found),
        cmocka_unit_test(test_a_deadline_is_by_the_hosts_clock),
        cmocka_unit_test(test_mailboxes_work_over_fibers),
        cmocka_unit_test(test_a_host_stands_still_and_dies),
        cmocka_unit_test(test_readers_share_and_writers_do_not),
        cmocka_unit_test(test_threads_are_joined),
        cmocka_unit_test(test_secrets_come_from_the_seed),
    };
    return cmocka_run_group_tests_name("sim fibers", tests, NULL, NULL);
}
