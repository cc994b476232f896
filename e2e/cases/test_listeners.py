# SPDX-License-Identifier: Apache-2.0
"""One member behind every kind of URL at once: what each of them serves, to whom, and with which
certificate."""
import contextlib
import json
import os
import socket
import time
import unittest.mock
import urllib.request

import grpc

from lib import Case, Certs, Etcdctl, reference
from lib.api import Api
from lib.env import REFERENCE, free_port, need_ipv6

LONG = 60


class ListenersCase(Case):
    program = None

    def setUp(self):
        super().setUp()
        self.ports = [free_port() for _ in range(4)]
        self.paths = [os.path.join(self.folder, name) for name in ("plain.sock", "localhost")]
        self.node = self.member(certs=True, start=False, program=self.program and self.program())
        main, other, metrics, metrics_tls = (f"127.0.0.1:{port}" for port in self.ports)
        self.https = [main, other.replace("127.0.0.1", "127.0.0.2")]
        self.http = f"127.0.0.1:{free_port()}"
        self.node.client_port = self.ports[0]
        self.node.client_url = f"https://{main}"
        urls = [f"https://{place}" for place in self.https] + [
            f"http://{self.http}", f"unix://{self.paths[0]}", f"unixs://{self.paths[1]}"]
        self.metrics, self.metrics_tls = metrics, metrics_tls
        self.node.flags = ["--listen-client-urls=" + ",".join(urls),
                           f"--listen-metrics-urls=http://{metrics},https://{metrics_tls}"]
        command = [flag for flag in self.node.command()
                   if flag != f"--listen-client-urls={self.node.client_url}"]
        self.node.command = lambda: command
        self.node.start()

    def places(self):
        """Each with whether it speaks TLS."""
        return [(self.https[0], True), (self.https[1], True), (self.http, False),
                (self.paths[0], False), (self.paths[1], True)]

    @staticmethod
    def dial(place):
        if place.startswith("/"):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(LONG)
            sock.connect(place)
            return sock
        host, port = place.split(":")
        return socket.create_connection((host, int(port)), LONG)

    def context(self, client="client", protocol="http/1.1"):
        context = self.node.certs.context(client)
        context.set_alpn_protocols([protocol])
        return context

    def ask(self, place, path, is_tls, client="client"):
        """The status line's code of a GET over HTTP/1.1, and the body."""
        with self.dial(place) as sock:
            if is_tls:
                sock = self.context(client).wrap_socket(sock, server_hostname="localhost")
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                         .encode())
            said = b""
            while piece := sock.recv(65536):
                said += piece
            sock.close()
        head, _, body = said.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body

    def api(self, place, is_tls, client="client"):
        target = f"unix:{place}" if place.startswith("/") else place
        options = [("grpc.ssl_target_name_override", "localhost"),
                   ("grpc.default_authority", "localhost")]
        return Api(unittest.mock.Mock(target=target, certs=is_tls and self.node.certs or None),
                   client=client, options=options)


class Everywhere(ListenersCase):
    def test_each_url_serves_both_protocols(self):
        for number, (place, is_tls) in enumerate(self.places()):
            with self.subTest(place):
                with self.api(place, is_tls) as api:
                    api.Put(key=b"%d" % number, value=place.encode(), timeout=LONG)
                    self.assertEqual(place.encode(), api.Range(key=b"%d" % number).kvs[0].value)
                self.assertEqual(200, self.ask(place, "/health", is_tls)[0])
                self.assertIn(b"etcdserver", self.ask(place, "/version", is_tls)[1])
                self.assertIn(b"etcd_server_has_leader 1", self.ask(place, "/metrics", is_tls)[1])

    def test_what_speaks_tls_asks_for_a_certificate(self):
        for place, is_tls in self.places():
            if is_tls:
                with self.subTest(place):
                    with self.assertRaises((OSError, IndexError)):
                        self.ask(place, "/health", True, client=None)
                    with self.api(place, True, client=None) as api:
                        with self.assertRaises(grpc.RpcError):
                            api.Range(key=b"a", timeout=LONG)
        with self.assertRaises((OSError, IndexError)):
            self.ask(self.metrics_tls, "/health", True, client=None)

    def test_metrics_urls_serve_health_and_metrics_only(self):
        for place, is_tls in ((self.metrics, False), (self.metrics_tls, True)):
            with self.subTest(place):
                self.assertIn(b"etcd_server_has_leader 1", self.ask(place, "/metrics", is_tls)[1])
                for path in ("/health", "/livez", "/readyz"):
                    self.assertEqual(200, self.ask(place, path, is_tls)[0], path)
                for path in ("/version", "/v3/maintenance/status", "/debug/vars", "/"):
                    self.assertEqual(404, self.ask(place, path, is_tls)[0], path)
                with self.api(place, is_tls) as api:
                    with self.assertRaises(grpc.RpcError):
                        api.Range(key=b"a", timeout=LONG)

    def test_etcdctl_over_unix_sockets(self):
        for build in (Etcdctl, Etcdctl.reference) if REFERENCE else (Etcdctl,):
            etcdctl = build(self.node)
            etcdctl.flags = [f"--endpoints=unix://{self.paths[0]}"]
            self.assertEqual("OK\n", etcdctl("put", "a", "1"))
            etcdctl = build(self.node)
            etcdctl.flags[0] = f"--endpoints=unixs://{self.paths[1]}"
            self.assertEqual("a\n1\n", etcdctl("get", "a"))


class LikeReference(Everywhere):
    """The same asked of the reference."""
    program = staticmethod(lambda: reference("etcd"))


class Wildcard(Case):
    """0.0.0.0 is every address of both families, as Go's programs have it."""
    program = None

    def setUp(self):
        super().setUp()
        need_ipv6()
        self.node = self.member(start=False, program=self.program and self.program())
        self.metrics_port = free_port()

    def listen(self, clients, peers):
        """Sets what the member listens on; what it advertises stays."""
        kept = [flag for flag in self.node.command()
                if not flag.startswith(("--listen-", "--advertise-client-urls"))]
        wild = f"http://0.0.0.0:{self.node.client_port}"
        command = [*kept, f"--listen-client-urls={clients}", f"--listen-peer-urls={peers}",
                   f"--advertise-client-urls={wild}",
                   f"--listen-metrics-urls=http://0.0.0.0:{self.metrics_port}"]
        self.node.command = lambda: command

    def logged(self):
        """What it says about addresses, by its message's first words."""
        with open(self.node.log_path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return {" ".join(line["msg"].split()[:2]): line["address"] for line in lines
                if line["msg"].startswith("serving ")}

    def test_it_takes_both_families(self):
        clients, peers = self.node.client_port, self.node.peer_port
        self.listen(f"http://0.0.0.0:{clients}", f"http://0.0.0.0:{peers}")
        self.node.start()
        for host in ("127.0.0.1", "[::1]"):
            for port, path in ((clients, "/version"), (peers, "/members"),
                               (self.metrics_port, "/metrics")):
                with self.subTest(host=host, path=path):
                    with urllib.request.urlopen(f"http://{host}:{port}{path}",
                                                timeout=LONG) as answer:
                        self.assertEqual(200, answer.status)
            with Api(unittest.mock.Mock(target=f"{host}:{clients}", certs=None)) as api:
                api.Put(key=b"a", value=host.encode(), timeout=LONG)
                member = api.MemberList(timeout=LONG).members[0]
                self.assertEqual([f"http://0.0.0.0:{clients}"], member.clientURLs)
                self.assertEqual([self.node.peer_url], member.peerURLs)
        self.assertEqual({"serving client": f"[::]:{clients}", "serving peer": f"[::]:{peers}",
                          "serving metrics": f"http://0.0.0.0:{self.metrics_port}"}, self.logged())

    def test_its_two_spellings_are_one_address(self):
        def both(port):
            return f"http://0.0.0.0:{port},http://[::]:{port}"
        command = self.node.command
        clients, peers = self.node.client_port, self.node.peer_port
        for port, listen in ((clients, (both(clients), self.node.peer_url)),
                             (peers, (self.node.client_url, both(peers)))):
            self.node.command = command
            self.listen(*listen)
            self.node.start(wait=False)
            self.assertEqual(1, self.node.process.wait(LONG))
            self.assertIn(f"listen tcp 0.0.0.0:{port}: bind: address already in use",
                          self.node.log_tail())


class WildcardOfReference(Wildcard):
    """The same asked of the reference."""
    program = staticmethod(lambda: reference("etcd"))


class Certificates(ListenersCase):
    def serials(self):
        """Of the certificate that each URL shows, to gRPC's clients and to HTTP's."""
        found = {}
        for place in (self.https[0], self.paths[1], self.metrics_tls):
            for protocol in ("h2", "http/1.1"):
                with self.context(protocol=protocol).wrap_socket(
                        self.dial(place), server_hostname="localhost") as tls:
                    found[place, protocol] = tls.getpeercert()["serialNumber"]
        return found

    def test_they_are_read_anew_everywhere_without_restart(self):
        first = self.serials()
        self.assertEqual(1, len(set(first.values())), first)
        for name in ("server.crt", "server.key"):
            os.unlink(self.node.certs.path(name))
        Certs(self.node.certs.folder)
        deadline = time.monotonic() + LONG
        while set(first.values()) & set((now := self.serials()).values()):
            self.assertLess(time.monotonic(), deadline, f"still the old certificate: {now}")
            time.sleep(0.2)
        self.assertEqual(1, len(set(now.values())), now)
        self.assertEqual("OK\n", Etcdctl(self.node)("put", "a", "1"))
        self.assertIsNone(self.node.process.poll())


class Descriptors(Case):
    def test_the_hard_limit_is_the_limit(self):
        """As Go programs have it: what starts a service often gives it a soft limit of 1024."""
        node = self.member(start=False)
        command = node.command
        node.command = lambda: ["prlimit", "--nofile=256:4096", *command()]
        node.start()
        asked = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
        with contextlib.ExitStack() as stack:
            for _ in range(400):
                to = stack.enter_context(
                    socket.create_connection(("127.0.0.1", node.client_port), 60))
                to.sendall(asked)
                self.assertEqual(b"HTTP/1.1 200 OK", to.recv(4096)[:15])


class Sockets(ListenersCase):
    def test_they_come_and_go(self):
        self.assertEqual(0, self.node.terminate())
        self.assertEqual([False, False], [os.path.exists(path) for path in self.paths])
        self.node.start()
        self.node.kill()
        self.node.start()  # over the sockets that were left
        self.assertEqual(200, self.ask(self.paths[0], "/health", False)[0])
