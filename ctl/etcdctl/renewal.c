/* SPDX-License-Identifier: Apache-2.0 */
#include "renewal.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

enum { SECOND_NS = 1000000000, AGAIN_NS = SECOND_NS / 2 };

/* etcd's longest lease: more than a server can mean, less than a clock cannot take. */
static const int64_t ttl_max = 9000000000;

static int64_t in_ns(int64_t ttl)
{
    return (ttl < ttl_max ? ttl : ttl_max) * SECOND_NS;
}

/* A login's answer is not looked at again; over the years it would not be the only one. */
static struct err open_stream(struct renewal *renewal, client_deadline deadline, struct why *why)
{
    struct client_ask ask = {.method = &client_lease_keep_alive,
        .deadline = deadline,
        .needs_leader = true,
        .is_kept = true};
    struct err err = client_stream_open(renewal->client, &ask, &renewal->stream, why);

    client_forget(renewal->client);
    return err;
}

static struct err ask_once(struct renewal *renewal, client_deadline deadline, struct arena *arena,
    const Etcdserverpb__LeaseKeepAliveResponse **out_response, struct why *why)
{
    const Etcdserverpb__LeaseKeepAliveResponse *response = NULL;

    REQUEST(LeaseKeepAliveRequest, lease_keep_alive_request, request);
    request.id = renewal->lease;
    client_stream_set_deadline(renewal->stream, deadline);
    struct err err = client_stream_send(renewal->stream, &request, why);
    if (!err_is(err)) {
        err = client_stream_recv(renewal->stream, arena, &response, why);
    }
    if (!err_is(err) && !response) {
        err = why_set(why, ERR(IO), "EOF");
    }
    if (err_is(err)) {
        renewal_close(renewal);
        return err;
    }
    *out_response = response;
    return OK;
}

struct err renewal_ask(struct renewal *renewal, client_deadline deadline, struct arena *arena,
    const Etcdserverpb__LeaseKeepAliveResponse **out_response, struct why *why)
{
    if (renewal->stream && !err_is(ask_once(renewal, deadline, arena, out_response, why))) {
        return OK;
    }
    TRY(open_stream(renewal, deadline, why));
    return ask_once(renewal, deadline, arena, out_response, why);
}

void renewal_close(struct renewal *renewal)
{
    client_stream_close(renewal->stream);
    renewal->stream = NULL;
}

int64_t renewal_deadline(int64_t ttl)
{
    return clock_mono_ns() + in_ns(ttl);
}

void renewal_wait(int64_t ttl)
{
    int64_t ns = ttl > 0 ? in_ns(ttl) / 3 : AGAIN_NS;
    struct timespec left = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}
