/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lease.h"

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
    struct lease_table *table;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));
    folder_make(f->dir);
    assert_false(
        err_is(backend_open(&(struct backend_options){.path = f->dir}, &f->backend, NULL)));
    f->batch = backend_batch_new();
    f->table = lease_table_new(2);
    f->arena = arena_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    lease_table_free(f->table);
    backend_batch_free(f->batch);
    backend_close(f->backend);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static int64_t grant(struct fixture *f, int64_t id, int64_t ttl_s)
{
    int64_t granted = 0;
    assert_false(err_is(lease_grant(f->table, id, ttl_s, f->batch, &granted)));
    return granted;
}

static struct lease_info look(struct fixture *f, int64_t id, int64_t now_ms)
{
    struct lease_info info;
    assert_false(err_is(lease_look(f->table, id, now_ms, f->arena, &info, NULL, NULL)));
    return info;
}

static void test_grant_refuses_what_etcd_refuses(void **state)
{
    struct fixture *f = *state;
    int64_t granted = -7;
    assert_true(IS(lease_grant(f->table, 0, 10, f->batch, &granted), LEASE_NOT_FOUND));
    assert_true(
        IS(lease_grant(f->table, 1, LEASE_TTL_MAX + 1, f->batch, &granted), LEASE_TTL_TOO_LARGE));
    assert_int_equal(granted, -7);
    assert_int_equal(grant(f, 1, 10), 10);
    assert_true(IS(lease_grant(f->table, 1, 10, f->batch, &granted), LEASE_EXIST));
    assert_int_equal(lease_count(f->table), 1);
}

static void test_grant_raises_short_ttls(void **state)
{
    assert_int_equal(grant(*state, 5, 1), 2);
    assert_int_equal(grant(*state, 6, -3), 2);
}

static void test_nothing_expires_without_promotion(void **state)
{
    struct fixture *f = *state;
    int64_t ids[4];
    grant(f, 1, 2);
    assert_int_equal(lease_expired(f->table, 1000000, 100, ids, 4), 0);
    assert_int_equal(look(f, 1, 1000000).remaining_s, -1);
    assert_true(IS(lease_renew(f->table, 1, 0, ids), NOT_LEADER));
}

static void test_expiry_comes_at_its_time_and_again_after_the_retry(void **state)
{
    struct fixture *f = *state;
    int64_t ids[4];
    lease_promote(f->table, 1000, 0);
    grant(f, 7, 2);
    grant(f, 8, 5);
    assert_int_equal(lease_expired(f->table, 3000, 100, ids, 4), 0); /* perhaps it was 1000.9 */
    assert_int_equal(lease_expired(f->table, 3001, 100, ids, 4), 1);
    assert_int_equal(ids[0], 7);
    assert_int_equal(lease_expired(f->table, 3101, 100, ids, 4), 0);
    assert_int_equal(lease_expired(f->table, 3102, 100, ids, 4), 1);
    assert_int_equal(lease_expired(f->table, 10000, 100, ids, 1), 1);
}

static void test_an_expired_lease_is_not_renewed(void **state)
{
    struct fixture *f = *state;
    int64_t ttl_s = 0;
    lease_promote(f->table, 0, 0);
    grant(f, 7, 2);
    assert_false(err_is(lease_renew(f->table, 7, 2000, &ttl_s)));
    assert_int_equal(ttl_s, 2);
    assert_true(IS(lease_renew(f->table, 7, 4001, &ttl_s), LEASE_NOT_FOUND));
    assert_true(IS(lease_renew(f->table, 9, 0, &ttl_s), LEASE_NOT_FOUND));
}

static void test_promotion_extends_and_demotion_stops(void **state)
{
    struct fixture *f = *state;
    int64_t ids[4];
    grant(f, 7, 10);
    lease_promote(f->table, 5000, 1000);
    assert_int_equal(look(f, 7, 5000).remaining_s, 11);
    lease_demote(f->table);
    assert_int_equal(lease_expired(f->table, 100000, 100, ids, 4), 0);
}

static size_t expired_at(struct fixture *f, int64_t now_ms)
{
    static int64_t ids[8192];
    return lease_expired(f->table, now_ms, 1000000, ids, COUNT_OF(ids));
}

static void grant_many(struct fixture *f, int count, int64_t ttl_s)
{
    for (int i = 1; i <= count; i++) {
        grant(f, i, ttl_s);
    }
}

/* etcd's: from a thousand leases on, no more than 750 of them end in a second. */
static void test_promotion_spreads_what_would_end_at_once(void **state)
{
    struct fixture *f = *state;
    grant_many(f, 3000, 10);
    lease_promote(f->table, 0, 0);
    assert_int_equal(expired_at(f, 10000), 0);
    assert_int_equal(expired_at(f, 10001), 750);
    assert_int_equal(expired_at(f, 11001), 0);
    assert_int_equal(expired_at(f, 12001), 750);
    assert_int_equal(expired_at(f, 14001), 1500);
}

static void test_promotion_leaves_few_leases_alone(void **state)
{
    struct fixture *f = *state;
    grant_many(f, 999, 10);
    lease_promote(f->table, 0, 0);
    assert_int_equal(expired_at(f, 10001), 999);
}

static void test_promotion_sorts_any_times(void **state)
{
    enum { LEASES = 700 };
    struct fixture *f = *state;
    int64_t ids[LEASES];
    for (int64_t i = 1; i <= LEASES; i++) { /* the id says the time */
        int64_t ttl_s = i * 7919 % 701 * 1000003 + 2;
        grant(f, ttl_s, ttl_s);
    }
    lease_promote(f->table, 500, 0);
    assert_int_equal(lease_expired(f->table, 500 + 1000003 * 1000, 9999999, ids, LEASES), 0);
    assert_int_equal(lease_expired(f->table, 501 + 1000005 * 1000, 9999999, ids, LEASES), 1);
    lease_demote(f->table);
    lease_promote(f->table, 500, 0);
    size_t count = lease_expired(f->table, INT64_C(800000000000), 9999999, ids, LEASES);
    assert_int_equal(count, LEASES);
    for (size_t i = 1; i < count; i++) {
        assert_true(ids[i - 1] < ids[i]);
    }
}

static void test_a_checkpoint_shortens_the_next_promotion(void **state)
{
    struct fixture *f = *state;
    grant(f, 7, 100);
    lease_checkpoint(f->table, 7, 30, f->batch);
    lease_checkpoint(f->table, 99, 30, f->batch); /* unknown: passed over */
    lease_promote(f->table, 0, 0);
    assert_int_equal(look(f, 7, 0).remaining_s, 30);
}

static void test_long_leases_are_checkpointed_while_they_run(void **state)
{
    struct fixture *f = *state;
    struct lease_remains due[4];
    grant(f, 1, 1000);
    grant(f, 2, 200); /* shorter than the interval */
    assert_int_equal(lease_checkpoints_due(f->table, INT64_MAX, due, 4), 0); /* nobody leads */
    lease_promote(f->table, 0, 0);
    assert_int_equal(lease_checkpoints_due(f->table, LEASE_CHECKPOINT_MS - 1, due, 4), 0);
    assert_int_equal(lease_checkpoints_due(f->table, LEASE_CHECKPOINT_MS, due, 4), 1);
    assert_int_equal(due[0].id, 1);
    assert_int_equal(due[0].remaining_s, 700);
    assert_int_equal(lease_checkpoints_due(f->table, LEASE_CHECKPOINT_MS, due, 4), 0);
    assert_int_equal(lease_checkpoints_due(f->table, 2 * LEASE_CHECKPOINT_MS, due, 4), 1);
    assert_int_equal(due[0].remaining_s, 400);
    lease_demote(f->table);
    assert_int_equal(lease_checkpoints_due(f->table, INT64_MAX, due, 4), 0);
}

static void assert_renewed(struct fixture *f, int64_t id, int64_t now_ms, int64_t ttl_s)
{
    int64_t found_s = 0;
    assert_int_equal(lease_renew(f->table, id, now_ms, &found_s).code, ERR_OK);
    assert_int_equal(found_s, ttl_s);
    assert_int_equal(look(f, id, now_ms).remaining_s, ttl_s);
}

/* Until then nobody may believe in it, whoever looks. */
static void assert_not_yet_renewed(struct fixture *f, int64_t id, int64_t now_ms, int64_t left_s)
{
    int64_t found_s = -7;
    assert_true(IS(lease_renew(f->table, id, now_ms, &found_s), AGAIN));
    assert_int_equal(found_s, -7);
    assert_int_equal(look(f, id, now_ms).remaining_s, left_s);
}

static void test_a_renewal_waits_until_the_checkpoint_is_taken_back(void **state)
{
    struct fixture *f = *state;
    struct lease_remains due[4];
    grant(f, 1, 1000);
    lease_checkpoint(f->table, 1, 400, f->batch);
    lease_promote(f->table, 0, 0);
    assert_not_yet_renewed(f, 1, 0, 400);
    assert_not_yet_renewed(f, 1, 0, 400);
    lease_checkpoint(f->table, 1, 0, f->batch);
    assert_renewed(f, 1, 10, 1000);
    assert_renewed(f, 1, 20, 1000);
    assert_int_equal(lease_checkpoints_due(f->table, 20, due, 4), 0);
}

static void test_a_renewal_waits_behind_a_checkpoint_on_its_way(void **state)
{
    struct fixture *f = *state;
    struct lease_remains due[4];
    grant(f, 1, 1000);
    lease_promote(f->table, 0, 0);
    assert_renewed(f, 1, 0, 1000);
    assert_int_equal(lease_checkpoints_due(f->table, LEASE_CHECKPOINT_MS, due, 4), 1);
    assert_not_yet_renewed(f, 1, LEASE_CHECKPOINT_MS, 700);
    lease_checkpoint(f->table, 1, due[0].remaining_s, f->batch);
    assert_not_yet_renewed(f, 1, LEASE_CHECKPOINT_MS, 700);
    lease_checkpoint(f->table, 1, 0, f->batch);
    assert_renewed(f, 1, LEASE_CHECKPOINT_MS, 1000);
}

static void test_a_checkpoint_overtaken_by_a_renewal_is_put_right(void **state)
{
    struct fixture *f = *state;
    struct lease_remains due[4];
    grant(f, 1, 1000);
    lease_promote(f->table, 0, 0);
    lease_set_now(f->table, 5000);
    lease_checkpoint(f->table, 1, 994, f->batch); /* as near as seconds go */
    assert_int_equal(lease_checkpoints_due(f->table, 5000, due, 4), 0);
    lease_checkpoint(f->table, 1, 993, f->batch);
    assert_int_equal(lease_checkpoints_due(f->table, 5000, due, 4), 1);
    assert_int_equal(due[0].id, 1);
    assert_int_equal(due[0].remaining_s, 995);
    assert_int_equal(lease_checkpoints_due(f->table, 5000, due, 4), 0);
}

/* Whoever is elected may not have applied all that was answered. */
static void test_a_checkpoint_taken_back_counts_for_who_already_leads(void **state)
{
    struct fixture *f = *state;
    int64_t ids[4];
    grant(f, 1, 1000);
    grant(f, 2, 1000);
    lease_checkpoint(f->table, 1, 4, f->batch);
    lease_checkpoint(f->table, 2, 4, f->batch);
    lease_promote(f->table, 0, 0);
    lease_set_now(f->table, 5000); /* late; but nobody was told to revoke it */
    lease_checkpoint(f->table, 1, 0, f->batch);
    assert_int_equal(look(f, 1, 5000).remaining_s, 1000);
    assert_int_equal(lease_expired(f->table, 5000, 100, ids, 4), 1);
    assert_int_equal(ids[0], 2);
    lease_checkpoint(f->table, 2, 0, f->batch);
    assert_int_equal(look(f, 2, 5000).remaining_s, 0);
    assert_true(IS(lease_renew(f->table, 2, 5000, ids), LEASE_NOT_FOUND));
}

static void test_a_checkpoint_taken_back_shortens_nothing(void **state)
{
    struct fixture *f = *state;
    struct lease_remains due[4];
    grant(f, 1, 1000);
    lease_promote(f->table, 0, 3000);
    lease_checkpoint(f->table, 1, 0, f->batch);
    assert_int_equal(look(f, 1, 0).remaining_s, 1003);
    assert_int_equal(lease_checkpoints_due(f->table, 0, due, 4), 0); /* nothing says more */
    lease_demote(f->table);
    lease_checkpoint(f->table, 1, 0, f->batch);
    assert_int_equal(look(f, 1, 0).remaining_s, -1);
}

static void test_a_life_past_all_bounds_does_not_end_at_once(void **state)
{
    struct fixture *f = *state;
    int64_t ids[4];
    grant(f, 7, 10);
    lease_checkpoint(f->table, 7, INT64_MAX, f->batch);
    lease_promote(f->table, 1000, 0);
    assert_int_equal(lease_expired(f->table, 2000, 100, ids, 4), 0);
}

static void test_revoke_hands_out_keys_in_order(void **state)
{
    static const char *const names[] = {"b", "a", "c", "ab"};
    static const char *const sorted[] = {"a", "ab", "c"};
    struct fixture *f = *state;
    struct blob **keys;
    size_t count;
    grant(f, 7, 10);
    grant(f, 8, 10);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct blob *key = blob_new(slice_str(names[i]));
        lease_change(f->table, key, 0, 7);
        blob_unref(key);
    }
    struct blob *moved = blob_new(SLICE("b"));
    lease_change(f->table, moved, 7, 8);
    blob_unref(moved);
    assert_false(err_is(lease_revoke(f->table, 7, f->batch, f->arena, &keys, &count)));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_eq(blob_slice(keys[i]), slice_str(sorted[i])));
    }
    assert_false(lease_exists(f->table, 7));
    assert_true(IS(lease_revoke(f->table, 7, f->batch, f->arena, &keys, &count), LEASE_NOT_FOUND));
    assert_false(err_is(lease_revoke(f->table, 8, f->batch, f->arena, &keys, &count)));
    assert_int_equal(count, 1);
}

static void test_rows_bring_leases_back(void **state)
{
    struct fixture *f = *state;
    struct blob **keys;
    size_t count;
    grant(f, 7, 100);
    grant(f, INT64_MAX, 50);
    grant(f, 9, 10);
    lease_checkpoint(f->table, 7, 30, f->batch);
    assert_false(err_is(lease_revoke(f->table, 9, f->batch, f->arena, &keys, &count)));
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));
    struct lease_table *again = lease_table_new(2);
    assert_false(err_is(lease_load(again, f->backend, NULL)));
    assert_int_equal(lease_count(again), 2);
    lease_table_free(f->table);
    f->table = again;
    lease_promote(again, 0, 0);
    assert_int_equal(look(f, 7, 0).remaining_s, 30);
    assert_int_equal(look(f, INT64_MAX, 0).granted_s, 50);
}

/* Granted while the election timeout was shorter. */
static void test_short_ttls_of_the_store_are_raised(void **state)
{
    struct fixture *f = *state;
    int64_t ttl_s = 0;
    grant(f, 7, 3);
    grant(f, 8, 100);
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));
    struct lease_table *again = lease_table_new(60);
    assert_false(err_is(lease_load(again, f->backend, NULL)));
    lease_table_free(f->table);
    f->table = again;
    lease_promote(again, 0, 0);
    assert_int_equal(look(f, 7, 0).remaining_s, 60);
    assert_int_equal(look(f, 8, 0).granted_s, 100);
    assert_false(err_is(lease_renew(again, 7, 0, &ttl_s)));
    assert_int_equal(ttl_s, 60);
}

static void test_a_malformed_row_is_refused(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    backend_batch_put(f->batch, SLICE("mlease/12345678"), SLICE("\xff\xff"));
    assert_false(err_is(backend_write(f->backend, f->batch, NULL)));
    assert_true(IS(lease_load(f->table, f->backend, &why), BAD_FORMAT));
    assert_non_null(strstr(why.text, "lease row"));
}

static void test_list_begins_with_the_soonest(void **state)
{
    struct fixture *f = *state;
    struct lease_info *list;
    lease_promote(f->table, 0, 0);
    grant(f, 1, 30);
    grant(f, 2, 10);
    grant(f, 3, 20);
    assert_int_equal(lease_list(f->table, f->arena, &list), 3);
    assert_int_equal(list[0].id, 2);
    assert_int_equal(list[1].id, 3);
    assert_int_equal(list[2].id, 1);
}

static void test_list_keeps_the_order_of_grants_at_one_time(void **state)
{
    struct fixture *f = *state;
    struct lease_info *list;
    lease_promote(f->table, 0, 0);
    grant(f, 9, 30);
    grant(f, 3, 30);
    grant(f, 5, 30);
    assert_int_equal(lease_list(f->table, f->arena, &list), 3);
    assert_int_equal(list[0].id, 9);
    assert_int_equal(list[1].id, 3);
    assert_int_equal(list[2].id, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_grant_refuses_what_etcd_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grant_raises_short_ttls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_expires_without_promotion, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_expiry_comes_at_its_time_and_again_after_the_retry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_expired_lease_is_not_renewed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promotion_extends_and_demotion_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_promotion_spreads_what_would_end_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promotion_leaves_few_leases_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promotion_sorts_any_times, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_checkpoint_shortens_the_next_promotion, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_long_leases_are_checkpointed_while_they_run, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_renewal_waits_until_the_checkpoint_is_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_renewal_waits_behind_a_checkpoint_on_its_way, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_checkpoint_overtaken_by_a_renewal_is_put_right, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_checkpoint_taken_back_counts_for_who_already_leads, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_checkpoint_taken_back_shortens_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_life_past_all_bounds_does_not_end_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoke_hands_out_keys_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_bring_leases_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_ttls_of_the_store_are_raised, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_malformed_row_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_begins_with_the_soonest, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_list_keeps_the_order_of_grants_at_one_time, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
