# SPDX-License-Identifier: Apache-2.0
"""A store goes to a new member without being held in memory, by who sends it or who takes it.

KETCD_STORE_MIB: how large it is (300).
"""
import os
import threading
import time

import grpc

from lib import reference
from lib.cluster import ClusterCase, takes_long

VALUE = bytes(range(256)) * 2048  # 512 KiB
VALUES = 2 * int(os.environ.get("KETCD_STORE_MIB", "300"))  # a whole copy in memory would show
GROWTH = 64 << 20
AT_REST = 48 << 20  # of a member that holds nothing: programs, threads, empty memtables
FLAGS = ["--snapshot-count=100", "--experimental-snapshot-catchup-entries=10",
         "--quota-backend-bytes=8589934592"]


def memory(member, what):
    """VmRSS or VmHWM, the peak, in bytes."""
    with open(f"/proc/{member.process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(what + ":"):
                return int(line.split()[1]) * 1024
    raise AssertionError(what)


class Memory(ClusterCase):
    def fill(self, member):
        for i in range(VALUES):
            self.put(member, b"/big/%04d" % i, VALUE)

    def join(self, cluster, via):
        member = cluster.add_host()
        member.state = "existing"
        deadline = time.monotonic() + 60
        while True:
            try:
                with via.api() as api:
                    api.MemberAdd(peerURLs=[member.peer_url])
                break
            except grpc.RpcError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.5)
        member.start(wait=False)
        member.wait_ready(300)
        return member

    def send_store(self, program, checks_sender):
        cluster = self.cluster(1, flags=FLAGS, program=program)
        leader = cluster.members[0]
        self.fill(leader)
        time.sleep(2)  # until what the last writes left in memory is on disk
        before = memory(leader, "VmRSS")
        peaks = [before]
        ended = threading.Event()

        def look():
            while not ended.wait(0.05):
                peaks.append(memory(leader, "VmRSS"))
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        fresh = self.join(cluster, leader)
        ended.set()
        looking.join(60)
        self.assertTrue(fresh.log_has("applied snapshot"))
        last = b"/big/%04d" % (VALUES - 1)
        self.assertEqual(self.get(fresh, last, serializable=True), VALUE)
        print(f"{VALUES // 2} MiB: the sender grew by {(max(peaks) - before) >> 20} MiB, the other "
              f"came to {memory(fresh, 'VmHWM') >> 20} MiB", end=" ")
        self.assertLess(memory(fresh, "VmHWM"), AT_REST + GROWTH)
        if checks_sender:
            self.assertLess(max(peaks) - before, GROWTH)
        cluster.wait_same()

    @takes_long
    def test_between_members_of_this_kind(self):
        self.send_store(None, True)

    @takes_long
    def test_from_a_reference_leader(self):
        self.send_store(reference("etcd"), False)
