/* SPDX-License-Identifier: Apache-2.0
 *
 * Who did what, held against what they might at that moment: what was done must have been allowed
 * for all that is known, and what was denied must have been forbidden. access.h says what is known.
 */
#include "access.h"
#include "wrong.h"

#include "base/mem.h"

#include <inttypes.h>

enum { OFF = 1, ON = 2 };

struct judging {
    struct checker *checker;
    struct access *access;
    const struct call *call;
    struct moment at;
    bool is_denial;  /* it is asked whether it surely was allowed, not whether it may have been */
    bool is_unclear; /* too much for that question */
};

/* What need not be the newest is decided by what the member knew: how old that is nobody says. So
 * are a grant and a compaction, which are let in by the member that is asked and by nobody after.
 */
static bool is_local(const struct history_op *op)
{
    return (op->kind == HISTORY_RANGE && op->is_serializable) ||
           op->kind == HISTORY_LEASE_KEEPALIVE || op->kind == HISTORY_LEASE_LOOK ||
           op->kind == HISTORY_LEASE_GRANT || op->kind == HISTORY_COMPACT ||
           op->kind == HISTORY_DUMP;
}

static struct moment moment_of(const struct call *call)
{
    const struct history_call *of = &call->of;
    /* The revision that the member had when it let one in is not told of those. */
    bool is_early = of->op.kind == HISTORY_LEASE_KEEPALIVE || of->op.kind == HISTORY_LEASE_GRANT ||
                    of->op.kind == HISTORY_COMPACT;
    bool is_known = of->outcome == HISTORY_OK && !is_early;
    return (struct moment){.from_ns = is_local(&of->op) ? INT64_MIN : of->invoked_ns,
        .to_ns = of->returned_ns,
        .revision = is_known ? of->result.revision : 0,
        .is_write = call->revision != 0};
}

static bool is_backward(struct slice key, struct slice end)
{
    return end.len && !(end.len == 1 && end.data[0] == 0) && slice_cmp(end, key) <= 0;
}

static bool may(
    struct judging *judging, struct slice key, struct slice end, enum history_permission permission)
{
    struct history_grant right = {key, end, permission};
    if (is_backward(key, end)) {
        judging->is_unclear = true;
        return true; /* it holds no key */
    }
    return judging->is_denial
               ? access_has(judging->access, judging->call->of.user, &right, &judging->at)
               : access_may(judging->access, judging->call->of.user, &right, &judging->at);
}

static bool may_read(struct judging *judging, struct slice key, struct slice end)
{
    return may(judging, key, end, HISTORY_READ);
}

static bool may_write(struct judging *judging, struct slice key, struct slice end)
{
    return may(judging, key, end, HISTORY_WRITE);
}

static bool may_do(struct judging *judging, const struct history_op *op);

static bool may_txn(struct judging *judging, const struct history_op *op)
{
    bool is_fine = true;
    for (size_t i = 0; is_fine && i < op->compares_count; i++) {
        is_fine = may_read(judging, op->compares[i].key, op->compares[i].end);
    }
    for (size_t i = 0; is_fine && i < op->then_count; i++) {
        is_fine = may_do(judging, &op->then_ops[i]);
    }
    for (size_t i = 0; is_fine && i < op->else_count; i++) {
        is_fine = may_do(judging, &op->else_ops[i]);
    }
    return is_fine;
}

/* The keys that an answer about a lease names. */
static bool may_see_keys(struct judging *judging)
{
    const struct history_result *result = &judging->call->of.result;
    bool is_fine = true;
    for (size_t i = 0; is_fine && !judging->is_denial && i < result->names_count; i++) {
        is_fine = may_read(judging, result->names[i], (struct slice){NULL, 0});
    }
    return is_fine;
}

/* The keys that went with the lease, where the revoke made a revision of its own. */
static bool may_revoke(struct judging *judging)
{
    struct checker *checker = judging->checker;
    const struct call *call = judging->call;
    int64_t revision = call->of.result.revision;
    judging->is_unclear = true;
    if (call->of.outcome != HISTORY_OK || revision <= checker->base || revision > checker->last ||
        revision <= call->floor) {
        return true;
    }
    const struct slot *slot = slot_at(checker, revision);
    bool is_fine = true;
    for (const struct change *c = slot->writer ? NULL : slot->changes; c && is_fine; c = c->next) {
        const struct word *key = checker->history->keys[c->rank];
        bool is_its = c->is_delete && !c->is_maybe && !c->is_prev_unsure &&
                      c->prev.lease == call->of.op.lease;
        is_fine = !is_its || may_write(judging, slice_of(key->data, key->len), (struct slice){0});
    }
    return is_fine;
}

static bool may_do(struct judging *judging, const struct history_op *op)
{
    switch ((int)op->kind) {
    case HISTORY_RANGE:
    case HISTORY_DUMP:
        return may_read(judging, op->key, op->end);
    case HISTORY_PUT:
        judging->is_unclear = judging->is_unclear || op->lease; /* which may have others' keys */
        return may_write(judging, op->key, op->end) &&
               (!op->wants_prev || may_read(judging, op->key, op->end));
    case HISTORY_DELETE:
        return may_write(judging, op->key, op->end) &&
               (!op->wants_prev || may_read(judging, op->key, op->end));
    case HISTORY_TXN:
        return may_txn(judging, op);
    case HISTORY_LEASE_LOOK:
        judging->is_unclear = true;
        return may_see_keys(judging);
    case HISTORY_LEASE_REVOKE:
        return may_revoke(judging);
    default:
        judging->is_unclear = true;
        return true;
    }
}

static bool is_for_root(enum history_kind kind)
{
    return kind >= HISTORY_AUTH_ENABLE && kind <= HISTORY_ROLE_REVOKE &&
           kind != HISTORY_AUTH_STATUS && kind != HISTORY_USER_LOOK;
}

static void report(struct judging *judging, enum history_wrong what)
{
    struct slice user = judging->call->of.user;
    wrong(judging->checker->history, what, "user %.*s", (int)user.len, (const char *)user.data);
    wrong_show(judging->checker->history, judging->call->number);
}

static void check_done(struct judging *judging)
{
    const struct history_call *of = &judging->call->of;
    bool is_off = access_enabled(judging->access, &judging->at) & OFF;
    if (is_off || access_may_be_root(judging->access, of->user, &judging->at)) {
        return;
    }
    bool is_fine = of->user.len && !is_for_root(of->op.kind) && may_do(judging, &of->op);
    if (!is_fine) {
        report(judging, HISTORY_WRONG_AUTH_ALLOWED);
    }
}

/* A member that does not know yet that it is on asks nobody for a name; that lacks then. */
static void check_denied(struct judging *judging)
{
    const struct history_call *of = &judging->call->of;
    bool is_denied = slice_eq(of->error, SLICE("denied"));
    bool is_unnamed = slice_eq(of->error, SLICE("unnamed"));
    judging->is_denial = true;
    if (is_local(&of->op) || (!is_denied && !is_unnamed)) {
        return;
    }
    bool is_off = access_enabled(judging->access, &judging->at) == OFF;
    bool is_root = access_is_root(judging->access, of->user, &judging->at);
    bool was_allowed = is_off || (is_denied && is_root);
    if (!was_allowed && is_denied) {
        was_allowed = !is_for_root(of->op.kind) && may_do(judging, &of->op) && !judging->is_unclear;
    }
    if (was_allowed) {
        report(judging, HISTORY_WRONG_AUTH_REFUSED);
    }
}

static bool has_name(const struct history_result *result, struct slice name)
{
    for (size_t i = 0; i < result->names_count; i++) {
        if (slice_eq(result->names[i], name)) {
            return true;
        }
    }
    return false;
}

static enum history_permission permission_in(
    const struct history_result *result, struct slice key, struct slice end)
{
    for (size_t i = 0; i < result->grants_count; i++) {
        if (slice_eq(result->grants[i].key, key) && slice_eq(result->grants[i].end, end)) {
            return result->grants[i].permission;
        }
    }
    return HISTORY_NO_PERMISSION;
}

static void check_user(struct judging *judging)
{
    const struct history_call *of = &judging->call->of;
    const void *cursor = NULL;
    struct slice role;
    bool is_right = true;
    for (size_t i = 0; i < of->result.names_count; i++) {
        is_right =
            is_right &&
            (access_linked(judging->access, of->op.user, of->result.names[i], &judging->at) & ON);
    }
    while (access_next_role(judging->access, of->op.user, &cursor, &role)) {
        unsigned linked = access_linked(judging->access, of->op.user, role, &judging->at);
        is_right = is_right && (has_name(&of->result, role) || (linked & OFF));
    }
    if (!is_right) {
        report(judging, HISTORY_WRONG_AUTH_SHOWN);
    }
}

/* Root's permissions are not granted by anybody. */
static void check_role(struct judging *judging)
{
    const struct history_call *of = &judging->call->of;
    const struct history_result *result = &of->result;
    const void *cursor = NULL;
    struct slice key;
    struct slice end;
    bool is_right = true;
    for (size_t i = 0; i < result->grants_count; i++) {
        const struct history_grant *grant = &result->grants[i];
        unsigned granted =
            access_granted(judging->access, of->op.role, grant->key, grant->end, &judging->at);
        is_right = is_right && (granted >> grant->permission & 1);
    }
    while (access_next_grant(judging->access, of->op.role, &cursor, &key, &end)) {
        unsigned granted = access_granted(judging->access, of->op.role, key, end, &judging->at);
        is_right = is_right && (granted >> permission_in(result, key, end) & 1);
    }
    if (!is_right && !slice_eq(of->op.role, SLICE("root"))) {
        report(judging, HISTORY_WRONG_AUTH_SHOWN);
    }
}

static void check_status(struct judging *judging)
{
    const struct history_call *of = &judging->call->of;
    unsigned enabled = access_enabled(judging->access, &judging->at);
    if (!(enabled & (of->result.is_enabled ? ON : OFF))) {
        report(judging, HISTORY_WRONG_AUTH_SHOWN);
    }
}

static void judge(struct judging *judging)
{
    const struct history_call *of = &judging->call->of;
    judging->at = moment_of(judging->call);
    judging->is_denial = judging->is_unclear = false;
    if (of->outcome == HISTORY_OK && of->op.kind == HISTORY_USER_LOOK) {
        check_user(judging);
    } else if (of->outcome == HISTORY_OK && of->op.kind == HISTORY_ROLE_LOOK) {
        check_role(judging);
    } else if (of->outcome == HISTORY_OK && of->op.kind == HISTORY_AUTH_STATUS) {
        check_status(judging);
    }
    if (of->has_user && of->outcome == HISTORY_OK) {
        check_done(judging);
    } else if (of->has_user && of->outcome == HISTORY_FAILED) {
        check_denied(judging);
    }
}

/* Each of these counts the revision up. */
static bool is_counted(const struct history_call *of)
{
    return of->outcome == HISTORY_OK &&
           (of->op.kind == HISTORY_USER_ADD || of->op.kind == HISTORY_USER_DELETE ||
               of->op.kind == HISTORY_ROLE_ADD || of->op.kind == HISTORY_ROLE_DELETE);
}

static bool is_first(const struct call *one, const struct call *other)
{
    return one->of.returned_ns < other->of.invoked_ns;
}

static void check_pair(struct history *history, const struct call *one, const struct call *other)
{
    int64_t least = one->of.result.auth_revision;
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct call *call = history->calls[i];
        least += is_counted(&call->of) && is_first(one, call) && is_first(call, other);
    }
    if (other->of.result.auth_revision < least) {
        wrong(history, HISTORY_WRONG_AUTH_BACK, "%" PRId64 ", must be %" PRId64 " at least",
            other->of.result.auth_revision, least);
        wrong_show(history, one->number);
        wrong_show(history, other->number);
    }
}

static int by_returned(const void *a, const void *b)
{
    const struct call *left = *(struct call *const *)a;
    const struct call *right = *(struct call *const *)b;
    return (left->of.returned_ns > right->of.returned_ns) -
           (left->of.returned_ns < right->of.returned_ns);
}

/* Each answer about the revision against the last one that came before it was asked for. */
static void check_revisions(struct history *history)
{
    struct call **told = mem_alloc((history->calls_count + 1) * sizeof(struct call *));
    size_t count = 0;
    for (size_t i = 0; i < history->calls_count; i++) {
        struct call *call = history->calls[i];
        if (call->of.op.kind == HISTORY_AUTH_STATUS && call->of.outcome == HISTORY_OK) {
            told[count++] = call;
        }
    }
    record_sort(told, count, sizeof(struct call *), by_returned);
    for (size_t i = 1; i < count && history->wrongs < WRONGS_MAX; i++) {
        size_t before = i;
        while (before > 0 && !is_first(told[before - 1], told[i])) {
            before--;
        }
        if (before > 0) {
            check_pair(history, told[before - 1], told[i]);
        }
    }
    free(told);
}

void auth_check(struct checker *checker)
{
    struct history *history = checker->history;
    struct judging judging = {.checker = checker, .access = access_new(checker)};
    bool is_used = access_is_used(judging.access);
    for (size_t i = 0; is_used && i < history->calls_count && history->wrongs < WRONGS_MAX; i++) {
        judging.call = history->calls[i];
        judge(&judging);
    }
    check_revisions(history);
    access_free(judging.access);
}
