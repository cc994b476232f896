# SPDX-License-Identifier: Apache-2.0
"""Reads, writes, transactions, compactions, leases."""
from histories import SECOND, delete, found, get, gone, kv, mod_is, put, right, wrong


@wrong("revision-twice")
def two_puts(h):
    h.call(put("a", "1"), revision=2, at=(1, 100))
    h.call(put("b", "2"), revision=2, at=(1, 100))


@wrong("revision-gap")
def nobody_wrote_2(h):
    h.put("a", "1", 3)


@wrong("revision-gap")
def one_write_without_an_answer_for_two_gaps(h):
    h.lost(put("a", "1"))
    h.put("a", "2", 4)


@wrong("revision-gap")
def a_gap_before_the_write_without_an_answer_began(h):
    h.put("a", "1", 3)
    h.lost(put("b", "2"))
    h.put("a", "3", 4)


@wrong("revision-gap")
def a_gap_that_a_watch_of_everything_passed(h):
    h.watch(1, key="\0", end="\0")
    h.lost(delete("q"))
    h.put("a", "1", 3)
    h.shown(3, ["put", kv("a", "1", 3)])
    h.all(3, kv("a", "1", 3))


@wrong("revision-back")
def a_write_takes_a_revision_that_was_read(h):
    h.get("a", 2)
    h.put("a", "1", 2)


@wrong("revision-back")
def writes_swapped(h):
    h.put("a", "1", 3)
    h.put("b", "1", 2)


@wrong("stale-read")
def a_read_misses_a_write(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.get("a", 2, kv("a", "1", 2))


@wrong("stale-read")
def a_read_older_than_a_read(h):
    h.call(put("a", "1"), revision=2, at=(1, 1000))
    h.get("a", 2, kv("a", "1", 2), at=(20, 30))
    h.get("a", 1, at=(40, 50))


@wrong("stale-read")
def a_read_older_than_a_serializable_read(h):
    h.call(put("a", "1"), revision=2, at=(1, 1000))
    h.get("a", 2, kv("a", "1", 2), at=(20, 30), serializable=True)
    h.get("a", 1, at=(40, 50))


@wrong("stale-read")
def a_read_older_than_an_event(h):
    h.call(put("a", "1"), revision=2, at=(1, 1000))
    h.watch(1)
    h.shown(2, ["put", kv("a", "1", 2)])
    h.get("a", 1, at=(40, 50))


@wrong("stale-read")
def a_transaction_that_reads_the_past(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.txn(2, True, [found(kv("a", "1", 2))], then=[get("a")])


@wrong("future-read")
def a_put_without_an_answer_seen_before_it_began(h):
    h.get("a", 2, kv("a", "1", 2))
    h.lost(put("a", "1"))


@wrong("lost-write")
def a_range_without_a_key(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.all(3, kv("b", "2", 3))


@wrong("lost-write")
def a_key_beyond_the_last_one_answered(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.all(3, kv("a", "1", 2), count=1)


@wrong("lost-write")
def a_serializable_read_of_a_revision_without_its_write(h):
    h.put("a", "1", 2)
    h.get("a", 2, serializable=True)


@wrong("lost-write")
def a_dump_without_an_acknowledged_write(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.dump(3, kv("a", "1", 2))


@wrong("lost-write")
def half_of_a_transaction_without_an_answer(h):
    h.lost({"do": "txn", "then": [put("a", "1"), put("b", "2")]})
    h.put("c", "3", 3)
    h.all(3, kv("a", "1", 2), kv("c", "3", 3))


@wrong("lost-write")
def an_old_revision_without_a_key(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.get("a", 3, revision=2)


@wrong("risen-key")
def a_deleted_key(h):
    h.put("a", "1", 2)
    h.delete("a", 3)
    h.get("a", 3, kv("a", "1", 2))


@wrong("risen-key")
def a_deleted_key_in_a_dump(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.delete("a", 4)
    h.dump(4, kv("a", "1", 2), kv("b", "2", 3))


@wrong("wrong-value")
def an_old_value(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.get("a", 3, kv("a", "1", 3, create=2, version=2))


@wrong("wrong-value")
def a_member_that_differs(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.dump(3, kv("a", "1", 2), kv("b", "2", 3), member=1)
    h.dump(3, kv("a", "1", 2), kv("b", "1", 3), member=2)


@wrong("wrong-create")
def a_create_revision(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.get("a", 3, kv("a", "2", 3, create=3, version=2))


@wrong("wrong-mod")
def a_mod_revision(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.get("a", 3, kv("a", "1", 3, create=2))


@wrong("wrong-version")
def a_version_after_a_deletion(h):
    h.put("a", "1", 2)
    h.delete("a", 3)
    h.put("a", "2", 4)
    h.get("a", 4, kv("a", "2", 4, version=2))


@wrong("wrong-version")
def a_put_that_was_applied_twice(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.get("a", 3, kv("a", "2", 3, create=2, version=3))


@wrong("wrong-lease")
def a_lease_that_is_not_there(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.get("a", 2, kv("a", "1", 2))


@wrong("wrong-count")
def a_count_that_the_limit_cut(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.put("c", "3", 4)
    h.all(4, kv("a", "1", 2), limit=1, count=2, more=True)


@wrong("wrong-more")
def nothing_more_though_the_limit_cut(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.all(3, kv("a", "1", 2), limit=1, count=2)


@wrong("wrong-keys")
def keys_in_no_order(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.all(3, kv("b", "2", 3), kv("a", "1", 2))


@wrong("wrong-keys")
def a_key_outside_the_range(h):
    h.put("a", "1", 2)
    h.put("zz", "2", 3)
    h.all(3, kv("a", "1", 2), kv("zz", "2", 3))


@wrong("wrong-keys")
def more_than_the_limit(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.all(3, kv("a", "1", 2), kv("b", "2", 3), limit=1)


@wrong("unwritten-value")
def a_value_from_nowhere(h):
    h.lost(put("a", "1"))
    h.get("a", 2, kv("a", "9", 2))


@wrong("unwritten-value")
def another_value_at_an_acknowledged_write(h):
    h.put("a", "1", 2)
    h.get("a", 2, kv("a", "9", 2))


@wrong("refused-seen")
def a_refused_put(h):
    h.refused(put("a", "1"))
    h.get("a", 2, kv("a", "1", 2))


@wrong("applied-twice")
def a_put_at_two_revisions(h):
    h.put("a", "1", 2)
    h.lost(put("b", "2"))
    h.get("a", 3, kv("a", "1", 3, create=2, version=2))


@wrong("applied-twice")
def a_put_without_an_answer_at_two_revisions(h):
    h.lost(put("a", "1"))
    h.lost(put("b", "2"))
    h.get("a", 2, kv("a", "1", 2))
    h.get("a", 3, kv("a", "1", 3, create=2, version=2))


@wrong("wrong-prev")
def a_puts_previous_value(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.put("a", "3", 4, prev=kv("a", "1", 2))


@wrong("wrong-prev")
def no_previous_value(h):
    h.put("a", "1", 2)
    h.call(put("a", "2", prev=True), revision=3)


@wrong("wrong-prev")
def a_deletions_previous_value(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.delete("a", 4, kvs=[kv("a", "1", 2)])


@wrong("wrong-deleted")
def one_deleted_of_two(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.delete("a", 4, end="z")


@wrong("wrong-deleted")
def a_deletion_of_nothing_at_a_key(h):
    h.put("a", "1", 2)
    h.delete("a", 2, count=0)


@wrong("wrong-branch")
def a_comparison_that_does_not_hold(h):
    h.put("a", "1", 2)
    h.txn(3, True, [{}], **{"if": [mod_is("a", 1)]}, then=[put("a", "2")])


@wrong("wrong-branch")
def a_comparison_that_holds(h):
    h.put("a", "1", 2)
    h.txn(2, False, [found(kv("a", "1", 2))], **{"if": [mod_is("a", 2)]}, then=[put("a", "2")],
          **{"else": [get("a")]})


@wrong("wrong-branch")
def a_value_compared_with_a_key_that_is_not_there(h):
    none = {"key": "a", "target": "value", "is": "!=", "value": "1"}
    h.txn(2, True, [{}], **{"if": [none]}, then=[put("a", "2")])


@wrong("wrong-value")
def a_transaction_does_not_see_its_own_put(h):
    h.put("a", "1", 2)
    h.txn(3, True, [{}, found(kv("a", "1", 3, create=2, version=2))],
          then=[put("a", "2"), get("a")])


@wrong("wrong-shape")
def an_answer_lacks(h):
    h.txn(2, True, [{}], then=[put("a", "2"), get("a")])


@wrong("wrong-shape")
def a_header_older_than_the_revision_asked_for(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.get("a", 2, kv("a", "2", 3, create=2, version=2), revision=3)


@wrong("compacted-read")
def a_revision_that_is_gone(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.compact(3, 3)
    h.get("a", 3, kv("a", "1", 2), revision=2)


@wrong("compacted-unasked")
def a_read_refused_for_no_compaction(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.compact(2, 3)
    h.refused(get("a", revision=2), "compacted")


@wrong("compacted-unasked")
def a_compaction_refused_for_no_compaction(h):
    h.put("a", "1", 2)
    h.refused({"do": "compact", "revision": 2}, "compacted")


@wrong("compacted-twice")
def the_same_compaction(h):
    h.put("a", "1", 2)
    h.compact(2, 2)
    h.compact(2, 2)


@wrong("future-refused")
def a_revision_that_is_known(h):
    h.put("a", "1", 2)
    h.refused(get("a", revision=2), "future")


@wrong("lease-unknown")
def a_lease_of_nobody(h):
    h.put("a", "1", 2, lease=7)


@wrong("lease-unknown")
def a_lease_granted_later(h):
    h.put("a", "1", 2, lease=7)
    h.grant(7, 2)


@wrong("lease-used")
def a_revoked_lease(h):
    h.grant(7, 1)
    h.revoke(7, 1)
    h.put("a", "1", 2, lease=7)


@wrong("lease-used")
def an_ended_lease(h):
    h.grant(7, 1, ttl=1)
    h.put("a", "1", 2, lease=7)
    h.watch(2)
    h.clock += 2 * SECOND
    h.shown(3, ["delete", gone("a", 3)])
    h.call(put("b", "1", lease=7), revision=4, at=(h.clock - 10, h.clock + 10))


@wrong("lease-keys")
def a_revoked_lease_that_left_its_key(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.revoke(7, 2)


@wrong("lost-write")
def a_revoked_lease_that_took_another_key(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.put("b", "2", 3)
    h.revoke(7, 4)
    h.all(4)


@wrong("lease-early")
def a_lease_that_ended_before_its_time(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.watch(2)
    h.clock += 5 * SECOND
    h.shown(3, ["delete", gone("a", 3)])


@wrong("lease-early")
def a_renewed_lease_that_ended_at_its_first_time(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.watch(2)
    h.clock += 5 * SECOND
    h.keepalive(7, 2)
    h.clock += 6 * SECOND
    h.shown(3, ["delete", gone("a", 3)])


@wrong("lease-early")
def a_lease_that_is_unknown_within_its_time(h):
    h.grant(7, 1)
    h.keepalive(7, 1, ttl=0)


@wrong("lease-early")
def a_put_refused_for_a_lease_within_its_time(h):
    h.grant(7, 1)
    h.refused(put("a", "1", lease=7), "lease")


@wrong("lease-renewed")
def a_revoked_lease_that_is_renewed(h):
    h.grant(7, 1)
    h.revoke(7, 1)
    h.keepalive(7, 1)


@wrong("lease-ttl")
def a_lease_granted_for_less(h):
    h.grant(7, 1)["op"]["ttl"] = 20


@wrong("lease-ttl")
def a_lease_renewed_for_less(h):
    h.grant(7, 1)
    h.keepalive(7, 1, ttl=5)


@wrong("hash-differs")
def hashes(h):
    h.put("a", "1", 2)
    h.hash(1, 2, 77)
    h.hash(2, 1, 78)
    h.hash(3, 2, 79)


@wrong("dump-behind")
def a_member_without_the_last_write(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.dump(2, kv("a", "1", 2))


@right
def nothing_at_all(_):
    pass


@right
def a_bit_of_everything(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3, prev=kv("a", "1", 2))
    h.all(3, kv("a", "2", 3, create=2, version=2))
    h.get("a", 3, kv("a", "1", 2), revision=2)
    h.delete("a", 4, kvs=[kv("a", "2", 3, create=2, version=2)])
    h.delete("a", 4, count=0)
    h.put("a", "3", 5)
    h.txn(6, True, [{}, found(kv("a", "4", 6, create=5, version=2)), {"count": 1}],
          **{"if": [mod_is("a", 5), mod_is("b", 0)]},
          then=[put("a", "4"), get("a"), delete("a")], **{"else": [get("a")]})
    h.txn(6, False, [found()], **{"if": [mod_is("a", 5)]}, then=[put("a", "5")],
          **{"else": [get("a")]})
    h.dump(6)


@right
def a_lease_without_keys_renewed_and_then_revoked(h):
    h.grant(7, 1)
    h.put("a", "1", 2)
    h.keepalive(7, 2)
    h.revoke(7, 2)


@right
def reads_at_the_same_time_as_a_write(h):
    h.call(put("a", "1"), revision=2, at=(1, 1000))
    h.get("a", 1, at=(10, 20))
    h.get("a", 2, kv("a", "1", 2), at=(10, 30))
    h.get("a", 1, at=(25, 40))
    h.get("a", 1, at=(50, 60), serializable=True)


@right
def limits_and_counts(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.put("c", "3", 4)
    h.all(4, kv("a", "1", 2), kv("b", "2", 3), limit=2, count=3, more=True)
    h.all(4, count=3, count_only=True, limit=1)
    h.all(4, kv("a", "", 2), kv("b", "", 3), kv("c", "", 4), keys_only=True)
    h.get("b", 4, kv("b", "2", 3), kv("c", "3", 4), end="\0")
    h.get("b", 4, kv("b", "2", 3), end="c")


@right
def a_put_without_an_answer_that_happened(h):
    h.lost(put("a", "1"))
    h.put("b", "2", 3)
    h.all(3, kv("a", "1", 2), kv("b", "2", 3))


@right
def a_put_without_an_answer_that_did_not(h):
    h.lost(put("a", "1"))
    h.put("b", "2", 2)
    h.all(2, kv("b", "2", 2))


@right
def a_put_without_an_answer_that_happened_much_later(h):
    h.lost(put("a", "1"))
    h.put("b", "2", 2)
    h.all(2, kv("b", "2", 2))
    h.all(3, kv("a", "1", 3), kv("b", "2", 2))


@right
def a_put_without_an_answer_that_nobody_saw(h):
    h.put("a", "1", 2)
    h.lost(put("a", "2"))
    h.put("a", "3", 4)
    h.get("a", 4, kv("a", "3", 4, create=2, version=3))


@right
def a_put_without_an_answer_that_took_a_key_off_a_lease(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.lost(put("a", "2"))
    h.delete("b", 3, count=0)
    h.revoke(7, 3)  # too late to have made revision 3: it found no key
    h.put("a", "3", 4)
    h.put("a", "4", 5, kv("a", "3", 4, create=2, version=3))


@right
def a_deletion_without_an_answer_that_nobody_saw(h):
    h.put("a", "1", 2)
    h.lost(delete("a"))
    h.put("b", "2", 4)
    h.all(4, kv("b", "2", 4))
    h.put("a", "3", 5)
    h.all(5, kv("a", "3", 5), kv("b", "2", 4))


@right
def deletions_without_an_answer_that_a_watch_saw(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.watch(3)
    h.lost(delete("a", end="z"))
    h.lost(delete("a"))
    h.lost(delete("b"))
    h.shown(4, ["delete", gone("a", 4)])
    h.shown(5, ["delete", gone("b", 5)])


@right
def a_transaction_without_an_answer(h):
    h.put("a", "1", 2)
    h.lost({"do": "txn", "if": [mod_is("a", 2)], "then": [put("a", "2"), put("b", "3")],
            "else": [put("a", "4")]})
    h.get("b", 3, kv("b", "3", 3))
    h.get("a", 3, kv("a", "2", 3, create=2, version=2))


@right
def refusals(h):
    h.refused(put("a", "1", lease=9), "lease")
    h.put("a", "2", 2)
    h.refused(get("a", revision=9), "future")
    h.compact(2, 2)
    h.refused(get("a", revision=1), "compacted")
    h.refused({"do": "compact", "revision": 2}, "compacted")
    h.get("a", 2, kv("a", "2", 2), revision=2)


@right
def leases(h):
    h.grant(7, 1)
    h.grant(8, 1, ttl=1)
    h.put("a", "1", 2, lease=7)
    h.put("b", "2", 3, lease=7)
    h.put("c", "3", 4, lease=8)
    h.keepalive(7, 4)
    h.revoke(7, 5)
    h.all(5, kv("c", "3", 4, lease=8))
    h.watch(5)
    h.clock += 2 * SECOND
    h.shown(6, ["delete", gone("c", 6)])
    h.keepalive(8, 6, ttl=0)
    h.grant(9, 6)
    h.revoke(9, 6)


@right
def a_lease_that_ended_unseen(h):
    h.grant(8, 1, ttl=1)
    h.put("a", "1", 2, lease=8)
    h.put("b", "2", 3)
    h.clock += 2 * SECOND
    h.all(4, kv("b", "2", 3))
    h.put("a", "3", 5)
    h.all(5, kv("a", "3", 5), kv("b", "2", 3))


@right
def a_value_and_a_lease_that_are_kept(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.put("a", "", 3, keep_value=True)
    h.get("a", 3, kv("a", "1", 3, create=2, version=2))
    h.put("a", "2", 4, lease=7)
    h.put("a", "3", 5, keep_lease=True)
    h.get("a", 5, kv("a", "3", 5, create=2, version=4, lease=7))


@right
def a_store_that_was_not_empty(h):
    h.lines[0].update(revision=50, kvs=[kv("a", "0", 30), kv("b", "0", 40, lease=5)], leases=[5])
    h.all(50, kv("a", "0", 30), kv("b", "0", 40, lease=5))
    h.put("a", "1", 51)
    h.put("c", "1", 52, lease=5)
    h.revoke(5, 53)
    h.all(53, kv("a", "1", 51, create=30, version=2))


@right
def others_beside(h):
    h.lines[0].update(others=True)
    h.put("a", "1", 3)
    h.all(4, kv("a", "1", 3), kv("b", "theirs", 2), kv("c", "theirs", 4), count=3)
    h.delete("a", 6)


@right
def hashes_at_equal_compactions(h):
    h.put("a", "1", 2)
    h.hash(1, 2, 77)
    h.hash(2, 2, 77)
    h.hash(3, 2, 78, compact=2)


def a_lease_revoked_behind(h, *lost):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.put("b", "2", 3)
    for op in lost:
        h.lost(op)
    h.revoke(7, 4)
    h.all(4)


@right
def an_unanswered_deletion_that_took_a_leases_keys(h):
    a_lease_revoked_behind(h, delete("a", end="z"))


@wrong("lost-write")
def a_revoke_that_took_more_than_its_keys(h):
    a_lease_revoked_behind(h)


@wrong("lost-write")
def an_unanswered_deletion_of_another_key(h):
    a_lease_revoked_behind(h, delete("c", end="z"))


@right
def an_unanswered_deletion_that_also_puts_under_an_unanswered_lease(h):
    h.put("a", "1", 2)
    h.watch(2, end="b")
    h.lost({"do": "grant", "lease": 7, "ttl": 10})
    h.lost({"do": "txn", "then": [delete("a"), put("c", "2", lease=7)]})
    h.shown(3, ["delete", gone("a", 3)])
    h.get("a", 3)


def one_deletion_seen_of_a_lease_that_ended(h, *lost, **watch):
    """Its end took a and b; or one of the deletions took a."""
    h.grant(7, 1, ttl=1)
    h.put("a", "1", 2, lease=7)
    h.put("b", "2", 3, lease=7)
    h.put("c", "3", 4)
    h.watch(4, **watch)
    for op in lost:
        h.lost(op)
    h.clock += 2 * SECOND
    h.shown(5, ["delete", gone("a", 5)])


@right
def a_leases_end_that_a_deletion_may_have_been(h):
    one_deletion_seen_of_a_lease_that_ended(h, delete("a"), key="a", end="")
    h.all(5, kv("c", "3", 4))
    h.delete("c", 6)
    h.all(6)


@right
def a_deletion_that_a_leases_end_may_have_been(h):
    one_deletion_seen_of_a_lease_that_ended(h, delete("a"), key="a", end="")
    h.all(5, kv("b", "2", 3, lease=7), kv("c", "3", 4))
    h.delete("a", 5, count=0)
    h.get("b", 6, count=0)


@right
def a_deletion_that_another_may_have_been(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.watch(3, key="a", end="")
    h.lost(delete("a"))
    h.lost(delete("a", end="z"))
    h.shown(4, ["delete", gone("a", 4)])
    h.all(4)


@wrong("lost-write")
def a_leases_end_took_a_key_without_it(h):
    one_deletion_seen_of_a_lease_that_ended(h, delete("a"), key="a", end="")
    h.all(5)


@wrong("lost-write")
def a_deletion_of_all_seen_and_one_more_gone(h):
    one_deletion_seen_of_a_lease_that_ended(h, delete("a"))
    h.all(5, kv("c", "3", 4))


@right
def two_keys_of_a_leases_end_that_deletions_may_have_been(h):
    h.grant(7, 1, ttl=1)
    h.put("a", "1", 2, lease=7)
    h.put("b", "2", 3, lease=7)
    h.put("c", "3", 4, lease=7)
    h.watch(4, end="c")
    h.lost({"do": "txn", "then": [delete("b"), delete("a")]})
    h.clock += 2 * SECOND
    h.shown(5, ["delete", gone("a", 5)], ["delete", gone("b", 5)])
    h.all(5)


@wrong("watch-lost")
def half_of_what_a_deletion_may_have_been(h):
    two_keys_of_a_leases_end_that_deletions_may_have_been(h)
    h.watch(4, end="c", watch=2)
    h.put("a", "4", 6)
    h.shown(6, ["delete", gone("b", 5)], ["put", kv("a", "4", 6)], watch=2)


# Sorted ranges.

def three(h):
    h.put("a", "3", 2)
    h.put("b", "1", 3)
    h.put("c", "2", 4)


A, B, C = kv("a", "3", 2), kv("b", "1", 3), kv("c", "2", 4)


@wrong("wrong-order")
def ascending_that_descends(h):
    three(h)
    h.all(4, C, B, A, order="ascend", sort="mod")


@wrong("wrong-order")
def sorted_by_another_thing(h):
    three(h)
    h.all(4, A, B, C, order="ascend", sort="value")


@wrong("wrong-order")
def a_cut_that_leaves_out_the_first(h):
    three(h)
    h.all(4, C, A, count=3, more=True, order="ascend", sort="value", limit=2)


@wrong("wrong-order")
def a_cut_before_it_was_sorted(h):
    three(h)
    h.all(4, B, A, count=3, more=True, order="descend", sort="mod", limit=2)


@wrong("lost-write")
def a_sorted_range_without_a_key(h):
    three(h)
    h.all(4, C, A, order="descend", sort="mod")


@wrong("wrong-value")
def a_sorted_range_of_an_old_value(h):
    three(h)
    h.put("a", "4", 5)
    h.all(5, B, C, kv("a", "3", 5, create=2, version=2), order="ascend", sort="mod")


@wrong("wrong-keys")
def a_sorted_range_with_a_key_outside(h):
    three(h)
    h.get("b", 4, A, B, C, end="z", order="ascend", sort="mod")


@wrong("wrong-more")
def a_cut_sorted_range_without_more(h):
    three(h)
    h.all(4, B, count=3, order="ascend", sort="value", limit=1)


@right
def ranges_in_every_order(h):
    three(h)
    h.all(4, A, B, C, order="ascend", sort="key")
    h.all(4, C, B, A, order="descend", sort="key")
    h.all(4, B, C, A, order="ascend", sort="value")
    h.all(4, A, C, B, order="descend", sort="value")
    h.all(4, B, C, count=3, more=True, order="ascend", sort="value", limit=2)
    h.all(4, C, B, count=3, more=True, order="descend", sort="create", limit=2)
    h.all(4, C, A, B, order="ascend", sort="version")
    h.all(4, C, count=3, more=True, order="ascend", sort="version", limit=1)
    h.txn(4, True, [found(C, B, A)], then=[get("a", end="z", order="descend", sort="mod")])


@right
def a_sorted_range_beside_a_write_without_an_answer(h):
    three(h)
    h.lost(put("a", "5"))
    h.put("d", "0", 6)
    h.all(6, kv("d", "0", 6), B, count=4, more=True, order="ascend", sort="value", limit=2)


# Looks at leases.

@wrong("lease-listed")
def a_lease_without_its_key(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.ttl(7, 2, keys=[])


@wrong("lease-listed")
def a_lease_with_a_key_that_was_never_its(h):
    h.grant(7, 1)
    h.put("a", "1", 2)
    h.ttl(7, 2, keys=["a"])


@wrong("lease-listed")
def a_lease_with_a_key_that_nobody_knows(h):
    h.grant(7, 1)
    h.ttl(7, 1, keys=["q"])


@wrong("lease-listed")
def a_lease_with_a_key_that_left_it(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.put("a", "2", 3)
    h.ttl(7, 3, keys=["a"])


@wrong("lease-listed")
def a_lease_with_a_key_that_was_deleted(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.delete("a", 3)
    h.ttl(7, 3, keys=["a"])


@wrong("lease-listed")
def an_old_look_at_a_key_that_came_later(h):
    h.grant(7, 1)
    h.ttl(7, 1, keys=["a"], stale=True)
    h.put("a", "1", 2, lease=7)


@wrong("lease-shown")
def a_lease_that_was_revoked(h):
    h.grant(7, 1)
    h.revoke(7, 1)
    h.ttl(7, 1)


@wrong("lease-early")
def a_lease_that_is_not_there_within_its_time(h):
    h.grant(7, 1)
    h.ttl(7, 1, ttl=-1, granted=0)


@wrong("lease-ttl")
def a_look_with_another_time_granted(h):
    h.grant(7, 1)
    h.ttl(7, 1, granted=12)


@right
def looks_at_leases(h):
    h.grant(7, 1)
    h.ttl(7, 1, ttl=11, keys=[])
    h.put("a", "1", 2, lease=7)
    h.put("b", "2", 3, lease=7)
    h.ttl(7, 3, keys=["b", "a"])
    h.ttl(7, 3)
    h.delete("a", 4)
    h.ttl(7, 4, keys=["b"])
    h.ttl(7, 4, keys=["a"], stale=True)
    h.revoke(7, 5)
    h.ttl(7, 5, ttl=-1, granted=0, keys=[])
    h.ttl(7, 2, keys=["b"], stale=True)


@right
def a_look_beside_writes(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.ttl(7, 2, keys=["b"], at=(100, 200))
    h.call(put("b", "2", lease=7), revision=3, at=(120, 180))
    h.call(put("a", "3"), revision=4, at=(150, 160))
    h.ttl(7, 2, keys=["a"], at=(100, 200))


@right
def a_look_after_writes_without_an_answer(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.lost(put("b", "2", lease=7))
    h.lost(delete("a"))
    h.ttl(7, 2, keys=["b"])
    h.put("c", "1", 5)


@right
def a_lost_put_takes_a_key_off_its_lease_before_it_is_revoked(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.lost(put("a", "2"))
    h.lost(delete("b"))
    h.lost(put("b", "3"))
    h.revoke(7, 4)
    h.put("a", "4", 5)
    h.get("a", 5, kv("a", "4", 5, create=2, version=3))


@right
def a_revoke_takes_a_key_that_a_lost_put_did_not_take_off(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.lost(put("b", "3"))
    h.revoke(7, 3)
    h.put("a", "4", 4)
    h.get("a", 4, kv("a", "4", 4))
