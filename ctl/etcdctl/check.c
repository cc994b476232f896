/* SPDX-License-Identifier: Apache-2.0
 *
 * check perf: does the cluster keep up with so many puts a second? check datascale: how much memory
 * do so many keys take? Both write below a prefix of their own and delete it. */
#include "load.h"
#include "memory.h"

#include <inttypes.h>

#define CLEANUP_NS (INT64_C(30) * 1000000000)

enum { PERF_SECONDS = 60, PAIR_BYTES = 1024 };

struct model {
    const char *name;
    const char *alias;
    int rate; /* check perf */
    size_t perf_clients;
    size_t pairs; /* check datascale */
    size_t clients;
};

static const struct model models[] = {
    {"s", "small", 150, 50, 10000, 50},
    {"m", "medium", 1000, 200, 100000, 200},
    {"l", "large", 8000, 500, 1000000, 500},
    {"xl", "xLarge", 15000, 1000, 3000000, 1000},
};

/* NULL: said so. */
static const struct model *model_of(struct cmd_run *run)
{
    const char *load = cmd_text(run, "load");
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        if (strcmp(load, models[i].name) == 0 || strcmp(load, models[i].alias) == 0) {
            return &models[i];
        }
    }
    (void)cmd_fail(CMD_EXIT_BAD_FEATURE, "unknown load option %s", load);
    return NULL;
}

/* What is there already is not ours to delete. */
static int refuse_keys(
    struct cmd_run *run, struct client *client, const char *prefix, const char *quote)
{
    const Etcdserverpb__RangeResponse *response;
    struct why why;

    REQUEST(RangeRequest, range_request, request);
    request.key = ctl_bytes(prefix);
    request.range_end = pb_bytes(prefix_range_end(run->arena, slice_str(prefix)));
    request.limit = 1;
    if (err_is(client_call(client, CLIENT_ASK(&client_range, &request, 0), &response, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    if (response->n_kvs > 0) {
        return cmd_fail(CMD_EXIT_INVALID_INPUT,
            "prefix \"%s\" has keys. Delete with %setcdctl del --prefix %s%s first", prefix, quote,
            prefix, quote);
    }
    return CMD_EXIT_OK;
}

static struct err delete_keys(struct cmd_run *run, struct client *client, client_deadline deadline,
    int64_t *out_revision, struct why *why)
{
    const Etcdserverpb__DeleteRangeResponse *response;
    const char *prefix = cmd_text(run, "prefix");

    REQUEST(DeleteRangeRequest, delete_range_request, request);
    request.key = ctl_bytes(prefix);
    request.range_end = pb_bytes(prefix_range_end(run->arena, slice_str(prefix)));
    TRY(client_call(client, CLIENT_ASK(&client_delete_range, &request, deadline), &response, why));
    *out_revision = response->header->revision;
    return OK;
}

static int compact(struct client *client, int64_t revision)
{
    const Etcdserverpb__CompactionResponse *response;
    struct why why;

    REQUEST(CompactionRequest, compaction_request, request);
    request.revision = revision;
    request.physical = true;
    printf("Compacting with revision %" PRId64 "\n", revision);
    if (err_is(
            client_call(client, CLIENT_ASK(&client_compact, &request, clock_mono_ns() + CLEANUP_NS),
                &response, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    printf("Compacted with revision %" PRId64 "\n", revision);
    return CMD_EXIT_OK;
}

static int defragment(const struct client_config *config)
{
    for (size_t i = 0; i < config->endpoints_count; i++) {
        const Etcdserverpb__DefragmentResponse *response;
        struct client_config one = ctl_config_for(config, &config->endpoints[i]);
        struct client *client;

        REQUEST(DefragmentRequest, defragment_request, request);
        printf("Defragmenting \"%s\"\n", config->endpoints[i]);
        int code = ctl_open(&one, &client);
        if (code == CMD_EXIT_OK) {
            code = ctl_call(
                client, &client_defragment, &request, clock_mono_ns() + CLEANUP_NS, &response);
        }
        if (code != CMD_EXIT_OK) {
            return code;
        }
        printf("Defragmented \"%s\"\n", config->endpoints[i]);
        client_close(client);
    }
    return CMD_EXIT_OK;
}

/* After the delete, which perf gives some time and datascale all it takes, but not to fail. */
static int tidy_up(struct cmd_run *run, const struct client_config *config, struct client *client,
    bool must_delete)
{
    client_deadline deadline = must_delete ? 0 : clock_mono_ns() + CLEANUP_NS;
    int64_t revision;
    struct why why;
    int code = CMD_EXIT_OK;

    if (!err_is(delete_keys(run, client, deadline, &revision, &why))) {
        code = cmd_bool(run, "auto-compact") ? compact(client, revision) : CMD_EXIT_OK;
    } else if (must_delete) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    } else {
        printf("FAIL: Cleanup failed during key deletion: ERROR(%s)\n", why.text);
    }
    if (code == CMD_EXIT_OK && cmd_bool(run, "auto-defrag")) {
        code = defragment(config);
    }
    return code;
}

static bool has_no_errors(const struct load_result *result)
{
    if (result->errors_count == 0) {
        return true;
    }
    printf("FAIL: too many errors\n");
    for (size_t i = 0; i < result->errors_count; i++) {
        printf("FAIL: ERROR(%s) -> %zu\n", result->errors[i].text, result->errors[i].count);
    }
    return false;
}

static int judge(const struct load_result *result, int rate)
{
    double a_second = (double)result->count / result->seconds;
    bool is_fast = a_second / rate > 0.9;
    bool is_quick = !(result->slowest_s > 0.5);
    bool is_even = !(result->stddev_s > 0.1);
    bool ok = has_no_errors(result);

    printf("%s %d writes/s\n",
        is_fast ? "PASS: Throughput is" : "FAIL: Throughput too low:", (int)a_second + 1);
    printf("%s %fs\n", is_quick ? "PASS: Slowest request took" : "Slowest request took too long:",
        result->slowest_s);
    printf("%s %fs\n", is_even ? "PASS: Stddev is" : "Stddev too high:", result->stddev_s);
    ok = ok && is_fast && is_quick && is_even;
    printf(ok ? "PASS\n" : "FAIL\n");
    return ok ? CMD_EXIT_OK : CMD_EXIT_ERROR;
}

static int perf(struct cmd_run *run)
{
    struct client_config config;
    struct load_result result;
    struct client *client;
    struct printer printer;
    const struct model *model = model_of(run);
    if (!model) {
        return CMD_EXIT_BAD_FEATURE;
    }
    struct load_plan plan = {.clients = model->perf_clients,
        .rate = model->rate,
        .seconds = PERF_SECONDS,
        .prefix = cmd_text(run, "prefix"),
        .key_bytes = PAIR_BYTES / 4,
        .value_bytes = PAIR_BYTES,
        .is_interruptible = true};
    int code = ctl_configure(run, &config, &printer);
    if (code == CMD_EXIT_OK) {
        code = ctl_open(&config, &client);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    code = refuse_keys(run, client, plan.prefix, "'");
    if (code == CMD_EXIT_OK) {
        code = load_run(&config, &plan, &result);
    }
    if (code == CMD_EXIT_OK) {
        code = tidy_up(run, &config, client, false);
    }
    client_close(client);
    return code == CMD_EXIT_OK ? judge(&result, plan.rate) : code;
}

static int no_memory(const char *when)
{
    printf("FAIL: Could not read process_resident_memory_bytes %s the put operations.\n", when);
    return CMD_EXIT_ERROR;
}

/* Between two looks at the member's memory. */
static int fill(const struct client_config *config, const struct load_plan *plan,
    struct load_result *out_result, double *out_bytes)
{
    double before = memory_resident(config, config->endpoints[0]);
    if (before <= 0) {
        return no_memory("before");
    }
    printf("Start data scale check for work load [%zu key-value pairs, %d bytes per key-value, %zu "
           "concurrent clients].\n",
        plan->count, PAIR_BYTES, plan->clients);
    fflush(stdout);
    int code = load_run(config, plan, out_result);
    double after = memory_resident(config, config->endpoints[0]);
    if (code == CMD_EXIT_OK && after <= 0) {
        return no_memory("after");
    }
    *out_bytes = after - before;
    return code;
}

static int datascale(struct cmd_run *run)
{
    struct client_config config;
    struct load_result result;
    struct client *client;
    struct printer printer;
    double bytes;
    const struct model *model = model_of(run);
    if (!model) {
        return CMD_EXIT_BAD_FEATURE;
    }
    struct load_plan plan = {.clients = model->clients,
        .count = model->pairs,
        .prefix = cmd_text(run, "prefix"),
        .key_bytes = PAIR_BYTES / 2,
        .value_bytes = PAIR_BYTES / 2};
    int code = ctl_configure(run, &config, &printer);
    if (code == CMD_EXIT_OK) {
        code = ctl_open(&config, &client);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    code = refuse_keys(run, client, plan.prefix, "");
    if (code == CMD_EXIT_OK) {
        code = fill(&config, &plan, &result, &bytes);
    }
    if (code == CMD_EXIT_OK) {
        code = tidy_up(run, &config, client, true);
    }
    client_close(client);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    if (!has_no_errors(&result)) {
        return CMD_EXIT_ERROR;
    }
    printf("PASS: Approximate system memory used : %.2f MB.\n", bytes / (1024 * 1024));
    return CMD_EXIT_OK;
}

#define COMPACT_HELP "Compact storage with last revision after test is finished."
#define DEFRAG_HELP "Defragment storage after test is finished."

static const struct cmd_option perf_options[] = {
    {"load", CMD_STRING, "s",
        "The performance check's workload model. Accepted workloads: s(small), m(medium), "
        "l(large), xl(xLarge). Different workload models use different configurations in terms of "
        "number of clients and expected throughput.",
        0, false},
    {"prefix", CMD_STRING, "/etcdctl-check-perf/",
        "The prefix for writing the performance check's keys.", 0, false},
    {"auto-compact", CMD_BOOL, "false", COMPACT_HELP, 0, false},
    {"auto-defrag", CMD_BOOL, "false", DEFRAG_HELP, 0, false},
    {0},
};

static const struct cmd_option datascale_options[] = {
    {"load", CMD_STRING, "s",
        "The datascale check's workload model. Accepted workloads: s(small), m(medium), l(large), "
        "xl(xLarge)",
        0, false},
    {"prefix", CMD_STRING, "/etcdctl-check-datascale/",
        "The prefix for writing the datascale check's keys.", 0, false},
    {"auto-compact", CMD_BOOL, "false", COMPACT_HELP, 0, false},
    {"auto-defrag", CMD_BOOL, "false", DEFRAG_HELP, 0, false},
    {0},
};

static const struct cmd cmd_perf = {
    .use = "perf [options]",
    .brief = "Check the performance of the etcd cluster",
    .options = perf_options,
    .run = perf,
};

static const struct cmd cmd_datascale = {
    .use = "datascale [options]",
    .brief = "Check the memory usage of holding data for different workloads on a given server "
             "endpoint.",
    .text = "If no endpoint is provided, localhost will be used. If multiple endpoints are "
            "provided, first endpoint will be used.",
    .options = datascale_options,
    .run = datascale,
};

static const struct cmd *const children[] = {&cmd_perf, &cmd_datascale, NULL};

const struct cmd cmd_check = {
    .use = "check <subcommand>",
    .brief = "commands for checking properties of the etcd cluster",
    .children = children,
};
