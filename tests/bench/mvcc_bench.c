/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures the mvcc room alone, one thread: mvcc_bench FOLDER [keys]. The folder is made and left
 * behind. Wall time, and this thread's CPU time (which a busy machine does not stretch).
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "mvcc/mvcc.h"

#include <malloc.h>
#include <time.h>

enum { VALUE_BYTES = 1024, BATCH = 16, PAGE = 500, LIST_KEYS = 20000 };

struct bench {
    const char *folder;
    size_t keys;
    struct backend *backend;
    struct backend_batch *batch;
    struct mvcc *mvcc;
    struct rand rand;
    int64_t began_ns;
    int64_t began_cpu_ns;
};

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void begin(struct bench *bench)
{
    bench->began_ns = clock_mono_ns();
    bench->began_cpu_ns = cpu_ns();
}

static void report(const struct bench *bench, const char *what, size_t times)
{
    double us = (double)(clock_mono_ns() - bench->began_ns) / 1e3;
    double cpu_us = (double)(cpu_ns() - bench->began_cpu_ns) / 1e3;
    printf("%-40s %12.2f us each, CPU %12.2f us, %zu times\n", what, us / (double)times,
        cpu_us / (double)times, times);
}

static void must(struct err err, const struct why *why)
{
    if (err_is(err)) {
        fprintf(stderr, "%s: %s\n", err_name(err), why ? why->text : "");
        exit(1);
    }
}

static void store_open(struct bench *bench, size_t cache_bytes)
{
    struct why why = {""};
    struct backend_options backend = {.path = bench->folder};
    must(backend_open(&backend, &bench->backend, &why), &why);
    struct mvcc_options options = {.backend = bench->backend, .value_cache_bytes = cache_bytes};
    must(mvcc_open(&options, &bench->mvcc, &why), &why);
}

static void store_close(struct bench *bench)
{
    mvcc_close(bench->mvcc);
    backend_close(bench->backend);
}

static struct slice key_text(size_t number, char out[64])
{
    int len = snprintf(out, 64, "/registry/pods/namespace-%03zu/pod-%08zu", number % 500, number);
    return slice_of(out, (size_t)len);
}

static void write_batch(struct bench *bench)
{
    must(backend_write(bench->backend, bench->batch, NULL), NULL);
    backend_batch_reset(bench->batch);
    mvcc_batch_written(bench->mvcc);
}

static void put(struct bench *bench, size_t number, const uint8_t *value, size_t len)
{
    const struct mvcc_change *changes;
    size_t count;
    char key[64];
    struct mvcc_txn *txn = mvcc_txn_begin(bench->mvcc, bench->batch);
    mvcc_txn_put(txn, key_text(number, key), slice_of(value, len), 0);
    mvcc_txn_end(txn, &changes, &count);
}

static void put_many(struct bench *bench, const char *what, size_t times, size_t spread, size_t len)
{
    uint8_t value[VALUE_BYTES];
    for (size_t i = 0; i < sizeof(value); i++) {
        value[i] = (uint8_t)rand_u64(&bench->rand);
    }
    begin(bench);
    for (size_t i = 0; i < times; i++) {
        put(bench, spread ? rand_below(&bench->rand, spread) : i, value, len);
        if (i % BATCH == BATCH - 1) {
            write_batch(bench);
        }
    }
    write_batch(bench);
    report(bench, what, times);
}

static int64_t range(struct bench *bench, struct mvcc_range_options options, struct mvcc_kv *last)
{
    struct mvcc_range_result result;
    struct arena *arena = arena_new(0);
    must(mvcc_range(bench->mvcc, &options, arena, &result), NULL);
    int64_t got = options.is_count_only ? result.total : (int64_t)result.kvs_count;
    if (last && result.kvs_count) {
        *last = result.kvs[result.kvs_count - 1];
        static uint8_t key[64];
        memcpy(key, last->key.data, last->key.len);
        last->key.data = key;
    }
    arena_free(arena);
    return got;
}

static void get_many(struct bench *bench, const char *what, size_t spread, bool is_keys_only)
{
    enum { TIMES = 200000 };
    begin(bench);
    for (size_t i = 0; i < TIMES; i++) {
        char key[64];
        struct slice text = key_text(rand_below(&bench->rand, spread), key);
        range(bench, (struct mvcc_range_options){.key = text, .is_keys_only = is_keys_only}, NULL);
    }
    report(bench, what, TIMES);
}

static void lists(struct bench *bench, const char *what, size_t times)
{
    begin(bench);
    for (size_t i = 0; i < times; i++) {
        struct mvcc_range_options all = {.key = SLICE("/registry/"), .end = SLICE("/registry0")};
        check(range(bench, all, NULL) >= LIST_KEYS);
    }
    report(bench, what, times);
}

static void pages(struct bench *bench, const char *what, revision rev)
{
    struct mvcc_kv last = {0};
    size_t times = 0;
    int64_t got = PAGE;
    char from[65] = "/registry/";
    struct slice key = slice_str(from);
    begin(bench);
    for (; got == PAGE; times++) {
        struct mvcc_range_options page = {
            .key = key, .end = SLICE("/registry0"), .limit = PAGE, .rev = rev};
        got = range(bench, page, &last);
        memcpy(from, last.key.data, last.key.len);
        from[last.key.len] = 0;
        key = slice_of(from, last.key.len + 1);
    }
    report(bench, what, times);
}

static void counts(struct bench *bench, const char *what, revision rev)
{
    enum { TIMES = 1000 };
    begin(bench);
    for (size_t i = 0; i < TIMES; i++) {
        struct mvcc_range_options all = {.key = SLICE("/registry/"),
            .end = SLICE("/registry0"),
            .is_count_only = true,
            .rev = rev};
        range(bench, all, NULL);
    }
    report(bench, what, TIMES);
}

static void compact(struct bench *bench)
{
    bool is_done = false;
    size_t before = mvcc_compacted_rows(bench->mvcc);
    must(mvcc_compact_begin(bench->mvcc, mvcc_revision(bench->mvcc), bench->batch), NULL);
    write_batch(bench);
    begin(bench);
    while (!is_done) {
        must(mvcc_compact_step(bench->mvcc, 1000, &is_done, NULL), NULL);
    }
    report(bench, "compaction, per dropped row", mvcc_compacted_rows(bench->mvcc) - before);
}

static void measure_lists(struct bench *bench)
{
    store_open(bench, (size_t)1 << 30);
    put_many(bench, "put 1 KiB, new keys, batches of 16", LIST_KEYS, 0, VALUE_BYTES);
    put_many(bench, "put 1 KiB, old keys, batches of 16", 5 * LIST_KEYS, LIST_KEYS, VALUE_BYTES);
    get_many(bench, "get of 20,000", LIST_KEYS, false);
    lists(bench, "LIST 20,000 x 1 KiB, values in memory", 20);
    must(backend_flush(bench->backend, NULL), NULL);
    store_close(bench);
    store_open(bench, 0);
    lists(bench, "LIST 20,000 x 1 KiB, cold", 5);
    compact(bench);
    store_close(bench);
}

static void measure_many(struct bench *bench)
{
    size_t heap = mallinfo2().uordblks;
    begin(bench);
    store_open(bench, (size_t)1 << 30);
    report(bench, "open", 1);
    printf("%-46s %10zu keys, %.0f bytes each (heap %.0f)\n", "memory after open",
        (size_t)mvcc_keys(bench->mvcc),
        (double)mvcc_memory_bytes(bench->mvcc) / (double)mvcc_keys(bench->mvcc),
        (double)(mallinfo2().uordblks - heap) / (double)mvcc_keys(bench->mvcc));
    revision old = mvcc_revision(bench->mvcc);
    get_many(bench, "get, index only", bench->keys, true);
    counts(bench, "count", 0);
    pages(bench, "pages of 500, cold", 0);
    pages(bench, "pages of 500, in memory", 0);
    put_many(bench, "put 256 B among them", 2000, bench->keys, VALUE_BYTES / 4);
    pages(bench, "pages of 500, 2,000 revisions ago", old);
    counts(bench, "count, 2,000 revisions ago", old);
    store_close(bench);
}

int main(int argc, char **argv)
{
    struct bench bench = {.folder = argc > 1 ? argv[1] : NULL, .batch = backend_batch_new()};
    bench.keys = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
    if (!bench.folder) {
        fprintf(stderr, "usage: mvcc_bench FOLDER [keys]\n");
        return 2;
    }
    rand_init(&bench.rand, 1);
    measure_lists(&bench);
    store_open(&bench, 0);
    put_many(&bench, "put 256 B, new keys, batches of 16", bench.keys, 0, VALUE_BYTES / 4);
    must(backend_flush(bench.backend, NULL), NULL);
    store_close(&bench);
    measure_many(&bench);
    backend_batch_free(bench.batch);
    return 0;
}
