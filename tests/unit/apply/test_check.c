/* SPDX-License-Identifier: Apache-2.0
 * Requests that are refused before they are proposed. */
#include "machine.h"

typedef Etcdserverpb__RequestOp request_op;

static request_op op_put(Etcdserverpb__PutRequest *put, const char *key)
{
    request_op op = ETCDSERVERPB__REQUEST_OP__INIT;
    etcdserverpb__put_request__init(put);
    put->key = text_bytes(key);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = put;
    return op;
}

static request_op op_delete(
    Etcdserverpb__DeleteRangeRequest *del, const char *key, const char *end, size_t end_len)
{
    request_op op = ETCDSERVERPB__REQUEST_OP__INIT;
    etcdserverpb__delete_range_request__init(del);
    del->key = text_bytes(key);
    del->range_end = (ProtobufCBinaryData){end_len, (uint8_t *)(uintptr_t)end};
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = del;
    return op;
}

static struct err check_two(request_op *a, request_op *b, int ops_max)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    request_op *ops[] = {a, b};
    txn.success = ops;
    txn.n_success = 2;
    return apply_check_txn(&txn, ops_max);
}

static void test_check_names_what_is_wrong(void **state)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    (void)state;
    assert_true(IS(apply_check_put(&put), EMPTY_KEY));
    assert_true(IS(apply_check_range(&range), EMPTY_KEY));
    assert_true(IS(apply_check_delete(&del), EMPTY_KEY));
    put.key = range.key = del.key = text_bytes("k");
    assert_false(err_is(apply_check_put(&put)));
    assert_false(err_is(apply_check_delete(&del)));
    put.ignore_value = true;
    put.value = text_bytes("v");
    assert_true(IS(apply_check_put(&put), VALUE_PROVIDED));
    put.value.len = 0;
    put.ignore_lease = true;
    put.lease = 1;
    assert_true(IS(apply_check_put(&put), LEASE_PROVIDED));
    assert_false(err_is(apply_check_range(&range)));
    range.sort_order = (Etcdserverpb__RangeRequest__SortOrder)3;
    assert_true(IS(apply_check_range(&range), INVALID_SORT_OPTION));
    range.sort_order = 0;
    range.sort_target = (Etcdserverpb__RangeRequest__SortTarget)-1;
    assert_true(IS(apply_check_range(&range), INVALID_SORT_OPTION));
}

static void test_check_txn_duplicates(void **state)
{
    Etcdserverpb__PutRequest p1;
    Etcdserverpb__PutRequest p2;
    Etcdserverpb__DeleteRangeRequest d;
    (void)state;
    request_op a = op_put(&p1, "b");
    request_op same = op_put(&p2, "b");
    assert_true(IS(check_two(&a, &same, 128), DUPLICATE_KEY));
    request_op other = op_put(&p2, "c");
    assert_false(err_is(check_two(&a, &other, 128)));
    request_op del = op_delete(&d, "a", "c", 1);
    assert_true(IS(check_two(&a, &del, 128), DUPLICATE_KEY));
    assert_true(IS(check_two(&del, &a, 128), DUPLICATE_KEY));
    assert_false(err_is(check_two(&del, &other, 128)));
    del = op_delete(&d, "b", "", 0);
    assert_true(IS(check_two(&a, &del, 128), DUPLICATE_KEY));
    del = op_delete(&d, "a", "", 1); /* the check takes this end as a key below "a" */
    assert_false(err_is(check_two(&a, &del, 128)));
}

static void test_check_txn_counts_and_shapes(void **state)
{
    Etcdserverpb__PutRequest p1;
    Etcdserverpb__PutRequest p2;
    request_op empty = ETCDSERVERPB__REQUEST_OP__INIT;
    (void)state;
    request_op a = op_put(&p1, "a");
    request_op b = op_put(&p2, "b");
    assert_true(IS(check_two(&a, &b, 1), TOO_MANY_OPS));
    assert_true(IS(check_two(&a, &empty, 2), KEY_NOT_FOUND));
    b = op_put(&p2, "");
    assert_true(IS(check_two(&a, &b, 2), EMPTY_KEY));
}

/* The branches of one nested transaction exclude each other; two nested ones do not. */
static void test_check_txn_nested_duplicates(void **state)
{
    Etcdserverpb__PutRequest p1;
    Etcdserverpb__PutRequest p2;
    Etcdserverpb__PutRequest p3;
    Etcdserverpb__TxnRequest inner = ETCDSERVERPB__TXN_REQUEST__INIT;
    request_op nested = ETCDSERVERPB__REQUEST_OP__INIT;
    (void)state;
    request_op a = op_put(&p1, "k");
    request_op b = op_put(&p2, "k");
    request_op c = op_put(&p3, "k");
    request_op *success[] = {&a};
    request_op *failure[] = {&b};
    inner.success = success;
    inner.failure = failure;
    inner.n_success = inner.n_failure = 1;
    nested.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    nested.request_txn = &inner;
    request_op other = op_put(&p3, "other");
    assert_false(err_is(check_two(&nested, &other, 128)));
    assert_true(IS(check_two(&nested, &other, 2), TOO_MANY_OPS));
    assert_true(IS(check_two(&nested, &c, 2), TOO_MANY_OPS));
    c = op_put(&p3, "k");
    assert_true(IS(check_two(&nested, &c, 128), DUPLICATE_KEY));
    assert_true(IS(check_two(&nested, &nested, 128), DUPLICATE_KEY));
}

int run_check_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_names_what_is_wrong),
        cmocka_unit_test(test_check_txn_duplicates),
        cmocka_unit_test(test_check_txn_counts_and_shapes),
        cmocka_unit_test(test_check_txn_nested_duplicates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
