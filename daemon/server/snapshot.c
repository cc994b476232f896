/* SPDX-License-Identifier: Apache-2.0
 *
 * When enough was applied since the last snapshot: make the store durable up to here, write the
 * snapshot file, record it in the log, let go of the log's old segments. In that order, so that a
 * crash anywhere leaves a state that replays.
 */
#include "server/parts.h"

#include "base/clock.h"
#include "base/log.h"

/* A snapshot flushes the store whatever it has gathered, and syncs files beside the log: under a
 * load that brings one after the other, what they cost is bounded to a share of the time. */
enum { REST_TIMES = 8, REST_MAX_MS = 1000 };

struct snapshot_job {
    struct server_job job;
    struct server *server;
    struct raft_snapshot_meta meta;
    struct blob *v2; /* as of meta.index: members may change before the file is written */
};

static void job_free(struct snapshot_job *job)
{
    blob_unref(job->v2);
    free(job);
}

static struct err record(
    struct server *server, const struct raft_snapshot_meta *meta, struct why *why)
{
    struct wal_snapshot snapshot = {meta->index, meta->term, true, meta->conf};
    struct wal *wal = server->options.wal;
    uint64_t keep = server->options.catch_up_entries;
    size_t removed = 0;
    pthread_mutex_lock(&server->wal_turn);
    struct err err = wal_save_snapshot(wal, &snapshot, why);
    if (!err_is(err)) {
        wal_release_to(wal, meta->index > keep ? meta->index - keep : 0);
    }
    uint64_t held_from = wal_held_from(wal);
    pthread_mutex_unlock(&server->wal_turn);
    TRY(err);
    /* Without the turn: who writes to the log need not wait for what a disk does with a file that
     * goes. */
    return wal_purge(wal, held_from, server->options.wals_max, &removed, why);
}

static void run(struct server_job *base)
{
    struct snapshot_job *job = CONTAINER_OF(base, struct snapshot_job, job);
    struct server *server = job->server;
    struct why why = {""};
    int64_t began_ms = clock_mono_ms();
    struct err err = backend_flush(server->options.backend, &why);
    if (!err_is(err)) {
        err = server->options.keep_snapshot(
            server->options.snapshot_arg, &job->meta, blob_slice(job->v2), &why);
    }
    if (!err_is(err)) {
        err = record(server, &job->meta, &why);
    }
    if (err_is(err)) {
        server_fail(server, why.text);
        job_free(job);
        return;
    }
    LOG_INFO("saved snapshot", LOG_UINT("snapshot-index", job->meta.index));
    int64_t ended_ms = clock_mono_ms();
    int64_t rest_ms = REST_TIMES * (ended_ms - began_ms);
    atomic_store(&server->snapshot_rest_until_ms,
        ended_ms + (rest_ms < REST_MAX_MS ? rest_ms : REST_MAX_MS));
    struct core_snapshot *made = mem_new(sizeof(*made));
    made->item.kind = CORE_SNAPSHOT;
    made->meta = job->meta;
    if (!mailbox_push_always(&server->core_box, &made->item.node)) {
        free(made);
    }
    atomic_store(&server->snapshot_index, job->meta.index);
    atomic_store(&server->is_snapshotting, false);
    job_free(job);
}

static bool is_due(const struct server *server)
{
    return apply_index(server->options.apply) >
               atomic_load(&server->snapshot_index) + server->options.snapshot_count &&
           clock_mono_ms() >= atomic_load(&server->snapshot_rest_until_ms);
}

void snapshot_consider(struct server *server)
{
    if (!is_due(server) || atomic_exchange(&server->is_snapshotting, true)) {
        return;
    }
    uint64_t applied = apply_index(server->options.apply);
    struct snapshot_job *job = mem_new(sizeof(*job));
    job->server = server;
    job->job.run = run;
    job->meta.index = applied;
    job->meta.term = apply_term(server->options.apply);
    apply_conf_state(server->options.members, &job->meta.conf);
    job->v2 = server->options.snapshot_v2(server->options.snapshot_arg);
    LOG_INFO("triggering snapshot", LOG_HEX("local-member-id", server->member_id),
        LOG_UINT("local-member-applied-index", applied),
        LOG_UINT("local-member-snapshot-index", atomic_load(&server->snapshot_index)),
        LOG_UINT("local-member-snapshot-count", server->options.snapshot_count));
    if (!server_run(server, &job->job)) {
        job_free(job);
    }
}

void snapshot_tick(struct server *server)
{
    if (atomic_load(&server->is_snapshotting) || !is_due(server) ||
        pthread_mutex_trylock(&server->apply_turn) != 0) {
        return; /* who has the turn considers it at its end */
    }
    /* After a failure the index may be ahead of what was written. */
    if (!atomic_load(&server->has_failed) && !atomic_load(&server->is_installing)) {
        snapshot_consider(server);
    }
    pthread_mutex_unlock(&server->apply_turn);
}
