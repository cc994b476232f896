# SPDX-License-Identifier: Apache-2.0
"""Members whose data differ are found: restored from snapshots that are alike but for a value."""
import os
import subprocess
import time

import grpc

from lib import binary
from lib.cluster import ClusterCase, takes_long

CHECKS = ["--corrupt-check-time=1s"]
COMPACTIONS = ["--feature-gates=CompactHashCheck=true", "--compact-hash-check-time=1s"]


class Corrupt(ClusterCase):
    def snapshot(self, value):
        member = self.member(name="one" + value)
        for i in range(10):
            self.ctl(member)("put", f"k{i}", value if i == 5 else "same")
        file = os.path.join(self.folder, value + ".db")
        self.ctl(member)("snapshot", "save", file)
        member.terminate()
        return file

    def split(self, flags):
        """Three members, the last of which holds another value."""
        files = [self.snapshot("good"), self.snapshot("evil")]
        cluster = self.cluster(3, start=False, flags=flags)
        for i, member in enumerate(cluster.members):
            os.makedirs(member.folder)
            done = subprocess.run(
                [binary("etcdutl"), "snapshot", "restore", files[i // 2], "--name", member.name,
                 "--data-dir", member.data_dir, "--initial-cluster", member.initial,
                 "--initial-cluster-token", "e2e",
                 "--initial-advertise-peer-urls", member.peer_url],
                capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        cluster.start()
        return cluster

    def wait_alarm(self, cluster, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with cluster.members[0].api() as api:
                alarms = [(a.memberID, a.alarm) for a in api.Alarm().alarms]
            if alarms:
                return alarms
            time.sleep(0.1)
        raise AssertionError("no alarm")

    def check_effect(self, cluster):
        """Writes are refused; ranges that take no log entry are served, as by the reference."""
        with cluster.members[0].api() as api:
            with self.assertRaises(grpc.RpcError) as caught:
                api.Put(key=b"x", value=b"1")
            self.assertEqual(caught.exception.code(), grpc.StatusCode.DATA_LOSS)
            self.assertEqual(caught.exception.details(), "etcdserver: corrupt cluster")
            api.Range(key=b"x")

    @takes_long
    def test_the_newest_state_is_compared(self):
        cluster = self.split(CHECKS)
        alarms = self.wait_alarm(cluster)
        self.assertEqual(alarms[0][1], 2)  # CORRUPT
        leader = cluster.leader()
        others = [m.member_id() for m in cluster.members if m is not leader]
        self.assertIn(alarms[0][0], others)
        self.check_effect(cluster)

    def test_compactions_are_compared(self):
        cluster = self.split(COMPACTIONS)
        with cluster.members[0].api() as api:
            revision = api.Put(key=b"y", value=b"1").header.revision
            api.Compact(revision=revision, physical=True)
        alarms = self.wait_alarm(cluster)
        self.assertEqual(alarms, [(cluster.members[2].member_id(), 2)])
        self.check_effect(cluster)

    @takes_long
    def test_a_member_that_differs_does_not_start(self):
        cluster = self.split([])
        odd = cluster.members[2]
        odd.kill()
        odd.flags.append("--feature-gates=InitialCorruptCheck=true")
        odd.start(wait=False)
        self.assertEqual(odd.process.wait(60), 1)
        self.assertTrue(odd.log_has("found data inconsistency with peers"))
        even = cluster.members[1]
        even.terminate()
        even.flags.append("--feature-gates=InitialCorruptCheck=true")
        even.start(wait=False)
        deadline = time.monotonic() + 60
        while not even.log_has("initial corruption checking passed; no corruption"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
