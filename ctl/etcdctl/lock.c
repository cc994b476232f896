/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"
#include "watch_exec.h"

#include <inttypes.h>

static const struct cmd_option options[] = {
    {"ttl", CMD_INT, "10", "timeout for session", 0, false},
    {0},
};

/* Prints the key that is held, as get does. */
static int print_key(struct session *session, const char *key)
{
    const Etcdserverpb__RangeResponse *response;
    struct why why;

    REQUEST(RangeRequest, range_request, request);
    request.key = ctl_bytes(key);
    if (err_is(client_call(
            session_client(session), CLIENT_ASK(&client_range, &request, 0), &response, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    if (response->n_kvs == 0) {
        return cmd_fail(CMD_EXIT_ERROR, "lock lost on init");
    }
    int code = print_range(session_printer(session), response);
    fflush(stdout);
    return code;
}

static int run_held(struct cmd_run *run, const char *key, int64_t revision)
{
    const char *problem = NULL;
    char *variables[] = {
        arena_printf(run->arena, "ETCD_LOCK_KEY=%s", key),
        arena_printf(run->arena, "ETCD_LOCK_REV=%" PRId64, revision),
        NULL,
    };
    char **env = exec_environment(run->arena, variables, true); /* as etcdctl has it */
    int status = exec_wait(run->arena, run->args + 1, env, &problem);
    return problem ? cmd_fail(status, "%s", problem) : CMD_EXIT_OK;
}

/* The lock, and the revision at which it was held. Who has waited looks whether the key is still
 * there: a lease that ended meanwhile took it away, and the older keys' end let somebody else in.
 */
static struct err acquire(struct session *session, const char *name, struct session_key *out_key,
    int64_t *out_revision, struct why *why)
{
    const Etcdserverpb__RangeResponse *response;
    struct session_key key;
    struct why ignored;

    struct err err = session_acquire(session, name, "", &key, why);
    if (!err_is(err) && key.has_waited) {
        REQUEST(RangeRequest, range_request, request);
        request.key = ctl_bytes(key.name);
        err = client_call(
            session_client(session), CLIENT_ASK(&client_range, &request, 0), &response, why);
        if (err_is(err)) {
            (void)err_is(session_release(session, &key, &ignored));
        } else if (response->n_kvs == 0) {
            err = ERR(LEASE_NOT_FOUND);
        }
    }
    if (IS(err, LEASE_NOT_FOUND)) {
        return why_set(why, err, "mutex: session is expired");
    }
    TRY(err);
    *out_revision = key.has_waited ? response->header->revision : key.revision;
    *out_key = key;
    return OK;
}

static int hold(struct cmd_run *run, struct session *session)
{
    struct session_key key;
    int64_t revision = 0;
    struct why why;
    bool is_expired = false;

    if (err_is(acquire(session, run->args[0], &key, &revision, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    int code =
        run->args_count > 1 ? run_held(run, key.name, revision) : print_key(session, key.name);
    if (run->args_count == 1 && code == CMD_EXIT_OK) {
        is_expired = !session_wait_end(session);
    }
    if (is_expired) {
        return cmd_fail(CMD_EXIT_ERROR, "session expired");
    }
    if (err_is(session_release(session, &key, &why)) && code == CMD_EXIT_OK) {
        code = cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    return code;
}

static int lock(struct cmd_run *run)
{
    struct session *session;

    if (run->args_count == 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "lock takes a lock name argument and an optional command to execute");
    }
    int code = session_open(run, cmd_int(run, "ttl"), &session);
    return code == CMD_EXIT_OK ? session_close(session, hold(run, session)) : code;
}

const struct cmd cmd_lock = {
    .use = "lock <lockname> [exec-command arg1 arg2 ...]",
    .brief = "Acquires a named lock",
    .options = options,
    .run = lock,
};
