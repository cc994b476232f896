# SPDX-License-Identifier: Apache-2.0
"""curl: the JSON gateway and the pages beside it; the same requests to the reference, and the
bodies compared."""
import base64
import json
import os
import re
import shutil
import subprocess

from lib import Case, Member, reference


def b64(text):
    return base64.b64encode(text.encode()).decode()


# What is asked in this order on both: path, body. LEASE is the lease granted below.
CALLS = [
    ("kv/put", {"key": b64("a"), "value": b64("1")}),
    ("kv/put", {"key": b64("a"), "value": b64("2"), "prev_kv": True}),
    ("kv/put", {"key": b64("b"), "value": b64("3")}),
    ("kv/range", {"key": b64("a")}),
    ("kv/range", {"key": b64("a"), "range_end": b64("c"), "limit": "1"}),
    ("kv/range", {"key": b64("a"), "range_end": b64("c"), "sort_order": "DESCEND",
                  "sort_target": "VALUE"}),
    ("kv/range", {"key": b64("a"), "range_end": b64("c"), "count_only": True}),
    ("kv/range", {"key": b64("a"), "revision": 2}),
    ("kv/range", {"key": b64("a"), "revision": "99"}),
    ("kv/range", {}),
    ("kv/range", {"key": b64("none")}),
    ("kv/txn", {"compare": [{"result": "EQUAL", "target": "MOD", "key": b64("a"),
                             "mod_revision": "3"}],
                "success": [{"request_put": {"key": b64("c"), "value": b64("4")}},
                            {"request_range": {"key": b64("a")}}],
                "failure": [{"request_delete_range": {"key": b64("a")}}]}),
    ("kv/txn", {"compare": [{"target": "VALUE", "key": b64("a"), "value": b64("no")}],
                "failure": [{"request_delete_range": {"key": b64("c"), "prev_kv": True}}]}),
    ("kv/txn", {"success": [{"request_put": {"key": b64("x")}},
                            {"request_put": {"key": b64("x")}}]}),
    ("kv/deleterange", {"key": b64("b"), "prev_kv": True}),
    ("kv/compaction", {"revision": "3"}),
    ("kv/compaction", {"revision": "3"}),
    ("kv/range", {"key": b64("a"), "revision": "2"}),
    ("lease/grant", {"TTL": "100", "ID": "1234567"}),
    ("lease/grant", {"TTL": "100", "ID": "1234567"}),
    ("kv/put", {"key": b64("l"), "value": b64("1"), "lease": "1234567"}),
    ("lease/timetolive", {"ID": "1234567", "keys": True}),
    ("lease/keepalive", {"ID": "1234567"}),
    ("lease/leases", {}),
    ("lease/revoke", {"ID": "1234567"}),
    ("lease/revoke", {"ID": "1234567"}),
    ("lease/timetolive", {"ID": "1234567"}),
    ("kv/lease/leases", {}),
    ("maintenance/alarm", {}),
    ("maintenance/hash", {"revision": 0}),
    ("maintenance/defragment", {}),
    ("maintenance/transfer-leadership", {"targetID": "1"}),
    ("cluster/member/list", {}),
    ("kv/nothing", {}),
]
BROKEN = ["{", "", "[]", '{"key": 5}', '{"key": "***"}', '{"nothing": 1}', '{"limit": "x"}',
          '{"key":"YQ==","key":"Yg=="}', '{"sortOrder":"SIDEWAYS"}', 'null']


class CurlCase(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("curl"):
            self.skipTest("no curl: install curl")
        self.node = self.member(certs=True)

    def curl(self, node, path, *args, base=None, timeout=60):
        """Status, content type and body."""
        tls = node.certs.curl_flags() if node.certs else []
        done = subprocess.run(
            ["curl", "-s", "-m", str(timeout), *tls, "-w", "\n%{http_code} %{content_type}", *args,
             (base or node.client_url) + path], capture_output=True, text=True, timeout=timeout + 5,
            check=False)
        body, _, tail = done.stdout.rpartition("\n")
        status, _, kind = tail.partition(" ")
        return int(status), kind, body

    def call(self, node, path, body, root="/v3/"):
        return self.curl(node, root + path, "-d",
                         body if isinstance(body, str) else json.dumps(body))

    def reference_member(self):
        other = Member(os.path.join(self.folder, "reference"), self.node.certs,
                       program=reference("etcd"))
        other.is_ready = lambda: self.curl(other, "/health")[0] == 200
        self.addCleanup(other.stop)
        return other.start()


class Gateway(CurlCase):
    def test_all_roots(self):
        for number, root in enumerate(("/v3/", "/v3beta/", "/v3alpha/")):
            put = json.loads(self.call(self.node, "kv/put", {"key": b64("a"), "value": b64("1")},
                                       root)[2])
            self.assertEqual(str(number + 2), put["header"]["revision"])
            status, kind, text = self.call(self.node, "kv/range", {"key": b64("a")}, root)
            self.assertEqual((200, "application/json"), (status, kind))
            self.assertEqual(b64("1"), json.loads(text)["kvs"][0]["value"])

    def test_watch_streams(self):
        tls = self.node.certs.curl_flags()
        watch = subprocess.Popen(
            ["curl", "-sN", "-m", "15", *tls, "-d",
             json.dumps({"create_request": {"key": b64("a"), "prev_kv": True}}),
             self.node.client_url + "/v3/watch"], stdout=subprocess.PIPE, text=True)
        try:
            self.assertTrue(json.loads(watch.stdout.readline())["result"]["created"])
            for value in ("1", "2"):
                self.call(self.node, "kv/put", {"key": b64("a"), "value": b64(value)})
                event = json.loads(watch.stdout.readline())["result"]["events"][0]
                self.assertEqual(b64(value), event["kv"]["value"])
            self.assertEqual(b64("1"), event["prev_kv"]["value"])
        finally:
            watch.kill()
            watch.communicate()

    def test_snapshot_streams(self):
        self.call(self.node, "kv/put", {"key": b64("a"), "value": b64("1")})
        status, _, text = self.call(self.node, "maintenance/snapshot", {})
        self.assertEqual(200, status)
        parts = [json.loads(line)["result"] for line in text.strip().split("\n")]
        blob = b"".join(base64.b64decode(part.get("blob", "")) for part in parts)
        self.assertEqual(32, len(blob) % 512)
        self.assertEqual(b"\xed\xda\x0c\xed", blob[16:20])

    def test_bodies_are_the_references(self):
        other = self.reference_member()
        wrong = []
        for path, body in CALLS + [("kv/range", text) for text in BROKEN]:
            ours, theirs = (self.mask(*self.call(node, path, body)) for node in (self.node, other))
            if ours != theirs:
                wrong.append(f"{path} {body}\n  ours:   {ours}\n  theirs: {theirs}")
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))

    @staticmethod
    def mask(status, kind, text):
        """Ids, terms, hashes and ports are each member's own; which second it is, is chance."""
        text = re.sub(r'"(cluster_id|member_id|ID|leader)":"\d{9,}"', r'"\1":"ID"', text)
        text = re.sub(r'"raft_term":"\d+"', '"raft_term":"T"', text)
        text = re.sub(r'"hash":\d+', '"hash":H', text)
        text = re.sub(r'"TTL":"(\d\d)"', '"TTL":"100"', text)
        text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
        return status, kind, text


class Pages(CurlCase):
    def test_health(self):
        status, kind, text = self.curl(self.node, "/health")
        self.assertEqual((200, {"health": "true", "reason": ""}), (status, json.loads(text)))
        for path in ("/livez", "/readyz"):
            self.assertEqual((200, "ok\n"), self.curl(self.node, path)[::2])

    def test_checks_one_by_one(self):
        for path, checks in (("/livez", ("serializable_read",)),
                             ("/readyz", ("data_corruption", "serializable_read",
                                          "linearizable_read"))):
            verbose = self.curl(self.node, path + "?verbose")[2]
            for check in checks:
                self.assertEqual((200, "ok\n"), self.curl(self.node, f"{path}/{check}")[::2])
                self.assertIn(f"[+]{check} ok", verbose)
                self.assertNotIn(f"[+]{check} ok", self.curl(
                    self.node, f"{path}?verbose&exclude={check}")[2])
            self.assertEqual(404, self.curl(self.node, path + "/nothing")[0])

    def test_manners(self):
        self.assertEqual(405, self.curl(self.node, "/health", "-X", "POST")[0])
        self.assertEqual(405, self.curl(self.node, "/version", "-X", "POST")[0])
        self.assertEqual(404, self.curl(self.node, "/nothing")[0])
        self.assertIn(self.curl(self.node, "/v3/kv/range")[0], (405, 501))
        self.assertEqual(200, self.curl(self.node, "/health", "-I", "-X", "GET")[0])

    def test_version_and_metrics(self):
        version = json.loads(self.curl(self.node, "/version")[2])
        self.assertEqual(["etcdserver", "etcdcluster", "storage"], list(version))
        status, kind, text = self.curl(self.node, "/metrics")
        self.assertEqual(200, status)
        self.assertTrue(kind.startswith("text/plain"))
        for name in ("etcd_server_has_leader 1", "etcd_server_is_leader 1",
                     "etcd_mvcc_db_total_size_in_bytes", "etcd_disk_wal_fsync_duration_seconds",
                     "grpc_server_handled_total", "process_resident_memory_bytes",
                     "etcd_debugging_mvcc_keys_total"):
            self.assertIn(name, text)

    def test_pages_are_the_references(self):
        other = self.reference_member()
        wrong = []
        for args in (["/health"], ["/health?serializable=true"], ["/health?exclude=NOSPACE"],
                     ["/health", "-X", "POST"], ["/version", "-X", "POST"], ["/livez"],
                     ["/livez?verbose"], ["/readyz"], ["/readyz?verbose"],
                     ["/readyz?verbose&exclude=data_corruption"],
                     ["/readyz?verbose&exclude=nothing"], ["/livez/serializable_read"],
                     ["/readyz/nothing"], ["/nothing"], ["/v3/kv/range"], ["/v3/"]):
            ours, theirs = (self.curl(node, *args) for node in (self.node, other))
            # The reference lists its checks in another order every time.
            ours, theirs = ((status, kind, sorted(text.split("\n")))
                            for status, kind, text in (ours, theirs))
            if ours != theirs:
                wrong.append(f"{args}\n  ours:   {ours}\n  theirs: {theirs}")
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))


class Walk(Case):
    """What etcd's documentation has its readers type, to the letter but for the port."""

    COMMANDS = (
        ("""curl -L {url}/v3/kv/put -X POST -d '{{"key": "Zm9v", "value": "YmFy"}}'""",
         '"revision":"2"'),
        ("""curl -L {url}/v3/kv/range -X POST -d '{{"key": "Zm9v"}}'""",
         '"kvs":[{"key":"Zm9v", "create_revision":"2", "mod_revision":"2", "version":"1", '
         '"value":"YmFy"}], "count":"1"}'),
        ("""curl -L {url}/v3/kv/range -X POST -d '{{"key": "Zm9v", "range_end": "Zm9w"}}'""",
         '"count":"1"}'),
        ("""curl -L {url}/v3/kv/txn -X POST -d '{{"compare":[{{"target":"CREATE","key":"Zm9v","""
         """"createRevision":"2"}}],"success":"""
         """[{{"requestPut":{{"key":"Zm9v","value":"YmFy"}}}}]}}'""",
         '"succeeded":true, "responses":[{"response_put":{"header":{"revision":"3"}}}]}'),
        ("""curl -L {url}/v3/kv/txn -X POST -d '{{"compare":[{{"version":"2","result":"EQUAL","""
         """"target":"VERSION","key":"Zm9v"}}],"success":"""
         """[{{"requestRange":{{"key":"Zm9v"}}}}]}}'""",
         '"succeeded":true, "responses":[{"response_range":'),
        ("""curl -L {url}/v3/auth/user/add -X POST -d '{{"name": "root", "password": "pass"}}'""",
         '{"header":'),
        ("""curl -L {url}/v3/auth/role/add -X POST -d '{{"name": "root"}}'""", '{"header":'),
        ("""curl -L {url}/v3/auth/user/grant -X POST -d '{{"user": "root", "role": "root"}}'""",
         '{"header":'),
        ("""curl -L {url}/v3/auth/enable -X POST -d '{{}}'""", '{"header":'),
        ("""curl -L {url}/v3/auth/authenticate -X POST -d """
         """'{{"name": "root", "password": "pass"}}'""", '"token":"'),
        ("""curl -L {url}/v3/kv/put -H 'Authorization: {token}' -X POST -d """
         """'{{"key": "Zm9v", "value": "YmFy"}}'""", '"revision":"4"'),
        ("""curl -L {url}/v3/kv/put -X POST -d '{{"key": "Zm9v", "value": "YmFy"}}'""",
         '{"code":3, "message":"etcdserver: user name is empty"}'),
        ("""curl -L {url}/v3/kv/put -H 'Authorization: nobody.1' -X POST -d """
         """'{{"key": "Zm9v", "value": "YmFy"}}'""",
         '{"code":16, "message":"etcdserver: invalid auth token"}'),
    )

    def walk(self, node):
        """The commands one after the other; what each says, without ids and tokens."""
        token = ""
        said = []
        for command, wanted in self.COMMANDS:
            line = command.format(url=node.client_url, token=token)
            text = subprocess.run(["sh", "-c", line.replace("curl ", "curl -s -m 60 ", 1)],
                                  capture_output=True, text=True, check=True).stdout
            self.assertIn(wanted, text, line)
            found = re.search('"token":"([^"]+)"', text)
            token = found.group(1) if found else token
            text = re.sub(r'"(cluster_id|member_id|raft_term)":"\d+"', r'"\1":"N"', text)
            said.append(re.sub('"token":"[^"]+"', '"token":"T"', text))
        return said

    def setUp(self):
        super().setUp()
        if not shutil.which("curl"):
            self.skipTest("no curl: install curl")

    def test_the_walk(self):
        self.walk(self.member())

    def test_the_walk_is_the_references(self):
        other = Member(os.path.join(self.folder, "reference"), program=reference("etcd"))
        other.is_ready = lambda: self.answers(other)
        self.addCleanup(other.stop)
        other.start()
        self.assertEqual(self.walk(other), self.walk(self.member()))

    def test_long_poll(self):
        """A watch with curl: a line an event, as it happens."""
        node = self.member()
        line = (f"curl -s -m 60 -N {node.client_url}/v3/watch -X POST -d "
                """'{"create_request": {"key":"Zm9v"} }'""")
        with subprocess.Popen(["sh", "-c", "exec " + line], stdout=subprocess.PIPE,
                              text=True) as watch:
            self.assertIn('"created":true}}', watch.stdout.readline())
            for number in range(2, 5):
                subprocess.run(["sh", "-c", self.COMMANDS[0][0].format(url=node.client_url)
                                .replace("curl ", "curl -s -m 60 ", 1)], check=True,
                               stdout=subprocess.DEVNULL)
                event = watch.stdout.readline()
                self.assertIn(f'"mod_revision":"{number}"', event)
            watch.kill()

    @staticmethod
    def answers(node):
        try:
            return node.get("/health")[0] == 200
        except OSError:
            return False
