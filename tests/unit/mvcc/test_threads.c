/* SPDX-License-Identifier: Apache-2.0
 * Readers and compaction beside the writer; meant for the thread sanitizer too. Every transaction
 * writes one number into all keys, so a reader that sees two numbers saw half a transaction. */
#include "place.h"

#include <pthread.h>
#include <stdatomic.h>

enum { KEYS = 40, TXNS = 300, READERS = 2 };

struct shared {
    struct place *place;
    atomic_bool is_over;
    atomic_int reads;
};

static bool is_whole(const struct mvcc_range_result *result)
{
    bool is_same = result->total == (int64_t)result->kvs_count;
    for (size_t i = 1; i < result->kvs_count; i++) {
        is_same &= slice_eq(result->kvs[i].value, result->kvs[0].value);
        is_same &= result->kvs[i].mod == result->kvs[0].mod;
    }
    return is_same && (result->kvs_count == KEYS || result->kvs_count == 0);
}

static void *read_on(void *arg)
{
    struct shared *shared = arg;
    struct mvcc *mvcc = shared->place->mvcc;
    int64_t turn = 0;
    while (!atomic_load(&shared->is_over)) {
        revision newest = mvcc_revision(mvcc);
        struct mvcc_range_options options = {.key = SLICE("k"), .end = SLICE("l")};
        options.rev = turn++ % 2 ? newest - turn % 5 : 0;
        struct mvcc_range_result result;
        struct arena *arena = arena_new(0);
        struct err err = mvcc_range(mvcc, &options, arena, &result);
        if (err_is(err) ? !IS(err, COMPACTED) || options.rev == 0 : !is_whole(&result)) {
            fprintf(stderr, "rev %lld: %s, %zu of %lld keys\n", (long long)options.rev,
                err_name(err), result.kvs_count, (long long)result.total);
            abort();
        }
        arena_free(arena);
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

static void *compact_on(void *arg)
{
    struct shared *shared = arg;
    while (!atomic_load(&shared->is_over)) {
        bool is_done = false;
        struct mvcc_hash hash;
        struct err err = mvcc_compact_step(shared->place->mvcc, 64, &is_done, NULL);
        check(!err_is(err));
        err = mvcc_hash_kv(shared->place->mvcc, 0, &hash, NULL);
        check(!err_is(err));
    }
    return NULL;
}

static void write_one(struct place *place, int number)
{
    const struct mvcc_change *changes;
    size_t count;
    char value[16];
    snprintf(value, sizeof(value), "%d", number);
    struct mvcc_txn *txn = mvcc_txn_begin(place->mvcc, place->batch);
    if (number % 10 == 9) {
        mvcc_txn_delete_range(txn, SLICE("k"), SLICE("l"));
    }
    for (int i = 0; i < KEYS && number % 10 != 9; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%02d", i);
        mvcc_txn_put(txn, slice_str(key), slice_str(value), 0);
    }
    mvcc_txn_end(txn, &changes, &count);
    if (number % 3 == 0) {
        place_write(place);
    }
    if (number % 50 == 49) {
        revision rev = mvcc_revision(place->mvcc);
        check(!err_is(mvcc_compact_begin(place->mvcc, rev - 2, place->batch)));
        place_write(place);
    }
}

static void test_readers_see_whole_transactions(void **state)
{
    (void)state;
    struct place place;
    place_init(&place, (struct mvcc_options){.value_cache_bytes = 1000, .history_bytes = 20000});
    struct shared shared = {.place = &place};
    pthread_t threads[READERS + 1];
    for (int i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, read_on, &shared);
    }
    pthread_create(&threads[READERS], NULL, compact_on, &shared);
    for (int i = 0; i < TXNS || atomic_load(&shared.reads) < 50; i++) {
        write_one(&place, i);
    }
    place_write(&place);
    atomic_store(&shared.is_over, true);
    for (int i = 0; i <= READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    place_fini(&place);
}

int run_threads_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_see_whole_transactions),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
