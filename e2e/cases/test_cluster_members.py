# SPDX-License-Identifier: Apache-2.0
"""Members come, go and change places."""
import os
import shutil
import subprocess
import threading
import time

import grpc

from lib import binary
from lib.cluster import ClusterCase, takes_long, until_healthy

HEALTHY_SECONDS = 5.5  # strict reconfiguration wants members connected for five


class Members(ClusterCase):
    def add(self, cluster, via, learner=False, program=None, wait=True, name=None):
        """A new member on a host of its own, added through that one; its id."""
        member = cluster.add_host(name=name, program=program)
        member.state = "existing"
        with via.api() as api:
            answer = until_healthy(
                lambda: api.MemberAdd(peerURLs=[member.peer_url], isLearner=learner))
        member.start(wait=False)
        if wait:
            member.wait_ready() if not learner else self.wait_started(via, answer.member.ID)
        return member, answer.member.ID

    def wait_started(self, via, id_, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with via.api() as api:
                if any(m.ID == id_ and m.name for m in api.MemberList().members):
                    return
            time.sleep(0.1)
        raise AssertionError(f"{id_:x} has not published itself")

    def test_a_member_is_replaced(self):
        cluster = self.cluster(3)
        leader = cluster.leader()
        victim = cluster.followers()[0]
        victim_id = victim.member_id()
        self.put(leader, b"x", b"1")
        time.sleep(HEALTHY_SECONDS)
        with leader.api() as api:
            until_healthy(lambda: api.MemberRemove(ID=victim_id))
        self.assertEqual(victim.process.wait(60), 0)
        self.assertTrue(victim.log_has(
            "the member has been permanently removed from the cluster"))
        self.assertTrue(victim.log_has("data-dir used by this member must be removed"))
        victim.process = None
        victim.start(wait=False)  # and again: it stays out
        self.assertEqual(victim.process.wait(60), 0)
        cluster.members.remove(victim)
        fresh, _ = self.add(cluster, leader)
        self.assertEqual(self.get(fresh, b"x"), b"1")
        self.put(fresh, b"y", b"2")
        cluster.wait_same()
        with leader.api() as api:
            members = api.MemberList(linearizable=True).members
        self.assertEqual(len(members), 3)
        self.assertNotIn(victim_id, [m.ID for m in members])

    @takes_long
    def test_one_grows_to_three_and_back(self):
        cluster = self.cluster(1)
        first = cluster.members[0]
        self.put(first, b"x", b"1")
        second, second_id = self.add(cluster, first)
        self.assertEqual(self.get(second, b"x"), b"1")
        time.sleep(HEALTHY_SECONDS)
        third, third_id = self.add(cluster, second)
        self.put(third, b"x", b"2")
        cluster.wait_same()
        time.sleep(HEALTHY_SECONDS)
        for id_, member in ((third_id, third), (second_id, second)):
            with first.api() as api:
                until_healthy(lambda i=id_: api.MemberRemove(ID=i))
            self.assertEqual(member.process.wait(60), 0)
        self.put_until(first, b"x", b"3")
        self.assertEqual(self.get(first, b"x"), b"3")

    def test_a_learner_is_promoted(self):
        cluster = self.cluster(3)
        time.sleep(HEALTHY_SECONDS)
        leader = cluster.leader()
        follower = [m for m in cluster.members if m is not leader][0]
        learner, id_ = self.add(cluster, leader, learner=True)
        with learner.api() as api:
            self.assertTrue(api.Status().isLearner)
            api.Range(key=b"x", serializable=True)
            for call in (lambda: api.Range(key=b"x"), lambda: api.Put(key=b"x", value=b"1"),
                         lambda: api.MemberList()):
                with self.assertRaises(grpc.RpcError) as caught:
                    call()
                self.assertEqual(caught.exception.details(),
                                 "etcdserver: rpc not supported for learner")
        with leader.api() as api:
            with self.assertRaises(grpc.RpcError) as caught:
                api.MoveLeader(targetID=id_)
            self.assertEqual(caught.exception.details(), "etcdserver: bad leader transferee")
        deadline = time.monotonic() + 60
        while True:
            try:
                with follower.api() as api:  # forwards to the leader
                    members = api.MemberPromote(ID=id_).members
                break
            except grpc.RpcError as error:
                self.assertIn("in sync with leader", error.details())
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
        self.assertFalse(any(m.isLearner for m in members))
        self.assertEqual(len(members), 4)
        learner.wait_ready()
        self.put(learner, b"x", b"1")
        self.assertFalse(learner.status().isLearner)
        cluster.wait_same()

    @takes_long
    def test_strict_checks_keep_the_quorum(self):
        cluster = self.cluster(3)
        time.sleep(HEALTHY_SECONDS)
        first, second, third = cluster.members
        ids = {m.name: m.member_id() for m in cluster.members}
        third.kill()
        time.sleep(1)
        living = cluster.leader([first, second])
        with living.api() as api:
            for call, text in (
                    (lambda: api.MemberRemove(ID=ids["n1"]), "etcdserver: unhealthy cluster"),
                    (lambda: api.MemberAdd(peerURLs=["http://10.213.0.9:2380"]),
                     "etcdserver: unhealthy cluster")):
                with self.assertRaises(grpc.RpcError) as caught:
                    call()
                self.assertEqual(caught.exception.details(), text)
            api.MemberRemove(ID=ids["n3"])  # who is down may go

    def test_an_emptied_member_is_refused(self):
        cluster = self.cluster(3)
        victim = cluster.members[2]
        victim.kill()
        shutil.rmtree(victim.data_dir)
        victim.start(wait=False)
        self.assertEqual(victim.process.wait(60), 1)
        self.assertTrue(victim.log_has("has already been bootstrapped"))

    @takes_long
    def test_who_does_not_belong_is_refused(self):
        cluster = self.cluster(1)
        stranger = cluster.add_host()
        stranger.state = "existing"  # nobody added it
        stranger.start(wait=False)
        self.assertEqual(stranger.process.wait(60), 1)
        self.assertTrue(stranger.log_has("error validating peerURLs {ClusterID:"))
        self.assertTrue(stranger.log_has("member count is unequal"))
        cluster.members[0].kill()
        shutil.rmtree(stranger.data_dir, ignore_errors=True)
        stranger.start(wait=False)
        self.assertEqual(stranger.process.wait(60), 1)
        self.assertTrue(stranger.log_has("cannot fetch cluster info from peer urls: could not "
                                         "retrieve cluster information from the given URLs"))

    def test_a_fresh_member_is_caught_up_under_load(self):
        """By a snapshot of the store: the log it would need is gone."""
        cluster = self.cluster(2, flags=["--snapshot-count=100", "--snapshot-catchup-entries=10"])
        first = cluster.members[0]
        ended = threading.Event()
        counts = [0, 0]

        def write(number):
            with cluster.members[number].api() as api:
                while not ended.is_set():
                    try:
                        api.Put(key=b"/load/%d/%d" % (number, counts[number] % 500),
                                value=os.urandom(2000))
                        counts[number] += 1
                    except grpc.RpcError:
                        time.sleep(0.1)

        def count_to(least):
            deadline = time.monotonic() + 120
            while sum(counts) < least:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
        writers = [threading.Thread(target=write, args=(i,), daemon=True) for i in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(HEALTHY_SECONDS)
        count_to(300)
        fresh, _ = self.add(cluster, first)
        self.assertTrue(fresh.log_has("applied snapshot"))
        fresh.kill()  # and again, as one that has only lagged
        count_to(sum(counts) + 50)
        fresh.start()
        ended.set()
        for writer in writers:
            writer.join(60)
        cluster.wait_same()
        fresh.restart()
        cluster.wait_same()

    @takes_long
    def test_a_majority_that_is_gone_for_good(self):
        """--force-new-cluster on what is left, then growth again."""
        cluster = self.cluster(3)
        self.put(cluster.members[0], b"x", b"1")
        cluster.wait_same()
        for member in cluster.members:
            member.kill()
        last = cluster.members[0]
        last.flags.append("--force-new-cluster")
        last.start()
        self.assertEqual(self.get(last, b"x"), b"1")
        with last.api() as api:
            self.assertEqual([m.name for m in api.MemberList().members], ["n1"])
        last.terminate()
        last.flags.remove("--force-new-cluster")
        last.start()
        cluster.members[:] = [last]
        fresh, _ = self.add(cluster, last, name="n9")
        self.put(fresh, b"x", b"2")
        cluster.wait_same()

    def test_a_snapshot_restored_into_three(self):
        cluster = self.cluster(1)
        old = cluster.members[0]
        for i in range(50):
            self.put(old, b"/k/%d" % i, b"%d" % i)
        file = os.path.join(self.folder, "snap.db")
        self.ctl(old)("snapshot", "save", file)
        self.put(old, b"late")
        old.terminate()
        cluster.members.clear()
        for _ in range(3):
            cluster.add_host(name=f"r{len(cluster.members)}")
        for member in cluster.members:
            os.makedirs(member.folder)
            self.restore(member, file)
        cluster.start()
        for member in cluster.members:
            self.assertEqual(self.get(member, b"/k/49"), b"49")
        self.assertIsNone(self.get(cluster.members[0], b"late"))
        self.put(cluster.members[1], b"more")
        self.assertEqual(cluster.wait_same(), 52)

    def restore(self, member, file):
        done = subprocess.run(
            [binary("etcdutl"), "snapshot", "restore", file, "--name", member.name,
             "--data-dir", member.data_dir, "--initial-cluster", member.initial,
             "--initial-cluster-token", "e2e",
             "--initial-advertise-peer-urls", member.peer_url],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
