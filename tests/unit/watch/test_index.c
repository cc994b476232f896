/* SPDX-License-Identifier: Apache-2.0
 * The interval index against a list that is walked. */
#include "scene.h"

#include "base/mem.h"
#include "watch/index.h"

enum { ENTRIES = 120, STEPS = 6000, TEXT = 4 };

struct entry {
    struct list node; /* in its ring */
    char key[TEXT];
    char end[TEXT];
    size_t end_len;
    bool is_in;
    bool is_seen;
};

static void random_key(struct rand *rand, char out[TEXT])
{
    size_t len = 1 + rand_below(rand, 2);
    memset(out, 0, TEXT);
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)('a' + rand_below(rand, 6));
    }
}

static void random_range(struct rand *rand, struct entry *entry)
{
    random_key(rand, entry->key);
    entry->end_len = 0;
    switch (rand_below(rand, 4)) {
    case 0:
        break;
    case 1:
        entry->end[0] = 0;
        entry->end_len = 1;
        break;
    default:
        random_key(rand, entry->end);
        if (strcmp(entry->end, entry->key) <= 0) {
            memcpy(entry->end, entry->key, TEXT);
            entry->end[strlen(entry->key)] = 'g';
        }
        entry->end_len = strlen(entry->end);
        break;
    }
}

static bool wants(const struct entry *entry, const char *key)
{
    if (!entry->is_in || entry->end_len == 0) {
        return entry->is_in && strcmp(entry->key, key) == 0;
    }
    bool is_open = entry->end_len == 1 && entry->end[0] == 0;
    return strcmp(key, entry->key) >= 0 && (is_open || strcmp(key, entry->end) < 0);
}

static void see(void *arg, struct list *ring)
{
    (void)arg;
    LIST_EACH(node, ring)
    {
        struct entry *entry = LIST_ITEM(node, struct entry, node);
        assert_false(entry->is_seen); /* each once */
        entry->is_seen = true;
    }
}

static void toggle(struct watch_index *index, struct rand *rand, struct entry *entry)
{
    if (!entry->is_in) {
        random_range(rand, entry);
        struct slice end = slice_of(entry->end, entry->end_len);
        list_push(watch_index_ring(index, slice_str(entry->key), end), &entry->node);
    } else {
        list_remove(&entry->node);
        watch_index_drop_empty(
            index, slice_str(entry->key), slice_of(entry->end, entry->end_len));
    }
    entry->is_in = !entry->is_in;
}

static void test_index_agrees_with_a_walk(void **state)
{
    struct entry entries[ENTRIES] = {0};
    struct watch_index index;
    struct rand rand;
    char key[TEXT];
    (void)state;
    rand_init(&rand, 7);
    watch_index_init(&index);
    for (int step = 0; step < STEPS; step++) {
        toggle(&index, &rand, &entries[rand_below(&rand, ENTRIES)]);
        random_key(&rand, key);
        watch_index_visit(&index, slice_str(key), see, NULL);
        for (size_t i = 0; i < ENTRIES; i++) {
            assert_int_equal(entries[i].is_seen, wants(&entries[i], key));
            entries[i].is_seen = false;
        }
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        if (entries[i].is_in) {
            toggle(&index, &rand, &entries[i]);
        }
    }
    watch_index_fini(&index);
}

int run_index_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_index_agrees_with_a_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
