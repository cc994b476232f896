/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream that we open to a remote, and on whose answer we read what it has to say. Dialed again a
 * tenth of a second after it ended, for as long as the remote is there. Peer thread.
 */
#ifndef PEER_READER_H
#define PEER_READER_H

#include "http/http.h"
#include "peer/frame.h"

struct event;
struct remote;

struct reader {
    struct remote *remote;
    enum frame_kind kind;
    struct http_client *client;
    struct http_target target; /* of the call under way */
    struct event *retry;
    char *path;
    char *fields;
    struct frame_reader frames;
    bool is_reading;
    bool is_supported; /* what the answer's version says */
    char said[128];    /* the last failure that was logged, and when */
    int64_t said_ms;
};

void reader_init(struct reader *reader, struct remote *remote, enum frame_kind kind);
void reader_fini(struct reader *reader);
void reader_dial(struct reader *reader);

#endif
