# SPDX-License-Identifier: Apache-2.0
"""etcdctl make-mirror from one member to another."""
import subprocess

from lib import Case

WAIT = 120


class Mirror(Case):
    def setUp(self):
        super().setUp()
        self.here, self.there = self.member(), self.member(name="node2")
        self.etcdctl = self.ctl(self.here)

    def mirror(self, *args):
        """A process that ends with the test."""
        process = self.etcdctl.popen("make-mirror", *args, self.there.client_url)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def add_user(self):
        """One "u", of password "p", who may not read what is mirrored."""
        for words in (("user", "add", "root:r"), ("user", "grant-role", "root", "root"),
                      ("role", "add", "few"), ("user", "add", "u:p"),
                      ("role", "grant-permission", "few", "readwrite", "other"),
                      ("user", "grant-role", "u", "few"), ("auth", "enable")):
            self.etcdctl(*words)

    def test_a_refused_watch_ends_it(self):
        self.etcdctl("put", "a", "1")
        self.add_user()
        process = self.mirror("--user=u:p", "--rev=2", "--prefix=a")
        try:
            said = process.communicate(timeout=WAIT)[1]
        except subprocess.TimeoutExpired:
            self.fail("it waits for changes that will not come")
        self.assertEqual(1, process.returncode, said)
        self.assertTrue(said.endswith("Error: rpc error: code = PermissionDenied "
                                      "desc = etcdserver: permission denied\n"), said)
