# SPDX-License-Identifier: Apache-2.0
"""Whatever comes from outside has a defined outcome, and costs nothing that was acknowledged."""
import errno
import glob
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import unittest
import unittest.mock
import urllib.error
import urllib.request

import grpc

from lib import Case, Certs, Etcdctl, Member, binary, reference
from lib.api import Api, op_put, pb


def records_end(body):
    """Where the write-ahead log's last record ends: each is a length (its upper byte the padding)
    and that many bytes."""
    at = 0
    while head := int.from_bytes(body[at:at + 8], "little"):
        at += 8 + (head & (1 << 56) - 1) + (head >> 56 & 7)
    return at


class Wire(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member(certs=True)
        self.api = Api(self.node)
        self.addCleanup(self.api.close)
        self.api.Put(key=b"a", value=b"1")

    def assertServes(self):
        self.assertEqual(b"1", self.api.Range(key=b"a").kvs[0].value)
        self.assertIsNone(self.node.process.poll())

    def connect(self):
        self.addCleanup((sock := socket.create_connection(
            ("127.0.0.1", self.node.client_port), timeout=60)).close)
        return sock

    def fails(self, call, *args, **rest):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args, **rest)
        return caught.exception.code(), caught.exception.details()

    def test_malformed_protobuf(self):
        for body in (b"\xff" * 20, b"\x0a\x05ab", b"\x0a\xff\xff\xff\xff\x0f",
                     b"\x08" + b"\x80" * 11):
            for path in ("/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"):
                code, text = self.fails(self.api.raw, path, body)
                self.assertIn(code, (grpc.StatusCode.INTERNAL,
                                     grpc.StatusCode.INVALID_ARGUMENT), text)
        self.assertServes()

    def test_unknown_method_and_service(self):
        for path, text in (("/etcdserverpb.KV/Nothing", "unknown method Nothing for service "
                            "etcdserverpb.KV"), ("/no.Service/X", "unknown service no.Service")):
            self.assertEqual((grpc.StatusCode.UNIMPLEMENTED, text),
                             self.fails(self.api.raw, path, b""))

    def test_oversized_request_is_refused_as_the_reference_does(self):
        wanted = (grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large")
        self.assertEqual(wanted, self.fails(self.api.Put, key=b"a", value=b"x" * (1536 * 1024)))
        code, text = self.fails(self.api.Put, key=b"a", value=b"x" * (3 << 20))
        self.assertEqual(grpc.StatusCode.RESOURCE_EXHAUSTED, code)
        self.assertRegex(text, r"received message larger than max \(\d+ vs\. 2097152\)")
        self.assertServes()

    def test_bad_frames_in_a_tls_stream(self):
        context = self.node.certs.context()
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        for body in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64, b"\x16\x03" * 50,
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x04" + b"\0" * 500):
            with context.wrap_socket(self.connect()) as tls:
                tls.sendall(body)
                try:
                    while tls.recv(4096):
                        pass
                except (OSError, ssl.SSLError):
                    pass
        self.assertServes()

    def test_plain_text_on_the_tls_port(self):
        for body in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            sock = self.connect()
            sock.sendall(body)
            try:
                self.assertNotIn(b"health", sock.recv(4096))
            except ConnectionError:
                pass
        self.assertServes()

    def test_silent_connections_are_let_go(self):
        """Hundreds that say nothing, half of something, or no more after their first word, end by
        themselves, while a client goes on."""
        plain = self.member(name="plain")
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        beginnings = ((b"", b"PRI * HT", preface),
                      (b"", b"\x16\x03\x01\x02\x00\x01", self.hello("h2"),
                       self.hello("http/1.1")))
        silent = []
        for number in range(600):
            port = self.node.client_port if number % 2 else plain.client_port
            sock = socket.create_connection(("127.0.0.1", port), timeout=60)
            self.addCleanup(sock.close)
            sock.setblocking(False)
            kinds = beginnings[number % 2]
            said = kinds[number // 2 % len(kinds)]
            if said:
                sock.sendall(said)
            silent.append(sock)
        deadline = time.monotonic() + 120
        with Api(plain) as other:
            while silent and time.monotonic() < deadline:
                for api in (self.api, other):
                    api.Put(key=b"a", value=b"1", timeout=60)
                silent = [sock for sock in silent if not self.has_ended(sock)]
                time.sleep(0.1)
        self.assertEqual([], silent, "connections that never spoke are still there")

    def hello(self, protocol):
        """The first bytes of a handshake, which then stops."""
        context = self.node.certs.context()
        context.set_alpn_protocols([protocol])
        sent = ssl.MemoryBIO()
        tls = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        return sent.read()

    @staticmethod
    def has_ended(sock):
        try:
            return sock.recv(4096) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def test_half_handshakes_keep_nobody_out(self):
        halves = [self.connect() for _ in range(300)]
        for number, sock in enumerate(halves):
            if number % 2:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        with Api(self.node) as api:
            self.assertEqual(b"1", api.Range(key=b"a").kvs[0].value)
        self.assertEqual(200, self.node.get("/health", timeout=60)[0])

    def test_client_certificate_is_required_of_grpc(self):
        with Api(self.node, client=None) as api:
            self.assertEqual(grpc.StatusCode.UNAVAILABLE,
                             self.fails(api.Range, key=b"a", timeout=60)[0])
        stranger = Certs(os.path.join(self.folder, "stranger"))
        shutil.copy(self.node.certs.ca, stranger.ca)
        target = f"127.0.0.1:{self.node.client_port}"
        with Api(unittest.mock.Mock(target=target, certs=stranger)) as api:
            self.assertEqual(grpc.StatusCode.UNAVAILABLE,
                             self.fails(api.Range, key=b"a", timeout=60)[0])
        self.assertServes()

    def test_wrong_json(self):
        context = self.node.certs.context()
        for body in (b"{", b"", b"[]", b'{"key": 5}', b'{"key": "***"}', b'{"nothing": 1}',
                     b"[" * 100000, b'{"limit": "x"}', b"\xff\xfe"):
            request = urllib.request.Request(self.node.client_url + "/v3/kv/range", data=body,
                                             method="POST")
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=60, context=context)
            self.assertEqual(400, caught.exception.code, body[:20])
            self.assertIn("message", json.loads(caught.exception.read()))
        self.assertServes()


class LikeReference(Case):
    """What the reference answers to the same bytes: code and text."""

    MALFORMED = (b"\xff" * 20, b"\x0a\x05ab", b"\x0a\xff\xff\xff\xff\x0f",
                 b"\x08" + b"\x80" * 11, b"\x0b", b"\x0a\x80", b"\x00", b"\x0c",
                 b"\x0a" + b"\xff" * 9 + b"\x01", b"\x18" + b"\xff" * 11 + b"\x01",
                 b"\x0d\x01\x02\x03\x04",
                 b"\xf8\xff\xff\xff\x7f\x01", b"\x0b\x08\x01\x0c", b"\x0a\x01a\x0f",
                 b"\xa3\x06\x08\x01", b"\xa7\x06", b"\xa3\x06\xa4\x06\x0c", b"\x12\x02\x0a\x05",
                 b"\x12\x04\x0a\x02\x0a\x09", b"\x1a\x03\x0a\x01\x0b")
    PATHS = ("KV/Range", "KV/Put", "KV/DeleteRange", "KV/Txn", "KV/Compact", "Lease/LeaseGrant",
             "Lease/LeaseRevoke", "Maintenance/Alarm", "Maintenance/HashKV")
    JSON = (b"{", b"", b"[]", b'{"key": 5}', b'{"key": "***"}', b'{"nothing": 1}',
            b'{"limit": "x"}', b"[" * 90, b"\xff\xfe", b'{"key":null}', b"null", b'"a"', b"5",
            b'{"limit":1.5}', b'{"limit":"99999999999999999999"}', b'{"serializable":"yes"}',
            b'{"sort_order":"UP"}',
            b'{"key":"YQ=="', b'{"compare":{}}', b'{"compare":[{"target":"NOPE"}]}',
            b'{"success":[5]}', b'{"TTL":"a"}')
    HTTP = (b"GET /health HTTP/1.1\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6"
            b"\r\n\r\nhello",
            b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nope\r\n\r\n")

    def setUp(self):
        super().setUp()
        self.nodes = [self.member(name=name, start=False, program=program)
                      for name, program in (("theirs", reference("etcd")), ("ours", None))]
        for node in self.nodes:
            node.start()
        self.apis = [Api(node) for node in self.nodes]
        for api in self.apis:
            self.addCleanup(api.close)

    @staticmethod
    def answer(api, path, body):
        try:
            api.raw(path, body)
            return "taken"
        except grpc.RpcError as error:
            return error.code(), error.details()

    def same(self, path, body):
        theirs, ours = (self.answer(api, path, body) for api in self.apis)
        self.assertEqual(theirs, ours, (path, body[:40]))

    def test_malformed_protobuf(self):
        for path in self.PATHS:
            for body in self.MALFORMED:
                self.same("/etcdserverpb." + path, body)

    def test_methods_that_are_not_there(self):
        for path in ("/a/b/c", "/x", "", "/etcdserverpb.KV/", "/etcdserverpb.KV/range",
                     "/etcdserverpb.None/Range"):
            self.same(path, b"")

    def test_health_service(self):
        for service in ("", "etcdserverpb.KV", "etcd"):
            body = pb.HealthCheckRequest(service=service).SerializeToString()
            got = []
            for api in self.apis:
                try:
                    checked = api.raw("/grpc.health.v1.Health/Check", body)
                except grpc.RpcError as error:
                    checked = error.code(), error.details()
                watch = api.channel.unary_stream("/grpc.health.v1.Health/Watch")(body, timeout=60)
                got.append((checked, next(iter(watch))))
                watch.cancel()
            self.assertEqual(*got, service)

    def test_sizes(self):
        for size in (1536 * 1024 - 64, 1536 * 1024, 2 << 20, 3 << 20):
            self.same("/etcdserverpb.KV/Put",
                      pb.PutRequest(key=b"a", value=b"x" * size).SerializeToString())

    def post(self, node, path, body):
        request = urllib.request.Request(node.client_url + path, data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def test_wrong_json(self):
        for path in ("/v3/kv/range", "/v3/kv/put", "/v3/kv/txn", "/v3/lease/grant",
                     "/v3/kv/nothing", "/v4/kv/range", "/v3/kv/range/"):
            for body in self.JSON:
                theirs, ours = (self.post(node, path, body) for node in self.nodes)
                self.assertEqual(theirs, ours, (path, body[:40]))

    def test_bad_requests_of_http(self):
        for text in self.HTTP:
            got = []
            for node in self.nodes:
                with socket.create_connection(("127.0.0.1", node.client_port), 5) as sock:
                    sock.sendall(text)
                    head, _, body = sock.recv(4096).partition(b"\r\n\r\n")
                    got.append((head.split(b"\r\n")[0], body))
            self.assertEqual(*got, text)


class Start(Case):
    """Starts that must be refused, with words, and leave everything as it was."""

    def refused(self, node, seconds=60):
        node.start(wait=False)
        code = node.process.wait(seconds)
        self.assertNotEqual(0, code)
        return node.log_tail(30)

    def filled(self, count=20, flags=()):
        node = self.member(certs=True, flags=flags)
        with Api(node) as api:
            for number in range(count):
                api.Put(key=b"k%03d" % number, value=b"v" * 500)
        return node

    def test_command_lines_are_refused_as_the_reference_does(self):
        for args in (["--bogus"], ["--name"], ["--max-request-bytes=abc"],
                     ["--heartbeat-interval=x"],
                     ["extra"], ["--listen-client-urls=nonsense"], ["--heartbeat-interval=0"]):
            got = []
            for program in (reference("etcd"), binary("etcd")):
                done = subprocess.run([program, *args], capture_output=True, text=True, timeout=60,
                                      cwd=self.folder, check=False)
                got.append((done.returncode, (done.stderr + done.stdout).split("\n", 1)[0]
                            if not (done.stderr + done.stdout).startswith("{") else ""))
            self.assertEqual(got[0], got[1], args)

    def test_second_start_is_refused_by_lock(self):
        node = self.filled()
        other = Member(node.folder, node.certs)
        other.log_path = os.path.join(self.folder, "other.log")
        self.assertRegex(self.refused(other), "data directory .* is in use by another process")
        self.assertEqual("20\n", Etcdctl(node)("get", "k", "--prefix", "--count-only",
                                               "--write-out=fields").split('"Count" : ')[1])

    def test_store_of_etcd_itself_is_left_alone(self):
        node = self.member(start=False)
        path = os.path.join(node.data_dir, "member", "snap", "db")
        os.makedirs(os.path.dirname(path), 0o700)
        os.chmod(node.data_dir, 0o700)
        with open(path, "wb") as file:
            file.write(b"\0" * 8192)
        self.assertIn("snap/db", self.refused(node))
        self.assertEqual(8192, os.path.getsize(path))

    def test_data_directory_that_is_a_file(self):
        node = self.member(start=False)
        os.makedirs(node.folder, exist_ok=True)
        with open(node.data_dir, "w", encoding="ascii") as file:
            file.write("x")
        self.assertIn(node.data_dir, self.refused(node))

    def test_data_directory_that_others_may_enter(self):
        """As etcd: a warning, no refusal."""
        node = self.member(start=False)
        os.makedirs(node.data_dir)
        os.chmod(node.data_dir, 0o755)
        node.start()
        with open(node.log_path, encoding="utf-8") as file:
            self.assertRegex(file.read(), "check file permission.*0755.*0700")

    @unittest.skipUnless(os.geteuid() == 0, "changing a user needs root")
    def test_data_directory_of_another_user(self):
        node = self.filled()
        node.terminate()
        os.chmod(self.folder, 0o755)
        # The tree may lie where another user does not come.
        node.program = shutil.copy2(node.program, self.folder)
        done = subprocess.run(node.command(), user=65534, group=65534, extra_groups=[],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertRegex(done.stdout + done.stderr, "[Pp]ermission denied")

    def test_data_directory_of_a_newer_etcd(self):
        """Its database, with another version in it, is left as it is."""
        node = self.filled()
        node.terminate()
        subprocess.run([binary("etcdutl"), "migrate", "--data-dir", node.data_dir,
                        "--target-version", "3.6"], check=True, capture_output=True, timeout=60)
        path = os.path.join(node.data_dir, "member", "snap", "db")
        with open(path, "r+b") as file:
            body = file.read()
            changed = body.replace(b"storageVersion3.6.0", b"storageVersion3.8.0")
            self.assertNotEqual(body, changed)
            file.seek(0)
            file.write(changed)
        self.assertRegex(self.refused(node), "invalid downgrade.*member/snap/db is of 3.8.0")
        with open(path, "rb") as file:
            self.assertEqual(changed, file.read())

    def wal(self, node):
        return sorted(glob.glob(os.path.join(node.data_dir, "member", "wal", "*.wal")))[-1]

    def test_corrupt_record_in_the_middle_of_the_log(self):
        node = self.filled(60)
        node.kill()
        path = self.wal(node)
        with open(path, "r+b") as file:
            body = file.read()
            place = body.index(b"k030") + 100
            file.seek(place)
            file.write(b"\xee")
        said = self.refused(node)
        self.assertIn(os.path.basename(path), said)
        with open(path, "rb") as file:
            self.assertEqual(body[:place] + b"\xee" + body[place + 1:], file.read())

    def test_torn_tail_is_repaired(self):
        """The last write's first sectors came to the disk before the crash, the rest did not."""
        node = self.filled(60)
        with Api(node) as api:
            api.Put(key=b"k900", value=b"torn" * 1500)
        node.kill()
        path = self.wal(node)
        with open(path, "r+b") as file:
            body = file.read()
            end = records_end(body)
            sector = (body.index(b"k900") + 1024) & ~511
            self.assertLess(sector, end)
            file.seek(sector)
            file.write(b"\0" * (end - sector))
        node.start()
        with Api(node) as api:
            self.assertEqual(60, api.Range(key=b"k", range_end=b"l", count_only=True).count)
            api.Put(key=b"k100", value=b"after")
        node.kill()
        node.start()
        with Api(node) as api:
            self.assertEqual(61, api.Range(key=b"k", range_end=b"l", count_only=True).count)

    def test_store_without_log(self):
        node = self.filled()
        node.terminate()
        shutil.rmtree(os.path.join(node.data_dir, "member", "wal"))
        said = self.refused(node)
        self.assertIn("holds no log", said)
        self.assertIn("if it is the only member of its cluster, restore the member", said)
        self.assertIn("else remove this member from the cluster and add it again", said)

    def test_store_that_is_lost_comes_back_from_a_whole_log(self):
        node = self.filled()
        node.terminate()
        shutil.rmtree(os.path.join(node.data_dir, "member", "store"))
        node.start()
        with Api(node) as api:
            self.assertEqual(20, api.Range(key=b"k", range_end=b"l", count_only=True).count)

    def test_store_that_is_lost_behind_a_snapshot(self):
        node = self.filled(60, flags=["--snapshot-count=10"])
        node.terminate()
        shutil.rmtree(os.path.join(node.data_dir, "member", "store"))
        said = self.refused(node)
        self.assertIn("it lost data; restore the member from a snapshot", said)
        self.assertNotIn("add it again", said)


class KeyDirectory(Case):
    def setUp(self):
        super().setUp()
        self.pki = self.certs()
        self.keys = os.path.join(self.folder, "keys")
        os.mkdir(self.keys)

    def offer(self, *names):
        for name in names:
            shutil.copy(self.pki.path(name), self.keys)

    def start(self, certs, **rest):
        node = Member(os.path.join(self.folder, "node1"), certs,
                      flags=[f"--key-dir={self.keys}"], **rest)
        command = [flag for flag in node.command() if not any(
            flag.startswith(word) for word in ("--cert-file", "--key-file", "--client-cert-auth",
                                               "--trusted-ca", "--peer-cert", "--peer-key",
                                               "--peer-client", "--peer-trusted"))]
        if "peer.crt" not in os.listdir(self.keys):
            command = [flag.replace(node.peer_url, node.peer_url.replace("https", "http"))
                       for flag in command]
        node.command = lambda: command
        self.addCleanup(node.stop)
        return node

    def refused(self, certs=True):
        node = self.start(self.pki if certs else None)
        node.start(wait=False)
        self.assertNotEqual(0, node.process.wait(60))
        return node.log_tail(30)

    def test_a_pair_is_https(self):
        self.offer("server.crt", "server.key")
        node = self.start(self.pki).start()
        self.assertEqual(200, node.get("/health", client=None)[0])

    def test_all_five_are_mutual_tls_on_both_sides(self):
        self.offer("server.crt", "server.key", "ca.crt", "peer.crt", "peer.key")
        node = self.start(self.pki).start()
        with self.assertRaises(OSError):
            node.get("/health", client=None)
        self.assertPeerIsMutual(node)
        self.assertEqual([f"{self.keys}: server.crt and server.key with ca.crt: client TLS, client "
                          "certificates required; peer.crt and peer.key with ca.crt: mutual TLS "
                          "between members"], self.detected(node))

    def test_peer_files_alone_are_mutual_tls_between_members(self):
        """By the variable; clients are served as the URL says, without TLS."""
        self.offer("ca.crt", "peer.crt", "peer.key")
        node = self.start(None)
        node.env["ETCD_KEY_DIR"] = self.keys
        command = [flag.replace(node.peer_url, node.peer_url.replace("http:", "https:"))
                   for flag in node.command() if not flag.startswith("--key-dir")]
        node.command = lambda: command
        node.start()
        self.assertEqual(200, node.get("/health")[0])
        self.assertPeerIsMutual(node)
        self.assertEqual([f"{self.keys}: peer.crt and peer.key with ca.crt: mutual TLS between "
                          "members"], self.detected(node))

    def test_flags_win(self):
        self.offer("server.crt", "server.key", "ca.crt", "peer.crt", "peer.key")
        other = Certs(os.path.join(self.folder, "other"))
        cert, key = other.pair("server")
        node = self.start(other)
        command = [*node.command(), f"--cert-file={cert}", f"--key-file={key}"]
        node.command = lambda: command
        node.start()
        self.assertEqual(200, node.get("/health", client=None)[0])
        self.assertPeerIsMutual(node)
        self.assertIn("client side left to the flags", self.detected(node)[0])

    def assertPeerIsMutual(self, node):
        def ask(context):
            url = f"https://127.0.0.1:{node.peer_port}/version"
            with urllib.request.urlopen(url, timeout=60, context=context) as answer:
                return answer.status
        self.assertEqual(200, ask(self.pki.context("peer")))
        with self.assertRaises(OSError):
            ask(self.pki.context(None))

    @staticmethod
    def detected(node):
        """What the log says was detected."""
        with open(node.log_path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.startswith("{")]
        return [line["detected"] for line in lines if "detected" in line]

    def test_three_files_ask_clients_for_certificates(self):
        self.offer("server.crt", "server.key", "ca.crt")
        node = self.start(self.pki).start()
        self.assertEqual(200, node.get("/health")[0])
        with self.assertRaises(OSError):
            node.get("/health", client=None)

    def test_peer_pair_without_its_authority(self):
        self.offer("server.crt", "server.key", "peer.crt", "peer.key")
        self.assertIn("ca.crt", self.refused())

    def test_half_a_peer_pair(self):
        self.offer("server.crt", "server.key", "ca.crt", "peer.key")
        self.assertIn("peer.crt", self.refused())

    @unittest.skipUnless(os.geteuid() == 0, "changing a user needs root")
    def test_key_that_cannot_be_read(self):
        self.offer("server.crt", "server.key")
        for path in (self.folder, self.keys):
            os.chmod(path, 0o755)
        os.chmod(os.path.join(self.keys, "server.crt"), 0o644)
        os.chmod(os.path.join(self.keys, "server.key"), 0o600)
        node = self.start(None)
        os.mkdir(node.folder)
        os.chown(node.folder, 65534, 65534)
        # The tree may lie where another user does not come.
        program = shutil.copy2(binary("etcd"), self.folder)
        done = subprocess.run([program, *node.command()[1:]], user=65534, group=65534,
                              extra_groups=[], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertRegex(done.stdout + done.stderr, "server.key.*[Pp]ermission denied")

    def test_half_a_pair(self):
        self.offer("server.crt")
        self.assertIn("server.key", self.refused())

    def test_mismatched_key(self):
        self.offer("server.crt", "server.key")
        shutil.copy(self.pki.path("peer.key"), os.path.join(self.keys, "server.key"))
        self.assertIn("server.key", self.refused())

    def test_broken_certificate(self):
        self.offer("server.crt", "server.key")
        with open(os.path.join(self.keys, "server.crt"), "w", encoding="ascii") as file:
            file.write("nothing")
        self.assertIn("server.crt", self.refused())

    def test_chain_that_does_not_verify(self):
        self.offer("server.crt", "server.key")
        other = Certs(os.path.join(self.folder, "other"))
        shutil.copy(other.ca, self.keys)
        self.assertIn("server.crt", self.refused())

    def test_expired_certificate(self):
        self.offer("server.key")
        done = subprocess.run(
            ["openssl", "x509", "-req", "-in", self.request(), "-days", "-1", "-CA", self.pki.ca,
             "-CAkey", self.pki.path("ca.key"), "-CAcreateserial", "-out",
             os.path.join(self.keys, "server.crt")], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest("openssl makes no expired certificate: " + done.stderr)
        said = self.refused()
        self.assertIn("server.crt", said)
        self.assertIn("expired", said)

    def request(self):
        path = os.path.join(self.folder, "request")
        subprocess.run(["openssl", "req", "-new", "-key", self.pki.path("server.key"), "-subj",
                        "/CN=node1", "-out", path], check=True, capture_output=True)
        return path


class Quota(Case):
    def test_alarm_of_a_full_store_and_its_end(self):
        node = self.member(certs=True, flags=[f"--quota-backend-bytes={8 << 20}"])
        with Api(node) as api:
            with self.assertRaises(grpc.RpcError) as caught:
                for number in range(200):
                    api.Put(key=b"k%d" % (number % 10), value=os.urandom(256 << 10))
            self.assertEqual((grpc.StatusCode.RESOURCE_EXHAUSTED,
                              "etcdserver: mvcc: database space exceeded"),
                             (caught.exception.code(), caught.exception.details()))
            self.assertLess(api.Status().dbSize, 16 << 20)
            alarms = api.Alarm().alarms
            self.assertEqual([1], [one.alarm for one in alarms])
            last = api.Range(key=b"k0").header.revision
            self.assertTrue(api.Status().errors)
            api.DeleteRange(key=b"k", range_end=b"l")
            api.Compact(revision=last + 1, physical=True)
            api.Defragment(timeout=60)
            api.Alarm(action=2, memberID=alarms[0].memberID, alarm=1)
            self.assertEqual(0, len(api.Alarm().alarms))
            api.Put(key=b"a", value=b"1")

    def test_a_full_store_refuses_before_it_looks_at_the_request(self):
        with Api(self.member(flags=["--quota-backend-bytes=1"])) as api:
            for call in (lambda: api.Put(value=b"1"),
                         lambda: api.Txn(success=[op_put(b"a", b"1"), op_put(b"a", b"1")])):
                with self.assertRaises(grpc.RpcError) as caught:
                    call()
                self.assertEqual("etcdserver: mvcc: database space exceeded",
                                 caught.exception.details())


class FullDisk(Case):
    def test_nothing_acknowledged_is_lost(self):
        disk = os.path.join(self.folder, "disk")
        os.mkdir(disk)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", disk],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest("mount is not permitted: " + done.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        ballast = os.path.join(disk, "ballast")
        node = Member(os.path.join(self.folder, "node1"), self.certs())
        node.data_dir = os.path.join(disk, "data")
        self.addCleanup(node.stop)
        node.start()
        self.leave_little(disk, ballast)
        acknowledged = self.fill(node)
        self.assertLess(len(acknowledged), 1000)
        if node.process.poll() is None:
            node.kill()
        self.assertRegex(node.log_tail(30), "No space left|no space")
        os.unlink(ballast)
        node.start()
        with Api(node) as api:
            got = {kv.key: kv.value for kv in api.Range(key=b"k", range_end=b"l").kvs}
            self.assertEqual([], [key for key, value in acknowledged.items()
                                  if got.get(key) != value])
            api.Put(key=b"a", value=b"1")

    @staticmethod
    def leave_little(disk, ballast):
        """The member makes its next segment meanwhile: what was free may not be any more."""
        deadline = time.monotonic() + 60
        while True:
            free = os.statvfs(disk)
            try:
                with open(ballast, "wb") as file:
                    os.posix_fallocate(file.fileno(), 0,
                                       max(free.f_bavail * free.f_frsize - (4 << 20), 1))
                return
            except OSError as error:
                if error.errno != errno.ENOSPC or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    @staticmethod
    def fill(node):
        """Writes until one is not acknowledged."""
        acknowledged = {}
        with Api(node) as api:
            for number in range(1000):
                key, value = b"k%04d" % number, os.urandom(200 << 10)
                try:
                    api.Put(key=key, value=value, timeout=60)
                except grpc.RpcError:
                    break
                acknowledged[key] = value
        return acknowledged


class Life(Case):
    def test_sigterm_under_load_exits_0(self):
        node = self.member(certs=True)
        acknowledged, stop = [], threading.Event()

        def write(name):
            with Api(node) as api:
                number = 0
                while not stop.is_set():
                    try:
                        api.Put(key=b"%s%d" % (name, number), value=b"x" * 1000, timeout=60)
                    except grpc.RpcError:
                        return
                    acknowledged.append(b"%s%d" % (name, number))
                    number += 1
        with Api(node) as idle:
            watch = idle.watch(b"a", range_end=b"z")
            threads = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c")]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 60
            while len(acknowledged) <= 50 and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.5)
            self.assertEqual(0, node.terminate())
            stop.set()
            for thread in threads:
                thread.join(60)
            watch.close()
        self.assertGreater(len(acknowledged), 50)
        node.start()
        with Api(node) as api:
            kept = {kv.key for kv in api.Range(key=b"a", range_end=b"d", keys_only=True).kvs}
        self.assertEqual(set(), set(acknowledged) - kept)
