/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

enum { ELECT_TTL = 60 };

static const struct cmd_option options[] = {
    {"listen", CMD_BOOL, "false", "observation mode", 'l', false},
    {0},
};

static struct err first_of(struct session *session, struct arena *arena, const char *folder,
    const Etcdserverpb__RangeResponse **out_response, struct why *why)
{
    REQUEST(RangeRequest, range_request, request);
    request.key = ctl_bytes(folder);
    request.range_end = pb_bytes(prefix_range_end(arena, slice_str(folder)));
    request.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    request.limit = 1;
    return session_call(
        session, CLIENT_ASK(&client_range, &request, 0), CMD_EXIT_OK, out_response, why);
}

struct leader {
    Etcdserverpb__ResponseHeader *header;
    Mvccpb__KeyValue *kv;
};

/* Shows a leader as get shows its key. rest: the answer that more and count are of, or NULL. */
static void show(
    struct session *session, const struct leader *leader, const Etcdserverpb__RangeResponse *rest)
{
    Mvccpb__KeyValue *kv = leader->kv;

    REQUEST(RangeResponse, range_response, response);
    response.header = leader->header;
    response.kvs = &kv;
    response.n_kvs = 1;
    response.more = rest && rest->more;
    response.count = rest ? rest->count : 0;
    (void)print_range(session_printer(session), &response);
    fflush(stdout);
}

/* The first key that is put below the folder from that revision on. */
static struct err wait_for_leader(struct session *session, const struct watch_spec *folder,
    struct arena *arena, struct leader *out, struct why *why)
{
    struct watch_spec spec = *folder;

    for (;;) {
        const Etcdserverpb__WatchResponse *got;
        TRY(session_wait_events(session, &spec, arena, &got, why));
        for (size_t i = 0; i < got->n_events; i++) {
            Mvccpb__KeyValue *kv = got->events[i]->kv;
            if (got->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__PUT) {
                *out = (struct leader){.header = got->header, .kv = kv};
                out->header->revision = kv->mod_revision;
                return OK;
            }
            spec.revision = kv->mod_revision + 1;
        }
    }
}

/* What the leader says next, until its key is deleted. As with clientv3, more and count stay what
 * they were when the leader was asked for. */
static struct err follow(struct session *session, const struct leader *first,
    const Etcdserverpb__RangeResponse *found, struct why *why)
{
    struct arena *arena = arena_new(0);
    struct watch_spec spec = {.revision = first->header->revision + 1};
    struct err err = OK;

    spec.key = arena_dup(arena, pb_slice(first->kv->key));
    for (bool is_deleted = false; !is_deleted && !err_is(err);) {
        const Etcdserverpb__WatchResponse *got = NULL;
        struct arena *scratch = arena_new(0);
        err = session_wait_events(session, &spec, scratch, &got, why);
        for (size_t i = 0; got && !is_deleted && i < got->n_events; i++) {
            struct leader next = {.header = got->header, .kv = got->events[i]->kv};
            is_deleted = got->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
            if (!is_deleted) {
                show(session, &next, found);
            }
            spec.revision = next.kv->mod_revision + 1;
        }
        arena_free(scratch);
    }
    arena_free(arena);
    return err;
}

/* One leader, or the wait for one: until its key is deleted. */
static struct err observe_one(struct session *session, const char *folder, struct why *why)
{
    const Etcdserverpb__RangeResponse *found;
    struct arena *arena = arena_new(0);
    struct leader leader;
    struct err err = first_of(session, arena, folder, &found, why);

    if (!err_is(err) && found->n_kvs > 0) {
        leader = (struct leader){.header = found->header, .kv = found->kvs[0]};
    } else if (!err_is(err)) {
        struct watch_spec spec = {
            .key = slice_str(folder), .is_prefix = true, .revision = found->header->revision};
        err = wait_for_leader(session, &spec, arena, &leader, why);
    }
    if (!err_is(err)) {
        show(session, &leader, NULL);
        err = follow(session, &leader, found, why);
    }
    client_forget(session_client(session));
    arena_free(arena);
    return err;
}

static int observe(struct cmd_run *run, struct session *session)
{
    const char *folder = arena_printf(run->arena, "%s/", run->args[0]);
    struct why why;

    while (!err_is(observe_one(session, folder, &why))) {
    }
    return session_is_interrupted(session) ? CMD_EXIT_OK
                                           : cmd_fail(CMD_EXIT_ERROR, "elect: observer lost");
}

static int campaign(struct cmd_run *run, struct session *session)
{
    const Etcdserverpb__RangeResponse *response;
    struct session_key key;
    struct why why;

    struct err err = session_acquire(session, run->args[0], run->args[1], &key, &why);
    if (IS(err, LEASE_NOT_FOUND)) {
        return cmd_fail(CMD_EXIT_ERROR, "elect: session expired");
    }
    if (!err_is(err)) {
        REQUEST(RangeRequest, range_request, request);
        request.key = ctl_bytes(key.name);
        err = client_call(
            session_client(session), CLIENT_ASK(&client_range, &request, 0), &response, &why);
    }
    if (err_is(err)) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    int code = print_range(session_printer(session), response);
    fflush(stdout);
    if (code == CMD_EXIT_OK && !session_wait_end(session)) {
        return cmd_fail(CMD_EXIT_ERROR, "elect: session expired");
    }
    if (err_is(session_release(session, &key, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    return code;
}

static int elect(struct cmd_run *run)
{
    struct session *session;
    bool listens = cmd_bool(run, "listen");

    if (run->args_count != 1 && run->args_count != 2) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "elect takes one election name argument and an optional proposal argument");
    }
    if ((run->args_count == 1) != listens) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "%s",
            listens ? "proposal given but -l is set" : "no proposal argument but -l not set");
    }
    int code = session_open(run, ELECT_TTL, &session);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    return session_close(session, listens ? observe(run, session) : campaign(run, session));
}

const struct cmd cmd_elect = {
    .use = "elect <election-name> [proposal]",
    .brief = "Observes and participates in leader election",
    .options = options,
    .run = elect,
};
