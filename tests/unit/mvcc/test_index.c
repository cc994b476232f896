/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include "base/mem.h"
#include "base/rand.h"
#include "mvcc/index.h"
#include "mvcc/sort.h"

enum { UNIVERSE = 4000 };

static struct blob *key_of(unsigned number)
{
    char text[32];
    snprintf(text, sizeof(text), "/registry/pods/%06u", number);
    return blob_new(slice_str(text));
}

static struct index_entry *living_put(struct index *index, unsigned number)
{
    struct blob *key = key_of(number);
    struct index_entry *entry = index_put(index, blob_slice(key));
    index_set_living(index, entry, true);
    blob_unref(key);
    return entry;
}

static void tomb_remove(struct index *index, unsigned number)
{
    struct blob *key = key_of(number);
    index_set_living(index, index_find(index, blob_slice(key)), false);
    index_remove(index, blob_slice(key));
    blob_unref(key);
}

static int64_t rank_of(const struct index *index, unsigned number)
{
    struct blob *key = key_of(number);
    int64_t rank = index_rank(index, blob_slice(key));
    blob_unref(key);
    return rank;
}

static void test_index_counts_keys_in_order(void **state)
{
    (void)state;
    struct index index;
    index_init(&index);
    for (unsigned i = 0; i < 20000; i++) {
        living_put(&index, i);
    }
    index_check(&index);
    assert_int_equal(index.living, 20000);
    assert_true(index.depth >= 2);
    /* Keys that come in order fill the leaves. */
    assert_true(index.node_bytes < 20000 * sizeof(struct index_entry) * 12 / 10);
    for (unsigned i = 0; i < 20000; i += 997) {
        assert_int_equal(rank_of(&index, i), i);
    }
    index_fini(&index);
}

static void test_index_agrees_with_an_array(void **state)
{
    (void)state;
    struct index index;
    struct rand rand;
    bool is_there[UNIVERSE] = {0};
    bool is_living[UNIVERSE] = {0};
    index_init(&index);
    rand_init(&rand, 7);
    for (int i = 0; i < 120000; i++) {
        unsigned number = (unsigned)rand_below(&rand, UNIVERSE);
        bool is_growing = (i / 20000) % 2 == 0;
        if (rand_below(&rand, 10) < (is_growing ? 7 : 2)) {
            living_put(&index, number);
            is_there[number] = is_living[number] = true;
        } else if (is_there[number] && rand_below(&rand, 4) == 0) {
            struct blob *key = key_of(number);
            index_set_living(&index, index_find(&index, blob_slice(key)), false);
            blob_unref(key);
            is_living[number] = false;
        } else if (is_there[number]) {
            tomb_remove(&index, number);
            is_there[number] = is_living[number] = false;
        }
        if (i % 5000 == 0) {
            index_check(&index);
        }
    }
    index_check(&index);
    int64_t rank = 0;
    struct index_cursor at = index_seek(&index, (struct slice){0}, false);
    for (unsigned i = 0; i < UNIVERSE; i++) {
        struct blob *key = key_of(i);
        assert_int_equal(rank_of(&index, i), rank);
        assert_true((index_find(&index, blob_slice(key)) != NULL) == is_there[i]);
        if (is_there[i]) {
            assert_true(slice_eq(blob_slice(index_at(at)->key), blob_slice(key)));
            index_next(&at);
        }
        rank += is_living[i];
        blob_unref(key);
    }
    assert_null(at.leaf);
    index_fini(&index);
}

static void test_index_empties_and_fills_again(void **state)
{
    (void)state;
    struct index index;
    index_init(&index);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 10000; i++) {
            living_put(&index, i * 7919 % 10007);
        }
        for (unsigned i = 0; i < 10000; i++) {
            tomb_remove(&index, i * 7919 % 10007);
        }
        index_check(&index);
        assert_int_equal(index.entries, 0);
        assert_int_equal(index.depth, 0);
        assert_int_equal(index.key_bytes, 0);
    }
    index_fini(&index);
}

static void test_index_seeks_at_and_after(void **state)
{
    (void)state;
    struct index index;
    index_init(&index);
    assert_null(index_at(index_seek(&index, SLICE("a"), false)));
    struct index_entry *entry = index_put(&index, SLICE("b"));
    assert_ptr_equal(index_at(index_seek(&index, SLICE("a"), false)), entry);
    assert_ptr_equal(index_at(index_seek(&index, SLICE("b"), false)), entry);
    assert_null(index_at(index_seek(&index, SLICE("b"), true)));
    index_fini(&index);
}

struct numbers {
    struct index_source source;
    unsigned next;
    unsigned end;
};

static bool number_next(struct index_source *source, struct index_entry *out)
{
    struct numbers *numbers = CONTAINER_OF(source, struct numbers, source);
    if (numbers->next == numbers->end) {
        return false;
    }
    *out =
        (struct index_entry){.key = key_of(numbers->next), .is_tombstone = numbers->next % 3 == 0};
    numbers->next++;
    return true;
}

static void test_index_loads_at_once(void **state)
{
    (void)state;
    static const unsigned sizes[] = {0, 1, 55, 56, 57, 3136, 3137, 50000};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        struct index index;
        struct numbers numbers = {{number_next}, 0, sizes[s]};
        index_init(&index);
        index_load(&index, &numbers.source);
        index_check(&index);
        assert_int_equal(index.entries, sizes[s]);
        living_put(&index, 3);
        living_put(&index, 999999);
        index_check(&index);
        index_fini(&index);
    }
}

static void test_index_evicts_what_is_unused(void **state)
{
    (void)state;
    struct index index;
    index_init(&index);
    for (unsigned i = 0; i < 1000; i++) {
        struct index_entry *entry = living_put(&index, i);
        index_set_value(&index, entry, blob_new_size(92));
        memset(entry->value->data, 0, 92);
        atomic_store(&entry->is_used, i == 500);
    }
    assert_int_equal(index.value_bytes, 1000 * (92 + sizeof(struct blob)));
    index_evict(&index, 5000, 1000);
    assert_true(index.value_bytes <= 5000);
    struct blob *key = key_of(500);
    assert_non_null(index_find(&index, blob_slice(key))->value);
    blob_unref(key);
    index_evict(&index, 0, 1000);
    assert_int_equal(index.value_bytes, 0);
    index_fini(&index);
}

static void assert_sorted(const struct sort_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        int diff = slice_cmp(
            slice_of(items[i - 1].key, items[i - 1].len), slice_of(items[i].key, items[i].len));
        assert_true(diff < 0 || (diff == 0 && items[i - 1].order < items[i].order));
    }
}

static void test_sort_orders_keys_that_look_alike(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static const uint8_t alphabet[4] = {0, 1, 'a', 255};
    static uint8_t bytes[COUNT][40];
    struct sort_item *items = mem_new(COUNT * sizeof(*items));
    struct rand rand;
    rand_init(&rand, 3);
    for (size_t i = 0; i < COUNT; i++) {
        size_t len = rand_below(&rand, 40);
        for (size_t j = 0; j < len; j++) {
            bytes[i][j] = j < 12 ? 'p' : alphabet[rand_below(&rand, i % 2 ? 4 : 1)];
        }
        items[i] = (struct sort_item){.key = bytes[i], .len = (uint32_t)len, .order = (uint32_t)i};
    }
    sort_items(items, COUNT);
    assert_sorted(items, COUNT);
    sort_items(items, COUNT);
    assert_sorted(items, COUNT);
    free(items);
}

/* Orders that once made every pivot the second smallest. */
static void test_sort_takes_no_longer_for_keys_in_order(void **state)
{
    (void)state;
    enum { COUNT = 20000, VISITS_MAX = 30 * COUNT };
    static char text[COUNT][24];
    struct sort_item *items = mem_new(COUNT * sizeof(*items));
    for (unsigned shape = 0; shape < 5; shape++) {
        for (unsigned i = 0; i < COUNT; i++) {
            unsigned numbers[5] = {i, COUNT - i, (i + 1) % COUNT, i % 2 ? i : COUNT - i, i / 100};
            int len = snprintf(text[i], sizeof(text[i]), "/a/%08u/", numbers[shape]);
            items[i] = (struct sort_item){
                .key = (const uint8_t *)text[i], .len = (uint32_t)len, .order = i};
        }
        assert_true(sort_items(items, COUNT) < VISITS_MAX);
        assert_sorted(items, COUNT);
    }
    free(items);
}

int run_index_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_counts_keys_in_order),
        cmocka_unit_test(test_index_agrees_with_an_array),
        cmocka_unit_test(test_index_empties_and_fills_again),
        cmocka_unit_test(test_index_seeks_at_and_after),
        cmocka_unit_test(test_index_loads_at_once),
        cmocka_unit_test(test_index_evicts_what_is_unused),
        cmocka_unit_test(test_sort_orders_keys_that_look_alike),
        cmocka_unit_test(test_sort_takes_no_longer_for_keys_in_order),
    };
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
