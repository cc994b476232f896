# SPDX-License-Identifier: Apache-2.0
"""A member with mutual TLS starts, serves, survives and ends."""
import json
import os
import ssl
import time
import urllib.error

from lib import Case, Etcdctl


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
