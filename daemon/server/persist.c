/* SPDX-License-Identifier: Apache-2.0 */
#include "server/parts.h"
#include "server/spare.h"

#include "base/log.h"

static struct persist_job *job_of(struct list *node)
{
    return CONTAINER_OF(LIST_ITEM(node, struct core_item, node), struct persist_job, item);
}

static size_t count_entries(struct list *jobs)
{
    size_t count = 0;
    LIST_EACH(node, jobs)
    {
        count += job_of(node)->update.entries_count;
    }
    return count;
}

/* One run of entries out of many updates; borrowed, so nothing is referenced. */
static struct raft_entry *gather(struct list *jobs, size_t count)
{
    struct raft_entry *all = mem_alloc(count * sizeof(*all));
    size_t at = 0;
    LIST_EACH(node, jobs)
    {
        const struct raft_update *update = &job_of(node)->update;
        if (update->entries_count) {
            memcpy(&all[at], update->entries, update->entries_count * sizeof(*all));
            at += update->entries_count;
        }
    }
    return all;
}

static void note_cost(struct server *server, const struct wal_cost *cost)
{
    metric_add(server->metrics.wal_bytes, (double)cost->bytes);
    metric_observe(server->metrics.wal_write, (double)cost->write_ns / 1e9);
    if (cost->sync_ns) {
        metric_observe(server->metrics.wal_fsync, (double)cost->sync_ns / 1e9);
    }
    if (cost->sync_ns > 1000000000) {
        LOG_WARN(
            "slow fdatasync", LOG_NS("took", cost->sync_ns), LOG_MS("expected-duration", 1000));
    }
}

bool persist_jobs(struct server *server, struct list *jobs)
{
    struct wal_batch batch = {0};
    struct wal_cost cost = {0};
    struct why why = {""};
    struct raft_entry *gathered = NULL;
    struct persist_job *only = job_of(jobs->next);
    LIST_EACH(node, jobs)
    {
        const struct raft_update *update = &job_of(node)->update;
        batch.must_sync |= update->must_sync;
        batch.hard = update->has_hard_state ? &update->hard_state : batch.hard;
    }
    if (jobs->next->next == jobs) {
        batch.entries = only->update.entries;
        batch.entries_count = only->update.entries_count;
    } else {
        batch.entries_count = count_entries(jobs);
        batch.entries = gathered = gather(jobs, batch.entries_count);
    }
    pthread_mutex_lock(&server->wal_turn);
    struct err err = wal_append(server->options.wal, &batch, &cost, &why);
    struct wal_spare *spare = err_is(err) ? NULL : wal_spare_begin(server->options.wal);
    pthread_mutex_unlock(&server->wal_turn);
    free(gathered);
    if (spare) {
        spare_fill(server, spare);
    }
    if (err_is(err)) {
        server_fail(server, why.text);
        return false;
    }
    note_cost(server, &cost);
    return true;
}

/* As etcd: the file, the record, then the hard state that makes both count. */
static bool persist_snapshot(struct server *server, struct persist_job *job)
{
    const struct raft_update *update = &job->update;
    const struct raft_snapshot_meta *meta = &update->snapshot->meta;
    struct wal_snapshot record = {meta->index, meta->term, true, meta->conf};
    struct wal_batch batch = {&update->hard_state, update->entries, update->entries_count, true};
    struct wal_cost cost = {0};
    struct why why = {""};
    struct err err = server->options.keep_snapshot(
        server->options.snapshot_arg, meta, blob_slice(update->snapshot->data), &why);
    pthread_mutex_lock(&server->wal_turn);
    if (!err_is(err)) {
        err = wal_save_snapshot(server->options.wal, &record, &why);
    }
    if (!err_is(err)) {
        err = wal_append(server->options.wal, &batch, &cost, &why);
    }
    if (!err_is(err)) {
        wal_release_to(server->options.wal, meta->index);
    }
    pthread_mutex_unlock(&server->wal_turn);
    if (err_is(err)) {
        server_fail(server, why.text);
        return false;
    }
    note_cost(server, &cost);
    return true;
}

/* In order: what is before a snapshot, the snapshot, what is behind it. */
static bool persist_all(struct server *server, struct list *jobs, struct list *done)
{
    struct list some;
    struct list *node;
    bool is_written = true;
    list_init(&some);
    while (is_written && (node = list_pop(jobs))) {
        bool is_snapshot = job_of(node)->update.snapshot != NULL;
        if (!is_snapshot) {
            list_push(&some, node);
        }
        if (!list_is_empty(&some) && (is_snapshot || list_is_empty(jobs))) {
            is_written = persist_jobs(server, &some);
            list_splice(done, &some);
        }
        if (is_snapshot) {
            is_written = is_written && persist_snapshot(server, job_of(node));
            list_push(done, node);
        }
    }
    list_splice(done, jobs);
    return is_written;
}

void *wal_main(void *arg)
{
    struct server *server = arg;
    struct list taken_jobs;
    struct list jobs;
    struct list *node;
    list_init(&taken_jobs);
    list_init(&jobs);
    for (;;) {
        size_t taken = mailbox_take(&server->wal_box, &taken_jobs, -1);
        if (taken == 0 && mailbox_is_closed(&server->wal_box)) {
            return NULL;
        }
        bool is_written = taken == 0 || (!atomic_load(&server->has_failed) &&
                                            persist_all(server, &taken_jobs, &jobs));
        list_splice(&jobs, &taken_jobs);
        while ((node = list_pop(&jobs))) {
            /* After a failure nothing may look persisted any more. */
            if (!is_written || !mailbox_push_always(&server->core_box, node)) {
                raft_update_fini(&job_of(node)->update);
                free(job_of(node));
            }
        }
    }
}
