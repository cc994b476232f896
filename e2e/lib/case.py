# SPDX-License-Identifier: Apache-2.0
"""A test case with a folder of its own and members that end with it."""
import os
import shutil
import tempfile
import unittest

from .certs import Certs
from .ctl import Etcdctl
from .member import Member


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ketcd-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def certs(self, **rest):
        return Certs(os.path.join(self.folder, "pki"), **rest)

    def member(self, certs=None, wait=True, start=True, **rest):
        """A member with mutual TLS (certs: True makes them, None is plain HTTP), stopped at the
        end; after a failure its log's last lines are shown."""
        name = rest.get("name", "node1")
        if certs is True:
            certs = self.certs()
        member = Member(os.path.join(self.folder, name), certs, **rest)
        self.addCleanup(member.stop)
        if start:
            member.start(wait)
        return member

    def ctl(self, member, **rest):
        return Etcdctl(member, **rest)
