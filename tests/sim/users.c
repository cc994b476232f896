/* SPDX-License-Identifier: Apache-2.0 */
#include "users.h"

#include "base/mem.h"
#include "service.h"

#include <rpc.pb-c.h>
#include <stdio.h>

enum { ROLES_MAX = 5, RANGES_MAX = 3, TIMEOUT_S = 7, BACKOFF_MS = 100, NUMBER = 950 };

static const char *const names[] = {"u1", "u2", "u3"};

struct allowance {
    char key[16], end[16];
};

struct role {
    char name[16];    /* "": none; no name comes again */
    bool is_doubtful; /* something about it got no answer: it may come yet, so the role has to go */
    struct allowance ranges[RANGES_MAX];
    size_t ranges_count;
};

static struct role roles[ROLES_MAX];
static int next_role = 1;
static bool is_over;

/* Who asks. */

void user_draw(struct user *user)
{
    *user = (struct user){.kind = USER_NONE};
    if (run.plan.has_users) {
        user->kind = USER_ROOT + (enum user_kind)world_below(3);
        user->name = names[world_below(COUNT_OF(names))];
    }
}

static void take_token(struct user *user, struct machine *machine)
{
    Etcdserverpb__AuthenticateRequest request = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    struct arena *arena = arena_new(0);
    struct answer answer;
    request.name = (char *)(uintptr_t)user->name;
    request.password = (char *)(uintptr_t)user->name;
    service_as(&(struct service_caller){NULL, NULL});
    service_call(
        machine, "/etcdserverpb.Auth/Authenticate", &request, TIMEOUT_S * SECOND, arena, &answer);
    if (answer.kind == ANSWER_OK) {
        user->token =
            mem_strdup(((const Etcdserverpb__AuthenticateResponse *)answer.message)->token);
    }
    arena_free(arena);
}

void user_speak(struct user *user, struct machine *machine, struct history_call *call)
{
    struct service_caller caller = {.name = run.plan.has_users ? "root" : NULL};
    if (user && user->kind == USER_BY_TOKEN) {
        if (!user->token) {
            take_token(user, machine);
        }
        caller = (struct service_caller){NULL, user->token};
    } else if (user && user->kind == USER_BY_CERTIFICATE) {
        caller.name = user->name;
    }
    const char *name = caller.token ? user->name : caller.name ? caller.name : "";
    call->has_user = run.plan.has_users;
    call->user = slice_str(name);
    service_as(&caller);
}

void user_forget_token(struct user *user)
{
    free(user->token);
    user->token = NULL;
}

/* The administrator. */

static enum history_outcome ask(struct history_op *op, struct history_call *out)
{
    struct arena *arena = arena_new(0);
    client_ask(&(struct asking){.number = NUMBER}, machine_any(), op, arena, out);
    run.tally.auth_changes += out->outcome == HISTORY_OK;
    arena_free(arena);
    if (out->outcome != HISTORY_OK) {
        fiber_sleep(BACKOFF_MS * MS);
    }
    return out->outcome;
}

/* Whether somebody answered, be it that it cannot be. */
static bool is_said(const struct history_call *call)
{
    return call->outcome == HISTORY_OK || slice_eq(call->error, SLICE("missing")) ||
           slice_eq(call->error, SLICE("present"));
}

/* Until it is so. */
static void insist(struct history_op op)
{
    struct history_call call;
    do {
        ask(&op, &call);
    } while (!is_said(&call) && !run.is_healing);
}

static void insist_on(enum history_kind kind, const char *user, const char *role)
{
    insist((struct history_op){.kind = kind, .user = slice_str(user), .role = slice_str(role)});
}

/* Once; what got no answer makes the role doubtful. */
static bool try_on(struct role *role, struct history_op op)
{
    struct history_call call;
    op.role = slice_str(role->name);
    enum history_outcome outcome = ask(&op, &call);
    role->is_doubtful = role->is_doubtful || outcome == HISTORY_UNKNOWN;
    return outcome == HISTORY_OK;
}

static struct slice end_of(const struct allowance *range)
{
    return range->end[0] == '0' ? slice_of("\0", 1) : slice_str(range->end);
}

/* A key has one end only: of a role with two that begin alike etcd does not find the second again,
 * and adds it once more. */
static void draw_range(struct allowance *out)
{
    uint64_t keys = (uint64_t)run.plan.keys;
    int first = (int)world_below(keys);
    snprintf(out->key, sizeof(out->key), "k%d", first);
    out->end[0] = '\0';
    if (world_one_in(2)) {
        snprintf(out->key, sizeof(out->key), "k");
        snprintf(out->end, sizeof(out->end), "l");
    } else if (first % 3 == 1) {
        snprintf(out->end, sizeof(out->end), "0"); /* all that follow */
    } else if (first % 3 == 2) {
        snprintf(out->end, sizeof(out->end), "k%d~", first);
    }
}

static void allow(struct role *role)
{
    struct allowance range;
    draw_range(&range);
    struct history_op op = {.kind = HISTORY_ROLE_GRANT,
        .key = slice_str(range.key),
        .end = end_of(&range),
        .permission = world_one_in(3) ? HISTORY_READ + (enum history_permission)world_below(3)
                                      : HISTORY_READWRITE};
    if (role->ranges_count < RANGES_MAX && try_on(role, op)) {
        role->ranges[role->ranges_count++] = range;
    }
}

static void forbid(struct role *role)
{
    if (!role->ranges_count) {
        return;
    }
    struct allowance range = role->ranges[--role->ranges_count];
    try_on(
        role, (struct history_op){
                  .kind = HISTORY_ROLE_REVOKE, .key = slice_str(range.key), .end = end_of(&range)});
}

static const char *any_name(void)
{
    return names[world_below(COUNT_OF(names))];
}

static void give(struct role *role, const char *name)
{
    try_on(role, (struct history_op){.kind = HISTORY_USER_GRANT, .user = slice_str(name)});
}

static void end_role(struct role *role)
{
    insist_on(HISTORY_ROLE_DELETE, "", role->name);
    *role = (struct role){.name = ""};
}

static void begin_role(struct role *role)
{
    *role = (struct role){.name = ""};
    snprintf(role->name, sizeof(role->name), "r%d", next_role++);
    insist_on(HISTORY_ROLE_ADD, "", role->name);
    allow(role);
    give(role, any_name());
    give(role, any_name());
}

static void look(const struct role *role)
{
    static const enum history_kind kinds[] = {
        HISTORY_AUTH_STATUS, HISTORY_USER_LOOK, HISTORY_ROLE_LOOK};
    struct history_call call;
    struct history_op op = {.kind = kinds[world_below(3)]};
    op.user = slice_str(op.kind == HISTORY_USER_LOOK ? any_name() : "");
    op.role = slice_str(op.kind == HISTORY_ROLE_LOOK ? role->name : "");
    ask(&op, &call);
}

static void renew_user(void)
{
    const char *name = any_name();
    insist_on(HISTORY_USER_DELETE, name, "");
    insist_on(HISTORY_USER_ADD, name, "");
    for (size_t i = 0; i < ROLES_MAX; i++) {
        if (roles[i].name[0] && world_one_in(2)) {
            give(&roles[i], name);
        }
    }
}

static void off_and_on(void)
{
    insist((struct history_op){.kind = HISTORY_AUTH_DISABLE});
    fiber_sleep((int64_t)world_below(2 * SECOND));
    insist((struct history_op){.kind = HISTORY_AUTH_ENABLE});
}

static void change(void)
{
    struct role *role = &roles[world_below(ROLES_MAX)];
    uint64_t dice = world_below(100);
    if (!role->name[0]) {
        begin_role(role);
    } else if (role->is_doubtful || dice < 8) {
        end_role(role);
    } else if (dice < 28) {
        allow(role);
    } else if (dice < 48) {
        forbid(role);
    } else if (dice < 60) {
        give(role, any_name());
    } else if (dice < 70) {
        try_on(
            role, (struct history_op){.kind = HISTORY_USER_REVOKE, .user = slice_str(any_name())});
    } else if (dice < 95) {
        look(role);
    } else if (dice < 98 || !run.plan.has_auth_switch) {
        renew_user();
    } else {
        off_and_on();
    }
}

static void *administer(void *arg)
{
    (void)arg;
    insist_on(HISTORY_ROLE_ADD, "", "root");
    insist_on(HISTORY_USER_ADD, "root", "");
    insist_on(HISTORY_USER_GRANT, "root", "root");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        insist_on(HISTORY_USER_ADD, names[i], "");
    }
    begin_role(&roles[0]);
    insist((struct history_op){.kind = HISTORY_AUTH_ENABLE});
    while (!run.is_healing) {
        change();
        fiber_sleep((int64_t)world_below((uint64_t)run.plan.think_ns * 4));
    }
    is_over = true;
    return NULL;
}

void users_start(void)
{
    is_over = !run.plan.has_users;
    if (run.plan.has_users) {
        fiber_detach(fiber_spawn(&run.outside, "administrator", administer, NULL));
    }
}

bool users_are_done(void)
{
    return is_over;
}
