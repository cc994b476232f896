/* SPDX-License-Identifier: Apache-2.0
 *
 * How a lease is kept alive: renewed over one stream that stays open, after a third of its time, or
 * soon again where there was no answer.
 */
#ifndef ETCDCTL_RENEWAL_H
#define ETCDCTL_RENEWAL_H

#include "etcdctl.h"

/* Of one thread. Begins with the stream NULL. */
struct renewal {
    struct client *client; /* of nobody else: its answers are dropped */
    struct client_stream *stream;
    int64_t lease;
};

/* Renews once, over another stream where the last one is lost. The response, never NULL, lives in
 * arena. Errors: as client_stream_open and client_stream_recv. */
MUST struct err renewal_ask(struct renewal *renewal, client_deadline deadline, struct arena *arena,
    const Etcdserverpb__LeaseKeepAliveResponse **out_response, struct why *why);
void renewal_close(struct renewal *renewal);

/* When a lease that was renewed now, for ttl seconds, is over; on the monotonic clock, in ns. */
int64_t renewal_deadline(int64_t ttl);
/* Waits until a lease of ttl seconds, renewed now, is to be renewed again. 0 and below: there was
 * no answer. */
void renewal_wait(int64_t ttl);

#endif
