/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/shared/alone.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/pb.h"

#include <pthread.h>

enum { HEADER_FIELD = 100, LEASE_CHECKPOINT_FIELD = 11, COMPACT_ROWS = 100 };

struct server {
    pthread_mutex_t mutex; /* recursive: what is applied at once may ask for more */
    struct server_options options;
    struct store store;
    struct list proposals;
    struct list reads;
    struct list jobs;
    struct apply_result *result; /* of the proposal that is applied */
    uint64_t next_id;
    uint64_t index;
    void (*on_leaderless)(void *arg);
    void *on_leaderless_arg;
    bool has_leader;
    bool is_held;
    bool is_stopping;
};

struct server *alone_open(const char *path)
{
    struct server *server = mem_new(sizeof(*server));
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&server->mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    server->store = (struct store){.path = path,
        .value_cache_bytes = ALONE_VALUE_CACHE_BYTES,
        .watch_progress_ms = ALONE_PROGRESS_MS,
        .options = {.quota_bytes = -1}};
    store_open(&server->store);
    lease_promote(server->store.options.leases, clock_mono_ms(), 0);
    server->options = (struct server_options){.backend = server->store.options.backend,
        .mvcc = server->store.options.mvcc,
        .leases = server->store.options.leases,
        .members = server->store.options.members,
        .hub = server->store.options.hub,
        .apply = server->store.apply,
        .name = "alone"};
    list_init(&server->proposals);
    list_init(&server->reads);
    list_init(&server->jobs);
    server->index = apply_index(server->store.apply);
    server->next_id = 1000;
    server->has_leader = true;
    return server;
}

void alone_close(struct server *server)
{
    check(list_is_empty(&server->proposals) && list_is_empty(&server->reads));
    check(list_is_empty(&server->jobs));
    store_close(&server->store);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

struct store *alone_store(struct server *server)
{
    return &server->store;
}

void alone_set_leader(struct server *server, bool has_leader)
{
    server->has_leader = has_leader;
}

void alone_lose_leader(struct server *server)
{
    server->has_leader = false;
    server->on_leaderless(server->on_leaderless_arg);
}

void alone_set_stopping(struct server *server)
{
    server->is_stopping = true;
}

void alone_hold(struct server *server, bool is_held)
{
    server->is_held = is_held;
}

static void finish_compaction(struct server *server)
{
    bool is_done = false;
    struct why why = {""};
    while (!is_done) {
        check(!err_is(mvcc_compact_step(server->options.mvcc, COMPACT_ROWS, &is_done, &why)));
    }
}

static struct err admit(const struct server *server)
{
    if (server->is_stopping) {
        return ERR(STOPPED);
    }
    return server->has_leader ? OK : ERR(NO_LEADER);
}

static struct apply_result *find(void *arg, uint64_t request_id)
{
    struct server *server = arg;
    (void)request_id;
    return server->result;
}

static void applied(void *arg, struct apply_result *result)
{
    struct server *server = arg;
    check(result == server->result);
    server->result = NULL;
}

static void conf_applied(
    void *arg, uint64_t index, const struct raft_conf_change *change, bool is_void)
{
    (void)arg;
    (void)index;
    (void)change;
    (void)is_void;
}

static struct blob *encode(const struct server_proposal *proposal)
{
    struct buf header;
    struct buf entry;
    buf_init(&header, SIZE_MAX);
    buf_init(&entry, SIZE_MAX);
    if (proposal->conf) {
        struct raft_conf_change change = *proposal->conf;
        change.is_v1 = true;
        change.id = proposal->id;
        raft_conf_change_encode(&change, &entry);
    } else {
        wire_add_varint_nz(&header, 1, proposal->id);
        if (proposal->username) {
            wire_add_bytes_nz(&header, 2, slice_str(proposal->username));
            wire_add_varint_nz(&header, 3, proposal->auth_revision);
        }
        wire_add_bytes(&entry, HEADER_FIELD, buf_slice(&header));
        wire_add_bytes(&entry, proposal->field, proposal->request);
    }
    struct blob *data = blob_new(buf_slice(&entry));
    buf_fini(&header);
    buf_fini(&entry);
    return data;
}

/* Without the answer of apply, which then was never called, the request is answered here. */
static void apply_proposal(struct server *server, struct server_proposal *proposal)
{
    struct apply_sink sink = {find, applied, conf_applied, server, NULL};
    struct why why = {""};
    proposal->result.err = admit(server);
    if (!err_is(proposal->result.err)) {
        struct raft_entry entry = {.term = ALONE_TERM,
            .index = ++server->index,
            .type = proposal->type,
            .data = blob_ref(proposal->data)};
        server->result = &proposal->result;
        lease_set_now(server->options.leases, clock_mono_ms());
        check(!err_is(apply_entry(server->options.apply, &entry, &sink, &why)));
        check(!err_is(apply_commit(server->options.apply, &why)));
        check(!server->result);
        blob_unref(entry.data);
    }
    if (!server->is_held) {
        finish_compaction(server);
    }
    blob_unref(proposal->data);
    proposal->done(proposal);
}

void server_propose(struct server *server, struct server_proposal *proposal)
{
    pthread_mutex_lock(&server->mutex);
    proposal->id = server_next_id(server);
    proposal->type = proposal->conf ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_NORMAL;
    proposal->data = encode(proposal); /* a conf change is lent for this call only */
    if (server->is_held) {
        list_push(&server->proposals, &proposal->node);
    } else {
        apply_proposal(server, proposal);
    }
    pthread_mutex_unlock(&server->mutex);
}

static void answer_read(struct server *server, struct server_read *read)
{
    read->err = admit(server);
    read->done(read);
}

bool server_is_installing(const struct server *server)
{
    (void)server;
    return false;
}

struct err server_timeout(struct server *server)
{
    return server->has_leader ? ERR(TIMEOUT) : ERR(NO_LEADER);
}

void server_read_index(struct server *server, struct server_read *read)
{
    pthread_mutex_lock(&server->mutex);
    if (server->is_held) {
        list_push(&server->reads, &read->node);
    } else {
        answer_read(server, read);
    }
    pthread_mutex_unlock(&server->mutex);
}

void server_wait_applied(struct server *server, struct server_read *read, uint64_t index)
{
    (void)index; /* whatever was proposed is applied, or never will be */
    if (server->is_held) {
        list_push(&server->reads, &read->node);
    } else {
        answer_read(server, read);
    }
}

bool server_run(struct server *server, struct server_job *job)
{
    if (server->is_stopping) {
        return false;
    }
    server_after_compaction(server, job);
    return true;
}

void server_after_compaction(struct server *server, struct server_job *job)
{
    pthread_mutex_lock(&server->mutex);
    if (server->is_held) {
        list_push(&server->jobs, &job->node);
    } else {
        job->run(job);
    }
    pthread_mutex_unlock(&server->mutex);
}

void alone_run(struct server *server)
{
    struct list *node;
    pthread_mutex_lock(&server->mutex);
    while ((node = list_pop(&server->proposals))) {
        apply_proposal(server, LIST_ITEM(node, struct server_proposal, node));
    }
    while ((node = list_pop(&server->reads))) {
        answer_read(server, LIST_ITEM(node, struct server_read, node));
    }
    finish_compaction(server);
    while ((node = list_pop(&server->jobs))) {
        struct server_job *job = LIST_ITEM(node, struct server_job, node);
        job->run(job);
    }
    pthread_mutex_unlock(&server->mutex);
}

void alone_sync(struct server *server)
{
    while (watch_sync(server->options.hub)) {
    }
}

uint64_t server_next_id(struct server *server)
{
    return server->next_id++;
}

bool server_can_read_now(struct server *server)
{
    return server->has_leader && !server->is_held && !server->is_stopping;
}

void server_status_get(struct server *server, struct server_status *out)
{
    *out = (struct server_status){.member_id = STORE_MEMBER_ID,
        .cluster_id = STORE_CLUSTER_ID,
        .leader = server->has_leader ? STORE_MEMBER_ID : 0,
        .term = ALONE_TERM,
        .commit_index = server->index,
        .applied_index = server->index,
        .is_leader = server->has_leader};
}

uint64_t server_term(struct server *server)
{
    (void)server;
    return ALONE_TERM;
}

void server_on_leaderless(struct server *server, void (*fn)(void *arg), void *arg)
{
    server->on_leaderless = fn;
    server->on_leaderless_arg = arg;
}

const struct server_options *server_options_get(const struct server *server)
{
    return &server->options;
}

void server_between_applies(struct server *server, void (*fn)(void *arg), void *arg)
{
    (void)server;
    fn(arg);
}

bool server_on_core(struct server *server, struct server_ask *ask)
{
    (void)server;
    (void)ask;
    return false; /* there is no raft to look at */
}

void server_transfer_leader(struct server *server, struct server_transfer *transfer)
{
    (void)server;
    transfer->err = ERR(TIMEOUT_LEADER_TRANSFER);
    transfer->done(transfer);
}

static struct err answer_lease(struct server_lease_ask *asked)
{
    struct lease_table *leases = asked->server->options.leases;
    struct lease_info info = {0};
    struct slice *keys = NULL;
    TRY(lease_look(leases, asked->id, clock_mono_ms(), asked->arena, &info,
        asked->with_keys ? &keys : NULL, &asked->lease.keys_count));
    asked->lease.ttl_s = info.remaining_s;
    asked->lease.granted_s = info.granted_s;
    asked->lease.keys = keys;
    return OK;
}

struct taking_back {
    struct server_proposal proposal;
    struct server *server;
    struct server_renewal *renewal;
};

static void taken_back(struct server_proposal *proposal)
{
    struct taking_back *taking = CONTAINER_OF(proposal, struct taking_back, proposal);
    struct server_renewal *renewal = taking->renewal;
    if (err_is(proposal->result.err)) {
        renewal->err = proposal->result.err;
        renewal->done(renewal);
    } else {
        server_renew(taking->server, renewal);
    }
    arena_free(proposal->result.arena);
    free(taking);
}

static void take_back(struct server *server, struct server_renewal *renewal)
{
    Etcdserverpb__LeaseCheckpointRequest request = ETCDSERVERPB__LEASE_CHECKPOINT_REQUEST__INIT;
    Etcdserverpb__LeaseCheckpoint item = ETCDSERVERPB__LEASE_CHECKPOINT__INIT;
    Etcdserverpb__LeaseCheckpoint *items[] = {&item};
    struct taking_back *taking = mem_new(sizeof(*taking));
    struct arena *arena = arena_new(0);
    item.id = renewal->id;
    request.checkpoints = items;
    request.n_checkpoints = 1;
    *taking = (struct taking_back){.server = server, .renewal = renewal};
    taking->proposal.field = LEASE_CHECKPOINT_FIELD;
    taking->proposal.request = pb_pack_arena(&request.base, arena);
    taking->proposal.result.arena = arena;
    taking->proposal.done = taken_back;
    server_propose(server, &taking->proposal);
}

void server_renew(struct server *server, struct server_renewal *renewal)
{
    struct lease_table *leases = server->options.leases;
    renewal->err = lease_renew(leases, renewal->id, clock_mono_ms(), &renewal->ttl_s);
    if (IS(renewal->err, AGAIN)) {
        take_back(server, renewal);
    } else {
        renewal->done(renewal);
    }
}

static void renewed(struct server_renewal *renewal)
{
    struct server_lease_ask *asked = CONTAINER_OF(renewal, struct server_lease_ask, renewal);
    asked->err = renewal->err;
    asked->lease.ttl_s = renewal->ttl_s;
    asked->done(asked);
}

static void lease_readable(struct server_read *read)
{
    struct server_lease_ask *asked = CONTAINER_OF(read, struct server_lease_ask, read);
    if (!err_is(read->err) && !asked->is_look) {
        asked->renewal = (struct server_renewal){.id = asked->id, .done = renewed};
        server_renew(asked->server, &asked->renewal);
        return;
    }
    asked->err = err_is(read->err) ? read->err : answer_lease(asked);
    asked->done(asked);
}

void server_lease_ask(struct server *server, struct server_lease_ask *asked)
{
    asked->server = server;
    asked->read.done = lease_readable;
    server_read_index(server, &asked->read);
}
