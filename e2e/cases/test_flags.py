# SPDX-License-Identifier: Apache-2.0
"""Flags by their effect on a running member, and command lines that are refused, beside the
reference."""
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib import Case
from lib.api import Api, op_put
from lib.authority import Authority
from lib.env import binary, free_port, reference

LONG = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
SETTINGS, PING, GOAWAY = 4, 6, 7
MAX_CONCURRENT_STREAMS = 3

# Each with the flags that keep it from anything but its own fault. %s: a port of its own.
REFUSED = """
--name=
--snapshot-count=-1
--snapshot-count=abc
--heartbeat-interval=-1
--heartbeat-interval=0
--heartbeat-interval=99999999999999999999
--election-timeout=1
--election-timeout=60000
--max-snapshots=x
--max-wals=-1
--quota-backend-bytes=1g
--max-txn-ops=x
--max-request-bytes=-5
--max-concurrent-streams=4294967296
--max-concurrent-streams=x
--grpc-keepalive-min-time=5
--grpc-keepalive-interval=abc
--socket-reuse-port=maybe
--enable-grpc-gateway=x
--raft-read-timeout=x
--pre-vote=
--strict-reconfig-check=z
--auto-compaction-mode=foo
--auto-compaction-mode=revision --auto-compaction-retention=-5
--auto-compaction-retention=1.5
--auto-compaction-retention=1x
--cipher-suites=foo
--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA,foo
--tls-min-version=TLS1.0
--tls-max-version=1.3
--tls-min-version=TLS1.3 --tls-max-version=TLS1.2
--peer-cert-file=/nonexistent
--peer-cert-file=/nonexistent --peer-key-file=/nonexistent
--self-signed-cert-validity=x
--cors=foo
--cors=http://a:1/x
--auth-token=foo
--bcrypt-cost=x
--auth-token-ttl=x
--listen-metrics-urls=foo
--listen-metrics-urls=http://foo:1
--listen-metrics-urls=https://127.0.0.1:%s
--listen-metrics-urls=http://127.0.0.1:99999
--logger=foo
--logger=capnslog
--log-outputs=default,stderr
--enable-log-rotation
--enable-log-rotation --log-outputs=x.log --log-rotation-config-json=x
--enable-log-rotation --log-outputs=x.log --log-rotation-config-json={
--enable-log-rotation --log-outputs=x.log --log-rotation-config-json={"maxsize":"a"}
--enable-log-rotation --log-outputs=x.log --log-rotation-config-json={"maxsize":1.5}
--enable-log-rotation --log-outputs=x.log,y.log
--experimental-enable-distributed-tracing --experimental-distributed-tracing-sampling-rate=-1
--experimental-compact-hash-check-time=0s
--experimental-corrupt-check-time=x
--experimental-warning-apply-duration=x
--experimental-txn-mode-write-with-shared-buffer=x
--discovery-fallback=foo
--force-new-cluster=x
--unsafe-no-fsync=x
--initial-cluster=foo
--initial-cluster=a=http://127.0.0.1:1
--initial-cluster-state=foo
--initial-cluster=default=http://localhost:2380,b=http://localhost:2380
--initial-advertise-peer-urls=http://127.0.0.1
--advertise-client-urls=http://127.0.0.1:2379,foo
--listen-client-urls=http://127.0.0.1:65536 --advertise-client-urls=http://127.0.0.1:1
--listen-client-urls=ftp://127.0.0.1:1 --advertise-client-urls=http://127.0.0.1:1
--listen-client-urls=http://127.0.0.1:1
---name=x
-=x
""".strip().splitlines()
# Written otherwise by 3.6 or by Go, or said on a line of another kind.
REFUSED_BY_VARIABLE = ["ETCD_MAX_TXN_OPS=x", "ETCD_LISTEN_CLIENT_URLS=foo", "ETCD_PRE_VOTE=maybe",
                       "ETCD_INITIAL_CLUSTER_STATE=foo", "ETCD_EXPERIMENTAL_CORRUPT_CHECK_TIME=x",
                       "ETCD_AUTO_COMPACTION_MODE=foo", "ETCD_CORS=foo"]


class Refused(Case):
    def run_it(self, program, args, env):
        folder = os.path.join(self.folder, os.path.basename(program) + str(len(os.listdir(
            self.folder))))
        os.mkdir(folder)
        done = subprocess.run([program, *args], capture_output=True, text=True, timeout=LONG,
                              cwd=folder, env=env, check=False, stdin=subprocess.DEVNULL)
        return done.returncode, done.stderr

    @staticmethod
    def reason(said):
        """The last line that says why: of the log, or the first one of flags that do not parse."""
        lines = said.splitlines()
        if lines and not lines[0].startswith("{"):
            return lines[0]
        found = ""
        for line in lines:
            if line.startswith("{"):
                fields = json.loads(line)
                found = fields.get("error", found) if fields["level"] != "info" else found
        return found

    def compare(self, args, variable=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        if variable:
            name, value = variable.split("=")
            env[name] = value
        both = [self.run_it(program, args, env) for program in (reference("etcd"), binary("etcd"))]
        (code, theirs), (our_code, ours) = both
        self.assertNotEqual(0, code, theirs)
        self.assertEqual(code, our_code, ours)
        reason = self.reason(theirs)
        self.assertTrue(reason, theirs)
        # The C library begins its texts with capitals where Go does not.
        said = ours if not ours.startswith("{") else "\n".join(
            json.loads(line).get("error", "") for line in ours.splitlines())
        self.assertIn(reason.lower(), said.lower())

    def test_command_lines(self):
        reference("etcd")
        for line in REFUSED:
            with self.subTest(line):
                words = line.split(" ")
                port = str(free_port())
                words = [word.replace("%s", port) for word in words]
                if not any("-urls" in word or "initial" in word or "discov" in word
                           for word in words):
                    url = f"http://127.0.0.1:{free_port()}"
                    peer = f"http://127.0.0.1:{free_port()}"
                    words += [f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
                              f"--listen-peer-urls={peer}", f"--initial-cluster=default={peer}",
                              f"--initial-advertise-peer-urls={peer}"]
                self.compare(words)

    def test_variables(self):
        reference("etcd")
        for variable in REFUSED_BY_VARIABLE:
            with self.subTest(variable):
                self.compare([], variable)


# Defaults that 3.6 has others for, as ours.
NEWER = {"3.4": {"snapshot-count": ("100000", "10000"), "discovery-fallback": ("proxy", "exit"),
                 "pre-vote": ("false", "true"), "logger": ("capnslog", "zap"),
                 "experimental-backend-bbolt-freelist-type": ("array", "map")},
         "3.5": {"snapshot-count": ("100000", "10000"), "discovery-fallback": ("proxy", "exit"),
                 "v2-deprecation": ("not-yet", "write-only")}}


class Names(Case):
    """The lists of names in the tree are those of the programs, and so are the defaults."""

    def check(self, program, release):
        done = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=LONG,
                              check=False)
        names = set(re.findall(r"^\s+--([a-z0-9-]+)", done.stdout + done.stderr, re.MULTILINE))
        path = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
            os.path.abspath(__file__)))), "tests", "unit", "config", f"flags-{release}.txt")
        with open(path, encoding="utf-8") as file:
            listed = set(file.read().split())
        self.assertGreater(len(names), 60)
        self.assertEqual(set(), names - listed)
        ours = subprocess.run([binary("etcd"), "--help"], capture_output=True, text=True,
                              timeout=LONG, check=False)
        shown = set(re.findall(r"^  --([a-z0-9-]+)", ours.stdout, re.MULTILINE))
        self.assertEqual(set(), names - shown - {"help", "version", "config-file"})
        default = re.compile(r"^  --([a-z0-9-]+) '?([^'\n]+)'?$", re.MULTILINE)
        shown = dict(default.findall(ours.stdout))
        self.assertEqual(NEWER[release], {
            name: (value, shown.get(name))
            for name, value in default.findall(done.stdout + done.stderr)
            if value != shown.get(name)})
        sections = re.findall(r"^([A-Z][A-Za-z ]+):$", ours.stdout, re.MULTILINE)
        for section in ("Member", "Clustering", "Security", "Auth", "Profiling and Monitoring",
                        "Logging", "Unsafe feature"):
            self.assertIn(section, sections)

    def test_of_the_reference(self):
        self.check(reference("etcd"), "3.5")

    def test_of_debian(self):
        if not os.access("/usr/bin/etcd", os.X_OK):
            self.skipTest("no /usr/bin/etcd: install etcd-server")
        self.check("/usr/bin/etcd", "3.4")


class Pages(Case):
    """What --help lists, the manual pages have."""

    def page(self, program):
        path = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
            os.path.abspath(__file__)))), "deploy", "man", program + ".1")
        with open(path, encoding="utf-8") as file:
            return re.sub(r'"|\\f[A-Z]', "", file.read().replace("\\-", "-"))

    def help(self, *words):
        done = subprocess.run([binary(words[0]), *words[1:], "--help"], capture_output=True,
                              text=True, timeout=LONG, check=False)
        return done.stdout + done.stderr

    def check(self, program, wanted, count):
        self.assertGreater(len(wanted), count)
        page = self.page(program)
        self.assertEqual([], [word for word in wanted if not re.search(
            rf"(?<![\w-]){re.escape(word)}(?![\w-])", page)])

    def test_etcdctl(self):
        said = self.help("etcdctl")
        commands = re.findall(r"^  ([a-z-]+(?: [a-z-]+)?)\t", said, re.MULTILINE)
        flags = set(re.findall(r"--([a-z-]+)[=\[]", said)) - {"help"}
        self.check("etcdctl", commands + [f"--{flag}" for flag in flags] + [
            "ETCDCTL_" + flag.upper().replace("-", "_") for flag in flags], 90)

    def test_etcdutl(self):
        said = self.help("etcdutl")
        commands = re.findall(r"^  ([a-z]+) ", said, re.MULTILINE)
        restore = re.findall(r"--([a-z-]+)", self.help("etcdutl", "snapshot", "restore"))
        flags = {f"--{flag}" for flag in restore} - {"--help"}
        self.check("etcdutl", [*set(commands) - {"help"}, *flags], 14)

    def test_etcd_pki(self):
        self.check("etcd-pki", set(re.findall(r"--[a-z-]+", self.help("etcd-pki"))), 10)

    def test_etcd(self):
        """Those of the newest manifest; --help lists all."""
        self.check("etcd", """--advertise-client-urls --cert-file --client-cert-auth --data-dir
            --feature-gates --initial-advertise-peer-urls --initial-cluster
            --initial-cluster-state --key-file --listen-client-urls --listen-metrics-urls
            --listen-peer-urls --name --peer-cert-file --peer-client-cert-auth --peer-key-file
            --peer-trusted-ca-file --snapshot-count --trusted-ca-file
            --watch-progress-notify-interval --key-dir""".split(), 20)


class Effect(Case):
    def with_flags(self, *flags, certs=None, **rest):
        return self.member(certs=certs, flags=list(flags), **rest)

    def until(self, what, why, seconds=LONG):
        deadline = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), deadline, why)
            time.sleep(0.05)

    def fails(self, code, text, call, **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            call(**fields)
        self.assertEqual((code, text), (caught.exception.code(), caught.exception.details()))

    def test_wal_dir(self):
        wal = os.path.join(self.folder, "elsewhere")
        node = self.with_flags(f"--wal-dir={wal}")
        self.assertTrue([n for n in os.listdir(wal) if n.endswith(".wal")])
        self.assertFalse(os.path.exists(os.path.join(node.data_dir, "member", "wal")))

    def test_max_txn_ops(self):
        with Api(self.with_flags("--max-txn-ops=2")) as api:
            ops = [op_put(b"k%d" % i, b"v") for i in range(3)]
            api.Txn(success=ops[:2])
            self.fails(grpc.StatusCode.INVALID_ARGUMENT,
                       "etcdserver: too many operations in txn request", api.Txn, success=ops)

    def test_max_learners(self):
        with Api(self.with_flags("--max-learners=0")) as api:
            self.fails(grpc.StatusCode.FAILED_PRECONDITION,
                       "etcdserver: too many learner members in cluster", api.MemberAdd,
                       peerURLs=["http://127.0.0.1:1"], isLearner=True)

    def test_enable_grpc_gateway(self):
        node = self.with_flags("--enable-grpc-gateway=false")
        self.assertEqual(404, node.get("/v3/maintenance/status")[0])
        self.assertEqual(200, node.get("/health")[0])
        with Api(node) as api:
            api.Put(key=b"a", value=b"1")

    def test_listen_client_http_urls(self):
        port = free_port()
        node = self.with_flags(f"--listen-client-http-urls=http://127.0.0.1:{port}", wait=False)
        grpc_port, node.client_url = node.client_port, f"http://127.0.0.1:{port}"
        node.wait_ready(LONG)
        self.assertEqual(200, node.get("/health")[0])
        with socket.create_connection(("127.0.0.1", grpc_port), LONG) as sock:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertNotIn(b"200 OK", sock.recv(4096))
        node.client_url = f"http://127.0.0.1:{grpc_port}"
        with Api(node) as api:
            api.Put(key=b"a", value=b"1")

    def test_auto_compaction(self):
        node = self.with_flags("--auto-compaction-mode=periodic", "--auto-compaction-retention=1s")

        def is_compacted():
            with Api(node) as api:
                api.Put(key=b"a", value=b"1")
                try:
                    api.Range(key=b"a", revision=2)
                    return False
                except grpc.RpcError as error:
                    return "required revision has been compacted" in error.details()
        self.until(is_compacted, "nothing was compacted")

    def test_socket_reuse_port(self):
        node = self.member(start=False)
        with socket.socket() as held:
            # The first for what connections of an earlier test have left behind.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(("127.0.0.1", node.client_port))
            held.listen()
            node.start(wait=False)
            self.assertEqual(1, node.process.wait(LONG))
            self.assertIn("address already in use", node.log_tail(40).lower())
            node.flags.append("--socket-reuse-port")
            node.start(wait=False)
            self.until(lambda: "serving peer traffic" in node.log_tail(40), "it does not listen")
        self.assertIsNone(node.process.poll())

    def test_memory_mlock(self):
        node = self.with_flags("--memory-mlock")
        if os.environ.get("KETCD_SANITIZED"):
            self.skipTest("under the address sanitizer mlockall does nothing")
        if "cannot lock memory" in node.log_tail(100):
            self.skipTest("this user may not lock memory")
        with open(f"/proc/{node.process.pid}/status", encoding="utf-8") as file:
            locked = re.search(r"VmLck:\s+(\d+)", file.read())
        self.assertGreater(int(locked.group(1)), 1000)

    def test_slow_requests_are_logged(self):
        node = self.with_flags("--warning-apply-duration=1ns",
                               "--warning-unary-request-duration=1ns")
        with Api(node) as api:
            api.Put(key=b"a", value=b"1")
        for text in ("apply request took too long", "request stats"):
            self.until(lambda t=text: t in node.log_tail(400), f"nothing says {text}")

    def test_self_signed_cert_validity(self):
        url = f"https://127.0.0.1:{free_port()}"
        node = self.member(start=False, flags=[
            "--auto-tls", "--self-signed-cert-validity=3", f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}"])
        node.start(wait=False)
        path = os.path.join(node.data_dir, "fixtures", "client", "cert.pem")
        self.until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, "no certificate")
        for days, code in ((3 * 365 - 5, 0), (3 * 365 + 5, 1)):
            done = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-checkend",
                                   str(days * 86400)], capture_output=True, check=False)
            self.assertEqual(code, done.returncode, days)


class Logs(Case):
    def test_outputs_level_and_format(self):
        path = os.path.join(self.folder, "own.log")
        node = self.member(flags=[f"--log-outputs={path}", "--log-level=warn",
                                  "--log-format=console"])
        self.assertEqual("", node.log_tail())
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, r"^\S+\t(warn|error)\t\S+\.c:\d+\t")

    def test_the_journal_reads_stderr(self):
        node = self.member(flags=["--log-outputs=systemd/journal"])
        for line in node.log_tail(1000).splitlines():
            self.assertIn("msg", json.loads(line))

    def test_rotation(self):
        path = os.path.join(self.folder, "own.log")
        with open(path, "w", encoding="utf-8") as file:
            file.write("x" * (1024 * 1024 - 500))
        config = json.dumps({"maxsize": 1, "maxbackups": 1, "compress": True})
        node = self.member(flags=[f"--log-outputs={path}", "--enable-log-rotation",
                                  f"--log-rotation-config-json={config}"])
        node.terminate()
        aside = [n for n in os.listdir(self.folder) if re.fullmatch(
            r"own-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log\.gz", n)]
        self.assertEqual(1, len(aside), os.listdir(self.folder))
        with open(path, encoding="utf-8") as file:
            self.assertTrue(file.read().startswith("{"))


class Http2:
    """A connection that speaks frames."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), LONG)
        self.sock.settimeout(LONG)
        self.sock.sendall(PREFACE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def frame(self):
        """Type, flags and payload of the next; EOFError at the end."""
        try:
            head = self.read(9)
            return head[3], head[4], self.read(int.from_bytes(head[:3], "big"))
        except ConnectionResetError as error:
            raise EOFError from error

    def frame_of(self, kind, is_ack=False):
        while True:
            got, flags, payload = self.frame()
            if got == kind and bool(flags & 1) == is_ack:
                return payload

    def watch(self):
        """Opens a stream: without one, clients may ping every two hours only."""
        fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"),
                  (b":path", b"/etcdserverpb.Watch/Watch"), (b"te", b"trailers"),
                  (b"content-type", b"application/grpc"))
        block = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
                         for name, value in fields)
        self.sock.sendall(len(block).to_bytes(3, "big") + b"\x01\x04\0\0\0\x01" + block)

    def ping(self):
        self.sock.sendall(b"\0\0\x08\x06\0\0\0\0\0" + b"12345678")


class Connections(Case):
    def test_max_concurrent_streams(self):
        node = self.member(flags=["--max-concurrent-streams=7"])
        with Http2(node.client_port) as http2:
            payload = http2.frame_of(SETTINGS)
            settings = dict(struct.unpack(">HI", payload[i:i + 6])
                            for i in range(0, len(payload), 6))
            self.assertEqual(7, settings[MAX_CONCURRENT_STREAMS])

    def test_keepalive_min_time(self):
        with Http2(self.member().client_port) as http2:
            http2.watch()
            with self.assertRaises((EOFError, OSError)):
                for _ in range(1000):
                    http2.ping()
                    http2.frame_of(PING, is_ack=True)
        node = self.member(name="other", flags=["--grpc-keepalive-min-time=1ns"])
        with Http2(node.client_port) as http2:
            http2.watch()
            for _ in range(50):
                time.sleep(0.01)
                http2.ping()
                http2.frame_of(PING, is_ack=True)

    def test_keepalive_of_the_server(self):
        """It pings, and gives up on who says nothing."""
        node = self.member(flags=["--grpc-keepalive-interval=1s", "--grpc-keepalive-timeout=1s"])
        with Http2(node.client_port) as http2:
            http2.watch()
            http2.frame_of(PING)
            with self.assertRaises(EOFError):
                while True:
                    http2.frame()


class Tls(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(os.path.join(self.folder, "authority"))
        here = ["IP:127.0.0.1", "DNS:localhost"]
        self.authority.issue("server", here)
        self.authority.issue("good", ["DNS:good.test"])
        self.authority.issue("bad", ["DNS:bad.test"])

    def serving(self, *flags):
        cert, key = self.authority.pair("server")
        node = self.member(start=False)
        node.client_url = f"https://127.0.0.1:{node.client_port}"
        node.flags += [f"--cert-file={cert}", f"--key-file={key}", *flags]
        node.start(wait=False)
        self.assertTrue(self.knock(node.client_port, ["http/1.1"], client="good", seconds=LONG),
                        node.log_tail())
        return node

    def knock(self, port, protocols, client=None, seconds=0, **settings):
        """What was agreed on, once a byte was answered; None: refused. Asks again for so long."""
        context = ssl.create_default_context(cafile=self.authority.ca)
        context.set_alpn_protocols(protocols)
        for name, value in settings.items():
            if name == "ciphers":
                context.set_ciphers(value)
            else:
                setattr(context, name, value)
        if client:
            context.load_cert_chain(*self.authority.pair(client))
        deadline = time.monotonic() + seconds
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), LONG) as sock:
                    with context.wrap_socket(sock, server_hostname="localhost") as tls:
                        tls.sendall(PREFACE if protocols == ["h2"] else
                                    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        if tls.recv(1):
                            return tls.version(), tls.cipher()[0]
            except OSError:
                pass
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.1)

    def both(self, node, **settings):
        """Over gRPC's way and HTTP's: the same for both."""
        got = [self.knock(node.client_port, [protocol], **settings)
               for protocol in ("h2", "http/1.1")]
        self.assertEqual(got[0], got[1])
        return got[0]

    def test_versions(self):
        node = self.serving("--tls-min-version=TLS1.3")
        self.assertEqual("TLSv1.3", self.both(node)[0])
        self.assertIsNone(self.both(node, maximum_version=ssl.TLSVersion.TLSv1_2))
        node.terminate()
        node = self.serving("--tls-max-version=TLS1.2")
        self.assertEqual("TLSv1.2", self.both(node)[0])
        self.assertIsNone(self.both(node, minimum_version=ssl.TLSVersion.TLSv1_3))

    def test_cipher_suites(self):
        wanted = "ECDHE-ECDSA-AES256-GCM-SHA384"
        node = self.serving("--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                            "--tls-max-version=TLS1.2")
        self.assertEqual(("TLSv1.2", wanted), self.both(node))
        self.assertIsNone(self.both(node, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))

    def test_client_crl(self):
        revoked = self.authority.list_revoked("bad")
        node = self.serving(f"--trusted-ca-file={self.authority.ca}", "--client-cert-auth",
                            f"--client-crl-file={revoked}")
        self.assertTrue(self.both(node, client="good"))
        self.assertIsNone(self.both(node, client="bad"))
        self.authority.list_revoked("good")
        self.assertIsNone(self.both(node, client="good"))

    def test_client_allowed_hostname(self):
        node = self.serving(f"--trusted-ca-file={self.authority.ca}", "--client-cert-auth",
                            "--client-cert-allowed-hostname=good.test")
        self.assertTrue(self.both(node, client="good"))
        self.assertIsNone(self.both(node, client="bad"))
