/* SPDX-License-Identifier: Apache-2.0 */
#include "server/compactor.h"
#include "server/parts.h"
#include "server/spare.h"

#include "base/clock.h"
#include "base/log.h"

#include <time.h>

/* Ids as etcd makes them: the member's low 16 bits, 40 bits of time, 8 bits of count; unique over
 * restarts. */
static uint64_t first_id(uint64_t member_id)
{
    uint64_t ms = (uint64_t)(clock_wall_ns() / 1000000) & 0xffffffffff;
    return (member_id & 0xffff) << 48 | ms << 8 | 1;
}

int64_t server_request_ms(const struct server *server)
{
    const struct server_options *options = &server->options;
    if (options->request_ms) {
        return options->request_ms;
    }
    return 5000 + 2 * options->tick_ms * options->election_ticks;
}

static void init_queues(struct server *server)
{
    mailbox_init(&server->core_box, CORE_BOX_MAX);
    mailbox_init(&server->wal_box, CORE_BOX_MAX);
    mailbox_init(&server->apply_box, CORE_BOX_MAX);
    mailbox_init(&server->back_box, CORE_BOX_MAX);
    mailbox_init(&server->sync_box, CORE_BOX_MAX);
    mailbox_init(&server->spare_box, CORE_BOX_MAX);
    pthread_mutex_init(&server->apply_turn, NULL);
    pthread_mutex_init(&server->sync_turn, NULL);
    pthread_mutex_init(&server->wal_turn, NULL);
    pthread_mutex_init(&server->reads_mutex, NULL);
    pthread_mutex_init(&server->compact_mutex, NULL);
    list_init(&server->unsent);
    list_init(&server->kept);
    list_init(&server->reads_new);
    list_init(&server->read_groups);
    list_init(&server->transfers);
    list_init(&server->reads_at_index);
    list_init(&server->waits);
    list_init(&server->leases_waiting);
    list_init(&server->renewals);
    list_init(&server->jobs_free);
    list_init(&server->after_compaction);
}

/* Entries of the log are unpacked as deep as they are nested (PB_DEPTH_LOG_MAX), at a kilobyte a
 * level; what a thread gets else depends on the shell's limit. */
enum { STACK_BYTES = 8 << 20 };

static void thread_start(
    pthread_t *thread, const char *name, void *(*run)(void *arg), struct server *server)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    check(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
    check(pthread_create(thread, &attr, run, server) == 0);
    pthread_attr_destroy(&attr);
    pthread_setname_np(*thread, name);
}

struct server *server_start(const struct server_options *options)
{
    struct server *server = mem_new(sizeof(*server));
    server->options = *options;
    server->member_id = member_self_id(options->members);
    server->cluster_id = member_cluster_id(options->members);
    init_queues(server);
    server_metrics_init(server);
    server->compactor = compactor_new(&server->options);
    struct raft_hard_state hard = raft_hard_state_get(options->raft);
    atomic_store(&server->next_id, first_id(server->member_id));
    atomic_store(&server->term, hard.term);
    atomic_store(&server->commit_index, hard.commit);
    /* A member that has all may find nothing to apply for long, in a cluster that is idle. */
    atomic_store(&server->applied_term, apply_term(options->apply));
    atomic_store(&server->snapshot_index, options->snapshot_index);
    server->noted_applied = apply_index(options->apply);
    server->submitted = server->noted_applied;
    watch_on_unsynced(options->hub, sync_wake, server);
    thread_start(&server->back_thread, "back", back_main, server);
    thread_start(&server->sync_thread, "sync", sync_main, server);
    thread_start(&server->spare_thread, "spare", spare_main, server);
    thread_start(&server->apply_thread, "apply", apply_main, server);
    thread_start(&server->wal_thread, "wal", wal_main, server);
    thread_start(&server->core_thread, "core", core_main, server);
    return server;
}

/* From the edge inwards: nothing new comes in, what is on its way goes through, then the next
 * thread ends. */
void server_stop(struct server *server)
{
    atomic_store(&server->is_stopping, true);
    mailbox_close(&server->core_box);
    pthread_join(server->core_thread, NULL);
    mailbox_close(&server->wal_box);
    pthread_join(server->wal_thread, NULL);
    mailbox_close(&server->spare_box);
    pthread_join(server->spare_thread, NULL);
    mailbox_close(&server->apply_box);
    pthread_join(server->apply_thread, NULL);
    mailbox_close(&server->back_box);
    pthread_join(server->back_thread, NULL);
    mailbox_close(&server->sync_box);
    pthread_join(server->sync_thread, NULL);
    waiter_fail_all(server, ERR(STOPPED));
    read_expire(server, INT64_MAX, ERR(STOPPED));
    leases_fail_all(server, ERR(STOPPED));
}

void server_free(struct server *server)
{
    if (!server) {
        return;
    }
    watch_on_unsynced(server->options.hub, NULL, NULL);
    mailbox_fini(&server->core_box);
    mailbox_fini(&server->wal_box);
    mailbox_fini(&server->apply_box);
    mailbox_fini(&server->back_box);
    mailbox_fini(&server->sync_box);
    mailbox_fini(&server->spare_box);
    pthread_mutex_destroy(&server->apply_turn);
    pthread_mutex_destroy(&server->sync_turn);
    pthread_mutex_destroy(&server->wal_turn);
    pthread_mutex_destroy(&server->reads_mutex);
    pthread_mutex_destroy(&server->compact_mutex);
    compactor_free(server->compactor);
    free(server);
}

static bool is_ready(struct server *server)
{
    return atomic_load(&server->leader) &&
           atomic_load(&server->applied_term) == atomic_load(&server->term) &&
           atomic_load(&server->is_published);
}

bool server_wait_ready(struct server *server, int64_t timeout_ms)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    while (!is_ready(server) && clock_mono_ms() < deadline_ms) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return is_ready(server);
}

void server_status_get(struct server *server, struct server_status *out)
{
    struct arena *arena = arena_new(0);
    struct member self;
    bool is_known = member_find(server->options.members, server->member_id, arena, &self);
    *out = (struct server_status){
        .member_id = server->member_id,
        .cluster_id = server->cluster_id,
        .leader = atomic_load(&server->leader),
        .term = atomic_load(&server->term),
        .commit_index = atomic_load(&server->commit_index),
        .applied_index = apply_index(server->options.apply),
        .ticks = atomic_load_explicit(&server->ticks, memory_order_relaxed),
        .is_writing_log = atomic_load_explicit(&server->is_writing_log, memory_order_relaxed),
        .is_leader = atomic_load(&server->is_leader),
        .is_learner = is_known && self.is_learner,
    };
    arena_free(arena);
}

uint64_t server_term(struct server *server)
{
    return atomic_load_explicit(&server->term, memory_order_relaxed);
}

const struct server_options *server_options_get(const struct server *server)
{
    return &server->options;
}

void server_fail(struct server *server, const char *what)
{
    if (atomic_exchange(&server->has_failed, true)) {
        return;
    }
    LOG_ERROR("the member cannot go on", LOG_ERR(what));
    if (server->options.on_fatal) {
        server->options.on_fatal(server->options.on_fatal_arg, what);
    }
}
