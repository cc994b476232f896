# SPDX-License-Identifier: Apache-2.0
"""Clients that ask for much, or do not read what they asked for, beside others that ask for little.
No test here measures time: each shows that something goes on though something else does not end."""
import os
import threading
import time

import grpc

from lib import Case
from lib.api import Api, op_put, pb, prefix_end
from lib.deaf import WINDOW_FIRST, Deaf

RANGE = "/etcdserverpb.KV/Range"
WATCH = "/etcdserverpb.Watch/Watch"
MIB = 1 << 20
LONG = 600  # seconds for what takes a moment, on a machine that does much else


def letters(count):
    """Nothing that packs well."""
    return os.urandom(count // 2).hex().encode()


def resident(member):
    with open(f"/proc/{member.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def metric(member, name):
    for line in member.get("/metrics", timeout=LONG)[1].splitlines():
        if line.split(" ")[0] == name:
            return float(line.split(" ")[1])
    raise AssertionError(f"no metric {name}")


def until(is_true):
    end = time.monotonic() + LONG
    while not is_true():
        assert time.monotonic() < end, "not so after long"
        time.sleep(0.2)


class CalmCase(Case):
    certs_wanted = None
    seconds = 1800

    def count_admitted(self):
        """How many keys a range has, once there is room for it: on a slow machine those before it
        take longer than the ten seconds that it may wait for room."""
        end = time.monotonic() + LONG
        while True:
            try:
                return len(self.client().Range(range_of(b"/l/"), timeout=LONG).kvs)
            except grpc.RpcError as error:
                self.assertEqual("etcdserver: too many requests", error.details())
                self.assertLess(time.monotonic(), end)
                time.sleep(0.5)

    def setUp(self):
        super().setUp()
        self.node = self.member(certs=self.certs_wanted)
        self.api = self.client()

    def client(self):
        api = Api(self.node)
        self.addCleanup(api.close)
        return api

    def deaf(self, **rest):
        deaf = Deaf(self.node, **rest)
        self.addCleanup(deaf.close)
        return deaf

    def fill(self, prefix, keys, size):
        for first in range(0, keys, 100):
            self.api.Txn(success=[op_put(prefix + b"%06d" % n, letters(size))
                                  for n in range(first, min(first + 100, keys))], timeout=LONG)

    def put_big(self, key, size):
        self.api.Put(key=key, value=letters(size), timeout=LONG)


def range_of(prefix):
    return pb.RangeRequest(key=prefix, range_end=prefix_end(prefix))


def watch_of(prefix):
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(
        key=prefix, range_end=prefix_end(prefix)))


class OneConnection(CalmCase):
    certs_wanted = True

    def test_a_watch_speaks_beside_ten_ranges_of_10_mib(self):
        for n in range(10):
            self.put_big(b"/big/%d" % n, MIB)
        shared = self.client()
        watch = shared.watch(b"/small/", range_end=prefix_end(b"/small/"))
        counts = []
        is_enough = threading.Event()

        def read():
            while not is_enough.is_set():
                counts.append(len(shared.Range(range_of(b"/big/"), timeout=LONG).kvs))

        readers = [threading.Thread(target=read) for _ in range(10)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(20):  # ranges begin again until all of these were heard
                self.api.Put(key=b"/small/a", value=b"v", timeout=LONG)
                watch.events(1, timeout=LONG)
        finally:
            is_enough.set()
            for reader in readers:
                reader.join()
            watch.close()
        self.assertGreaterEqual(len(counts), 10)
        self.assertEqual({10}, set(counts))


class Unread(CalmCase):
    def test_streams_that_are_not_read_hold_up_no_other_of_their_connection(self):
        self.fill(b"/l/", 2000, 1024)
        deaf = self.deaf(window=WINDOW_FIRST)
        stuck = [deaf.ask(RANGE, range_of(b"/l/")) for _ in range(10)]
        deaf.hear_until(lambda: all(deaf.taken.get(s) == WINDOW_FIRST for s in stuck))
        watch = deaf.ask(WATCH, watch_of(b"/small/"), is_last=False)
        deaf.hear_until(lambda: deaf.taken.get(watch))
        created = deaf.taken[watch]
        self.api.Put(key=b"/small/a", value=b"v", timeout=LONG)
        deaf.hear_until(lambda: deaf.taken[watch] > created)
        small = deaf.ask(RANGE, pb.RangeRequest(key=b"/small/a"))
        deaf.hear_until(lambda: small in deaf.ended)
        self.assertFalse(deaf.ended & set(stuck))

    def test_a_hundred_lists_that_are_not_read(self):
        """20 MB each: what they take beyond the store's own bytes is the small part of them. (A
        copy of each would be 2,000 MB.)"""
        self.fill(b"/l/", 20000, 1024)
        before = resident(self.node)
        deafs = [self.deaf() for _ in range(100)]
        for deaf in deafs:
            deaf.ask(RANGE, range_of(b"/l/"))
        # The answers are made one after the other: when a later one's end has come, all are.
        self.assertEqual(20000, self.count_admitted())
        for n in range(100):
            self.api.Put(key=b"/small/%d" % n, value=b"v", timeout=LONG)
        self.assertLess(resident(self.node) - before, 1200 * MIB)
        for deaf in deafs[:3]:  # and they are whole
            deaf.hear_until(lambda d=deaf: d.ended)
            self.assertGreater(deaf.taken[1], 20000 * 1024)

    def test_memory_of_answers_that_went_is_given_back(self):
        """Not kept for the next ones: a node has one memory for all that runs on it."""
        with open(f"/proc/{self.node.process.pid}/maps", encoding="ascii") as file:
            if "libasan" in file.read():
                self.skipTest("the address sanitizer keeps what was freed")
        self.fill(b"/l/", 20000, 1024)
        before = resident(self.node)
        deafs = [self.deaf() for _ in range(60)]
        for deaf in deafs:
            deaf.ask(RANGE, range_of(b"/l/"))
        until(lambda: resident(self.node) - before > 100 * MIB)  # of some 370 in the end
        peak = resident(self.node)
        for deaf in deafs:
            deaf.close()
        until(lambda: resident(self.node) - before < (peak - before) // 2)

    def test_a_watcher_that_does_not_read_costs_a_bounded_buffer(self):
        """32 MiB of what is pending, then it is one that catches up; nothing is lost."""
        puts, size = 200, MIB // 2
        deaf = self.deaf(receive_bytes=65536)
        watch = deaf.ask(WATCH, watch_of(b"/w/"), is_last=False)
        deaf.hear_until(lambda: deaf.taken.get(watch))
        for n in range(puts):
            self.put_big(b"/w/%d" % (n % 4), size)
        self.assertEqual(1, metric(self.node, "etcd_debugging_mvcc_slow_watcher_total"))
        pending = metric(self.node, "etcd_debugging_mvcc_pending_events_total")
        self.assertLess(pending, 34 * MIB // size)
        deaf.hear_until(lambda: deaf.taken[watch] > puts * size)

    def test_ten_thousand_streams(self):
        connections = [self.deaf() for _ in range(10)]
        for deaf in connections:
            for _ in range(1000):
                deaf.ask(WATCH, watch_of(b"/w/"), is_last=False)
            deaf.hear_until(lambda d=deaf: len(d.taken) == 1000)
        self.assertEqual(10000, metric(self.node, "etcd_debugging_mvcc_watch_stream_total"))
        created = {deaf: dict(deaf.taken) for deaf in connections}
        self.api.Put(key=b"/w/a", value=b"v", timeout=LONG)
        for deaf, before in created.items():
            deaf.hear_until(lambda d=deaf, b=before: all(d.taken[s] > b[s] for s in b))


class TooMany(CalmCase):
    def test_chunks_of_range_streams_that_are_not_read(self):
        """They are as many as their windows let out, and the rest is not made."""
        self.fill(b"/l/", 20000, 1024)
        before = resident(self.node)
        for _ in range(100):
            self.deaf(receive_bytes=65536).ask("/etcdserverpb.KV/RangeStream", range_of(b"/l/"))
        chunks = list(self.client().streaming("RangeStream", timeout=LONG, key=b"/l/",
                                              range_end=prefix_end(b"/l/")))
        self.assertEqual(20000, sum(len(chunk.range_response.kvs) for chunk in chunks))
        self.assertLess(resident(self.node) - before, 1200 * MIB)

    def test_requests_that_cannot_be_admitted_are_told(self):
        """Proposals beyond etcd's 5,000 under way are refused, not gathered."""
        path, answers = "/etcdserverpb.KV/Put", {}
        put = self.client().channel.unary_unary(
            path, request_serializer=pb.PutRequest.SerializeToString,
            response_deserializer=pb.PutResponse.FromString)
        calls = [put.future(pb.PutRequest(key=b"/p/%d" % n, value=b"v"), timeout=LONG)
                 for n in range(20000)]
        for call in calls:
            try:
                call.result()
                answers["ok"] = answers.get("ok", 0) + 1
            except grpc.RpcError as error:
                self.assertEqual((grpc.StatusCode.RESOURCE_EXHAUSTED,
                                  "etcdserver: too many requests"),
                                 (error.code(), error.details()))
                answers["refused"] = answers.get("refused", 0) + 1
        self.assertGreater(answers["ok"], 0)
        kept = self.api.Range(range_of(b"/p/"), timeout=LONG).count
        self.assertEqual(answers["ok"], kept)
