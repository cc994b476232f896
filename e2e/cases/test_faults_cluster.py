# SPDX-License-Identifier: Apache-2.0
"""Clusters over mutual TLS, each member on a host of its own, that lose networks, processes, disks
and clocks under load. All that the clients asked and were told is judged by tests/history.

KETCD_CLUSTER_LONG: each kind of fault several times, then five members and anything for some
minutes (KETCD_STORM_SECONDS, 240; KETCD_SEED), and the reference beside ours; with figures.
"""
import os
import time

from lib import reference
from lib.cluster import ClusterCase, takes_long
from lib.guarded import Guarded
from lib.recorder import Recorder
from lib.storm import Storm, with_disk

# etcd's own: a slow machine loses no leader by its slowness alone.
CALM = ("--heartbeat-interval=100", "--election-timeout=1000")
# The log forgets soon, so that who was away needs a snapshot.
FORGETFUL = ("--snapshot-count=50", "--snapshot-catchup-entries=10")
SECONDS = int(os.environ.get("KETCD_STORM_SECONDS", "240"))
SEED = int(os.environ.get("KETCD_SEED", "1"))


class FaultCase(ClusterCase):
    first = True
    seconds = 900 + 3 * SECONDS

    def storm(self, size=3, disks=True, flags=FORGETFUL, program=None, **rest):
        cluster = self.cluster(size, start=False, flags=(*CALM, *flags), program=program)
        if disks:
            for member in cluster.members:
                with_disk(member)
        cluster.start()
        recorder = Recorder(os.path.join(self.folder, "history"))
        return Storm(cluster, recorder, **rest).start()

    def judge(self, storm):
        """All members come to the same, and nothing was answered that must not be."""
        storm.progress()
        storm.stop()
        storm.recorder.finish(storm.cluster.members, seconds=120)
        self.assertEqual("", storm.recorder.check())
        print(f"\n{storm.words()} ... ", end="", flush=True)


class Three(FaultCase):
    def test_one_fault_after_the_other(self):
        storm = self.storm()
        storm.leader_alone()
        storm.deaf_leader()
        storm.kill_leader()
        storm.pause(storm.leader())
        storm.kill_all()
        storm.disk_full(storm.leader())
        storm.slow_disk(storm.leader())
        storm.clock_jump(storm.leader())
        storm.lag()
        self.judge(storm)

    @takes_long
    def test_networks(self):
        storm = self.storm()
        for _ in range(4):
            for fault in (storm.leader_alone, storm.minority, storm.deaf_leader, storm.mute_leader,
                          storm.broken_link, storm.flapping, storm.lag):
                fault()
        self.judge(storm)

    @takes_long
    def test_processes(self):
        storm = self.storm()
        for _ in range(4):
            for fault in (storm.kill_leader, storm.kill_follower, storm.kill_all,
                          storm.majority_lost):
                fault()
            storm.pause(storm.leader())
        self.judge(storm)

    @takes_long
    def test_disks_and_clocks(self):
        storm = self.storm()
        for _ in range(4):
            for fault in (storm.disk_full, storm.slow_disk, storm.clock_jump):
                leader = storm.leader()
                fault(leader)
                fault(storm.chance.choice(storm.others(leader)))
        self.judge(storm)

    @takes_long
    def test_a_rolling_restart(self):
        """Nobody has to wait for longer than an election."""
        storm = self.storm(disks=False)
        for _ in range(3):
            for member in storm.cluster.members:
                storm.restart(member)
        self.judge(storm)
        failed = [f"{code.name} {why.split(';')[0]}"
                  for prober in storm.probers for _, code, why in prober.failed]
        print(f"{sum(prober.count for prober in storm.probers)} puts, without an answer: "
              f"{ {one: failed.count(one) for one in failed} } ... ", end="", flush=True)


class Users(FaultCase):
    @takes_long
    def test_what_users_may_holds_under_faults(self):
        """Beside the others' load: users with tokens, and an administrator who changes what they
        may, while leaders are cut off and killed and one member needs a snapshot."""
        storm = self.storm(disks=False, flags=(*FORGETFUL, "--bcrypt-cost=4"))
        guarded = Guarded(storm.recorder, storm.cluster.members).start()
        storm.leader_alone()
        storm.kill_leader()
        storm.kill_follower()
        storm.kill_all()
        self.wait_until(lambda: guarded.denied > 10 and guarded.threads[0].count > 50)
        guarded.stop()
        self.judge(storm)
        print(f"{guarded.words()} ... ", end="", flush=True)

    def wait_until(self, is_true, seconds=300):
        deadline = time.monotonic() + seconds
        while not is_true():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)


class Five(FaultCase):
    def test_two_are_lost(self):
        storm = self.storm(5)
        storm.kill("kill -9 of two", storm.leader(), storm.followers(1)[0])
        storm.minority_with_leader()
        self.judge(storm)

    @takes_long
    def test_anything_for_some_minutes(self):
        storm = self.storm(5, seed=SEED)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            storm.anything()
        self.judge(storm)


class BesideTheReference(FaultCase):
    """How long clients wait when they lose their leader."""

    def outages(self, program):
        storm = self.storm(3, disks=False, flags=(), program=program, clients=0)
        for _ in range(6):
            storm.kill_leader()
            storm.leader_alone()
        self.judge(storm)

    @takes_long
    def test_ours(self):
        self.outages(None)

    @takes_long
    def test_the_references(self):
        self.outages(reference("etcd"))
