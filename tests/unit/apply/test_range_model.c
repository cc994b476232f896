/* SPDX-License-Identifier: Apache-2.0
 * Ranges against a plain list of all that was ever written: every mix of revision, limit, order,
 * filters and kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pb.h"
#include "base/rand.h"
#include "tests/shared/memory_backend.h"
#include "tests/shared/store.h"

#include <stdio.h>

enum { KEYS = 24, WRITES = 150, QUESTIONS = 4000, VALUE_MAX = 8 };

struct version {
    char key[8];
    char value[VALUE_MAX]; /* "": deleted */
    int64_t create;
    int64_t mod;
    int64_t version;
};

struct model {
    struct store store;
    struct rand rand;
    uint64_t index;
    struct version versions[WRITES * 2]; /* in order of mod */
    size_t count;
    int64_t rev;
};

typedef Etcdserverpb__RangeRequest range_request;

static struct apply_result *find(void *arg, uint64_t request_id)
{
    (void)arg;
    (void)request_id;
    return NULL;
}

static void apply_one(struct model *model, Etcdserverpb__InternalRaftRequest *request)
{
    struct apply_sink sink = {.find = find};
    struct why why = {""};
    struct arena *arena = arena_new(0);
    struct raft_entry entry = {
        .term = 1, .index = ++model->index, .data = blob_new(pb_pack_arena(request, arena))};
    assert_false(err_is(apply_entry(model->store.apply, &entry, &sink, &why)));
    assert_false(err_is(apply_commit(model->store.apply, &why)));
    blob_unref(entry.data);
    arena_free(arena);
}

/* The last version of a key up to a revision; NULL: there was none, or it was deleted. */
static const struct version *living(const struct model *model, const char *key, int64_t rev)
{
    const struct version *last = NULL;
    for (size_t i = 0; i < model->count && model->versions[i].mod <= rev; i++) {
        last = strcmp(model->versions[i].key, key) == 0 ? &model->versions[i] : last;
    }
    return last && last->value[0] ? last : NULL;
}

static void write_one(struct model *model)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest delete = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct version *next = &model->versions[model->count];
    snprintf(next->key, sizeof(next->key), "k%02u", (unsigned)rand_below(&model->rand, KEYS));
    const struct version *old = living(model, next->key, model->rev);
    if (old && rand_below(&model->rand, 4) == 0) {
        delete.key = pb_bytes(slice_str(next->key));
        request.delete_range = &delete;
    } else {
        unsigned tie =
            (unsigned)rand_below(&model->rand, 6); /* few values, so that many are alike */
        snprintf(next->value, sizeof(next->value), "v%u", tie);
        next->version = old ? old->version + 1 : 1;
        put.key = pb_bytes(slice_str(next->key));
        put.value = pb_bytes(slice_str(next->value));
        request.put = &put;
    }
    apply_one(model, &request);
    next->mod = ++model->rev;
    next->create = old ? old->create : next->mod;
    model->count++;
}

static int setup(void **state)
{
    struct model *model = mem_new(sizeof(*model));
    model->store =
        (struct store){.path = "/m", .value_cache_bytes = 600, .options = {.quota_bytes = -1}};
    store_open(&model->store);
    rand_init(&model->rand, 42);
    model->rev = 1;
    for (int i = 0; i < WRITES; i++) {
        write_one(model);
    }
    assert_int_equal(mvcc_revision(model->store.options.mvcc), model->rev);
    *state = model;
    return 0;
}

static int teardown(void **state)
{
    struct model *model = *state;
    store_close(&model->store);
    memory_backend_forget();
    free(model);
    return 0;
}

static bool passes(const range_request *request, const struct version *version)
{
    return (!request->min_mod_revision || version->mod >= request->min_mod_revision) &&
           (!request->max_mod_revision || version->mod <= request->max_mod_revision) &&
           (!request->min_create_revision || version->create >= request->min_create_revision) &&
           (!request->max_create_revision || version->create <= request->max_create_revision);
}

static int compare(const range_request *request, const struct version *a, const struct version *b)
{
    switch ((int)request->sort_target) {
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
        return (a->version > b->version) - (a->version < b->version);
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
        return (a->create > b->create) - (a->create < b->create);
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD:
        return (a->mod > b->mod) - (a->mod < b->mod);
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE:
        return strcmp(a->value, b->value);
    default:
        return strcmp(a->key, b->key);
    }
}

static bool is_before(
    const range_request *request, const struct version *a, const struct version *b)
{
    bool is_down = request->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    int order = compare(request, a, b);
    return is_down ? order > 0 : order < 0;
}

/* Without an order etcd reads one more than the limit before it sorts by the target: kept. */
static size_t reads_at_most(const range_request *request)
{
    bool is_whole = request->sort_order != ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE ||
                    request->min_mod_revision || request->max_mod_revision ||
                    request->min_create_revision || request->max_create_revision;
    return is_whole || request->limit <= 0 ? SIZE_MAX : (size_t)request->limit + 1;
}

struct answer {
    const struct version *rows[KEYS]; /* in order */
    size_t count;
    int64_t total; /* in the range, whatever the filters say */
};

static struct answer expect(const struct model *model, const range_request *request)
{
    struct answer answer = {.count = 0};
    int64_t rev = request->revision > 0 ? request->revision : model->rev;
    for (int i = 0; i < KEYS; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%02d", i);
        struct slice name = slice_str(key);
        bool is_in = request->range_end.len ? slice_cmp(name, pb_slice(request->key)) >= 0 &&
                                                  slice_cmp(name, pb_slice(request->range_end)) < 0
                                            : slice_eq(name, pb_slice(request->key));
        const struct version *version = is_in ? living(model, key, rev) : NULL;
        answer.total += version != NULL;
        if (!version || !passes(request, version) || answer.count == reads_at_most(request)) {
            continue;
        }
        size_t at = answer.count++;
        while (at > 0 && is_before(request, version, answer.rows[at - 1])) {
            answer.rows[at] = answer.rows[at - 1];
            at--;
        }
        answer.rows[at] = version;
    }
    return answer;
}

/* Which of those that are alike comes first is nobody's promise: so each row has to be as good as
 * the expected one at its place, and what is said of it has to be true. */
static void check_row(const struct model *model, const range_request *request,
    const Mvccpb__KeyValue *kv, const struct version *expected)
{
    char key[8];
    int64_t rev = request->revision > 0 ? request->revision : model->rev;
    assert_true(kv->key.len < sizeof(key));
    snprintf(key, sizeof(key), "%.*s", (int)kv->key.len, (const char *)kv->key.data);
    const struct version *actual = living(model, key, rev);
    assert_non_null(actual);
    assert_int_equal(compare(request, actual, expected), 0);
    assert_true(passes(request, actual));
    assert_int_equal(kv->mod_revision, actual->mod);
    assert_int_equal(kv->create_revision, actual->create);
    assert_int_equal(kv->version, actual->version);
    struct slice value = request->keys_only ? (struct slice){0} : slice_str(actual->value);
    assert_true(slice_eq(pb_slice(kv->value), value));
}

static void check_answer(const struct model *model, const range_request *request)
{
    struct answer expected = expect(model, request);
    Etcdserverpb__RangeResponse *response;
    struct arena *arena = arena_new(0);
    assert_false(err_is(apply_range(model->store.options.mvcc, request, arena, &response)));
    assert_int_equal(response->header->revision, model->rev);
    assert_int_equal(response->count, expected.total);
    size_t limit = request->limit > 0 ? (size_t)request->limit : SIZE_MAX;
    if (request->count_only) {
        assert_int_equal(response->n_kvs, 0);
        assert_false(response->more);
    } else {
        assert_int_equal(response->more, expected.count > limit);
        assert_int_equal(response->n_kvs, expected.count < limit ? expected.count : limit);
    }
    for (size_t i = 0; i < response->n_kvs; i++) {
        check_row(model, request, response->kvs[i], expected.rows[i]);
        for (size_t j = 0; j < i; j++) { /* none twice */
            assert_false(
                slice_eq(pb_slice(response->kvs[i]->key), pb_slice(response->kvs[j]->key)));
        }
    }
    arena_free(arena);
}

static int64_t some(struct model *model, int64_t most)
{
    return rand_below(&model->rand, 3) ? 0 : (int64_t)rand_below(&model->rand, (uint64_t)most) + 1;
}

static void ask(struct model *model)
{
    range_request request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char keys[2][8];
    for (int i = 0; i < 2; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%02u", (unsigned)rand_below(&model->rand, KEYS + 2));
    }
    bool is_range = rand_below(&model->rand, 5) > 0;
    request.key = pb_bytes(slice_str(rand_below(&model->rand, 3) ? "k" : keys[0]));
    request.range_end = pb_bytes(slice_str(rand_below(&model->rand, 3) ? "l" : keys[1]));
    if (!is_range) {
        request.key = pb_bytes(slice_str(keys[0]));
        request.range_end = (ProtobufCBinaryData){0};
    }
    request.limit = some(model, KEYS) - 1; /* a negative one is none */
    request.revision = some(model, model->rev);
    request.sort_order = (Etcdserverpb__RangeRequest__SortOrder)rand_below(&model->rand, 3);
    request.sort_target = (Etcdserverpb__RangeRequest__SortTarget)rand_below(&model->rand, 5);
    request.min_mod_revision = some(model, model->rev);
    request.max_mod_revision = some(model, model->rev);
    request.min_create_revision = some(model, model->rev);
    request.max_create_revision = some(model, model->rev);
    if (rand_below(&model->rand, 3)) { /* mostly without filters */
        request.min_mod_revision = request.max_mod_revision = 0;
        request.min_create_revision = request.max_create_revision = 0;
    }
    request.keys_only = rand_below(&model->rand, 4) == 0;
    request.count_only = rand_below(&model->rand, 8) == 0;
    check_answer(model, &request);
}

static void test_ranges_are_what_the_model_says(void **state)
{
    for (int i = 0; i < QUESTIONS; i++) {
        ask(*state);
    }
}

static void test_revisions_out_of_reach(void **state)
{
    struct model *model = *state;
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__CompactionRequest compaction = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    range_request range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *response;
    struct arena *arena = arena_new(0);
    struct mvcc *mvcc = model->store.options.mvcc;
    range.key = pb_bytes(slice_str("k"));
    range.range_end = pb_bytes(slice_str("l"));
    range.revision = model->rev + 1;
    assert_true(IS(apply_range(mvcc, &range, arena, &response), FUTURE_REV));
    compaction.revision = model->rev / 2;
    request.compaction = &compaction;
    apply_one(model, &request);
    range.revision = model->rev / 2 - 1;
    assert_true(IS(apply_range(mvcc, &range, arena, &response), COMPACTED));
    arena_free(arena);
    range.revision = model->rev / 2; /* what is compacted at can still be read */
    check_answer(model, &range);
    bool is_done = false;
    while (!is_done) {
        struct why why = {""};
        assert_false(err_is(mvcc_compact_step(mvcc, 7, &is_done, &why)));
        check_answer(model, &range);
    }
    for (range.revision = model->rev / 2; range.revision <= model->rev; range.revision++) {
        check_answer(model, &range);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ranges_are_what_the_model_says, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revisions_out_of_reach, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
