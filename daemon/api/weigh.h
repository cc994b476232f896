/* SPDX-License-Identifier: Apache-2.0
 *
 * What answers weigh: calls that read many keys wait at the gate for as many bytes as their answer
 * will take about, and have them until it is sent. Large ones are made by the readers' threads.
 */
#ifndef API_WEIGH_H
#define API_WEIGH_H

#include "api/state.h"

enum {
    /* From here on an answer is made on a thread of its own: a millisecond of work. */
    WEIGH_LARGE = 1 << 20,
};

/* 0: one key at most, or only counted. */
size_t weigh_range(struct api *api, const Etcdserverpb__RangeRequest *request);
/* What it tells of what it deleted. */
size_t weigh_delete(struct api *api, const Etcdserverpb__DeleteRangeRequest *request);
/* The heavier of its two branches, at every depth. */
size_t weigh_txn(struct api *api, const Etcdserverpb__TxnRequest *request);

/* How an answer ends that is more than api->response_bytes_max. */
struct api_status weigh_too_large(void);
/* Goes on with then(state) when that much is free (at once with 0), or ends the call. */
void weigh_in(struct call_state *state, size_t bytes, void (*then)(struct call_state *state));
/* Gives back what the call has; nothing is fine. */
void weigh_out(struct call_state *state);
/* What an answer lives in until it is sent, which gives the bytes back to the gate. */
struct weigh_home;
/* Takes over what the call has. */
struct weigh_home *weigh_home_new(struct call_state *state);
struct weigh_home *weigh_home_at(struct gate *gate, size_t bytes);
struct arena *weigh_home_arena(struct weigh_home *home);
void weigh_home_free(struct weigh_home *home);
/* As the home of the payload, which takes it. Who turns the parts into something else to send
 * empties it, and releases it when that is sent. */
void weigh_home_give(struct weigh_home *home, struct payload *payload);
/* Takes the buffer's memory and the home: one part of the payload. */
void weigh_home_pack(struct weigh_home *home, struct buf *packed, struct payload *payload);

#endif
