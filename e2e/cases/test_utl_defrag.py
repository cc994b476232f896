# SPDX-License-Identifier: Apache-2.0
"""etcdutl defrag on a member's directory, while no member runs on it and while one does."""
import os
import subprocess
import time

from lib import Case, Etcdctl, binary
from lib.api import Api


class Defrag(Case):
    first = True

    def setUp(self):
        super().setUp()
        self.node = self.member()
        self.etcdctl = Etcdctl(self.node)
        with Api(self.node) as api:
            for i in range(60):
                api.Put(key=b"/registry/a%02d" % i, value=os.urandom(40000).hex().encode())
        self.node.restart()  # what is in files has to be rewritten to be gone
        self.kept = self.etcdctl("get", "/registry/a50")
        got = self.etcdctl.json("del", "--prefix", "/registry/a2")
        self.etcdctl("del", "--prefix", "/registry/a3")
        self.etcdctl("compaction", "--physical", str(got["header"]["revision"] + 1))

    def size(self):
        store = os.path.join(self.node.data_dir, "member", "store")
        return sum(file.stat().st_size for file in os.scandir(store)
                   if file.name.endswith((".sst", ".blob")))

    def command(self):
        return [binary("etcdutl"), "defrag", "--data-dir", self.node.data_dir]

    def test_files_shrink_and_keys_stay(self):
        before = self.etcdctl("endpoint", "hashkv", "-w", "json").split('"hash":')[1].split(",")[0]
        self.assertEqual(0, self.node.terminate())
        full = self.size()
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual((0, ""), (done.returncode, done.stdout))
        self.assertIn("finished defragmenting directory", done.stderr)
        self.assertLess(self.size(), full * 0.8)
        self.node.start()
        self.assertEqual(self.kept, self.etcdctl("get", "/registry/a50"))
        after = self.etcdctl("endpoint", "hashkv", "-w", "json").split('"hash":')[1].split(",")[0]
        self.assertEqual(before, after)

    def test_a_running_member_is_waited_for(self):
        with subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            said = process.stderr.readline()
            self.assertRegex(said, r'\Awaiting for etcd to close and release its lock on '
                             r'".*/member/store"\. To defrag a running etcd '
                             r'instance, use `etcdctl defrag` instead\.\n\Z')
            time.sleep(0.3)
            self.assertIsNone(process.poll())
            self.assertEqual(self.kept, self.etcdctl("get", "/registry/a50"))
            self.node.terminate()
            _, said = process.communicate(timeout=60)
            self.assertEqual(0, process.returncode, said)
        self.node.start()
        self.assertEqual(self.kept, self.etcdctl("get", "/registry/a50"))
