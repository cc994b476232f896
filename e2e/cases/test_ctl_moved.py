# SPDX-License-Identifier: Apache-2.0
"""What scripts for etcd 3.4 and 3.5 ask of etcdctl and etcdutl does now."""
import os
import subprocess

from lib import Case, binary


class Moved(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member()
        ctl = self.ctl(self.node)
        ctl("put", "a", "1")
        self.snapshot = os.path.join(self.folder, "s.db")
        ctl("snapshot", "save", self.snapshot)
        self.node.terminate()

    def both(self, *args):
        """What etcdctl does with these words; etcdutl's output must be the same."""
        ours, other = (subprocess.run([binary(name), *args], capture_output=True, text=True,
                                      timeout=60, check=False) for name in ("etcdctl", "etcdutl"))
        self.assertEqual((other.returncode, other.stdout), (ours.returncode, ours.stdout))
        return ours

    def test_snapshot_status(self):
        for shape in ("simple", "table", "json", "fields"):
            done = self.both("snapshot", "status", self.snapshot, "-w", shape)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertTrue(done.stdout)
            self.assertTrue(done.stderr.startswith(
                "Deprecated: Use `etcdutl snapshot status` instead.\n\n"), done.stderr)
        self.assertEqual(1, self.both("snapshot", "status", self.snapshot + "x").returncode)

    def test_snapshot_restore(self):
        self.node.data_dir = os.path.join(self.folder, "restored")
        done = subprocess.run(
            [binary("etcdctl"), "snapshot", "restore", self.snapshot, "--name", self.node.name,
             "--data-dir", self.node.data_dir, "--initial-advertise-peer-urls", self.node.peer_url,
             "--initial-cluster", f"{self.node.name}={self.node.peer_url}",
             "--skip-hash-check=false"],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.node.start()
        self.assertEqual("a\n1\n", self.ctl(self.node)("get", "a"))

    def test_defrag_of_a_directory(self):
        done = self.both("defrag", "--data-dir", self.node.data_dir)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("finished defragmenting directory", done.stderr)
        self.assertEqual(1, self.both("defrag", "--data-dir", self.folder + "/no").returncode)
