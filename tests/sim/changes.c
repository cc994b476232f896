/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"

#include "base/mem.h"
#include "service.h"

#include <rpc.pb-c.h>

enum { MEMBERS_MOST = 7, TRIES = 40, TRY_MS = 300 };
enum { ROLE_NONE = -1, ROLE_VOTER, ROLE_LEARNER, ROLE_UNKNOWN };

static bool is_under_way;

bool change_is_under_way(void)
{
    return is_under_way;
}

/* What the cluster says of its members, from whoever answers linearizably. NULL: nobody does. */
static Etcdserverpb__MemberListResponse *list_members(struct arena *arena)
{
    struct answer answer;
    Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    request.linearizable = true;
    for (int i = 0; i < run.machines_count; i++) {
        if (!machine_is_serving(&run.machines[i])) {
            continue;
        }
        service_call(&run.machines[i], "/etcdserverpb.Cluster/MemberList", &request, 7 * SECOND,
            arena, &answer);
        if (answer.kind == ANSWER_OK) {
            return answer.message;
        }
    }
    return NULL;
}

static Etcdserverpb__Member *find(
    Etcdserverpb__MemberListResponse *list, uint64_t id, const char *peer_url)
{
    for (size_t i = 0; list && i < list->n_members; i++) {
        Etcdserverpb__Member *member = list->members[i];
        bool is_it = peer_url ? strcmp(member->peerurls[0], peer_url) == 0 : member->id == id;
        if (is_it) {
            return member;
        }
    }
    return NULL;
}

/* Asks somebody who serves; what came of it is seen in the list. */
static void ask(const char *path, const void *request)
{
    struct arena *arena = arena_new(0);
    struct answer answer;
    struct machine *machine = machine_any();
    service_call(machine, path, request, 7 * SECOND, arena, &answer);
    run_note("%s at %s: %s", path, machine->host.name,
        answer.kind == ANSWER_ERROR ? answer.text
        : answer.kind == ANSWER_OK  ? "done"
                                    : "no answer");
    arena_free(arena);
}

/* Whether so many voters stay that those know without this machine that it was removed: of two the
 * other cannot, when this one's last message to it is lost. */
static bool can_spare(const struct machine *machine)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__MemberListResponse *list = list_members(arena);
    Etcdserverpb__Member *member = find(list, machine->id, NULL);
    int voters = 0;
    for (size_t i = 0; list && i < list->n_members; i++) {
        voters += !list->members[i]->islearner;
    }
    bool can = member && (member->islearner || voters > 2);
    arena_free(arena);
    return can;
}

static int role_of(const struct machine *machine)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__MemberListResponse *list = list_members(arena);
    Etcdserverpb__Member *member = find(list, machine->id, machine->peer_url);
    int role = !list               ? ROLE_UNKNOWN
               : !member           ? ROLE_NONE
               : member->islearner ? ROLE_LEARNER
                                   : ROLE_VOTER;
    if (member) {
        ((struct machine *)(uintptr_t)machine)->id = member->id;
    }
    arena_free(arena);
    return role;
}

/* Once it may be a member it has to run: a group of two needs both to say so. */
static void run_it(struct machine *machine)
{
    if (machine->state == MACHINE_UNUSED) {
        machine->is_member = true;
        machine->state = MACHINE_DOWN;
        machine_start(machine);
    }
}

/* The operator gives up what never became a member. */
static void take_away(struct machine *machine)
{
    machine->is_member = false;
    machine->state = MACHINE_GONE;
    if (machine->process) {
        machine_crash(machine, false);
    }
}

static bool try_add(struct machine *machine, bool is_learner)
{
    Etcdserverpb__MemberAddRequest request = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    char *url = machine->peer_url;
    int role = ROLE_NONE;
    request.n_peerurls = 1;
    request.peerurls = &url;
    request.islearner = is_learner;
    for (int i = 0; i < TRIES && role < 0; i++) {
        ask("/etcdserverpb.Cluster/MemberAdd", &request);
        fiber_sleep(TRY_MS * MS);
        while ((role = role_of(machine)) == ROLE_UNKNOWN) {
            run_it(machine);
            fiber_sleep(TRY_MS * MS);
        }
    }
    run_it(machine); /* it may still become one */
    return role >= 0;
}

static void promote(struct machine *machine)
{
    Etcdserverpb__MemberPromoteRequest request = ETCDSERVERPB__MEMBER_PROMOTE_REQUEST__INIT;
    for (int i = 0; i < TRIES && role_of(machine) != ROLE_VOTER; i++) {
        request.id = machine->id;
        ask("/etcdserverpb.Cluster/MemberPromote", &request);
        fiber_sleep(TRY_MS * MS);
    }
}

static void add(void)
{
    bool is_learner = world_one_in(2);
    struct machine *machine = machine_new(true);
    machine->state = MACHINE_UNUSED; /* until it is known to be a member */
    bool is_added = try_add(machine, is_learner);
    run.tally.changes += is_added;
    if (is_added && is_learner) {
        promote(machine);
    }
}

static int count_members(void)
{
    int count = 0;
    for (int i = 0; i < run.machines_count; i++) {
        count += run.machines[i].is_member;
    }
    return count;
}

static void *stop_removed(void *arg)
{
    struct machine *machine = arg;
    fiber_sleep((int64_t)world_below(5 * SECOND));
    machine->state = MACHINE_GONE; /* its operator takes it away */
    if (machine->process) {
        machine_crash(machine, false);
    }
    return NULL;
}

static void remove_some(void)
{
    Etcdserverpb__MemberRemoveRequest request = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    struct machine *machine = machine_any();
    if (!machine->is_member || !machine->id || !can_spare(machine)) {
        return;
    }
    request.id = machine->id;
    int role = ROLE_UNKNOWN;
    for (int i = 0; i < TRIES && (role = role_of(machine)) != ROLE_NONE; i++) {
        ask("/etcdserverpb.Cluster/MemberRemove", &request);
        fiber_sleep(TRY_MS * MS);
    }
    if (role == ROLE_NONE) {
        run.tally.changes++;
        machine->is_member = false;
        fiber_detach(fiber_spawn(&run.outside, "remove", stop_removed, machine));
    }
}

static void *change(void *arg)
{
    int members = count_members();
    bool can_add = members < MEMBERS_MOST && run.machines_count < MACHINES_MAX;
    (void)arg;
    if (can_add && (members < 3 || world_one_in(2))) {
        add();
    } else if (members > (can_add ? 2 : 3)) {
        remove_some();
    }
    is_under_way = false;
    return NULL;
}

void change_settle(void)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__MemberListResponse *list = list_members(arena);
    for (int i = 0; list && i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        Etcdserverpb__Member *member = find(list, 0, machine->peer_url);
        if (!member && machine->is_join && machine->state != MACHINE_GONE &&
            !machine_is_serving(machine)) {
            take_away(machine);
        } else if (member && machine->state == MACHINE_GONE) {
            Etcdserverpb__MemberRemoveRequest request = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
            request.id = member->id;
            ask("/etcdserverpb.Cluster/MemberRemove", &request);
        }
    }
    arena_free(arena);
}

void change_begin(void)
{
    if (!is_under_way) {
        is_under_way = true;
        fiber_detach(fiber_spawn(&run.outside, "change", change, NULL));
    }
}
