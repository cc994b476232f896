/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"
#include "moved.h"

static const struct cmd_option options[] = {
    {"cluster", CMD_BOOL, "false", "use all endpoints from the cluster member list", 0, true},
    {"data-dir", CMD_STRING, "",
        "Optional. If present, defragments a data directory not in use by etcd.", 0, false},
    {0},
};

/* False when it failed; stopped by a client that cannot even be made: *out_code. */
static bool defragment(struct cmd_run *run, const struct client_config *config,
    const char *const *endpoint, int *out_code)
{
    const Etcdserverpb__DefragmentResponse *response;
    struct client_config one = ctl_config_for(config, endpoint);
    struct client *client;
    struct why why;

    REQUEST(DefragmentRequest, defragment_request, request);
    *out_code = ctl_open(&one, &client);
    if (*out_code != CMD_EXIT_OK) {
        return false;
    }
    client_deadline deadline = ctl_deadline(run);
    int64_t start = clock_mono_ns();
    bool failed = err_is(
        client_call(client, CLIENT_ASK(&client_defragment, &request, deadline), &response, &why));
    const char *took = ctl_duration(run->arena, clock_mono_ns() - start);
    if (failed) {
        fflush(stdout);
        fprintf(stderr, "Failed to defragment etcd member[%s]. took %s. (%s)\n", *endpoint, took,
            why.text);
    } else {
        printf("Finished defragmenting etcd member[%s]. took %s\n", *endpoint, took);
    }
    client_close(client);
    return !failed;
}

static int defrag(struct cmd_run *run)
{
    const char *const *endpoints;
    struct client_config config;
    struct printer printer;
    size_t count;
    size_t failures = 0;

    if (*cmd_text(run, "data-dir")) {
        return moved_defrag(run);
    }
    int code = ctl_configure(run, &config, &printer);
    if (code == CMD_EXIT_OK) {
        code = ctl_cluster_endpoints(run, &config, &endpoints, &count);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    for (size_t i = 0; i < count; i++) {
        failures += !defragment(run, &config, &endpoints[i], &code);
        if (code != CMD_EXIT_OK) {
            return code;
        }
    }
    return failures ? CMD_EXIT_ERROR : CMD_EXIT_OK;
}

const struct cmd cmd_defrag = {
    .use = "defrag",
    .brief = "Defragments the storage of the etcd members with given endpoints",
    .options = options,
    .run = defrag,
};
