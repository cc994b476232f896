# SPDX-License-Identifier: Apache-2.0
"""A member with mutual TLS starts, serves, survives and ends."""
import json
import os
import ssl
import threading
import time
import urllib.error

import grpc

from lib import Case, Etcdctl
from lib.api import Api

LEAVE_SECONDS = 1  # half of what boot/boot.c has calls drain for

class Start(Case):
    def test_writes_and_reads_over_mutual_tls(self):
        etcdctl = Etcdctl(self.member(certs=True))
        self.assertEqual("OK\n", etcdctl("put", "/registry/a", "1"))
        self.assertEqual("/registry/a\n1\n", etcdctl("get", "/registry/a"))

    def test_debians_etcdctl_writes_and_reads(self):
        etcdctl = Etcdctl.debian(self.member(certs=True))
        self.assertEqual("OK\n", etcdctl("put", "/registry/a", "1"))
        self.assertEqual("/registry/a\n1\n", etcdctl("get", "/registry/a"))

    def test_reference_etcdctl_writes_and_reads(self):
        etcdctl = Etcdctl.reference(self.member(certs=True))
        self.assertEqual("OK\n", etcdctl("put", "/registry/a", "1"))
        self.assertEqual("/registry/a\n1\n", etcdctl("get", "/registry/a"))

    def test_http_is_served_on_the_same_port(self):
        member = self.member(certs=True)
        status, text = member.get("/version")
        self.assertEqual(200, status)
        self.assertIn("etcdserver", json.loads(text))

    def test_a_client_without_certificate_is_refused(self):
        member = self.member(certs=True)
        with self.assertRaises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            member.get("/version", client=None)

    def test_what_was_acknowledged_survives_kill_9(self):
        member = self.member(certs=True)
        etcdctl = Etcdctl(member)
        etcdctl("put", "/registry/a", "1")
        member.kill()
        member.start()
        self.assertEqual("/registry/a\n1\n", etcdctl("get", "/registry/a"))

    def test_sigterm_ends_it_well(self):
        member = self.member(certs=True)
        self.assertEqual(0, member.terminate())

    def test_sigterm_cancels_no_call(self):
        """Who calls while the member stops is answered, or hears that there is nobody. The member
        takes leave of its clients, for LEAVE_SECONDS at most; where it ended sooner, all had heard
        it in time."""
        member = self.member(certs=True)
        counted = 0
        for _ in range(10):
            failed = []
            clients = [threading.Thread(target=self.put_until_it_fails, args=(member, failed))
                       for _ in range(10)]
            for client in clients:
                client.start()
            time.sleep(0.3)
            began = time.monotonic()
            self.assertEqual(0, member.terminate())
            is_in_time = time.monotonic() - began < LEAVE_SECONDS
            for client in clients:
                client.join(60)
            if is_in_time:
                self.assertEqual([grpc.StatusCode.UNAVAILABLE] * 10, failed)
                counted += 1
            if counted == 3:
                return
            member.start()
        if not counted:
            self.skipTest("this machine is too slow: no client left in time")

    @staticmethod
    def put_until_it_fails(member, failed):
        with Api(member, options=[("grpc.enable_retries", 0)]) as api:
            try:
                while True:
                    api.Put(key=b"a", value=b"1", timeout=60)
            except grpc.RpcError as error:
                failed.append(error.code())

    def test_certificates_that_sign_themselves(self):
        """--auto-tls: made once, kept by a restart, good as a client's trusted CA."""
        member = self.member(start=False, flags=("--auto-tls", "--peer-auto-tls"))
        member.client_url = member.client_url.replace("http:", "https:")
        member.peer_url = member.peer_url.replace("http:", "https:")
        fixtures = os.path.join(member.data_dir, "fixtures")
        made = os.path.join(fixtures, "client", "cert.pem")
        member.start(wait=False)
        for text in ("1", "2"):
            self.wait_for(made)
            etcdctl = Etcdctl(member)
            etcdctl.flags += [f"--cacert={made}", "--dial-timeout=30s", "--command-timeout=30s"]
            self.assertEqual("OK\n", etcdctl("put", "/registry/a", text))
            with open(made, encoding="ascii") as file:
                kept = file.read()
            self.assertEqual(0, member.terminate())
            member.start(wait=False)
        with open(made, encoding="ascii") as file:
            self.assertEqual(kept, file.read())
        self.assertEqual(["cert.pem", "key.pem"],
                         sorted(os.listdir(os.path.join(fixtures, "peer"))))

    def wait_for(self, path):
        deadline = time.monotonic() + 60
        while not os.path.exists(path):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
