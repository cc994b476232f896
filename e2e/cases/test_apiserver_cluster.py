# SPDX-License-Identifier: Apache-2.0
"""A real kube-apiserver on three members with mutual TLS, each on a host of its own, keeps working
through the loss of any one.

KETCD_KUBE_APISERVER: the path of kube-apiserver (1.20 was used); without it all are skipped.
"""
import os
import time

from lib.cluster import ClusterCase
from lib.kube import ApiServer, Client, Watch, kube_apiserver
from test_apiserver import COMPACTION_SECONDS, History, changes, config, revision

OUTAGE_SECONDS = 4
WRITES_MIN = 10


class Three(ClusterCase, History):
    def setUp(self):
        kube_apiserver()
        super().setUp()
        self.nodes = self.cluster(3, flags=("--watch-progress-notify-interval=1s",))
        first, *others = self.nodes.members
        self.server = ApiServer(
            os.path.join(self.folder, "apiserver"), first,
            (f"--etcd-compaction-interval={COMPACTION_SECONDS}s",
             "--watch-cache-sizes=configmaps#0"), others)
        self.addCleanup(self.server.stop)
        self.server.start()
        self.api = self.client()
        self.api.create("/api/v1/namespaces", {"metadata": {"name": "three"}})
        self.configs = "/api/v1/namespaces/three/configmaps"

    def client(self, **rest):
        client = Client(self.server, **rest)
        self.addCleanup(client.close)
        return client

    def now(self, path):
        return revision(self.api.get(path, limit=1))

    def answered(self, writers):
        return [len(writer.acknowledged) for writer in writers]

    def lose(self, member, writers, how):
        """Every writer gets on while the member is away; how long it took until all did."""
        how(member)
        gone = time.monotonic()
        before = self.answered(writers)
        while not all(now > then + 1 for now, then in zip(self.answered(writers), before)):
            self.assertLess(time.monotonic() - gone, 120, f"no writes without {member.name}")
            time.sleep(0.02)
        waited = time.monotonic() - gone
        time.sleep(OUTAGE_SECONDS)
        while not all(now > then + WRITES_MIN
                      for now, then in zip(self.answered(writers), before)):
            self.assertLess(time.monotonic() - gone, 240, f"few writes without {member.name}")
            time.sleep(0.1)
        return waited

    def through(self, how, back):
        follower, writers = self.follow_and_write()
        time.sleep(1)
        leader = self.nodes.leader()
        waits = []
        for member in (leader, *[one for one in self.nodes.members if one is not leader]):
            waits.append(self.lose(member, writers, how))
            back(member)
            self.nodes.leader()
        lost = self.end_history(follower, writers)
        self.nodes.wait_same()
        print(f"{sum(self.answered(writers))} writes, {lost} without an answer, all went on after "
              + ", ".join(f"{wait:.1f} s" for wait in waits), end=" ")

    def test_any_one_killed(self):
        def back(member):
            member.start(wait=False)
            member.wait_ready()

        self.through(lambda member: member.kill(), back)

    def test_any_one_cut_off(self):
        """No packet comes or goes; connections stay open, as when a host is gone."""
        def cut(member):
            for chain, way in (("INPUT", "-i"), ("OUTPUT", "-o")):
                member.host.run("iptables", "-A", chain, "!", way, "lo", "-j", "DROP")

        self.through(cut, lambda member: member.host.mend())

    def test_objects_are_the_same_on_every_member(self):
        for i in range(20):
            self.api.create(self.configs, config(f"c-{i:02}", a=str(i)))
        watch = Watch(self.server, self.configs, self.now(self.configs))
        self.api.patch(self.configs + "/c-07", {"data": {"b": "1"}})
        self.api.delete(self.configs + "/c-08")
        seen = changes(watch.wait(lambda events: len(events) >= 2))
        self.assertEqual([("MODIFIED", "c-07"), ("DELETED", "c-08")], [one[:2] for one in seen])
        self.nodes.wait_same()
        lists = []
        for member in self.nodes.members:
            with member.api() as api:
                got = api.Range(key=b"/registry/configmaps/three/c-",
                                range_end=b"/registry/configmaps/three/c.", serializable=True)
                lists.append([(kv.key, kv.value, kv.mod_revision) for kv in got.kvs])
        self.assertEqual([19, lists[0], lists[0]], [len(lists[0]), *lists[1:]])
