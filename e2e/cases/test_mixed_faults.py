# SPDX-License-Identifier: Apache-2.0
"""Faults in clusters of etcd's own members and ours: who was away gets a snapshot from the other
kind, leaders of either kind are cut off, killed, or lead for long (KETCD_MIXED_SECONDS)."""
import os
import time

from lib.api import Api
from lib.mixed import CHECKS, MixedCase, Run

LONG = os.environ.get("KETCD_CLUSTER_LONG")
LEAD_SECONDS = int(os.environ.get("KETCD_MIXED_SECONDS", "300" if LONG else "20"))
# What lies behind the last snapshot is gone at once: who was away cannot have it from the log.
SHORT_LOG = {"theirs": ["--snapshot-count=50", "--experimental-snapshot-catchup-entries=5"],
             "ours": ["--snapshot-count=50", "--snapshot-catchup-entries=5"]}


class Faults(MixedCase):
    seconds = 900 + 3 * LEAD_SECONDS

    def short_log_cluster(self, programs):
        cluster = self.cluster(0, start=False)
        for program in programs:
            kind = "ours" if program == self.ours else "theirs"
            cluster.add_host(program=program, flags=[*SHORT_LOG[kind], *CHECKS])
        for member in cluster.members:
            member.start(wait=False)
        for member in cluster.members:
            self.ready(member)
        return cluster

    def catch_up_by_snapshot(self, leader_program, away_program, times):
        """The one leads all the while, the other is away and comes back."""
        cluster = self.short_log_cluster([leader_program, away_program, leader_program])
        leader, away, _ = cluster.members
        with Run(self, cluster) as run:
            for _ in range(times):
                self.lead(cluster, leader)
                away.kill()
                run.go_on(400)
                self.lead(cluster, leader)  # a slow machine may have had another election
                received = self.count(away, "applied snapshot")
                away.start(wait=False)
                self.wait(lambda n=received: self.count(away, "applied snapshot") > n,
                          "a snapshot being applied")
                self.ready(away)
                run.go_on()
                self.same_hash(cluster.members)
                self.lead(cluster, away)
                run.go_on(20)

    @staticmethod
    def count(member, words):
        with open(member.log_path, encoding="utf-8", errors="replace") as file:
            return file.read().count(words)

    def test_our_leader_sends_a_snapshot_to_theirs(self):
        self.catch_up_by_snapshot(self.ours, self.theirs, 2)

    def test_their_leader_sends_a_snapshot_to_ours(self):
        # Theirs keeps its log for half a minute after it has sent one.
        self.catch_up_by_snapshot(self.theirs, self.ours, 1)

    def cut_off(self, programs):
        """Each member in turn leads, is cut off from the others for longer than an election takes,
        and comes back."""
        cluster = self.mixed_cluster(programs)
        with Run(self, cluster) as run:
            for member in cluster.members:
                others = [m for m in cluster.members if m is not member]
                self.lead(cluster, member)
                member.host.cut_off(*(m.host for m in others))
                try:
                    self.wait(lambda o=others, m=member: cluster.leader(o) is not m,
                              "another leader")
                    run.go_on(100)
                finally:
                    member.host.mend()
                run.go_on(50)
                self.same_hash(cluster.members)

    def test_cut_off_two_of_theirs_one_of_ours(self):
        self.cut_off([self.theirs, self.ours, self.theirs])

    def test_cut_off_one_of_theirs_two_of_ours(self):
        self.cut_off([self.ours, self.theirs, self.ours])

    def test_leaders_are_killed(self):
        cluster = self.mixed_cluster([self.theirs, self.ours, self.theirs, self.ours, self.ours])
        with Run(self, cluster) as run:
            for member in cluster.members:
                self.lead(cluster, member)
                member.kill()
                run.go_on(100)
                member.start(wait=False)
                self.ready(member)
                run.go_on(30)
                self.same_hash(cluster.members)

    def test_theirs_leads_for_long(self):
        cluster = self.mixed_cluster([self.theirs, self.ours, self.ours])
        self.lead(cluster, cluster.members[0])
        with Run(self, cluster, clients=6) as run:
            end = time.monotonic() + LEAD_SECONDS
            while time.monotonic() < end:
                run.go_on(200)
                self.lead(cluster, cluster.members[0])
            self.same_hash(cluster.members)


class Downgrade(MixedCase):
    """What the Downgrade RPC says, theirs at 3.5 and ours at 3.6, each to versions below, at and
    above its own. Where the two releases differ is left out: 3.5 has no answer to what it enables
    and cancels (the caller waits until its time is up), refuses to cancel what is not there, and
    says 3.5.0 for 3.5."""

    def answers(self, member, minor):
        def ask(action, version):
            version = version.format(own=minor, below=minor - 1, far=minor - 2, above=minor + 1)
            with Api(member) as api:
                try:
                    answer = api.Downgrade(action=action, version=version)
                except Exception as error:  # pylint: disable=broad-except
                    return error.code().name, error.details().replace(f"3.{minor}", "3.own")
                return "ok", answer.version.replace(f"3.{minor}", "3.own").removesuffix(".0")
        said = []
        for action in (0, 1, 2, 7):
            for version in ("", "x", "3", "3.{own}", "3.{own}.0", "3.{own}.4", "3.{far}",
                            "3.{above}", "4.0", "4.0.0", "v3.{below}", "3.{below}.x",
                            "3.{below}.0-rc.1", "-1.2.3", "3.{below}.0.0"):
                said.append((action, version, ask(action, version)))
        for action, version in ((0, "3.{below}"), (0, "3.{below}.0"), (2, ""), (1, "3.{below}"),
                                (1, "3.{below}.0"), (0, "3.{below}.0"), (1, "3.{far}.0"), (2, ""),
                                (2, ""), (1, "3.{below}.7"), (2, "x")):
            said.append((action, version, ask(action, version)))
        return said

    def test_as_the_reference_answers(self):
        said = []
        for program, minor in ((self.theirs, 5), (self.ours, 6)):
            member = self.member(name=f"m{minor}", program=program)
            wanted = f"3.{minor}.0"
            self.wait(lambda m=member, w=wanted: self.version(m) == w, "the cluster version")
            said.append(self.answers(member, minor))
        different = [(a[:2], a[2], b[2]) for a, b in zip(*said)
                     if a != b and not (a[0] in (1, 2) and b[2][0] == "ok")]
        self.assertEqual(different, [])
