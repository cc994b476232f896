# SPDX-License-Identifier: Apache-2.0
"""`etcd gateway start`: one address in front of a cluster, whoever of it is there."""
import json
import os
import re
import signal
import socket
import subprocess
from functools import partial

from lib import Case, binary, reference, wait_until
from lib.api import Api
from lib.env import REFERENCE, free_port, need_ipv6

WAIT = 60
until = partial(wait_until, seconds=WAIT)


class Front:
    """A gateway; an Api may be opened on it as on a member."""
    certs = None

    def __init__(self, case, *endpoints, flags=(), certs=None, host="127.0.0.1", program=None,
                 **files):
        """files: what stands in /etc in place of resolv.conf, of hosts."""
        self.client_port = free_port()
        self.certs = certs
        self.log_path = f"{case.folder}/gateway-{self.client_port}.log"
        command = [program or binary("etcd"), "gateway", "start",
                   f"--listen-addr={host}:{self.client_port}",
                   "--endpoints=" + ",".join(endpoints), *flags]
        for name, path in files.items():
            script = f'mount --bind "$0" /etc/{name.replace("_", ".")} && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", script, path, *command]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        case.addCleanup(self.stop)
        until("the gateway listens", lambda: "ready to proxy" in self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(WAIT)


class Gateway(Case):
    def test_carries_calls_and_streams(self):
        node = self.member()
        front = Front(self, node.client_url)
        big = b"x" * 1000000
        with Api(front) as api:
            watch = api.watch(b"a")
            api.Put(key=b"a", value=big)
            self.assertEqual(big, api.Range(key=b"a").kvs[0].value)
            self.assertEqual(big, watch.events(1)[0].kv.value)
            watch.close()
        front.process.send_signal(signal.SIGTERM)
        self.assertEqual(0, front.process.wait(WAIT))

    def test_carries_tls(self):
        node = self.member(certs=True)
        front = Front(self, node.client_url, certs=node.certs)
        with Api(front) as api:
            api.Put(key=b"a", value=b"1")
            self.assertEqual(b"1", api.Range(key=b"a").kvs[0].value)

    def test_passes_over_who_is_gone_and_takes_it_back(self):
        one, two = self.member(name="one"), self.member(name="two")
        front = Front(self, f"localhost:{one.client_port}", f"127.0.0.1:{two.client_port}",
                      flags=["--retry-delay=200ms"])
        names = set()

        def ask():
            with socket.create_connection(("127.0.0.1", front.client_port), WAIT) as to:
                to.sendall(b"POST /v3/cluster/member/list HTTP/1.1\r\nHost: x\r\n"
                           b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
                got = b""
                while piece := to.recv(65536):
                    got += piece
            name = re.search(b'"name":"([a-z]+)"', got)
            names.add(name.group(1) if name else b"")
            return names
        until("both asked", lambda: ask() >= {b"one", b"two"})
        one.kill()
        until("missed", lambda: ask() and "deactivated endpoint" in front.log())
        names.clear()
        for _ in range(5):
            self.assertEqual({b"two"}, ask())
        one.start()
        until("found again", lambda: '"activated"' in front.log())
        until("both asked", lambda: ask() >= {b"one", b"two"})

    def test_closes_when_nobody_is_there(self):
        front = Front(self, f"127.0.0.1:{free_port()}")
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", front.client_port), WAIT) as to:
                self.assertEqual(b"", to.recv(1))

    def test_needs_no_name_server(self):
        """As in a container without one: addresses, and what /etc/hosts knows, are reached."""
        if os.geteuid() != 0:
            self.skipTest("hiding /etc/resolv.conf needs root")
        node = self.member()
        resolv = f"{self.folder}/resolv.conf"
        with open(resolv, "w", encoding="utf-8"):
            pass
        for host in ("127.0.0.1", "localhost"):
            front = Front(self, f"{host}:{node.client_port}", resolv_conf=resolv)
            with Api(front) as api:
                api.Put(key=b"a", value=b"1")

    def test_a_wildcard_takes_both_families(self):
        need_ipv6()
        node = self.member()
        for program in (binary("etcd"), reference("etcd")) if REFERENCE else (binary("etcd"),):
            for listen in ("0.0.0.0", "[::]"):
                front = Front(self, node.client_url, host=listen, program=program)
                for host in ("127.0.0.1", "::1"):
                    with self.subTest(program=program, listen=listen, host=host):
                        to = socket.create_connection((host, front.client_port), WAIT)
                        to.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
                        self.assertEqual(b"HTTP/1.1 200 OK", to.recv(4096)[:15])
                        to.close()
                front.stop()

    def test_a_name_of_both_kinds_is_listened_on_by_ipv4(self):
        """As Go does, and clients that were told 127.0.0.1 rely on."""
        if os.geteuid() != 0:
            self.skipTest("another /etc/hosts needs root")
        node = self.member()
        hosts = f"{self.folder}/hosts"
        with open(hosts, "w", encoding="utf-8") as file:
            file.write("::1 both\n127.0.0.1 both\n")
        port = free_port()
        front = Front(self, node.client_url, flags=[f"--listen-addr=both:{port}"], hosts=hosts)
        front.client_port = port
        front.target = f"127.0.0.1:{port}"
        with Api(front) as api:
            api.Put(key=b"a", value=b"1")

    def test_endpoints_of_several_flags_count(self):
        node = self.member()
        front = Front(self, "127.0.0.1:1", flags=[f"--endpoints={node.client_url}"])
        self.assertIn(json.dumps(["127.0.0.1:1", node.client_url.split("//")[1]],
                                 separators=(",", ":")), front.log())

    def test_many_at_once(self):
        node = self.member()
        front = Front(self, node.client_url)
        apis = [Api(front) for _ in range(50)]
        try:
            for number, api in enumerate(apis):
                api.Put(key=b"%d" % number, value=b"1")
            self.assertEqual(50, apis[0].Range(key=b"\0", range_end=b"\0", count_only=True).count)
        finally:
            for api in apis:
                api.close()


class CommandLine(Case):
    def run_with(self, program, *args):
        done = subprocess.run([program, *args], capture_output=True, text=True, timeout=WAIT,
                              check=False)
        return done.returncode, done.stdout

    def test_refusals(self):
        port = free_port()
        for args, said in (
                (["gateway", "start", f"--listen-addr=127.0.0.1:{port}",
                  f"--endpoints=127.0.0.1:{port}"], "should not resolve to the gateway"),
                (["gateway", "start", "--endpoints=here"], 'error parsing endpoint "here"'),
                (["gateway", "start", "--listen-addr=there"], "failed to validate listen address"),
                (["gateway", "start", "--nothing"], ""), (["gateway", "stop"], ""),
                (["grpc-proxy", "start"], "")):
            status, text = self.run_with(binary("etcd"), *args)
            self.assertEqual(1, status, args)
            self.assertIn(said, text)

    def test_help_is_the_references(self):
        for args in (["gateway", "--help"], ["gateway", "start", "--help"], ["gateway"]):
            self.assertEqual(self.run_with(reference("etcd"), *args),
                             self.run_with(binary("etcd"), *args))
