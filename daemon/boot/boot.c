/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot.h"

#include "api/api.h"
#include "base/log.h"
#include "boot/cluster.h"
#include "boot/edges.h"
#include "boot/install.h"
#include "boot/memory.h"
#include "boot/monitor.h"
#include "boot/notify.h"
#include "boot/selfsign.h"
#include "boot/storage.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DRAIN_MS = 2000, ENDED_MS = 500, READY_LOOK_MS = 20 };

struct member_run {
    const struct config *config;
    struct storage storage;
    struct server *server;
    struct api *api;
    struct edges *edges;
    struct cluster *cluster;
    struct monitor *monitor;
    atomic_bool is_removed;
    uint64_t ticks_seen;
};

/* Once, from any thread: the main thread stops the member as a signal would make it. */
static void on_removed(void *arg)
{
    struct member_run *run = arg;
    if (!atomic_exchange(&run->is_removed, true)) {
        kill(getpid(), SIGTERM);
    }
}

/* The disk or the store failed: what was acknowledged is safe in the log, and going on could break
 * that. */
static void on_fatal(void *arg, const char *what)
{
    (void)arg;
    LOG_AT_(
        LOG_LEVEL_FATAL, "stopping at once: the member's disk or store failed", LOG_ERR(what), {0});
    _exit(1);
}

static int64_t compaction_retention(const struct config *config)
{
    return config->compaction_mode == CONFIG_COMPACTION_PERIODIC
               ? config->compaction_retention / 1000000
               : config->compaction_retention;
}

static unsigned bcrypt_cost(const struct config *config)
{
    enum { COST_DEFAULT = 10 };
    if (config->bcrypt_cost >= AUTH_COST_MIN && config->bcrypt_cost <= AUTH_COST_MAX) {
        return config->bcrypt_cost;
    }
    LOG_WARN("use default bcrypt cost instead of the invalid given cost",
        LOG_INT("min-cost", AUTH_COST_MIN), LOG_INT("max-cost", AUTH_COST_MAX),
        LOG_INT("default-cost", COST_DEFAULT), LOG_UINT("given-cost", config->bcrypt_cost));
    return COST_DEFAULT;
}

static void start_server(struct member_run *run)
{
    const struct config *config = run->config;
    struct storage *storage = &run->storage;
    cluster_open(run->cluster, storage, on_removed, run);
    struct server_options options = {
        .disk = storage->disk,
        .raft = storage->raft,
        .wal = storage->wal,
        .backend = storage->backend,
        .mvcc = storage->mvcc,
        .leases = storage->leases,
        .members = storage->members,
        .hub = storage->hub,
        .apply = storage->apply,
        .snapshot_v2 = storage_snapshot_v2,
        .keep_snapshot = storage_keep_snapshot,
        .install_snapshot = storage_install_snapshot,
        .snapshot_arg = storage,
        .transport = cluster_transport(run->cluster),
        .founders = storage->founding.members,
        .founders_count = storage->founding.is_join ? storage->founding.members_count : 0,
        .asking = cluster_asking(run->cluster),
        .on_removed = on_removed,
        .on_removed_arg = run,
        .snapshot_index = storage->snapshot_index,
        .snapshot_count = config->snapshot_count,
        .catch_up_entries = config->snapshot_catchup_entries,
        .wals_max = (size_t)config->wals_max,
        .tick_ms = config->heartbeat_ms,
        .election_ticks = config->election_ms / config->heartbeat_ms,
        .initial_tick_advance = config->initial_election_tick_advance,
        .tick_advance_ms = config->raft_read_timeout_ns / 1000000,
        .max_request_bytes = (size_t)config->request_bytes_max,
        .warning_apply_ns = config->warning_apply_ns > 0 ? config->warning_apply_ns : 1,
        .name = config->name,
        .client_urls = url_list_texts(config->arena, &config->advertise_client),
        .client_urls_count = config->advertise_client.count,
        .compaction_mode = config->compaction_mode == CONFIG_COMPACTION_PERIODIC
                               ? SERVER_COMPACTION_PERIODIC
                               : SERVER_COMPACTION_REVISION,
        .compaction_retention = compaction_retention(config),
        .compaction_rows = config->compaction_batch_limit,
        .compaction_pause_ms = config->compaction_sleep_ns / 1000000,
        .on_fatal = on_fatal,
    };
    run->server = server_start(&options);
    storage->server = run->server;
    run->api = api_new_service(&(struct api_options){
        .server = run->server,
        .peers = cluster_peers(run->cluster),
        .strict_reconfig_check = config->strict_reconfig_check,
        .txn_ops_max = (int)config->txn_ops_max,
        .request_bytes_max = (size_t)config->request_bytes_max,
        .range_bytes_max = memory_share(),
        .warning_unary_ns = config->warning_unary_ns,
        .snapshot_open = storage_snapshot_open,
        .snapshot_arg = storage,
        .bcrypt_cost = bcrypt_cost(config),
        .is_cert_required = config->client.client_cert_auth,
    });
}

/* Core turns. A member without a leader is alive: killing it would not bring one. Nor would it
 * bring a disk that stands still: etcd waits for that too. */
static bool is_alive(void *arg)
{
    struct member_run *run = arg;
    struct server_status status;
    server_status_get(run->server, &status);
    bool has_moved = status.ticks != run->ticks_seen;
    run->ticks_seen = status.ticks;
    return has_moved || status.is_writing_log;
}

static void reload(void *arg)
{
    struct member_run *run = arg;
    edges_reload(run->edges);
    cluster_reload(run->cluster);
}

static void tell_ready(struct member_run *run)
{
    struct server_status status;
    char text[256];
    server_status_get(run->server, &status);
    snprintf(text, sizeof(text), "serving %s; member %llx, term %llu",
        url_list_text(run->config->arena, &run->config->listen_client),
        (unsigned long long)status.member_id, (unsigned long long)status.term);
    notify_ready(text);
}

static int refuse(const char *what, const struct why *why)
{
    LOG_AT_(LOG_LEVEL_FATAL, what, LOG_ERR(why->text), {0});
    return 1;
}

static bool is_ready(void *arg)
{
    struct member_run *run = arg;
    return server_wait_ready(run->server, READY_LOOK_MS);
}

static void say_stopping(struct member_run *run, const char *signal)
{
    if (atomic_load(&run->is_removed)) {
        LOG_WARN(
            "server error", LOG_ERR("the member has been permanently removed from the cluster"));
        LOG_WARN("data-dir used by this member must be removed");
    } else {
        LOG_INFO("received signal; shutting down", LOG_STR("signal", signal));
    }
}

/* Without a leader the member is not ready, however long that takes: a restart from member to
 * member would otherwise go on to the next one, and end the quorum. Returns the signal to stop. */
static int wait_for_signal(struct member_run *run)
{
    struct notify_watch watch = {is_alive, reload, is_ready, run};
    int signal = notify_wait(&watch);
    if (!signal) {
        edges_start(run->edges);
        tell_ready(run);
        watch.is_over = NULL;
        signal = notify_wait(&watch);
    }
    return signal;
}

/* What the api holds may take as long as the store is big: whoever waits for a leader does not wait
 * for that. */
static int serve(struct member_run *run)
{
    edges_start_metrics(run->edges);
    say_stopping(run, strsignal(wait_for_signal(run)));
    notify_stopping();
    api_end_waiting(run->api);
    edges_drain(run->edges, DRAIN_MS);
    if (!atomic_load(&run->is_removed)) {
        server_hand_over(run->server);
    }
    api_end_jobs(run->api);
    edges_drain(run->edges, ENDED_MS);
    edges_stop(run->edges);
    return 0;
}

enum { REQUEST_BYTES_ADVISED = 10 * 1024 * 1024 };
#define QUOTA_ADVISED ((int64_t)8 * 1024 * 1024 * 1024)

/* What an operator should hear about the settings, as etcd says it at start. */
static void advise(const struct config *config)
{
    if (config->request_bytes_max > REQUEST_BYTES_ADVISED) {
        LOG_WARN("exceeded recommended request limit",
            LOG_UINT("max-request-bytes", config->request_bytes_max),
            LOG_INT("recommended-request-bytes", REQUEST_BYTES_ADVISED));
    }
    if (config->quota_bytes > QUOTA_ADVISED) {
        LOG_WARN("quota exceeds the maximum value",
            LOG_INT("quota-size-bytes", config->quota_bytes),
            LOG_INT("quota-maximum-size-bytes", QUOTA_ADVISED));
    }
    if (config->memory_mlock && mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        LOG_WARN("cannot lock memory (--memory-mlock)", LOG_ERR(strerror(errno)));
    }
}

static struct err open_doors(struct member_run *run, struct why *why)
{
    TRY(edges_open(run->edges, run->api, why));
    TRY(cluster_start(run->cluster, run->server, run->api, why));
    run->monitor = monitor_start(run->config, &run->storage, cluster_questions(run->cluster));
    return OK;
}

/* Everything above the storage: up, serving, and down again. */
static int run_member(struct member_run *run)
{
    struct why why = {""};
    start_server(run);
    bool is_open = !err_is(open_doors(run, &why));
    int status = is_open ? serve(run) : refuse("failed to start etcd", &why);
    if (!is_open) {
        edges_stop(run->edges);
    }
    api_stop(run->api);
    server_stop(run->server);
    cluster_stop(run->cluster);
    monitor_stop(run->monitor);
    edges_free(run->edges);
    run->edges = NULL;
    api_free(run->api);
    server_free(run->server);
    return status;
}

static struct err open_all(struct member_run *run, struct why *why)
{
    TRY(edges_bind(run->config, &run->edges, why));
    TRY(cluster_bind(run->config, &run->cluster, why));
    TRY(storage_open_dialing(&run->storage, run->config, cluster_dialing(run->cluster), why));
    bool is_found = run->storage.founding.arena == NULL;
    return is_found && run->config->gates.initial_corrupt_check
               ? monitor_initial(&run->storage, why)
               : OK;
}

int boot_run(const struct config *given)
{
    struct config signed_config = *given;
    const struct config *config = &signed_config;
    struct member_run run = {.config = config};
    struct why why = {""};
    notify_block_signals();
    notify_pass_signals();
    advise(config);
    struct err err = self_sign(&signed_config, &why);
    if (!err_is(err)) {
        err = open_all(&run, &why);
    }
    notify_take_signals();
    int status = err_is(err) ? refuse("failed to start etcd", &why) : run_member(&run);
    storage_close(&run.storage, status == 0);
    edges_free(run.edges);
    cluster_free(run.cluster);
    if (status == 0) {
        LOG_INFO("closed etcd server", LOG_STR("name", config->name),
            LOG_STR("data-dir", config->data_dir));
    }
    return status;
}
