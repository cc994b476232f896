/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "base/mem.h"
#include "service.h"
#include "users.h"
#include "words.h"

#include <rpc.pb-c.h>
#include <stdio.h>

enum { OPS_MAX = 4, LEASES_MAX = 4, TIMEOUT_S = 7, KEEP_S = 1, BACKOFF_MS = 50 };

struct client {
    int number;
    struct user user;
    struct machine *machine;
    int64_t values; /* given so far: each is another */
    int64_t leases[LEASES_MAX];
    int64_t revision; /* the newest seen */
    bool is_reader;   /* only: it finds who does not know that he leads no more */
    bool is_keeper;   /* of one lease with a key: who ends it all the same is found */
    bool has_key;
    bool is_done;
};

struct history *history;
static struct client *clients;
static int64_t next_lease = 1000;
static int64_t last_deletion;  /* its revision */
static int64_t last_compacted; /* at that revision */

/* What is asked. */

static struct slice some_key(struct arena *arena)
{
    return slice_str(arena_printf(arena, "k%d", (int)world_below((uint64_t)run.plan.keys)));
}

static struct slice next_value(struct client *client, struct arena *arena)
{
    return slice_str(arena_printf(arena, "v%d-%lld", client->number, (long long)++client->values));
}

/* One key, all of them, or some. */
static void choose_range(struct history_op *op, struct arena *arena)
{
    op->key = some_key(arena);
    switch (world_below(6)) {
    case 0:
        op->key = SLICE("k");
        op->end = SLICE("l");
        break;
    case 1:
        op->end = some_key(arena);
        break;
    case 2:
        op->end = slice_of("\0", 1);
        break;
    default:
        break;
    }
}

static int64_t some_lease(struct client *client)
{
    return client->leases[world_below(LEASES_MAX)];
}

static void choose_put(struct client *client, struct history_op *op, struct arena *arena)
{
    op->kind = HISTORY_PUT;
    op->key = some_key(arena);
    op->value = next_value(client, arena);
    op->lease = world_one_in(6) ? some_lease(client) : 0;
    op->wants_prev = world_one_in(4);
}

static void choose_read(struct client *client, struct history_op *op, struct arena *arena)
{
    op->kind = HISTORY_RANGE;
    choose_range(op, arena);
    op->is_serializable = world_one_in(4);
    op->is_keys_only = world_one_in(12);
    op->is_count_only = world_one_in(12);
    op->limit = world_one_in(6) ? 1 + (int64_t)world_below(3) : 0;
    if (world_one_in(8)) {
        op->order = world_one_in(2) ? HISTORY_ASCENDING : HISTORY_DESCENDING;
        op->sort = (enum history_sort)world_below(5);
        op->limit = world_one_in(2) ? 1 + (int64_t)world_below(4) : 0;
    }
    if (world_one_in(6) && client->revision > 1) {
        op->revision = client->revision - (int64_t)world_below((uint64_t)client->revision) / 4;
    }
}

static void choose_delete(struct history_op *op, struct arena *arena)
{
    op->kind = HISTORY_DELETE;
    op->key = some_key(arena);
    op->wants_prev = world_one_in(3);
    if (world_one_in(5)) {
        op->end = some_key(arena);
    }
}

static void choose_compare(
    struct client *client, struct history_compare *compare, struct arena *arena)
{
    compare->key = some_key(arena);
    compare->target = (enum history_target)world_below(5);
    compare->relation = (enum history_relation)world_below(4);
    compare->number = (int64_t)world_below(4);
    if (compare->target == HISTORY_CREATE || compare->target == HISTORY_MOD) {
        compare->number = client->revision - (int64_t)world_below(10);
    } else if (compare->target == HISTORY_LEASE) {
        compare->number = some_lease(client);
    } else if (compare->target == HISTORY_VALUE) {
        compare->value = slice_str(arena_printf(arena, "v%d-%lld", client->number,
            (long long)client->values - (long long)world_below(3)));
    }
}

/* Each of them on another key: two writes of one are refused. */
static void choose_side(
    struct client *client, struct history_op *ops, size_t *out_count, struct arena *arena)
{
    size_t count = (size_t)world_below(OPS_MAX);
    for (size_t i = 0; i < count; i++) {
        switch (world_below(3)) {
        case 0:
            choose_put(client, &ops[i], arena);
            break;
        case 1:
            choose_read(client, &ops[i], arena);
            ops[i].is_serializable = false;
            break;
        default:
            choose_delete(&ops[i], arena);
            ops[i].end = (struct slice){0};
            break;
        }
        if (ops[i].kind != HISTORY_RANGE) {
            ops[i].key = slice_str(arena_printf(arena, "k%d",
                (int)(i + OPS_MAX * world_below((uint64_t)(run.plan.keys + 3) / OPS_MAX))));
        }
    }
    *out_count = count;
}

static void choose_txn(struct client *client, struct history_op *op, struct arena *arena)
{
    struct history_compare *compares = arena_zalloc(arena, 2 * sizeof(*compares));
    struct history_op *sides = arena_zalloc(arena, 2 * OPS_MAX * sizeof(*sides));
    op->kind = HISTORY_TXN;
    op->compares_count = 1 + (size_t)world_below(2);
    for (size_t i = 0; i < op->compares_count; i++) {
        choose_compare(client, &compares[i], arena);
    }
    op->compares = compares;
    op->then_ops = sides;
    op->else_ops = sides + OPS_MAX;
    choose_side(client, sides, &op->then_count, arena);
    choose_side(client, sides + OPS_MAX, &op->else_count, arena);
    if (op->then_count + op->else_count == 0) {
        choose_put(client, sides, arena); /* one that asks for nothing is not linearizable */
        op->then_count = 1;
    }
}

static void choose_lease_op(struct client *client, struct history_op *op)
{
    int64_t *slot = &client->leases[world_below(LEASES_MAX)];
    uint64_t dice = world_below(10);
    op->lease = *slot;
    if (*slot == 0 || dice < 3) {
        op->kind = HISTORY_LEASE_GRANT;
        op->lease = *slot = ++next_lease;
        op->ttl_s = 2 + (int64_t)world_below(20);
    } else if (dice < 5) {
        op->kind = HISTORY_LEASE_REVOKE;
    } else if (dice < 7) {
        op->kind = HISTORY_LEASE_LOOK;
        op->wants_keys = !world_one_in(3);
    } else {
        op->kind = HISTORY_LEASE_KEEPALIVE;
    }
}

static void choose_keeping(struct client *client, struct history_op *op, struct arena *arena)
{
    op->kind = HISTORY_LEASE_KEEPALIVE;
    if (client->leases[0] == 0) {
        op->kind = HISTORY_LEASE_GRANT;
        client->leases[0] = ++next_lease;
        client->has_key = false;
        op->ttl_s = 2 + (int64_t)world_below(3);
    } else if (!client->has_key) {
        op->kind = HISTORY_PUT;
        op->key = slice_str(arena_printf(arena, "kk%d", client->number));
        op->value = next_value(client, arena);
    }
    op->lease = client->leases[0];
}

static void choose_compaction(const struct client *client, struct history_op *op)
{
    op->kind = HISTORY_COMPACT;
    op->revision = client->revision - (int64_t)world_below(10);
    if (world_one_in(2) && last_deletion) {
        op->revision = last_deletion; /* which must still be shown to who begins there */
    }
}

static void choose(struct client *client, struct history_op *op, struct arena *arena)
{
    uint64_t dice = world_below(100);
    *op = (struct history_op){0};
    if (client->is_reader) {
        op->kind = HISTORY_RANGE;
        choose_range(op, arena);
    } else if (client->is_keeper) {
        choose_keeping(client, op, arena);
    } else if (dice < 38) {
        choose_put(client, op, arena);
    } else if (dice < 68) {
        choose_read(client, op, arena);
    } else if (dice < 76) {
        choose_delete(op, arena);
    } else if (dice < 90) {
        choose_txn(client, op, arena);
    } else if (dice < 98 || client->revision < 10) {
        choose_lease_op(client, op);
    } else {
        choose_compaction(client, op);
    }
}

/* What came of it. */

static bool changes(const struct history_op *op)
{
    static const bool is_look[HISTORY_KINDS] = {[HISTORY_RANGE] = true,
        [HISTORY_DUMP] = true,
        [HISTORY_LEASE_KEEPALIVE] = true,
        [HISTORY_LEASE_LOOK] = true,
        [HISTORY_AUTH_STATUS] = true,
        [HISTORY_USER_LOOK] = true,
        [HISTORY_ROLE_LOOK] = true};
    return !is_look[op->kind];
}

static bool has(const struct answer *answer, const char *text)
{
    return strstr(answer->text, text) != NULL;
}

/* No for ever, whoever is asked: the state says so, or the request was never let in. */
static const char *refusal(const struct answer *answer)
{
    static const char *const refusals[][2] = {{"has been compacted", "compacted"},
        {"is a future revision", "future"}, {"lease not found", "lease"},
        {"lease already exists", "lease"}, {"permission denied", "denied"},
        {"user name is empty", "unnamed"}, {"name not found", "missing"},
        {"name already exists", "present"}, {"too many requests", "other"},
        {"not supported for learner", "other"}, {"duplicate key given", "other"},
        {"key not found", "other"}, {"key is not provided", "other"},
        {"invalid auth token", "token"}, {"revision of auth store is old", "other"},
        {"is not granted", "other"}, {"invalid auth management", "other"},
        {"root user does not", "other"}, {"authentication is not enabled", "other"}};
    if (answer->kind == ANSWER_REFUSED) {
        return "refused";
    }
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        if (has(answer, refusals[i][0])) {
            return refusals[i][1];
        }
    }
    return NULL;
}

static void judge(struct history_call *call, const struct answer *answer, struct arena *arena)
{
    const char *error = answer->kind == ANSWER_OK ? NULL : refusal(answer);
    call->outcome = answer->kind == ANSWER_OK ? HISTORY_OK : HISTORY_UNKNOWN;
    if (answer->kind == ANSWER_OK) {
        words_result(&call->op, answer->message, arena, &call->result);
    } else if (error || !changes(&call->op)) {
        call->outcome = HISTORY_FAILED;
        call->error = slice_str(error ? error : "other");
    }
}

/* A stream for one message. */
static void keep_alive(struct machine *machine, int64_t id, struct arena *arena, struct answer *out)
{
    Etcdserverpb__LeaseKeepAliveRequest request = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    struct stream *stream = service_open(machine, "/etcdserverpb.Lease/LeaseKeepAlive");
    bool is_over = false;
    *out = (struct answer){.kind = ANSWER_REFUSED};
    request.id = id;
    if (!stream) {
        return;
    }
    out->kind = ANSWER_LOST;
    if (service_send(stream, &request)) {
        out->message = service_next(stream, KEEP_S * SECOND, arena, &is_over);
        out->kind = out->message ? ANSWER_OK : ANSWER_LOST;
    }
    service_close(stream);
}

void client_ask(const struct asking *asking, struct machine *machine, struct history_op *op,
    struct arena *arena, struct history_call *out)
{
    struct answer answer;
    void *request;
    *out = (struct history_call){
        .client = (uint64_t)asking->number, .member = (uint64_t)machine->number, .op = *op};
    user_speak(asking->user, machine, out);
    out->invoked_ns = world_now();
    if (op->kind == HISTORY_LEASE_KEEPALIVE) {
        keep_alive(machine, op->lease, arena, &answer);
    } else {
        const char *path = words_request(op, arena, &request);
        service_call(machine, path, request, TIMEOUT_S * SECOND, arena, &answer);
    }
    out->returned_ns = world_now();
    judge(out, &answer, arena);
    run.tally.denied += slice_eq(out->error, SLICE("denied"));
    if (asking->user && slice_eq(out->error, SLICE("token"))) {
        user_forget_token(asking->user);
    }
    history_add_call(history, out);
}

static void forget_lease(struct client *client, int64_t id)
{
    for (int i = 0; i < LEASES_MAX; i++) {
        if (client->leases[i] == id) {
            client->leases[i] = 0;
        }
    }
}

/* A lease that nobody answers for may be there still, and its keeper goes on. */
static bool is_lease_over(const struct client *client, const struct history_call *call)
{
    if (call->op.kind == HISTORY_LEASE_REVOKE) {
        return true;
    }
    if (!client->is_keeper || call->op.kind == HISTORY_LEASE_GRANT) {
        return call->outcome != HISTORY_OK;
    }
    return slice_eq(call->error, SLICE("lease")) ||
           (call->op.kind == HISTORY_LEASE_KEEPALIVE && call->outcome == HISTORY_OK &&
               call->result.ttl_s <= 0);
}

static void learn(struct client *client, const struct history_call *call)
{
    int64_t at = call->result.revision;
    if (call->op.lease && is_lease_over(client, call)) {
        forget_lease(client, call->op.lease);
    }
    if (call->outcome != HISTORY_OK) {
        return;
    }
    client->revision = at > client->revision ? at : client->revision;
    client->has_key = client->has_key || call->op.kind == HISTORY_PUT;
    if (call->op.kind == HISTORY_DELETE && call->result.count) {
        last_deletion = at;
    } else if (call->op.kind == HISTORY_COMPACT) {
        last_compacted = call->op.revision;
    }
}

static void turn(struct client *client)
{
    struct arena *arena = arena_new(0);
    struct history_op op;
    struct history_call call;
    choose(client, &op, arena);
    client_ask(&(struct asking){client->number, &client->user}, client->machine, &op, arena, &call);
    learn(client, &call);
    bool is_hindered = call.outcome == HISTORY_UNKNOWN ||
                       (call.outcome == HISTORY_FAILED && !slice_eq(call.error, SLICE("lease")));
    if (client->is_reader) {
        client->machine = machine_any();
    } else if (is_hindered || world_one_in(50)) {
        client->machine = machine_any();
        fiber_sleep(BACKOFF_MS * MS);
    }
    if (client->is_keeper && client->has_key) {
        fiber_sleep((int64_t)world_below((uint64_t)run.plan.keep_ns));
    }
    arena_free(arena);
}

static void *run_client(void *arg)
{
    struct client *client = arg;
    client->machine = machine_any();
    while (!run.is_healing) {
        turn(client);
        fiber_sleep((int64_t)world_below((uint64_t)run.plan.think_ns * 2));
    }
    client->is_done = true;
    return NULL;
}

/* Watchers are watcher.c's. */
void watchers_start(void);

void clients_start(void)
{
    history = history_new();
    history_set_run(
        history, &(struct history_run){.has_sane_clocks = !run.plan.has_drift, .revision = 1});
    clients = mem_new((size_t)run.plan.clients * sizeof(*clients));
    for (int i = 0; i < run.plan.clients; i++) {
        clients[i].number = i + 1;
        clients[i].is_reader = i == 0 && world_one_in(2);
        clients[i].is_keeper = i > 1 && world_one_in(2);
        user_draw(&clients[i].user);
        if (clients[i].is_keeper && clients[i].user.kind) {
            clients[i].user.kind = USER_ROOT;
        }
        fiber_detach(fiber_spawn(&run.outside, "client", run_client, &clients[i]));
    }
    users_start();
    watchers_start();
}

int64_t clients_compacted(void)
{
    return last_compacted;
}

bool clients_are_done(void)
{
    for (int i = 0; i < run.plan.clients; i++) {
        if (!clients[i].is_done) {
            return false;
        }
    }
    return true;
}
