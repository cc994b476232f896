/* SPDX-License-Identifier: Apache-2.0
 *
 * A key of one's own under a prefix, bound to a lease, and the wait until all older ones are gone:
 * what locks and elections have in common. The key is PREFIX/LEASE in hexadecimal; the oldest by
 * create revision holds the lock or leads. On the desk's thread.
 */
#ifndef API_TURN_H
#define API_TURN_H

#include "api/desk.h"

struct turn {
    struct walk walk; /* first */
    struct slice prefix;
    int64_t lease;
    struct slice key;
    revision rev;        /* the key's create revision */
    revision header_rev; /* of the answer */
    void (*then)(struct turn *turn);
    void (*failed)(struct turn *turn, struct err err, const char *text);
    struct err why_left; /* what the call ends with once its key is gone */
    const char *why_left_text;
};

/* For a unary call, with the prefix NAME/. Starts at first. */
void turn_start(
    struct api *api, struct call_state *state, struct slice name, void (*first)(struct turn *turn));
/* Sets lease, a new one where it is 0, and key; calls then. */
void turn_session(struct turn *turn, int64_t lease, void (*then)(struct turn *turn));
/* Waits until no key under the prefix is older than rev; calls then, or failed: an inner call
 * failed, or the walk was cancelled. */
void turn_wait(struct turn *turn, void (*then)(struct turn *turn),
    void (*failed)(struct turn *turn, struct err err, const char *text));
/* False: the inner call failed and the walk has ended with that. */
bool turn_goes_on(struct turn *turn, const struct walk_answer *answer);
/* The answer will be of that revision. */
void turn_keep_header(struct turn *turn, const Etcdserverpb__ResponseHeader *header);
/* Makes the response, with its header; for turn_end. */
void *turn_response(struct turn *turn, const ProtobufCMessageDescriptor *type);
void turn_end(struct turn *turn);
/* Ends the call with a text of the reference's client. */
void turn_fail(struct turn *turn, const char *text);

/* NAME/ in the arena. */
struct slice turn_prefix_of(struct slice name, struct arena *arena);
/* The oldest or the newest key under a prefix. */
Etcdserverpb__RangeRequest turn_range_of(struct slice prefix, bool is_oldest, struct arena *arena);
/* If key's create revision is rev, then op. Lent members. */
struct turn_txn {
    Etcdserverpb__TxnRequest request;
    Etcdserverpb__Compare compare;
    Etcdserverpb__Compare *compares[1];
    Etcdserverpb__RequestOp op;
    Etcdserverpb__RequestOp *ops[1];
};
void turn_txn_init(struct turn_txn *txn, struct slice key, revision rev);

#endif
