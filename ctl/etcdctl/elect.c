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
    return client_call(
        session_client(session), CLIENT_ASK(&client_range, &request, 0), out_response, why);
}

/* Shows a leader: the key as get prints it. */
static void show(struct session *session, Mvccpb__KeyValue *kv)
{
    REQUEST(RangeResponse, range_response, response);
    response.kvs = &kv;
    response.n_kvs = 1;
    (void)print_range(session_printer(session), &response);
    fflush(stdout);
}

/* One leader, or the wait for one: until its key is deleted. */
static struct err observe_one(struct session *session, const char *folder, struct why *why)
{
    const Etcdserverpb__RangeResponse *found;
    struct arena *arena = arena_new(0);
    struct watch_spec spec = {.key = folder, .is_prefix = true};
    const Mvccpb__Event *event;
    struct err err = first_of(session, arena, folder, &found, why);

    if (err_is(err)) {
        goto out;
    }
    spec.revision = found->header->revision + 1;
    if (found->n_kvs > 0) {
        (void)print_range(session_printer(session), found);
        fflush(stdout);
        spec.key = (const char *)arena_dup(arena, pb_slice(found->kvs[0]->key)).data;
        spec.is_prefix = false;
    }
    for (bool is_leading = found->n_kvs > 0;;) {
        err = session_wait_event(session, &spec, arena, &event, why);
        if (err_is(err) || !is_leading || event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
            break;
        }
        show(session, event->kv);
        spec.revision = event->kv->mod_revision + 1;
    }
out:
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
