/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream whose token this member may not know yet: another member gave it out, and the entry that
 * says so is on its way. What the client sends waits, in order and bounded; once the entry is
 * applied, or its time is over, the edge's next look hands it on.
 */
#ifndef API_HELD_H
#define API_HELD_H

#include "api/state.h"

struct held;

/* Of what waits for tokens, in all: who is nobody yet may name any index in one, and who has closed
 * waits no more. Calls count by their requests; past it they go on as nobody's. */
enum { HELD_BYTES_MAX = 16 * 1024 * 1024 };
bool held_take(struct api *api, size_t bytes);
void held_give(struct api *api, size_t bytes);

/* At the stream's first message; NULL: nothing has to wait. Gives. */
struct held *held_new(struct api_stream *stream);
/* Whether they wait here; else they are for the method. */
bool held_message(struct held *held, struct slice message);
bool held_half_close(struct held *held);

enum held_state {
    HELD_WAITING,
    HELD_FULL, /* the client, or all together, sent more than may wait */
    HELD_OVER, /* all is handed on */
};

/* Hands on what waits as soon as it may. */
enum held_state held_look(struct held *held);
/* The stream's end; NULL is fine. */
void held_close(struct held *held);

#endif
