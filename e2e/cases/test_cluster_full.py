# SPDX-License-Identifier: Apache-2.0
"""The disk of a member that has to be sent a store is full: it keeps what it has, and gets the
store once there is room."""
import os
import time

from lib import faults
from lib.cluster import ClusterCase, takes_long
from lib.faults import CREATE, WRITE, Faults, code

FLAGS = ["--snapshot-count=100", "--experimental-snapshot-catchup-entries=10"]
VALUE = bytes(range(256)) * 64


class Full(ClusterCase):
    def until(self, is_true, seconds=300):
        deadline = time.monotonic() + seconds
        while not is_true():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def sent_to_a_full_disk(self, kinds):
        cluster = self.cluster(3, flags=FLAGS)
        behind = cluster.followers()[0]
        disk = Faults(behind, os.path.join(self.folder, "faults"))
        self.put(behind, b"old", b"1")
        behind.kill()
        others = cluster.living()
        for i in range(300):
            self.put(others[0], b"new/%03d" % i, VALUE)
        # As files, or as a database by a leader that has not heard yet what this member reads.
        for slot, names in enumerate(("*.files.*", "tmp*")):
            disk.rule(kinds, "member/snap/" + names, error=code("ENOSPC"), slot=slot)

        def hits():
            return disk.hit(0) + disk.hit(1)
        behind.start(wait=False)
        self.until(lambda: behind.log_has("failed to save incoming database snapshot"))
        self.until(lambda: hits() > 1)  # sent again
        self.assertIsNone(behind.process.poll())
        behind.kill()  # what it had still opens
        seen = hits()
        behind.start(wait=False)
        self.until(lambda: hits() > seen)
        self.assertIsNone(behind.process.poll())
        for slot in range(faults.RULES):
            disk.clear(slot)
        behind.wait_ready()
        cluster.wait_same()
        self.assertEqual(self.get(behind, b"old", serializable=True), b"1")
        self.assertEqual(self.get(behind, b"new/299", serializable=True), VALUE)
        left = os.listdir(os.path.join(behind.data_dir, "member", "snap"))
        self.assertFalse([name for name in left
                          if ".files." in name or name.startswith("tmp") or name.endswith(".db")])

    def test_in_the_middle(self):
        self.sent_to_a_full_disk(WRITE)

    @takes_long
    def test_from_the_start(self):
        self.sent_to_a_full_disk(CREATE)
