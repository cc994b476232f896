/* SPDX-License-Identifier: Apache-2.0
 *
 * What rpc is to a member's services: calls and streams of clients, packed both ways. A call runs
 * on a fiber of the member and dies with it.
 */
#ifndef SIM_SERVICE_H
#define SIM_SERVICE_H

#include "sim.h"

enum answer_kind {
    ANSWER_OK,
    ANSWER_ERROR,   /* the member says no */
    ANSWER_REFUSED, /* nobody listens: it did not happen */
    ANSWER_LOST,    /* no answer, and none will come */
};

struct answer {
    enum answer_kind kind;
    enum grpc_code code;
    char text[160];
    void *message; /* unpacked, in the arena */
};

/* Whose the calls are: the common name of a certificate, or a token; both NULL: nobody's. */
struct service_caller {
    const char *name; /* lives on */
    const char *token;
};

/* Of the next call or stream of this fiber, which follows at once; without it: root's, where there
 * are users. */
void service_as(const struct service_caller *caller);

/* From a client's fiber, outside; blocks. */
void service_call(struct machine *machine, const char *path, const void *request,
    int64_t timeout_ns, struct arena *arena, struct answer *out);

struct stream;

/* NULL: nobody listens. */
struct stream *service_open(struct machine *machine, const char *path);
/* The message is packed now; false: the stream has ended. */
bool service_send(struct stream *stream, const void *message);
/* The next answer, in the arena; NULL: it ended (out_is_over) or the time is over. */
void *service_next(
    struct stream *stream, int64_t timeout_ns, struct arena *arena, bool *out_is_over);
void service_close(struct stream *stream);

/* The process is gone, with all fibers of its calls. */
void service_lost(struct process *process);
/* It stops: its streams end. */
void service_end_streams(struct process *process);

#endif
