# SPDX-License-Identifier: Apache-2.0
"""deploy/start on binaries that are there: a member with mutual TLS that the next run finds."""
import os
import re
import shutil
import signal
import subprocess

from lib import Case, binary
from lib.env import ROOT, few, free_port
from lib.until import wait_until

OLDER = (r"It is of an older build; to run the new one: "
         r"kill {0}; tail --pid={0} -f /dev/null; \./deploy/start")


class DeployStart(Case):
    def setUp(self):
        super().setUp()
        self.programs = os.path.join(self.folder, "bin")
        os.mkdir(self.programs)
        for name in ("etcd", "etcdctl", "etcd-pki"):
            shutil.copy(binary(name), self.programs)
        self.env = few(PATH=os.environ["PATH"], KETCD_BIN=self.programs,
                       KETCD_RUN=os.path.join(self.folder, "run"),
                       KETCD_CLIENT_PORT=str(free_port()), KETCD_PEER_PORT=str(free_port()))
        self.pid = 0
        self.addCleanup(self.end)

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            program = f"/proc/{self.pid}/exe"
            wait_until("the member ends", lambda: not os.path.exists(program), 30)
            self.pid = 0

    def start(self):
        """What it said, and the process of the member."""
        done = subprocess.run([os.path.join(ROOT, "deploy", "start")], env=self.env, check=False,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        found = re.search(r"The member is running: process (\d+)", done.stdout)
        self.pid = int(found.group(1))
        return done.stdout, self.pid

    def test_the_member_is_found_again_also_once_its_binary_was_replaced(self):
        said, pid = self.start()
        self.assertIn("starting the member", said)
        again = rf"==> the member is running already \(process {pid}\)\n"
        said, found = self.start()
        self.assertEqual(pid, found)
        self.assertRegex(said, again + "\n")
        self.assertNotIn("older build", said)
        etcd = os.path.join(self.programs, "etcd")
        shutil.copy(etcd, etcd + ".new")
        os.rename(etcd + ".new", etcd)
        said, found = self.start()
        self.assertEqual(pid, found)
        self.assertRegex(said, again + OLDER.format(pid))
        self.end()
        said, found = self.start()
        self.assertNotEqual(pid, found)
        self.assertIn("starting the member", said)
        self.assertNotIn("older build", said)
