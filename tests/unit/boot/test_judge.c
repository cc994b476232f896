/* SPDX-License-Identifier: Apache-2.0
 * Who gets a CORRUPT alarm, as etcd's corrupt.go decides it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/monitor.h"

static const struct mvcc_hash own = {.hash = 7, .rev = 10, .compact_rev = 5, .current_rev = 12};

static struct peer_answered said(uint64_t id, uint32_t hash, int64_t compact_rev)
{
    return (struct peer_answered){
        .id = id, .hash = {.revision = 11, .hash = hash, .compact_revision = compact_rev}};
}

static struct peer_answered silent(uint64_t id)
{
    return (struct peer_answered){.id = id, .err = ERR(TIMEDOUT)};
}

static struct monitor_verdict judge(const struct peer_answered *others, size_t count)
{
    struct monitor_verdict verdict;
    monitor_judge_compaction(&own, 1, others, count, &verdict);
    return verdict;
}

static void test_all_alike_is_checked(void **state)
{
    struct peer_answered others[] = {said(2, 7, 5), said(3, 7, 5)};
    (void)state;
    struct monitor_verdict verdict = judge(others, 2);
    assert_true(verdict.is_checked && verdict.count == 0);
}

static void test_silence_and_other_compactions_prove_nothing(void **state)
{
    struct peer_answered others[] = {said(2, 7, 5), silent(3)};
    struct peer_answered behind[] = {said(2, 7, 5), said(3, 9, 4)};
    (void)state;
    assert_true(!judge(others, 2).is_checked && judge(others, 2).count == 0);
    assert_true(!judge(behind, 2).is_checked && judge(behind, 2).count == 0);
}

static void test_a_minority_is_wrong(void **state)
{
    struct peer_answered other[] = {said(2, 7, 5), said(3, 9, 5)};
    struct peer_answered self[] = {said(2, 9, 5), said(3, 9, 5)};
    (void)state;
    struct monitor_verdict verdict = judge(other, 2);
    assert_true(verdict.is_checked && verdict.count == 1 && verdict.alarms[0] == 3);
    verdict = judge(self, 2);
    assert_true(verdict.count == 1 && verdict.alarms[0] == 1);
}

static void test_without_a_majority_the_cluster_is_wrong(void **state)
{
    struct peer_answered others[] = {said(2, 8, 5), said(3, 9, 5)};
    struct peer_answered two[] = {said(2, 8, 5), silent(3)};
    (void)state;
    struct monitor_verdict verdict = judge(others, 2);
    assert_true(verdict.count == 1 && verdict.alarms[0] == 0);
    verdict = judge(two, 2);
    assert_true(verdict.count == 1 && verdict.alarms[0] == 0);
}

static void test_the_newest_state(void **state)
{
    struct mvcc_hash after = own;
    struct mvcc_hash moved = {.hash = 8, .rev = 10, .compact_rev = 5, .current_rev = 12};
    struct peer_answered same[] = {said(2, 7, 5), silent(3), said(4, 1, 4)};
    struct peer_answered differs[] = {said(2, 7, 5), said(3, 8, 5)};
    struct peer_answered ahead[] = {said(2, 7, 6)};
    (void)state;
    assert_true(monitor_judge_newest(&own, &after, 1, same, 3) == 0);
    assert_true(monitor_judge_newest(&own, &after, 1, differs, 2) == 3);
    assert_true(monitor_judge_newest(&own, &after, 1, ahead, 1) == 2);
    assert_true(monitor_judge_newest(&own, &moved, 1, same, 3) == 1);
    after.current_rev = 10;
    assert_true(monitor_judge_newest(&own, &after, 1, same, 1) == 2); /* it is ahead of us */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_alike_is_checked),
        cmocka_unit_test(test_silence_and_other_compactions_prove_nothing),
        cmocka_unit_test(test_a_minority_is_wrong),
        cmocka_unit_test(test_without_a_majority_the_cluster_is_wrong),
        cmocka_unit_test(test_the_newest_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
