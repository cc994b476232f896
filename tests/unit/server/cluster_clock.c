/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster_clock.h"

#include "base/mem.h"

#include <time.h>
#include <unistd.h>

struct skew {
    _Atomic int64_t wall_s;
    _Atomic int64_t mono_s;
};

static struct skew skews[NODES_MAX];
static _Thread_local struct node *here;

int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __real_pthread_cond_timedwait(
    pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_timedwait(
    pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
int __real_pthread_create(
    pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(
    pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    int failed = __real_clock_gettime(id, out);
    if (here && id == CLOCK_REALTIME) {
        out->tv_sec += atomic_load(&skews[here->place].wall_s);
    } else if (here && id == CLOCK_MONOTONIC) {
        out->tv_sec += atomic_load(&skews[here->place].mono_s);
    }
    return failed;
}

/* The conditions of a member count monotonic time. */
int __wrap_pthread_cond_timedwait(
    pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    struct timespec real = *until;
    if (here) {
        real.tv_sec -= atomic_load(&skews[here->place].mono_s);
    }
    return __real_pthread_cond_timedwait(cond, mutex, &real);
}

/* Whoever a member's thread starts is the member's. */
struct birth {
    struct node *node;
    void *(*run)(void *);
    void *arg;
};

static void *live(void *arg)
{
    struct birth birth = *(struct birth *)arg;
    free(arg);
    here = birth.node;
    return birth.run(birth.arg);
}

int __wrap_pthread_create(
    pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    struct birth *birth = mem_new(sizeof(*birth));
    *birth = (struct birth){here, run, arg};
    return __real_pthread_create(thread, attr, live, birth);
}

static struct node *as(struct node *node)
{
    struct node *was = here;
    here = node;
    return was;
}

void clock_begin(struct cluster *cluster)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        atomic_store(&skews[i].wall_s, 0);
        atomic_store(&skews[i].mono_s, 0);
    }
    cluster->as = as;
}

void clock_jump_wall(struct node *node, int64_t by_s)
{
    atomic_fetch_add(&skews[node->place].wall_s, by_s);
}

void clock_jump_mono(struct node *node, int64_t by_s)
{
    assert_true(by_s > 0);
    atomic_fetch_add(&skews[node->place].mono_s, by_s);
}

static void stand(struct server_ask *ask, struct raft *raft)
{
    struct standstill *still = CONTAINER_OF(ask, struct standstill, ask);
    (void)raft;
    atomic_store(&still->is_there, true);
    while (!atomic_load(&still->is_over)) {
        usleep(1000);
    }
    atomic_store(&still->is_gone, true);
}

static bool is_there(void *arg)
{
    return atomic_load(&((struct standstill *)arg)->is_there);
}

static bool is_gone(void *arg)
{
    return atomic_load(&((struct standstill *)arg)->is_gone);
}

void standstill_begin(struct standstill *still, struct node *node)
{
    *still = (struct standstill){.ask.run = stand};
    assert_true(server_on_core(node->server, &still->ask));
    assert_true(wait_until(is_there, still));
}

void standstill_end(struct standstill *still)
{
    atomic_store(&still->is_over, true);
    assert_true(wait_until(is_gone, still));
}
