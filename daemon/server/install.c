/* SPDX-License-Identifier: Apache-2.0
 *
 * A received snapshot becomes the store. The apply thread waits meanwhile, so that everything that
 * follows comes after; the work is the back thread's, so that no compaction, hash or export is
 * under way, and watchers that catch up are held.
 */
#include "server/parts.h"

#include "base/log.h"

struct install {
    struct server_job job;
    struct server *server;
    struct raft_snapshot *snapshot;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_done;
    bool is_ok;
};

static bool replace(struct server *server, struct raft_snapshot *snapshot)
{
    struct server_options *options = &server->options;
    struct why why = {""};
    LOG_INFO("applying snapshot", LOG_UINT("current-applied-index", apply_index(options->apply)),
        LOG_UINT("incoming-leader-snapshot-index", snapshot->meta.index),
        LOG_UINT("incoming-leader-snapshot-term", snapshot->meta.term));
    metric_set(server->metrics.installing, 1);
    pthread_mutex_lock(&server->apply_turn);
    pthread_mutex_lock(&server->sync_turn);
    struct err err = options->install_snapshot(
        options->snapshot_arg, &snapshot->meta, blob_slice(snapshot->data), &why);
    pthread_mutex_unlock(&server->sync_turn);
    pthread_mutex_unlock(&server->apply_turn);
    metric_set(server->metrics.installing, 0);
    if (err_is(err)) {
        server_fail(server, why.text);
        return false;
    }
    LOG_INFO("applied snapshot", LOG_UINT("current-applied-index", apply_index(options->apply)));
    return true;
}

static void run(struct server_job *base)
{
    struct install *install = CONTAINER_OF(base, struct install, job);
    bool is_ok = replace(install->server, install->snapshot);
    atomic_store(&install->server->is_installing, false);
    pthread_mutex_lock(&install->mutex);
    install->is_ok = is_ok;
    install->is_done = true;
    pthread_cond_signal(&install->cond);
    pthread_mutex_unlock(&install->mutex);
}

static void tell_core(struct server *server, uint64_t index)
{
    struct core_installed *item = mem_new(sizeof(*item));
    item->item.kind = CORE_INSTALLED;
    item->index = index;
    if (!mailbox_push_always(&server->core_box, &item->item.node)) {
        free(item);
    }
}

bool server_is_installing(const struct server *server)
{
    return atomic_load(&server->is_installing);
}

bool install_snapshot(struct server *server, struct raft_snapshot *snapshot)
{
    struct install install = {.job.run = run, .server = server, .snapshot = snapshot};
    pthread_mutex_init(&install.mutex, NULL);
    pthread_cond_init(&install.cond, NULL);
    atomic_store(&server->is_installing, true); /* who makes a file of the store ends */
    bool is_queued = server_run(server, &install.job);
    pthread_mutex_lock(&install.mutex);
    while (is_queued && !install.is_done) {
        pthread_cond_wait(&install.cond, &install.mutex);
    }
    pthread_mutex_unlock(&install.mutex);
    pthread_mutex_destroy(&install.mutex);
    pthread_cond_destroy(&install.cond);
    if (!install.is_ok) {
        return false;
    }
    atomic_store(&server->applied_term, snapshot->meta.term);
    atomic_store(&server->snapshot_index, snapshot->meta.index);
    tell_core(server, snapshot->meta.index);
    back_compact(server); /* one that the snapshot tells of goes on here */
    return true;
}
