/* SPDX-License-Identifier: Apache-2.0
 *
 * What an empty unary call costs the gRPC edge: CPU of the serving process a call, and calls a
 * second.
 *
 *   bench_rpc CONNECTIONS STREAMS SECONDS [now|later|put] [THREADS]
 *
 * put and now are answered inside api_call_start, later by another thread. The load comes from a
 * process of its own. */
#include "../unit/rpc/client.h"
#include "../unit/rpc/fake_api.h"
#include "base/clock.h"
#include "base/mem.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct load {
    unsigned port;
    unsigned connections;
    unsigned streams;
    int64_t until_ns;
    const char *method;
    struct slice request;
};

struct runner {
    const struct load *load;
    grpc_channel *channel;
    void *handle;
    grpc_call *call;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_byte_buffer *request;
    grpc_byte_buffer *answer;
    grpc_status_code code;
    grpc_slice details;
};

static void runner_start(struct runner *runner, grpc_completion_queue *cq)
{
    grpc_op ops[6] = {0};
    grpc_slice slice =
        grpc_slice_from_static_buffer(runner->load->request.data, runner->load->request.len);
    runner->request = grpc_raw_byte_buffer_create(&slice, 1);
    runner->call = grpc_channel_create_registered_call(
        runner->channel, NULL, 0, cq, runner->handle, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_metadata_array_init(&runner->initial);
    grpc_metadata_array_init(&runner->trailing);
    runner->answer = NULL;
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = runner->request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &runner->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &runner->answer;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &runner->trailing;
    ops[5].data.recv_status_on_client.status = &runner->code;
    ops[5].data.recv_status_on_client.status_details = &runner->details;
    check(grpc_call_start_batch(runner->call, ops, 6, runner, NULL) == GRPC_CALL_OK);
}

static void runner_end(struct runner *runner)
{
    check(runner->code == GRPC_STATUS_OK);
    grpc_slice_unref(runner->details);
    grpc_metadata_array_destroy(&runner->initial);
    grpc_metadata_array_destroy(&runner->trailing);
    grpc_byte_buffer_destroy(runner->request);
    if (runner->answer) {
        grpc_byte_buffer_destroy(runner->answer);
    }
    grpc_call_unref(runner->call);
}

/* Runs the load; returns the calls made. */
static uint64_t load_run(const struct load *load)
{
    struct client *clients = mem_new(load->connections * sizeof(*clients));
    size_t count = (size_t)load->connections * load->streams;
    struct runner *runners = mem_new(count * sizeof(*runners));
    grpc_init();
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    uint64_t calls = 0;
    for (unsigned i = 0; i < load->connections; i++) {
        client_open(&clients[i], load->port, NULL, NULL, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        runners[i].load = load;
        runners[i].channel = clients[i % load->connections].channel;
        runners[i].handle =
            grpc_channel_register_call(runners[i].channel, load->method, NULL, NULL);
        runner_start(&runners[i], cq);
    }
    for (size_t running = count; running > 0;) {
        struct runner *runner =
            grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).tag;
        runner_end(runner);
        calls++;
        if (clock_mono_ns() < load->until_ns) {
            runner_start(runner, cq);
        } else {
            running--;
        }
    }
    return calls;
}

static struct rusage used(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage;
}

static double seconds(struct timeval at)
{
    return (double)at.tv_sec + (double)at.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    unsigned secs = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 3;
    const char *mode = argc > 4 ? argv[4] : "put";
    int port_pipe[2];
    int calls_pipe[2];
    unsigned port = 0;
    uint64_t calls = 0;
    struct load load = {.connections = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 8,
        .streams = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 16,
        .method = strcmp(mode, "put") ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put",
        .request = strcmp(mode, "later") ? SLICE("\x0a\x03now") : SLICE("\x0a\x05later")};
    check(pipe(port_pipe) == 0 && pipe(calls_pipe) == 0);
    if (fork() == 0) {
        check(read(port_pipe[0], &load.port, sizeof(load.port)) == sizeof(load.port));
        load.until_ns = clock_mono_ns() + secs * 1000000000LL;
        calls = load_run(&load);
        check(write(calls_pipe[1], &calls, sizeof(calls)) == sizeof(calls));
        _exit(0);
    }
    struct rpc *rpc = NULL;
    struct rpc_options options = {
        .api = fake_api_new(), .threads = argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 0};
    check(!err_is(rpc_new(&options, &rpc, NULL)));
    rpc_start(rpc);
    struct listener listener;
    listener_start(&listener, rpc, false);
    struct rusage before = used();
    port = listener.port;
    check(write(port_pipe[1], &port, sizeof(port)) == sizeof(port));
    check(read(calls_pipe[0], &calls, sizeof(calls)) == sizeof(calls));
    struct rusage after = used();
    double user = seconds(after.ru_utime) - seconds(before.ru_utime);
    double system = seconds(after.ru_stime) - seconds(before.ru_stime);
    printf("%s %ux%u: %.0f calls/s, %.2f us of CPU a call (%.2f user, %.2f system)\n", mode,
        load.connections, load.streams, (double)calls / secs, (user + system) * 1e6 / (double)calls,
        user * 1e6 / (double)calls, system * 1e6 / (double)calls);
    wait(NULL);
    listener_stop(&listener);
    rpc_free(rpc);
    fake_api_free(options.api);
    return 0;
}
