/* SPDX-License-Identifier: Apache-2.0 */
#include "api/alarm.h"
#include "api/identity.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"

#include <inttypes.h>

enum { FIELD_ALARM = 10 };

/* Everybody who is known may see alarms. */
static void alarm_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__AlarmRequest *request = (const void *)state->request;
    bool is_look = request->action == ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET;
    struct err err = api_admit(
        api, &state->call->caller, state->call->arena, is_look ? API_RIGHT_KNOWN : API_RIGHT_ADMIN);
    if (err_is(err)) {
        api_done(state, err);
        return;
    }
    api_propose(api, state, FIELD_ALARM, state->call->request);
}

const struct api_ops api_maintenance_alarm = {.start = alarm_start};

static void status_start(struct api *api, struct call_state *state)
{
    (void)api;
    api_done(state, OK);
}

/* As Go prints a message: a zero is left out. */
static char *alarm_text(struct arena *arena, const struct apply_alarm *alarm)
{
    char out[ALARM_NAME_SIZE];
    const char *id =
        alarm->member_id ? arena_printf(arena, "memberID:%" PRIu64 " ", alarm->member_id) : "";
    return alarm->type ? arena_printf(arena, "%salarm:%s ", id, alarm_name(alarm->type, out))
                       : arena_strdup(arena, id);
}

static void add_errors(
    struct api *api, struct arena *arena, bool has_leader, Etcdserverpb__StatusResponse *out)
{
    struct apply_alarm alarms[APPLY_ALARMS_MAX];
    size_t count = apply_alarms(api->apply, alarms);
    out->errors = arena_alloc(arena, (count + 1) * sizeof(*out->errors));
    check(out->errors);
    if (!has_leader) {
        out->errors[out->n_errors++] = arena_strdup(arena, err_text(ERR(NO_LEADER)));
    }
    for (size_t i = 0; i < count; i++) {
        out->errors[out->n_errors++] = alarm_text(arena, &alarms[i]);
    }
}

static struct err status_execute(struct api *api, struct call_state *state)
{
    const struct server_options *options = server_options_get(api->server);
    struct arena *arena = state->call->arena;
    struct server_status status;
    Etcdserverpb__StatusResponse *response =
        api_new(arena, &etcdserverpb__status_response__descriptor);
    server_status_get(api->server, &status);
    response->header = api_new_header(api, arena);
    response->version = arena_strdup(arena, KETCD_ETCD_VERSION);
    const char *storage = api_storage_version(api);
    response->storageversion = arena_strdup(arena, storage ? storage : "");
    response->dbsize = (int64_t)backend_disk_bytes(options->backend);
    response->dbsizeinuse = (int64_t)backend_live_bytes(options->backend);
    response->dbsizequota = apply_quota_bytes(api->apply);
    response->leader = status.leader;
    response->raftindex = status.commit_index;
    response->raftterm = status.term;
    response->raftappliedindex = status.applied_index;
    response->islearner = status.is_learner;
    struct member_downgrade downgrade;
    member_downgrade_get(options->members, &downgrade);
    response->downgradeinfo = api_new(arena, &etcdserverpb__downgrade_info__descriptor);
    response->downgradeinfo->enabled = downgrade.is_enabled;
    response->downgradeinfo->targetversion = arena_strdup(arena, downgrade.target);
    add_errors(api, arena, status.leader != 0, response);
    state->response = &response->base;
    return OK;
}

const struct api_ops api_maintenance_status = {
    .right = API_RIGHT_KNOWN, .start = status_start, .execute = status_execute};

/* Work on the back thread: Defragment, Hash, HashKV. Each may take as long as a walk over the
 * store, so few may wait for it, and what nobody waits for any more is left undone. */

enum { JOBS_MAX = 16 };

static atomic_int jobs;

static void end_job(struct call_state *state, struct err err)
{
    atomic_fetch_sub(&jobs, 1);
    api_done(state, err);
}

static void run_job(struct server_job *job)
{
    struct call_state *state = CONTAINER_OF(job, struct call_state, job);
    if (atomic_load(&state->call->api->is_stopping)) {
        end_job(state, ERR(STOPPED));
    } else if (atomic_load(&state->call->is_cancelled)) {
        end_job(state, ERR(CANCELED));
    } else {
        state->work(state);
    }
}

/* work ends in end_job. */
static void start_job(
    struct api *api, struct call_state *state, void (*work)(struct call_state *state))
{
    state->work = work;
    state->job.run = run_job;
    if (atomic_fetch_add(&jobs, 1) >= JOBS_MAX) {
        end_job(state, ERR(REQUEST_TOO_MANY_REQUESTS));
    } else if (!server_run(api->server, &state->job)) {
        end_job(state, ERR(STOPPED));
    }
}

/* The reference has no code for what goes wrong there. */
static struct err in_words(struct call_state *state, const struct why *why)
{
    state->text = arena_strdup(state->call->arena, why->text);
    return ERR(INNER);
}

static void defragment_run(struct call_state *state)
{
    struct api *api = state->call->api;
    struct why why = {""};
    LOG_INFO("starting defragment");
    int64_t began_ns = clock_mono_ns();
    metric_set(api->metrics.defrag_inflight, 1);
    struct err err = backend_compact_files(server_options_get(api->server)->backend, &why);
    metric_set(api->metrics.defrag_inflight, 0);
    if (err_is(err)) {
        LOG_WARN("failed to defragment", LOG_ERR(why.text));
        err = IS(err, STOPPED) ? err : in_words(state, &why);
    } else {
        LOG_INFO("finished defragment");
        api_observe_since(api->metrics.defrag_seconds, began_ns);
        apply_measure(server_options_get(api->server)->apply); /* the quota must see it at once */
        Etcdserverpb__DefragmentResponse *response =
            api_new(state->call->arena, &etcdserverpb__defragment_response__descriptor);
        state->response = &response->base; /* without a header, as etcd's */
    }
    end_job(state, err);
}

static void defragment_start(struct api *api, struct call_state *state)
{
    start_job(api, state, defragment_run);
}

const struct api_ops api_maintenance_defragment = {
    .right = API_RIGHT_ADMIN, .is_patient = true, .start = defragment_start};

static void hash_run(struct call_state *state)
{
    struct api *api = state->call->api;
    struct mvcc_hash hash;
    int64_t began_ns = clock_mono_ns();
    struct err err = mvcc_hash_kv(api->mvcc, 0, &hash, NULL);
    api_observe_since(api->metrics.hash_seconds, began_ns);
    if (!err_is(err)) {
        Etcdserverpb__HashResponse *response =
            api_new(state->call->arena, &etcdserverpb__hash_response__descriptor);
        response->header = api_new_header(api, state->call->arena);
        response->hash = hash.hash;
        state->response = &response->base;
    }
    end_job(state, err);
}

static void hash_start(struct api *api, struct call_state *state)
{
    start_job(api, state, hash_run);
}

const struct api_ops api_maintenance_hash = {
    .right = API_RIGHT_ADMIN, .is_patient = true, .start = hash_start};

static void hash_kv_run(struct call_state *state)
{
    struct api *api = state->call->api;
    const Etcdserverpb__HashKVRequest *request = (const void *)state->request;
    struct mvcc_hash hash;
    int64_t began_ns = clock_mono_ns();
    struct err err = mvcc_hash_kv(api->mvcc, request->revision, &hash, NULL);
    api_observe_since(api->metrics.hash_rev_seconds, began_ns);
    if (!err_is(err)) {
        Etcdserverpb__HashKVResponse *response =
            api_new(state->call->arena, &etcdserverpb__hash_kvresponse__descriptor);
        response->header = api_new(state->call->arena, &etcdserverpb__response_header__descriptor);
        response->header->revision = hash.current_rev;
        response->hash = hash.hash;
        response->compact_revision = hash.compact_rev;
        response->hash_revision = hash.rev;
        state->response = &response->base;
    }
    end_job(state, err);
}

static void hash_kv_start(struct api *api, struct call_state *state)
{
    start_job(api, state, hash_kv_run);
}

const struct api_ops api_maintenance_hash_kv = {
    .right = API_RIGHT_ADMIN, .is_patient = true, .start = hash_kv_start};

static void transferred(struct server_transfer *transfer)
{
    api_done(transfer->arg, transfer->err);
}

static void move_leader_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__MoveLeaderRequest *request = (const void *)state->request;
    struct server_status status;
    struct member member;
    server_status_get(api->server, &status);
    if (!status.is_leader) {
        api_done(state, ERR(NOT_LEADER));
        return;
    }
    bool is_known = member_find(
        server_options_get(api->server)->members, request->targetid, state->call->arena, &member);
    if (!is_known || member.is_learner) {
        api_done(state, ERR(BAD_LEADER_TRANSFEREE));
        return;
    }
    struct server_transfer *transfer = arena_zalloc(state->call->arena, sizeof(*transfer));
    check(transfer);
    transfer->target = request->targetid;
    transfer->deadline_ms = state->call->deadline_ns / 1000000;
    transfer->done = transferred;
    state->own = transfer;
    transfer->arg = state;
    server_transfer_leader(api->server, transfer);
}

static struct err move_leader_execute(struct api *api, struct call_state *state)
{
    (void)api; /* the reference answers without a header */
    state->response = api_new(state->call->arena, &etcdserverpb__move_leader_response__descriptor);
    return OK;
}

const struct api_ops api_maintenance_move_leader = {
    .right = API_RIGHT_ADMIN, .start = move_leader_start, .execute = move_leader_execute};
