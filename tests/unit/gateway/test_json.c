/* SPDX-License-Identifier: Apache-2.0
 * What the reference answered to each body is the expectation. */
#include "base/mem.h"
#include "base/pb.h"
#include "gateway/decode.h"
#include "gateway/encode.h"
#include "gateway/paths.h"
#include "gateway/scan.h"

#include <rpc.pb-c.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define P "proto:\xc2\xa0"

/* The JSON of what body decodes to, or the error. Lives in the arena. */
static const char *through(
    const ProtobufCMessageDescriptor *type, struct slice body, struct arena *arena)
{
    struct scan scan;
    struct buf packed;
    struct buf out;
    struct json json;
    const char *text = NULL;
    size_t taken = 0;
    scan_init(&scan);
    enum scan_result result = scan_feed(&scan, body, &taken);
    result = result == SCAN_MORE ? scan_end(&scan) : result;
    if (result == SCAN_BROKEN) {
        return arena_strdup(arena, scan.error);
    }
    if (result == SCAN_NONE) {
        return "nothing";
    }
    buf_init(&packed, 1 << 20);
    buf_init(&out, 1 << 20);
    json_init(&json, &out, JSON_PLAIN);
    if (!err_is(decode_json(type, slice_of(body.data, taken), arena, &packed, &text))) {
        assert_false(err_is(encode_json(type, buf_slice(&packed), arena, &json)));
        text = arena_strdup(arena, buf_text(&out));
    }
    buf_fini(&packed);
    buf_fini(&out);
    return text;
}

struct check_case {
    const char *body;
    const char *want;
};

static void check_cases(
    const ProtobufCMessageDescriptor *type, const struct check_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_new(0);
        assert_string_equal(through(type, slice_str(cases[i].body), arena), cases[i].want);
        arena_free(arena);
    }
}

static void test_syntax_errors_are_gos(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{\"key\":\"Zm9v\"", "unexpected EOF"},
        {"{key:\"Zm9v\"}", "invalid character 'k' looking for beginning of object key string"},
        {"{'key':1}", "invalid character '\\'' looking for beginning of object key string"},
        {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
        {"[1,]", "invalid character ']' looking for beginning of value"},
        {"{\"a\" 1}", "invalid character '1' after object key"},
        {"{\"a\":}", "invalid character '}' looking for beginning of value"},
        {"nul", "unexpected EOF"},
        {"tru ", "invalid character ' ' in literal true (expecting 'e')"},
        {"{\"a\":tru}", "invalid character '}' in literal true (expecting 'e')"},
        {"{\"a\":\"\x01\"}", "invalid character '\\x01' in string literal"},
        {"{\"a\":\"\\x\"}", "invalid character 'x' in string escape code"},
        {"{\"a\":\"\\u12G4\"}", "invalid character 'G' in \\u hexadecimal character escape"},
        {"{\"a\":1 2}", "invalid character '2' after object key:value pair"},
        {"{\"a\":1e}", "invalid character '}' in exponent of numeric literal"},
        {"{\"a\":[1 2]}", "invalid character '2' after array element"},
        {"{\"a\":\"x", "unexpected EOF"},
        {"{,}", "invalid character ',' looking for beginning of object key string"},
        {"}", "invalid character '}' looking for beginning of value"},
        {" ", "nothing"},
        {"", "nothing"},
        {"\xff", "invalid character '\xc3\xbf' looking for beginning of value"},
        {"{\"a\":\xc3\xa9}", "invalid character '\xc3\x83' looking for beginning of value"},
        {"[[[[", "unexpected EOF"},
        {"{\"TTL\":01}", "invalid character '1' after object key:value pair"},
        {"{\"TTL\":-}", "invalid character '}' in numeric literal"},
        {"{\"TTL\":1.}", "invalid character '}' after decimal point in numeric literal"},
    };
    check_cases(&etcdserverpb__range_request__descriptor, cases, COUNT_OF(cases));
}

static void test_range_bodies(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{}", "{}"},
        {"{\"key\":\"Zm9v\"} trailing", "{\"key\":\"Zm9v\"}"},
        {"{\"key\":\"Zm9v\",\"keysOnly\":true}", "{\"key\":\"Zm9v\",\"keys_only\":true}"},
        {"{\"sort_order\":\"DESCEND\",\"sort_target\":1}",
            "{\"sort_order\":\"DESCEND\",\"sort_target\":\"VERSION\"}"},
        {"{\"sort_order\":\"bad\",\"sort_target\":9}", "{\"sort_target\":9}"},
        {"{\"sort_order\":\"1\"}", "{}"},
        {"{\"sort_order\":1.0}", "{\"sort_order\":\"ASCEND\"}"},
        {"{\"revision\":1.0e0}", "{\"revision\":\"1\"}"},
        {"{\"revision\":\"1e1\"}", "{\"revision\":\"10\"}"},
        {"{\"limit\":10000000000000000000000e-20}", "{\"limit\":\"100\"}"},
        {"{\"limit\":1.25e2,\"revision\":-0}", "{\"limit\":\"125\"}"},
        {"{\"limit\":\"1,2\"}", "{\"limit\":\"1\"}"},
        {"{\"limit\":\"9223372036854775807\",\"revision\":-9223372036854775808}",
            "{\"limit\":\"9223372036854775807\",\"revision\":\"-9223372036854775808\"}"},
        {"{\"unknown\":[1,{\"a\":2}],\"\":1,\"[foo]\":1,\"@type\":\"x\",\"KEY\":\"x\",\"a\":1,"
         "\"a\":2}",
            "{}"},
        {"{\"key\":null,\"limit\":null,\"sort_order\":null}", "{}"},
        {"{\"key\":\"Z\\u006d9v\"}", "{\"key\":\"Zm9v\"}"},
        {"{\"key\":\"Zm9v\\n\"}", "{\"key\":\"Zm9v\"}"},
        {"{\"key\":\"_-8\"}", "{\"key\":\"/+8=\"}"},
        {"{\"keys_only\":true,\"keysOnly\":true}", P "(line 1:19): duplicate field \"keysOnly\""},
        {"{\"key\":\"Zm9v\",\"key\":\"Zm9v\"}", P "(line 1:15): duplicate field \"key\""},
        {"{\"revision\":\"1x\"}", P "(line 1:13): invalid value for int64 field revision: \"1x\""},
        {"{\"revision\":1.5}", P "(line 1:13): invalid value for int64 field revision: 1.5"},
        {"{\"limit\":9223372036854775808}",
            P "(line 1:10): invalid value for int64 field limit: 9223372036854775808"},
        {"{\"limit\":1e400}", P "(line 1:10): invalid value for int64 field limit: 1e400"},
        {"{\"limit\":\" 10\"}", P "(line 1:10): invalid value for int64 field limit: \" 10\""},
        {"{\"limit\":\"1\\u0020\"}",
            P "(line 1:10): invalid value for int64 field limit: \"1\\u0020\""},
        {"{\"limit\":\"\"}", P "(line 1:10): invalid value for int64 field limit: \"\""},
        {"{\"limit\":\"NaN\"}", P "(line 1:10): invalid value for int64 field limit: \"NaN\""},
        {"{\"limit\":{}}", P "(line 1:10): invalid value for int64 field limit: {"},
        {"{\"limit\":[]}", P "(line 1:10): invalid value for int64 field limit: ["},
        {"{\"limit\":true}", P "(line 1:10): invalid value for int64 field limit: true"},
        {"[]", P "syntax error (line 1:1): unexpected token ["},
        {"null", P "syntax error (line 1:1): unexpected token null"},
        {" \n \"x\"", P "syntax error (line 1:1): unexpected token \"x\""},
        {"12", P "syntax error (line 1:1): unexpected token 12"},
        {"{\"key\":\"!!!\"}", P "(line 1:8): invalid value for bytes field key: \"!!!\""},
        {"{\"key\":5}", P "(line 1:8): invalid value for bytes field key: 5"},
        {"{\"key\":true}", P "(line 1:8): invalid value for bytes field key: true"},
        {"{\"key\":{}}", P "(line 1:8): invalid value for bytes field key: {"},
        {"{\"key\":\n\n  \"??\"}", P "(line 3:3): invalid value for bytes field key: \"??\""},
        {"{\"\xc3\xa9\":1,\"key\":5}", P "(line 1:14): invalid value for bytes field key: 5"},
        {"{\"key\":\"\\u0000\"}", P "(line 1:8): invalid value for bytes field key: \"\\u0000\""},
        {"{\"serializable\":\"true\"}",
            P "(line 1:17): invalid value for bool field serializable: \"true\""},
        {"{\"serializable\":1}", P "(line 1:17): invalid value for bool field serializable: 1"},
        {"{\"keys_only\":\"x\"}", P "(line 1:14): invalid value for bool field keysOnly: \"x\""},
        {"{\"sort_order\":{}}", P "(line 1:15): invalid value for enum field sortOrder: {"},
        {"{\"sort_order\":1.5}", P "(line 1:15): invalid value for enum field sortOrder: 1.5"},
        {"{\"sort_order\":99999999999}",
            P "(line 1:15): invalid value for enum field sortOrder: 99999999999"},
        {"{\"a\":\"\xff\"}", P "syntax error (line 1:6): invalid UTF-8 in string"},
    };
    check_cases(&etcdserverpb__range_request__descriptor, cases, COUNT_OF(cases));
}

static void test_txn_bodies(void **state)
{
    (void)state;
    static const struct check_case cases[] = {
        {"{\"compare\":[{\"target\":\"VALUE\",\"key\":\"Zm9v\",\"value\":\"YmFy\",\"result\":0},{"
         "\"target\":\"VERSION\",\"version\":\"0\"}],"
         "\"success\":[{\"request_range\":{\"key\":\"Zm9v\"}},{\"requestPut\":{\"key\":\"Zm9v\","
         "\"value\":\"YmFy\"}},"
         "{\"requestDeleteRange\":{\"key\":\"eg==\"}},{\"request_txn\":{}}],\"failure\":[]}",
            "{\"compare\":[{\"target\":\"VALUE\",\"key\":\"Zm9v\",\"value\":\"YmFy\"},{\"version\":"
            "\"0\"}],"
            "\"success\":[{\"request_range\":{\"key\":\"Zm9v\"}},{\"request_put\":{\"key\":"
            "\"Zm9v\",\"value\":\"YmFy\"}},"
            "{\"request_delete_range\":{\"key\":\"eg==\"}},{\"request_txn\":{}}]}"},
        {"{\"success\":[{}]}", "{\"success\":[{}]}"},
        {"{\"success\":[{\"request_range\":null}]}", "{\"success\":[{}]}"},
        {"{\"success\":null}", "{}"},
        {"{\"compare\":[{\"target\":\"VALUE\",\"key\":\"Zm9v\",\"value\":\"YmFy\",\"version\":"
         "\"1\"}]}",
            P "(line 1:59): error parsing \"version\", oneof etcdserverpb.Compare.target_union is "
              "already set"},
        {"{\"success\":[{\"request_range\":{\"key\":\"Zm9v\"},\"request_put\":{\"key\":\"Zm9v\"}}]"
         "}",
            P "(line 1:45): error parsing \"request_put\", oneof etcdserverpb.RequestOp.request is "
              "already set"},
        {"{\"success\":{\"request_range\":null}}",
            P "syntax error (line 1:12): unexpected token {"},
        {"{\"success\":[null]}", P "syntax error (line 1:13): unexpected token null"},
        {"{\"success\":[1,2]}", P "syntax error (line 1:13): unexpected token 1"},
        {"{\"compare\":[{\"result\":true}]}",
            P "(line 1:23): invalid value for enum field result: true"},
    };
    check_cases(&etcdserverpb__txn_request__descriptor, cases, COUNT_OF(cases));
}

static void test_other_bodies(void **state)
{
    (void)state;
    static const struct check_case watch[] = {
        {"{\"create_request\":{\"key\":\"Zm9v\",\"filters\":[\"NODELETE\",\"x\",0],\"watch_id\":"
         "\"5\"}}",
            "{\"create_request\":{\"key\":\"Zm9v\",\"filters\":[\"NODELETE\",\"NOPUT\"],\"watch_"
            "id\":\"5\"}}"},
        {"{\"progress_request\":{}}", "{\"progress_request\":{}}"},
    };
    static const struct check_case user[] = {
        {"{\"name\":\"r\\u00e9t\\n<&>\\ud83d\\ude00\\u0001\"}",
            "{\"name\":\"r\xc3\xa9t\\n<&>\xf0\x9f\x98\x80\\u0001\"}"},
        {"{\"name\":\"a\\ud83d\",\"password\":\"x\"}",
            P "syntax error (line 1:9): invalid escape code \"\\\",\\\"pas\" in string"},
        {"{\"name\":5}", P "(line 1:9): invalid value for string field name: 5"},
    };
    check_cases(&etcdserverpb__watch_request__descriptor, watch, COUNT_OF(watch));
    check_cases(&etcdserverpb__auth_user_add_request__descriptor, user, COUNT_OF(user));
}

static void test_depth_is_limited(void **state)
{
    (void)state;
    char deep[SCAN_DEPTH_MAX + 2];
    struct arena *arena = arena_new(0);
    memset(deep, '[', sizeof(deep));
    assert_string_equal(
        through(&etcdserverpb__range_request__descriptor, slice_of(deep, sizeof(deep)), arena),
        "exceeded max depth");
    arena_free(arena);
}

static void test_scan_finds_values_in_pieces(void **state)
{
    (void)state;
    struct slice text = SLICE(" {\"a\":[1,\"}\\\"\"]}{}\n12 \"x\"true[]");
    static const size_t ends[] = {16, 18, 21, 25, 29, 31};
    for (size_t size = 1; size < text.len; size++) {
        size_t at = 0;
        size_t values = 0;
        struct scan scan;
        scan_init(&scan);
        while (at < text.len) {
            size_t taken = 0;
            size_t len = size < text.len - at ? size : text.len - at;
            enum scan_result result = scan_feed(&scan, slice_of(text.data + at, len), &taken);
            assert_true(result == SCAN_MORE || result == SCAN_VALUE);
            at += taken;
            if (result == SCAN_VALUE) {
                assert_int_equal(at, ends[values++]);
                scan_init(&scan);
            }
        }
        assert_int_equal(values, COUNT_OF(ends));
    }
}

static void test_paths_are_the_references(void **state)
{
    (void)state;
    assert_string_equal(paths_find(SLICE("/v3/kv/range")), "/etcdserverpb.KV/Range");
    assert_string_equal(
        paths_find(SLICE("/v3/kv/lease/timetolive")), "/etcdserverpb.Lease/LeaseTimeToLive");
    assert_string_equal(paths_find(SLICE("/v3/maintenance/transfer-leadership")),
        "/etcdserverpb.Maintenance/MoveLeader");
    assert_string_equal(paths_find(SLICE("/v3/lock/lock")), "/v3lockpb.Lock/Lock");
    assert_null(paths_find(SLICE("/v3/kv/range/")));
    assert_null(paths_find(SLICE("/v3/kv/rangestream")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax_errors_are_gos),
        cmocka_unit_test(test_range_bodies),
        cmocka_unit_test(test_txn_bodies),
        cmocka_unit_test(test_other_bodies),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_scan_finds_values_in_pieces),
        cmocka_unit_test(test_paths_are_the_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
