/* SPDX-License-Identifier: Apache-2.0
 *
 * /health, /livez and /readyz. Each is a list of checks, each check one call through api as the
 * member itself; they run one after the other. Go prints the checks of one answer in a random
 * order; here it is the table's.
 */
#include "gateway/health.h"

#include "base/log.h"
#include "base/text.h"

/* Of a warning's names: then the rest is left out. */
enum { WARNING_BYTES = 16 << 10 };

static const struct check health_checks[] = {
    {"alarms", PROBE_ALARMS}, {"leader", PROBE_LEADER}, {"read", PROBE_READ}};
static const struct check livez_checks[] = {{"serializable_read", PROBE_READ_LOCAL}};
static const struct check readyz_checks[] = {{"data_corruption", PROBE_CORRUPT},
    {"serializable_read", PROBE_READ_LOCAL}, {"linearizable_read", PROBE_READ},
    {"non_learner", PROBE_LEARNER}};

static const struct page pages[] = {
    {"/health", "health", "RANGE ERROR:", health_checks, COUNT_OF(health_checks)},
    {"/livez", "livez", "", livez_checks, COUNT_OF(livez_checks)},
    {"/readyz", "readyz", "", readyz_checks, COUNT_OF(readyz_checks)},
};

static void step(struct run *run);

void health_metrics(struct gateway *gateway)
{
    static const char *const gauge_labels[] = {"type", "name", NULL};
    static const char *const counter_labels[] = {"type", "name", "status", NULL};
    gateway->health_success = metric_counter(
        "etcd_server_health_success", "The total number of successful health checks", NULL);
    gateway->health_failures = metric_counter(
        "etcd_server_health_failures", "The total number of failed health checks", NULL);
    gateway->check_gauge = metric_gauge(
        "etcd_server_healthcheck", "The result of each kind of healthcheck.", gauge_labels);
    gateway->check_counter = metric_counter("etcd_server_healthchecks_total",
        "The total number of each kind of healthcheck.", counter_labels);
}

bool health_excludes(const struct run *run, const char *name)
{
    size_t at = 0;
    while (at < run->excluded.len) {
        const char *one = (const char *)run->excluded.data + at;
        if (strcmp(one, name) == 0) {
            return true;
        }
        at += strlen(one) + 1;
    }
    return false;
}

static void run_free(struct run *run)
{
    buf_fini(&run->excluded);
    buf_fini(&run->report);
    arena_free(run->arena);
}

static void record(struct run *run, const char *name, bool is_good)
{
    const char *type = run->page->type;
    metric_set(
        metric_with(run->gateway->check_gauge, (const char *const[]){type, name, NULL}), is_good);
    metric_inc(metric_with(run->gateway->check_counter,
        (const char *const[]){type, name, is_good ? "success" : "error", NULL}));
}

static void note(struct run *run, const struct check *check, const char *wrong)
{
    run->has_failed = run->has_failed || wrong;
    if (run->page->checks == health_checks) {
        run->reason = wrong;
        return;
    }
    record(run, check->name, !wrong);
    if (wrong) {
        buf_printf(&run->report, "[-]%s failed: %s\n", check->name, wrong);
    } else {
        buf_printf(&run->report, "[+]%s ok\n", check->name);
    }
}

static void finish_probe(struct http_task *task)
{
    struct run *run = CONTAINER_OF(task, struct run, task);
    const struct check *check = run->only ? run->only : &run->page->checks[run->next];
    struct payload payload;
    struct api_status status;
    struct buf packed;
    payload_init(&payload);
    buf_init(&packed, JSON_BYTES_MAX);
    api_call_finish(&run->call, &payload, &status);
    for (size_t i = 0; i < payload.count; i++) {
        buf_add_slice(&packed, payload.parts[i].bytes);
    }
    note(run, check, probe_judge(run, check->probe, buf_slice(&packed), &status));
    payload_fini(&payload);
    buf_fini(&packed);
    arena_free(run->call.arena);
    run->next = run->only ? run->page->check_count : run->next + 1;
    step(run);
}

static void answer_health(struct run *run)
{
    struct buf body;
    struct json json;
    bool is_good = !run->has_failed;
    buf_init(&body, ERROR_BYTES_MAX);
    json_init(&json, &body, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "health");
    json_add_str(&json, is_good ? "true" : "false");
    json_add_key(&json, "reason");
    json_add_str(&json, run->reason ? run->reason : "");
    json_close(&json, '}');
    metric_inc(is_good ? run->gateway->health_success : run->gateway->health_failures);
    if (is_good) {
        http_respond(run->request, 200, buf_slice(&body));
    } else {
        LOG_WARN("/health error", LOG_STR("output", buf_text(&body)), LOG_INT("status-code", 503));
        http_respond_error(run->request, 503, buf_text(&body));
    }
    buf_fini(&body);
}

static void answer_checks(struct run *run)
{
    const char *report = buf_text(&run->report);
    if (run->has_failed) {
        LOG_ERROR("Health check error", LOG_BYTES("path", http_path(run->request)),
            LOG_STR("reason", report), LOG_INT("status-code", 503));
        http_respond_error(run->request, 503, report);
        return;
    }
    http_set_header(run->request, "Content-Type", "text/plain; charset=utf-8");
    http_set_header(run->request, "X-Content-Type-Options", "nosniff");
    if (!run->is_verbose) {
        buf_reset(&run->report);
    }
    buf_add_str(&run->report, "ok\n");
    http_respond(run->request, 200, buf_slice(&run->report));
}

static bool is_skipped(const struct run *run, const struct check *check)
{
    if (run->page->checks == health_checks) {
        return run->has_failed || (check->probe == PROBE_LEADER && run->is_serializable);
    }
    return health_excludes(run, check->name);
}

static void step(struct run *run)
{
    while (!run->only && run->next < run->page->check_count &&
           is_skipped(run, &run->page->checks[run->next])) {
        run->next++;
    }
    if (run->next < run->page->check_count) {
        probe_start(run, run->only ? run->only->probe : run->page->checks[run->next].probe);
        return;
    }
    if (run->page->checks == health_checks) {
        answer_health(run);
    } else {
        answer_checks(run);
    }
    run_free(run);
}

static void read_query(struct run *run)
{
    struct slice query = http_query(run->request);
    struct slice name;
    struct slice value;
    struct buf pair;
    size_t cursor = 0;
    bool has_serializable = false;
    buf_init(&pair, query.len + 1);
    while (http_query_next(query, &cursor, &pair, &name, &value)) {
        if (slice_eq(name, SLICE("exclude")) && value.len && !memchr(value.data, 0, value.len)) {
            buf_add_slice(&run->excluded, value);
            buf_add_byte(&run->excluded, 0);
        } else if (slice_eq(name, SLICE("serializable")) && !has_serializable) {
            has_serializable = true; /* Go takes the first */
            run->is_serializable =
                slice_eq(value, SLICE("true")) && run->page->checks == health_checks;
        } else if (slice_eq(name, SLICE("verbose"))) {
            run->is_verbose = true;
        }
    }
    buf_fini(&pair);
}

static bool has_check(const struct page *page, const char *name)
{
    for (size_t i = 0; i < page->check_count; i++) {
        if (strcmp(page->checks[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Those of the excluded names that no check has, each once. */
static struct text_list unknown_names(const struct run *run, struct arena *arena)
{
    size_t count = 0;
    for (size_t at = 0; at < run->excluded.len; at++) {
        count += run->excluded.data[at] == 0;
    }
    const char **names = arena_alloc(arena, (count + 1) * sizeof(*names));
    count = 0;
    for (size_t at = 0; at < run->excluded.len;) {
        const char *name = (const char *)run->excluded.data + at;
        if (!has_check(run->page, name)) {
            names[count++] = name;
        }
        at += strlen(name) + 1;
    }
    return text_list_unique(arena, (struct text_list){names, count});
}

/* In one line, however many there are. */
static void warn_unknown(const struct run *run)
{
    if (run->excluded.len == 0 || run->only || run->page->checks == health_checks) {
        return;
    }
    struct arena *arena = arena_new(0);
    struct text_list names = unknown_names(run, arena);
    struct buf text;
    buf_init(&text, 4 * run->excluded.len + 1); /* a byte quoted is four at most */
    for (size_t i = 0; i < names.count && text.len < WARNING_BYTES; i++) {
        buf_add_str(&text, i ? "," : "");
        buf_add_str(&text, text_quote(arena, names.items[i]));
    }
    if (names.count) {
        LOG_WARN("some health checks cannot be excluded",
            LOG_STR("missing-health-checks", buf_text(&text)));
    }
    buf_fini(&text);
    arena_free(arena);
}

static void run_start(struct gateway *gateway, struct http_request *request,
    const struct page *page, const struct check *only)
{
    struct arena *arena = arena_new(0);
    struct run *run = arena_zalloc(arena, sizeof(*run));
    run->arena = arena;
    run->task.run = finish_probe;
    run->request = request;
    run->gateway = gateway;
    run->page = page;
    run->only = only;
    buf_init(&run->excluded, 2 << 20);
    buf_init(&run->report, ERROR_BYTES_MAX);
    read_query(run);
    warn_unknown(run);
    step(run);
}

/* "/readyz" or "/readyz/data_corruption"; /health has no parts. */
static bool find(struct slice path, const struct page **out_page, const struct check **out_only)
{
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        *out_page = &pages[i];
        *out_only = NULL;
        struct slice root = slice_str(pages[i].path);
        if (slice_eq(path, root)) {
            return true;
        }
        for (size_t j = 0; j < pages[i].check_count && pages[i].checks != health_checks; j++) {
            *out_only = &pages[i].checks[j];
            struct slice name = slice_str((*out_only)->name);
            bool is_under = path.len == root.len + 1 + name.len && slice_has_prefix(path, root);
            if (is_under && path.data[root.len] == '/' &&
                memcmp(path.data + root.len + 1, name.data, name.len) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool health_serve(struct gateway *gateway, struct http_request *request)
{
    const struct page *page;
    const struct check *only;
    if (!find(http_path(request), &page, &only)) {
        return false;
    }
    if (allow_get(request)) {
        run_start(gateway, request, page, only);
    }
    return true;
}
