/* SPDX-License-Identifier: Apache-2.0
 * The numbers are etcd 3.5.30's, for the same puts, deletes, transactions and compactions. */
#include "place.h"

#include "mvcc/state.h"

static void assert_hash(struct place *place, revision rev, uint32_t hash)
{
    struct mvcc_hash out;
    struct why why = {""};
    if (err_is(mvcc_hash_kv(place->mvcc, rev, &out, &why))) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(out.hash, hash);
    assert_int_equal(out.compact_rev, mvcc_compact_revision(place->mvcc));
    assert_int_equal(out.rev, rev ? rev : mvcc_revision(place->mvcc));
}

static void put_all(struct place *place)
{
    place_put(place, "a", "1", 0);
    place_put(place, "b", "2", 0);
    place_put(place, "a", "11", 0);
    place_put(place, "c", "", 0);
}

static void delete_some(struct place *place)
{
    const struct mvcc_change *changes;
    size_t count;
    place_delete(place, "b", "");
    place_put(place, "d", "4", 0);
    struct mvcc_txn *txn = mvcc_txn_begin(place->mvcc, place->batch);
    mvcc_txn_put(txn, SLICE("x"), SLICE("1"), 0);
    mvcc_txn_put(txn, SLICE("y"), SLICE("2"), 0);
    mvcc_txn_delete_range(txn, SLICE("a"), (struct slice){0});
    assert_int_equal(mvcc_txn_end(txn, &changes, &count), 8);
    assert_int_equal(count, 3);
    place_write(place);
}

static void test_hash_is_the_references(void **state)
{
    struct place *place = *state;
    assert_hash(place, 0, 1084519789);
    put_all(place);
    assert_hash(place, 0, 1046265091);
    assert_hash(place, 2, 2587454935);
    assert_hash(place, 3, 1827592406);
    assert_hash(place, 4, 2181957126);
    delete_some(place);
    assert_hash(place, 6, 901449133);
    assert_hash(place, 7, 135233584);
    assert_hash(place, 8, 1082924592);
    assert_hash(place, -3, 1084519789);
}

static void test_hash_after_compactions_is_the_references(void **state)
{
    struct place *place = *state;
    struct mvcc_hash out;
    put_all(place);
    delete_some(place);
    place_compact(place, 6);
    assert_hash(place, 7, 2990109440);
    assert_hash(place, 0, 504815596);
    assert_string_equal(err_name(mvcc_hash_kv(place->mvcc, 5, &out, NULL)), "COMPACTED");
    assert_string_equal(err_name(mvcc_hash_kv(place->mvcc, 9, &out, NULL)), "FUTURE_REV");
    place_put(place, "a", "5", 0);
    place_put(place, "d", "5", 0);
    assert_hash(place, 9, 2143580132);
    assert_hash(place, 10, 2210061469);
    place_compact(place, 8);
    assert_hash(place, 9, 1030805648);
    assert_hash(place, 10, 617929949);
    place_delete(place, "", "z");
    assert_hash(place, 10, 617929949);
    assert_hash(place, 11, 1841795332);
    place_compact(place, 9);
    assert_hash(place, 10, 617929949);
    assert_hash(place, 11, 1841795332);
    place_compact(place, 11);
    assert_hash(place, 0, 1084519789);
    place_put(place, "z", "1", 0);
    assert_hash(place, 0, 3615936642);
}

static void test_hash_does_not_hang_on_how_far_compaction_is(void **state)
{
    struct place *place = *state;
    bool is_done;
    put_all(place);
    delete_some(place);
    assert_false(err_is(mvcc_compact_begin(place->mvcc, 6, place->batch)));
    place_write(place);
    assert_hash(place, 0, 504815596);
    assert_false(err_is(mvcc_compact_step(place->mvcc, 2, &is_done, NULL)));
    assert_false(is_done);
    assert_hash(place, 7, 2990109440);
}

static void assert_kept(struct place *place, revision rev, uint32_t hash, revision compact_rev)
{
    struct mvcc_hash out;
    assert_false(err_is(mvcc_hash_kv(place->mvcc, rev, &out, NULL)));
    assert_int_equal(out.hash, hash);
    assert_int_equal(out.compact_rev, compact_rev);
    assert_int_equal(out.current_rev, mvcc_revision(place->mvcc));
}

static void test_compactions_are_remembered_by_their_hash(void **state)
{
    struct place *place = *state;
    struct mvcc_hash kept[MVCC_HASHES_MAX];
    put_all(place);
    delete_some(place);
    place_compact(place, 6);
    assert_kept(place, 6, 901449133, -1);
    place_put(place, "a", "5", 0);
    place_put(place, "d", "5", 0);
    place_put(place, "d", "5", 0);
    place_compact(place, 8);
    assert_kept(place, 6, 901449133, -1);
    assert_kept(place, 8, 504815596, 6);
    place_delete(place, "", "z");
    place_compact(place, 9);
    place_compact(place, 12); /* keeps nothing but tombstones at its own revision */
    assert_kept(place, 9, 1030805648, 8);
    assert_kept(place, 12, 3552493895, 9);
    assert_int_equal(mvcc_hashes(place->mvcc, kept), 4);
    for (int i = 0; i < 12; i++) {
        place_put(place, "k", "v", 0);
        place_compact(place, mvcc_revision(place->mvcc));
    }
    assert_int_equal(mvcc_hashes(place->mvcc, kept), MVCC_HASHES_MAX);
    assert_int_equal(kept[MVCC_HASHES_MAX - 1].rev, mvcc_revision(place->mvcc));
}

static void test_a_compaction_that_overtook_another_has_no_hash(void **state)
{
    struct place *place = *state;
    struct mvcc_hash kept[MVCC_HASHES_MAX];
    put_all(place);
    assert_false(err_is(mvcc_compact_begin(place->mvcc, 3, place->batch)));
    place_write(place);
    place_compact(place, 4);
    assert_int_equal(mvcc_hashes(place->mvcc, kept), 0);
}

/* Of more revisions than the place allows. */
static void test_a_compaction_of_too_much_is_not_hashed(void **state)
{
    struct place *place = *state;
    struct mvcc_hash kept[MVCC_HASHES_MAX];
    while (mvcc_revision(place->mvcc) < PLACE_HASH_REVISIONS - 1) {
        place_put(place, "k", "v", 0);
    }
    place_compact(place, mvcc_revision(place->mvcc)); /* since -1 */
    assert_int_equal(mvcc_hashes(place->mvcc, kept), 1);
    for (int i = 0; i < PLACE_HASH_REVISIONS + 1; i++) {
        place_put(place, "k", "v", 0);
    }
    place_compact(place, mvcc_revision(place->mvcc));
    assert_int_equal(mvcc_hashes(place->mvcc, kept), 1);
}

static void compact_to_the_end(struct place *place)
{
    bool is_done = false;
    while (!is_done) {
        assert_false(err_is(mvcc_compact_step(place->mvcc, 100, &is_done, NULL)));
    }
}

/* What a later compaction takes from it is no reason to end. */
static void test_a_compaction_that_is_overtaken_while_it_is_hashed_goes_on(void **state)
{
    struct place *place = *state;
    struct mvcc_hash kept[MVCC_HASHES_MAX];
    put_all(place);
    assert_false(err_is(mvcc_compact_begin(place->mvcc, 3, place->batch)));
    place_write(place);
    assert_false(err_is(mvcc_compact_begin(place->mvcc, 4, place->batch)));
    place_write(place);
    hashes_ask(place->mvcc, 3, -1, -1); /* as it was when the walk began */
    assert_false(err_is(hashes_make(place->mvcc, 3, NULL)));
    compact_to_the_end(place);
    assert_int_equal(mvcc_hashes(place->mvcc, kept), 0);
}

/* The rows that came may be half compacted already. */
static void test_a_compaction_asked_for_before_other_rows_came_has_no_hash(void **state)
{
    struct place *place = *state;
    struct mvcc_hash kept[MVCC_HASHES_MAX];
    put_all(place);
    assert_false(err_is(mvcc_compact_begin(place->mvcc, 3, place->batch)));
    place_write(place);
    assert_false(err_is(mvcc_reload(place->mvcc, NULL)));
    compact_to_the_end(place);
    assert_int_equal(mvcc_hashes(place->mvcc, kept), 0);
    place_compact(place, 4);
    assert_int_equal(mvcc_hashes(place->mvcc, kept), 1);
}

int run_hash_tests(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_hash_is_the_references),
        PLACE_TEST(test_hash_after_compactions_is_the_references),
        PLACE_TEST(test_compactions_are_remembered_by_their_hash),
        PLACE_TEST(test_a_compaction_that_overtook_another_has_no_hash),
        PLACE_TEST(test_a_compaction_of_too_much_is_not_hashed),
        PLACE_TEST(test_a_compaction_that_is_overtaken_while_it_is_hashed_goes_on),
        PLACE_TEST(test_a_compaction_asked_for_before_other_rows_came_has_no_hash),
        PLACE_TEST(test_hash_does_not_hang_on_how_far_compaction_is),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
