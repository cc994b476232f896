/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

#include <pthread.h>

static const struct cmd_option options[] = {
    {"cluster", CMD_BOOL, "false", "use all endpoints from the cluster member list", 0, true},
    {0},
};

struct health_check {
    struct health *all;
    const char *endpoint;
    pthread_t thread;
};

/* The checks run side by side; their results stand in the order they came. */
struct health {
    struct cmd_run *run;
    const struct client_config *config;
    pthread_mutex_t lock; /* guards what is below, and the run's arena */
    struct print_health *results;
    size_t count;
};

static const char *alarm_text(struct arena *arena, const Etcdserverpb__AlarmResponse *alarms)
{
    char *text = arena_strdup(arena, "Active Alarm(s): ");

    for (size_t i = 0; i < alarms->n_alarms; i++) {
        Etcdserverpb__AlarmType type = alarms->alarms[i]->alarm;
        text = arena_printf(arena, "%s%s ", text,
            type == ETCDSERVERPB__ALARM_TYPE__NOSPACE   ? "NOSPACE"
            : type == ETCDSERVERPB__ALARM_TYPE__CORRUPT ? "CORRUPT"
                                                        : "UNKNOWN");
    }
    return text;
}

/* Any answer to a linearizable read will do, a refusal too: the member took part in a quorum. */
static struct print_health examine(
    struct arena *arena, struct client *client, client_deadline deadline)
{
    const Etcdserverpb__RangeResponse *range;
    const Etcdserverpb__AlarmResponse *alarms;
    struct print_health result = {.error = ""};
    struct why why;

    REQUEST(RangeRequest, range_request, read);
    REQUEST(AlarmRequest, alarm_request, ask);
    read.key = ctl_bytes("health");
    int64_t start = clock_mono_ns();
    struct err err = client_call(client, CLIENT_ASK(&client_range, &read, deadline), &range, &why);
    result.took = ctl_duration(arena, clock_mono_ns() - start);
    if (err_is(err) && !IS(err, PERMISSION_DENIED)) {
        result.error = arena_strdup(arena, why.text);
    } else if (err_is(
                   client_call(client, CLIENT_ASK(&client_alarm, &ask, deadline), &alarms, &why))) {
        result.error = "Unable to fetch the alarm list";
    } else if (alarms->n_alarms > 0) {
        result.error = alarm_text(arena, alarms);
    }
    result.is_healthy = !*result.error;
    return result;
}

static void *check_health(void *arg)
{
    struct health_check *one = arg;
    struct health *all = one->all;
    struct client_config config = ctl_config_for(all->config, &one->endpoint);
    struct arena *arena = arena_new(0);
    struct print_health result;
    struct client *client;
    enum client_stage stage;
    struct why why;

    config.logger = "client";
    if (err_is(client_open(&config, &client, &stage, &why))) {
        result = (struct print_health){.took = "", .error = why.text};
    } else {
        result = examine(arena, client, ctl_deadline(all->run));
        client_close(client);
    }
    pthread_mutex_lock(&all->lock);
    all->results[all->count++] = (struct print_health){
        .endpoint = one->endpoint,
        .is_healthy = result.is_healthy,
        .took = arena_strdup(all->run->arena, result.took),
        .error = arena_strdup(all->run->arena, result.error),
    };
    pthread_mutex_unlock(&all->lock);
    arena_free(arena);
    return NULL;
}

/* Certificates that cannot be read are the caller's mistake: said once, before any thread. */
static int try_config(const struct client_config *config, const char *const *endpoint)
{
    struct client_config one = ctl_config_for(config, endpoint);
    struct client *client;

    one.user = one.password = "";
    int code = ctl_open(&one, &client);
    if (code == CMD_EXIT_OK) {
        client_close(client);
    }
    return code;
}

static int check_all(
    struct cmd_run *run, struct health *all, const char *const *endpoints, size_t count)
{
    struct health_check *checks = arena_zalloc(run->arena, (count + 1) * sizeof(*checks));

    all->results = arena_zalloc(run->arena, (count + 1) * sizeof(*all->results));
    for (size_t i = 0; i < count; i++) {
        int code = i == 0 ? try_config(all->config, endpoints) : CMD_EXIT_OK;
        if (code != CMD_EXIT_OK) {
            return code;
        }
    }
    for (size_t i = 0; i < count; i++) {
        checks[i].all = all;
        checks[i].endpoint = endpoints[i];
        check(pthread_create(&checks[i].thread, NULL, check_health, &checks[i]) == 0);
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(checks[i].thread, NULL);
    }
    return CMD_EXIT_OK;
}

static int health(struct cmd_run *run)
{
    const char *const *endpoints;
    struct client_config config;
    struct printer printer;
    struct health all = {.run = run, .config = &config, .lock = PTHREAD_MUTEX_INITIALIZER};
    size_t count;

    int code = ctl_configure(run, &config, &printer);
    if (code == CMD_EXIT_OK) {
        code = ctl_cluster_endpoints(run, &config, &endpoints, &count);
    }
    if (code == CMD_EXIT_OK) {
        code = check_all(run, &all, endpoints, count);
    }
    if (code == CMD_EXIT_OK) {
        code = print_endpoint_health(&printer, all.results, all.count);
    }
    for (size_t i = 0; code == CMD_EXIT_OK && i < all.count; i++) {
        if (*all.results[i].error) {
            code = cmd_fail(CMD_EXIT_ERROR, "unhealthy cluster");
        }
    }
    return code;
}

/* What status and hashkv share: one client an endpoint, kept open because the answer lives in it.
 */
struct survey {
    struct cmd_run *run;
    struct client_config config;
    struct printer printer;
    const char *const *endpoints;
    size_t count;
    struct client **clients;
    const struct client_method *method;
    const void *request;
    const char *what; /* is asked for, in words */
    struct why why;
    bool has_failed;
};

static int survey_open(struct cmd_run *run, struct survey *survey)
{
    survey->run = run;
    int code = ctl_configure(run, &survey->config, &survey->printer);
    if (code == CMD_EXIT_OK) {
        code = ctl_cluster_endpoints(run, &survey->config, &survey->endpoints, &survey->count);
    }
    survey->clients = arena_zalloc(run->arena, (survey->count + 1) * sizeof(struct client *));
    return code;
}

static void survey_close(struct survey *survey)
{
    for (size_t i = 0; i < survey->count; i++) {
        client_close(survey->clients[i]);
    }
}

/* *out_response stays NULL, after a line on stderr, when this endpoint fails. Gives an exit code.
 */
static int survey_ask(struct survey *survey, size_t i, void *out_response)
{
    struct client_config one = ctl_config_for(&survey->config, &survey->endpoints[i]);
    int code = ctl_open(&one, &survey->clients[i]);

    if (code != CMD_EXIT_OK) {
        return code;
    }
    struct client_ask ask = {
        survey->method, survey->request, ctl_deadline(survey->run), false, false};
    if (err_is(client_call(survey->clients[i], &ask, out_response, &survey->why))) {
        survey->has_failed = true;
        fprintf(stderr, "Failed to get the %s of endpoint %s (%s)\n", survey->what,
            survey->endpoints[i], survey->why.text);
    }
    return CMD_EXIT_OK;
}

static int status(struct cmd_run *run)
{
    struct survey survey = {.method = &client_status, .what = "status"};
    struct print_status *list;
    size_t count = 0;

    REQUEST(StatusRequest, status_request, request);
    survey.request = &request;
    int code = survey_open(run, &survey);
    list = arena_zalloc(run->arena, (survey.count + 1) * sizeof(*list));
    for (size_t i = 0; code == CMD_EXIT_OK && i < survey.count; i++) {
        const Etcdserverpb__StatusResponse *response = NULL;
        code = survey_ask(&survey, i, &response);
        list[count] = (struct print_status){survey.endpoints[i], response};
        count += response != NULL;
    }
    if (code == CMD_EXIT_OK) {
        code = print_endpoint_status(&survey.printer, list, count);
    }
    survey_close(&survey);
    return code == CMD_EXIT_OK && survey.has_failed ? CMD_EXIT_ERROR : code;
}

static int hashkv(struct cmd_run *run)
{
    struct survey survey = {.method = &client_hash_kv, .what = "hash"};
    struct print_hash *list;
    size_t count = 0;

    REQUEST(HashKVRequest, hash_kvrequest, request);
    request.revision = cmd_int(run, "rev");
    survey.request = &request;
    int code = survey_open(run, &survey);
    list = arena_zalloc(run->arena, (survey.count + 1) * sizeof(*list));
    for (size_t i = 0; code == CMD_EXIT_OK && i < survey.count; i++) {
        const Etcdserverpb__HashKVResponse *response = NULL;
        code = survey_ask(&survey, i, &response);
        list[count] = (struct print_hash){survey.endpoints[i], response};
        count += response != NULL;
    }
    if (code == CMD_EXIT_OK) {
        code = print_endpoint_hash(&survey.printer, list, count);
    }
    survey_close(&survey);
    return code == CMD_EXIT_OK && survey.has_failed
               ? cmd_fail(CMD_EXIT_ERROR, "%s", survey.why.text)
               : code;
}

static const struct cmd health_cmd = {
    .use = "health",
    .brief = "Checks the healthiness of endpoints specified in `--endpoints` flag",
    .run = health,
};

static const struct cmd status_cmd = {
    .use = "status",
    .brief = "Prints out the status of endpoints specified in `--endpoints` flag",
    .text = "When --write-out is set to simple, this command prints out comma-separated status "
            "lists for each "
            "endpoint.\n"
            "The items in the lists are endpoint, ID, version, db size, is leader, is learner, "
            "raft term, raft index, "
            "raft applied index, errors.\n",
    .run = status,
};

static const struct cmd_option hashkv_options[] = {
    {"rev", CMD_INT64, "0", "maximum revision to hash (default: latest revision)", 0, true},
    {0},
};
static const struct cmd hashkv_cmd = {
    .use = "hashkv",
    .brief = "Prints the KV history hash for each endpoint in --endpoints",
    .options = hashkv_options,
    .run = hashkv,
};

static const struct cmd *const children[] = {&health_cmd, &status_cmd, &hashkv_cmd, NULL};
const struct cmd cmd_endpoint = {
    .use = "endpoint <subcommand>",
    .brief = "Endpoint related commands",
    .options = options,
    .children = children,
};
