# SPDX-License-Identifier: Apache-2.0
"""A member with mutual TLS starts, serves, survives and ends."""
import json
import ssl
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
