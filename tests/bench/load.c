/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LATENCIES_MAX = 1 << 20 };

struct worker;

struct runner {
    struct worker *worker;
    grpc_channel *channel;
    void *method;
    grpc_call *call;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_byte_buffer *request;
    grpc_byte_buffer *response;
    grpc_status_code status;
    grpc_slice details;
    int64_t began_ns;
};

/* One thread, one completion queue, the connections that fell to it. */
struct worker {
    const struct load_options *options;
    atomic_uint_fast64_t *next;
    int64_t until_ns;
    grpc_completion_queue *queue;
    struct runner *runners;
    size_t runners_count;
    size_t running;
    uint64_t calls;
    uint64_t errors;
    uint64_t bytes;
    uint32_t *latencies_us;
    char first_error[256];
    pthread_t thread;
};

static char *read_file(const char *path)
{
    char text[65536];
    FILE *file = fopen(path, "rbe");
    check(file);
    size_t got = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[got] = 0;
    return mem_strdup(text);
}

static grpc_channel_credentials *credentials(const struct load_options *options)
{
    if (!options->ca) {
        return grpc_insecure_credentials_create();
    }
    char *ca = read_file(options->ca);
    char *cert = read_file(options->cert);
    char *key = read_file(options->key);
    grpc_ssl_pem_key_cert_pair pair = {key, cert};
    grpc_channel_credentials *creds = grpc_ssl_credentials_create(ca, &pair, NULL, NULL);
    free(ca);
    free(cert);
    free(key);
    return creds;
}

static grpc_channel *connect(
    const struct load_options *options, grpc_channel_credentials *creds, int number)
{
    /* Channels with equal arguments would share a connection. */
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
            .key = (char *)(uintptr_t) "bench.number",
            .value.integer = number},
        {.type = GRPC_ARG_INTEGER,
            .key = (char *)(uintptr_t)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
            .value.integer = 1},
        {.type = GRPC_ARG_INTEGER,
            .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
            .value.integer = -1},
        {.type = GRPC_ARG_INTEGER,
            .key = (char *)(uintptr_t)GRPC_ARG_ENABLE_RETRIES,
            .value.integer = 0},
    };
    grpc_channel_args list = {COUNT_OF(args), args};
    return grpc_channel_create(options->endpoint, creds, &list);
}

static bool start(struct runner *runner)
{
    struct worker *worker = runner->worker;
    const struct load_options *options = worker->options;
    uint64_t n = atomic_fetch_add(worker->next, 1);
    int64_t now_ns = clock_mono_ns();
    if ((options->calls_max && n >= options->calls_max) ||
        (worker->until_ns && now_ns >= worker->until_ns)) {
        return false;
    }
    struct buf bytes;
    buf_init(&bytes, 64 << 20);
    options->request(options->arg, n, &bytes);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    runner->request = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    buf_fini(&bytes);
    runner->began_ns = now_ns;
    runner->call =
        grpc_channel_create_registered_call(runner->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
            worker->queue, runner->method, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_op ops[6] = {0};
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = runner->request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &runner->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &runner->response;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &runner->trailing;
    ops[5].data.recv_status_on_client.status = &runner->status;
    ops[5].data.recv_status_on_client.status_details = &runner->details;
    check(grpc_call_start_batch(runner->call, ops, COUNT_OF(ops), runner, NULL) == GRPC_CALL_OK);
    return true;
}

static void note_error(struct worker *worker, const struct runner *runner)
{
    if (worker->errors++ == 0) {
        char *text = grpc_slice_to_c_string(runner->details);
        snprintf(
            worker->first_error, sizeof(worker->first_error), "%d %s", (int)runner->status, text);
        gpr_free(text);
    }
}

static void end(struct runner *runner)
{
    struct worker *worker = runner->worker;
    int64_t took_us = (clock_mono_ns() - runner->began_ns) / 1000;
    if (runner->status != GRPC_STATUS_OK) {
        note_error(worker, runner);
    }
    worker->latencies_us[worker->calls++ % LATENCIES_MAX] = (uint32_t)took_us;
    if (runner->response) {
        worker->bytes += grpc_byte_buffer_length(runner->response);
        grpc_byte_buffer_destroy(runner->response);
        runner->response = NULL;
    }
    grpc_byte_buffer_destroy(runner->request);
    grpc_slice_unref(runner->details);
    grpc_metadata_array_destroy(&runner->initial);
    grpc_metadata_array_destroy(&runner->trailing);
    grpc_metadata_array_init(&runner->initial);
    grpc_metadata_array_init(&runner->trailing);
    grpc_call_unref(runner->call);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (size_t i = 0; i < worker->runners_count; i++) {
        worker->running += start(&worker->runners[i]);
    }
    while (worker->running) {
        grpc_event event =
            grpc_completion_queue_next(worker->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        struct runner *runner = event.tag;
        end(runner);
        worker->running -= !start(runner);
    }
    return NULL;
}

static void prepare(struct worker *worker, unsigned number, grpc_channel_credentials *creds)
{
    const struct load_options *options = worker->options;
    worker->queue = grpc_completion_queue_create_for_next(NULL);
    worker->latencies_us = mem_alloc(LATENCIES_MAX * sizeof(uint32_t));
    worker->runners = mem_new(options->connections * options->streams * sizeof(struct runner));
    for (unsigned c = number; c < options->connections; c += options->threads) {
        grpc_channel *channel = connect(options, creds, (int)c);
        void *method = grpc_channel_register_call(channel, options->method, NULL, NULL);
        for (unsigned s = 0; s < options->streams; s++) {
            struct runner *runner = &worker->runners[worker->runners_count++];
            runner->worker = worker;
            runner->channel = channel;
            runner->method = method;
            grpc_metadata_array_init(&runner->initial);
            grpc_metadata_array_init(&runner->trailing);
        }
    }
}

static int latency_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void percentiles(struct worker *workers, unsigned count, struct load_result *out)
{
    size_t total = 0;
    uint32_t *all = mem_alloc((size_t)count * LATENCIES_MAX * sizeof(*all));
    for (unsigned i = 0; i < count; i++) {
        size_t kept = workers[i].calls < LATENCIES_MAX ? workers[i].calls : LATENCIES_MAX;
        memcpy(all + total, workers[i].latencies_us, kept * sizeof(*all));
        total += kept;
    }
    qsort(all, total, sizeof(*all), latency_cmp);
    out->p50_us = total ? all[total / 2] : 0;
    out->p99_us = total ? all[total * 99 / 100] : 0;
    free(all);
}

static void finish(struct worker *worker, struct load_result *out)
{
    out->calls += worker->calls;
    out->errors += worker->errors;
    out->bytes += worker->bytes;
    if (worker->errors && !out->first_error[0]) {
        memcpy(out->first_error, worker->first_error, sizeof(out->first_error));
    }
    grpc_channel *last = NULL;
    for (size_t i = 0; i < worker->runners_count; i++) {
        if (worker->runners[i].channel != last) {
            last = worker->runners[i].channel;
            grpc_channel_destroy(last);
        }
    }
    grpc_completion_queue_shutdown(worker->queue);
    while (
        grpc_completion_queue_next(worker->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
        GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(worker->queue);
    free(worker->runners);
    free(worker->latencies_us);
}

void load_run(const struct load_options *options, struct load_result *out)
{
    grpc_init();
    atomic_uint_fast64_t next = 0;
    grpc_channel_credentials *creds = credentials(options);
    struct worker *workers = mem_new(options->threads * sizeof(*workers));
    int64_t began_ns = clock_mono_ns();
    *out = (struct load_result){0};
    for (unsigned i = 0; i < options->threads; i++) {
        workers[i].options = options;
        workers[i].next = &next;
        workers[i].until_ns =
            options->seconds > 0 ? began_ns + (int64_t)(options->seconds * 1e9) : 0;
        prepare(&workers[i], i, creds);
    }
    for (unsigned i = 0; i < options->threads; i++) {
        check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < options->threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    out->seconds = (double)(clock_mono_ns() - began_ns) / 1e9;
    percentiles(workers, options->threads, out);
    for (unsigned i = 0; i < options->threads; i++) {
        finish(&workers[i], out);
    }
    grpc_channel_credentials_release(creds);
    free(workers);
    grpc_shutdown();
}
