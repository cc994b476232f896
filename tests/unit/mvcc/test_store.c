/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include "base/mem.h"
#include "mvcc/history.h"
#include "mvcc/row.h"
#include "mvcc/state.h"

static const char ALL[] = "\xff";

static void test_store_starts_at_revision_one(void **state)
{
    struct place *place = *state;
    assert_int_equal(mvcc_revision(place->mvcc), 1);
    assert_int_equal(mvcc_compact_revision(place->mvcc), -1);
    assert_string_equal(place_list(place, "a", "", 0, 0), "#0");
    assert_string_equal(place_list(place, "a", "", 2, 0), "FUTURE_REV");
    assert_int_equal(place_delete(place, "a", ALL), 1);
}

static void test_store_reads_every_revision(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 0);
    place_put(place, "b", "2", 0);
    place_put(place, "a", "3", 0);
    place_delete(place, "b", "");
    assert_int_equal(place_put(place, "b", "4", 0), 6);
    assert_string_equal(place_list(place, "a", ALL, 1, 0), "#0");
    assert_string_equal(place_list(place, "a", ALL, 2, 0), "a=1@2 #1");
    assert_string_equal(place_list(place, "a", ALL, 3, 0), "a=1@2 b=2@3 #2");
    assert_string_equal(place_list(place, "a", ALL, 4, 0), "a=3@4 b=2@3 #2");
    assert_string_equal(place_list(place, "a", ALL, 5, 0), "a=3@4 #1");
    assert_string_equal(place_list(place, "a", ALL, 0, 0), "a=3@4 b=4@6 #2");
    assert_string_equal(place_list(place, "a", ALL, 0, 1), "a=3@4 #2");
    assert_string_equal(place_list(place, "b", "", 0, 0), "b=4@6 #1");
    assert_string_equal(place_list(place, "b", "a", 0, 0), "#0");
    assert_string_equal(place_list(place, "b", "b", 0, 0), "#0");
}

static void test_store_compacts_as_etcd_does(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 0);
    place_put(place, "a", "2", 0);
    place_delete(place, "a", "");
    place_put(place, "b", "1", 0);
    struct why why;
    assert_string_equal(err_name(mvcc_compact_begin(place->mvcc, 6, place->batch)), "FUTURE_REV");
    place_compact(place, 3);
    assert_string_equal(err_name(mvcc_compact_begin(place->mvcc, 3, place->batch)), "COMPACTED");
    assert_string_equal(place_list(place, "a", ALL, 2, 0), "COMPACTED");
    assert_string_equal(place_list(place, "a", ALL, 3, 0), "a=2@3 #1");
    assert_string_equal(place_list(place, "a", ALL, 4, 0), "#0");
    struct blob *value = NULL;
    assert_false(err_is(mvcc_value(place->mvcc, 3, 0, &value, &why)));
    assert_true(slice_eq(blob_slice(value), SLICE("2")));
    blob_unref(value);
}

struct told {
    char text[1024];
    int left;
};

static bool tell(void *arg, const struct mvcc_change *change)
{
    struct told *told = arg;
    size_t len = strlen(told->text);
    snprintf(told->text + len, sizeof(told->text) - len, "%s%.*s=%.*s@%lld(%.*s@%lld v%lld l%lld) ",
        change->kind == MVCC_DELETE ? "-" : "", (int)change->key->len, change->key->data,
        (int)blob_slice(change->value).len, change->value ? (const char *)change->value->data : "",
        (long long)change->main, (int)blob_slice(change->prev_value).len,
        change->prev_value ? (const char *)change->prev_value->data : "",
        (long long)change->prev_mod, (long long)change->prev_version,
        (long long)change->prev_lease);
    return --told->left != 0;
}

static const char *history(struct place *place, revision from, revision to, int limit)
{
    static struct told told;
    told = (struct told){"", limit};
    struct err err = mvcc_history(place->mvcc, from, to, true, tell, &told, NULL);
    return err_is(err) ? err_name(err) : told.text;
}

/* A watcher that starts at the compacted revision still gets the delete that happened there. */
static void test_store_keeps_the_tombstone_at_the_compacted_revision(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 0);
    place_delete(place, "a", "");
    place_compact(place, 3);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_int_equal(mvcc_revision(place->mvcc), 3);
    assert_string_equal(history(place, 3, 3, 0), "-a=@3(@0 v0 l0) ");
    assert_string_equal(history(place, 2, 3, 0), "COMPACTED");
    assert_int_equal(mvcc_keys(place->mvcc), 0);
    place_put(place, "b", "1", 0);
    size_t before = mvcc_memory_bytes(place->mvcc);
    place_compact(place, 4);
    assert_true(mvcc_memory_bytes(place->mvcc) < before);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_string_equal(history(place, 4, 4, 0), "b=1@4(@0 v0 l0) ");
    struct mvcc_hash hash;
    assert_false(err_is(mvcc_hash_kv(place->mvcc, 0, &hash, NULL)));
}

static void test_store_does_not_lose_its_revision_to_compaction(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 0);
    place_delete(place, "a", "");
    place_put(place, "b", "1", 0);
    place_delete(place, "b", "");
    place_compact(place, 5);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_int_equal(mvcc_revision(place->mvcc), 5);
    assert_int_equal(mvcc_compact_revision(place->mvcc), 5);
    assert_int_equal(place_put(place, "c", "1", 0), 6);
}

/* What an etcd before 3.5.16 compacted lacks the row of the compacted revision, where that was a
 * deletion's: a store that was made of it has it nowhere but in what compaction wrote down. */
static void test_store_has_its_revision_from_a_compaction_whose_last_row_is_gone(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 0);
    place_put(place, "b", "1", 0);
    place_delete(place, "b", "");
    place_compact(place, 4);
    struct row_key newest = row_key('l', 4, 0);
    struct blob *row = NULL;
    assert_false(err_is(backend_get(place->backend, NULL, row_key_slice(&newest), &row, NULL)));
    assert_non_null(row);
    blob_unref(row);
    backend_batch_delete(place->batch, row_key_slice(&newest));
    assert_false(err_is(backend_write(place->backend, place->batch, NULL)));
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_int_equal(mvcc_revision(place->mvcc), 4);
    assert_int_equal(mvcc_compact_revision(place->mvcc), 4);
    assert_string_equal(place_list(place, "a", ALL, 0, 0), "a=1@2 #1");
    assert_int_equal(place_put(place, "c", "1", 0), 5);
}

static void test_store_resumes_compaction(void **state)
{
    struct place *place = *state;
    bool is_done = true;
    for (int i = 0; i < 20; i++) {
        place_put(place, "a", i % 2 ? "odd" : "even", 0);
    }
    assert_false(err_is(mvcc_compact_begin(place->mvcc, 21, place->batch)));
    /* Its batch is not written: rows must not go before the row that says so. */
    assert_false(err_is(mvcc_compact_step(place->mvcc, 5, &is_done, NULL)));
    assert_false(is_done);
    assert_int_equal(mvcc_compacted_rows(place->mvcc), 0);
    place_write(place);
    assert_false(err_is(mvcc_compact_step(place->mvcc, 5, &is_done, NULL)));
    assert_false(is_done);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_int_equal(mvcc_compact_revision(place->mvcc), 21);
    assert_string_equal(place_list(place, "a", ALL, 20, 0), "COMPACTED");
    while (!is_done) {
        assert_false(err_is(mvcc_compact_step(place->mvcc, 5, &is_done, NULL)));
    }
    assert_string_equal(place_list(place, "a", ALL, 0, 0), "a=odd@21 #1");
    struct backend_iter *iter = backend_iter_open(place->backend, NULL, SLICE("l"), SLICE("m"));
    struct slice key;
    struct slice value;
    int rows = 0;
    while (backend_iter_next(iter, &key, &value)) {
        rows++;
    }
    backend_iter_close(iter);
    assert_int_equal(rows, 1);
    assert_int_equal(place_put(place, "a", "x", 0), 22);
}

static void test_store_tells_history_from_memory_and_rows_alike(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 7);
    place_put(place, "b", "", 0);
    place_put(place, "a", "2", 0);
    place_delete(place, "a", "c");
    place_put(place, "a", "3", 0);
    char memory[1024];
    snprintf(memory, sizeof(memory), "%s", history(place, 1, 100, 0));
    assert_string_equal(memory,
        "a=1@2(@0 v0 l0) b=@3(@0 v0 l0) a=2@4(1@2 v1 l7) -a=@5(2@4 v2 l0) -b=@5(@3 v1 l0) "
        "a=3@6(@0 v0 l0) ");
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_string_equal(history(place, 1, 100, 0), memory);
    place_put(place, "c", "9", 0);
    assert_string_equal(history(place, 6, 7, 0), "a=3@6(@0 v0 l0) c=9@7(@0 v0 l0) ");
    assert_string_equal(history(place, 2, 7, 2), "a=1@2(@0 v0 l0) b=@3(@0 v0 l0) ");
    assert_string_equal(history(place, 8, 9, 0), "");
}

static void test_txn_sees_its_own_writes_and_nobody_else_does(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 3);
    place_put(place, "b", "1", 0);
    struct mvcc_kv kv;
    struct mvcc_range_result result;
    struct mvcc_range_options all = {.key = SLICE("a"), .end = SLICE("z")};
    struct arena *arena = arena_new(0);
    struct mvcc_txn *txn = mvcc_txn_begin(place->mvcc, place->batch);
    assert_false(mvcc_txn_is_dirty(txn));
    assert_int_equal(mvcc_txn_rev(txn), 3);
    assert_true(mvcc_txn_stat(txn, SLICE("a"), &kv));
    assert_int_equal(kv.lease, 3);
    mvcc_txn_put(txn, SLICE("c"), SLICE("new"), 0);
    assert_int_equal(mvcc_txn_delete_range(txn, SLICE("a"), SLICE("b")), 1);
    assert_int_equal(mvcc_txn_delete_range(txn, SLICE("a"), SLICE("b")), 0);
    assert_true(mvcc_txn_is_dirty(txn));
    assert_false(mvcc_txn_stat(txn, SLICE("a"), &kv));
    assert_false(err_is(mvcc_txn_range(txn, &all, arena, &result)));
    assert_int_equal(result.kvs_count, 2);
    assert_int_equal(result.total, 2);
    assert_int_equal(result.rev, 4);
    assert_true(slice_eq(result.kvs[1].value, SLICE("new")));
    all.rev = 3;
    assert_false(err_is(mvcc_txn_range(txn, &all, arena, &result)));
    assert_int_equal(result.kvs_count, 2);
    assert_true(slice_eq(result.kvs[0].key, SLICE("a")));
    assert_string_equal(place_list(place, "a", ALL, 0, 0), "a=1@2 b=1@3 #2");
    assert_string_equal(place_list(place, "a", "", 0, 0), "a=1@2 #1");
    assert_string_equal(place_list(place, "c", "", 0, 0), "#0");
    const struct mvcc_change *changes;
    size_t count;
    assert_int_equal(mvcc_txn_end(txn, &changes, &count), 4);
    assert_int_equal(count, 2);
    assert_int_equal(changes[1].kind, MVCC_DELETE);
    assert_int_equal(changes[1].prev_lease, 3);
    assert_int_equal(changes[1].sub, 1);
    assert_string_equal(place_list(place, "a", ALL, 0, 0), "b=1@3 c=new@4 #2");
    assert_string_equal(place_list(place, "a", ALL, 3, 0), "a=1@2 b=1@3 #2");
    place_write(place);
    arena_free(arena);
}

static void test_range_options_are_honoured(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 5);
    place_put(place, "a", "22", 6);
    place_put(place, "b", "3", 0);
    struct mvcc_range_result result;
    struct arena *arena = arena_new(0);
    struct mvcc_range_options options = {
        .key = SLICE("a"), .end = slice_of("", 1), .is_keys_only = true};
    assert_false(err_is(mvcc_range(place->mvcc, &options, arena, &result)));
    assert_int_equal(result.kvs_count, 2);
    assert_int_equal(result.kvs[0].value.len, 0);
    assert_int_equal(result.kvs[0].version, 2);
    assert_int_equal(result.kvs[0].create, 2);
    assert_int_equal(result.kvs[0].lease, 6);
    options.rev = 2;
    assert_false(err_is(mvcc_range(place->mvcc, &options, arena, &result)));
    assert_int_equal(result.kvs[0].value.len, 0);
    assert_int_equal(result.kvs[0].lease, 5);
    assert_int_equal(result.rev, 4);
    options =
        (struct mvcc_range_options){.key = SLICE("a"), .end = SLICE("c"), .is_count_only = true};
    assert_false(err_is(mvcc_range(place->mvcc, &options, arena, &result)));
    assert_int_equal(result.kvs_count, 0);
    assert_int_equal(result.total, 2);
    options.end = (struct slice){0};
    assert_false(err_is(mvcc_range(place->mvcc, &options, arena, &result)));
    assert_int_equal(result.total, 1);
    struct arena *tiny = arena_new(64);
    options = (struct mvcc_range_options){.key = SLICE("a"), .end = SLICE("c")};
    assert_string_equal(err_name(mvcc_range(place->mvcc, &options, tiny, &result)), "TOO_BIG");
    arena_free(tiny);
    arena_free(arena);
}

static bool collect_lease(void *arg, struct blob *key, lease_id lease)
{
    int64_t *sum = arg;
    *sum += lease * key->len;
    return true;
}

static void test_store_lists_leased_keys_after_open(void **state)
{
    struct place *place = *state;
    int64_t sum = 0;
    place_put(place, "a", "1", 5);
    place_put(place, "bb", "1", 7);
    place_put(place, "c", "1", 9);
    place_put(place, "c", "1", 0);
    place_put(place, "d", "1", 100);
    place_delete(place, "d", "");
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    mvcc_each_leased(place->mvcc, collect_lease, &sum);
    assert_int_equal(sum, 5 + 14);
}

static void test_open_refuses_a_malformed_row(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    struct mvcc *second = NULL;
    struct slice key = slice_of("l\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0", 17);
    assert_false(err_is(mvcc_check(place->backend, NULL, NULL)));
    backend_batch_put(place->batch, key, SLICE("?"));
    place_write(place);
    assert_string_equal(err_name(mvcc_check(place->backend, NULL, NULL)), "BAD_FORMAT");
    assert_false(mvcc_check_row(key, SLICE("?")));
    assert_false(mvcc_check_row(SLICE("l"), SLICE("\1\0\0\1\0k")));
    assert_true(mvcc_check_row(key, SLICE("\1\0\0\1\0k")));
    assert_true(mvcc_check_row(SLICE("mx"), SLICE("?")));
    assert_string_equal(err_name(mvcc_open(&place->options, &second, &why)), "BAD_FORMAT");
    assert_null(second);
    assert_non_null(strstr(why.text, "revision 2"));
}

static void test_range_refuses_a_store_that_lost_a_value(void **state)
{
    struct place *place = *state;
    place_put(place, "a", "1", 0);
    backend_batch_delete(place->batch, slice_of("d\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0", 17));
    place_write(place);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_string_equal(place_list(place, "a", "", 0, 0), "BAD_FORMAT");
    struct mvcc_hash hash;
    assert_string_equal(err_name(mvcc_hash_kv(place->mvcc, 0, &hash, NULL)), "BAD_FORMAT");
}

/* More keys than one slice of anything, values partly cold, at several revisions. */
static void test_store_holds_many_keys(void **state)
{
    enum { COUNT = 3000 };
    struct place *place = *state;
    const struct mvcc_change *changes;
    size_t count;
    struct mvcc_txn *txn = mvcc_txn_begin(place->mvcc, place->batch);
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%06d", i * 7 % COUNT);
        mvcc_txn_put(txn, slice_str(key), slice_str(key), 0);
    }
    assert_int_equal(mvcc_txn_end(txn, &changes, &count), 2);
    assert_int_equal(count, COUNT);
    place_write(place);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place);
    assert_int_equal(place_delete(place, "k000100", "k002900"), 3);
    assert_int_equal(mvcc_keys(place->mvcc), 200);
    assert_int_equal(place_put(place, "k001000", "again", 0), 4);
    for (int round = 0; round < 2; round++) {
        struct mvcc_range_result result;
        struct arena *arena = arena_new(0);
        struct mvcc_range_options all = {.key = SLICE("k"), .end = SLICE("l"), .rev = 2};
        assert_false(err_is(mvcc_range(place->mvcc, &all, arena, &result)));
        assert_int_equal(result.kvs_count, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(slice_eq(result.kvs[i].key, result.kvs[i].value));
        }
        all.rev = 3;
        assert_false(err_is(mvcc_range(place->mvcc, &all, arena, &result)));
        assert_int_equal(result.kvs_count, 200);
        assert_int_equal(result.total, 200);
        arena_free(arena);
        assert_false(err_is(backend_flush(place->backend, NULL)));
        place_crash(place);
    }
    place_compact(place, 4);
    assert_int_equal(mvcc_keys(place->mvcc), 201);
    assert_string_equal(place_list(place, "k001", "k002", 0, 0), "k001000=again@4 #1");
}

/* What a watcher from long ago costs at a time, however large the values are. */
static void test_history_is_read_in_slices_of_some_mebibytes(void **state)
{
    enum { ROWS = 120, VALUE = 256 * 1024 };
    struct place *place = *state;
    char *value = mem_new(VALUE + 1);
    memset(value, 'v', VALUE);
    for (int i = 0; i < ROWS; i++) {
        place_put(place, "k", i % 3 ? value : "small", 0);
    }
    free(value);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    place_crash(place); /* nothing of it is in memory */
    struct log_slice *slice = mem_new(sizeof(*slice));
    struct log_span span = {{1, 0}, {ROWS + 1, INT64_MAX}};
    revision last = 1;
    while (!slice->is_end) {
        size_t bytes = 0;
        assert_false(err_is(log_read(place->mvcc, span, false, slice, NULL)));
        for (size_t i = 0; i < slice->count; i++) {
            assert_int_equal(slice->items[i].change.main, ++last);
            bytes += slice->items[i].change.value->len;
        }
        assert_in_range(bytes, 1, LOG_SLICE_BYTES + 32 * VALUE);
        assert_true(last == ROWS + 1 || bytes >= LOG_SLICE_BYTES);
        span.from = slice->next;
        log_slice_fini(slice);
    }
    assert_int_equal(last, ROWS + 1);
    free(slice);
}

struct copy {
    struct mvcc_import *import;
    int rows;
};

static bool copy_row(
    void *arg, revision main, int64_t sub, bool is_tombstone, const struct mvcc_kv *kv)
{
    struct copy *copy = arg;
    copy->rows++;
    return !err_is(mvcc_import_row(copy->import, main, sub, is_tombstone, kv, NULL));
}

static void put_rows(struct place *place)
{
    place_put(place, "a", "1", 4);
    place_put(place, "b", "", 0);
    place_compact(place, 2);
    place_put(place, "a", "2", 0);
    place_delete(place, "b", "");
    place_put(place, "b", "3", 0);
}

/* put_rows' in other. */
static void assert_copied(struct place *place, struct place *other)
{
    struct mvcc_hash mine;
    struct mvcc_hash theirs;
    assert_int_equal(mvcc_keys(other->mvcc), 2);
    assert_int_equal(mvcc_revision(other->mvcc), 6);
    assert_int_equal(mvcc_compact_revision(other->mvcc), 2);
    assert_string_equal(place_list(other, "a", ALL, 0, 0), "a=2@4 b=3@6 #2");
    assert_string_equal(place_list(other, "a", ALL, 3, 0), "a=1@2 b=@3 #2");
    assert_string_equal(place_list(other, "a", ALL, 5, 0), "a=2@4 #1");
    assert_false(err_is(mvcc_hash_kv(place->mvcc, 6, &mine, NULL)));
    assert_false(err_is(mvcc_hash_kv(other->mvcc, 6, &theirs, NULL)));
    assert_int_equal(mine.hash, theirs.hash);
}

/* The index that the import leaves is the one that its rows give. */
static void test_export_and_import_make_the_same_store(void **state)
{
    struct place *place = *state;
    struct place other;
    put_rows(place);
    place_init(&other, (struct mvcc_options){0});
    struct copy copy = {mvcc_import_new(other.backend), 0};
    struct backend_snapshot *snapshot = backend_snapshot_take(place->backend);
    place_put(place, "late", "1", 0);
    assert_false(err_is(mvcc_export(place->mvcc, snapshot, copy_row, &copy, NULL)));
    backend_snapshot_release(place->backend, snapshot);
    assert_int_equal(copy.rows, 5);
    assert_false(err_is(mvcc_import_end(copy.import, 2, 2, NULL)));
    assert_false(err_is(mvcc_reload_imported(other.mvcc, copy.import, NULL)));
    mvcc_import_free(copy.import);
    assert_copied(place, &other);
    assert_false(err_is(backend_flush(other.backend, NULL)));
    place_crash(&other);
    assert_copied(place, &other);
    place_fini(&other);
}

/* What a check keeps is what the rows give. */
static void test_a_store_that_was_read_need_not_be_read_again(void **state)
{
    struct place *place = *state;
    struct mvcc_reading *reading = NULL;
    put_rows(place);
    assert_false(err_is(mvcc_check(place->backend, &reading, NULL)));
    place_put(place, "late", "1", 0);
    assert_int_equal(mvcc_revision(place->mvcc), 7);
    assert_false(err_is(mvcc_reload_read(place->mvcc, reading, NULL)));
    assert_copied(place, place); /* and knows no more than was read */
    mvcc_reading_free(reading);
    mvcc_reading_free(NULL);
}

/* What was begun before, what is asked meanwhile, and what comes after. */
static void test_nothing_is_read_while_the_rows_are_replaced(void **state)
{
    struct place *place = *state;
    struct blob *value = NULL;
    place_put(place, "a", "1", 0);
    place_put(place, "a", "2", 0);
    assert_false(err_is(mvcc_value(place->mvcc, 2, 0, &value, NULL)));
    blob_unref(value);
    value = NULL;
    unsigned before = atomic_load(&place->mvcc->reloads);
    assert_false(err_is(reloads_check(place->mvcc, before)));
    mvcc_reload_begin(place->mvcc);
    assert_string_equal(place_list(place, "a", "", 0, 0), "TIMEOUT");
    assert_string_equal(place_list(place, "a", ALL, 2, 0), "TIMEOUT");
    assert_string_equal(err_name(mvcc_value(place->mvcc, 2, 0, &value, NULL)), "TIMEOUT");
    assert_null(value);
    assert_string_equal(err_name(reloads_check(place->mvcc, before)), "TIMEOUT");
    assert_false(err_is(mvcc_reload(place->mvcc, NULL)));
    assert_string_equal(err_name(reloads_check(place->mvcc, before)), "TIMEOUT");
    assert_string_equal(place_list(place, "a", "", 0, 0), "a=2@3 #1");
    assert_false(err_is(mvcc_reload(place->mvcc, NULL)));
    assert_string_equal(place_list(place, "a", ALL, 2, 0), "a=1@2 #1");
}

static void test_a_reading_of_a_bad_store_is_none(void **state)
{
    struct place *place = *state;
    struct mvcc_reading *reading = NULL;
    struct slice key = slice_of("l\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0", 17);
    place_put(place, "a", "1", 0);
    backend_batch_put(place->batch, key, SLICE("?"));
    place_write(place);
    assert_string_equal(err_name(mvcc_check(place->backend, &reading, NULL)), "BAD_FORMAT");
    assert_null(reading);
}

static void test_import_refuses_rows_out_of_order(void **state)
{
    struct place *place = *state;
    struct mvcc_import *import = mvcc_import_new(place->backend);
    struct mvcc_kv kv = {.key = SLICE("a"), .create = 2, .mod = 2, .version = 1};
    assert_false(err_is(mvcc_import_row(import, 2, 0, false, &kv, NULL)));
    assert_string_equal(err_name(mvcc_import_row(import, 2, 0, false, &kv, NULL)), "BAD_FORMAT");
    kv.create = 9;
    assert_string_equal(err_name(mvcc_import_row(import, 3, 0, false, &kv, NULL)), "BAD_FORMAT");
    kv.key = (struct slice){0};
    assert_string_equal(err_name(mvcc_import_row(import, 3, 0, true, &kv, NULL)), "BAD_FORMAT");
    assert_false(err_is(mvcc_import_end(import, -1, -1, NULL)));
    mvcc_import_free(import);
}

static void range_all(struct place *place, struct arena *arena, struct mvcc_range_result *out)
{
    struct mvcc_range_options options = {.key = SLICE("k"), .end = SLICE("l")};
    assert_false(err_is(mvcc_range(place->mvcc, &options, arena, out)));
}

/* Every key's newest version counts, whichever thread read it. */
static void test_store_opens_the_same_with_any_threads(void **state)
{
    enum { KEYS = 500, PUTS = 6000 };
    struct place *place = *state;
    char key[16];
    char value[200];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (unsigned i = 0; i < PUTS; i++) {
        snprintf(key, sizeof(key), "k%04u", i * 7919 % KEYS);
        if (i % 11 == 3) {
            place_delete(place, key, "");
        } else {
            place_put(place, key, value, 0);
        }
    }
    assert_false(err_is(backend_flush(place->backend, NULL)));
    revision rev = mvcc_revision(place->mvcc);
    struct arena *arena = arena_new(0);
    struct mvcc_range_result all;
    range_all(place, arena, &all);
    assert_true(all.kvs_count > KEYS / 2);
    for (unsigned threads = 1; threads <= 5; threads++) {
        struct mvcc_range_result again;
        place->options.open_threads = threads;
        place_crash(place);
        range_all(place, arena, &again);
        assert_int_equal(mvcc_revision(place->mvcc), rev);
        assert_int_equal(again.kvs_count, all.kvs_count);
        for (size_t i = 0; i < all.kvs_count; i++) {
            assert_true(slice_eq(again.kvs[i].key, all.kvs[i].key));
            assert_int_equal(again.kvs[i].mod, all.kvs[i].mod);
            assert_int_equal(again.kvs[i].version, all.kvs[i].version);
        }
    }
    arena_free(arena);
}

int run_store_tests(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_store_starts_at_revision_one),
        PLACE_TEST(test_store_reads_every_revision),
        PLACE_TEST(test_store_compacts_as_etcd_does),
        PLACE_TEST(test_store_keeps_the_tombstone_at_the_compacted_revision),
        PLACE_TEST(test_store_does_not_lose_its_revision_to_compaction),
        PLACE_TEST(test_store_has_its_revision_from_a_compaction_whose_last_row_is_gone),
        PLACE_TEST(test_store_resumes_compaction),
        PLACE_TEST(test_store_tells_history_from_memory_and_rows_alike),
        PLACE_TEST(test_txn_sees_its_own_writes_and_nobody_else_does),
        PLACE_TEST(test_range_options_are_honoured),
        PLACE_TEST(test_store_lists_leased_keys_after_open),
        PLACE_TEST(test_open_refuses_a_malformed_row),
        PLACE_TEST(test_range_refuses_a_store_that_lost_a_value),
        PLACE_TEST(test_store_holds_many_keys),
        PLACE_TEST(test_history_is_read_in_slices_of_some_mebibytes),
        PLACE_TEST(test_export_and_import_make_the_same_store),
        PLACE_TEST(test_a_store_that_was_read_need_not_be_read_again),
        PLACE_TEST(test_nothing_is_read_while_the_rows_are_replaced),
        PLACE_TEST(test_a_reading_of_a_bad_store_is_none),
        PLACE_TEST(test_import_refuses_rows_out_of_order),
        PLACE_TEST(test_store_opens_the_same_with_any_threads),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
