# SPDX-License-Identifier: Apache-2.0
"""Access control: users, roles and permissions on every way in. The classes name the advisories
whose holes they keep shut."""
import base64
import json
import os
import subprocess
import threading
import urllib.error
import urllib.request

import grpc

from lib import Case, Member, binary, reference
from lib.api import Api


def b64(text):
    return base64.b64encode(text.encode("latin-1")).decode()


class Door:
    """The JSON gateway of a member, as somebody."""

    def __init__(self, node, token=None, client="client"):
        self.node = node
        self.token = token
        self.client = client  # whose certificate, where there is one

    def post(self, path, body):
        """The HTTP status, the type and the text."""
        # without Accept the reference's gateway calls in the name of its own certificate
        headers = {"Accept": "*/*"} | ({"Authorization": self.token} if self.token else {})
        request = urllib.request.Request(self.node.client_url + path, json.dumps(body).encode(),
                                         headers)
        context = self.node.certs.context(self.client) if self.node.certs else None
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read().decode()

    def __call__(self, path, **body):
        """The HTTP status and the parsed body."""
        status, _, text = self.post("/v3/" + path, body)
        return status, json.loads(text)

    def ok(self, path, **body):
        status, answer = self(path, **body)
        if status != 200:
            raise AssertionError(f"{path} {body}: {status} {answer}")
        return answer

    def login(self, name, password):
        answer = self.ok("auth/authenticate", name=name, password=password)
        return Door(self.node, answer["token"], self.client)


def furnish(door):
    """root, and alice who may read and write foo, read [a, c) and write /x/…; access control on.
    Both logged in."""
    door.ok("auth/user/add", name="root", password="rootpw")
    door.ok("auth/user/grant", user="root", role="root")
    door.ok("auth/role/add", name="r")
    for kind, key, end in (("READWRITE", "foo", ""), ("READ", "a", "c"), ("WRITE", "/x/", "/x0")):
        door.ok("auth/role/grant", name="r",
                perm={"permType": kind, "key": b64(key), "range_end": b64(end)})
    door.ok("auth/user/add", name="alice", password="pw")
    door.ok("auth/user/grant", user="alice", role="r")
    door.ok("kv/put", key=b64("secret"), value=b64("1"))
    door.ok("kv/put", key=b64("foo"), value=b64("1"))
    door.ok("auth/enable")
    return door.login("root", "rootpw"), door.login("alice", "pw")


class AuthCase(Case):
    flags = ()

    def setUp(self):
        super().setUp()
        self.node = self.member(flags=list(self.flags) + ["--bcrypt-cost=4"])
        self.nobody = Door(self.node)

    def denied(self, door, path, **body):
        status, answer = door(path, **body)
        self.assertEqual((403, "etcdserver: permission denied"), (status, answer.get("message")),
                         f"{path} {body}: {answer}")

    def empty(self, path, **body):
        status, answer = self.nobody(path, **body)
        self.assertEqual((400, "etcdserver: user name is empty"),
                         (status, answer.get("message")), f"{path} {body}: {answer}")


class Walk(AuthCase):
    def test_etcdctl(self):
        ctl = self.ctl(self.node)
        ctl("user", "add", "root", "--new-user-password=rootpw")
        ctl("user", "grant-role", "root", "root")
        ctl("role", "add", "r")
        ctl("role", "grant-permission", "r", "--prefix=true", "readwrite", "/registry/")
        ctl("user", "add", "alice", "--new-user-password=pw")
        ctl("user", "grant-role", "alice", "r")
        ctl("auth", "enable")
        root, alice = ("--user=root:rootpw", "--user=alice:pw")
        self.assertIn("Authentication Status: true", ctl("auth", "status", root))
        ctl("put", "/registry/a", "1", alice)
        self.assertEqual("/registry/a\n1\n", ctl("get", "/registry/", "--prefix", alice))
        for args in (("put", "other", "1", alice), ("get", "", "--from-key", alice),
                     ("user", "list", alice), ("compact", "2", alice)):
            done = ctl.run(*args)
            self.assertNotEqual(0, done.returncode, args)
            self.assertIn("permission denied", done.stderr, args)
        self.assertIn("user name is empty", ctl.run("get", "/registry/a").stderr)
        self.assertIn("invalid user ID or password",
                      ctl.run("get", "/registry/a", "--user=alice:no").stderr)
        ctl("auth", "disable", root)
        self.assertEqual("/registry/a\n1\n", ctl("get", "/registry/a"))

    def test_curl_with_a_bearer_token(self):
        _, alice = furnish(self.nobody)
        for token in (alice.token, "Bearer " + alice.token):
            door = Door(self.node, token)
            door.ok("kv/put", key=b64("foo"), value=b64("2"))
            self.assertEqual(b64("2"), door.ok("kv/range", key=b64("foo"))["kvs"][0]["value"])
        status, answer = Door(self.node, "no.1")("kv/range", key=b64("foo"))
        self.assertEqual((401, "etcdserver: invalid auth token"), (status, answer["message"]))

    def test_keys_and_ranges(self):
        root, alice = furnish(self.nobody)
        alice.ok("kv/range", key=b64("a"), range_end=b64("c"))
        self.denied(alice, "kv/range", key=b64("a"), range_end=b64("d"))
        self.denied(alice, "kv/put", key=b64("a"), value=b64("1"))
        alice.ok("kv/put", key=b64("/x/1"), value=b64("1"))
        self.denied(alice, "kv/range", key=b64("/x/1"))
        self.denied(alice, "kv/put", key=b64("/x/1"), value=b64("1"), prev_kv=True)
        self.denied(alice, "kv/deleterange", key=b64("/x/"), range_end=b64("/x0"), prev_kv=True)
        alice.ok("kv/deleterange", key=b64("/x/"), range_end=b64("/x0"))
        self.denied(alice, "kv/deleterange", key=b64("secret"))
        self.empty("kv/range", key=b64("foo"))
        root.ok("kv/range", key=b64("\0"), range_end=b64("\0"))

    def test_what_only_administrators_may(self):
        root, alice = furnish(self.nobody)
        for path, body in (
                ("kv/compaction", {"revision": "2"}), ("maintenance/defragment", {}),
                ("maintenance/hash", {}), ("maintenance/snapshot", {}), ("auth/status", {}),
                ("auth/user/list", {}), ("auth/role/list", {}), ("auth/disable", {}),
                ("auth/user/add", {"name": "x", "password": "y"}),
                ("auth/user/get", {"name": "root"}), ("auth/role/get", {"role": "other"}),
                ("maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE"})):
            status, answer = alice(path, **body)
            text = answer.get("message") or answer.get("error", {}).get("message")
            self.assertEqual("etcdserver: permission denied", text, f"{path}: {status} {answer}")
            status, answer = self.nobody(path, **body)
            text = answer.get("message") or answer.get("error", {}).get("message")
            self.assertEqual("etcdserver: user name is empty", text, f"{path}: {status} {answer}")
        self.assertEqual(["r"], alice.ok("auth/user/get", name="alice")["roles"])
        self.assertEqual(3, len(alice.ok("auth/role/get", role="r")["perm"]))
        alice.ok("cluster/member/list")
        alice.ok("maintenance/status")
        alice.ok("maintenance/alarm")
        self.assertTrue(root.ok("auth/status")["enabled"])

    def test_a_change_ends_what_tokens_may(self):
        root, alice = furnish(self.nobody)
        root.ok("auth/user/changepw", name="alice", password="new")
        status, answer = alice("kv/range", key=b64("foo"))
        self.assertEqual("etcdserver: invalid auth token", answer["message"])
        alice = self.nobody.login("alice", "new")
        root.ok("auth/role/revoke", role="r", key=b64("foo"))
        self.denied(alice, "kv/range", key=b64("foo"))
        status, answer = self.nobody("auth/authenticate", name="alice", password="pw")
        self.assertEqual((400, "etcdserver: authentication failed, invalid user ID or password"),
                         (status, answer["message"]))

    def test_users_survive_kill_and_restart(self):
        _, alice = furnish(self.nobody)
        self.node.kill()
        self.node.start()
        self.empty("kv/range", key=b64("foo"))
        alice = self.nobody.login("alice", "pw")
        alice.ok("kv/range", key=b64("foo"))
        self.denied(alice, "kv/range", key=b64("secret"))

    def test_a_restored_snapshot_has_its_users(self):
        furnish(self.nobody)
        snapshot = os.path.join(self.folder, "s.db")
        self.ctl(self.node)("snapshot", "save", snapshot, "--user=root:rootpw")
        self.node.stop()
        other = self.member(name="node2", start=False, flags=["--bcrypt-cost=4"])
        subprocess.run([binary("etcdutl"), "snapshot", "restore", snapshot, "--name=node2",
                        f"--data-dir={other.data_dir}", f"--initial-cluster=node2={other.peer_url}",
                        f"--initial-advertise-peer-urls={other.peer_url}"], check=True,
                       capture_output=True)
        other.start()
        status, answer = Door(other)("kv/range", key=b64("foo"))
        self.assertEqual("etcdserver: user name is empty", answer["message"])
        alice = Door(other).login("alice", "pw")
        alice.ok("kv/range", key=b64("foo"))
        self.denied(alice, "kv/range", key=b64("secret"))

    def test_the_reference_reads_our_users(self):
        furnish(self.nobody)
        snapshot = os.path.join(self.folder, "s.db")
        self.ctl(self.node)("snapshot", "save", snapshot, "--user=root:rootpw")
        other = Member(os.path.join(self.folder, "reference"), program=reference("etcd"))
        subprocess.run([reference("etcdutl"), "snapshot", "restore", snapshot, "--name=node1",
                        f"--data-dir={other.data_dir}", f"--initial-cluster=node1={other.peer_url}",
                        f"--initial-advertise-peer-urls={other.peer_url}"], check=True,
                       capture_output=True)
        other.is_ready = lambda: is_healthy(other)
        self.addCleanup(other.stop)
        other.start()
        alice = Door(other).login("alice", "pw")
        alice.ok("kv/range", key=b64("foo"))
        self.denied(alice, "kv/range", key=b64("secret"))

    def test_leases_of_others(self):
        root, alice = furnish(self.nobody)
        root.ok("lease/grant", TTL="100", ID="77")
        root.ok("kv/put", key=b64("secret"), value=b64("2"), lease="77")
        self.denied(alice, "lease/revoke", ID="77")
        self.denied(alice, "kv/lease/revoke", ID="77")
        self.denied(alice, "lease/timetolive", ID="77", keys=True)
        alice.ok("lease/timetolive", ID="77")
        self.denied(alice, "lease/leases")
        self.denied(alice, "kv/put", key=b64("foo"), value=b64("1"), lease="77")
        status, answer = alice("lease/keepalive", ID="77")
        self.assertIn("permission denied", json.dumps(answer))
        self.empty("lease/grant", TTL="100")
        self.empty("lease/revoke", ID="77")
        self.empty("lease/timetolive", ID="77")
        self.empty("lease/leases")

    def test_what_expires_goes_though_nobody_may_delete_it(self):
        root, _ = furnish(self.nobody)
        status = None
        while status != 200:  # where two seconds are nothing, it is gone before it is used
            root("lease/grant", TTL="2", ID="78")
            status, answer = root("kv/put", key=b64("secret"), value=b64("2"), lease="78")
            self.assertTrue(status == 200 or "lease not found" in json.dumps(answer), answer)
        for _ in range(600):
            if "kvs" not in root.ok("kv/range", key=b64("secret")):
                return
            threading.Event().wait(0.1)
        self.fail("the key outlived its lease")

    def test_passwords_and_tokens_are_in_no_log(self):
        root, alice = furnish(self.nobody)
        Door(self.node, "abcdefghijklmnop.99999")("kv/range", key=b64("foo"))
        self.nobody("auth/authenticate", name="alice", password="wrongpassword")
        with open(self.node.log_path, encoding="utf-8") as file:
            log = file.read()
        for secret in (root.token, alice.token, "rootpw", "wrongpassword", "abcdefghijklmnop"):
            self.assertNotIn(secret, log)
        for folder, _, names in os.walk(self.node.data_dir):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(b"rootpw", file.read(), name)


class Advisories(AuthCase):
    def test_ghsa_rfx7_8w68_q57q_nested_transactions(self):
        _, alice = furnish(self.nobody)
        hidden = {"request_range": {"key": b64("secret")}}
        for op in (hidden, {"request_put": {"key": b64("secret"), "value": b64("0")}},
                   {"request_delete_range": {"key": b64("secret")}}):
            for depth in range(4):
                nested = op
                for _ in range(depth):
                    nested = {"request_txn": {"success": [nested]}}
                self.denied(alice, "kv/txn", success=[nested])
                self.denied(alice, "kv/txn", failure=[nested])
        self.denied(alice, "kv/txn", compare=[{"key": b64("secret"), "target": "VERSION"}],
                    success=[{"request_range": {"key": b64("foo")}}])

    def test_ghsa_x35m_3gp4_4fh5_puts_in_transactions(self):
        root, alice = furnish(self.nobody)
        put = {"key": b64("/x/1"), "value": b64("1")}
        alice.ok("kv/txn", success=[{"request_put": put}])
        self.denied(alice, "kv/txn", success=[{"request_put": dict(put, prev_kv=True)}])
        root.ok("lease/grant", TTL="100", ID="77")
        root.ok("kv/put", key=b64("secret"), value=b64("2"), lease="77")
        self.denied(alice, "kv/txn", success=[{"request_put": dict(put, lease="77")}])

    def test_ghsa_q8m4_xhhv_38mg_nobody_gets_in(self):
        furnish(self.nobody)
        for path in ("kv/compaction", "maintenance/alarm", "lease/grant", "lease/revoke",
                     "lease/timetolive", "lease/leases", "maintenance/status",
                     "cluster/member/list", "maintenance/defragment"):
            self.empty(path)

    def test_ghsa_xg4h_6gfc_h4m8_watches_of_open_ranges(self):
        _, alice = furnish(self.nobody)
        for end in ("\0", "zzz"):
            request = urllib.request.Request(
                self.node.client_url + "/v3/watch",
                json.dumps({"create_request": {"key": b64("foo"),
                                               "range_end": b64(end)}}).encode(),
                {"Authorization": alice.token})
            with urllib.request.urlopen(request, timeout=60) as stream:
                answer = json.loads(stream.readline())["result"]
            self.assertTrue(answer["canceled"])
            self.assertEqual("rpc error: code = PermissionDenied desc = "
                             "etcdserver: permission denied", answer["cancel_reason"])

    def test_watch_of_nobody(self):
        furnish(self.nobody)
        request = urllib.request.Request(
            self.node.client_url + "/v3/watch",
            json.dumps({"create_request": {"key": b64("foo")}}).encode())
        with urllib.request.urlopen(request, timeout=60) as stream:
            answer = json.loads(stream.readline())["result"]
        self.assertTrue(answer["canceled"])
        self.assertEqual("rpc error: code = InvalidArgument desc = "
                         "etcdserver: user name is empty", answer["cancel_reason"])


IGNORED = ("CommonName of client sending a request against gateway will be ignored and not used "
           "as expected\n")


def nameless(certs):
    """Another client's certificate, without a common name."""
    cert, key = certs.pair("nameless")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/O=nobody", "-days", "2",
                    "-CA", certs.ca, "-CAkey", certs.path("ca.key"), "-addext",
                    "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)


class Certificates(Case):
    def test_the_common_name_is_the_user_on_grpc(self):
        certs = self.certs()
        node = self.member(certs=certs, flags=["--bcrypt-cost=4"])
        subject = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline",
                                  "-in", certs.pair()[0]], capture_output=True, text=True,
                                 check=True).stdout
        name = [line.split("=")[1].strip() for line in subject.splitlines()
                if "commonName" in line][0]
        ctl = self.ctl(node)
        ctl("user", "add", "root", "--new-user-password=rootpw")
        ctl("user", "grant-role", "root", "root")
        ctl("role", "add", "r")
        ctl("role", "grant-permission", "r", "readwrite", "foo")
        ctl("user", "add", name, "--no-password")
        ctl("user", "grant-role", name, "r")
        ctl("auth", "enable")
        ctl("put", "foo", "1")
        self.assertIn("permission denied", ctl.run("put", "bar", "1").stderr)
        with Api(node) as api:
            api.Range(key=b"foo")
            with self.assertRaises(grpc.RpcError) as refused:  # a gateway's own certificate
                api.Range(key=b"foo", metadata=[("grpcgateway-accept", "*/*")])
            self.assertEqual("etcdserver: user name is empty", refused.exception.details())
        # the gateway speaks for many: its caller's certificate is nobody, who is told so
        status, kind, text = Door(node).post("/v3/kv/range", {"key": b64("foo")})
        self.assertEqual((400, "text/plain; charset=utf-8", IGNORED), (status, kind, text))
        nameless(certs)
        status, answer = Door(node, client="nameless")("kv/range", key=b64("foo"))
        self.assertEqual("etcdserver: user name is empty", answer["message"])

    def test_a_certificate_without_a_name_on_grpc(self):
        """It is somebody who may do nothing, and no nobody: `endpoint health` finds that fine."""
        certs = self.certs()
        nameless(certs)
        said = []
        for name, program in (("own", None), ("reference", reference("etcd"))):
            node = self.member(name=name, certs=certs, program=program, flags=["--bcrypt-cost=4"])
            furnish(Door(node, client="nameless"))
            with Api(node, client="nameless") as api:
                said.append([])
                for call in (lambda a: a.Range(key=b"foo"), lambda a: a.Put(key=b"foo"),
                             lambda a: a.UserGet(name="root"),
                             lambda a: a.LeaseGrant(TTL=60)):
                    try:
                        call(api)
                        said[-1].append("fine")
                    except grpc.RpcError as error:
                        said[-1].append((error.code(), error.details()))
        self.assertEqual(said[1], said[0])
        self.assertEqual("etcdserver: permission denied", said[0][0][1])
        self.assertEqual("fine", said[0][3])  # a lease

    def test_the_gateway_takes_names_as_the_reference_does(self):
        certs = self.certs()
        nameless(certs)
        flags = ["--bcrypt-cost=4"]
        other = Member(os.path.join(self.folder, "reference"), certs, flags=flags,
                       program=reference("etcd"))
        self.addCleanup(other.stop)
        other.start()
        ours, theirs = (self.ask_all(node) for node in (self.member(certs=certs, flags=flags),
                                                        other))
        self.assertEqual(theirs, ours)
        self.assertIn((400, "text/plain; charset=utf-8", IGNORED), ours)

    @staticmethod
    def ask_all(node):
        """As one with a name and one without, with and without a token, before and after access
        control is switched on."""
        body = {"key": b64("foo"), "count_only": True}
        paths = ("/v3/kv/range", "/v3beta/kv/range", "/v3/none", "/v3", "/version")
        said = [Door(node).post("/v3/kv/range", body)[0]]
        root, _ = furnish(Door(node, client="nameless"))
        for token in (None, root.token):
            for client in ("client", "nameless"):
                door = Door(node, token, client)
                said += [door.post(path, body)[:2 if "range" in path and token else 3]
                         for path in paths]
        root.ok("auth/disable")
        return said + [Door(node).post("/v3/kv/range", body)[0]]


class Jwt(AuthCase):
    def setUp(self):
        Case.setUp(self)
        key = os.path.join(self.folder, "jwt.key")
        subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out",
                        key], check=True, capture_output=True)
        self.node = self.member(flags=[f"--auth-token=jwt,sign-method=ES256,priv-key={key},ttl=1m",
                                       "--bcrypt-cost=4"])
        self.nobody = Door(self.node)

    def test_tokens_are_signed(self):
        root, alice = furnish(self.nobody)
        self.assertEqual(3, len(alice.token.split(".")))
        alice.ok("kv/range", key=b64("foo"))
        self.denied(alice, "kv/range", key=b64("secret"))
        head, claims, signature = alice.token.split(".")
        text = json.loads(base64.urlsafe_b64decode(claims + "=="))
        self.assertEqual("alice", text["username"])
        forged = base64.urlsafe_b64encode(
            json.dumps(dict(text, username="root")).encode()).decode().rstrip("=")
        status, answer = Door(self.node, f"{head}.{forged}.{signature}")("auth/user/list")
        self.assertEqual(401, status)
        root.ok("auth/user/list")


class BesideTheReference(AuthCase):
    def test_the_same_answers(self):
        other = Member(os.path.join(self.folder, "reference"), program=reference("etcd"),
                       flags=["--bcrypt-cost=4"])
        other.is_ready = lambda: is_healthy(other)
        self.addCleanup(other.stop)
        other.start()
        sides = [Door(self.node), Door(other)]
        self.compare(sides, SETTING_UP)
        for number, (name, password) in enumerate((("root", "rootpw"), ("alice", "pw"))):
            users = [side.login(name, password) for side in sides]
            self.compare(users, ASKED[number])
        self.compare(sides, ASKED[2])

    def compare(self, sides, calls):
        for path, body in calls:
            ours, theirs = ((status, mask(answer)) for status, answer in
                            (side(path, **body) for side in sides))
            self.assertEqual(theirs, ours, f"{path} {body}")


def is_healthy(node):
    try:
        return node.get("/health")[0] == 200
    except OSError:
        return False


def mask(answer):
    """Ids and terms differ."""
    if isinstance(answer, dict):
        return {key: mask(value) for key, value in answer.items()
                if key not in ("cluster_id", "member_id", "raft_term", "token")}
    return answer


SETTING_UP = [
    ("auth/status", {}), ("auth/enable", {}), ("auth/user/add", {"name": ""}),
    ("auth/user/add", {"name": "root", "password": "rootpw"}),
    ("auth/user/add", {"name": "root", "password": "rootpw"}), ("auth/enable", {}),
    ("auth/user/grant", {"user": "root", "role": "root"}),
    ("auth/user/grant", {"user": "nobody", "role": "root"}),
    ("auth/role/add", {"name": ""}), ("auth/role/add", {"name": "r"}),
    ("auth/role/add", {"name": "r"}), ("auth/role/grant", {"name": "r"}),
    ("auth/role/grant", {"name": "r", "perm": {"permType": "READ", "key": ""}}),
    ("auth/role/grant", {"name": "r", "perm": {"key": b64("b"), "range_end": b64("a")}}),
    ("auth/role/grant", {"name": "x", "perm": {"key": b64("b")}}),
    ("auth/role/grant", {"name": "r", "perm": {"permType": "READWRITE", "key": b64("foo")}}),
    ("auth/role/grant", {"name": "r", "perm": {"key": b64("a"), "range_end": b64("c")}}),
    ("auth/role/grant", {"name": "r", "perm": {"permType": "WRITE", "key": b64("m"),
                                               "range_end": b64("\0")}}),
    ("auth/role/get", {"role": "r"}), ("auth/role/get", {"role": "x"}), ("auth/role/list", {}),
    ("auth/role/revoke", {"role": "r", "key": b64("zz")}),
    ("auth/user/add", {"name": "alice", "password": "pw"}),
    ("auth/user/add", {"name": "bob", "options": {"no_password": True}}),
    ("auth/user/grant", {"user": "alice", "role": "r"}),
    ("auth/user/grant", {"user": "alice", "role": "x"}),
    ("auth/user/grant", {"user": "alice", "role": "r"}),
    ("auth/user/get", {"name": "alice"}), ("auth/user/get", {"name": "x"}),
    ("auth/user/revoke", {"name": "alice", "role": "x"}), ("auth/user/list", {}),
    ("auth/user/delete", {"name": "x"}), ("auth/user/changepw", {"name": "x", "password": "y"}),
    ("auth/user/add", {"name": "long", "password": "x" * 73}),
    ("auth/authenticate", {"name": "alice", "password": "pw"}),
    ("kv/put", {"key": b64("foo"), "value": b64("1")}),
    ("kv/put", {"key": b64("secret"), "value": b64("1")}),
    ("auth/enable", {}), ("auth/enable", {}), ("kv/range", {"key": b64("foo")}),
    ("kv/put", {"key": b64("foo")}), ("kv/deleterange", {"key": b64("foo")}),
    ("auth/authenticate", {"name": "alice", "password": "no"}),
    ("auth/authenticate", {"name": "x", "password": "no"}),
    ("auth/authenticate", {"name": "bob", "password": "no"}),
    ("auth/user/list", {}), ("auth/status", {}), ("lease/grant", {"TTL": "9"}),
]
KEYS = [
    (path, dict(extra, key=b64(key), range_end=b64(end)))
    for path in ("kv/range", "kv/deleterange") for extra in ({}, {"prev_kv": True})
    for key, end in (("foo", ""), ("foo", "\0"), ("foo", "fop"), ("foo", "foo\0"), ("a", "b"),
                     ("a", "c"), ("a", "c\0"), ("b", "\0"), ("m", "\0"), ("zz", ""), ("m", "zz"),
                     ("l", "\0"), ("\0", "\0"), ("c", "a"), ("n", "m"))
    if path != "kv/range" or not extra]
PUTS = [("kv/put", dict(extra, key=b64(key), value=b64("1")))
        for extra in ({}, {"prev_kv": True}) for key in ("foo", "a", "m", "zz", "fo", "fooo")]
ASKED = [
    KEYS + PUTS + [
        ("auth/user/delete", {"name": "root"}), ("auth/role/delete", {"role": "root"}),
        ("auth/user/revoke", {"name": "root", "role": "root"}), ("auth/status", {}),
        ("auth/user/list", {}), ("auth/role/list", {}), ("cluster/member/list/x", {})],
    KEYS + PUTS + [
        ("kv/txn", {"compare": [{"key": b64("secret")}]}),
        ("kv/txn", {"success": [{"request_put": {"key": b64("foo")}}]}),
        ("kv/txn", {"success": [{"request_put": {"key": b64("secret")}}]}),
        ("kv/txn", {"success": [{"request_put": {"key": b64("m"), "prev_kv": True}}]}),
        ("kv/txn", {"failure": [{"request_txn": {"success": [
            {"request_range": {"key": b64("secret")}}]}}]}),
        ("auth/user/get", {"name": "alice"}), ("auth/user/get", {"name": "bob"}),
        ("auth/role/get", {"role": "r"}), ("auth/role/get", {"role": "root"}),
        ("auth/user/list", {}), ("auth/disable", {}),
        ("lease/grant", {"TTL": "100", "ID": "5"}), ("lease/timetolive", {"ID": "5"}),
        ("lease/revoke", {"ID": "5"}), ("lease/leases", {}), ("kv/compaction", {"revision": "2"})],
    [("kv/compaction", {"revision": "2"})],
]
