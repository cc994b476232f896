# SPDX-License-Identifier: Apache-2.0
"""python3-etcd3, unmodified, over mutual TLS."""
import io
import time

import etcd3
import grpc

from lib import Case


class Python(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member(certs=True)
        cert, key = self.node.certs.pair()
        self.client = etcd3.client(host="127.0.0.1", port=self.node.client_port, timeout=60,
                                   ca_cert=self.node.certs.ca, cert_cert=cert, cert_key=key)
        self.addCleanup(self.client.close)

    def test_keys(self):
        client = self.client
        for number in range(5):
            client.put(f"/registry/k{number}", f"v{number}")
        value, meta = client.get("/registry/k1")
        self.assertEqual((b"v1", b"/registry/k1", 3, 1),
                         (value, meta.key, meta.mod_revision, meta.version))
        self.assertEqual([b"v4", b"v3", b"v2", b"v1", b"v0"], [value for value, _ in
                         client.get_prefix("/registry/", sort_order="descend")])
        self.assertEqual([b"v1", b"v2"], [value for value, _ in client.get_range(
            "/registry/k1", "/registry/k3")])
        self.assertTrue(client.put_if_not_exists("new", "1"))
        self.assertFalse(client.put_if_not_exists("new", "2"))
        self.assertTrue(client.replace("new", "1", "3"))
        self.assertFalse(client.replace("new", "1", "4"))
        self.assertTrue(client.delete("new"))
        self.assertFalse(client.delete("new"))
        self.assertEqual(5, client.delete_prefix("/registry/").deleted)

    def test_transactions(self):
        ops = self.client.transactions
        self.client.put("a", "1")
        ok, got = self.client.transaction(
            compare=[ops.value("a") == "1", ops.version("a") > 0, ops.create("b") == 0],
            success=[ops.put("a", "2"), ops.get("a"), ops.delete("b")], failure=[ops.get("a")])
        self.assertTrue(ok)
        self.assertEqual(b"2", got[1][0][0])
        ok, got = self.client.transaction(compare=[ops.mod("a") == 2], success=[],
                                          failure=[ops.get("a")])
        self.assertFalse(ok)
        self.assertEqual(b"2", got[0][0][0])

    def test_watches(self):
        events, cancel = self.client.watch_prefix("/w/", prev_kv=True)
        self.client.put("/w/a", "1")
        self.client.put("/w/a", "2")
        self.client.delete("/w/a")
        got = [next(events) for _ in range(3)]
        cancel()
        self.assertEqual([("PutEvent", b"1", b""), ("PutEvent", b"2", b"1"),
                          ("DeleteEvent", b"", b"2")],
                         [(type(event).__name__, event.value, event.prev_value) for event in got])
        past, cancel = self.client.watch("/w/a", start_revision=2)
        self.assertEqual([2, 3, 4], [next(past).mod_revision for _ in range(3)])
        cancel()

    def put_short(self):
        """Under a lease that may be over before it is used, where seconds are nothing."""
        while True:
            try:
                self.client.put("short", "1", lease=self.client.lease(1))
                return
            except (grpc.RpcError, etcd3.Etcd3Exception) as error:
                self.assertIn("lease not found", str(error))

    def test_leases(self):
        lease = self.client.lease(6000)
        self.client.put("leased", "1", lease=lease)
        self.assertEqual((6000, [b"leased"]), (lease.granted_ttl, list(lease.keys)))
        self.assertEqual(6000, lease.refresh()[0].TTL)
        self.assertGreater(lease.remaining_ttl, 5000)
        lease.revoke()
        self.assertEqual((None, None), self.client.get("leased"))
        self.put_short()
        deadline = time.monotonic() + 60
        while self.client.get("short")[0] is not None:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def test_locks(self):
        """This client makes its locks of keys and leases. (Waiting for one that is held fails in
        the client itself with Debian's tenacity.)"""
        lock = self.client.lock("l", ttl=20)
        for _ in range(3):
            self.assertTrue(lock.acquire())
            self.assertTrue(lock.is_acquired())
            self.assertIsNotNone(self.client.get("/locks/l")[0])
            self.assertTrue(lock.release())
            self.assertIsNone(self.client.get("/locks/l")[0])

    def test_members_status_and_maintenance(self):
        members = list(self.client.members)
        self.assertEqual([("node1", [self.node.peer_url], [self.node.client_url])],
                         [(one.name, list(one.peer_urls), list(one.client_urls))
                          for one in members])
        status = self.client.status()
        self.assertEqual(members[0].id, status.leader.id)
        self.assertGreater(status.db_size, 0)
        self.assertEqual([], list(self.client.list_alarms()))
        self.client.put("a", "1")
        self.client.compact(2)
        self.client.defragment()
        self.assertIsInstance(self.client.hash(), int)

    def test_snapshot(self):
        self.client.put("a", "1")
        out = io.BytesIO()
        self.client.snapshot(out)
        self.assertEqual(32, len(out.getvalue()) % 512)
        self.assertEqual(b"\xed\xda\x0c\xed", out.getvalue()[16:20])
