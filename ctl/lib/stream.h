/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of a client that stream: watches, renewals, snapshots. One thread may send while another
 * receives.
 */
#ifndef CTL_STREAM_H
#define CTL_STREAM_H

#include "ctl/lib/client.h"

struct client_stream;

MUST struct err client_stream_open(struct client *client, const struct client_ask *ask,
    struct client_stream **out_stream, struct why *why);
MUST struct err client_stream_send(
    struct client_stream *stream, const void *message, struct why *why);
/* Of a stream that is kept: until when opening, sending and receiving wait from now on. Who gives
 * up ends the stream. */
void client_stream_set_deadline(struct client_stream *stream, client_deadline deadline);
/* No more to send. */
void client_stream_done(struct client_stream *stream);
/* Waits for the next message; *out_message is NULL at the end. The message lives in arena.
 * Errors: as client_call. */
MUST struct err client_stream_recv(
    struct client_stream *stream, struct arena *arena, void *out_message, struct why *why);
/* True when recv failed in a way that calls for another try with a new stream. */
bool client_stream_may_retry(const struct client_stream *stream);
/* From any thread: recv and send come back. */
void client_stream_cancel(struct client_stream *stream);
/* Cancels if it must; no other thread may be in it. NULL is fine. */
void client_stream_close(struct client_stream *stream);

#endif
