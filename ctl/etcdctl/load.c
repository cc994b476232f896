/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "base/rand.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define NS INT64_C(1000000000)

struct load {
    const struct load_plan *plan;
    int64_t start_ns;
    atomic_size_t done;
    pthread_mutex_t lock; /* guards what is below */
    int64_t next_ns;      /* when the next put may begin */
    size_t begun;
    struct load_result result;
    double total_s;
    double squares_s;
};

struct worker {
    struct load *load;
    struct client *client;
    pthread_t thread;
    uint64_t seed;
    uint8_t *key; /* the prefix, then random bytes */
    size_t prefix_len;
    uint8_t *value;
};

static atomic_bool is_interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    atomic_store(&is_interrupted, true);
}

/* A turn every 1/rate seconds; turns that nobody was there for are gone. False: it is over. */
static bool take_turn(struct load *load, int64_t *out_at_ns)
{
    const struct load_plan *plan = load->plan;
    int64_t now = clock_mono_ns();
    pthread_mutex_lock(&load->lock);
    int64_t at = load->next_ns > now ? load->next_ns : now;
    bool is_over = atomic_load(&is_interrupted) || (plan->count && load->begun == plan->count) ||
                   (plan->seconds && at >= load->start_ns + plan->seconds * NS);
    if (!is_over) {
        load->begun++;
        load->next_ns = plan->rate ? at + NS / plan->rate : 0;
        *out_at_ns = at;
    }
    pthread_mutex_unlock(&load->lock);
    return !is_over;
}

static void sleep_until(int64_t at_ns)
{
    int64_t left = at_ns - clock_mono_ns();
    if (left > 0) {
        struct timespec span = {left / NS, left % NS};
        (void)nanosleep(&span, NULL);
    }
}

static void count_error(struct load_result *result, const char *text)
{
    size_t at = 0;
    while (at < result->errors_count && strcmp(result->errors[at].text, text) != 0) {
        at++;
    }
    if (at == LOAD_ERRORS_MAX) {
        at--;
    }
    if (at == result->errors_count) {
        snprintf(result->errors[at].text, sizeof(result->errors[at].text), "%s", text);
        result->errors_count++;
    }
    result->errors[at].count++;
}

static void count_put(struct load *load, double took_s, const char *error)
{
    pthread_mutex_lock(&load->lock);
    if (error) {
        count_error(&load->result, error);
    } else {
        load->result.count++;
        load->total_s += took_s;
        load->squares_s += took_s * took_s;
        load->result.slowest_s = fmax(load->result.slowest_s, took_s);
    }
    pthread_mutex_unlock(&load->lock);
    atomic_fetch_add(&load->done, 1);
}

static void put_once(struct worker *worker, struct rand *rand)
{
    const struct load_plan *plan = worker->load->plan;
    const Etcdserverpb__PutResponse *response;
    uint64_t number = rand_u64(rand);
    struct why why;

    memcpy(worker->key + worker->prefix_len, &number, sizeof(number));
    REQUEST(PutRequest, put_request, request);
    request.key = pb_bytes(slice_of(worker->key, worker->prefix_len + plan->key_bytes));
    request.value = pb_bytes(slice_of(worker->value, plan->value_bytes));
    int64_t start = clock_mono_ns();
    bool failed =
        err_is(client_call(worker->client, CLIENT_ASK(&client_put, &request, 0), &response, &why));
    count_put(
        worker->load, (double)(clock_mono_ns() - start) / (double)NS, failed ? why.text : NULL);
    client_forget(worker->client);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct rand rand;
    int64_t at_ns;

    rand_init(&rand, worker->seed);
    while (take_turn(worker->load, &at_ns)) {
        sleep_until(at_ns);
        put_once(worker, &rand);
    }
    return NULL;
}

/* "12 / 60", of seconds or puts; at the end of the line that it writes over. */
static void show(const struct load *load, bool is_last)
{
    const struct load_plan *plan = load->plan;
    int64_t whole = plan->seconds ? plan->seconds : (int64_t)plan->count;
    int64_t now =
        plan->seconds ? (clock_mono_ns() - load->start_ns) / NS : (int64_t)atomic_load(&load->done);
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%lld / %lld %6.2f%%%s", (long long)now, (long long)whole,
            100.0 * (double)now / (double)whole, is_last ? "\n" : "");
    }
}

static bool is_running(const struct load *load)
{
    const struct load_plan *plan = load->plan;
    return !atomic_load(&is_interrupted) &&
           (plan->count ? atomic_load(&load->done) < plan->count
                        : clock_mono_ns() < load->start_ns + plan->seconds * NS);
}

static void run_workers(struct load *load, struct worker *workers)
{
    static const struct timespec pause = {0, NS / 5};
    load->start_ns = clock_mono_ns();
    for (size_t i = 0; i < load->plan->clients; i++) {
        check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    while (is_running(load)) {
        show(load, false);
        (void)nanosleep(&pause, NULL);
    }
    for (size_t i = 0; i < load->plan->clients; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    show(load, true);
}

static int open_workers(
    const struct client_config *config, struct load *load, struct worker *workers)
{
    const struct load_plan *plan = load->plan;
    int code = CMD_EXIT_OK;
    uint64_t seed;
    rand_secret(&seed, sizeof(seed));
    for (size_t i = 0; code == CMD_EXIT_OK && i < plan->clients; i++) {
        struct worker *worker = &workers[i];
        worker->load = load;
        worker->seed = seed + i;
        worker->prefix_len = strlen(plan->prefix);
        worker->key = mem_new(worker->prefix_len + plan->key_bytes);
        memcpy(worker->key, plan->prefix, worker->prefix_len);
        worker->value = mem_new(plan->value_bytes);
        code = ctl_open(config, &worker->client);
    }
    return code;
}

static void close_workers(struct worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        client_close(workers[i].client);
        free(workers[i].key);
        free(workers[i].value);
    }
    free(workers);
}

static void sum_up(struct load *load)
{
    double count = (double)load->result.count;
    double average = load->total_s / count;
    load->result.seconds = (double)(clock_mono_ns() - load->start_ns) / (double)NS;
    load->result.stddev_s = sqrt(fmax(load->squares_s / count - average * average, 0));
}

int load_run(const struct client_config *config, const struct load_plan *plan,
    struct load_result *out_result)
{
    struct load load = {.plan = plan, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct worker *workers = mem_new(plan->clients * sizeof(*workers));
    struct sigaction before;
    if (plan->is_interruptible) {
        struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
        check(sigaction(SIGINT, &action, &before) == 0);
    }
    int code = open_workers(config, &load, workers);
    if (code == CMD_EXIT_OK) {
        run_workers(&load, workers);
        sum_up(&load);
        *out_result = load.result;
    }
    if (plan->is_interruptible) {
        check(sigaction(SIGINT, &before, NULL) == 0);
    }
    close_workers(workers, plan->clients);
    return code;
}
