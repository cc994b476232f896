/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts are what etcdctl 3.6 prints for these messages. */
#include "ctl/lib/ctl.h"

#include "base/pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct printer printer;
static char *printed;
static size_t printed_size;

static void start(enum print_format format, bool is_hex)
{
    printer = (struct printer){.format = format, .is_hex = is_hex, .arena = arena_new(0)};
    printer.out = open_memstream(&printed, &printed_size);
}

static void assert_printed(int code, const char *expected)
{
    fclose(printer.out);
    assert_int_equal(code, CMD_EXIT_OK);
    assert_string_equal(printed, expected);
    free(printed);
    arena_free(printer.arena);
}

static void assert_unsupported(int code)
{
    fclose(printer.out);
    assert_int_equal(code, CMD_EXIT_BAD_FEATURE);
    assert_int_equal(printed_size, 0);
    free(printed);
    arena_free(printer.arena);
}

static Etcdserverpb__ResponseHeader header = {
    PROTOBUF_C_MESSAGE_INIT(&etcdserverpb__response_header__descriptor), 0xcdf818194e3a8c32,
    0x8e9e05c52164694d, 7, 2};
#define FIELDS_HEADER                                                                              \
    "\"ClusterID\" : 14841639068965178418\n\"MemberID\" : 10276657743932975437\n\"Revision\" : "   \
    "7\n\"RaftTerm\" : 2\n"
#define JSON_HEADER                                                                                \
    "\"cluster_id\":14841639068965178418,\"member_id\":10276657743932975437,\"revision\":7,"       \
    "\"raft_term\":2"

static ProtobufCBinaryData text(const char *bytes)
{
    return pb_bytes(slice_str(bytes));
}

static void test_formats_are_known_by_name(void **state)
{
    struct printer p = {0};

    (void)state;
    assert_true(print_format_of("fields", &p) && p.format == PRINT_FIELDS && !p.is_hex);
    assert_true(print_format_of("hex", &p) && p.format == PRINT_SIMPLE && p.is_hex);
    assert_false(print_format_of("yaml", &p));
}

static void test_range_in_every_format(void **state)
{
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;

    (void)state;
    kv.key = text("a");
    kv.value = text("x\n<");
    kv.create_revision = 2;
    kv.mod_revision = 7;
    kv.version = 3;
    kv.lease = 0x1234;
    r.header = &header;
    r.kvs = kvs;
    r.n_kvs = 1;
    r.count = 1;
    start(PRINT_SIMPLE, false);
    assert_printed(print_range(&printer, &r), "a\nx\n<\n");
    start(PRINT_SIMPLE, true);
    assert_printed(print_range(&printer, &r), "\\x61\n\\x78\\x0a\\x3c\n");
    start(PRINT_SIMPLE, false);
    printer.is_value_only = true;
    assert_printed(print_range(&printer, &r), "x\n<\n");
    start(PRINT_JSON, false);
    assert_printed(print_range(&printer, &r),
        "{\"header\":{" JSON_HEADER
        "},\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":2,\"mod_revision\":7,"
        "\"version\":3,\"value\":\"eAo8\",\"lease\":4660}],\"count\":1}\n");
    start(PRINT_FIELDS, false);
    assert_printed(print_range(&printer, &r), FIELDS_HEADER
        "\"Key\" : \"a\"\n\"CreateRevision\" : 2\n\"ModRevision\" : 7\n\"Version\" : 3\n"
        "\"Value\" : \"x\\n<\"\n\"Lease\" : 4660\n\"More\" : false\n\"Count\" : 1\n");
    start(PRINT_PROTOBUF, false);
    (void)print_range(&printer, &r);
    fflush(printer.out);
    assert_int_equal(printed_size, protobuf_c_message_get_packed_size(&r.base));
    fclose(printer.out);
    free(printed);
    arena_free(printer.arena);
    start(PRINT_TABLE, false);
    assert_unsupported(print_range(&printer, &r));
}

static void test_fields_in_hex_have_hex_ids(void **state)
{
    Etcdserverpb__PutResponse r = ETCDSERVERPB__PUT_RESPONSE__INIT;

    (void)state;
    r.header = &header;
    start(PRINT_FIELDS, true);
    assert_printed(print_put(&printer, &r),
        "\"ClusterID\" : cdf818194e3a8c32\n\"MemberID\" : "
        "8e9e05c52164694d\n\"Revision\" : 7\n\"RaftTerm\" : 2\n");
}

static void test_txn_prints_its_parts(void **state)
{
    Etcdserverpb__ResponseHeader inner = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    Etcdserverpb__DeleteRangeResponse del = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
    Etcdserverpb__ResponseOp ops[2] = {
        ETCDSERVERPB__RESPONSE_OP__INIT, ETCDSERVERPB__RESPONSE_OP__INIT};
    Etcdserverpb__ResponseOp *list[] = {&ops[0], &ops[1]};
    Etcdserverpb__TxnResponse r = ETCDSERVERPB__TXN_RESPONSE__INIT;

    (void)state;
    inner.revision = 7;
    put.header = del.header = &inner;
    del.deleted = 4;
    ops[0].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    ops[0].response_put = &put;
    ops[1].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
    ops[1].response_delete_range = &del;
    r.succeeded = true;
    r.responses = list;
    r.n_responses = 2;
    start(PRINT_SIMPLE, false);
    assert_printed(print_txn(&printer, &r), "SUCCESS\n\nOK\n\n4\n");
    start(PRINT_JSON, false);
    assert_printed(print_txn(&printer, &r), "{\"succeeded\":true,\"responses\":[{\"Response\":{"
                                            "\"response_put\":{\"header\":{\"revision\":7}}}},"
                                            "{\"Response\":{\"response_delete_range\":{\"header\":{"
                                            "\"revision\":7},\"deleted\":4}}}]}\n");
}

static void test_watch_has_a_json_of_its_own(void **state)
{
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    Mvccpb__Event *events[] = {&event};
    Etcdserverpb__WatchResponse r = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    (void)state;
    kv.key = text("b");
    kv.mod_revision = 7;
    event.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    event.kv = &kv;
    r.header = &header;
    r.watch_id = 3;
    r.events = events;
    r.n_events = 1;
    start(PRINT_JSON, false);
    assert_printed(print_watch(&printer, &r),
        "{\"Header\":{" JSON_HEADER
        "},\"Events\":[{\"type\":1,\"kv\":{\"key\":\"Yg==\",\"mod_revision\":7}}],"
        "\"CompactRevision\":0,\"Canceled\":false,\"Created\":false}\n");
    start(PRINT_SIMPLE, false);
    assert_printed(print_watch(&printer, &r), "DELETE\nb\n\n");
}

static void test_watch_without_a_header_has_no_list_of_events(void **state)
{
    Etcdserverpb__WatchResponse r = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    (void)state;
    r.canceled = true;
    start(PRINT_JSON, false);
    assert_printed(print_watch(&printer, &r),
        "{\"Header\":{},\"Events\":null,\"CompactRevision\":0,\"Canceled\":true,"
        "\"Created\":false}\n");
    r.header = &header;
    start(PRINT_JSON, false);
    assert_printed(print_watch(&printer, &r),
        "{\"Header\":{" JSON_HEADER "},\"Events\":[],\"CompactRevision\":0,\"Canceled\":true,"
        "\"Created\":false}\n");
}

static void test_lease_json_has_the_header_in_line(void **state)
{
    Etcdserverpb__LeaseTimeToLiveResponse r = ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    Etcdserverpb__LeaseGrantResponse grant = ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;
    ProtobufCBinaryData keys[2];

    (void)state;
    r.header = grant.header = &header;
    r.id = grant.id = 0x7587;
    r.ttl = 5;
    r.grantedttl = grant.ttl = 10;
    start(PRINT_JSON, false);
    assert_printed(print_time_to_live(&printer, &r, false),
        "{" JSON_HEADER ",\"id\":30087,\"ttl\":5,\"granted-ttl\":10,\"keys\":null}\n");
    keys[0] = text("k");
    keys[1] = text("l");
    r.keys = keys;
    r.n_keys = 2;
    start(PRINT_SIMPLE, false);
    assert_printed(print_time_to_live(&printer, &r, true),
        "lease 0000000000007587 granted with TTL(10s), remaining(5s), attached keys([k l])\n");
    start(PRINT_JSON, false);
    assert_printed(print_grant(&printer, &grant),
        "{" JSON_HEADER ",\"ID\":30087,\"TTL\":10,\"Error\":\"\"}\n");
    r.ttl = -1;
    r.grantedttl = 0;
    start(PRINT_SIMPLE, false);
    assert_printed(
        print_time_to_live(&printer, &r, true), "lease 0000000000007587 already expired\n");
}

static void test_lease_ids_have_a_sign(void **state)
{
    Etcdserverpb__LeaseStatus leases[2] = {
        ETCDSERVERPB__LEASE_STATUS__INIT, ETCDSERVERPB__LEASE_STATUS__INIT};
    Etcdserverpb__LeaseStatus *list[] = {&leases[0], &leases[1]};
    Etcdserverpb__LeaseLeasesResponse r = ETCDSERVERPB__LEASE_LEASES_RESPONSE__INIT;

    (void)state;
    leases[0].id = -2;
    leases[1].id = INT64_MIN;
    r.header = &header;
    r.leases = list;
    r.n_leases = 2;
    start(PRINT_SIMPLE, false);
    assert_printed(
        print_leases(&printer, &r), "found 2 leases\n-000000000000002\n-8000000000000000\n");
    start(PRINT_FIELDS, true);
    r.n_leases = 1;
    assert_printed(print_leases(&printer, &r),
        "\"ClusterID\" : cdf818194e3a8c32\n\"MemberID\" : 8e9e05c52164694d\n\"Revision\" : 7\n"
        "\"RaftTerm\" : 2\n\"ID\" : -000000000000002\n");
}

static void test_member_list_in_its_formats(void **state)
{
    char *peers[] = {(char *)(uintptr_t) "http://p:2380"};
    char *clients[] = {(char *)(uintptr_t) "http://c:2379", (char *)(uintptr_t) "http://d:2379"};
    Etcdserverpb__Member members[2] = {ETCDSERVERPB__MEMBER__INIT, ETCDSERVERPB__MEMBER__INIT};
    Etcdserverpb__Member *list[] = {&members[0], &members[1]};
    Etcdserverpb__MemberListResponse r = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;

    (void)state;
    members[0] = (Etcdserverpb__Member){
        members[0].base, 0xabc, (char *)(uintptr_t) "m0", 1, peers, 2, clients, false};
    members[1].id = 1;
    members[1].peerurls = peers;
    members[1].n_peerurls = 1;
    members[1].islearner = true;
    r.header = &header;
    r.members = list;
    r.n_members = 2;
    start(PRINT_SIMPLE, false);
    assert_printed(print_member_list(&printer, &r),
        "abc, started, m0, http://p:2380, http://c:2379,http://d:2379, false\n"
        "1, unstarted, , http://p:2380, , true\n");
    start(PRINT_JSON, true);
    assert_printed(print_member_list(&printer, &r),
        "{\"header\":{\"cluster_id\":\"cdf818194e3a8c32\",\"member_id\":\"8e9e05c52164694d\","
        "\"raft_term\":2},"
        "\"members\":[{\"ID\":\"abc\",\"name\":\"m0\",\"peerURLs\":[\"http://p:2380\"],"
        "\"clientURLs\":[\"http://c:2379\",\"http://d:2379\"]},"
        "{\"ID\":\"1\",\"name\":\"\",\"peerURLs\":[\"http://p:2380\"],\"clientURLs\":null}]}\n");
}

static void test_status_in_fields_and_json(void **state)
{
    Etcdserverpb__DowngradeInfo downgrade = ETCDSERVERPB__DOWNGRADE_INFO__INIT;
    Etcdserverpb__StatusResponse s = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    char *errors[] = {(char *)(uintptr_t) "e1", (char *)(uintptr_t) "e2"};
    struct print_status list[] = {{"h:1", &s}};

    (void)state;
    s.header = &header;
    s.version = s.storageversion = (char *)(uintptr_t) "3.6.0";
    s.dbsize = 20480;
    s.dbsizeinuse = 16384;
    s.dbsizequota = 2147483648;
    s.leader = header.member_id;
    s.raftindex = s.raftappliedindex = 9;
    s.raftterm = 2;
    s.errors = errors;
    s.n_errors = 2;
    s.downgradeinfo = &downgrade;
    start(PRINT_SIMPLE, false);
    assert_printed(print_endpoint_status(&printer, list, 1),
        "h:1, 8e9e05c52164694d, 3.6.0, 3.6.0, 20 kB, 16 kB, 20%, 2.1 GB, true, false, 2, 9, 9, e1, "
        "e2, , false\n");
    start(PRINT_FIELDS, false);
    assert_printed(print_endpoint_status(&printer, list, 1), FIELDS_HEADER
        "\"Version\" : \"3.6.0\"\n\"StorageVersion\" : \"3.6.0\"\n\"DBSize\" : 20480\n"
        "\"DBSizeInUse\" : 16384\n\"DBSizeQuota\" : 2147483648\n\"Leader\" : 10276657743932975437\n"
        "\"IsLearner\" : false\n\"RaftIndex\" : 9\n\"RaftTerm\" : 2\n\"RaftAppliedIndex\" : 9\n"
        "\"Errors\" : [e1 e2]\n\"Endpoint\" : \"h:1\"\n\"DowngradeTargetVersion\" : \"\"\n"
        "\"DowngradeEnabled\" : false\n\n");
    start(PRINT_JSON, false);
    assert_printed(print_endpoint_status(&printer, list, 1),
        "[{\"Endpoint\":\"h:1\",\"Status\":{\"header\":{" JSON_HEADER
        "},\"version\":\"3.6.0\",\"dbSize\":20480,"
        "\"leader\":10276657743932975437,\"raftIndex\":9,\"raftTerm\":2,\"raftAppliedIndex\":9,"
        "\"errors\":[\"e1\",\"e2\"],\"dbSizeInUse\":16384,\"storageVersion\":\"3.6.0\","
        "\"dbSizeQuota\":2147483648,\"downgradeInfo\":{}}}]\n");
    start(PRINT_JSON, false);
    assert_printed(print_endpoint_status(&printer, list, 0), "null\n");
    start(PRINT_PROTOBUF, false);
    assert_unsupported(print_endpoint_status(&printer, list, 1));
}

/* No two of its values are alike, nor one like the header's. */
static void test_status_takes_no_field_for_another(void **state)
{
    Etcdserverpb__DowngradeInfo downgrade = ETCDSERVERPB__DOWNGRADE_INFO__INIT;
    Etcdserverpb__StatusResponse s = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    struct print_status list[] = {{"h:1", &s}};

    (void)state;
    downgrade.enabled = true;
    downgrade.targetversion = (char *)(uintptr_t) "3.4.0";
    s = (Etcdserverpb__StatusResponse){.base = s.base,
        .header = &header,
        .version = (char *)(uintptr_t) "3.6.14",
        .storageversion = (char *)(uintptr_t) "3.5.0",
        .dbsize = 40000,
        .dbsizeinuse = 10000,
        .dbsizequota = 8000000,
        .leader = 77,
        .raftindex = 12,
        .raftterm = 5,
        .raftappliedindex = 11,
        .islearner = true,
        .downgradeinfo = &downgrade};
    start(PRINT_SIMPLE, false);
    assert_printed(print_endpoint_status(&printer, list, 1),
        "h:1, 8e9e05c52164694d, 3.6.14, 3.5.0, 40 kB, 10 kB, 75%, 8.0 MB, false, true, 5, 12, 11, "
        ", 3.4.0, true\n");
    start(PRINT_FIELDS, false);
    assert_printed(print_endpoint_status(&printer, list, 1), FIELDS_HEADER
        "\"Version\" : \"3.6.14\"\n\"StorageVersion\" : \"3.5.0\"\n\"DBSize\" : 40000\n"
        "\"DBSizeInUse\" : 10000\n\"DBSizeQuota\" : 8000000\n\"Leader\" : 77\n"
        "\"IsLearner\" : true\n\"RaftIndex\" : 12\n\"RaftTerm\" : 5\n\"RaftAppliedIndex\" : 11\n"
        "\"Errors\" : []\n\"Endpoint\" : \"h:1\"\n\"DowngradeTargetVersion\" : \"3.4.0\"\n"
        "\"DowngradeEnabled\" : true\n\n");
    start(PRINT_JSON, false);
    assert_printed(print_endpoint_status(&printer, list, 1),
        "[{\"Endpoint\":\"h:1\",\"Status\":{\"header\":{" JSON_HEADER
        "},\"version\":\"3.6.14\",\"dbSize\":40000,\"leader\":77,\"raftIndex\":12,\"raftTerm\":5,"
        "\"raftAppliedIndex\":11,\"dbSizeInUse\":10000,\"isLearner\":true,"
        "\"storageVersion\":\"3.5.0\",\"dbSizeQuota\":8000000,"
        "\"downgradeInfo\":{\"enabled\":true,\"targetVersion\":\"3.4.0\"}}}]\n");
}

static void test_health_says_what_is_wrong(void **state)
{
    const struct print_health list[] = {
        {"a:1", true, "1.5ms", ""}, {"b:1", false, "5s", "context \"x\""}};

    (void)state;
    start(PRINT_JSON, false);
    assert_printed(print_endpoint_health(&printer, list, 2),
        "[{\"endpoint\":\"a:1\",\"health\":true,\"took\":\"1.5ms\"},"
        "{\"endpoint\":\"b:1\",\"health\":false,\"took\":\"5s\",\"error\":\"context "
        "\\\"x\\\"\"}]\n");
    start(PRINT_SIMPLE, false);
    assert_printed(print_endpoint_health(&printer, list, 1),
        "a:1 is healthy: successfully committed proposal: took = 1.5ms\n");
}

static void test_alarms_are_messages_in_one_line(void **state)
{
    Etcdserverpb__AlarmMember alarm = ETCDSERVERPB__ALARM_MEMBER__INIT;
    Etcdserverpb__AlarmMember *alarms[] = {&alarm};
    Etcdserverpb__AlarmResponse r = ETCDSERVERPB__ALARM_RESPONSE__INIT;

    (void)state;
    alarm.memberid = 8;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    r.alarms = alarms;
    r.n_alarms = 1;
    start(PRINT_SIMPLE, false);
    assert_printed(print_alarms(&printer, &r), "memberID:8 alarm:NOSPACE \n");
    start(PRINT_JSON, false);
    assert_printed(print_alarms(&printer, &r), "{\"alarms\":[{\"memberID\":8,\"alarm\":1}]}\n");
}

static void test_role_shows_ranges(void **state)
{
    Authpb__Permission perms[4] = {AUTHPB__PERMISSION__INIT, AUTHPB__PERMISSION__INIT,
        AUTHPB__PERMISSION__INIT, AUTHPB__PERMISSION__INIT};
    Authpb__Permission *list[] = {&perms[0], &perms[1], &perms[2], &perms[3]};
    Etcdserverpb__AuthRoleGetResponse r = ETCDSERVERPB__AUTH_ROLE_GET_RESPONSE__INIT;

    (void)state;
    perms[0].key = text("a");
    perms[1].permtype = AUTHPB__PERMISSION__TYPE__READWRITE;
    perms[1].key = text("p/");
    perms[1].range_end = text("p0");
    perms[2].permtype = AUTHPB__PERMISSION__TYPE__WRITE;
    perms[2].key = text("x");
    perms[2].range_end = pb_bytes(PREFIX_FROM_KEY);
    perms[3].key = text("q");
    perms[3].range_end = text("z");
    r.perm = list;
    r.n_perm = 4;
    start(PRINT_SIMPLE, false);
    assert_printed(print_role(&printer, "r", &r),
        "Role r\nKV Read:\n\ta\n\t[p/, p0) (prefix p/)\n\t[q, z)\nKV Write:\n\t[p/, p0) (prefix "
        "p/)\n"
        "\t[x, <open ended>\n");
    r.n_perm = 0;
    start(PRINT_SIMPLE, false);
    assert_printed(print_role(&printer, "root", &r),
        "Role root\nKV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n");
}

static void test_json_strings_are_escaped_as_go_does(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 4096);
    gojson_string(&buf, "\"\\\b\f\n\r\t\x01<>&\xe2\x80\xa8\xff\xc3\xa9");
    assert_string_equal(buf_text(&buf),
        "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u003c\\u003e\\u0026\\u2028\\ufffd\xc3\xa9\"");
    buf_reset(&buf);
    gojson_bytes(&buf, SLICE("ab"));
    gojson_bytes(&buf, SLICE("abc"));
    gojson_bytes(&buf, SLICE(""));
    assert_string_equal(buf_text(&buf), "\"YWI=\"\"YWJj\"\"\"");
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_are_known_by_name),
        cmocka_unit_test(test_range_in_every_format),
        cmocka_unit_test(test_fields_in_hex_have_hex_ids),
        cmocka_unit_test(test_txn_prints_its_parts),
        cmocka_unit_test(test_watch_has_a_json_of_its_own),
        cmocka_unit_test(test_watch_without_a_header_has_no_list_of_events),
        cmocka_unit_test(test_lease_json_has_the_header_in_line),
        cmocka_unit_test(test_lease_ids_have_a_sign),
        cmocka_unit_test(test_member_list_in_its_formats),
        cmocka_unit_test(test_status_in_fields_and_json),
        cmocka_unit_test(test_status_takes_no_field_for_another),
        cmocka_unit_test(test_health_says_what_is_wrong),
        cmocka_unit_test(test_alarms_are_messages_in_one_line),
        cmocka_unit_test(test_role_shows_ranges),
        cmocka_unit_test(test_json_strings_are_escaped_as_go_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
