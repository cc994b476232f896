# SPDX-License-Identifier: Apache-2.0
"""Our members and the reference's in one cluster: each joins the other's, leads, hashes alike."""
import json
import time

import grpc

from lib import reference
from lib.api import pb
from lib.cluster import ClusterCase


class Mixed(ClusterCase):
    def load(self, member, prefix, count=40):
        """Puts, deletes, a transaction, a lease, a compaction."""
        with member.api() as api:
            lease = api.LeaseGrant(TTL=600).ID
            for i in range(count):
                api.Put(key=prefix + b"%d" % i, value=b"v%d" % i, lease=lease if i % 5 == 0 else 0)
            api.DeleteRange(key=prefix + b"1", range_end=prefix + b"2")
            api.Txn(success=[pb.RequestOp(request_put=pb.PutRequest(key=prefix + b"a", value=b"1")),
                             pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(
                                 key=prefix + b"0"))])
            revision = api.Put(key=prefix, value=b"end").header.revision
            api.Compact(revision=revision - 10, physical=True)

    def join(self, cluster, via, program=None, before_start=None):
        member = cluster.add_host(program=program)
        member.state = "existing"
        deadline = time.monotonic() + 60
        while True:
            try:
                with via.api() as api:
                    api.MemberAdd(peerURLs=[member.peer_url])
                break
            except grpc.RpcError as error:
                self.assertIn("unhealthy", error.details(), via.log_tail(5))
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.5)
        if before_start:
            before_start()
        member.start()
        return member

    def cluster_version(self, member):
        return json.loads(member.get("/version")[1])["etcdcluster"]

    def make_room_for_3_5(self, cluster):
        """A 3.5 joins no cluster of version 3.6. A downgrade lowers the version; once the newcomer
        is a member, whose own version nobody knows yet, it stays there without the downgrade. And
        the newcomer must not find the old version in the log: it has to start from a snapshot."""
        with cluster.leader().api() as api:
            api.Downgrade(action="ENABLE", version="3.5.0")
        deadline = time.monotonic() + 60
        while any(self.cluster_version(m) != "3.5.0" for m in cluster.living()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

        def cancel():
            with cluster.leader(cluster.living()).api() as api:
                api.Downgrade(action="CANCEL")
        return cancel

    def lead_everywhere(self, cluster):
        """Leadership goes to each member in turn; each then serves writes through all."""
        for target in cluster.members:
            leader = cluster.leader()
            if leader is not target:
                with leader.api() as api:
                    api.MoveLeader(targetID=target.member_id())
            self.assertIs(cluster.leader(), target)
            for member in cluster.members:
                key = b"/led/%s/%s" % (target.name.encode(), member.name.encode())
                self.put(member, key)
            for member in cluster.members:
                self.assertEqual(
                    self.get(member, b"/led/%s/n1" % target.name.encode()), b"v")
            cluster.wait_same()

    def check_leases(self, cluster):
        """A lease granted through one is seen, kept and revoked through every other."""
        for member in cluster.members:
            with member.api() as api:
                lease = api.LeaseGrant(TTL=3000).ID
                api.Put(key=b"/leased", value=b"1", lease=lease)
            for other in cluster.members:
                with other.api() as api:
                    answer = api.LeaseTimeToLive(ID=lease, keys=True)
                    self.assertEqual(list(answer.keys), [b"/leased"])
                    self.assertGreater(answer.TTL, 2000)
                    stream = api.stream("LeaseKeepAlive")
                    stream.send(pb.LeaseKeepAliveRequest(ID=lease))
                    self.assertEqual(stream.next().TTL, 3000)
                    stream.close()
            with cluster.members[0].api() as api:
                api.LeaseRevoke(ID=lease)
            self.assertIsNone(self.get(cluster.members[-1], b"/leased"))

    def test_a_reference_member_joins_ours(self):
        program = reference("etcd")
        cluster = self.cluster(2, flags=["--snapshot-count=40", "--snapshot-catchup-entries=5"])
        cancel = self.make_room_for_3_5(cluster)
        for i in range(4):  # the log forgets that the version ever was 3.6
            self.load(cluster.members[i % 2], b"/before/%d" % i)
        theirs = self.join(cluster, cluster.members[0], program, before_start=cancel)
        self.assertTrue(theirs.log_has("applied snapshot"))
        self.load(theirs, b"/theirs/")
        self.load(cluster.members[0], b"/ours/")
        cluster.wait_same()
        self.lead_everywhere(cluster)
        self.check_leases(cluster)
        self.assertEqual(self.cluster_version(cluster.members[0]), "3.5.0")
        theirs.kill()
        self.put_until(cluster.members[1], b"alone")
        self.load(cluster.members[1], b"/without/")
        theirs.start()
        cluster.wait_same()

    def test_our_member_takes_the_references_database(self):
        program = reference("etcd")
        cluster = self.cluster(2, program=program, flags=[
            "--snapshot-count=40", "--experimental-snapshot-catchup-entries=5"])
        for i in range(4):
            self.load(cluster.members[i % 2], b"/before/%d" % i)
        ours = self.join(cluster, cluster.members[0])
        self.assertTrue(ours.log_has("received and saved database snapshot"))
        self.assertTrue(ours.log_has("applied snapshot"))
        self.load(ours, b"/ours/")
        cluster.wait_same()

    def test_our_member_joins_the_references(self):
        program = reference("etcd")
        cluster = self.cluster(2, program=program)
        self.load(cluster.members[0], b"/before/")
        ours = self.join(cluster, cluster.members[0])
        self.load(ours, b"/ours/")
        cluster.wait_same()
        with ours.api() as api:
            members = api.MemberList(linearizable=True).members
        self.assertEqual(sorted(m.name for m in members), ["n1", "n2", "n3"])
        self.assertTrue(all(m.clientURLs for m in members))
        self.lead_everywhere(cluster)
        self.check_leases(cluster)
        ours.kill()
        self.put_until(cluster.members[1], b"alone")
        self.load(cluster.members[1], b"/without/")
        ours.start()
        cluster.wait_same()
