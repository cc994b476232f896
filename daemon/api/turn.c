/* SPDX-License-Identifier: Apache-2.0 */
#include "api/turn.h"

enum { SESSION_TTL_S = 60 };

/* The smallest key behind all with that prefix; it ends in '/', so there is one. */
static struct slice end_of(struct slice prefix, struct arena *arena)
{
    struct slice end = arena_dup(arena, prefix);
    ((uint8_t *)(uintptr_t)end.data)[end.len - 1]++;
    return end;
}

Etcdserverpb__RangeRequest turn_range_of(struct slice prefix, bool is_oldest, struct arena *arena)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = pb_bytes(prefix);
    range.range_end = pb_bytes(end_of(prefix, arena));
    range.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    range.sort_order = is_oldest ? ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND
                                 : ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    range.limit = 1;
    return range;
}

void turn_txn_init(struct turn_txn *txn, struct slice key, revision rev)
{
    etcdserverpb__txn_request__init(&txn->request);
    etcdserverpb__compare__init(&txn->compare);
    etcdserverpb__request_op__init(&txn->op);
    txn->compare.key = pb_bytes(key);
    txn->compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    txn->compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    txn->compare.create_revision = rev;
    txn->compares[0] = &txn->compare;
    txn->ops[0] = &txn->op;
    txn->request.compare = txn->compares;
    txn->request.n_compare = 1;
    txn->request.success = txn->ops;
    txn->request.n_success = 1;
}

struct slice turn_prefix_of(struct slice name, struct arena *arena)
{
    uint8_t *prefix = arena_alloc(arena, name.len + 1);
    if (name.len) {
        memcpy(prefix, name.data, name.len);
    }
    prefix[name.len] = '/';
    return slice_of(prefix, name.len + 1);
}

static void first_step(struct walk *walk)
{
    struct turn *turn = (struct turn *)walk;
    turn->then(turn);
}

void turn_start(
    struct api *api, struct call_state *state, struct slice name, void (*first)(struct turn *turn))
{
    struct arena *arena = arena_new(0);
    struct turn *turn = arena_zalloc(arena, sizeof(*turn));
    walk_init(&turn->walk, api, arena);
    turn->walk.state = state;
    turn->walk.caller = state->call->caller;
    turn->walk.caller.has_leader = false; /* asked already */
    turn->walk.caller.is_counted = true;
    turn->prefix = turn_prefix_of(name, arena);
    turn->then = first;
    if (!walk_start(&turn->walk, first_step)) {
        arena_free(arena);
        api_done(state, ERR(STOPPED));
    }
}

bool turn_goes_on(struct turn *turn, const struct walk_answer *answer)
{
    if (!answer->message) {
        turn_fail(turn, answer->text);
    }
    return answer->message != NULL;
}

static void have_session(struct turn *turn, int64_t lease)
{
    struct arena *arena = turn->walk.arena;
    char hex[24];
    bool is_negative = lease < 0;
    uint64_t number = is_negative ? 0 - (uint64_t)lease : (uint64_t)lease;
    int len =
        snprintf(hex, sizeof(hex), "%s%llx", is_negative ? "-" : "", (unsigned long long)number);
    uint8_t *key = arena_alloc(arena, turn->prefix.len + (size_t)len);
    memcpy(key, turn->prefix.data, turn->prefix.len);
    memcpy(key + turn->prefix.len, hex, (size_t)len);
    turn->lease = lease;
    turn->key = slice_of(key, turn->prefix.len + (size_t)len);
    turn->then(turn);
}

static void granted(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__LeaseGrantResponse *response = answer->message;
    if (turn_goes_on(turn, answer)) {
        have_session(turn, response->id);
    }
}

void turn_session(struct turn *turn, int64_t lease, void (*then)(struct turn *turn))
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    turn->then = then;
    request.ttl = SESSION_TTL_S;
    if (lease) {
        have_session(turn, lease);
    } else {
        walk_call(&turn->walk, "/etcdserverpb.Lease/LeaseGrant", &request, granted);
    }
}

/* Waiting: the newest of the older keys is watched until it is deleted; then it is looked again. */

static void look(struct turn *turn);

static void give_up(struct walk *walk)
{
    struct turn *turn = (struct turn *)walk;
    turn->failed(turn, walk->cancelled, walk->cancelled_text);
}

static bool has_delete(const Etcdserverpb__WatchResponse *message)
{
    for (size_t i = 0; i < message->n_events; i++) {
        if (message->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
            return true;
        }
    }
    return false;
}

static void seen(struct walk *walk, const Etcdserverpb__WatchResponse *message)
{
    struct turn *turn = (struct turn *)walk;
    if (message && message->canceled && message->compact_revision == 0) {
        walk_unwatch(walk);
        turn->failed(turn, ERR(INNER), message->cancel_reason);
    } else if (!message) {
        walk_unwatch(walk);
        turn->failed(turn, ERR(INNER), "lost watcher waiting for delete");
    } else if (message->canceled || has_delete(message)) { /* compacted meanwhile: look again */
        walk_unwatch(walk);
        look(turn);
    }
}

static void looked(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__RangeResponse *response = answer->message;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    if (!response) {
        turn->failed(turn, ERR(INNER), answer->text);
    } else if (response->n_kvs == 0) {
        turn->then(turn);
    } else if (walk->is_cancelled) {
        give_up(walk);
    } else {
        create.key = response->kvs[0]->key;
        create.start_revision = response->header->revision;
        walk->give_up = give_up;
        walk_watch(walk, &create, seen);
    }
}

static void look(struct turn *turn)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__RangeRequest range = turn_range_of(turn->prefix, false, arena);
    range.max_create_revision = turn->rev - 1;
    walk_call(&turn->walk, "/etcdserverpb.KV/Range", &range, looked);
    arena_free(arena);
}

void turn_wait(struct turn *turn, void (*then)(struct turn *turn),
    void (*failed)(struct turn *turn, struct err err, const char *text))
{
    turn->then = then;
    turn->failed = failed;
    look(turn);
}

/* Answers. */

void turn_keep_header(struct turn *turn, const Etcdserverpb__ResponseHeader *header)
{
    turn->header_rev = header->revision;
}

void *turn_response(struct turn *turn, const ProtobufCMessageDescriptor *type)
{
    struct call_state *state = turn->walk.state;
    struct arena *arena = state->call->arena;
    Etcdserverpb__ResponseHeader *header =
        api_new(arena, &etcdserverpb__response_header__descriptor);
    ProtobufCMessage *response = api_new(arena, type);
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, 1);
    header->revision = turn->header_rev; /* the rest is filled in when it is packed */
    *(Etcdserverpb__ResponseHeader **)(void *)((char *)response + field->offset) = header;
    state->response = response;
    return response;
}

void turn_end(struct turn *turn)
{
    walk_end(&turn->walk, OK, NULL);
}

void turn_fail(struct turn *turn, const char *text)
{
    walk_end(&turn->walk, ERR(INNER), text);
}
