# SPDX-License-Identifier: Apache-2.0
"""`etcdutl snapshot restore` that does not come to its end, and what it leaves."""
import glob
import os
import shutil
import subprocess

from lib import Case, Etcdctl, binary
from lib.api import Api
from lib.faults import RENAME, SYNC, Faults
from lib.member import Member
from lib.until import wait_until

WAIT = 120


class Restore(Case):
    def setUp(self):
        super().setUp()
        node = self.member()
        with Api(node) as api:
            for number in range(20):
                api.Put(key=b"/registry/a%02d" % number, value=b"v" * 100)
        self.path = os.path.join(self.folder, "snapshot.db")
        Etcdctl(node)("snapshot", "save", self.path)
        node.terminate()
        self.other = Member(os.path.join(self.folder, "restored"))
        self.addCleanup(self.other.stop)

    def restore(self, *flags, env=None):
        other = self.other
        return subprocess.run(
            [binary("etcdutl"), "snapshot", "restore", self.path, f"--data-dir={other.data_dir}",
             f"--name={other.name}", f"--initial-cluster={other.name}={other.peer_url}",
             f"--initial-advertise-peer-urls={other.peer_url}", *flags],
            capture_output=True, text=True, timeout=WAIT, check=False, env=env)

    def begins(self):
        """Whether a member starts there; the words of one that ends with an error."""
        open(self.other.log_path, "wb").close()
        self.other.start(wait=False)
        wait_until("an end or a beginning", lambda: self.other.process.poll() is not None
                   or self.other.is_ready(), WAIT)
        if self.other.process.poll() is None:
            self.holds()
            return True, ""
        self.assertEqual(1, self.other.process.returncode, self.other.log_tail())
        return False, self.other.log_tail(3)

    def holds(self):
        with Api(self.other) as api:
            self.assertEqual(20, api.Range(key=b"/registry/", range_end=b"/registry0").count)
        self.other.terminate()

    def test_what_it_leaves_is_whole_or_refused(self):
        """Each sync and each renaming fails in turn."""
        faults = Faults(self.other, os.path.join(self.folder, "faults"))
        env = self.other.env
        self.other.env = dict(os.environ)
        refused = 0
        for skip in range(200):
            shutil.rmtree(self.other.folder, ignore_errors=True)
            os.makedirs(self.other.folder)
            faults.rule(SYNC | RENAME, "*", 5, skip=skip, count=1)
            done = self.restore(env=env)
            if not faults.hit():
                break
            if os.path.exists(os.path.join(self.other.data_dir, "member", "store")):
                has_begun, words = self.begins()
                if not has_begun:
                    self.assertNotEqual(0, done.returncode, skip)
                    self.assertIn("restore the member", words, skip)
                    refused += 1
        self.assertEqual((0, True), (done.returncode, self.begins()[0]))
        self.assertGreater(refused, 5)

    def test_without_its_snapshot_file_it_is_refused(self):
        """Its log alone would lead whoever joins to a store without what was restored."""
        self.assertEqual(0, self.restore().returncode)
        found = glob.glob(os.path.join(self.other.data_dir, "member", "snap", "*.snap"))
        self.assertEqual(1, len(found))
        os.rename(found[0], found[0] + ".kept")
        self.assertIn("restore the member again", self.begins()[1])
        os.rename(found[0] + ".kept", found[0])
        self.assertTrue(self.begins()[0])

    def test_a_log_elsewhere(self):
        elsewhere = os.path.join(self.folder, "wals", "of one")
        os.makedirs(os.path.dirname(elsewhere))
        os.makedirs(elsewhere + ".restoring")  # of one that was killed
        for slash in ("", "/"):
            done = self.restore(f"--wal-dir={elsewhere}{slash}")
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual(["of one"], os.listdir(os.path.dirname(elsewhere)))
            self.assertNotEqual([], glob.glob(os.path.join(elsewhere, "*.wal")))
            self.other.flags = [f"--wal-dir={elsewhere}"]
            self.assertTrue(self.begins()[0])
            shutil.rmtree(elsewhere)
            shutil.rmtree(self.other.data_dir)

    def test_a_bump_that_leaves_no_revision_is_refused(self):
        for bump in (2**64 - 1, 2**63 - 2, 2**63 - 22):
            done = self.restore(f"--bump-revision={bump}", "--mark-compacted")
            self.assertEqual(1, done.returncode, bump)
            self.assertIn("leaves no revision behind", done.stderr)
            shutil.rmtree(self.other.data_dir)
        self.assertEqual(0, self.restore("--bump-revision=1000", "--mark-compacted").returncode)
        self.other.start()
        with Api(self.other) as api:
            self.assertGreater(api.Range(key=b"/registry/").header.revision, 1000)
