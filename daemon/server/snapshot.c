/* SPDX-License-Identifier: Apache-2.0
 *
 * When enough was applied since the last snapshot: make the store durable up to here, write the
 * snapshot file, record it in the log, let go of the log's old segments. In that order, so that a
 * crash anywhere leaves a state that replays.
 */
#include "server/parts.h"

#include "base/log.h"

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
    uint64_t keep = server->options.catch_up_entries;
    size_t removed = 0;
    pthread_mutex_lock(&server->wal_turn);
    struct err err = wal_save_snapshot(server->options.wal, &snapshot, why);
    if (!err_is(err)) {
        wal_release_to(server->options.wal, meta->index > keep ? meta->index - keep : 0);
        err = wal_purge(server->options.wal, server->options.wals_max, &removed, why);
    }
    pthread_mutex_unlock(&server->wal_turn);
    return err;
}

static void run(struct server_job *base)
{
    struct snapshot_job *job = CONTAINER_OF(base, struct snapshot_job, job);
    struct server *server = job->server;
    struct why why = {""};
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

void snapshot_consider(struct server *server)
{
    uint64_t applied = apply_index(server->options.apply);
    if (applied <= atomic_load(&server->snapshot_index) + server->options.snapshot_count ||
        atomic_exchange(&server->is_snapshotting, true)) {
        return;
    }
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
