# SPDX-License-Identifier: Apache-2.0
"""etcdctl watch: what it says of watches that end, and that others come after them."""
import json
import re
import select
from functools import partial

from lib import Case, Etcdctl, wait_until

WAIT = 120
until = partial(wait_until, seconds=WAIT)


class Commands:
    """What every build must get right; the classes below choose the build."""

    def setUp(self):
        super().setUp()
        self.node = self.member(flags=["--bcrypt-cost=4"])
        self.etcdctl = self.build(self.node)
        self.etcdctl.env.pop("ETCDCTL_API")  # 3.6 says that it does not know it
        self.ours = Etcdctl(self.node)

    def line_of(self, stream):
        """The next line, which must come."""
        self.assertTrue(select.select([stream], [], [], WAIT)[0], "nothing was said")
        return stream.readline()

    def watchers(self):
        text = self.node.get("/metrics")[1]
        return int(re.search(r"^etcd_debugging_mvcc_watcher_total (\d+)", text, re.M).group(1))

    def compact(self):
        """Nothing before the last change of a can be watched."""
        self.ours("put", "a", "1")
        self.ours("compact", str(self.ours.json("put", "a", "2")["header"]["revision"]))

    def tell(self, line):
        self.watch.stdin.write(line + "\n")
        self.watch.stdin.flush()

    def answers(self):
        self.tell("progress")
        return select.select([self.watch.stdout], [], [], 1)[0]

    def refuse(self):
        """A watch that ends at once."""
        self.tell("watch a --rev=1")
        self.assertEqual("watch was canceled (etcdserver: mvcc: required revision has been "
                         "compacted)\n", self.line_of(self.watch.stderr))
        self.assertTrue(json.loads(self.line_of(self.watch.stdout))["Canceled"])

    def test_a_watch_may_come_when_all_others_have_ended(self):
        self.compact()
        self.watch = self.etcdctl.popen("watch", "-i", "-w", "json")
        self.addCleanup(self.watch.communicate)
        self.addCleanup(self.watch.kill)
        self.refuse()
        self.tell("watch b")
        until("it watches", lambda: self.watchers() == 1)
        revision = self.ours.json("put", "b", "1")["header"]["revision"]
        seen = json.loads(self.line_of(self.watch.stdout))
        self.assertEqual(revision, seen["Events"][0]["kv"]["mod_revision"])
        self.refuse()
        until("progress", self.answers)  # not while it is behind
        self.assertEqual(f"progress notify: {revision}\n", self.line_of(self.watch.stdout))

    def test_a_refused_watch_says_nothing_of_the_member(self):
        self.ours("user", "add", "root", "--new-user-password=pw")
        self.ours("user", "grant-role", "root", "root")
        self.ours("auth", "enable")
        done = self.etcdctl.run("watch", "k", "-w", "json")
        self.assertEqual('{"Header":{},"Events":null,"CompactRevision":0,"Canceled":true,'
                         '"Created":false}\n', done.stdout)
        self.assertEqual("watch was canceled (rpc error: code = InvalidArgument desc = etcdserver: "
                         "user name is empty)\nError: watch is canceled by the server\n",
                         done.stderr)
        self.assertEqual(5, done.returncode)

    def test_a_watch_may_come_while_a_command_runs(self):
        self.watch = self.etcdctl.popen("watch", "-i")
        self.addCleanup(self.watch.communicate)
        self.addCleanup(self.watch.wait)  # what it runs goes on until it is gone
        self.addCleanup(self.watch.kill)
        self.tell("watch a -- sh -c 'echo runs; while kill -0 $PPID; do sleep 0.2; done'")
        until("it watches", lambda: self.watchers() == 1)
        self.ours("put", "a", "1")
        self.assertEqual(["PUT\n", "a\n", "1\n", "runs\n"],
                         [self.watch.stdout.readline() for _ in range(4)])
        self.tell("watch b")
        wait_until("it watches another", lambda: self.watchers() == 2, seconds=20)

    def test_its_command_hears_of_the_event_whatever_it_inherits(self):
        """A watch below a watch, in a program that takes the first of two and in a shell."""
        names = ("REVISION", "EVENT_TYPE", "KEY", "VALUE")
        for name in names:
            self.etcdctl.env[f"ETCD_WATCH_{name}"] = "inherited"
        self.ours("put", "a", "1")
        for command in (("env",), ("sh", "-c", "env")):
            watch = self.etcdctl.popen("watch", "a", "--rev=2", "--", *command)
            self.addCleanup(watch.communicate)
            self.addCleanup(watch.kill)
            self.assertEqual(["PUT\n", "a\n", "1\n"],
                             [watch.stdout.readline() for _ in range(3)])
            said = []
            while len(said) < 4:
                line = watch.stdout.readline()
                self.assertNotEqual("", line)
                said += [line] if line.startswith("ETCD_WATCH_") else []
            self.assertEqual(['ETCD_WATCH_EVENT_TYPE="PUT"\n', 'ETCD_WATCH_KEY="a"\n',
                              "ETCD_WATCH_REVISION=2\n", 'ETCD_WATCH_VALUE="1"\n'], sorted(said))
            watch.kill()


class Upstream(Commands, Case):
    build = Etcdctl.reference


class Ours(Commands, Case):
    build = Etcdctl
