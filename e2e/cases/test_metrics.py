# SPDX-License-Identifier: Apache-2.0
"""/metrics: what etcd's dashboards and alerts ask for is there, under the same names, labels, types
and buckets; what is not stands in a table with its reason."""
import fnmatch
import gzip
import json
import os
import re
import time

import urllib.request

from lib import Case, Member, reference
from lib.api import Api, pb
from lib.env import ROOT

LISTED = os.path.join(ROOT, "e2e", "lib", "metrics.txt")
TABLE = os.path.join(ROOT, "daemon", "gateway", "METRICS.md")
WAIT = 60


class Family:
    """One metric: its type, label names and buckets."""

    def __init__(self, kind):
        self.kind = kind
        self.labels = set()
        self.buckets = set()
        self.has_series = False

    def key(self):
        return self.kind, tuple(sorted(self.labels)), tuple(sorted(self.buckets, key=float))


def parse(text):
    families = {}
    for line in text.split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            families[name] = Family(kind)
        elif line and not line.startswith("#"):
            name, labels = re.match(r'([a-zA-Z_:0-9]+)(?:\{(.*)\})? ', line).groups()
            base = re.sub("_(bucket|sum|count)$", "", name)
            family = families.get(base if base in families else name)
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            family.has_series = True
            family.labels.update(key for key, _ in pairs if key not in ("le", "quantile"))
            family.buckets.update(value for key, value in pairs if key == "le")
    return families


def excused():
    """Patterns of the table's first column."""
    with open(TABLE, encoding="utf-8") as file:
        return re.findall(r"^\| `([^`]+)` \|", file.read(), re.M)


def is_excused(name):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in excused())


def traffic(node):
    """A little of everything that counts."""
    with Api(node) as api:
        lease = api.LeaseGrant(TTL=100).ID
        api.Put(key=b"a", value=b"1", lease=lease)
        api.Range(key=b"a")
        api.DeleteRange(key=b"a")
        api.Txn(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"b"))])
        watch = api.watch(b"c")
        api.Put(key=b"c")
        watch.events(1)
        watch.close()
        api.Compact(revision=2, physical=True)
        api.LeaseRevoke(ID=lease)
        api.Status()
        api.HashKV()
        api.Hash()
        api.Defragment()
        for _ in api.streaming("Snapshot"):
            pass


def scrape(node):
    return node.get("/metrics", timeout=60)[1]


class Names(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member(flags=["--metrics=extensive"])
        traffic(self.node)

    def compare(self, theirs):
        ours = parse(scrape(self.node))
        wrong = []
        for name, family in sorted(theirs.items()):
            if name not in ours:
                if not is_excused(name):
                    wrong.append(f"missing: {name}")
            elif is_excused(name):
                wrong.append(f"not missing, though the table says so: {name}")
            elif ours[name].key() != family.key():
                wrong.append(f"{name}: {ours[name].key()}, wanted {family.key()}")
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))
        return ours

    def test_all_listed_are_here(self):
        theirs = {}
        with open(LISTED, encoding="utf-8") as file:
            for line in file:
                if line.startswith("#"):
                    continue
                name, kind, labels, buckets = line.rstrip("\n").split(" ")
                family = theirs[name] = Family(kind)
                family.labels = set(labels.split(",")) - {"-"}
                family.buckets = set(buckets.split(",")) - {"-"}
        self.assertGreater(len(theirs), 100)
        ours = self.compare(theirs)
        for pattern in excused():
            self.assertFalse(fnmatch.filter(ours, pattern), "the table says it is not here")

    def test_all_of_the_references_are_here(self):
        other = Member(os.path.join(self.folder, "reference"), program=reference("etcd"),
                       flags=["--metrics=extensive"])
        other.is_ready = lambda: self.answers(other)
        self.addCleanup(other.stop)
        other.start()
        traffic(other)
        self.compare(parse(scrape(other)))

    @staticmethod
    def answers(node):
        try:
            return node.get("/health")[0] == 200
        except OSError:
            return False


class Values(Case):
    def value(self, node, series):
        found = re.search("^" + re.escape(series) + " (.*)$", scrape(node), re.M)
        return float(found.group(1)) if found else None

    def wait(self, node, series, wanted):
        deadline = time.monotonic() + WAIT
        while self.value(node, series) != wanted:
            if time.monotonic() > deadline:
                self.fail(f"{series} is {self.value(node, series)}, wanted {wanted}")
            time.sleep(0.05)

    def test_what_is_counted(self):
        node = self.member()
        with Api(node) as api:
            lease = api.LeaseGrant(TTL=100).ID
            before = self.value(node, "etcd_mvcc_range_total")
            api.Put(key=b"a", value=b"123")
            api.Put(key=b"b", value=b"1", lease=lease)
            api.Range(key=b"a")
            api.DeleteRange(key=b"a")
            api.Txn(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"c")),
                             pb.RequestOp(request_range=pb.RangeRequest(key=b"c"))])
            keeping = api.stream("LeaseKeepAlive")
            keeping.send(pb.LeaseKeepAliveRequest(ID=lease))
            keeping.next()
            keeping.close()
            watch = api.watch(b"d", metadata=[("client-api-version", "9.9")])
            api.Put(key=b"d", metadata=[("client-api-version", "9.9")])
            watch.events(1)
            watch.close()
            api.LeaseRevoke(ID=lease)
        for series, wanted in (
                ("etcd_mvcc_put_total", 4), ("etcd_mvcc_delete_total", 2),
                ("etcd_mvcc_txn_total", 1), ("etcd_mvcc_range_total", before + 2),
                ("etcd_debugging_mvcc_total_put_size_in_bytes", 4 + 2 + 1 + 1),
                ("etcd_debugging_mvcc_events_total", 1),
                ("etcd_debugging_lease_granted_total", 1),
                ("etcd_debugging_lease_renewed_total", 1),
                ("etcd_debugging_lease_revoked_total", 1),
                ('etcd_debugging_lease_ttl_total_bucket{le="64"}', 0),
                ('etcd_debugging_lease_ttl_total_bucket{le="128"}', 1),
                ('etcd_server_apply_duration_seconds_count'
                 '{op="Put",success="true",version="v3"}', 3),
                ('etcd_server_client_requests_total{client_api_version="9.9",type="unary"}', 1),
                ('etcd_server_client_requests_total{client_api_version="9.9",type="stream"}', 1),
                ("etcd_server_is_learner", 0), ('etcd_cluster_version{cluster_version="3.6"}', 1)):
            self.wait(node, series, wanted)
        self.assertNotIn("grpc_server_handling_seconds", scrape(node))

    def test_versions_of_clients_are_bounded(self):
        node = self.member()
        with Api(node) as api:
            for number in range(50):
                api.Range(key=b"a", metadata=[("client-api-version", f"v{number}")])
            api.Range(key=b"a", metadata=[("client-api-version", "x" * 100)])
        count = scrape(node).count('etcd_server_client_requests_total{')
        self.assertLess(count, 40)
        self.wait(node, 'etcd_server_client_requests_total'
                  '{client_api_version="other",type="unary"}', 51 - 32)

    def test_a_version_that_is_no_text_is_passed_over(self):
        """By the gateway, as gRPC's metadata could not carry it: who scrapes could not read it."""
        for name, program in (("own", None), ("reference", reference("etcd"))):
            node = self.member(name=name, program=program)
            request = urllib.request.Request(
                node.client_url + "/v3/kv/range", b'{"key":"YQ=="}',
                {"Grpc-Metadata-Client-Api-Version": b"\xff".decode("latin-1")})
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.assertEqual(200, answer.status)
            with urllib.request.urlopen(node.client_url + "/metrics", timeout=60) as answer:
                self.assertIn('etcd_server_client_requests_total{client_api_version="unknown",'
                              'type="unary"} 1\n', answer.read().decode("utf-8"))

    def test_what_a_lock_does_inside_is_not_counted(self):
        node = self.member()
        request = urllib.request.Request(node.client_url + "/v3/lock/lock", b'{"name":"YQ=="}',
                                         {"Grpc-Metadata-Client-Api-Version": "9.9.9"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            self.assertEqual(200, answer.status)
        self.wait(node, 'etcd_server_client_requests_total'
                  '{client_api_version="9.9.9",type="unary"}', 1)
        self.assertNotIn('client_api_version="9.9.9",type="stream"', scrape(node))

    def test_alarms_come_and_go(self):
        node = self.member()
        with Api(node) as api:
            me = api.Status().header.member_id
            api.Alarm(action=1, memberID=me, alarm=1)
            series = f'etcd_debugging_server_alarms{{alarm_type="NOSPACE",server_id="{me:x}"}}'
            self.wait(node, series, 1)
            api.Alarm(action=2, memberID=me, alarm=1)
            self.wait(node, series, 0)

    def test_an_alarm_of_a_type_without_a_name(self):
        """Members of etcd end at it. Nothing is damaged here."""
        node = self.member()
        with Api(node) as api:
            me = api.Status().header.member_id
            api.Alarm(action=1, memberID=me, alarm=99)
            self.assertEqual([f"memberID:{me} alarm:99 "], list(api.Status().errors))
        status, said = node.get("/health")
        self.assertEqual((503, "ALARM UNKNOWN"), (status, json.loads(said)["reason"]))
        self.assertEqual(200, node.get("/readyz")[0])
        self.wait(node, 'etcd_debugging_server_alarms{alarm_type="UNKNOWN",'
                  f'server_id="{me:x}"}}', 1)

    def test_auth_revision(self):
        node = self.member()
        with Api(node):
            self.assertEqual(1, self.value(node, "etcd_debugging_auth_revision"))
            request = urllib.request.Request(node.client_url + "/v3/auth/role/add",
                                             data=b'{"name":"r"}')
            urllib.request.urlopen(request, timeout=60).close()
            self.wait(node, "etcd_debugging_auth_revision", 2)

    def test_gzip_when_asked(self):
        node = self.member()
        for asked, is_packed in (("gzip", True), ("deflate, gzip;q=0.5", True), ("identity", False),
                                 ("gzipped", False)):
            request = urllib.request.Request(node.client_url + "/metrics",
                                             headers={"Accept-Encoding": asked})
            with urllib.request.urlopen(request, timeout=60) as answer:
                body = answer.read()
                self.assertEqual("gzip" if is_packed else None, answer.headers["Content-Encoding"])
            text = gzip.decompress(body) if is_packed else body
            self.assertIn(b"etcd_server_has_leader 1", text)

    def test_handling_seconds_are_observed(self):
        node = self.member(flags=["--metrics=extensive"])
        with Api(node) as api:
            for _ in range(3):
                api.Range(key=b"a")
            api.watch(b"a").close()
        labels = 'grpc_method="%s",grpc_service="etcdserverpb.%s",grpc_type="%s"'
        self.wait(node, "grpc_server_handling_seconds_count{"
                  + labels % ("Range", "KV", "unary") + "}", 3)
        self.wait(node, "grpc_server_handling_seconds_count{"
                  + labels % ("Watch", "Watch", "bidi_stream") + "}", 1)
