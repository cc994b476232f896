/* SPDX-License-Identifier: Apache-2.0 */
#include "member/member.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/shared/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[FOLDER_PATH_MAX];
    struct backend *backend;
    struct backend_batch *batch;
    struct member_table *table;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));
    folder_make(f->dir);
    assert_false(
        err_is(backend_open(&(struct backend_options){.path = f->dir}, &f->backend, NULL)));
    f->batch = backend_batch_new();
    f->table = member_table_new(77, 1);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    member_table_free(f->table);
    backend_batch_free(f->batch);
    backend_close(f->backend);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static struct err add(struct fixture *f, uint64_t id, const char *url, bool is_learner)
{
    struct member member = {
        .id = id, .name = "", .peer_urls = &url, .peer_urls_count = 1, .is_learner = is_learner};
    return member_add(f->table, &member, f->batch);
}

/* Numbers that a reference member printed for this name, URL and token. */
static void test_ids_are_etcds(void **state)
{
    (void)state;
    const char *url = "http://127.0.0.1:21701";
    uint64_t id = member_id_hash(&url, 1, "token-01", 0);
    assert_true(id == 0x38e2e80a6b2fd4da);
    assert_true(member_cluster_id_hash(&id, 1) == 0x8cb9f9d30029f1c6);
}

static void test_ids_do_not_depend_on_the_order_of_urls(void **state)
{
    (void)state;
    const char *one[] = {"http://a:1", "http://b:1"};
    const char *two[] = {"http://b:1", "http://a:1"};
    assert_true(member_id_hash(one, 2, "t", 5) == member_id_hash(two, 2, "t", 5));
    assert_false(member_id_hash(one, 2, "t", 5) == member_id_hash(one, 2, "t", 6));
}

static void test_add_refuses_what_clashes(void **state)
{
    struct fixture *f = *state;
    assert_false(err_is(add(f, 1, "http://a:1", false)));
    assert_true(IS(add(f, 1, "http://b:1", false), MEMBER_EXIST));
    assert_true(IS(add(f, 2, "http://a:1", false), PEER_URL_EXIST));
    assert_false(err_is(add(f, 2, "http://b:1", true)));
    assert_true(IS(add(f, 3, "http://c:1", true), TOO_MANY_LEARNERS));
}

static void test_a_removed_id_never_comes_back(void **state)
{
    struct fixture *f = *state;
    assert_true(IS(member_remove(f->table, 1, f->batch), MEMBER_NOT_FOUND));
    assert_false(err_is(add(f, 1, "http://a:1", false)));
    assert_false(err_is(member_remove(f->table, 1, f->batch)));
    assert_true(member_is_removed(f->table, 1));
    assert_true(IS(add(f, 1, "http://a:1", false), MEMBER_NOT_FOUND));
    assert_false(err_is(add(f, 2, "http://a:1", false)));
}

static void test_promote_and_update_keep_the_rest(void **state)
{
    struct fixture *f = *state;
    const char *url = "http://z:1";
    struct member out;
    assert_true(IS(member_promote(f->table, 1, f->batch), MEMBER_NOT_FOUND));
    assert_false(err_is(add(f, 1, "http://a:1", true)));
    struct member update = {.id = 1, .name = "", .peer_urls = &url, .peer_urls_count = 1};
    assert_false(err_is(member_update_peers(f->table, &update, f->batch)));
    assert_true(member_find(f->table, 1, f->arena, &out));
    assert_true(member_self_is_learner(f->table));
    assert_true(out.is_learner); /* an update of URLs does not promote */
    assert_string_equal(out.peer_urls[0], url);
    assert_false(err_is(member_promote(f->table, 1, f->batch)));
    assert_true(IS(member_promote(f->table, 1, f->batch), MEMBER_NOT_LEARNER));
    assert_false(member_self_is_learner(f->table));
}

static void test_rows_bring_members_back(void **state)
{
    struct fixture *f = *state;
    const char *client = "http://c:2379";
    struct member said = {.name = "n1", .client_urls = &client, .client_urls_count = 1};
    struct member *list;
    assert_false(err_is(add(f, 9, "http://b:1", true)));
    assert_false(err_is(add(f, 1, "http://a:1", false)));
    assert_false(err_is(add(f, 5, "http://e:1", false)));
    assert_false(err_is(member_remove(f->table, 5, f->batch)));
    member_set_attributes(f->table, 1, &said, f->batch);
    member_set_attributes(f->table, 4, &said, f->batch); /* unknown: passed over */
    assert_string_equal(member_cluster_version(f->table), "not_decided");
    member_set_cluster_version(f->table, "3.6.0", f->batch);
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));

    struct member_table *again = member_table_new(77, 1);
    assert_false(err_is(member_load(again, f->backend, NULL)));
    assert_int_equal(member_list(again, f->arena, &list), 2);
    assert_true(list[0].id == 1 && list[1].id == 9);
    assert_string_equal(list[0].name, "n1");
    assert_string_equal(list[0].client_urls[0], client);
    assert_true(list[1].is_learner);
    assert_true(member_is_removed(again, 5));
    assert_string_equal(member_cluster_version(again), "3.6.0");
    member_table_free(again);
}

/* A request has room for more than a MiB of URLs, and a name with it. */
static void test_long_urls_are_kept_whole(void **state)
{
    enum { URL_BYTES = 3 * 512 * 1024 };
    struct fixture *f = *state;
    bool is_promote = false;
    struct member back;
    struct member *list;
    char *url = mem_new(URL_BYTES + 1);
    memset(url, 'u', URL_BYTES);
    struct member member = {.id = 1,
        .name = "last",
        .peer_urls = (const char *const *)&url,
        .peer_urls_count = 1,
        .client_urls = (const char *const *)&url,
        .client_urls_count = 1};
    assert_false(
        err_is(member_from_json(member_to_json(&member, f->arena), f->arena, &back, &is_promote)));
    assert_string_equal(back.client_urls[0], url);
    assert_false(err_is(member_from_json(
        member_attributes_to_json(&member, f->arena), f->arena, &back, &is_promote)));
    assert_string_equal(back.client_urls[0], url);
    assert_false(err_is(member_add(f->table, &member, f->batch)));
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));
    struct member_table *again = member_table_new(77, 1);
    assert_false(err_is(member_load(again, f->backend, NULL)));
    assert_int_equal(member_list(again, f->arena, &list), 1);
    assert_string_equal(list[0].name, "last");
    assert_string_equal(list[0].peer_urls[0], url);
    member_table_free(again);
    free(url);
}

static void test_malformed_rows_are_refused(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    backend_batch_put(f->batch, SLICE("mmember/12345678"), SLICE("\xff"));
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));
    assert_true(IS(member_load(f->table, f->backend, &why), BAD_FORMAT));
}

static void test_json_is_etcds(void **state)
{
    struct fixture *f = *state;
    const char *url = "http://a:1/x";
    struct member member = {
        .id = UINT64_MAX, .name = "q\"<\xff", .peer_urls = &url, .peer_urls_count = 1};
    struct member back;
    bool is_promote = true;
    struct slice json = member_to_json(&member, f->arena);
    assert_true(slice_eq(json, SLICE("{\"id\":18446744073709551615,\"peerURLs\":[\"http://a:1/"
                                     "x\"],\"name\":\"q\\\"\\u003c\\ufffd\"}")));
    assert_false(err_is(member_from_json(json, f->arena, &back, &is_promote)));
    assert_true(back.id == UINT64_MAX && !is_promote);
    assert_string_equal(back.peer_urls[0], url);
    assert_false(err_is(member_from_json(
        SLICE("{\"id\":3,\"peerURLs\":null,\"isLearner\":true,\"isPromote\":true}"), f->arena,
        &back, &is_promote)));
    assert_true(is_promote && back.is_learner);
}

/* An etcd's member takes any number of them, and then they stand in the log. */
static void test_json_with_many_urls_is_read_whole(void **state)
{
    enum { URLS = 1000 };
    struct fixture *f = *state;
    static const char *urls[URLS];
    for (size_t i = 0; i < URLS; i++) {
        urls[i] = arena_printf(f->arena, "http://a:%zu", i + 1);
    }
    const struct member member = {.id = 3, .name = "", .peer_urls = urls, .peer_urls_count = URLS};
    struct member back;
    bool is_promote;
    assert_false(
        err_is(member_from_json(member_to_json(&member, f->arena), f->arena, &back, &is_promote)));
    assert_int_equal(back.peer_urls_count, URLS);
    assert_string_equal(back.peer_urls[URLS - 1], "http://a:1000");
}

/* As etcd lays its store out: no row tells of it before 3.6. */
static void test_the_storage_version_is_the_clusters(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *cluster, *storage, *row;
    } rows[] = {{"3.4.0", "3.5.0", NULL}, {"3.5.0", "3.5.0", NULL}, {"3.6.0", "3.6.0", "3.6.0"},
        {"3.7.0", "3.7.0", "3.7.0"}};
    assert_null(member_storage_version(f->table));
    assert_null(member_storage_row(f->table));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        member_set_cluster_version(f->table, rows[i].cluster, f->batch);
        assert_string_equal(member_storage_version(f->table), rows[i].storage);
        const char *row = member_storage_row(f->table);
        assert_string_equal(row ? row : "none", rows[i].row ? rows[i].row : "none");
    }
}

static void test_every_cluster_version_is_shown(void **state)
{
    struct fixture *f = *state;
    const char *first = NULL;
    char version[16];
    for (int i = 0; i < 200; i++) {
        snprintf(version, sizeof(version), "3.%d.0", i % 100);
        member_set_cluster_version(f->table, version, f->batch);
        assert_string_equal(member_cluster_version(f->table), version);
        first = first ? first : member_cluster_version(f->table);
    }
    assert_string_equal(first, "3.0.0"); /* still there */
}

static void test_a_list_is_read_as_members_answer_it(void **state)
{
    static const char *const bad[] = {"", "{}", "[1]", "[{\"id\":1,\"peerURLs\":3}]", "[{}"};
    struct fixture *f = *state;
    struct member *list;
    size_t count = 0;
    assert_false(err_is(member_list_from_json(
        SLICE("[{\"id\":18446744073709551615,\"peerURLs\":[\"http://a:1\"],\"name\":\"n\","
              "\"clientURLs\":[\"http://c:1\"]},{\"id\":2,\"peerURLs\":[\"http://b:1\"],"
              "\"isLearner\":true}]\n"),
        f->arena, &list, &count)));
    assert_int_equal(count, 2);
    assert_true(list[0].id == UINT64_MAX && list[0].client_urls_count == 1);
    assert_true(list[1].is_learner && list[1].name[0] == '\0');
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_true(err_is(member_list_from_json(slice_str(bad[i]), f->arena, &list, &count)));
    }
}

static struct err take_many(struct arena *arena, size_t count)
{
    struct buf json;
    struct member *list;
    buf_init(&json, SIZE_MAX);
    buf_add_str(&json, "[");
    for (size_t i = 1; i <= count; i++) {
        buf_printf(&json, "%s{\"id\":%zu}", i > 1 ? "," : "", i);
    }
    buf_add_str(&json, "]");
    struct err err = member_list_from_json(buf_slice(&json), arena, &list, &count);
    buf_fini(&json);
    return err;
}

static void test_a_list_is_bounded(void **state)
{
    enum { MEMBERS = 128 };
    struct fixture *f = *state;
    assert_false(err_is(take_many(f->arena, MEMBERS)));
    assert_true(IS(take_many(f->arena, MEMBERS + 1), BAD_FORMAT));
}

static void test_bad_json_is_refused(void **state)
{
    static const char *const bad[] = {"", "[]", "{\"id\":1,\"peerURLs\":\"x\"}",
        "{\"peerURLs\":[1]}", "{\"id\":", "{\"name\":3}", "[[[[[[[[[[[[[[[[[[[[[[[[[[[["};
    struct fixture *f = *state;
    struct member out;
    bool is_promote;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_true(
            IS(member_from_json(slice_str(bad[i]), f->arena, &out, &is_promote), BAD_FORMAT));
    }
}

static void start(struct fixture *f, uint64_t id)
{
    struct member said = {.name = "n"};
    member_set_attributes(f->table, id, &said, f->batch);
}

static void test_strict_checks_want_a_started_majority(void **state)
{
    struct fixture *f = *state;
    assert_false(err_is(add(f, 1, "http://a:1", false)));
    assert_false(member_can_add_voter(f->table)); /* of two, none has started */
    start(f, 1);
    assert_true(member_can_add_voter(f->table)); /* a restored member grows */
    assert_true(member_can_promote(f->table));
    assert_false(err_is(add(f, 2, "http://b:1", false)));
    assert_false(member_can_add_voter(f->table));       /* one of three */
    assert_false(member_can_remove_voter(f->table, 1)); /* would leave the silent one */
    assert_true(member_can_remove_voter(f->table, 2));
    assert_true(member_can_promote(f->table)); /* it counts as started */
    start(f, 2);
    assert_true(member_can_add_voter(f->table));
    assert_false(err_is(add(f, 3, "http://c:1", true)));
    assert_true(member_can_add_voter(f->table)); /* learners do not count */
}

static void test_learners_are_limited_as_said(void **state)
{
    struct fixture *f = *state;
    member_limit_learners(f->table, 2);
    assert_false(err_is(add(f, 1, "http://a:1", true)));
    assert_false(err_is(add(f, 2, "http://b:1", true)));
    assert_true(IS(add(f, 3, "http://c:1", true), TOO_MANY_LEARNERS));
}

static bool decide(const char *current, const char *a, const char *b, const char *target,
    struct member_version *out)
{
    struct member_version now;
    const char *versions[] = {a, b};
    struct member_downgrade downgrade = {.is_enabled = target != NULL};
    snprintf(downgrade.target, sizeof(downgrade.target), "%s", target ? target : "");
    assert_true(!current || member_version_parse(current, &now));
    return member_version_decide(current ? &now : NULL, versions, 2, &downgrade, out);
}

static void test_the_cluster_version_is_the_lowest_member_s(void **state)
{
    struct member_version v = {0};
    (void)state;
    assert_true(decide(NULL, "3.6.14", "3.5.30", NULL, &v) && v.major == 3 && v.minor == 5);
    assert_true(decide(NULL, "3.6.14", NULL, NULL, &v) && v.minor == 0); /* one is not known */
    assert_true(decide("3.0.0", "3.6.14", "3.6.1", NULL, &v) && v.minor == 6);
    assert_false(decide("3.0.0", "3.6.14", NULL, NULL, &v));
    assert_false(decide("3.6.0", "3.6.14", "3.6.0", NULL, &v));
    assert_false(decide("3.6.0", "3.6.14", "3.5.0", NULL, &v)); /* never down by itself */
    assert_true(decide("3.6.0", "3.6.14", "3.6.1", "3.5.0", &v) && v.minor == 5);
    assert_false(decide("3.5.0", "3.6.14", "3.5.1", "3.5.0", &v)); /* it is there */
    assert_false(decide("3.6.0", "3.6.14", "3.6.1", "3.4.0", &v));
    assert_false(member_version_parse("x.1", &v) || member_version_parse("3", &v) ||
                 member_version_parse("3.6x", &v) || member_version_parse(NULL, &v));
}

static void test_a_downgrade_is_remembered_and_a_load_replaces_all(void **state)
{
    struct fixture *f = *state;
    struct member_downgrade downgrade = {true, "3.5.0"};
    uint64_t *removed;
    struct member *list;
    member_set_downgrade(f->table, &downgrade, f->batch);
    assert_false(err_is(add(f, 7, "http://a:1", false)));
    assert_false(err_is(member_remove(f->table, 7, f->batch)));
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));
    backend_batch_reset(f->batch);
    assert_false(err_is(add(f, 8, "http://b:1", false))); /* never written */
    assert_false(err_is(member_load(f->table, f->backend, NULL)));
    member_downgrade_get(f->table, &downgrade);
    assert_true(downgrade.is_enabled);
    assert_string_equal(downgrade.target, "3.5.0");
    assert_int_equal(member_list(f->table, f->arena, &list), 0);
    assert_int_equal(member_removed(f->table, f->arena, &removed), 1);
    assert_true(removed[0] == 7);
    downgrade.is_enabled = false;
    member_set_downgrade(f->table, &downgrade, f->batch);
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));
    assert_false(err_is(member_load(f->table, f->backend, NULL)));
    member_downgrade_get(f->table, &downgrade);
    assert_false(downgrade.is_enabled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ids_are_etcds, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_ids_do_not_depend_on_the_order_of_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_refuses_what_clashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_removed_id_never_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promote_and_update_keep_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_bring_members_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_urls_are_kept_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_rows_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_strict_checks_want_a_started_majority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learners_are_limited_as_said, setup, teardown),
        cmocka_unit_test(test_the_cluster_version_is_the_lowest_member_s),
        cmocka_unit_test_setup_teardown(
            test_a_downgrade_is_remembered_and_a_load_replaces_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_is_etcds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_with_many_urls_is_read_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_storage_version_is_the_clusters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_cluster_version_is_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_list_is_read_as_members_answer_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_list_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_json_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
