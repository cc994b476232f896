# SPDX-License-Identifier: Apache-2.0
"""Clusters in which members of etcd's own stand beside ours, with access control by the common
name of the clients' certificates, under a load whose history is judged."""
import json
import os
import subprocess
import time

import grpc

from .api import pb
from .cluster import ClusterCase
from .ctl import Etcdctl
from .env import binary, reference
from .load import Load
from .member import READY_SECONDS
from .recorder import Recorder

SECONDS = 90
SNAPSHOTS = ("--snapshot-count=200",)
# A member of either kind compares its data with the others' before it serves.
CHECKS = ("--experimental-initial-corrupt-check=true",)


class MixedCase(ClusterCase):
    def setUp(self):
        super().setUp()
        self.theirs, self.ours = self.binaries()

    def binaries(self):
        """Etcd's own, and ours."""
        return reference("etcd"), binary("etcd")

    def wait(self, what, words, seconds=SECONDS, pause=0.2):
        """Until what() is true; what it raises counts as not yet."""
        deadline, last = time.monotonic() + seconds, ""
        while True:
            try:
                if what():
                    return
            except (grpc.RpcError, OSError, AssertionError) as error:
                last = str(error)[:500]
            if time.monotonic() > deadline:
                raise AssertionError(f"{words} took longer than {seconds} s; {last}")
            time.sleep(pause)

    def ready(self, member):
        def is_ready():
            if member.process.poll() is not None:
                self.fail_at_once(f"{member.name} ended with {member.process.returncode}: "
                                  f"{member.log_tail()}")
            return member.is_ready()
        try:
            self.wait(is_ready, f"{member.name} getting ready", READY_SECONDS, pause=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{member.log_tail(30)}") from None

    def mixed_cluster(self, programs, flags=SNAPSHOTS + CHECKS):
        cluster = self.cluster(0, start=False)
        for program in programs:
            cluster.add_host(program=program, flags=flags)
        for member in cluster.members:
            member.start(wait=False)
        for member in cluster.members:
            self.ready(member)
        return cluster

    def ctl(self, member, **rest):
        return Etcdctl(member, **rest)

    def auth_on(self, member):
        """Whoever shows the clients' certificate is root; somebody else may little."""
        for args in (("role", "add", "r"),
                     ("role", "grant-permission", "r", "readwrite", "/u/", "/u0"),
                     ("user", "add", "root", "--no-password"),
                     ("user", "grant-role", "root", "root"),
                     ("user", "add", "etcd-client", "--no-password"),
                     ("user", "grant-role", "etcd-client", "root"), ("user", "add", "u:pw"),
                     ("user", "grant-role", "u", "r"), ("auth", "enable")):
            self.ctl(member).until_done(*args)

    def check_auth(self, member):
        """By password, through that member; the permissions are the ones that were given."""
        ctl = Etcdctl(member)
        user = ("--user", "u:pw", "--dial-timeout=60s")
        self.assertIn("OK", ctl("put", "/u/" + member.name, "x", *user))
        refused = ctl.run("put", "/other", "x", *user)
        self.assertIn("permission denied", refused.stderr)

    # Leadership and agreement.

    def lead(self, cluster, target):
        """Moves leadership to that member, however often it takes."""
        def leads():
            leader = cluster.leader()
            if leader is target:
                return True
            with leader.api() as api:
                api.MoveLeader(targetID=target.member_id())
            return cluster.leader() is target
        self.wait(leads, f"{target.name} leading")

    def same_hash(self, members):
        """All alike at one revision, while the load goes on."""
        def revision_of(member, least=0):
            with member.api() as api:
                return api.Range(key=b"\0", limit=1, serializable=True,
                                 timeout=5).header.revision >= least

        def hash_of(member, revision):
            with member.api() as api:
                found = api.HashKV(revision=revision, timeout=60)
                return found.compact_revision, found.hash

        def are_alike():
            with members[0].api() as api:
                revision = api.Range(key=b"\0", limit=1, timeout=5).header.revision
            for member in members:
                self.wait(lambda m=member: revision_of(m, revision), f"{member.name} catching up")
            found = {member.name: hash_of(member, revision) for member in members}
            if len({compacted for compacted, _ in found.values()}) > 1:
                return False  # a compaction came between
            if len(set(found.values())) > 1:
                self.fail_at_once(f"hashes differ at revision {revision}: {found}")
            return True
        self.wait(are_alike, "a hash at one revision")

    @staticmethod
    def fail_at_once(words):
        raise RuntimeError(words)

    def version(self, member):
        return json.loads(member.get("/version")[1])["etcdcluster"]

    # Members come and go.

    def add(self, cluster, program, flags=SNAPSHOTS + CHECKS):
        """A fresh member beside the others."""
        via = cluster.living()[0]
        member = cluster.add_host(program=program, flags=flags)
        member.state = "existing"
        before = [m for m in cluster.members if m is not member]

        def is_added():
            with cluster.leader(before).api() as api:
                if any(member.peer_url in m.peerURLs for m in api.MemberList().members):
                    return True
                api.MemberAdd(peerURLs=[member.peer_url])
            return True
        self.wait(is_added, f"adding {member.name} through {via.name}", pause=0.5)
        if program == self.theirs:
            self.cancel_downgrade(cluster, before)
        member.start(wait=False)
        self.ready(member)
        return member

    def cancel_downgrade(self, cluster, members):
        """A 3.5 joins no cluster that is on its way down. Of version 3.5 it stays all the same,
        for nobody knows the newcomer's own version yet."""
        def is_off():
            try:
                with cluster.leader(members).api() as api:
                    api.Downgrade(action="CANCEL")
            except grpc.RpcError as error:
                return "inflight downgrade" in (error.details() or "")
            return True
        self.wait(is_off, "canceling the downgrade")

    def remove(self, cluster, member):
        id_ = member.member_id()
        others = [m for m in cluster.members if m is not member]

        def is_removed():
            with others[0].api() as api:
                if all(m.ID != id_ for m in api.MemberList().members):
                    return True
                api.MemberRemove(ID=id_)
            return True
        self.wait(is_removed, f"removing {member.name}", pause=0.5)
        cluster.members.remove(member)
        cluster.write_initial()
        try:
            member.process.wait(60)
        except subprocess.TimeoutExpired:
            member.kill()
        cluster.leader()

    def restart(self, member, program=None, before_start=None, kill=False):
        """The same data directory, perhaps another binary."""
        if kill:
            member.kill()
        else:
            member.terminate(60)
        if before_start:
            before_start()
        member.program = program or member.program
        member.start(wait=False)
        self.ready(member)

    def migrate(self, member):
        done = subprocess.run([binary("etcdutl"), "migrate", "--data-dir", member.data_dir,
                               "--target-version", "3.5"], capture_output=True, text=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def lower(self, cluster):
        """To cluster version 3.5; then past a snapshot, so that no log tells of 3.6 any more."""
        def is_lower():
            versions = {self.version(m) for m in cluster.members}
            if versions == {"3.5.0"}:
                return True
            with cluster.leader().api() as api:
                api.Downgrade(action="ENABLE", version="3.5.0")
            return False
        self.wait(is_lower, "the cluster version to fall", pause=1)


class Near:
    """That member first, then whoever is in the cluster by then."""

    def __init__(self, member, cluster):
        self.member, self.cluster = member, cluster

    def __iter__(self):
        return iter([self.member, *[m for m in self.cluster.members if m is not self.member]])


class Run:
    """with Run(case, cluster) as run: whatever happens to the cluster's members. The history is
    judged at the end."""

    def __init__(self, case, cluster, clients=3, **rest):
        self.case, self.cluster = case, cluster
        self.recorder = Recorder(os.path.join(case.folder, "history"), stale_looks=True,
                                 others=True)
        self.load = Load(self.recorder, cluster.members, clients=clients, timeout=5, **rest)
        self.began = time.monotonic()

    def watch(self, member):
        self.recorder.watch(Near(member, self.cluster), b"/h/", b"/h0")

    def __enter__(self):
        for member in self.cluster.members:
            self.watch(member)
        self.load.__enter__()
        return self

    def __exit__(self, kind, *_):
        self.load.stop()
        if kind is None:
            self.judge()

    def go_on(self, count=60):
        """Until so many more calls were answered."""
        self.load.wait_answers(count, SECONDS)

    def judge(self):
        self.case.assertEqual(self.load.broken(), [])
        self.recorder.finish(self.cluster.members, SECONDS)
        self.case.assertEqual(self.recorder.check(), "")
        print(f"{self.case.id()}: {self.recorder.answered} answers, longest gap "
              f"{self.recorder.longest_gap():.1f} s, {len(self.recorder.watches)} watches, "
              f"{time.monotonic() - self.began:.0f} s", flush=True)


def leases_everywhere(case, members):
    """A lease granted through one is seen, kept and revoked through every other."""
    for member in members:
        with member.api() as api:
            lease = api.LeaseGrant(TTL=300).ID
            api.Put(key=b"/leased", value=b"1", lease=lease)
        for other in members:
            with other.api() as api:
                def is_seen(api=api):
                    answer = api.LeaseTimeToLive(ID=lease, keys=True)
                    return list(answer.keys) == [b"/leased"] and answer.TTL > 100
                case.wait(is_seen, f"{other.name} knowing the lease")
                stream = api.stream("LeaseKeepAlive")
                stream.send(pb.LeaseKeepAliveRequest(ID=lease))
                case.assertEqual(stream.next(timeout=60).TTL, 300)
                stream.close()
        with members[-1].api() as api:
            api.LeaseRevoke(ID=lease)
        case.assertIsNone(case.get(members[0], b"/leased"))
