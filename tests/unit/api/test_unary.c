/* SPDX-License-Identifier: Apache-2.0
 * Unary calls on a real member: codes, texts, headers. */
#include "service.h"

#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"

#include <stdio.h>
#include <unistd.h>

static void done(struct api_call *call)
{
    atomic_store((atomic_bool *)call->edge, true);
}

/* What was put into the log for the last call, and in whose name the next ones are. */
static struct {
    uint8_t bytes[64];
    size_t len;
} logged;
static const char *caller_cn;
static const char *caller_version;

/* The status, with its text until the next call; the response stays empty. */
static struct api_status ask(struct service *service, const char *path, struct slice request)
{
    static char text[256];
    atomic_bool is_done = false;
    struct payload payload;
    struct api_status status;
    struct api_call call = {.method = api_method_find(slice_str(path)),
        .arena = arena_new(0),
        .request = request,
        .caller.cert_cn = caller_cn,
        .caller.client_version = caller_version,
        .deadline_ns = INT64_MAX,
        .done = done,
        .edge = &is_done};
    assert_non_null(call.method);
    api_call_start(service->api, &call);
    for (int i = 0; i < 60000 && !atomic_load(&is_done); i++) {
        usleep(1000);
    }
    assert_true(atomic_load(&is_done));
    api_call_finish(&call, &payload, &status);
    payload_fini(&payload);
    logged.len = call.request.len < sizeof(logged.bytes) ? call.request.len : 0;
    memcpy(logged.bytes, call.request.data, logged.len);
    snprintf(text, sizeof(text), "%s", status.text ? status.text : "");
    status.text = text;
    arena_free(call.arena);
    return status;
}

static void check_status(struct service *service, const char *path, struct slice request,
    enum grpc_code code, const char *text)
{
    struct api_status status = ask(service, path, request);
    assert_int_equal(status.code, code);
    if (text) {
        assert_string_equal(status.text, text);
    }
}

static void test_codes_and_texts(void **state)
{
    struct service *service = *state;
    check_status(service, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k\x12\x01v"), GRPC_CODE_OK, NULL);
    check_status(service, "/etcdserverpb.KV/Range", SLICE("\x0a\x01k"), GRPC_CODE_OK, NULL);
    check_status(service, "/etcdserverpb.KV/Put", SLICE(""), GRPC_CODE_INVALID_ARGUMENT,
        "etcdserver: key is not provided");
    check_status(service, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k\x18\x63"), GRPC_CODE_NOT_FOUND,
        "etcdserver: requested lease not found");
    check_status(service, "/etcdserverpb.KV/Range", SLICE("\x0a\x01k\x20\x63"),
        GRPC_CODE_OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision");
    check_status(service, "/etcdserverpb.KV/Compact", SLICE("\x08\x63"), GRPC_CODE_OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision");
    check_status(service, "/etcdserverpb.Lease/LeaseRevoke", SLICE("\x08\x63"), GRPC_CODE_NOT_FOUND,
        "etcdserver: requested lease not found");
}

/* A user or role of that many letters. */
static void add_named(struct service *service, const char *path, size_t letters,
    enum grpc_code code, const char *text)
{
    static const uint8_t options[] = {3 << 3 | 2, 2, 1 << 3, 1}; /* without a password */
    struct buf request;
    char *name = mem_new(letters + 1);
    memset(name, 'n', letters);
    buf_init(&request, SIZE_MAX);
    wire_add_bytes(&request, 1, slice_str(name));
    buf_add(&request, options, strstr(path, "User") ? sizeof(options) : 0);
    check_status(service, path, buf_slice(&request), code, text);
    buf_fini(&request);
    free(name);
}

/* As a database of etcd has it, of which the names are keys: 3.5.30 ends at longer ones. */
static void test_names_are_no_longer_than_a_database_takes(void **state)
{
    static const char *const paths[] = {"/etcdserverpb.Auth/UserAdd", "/etcdserverpb.Auth/RoleAdd"};
    enum { LETTERS = 32768 };
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        add_named(*state, paths[i], LETTERS + 1, GRPC_CODE_INVALID_ARGUMENT,
            "etcdserver: request is too large");
        add_named(*state, paths[i], LETTERS, GRPC_CODE_OK, NULL);
    }
}

static void test_malformed_is_refused(void **state)
{
    struct service *service = *state;
    uint8_t deep[4096];
    size_t at = sizeof(deep);
    check_status(service, "/etcdserverpb.KV/Put", SLICE("\x0a\x7f"), GRPC_CODE_INTERNAL, NULL);
    while (at > 64) { /* success { request_txn { success { … } } } */
        size_t len = sizeof(deep) - at;
        uint8_t head[] = {0x22, (uint8_t)(0x80 | (len & 0x7f)), (uint8_t)(len >> 7)};
        memcpy(deep + (at -= sizeof(head)), head, sizeof(head));
        len += sizeof(head);
        head[0] = 0x12;
        head[1] = (uint8_t)(0x80 | (len & 0x7f));
        head[2] = (uint8_t)(len >> 7);
        memcpy(deep + (at -= sizeof(head)), head, sizeof(head));
    }
    check_status(service, "/etcdserverpb.KV/Txn", slice_of(deep + at, sizeof(deep) - at),
        GRPC_CODE_INTERNAL, NULL);
}

/* As the reference says it, told by running it. */
static void test_malformed_in_the_references_words(void **state)
{
    static const struct {
        const char *path;
        struct slice request;
        const char *text;
    } cases[] = {
        {"/etcdserverpb.KV/Range",
            {(const uint8_t *)"\x0a\x05\x61\x62", sizeof("\x0a\x05\x61\x62") - 1},
            "unexpected EOF"},
        {"/etcdserverpb.KV/Range", {(const uint8_t *)"\x0b", sizeof("\x0b") - 1},
            "proto: wrong wireType = 3 for field Key"},
        {"/etcdserverpb.KV/Put", {(const uint8_t *)"\x10\x01", sizeof("\x10\x01") - 1},
            "proto: wrong wireType = 0 for field Value"},
        {"/etcdserverpb.KV/Range", {(const uint8_t *)"\x10\x01", sizeof("\x10\x01") - 1},
            "proto: wrong wireType = 0 for field RangeEnd"},
        {"/etcdserverpb.KV/Range",
            {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                sizeof("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") - 1},
            "proto: integer overflow"},
        {"/etcdserverpb.KV/Txn", {(const uint8_t *)"\x0c", sizeof("\x0c") - 1},
            "proto: TxnRequest: wiretype end group for non-group"},
        {"/etcdserverpb.KV/Put", {(const uint8_t *)"\x00", sizeof("\x00") - 1},
            "proto: PutRequest: illegal tag 0 (wire type 0)"},
        {"/etcdserverpb.KV/Put",
            {(const uint8_t *)"\xf8\xff\xff\xff\x7f\x01", sizeof("\xf8\xff\xff\xff\x7f\x01") - 1},
            "proto: PutRequest: illegal tag -1 (wire type 34359738360)"},
        {"/etcdserverpb.KV/Range",
            {(const uint8_t *)"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                sizeof("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") - 1},
            "proto: negative length found during unmarshaling"},
        /* protobuf-c alone takes anything for a boolean */
        {"/etcdserverpb.KV/DeleteRange",
            {(const uint8_t *)"\x0a\x01k\x1a\x01\x61", sizeof("\x0a\x01k\x1a\x01\x61") - 1},
            "proto: wrong wireType = 2 for field PrevKv"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[256];
        snprintf(text, sizeof(text), "grpc: error unmarshalling request: %s", cases[i].text);
        check_status(*state, cases[i].path, cases[i].request, GRPC_CODE_INTERNAL, text);
    }
}

/* 3.7 in these words; an entry with such a name would end every member of it. */
static void test_names_that_are_no_text(void **state)
{
    struct service *service = *state;
    check_status(service, "/etcdserverpb.Auth/UserGet", SLICE("\x0a\x01\xff"), GRPC_CODE_INTERNAL,
        "grpc: error unmarshalling request: string field contains invalid UTF-8");
    check_status(service, "/etcdserverpb.Auth/RoleAdd", SLICE("\x0a\x03r\0r"), GRPC_CODE_INTERNAL,
        "grpc: error unmarshalling request: string field contains a NUL");
    check_status(
        service, "/etcdserverpb.Auth/RoleAdd", SLICE("\x0a\x02\xc3\xa9"), GRPC_CODE_OK, NULL);
    check_status(service, "/etcdserverpb.KV/Put", SLICE("\x0a\x03\xffk\0\x12\x02\xc3\0"),
        GRPC_CODE_OK, NULL);
}

static void expect_logged(struct slice bytes)
{
    assert_int_equal(logged.len, bytes.len);
    assert_memory_equal(logged.bytes, bytes.data, bytes.len);
}

/* Members that read the log with another library see the same request in it. */
static void test_what_others_would_read_otherwise_is_packed_again(void **state)
{
    struct service *service = *state;
    check_status(
        service, "/etcdserverpb.KV/Put", SLICE("\x12\x01v\x0a\x01k\x18\0"), GRPC_CODE_OK, NULL);
    expect_logged(SLICE("\x12\x01v\x0a\x01k\x18\0")); /* as it came */
    check_status(
        service, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k\x12\x01v\x78\x01"), GRPC_CODE_OK, NULL);
    expect_logged(SLICE("\x0a\x01k\x12\x01v")); /* nobody names field 15 */
    /* success { put { key a, value x } put { key b } }: protobuf-go would merge the two */
    check_status(service, "/etcdserverpb.KV/Txn",
        SLICE("\x12\x0d\x12\x06\x0a\x01"
              "a\x12\x01x\x12\x03\x0a\x01"
              "b"),
        GRPC_CODE_OK, NULL);
    expect_logged(SLICE("\x12\x05\x12\x03\x0a\x01"
                        "b"));
}

static void test_a_certificate_whose_name_is_no_text_is_nobodys(void **state)
{
    struct service *service = *state;
    check_status(service, "/etcdserverpb.Auth/UserAdd", SLICE("\x0a\x04root\x1a\x02\x08\x01"),
        GRPC_CODE_OK, NULL);
    check_status(service, "/etcdserverpb.Auth/RoleAdd", SLICE("\x0a\x04root"), GRPC_CODE_OK, NULL);
    check_status(service, "/etcdserverpb.Auth/UserGrantRole", SLICE("\x0a\x04root\x12\x04root"),
        GRPC_CODE_OK, NULL);
    check_status(service, "/etcdserverpb.Auth/AuthEnable", SLICE(""), GRPC_CODE_OK, NULL);
    caller_cn = "root";
    check_status(service, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k"), GRPC_CODE_OK, NULL);
    caller_cn = "\xff";
    check_status(service, "/etcdserverpb.KV/Put", SLICE("\x0a\x01k"), GRPC_CODE_INVALID_ARGUMENT,
        "etcdserver: user name is empty");
    caller_cn = NULL;
}

/* It would stand in the metrics, and whoever scrapes them could not read any. */
static void test_a_client_version_that_is_no_text_is_refused(void **state)
{
    struct service *service = *state;
    caller_version = "\xff";
    check_status(service, "/etcdserverpb.KV/Range", SLICE("\x0a\x01k"), GRPC_CODE_INVALID_ARGUMENT,
        "etcdserver: invalid client api version");
    caller_version = "3.6.\xc3\xa9";
    check_status(service, "/etcdserverpb.KV/Range", SLICE("\x0a\x01k"), GRPC_CODE_OK, NULL);
    caller_version = NULL;
}

/* More would be members without being counted. */
static void test_members_are_no_more_than_raft_counts(void **state)
{
    struct service *service = *state;
    struct backend_batch *batch = backend_batch_new();
    for (uint64_t id = 1; id < RAFT_MEMBERS_MAX; id++) {
        assert_false(err_is(
            member_add(service->storage.members, &(struct member){.id = id, .name = "n"}, batch)));
    }
    backend_batch_free(batch);
    check_status(service, "/etcdserverpb.Cluster/MemberAdd", SLICE("\x0a\x0ahttp://z:1"),
        GRPC_CODE_RESOURCE_EXHAUSTED, "larger than the limit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_codes_and_texts, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_names_are_no_longer_than_a_database_takes, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(test_malformed_is_refused, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_malformed_in_the_references_words, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_members_are_no_more_than_raft_counts, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_names_that_are_no_text, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_what_others_would_read_otherwise_is_packed_again, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_certificate_whose_name_is_no_text_is_nobodys, service_setup, service_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_client_version_that_is_no_text_is_refused, service_setup, service_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
