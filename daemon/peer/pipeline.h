/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages as posts, four at a time: for a remote whose streams are not there. Peer thread.
 */
#ifndef PEER_PIPELINE_H
#define PEER_PIPELINE_H

#include "http/http.h"
#include "peer/queue.h"

struct remote;

enum { PIPELINE_WORKERS = 4 };

struct pipeline_worker {
    struct remote *remote;
    struct http_client *client;
    struct http_target target;
    struct buf body;
    bool is_busy;
};

struct pipeline {
    struct pipeline_worker workers[PIPELINE_WORKERS];
    struct queue waiting;
    char *fields;
};

void pipeline_init(struct pipeline *pipeline, struct remote *remote);
void pipeline_fini(struct pipeline *pipeline);
/* Takes over the message's contents. False when full: they stay the caller's. */
bool pipeline_send(struct pipeline *pipeline, struct raft_message *message);
/* What an answer to a post says: NULL when it was taken. */
const char *pipeline_refusal(
    struct remote *remote, const struct http_answer *answer, struct why *out);

#endif
