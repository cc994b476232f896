/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include "base/mem.h"

enum {
    OFF = 1,
    ON = 2,
    MAY_READ = 1 << HISTORY_READ | 1 << HISTORY_READWRITE,
    MAY_WRITE = 1 << HISTORY_WRITE | 1 << HISTORY_READWRITE
};

/* A value that a register was given; revision 0: not known. */
struct event {
    int64_t invoked_ns, returned_ns, revision;
    unsigned value;
};

struct reg {
    struct event *events;
    size_t count, room;
};

/* Of a role. */
struct range {
    struct range *next;
    struct slice key, end;
    struct reg permission;
};

struct party {
    struct party *next;
    struct slice name;
    struct reg is_there;
    struct link *links;   /* a user's */
    struct range *ranges; /* a role's */
};

struct link {
    struct link *next;
    struct party *role;
    struct reg is_granted;
};

struct access {
    struct arena *arena;
    struct reg is_enabled;
    struct party *users, *roles;
    bool is_used;
};

static void set(struct reg *reg, const struct call *call, unsigned value)
{
    const struct history_call *of = &call->of;
    bool is_answered = of->outcome != HISTORY_UNKNOWN;
    reg->events = record_grow(reg->events, reg->count, &reg->room, sizeof(*reg->events));
    reg->events[reg->count++] =
        (struct event){of->invoked_ns, is_answered ? of->returned_ns : INT64_MAX,
            of->outcome == HISTORY_OK ? of->result.revision : 0, value};
}

static bool is_before(const struct event *event, const struct moment *at)
{
    return event->returned_ns < at->from_ns ||
           (event->revision && at->revision && event->revision < at->revision);
}

static bool is_after(const struct event *event, const struct moment *at)
{
    bool is_later = event->revision && at->is_write && event->revision >= at->revision;
    return event->invoked_ns > at->to_ns || is_later;
}

/* What it may have held, a bit each: what was written and not surely overwritten before. */
static unsigned values(const struct reg *reg, const struct moment *at)
{
    unsigned found = 0;
    int64_t over_ns = INT64_MIN;
    int64_t over_revision = 0;
    for (size_t i = 0; i < reg->count; i++) {
        const struct event *event = &reg->events[i];
        if (is_before(event, at)) {
            over_ns = event->invoked_ns > over_ns ? event->invoked_ns : over_ns;
            over_revision = event->revision > over_revision ? event->revision : over_revision;
        }
    }
    for (size_t i = 0; i < reg->count; i++) {
        const struct event *event = &reg->events[i];
        bool is_over =
            event->returned_ns < over_ns || (event->revision && event->revision < over_revision);
        if (!is_over && !is_after(event, at)) {
            found |= 1u << event->value;
        }
    }
    return over_ns == INT64_MIN ? found | 1 : found; /* as it was at the beginning */
}

static struct party *find(struct access *access, struct party **list, struct slice name, bool makes)
{
    struct party *party = *list;
    while (party && party->name.data != name.data) {
        party = party->next;
    }
    if (!party && makes) {
        party = arena_zalloc(access->arena, sizeof(*party));
        party->next = *list;
        party->name = name;
        *list = party;
    }
    return party;
}

static struct link *find_link(
    struct access *access, struct party *user, struct party *role, bool makes)
{
    struct link *link = user->links;
    while (link && link->role != role) {
        link = link->next;
    }
    if (!link && makes) {
        link = arena_zalloc(access->arena, sizeof(*link));
        *link = (struct link){.next = user->links, .role = role};
        user->links = link;
    }
    return link;
}

static struct range *find_range(
    struct access *access, struct party *role, struct slice key, struct slice end, bool makes)
{
    struct range *range = role->ranges;
    while (range && !(slice_eq(range->key, key) && slice_eq(range->end, end))) {
        range = range->next;
    }
    if (!range && makes) {
        range = arena_zalloc(access->arena, sizeof(*range));
        *range = (struct range){.next = role->ranges, .key = key, .end = end};
        role->ranges = range;
    }
    return range;
}

static void learn(struct access *access, const struct call *call)
{
    const struct history_op *op = &call->of.op;
    struct party *user = op->user.len ? find(access, &access->users, op->user, true) : NULL;
    struct party *role = op->role.len ? find(access, &access->roles, op->role, true) : NULL;
    bool is_grant = op->kind == HISTORY_USER_GRANT || op->kind == HISTORY_ROLE_GRANT;
    access->is_used = true;
    switch ((int)op->kind) {
    case HISTORY_AUTH_ENABLE:
    case HISTORY_AUTH_DISABLE:
        set(&access->is_enabled, call, op->kind == HISTORY_AUTH_ENABLE);
        break;
    case HISTORY_USER_ADD:
    case HISTORY_USER_DELETE:
        set(&user->is_there, call, op->kind == HISTORY_USER_ADD);
        break;
    case HISTORY_ROLE_ADD:
    case HISTORY_ROLE_DELETE:
        set(&role->is_there, call, op->kind == HISTORY_ROLE_ADD);
        break;
    case HISTORY_USER_GRANT:
    case HISTORY_USER_REVOKE:
        set(&find_link(access, user, role, true)->is_granted, call, is_grant);
        break;
    case HISTORY_ROLE_GRANT:
    case HISTORY_ROLE_REVOKE:
        set(&find_range(access, role, op->key, op->end, true)->permission, call,
            is_grant ? (unsigned)op->permission : HISTORY_NO_PERMISSION);
        break;
    default:
        break;
    }
}

/* A user who is deleted has no roles any more, a role no permissions and no users. */
static void learn_deletion(struct access *access, const struct call *call)
{
    const struct history_op *op = &call->of.op;
    for (struct party *user = access->users; user; user = user->next) {
        for (struct link *link = user->links; link; link = link->next) {
            bool is_it = op->kind == HISTORY_USER_DELETE ? user->name.data == op->user.data
                                                         : link->role->name.data == op->role.data;
            if (is_it) {
                set(&link->is_granted, call, 0);
            }
        }
    }
    struct party *role =
        op->kind == HISTORY_ROLE_DELETE ? find(access, &access->roles, op->role, false) : NULL;
    for (struct range *range = role ? role->ranges : NULL; range; range = range->next) {
        set(&range->permission, call, HISTORY_NO_PERMISSION);
    }
}

static bool is_about_access(const struct history_op *op)
{
    return op->kind >= HISTORY_AUTH_ENABLE && op->kind <= HISTORY_ROLE_LOOK;
}

static bool is_deletion(const struct history_op *op)
{
    return op->kind == HISTORY_USER_DELETE || op->kind == HISTORY_ROLE_DELETE;
}

/* Refused because there is no such user or role is as good as a deletion, because there is one as
 * good as an addition: so it was at that moment. */
static bool counts(const struct history_call *of)
{
    bool is_addition = of->op.kind == HISTORY_USER_ADD || of->op.kind == HISTORY_ROLE_ADD;
    return of->outcome != HISTORY_FAILED ||
           (is_deletion(&of->op) && slice_eq(of->error, SLICE("missing"))) ||
           (is_addition && slice_eq(of->error, SLICE("present")));
}

struct access *access_new(struct checker *checker)
{
    const struct history *history = checker->history;
    struct access *access = mem_new(sizeof(*access));
    access->arena = checker->state.arena;
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct call *call = history->calls[i];
        if (is_about_access(&call->of.op) && counts(&call->of)) {
            learn(access, call);
        }
    }
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct call *call = history->calls[i];
        if (is_deletion(&call->of.op) && counts(&call->of)) {
            learn_deletion(access, call);
        }
    }
    return access;
}

void access_free(struct access *access)
{
    free(access->is_enabled.events);
    for (struct party *user = access->users; user; user = user->next) {
        free(user->is_there.events);
        for (struct link *link = user->links; link; link = link->next) {
            free(link->is_granted.events);
        }
    }
    for (struct party *role = access->roles; role; role = role->next) {
        free(role->is_there.events);
        for (struct range *range = role->ranges; range; range = range->next) {
            free(range->permission.events);
        }
    }
    free(access);
}

bool access_is_used(const struct access *access)
{
    return access->is_used;
}

unsigned access_enabled(const struct access *access, const struct moment *at)
{
    return values(&access->is_enabled, at);
}

unsigned access_linked(
    struct access *access, struct slice user, struct slice role, const struct moment *at)
{
    struct party *who = find(access, &access->users, user, false);
    struct party *what = find(access, &access->roles, role, false);
    struct link *link = who && what ? find_link(access, who, what, false) : NULL;
    if (!link) {
        return OFF;
    }
    unsigned there = values(&who->is_there, at);
    unsigned role_there = values(&what->is_there, at);
    unsigned granted = values(&link->is_granted, at);
    unsigned both = there & role_there & granted & ON;
    return both | ((there | role_there | granted) & OFF);
}

static bool is_root(struct access *access, struct slice user, const struct moment *at, unsigned is)
{
    for (struct party *role = access->roles; role; role = role->next) {
        if (slice_eq(role->name, SLICE("root"))) {
            return access_linked(access, user, role->name, at) & is;
        }
    }
    return false;
}

bool access_may_be_root(struct access *access, struct slice user, const struct moment *at)
{
    return is_root(access, user, at, ON);
}

bool access_is_root(struct access *access, struct slice user, const struct moment *at)
{
    return is_root(access, user, at, ON) && !is_root(access, user, at, OFF);
}

unsigned access_granted(struct access *access, struct slice role, struct slice key,
    struct slice end, const struct moment *at)
{
    struct party *what = find(access, &access->roles, role, false);
    struct range *range = what ? find_range(access, what, key, end, false) : NULL;
    unsigned found = range ? values(&range->permission, at) : 1u << HISTORY_NO_PERMISSION;
    unsigned there = what ? values(&what->is_there, at) : OFF;
    found = there & ON ? found : 0;
    return there & OFF ? found | 1u << HISTORY_NO_PERMISSION : found;
}

static bool is_open(struct slice end)
{
    return end.len == 1 && end.data[0] == 0;
}

/* Whether the range has the key in it, or its own end where the key is one to end at. */
static bool reaches(const struct range *range, struct slice key)
{
    if (slice_cmp(range->key, key) > 0) {
        return false;
    }
    if (!range->end.len) {
        return slice_eq(range->key, key);
    }
    return is_open(range->end) || slice_cmp(key, range->end) < 0;
}

/* The range that may be, or surely is, the user's and leads on from key farthest. */
static const struct range *farthest(struct access *access, struct slice user,
    const struct history_grant *right, struct slice key, const struct moment *at)
{
    const struct range *best = NULL;
    struct party *who = find(access, &access->users, user, false);
    unsigned wanted = right->permission == HISTORY_READ ? MAY_READ : MAY_WRITE;
    for (struct link *link = who ? who->links : NULL; link; link = link->next) {
        if (!(access_linked(access, user, link->role->name, at) & ON)) {
            continue;
        }
        for (struct range *range = link->role->ranges; range; range = range->next) {
            bool is_farther = !best || is_open(range->end) ||
                              (!is_open(best->end) && slice_cmp(range->end, best->end) > 0);
            if (reaches(range, key) && is_farther && (values(&range->permission, at) & wanted)) {
                best = range;
            }
        }
    }
    return best;
}

bool access_may(struct access *access, struct slice user, const struct history_grant *right,
    const struct moment *at)
{
    struct slice key = right->key;
    for (;;) {
        const struct range *range = farthest(access, user, right, key, at);
        if (!range || !right->end.len || is_open(range->end)) {
            return range != NULL;
        }
        if (!range->end.len) {
            return true; /* a range that goes on from a single key: too fine to say */
        }
        if (!is_open(right->end) && slice_cmp(right->end, range->end) <= 0) {
            return true;
        }
        key = range->end;
    }
}

static bool holds(const struct range *range, const struct history_grant *right)
{
    if (!reaches(range, right->key)) {
        return false;
    }
    return !right->end.len || is_open(range->end) ||
           (range->end.len && !is_open(right->end) && slice_cmp(right->end, range->end) <= 0);
}

bool access_has(struct access *access, struct slice user, const struct history_grant *right,
    const struct moment *at)
{
    struct party *who = find(access, &access->users, user, false);
    unsigned wanted = right->permission == HISTORY_READ ? MAY_READ : MAY_WRITE;
    for (struct link *link = who ? who->links : NULL; link; link = link->next) {
        if (access_linked(access, user, link->role->name, at) != ON) {
            continue;
        }
        for (struct range *range = link->role->ranges; range; range = range->next) {
            if (holds(range, right) && !(values(&range->permission, at) & ~wanted)) {
                return true;
            }
        }
    }
    return false;
}

bool access_next_role(
    struct access *access, struct slice user, const void **cursor, struct slice *out_role)
{
    struct party *who = find(access, &access->users, user, false);
    const struct link *link = *cursor;
    link = link ? link->next : who ? who->links : NULL;
    *cursor = link;
    if (link) {
        *out_role = link->role->name;
    }
    return link != NULL;
}

bool access_next_grant(struct access *access, struct slice role, const void **cursor,
    struct slice *out_key, struct slice *out_end)
{
    struct party *what = find(access, &access->roles, role, false);
    const struct range *range = *cursor;
    range = range ? range->next : what ? what->ranges : NULL;
    *cursor = range;
    if (range) {
        *out_key = range->key;
        *out_end = range->end;
    }
    return range != NULL;
}
