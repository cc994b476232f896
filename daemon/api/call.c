/* SPDX-License-Identifier: Apache-2.0
 *
 * A unary call: unpack, start, wait for what it needs, execute and pack on the edge's thread.
 */
#include "api/desk.h"
#include "api/held.h"
#include "api/identity.h"
#include "api/malformed.h"
#include "api/methods.h"
#include "api/weigh.h"
#include "api/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"

#include <unistd.h>

enum {
    FIELD_ALARM = 10,
    HEADER_FIELD = 1,
    READERS_NICE = 10, /* whoever reads much stands back behind those that ask for little */
};

/* One a core: they take what the others leave. */
static unsigned readers(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    count = count < 1 ? 1 : count;
    return count > WORKER_THREADS_MAX ? WORKER_THREADS_MAX : (unsigned)count;
}

struct api *api_new_service(const struct api_options *options)
{
    const struct server_options *server = server_options_get(options->server);
    struct server_status status;
    struct api *api = mem_new(sizeof(*api));
    server_status_get(options->server, &status);
    api->options = *options;
    gate_init(&api->gate, options->range_bytes_max);
    api->response_bytes_max = INT32_MAX;
    api->server = options->server;
    api->mvcc = server->mvcc;
    api->apply = server->apply;
    api->auth = apply_options_get(server->apply)->auth;
    api->tokens = apply_options_get(server->apply)->tokens;
    api->passwords = worker_new(&(struct worker_options){"passwords", 1, 0});
    api->readers = worker_new(&(struct worker_options){"readers", readers(), READERS_NICE});
    api->desk = desk_new();
    api->cluster_id = status.cluster_id;
    api->member_id = status.member_id;
    pthread_mutex_init(&api->led_mutex, NULL);
    list_init(&api->led);
    server_on_leaderless(api->server, api_leaderless, api);
    api_metrics_init(api);
    return api;
}

void api_end_waiting(struct api *api)
{
    desk_end(api->desk);
}

void api_end_jobs(struct api *api)
{
    atomic_store(&api->is_stopping, true);
    backend_end_compact_files(server_options_get(api->server)->backend);
}

void api_stop(struct api *api)
{
    atomic_store(&api->is_stopping, true);
    desk_stop(api->desk);
    worker_stop(api->passwords);
    worker_stop(api->readers);
}

void api_free(struct api *api)
{
    if (api) {
        desk_free(api->desk);
        worker_free(api->passwords);
        worker_free(api->readers);
        gate_fini(&api->gate);
        pthread_mutex_destroy(&api->led_mutex);
    }
    free(api);
}

const char *api_server_version(void)
{
    return KETCD_ETCD_VERSION;
}

const char *api_cluster_version(struct api *api)
{
    return member_cluster_version(server_options_get(api->server)->members);
}

const char *api_storage_version(struct api *api)
{
    return member_storage_version(server_options_get(api->server)->members);
}

bool api_is_auth_enabled(struct api *api)
{
    return auth_is_enabled(api->auth);
}

struct api_status api_status_of(struct err err)
{
    return (struct api_status){err_grpc(err), err_text(err)};
}

static void make(struct call_state *state);

static void make_apart(struct server_job *job)
{
    struct call_state *state = CONTAINER_OF(job, struct call_state, job);
    make(state);
    state->call->is_made = true;
    state->call->done(state->call);
}

/* A large answer is not made by the edge's threads, unless too many wait for the readers'. */
void api_done(struct call_state *state, struct err err)
{
    state->err = err;
    state->call->is_quick |= err_is(err);
    if (!err_is(err) && state->pass.bytes >= WEIGH_LARGE) {
        state->job.run = make_apart;
        if (worker_push(state->call->api->readers, &state->job)) {
            return;
        }
    }
    state->call->done(state->call);
}

/* What a learner serves: its status, and what it has itself. */
static bool is_for_learners(const ProtobufCMessage *request)
{
    if (request->descriptor == &etcdserverpb__range_request__descriptor) {
        return ((const Etcdserverpb__RangeRequest *)request)->serializable;
    }
    return request->descriptor == &etcdserverpb__status_request__descriptor;
}

static struct err admit(
    struct api *api, const struct api_call *call, const ProtobufCMessage *request)
{
    struct server_status status;
    if (!call->caller.is_internal && !is_for_learners(request) &&
        member_self_is_learner(server_options_get(api->server)->members)) {
        return ERR(NOT_SUPPORTED_FOR_LEARNER);
    }
    TRY(api_count_request(api, "unary", &call->caller));
    if (!call->caller.has_leader) {
        return OK;
    }
    server_status_get(api->server, &status);
    return status.leader ? OK : ERR(NO_LEADER);
}

static void start(struct api *api, struct call_state *state)
{
    struct api_call *call = state->call;
    struct err err = api_admit(api, &call->caller, call->arena, call->method->ops->right);
    if (err_is(err)) {
        api_done(state, err);
    } else {
        call->method->ops->start(api, state);
    }
}

/* Also when it was too long, or too many wait: then the token is nobody's. */
static void token_known(struct server_read *read)
{
    struct call_state *state = CONTAINER_OF(read, struct call_state, read);
    held_give(state->call->api, state->call->request.len);
    start(state->call->api, state);
}

/* Another member may have given out the token a moment ago. */
static void await_token(struct api *api, struct call_state *state)
{
    uint64_t index;
    if (api_knows_token(api, &state->call->caller, &index) ||
        !held_take(api, state->call->request.len)) {
        start(api, state);
        return;
    }
    state->read.done = token_known;
    server_wait_applied(api->server, &state->read, index);
}

void api_call_start(struct api *api, struct api_call *call)
{
    struct call_state *state = arena_zalloc(call->arena, sizeof(*state));
    check(state);
    state->call = call;
    state->began_ns = clock_mono_ns();
    call->api = api;
    call->state = state;
    struct err err =
        pb_unpack_proposal(call->method->request, call->arena, &call->request, &state->request);
    if (err_is(err)) {
        state->text = api_malformed(call->method->request, call->request, call->arena);
        api_done(state, ERR(INTERNAL));
        return;
    }
    err = admit(api, call, state->request);
    if (err_is(err)) {
        api_done(state, err);
        return;
    }
    await_token(api, state);
}

bool api_call_is_patient(const struct api_method *method)
{
    return method->ops->is_patient;
}

void api_call_cancel(struct api_call *call)
{
    atomic_store(&call->is_cancelled, true);
    desk_look(call->api->desk);
}

/* Nearly every response has its header in field 1; those of health have not. */
static void fill_header(struct api *api, const struct api_ops *ops, ProtobufCMessage *response)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(response->descriptor, HEADER_FIELD);
    if (field && field->descriptor == &etcdserverpb__response_header__descriptor) {
        Etcdserverpb__ResponseHeader **slot = (void *)((char *)response + field->offset);
        if (*slot) {
            api_fill_header(api, *slot);
            (*slot)->revision = ops->is_without_revision ? 0 : (*slot)->revision;
        }
    }
}

static void warn_if_slow(struct api_call *call, const struct api_status *status)
{
    struct call_state *state = call->state;
    int64_t limit_ns = call->api->options.warning_unary_ns;
    int64_t took_ns = clock_mono_ns() - state->began_ns;
    if (limit_ns > 0 && took_ns > limit_ns) {
        LOG_WARN("request stats", LOG_NS("time spent", took_ns),
            LOG_STR("remote", call->caller.address ? call->caller.address : ""),
            LOG_STR("response type", call->method->path),
            LOG_UINT("request size", call->request.len),
            LOG_STR("error", status->code == GRPC_CODE_OK ? "" : status->text));
    }
}

/* What is weighed is so until it is sent. */
static void pack_response(struct call_state *state)
{
    struct buf packed;
    buf_init(&packed, SIZE_MAX);
    pb_pack(state->response, &packed);
    if (state->pass.bytes) {
        weigh_home_pack(weigh_home_new(state), &packed, &state->payload);
    } else {
        payload_add_buf(&state->payload, &packed);
    }
}

/* Fills state->payload, or state->err. */
static void make(struct call_state *state)
{
    struct api *api = state->call->api;
    const struct api_ops *ops = state->call->method->ops;
    payload_init(&state->payload);
    if (!err_is(state->err) && ops->execute) {
        state->err = ops->execute(api, state);
    }
    if (!err_is(state->err) && ops->reply) {
        state->err = ops->reply(api, state, &state->payload);
    }
    if (!err_is(state->err) && !ops->reply) {
        fill_header(api, ops, state->response);
        pack_response(state);
    }
    weigh_out(state);
}

void api_call_finish(
    struct api_call *call, struct payload *out_payload, struct api_status *out_status)
{
    struct call_state *state = call->state;
    if (!call->is_made) {
        make(state);
    }
    *out_payload = state->payload;
    *out_status = api_status_of(state->err);
    if (state->text) {
        out_status->text = state->text;
    }
    warn_if_slow(call, out_status);
    if (out_payload->bytes > call->api->response_bytes_max) {
        *out_status = weigh_too_large();
        payload_fini(out_payload);
    }
}

static void proposal_done(struct server_proposal *proposal)
{
    struct call_state *state = CONTAINER_OF(proposal, struct call_state, proposal);
    state->response = proposal->result.response;
    state->call->is_quick = state->pass.bytes == 0;
    api_done(state, proposal->result.err);
}

void api_propose(struct api *api, struct call_state *state, uint32_t field, struct slice request)
{
    struct auth_caller who;
    struct err err = api_identify(api, &state->call->caller, state->call->arena, &who);
    if (err_is(err)) {
        api_done(state, err);
        return;
    }
    state->proposal.username = who.username;
    state->proposal.auth_revision = who.revision;
    api_propose_anonymous(api, state, field, request);
}

void api_propose_anonymous(
    struct api *api, struct call_state *state, uint32_t field, struct slice request)
{
    state->proposal.field = field;
    state->proposal.request = request;
    state->proposal.result.arena = state->call->arena;
    if (!state->proposal.done) {
        state->proposal.done = proposal_done;
    }
    server_propose(api->server, &state->proposal);
}

static void read_done(struct server_read *read)
{
    api_done(CONTAINER_OF(read, struct call_state, read), read->err);
}

void api_read(struct api *api, struct call_state *state)
{
    if (server_can_read_now(api->server)) {
        api_done(state, OK);
        return;
    }
    state->read.done = read_done;
    server_read_index(api->server, &state->read);
}

static void alarm_done(struct server_proposal *proposal)
{
    api_done(CONTAINER_OF(proposal, struct call_state, proposal), ERR(NO_SPACE));
}

bool api_has_space(struct api *api, struct call_state *state)
{
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    if (apply_fits_quota(api->apply, state->request)) {
        return true;
    }
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    alarm.memberid = api->member_id;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    state->proposal.done = alarm_done;
    api_propose(api, state, FIELD_ALARM, pb_pack_arena(&alarm, state->call->arena));
    return false;
}
