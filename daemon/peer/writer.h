/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream that a remote opened to us, and on whose answer it reads what we have to say. Peer
 * thread.
 */
#ifndef PEER_WRITER_H
#define PEER_WRITER_H

#include "http/http.h"
#include "peer/frame.h"
#include "peer/queue.h"

struct event;
struct remote;

struct writer {
    struct remote *remote;
    struct http_request *request; /* NULL: nobody listens */
    struct frame_writer frames;
    struct buf out;       /* until the flush */
    struct queue waiting; /* for the connection to take what it has */
    struct event *heartbeat;
};

void writer_init(struct writer *writer, struct remote *remote, enum frame_kind kind);
void writer_fini(struct writer *writer);
/* Takes the request, whose answer is the stream from now on; the one before is ended. */
void writer_attach(struct writer *writer, struct http_request *request);
/* Takes over the message's contents. False when it cannot: they stay the caller's. */
bool writer_add(struct writer *writer, struct raft_message *message);
void writer_flush(struct writer *writer);

static inline bool writer_is_attached(const struct writer *writer)
{
    return writer->request != NULL;
}

#endif
