/* SPDX-License-Identifier: Apache-2.0
 * The v2 store read back: ours, one of etcd's, and what is not one. */
#include "base/mem.h"
#include "snap/snap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { FILE_MAX = 65536 };

static int setup(void **state)
{
    *state = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static const struct snap_member *find(const struct snap_cluster *cluster, uint64_t id)
{
    for (size_t i = 0; i < cluster->members_count; i++) {
        if (cluster->members[i].id == id) {
            return &cluster->members[i];
        }
    }
    fail_msg("no member %llx", (unsigned long long)id);
    return NULL;
}

static void test_many_urls_are_read_whole(void **state)
{
    static const char *urls[65];
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        urls[i] = "http://a:1";
    }
    const struct snap_member member = {
        .id = 2, .peer_urls = urls, .peer_urls_count = COUNT_OF(urls)};
    const struct snap_cluster cluster = {&member, 1, NULL, 0, "3.6.0", NULL, false};
    struct snap_cluster out;
    struct buf json;
    buf_init(&json, SNAP_FILE_MAX);
    snap_v2_json(&cluster, &json);
    assert_false(err_is(snap_v2_parse(buf_slice(&json), *state, &out, NULL)));
    buf_fini(&json);
    assert_int_equal(find(&out, 2)->peer_urls_count, COUNT_OF(urls));
}

static void test_what_is_written_is_read(void **state)
{
    static const char *const urls[] = {"http://a:1", "http://b:2"};
    static const uint64_t removed[] = {7, 0xffffffffffffffff};
    const struct snap_member members[] = {
        {.id = 0x8000000000000001,
            .name = "m<1>",
            .peer_urls = urls,
            .peer_urls_count = 2,
            .client_urls = urls,
            .client_urls_count = 1},
        {.id = 2, .peer_urls = urls + 1, .peer_urls_count = 1, .is_learner = true},
    };
    const struct snap_cluster cluster = {members, 2, removed, 2, "3.6.0", NULL, false};
    struct snap_cluster out;
    struct buf json;
    buf_init(&json, SNAP_FILE_MAX);
    snap_v2_json(&cluster, &json);
    assert_false(err_is(snap_v2_parse(buf_slice(&json), *state, &out, NULL)));
    buf_fini(&json);
    assert_int_equal(out.members_count, 2);
    const struct snap_member *one = find(&out, 0x8000000000000001);
    assert_string_equal(one->name, "m<1>");
    assert_int_equal(one->peer_urls_count, 2);
    assert_string_equal(one->peer_urls[1], "http://b:2");
    assert_int_equal(one->client_urls_count, 1);
    assert_false(one->is_learner);
    const struct snap_member *two = find(&out, 2);
    assert_true(two->is_learner);
    assert_string_equal(two->name, "");
    assert_int_equal(out.removed_count, 2);
    assert_true(out.removed[0] == 0xffffffffffffffff || out.removed[1] == 0xffffffffffffffff);
    assert_string_equal(out.version, "3.6.0");
}

static void test_long_urls_are_written_whole(void **state)
{
    enum { URL_BYTES = 3 * 512 * 1024 };
    char *url = mem_new(URL_BYTES + 1);
    struct snap_cluster out;
    struct buf json;
    memset(url, 'u', URL_BYTES);
    const char *const urls[] = {url};
    const struct snap_member member = {
        .id = 1, .peer_urls = urls, .peer_urls_count = 1, .is_learner = true};
    const struct snap_cluster cluster = {.members = &member, .members_count = 1};
    buf_init(&json, SNAP_FILE_MAX);
    snap_v2_json(&cluster, &json);
    assert_false(err_is(snap_v2_parse(buf_slice(&json), *state, &out, NULL)));
    buf_fini(&json);
    assert_true(out.members[0].is_learner);
    assert_string_equal(out.members[0].peer_urls[0], url);
    free(url);
}

/* As a member of 3.5 wrote it: one voter, one learner, one removed. */
static void test_etcds_store_is_read(void **state)
{
    static uint8_t bytes[FILE_MAX];
    struct snap_cluster out;
    FILE *file = fopen(KETCD_SOURCE_DIR "/tests/fuzz/corpus/v2_store/etcd_35", "re");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    assert_false(err_is(snap_v2_parse(slice_of(bytes, len), *state, &out, NULL)));
    assert_int_equal(out.members_count, 2);
    assert_string_equal(find(&out, 0xc3d2344b44aac5bc)->name, "default");
    assert_string_equal(find(&out, 0xc3d2344b44aac5bc)->client_urls[0], "http://127.0.0.1:23500");
    assert_true(find(&out, 0x332ac4c0b9253e85)->is_learner);
    assert_int_equal(out.removed_count, 1);
    assert_int_equal(out.removed[0], 0x98c089c9c50008ba);
    assert_string_equal(out.version, "3.5.0");
}

static void refuse(struct arena *arena, const char *text)
{
    struct snap_cluster out;
    struct why why = {""};
    assert_true(IS(snap_v2_parse(slice_str(text), arena, &out, &why), BAD_FORMAT));
    assert_string_not_equal(why.text, "");
}

#define MEMBERS(text)                                                                              \
    "{\"Root\":{\"Children\":{\"0\":{\"Children\":{\"members\":{\"Children\":" text "}}}}}}"

static void test_malformed_stores_are_refused(void **state)
{
    refuse(*state, "");
    refuse(*state, "{");
    refuse(*state, "[]");
    refuse(*state, "{\"CurrentIndex\":1}");
    refuse(*state, MEMBERS("{\"xyz\":{\"Children\":null}}"));
    refuse(*state, MEMBERS("{\"0\":{\"Children\":null}}"));
    refuse(*state, MEMBERS("{\"1\":{\"Children\":null}}"));
    refuse(*state, MEMBERS("{\"1\":{\"Children\":{\"raftAttributes\":{\"Value\":\"[]\"}}}}"));
    refuse(*state,
        MEMBERS(
            "{\"1\":{\"Children\":{\"raftAttributes\":{\"Value\":\"{\\\"peerURLs\\\":[1]}\"}}}}"));
}

#define NAMED(text)                                                                                \
    MEMBERS("{\"1\":{\"Children\":{\"raftAttributes\":{\"Value\":\"{}\"},"                         \
            "\"attributes\":{\"Value\":\"{\\\"name\\\":" text "}\"}}}}")

static void test_name_that_is_no_text(void **state)
{
    struct snap_cluster out;
    assert_false(err_is(snap_v2_parse(slice_str(NAMED("null")), *state, &out, NULL)));
    assert_string_equal(out.members[0].name, "");
    refuse(*state, NAMED("1"));
    refuse(*state, NAMED("[]"));
}

/* {"1":child,"2":child,…}, in a store. */
static struct err parse_many(struct arena *arena, const char *folder, size_t count,
    const char *child, struct snap_cluster *out)
{
    struct buf json;
    buf_init(&json, SNAP_FILE_MAX);
    buf_printf(
        &json, "{\"Root\":{\"Children\":{\"0\":{\"Children\":{\"%s\":{\"Children\":{", folder);
    for (size_t i = 1; i <= count; i++) {
        buf_printf(&json, "%s\"%zx\":%s", i > 1 ? "," : "", i, child);
    }
    buf_add_str(&json, "}}}}}}}");
    struct err err = snap_v2_parse(buf_slice(&json), arena, out, NULL);
    buf_fini(&json);
    return err;
}

static void test_members_are_bounded(void **state)
{
    enum { MEMBERS = 128 };
    static const char member[] = "{\"Children\":{\"raftAttributes\":{\"Value\":\"{}\"}}}";
    struct snap_cluster out;
    assert_false(err_is(parse_many(*state, "members", MEMBERS, member, &out)));
    assert_int_equal(out.members_count, MEMBERS);
    assert_true(IS(parse_many(*state, "members", MEMBERS + 1, member, &out), TOO_BIG));
}

static void test_removed_members_are_bounded(void **state)
{
    enum { REMOVED = 65536 };
    struct snap_cluster out;
    assert_false(err_is(parse_many(*state, "removed_members", REMOVED, "{}", &out)));
    assert_int_equal(out.removed_count, REMOVED);
    assert_true(IS(parse_many(*state, "removed_members", REMOVED + 1, "{}", &out), TOO_BIG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_name_that_is_no_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_urls_are_read_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_written_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_urls_are_written_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_etcds_store_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_stores_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_members_are_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
