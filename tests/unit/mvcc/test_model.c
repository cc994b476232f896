/* SPDX-License-Identifier: Apache-2.0
 * A store against a plain array of everything that ever happened: random transactions, reads at all
 * revisions, compactions, restarts, and crashes after which the lost transactions are applied
 * again. */
#include "place.h"

#include "base/mem.h"
#include "base/rand.h"
#include "mvcc/state.h"

enum { KEYS = 48, VERSIONS_MAX = 40000 };

struct version {
    int key;
    revision main;
    revision create;
    int64_t version;
    lease_id lease;
    uint64_t value;
    bool is_tombstone;
};

struct model {
    struct place place;
    struct rand rand;
    uint64_t seed;
    struct version *versions;
    size_t count;
    revision rev;
    revision compacted;
    revision asked[VERSIONS_MAX]; /* [r]: the compaction asked for when r was the newest; 0: none */
};

static const char *key_text(int key)
{
    static char text[4][32];
    static int turn;
    char *out = text[turn++ % 4];
    /* Some keys are prefixes of others. */
    snprintf(out, 32, key % 3 ? "/registry/%02d/x" : "/registry/%02d", key / 3 * 3 + key % 2);
    return out;
}

static int key_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char sorted[KEYS][32];
static int sorted_count;

static void keys_init(void)
{
    const char *order[KEYS];
    static char all[KEYS][32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(all[i], sizeof(all[i]), "%s", key_text(i));
        order[i] = all[i];
    }
    qsort(order, KEYS, sizeof(order[0]), key_order);
    sorted_count = 0;
    for (int i = 0; i < KEYS; i++) {
        if (i == 0 || strcmp(order[i], order[i - 1]) != 0) {
            snprintf(sorted[sorted_count], sizeof(sorted[0]), "%s", order[i]);
            sorted_count++;
        }
    }
}

/* The last version of a key at or below a revision; NULL: none or a tombstone. */
static const struct version *at_rev(const struct model *model, int key, revision rev)
{
    const struct version *found = NULL;
    for (size_t i = 0; i < model->count && model->versions[i].main <= rev; i++) {
        if (model->versions[i].key == key) {
            found = &model->versions[i];
        }
    }
    return found && !found->is_tombstone ? found : NULL;
}

static struct slice value_text(uint64_t value, char out[64])
{
    int len = value % 7 == 0
                  ? 0
                  : snprintf(out, 64, "%0*llx", (int)(value % 40) + 1, (unsigned long long)value);
    return slice_of(out, (size_t)len);
}

/* One transaction; the same seed and revision make the same one. is_model: only the model,
 * is_store: only the store. */
struct act {
    struct model *model;
    struct mvcc_txn *txn;
    bool is_modelled;
    int64_t deleted;
};

static void add_version(struct model *model, struct version version)
{
    check(model->count < VERSIONS_MAX);
    model->versions[model->count++] = version;
}

static void act_put(struct act *act, int key, uint64_t value, lease_id lease)
{
    char text[64];
    struct model *model = act->model;
    if (act->txn) {
        mvcc_txn_put(act->txn, slice_str(sorted[key]), value_text(value, text), lease);
    }
    if (act->is_modelled) {
        revision main = model->rev + 1;
        const struct version *old = at_rev(model, key, main);
        struct version version = {
            key, main, old ? old->create : main, old ? old->version + 1 : 1, lease, value, false};
        add_version(model, version);
    }
}

static void act_delete(struct act *act, int from, int to)
{
    struct model *model = act->model;
    int64_t wanted = 0;
    for (int key = from; act->is_modelled && key < to; key++) {
        if (at_rev(model, key, model->rev + 1)) {
            add_version(
                model, (struct version){.key = key, .main = model->rev + 1, .is_tombstone = true});
            wanted++;
        }
    }
    if (act->txn) {
        struct slice end = to == from + 1      ? (struct slice){0}
                           : to < sorted_count ? slice_str(sorted[to])
                                               : slice_of("", 1);
        int64_t deleted = mvcc_txn_delete_range(act->txn, slice_str(sorted[from]), end);
        assert_true(!act->is_modelled || deleted == wanted);
    }
}

/* Keys of one transaction are distinct, as etcd demands: it takes them upwards. */
static void act_all(struct act *act, struct rand *rand)
{
    int key = (int)rand_below(rand, (uint64_t)sorted_count);
    int ops = 1 + (int)rand_below(rand, 4);
    for (int i = 0; i < ops && key < sorted_count; i++) {
        if (rand_below(rand, 10) < 7) {
            act_put(act, key, rand_u64(rand), (lease_id)rand_below(rand, 3));
            key += 1 + (int)rand_below(rand, 6);
        } else {
            int to = key + 1 + (int)rand_below(rand, rand_below(rand, 8) ? 3 : 30);
            to = to < sorted_count ? to : sorted_count;
            act_delete(act, key, to);
            key = to;
        }
    }
}

static void transact(struct model *model, bool is_modelled, revision base)
{
    struct rand rand;
    const struct mvcc_change *changes;
    size_t count;
    rand_init(&rand, model->seed * 1000003 + (uint64_t)base);
    struct act act = {.model = model, .is_modelled = is_modelled};
    act.txn = mvcc_txn_begin(model->place.mvcc, model->place.batch);
    /* Until something is written; an empty transaction has no revision. */
    while (!mvcc_txn_is_dirty(act.txn)) {
        act_all(&act, &rand);
    }
    revision rev = mvcc_txn_end(act.txn, &changes, &count);
    assert_int_equal(rev, base + 1);
    if (is_modelled) {
        model->rev = rev;
    }
}

static void assert_kv(const struct mvcc_kv *kv, const struct version *want, bool is_keys_only)
{
    char text[64];
    assert_true(slice_eq(kv->key, slice_str(sorted[want->key])));
    assert_int_equal(kv->mod, want->main);
    assert_int_equal(kv->create, want->create);
    assert_int_equal(kv->version, want->version);
    assert_int_equal(kv->lease, want->lease);
    struct slice value = is_keys_only ? (struct slice){0} : value_text(want->value, text);
    assert_true(slice_eq(kv->value, value));
}

static void check_range(struct model *model)
{
    struct rand *rand = &model->rand;
    int from = (int)rand_below(rand, (uint64_t)sorted_count);
    int to = from + (int)rand_below(rand, (uint64_t)(sorted_count - from) + 1);
    bool is_one = to == from + 1 && rand_below(rand, 2);
    revision low = model->compacted > 0 ? model->compacted : 1;
    revision rev = low + (revision)rand_below(rand, (uint64_t)(model->rev - low + 1));
    if (rand_below(rand, 3) == 0) {
        rev = 0;
    }
    struct mvcc_range_options options = {.key = slice_str(sorted[from]),
        .end = is_one              ? (struct slice){0}
               : to < sorted_count ? slice_str(sorted[to])
                                   : slice_of("", 1),
        .rev = rev,
        .limit = rand_below(rand, 2) ? (int64_t)rand_below(rand, 12) : 0,
        .is_count_only = rand_below(rand, 5) == 0,
        .is_keys_only = rand_below(rand, 4) == 0};
    struct mvcc_range_result result;
    struct arena *arena = arena_new(0);
    assert_false(err_is(mvcc_range(model->place.mvcc, &options, arena, &result)));
    int64_t total = 0;
    for (int key = from; key < to; key++) {
        const struct version *want = at_rev(model, key, rev ? rev : model->rev);
        if (want && !options.is_count_only && (options.limit == 0 || total < options.limit)) {
            assert_true((size_t)total < result.kvs_count);
            assert_kv(&result.kvs[total], want, options.is_keys_only);
        }
        total += want != NULL;
    }
    assert_int_equal(result.total, total);
    assert_int_equal(result.rev, model->rev);
    int64_t kvs = options.is_count_only                    ? 0
                  : options.limit && options.limit < total ? options.limit
                                                           : total;
    assert_int_equal(result.kvs_count, kvs);
    arena_free(arena);
}

struct told {
    struct model *model;
    size_t at;
    bool needs_prev;
};

static bool check_change(void *arg, const struct mvcc_change *change)
{
    struct told *told = arg;
    const struct model *model = told->model;
    char text[64];
    assert_true(told->at < model->count);
    const struct version *want = &model->versions[told->at++];
    const struct version *prev = at_rev(model, want->key, want->main - 1);
    assert_int_equal(change->main, want->main);
    assert_int_equal(change->kind, want->is_tombstone ? MVCC_DELETE : MVCC_PUT);
    assert_true(slice_eq(blob_slice(change->key), slice_str(sorted[want->key])));
    assert_int_equal(change->version, want->version);
    assert_int_equal(change->create, want->create);
    assert_int_equal(change->lease, want->lease);
    if (!want->is_tombstone) {
        assert_true(slice_eq(blob_slice(change->value), value_text(want->value, text)));
    }
    assert_int_equal(change->prev_mod, prev ? prev->main : 0);
    if (prev && told->needs_prev) {
        assert_int_equal(change->prev_version, prev->version);
        assert_int_equal(change->prev_create, prev->create);
        assert_int_equal(change->prev_lease, prev->lease);
        assert_true(slice_eq(blob_slice(change->prev_value), value_text(prev->value, text)));
    }
    return true;
}

static void check_history(struct model *model)
{
    revision low = model->compacted > 0 ? model->compacted + 1 : 1;
    if (low > model->rev) {
        return;
    }
    revision from = low + (revision)rand_below(&model->rand, (uint64_t)(model->rev - low + 1));
    revision to = from + (revision)rand_below(&model->rand, 600);
    struct told told = {.model = model, .needs_prev = rand_below(&model->rand, 2)};
    while (told.at < model->count && model->versions[told.at].main < from) {
        told.at++;
    }
    struct err err =
        mvcc_history(model->place.mvcc, from, to, told.needs_prev, check_change, &told, NULL);
    assert_false(err_is(err));
    assert_true(told.at == model->count || model->versions[told.at].main > to);
}

static void check_all(struct model *model)
{
    for (int i = 0; i < 6; i++) {
        check_range(model);
    }
    check_history(model);
    index_check(&model->place.mvcc->index);
    assert_int_equal(mvcc_revision(model->place.mvcc), model->rev);
    assert_int_equal(mvcc_compact_revision(model->place.mvcc), model->compacted);
}

static void compact(struct model *model)
{
    revision low = model->compacted > 0 ? model->compacted : 1;
    if (model->rev == low) {
        return;
    }
    revision rev = low + 1 + (revision)rand_below(&model->rand, (uint64_t)(model->rev - low));
    assert_false(err_is(mvcc_compact_begin(model->place.mvcc, rev, model->place.batch)));
    model->compacted = rev;
    model->asked[model->rev] = rev;
}

static void compact_some(struct model *model)
{
    bool is_done;
    size_t rows = 1 + rand_below(&model->rand, 40);
    assert_false(err_is(mvcc_compact_step(model->place.mvcc, rows, &is_done, NULL)));
}

static void again(struct model *model, revision at)
{
    revision asked = model->asked[at];
    if (asked > 0 && asked > mvcc_compact_revision(model->place.mvcc)) {
        assert_false(err_is(mvcc_compact_begin(model->place.mvcc, asked, model->place.batch)));
    }
}

/* What was not flushed is gone; the log gives it again. */
static void crash(struct model *model)
{
    place_crash(&model->place);
    revision have = mvcc_revision(model->place.mvcc);
    assert_true(have <= model->rev);
    again(model, have);
    for (; have < model->rev; have++) {
        transact(model, false, have);
        again(model, have + 1);
    }
    place_write(&model->place);
}

static void act_once(struct model *model)
{
    uint64_t dice = rand_below(&model->rand, 1000);
    if (dice < 12) {
        compact(model);
    } else if (dice < 80) {
        compact_some(model);
    } else if (dice < 90) {
        assert_false(err_is(backend_flush(model->place.backend, NULL)));
    } else if (dice < 95) {
        crash(model);
    } else if (dice < 350) {
        place_write(&model->place);
    } else if (dice < 450) {
        check_all(model);
    } else {
        transact(model, true, model->rev);
    }
}

static void run(uint64_t seed, size_t value_cache_bytes, size_t history_bytes)
{
    keys_init();
    struct model *model = mem_new(sizeof(*model));
    model->versions = mem_new(VERSIONS_MAX * sizeof(*model->versions));
    model->seed = seed;
    model->rev = 1;
    model->compacted = -1;
    rand_init(&model->rand, seed);
    place_init(&model->place, (struct mvcc_options){.value_cache_bytes = value_cache_bytes,
                                  .history_bytes = history_bytes});
    for (int i = 0; i < 1500; i++) {
        act_once(model);
    }
    place_write(&model->place);
    check_all(model);
    place_fini(&model->place);
    free(model->versions);
    free(model);
}

static void test_model_with_all_values_in_memory(void **state)
{
    (void)state;
    run(1, 1024 * 1024, 0);
    run(2, 1024 * 1024, 0);
}

static void test_model_with_nothing_in_memory(void **state)
{
    (void)state;
    run(3, 0, 1);
    run(4, 0, 1);
}

static void test_model_with_a_little_in_memory(void **state)
{
    (void)state;
    run(5, 700, 6000);
    run(6, 700, 6000);
}

int run_model_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_with_all_values_in_memory),
        cmocka_unit_test(test_model_with_nothing_in_memory),
        cmocka_unit_test(test_model_with_a_little_in_memory),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
