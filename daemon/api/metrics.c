/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics.h"

#include "api/alarm.h"
#include "api/state.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <pthread.h>

enum {
    RANGE_BUCKETS = 20,
    DEFRAG_BUCKETS = 13,
    SNAPSHOT_BOUNDS = 17,
    HASH_BUCKETS = 15,
    VERSIONS_MAX = 32, /* of clients that are counted apart; they say what they like */
    VERSION_SIZE = 32,
};

static double range_bounds[RANGE_BUCKETS];
static double defrag_bounds[DEFRAG_BUCKETS];
static double snapshot_bounds[SNAPSHOT_BOUNDS];
static double hash_bounds[HASH_BUCKETS];

static void fill_bounds(void)
{
    metric_buckets_exponential(0.0001, 2, RANGE_BUCKETS, range_bounds);
    metric_buckets_exponential(0.1, 2, DEFRAG_BUCKETS, defrag_bounds);
    metric_buckets_exponential(0.01, 2, SNAPSHOT_BOUNDS, snapshot_bounds);
    metric_buckets_exponential(0.01, 2, HASH_BUCKETS, hash_bounds);
}

static double read_auth_revision(void *arg)
{
    return (double)auth_revision(((struct api *)arg)->auth);
}

static void init_requests(struct api_metrics *metrics)
{
    static const char *const range_labels[] = {"success", NULL};
    static const char *const request_labels[] = {"type", "client_api_version", NULL};
    struct metric *ranges = metric_histogram("etcd_server_range_duration_seconds",
        "The latency distributions of txn.Range", range_bounds, RANGE_BUCKETS, range_labels);
    metrics->ranges[0] = metric_with(ranges, (const char *const[]){"false", NULL});
    metrics->ranges[1] = metric_with(ranges, (const char *const[]){"true", NULL});
    metrics->requests = metric_counter("etcd_server_client_requests_total",
        "The total number of client requests per client version.", request_labels);
    metrics->events = metric_counter(
        "etcd_debugging_mvcc_events_total", "Total number of events sent by this member.", NULL);
}

static void init_maintenance(struct api_metrics *metrics)
{
    metrics->defrag_seconds = metric_histogram("etcd_disk_backend_defrag_duration_seconds",
        "The latency distribution of backend defragmentation.", defrag_bounds, DEFRAG_BUCKETS,
        NULL);
    metrics->defrag_inflight = metric_gauge("etcd_disk_defrag_inflight",
        "Whether or not defrag is active on the member. 1 means active, 0 means not.", NULL);
    metrics->snapshot_seconds = metric_histogram("etcd_disk_backend_snapshot_duration_seconds",
        "The latency distribution of backend snapshots.", snapshot_bounds, SNAPSHOT_BOUNDS, NULL);
    metrics->hash_seconds = metric_histogram("etcd_mvcc_hash_duration_seconds",
        "The latency distribution of storage hash operation.", hash_bounds, HASH_BUCKETS, NULL);
    metrics->hash_rev_seconds = metric_histogram("etcd_mvcc_hash_rev_duration_seconds",
        "The latency distribution of storage hash by revision operation.", hash_bounds,
        HASH_BUCKETS, NULL);
}

static void init_cluster(struct api *api, struct api_metrics *metrics)
{
    static const char *const reason[] = {"Reason", NULL};
    static const char *const version[] = {"cluster_version", NULL};
    static const char *const id[] = {"server_id", NULL};
    static const char *const alarm[] = {"server_id", "alarm_type", NULL};
    char text[24];
    metrics->promoted = metric_counter("etcd_server_learner_promote_successes",
        "The total number of successful learner promotions while this member is leader.", NULL);
    metrics->promote_failed = metric_counter("etcd_server_learner_promote_failures",
        "The total number of failed learner promotions (likely learner not ready) while this "
        "member is leader.",
        reason);
    metrics->cluster_version = metric_gauge("etcd_cluster_version",
        "Which version is running. 1 for 'cluster_version' label with current cluster version",
        version);
    metrics->alarms = metric_gauge("etcd_debugging_server_alarms",
        "Alarms for every member in cluster. 1 for 'server_id' label with current ID. 2 for "
        "'alarm_type' label with type of this alarm",
        alarm);
    snprintf(text, sizeof(text), "%llx", (unsigned long long)api->member_id);
    metric_set(metric_with(metric_gauge("etcd_server_id",
                               "Server or member ID in hexadecimal format. 1 for 'server_id' "
                               "label with current ID.",
                               id),
                   (const char *const[]){text, NULL}),
        1);
}

void api_metrics_init(struct api *api)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_bounds);
    metric_gauge_fn("etcd_debugging_auth_revision", "The current revision of auth store.",
        read_auth_revision, api);
    init_requests(&api->metrics);
    init_maintenance(&api->metrics);
    init_cluster(api, &api->metrics);
}

void api_observe_since(struct metric *histogram, int64_t began_ns)
{
    metric_observe(histogram, (double)(clock_mono_ns() - began_ns) / 1e9);
}

/* The version as a label: what is too long, or one too many, is "other". */
static const char *version_label(const char *version)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static char seen[VERSIONS_MAX][VERSION_SIZE];
    static size_t count;
    const char *label = "other";
    size_t i = 0;
    if (!version) {
        return "unknown";
    }
    if (strlen(version) >= VERSION_SIZE) {
        return label;
    }
    pthread_mutex_lock(&mutex);
    while (i < count && strcmp(seen[i], version) != 0) {
        i++;
    }
    if (i == count && count < VERSIONS_MAX) {
        snprintf(seen[count++], VERSION_SIZE, "%s", version);
    }
    label = i < count ? seen[i] : label;
    pthread_mutex_unlock(&mutex);
    return label;
}

struct err api_count_request(struct api *api, const char *kind, const struct api_caller *caller)
{
    /* Nearly always the same as the last time on this thread. */
    static _Thread_local struct {
        struct api *api;
        const char *kind;
        bool has_version;
        char version[VERSION_SIZE];
        struct metric *metric;
    } last;
    const char *version = caller->client_version;
    if (caller->is_internal || caller->is_counted) {
        return OK;
    }
    if (last.api != api || last.kind != kind || last.has_version != (version != NULL) ||
        (version && strcmp(last.version, version) != 0)) {
        if (version && !utf8_is_valid(slice_str(version))) {
            return ERR(INVALID_CLIENT_API_VERSION); /* who scrapes could not read it */
        }
        const char *label = version_label(version);
        last.api = api;
        last.kind = kind;
        last.has_version = version != NULL;
        snprintf(last.version, sizeof(last.version), "%s", version ? version : "");
        last.metric = metric_with(api->metrics.requests, (const char *const[]){kind, label, NULL});
    }
    metric_inc(last.metric);
    return OK;
}

static void measure_version(struct api *api)
{
    static const char undecided[] = "not_decided";
    struct metric *family = api->metrics.cluster_version;
    const char *version = api_cluster_version(api);
    struct metric *now = NULL;
    if (strcmp(version, undecided) != 0) {
        /* 3.6.0 is told as 3.6 */
        const char *dot = strrchr(version, '.');
        char text[VERSION_SIZE];
        snprintf(text, sizeof(text), "%.*s", (int)(dot - version), version);
        now = metric_with(family, (const char *const[]){text, NULL});
    }
    struct metric *before = atomic_exchange(&api->metrics.version_now, now);
    if (before && before != now) {
        metric_set(before, 0);
    }
    if (now) {
        metric_set(now, 1);
    }
}

static void measure_alarms(struct api *api)
{
    struct apply_alarm alarms[APPLY_ALARMS_MAX];
    size_t count = apply_alarms(api->apply, alarms);
    metric_zero(api->metrics.alarms);
    for (size_t i = 0; i < count; i++) {
        char id[24];
        char number[ALARM_NAME_SIZE];
        /* a series stays, and numbers are many: those are one */
        const char *name = alarm_name(alarms[i].type, number);
        snprintf(id, sizeof(id), "%llx", (unsigned long long)alarms[i].member_id);
        metric_set(metric_with(api->metrics.alarms,
                       (const char *const[]){id, name == number ? "UNKNOWN" : name, NULL}),
            1);
    }
}

void api_measure(struct api *api)
{
    measure_version(api);
    measure_alarms(api);
}
