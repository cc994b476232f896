/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that are made of other calls and may wait for other clients: locks and elections. A walk
 * goes from one inner call to the next on one thread, the desk's, which has no lock to take: it is
 * started by the first walk. Inner calls go through the door of api in the name of the outer
 * call's caller, so that they are checked, put into the log and refused as any other.
 */
#ifndef API_DESK_H
#define API_DESK_H

#include "api/state.h"

struct desk;
struct walk;
struct walk_call;
struct walk_watch;

/* Something for the desk's thread to do. */
struct desk_item {
    struct list node;
    void (*run)(struct desk_item *item);
};

struct desk *desk_new(void);
/* Ends the walks that wait for other clients with STOPPED; none starts after. */
void desk_end(struct desk *desk);
/* That, and waits until no walk is left. */
void desk_stop(struct desk *desk);
/* Stops it first. NULL is fine. */
void desk_free(struct desk *desk);
/* Any thread: a call that a walk is for was marked as cancelled. */
void desk_look(struct desk *desk);
/* Any thread. False when it stops: the item stays the caller's. */
bool desk_push(struct desk *desk, struct desk_item *item);

/* How an inner call ended. */
struct walk_answer {
    const void *message; /* unpacked, lent for the call; NULL: it failed */
    const char *text;    /* then: why; lent as well */
};
typedef void walk_fn(struct walk *walk, const struct walk_answer *answer);
/* message: NULL when the watch has ended. */
typedef void walk_watch_fn(struct walk *walk, const Etcdserverpb__WatchResponse *message);

struct walk {
    struct api *api;
    struct arena *arena; /* lives as long as the walk */
    struct api_caller caller;
    struct call_state *state; /* the unary call it is for; NULL: a stream's */
    /* It was cancelled, or its time is over, or the member stops. Who waits for others gives up. */
    bool is_cancelled;
    struct err cancelled;
    const char *cancelled_text;
    void (*give_up)(struct walk *walk); /* called when that comes to be while it watches */
    bool is_held;
    /* private */
    struct list node;
    struct desk_item begin;
    void (*first)(struct walk *walk);
    struct walk_watch *watch;
};

/* Fills what is above for a walk of which it is the first member. */
void walk_init(struct walk *walk, struct api *api, struct arena *arena);
/* first runs on the desk's thread, as all that follows. False when the desk stops. */
bool walk_start(struct walk *walk, void (*first)(struct walk *walk));
/* then is called once. The request is packed at once. */
void walk_call(struct walk *walk, const char *path, const void *request, walk_fn *then);
/* One watch at a time; each of its messages goes to then, until walk_unwatch. */
void walk_watch(
    struct walk *walk, const Etcdserverpb__WatchCreateRequest *request, walk_watch_fn *then);
void walk_unwatch(struct walk *walk);
/* While walk->is_held messages of the watch stay where they are; this looks again. */
void walk_watch_more(struct walk *walk);
/* The end. Frees the walk with its arena; a unary call is answered first: with state->response, or
 * with the error and that text, which is copied. */
void walk_end(struct walk *walk, struct err err, const char *text);

#endif
