/* SPDX-License-Identifier: Apache-2.0
 * Every unary method once on a real member, then on one that has stopped: what its header says. A
 * method without a row here fails. */
#include "service.h"

#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"

#include <rpc.pb-c.h>
#include <stdio.h>
#include <unistd.h>
#include <v3electionpb.pb-c.h>

enum { LOOKS = 60000, LOOK_US = 1000 };

enum header {
    HEADER_FULL,        /* ids, term, the store's revision */
    HEADER_NO_REVISION, /* members are no matter of the store's */
    HEADER_NONE
};

enum stopped {
    REFUSES,
    REFUSES_WITHOUT_CODE, /* as locks and elections pass on what their own calls were told */
    ANSWERS,              /* from what is here: nothing is asked of the group */
    FINDS_NOTHING,        /* from what is here too */
};

struct walk {
    struct service *service;
    struct arena *arena; /* of requests and responses */
    char *token;         /* once there is one */
    int64_t campaign_rev;
    uint64_t learner;
};

struct row {
    const char *path;
    enum header header;
    enum stopped stopped;
    const char *bytes; /* the packed request, or */
    size_t len;
    void (*fill)(struct walk *walk, struct buf *out);
    void (*keep)(struct walk *walk, const void *response);
};

static uint64_t self(struct walk *walk)
{
    struct server_status status;
    server_status_get(walk->service->storage.server, &status);
    return status.member_id;
}

static void fill_self(struct walk *walk, struct buf *out)
{
    wire_add_varint_nz(out, 1, self(walk));
}

static void fill_learner(struct walk *walk, struct buf *out)
{
    wire_add_varint_nz(out, 1, walk->learner);
}

static void fill_update(struct walk *walk, struct buf *out)
{
    fill_learner(walk, out);
    wire_add_bytes(out, 2, SLICE("http://127.0.0.1:2"));
}

/* The learner has the whole log, as far as the leader hears. */
static void fill_ready_learner(struct walk *walk, struct buf *out)
{
    struct server *server = walk->service->storage.server;
    struct server_status status;
    server_status_get(server, &status);
    struct raft_message message = {.type = RAFT_MSG_APP_RESP,
        .to = status.member_id,
        .from = walk->learner,
        .term = status.term,
        .index = status.commit_index};
    server_receive(server, &message);
    fill_learner(walk, out);
}

/* LeaderKey{name, key, rev, lease} in field 1. */
static void fill_leader(struct walk *walk, struct buf *out)
{
    struct buf key;
    buf_init(&key, 64);
    wire_add_bytes(&key, 1, SLICE("n"));
    wire_add_bytes(&key, 2, SLICE("n/7"));
    wire_add_varint_nz(&key, 3, (uint64_t)walk->campaign_rev);
    wire_add_varint_nz(&key, 4, 7);
    wire_add_bytes(out, 1, buf_slice(&key));
    buf_fini(&key);
}

static void keep_campaign(struct walk *walk, const void *response)
{
    walk->campaign_rev = ((const V3electionpb__CampaignResponse *)response)->leader->rev;
}

static void keep_learner(struct walk *walk, const void *response)
{
    walk->learner = ((const Etcdserverpb__MemberAddResponse *)response)->member->id;
}

static void check_status(struct walk *walk, const void *response)
{
    const Etcdserverpb__StatusResponse *said = response;
    assert_int_equal(said->dbsizequota, SERVICE_QUOTA_BYTES);
    assert_true(said->dbsize > 0);
    assert_true(said->leader == self(walk) && !said->islearner);
}

static void keep_token(struct walk *walk, const void *response)
{
    walk->token = ((const Etcdserverpb__AuthenticateResponse *)response)->token;
}

#define BYTES(text) .bytes = (text), .len = sizeof(text) - 1
#define PB "/etcdserverpb."

/* In the order in which each finds what it needs; a method may come twice. */
static const struct row rows[] = {
    {.path = PB "KV/Put", BYTES("\x0a\x01k\x12\x01v")},
    {.path = PB "KV/Range", .stopped = ANSWERS, BYTES("\x0a\x01k")}, /* alone, it need not ask */
    {.path = PB "KV/Txn", BYTES("\x12\x05\x12\x03\x0a\x01k")},
    {.path = PB "KV/DeleteRange", BYTES("\x0a\x01k")},
    {.path = PB "KV/Compact", BYTES("\x08\x02")},
    {.path = PB "Lease/LeaseGrant", BYTES("\x08\xd8\x04\x10\x07")},
    {.path = PB "Lease/LeaseTimeToLive", .stopped = ANSWERS, BYTES("\x08\x07")},
    {.path = PB "Lease/LeaseLeases", .stopped = ANSWERS},
    {.path = "/v3lockpb.Lock/Lock", .stopped = REFUSES_WITHOUT_CODE, BYTES("\x0a\x01l\x10\x07")},
    {.path = "/v3lockpb.Lock/Unlock", .stopped = REFUSES_WITHOUT_CODE, BYTES("\x0a\x03l/7")},
    {.path = "/v3electionpb.Election/Campaign",
        .stopped = REFUSES_WITHOUT_CODE,
        BYTES("\x0a\x01n\x10\x07\x1a\x01v"),
        .keep = keep_campaign},
    {.path = "/v3electionpb.Election/Leader", .stopped = FINDS_NOTHING, BYTES("\x0a\x01n")},
    {.path = "/v3electionpb.Election/Proclaim",
        .stopped = REFUSES_WITHOUT_CODE,
        .fill = fill_leader},
    {.path = "/v3electionpb.Election/Resign", .stopped = REFUSES_WITHOUT_CODE, .fill = fill_leader},
    {.path = PB "Lease/LeaseRevoke", BYTES("\x08\x07")},
    {.path = PB "Maintenance/Alarm"},
    {.path = PB "Maintenance/Status", .stopped = ANSWERS, .keep = check_status},
    {.path = PB "Maintenance/Defragment", .header = HEADER_NONE},
    {.path = PB "Maintenance/Hash"},
    {.path = PB "Maintenance/HashKV"},
    {.path = PB "Maintenance/MoveLeader", .header = HEADER_NONE, .fill = fill_self},
    {.path = PB "Maintenance/Downgrade", .stopped = ANSWERS, BYTES("\022\0033.5")},
    {.path = PB "Auth/UserAdd", BYTES("\x0a\x04root\x12\x01p")},
    {.path = PB "Auth/UserChangePassword", BYTES("\x0a\x04root\x12\x01q")},
    {.path = PB "Auth/RoleAdd", BYTES("\x0a\x04root")},
    {.path = PB "Auth/RoleAdd", BYTES("\x0a\x01r")},
    {.path = PB "Auth/RoleGrantPermission", BYTES("\x0a\x01r\x12\x05\x08\x02\x12\x01k")},
    {.path = PB "Auth/RoleGet", BYTES("\x0a\x01r")},
    {.path = PB "Auth/RoleList"},
    {.path = PB "Auth/RoleRevokePermission", BYTES("\x0a\x01r\x12\x01k")},
    {.path = PB "Auth/UserGrantRole", BYTES("\x0a\x04root\x12\x04root")},
    {.path = PB "Auth/UserGrantRole", BYTES("\x0a\x04root\x12\x01r")},
    {.path = PB "Auth/UserGet", BYTES("\x0a\x04root")},
    {.path = PB "Auth/UserList"},
    {.path = PB "Auth/UserRevokeRole", BYTES("\x0a\x04root\x12\x01r")},
    {.path = PB "Auth/RoleDelete", BYTES("\x0a\x01r")},
    {.path = PB "Auth/UserAdd", BYTES("\x0a\x01u\x12\x01p")},
    {.path = PB "Auth/UserDelete", BYTES("\x0a\x01u")},
    {.path = PB "Auth/AuthStatus"},
    {.path = PB "Auth/AuthEnable"},
    {.path = PB "Auth/Authenticate",
        .stopped = FINDS_NOTHING,
        BYTES("\x0a\x04root\x12\x01q"),
        .keep = keep_token},
    {.path = PB "Auth/AuthDisable"},
    {.path = PB "Cluster/MemberList", .header = HEADER_NO_REVISION, .stopped = ANSWERS},
    {.path = PB "Cluster/MemberAdd",
        .header = HEADER_NO_REVISION,
        BYTES("\x0a\x12http://127.0.0.1:1\x10\x01"),
        .keep = keep_learner},
    {.path = PB "Cluster/MemberUpdate", .header = HEADER_NO_REVISION, .fill = fill_update},
    {.path = PB "Cluster/MemberRemove", .header = HEADER_NO_REVISION, .fill = fill_learner},
    {.path = PB "Cluster/MemberAdd",
        .header = HEADER_NO_REVISION,
        BYTES("\x0a\x12http://127.0.0.1:3\x10\x01"),
        .keep = keep_learner},
    {.path = "/grpc.health.v1.Health/Check", .header = HEADER_NONE, .stopped = ANSWERS},
    /* Last: then there are two voters, and one is nowhere. */
    {.path = PB "Cluster/MemberPromote", .header = HEADER_NO_REVISION, .fill = fill_ready_learner},
};

static void done(struct api_call *call)
{
    atomic_store((atomic_bool *)call->edge, true);
}

static void *unpacked(struct walk *walk, const struct api_method *method, struct payload *payload)
{
    struct buf packed;
    void *response;
    buf_init(&packed, SIZE_MAX);
    for (size_t i = 0; i < payload->count; i++) {
        buf_add_slice(&packed, payload->parts[i].bytes);
    }
    assert_false(err_is(pb_unpack(
        method->response, walk->arena, arena_dup(walk->arena, buf_slice(&packed)), &response)));
    payload_fini(payload);
    buf_fini(&packed);
    return response;
}

/* The response, or NULL with its status. */
static void *ask(struct walk *walk, const struct row *row, struct api_status *out_status)
{
    atomic_bool is_done = false;
    struct payload payload;
    struct buf request;
    struct api_call call = {.method = api_method_find(slice_str(row->path)),
        .arena = arena_new(0),
        .caller.token = walk->token,
        .deadline_ns = INT64_MAX,
        .done = done,
        .edge = &is_done};
    assert_non_null(call.method);
    buf_init(&request, 256);
    if (row->fill) {
        row->fill(walk, &request);
    } else {
        buf_add(&request, row->bytes, row->len);
    }
    call.request = arena_dup(call.arena, buf_slice(&request));
    buf_fini(&request);
    api_call_start(walk->service->api, &call);
    for (int i = 0; i < LOOKS && !atomic_load(&is_done); i++) {
        usleep(LOOK_US);
    }
    assert_true(atomic_load(&is_done));
    api_call_finish(&call, &payload, out_status);
    out_status->text = arena_strdup(walk->arena, out_status->text ? out_status->text : "");
    void *response =
        out_status->code == GRPC_CODE_OK ? unpacked(walk, call.method, &payload) : NULL;
    arena_free(call.arena);
    return response;
}

/* NULL: the message has no place for one, or it is left out. */
static const Etcdserverpb__ResponseHeader *header_of(const ProtobufCMessage *response)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(response->descriptor, 1);
    bool is_header = field && field->descriptor == &etcdserverpb__response_header__descriptor;
    return is_header
               ? *(Etcdserverpb__ResponseHeader *const *)(const void *)((const char *)response +
                                                                        field->offset)
               : NULL;
}

static void check_header(struct walk *walk, const struct row *row, const void *response)
{
    const struct storage *storage = &walk->service->storage;
    const Etcdserverpb__ResponseHeader *header = header_of(response);
    struct server_status status;
    server_status_get(storage->server, &status);
    int64_t rev = row->header == HEADER_FULL ? mvcc_revision(storage->mvcc) : 0;
    if ((header == NULL) != (row->header == HEADER_NONE)) {
        fail_msg("%s: %s", row->path, header ? "has a header" : "has no header");
    }
    if (header && (header->cluster_id != status.cluster_id || header->cluster_id == 0 ||
                      header->member_id != status.member_id || header->member_id == 0 ||
                      header->raft_term != status.term || header->raft_term == 0 ||
                      header->revision != rev)) {
        fail_msg("%s: cluster %llx member %llx term %llu revision %lld, not %lld", row->path,
            (unsigned long long)header->cluster_id, (unsigned long long)header->member_id,
            (unsigned long long)header->raft_term, (long long)header->revision, (long long)rev);
    }
}

static void test_every_method_has_a_row(void **state)
{
    size_t count;
    const struct api_method *methods = api_methods(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        bool has_row = methods[i].kind != API_UNARY;
        for (size_t j = 0; j < COUNT_OF(rows); j++) {
            has_row = has_row || strcmp(rows[j].path, methods[i].path) == 0;
        }
        if (!has_row) {
            fail_msg("%s: no row", methods[i].path);
        }
    }
}

/* Downgrade needs to know it. */
static void await_cluster_version(struct service *service)
{
    struct member_table *members = service->storage.members;
    for (int i = 0; i < LOOKS && strcmp(member_cluster_version(members), "3.6.0") != 0; i++) {
        usleep(LOOK_US);
    }
    assert_string_equal(member_cluster_version(members), "3.6.0");
}

static void test_every_header_is_the_references(void **state)
{
    struct walk walk = {.service = *state, .arena = arena_new(0)};
    struct api_status status;
    await_cluster_version(*state);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const void *response = ask(&walk, &rows[i], &status);
        if (!response) {
            fail_msg("%s: %s", rows[i].path, status.text);
        }
        check_header(&walk, &rows[i], response);
        if (rows[i].keep) {
            rows[i].keep(&walk, response);
        }
    }
    arena_free(walk.arena);
}

static void check_stopped(const struct row *row, const struct api_status *status)
{
    static const struct {
        enum grpc_code code;
        const char *text;
    } told[] = {
        [REFUSES] = {GRPC_CODE_UNAVAILABLE, "etcdserver: server stopped"},
        [REFUSES_WITHOUT_CODE] = {GRPC_CODE_UNKNOWN, "etcdserver: server stopped"},
        [ANSWERS] = {GRPC_CODE_OK, ""},
    };
    bool is_as_told =
        row->stopped == FINDS_NOTHING
            ? strcmp(status->text, "election: no leader") == 0 ||
                  strcmp(status->text, "etcdserver: authentication is not enabled") == 0
            : status->code == told[row->stopped].code &&
                  strcmp(status->text, told[row->stopped].text) == 0;
    if (!is_as_told) {
        fail_msg("%s: %d %s", row->path, (int)status->code, status->text);
    }
}

static void test_every_method_on_a_stopped_server(void **state)
{
    struct walk walk = {.service = *state, .arena = arena_new(0), .learner = 9};
    struct api_status status;
    await_cluster_version(*state);
    revision rev = mvcc_revision(walk.service->storage.mvcc);
    server_stop(walk.service->storage.server);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)ask(&walk, &rows[i], &status);
        check_stopped(&rows[i], &status);
    }
    assert_int_equal(mvcc_revision(walk.service->storage.mvcc), rev);
    arena_free(walk.arena);
}

static int setup(void **state)
{
    service_setup(state);
    struct service *service = *state;
    api_stop(service->api);
    api_free(service->api);
    service->api = api_new_service(&(struct api_options){.server = service->storage.server,
        .txn_ops_max = 128,
        .request_bytes_max = 1 << 20,
        .bcrypt_cost = AUTH_COST_MIN});
    return 0;
}

static int teardown_stopped(void **state)
{
    struct service *service = *state;
    api_stop(service->api);
    api_free(service->api);
    server_free(service->storage.server);
    storage_close(&service->storage, false);
    config_fini(&service->config);
    folder_remove(service->path);
    free(service);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_has_a_row),
        cmocka_unit_test_setup_teardown(
            test_every_header_is_the_references, setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_every_method_on_a_stopped_server, setup, teardown_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
