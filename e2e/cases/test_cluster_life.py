# SPDX-License-Identifier: Apache-2.0
"""Three and five members over mutual TLS, each on a host of its own: they elect, replicate, serve
through every member, and outlive what happens to some of them. What load they bear meanwhile:
test_faults_cluster."""
import os
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from lib.cluster import ClusterCase, takes_long
from lib.faults import WRITE
from lib.storm import with_disk


class Three(ClusterCase):
    def test_every_member_takes_writes_and_reads(self):
        cluster = self.cluster(3)
        for member in cluster.members:
            self.put(member, b"/from/" + member.name.encode(), member.name.encode())
        for member in cluster.members:
            for other in cluster.members:
                self.assertEqual(self.get(member, b"/from/" + other.name.encode()),
                                 other.name.encode())
        cluster.wait_same()
        with cluster.members[0].api() as api:
            members = api.MemberList(linearizable=True).members
        self.assertEqual(sorted(m.name for m in members), ["n1", "n2", "n3"])
        self.assertEqual({m.peerURLs[0] for m in members}, {m.peer_url for m in cluster.members})
        self.assertEqual({m.clientURLs[0] for m in members},
                         {m.client_url for m in cluster.members})

    @takes_long
    def test_a_majority_that_is_lost_and_back(self):
        cluster = self.cluster(3)
        self.put(cluster.members[0], b"before")
        first, second, third = cluster.members
        second.kill()
        third.kill()
        with self.assertRaises(grpc.RpcError):
            self.put(first, b"nobody", timeout=2)
        with self.assertRaises(grpc.RpcError):
            self.get(first, b"before", timeout=2)
        self.assertEqual(self.get(first, b"before", serializable=True), b"v")
        second.start(wait=False)
        self.put_until(first, b"two of three")
        third.start()
        cluster.wait_same()
        self.assertEqual(self.get(third, b"two of three"), b"v")

    def test_all_are_killed_and_come_back(self):
        cluster = self.cluster(3)
        for i in range(20):
            self.put(cluster.members[i % 3], b"/k/%d" % i)
        for member in cluster.members:
            member.kill()
        cluster.start()
        for i in range(20):
            self.assertEqual(self.get(cluster.members[i % 3], b"/k/%d" % i), b"v")
        cluster.wait_same()

    def test_the_leader_is_cut_off(self):
        """The others go on; the old leader serves nothing old as new, and comes round."""
        cluster = self.cluster(3)
        old = cluster.leader()
        others = [m for m in cluster.members if m is not old]
        self.put(old, b"x", b"1")
        old.host.cut_off(*[m.host for m in others])
        self.put_until(others[0], b"x", b"2")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            try:
                self.fail(f"a stale read: {self.get(old, b'x', timeout=1)}")
            except grpc.RpcError:
                pass
        with self.assertRaises(grpc.RpcError):
            self.put(old, b"y", b"3", timeout=1)
        old.host.mend()
        deadline = time.monotonic() + 60
        while self.try_get(old, b"x") != b"2" and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(self.get(old, b"x"), b"2")
        cluster.wait_same()

    def try_get(self, member, key):
        try:
            return self.get(member, key, timeout=2)
        except grpc.RpcError:
            return None

    @takes_long
    def test_leadership_goes_where_it_is_sent(self):
        cluster = self.cluster(3)
        for _ in range(3):
            leader = cluster.leader()
            target = cluster.followers()[0]
            ctl = self.ctl(leader)
            out = ctl("move-leader", f"{target.member_id():x}")
            self.assertIn("Leadership transferred from", out)
            self.assertIs(cluster.leader(), target)
            done = self.ctl(leader).run("move-leader", f"{target.member_id():x}")
            self.assertNotEqual(done.returncode, 0)

    def test_who_stops_hands_leadership_over(self):
        cluster = self.cluster(3)
        for _ in range(10):  # on a machine that stalls, the other may miss its time
            leader = cluster.leader()
            self.assertEqual(leader.terminate(), 0)
            has_handed_over = leader.log_has("leadership transfer finished")
            self.put_until(cluster.living()[0], b"x")
            if has_handed_over:
                break
            leader.start()
        self.assertTrue(has_handed_over)

    def test_who_stops_ends_a_defragmentation(self):
        cluster = self.cluster(3, start=False)
        for member in cluster.members:
            with_disk(member)
        cluster.start()
        leader = cluster.leader()
        with leader.api() as api:
            for i in range(40):
                api.Put(key=b"/%d" % i, value=os.urandom(1_000_000), timeout=60)
            api.Defragment(timeout=60)  # what is in memory goes to files
            leader.disk.rule(WRITE, "member/store/*.blob", delay_us=2_000_000)
            with ThreadPoolExecutor(1) as pool:
                done = pool.submit(api.Defragment, timeout=120)
                while not leader.disk.hit() and not done.done():
                    time.sleep(0.05)
                self.assertFalse(done.done())
                self.assertEqual(leader.terminate(30), 0)
                with self.assertRaises(grpc.RpcError) as caught:
                    done.result()
        self.assertEqual((grpc.StatusCode.UNAVAILABLE, "etcdserver: server stopped"),
                         (caught.exception.code(), caught.exception.details()))
        with open(leader.log_path, encoding="utf-8") as file:
            log = file.read()
        self.assertLess(log.index("leadership transfer finished"),
                        log.index("failed to defragment"))
        self.put_until(cluster.living()[0], b"x")
        leader.disk.clear()
        leader.start()
        cluster.wait_same()


class Five(ClusterCase):
    def test_a_minority_may_be_lost(self):
        cluster = self.cluster(5)
        lost = [cluster.leader(), cluster.followers()[0]]
        for member in lost:
            member.kill()
        living = cluster.living()
        self.put_until(living[0], b"x", b"1")
        for member in living:
            self.assertEqual(self.get(member, b"x"), b"1")
        for member in lost:
            member.start()
        cluster.wait_same()
