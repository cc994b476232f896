/* SPDX-License-Identifier: Apache-2.0
 * Entries: what they leave behind, once. */
#include "machine.h"

static struct err grant(struct machine *machine, int64_t id, int64_t ttl_s)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantRequest lease = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    lease.id = id;
    lease.ttl = ttl_s;
    request.lease_grant = &lease;
    return machine_apply(machine, &request);
}

static struct err revoke(struct machine *machine, int64_t id)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__LeaseRevokeRequest lease = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    lease.id = id;
    request.lease_revoke = &lease;
    return machine_apply(machine, &request);
}

static struct err alarm_set(struct machine *machine, uint64_t member, Etcdserverpb__AlarmType type,
    Etcdserverpb__AlarmRequest__AlarmAction action)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    alarm.memberid = member;
    alarm.alarm = type;
    alarm.action = action;
    request.alarm = &alarm;
    return machine_apply(machine, &request);
}

#define RAISE ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE
#define CLEAR ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE

static void test_entry_answers_its_waiter(void **state)
{
    struct machine *machine = *state;
    assert_false(err_is(machine_put(machine, "a", "1", 0)));
    Etcdserverpb__PutResponse *response = (Etcdserverpb__PutResponse *)machine->result.response;
    assert_ptr_equal(response->base.descriptor, &etcdserverpb__put_response__descriptor);
    assert_int_equal(response->header->revision, 2);
    assert_int_equal(apply_index(machine->apply), 1);
    assert_int_equal(apply_term(machine->apply), 1);
}

static void test_entry_below_the_index_changes_nothing(void **state)
{
    struct machine *machine = *state;
    assert_false(err_is(machine_put(machine, "a", "1", 0)));
    assert_false(err_is(machine_put(machine, "a", "2", 0)));
    machine_restart(machine);
    assert_int_equal(apply_index(machine->apply), 2);
    struct raft_entry entry = {.term = 1, .index = 2, .data = blob_new(SLICE("\xff\xff"))};
    assert_false(err_is(machine_entry(machine, &entry))); /* not even looked at */
    assert_false(machine->is_done);
    assert_string_equal(machine_list(machine), "a=2 ");
    entry.index = 3;
    assert_true(IS(machine_entry(machine, &entry), BAD_FORMAT));
    blob_unref(entry.data);
    assert_int_equal(apply_index(machine->apply), 2);
    struct raft_entry empty = {.term = 2, .index = 3};
    assert_false(err_is(machine_entry(machine, &empty)));
    assert_int_equal(apply_term(machine->apply), 2);
}

/* What a client of another member may have sent, and that member kept. */
static void test_entry_with_fields_that_nobody_can_name(void **state)
{
    struct machine *machine = *state;
    struct raft_entry entry = {.term = 1, .index = 1};
    entry.data = blob_new(SLICE("\xa2\x06\x02\x08\x01\x22\x0a\x0a\x01"
                                "a\x12\x01"
                                "1\xa3\x06\xa4\x06"));
    assert_false(err_is(machine_entry(machine, &entry)));
    blob_unref(entry.data);
    assert_int_equal(apply_index(machine->apply), 1);
    assert_string_equal(machine_list(machine), "a=1 ");
    /* A cluster version with such a field, taken for the members alone. */
    struct why why = {""};
    struct backend_batch *batch = backend_batch_new();
    entry.data = blob_new(SLICE("\xa2\x51\x0b\x0a\x05"
                                "3.6.0\xa3\x06\xa4\x06"));
    assert_false(err_is(apply_members_entry(machine->options.members, batch, &entry, &why)));
    assert_string_equal(member_cluster_version(machine->options.members), "3.6.0");
    blob_unref(entry.data);
    backend_batch_free(batch);
}

static void test_conf_entry_that_is_malformed_is_refused(void **state)
{
    struct machine *machine = *state;
    struct raft_entry entry = {
        .term = 1, .index = 1, .type = RAFT_ENTRY_CONF_CHANGE, .data = blob_new(SLICE("\x0a"))};
    assert_true(IS(machine_entry(machine, &entry), BAD_FORMAT));
    blob_unref(entry.data);
    assert_int_equal(machine->confs, 0);
}

static void test_leases_follow_their_keys(void **state)
{
    struct machine *machine = *state;
    assert_true(IS(machine_put(machine, "a", "1", 7), LEASE_NOT_FOUND));
    assert_false(err_is(grant(machine, 7, 100)));
    assert_true(IS(grant(machine, 7, 100), LEASE_EXIST));
    assert_true(IS(grant(machine, 0, 100), LEASE_NOT_FOUND));
    assert_false(err_is(machine_put(machine, "a", "1", 7)));
    assert_false(err_is(machine_put(machine, "b", "1", 7)));
    assert_false(err_is(machine_put(machine, "c", "1", 7)));
    assert_false(err_is(machine_put(machine, "b", "2", 0)));
    machine_restart(machine);
    revision rev = mvcc_revision(machine->options.mvcc);
    assert_false(err_is(revoke(machine, 7)));
    assert_string_equal(machine_list(machine), "b=2 ");
    assert_int_equal(mvcc_revision(machine->options.mvcc), rev + 1); /* in one transaction */
    assert_true(IS(revoke(machine, 7), LEASE_NOT_FOUND));
}

static void test_alarm_no_space_leaves_reads_and_deletes(void **state)
{
    struct machine *machine = *state;
    assert_false(err_is(machine_put(machine, "a", "1", 0)));
    assert_false(err_is(alarm_set(machine, 2, ETCDSERVERPB__ALARM_TYPE__NOSPACE, RAISE)));
    machine_restart(machine);
    assert_true(IS(machine_put(machine, "a", "2", 0), NO_SPACE));
    assert_true(IS(grant(machine, 1, 10), NO_SPACE));
    assert_false(err_is(alarm_set(machine, 2, ETCDSERVERPB__ALARM_TYPE__NOSPACE, CLEAR)));
    assert_false(err_is(machine_put(machine, "a", "3", 0)));
    assert_string_equal(machine_list(machine), "a=3 ");
}

static struct err txn_put(struct machine *machine, bool is_nested)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__TxnRequest txns[] = {
        ETCDSERVERPB__TXN_REQUEST__INIT, ETCDSERVERPB__TXN_REQUEST__INIT};
    Etcdserverpb__RequestOp ops[] = {
        ETCDSERVERPB__REQUEST_OP__INIT, ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *lists[] = {&ops[0], &ops[1]};
    put.key = text_bytes("a");
    put.value = text_bytes("txn");
    ops[0].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    ops[0].request_put = &put;
    txns[0].n_success = 1;
    txns[0].success = &lists[0];
    ops[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    ops[1].request_txn = &txns[0];
    txns[1].n_success = 1;
    txns[1].success = &lists[1];
    request.txn = &txns[is_nested];
    return machine_apply(machine, &request);
}

static void set_cluster_version(struct machine *machine, const char *version)
{
    struct backend_batch *batch = backend_batch_new();
    member_set_cluster_version(machine->options.members, version, batch);
    backend_batch_free(batch);
}

static void set_downgrade(struct machine *machine, const char *target)
{
    Etcdserverpb__InternalRaftRequest request = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Membershippb__DowngradeInfoSetRequest set = MEMBERSHIPPB__DOWNGRADE_INFO_SET_REQUEST__INIT;
    char text[16];
    snprintf(text, sizeof(text), "%s", target);
    set.enabled = *target;
    set.ver = text;
    request.downgrade_info_set = &set;
    assert_false(err_is(machine_apply(machine, &request)));
}

/* As the members that are there decide: before 3.6 they do not look into nested transactions.
 * Those that a downgrade has not replaced yet are of the version above the cluster's. */
static void test_alarm_no_space_and_puts_that_are_nested(void **state)
{
    struct machine *machine = *state;
    assert_false(err_is(alarm_set(machine, 2, ETCDSERVERPB__ALARM_TYPE__NOSPACE, RAISE)));
    assert_true(IS(txn_put(machine, true), NO_SPACE));
    set_cluster_version(machine, "3.5.0");
    assert_true(IS(txn_put(machine, false), NO_SPACE));
    assert_string_equal(machine_list(machine), "");
    assert_false(err_is(txn_put(machine, true)));
    assert_string_equal(machine_list(machine), "a=txn ");
    set_downgrade(machine, "3.5.0");
    assert_true(IS(txn_put(machine, true), NO_SPACE));
    set_downgrade(machine, "3.4.0");
    assert_false(err_is(txn_put(machine, true)));
    set_downgrade(machine, "");
    assert_false(err_is(txn_put(machine, true)));
    set_cluster_version(machine, "3.6.0");
    assert_true(IS(txn_put(machine, true), NO_SPACE));
}

static void test_alarm_corrupt_stops_everything_but_alarms(void **state)
{
    struct machine *machine = *state;
    assert_false(err_is(alarm_set(machine, 2, ETCDSERVERPB__ALARM_TYPE__CORRUPT, RAISE)));
    assert_true(IS(machine_put(machine, "a", "2", 0), CORRUPT));
    assert_true(IS(revoke(machine, 1), CORRUPT));
    assert_false(err_is(alarm_set(machine, 2, ETCDSERVERPB__ALARM_TYPE__CORRUPT, CLEAR)));
    assert_false(err_is(machine_put(machine, "a", "3", 0)));
}

enum { ANY_ALARMS_MAX = APPLY_ALARMS_MAX / 2 };

/* What is past the bound is neither in memory nor, after a restart, in the store. */
static void test_alarms_are_bounded_alike_before_and_after_a_restart(void **state)
{
    struct machine *machine = *state;
    struct apply_alarm before[APPLY_ALARMS_MAX];
    struct apply_alarm after[APPLY_ALARMS_MAX];
    for (uint64_t i = 0; i < ANY_ALARMS_MAX + 5; i++) {
        assert_false(
            err_is(alarm_set(machine, 1000 - i, ETCDSERVERPB__ALARM_TYPE__NOSPACE, RAISE)));
    }
    assert_int_equal(apply_alarms(machine->apply, before), ANY_ALARMS_MAX);
    machine_restart(machine);
    assert_int_equal(apply_alarms(machine->apply, after), ANY_ALARMS_MAX);
    for (size_t i = 0; i < ANY_ALARMS_MAX; i++) {
        assert_int_equal(after[i].member_id, before[ANY_ALARMS_MAX - 1 - i].member_id);
    }
}

static void test_alarms_of_members_are_raised_past_the_bound(void **state)
{
    struct machine *machine = *state;
    struct backend_batch *batch = backend_batch_new();
    struct apply_alarm alarms[APPLY_ALARMS_MAX];
    assert_false(err_is(
        member_add(machine->options.members, &(struct member){.id = 7, .name = "m"}, batch)));
    assert_false(err_is(backend_write(machine->options.backend, batch, NULL)));
    backend_batch_free(batch);
    for (uint64_t i = 0; i < ANY_ALARMS_MAX; i++) {
        assert_false(err_is(alarm_set(machine, i, (Etcdserverpb__AlarmType)99, RAISE)));
    }
    assert_false(err_is(alarm_set(machine, 7, (Etcdserverpb__AlarmType)98, RAISE)));
    assert_false(err_is(alarm_set(machine, 999, ETCDSERVERPB__ALARM_TYPE__NOSPACE, RAISE)));
    assert_int_equal(apply_alarms(machine->apply, alarms), ANY_ALARMS_MAX);
    assert_false(err_is(machine_put(machine, "a", "1", 0)));
    assert_false(err_is(alarm_set(machine, 7, ETCDSERVERPB__ALARM_TYPE__NOSPACE, RAISE)));
    assert_true(IS(machine_put(machine, "a", "2", 0), NO_SPACE));
    assert_false(err_is(alarm_set(machine, 7, ETCDSERVERPB__ALARM_TYPE__CORRUPT, RAISE)));
    machine_restart(machine);
    assert_int_equal(apply_alarms(machine->apply, alarms), ANY_ALARMS_MAX + 2);
    assert_true(IS(machine_put(machine, "a", "2", 0), CORRUPT));
}

static void test_quota_answers_no_space_for_what_was_written(void **state)
{
    struct machine machine;
    (void)state;
    machine_init(&machine, 1);
    assert_true(IS(machine_put(&machine, "a", "1", 0), NO_SPACE));
    assert_string_equal(machine_list(&machine), "a=1 ");
    machine_fini(&machine);
}

static void fill(struct machine *machine)
{
    char key[8];
    assert_false(err_is(grant(machine, 5, 60)));
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "k%d", i * 7 % 10);
        assert_false(err_is(machine_put(machine, key, key, i % 3 ? 0 : 5)));
    }
    assert_false(err_is(revoke(machine, 5)));
}

static void test_same_entries_come_to_the_same_state(void **state)
{
    struct machine *machine = *state;
    struct machine other;
    char list[4096];
    machine_init(&other, 1024 * 1024 * 1024);
    fill(machine);
    fill(&other);
    snprintf(list, sizeof(list), "%s", machine_list(&other));
    assert_string_equal(machine_list(machine), list);
    assert_int_equal(machine_hash(machine), machine_hash(&other));
    machine_fini(&other);
}

/* Whatever part of the store was written when it died: the index says what is in it, so that the
 * log is taken up at the right place. Were the index ahead, entries would be lost; behind, done
 * twice. */
static void test_the_index_and_what_it_counts_are_written_as_one(void **state)
{
    struct machine *machine = *state;
    char number[16];
    char list[32] = "";
    uint64_t last = 0;
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 7; i++) {
            if (i == round % 7) {
                assert_false(err_is(backend_flush(machine->options.backend, NULL)));
                last = machine->index;
            }
            snprintf(number, sizeof(number), "%d", (int)machine->index + 1);
            assert_false(err_is(machine_put(machine, "n", number, 0)));
        }
        machine_crash(machine);
        assert_int_equal(apply_index(machine->apply), last);
        snprintf(list, sizeof(list), "n=%d ", (int)last);
        assert_string_equal(machine_list(machine), last ? list : "");
        assert_int_equal(mvcc_revision(machine->options.mvcc), last + 1);
        machine->index = last;
    }
    assert_true(last > 20);
}

static bool is_flushing;

__typeof__(backend_write) __real_backend_write;
__typeof__(backend_write) __wrap_backend_write;
struct err __wrap_backend_write(
    struct backend *backend, struct backend_batch *batch, struct why *why)
{
    static int writes;
    TRY(__real_backend_write(backend, batch, why));
    return is_flushing && ++writes % 3 == 0 ? backend_flush(backend, why) : OK;
}

/* Every third write is what the disk keeps: with two writes an entry, it would have half of one. */
static void test_whatever_was_flushed_last_is_whole(void **state)
{
    struct machine *machine = *state;
    char number[32];
    for (int round = 0; round < 6; round++) {
        is_flushing = true;
        for (int i = 0; i < 7; i++) {
            snprintf(number, sizeof(number), "%d", (int)machine->index + 1);
            assert_false(err_is(machine_put(machine, "n", number, 0)));
        }
        is_flushing = false;
        machine_crash(machine);
        machine->index = apply_index(machine->apply);
        snprintf(number, sizeof(number), "n=%d ", (int)machine->index);
        assert_string_equal(machine_list(machine), machine->index ? number : "");
        assert_int_equal(mvcc_revision(machine->options.mvcc), machine->index + 1);
    }
    assert_true(machine->index > 20);
}

int run_entry_tests(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(test_entry_answers_its_waiter),
        MACHINE_TEST(test_entry_below_the_index_changes_nothing),
        MACHINE_TEST(test_entry_with_fields_that_nobody_can_name),
        MACHINE_TEST(test_conf_entry_that_is_malformed_is_refused),
        MACHINE_TEST(test_leases_follow_their_keys),
        MACHINE_TEST(test_alarm_no_space_leaves_reads_and_deletes),
        MACHINE_TEST(test_alarm_no_space_and_puts_that_are_nested),
        MACHINE_TEST(test_alarm_corrupt_stops_everything_but_alarms),
        MACHINE_TEST(test_alarms_of_members_are_raised_past_the_bound),
        MACHINE_TEST(test_alarms_are_bounded_alike_before_and_after_a_restart),
        cmocka_unit_test(test_quota_answers_no_space_for_what_was_written),
        MACHINE_TEST(test_same_entries_come_to_the_same_state),
        MACHINE_TEST(test_the_index_and_what_it_counts_are_written_as_one),
        MACHINE_TEST(test_whatever_was_flushed_last_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
