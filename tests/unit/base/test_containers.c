/* SPDX-License-Identifier: Apache-2.0
 *
 * list, map, heap, rand. */
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct item {
    int number;
    struct list node;
    struct heap_node heap_node;
};

static int sum_in_order(struct list *head)
{
    int sum = 0;
    LIST_EACH(node, head)
    {
        sum = sum * 10 + LIST_ITEM(node, struct item, node)->number;
    }
    return sum;
}

static void test_list_links_and_unlinks(void **state)
{
    struct item items[5];
    struct list head;
    struct list other;
    (void)state;
    list_init(&head);
    list_init(&other);
    assert_null(list_pop(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i + 1;
        list_push(i < 3 ? &head : &other, &items[i].node);
    }
    assert_int_equal(sum_in_order(&head), 123);
    list_splice(&head, &other);
    assert_int_equal(sum_in_order(&head), 12345);
    assert_true(list_is_empty(&other));
    list_splice(&head, &other);
    list_remove(&items[2].node);
    list_remove(&items[2].node);
    assert_int_equal(sum_in_order(&head), 1245);
    LIST_EACH_SAFE(node, tmp, &head)
    {
        if (LIST_ITEM(node, struct item, node)->number % 2 == 0) {
            list_remove(node);
        }
    }
    assert_int_equal(sum_in_order(&head), 15);
    assert_ptr_equal(list_pop(&head), &items[0].node);
    list_add_before(&items[4].node, &items[1].node);
    assert_int_equal(sum_in_order(&head), 25);
}

static void test_map_by_number(void **state)
{
    struct map *map = map_new();
    int values[1000];
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_null(map_put_u64(map, i << 40, &values[i]));
    }
    assert_int_equal(map_count(map), 1000);
    assert_ptr_equal(map_get_u64(map, 7ULL << 40), &values[7]);
    assert_null(map_get_u64(map, 7));
    assert_ptr_equal(map_put_u64(map, 7ULL << 40, &values[0]), &values[7]);
    assert_ptr_equal(map_del_u64(map, 7ULL << 40), &values[0]);
    assert_null(map_del_u64(map, 7ULL << 40));
    assert_int_equal(map_count(map), 999);
    map_free(map);
    map_free(NULL);
}

static void test_map_by_bytes_is_walked(void **state)
{
    struct map *map = map_new();
    void *cursor = NULL;
    void *value = NULL;
    struct slice key;
    int one = 1;
    int two = 2;
    int sum = 0;
    char text[] = "a\0b";
    (void)state;
    assert_null(map_put(map, slice_of(text, 3), &one));
    assert_null(map_put(map, SLICE(""), &two));
    text[0] = 'x'; /* the map has a copy */
    assert_ptr_equal(map_get(map, SLICE("a\0b")), &one);
    assert_null(map_get(map, SLICE("a")));
    while (map_next(map, &cursor, &key, &value)) {
        sum += *(int *)value;
        assert_ptr_equal(map_del(map, key), value);
    }
    assert_int_equal(sum, 3);
    assert_int_equal(map_count(map), 0);
    map_free(map);
}

enum { HEAP_NODES = 500, HEAP_STEPS = 20000 };

static void check_first(const struct heap *heap, const struct item *items)
{
    const struct heap_node *first = heap_first(heap);
    size_t count = 0;
    for (size_t i = 0; i < HEAP_NODES; i++) {
        if (items[i].heap_node.place) {
            count++;
            assert_true(first->key <= items[i].heap_node.key);
        }
    }
    assert_int_equal(count, heap->count);
    assert_int_equal(first == NULL, count == 0);
}

static void test_heap_agrees_with_a_plain_array(void **state)
{
    struct heap heap;
    struct rand rand;
    struct item *items = mem_new(HEAP_NODES * sizeof(*items));
    (void)state;
    heap_init(&heap);
    rand_init(&rand, 1);
    assert_null(heap_first(&heap));
    for (int step = 0; step < HEAP_STEPS; step++) {
        struct heap_node *node = &items[rand_below(&rand, HEAP_NODES)].heap_node;
        if (rand_below(&rand, 3)) {
            heap_set(&heap, node, (int64_t)rand_below(&rand, 100));
        } else {
            heap_remove(&heap, node);
        }
        if (step % 100 == 0) {
            check_first(&heap, items);
        }
    }
    int64_t last = INT64_MIN;
    while (heap_first(&heap)) {
        struct heap_node *node = heap_first(&heap);
        assert_true(node->key >= last);
        last = node->key;
        heap_remove(&heap, node);
        assert_int_equal(node->place, 0);
    }
    heap_fini(&heap);
    free(items);
}

static void test_heap_is_built_of_many_at_once(void **state)
{
    enum { COUNT = 1000 };
    struct item *items = calloc(COUNT, sizeof(*items));
    struct heap heap;
    (void)state;
    heap_init(&heap);
    for (int i = 0; i < COUNT; i++) {
        heap_append(&heap, &items[i].heap_node, i * 7919 % COUNT);
    }
    heap_order(&heap);
    for (int i = 0; i < COUNT / 2; i++) {
        assert_int_equal(heap_first(&heap)->key, i);
        heap_remove(&heap, heap_first(&heap));
    }
    heap_clear(&heap);
    assert_null(heap_first(&heap));
    heap_set(&heap, &items[0].heap_node, 5);
    assert_ptr_equal(heap_first(&heap), &items[0].heap_node);
    heap_fini(&heap);
    free(items);
}

static void test_rand_repeats_by_seed(void **state)
{
    struct rand a;
    struct rand b;
    (void)state;
    rand_init(&a, 42);
    rand_init(&b, 42);
    for (int i = 0; i < 100; i++) {
        assert_true(rand_u64(&a) == rand_u64(&b));
        assert_true(rand_below(&a, 7) < 7);
        rand_below(&b, 7);
    }
    rand_init(&b, 43);
    assert_true(rand_u64(&a) != rand_u64(&b));
    assert_int_equal(rand_below(&a, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_links_and_unlinks),
        cmocka_unit_test(test_map_by_number),
        cmocka_unit_test(test_map_by_bytes_is_walked),
        cmocka_unit_test(test_heap_agrees_with_a_plain_array),
        cmocka_unit_test(test_heap_is_built_of_many_at_once),
        cmocka_unit_test(test_rand_repeats_by_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
