# SPDX-License-Identifier: Apache-2.0
"""Histories that are wrong, each in one way, which history_check must name, and right ones that it
must leave alone."""
import os
import re
import unittest

import cases_access  # pylint: disable=unused-import
import cases_store  # pylint: disable=unused-import
import cases_watch  # pylint: disable=unused-import
from histories import RIGHT, WRONG, History, exit_code, gone, judge, kv, put

HERE = os.path.dirname(os.path.abspath(__file__))


def made(make):
    history = History(sane_clocks=True)
    make(history)
    return history.lines


class Judged(unittest.TestCase):
    def test_each_wrong_history_is_named(self):
        reports = judge([made(make) for _, make in WRONG])
        for (name, make), (names, text) in zip(WRONG, reports):
            with self.subTest(name, case=make.__name__):
                self.assertEqual([name], names[:1], text)

    def test_right_histories_are_left_alone(self):
        reports = judge([made(make) for make in RIGHT])
        for make, (names, text) in zip(RIGHT, reports):
            with self.subTest(make.__name__):
                self.assertEqual([], names, text)

    def test_the_exit_code_is_that_of_the_worst(self):
        self.assertEqual(0, exit_code(made(RIGHT[0])))
        self.assertEqual(1, exit_code(made(WRONG[0][1])))

    def test_there_is_a_history_for_everything_that_can_be_wrong(self):
        with open(os.path.join(HERE, "wrong.def"), encoding="utf-8") as file:
            names = set(re.findall(r'^HISTORY_WRONG\(\w+, "([a-z-]+)"', file.read(), re.M))
        self.assertEqual(names, {name for name, _ in WRONG})

    def test_what_is_not_in_the_format_is_refused(self):
        fine = {"type": "call", "invoke": 1, "return": 2, "outcome": "ok", "op": put("a", "1"),
                "result": {"revision": 2}}
        watch = {"type": "watch", "watch": 1, "key": "a"}
        self.assertEqual(0, exit_code([fine]))
        for lines in ([{"type": "cal"}], [{**fine, "invoked": 1}], ["{}\n"], ["[]\n"],
                      ["nonsense\n"], [{**fine, "op": {"do": "user_grant", "user": "u"}}],
                      [{**fine, "op": {"do": "role_get"}}],
                      [{**fine, "op": {"do": "range", "key": "a", "order": "up"}}],
                      [{**fine, "result": {"grants": [["a", "b"]]}}],
                      [{**fine, "op": {"do": "putt", "key": "a"}}], [{**fine, "op": {"do": "put"}}],
                      [{**fine, "invoke": "1"}], [{**fine, "outcome": "fine"}], [watch, watch],
                      [{"type": "response", "watch": 7}], [{**fine, "op": put("é€", "1")}],
                      [{**fine, "result": {"kvs": [["a", "1", 2]]}}], [{**fine, "result": 1}],
                      [{"type": "hash", "hash": -1}], [{"type": "call", "op": put("a", "1")}],
                      [watch, {"type": "response", "watch": 1, "events": [["", gone("a", 1)]]}]):
            with self.subTest(lines[-1]):
                self.assertEqual(2, exit_code(lines))

    def test_bytes_are_bytes(self):
        history = History()
        history.put("\0\xff\x80", "\xfe\0", 2)
        history.get("\0\xff\x80", 2, kv("\0\xff\x80", "\xfe\0", 2))
        self.assertEqual(0, exit_code(history.lines))
        history.get("\0\xff\x81", 2, kv("\0\xff\x81", "\xfe\0", 2))
        self.assertEqual(1, exit_code(history.lines))


if __name__ == "__main__":
    unittest.main()
