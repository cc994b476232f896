# SPDX-License-Identifier: Apache-2.0
"""Ours beside Debian's etcd 3.4, two minor versions back."""
import os
import re
import subprocess
import unittest

from lib import binary
from lib.mixed import MixedCase, Run, leases_everywhere

DEBIAN = "/usr/bin/etcd"


def debian():
    """Debian's etcd 3.4. Ours may be there under the same name."""
    if os.access(DEBIAN, os.X_OK):
        said = subprocess.run([DEBIAN, "--version"], capture_output=True, text=True, timeout=60,
                              check=False).stdout
        if re.match(r"etcd Version: 3\.4\.", said):
            return DEBIAN
    raise unittest.SkipTest("no etcd 3.4: install Debian's etcd-server")


class Mixed34(MixedCase):
    def binaries(self):
        return debian(), binary("etcd")

    def step(self, run, cluster):
        self.same_hash(cluster.members)
        for member in list(cluster.members):
            self.lead(cluster, member)
            run.go_on(20)
            self.same_hash(cluster.members)
        leases_everywhere(self, cluster.members)
        self.ctl(cluster.members[-1]).run("auth", "status")  # they do not know the question
        for member in cluster.members:
            self.put_until(member, b"/alive", seconds=60)
            self.assertIsNone(member.process.poll(), member.log_tail())

    def test_replaced_by_fresh_members(self):
        cluster = self.mixed_cluster([self.theirs] * 3)
        with Run(self, cluster) as run:
            run.go_on()
            for old in list(cluster.members):
                fresh = self.add(cluster, self.ours)
                run.watch(fresh)
                self.remove(cluster, old)
                run.go_on()
                self.step(run, cluster)

    def test_swapped_in_place(self):
        cluster = self.mixed_cluster([self.theirs] * 3)
        with Run(self, cluster) as run:
            for number, member in enumerate(cluster.members):
                run.go_on()
                self.restart(member, self.ours, kill=number == 1)
                self.step(run, cluster)
