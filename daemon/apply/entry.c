/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/state.h"

#include "apply/count.h"
#include "apply/users.h"
#include "apply/view.h"
#include "base/codec.h"
#include "base/mutation.h"
#include "base/pb.h"

/* Ends a transaction: leases follow the keys, watchers hear of it. */
static void publish(struct apply *apply, const struct view *view)
{
    struct mvcc_txn *txn = view->txn;
    const struct mvcc_change *changes;
    size_t count;
    revision rev = mvcc_txn_end(txn, &changes, &count);
    count_view(view);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].prev_lease != changes[i].lease) {
            lease_change(
                apply->options.leases, changes[i].key, changes[i].prev_lease, changes[i].lease);
        }
    }
    if (count) {
        watch_notify(apply->options.hub, changes, count, rev);
    }
}

static struct view write_view(struct applying *a)
{
    return (struct view){
        .mvcc = a->apply->options.mvcc,
        .txn = mvcc_txn_begin(a->apply->options.mvcc, a->apply->batch),
        .leases = a->apply->options.leases,
        .arena = a->arena,
    };
}

static struct err put(struct applying *a, const Etcdserverpb__PutRequest *request)
{
    Etcdserverpb__PutResponse *response;
    if (a->apply->is_out_of_space) {
        return ERR(NO_SPACE);
    }
    TRY(view_check_key(request));
    TRY(apply_may_put(&a->guard, request));
    if (request->lease && !lease_exists(a->apply->options.leases, request->lease)) {
        return ERR(LEASE_NOT_FOUND);
    }
    bool fits = apply_take_quota(a->apply, &request->base);
    struct view view = write_view(a);
    struct err err = view_put(&view, request, &response);
    publish(a->apply, &view);
    if (!err_is(err)) {
        a->result->response = &response->base;
    }
    return err_is(err) || fits ? err : ERR(NO_SPACE);
}

static struct err delete (struct applying *a, const Etcdserverpb__DeleteRangeRequest *request)
{
    Etcdserverpb__DeleteRangeResponse *response;
    TRY(apply_may_delete(&a->guard, request));
    struct view view = write_view(a);
    struct err err = view_delete(&view, request, &response);
    publish(a->apply, &view);
    if (!err_is(err)) {
        a->result->response = &response->base;
    }
    return err;
}

static struct err txn(struct applying *a, const Etcdserverpb__TxnRequest *request)
{
    Etcdserverpb__TxnResponse *response;
    if (a->apply->is_out_of_space && apply_is_capped(a->apply, request)) {
        return ERR(NO_SPACE);
    }
    TRY(apply_may_txn(&a->guard, request));
    bool fits = apply_take_quota(a->apply, &request->base);
    struct view view = write_view(a);
    struct err err = view_txn(&view, request, &response);
    publish(a->apply, &view);
    if (!err_is(err)) {
        a->result->response = &response->base;
    }
    return err_is(err) || fits ? err : ERR(NO_SPACE);
}

static struct err range(struct applying *a, const Etcdserverpb__RangeRequest *request)
{
    Etcdserverpb__RangeResponse *response;
    TRY(apply_may_range(&a->guard, request));
    TRY(apply_range(a->apply->options.mvcc, request, a->arena, &response));
    a->result->response = &response->base;
    return OK;
}

static struct err compact(struct applying *a, const Etcdserverpb__CompactionRequest *request)
{
    struct mvcc *mvcc = a->apply->options.mvcc;
    TRY(mvcc_compact_begin(mvcc, request->revision, a->apply->batch));
    Etcdserverpb__CompactionResponse *response =
        VIEW_NEW(a->arena, etcdserverpb__compaction_response);
    response->header = view_header(a->arena, mvcc_revision(mvcc));
    a->result->response = &response->base;
    return OK;
}

static struct err lease_grant_request(
    struct applying *a, const Etcdserverpb__LeaseGrantRequest *request)
{
    int64_t ttl_s;
    if (a->apply->is_out_of_space) {
        return ERR(NO_SPACE);
    }
    bool fits = apply_take_quota(a->apply, &request->base);
    TRY(lease_grant(a->apply->options.leases, request->id, request->ttl, a->apply->batch, &ttl_s));
    Etcdserverpb__LeaseGrantResponse *response =
        VIEW_NEW(a->arena, etcdserverpb__lease_grant_response);
    response->header = view_header(a->arena, mvcc_revision(a->apply->options.mvcc));
    response->id = request->id;
    response->ttl = ttl_s;
    a->result->response = &response->base;
    return fits ? OK : ERR(NO_SPACE);
}

static struct err lease_revoke_request(
    struct applying *a, const Etcdserverpb__LeaseRevokeRequest *request)
{
    struct blob **keys;
    size_t count;
    struct apply *apply = a->apply;
    TRY(apply_may_write_lease(&a->guard, request->id));
    TRY(lease_revoke(apply->options.leases, request->id, apply->batch, a->arena, &keys, &count));
    struct view view = write_view(a);
    for (size_t i = 0; i < count; i++) {
        mvcc_txn_delete_range(view.txn, blob_slice(keys[i]), (struct slice){0});
    }
    view.deletes = (unsigned)count;
    publish(apply, &view);
    Etcdserverpb__LeaseRevokeResponse *response =
        VIEW_NEW(a->arena, etcdserverpb__lease_revoke_response);
    response->header = view_header(a->arena, mvcc_revision(apply->options.mvcc));
    a->result->response = &response->base;
    return OK;
}

static void lease_checkpoints(
    struct applying *a, const Etcdserverpb__LeaseCheckpointRequest *request)
{
    for (size_t i = 0; i < request->n_checkpoints; i++) {
        const Etcdserverpb__LeaseCheckpoint *c = request->checkpoints[i];
        lease_checkpoint(a->apply->options.leases, c->id, c->remaining_ttl, a->apply->batch);
    }
}

/* With a CORRUPT alarm no request is served, so that damage does not spread. */
static bool is_refused_when_corrupt(const Etcdserverpb__InternalRaftRequest *r)
{
    return r->range || r->put || r->delete_range || r->txn || r->compaction || r->lease_grant ||
           r->lease_revoke;
}

static struct err dispatch(struct applying *a)
{
    const Etcdserverpb__InternalRaftRequest *r = a->request;
    if (a->apply->is_corrupt && is_refused_when_corrupt(r)) {
        return ERR(CORRUPT);
    }
    if (r->put) {
        return put(a, r->put);
    }
    if (r->txn) {
        return txn(a, r->txn);
    }
    if (r->delete_range) {
        return delete (a, r->delete_range);
    }
    if (r->range) {
        return range(a, r->range);
    }
    if (r->compaction) {
        return compact(a, r->compaction);
    }
    if (r->lease_grant) {
        return lease_grant_request(a, r->lease_grant);
    }
    if (r->lease_revoke) {
        return lease_revoke_request(a, r->lease_revoke);
    }
    if (apply_is_auth_request(r)) {
        return apply_auth_request(a);
    }
    if (r->lease_checkpoint) {
        lease_checkpoints(a, r->lease_checkpoint);
    } else if (r->alarm) {
        apply_alarm_request(a, r->alarm);
    } else {
        apply_members_request(a->apply->options.members, a->apply->batch, r);
    }
    return OK;
}

static uint64_t request_id(const Etcdserverpb__InternalRaftRequest *request)
{
    return request->header && request->header->id ? request->header->id : request->id;
}

/* What members do by themselves (revoking what expired) comes in root's name. */
static struct apply_guard guard_of(
    struct apply *apply, const Etcdserverpb__InternalRaftRequest *request)
{
    const Etcdserverpb__RequestHeader *header = request->header;
    return (struct apply_guard){apply->options.auth, apply->options.leases,
        header ? (struct auth_caller){header->username, header->auth_revision}
               : (struct auth_caller){0}};
}

static struct err apply_v2(struct apply *apply, const struct raft_entry *entry,
    const struct apply_sink *sink, struct why *why)
{
    uint64_t id;
    TRY(apply_v2_entry(apply->options.members, apply->batch, entry, &id, why));
    struct apply_result *result = id ? sink->find(sink->arg, id) : NULL;
    if (result) {
        result->err = OK;
        sink->done(sink->arg, result);
    }
    return OK;
}

static struct err apply_normal(struct apply *apply, const struct raft_entry *entry,
    const struct apply_sink *sink, struct why *why)
{
    Etcdserverpb__InternalRaftRequest *request;
    struct apply_result nobody = {0};
    if (!entry->data || entry->data->len == 0) {
        return OK; /* a new leader's first entry */
    }
    if (apply_v2_is(blob_slice(entry->data))) {
        return apply_v2(apply, entry, sink, why);
    }
    struct arena *arena = arena_new(0);
    struct err err = pb_unpack_log(
        &etcdserverpb__internal_raft_request__descriptor, arena, blob_slice(entry->data), &request);
    if (err_is(err)) {
        err = why_set(why, ERR(BAD_FORMAT), "entry %llu holds a malformed request",
            (unsigned long long)entry->index);
        goto out;
    }
    struct apply_result *result = sink->find(sink->arg, request_id(request));
    struct applying applying = {apply, entry, request, result ? result : &nobody,
        result ? result->arena : arena, guard_of(apply, request)};
    struct err outcome = dispatch(&applying);
    if (IS(outcome, IO) || IS(outcome, BAD_CRC) || IS(outcome, BAD_FORMAT)) {
        err = why_set(why, outcome, "applying entry %llu: the store cannot be read: %s",
            (unsigned long long)entry->index, err_text(outcome));
    }
    if (sink->ended) {
        sink->ended(sink->arg, apply_op_of(request), outcome);
    }
    if (result) {
        result->err = outcome;
        sink->done(sink->arg, result);
    }
out:
    arena_free(arena);
    return err;
}

struct err apply_entry(struct apply *apply, const struct raft_entry *entry,
    const struct apply_sink *sink, struct why *why)
{
    bool is_conf = entry->type != RAFT_ENTRY_NORMAL;
    if (entry->index <= apply_index(apply)) {
        return OK; /* the store has it */
    }
    TRY(is_conf ? apply_conf_entry(apply, entry, sink, why)
                : apply_normal(apply, entry, sink, why));
    atomic_store_explicit(&apply->index, entry->index, memory_order_release);
    atomic_store_explicit(&apply->term, entry->term, memory_order_release);
    apply->is_dirty = true;
    return OK;
}

void apply_set_time(struct apply *apply, int64_t now_ms, int64_t unix_s)
{
    apply->now_ms = now_ms;
    apply->unix_s = unix_s;
}

struct err apply_commit(struct apply *apply, struct why *why)
{
    uint8_t row[16];
    if (!apply->is_dirty) {
        return OK;
    }
    put_be64(row, apply_index(apply) - MUTATE(APPLY_TWICE));
    put_be64(row + 8, apply_term(apply));
    backend_batch_put(apply->batch, SLICE("mconsistent_index"), slice_of(row, sizeof(row)));
    TRY(backend_write(apply->options.backend, apply->batch, why));
    backend_batch_reset(apply->batch);
    mvcc_batch_written(apply->options.mvcc);
    apply->is_dirty = false;
    return OK;
}
