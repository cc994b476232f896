/* SPDX-License-Identifier: Apache-2.0
 *
 * Two threads for what must not hold up the others: `back` takes jobs that may be long (snapshots
 * of the log, hashes, exports) and goes on with compaction between them in slices; `sync` moves
 * watchers that catch up, and keeps the time.
 */
#include "server/compactor.h"
#include "server/leaderless.h"
#include "server/parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <sys/resource.h>
#include <unistd.h>

enum {
    COMPACT_ROWS = 1000,
    COMPACT_PAUSE_MS = 2,
    COMPACT_PIECE = 100, /* rows at a time: half a millisecond that others may have to wait */
    SYNC_TICK_MS = 100,
    BACK_NICE = 5, /* nobody waits for it as for the others */
};

bool server_run(struct server *server, struct server_job *job)
{
    return mailbox_push_always(&server->back_box, &job->node);
}

void back_compact(struct server *server)
{
    pthread_mutex_lock(&server->compact_mutex);
    server->is_compacting = true;
    pthread_mutex_unlock(&server->compact_mutex);
    mailbox_wake(&server->back_box);
}

void server_after_compaction(struct server *server, struct server_job *job)
{
    pthread_mutex_lock(&server->compact_mutex);
    bool is_compacting = server->is_compacting;
    if (is_compacting) {
        list_push(&server->after_compaction, &job->node);
    }
    pthread_mutex_unlock(&server->compact_mutex);
    if (!is_compacting) {
        job->run(job);
    }
}

/* False: another has begun meanwhile, and it goes on. One that begins later says so itself. */
static bool compaction_done(struct server *server, revision goal)
{
    struct list waiting;
    struct list *node;
    list_init(&waiting);
    pthread_mutex_lock(&server->compact_mutex);
    bool is_over = goal == mvcc_compact_revision(server->options.mvcc);
    if (is_over) {
        server->is_compacting = false;
        list_splice(&waiting, &server->after_compaction);
    }
    pthread_mutex_unlock(&server->compact_mutex);
    while ((node = list_pop(&waiting))) {
        struct server_job *job = LIST_ITEM(node, struct server_job, node);
        job->run(job);
    }
    return is_over;
}

static bool is_compacting(struct server *server)
{
    pthread_mutex_lock(&server->compact_mutex);
    bool yes = server->is_compacting;
    pthread_mutex_unlock(&server->compact_mutex);
    return yes;
}

static void note_compaction(struct server *server)
{
    if (server->metrics.compact_began_ns) {
        metric_observe(server->metrics.compact_total,
            (double)(clock_mono_ns() - server->metrics.compact_began_ns) / 1e6);
        metric_set(server->metrics.compact_last, (double)(clock_wall_ns() / 1000000000));
    }
    server->metrics.compact_began_ns = 0;
}

/* So many rows, then so long a pause. */
struct pace {
    size_t rows;
    int64_t pause_ms;
};

/* What was asked for, in smaller pieces: on few processors, who has an answer to give waits for the
 * thread that compacts as long as that one goes on without a pause. */
static struct pace compaction_pace(const struct server_options *options)
{
    size_t rows = options->compaction_rows ? options->compaction_rows : COMPACT_ROWS;
    int64_t pause_ms =
        options->compaction_pause_ms ? options->compaction_pause_ms : COMPACT_PAUSE_MS;
    size_t pieces =
        rows / COMPACT_PIECE < (size_t)pause_ms ? rows / COMPACT_PIECE : (size_t)pause_ms;
    return pieces > 1 ? (struct pace){rows / pieces, pause_ms / (int64_t)pieces}
                      : (struct pace){rows, pause_ms};
}

/* One slice. A compaction that begins meanwhile only moves the goal, so "done" is asked for again
 * then. */
static void compact_slice(struct server *server, size_t rows)
{
    struct why why = {""};
    bool is_done = false;
    revision goal = mvcc_compact_revision(server->options.mvcc);
    int64_t began_ns = clock_mono_ns();
    if (err_is(mvcc_compact_step(server->options.mvcc, rows, &is_done, &why))) {
        server_fail(server, why.text);
        return;
    }
    metric_observe(server->metrics.compact_pause, (double)(clock_mono_ns() - began_ns) / 1e6);
    if (is_done && compaction_done(server, goal)) {
        LOG_INFO("finished scheduled compaction", LOG_INT("compact-revision", goal));
        note_compaction(server);
    }
}

/* A slice after each job and each pause: neither keeps the other waiting. */
void *back_main(void *arg)
{
    struct server *server = arg;
    struct list jobs;
    struct list *node;
    list_init(&jobs);
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACK_NICE); /* of this thread, on Linux */
    struct pace pace = compaction_pace(&server->options);
    back_compact(server); /* one may have been under way when the member went down */
    for (;;) {
        bool is_busy = is_compacting(server) && !atomic_load(&server->has_failed);
        bool is_last = mailbox_is_closed(&server->back_box); /* what is taken now is all */
        if (list_is_empty(&jobs)) {
            mailbox_take(&server->back_box, &jobs, is_busy ? pace.pause_ms : -1);
        }
        if ((node = list_pop(&jobs))) {
            struct server_job *job = LIST_ITEM(node, struct server_job, node);
            job->run(job);
        } else if (is_last) {
            (void)compaction_done(server, mvcc_compact_revision(server->options.mvcc));
            return NULL;
        }
        if (is_busy && !server->metrics.compact_began_ns) {
            server->metrics.compact_began_ns = clock_mono_ns();
        }
        if (is_busy) {
            compact_slice(server, pace.rows);
        }
    }
}

void sync_wake(void *arg)
{
    struct server *server = arg;
    mailbox_wake(&server->sync_box);
}

void *sync_main(void *arg)
{
    struct server *server = arg;
    struct leaderless leaderless = {0};
    struct list none;
    struct why why = {""};
    int64_t measure_at_ms = 0;
    int64_t tick_ms = server->options.sync_tick_ms ? server->options.sync_tick_ms : SYNC_TICK_MS;
    list_init(&none);
    while (!mailbox_is_closed(&server->sync_box)) {
        pthread_mutex_lock(&server->sync_turn);
        bool is_more = watch_sync(server->options.hub);
        pthread_mutex_unlock(&server->sync_turn);
        if (err_is(watch_failure(server->options.hub, &why))) {
            server_fail(server, why.text);
        }
        int64_t now_ms = clock_mono_ms();
        watch_tick(server->options.hub, now_ms);
        compactor_tick(server, server->compactor, now_ms);
        snapshot_tick(server);
        leaderless_tick(server, &leaderless, now_ms);
        if (now_ms >= measure_at_ms) {
            measure_at_ms = now_ms + 1000;
            apply_measure(server->options.apply);
            if (err_is(backend_health(server->options.backend, &why))) {
                server_fail(server, why.text);
            }
        }
        mailbox_take(&server->sync_box, &none, is_more ? 0 : tick_ms);
    }
    return NULL;
}
