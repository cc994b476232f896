# SPDX-License-Identifier: Apache-2.0
"""The lines that etcdctl txn and watch -i read: a key may hold any byte."""
import base64
import json
import re
from functools import partial

from lib import Case, Etcdctl, wait_until

WAIT = 120
until = partial(wait_until, seconds=WAIT)


class Commands:
    """What every build must get right; the classes below choose the build."""

    def setUp(self):
        super().setUp()
        self.node = self.member()
        self.etcdctl = self.build(self.node)
        self.etcdctl.env.pop("ETCDCTL_API")  # 3.6 says that it does not know it
        self.ours = Etcdctl(self.node)

    def txn(self, *requests):
        return self.etcdctl.run("txn", "-w", "json", stdin="\n" + "\n".join(requests) + "\n\n\n")

    def content(self):
        got = self.ours.json("get", "--prefix", "")
        return {base64.b64decode(kv["key"]): base64.b64decode(kv.get("value", ""))
                for kv in got.get("kvs", [])}

    def test_a_txn_keeps_what_is_behind_a_nul(self):
        done = self.txn(r'put a "1\x00x"', r'put "a\x00" 2', r'put "a\000b" "\x00"', "put b 4")
        self.assertEqual(0, done.returncode, done.stderr)
        everything = {b"a": b"1\0x", b"a\0": b"2", b"a\0b": b"\0", b"b": b"4"}
        self.assertEqual(everything, self.content())
        done = self.txn(r'get "a\x00"', r'get a "a\x00b"', r'get "a\x00" --prefix')
        counts = [r["Response"]["response_range"]["count"]
                  for r in json.loads(done.stdout)["responses"]]
        self.assertEqual([1, 2, 2], counts)
        self.assertEqual(0, self.txn(r'del --range a "a\x00b"').returncode)
        self.assertEqual([b"a\0b", b"b"], sorted(self.content()))
        self.assertEqual(0, self.txn(r'del "a\x00" "\x00" --range').returncode)
        self.assertEqual({}, self.content())  # that end is none

    def test_a_txn_does_not_take_half_of_an_option_or_a_name(self):
        for line in (r'put k v --lease "0\x00"', r'"put\x00" k v'):
            done = self.txn(line)
            self.assertNotEqual(0, done.returncode, line)
            self.assertEqual({}, self.content())

    def watchers(self):
        text = self.node.get("/metrics")[1]
        return int(re.search(r"^etcd_debugging_mvcc_watcher_total (\d+)", text, re.M).group(1))

    def test_a_watch_keeps_what_is_behind_a_nul(self):
        watch = self.etcdctl.popen("watch", "-i", "-w", "json")
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.kill)
        watch.stdin.write('watch "a\\x00" "a\\x00c"\n')
        watch.stdin.flush()
        until("it watches", lambda: self.watchers() == 1)
        self.assertEqual(0, self.txn("put a 1", r'put "a\x00b" 2', r'put "a\x00c" 3').returncode)
        events = json.loads(watch.stdout.readline())["Events"]
        self.assertEqual([b"a\0b"], [base64.b64decode(e["kv"]["key"]) for e in events])


class Upstream(Commands, Case):
    build = Etcdctl.reference


class Ours(Commands, Case):
    build = Etcdctl

    def test_what_cannot_hold_a_nul_is_refused(self):
        """A program's arguments, and a line itself."""
        for args, line in ((("watch", "-i"), r'watch k -- echo "a\x00b"'),
                           (("watch", "-i"), "watch k\0y"), (("txn",), "\nput a\0b 1\n\n")):
            done = self.etcdctl.run(*args, stdin=line + "\n")
            self.assertEqual(3, done.returncode, line)
            self.assertIn("Error: a NUL in a ", done.stderr)
