/* SPDX-License-Identifier: Apache-2.0
 *
 * Who runs a stream. Everything that happens to it (a message came, a send is done, the api has
 * something, the peer is gone, we stop) is a bit; whoever sets a bit while nobody runs the stream
 * runs it, so that its state is touched by one thread at a time without a lock, though a lane has
 * several threads.
 */
#include "rpc/stream.h"

enum { QUICK_MAX = 32 }; /* streams that are run without leaving the poll to others */

/* Whether the bit falls to the caller to handle: nobody runs the stream. */
static bool run_begin(struct rpc_stream *stream, unsigned bit)
{
    return !(atomic_fetch_or(&stream->bits, bit | STREAM_RUNNING) & STREAM_RUNNING);
}

static void run_rest(void *arg)
{
    struct rpc_stream *stream = arg;
    unsigned idle = STREAM_RUNNING;
    do {
        rpc_stream_handle(stream, atomic_exchange(&stream->bits, STREAM_RUNNING));
        idle = STREAM_RUNNING;
    } while (!atomic_compare_exchange_strong(&stream->bits, &idle, 0));
}

void rpc_stream_run(struct rpc_stream *stream, unsigned bit)
{
    if (run_begin(stream, bit)) {
        rpc_shim_together(run_rest, stream);
    }
}

void rpc_stream_hold(struct rpc_stream *stream)
{
    atomic_store(&stream->bits, STREAM_RUNNING);
}

void rpc_stream_let_go(struct rpc_stream *stream)
{
    atomic_fetch_and(&stream->bits, ~(unsigned)STREAM_RUNNING);
}

/* Any thread: makes the lane run the stream, unless something already will. An event for hundreds
 * of streams wakes the lane once. The stream may be run and gone as soon as it is on the list; who
 * wakes the lane by it holds on to its call. */
void rpc_stream_post(struct rpc_stream *stream, unsigned bit)
{
    struct rpc_lane *lane = stream->head.lane;
    grpc_call *waker = NULL;
    if (atomic_fetch_or(&stream->bits, bit) & STREAM_RUNNING ||
        atomic_exchange(&stream->is_listed, true)) {
        return;
    }
    atomic_fetch_add(&stream->refs, 1);
    struct rpc_stream *first = atomic_load(&lane->woken);
    do {
        if (!first && !waker) {
            waker = stream->head.call;
            grpc_call_ref(waker);
        }
        stream->next_woken = first;
    } while (!atomic_compare_exchange_weak(&lane->woken, &first, stream));
    if (!first) {
        check(grpc_call_start_batch(waker, NULL, 0, &lane->woken_tag, NULL) == GRPC_CALL_OK);
    }
    if (waker) {
        grpc_call_unref(waker);
    }
}

static void run_listed(void *arg)
{
    struct rpc_stream *stream = arg;
    while (stream) {
        struct rpc_stream *next = stream->next_woken;
        atomic_store(&stream->is_listed, false); /* from here on it may be listed again */
        if (run_begin(stream, STREAM_WOKEN)) {
            run_rest(stream);
        }
        rpc_stream_unref(stream);
        stream = next;
    }
}

static void on_lane_woken(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_lane *lane = CONTAINER_OF(tag, struct rpc_lane, woken_tag);
    struct rpc_stream *stream = atomic_exchange(&lane->woken, NULL);
    struct rpc_stream *oldest = NULL;
    unsigned count = 0;
    bool is_long = false;
    (void)is_ok;
    while (stream) {
        struct rpc_stream *next = stream->next_woken;
        stream->next_woken = oldest;
        oldest = stream;
        is_long |= ++count > QUICK_MAX || rpc_stream_is_bulky(stream);
        stream = next;
    }
    if (is_long) {
        rpc_poll_leave(&lane->poll);
    }
    if (oldest) {
        rpc_shim_together(run_listed, oldest);
    }
}

void rpc_streams_init(struct rpc_lane *lane)
{
    lane->woken_tag.fn = on_lane_woken;
}
