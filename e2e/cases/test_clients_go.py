# SPDX-License-Identifier: Apache-2.0
"""Debian's Go client (3.4), unmodified: its own examples, and what stands on top of it."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from lib import Case

SOURCES = "/usr/share/gocode"
CLIENT = SOURCES + "/src/go.etcd.io/etcd/clientv3"
CACHE = os.environ.get("KETCD_GOCACHE", os.path.join(tempfile.gettempdir(), "ketcd-gocache"))
OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "go")
LONG = 1500
# Those of members want three of them, and change the cluster that the others ask.
EXAMPLES = "Example(Auth|KV|Lease|Maintenance|Watcher|_|$)"


@unittest.skipUnless(shutil.which("go") and os.path.isdir(CLIENT),
                     "no Go client: install golang-go and golang-etcd-server-dev")
class Go(Case):
    seconds = LONG

    def suite(self, name, *files):
        """A package of these files; it is a folder of its own, for nothing installed changes."""
        path = os.path.join(self.folder, "go", "src", name)
        os.makedirs(path)
        for file in files:
            shutil.copy(file, path)
        return path

    def run_go(self, path, expression, **env):
        done = subprocess.run(["go", "test", "-count=1", "-v", "-run", expression], cwd=path,
                              capture_output=True, text=True, timeout=LONG, check=False,
                              env=dict(os.environ, GO111MODULE="off", GOCACHE=CACHE, GOFLAGS="",
                                       GOPATH=self.folder + "/go:" + SOURCES, **env))
        self.assertEqual(0, done.returncode, done.stdout[-4000:] + done.stderr[-4000:])
        return re.findall(r"^--- PASS: (\S+)", done.stdout, re.MULTILINE)

    def test_its_own_examples(self):
        node = self.member()
        path = self.suite("examples", OURS + "/main_test.go", *(
            file for file in glob.glob(CLIENT + "/example_*test.go")
            if "example_metrics" not in file))
        passed = self.run_go(path, EXAMPLES, ENDPOINTS=",".join([node.client_url] * 3))
        self.assertGreater(len(passed), 9, passed)

    def test_its_locks_and_elections(self):
        node = self.member()
        path = self.suite("concurrent", *glob.glob(CLIENT + "/concurrency/example_*_test.go"),
                          CLIENT + "/concurrency/election_test.go")
        with open(OURS + "/main_test.go", encoding="utf-8") as file:
            text = file.read().replace("clientv3_test", "concurrency_test")
        with open(path + "/main_test.go", "w", encoding="utf-8") as file:
            file.write(text + "\nvar endpoints []string\n")
        passed = self.run_go(path, ".", ENDPOINTS=node.client_url)
        self.assertGreater(len(passed), 3, passed)

    def test_what_stands_on_it(self):
        node = self.member(certs=True)
        passed = self.run_go(self.suite("suite", OURS + "/clients_test.go"), ".",
                             SECURE=node.client_url, CA=node.certs.ca, CERT=node.certs.pair()[0],
                             KEY=node.certs.pair()[1])
        self.assertEqual(8, len(passed), passed)
