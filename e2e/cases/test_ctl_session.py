# SPDX-License-Identifier: Apache-2.0
"""etcdctl lock and elect: who holds, who waits, whose lease ends meanwhile."""
import base64
import json
import os
import re
import signal
import subprocess
import time
from functools import partial

from lib import Case, Etcdctl, wait_until

WAIT = 120
until = partial(wait_until, seconds=WAIT)
SECONDS = "3000"  # of a lease that nobody renews while a test runs


class Commands:
    """What every build must get right; the classes below choose the build."""

    def setUp(self):
        super().setUp()
        self.node = self.member()
        self.etcdctl = self.build(self.node)
        self.ours = Etcdctl(self.node)

    def keys(self, name):
        """The keys under NAME/, oldest first."""
        got = self.ours.json("get", "--prefix", "--sort-by=CREATE", "--keys-only", f"{name}/")
        return got.get("kvs", [])

    def join(self, *args, name="name"):
        """A process, which ends with the test, when its key stands behind the others'."""
        before = len(self.keys(name))
        process = self.etcdctl.popen(*args)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        until("a key more", lambda: len(self.keys(name)) > before)
        return process

    def revoke(self, order, name="name"):
        """Takes the lease from whoever came first ("ASCEND"), or last."""
        key = self.ours("get", "--prefix", "--sort-by=CREATE", f"--order={order}", "--limit=1",
                        "--keys-only", f"{name}/").split()[0]
        self.ours("lease", "revoke", key.rsplit("/", maxsplit=1)[1])

    def test_who_lost_the_lease_while_waiting_does_not_hold_the_lock(self):
        holder = self.join("lock", f"--ttl={SECONDS}", "name")
        loser = self.join("lock", f"--ttl={SECONDS}", "name", "echo", "it ran")
        self.revoke("DESCEND")
        next_one = self.join("lock", f"--ttl={SECONDS}", "name")
        holder.send_signal(signal.SIGINT)
        self.assertTrue(next_one.stdout.readline().startswith("name/"))
        out, said = loser.communicate(timeout=WAIT)
        self.assertEqual(("", 1), (out, loser.returncode))
        self.assertTrue(said.endswith("Error: mutex: session is expired\n"), said)

    def test_revision_is_that_at_which_the_lock_was_held(self):
        say = ("--", "sh", "-c", "echo $ETCD_LOCK_REV")
        alone = self.etcdctl("lock", "name", *say)
        self.assertEqual(2, int(alone))
        holder = self.join("lock", f"--ttl={SECONDS}", "name")
        second = self.join("lock", f"--ttl={SECONDS}", "name", *say)
        self.ours("put", "between", "1")
        holder.send_signal(signal.SIGINT)
        out = second.communicate(timeout=WAIT)[0]
        after = self.ours.json("get", "between")["header"]["revision"]
        self.assertEqual(after - 1, int(out))  # its own delete is the last change


    def test_a_lock_of_no_time_has_that_of_a_session(self):
        for ttl in ("0", "-4"):
            holder = self.join("lock", f"--ttl={ttl}", "name")
            lease = self.keys("name")[0]["lease"]
            granted = self.ours.json("lease", "timetolive", f"{lease:x}")["granted-ttl"]
            self.assertEqual(60, granted)
            holder.send_signal(signal.SIGINT)
            self.assertEqual(0, holder.wait(WAIT))

    def test_exit_code_is_that_of_what_it_runs(self):
        for script, code, said in (("exit 3", 3, "exit status 3"),
                                   ("kill -9 $$", 255, "signal: killed")):
            done = self.etcdctl.run("lock", "name", "--", "sh", "-c", script)
            self.assertEqual(code, done.returncode)
            self.assertTrue(done.stderr.endswith(f"Error: {said}\n"), done.stderr)

    def test_what_it_runs_inherits_a_lock_above_it(self):
        """Unlike watch's command: the reference puts the environment behind its own."""
        self.etcdctl.env["ETCD_LOCK_KEY"] = "above"
        said = self.etcdctl("lock", "name", "--", "env").splitlines()
        self.assertEqual(["ETCD_LOCK_KEY=above", "ETCD_LOCK_REV=2"],
                         sorted(line for line in said if line.startswith("ETCD_LOCK_")))

    def observe(self):
        observer = self.etcdctl.popen("elect", "-l", "name", "-w", "json")
        self.addCleanup(observer.communicate)
        self.addCleanup(observer.kill)
        return observer

    def assert_seen(self, observer, value, revision, **rest):
        """One line: the leader's value, and the rest of the answer."""
        seen = json.loads(observer.stdout.readline())
        self.assertEqual(["cluster_id", "member_id", "raft_term", "revision"],
                         sorted(seen["header"]))
        self.assertEqual(revision, seen.pop("header")["revision"])
        self.assertEqual(value, base64.b64decode(seen.pop("kvs")[0]["value"]).decode())
        self.assertEqual(rest, seen)

    def proclaim(self, value):
        """The leader's key gets another value. Gives the revision."""
        key = base64.b64decode(self.keys("name")[0]["key"]).decode()
        return self.ours.json("put", "--ignore-lease", key, value)["header"]["revision"]

    def test_who_observes_sees_header_and_count(self):
        self.join("elect", "name", "me")
        revision = self.ours.json("get", "name")["header"]["revision"]
        observer = self.observe()
        self.assert_seen(observer, "me", revision)
        self.assert_seen(observer, "me again", self.proclaim("me again"), count=1)

    def watchers(self):
        text = self.node.get("/metrics")[1]
        return int(re.search(r"^etcd_debugging_mvcc_watcher_total (\d+)", text, re.M).group(1))

    def test_who_waits_for_a_leader_counts_none(self):
        observer = self.observe()
        until("it watches", lambda: self.watchers() == 1)
        self.join("elect", "name", "me")
        self.assert_seen(observer, "me", 2)
        self.assert_seen(observer, "me again", self.proclaim("me again"))

    def assert_stopped(self, which, *args):
        """Against nobody, by that signal once it is taken or, in Go, once there are threads."""
        process = subprocess.Popen([self.etcdctl.program, "--endpoints=127.0.0.1:1", *args],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            until("it connects", lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 2)
            process.send_signal(which)
            self.assertEqual(-which, process.wait(WAIT))
        finally:
            process.kill()
            process.wait()

    def test_signals_stop_it_while_it_connects(self):
        self.assert_stopped(signal.SIGTERM, "lock", "name", "true")
        self.assert_stopped(signal.SIGINT, "elect", "name", "me")


    def test_what_it_runs_does_not_read_its_stdin(self):
        self.assertEqual("()\n", self.etcdctl("lock", "name", "--", "sh", "-c", "echo \"($(cat))\"",
                                              stdin="not for the command"))

    def test_who_waits_goes_on_waiting_when_the_member_is_restarted(self):
        self.join("lock", f"--ttl={SECONDS}", "name")
        second = self.join("lock", f"--ttl={SECONDS}", "name", "echo", "it ran")
        self.node.restart()
        self.revoke("ASCEND")
        out, said = second.communicate(timeout=WAIT)
        self.assertEqual(("it ran\n", 0), (out, second.returncode), said)

    def test_who_holds_releases_when_the_member_was_restarted(self):
        holder = self.join("lock", f"--ttl={SECONDS}", "name")
        self.node.restart()
        holder.send_signal(signal.SIGINT)
        said = holder.communicate(timeout=WAIT)[1]
        self.assertEqual(0, holder.returncode, said)
        self.assertEqual([], self.keys("name"))

    def test_who_observes_can_be_stopped_while_no_member_answers(self):
        for which in (signal.SIGINT, signal.SIGTERM):
            observer = self.observe()
            until("it watches", lambda: self.watchers() == 1)
            self.node.terminate()
            time.sleep(1)  # it is at its next stream
            observer.send_signal(which)
            self.assertEqual(0, observer.wait(10))
            self.node.start()

    def renewals(self):
        """How often the member has renewed a lease."""
        text = self.node.get("/metrics")[1]
        return int(re.search(r"^etcd_debugging_lease_renewed_total (\d+)", text, re.M).group(1))

    def test_a_long_lease_is_not_renewed_over_and_over(self):
        long = "12885"  # a third of it in µs is just above what 32 bits hold
        lease = self.ours("lease", "grant", long).split()[1]
        keeper = self.etcdctl.popen("lease", "keep-alive", lease)
        self.addCleanup(keeper.communicate)
        self.addCleanup(keeper.kill)
        self.join("lock", f"--ttl={long}", "name")
        until("two renewals", lambda: self.renewals() >= 2)
        time.sleep(1)
        self.assertEqual(2, self.renewals())

    def proposals(self):
        text = self.node.get("/metrics")[1]
        return float(re.search(r"^etcd_server_proposals_applied_total (\S+)", text, re.M).group(1))

    def test_renewals_do_not_log_in_again(self):
        """Each login is a change to all members, and work for one of them."""
        for words in (("user", "add", "root:pw"), ("user", "grant-role", "root", "root"),
                      ("auth", "enable")):
            self.ours(*words)
        for etcdctl in (self.ours, self.etcdctl):
            etcdctl.flags.append("--user=root:pw")
        self.join("lock", "--ttl=3", "name")
        until("the lock renews", lambda: self.renewals() >= 1)
        lease = self.ours("lease", "grant", "3").split()[1]
        keeper = self.etcdctl.popen("lease", "keep-alive", lease)
        self.addCleanup(keeper.communicate)
        self.addCleanup(keeper.kill)
        self.assertIn("keepalived", keeper.stdout.readline())
        renewals, proposals = self.renewals(), self.proposals()
        until("renewals", lambda: self.renewals() >= renewals + 10)
        self.assertEqual(proposals, self.proposals())


class Upstream(Commands, Case):
    build = Etcdctl.reference


class Ours(Commands, Case):
    build = Etcdctl

    def lose_while_waiting(self, *args):
        """What one that waits says when its lease is gone, and that it waits no longer."""
        loser = self.join(*args)
        self.revoke("DESCEND")
        out, said = loser.communicate(timeout=WAIT)
        self.assertEqual(("", 1), (out, loser.returncode))
        return said

    def test_who_lost_the_lease_waits_no_longer(self):
        self.join("lock", f"--ttl={SECONDS}", "name")
        said = self.lose_while_waiting("lock", "--ttl=3", "name", "echo", "it ran")
        self.assertTrue(said.endswith("Error: mutex: session is expired\n"), said)
        said = self.lose_while_waiting("elect", "name", "me")
        self.assertTrue(said.endswith("Error: elect: session expired\n"), said)
