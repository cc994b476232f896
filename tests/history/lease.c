/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of leases apart from their keys: who granted, renewed and revoked them, and when.
 */
#include "check.h"
#include "wrong.h"

#include <inttypes.h>

enum { NS_PER_S = 1000000000 };

static void prepare_grant(struct checker *checker, const struct call *call)
{
    struct lease *lease = state_lease(&checker->state, call->of.op.lease);
    if (call->of.outcome != HISTORY_FAILED && !lease->grant) {
        lease->grant = call;
    }
    if (call->of.outcome == HISTORY_OK && call->of.result.ttl_s < call->of.op.ttl_s) {
        wrong(checker->history, HISTORY_WRONG_LEASE_TTL, "%" PRId64 " s of %" PRId64 " s",
            call->of.result.ttl_s, call->of.op.ttl_s);
        wrong_show(checker->history, call->number);
    }
}

static void prepare_revoke(struct checker *checker, const struct call *call)
{
    struct lease *lease = state_lease(&checker->state, call->of.op.lease);
    if (call->of.outcome == HISTORY_OK && !lease->revoke) {
        lease->revoke = call;
    }
    if (call->of.outcome != HISTORY_FAILED &&
        (!lease->maybe_revoke || call->of.invoked_ns < lease->maybe_revoke->of.invoked_ns)) {
        lease->maybe_revoke = call;
    }
}

static const struct history_call *answered_grant(const struct lease *lease)
{
    const struct history_call *grant = lease->grant ? &lease->grant->of : NULL;
    return grant && grant->outcome == HISTORY_OK && grant->result.ttl_s > 0 ? grant : NULL;
}

/* It was there when it was shown, and has the time that it was granted. More of it may be left: a
 * new leader adds an election's. */
static void prepare_look(struct checker *checker, const struct call *call)
{
    struct lease *lease = state_lease(&checker->state, call->of.op.lease);
    const struct history_result *result = &call->of.result;
    const struct history_call *grant = answered_grant(lease);
    if (call->of.outcome != HISTORY_OK || result->ttl_s < 0) {
        return;
    }
    if (!call->of.op.is_serializable && call->of.invoked_ns > lease->renew_invoked_ns) {
        lease->renew_invoked_ns = call->of.invoked_ns;
    }
    if (grant && result->granted_s != grant->result.ttl_s) {
        wrong(checker->history, HISTORY_WRONG_LEASE_TTL, "%" PRId64 " s left of %" PRId64 " s",
            result->ttl_s, result->granted_s);
        wrong_show(checker->history, lease->grant ? lease->grant->number : 0);
        wrong_show(checker->history, call->number);
    }
}

/* A grant or renewal that was answered: it lasts its time from when it was asked for, at least. */
static void prepare_renewal(struct checker *checker, const struct call *call)
{
    struct lease *lease = state_lease(&checker->state, call->of.op.lease);
    int64_t ttl_s = call->of.result.ttl_s;
    if (call->of.outcome != HISTORY_OK || ttl_s <= 0) {
        return;
    }
    int64_t until = call->of.invoked_ns + ttl_s * NS_PER_S;
    if (until > lease->renewed_ns) {
        lease->renewed_ns = until;
        lease->renewed_by = call;
    }
    if (call->of.invoked_ns > lease->renew_invoked_ns) {
        lease->renew_invoked_ns = call->of.invoked_ns;
    }
    const struct history_call *grant = answered_grant(lease);
    if (grant && ttl_s != grant->result.ttl_s) {
        wrong(checker->history, HISTORY_WRONG_LEASE_TTL, "%" PRId64 " s of %" PRId64 " s", ttl_s,
            grant->result.ttl_s);
        wrong_show(checker->history, lease->grant->number);
        wrong_show(checker->history, call->number);
    }
}

static void prepare_use(struct checker *checker, const struct history_op *op, int64_t revision)
{
    if (op->kind == HISTORY_PUT && op->lease) {
        struct lease *lease = state_lease(&checker->state, op->lease);
        lease->used_at = revision > lease->used_at ? revision : lease->used_at;
    }
}

static void prepare_txn(struct checker *checker, const struct call *call)
{
    const struct history_op *op = &call->of.op;
    bool is_then = call->of.result.is_succeeded;
    const struct history_op *ops = is_then ? op->then_ops : op->else_ops;
    size_t count = is_then ? op->then_count : op->else_count;
    for (size_t i = 0; call->of.outcome == HISTORY_OK && i < count; i++) {
        prepare_use(checker, &ops[i], call->revision);
    }
}

void lease_prepare(struct checker *checker)
{
    struct history *history = checker->history;
    for (size_t i = 0; i < history->run.leases_count; i++) {
        state_lease(&checker->state, history->run.leases[i])->is_granted = true;
    }
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct call *call = history->calls[i];
        if (call->of.op.kind == HISTORY_LEASE_GRANT) {
            prepare_grant(checker, call);
        } else if (call->of.op.kind == HISTORY_LEASE_REVOKE) {
            prepare_revoke(checker, call);
        } else if (call->revision) {
            prepare_use(checker, &call->of.op, call->revision);
            prepare_txn(checker, call);
        }
    }
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct call *call = history->calls[i];
        if (call->of.op.kind == HISTORY_LEASE_GRANT ||
            call->of.op.kind == HISTORY_LEASE_KEEPALIVE) {
            prepare_renewal(checker, call);
        } else if (call->of.op.kind == HISTORY_LEASE_LOOK) {
            prepare_look(checker, call);
        }
    }
}

/* Renewed, or shown, although it was gone: revoked, or ended at a revision that was known. One that
 * was revoked was there until then; its end may share the revision of what came before, as a lease
 * without keys ends without one of its own. */
static void check_renewal(struct checker *checker, const struct call *call)
{
    const struct lease *lease = state_lease(&checker->state, call->of.op.lease);
    const struct call *revoke = lease->revoke;
    bool was_revoked = revoke && revoke->of.returned_ns < call->of.invoked_ns;
    const struct slot *slot = lease->gone_at && !revoke ? slot_at(checker, lease->gone_at) : NULL;
    if (was_revoked || (slot && slot->known_ns < call->of.invoked_ns)) {
        enum history_wrong what = call->of.op.kind == HISTORY_LEASE_LOOK
                                      ? HISTORY_WRONG_LEASE_SHOWN
                                      : HISTORY_WRONG_LEASE_RENEWED;
        wrong(checker->history, what, "%" PRId64, lease->id);
        wrong_show(checker->history, revoke ? revoke->number : slot->known_by);
        wrong_show(checker->history, call->number);
    }
}

/* Answered that there is no such lease, within its time. */
static void check_absence(struct checker *checker, const struct call *call)
{
    const struct history_run *run = &checker->history->run;
    const struct lease *lease = state_lease(&checker->state, call->of.op.lease);
    const struct call *grant = lease->grant;
    const struct call *revoke = lease->maybe_revoke;
    if (!run->has_sane_clocks || !grant || grant->of.outcome != HISTORY_OK ||
        grant->of.returned_ns >= call->of.invoked_ns ||
        (revoke && revoke->of.invoked_ns < call->of.returned_ns)) {
        return;
    }
    int64_t until = grant->of.invoked_ns + grant->of.result.ttl_s * NS_PER_S;
    if (call->of.returned_ns + run->slack_ns < until) {
        wrong(checker->history, HISTORY_WRONG_LEASE_EARLY, "%" PRId64, lease->id);
        wrong_show(checker->history, grant->number);
        wrong_show(checker->history, call->number);
    }
}

void lease_check(struct checker *checker)
{
    struct history *history = checker->history;
    for (size_t i = 0; i < history->calls_count && history->wrongs < WRONGS_MAX; i++) {
        const struct call *call = history->calls[i];
        bool is_renewal =
            call->of.op.kind == HISTORY_LEASE_KEEPALIVE && call->of.outcome == HISTORY_OK;
        bool is_look = call->of.op.kind == HISTORY_LEASE_LOOK && call->of.outcome == HISTORY_OK &&
                       !call->of.op.is_serializable;
        bool is_there = call->of.result.ttl_s > 0 || (is_look && call->of.result.ttl_s == 0);
        bool is_refused = call->of.op.kind == HISTORY_PUT && call->of.op.lease &&
                          slice_eq(call->of.error, SLICE("lease"));
        if ((is_renewal || is_look) && is_there) {
            check_renewal(checker, call);
        } else if (is_renewal || is_look || is_refused) {
            check_absence(checker, call);
        }
    }
}
