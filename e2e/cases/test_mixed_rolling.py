# SPDX-License-Identifier: Apache-2.0
"""Three members of etcd's own become ours, one after the other, and etcd's again, while clients
write, watch, hold leases and are let in by their certificates; nothing may be missed."""
from lib.mixed import MixedCase, Run, leases_everywhere


class Rolling(MixedCase):
    def step(self, run, cluster):
        """What must hold in every mix."""
        self.same_hash(cluster.members)
        for member in list(cluster.members):
            self.lead(cluster, member)
            run.go_on(20)
            self.same_hash(cluster.members)
        leases_everywhere(self, cluster.members)
        for member in cluster.members:
            self.check_auth(member)

    def test_replaced_by_fresh_members_and_back(self):
        cluster = self.mixed_cluster([self.theirs] * 3)
        self.auth_on(cluster.members[0])
        with Run(self, cluster) as run:
            run.go_on()
            self.step(run, cluster)
            for program in (self.ours, self.theirs):
                if program == self.theirs:
                    self.lower(cluster)
                    run.go_on(600)  # past a snapshot: no log tells of 3.6 any more
                for old in list(cluster.members):
                    fresh = self.add(cluster, program)
                    run.watch(fresh)
                    self.remove(cluster, old)
                    run.go_on()
                    self.step(run, cluster)
            self.assertEqual(self.version(cluster.members[0]), "3.5.0")

    def test_swapped_in_place_and_back(self):
        cluster = self.mixed_cluster([self.theirs] * 3)
        self.auth_on(cluster.members[0])
        with Run(self, cluster) as run:
            run.go_on()
            for number, member in enumerate(cluster.members):
                self.restart(member, self.ours, kill=number == 1)
                self.assertTrue(member.log_has("made a store of etcd's database"))
                run.go_on()
                self.step(run, cluster)
            self.wait(lambda: self.version(cluster.members[0]) == "3.6.0", "version 3.6")
            self.lower(cluster)
            for member in cluster.members:
                self.restart(member, self.theirs, before_start=lambda m=member: self.migrate(m))
                run.go_on()
                self.step(run, cluster)

    def test_every_member_starts_again_in_every_mix(self):
        """With the check of its data against the others' before it serves."""
        cluster = self.mixed_cluster([self.theirs] * 3)
        with Run(self, cluster) as run:
            for member in list(cluster.members):
                self.restart(member, self.ours)
                run.go_on()
                for other in cluster.members:
                    self.restart(other)
                    self.assertTrue(other.log_has("initial corruption checking passed"))
                    run.go_on(20)
                self.same_hash(cluster.members)
