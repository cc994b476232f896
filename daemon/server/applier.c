/* SPDX-License-Identifier: Apache-2.0
 *
 * Applying what was committed. Normally on the apply thread; a small batch that finds it idle is
 * applied by core, which saves a hand-off where it matters: when there is little to do. The turn
 * makes sure that only one applies at a time and in order.
 */
#include "server/full.h"
#include "server/parts.h"

#include "base/clock.h"
#include "base/log.h"

struct done_list {
    struct server *server;
    struct apply_result **results;
    size_t count;
    size_t cap;
    bool has_compaction;
    bool is_full;     /* a write did not fit the quota */
    int64_t began_ns; /* the request that is applied now */
};

static void collect_done(void *arg, struct apply_result *result)
{
    struct done_list *list = arg;
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->results = mem_grow(list->results, list->cap * sizeof(*list->results));
    }
    list->results[list->count++] = result;
}

static struct apply_result *find(void *arg, uint64_t request_id)
{
    return waiter_find(((struct done_list *)arg)->server, request_id);
}

static void conf(void *arg, uint64_t index, const struct raft_conf_change *change, bool is_void)
{
    struct server *server = ((struct done_list *)arg)->server;
    struct core_conf *conf = mem_new(sizeof(*conf));
    conf->item.kind = CORE_CONF;
    conf->index = index;
    conf->change = *change;
    conf->change.context = (struct slice){0};
    conf->is_void = is_void;
    if (!mailbox_push_always(&server->core_box, &conf->item.node)) {
        free(conf);
    }
}

static struct metric *apply_metric(struct server *server, unsigned op, bool is_good)
{
    struct metric **child = &server->metrics.applies[op][is_good];
    char name[APPLY_OP_NAME_SIZE];
    if (!*child) {
        apply_op_name(op, name);
        *child = metric_with(server->metrics.apply_seconds,
            (const char *const[]){"v3", name, is_good ? "true" : "false", NULL});
    }
    return *child;
}

static void ended(void *arg, unsigned op, struct err outcome)
{
    struct done_list *list = arg;
    int64_t now_ns = clock_mono_ns();
    bool is_good = !err_is(outcome) || IS(outcome, COMPACTED);
    /* Now: whether the alarm is up may be another matter when the last of them is applied. */
    list->is_full |= IS(outcome, NO_SPACE) && !apply_is_out_of_space(list->server->options.apply);
    metric_observe(
        apply_metric(list->server, op, is_good), (double)(now_ns - list->began_ns) / 1e9);
    list->began_ns = now_ns;
}

static void warn_if_slow(struct server *server, int64_t took_ns, size_t count)
{
    int64_t limit_ns = server->options.warning_apply_ns;
    if (limit_ns > 0 && took_ns > limit_ns) {
        metric_inc(server->metrics.slow_applies);
        LOG_WARN("apply request took too long", LOG_NS("took", took_ns), LOG_UINT("entries", count),
            LOG_NS("expected-duration", limit_ns));
    }
}

/* Applies, writes one batch, then lets those know who wait. With the turn. */
static bool run(
    struct server *server, const struct raft_entry *entries, size_t count, struct done_list *done)
{
    struct apply_sink sink = {find, collect_done, conf, done, ended};
    struct why why = {""};
    int64_t began_ns = clock_mono_ns();
    done->began_ns = began_ns;
    lease_set_now(server->options.leases, began_ns / 1000000);
    apply_set_time(server->options.apply, began_ns / 1000000, clock_wall_ns() / 1000000000);
    revision compacted = mvcc_compact_revision(server->options.mvcc);
    for (size_t i = 0; i < count; i++) {
        if (err_is(apply_entry(server->options.apply, &entries[i], &sink, &why))) {
            server_fail(server, why.text);
            return false;
        }
    }
    int64_t commit_ns = clock_mono_ns();
    if (err_is(apply_commit(server->options.apply, &why))) {
        server_fail(server, why.text);
        return false;
    }
    int64_t now_ns = clock_mono_ns();
    metric_observe(server->metrics.backend_commit, (double)(now_ns - commit_ns) / 1e9);
    metric_add(server->metrics.proposals_applied, (double)count);
    atomic_store(&server->applied_term, apply_term(server->options.apply));
    done->has_compaction |= mvcc_compact_revision(server->options.mvcc) != compacted;
    warn_if_slow(server, now_ns - began_ns, count);
    return true;
}

/* What was applied and not written has no known end, but those who wait must hear of one. */
static void abandon(struct server *server, struct done_list *done)
{
    for (size_t i = 0; i < done->count; i++) {
        proposal_finish(
            server, CONTAINER_OF(done->results[i], struct server_proposal, result), ERR(STOPPED));
    }
    done->count = 0;
}

static void finish(struct server *server, struct done_list *done)
{
    if (done->has_compaction) {
        back_compact(server);
        done->has_compaction = false;
    }
    if (done->is_full) {
        done->count = full_raise(server, done->results, done->count);
        done->is_full = false;
    }
    for (size_t i = 0; i < done->count; i++) {
        waiter_done(server, done->results[i]);
    }
    done->count = 0;
    read_complete_applied(server);
    snapshot_consider(server);
}

static void job_free(struct apply_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        blob_unref(job->entries[i].data);
    }
    raft_snapshot_unref(job->snapshot);
    free(job->entries);
    free(job);
}

static void submit(struct server *server, struct apply_job *job)
{
    atomic_fetch_add(&server->apply_jobs, 1);
    if (!mailbox_push_always(&server->apply_box, &job->node)) {
        atomic_fetch_sub(&server->apply_jobs, 1);
        job_free(job);
    }
}

void applier_install(struct server *server, struct raft_snapshot *snapshot)
{
    struct apply_job *job = mem_new(sizeof(*job));
    job->snapshot = raft_snapshot_ref(snapshot);
    server->submitted = snapshot->meta.index;
    submit(server, job);
}

/* A lone member has nobody who waits for its heartbeats. Only core counts up, so none at work here
 * means that all before these are applied. */
static bool is_small(struct server *server, size_t count)
{
    return count <= INLINE_ENTRIES_MAX && atomic_load(&server->is_alone) &&
           atomic_load(&server->apply_jobs) == 0;
}

void applier_submit(struct server *server, const struct raft_entry *entries, size_t count)
{
    if (count == 0) {
        return;
    }
    metric_add(server->metrics.proposals_committed, (double)count);
    server->submitted = entries[count - 1].index;
    if (is_small(server, count)) {
        pthread_mutex_lock(&server->apply_turn);
        struct done_list done = {.server = server};
        if (run(server, entries, count, &done)) {
            finish(server, &done);
        } else {
            abandon(server, &done);
        }
        pthread_mutex_unlock(&server->apply_turn);
        free(done.results);
        return;
    }
    struct apply_job *job = mem_new(sizeof(*job));
    job->count = count;
    job->entries = mem_dup(entries, count * sizeof(*entries));
    for (size_t i = 0; i < count; i++) {
        blob_ref(job->entries[i].data);
    }
    submit(server, job);
}

static void run_entries(struct server *server, struct apply_job *job, struct done_list *done)
{
    pthread_mutex_lock(&server->apply_turn);
    if (!atomic_load(&server->has_failed) && run(server, job->entries, job->count, done)) {
        finish(server, done);
    } else {
        abandon(server, done);
    }
    pthread_mutex_unlock(&server->apply_turn);
}

static void run_jobs(struct server *server, struct list *jobs, struct done_list *done)
{
    struct list *node;
    while ((node = list_pop(jobs))) {
        struct apply_job *job = LIST_ITEM(node, struct apply_job, node);
        if (!job->snapshot) {
            run_entries(server, job, done);
        } else if (!atomic_load(&server->has_failed) && install_snapshot(server, job->snapshot)) {
            read_complete_applied(server);
        }
        job_free(job);
        atomic_fetch_sub(&server->apply_jobs, 1);
        if (atomic_load(&server->is_apply_awaited)) {
            mailbox_wake(&server->core_box); /* raft has more when it hears of these */
        }
    }
}

void *apply_main(void *arg)
{
    struct server *server = arg;
    struct done_list done = {.server = server};
    struct list jobs;
    list_init(&jobs);
    for (;;) {
        size_t taken = mailbox_take(&server->apply_box, &jobs, -1);
        if (taken == 0 && mailbox_is_closed(&server->apply_box)) {
            break;
        }
        run_jobs(server, &jobs, &done);
    }
    free(done.results);
    return NULL;
}

void server_between_applies(struct server *server, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&server->apply_turn);
    fn(arg);
    pthread_mutex_unlock(&server->apply_turn);
}
