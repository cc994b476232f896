/* SPDX-License-Identifier: Apache-2.0
 * Transactions: compares, branches, all or nothing. */
#include "machine.h"

typedef Etcdserverpb__Compare compare;

static Etcdserverpb__TxnResponse *run(
    struct machine *machine, Etcdserverpb__TxnRequest *txn, struct err *out_err)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    request.txn = txn;
    *out_err = machine_apply(machine, &request);
    return (Etcdserverpb__TxnResponse *)machine->result.response;
}

static bool holds(struct machine *machine, compare *c)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct err err;
    txn.compare = &c;
    txn.n_compare = 1;
    Etcdserverpb__TxnResponse *response = run(machine, &txn, &err);
    assert_false(err_is(err));
    return response->succeeded;
}

static bool holds_number(
    struct machine *machine, const char *key, int target, int result, int64_t number)
{
    compare c = ETCDSERVERPB__COMPARE__INIT;
    c.key = text_bytes(key);
    c.target = (Etcdserverpb__Compare__CompareTarget)target;
    c.result = (Etcdserverpb__Compare__CompareResult)result;
    c.target_union_case = target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION
                              ? ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION
                          : target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE
                              ? ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION
                          : target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD
                              ? ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION
                              : ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE;
    c.version = number; /* the numbers share their place */
    return holds(machine, &c);
}

static void check_number(struct machine *machine, int target, int64_t actual)
{
    const int equal = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    const int greater = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
    const int less = ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS;
    const int not_equal = ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL;
    assert_true(holds_number(machine, "k", target, equal, actual));
    assert_false(holds_number(machine, "k", target, equal, actual + 1));
    assert_true(holds_number(machine, "k", target, greater, actual - 1));
    assert_false(holds_number(machine, "k", target, greater, actual));
    assert_true(holds_number(machine, "k", target, less, actual + 1));
    assert_false(holds_number(machine, "k", target, less, actual));
    assert_true(holds_number(machine, "k", target, not_equal, actual + 1));
    assert_false(holds_number(machine, "k", target, not_equal, actual));
    assert_true(holds_number(machine, "absent", target, equal, 0));
    assert_false(holds_number(machine, "absent", target, equal, 1));
}

static void test_compare_every_number(void **state)
{
    struct machine *machine = *state;
    assert_false(err_is(machine_put(machine, "k", "v", 0)));
    assert_false(err_is(machine_put(machine, "k", "v", 0)));
    check_number(machine, ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION, 2);
    check_number(machine, ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE, 2);
    check_number(machine, ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD, 3);
    check_number(machine, ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE, 0);
    assert_int_equal(mvcc_revision(machine->options.mvcc), 3);
}

static void test_compare_values_and_ranges(void **state)
{
    struct machine *machine = *state;
    compare c = ETCDSERVERPB__COMPARE__INIT;
    assert_false(err_is(machine_put(machine, "k1", "v", 0)));
    assert_false(err_is(machine_put(machine, "k2", "v", 0)));
    c.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    c.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    c.key = text_bytes("k");
    c.range_end = text_bytes("l");
    c.value = text_bytes("v");
    assert_true(holds(machine, &c));
    assert_false(err_is(machine_put(machine, "k3", "w", 0)));
    assert_false(holds(machine, &c)); /* every key of the range */
    c.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL;
    c.range_end.len = 0;
    assert_false(holds(machine, &c)); /* no value of what is absent */
}

static void test_txn_runs_one_branch_at_one_revision(void **state)
{
    struct machine *machine = *state;
    Etcdserverpb__PutRequest puts[2] = {
        ETCDSERVERPB__PUT_REQUEST__INIT, ETCDSERVERPB__PUT_REQUEST__INIT};
    Etcdserverpb__RequestOp ops[2] = {
        ETCDSERVERPB__REQUEST_OP__INIT, ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *list[] = {&ops[0], &ops[1]};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct err err;
    for (int i = 0; i < 2; i++) {
        puts[i].key = text_bytes(i ? "b" : "a");
        puts[i].value = text_bytes("1");
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        ops[i].request_put = &puts[i];
    }
    txn.success = list;
    txn.n_success = 2;
    Etcdserverpb__TxnResponse *response = run(machine, &txn, &err);
    assert_false(err_is(err));
    assert_true(response->succeeded);
    assert_int_equal(response->n_responses, 2);
    assert_int_equal(response->header->revision, 2);
    assert_int_equal(response->responses[1]->response_put->header->revision, 2);
    assert_string_equal(machine_list(machine), "a=1 b=1 ");
    puts[0].value = text_bytes("2");
    puts[1].lease = 99;
    run(machine, &txn, &err);
    assert_true(IS(err, LEASE_NOT_FOUND)); /* and nothing of it was done */
    assert_string_equal(machine_list(machine), "a=1 b=1 ");
    assert_int_equal(mvcc_revision(machine->options.mvcc), 2);
}

/* The overlap check lets a delete of all that follow stand beside a put; a put that needs what the
 * delete took must not leave half of the transaction done. */
static void test_txn_is_never_half_done(void **state)
{
    struct machine *machine = *state;
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[2] = {
        ETCDSERVERPB__REQUEST_OP__INIT, ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *list[] = {&ops[0], &ops[1]};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct err err;
    assert_false(err_is(machine_put(machine, "a", "1", 0)));
    assert_false(err_is(machine_put(machine, "z", "1", 0)));
    del.key = text_bytes("a");
    del.range_end = (ProtobufCBinaryData){1, (uint8_t *)""};
    put.key = text_bytes("z");
    put.ignore_value = true;
    ops[0].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    ops[0].request_delete_range = &del;
    ops[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    ops[1].request_put = &put;
    txn.success = list;
    txn.n_success = 2;
    assert_false(err_is(apply_check_txn(&txn, 128)));
    run(machine, &txn, &err);
    assert_true(IS(err, KEY_NOT_FOUND));
    assert_string_equal(machine_list(machine), "a=1 z=1 ");
}

static void compact(struct machine *machine, int64_t rev)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__CompactionRequest compaction = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    compaction.revision = rev;
    request.compaction = &compaction;
    assert_false(err_is(machine_apply(machine, &request)));
}

static void put_and_range_at(struct machine *machine, int64_t rev, enum err_code expected)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[2] = {
        ETCDSERVERPB__REQUEST_OP__INIT, ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *list[] = {&ops[0], &ops[1]};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct err err;
    put.key = text_bytes("b");
    range.key = text_bytes("a");
    range.revision = rev;
    ops[0].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    ops[0].request_put = &put;
    ops[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    ops[1].request_range = &range;
    txn.success = list;
    txn.n_success = 2;
    run(machine, &txn, &err);
    assert_int_equal(err.code, expected);
}

/* One member has dropped the rows, another only marked the revision, a third was restarted since: a
 * transaction that reads what is compacted writes nothing on any of them, and one that reads the
 * compacted revision itself, which can be read still, writes on all. */
static void test_a_range_out_of_reach_fails_alike_on_all_members(void **state)
{
    struct machine machines[3];
    uint32_t hashes[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        bool is_done = i != 1;
        machine_init(&machines[i], -1);
        for (int j = 0; j < 4; j++) {
            assert_false(err_is(machine_put(&machines[i], "a", "1", 0)));
        }
        compact(&machines[i], 4);
        while (!is_done) {
            assert_false(err_is(mvcc_compact_step(machines[i].options.mvcc, 3, &is_done, NULL)));
        }
        if (i == 2) {
            machine_restart(&machines[i]);
        }
        put_and_range_at(&machines[i], 3, ERR_COMPACTED);
        put_and_range_at(&machines[i], 6, ERR_FUTURE_REV);
        assert_int_equal(mvcc_revision(machines[i].options.mvcc), 5);
        put_and_range_at(&machines[i], 4, ERR_OK);
        assert_int_equal(mvcc_revision(machines[i].options.mvcc), 6);
        hashes[i] = machine_hash(&machines[i]);
        machine_fini(&machines[i]);
    }
    assert_int_equal(hashes[0], hashes[1]);
    assert_int_equal(hashes[0], hashes[2]);
}

int run_txn_tests(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(test_compare_every_number),
        MACHINE_TEST(test_compare_values_and_ranges),
        MACHINE_TEST(test_txn_runs_one_branch_at_one_revision),
        MACHINE_TEST(test_txn_is_never_half_done),
        cmocka_unit_test(test_a_range_out_of_reach_fails_alike_on_all_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
