# SPDX-License-Identifier: Apache-2.0
"""Hosts as network namespaces on one bridge: 10.213.N.0/24, N a free number that is locked while
in use, so that runs do not meet. The bridge's own address, .1, is where clients come from: they
reach a host whatever is cut between hosts."""
import os
import shutil
import subprocess
import unittest

from .claim import claim, one_at_a_time

FIRST, LAST = 60, 250
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def ip(*args, check=True):
    return subprocess.run(["ip", *args], capture_output=True, text=True, timeout=60, check=check,
                          env=dict(os.environ, PATH=PATH))


def need():
    """Skips the test where hosts cannot be made."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("network namespaces need root")
    for tool in ("ip", "iptables"):
        if not shutil.which(tool, path=PATH):
            raise unittest.SkipTest(f"no {tool}: install iproute2 and iptables")


class Net:
    def __init__(self):
        need()
        self.number, self.lock = claim("net", range(FIRST, LAST))
        self.bridge = f"ketcd{self.number}"
        self.hosts = []
        self._sweep()
        # An address of its own: else it takes the lowest of its ports', another one when a host
        # comes, and who knows the old one reaches nobody for some seconds.
        ip("link", "add", self.bridge, "address", f"02:00:0a:d5:{self.number:02x}:01", "type",
           "bridge")
        ip("addr", "add", f"10.213.{self.number}.1/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")

    def _sweep(self):
        """What a run that was killed left under this number."""
        for line in ip("netns", "list").stdout.splitlines():
            name = line.split()[0] if line.split() else ""
            if name.startswith(f"ketcd{self.number}-"):
                ip("netns", "del", name, check=False)
        # The kernel takes a namespace down when the last process in it is gone; its link goes now.
        for line in ip("-o", "link", "show", "type", "veth").stdout.splitlines():
            name = line.split()[1].split("@")[0].rstrip(":")
            if name.startswith(f"kv{self.number}-"):
                ip("link", "del", name, check=False)
        ip("link", "del", self.bridge, check=False)

    def host(self):
        """A new host."""
        host = Host(self, len(self.hosts) + 1)
        self.hosts.append(host)
        return host

    def close(self):
        """The number may be somebody else's afterwards: the second time nothing happens."""
        if not self.lock.closed:
            self._sweep()
            self.lock.close()


class Host:
    def __init__(self, net, number):
        self.net = net
        self.space = f"ketcd{net.number}-{number}"
        self.address = f"10.213.{net.number}.{10 + number}"
        outer, inner = f"kv{net.number}-{number}", f"kw{net.number}-{number}"
        with one_at_a_time("netns"):  # the first one ever makes a mount for all
            ip("netns", "add", self.space)
        ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        ip("link", "set", outer, "master", net.bridge, "up")
        ip("link", "set", inner, "netns", self.space)
        for args in (("addr", "add", f"{self.address}/24", "dev", inner),
                     ("link", "set", inner, "up"), ("link", "set", "lo", "up")):
            ip("-n", self.space, *args)

    def command(self, command):
        """That command, run on this host."""
        return ["ip", "netns", "exec", self.space, *command]

    def run(self, *command):
        return subprocess.run(self.command(command), capture_output=True, text=True, timeout=60,
                              check=True, env=dict(os.environ, PATH=PATH))

    def cut_off(self, *others):
        """Nothing comes from or goes to these hosts any more; both ways, silently."""
        for other in others:
            self.run("iptables", "-A", "INPUT", "-s", other.address, "-j", "DROP")
            self.run("iptables", "-A", "OUTPUT", "-d", other.address, "-j", "DROP")

    def deafen(self, *others):
        """Nothing that these hosts send arrives here any more; what goes to them does."""
        for other in others:
            self.run("iptables", "-A", "INPUT", "-s", other.address, "-j", "DROP")

    def mend(self):
        self.run("iptables", "-F")
