# SPDX-License-Identifier: Apache-2.0
"""A real kube-apiserver lives on a member with mutual TLS.

KETCD_KUBE_APISERVER: the path of kube-apiserver (1.20 was used); without it all are skipped.

configmaps are served without a watch cache, so their watches and lists reach the member itself;
everything else goes through the apiserver's cache.
"""
import json
import os
import shutil
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from lib import Certs, Etcdctl, Member
from lib.kube import BROKEN, ApiServer, Client, Refused, Watch, kube_apiserver

COMPACTION_SECONDS = 6
EVENT_SECONDS = 5
CRD = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
       "metadata": {"name": "boats.harbour.example"},
       "spec": {"group": "harbour.example", "scope": "Namespaced",
                "names": {"plural": "boats", "singular": "boat", "kind": "Boat",
                          "listKind": "BoatList"},
                "versions": [{"name": "v1", "served": True, "storage": True,
                              "subresources": {"status": {}},
                              "schema": {"openAPIV3Schema": {
                                  "type": "object",
                                  "x-kubernetes-preserve-unknown-fields": True}}}]}}


def revision(item):
    return int(item["metadata"]["resourceVersion"])


def names(items):
    return [item["metadata"]["name"] for item in items]


def changes(events):
    """(type, name, revision) of every event that is a change."""
    return [(kind, found["metadata"]["name"], revision(found)) for kind, found in events
            if kind in ("ADDED", "MODIFIED", "DELETED")]


def config(name, **data):
    return {"metadata": {"name": name}, "data": data}


def together(call, count):
    """call(0) to call(count - 1), each in a thread; what one raises is raised."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(call, range(count)))


class ApiServerCase(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        try:
            kube_apiserver()
        except unittest.SkipTest:
            return
        cls.folder = tempfile.mkdtemp(prefix="ketcd-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        certs = Certs(os.path.join(cls.folder, "pki"))
        cls.node = Member(os.path.join(cls.folder, "node1"), certs,
                          flags=("--watch-progress-notify-interval=1s",))
        cls.addClassCleanup(cls.node.stop)
        cls.node.start()
        cls.server = ApiServer(
            os.path.join(cls.folder, "apiserver"), cls.node,
            (f"--event-ttl={EVENT_SECONDS}s", f"--etcd-compaction-interval={COMPACTION_SECONDS}s",
             "--watch-cache-sizes=configmaps#0", "--etcd-db-metric-poll-interval=2s",
             "--feature-gates=EfficientWatchResumption=true"))
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()

    def setUp(self):
        kube_apiserver()
        self.api = self.client()
        self.space = self.id().rsplit(".", 1)[1].replace("_", "-")[:60]
        self.api.create("/api/v1/namespaces", {"metadata": {"name": self.space}})
        self.base = f"/api/v1/namespaces/{self.space}"
        self.configs = self.base + "/configmaps"
        self.secrets = self.base + "/secrets"

    def client(self, **rest):
        client = Client(self.server, **rest)
        self.addCleanup(client.close)
        return client

    def assertRefused(self, code, reason, call, *args, **rest):
        with self.assertRaises(Refused) as caught:
            call(*args, **rest)
        self.assertEqual((code, reason), (caught.exception.code, caught.exception.reason))
        return caught.exception.status

    def now(self, path):
        return revision(self.api.get(path, limit=1))


class Objects(ApiServerCase):
    def test_health(self):
        for path in ("/healthz", "/livez", "/readyz", "/healthz/etcd", "/readyz/etcd"):
            self.assertEqual((200, "ok"), self.api.text(path))

    def test_create_update_conflict_patch_delete(self):
        one = self.configs + "/one"
        first = self.api.create(self.configs, config("one", a="1"))
        self.assertRefused(409, "AlreadyExists", self.api.create, self.configs, config("one"))
        second = self.api.update(one, dict(first, data={"a": "2"}))
        self.assertGreater(revision(second), revision(first))
        self.assertRefused(409, "Conflict", self.api.update, one, dict(first, data={"a": "3"}))
        fresh = self.api.get(one)
        self.assertEqual((revision(second), {"a": "2"}), (revision(fresh), fresh["data"]))
        self.assertEqual({"a": "3"}, self.api.update(one, dict(fresh, data={"a": "3"}))["data"])
        self.assertEqual(revision(self.api.get(one)), revision(self.api.patch(one, {"data": {}})))
        self.api.patch(one, {"data": {"b": "4"}})
        self.api.patch(one, [{"op": "remove", "path": "/data/a"}], "json-patch+json")
        self.assertEqual({"b": "4"}, self.api.get(one)["data"])
        applied = dict(config("one", c="5"), apiVersion="v1", kind="ConfigMap")
        self.assertEqual({"b": "4", "c": "5"},
                         self.api.patch(one, applied, "apply-patch+yaml",
                                        fieldManager="e2e", force="true")["data"])
        stale = {"preconditions": {"resourceVersion": str(revision(first))}}
        self.assertRefused(409, "Conflict", self.api.delete, one, stale)
        self.api.delete(one)
        self.assertRefused(404, "NotFound", self.api.get, one)
        self.assertRefused(404, "NotFound", self.api.delete, one)

    def test_one_of_many_updates_wins(self):
        """Eight threads count one object up; each retries what was in conflict."""
        self.api.create(self.configs, config("sum", n="0"))
        conflicts = []

        def count(_):
            client = self.client()
            left = 10
            while left:
                found = client.get(self.configs + "/sum")
                found["data"]["n"] = str(int(found["data"]["n"]) + 1)
                try:
                    client.update(self.configs + "/sum", found)
                    left -= 1
                except Refused as refused:
                    conflicts.append(refused.reason)

        together(count, 8)
        self.assertEqual("80", self.api.get(self.configs + "/sum")["data"]["n"])
        self.assertEqual({"Conflict"}, set(conflicts))

    def read_pages(self, path, limit, between=None):
        """The items of a list read in pages, and what each page said remained."""
        items, remained, revisions, token = [], [], set(), None
        while True:
            page = self.api.get(path, limit=limit, **({"continue": token} if token else {}))
            items += page["items"]
            remained.append(page["metadata"].get("remainingItemCount"))
            revisions.add(revision(page))
            token = page["metadata"].get("continue")
            if not token:
                return items, remained, revisions
            if between:
                between()
                between = None

    def test_lists_come_in_pages_of_one_revision(self):
        wanted = [f"c-{i:03}" for i in range(120)]
        for name in wanted:
            self.api.create(self.configs, config(name, x="y" * 300))

        def disturb():
            self.api.create(self.configs, config("c-060-late"))
            self.api.delete(self.configs + "/c-110")

        items, remained, revisions = self.read_pages(self.configs, 50, disturb)
        self.assertEqual((wanted, [70, 20, None], 1), (names(items), remained, len(revisions)))
        later = sorted({*wanted, "c-060-late"} - {"c-110"})
        items, remained, _ = self.read_pages(self.configs, 50)
        self.assertEqual((later, [70, 20, None]), (names(items), remained))
        self.assertEqual(later, names(self.api.get(self.configs)["items"]))
        self.assertEqual(["c-007"], names(self.api.get(
            self.configs, limit=50, fieldSelector="metadata.name=c-007")["items"]))

    def check_watch(self, path, body):
        """Changes by three threads: each is seen once and in order; from any revision, the rest."""
        start = self.now(path)
        watch = Watch(self.server, path, start)
        written = []

        def write(number):
            client = self.client()
            for i in range(6):
                name = f"w{number}-{i}"
                made = client.create(path, body(name, "1"))
                written.append(("ADDED", name, revision(made)))
                for value in ("2", "3"):
                    made = client.update(f"{path}/{name}", {**made, **body(name, value),
                                                            "metadata": made["metadata"]})
                    written.append(("MODIFIED", name, revision(made)))
                if i % 2:
                    client.delete(f"{path}/{name}")
                    written.append(("DELETED", name, None))

        together(write, 3)
        seen = changes(watch.wait(lambda events: len(events) >= len(written)))
        self.assertEqual(sorted(seen, key=lambda one: one[2]), seen)
        self.assertEqual(len(seen), len({one[2] for one in seen}))
        self.assertEqual(
            sorted((kind, name, None if kind == "DELETED" else at) for kind, name, at in seen),
            sorted(written, key=lambda one: (one[0], one[1], one[2] or 0)))
        for at in (0, len(seen) // 3, len(seen) - 2):
            rest = Watch(self.server, path, seen[at][2])
            wanted = seen[at + 1:]
            got = changes(rest.wait(lambda events, n=len(wanted): len(events) >= n))
            self.assertEqual(wanted, got)

    def test_watch_from_the_store(self):
        self.check_watch(self.configs, lambda name, value: config(name, v=value))

    def test_watch_from_the_cache(self):
        self.check_watch(self.secrets, lambda name, value: {
            "metadata": {"name": name}, "stringData": {"v": value}})

    def test_a_deleted_object_is_seen_as_it_was(self):
        made = self.api.create(self.configs, config("gone", last="words"))
        watch = Watch(self.server, self.configs, revision(made))
        self.api.delete(self.configs + "/gone")
        (kind, found), = watch.wait(lambda events: events)
        self.assertEqual(("DELETED", {"last": "words"}), (kind, found["data"]))
        self.assertGreater(revision(found), revision(made))

    def test_bookmarks_move_on_with_the_store(self):
        """The cache's bookmark is past other kinds' writes, of which only progress tells it."""
        made = self.api.create(self.secrets, {"metadata": {"name": "one"}})
        other = self.api.create(self.configs, config("other"))
        deadline = time.monotonic() + 90
        marks = []
        while max(map(revision, marks), default=0) < revision(other):
            self.assertLess(time.monotonic(), deadline, "no bookmark is past the other's write")
            time.sleep(2.5)
            watch = Watch(self.server, self.secrets, revision(made), seconds=4,
                          allowWatchBookmarks="true")
            events = watch.wait(lambda events: any(kind == "BOOKMARK" for kind, _ in events))
            marks = [found for kind, found in events if kind == "BOOKMARK"]
            self.assertEqual([], changes(events))
        again = Watch(self.server, self.secrets, revision(marks[-1]))
        self.api.delete(self.secrets + "/one")
        self.assertEqual([("DELETED", "one")], [
            one[:2] for one in changes(again.wait(lambda events: events))])

    def test_custom_objects(self):
        self.api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
        boats = f"/apis/harbour.example/v1/namespaces/{self.space}/boats"
        deadline = time.monotonic() + 60
        while True:
            try:
                self.api.get(boats)
                break
            except Refused:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.2)
        watch = Watch(self.server, boats, self.now(boats))
        wanted = [f"b-{i:02}" for i in range(25)]
        for name in wanted:
            made = self.api.create(boats, {"apiVersion": "harbour.example/v1", "kind": "Boat",
                                           "metadata": {"name": name}, "spec": {"sails": 2}})
        stale = made
        made = self.api.update(f"{boats}/{name}", dict(made, spec={"sails": 3}))
        self.assertRefused(409, "Conflict", self.api.update, f"{boats}/{name}",
                           dict(stale, spec={"sails": 4}))
        self.api.patch(f"{boats}/{name}/status", {"status": {"afloat": True}})
        self.assertEqual(({"sails": 3}, {"afloat": True}),
                         (lambda got: (got["spec"], got["status"]))(
                             self.api.get(f"{boats}/{name}")))
        items, remained, _ = self.read_pages(boats, 10)
        self.assertEqual((wanted, [15, 5, None]), (names(items), remained))
        self.api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" +
                        CRD["metadata"]["name"])
        seen = changes(watch.wait(lambda events: sum(
            kind == "DELETED" for kind, _ in events) >= len(wanted)))
        self.assertEqual(wanted, sorted(name for kind, name, _ in seen if kind == "DELETED"))
        self.assertEqual(wanted, [name for kind, name, _ in seen if kind == "ADDED"])

    def test_collections_and_namespaces_are_deleted(self):
        for i in range(30):
            self.api.create(self.configs, dict(config(f"c-{i:02}"), metadata={
                "name": f"c-{i:02}", "labels": {"half": str(i % 2)}}))
        watch = Watch(self.server, self.configs, self.now(self.configs))
        self.api.delete(self.configs, labelSelector="half=1")
        self.assertEqual(15, len(self.api.get(self.configs)["items"]))
        self.api.delete(self.configs)
        self.assertEqual([], self.api.get(self.configs)["items"])
        seen = changes(watch.wait(lambda events: len(events) >= 30))
        self.assertEqual((30, {"DELETED"}), (len(seen), {kind for kind, _, _ in seen}))
        self.assertEqual("Terminating", self.api.delete(self.base)["status"]["phase"])
        self.assertRefused(403, "Forbidden", self.api.create, self.configs, config("late"))
        space = self.api.get(self.base)
        space["spec"]["finalizers"] = []
        self.api.update(self.base + "/finalize", space)
        self.assertRefused(404, "NotFound", self.api.get, self.base)

    def test_leases_are_renewed(self):
        """Six holders, each renewing its own as a kubelet does."""
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{self.space}/leases"
        watch = Watch(self.server, leases, self.now(leases))
        written = {}

        def hold(number):
            client, name = self.client(), f"node-{number}"
            lease = client.create(leases, {"metadata": {"name": name}, "spec": {
                "holderIdentity": name, "leaseDurationSeconds": 40, "leaseTransitions": 0}})
            written[name] = [revision(lease)]
            for turn in range(1, 21):
                lease["spec"]["leaseTransitions"] = turn
                lease["spec"]["renewTime"] = f"2026-01-01T00:00:{turn:02}.000000Z"
                lease = client.update(f"{leases}/{name}", lease)
                written[name].append(revision(lease))

        together(hold, 6)
        seen = changes(watch.wait(lambda events: len(events) >= 126))
        for name, revisions in written.items():
            self.assertEqual(revisions, [at for _, one, at in seen if one == name])
        self.assertEqual([20] * 6, [lease["spec"]["leaseTransitions"]
                                    for lease in self.api.get(leases)["items"]])

    def test_events_expire(self):
        events = self.base + "/events"
        start = self.now(events)
        watch = Watch(self.server, events, start)
        began = time.monotonic()
        for i in range(5):
            made = time.monotonic()
            self.api.create(events, {
                "metadata": {"name": f"e-{i}"}, "reason": "Tested", "type": "Normal",
                "involvedObject": {"kind": "Pod", "namespace": self.space, "name": "web"}})
        time.sleep(EVENT_SECONDS - 2)
        items = self.api.get(events)["items"]
        if time.monotonic() - began < EVENT_SECONDS:  # else the first may be gone
            self.assertEqual(5, len(items))
        seen = changes(watch.wait(lambda events: len(events) >= 10))
        lived = time.monotonic() - made
        wanted = [f"e-{i}" for i in range(5)]
        self.assertEqual(wanted, [name for kind, name, _ in seen if kind == "ADDED"])
        self.assertEqual(wanted, sorted(name for kind, name, _ in seen if kind == "DELETED"))
        self.assertGreater(lived, EVENT_SECONDS - 1)
        self.assertEqual([], self.api.get(events)["items"])

    def test_compaction(self):
        for i in range(12):
            made = self.api.create(self.configs, config(f"c-{i:02}"))
        start = revision(made)
        page = self.api.get(self.configs, limit=5)
        self.api.patch(self.configs + "/c-00", {"data": {"later": "1"}})
        deadline = time.monotonic() + 20 * COMPACTION_SECONDS
        while not (watch := Watch(self.server, self.configs, start, seconds=1)).expired():
            watch.wait(lambda events: any(kind == "ERROR" for kind, _ in events), 2)
            if watch.expired():
                break
            self.assertLess(time.monotonic(), deadline, "nothing was compacted")
            time.sleep(0.5)
        status = self.assertRefused(410, "Expired", self.api.get, self.configs, limit=5,
                                    **{"continue": page["metadata"]["continue"]})
        rest = self.api.get(self.configs, limit=50,
                            **{"continue": status["metadata"]["continue"]})
        self.assertEqual([f"c-{i:02}" for i in range(5, 12)], names(rest["items"]))
        self.assertEqual(12, len(self.api.get(self.configs)["items"]))


class Writer(threading.Thread):
    """Creates and updates configmaps of its own until told to end; an unanswered write may have
    happened. acknowledged: (name, value, revision) in order."""

    def __init__(self, case, number):
        super().__init__(daemon=True)
        self.case, self.number = case, number
        self.acknowledged, self.unanswered, self.refused = [], 0, []
        self.ending = False

    def run(self):
        client = self.case.client(timeout=30)
        count = 0
        while not self.ending:
            count += 1
            name = f"w{self.number}-{count // 3:03}"
            path = f"{self.case.configs}/{name}"
            try:
                try:
                    made = client.update(path, config(name, n=str(count)))
                except Refused as refused:
                    if refused.code != 404:
                        raise
                    made = client.create(self.case.configs, config(name, n=str(count)))
                self.acknowledged.append((name, count, revision(made)))
            except Refused as refused:
                self.unanswered += 1
                if refused.code < 500:
                    self.refused.append(str(refused))
                time.sleep(0.1)
            except BROKEN:
                self.unanswered += 1
                time.sleep(0.1)


class Follower(threading.Thread):
    """A watch that is taken up again from the last revision seen, whatever ends it."""

    def __init__(self, case, start):
        super().__init__(daemon=True)
        self.case, self.at = case, start
        self.seen, self.expired, self.ending, self.resumed = [], False, False, 0

    def run(self):
        while not self.ending and not self.expired:
            try:
                watch = Watch(self.case.server, self.case.configs, self.at, seconds=2)
            except BROKEN:
                time.sleep(0.1)
                continue
            self.resumed += 1
            while not watch.over:
                watch.wait(lambda _: self.ending, 0.5)
            self.expired = watch.expired()
            self.seen += changes(watch.events)
            self.at = self.seen[-1][2] if self.seen else self.at


class History:
    """For cases that lose members: what was acknowledged is there, and was seen once, in order."""

    def follow_and_write(self, writers=3):
        follower = Follower(self, self.now(self.configs))
        writers = [Writer(self, number) for number in range(writers)]
        for thread in (follower, *writers):
            thread.start()
        return follower, writers

    def end_history(self, follower, writers):
        deadline = time.monotonic() + 120
        while not all(len(writer.acknowledged) > 20 for writer in writers):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        for writer in writers:
            writer.ending = True
        for writer in writers:
            writer.join(60)
        self.server.wait_ready()
        last = max(one[2] for writer in writers for one in writer.acknowledged)
        deadline = time.monotonic() + 60
        while follower.at < last and time.monotonic() < deadline and not follower.expired:
            time.sleep(0.1)
        follower.ending = True
        follower.join(60)
        return self.check_history(writers, follower)

    def check_history(self, writers, follower):
        """How many writes had no answer."""
        kept = {item["metadata"]["name"]: item for item in self.client().get(self.configs)["items"]}
        self.assertFalse(follower.expired)
        revisions = [at for _, _, at in follower.seen]
        self.assertEqual(sorted(set(revisions)), revisions)
        for writer in writers:
            self.assertEqual([], writer.refused)
            for name, count, at in writer.acknowledged:
                self.assertIn(at, revisions)
                self.assertGreaterEqual(int(kept[name]["data"]["n"]), count)
        answered = sum(len(writer.acknowledged) for writer in writers)
        lost = sum(writer.unanswered for writer in writers)
        self.assertLessEqual(len(revisions), answered + lost)
        return lost


class Faults(ApiServerCase, History):
    def test_apiserver_restarted(self):
        made = self.api.create(self.configs, config("one", a="1"))
        self.server.stop()
        self.server.start()
        self.assertEqual(made["data"], self.client().get(self.configs + "/one")["data"])
        self.api = self.client()
        watch = Watch(self.server, self.configs, revision(made))
        later = self.api.update(self.configs + "/one", config("one", a="2"))
        self.assertEqual([("MODIFIED", "one", revision(later))],
                         changes(watch.wait(lambda events: events)))

    def master_leases(self):
        return Etcdctl(self.node)("get", "--prefix", "--keys-only", "/registry/masterleases/")

    def test_a_dead_apiservers_lease_expires(self):
        """It renews 15 s every 10 s; killed, it does not take its key back itself."""
        self.until_leases_are("/registry/masterleases/192.0.2.1\n\n", 60)
        self.server.process.kill()
        self.server.process.wait()
        self.until_leases_are("", 90)
        self.server.start()
        self.until_leases_are("/registry/masterleases/192.0.2.1\n\n", 60)

    def until_leases_are(self, wanted, seconds):
        deadline = time.monotonic() + seconds
        while (found := self.master_leases()) != wanted:
            self.assertLess(time.monotonic(), deadline, found)
            time.sleep(0.2)

    def test_events_expire_though_the_member_is_killed(self):
        events = self.base + "/events"
        for i in range(3):
            self.api.create(events, {
                "metadata": {"name": f"e-{i}"}, "reason": "Tested", "type": "Normal",
                "involvedObject": {"kind": "Pod", "namespace": self.space, "name": "web"}})
        time.sleep(EVENT_SECONDS - 3)
        self.node.kill()
        began = time.monotonic()
        self.node.start()
        self.server.wait_ready()
        # A member that begins to lead gives every lease its whole time again, and an election's.
        items = self.client().get(events)["items"]
        if time.monotonic() - began < EVENT_SECONDS:
            self.assertEqual(3, len(items))
        deadline = time.monotonic() + EVENT_SECONDS + 60
        while self.client().get(events)["items"]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def test_custom_objects_outlive_the_member_and_the_apiserver(self):
        """Their kind is itself an object, and known again only when it was read."""
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        crd = json.loads(json.dumps(CRD).replace("boat", "raft").replace("Boat", "Raft"))
        self.api.create(crds, crd)
        rafts = f"/apis/harbour.example/v1/namespaces/{self.space}/rafts"
        deadline = time.monotonic() + 60
        while True:
            try:
                made = self.api.create(rafts, {"apiVersion": "harbour.example/v1", "kind": "Raft",
                                               "metadata": {"name": "one"}, "spec": {"logs": 9}})
                break
            except Refused:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.2)
        self.server.stop()
        self.node.kill()
        self.node.start()
        self.server.start()
        deadline = time.monotonic() + 120
        while True:
            try:
                found = self.client().get(rafts + "/one")
                break
            except Refused:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.2)
        self.assertEqual((made["spec"], revision(made)), (found["spec"], revision(found)))
        self.client().delete(crds + "/" + crd["metadata"]["name"])

    def test_member_down_is_noticed_and_forgotten(self):
        self.node.kill()
        self.assertEqual(500, self.client().text("/healthz/etcd")[0])
        self.node.start()
        deadline = time.monotonic() + 60
        while self.client().text("/healthz/etcd")[0] != 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)
        self.api.create(self.configs, config("after"))

    def test_member_killed_under_writes(self):
        follower, writers = self.follow_and_write()
        for i in range(20):
            time.sleep(1.5)
            self.node.kill()
            self.node.start()
            if i >= 3 and any(writer.unanswered for writer in writers):
                break
        time.sleep(1.5)
        lost = self.end_history(follower, writers)
        self.assertGreater(lost, 0, "no write met a dead member")
