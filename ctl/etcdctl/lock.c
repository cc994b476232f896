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
    char **env = exec_environment(run->arena, 2);
    size_t count = 0;

    while (env[count]) {
        count++;
    }
    env[count++] = arena_printf(run->arena, "ETCD_LOCK_KEY=%s", key);
    env[count++] = arena_printf(run->arena, "ETCD_LOCK_REV=%" PRId64, revision);
    int status = exec_wait(run->arena, run->args + 1, env, &problem);
    return problem ? cmd_fail(status > 0 ? status : CMD_EXIT_ERROR, "%s", problem) : CMD_EXIT_OK;
}

static int hold(struct cmd_run *run, struct session *session)
{
    const char *key;
    int64_t revision;
    struct why why;
    bool is_expired = false;

    if (err_is(session_acquire(session, run->args[0], "", &key, &revision, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    int code = run->args_count > 1 ? run_held(run, key, revision) : print_key(session, key);
    if (run->args_count == 1 && code == CMD_EXIT_OK) {
        is_expired = !session_wait_end(session);
    }
    if (is_expired) {
        return cmd_fail(CMD_EXIT_ERROR, "session expired");
    }
    if (err_is(session_release(session, key, revision, &why)) && code == CMD_EXIT_OK) {
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
