/* SPDX-License-Identifier: Apache-2.0
 * Transactions in transactions, three levels of them, carried out. What is expected was told by the
 * reference. */
#include "base/buf.h"
#include "base/pb.h"
#include "machine.h"

#include <inttypes.h>

typedef Etcdserverpb__RequestOp op;
typedef Etcdserverpb__Compare compare;
typedef Etcdserverpb__TxnRequest txn;

static void *make(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    void *message = arena_alloc(arena, type->sizeof_message);
    assert_non_null(message);
    type->message_init(message);
    return message;
}

static op *put(struct arena *arena, const char *key, const char *value, int64_t lease)
{
    op *made = make(arena, &etcdserverpb__request_op__descriptor);
    made->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    made->request_put = make(arena, &etcdserverpb__put_request__descriptor);
    made->request_put->key = text_bytes(key);
    made->request_put->value = text_bytes(value);
    made->request_put->lease = lease;
    made->request_put->prev_kv = true;
    return made;
}

static op *range(struct arena *arena, const char *key, const char *end)
{
    op *made = make(arena, &etcdserverpb__request_op__descriptor);
    made->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    made->request_range = make(arena, &etcdserverpb__range_request__descriptor);
    made->request_range->key = text_bytes(key);
    made->request_range->range_end = text_bytes(end);
    return made;
}

static op *erase(struct arena *arena, const char *key)
{
    op *made = make(arena, &etcdserverpb__request_op__descriptor);
    made->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    made->request_delete_range = make(arena, &etcdserverpb__delete_range_request__descriptor);
    made->request_delete_range->key = text_bytes(key);
    made->request_delete_range->prev_kv = true;
    return made;
}

static op *nest(struct arena *arena, txn *inner)
{
    op *made = make(arena, &etcdserverpb__request_op__descriptor);
    made->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    made->request_txn = inner;
    return made;
}

static compare *when(struct arena *arena, const char *key)
{
    compare *made = make(arena, &etcdserverpb__compare__descriptor);
    made->key = text_bytes(key);
    return made;
}

static compare *when_value(struct arena *arena, const char *key, const char *value)
{
    compare *made = when(arena, key);
    made->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    made->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    made->value = text_bytes(value);
    return made;
}

static compare *when_version(struct arena *arena, const char *key, int64_t version)
{
    compare *made = when(arena, key);
    made->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    made->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    made->version = version;
    return made;
}

static compare *when_created(struct arena *arena, const char *key)
{
    compare *made = when(arena, key);
    made->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    made->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
    made->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    return made;
}

static op **kept(struct arena *arena, op *const *ops, size_t *out_count)
{
    size_t count = 0;
    while (ops[count]) {
        count++;
    }
    op **list = arena_alloc(arena, (count + 1) * sizeof(*list));
    memcpy(list, ops, count * sizeof(*list));
    *out_count = count;
    return list;
}

#define OPS(...) ((op *const[]){__VA_ARGS__, NULL})

static txn *choose(struct arena *arena, compare *condition, op *const *success, op *const *failure)
{
    txn *made = make(arena, &etcdserverpb__txn_request__descriptor);
    made->compare = arena_alloc(arena, sizeof(*made->compare));
    made->compare[0] = condition;
    made->n_compare = 1;
    made->success = kept(arena, success, &made->n_success);
    made->failure = kept(arena, failure, &made->n_failure);
    return made;
}

/* "[key=value create/mod/version]" */
static void add_kv(struct buf *out, const Mvccpb__KeyValue *kv)
{
    if (kv) {
        buf_printf(out, "[%.*s=%.*s %" PRId64 "/%" PRId64 "/%" PRId64 "]", (int)kv->key.len,
            (const char *)kv->key.data, (int)kv->value.len, (const char *)kv->value.data,
            kv->create_revision, kv->mod_revision, kv->version);
    }
}

static void add_kvs(struct buf *out, Mvccpb__KeyValue **kvs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_kv(out, kvs[i]);
    }
}

static void add_txn(struct buf *out, const Etcdserverpb__TxnResponse *response);

/* The kind, the header's revision, what it counted, the pairs. */
static void add_one(struct buf *out, const Etcdserverpb__ResponseOp *one)
{
    if (one->response_case == ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT) {
        buf_printf(out, " put@%" PRId64, one->response_put->header->revision);
        add_kv(out, one->response_put->prev_kv);
    } else if (one->response_case == ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE) {
        buf_printf(out, " range@%" PRId64 ":%" PRId64, one->response_range->header->revision,
            one->response_range->count);
        add_kvs(out, one->response_range->kvs, one->response_range->n_kvs);
    } else if (one->response_case == ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE) {
        buf_printf(out, " delete@%" PRId64 ":%" PRId64,
            one->response_delete_range->header->revision, one->response_delete_range->deleted);
        add_kvs(out, one->response_delete_range->prev_kvs, one->response_delete_range->n_prev_kvs);
    } else {
        buf_add_str(out, " ");
        add_txn(out, one->response_txn);
    }
}

static void add_txn(struct buf *out, const Etcdserverpb__TxnResponse *response)
{
    buf_printf(out, "txn@%" PRId64 "%s{", response->header->revision,
        response->succeeded ? "success" : "failure");
    for (size_t i = 0; i < response->n_responses; i++) {
        add_one(out, response->responses[i]);
    }
    buf_add_str(out, " }");
}

static struct err run(struct machine *machine, txn *request)
{
    Etcdserverpb__InternalRaftRequest entry = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    assert_false(err_is(apply_check_txn(request, 128)));
    entry.txn = request;
    return machine_apply(machine, &entry);
}

static void answers(struct machine *machine, txn *request, const char *wanted)
{
    struct buf text;
    assert_false(err_is(run(machine, request)));
    buf_init(&text, SIZE_MAX);
    add_txn(&text, (const void *)machine->result.response);
    assert_string_equal(buf_text(&text), wanted);
    buf_fini(&text);
}

static bool add_change(void *arg, const struct mvcc_change *change)
{
    struct slice key = blob_slice(change->key);
    buf_printf(arg, "%" PRId64 ".%" PRId64 "%s%.*s ", change->main, change->sub,
        change->version ? "+" : "-", (int)key.len, (const char *)key.data);
    return true;
}

/* "main.sub+key" of each put, "main.sub-key" of each delete. */
static void changed(struct machine *machine, revision rev, const char *wanted)
{
    struct buf text;
    buf_init(&text, SIZE_MAX);
    assert_false(
        err_is(mvcc_history(machine->options.mvcc, rev, rev, false, add_change, &text, NULL)));
    assert_string_equal(buf_text(&text), wanted);
    buf_fini(&text);
}

static struct arena *begin(struct machine *machine)
{
    assert_false(err_is(machine_put(machine, "a", "1", 0)));
    assert_false(err_is(machine_put(machine, "b", "1", 0)));
    assert_false(err_is(machine_put(machine, "d", "1", 0)));
    return arena_new(0);
}

/* All compares look at the state before, each operation at what those before it did. */
static void test_three_levels_make_one_revision(void **state)
{
    struct arena *m = begin(*state);
    txn *deepest = choose(m, when_version(m, "b", 1),
        OPS(put(m, "c", "3", 0), range(m, "a", "f"), put(m, "d", "2", 0)),
        OPS(put(m, "x", "1", 0)));
    txn *refused =
        choose(m, when_created(m, "c"), OPS(put(m, "y", "1", 0)), OPS(range(m, "c", "")));
    txn *middle = choose(m, when_value(m, "a", "1"),
        OPS(erase(m, "b"), nest(m, deepest), nest(m, refused)), OPS(put(m, "z", "1", 0)));
    txn *outer = choose(m, when_version(m, "a", 1),
        OPS(put(m, "a", "2", 0), nest(m, middle), range(m, "a", ""), put(m, "e", "5", 0)),
        OPS(put(m, "w", "1", 0)));
    answers(*state, outer,
        "txn@5success{ put@5[a=1 2/2/1]"
        " txn@0success{ delete@5:1[b=1 3/3/1]"
        " txn@0success{ put@5 range@5:3[a=2 2/5/2][c=3 5/5/1][d=1 4/4/1] put@5[d=1 4/4/1] }"
        " txn@0failure{ range@5:1[c=3 5/5/1] } }"
        " range@5:1[a=2 2/5/2] put@5 }");
    changed(*state, 5, "5.0+a 5.1-b 5.2+c 5.3+d 5.4+e ");
    assert_string_equal(machine_list(*state), "a=2 c=3 d=2 e=5 ");
    arena_free(m);
}

/* What cannot be done in the third level leaves nothing of the first. */
static void test_what_fails_in_the_third_level_fails_all(void **state)
{
    struct machine *machine = *state;
    struct arena *m = begin(machine);
    txn *deepest = choose(
        m, when_version(m, "b", 1), OPS(put(m, "c", "3", 0), put(m, "n", "1", 99)), OPS(NULL));
    txn *middle =
        choose(m, when_version(m, "b", 1), OPS(erase(m, "b"), nest(m, deepest)), OPS(NULL));
    txn *outer =
        choose(m, when_version(m, "b", 1), OPS(put(m, "a", "2", 0), nest(m, middle)), OPS(NULL));
    assert_true(IS(run(machine, outer), LEASE_NOT_FOUND));
    assert_string_equal(machine_list(machine), "a=1 b=1 d=1 ");
    assert_int_equal(mvcc_revision(machine->options.mvcc), 4);
    arena_free(m);
}

/* The branch that is not taken may hold what could not be done; one that writes nothing at any
 * level makes no revision. */
static void test_failure_branches_at_every_level(void **state)
{
    struct machine *machine = *state;
    struct arena *m = begin(machine);
    txn *deepest = choose(m, when_version(m, "b", 7), OPS(put(m, "c", "3", 99)),
        OPS(range(m, "b", ""), erase(m, "nothing")));
    txn *middle =
        choose(m, when_version(m, "b", 7), OPS(put(m, "b", "2", 99)), OPS(nest(m, deepest)));
    txn *outer =
        choose(m, when_version(m, "b", 7), OPS(put(m, "a", "2", 99)), OPS(nest(m, middle)));
    answers(machine, outer,
        "txn@4failure{ txn@0failure{ txn@0failure{ range@4:1[b=1 3/3/1] delete@4:0 } } }");
    assert_int_equal(mvcc_revision(machine->options.mvcc), 4);
    arena_free(m);
}

int run_nested_tests(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(test_three_levels_make_one_revision),
        MACHINE_TEST(test_what_fails_in_the_third_level_fails_all),
        MACHINE_TEST(test_failure_branches_at_every_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
