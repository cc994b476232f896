# SPDX-License-Identifier: Apache-2.0
"""Several members, each on a host of its own, with mutual TLS by etcd-pki."""
import os
import shutil
import subprocess
import time
import unittest

import grpc

from .api import Api
from .case import Case
from .certs import Certs
from .member import Member
from .net import Net

CLIENT_PORT, PEER_PORT = 2379, 2380
takes_long = unittest.skipUnless(os.environ.get("KETCD_CLUSTER_LONG"),
                                 "set KETCD_CLUSTER_LONG for the cases that take long")
AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
HEARTBEAT = ("--heartbeat-interval=100", "--election-timeout=1000")


class ClusterMember(Member):
    """A member on a host. initial: what --initial-cluster says; state: new or existing."""

    def __init__(self, cluster, name, program=None, flags=()):
        self.host = cluster.net.host()
        self.cluster = cluster
        certs = cluster.issue(name, self.host.address)
        super().__init__(os.path.join(cluster.folder, name), certs, name=name,
                         flags=[*HEARTBEAT, *flags], program=program)
        self.client_port, self.peer_port = CLIENT_PORT, PEER_PORT
        self.target = f"{self.host.address}:{CLIENT_PORT}"
        self.client_url = f"https://{self.host.address}:{CLIENT_PORT}"
        self.peer_url = f"https://{self.host.address}:{PEER_PORT}"
        self.initial = ""
        self.state = "new"

    def command(self):
        command = super().command()
        command = [f"--initial-cluster={self.initial}" if c.startswith("--initial-cluster=") else c
                   for c in command]
        command += [f"--initial-cluster-state={self.state}", "--initial-cluster-token=e2e"]
        return self.host.command(command)

    def api(self, **rest):
        return Api(self, **rest)

    def status(self, timeout=60):
        with self.api() as api:
            return api.Status(timeout=timeout)

    def member_id(self):
        return self.status().header.member_id

    def log_has(self, text):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return text in file.read()


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        self.net = Net()
        self.members = []
        self.first_pki = None

    def issue(self, name, address):
        """A folder of certificates for that host, all under one CA."""
        folder = os.path.join(self.folder, "pki", name)
        if self.first_pki:
            os.makedirs(folder)
            for file in ("ca.crt", "ca.key"):
                shutil.copy(os.path.join(self.first_pki, file), folder)
        certs = Certs(folder, name=name, sans=[address])
        self.first_pki = self.first_pki or folder
        return certs

    def add_host(self, name=None, **rest):
        """A member that is not started yet."""
        member = ClusterMember(self, name or f"n{len(self.net.hosts) + 1}", **rest)
        self.members.append(member)
        self.write_initial()
        return member

    def write_initial(self):
        text = ",".join(f"{m.name}={m.peer_url}" for m in self.members)
        for member in self.members:
            member.initial = text

    def start(self):
        for member in self.members:
            member.start(wait=False)
        for member in self.members:
            member.wait_ready()
        return self

    def stop(self):
        for member in self.members:
            try:
                if member.process and member.process.poll() is None:
                    member.process.terminate()
            except OSError:
                pass
        for member in self.members:
            if member.process:
                try:
                    member.process.wait(60)
                except subprocess.TimeoutExpired:
                    member.kill()
        self.net.close()
        for member in self.members:
            member.assert_no_crash()

    def living(self):
        return [m for m in self.members if m.process and m.process.poll() is None]

    def leader(self, among=None, seconds=60):
        """The member that leads, once those asked agree on one of them."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            said = {}
            for member in among or self.living():
                try:
                    status = member.status(timeout=10)
                    said[status.header.member_id] = (member, status.leader)
                except Exception:  # pylint: disable=broad-except
                    pass
            leaders = {leader for _, leader in said.values()}
            if len(leaders) == 1 and len(said) == len(among or self.living()):
                leader = leaders.pop()
                if leader in said:
                    return said[leader][0]
            time.sleep(0.05)
        raise AssertionError("no leader: " + "; ".join(
            f"{m.name}: {m.log_tail(3)}" for m in self.living()))

    def followers(self):
        leader = self.leader()
        return [m for m in self.living() if m is not leader]

    def revision_of_all(self, members, deadline):
        """Waits until all have the same revision."""
        while True:
            revisions = []
            for member in members:
                with member.api() as api:
                    revisions.append(api.Range(key=b"\0", limit=1, serializable=True)
                                     .header.revision)
            if len(set(revisions)) == 1:
                return revisions[0]
            if time.monotonic() > deadline:
                raise AssertionError(f"revisions stay apart: {revisions}")
            time.sleep(0.05)

    def wait_same(self, members=None, seconds=60):
        """Waits until all have the same revision, then holds their hashes against each other. Who
        has not applied a compaction yet, which makes no revision, is waited for as well."""
        members = members or self.living()
        deadline = time.monotonic() + seconds
        while True:
            revision = self.revision_of_all(members, deadline)
            hashes = []
            for member in members:
                with member.api() as api:
                    answer = api.HashKV(revision=revision)
                    hashes.append((answer.hash, answer.compact_revision))
            if len(set(hashes)) == 1:
                return revision
            are_compacted_alike = len({compacted for _, compacted in hashes}) == 1
            if are_compacted_alike or time.monotonic() > deadline:
                raise AssertionError(f"hashes differ at revision {revision}: {hashes}")
            time.sleep(0.05)


def until_healthy(call, seconds=90):
    """What strict reconfiguration refuses while it does not see all members connected for five
    seconds; a leader that changed meanwhile may have done it."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.details() != "etcdserver: unhealthy cluster" or time.monotonic() > end:
                raise
            time.sleep(0.2)


def until_taken(timeout, call, seconds=60):
    if timeout is not None:
        return call(timeout)
    end = time.monotonic() + seconds
    while True:
        try:
            return call(60)
        except grpc.RpcError as error:
            if error.code() not in AGAIN or time.monotonic() > end:
                raise
            time.sleep(0.05)


class ClusterCase(Case):
    def cluster(self, size=3, start=True, flags=(), program=None):
        cluster = Cluster(self.folder)
        self.addCleanup(cluster.stop)
        for _ in range(size):
            cluster.add_host(flags=flags, program=program)
        if start:
            cluster.start()
        return cluster

    def put(self, member, key, value=b"v", timeout=None):
        """With a timeout once; without, until it is taken: a machine that stalls may change its
        leader at any moment, and what is on its way to the old one is lost."""
        with member.api() as api:
            return until_taken(timeout, lambda seconds: api.Put(
                key=key, value=value, timeout=seconds).header.revision)

    def get(self, member, key, serializable=False, timeout=None):
        with member.api() as api:
            kvs = until_taken(timeout, lambda seconds: api.Range(
                key=key, serializable=serializable, timeout=seconds).kvs)
            return kvs[0].value if kvs else None

    def put_until(self, member, key, value=b"v", seconds=60):
        """Puts once somebody takes it; how long that took."""
        began = time.monotonic()
        while True:
            try:
                self.put(member, key, value, timeout=2)
                return time.monotonic() - began
            except Exception:  # pylint: disable=broad-except
                if time.monotonic() - began > seconds:
                    raise
                time.sleep(0.02)
