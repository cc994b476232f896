# SPDX-License-Identifier: Apache-2.0
"""Watches."""
from histories import delete, gone, kv, put, right, wrong


def two_puts(h, **watch):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.watch(3, start=1, **watch)


def a_put_of_two(h, **watch):
    h.txn(2, True, [{}, {}], then=[put("a", "1"), put("b", "2")])
    h.put("a", "3", 3)
    h.watch(3, start=1, **watch)


A, B = ["put", kv("a", "1", 2)], ["put", kv("b", "2", 3)]
TWO = [["put", kv("a", "1", 2)], ["put", kv("b", "2", 2)]]
THIRD = ["put", kv("a", "3", 3, create=2, version=2)]


@wrong("watch-filter")
def an_event_of_another_key(h):
    two_puts(h, key="a", end="")
    h.shown(3, A, B)


@wrong("watch-filter")
def a_put_that_was_not_wanted(h):
    two_puts(h, no_put=True)
    h.shown(3, A)


@wrong("watch-filter")
def a_deletion_that_was_not_wanted(h):
    h.put("a", "1", 2)
    h.watch(2, no_delete=True)
    h.delete("a", 3)
    h.shown(3, ["delete", gone("a", 3)])


@wrong("watch-order")
def events_swapped(h):
    two_puts(h)
    h.put("c", "3", 4)
    h.shown(4, A, ["put", kv("c", "3", 4)], B)


@wrong("watch-order")
def an_old_event_in_a_later_response(h):
    two_puts(h)
    h.shown(3, A, B)
    h.shown(3, A)


@wrong("watch-twice")
def the_last_event_again(h):
    two_puts(h)
    h.shown(3, A, B)
    h.shown(3, B)


@wrong("watch-twice")
def an_event_twice_in_a_response(h):
    two_puts(h)
    h.shown(3, A, A, B)


@wrong("watch-torn")
def a_transactions_events_apart(h):
    a_put_of_two(h)
    h.shown(3, TWO[0])
    h.shown(3, TWO[1], THIRD)


@wrong("watch-lost")
def a_transactions_second_event(h):
    a_put_of_two(h)
    h.shown(3, TWO[0])
    h.shown(3, THIRD)


@wrong("watch-lost")
def a_transactions_first_event(h):
    a_put_of_two(h)
    h.shown(3, TWO[1], THIRD)


@wrong("watch-lost")
def the_first_event(h):
    two_puts(h)
    h.shown(3, B)


@wrong("watch-lost")
def a_deletion(h):
    h.put("a", "1", 2)
    h.watch(2)
    h.delete("a", 3)
    h.put("a", "2", 4)
    h.shown(4, ["put", kv("a", "2", 4)])


@wrong("watch-lost")
def the_rest_of_a_fragmented_response(h):
    a_put_of_two(h, fragment=True)
    h.shown(3, TWO[0], fragment=True)
    h.shown(3, THIRD)


@wrong("watch-start")
def an_event_from_before_the_creation(h):
    h.put("a", "1", 2)
    h.watch(2)
    h.shown(2, A)


@wrong("watch-start")
def an_event_from_before_a_future_start(h):
    h.put("a", "1", 2)
    h.watch(2, start=9)
    h.put("b", "2", 3)
    h.shown(3, B)


@wrong("watch-bookmark")
def an_event_that_progress_had_passed(h):
    two_puts(h)
    h.shown(3, A, B)
    h.shown(3)
    h.shown(3, B)


@wrong("watch-progress")
def progress_ahead_of_events(h):
    two_puts(h)
    h.shown(3, A)
    h.shown(3)
    h.shown(3, B)


@wrong("watch-progress")
def progress_instead_of_an_event(h):
    h.watch(1)
    h.put("a", "1", 2)
    h.shown(2)


@wrong("watch-prev")
def an_older_previous_value(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.watch(3, prev=True)
    h.put("a", "3", 4)
    h.shown(4, ["put", kv("a", "3", 4, create=2, version=3), kv("a", "1", 2)])


@wrong("watch-prev")
def no_previous_value(h):
    h.put("a", "1", 2)
    h.watch(2, prev=True)
    h.delete("a", 3)
    h.shown(3, ["delete", gone("a", 3)])


@wrong("watch-prev")
def a_previous_value_of_a_new_key(h):
    h.put("a", "1", 2)
    h.delete("a", 3)
    h.watch(3, prev=True)
    h.put("a", "2", 4)
    h.shown(4, ["put", kv("a", "2", 4), kv("a", "1", 2)])


@wrong("watch-prev")
def a_previous_value_that_was_not_asked_for(h):
    h.put("a", "1", 2)
    h.watch(2)
    h.delete("a", 3)
    h.shown(3, ["delete", gone("a", 3), kv("a", "1", 2)])


@wrong("watch-create")
def a_change_shown_as_a_creation(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.watch(3, start=3)
    h.shown(3, ["put", kv("a", "2", 3)])


@wrong("watch-event")
def another_value(h):
    two_puts(h)
    h.shown(3, ["put", kv("a", "2", 2)], B)


@wrong("watch-event")
def a_put_shown_as_a_deletion(h):
    two_puts(h)
    h.shown(3, ["delete", gone("a", 2)], B)


@wrong("watch-event")
def an_event_of_a_key_that_did_not_change(h):
    two_puts(h)
    h.shown(3, ["put", kv("b", "1", 2)], B)


@wrong("watch-header")
def a_header_that_is_older(h):
    two_puts(h)
    h.shown(2, A, B)


@wrong("watch-canceled")
def canceled_for_no_compaction(h):
    two_puts(h)
    h.shown(3, canceled=True, compact=3)


@wrong("watch-canceled")
def canceled_though_it_had_passed_the_compaction(h):
    two_puts(h)
    h.shown(3, A, B)
    h.compact(2, 3)
    h.shown(3, canceled=True, compact=2)


@wrong("watch-after")
def an_event_after_the_end(h):
    two_puts(h)
    h.shown(3, A)
    h.shown(3, canceled=True)
    h.shown(3, B)


@wrong("delete-unasked")
def a_deletion_by_nobody(h):
    h.put("a", "1", 2)
    h.watch(2)
    h.shown(3, ["delete", gone("a", 3)])


@wrong("delete-unasked")
def a_refused_deletion(h):
    h.put("a", "1", 2)
    h.watch(2)
    h.refused(delete("a"))
    h.shown(3, ["delete", gone("a", 3)])


@wrong("delete-unasked")
def one_deletion_without_an_answer_for_two(h):
    h.put("a", "1", 2)
    h.watch(2)
    h.lost(delete("a"))
    h.shown(3, ["delete", gone("a", 3)])
    h.put("a", "2", 4)
    h.shown(5, ["put", kv("a", "2", 4)], ["delete", gone("a", 5)])


@wrong("lost-write")
def a_deletion_that_only_a_watch_did_not_see(h):
    """The watch passed without an event, so that the key must be there."""
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.watch(3, start=2)
    h.shown(3, A, B)
    h.shown(3)
    h.all(3, kv("b", "2", 3))


@right
def a_deletion_without_an_answer_beside_one_that_also_puts(h):
    h.put("a", "1", 2)
    h.watch(2)
    h.lost(delete("a"))
    h.lost({"do": "txn", "then": [delete("a"), put("b", "2")]})
    h.shown(3, ["delete", gone("a", 3)])
    h.all(3)


@right
def all_in_order(h):
    a_put_of_two(h)
    h.shown(3, *TWO, THIRD)
    h.shown(3)
    h.delete("a", 4)
    h.shown(4, ["delete", gone("a", 4)])
    h.shown(4)


def lost_deletions(h, *orders):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.watch(3, start=4)
    for keys in orders:
        h.lost({"do": "txn", "if": [], "then": [delete(key) for key in keys]})
    h.put("c", "3", 5)


BOTH_GONE = ["delete", gone("a", 4)], ["delete", gone("b", 4)]
C_AFTER = ["put", kv("c", "3", 5)]


@right
def either_of_two_lost_deletions(h):
    lost_deletions(h, "ab", "ba")
    h.shown(5, *BOTH_GONE, C_AFTER)


@right
def either_of_two_lost_deletions_swapped(h):
    lost_deletions(h, "ab", "ba")
    h.shown(5, *reversed(BOTH_GONE), C_AFTER)


def a_lost_choice(h):
    """Whether a is as the lost transaction wants it depends on a lost put before."""
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.watch(3, key="b", end="", start=4)
    h.lost(put("a", "3"))
    h.lost({"do": "txn",
            "if": [{"key": "a", "target": "value", "is": ">", "value": "2"}],
            "then": [put("a", "4"), delete("b")], "else": [put("a", "5")]})
    h.put("c", "6", 6)


@right
def a_lost_transaction_after_a_lost_put(h):
    a_lost_choice(h)
    h.shown(5, ["delete", gone("b", 5)])


@wrong("delete-unasked")
def a_lost_transaction_that_keeps_what_was_deleted(h):
    h.put("a", "1", 2)
    h.put("b", "2", 3)
    h.watch(3, key="b", end="", start=4)
    h.put("a", "3", 4)
    h.lost({"do": "txn",
            "if": [{"key": "a", "target": "value", "is": "<", "value": "2"}],
            "then": [delete("b")], "else": [put("a", "5")]})
    h.put("c", "6", 6)
    h.shown(5, ["delete", gone("b", 5)])


@right
def a_lease_that_ended_or_a_lost_deletion(h):
    h.grant(7, 1)
    h.put("a", "1", 2, lease=7)
    h.put("b", "2", 3, lease=7)
    h.watch(3, start=4)
    h.clock += 20_000_000_000
    h.lost({"do": "txn", "if": [], "then": [delete("b"), delete("a")]})
    h.put("c", "3", 5)
    h.shown(5, *reversed(BOTH_GONE), C_AFTER)


@wrong("watch-lost")
def a_lost_deletion_swapped(h):
    lost_deletions(h, "ab")
    h.shown(5, *reversed(BOTH_GONE), C_AFTER)


@right
def fragments(h):
    a_put_of_two(h, fragment=True)
    h.shown(3, TWO[0], fragment=True)
    h.shown(3, TWO[1], THIRD)


@right
def one_key_of_a_transaction(h):
    a_put_of_two(h, key="b", end="")
    h.shown(3, TWO[1])
    h.shown(3)


@right
def taken_up_again(h):
    a_put_of_two(h)
    h.shown(3, *TWO)
    h.watch(3, watch=2, start=3)
    h.shown(3, THIRD, watch=2)
    h.shown(3, watch=2)


@right
def taken_up_again_after_a_compaction(h):
    two_puts(h)
    h.compact(3, 3)
    h.shown(3, canceled=True, compact=3)
    h.watch(3, watch=2, start=3)
    h.shown(3, B, watch=2)


@right
def filters(h):
    h.watch(1, no_put=True)
    h.watch(1, watch=2, no_delete=True)
    h.put("a", "1", 2)
    h.delete("a", 3)
    h.shown(3, ["delete", gone("a", 3)])
    h.shown(3, A, watch=2)
    h.shown(3, watch=2)


@right
def previous_values(h):
    h.put("a", "1", 2)
    h.put("a", "2", 3)
    h.watch(3, prev=True, start=3)
    h.delete("a", 4)
    change = ["put", kv("a", "2", 3, create=2, version=2)]
    h.shown(4, change + [kv("a", "1", 2)],
            ["delete", gone("a", 4), kv("a", "2", 3, create=2, version=2)])
    h.compact(4, 4)
    h.watch(4, watch=2, prev=True, start=3)
    h.shown(4, change, ["delete", gone("a", 4)], watch=2)


@right
def a_start_in_the_future(h):
    h.put("a", "1", 2)
    h.watch(2, start=3)
    h.put("b", "2", 3)
    h.shown(3, B)
    h.watch(3, watch=2, start=5)
    h.put("a", "3", 4)
    h.put("a", "4", 5)
    h.shown(5, ["put", kv("a", "4", 5, create=2, version=3)], watch=2)


@right
def silence(h):
    two_puts(h)
    h.shown(3, A)


def a_deletion_of_what_was_perhaps_put(h, count):
    h.put("a", "1", 2)
    h.lost(put("b", "2"))
    h.put("c", "3", 4)
    h.watch(4, start=5)
    h.delete("a", 5, count=count, end="z")


@right
def the_deletion_of_an_unanswered_put(h):
    a_deletion_of_what_was_perhaps_put(h, 3)
    h.shown(5, *[["delete", gone(key, 5)] for key in "abc"])


@right
def no_deletion_of_an_unanswered_put(h):
    a_deletion_of_what_was_perhaps_put(h, 2)
    h.shown(5, ["delete", gone("a", 5)], ["delete", gone("c", 5)])


@wrong("watch-lost")
def a_counted_deletion_of_an_unanswered_put_not_shown(h):
    a_deletion_of_what_was_perhaps_put(h, 3)
    h.shown(5, ["delete", gone("a", 5)], ["delete", gone("c", 5)])
    h.shown(5)


@wrong("watch-lost")
def a_sure_deletion_beside_an_unsure_one_not_shown(h):
    a_deletion_of_what_was_perhaps_put(h, 2)
    h.shown(5, ["delete", gone("b", 5)], ["delete", gone("c", 5)])


@wrong("watch-twice")
def the_deletion_of_an_unanswered_put_twice(h):
    a_deletion_of_what_was_perhaps_put(h, 3)
    h.shown(5, *[["delete", gone(key, 5)] for key in "abbc"])


@right
def nothing_deleted_of_an_unanswered_put(h):
    h.put("a", "1", 2)
    h.lost(put("b", "2"))
    h.put("c", "3", 4)
    h.watch(4, start=4)
    h.delete("b", 4, count=0)
    h.shown(4, ["put", kv("c", "3", 4)])
