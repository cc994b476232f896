# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, again and again: nothing acknowledged is lost, nothing goes back.

KETCD_CRASHES: how often (30).
"""
import collections
import os
import random
import threading
import time

import grpc

from lib import Case, objects
from lib.api import Api, compare, op_delete, op_get, op_put, pb, prefix_end

CRASHES = int(os.environ.get("KETCD_CRASHES", "30"))
WRITERS = 4
KEYS = 12
PREFIX = b"/registry/configmaps/"


class Writer(threading.Thread):
    """Owns its keys. Each call is an optimistic transaction on what the writer believes is
    there; believed[key] is a list of states (value, mod_revision), more than one where a call got
    no answer. acknowledged holds (revision, type, key, value) of every answered write."""

    def __init__(self, node, number, lease):
        super().__init__(daemon=True)
        self.node, self.number, self.lease = node, number, lease
        self.random = random.Random(number)
        self.keys = [PREFIX + b"w%d/k%02d" % (number, i) for i in range(KEYS)]
        self.believed = {key: [(None, 0)] for key in self.keys}
        self.acknowledged = []
        self.maybe = collections.Counter()
        self.seen = 0
        self.count = 0
        self.ending = False
        self.broken = []

    def run(self):
        while not self.ending:
            try:
                with Api(self.node, options=[("grpc.max_reconnect_backoff_ms", 100),
                                             ("grpc.initial_reconnect_backoff_ms", 50),
                                             ("grpc.min_reconnect_backoff_ms", 50)]) as api:
                    while not self.ending:
                        self.step(api, self.random.choice(self.keys))
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE,
                                        grpc.StatusCode.DEADLINE_EXCEEDED,
                                        grpc.StatusCode.CANCELLED):
                    self.broken.append(f"{error.code()}: {error.details()}")
                    return
                time.sleep(0.02)
            except AssertionError as error:
                self.broken.append(str(error))
                return

    def notice(self, revision, at_least=0):
        """Revisions a client sees one after another never go back."""
        if revision < max(self.seen, at_least):
            raise AssertionError(f"revision {revision} after {self.seen}")
        self.seen = revision

    def step(self, api, key):
        if len(self.believed[key]) > 1:
            self.settle(api, key)
        value, revision = self.believed[key][0]
        self.count += 1
        wanted = None
        if value is None or self.random.random() < 0.8:
            wanted = b"%d.%d " % (self.number, self.count) + objects.stored(
                "v1", "ConfigMap", key.decode(), filler=self.random.randrange(20, 3000),
                seed=self.count)
            what = [op_put(key, wanted, lease=self.lease if self.count % 3 == 0 else 0)]
        else:
            what = [op_delete(key)]
        self.believed[key].append((wanted, None))
        self.maybe[(key, wanted)] += 1
        answer = api.Txn(compare=[compare(key, "MOD", revision)], success=what,
                         failure=[op_get(key)], timeout=5)
        if not answer.succeeded:
            kvs = answer.responses[0].response_range.kvs
            raise AssertionError(f"{key}: {revision} is not there, but "
                                 f"{[kv.mod_revision for kv in kvs]}")
        self.notice(answer.header.revision, self.seen + 1)
        self.acknowledge(key, wanted, answer.header.revision)

    def acknowledge(self, key, value, revision):
        self.believed[key] = [(value, revision if value is not None else 0)]
        self.maybe[(key, value)] -= 1
        self.acknowledged.append((revision, key, value))

    def settle(self, api, key):
        """After a call without an answer: the write happened or it did not, nothing else."""
        answer = api.Range(key=key, limit=1, timeout=5)
        self.notice(answer.header.revision)
        (old, revision), (new, _) = self.believed[key][0], self.believed[key][-1]
        kept = answer.kvs[0] if answer.kvs else None
        found = kept.value if kept else None
        if found == new and (not kept or kept.mod_revision > revision):
            self.believed[key] = [(new, kept.mod_revision if kept else 0)]
        elif found == old and (not kept or kept.mod_revision == revision):
            self.believed[key] = [(old, revision)]
        else:
            raise AssertionError(f"{key}: neither what was there nor what was written: "
                                 f"{kept and kept.mod_revision}, {revision} expected")


class Watcher:
    """A watch taken up again from the next revision after every crash."""

    def __init__(self, case):
        self.case, self.events, self.next = case, [], 2

    def follow(self, api, until):
        watch = api.watch(PREFIX, range_end=prefix_end(PREFIX), start_revision=self.next,
                          prev_kv=True, progress_notify=True)
        while self.next <= until:
            got = watch.next(timeout=20)
            for event in got.events:
                revision = event.kv.mod_revision
                self.case.assertGreaterEqual(revision, self.next, "an event came twice")
                self.next = revision + 1
                self.events.append((revision, event.kv.key, event.kv.value
                                    if event.type == pb.Event.PUT else None,
                                    event.prev_kv.mod_revision))
            if not got.events and got.header.revision >= until:
                break
            if self.next <= until:
                watch.send(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
        watch.close()


class Crash(Case):
    def test_kill_9_under_load(self):
        chance = random.Random(20)
        self.node = self.member(certs=True, flags=["--snapshot-count=2000"])
        with Api(self.node) as api:
            self.lease = api.LeaseGrant(TTL=7200).ID
            self.short = api.LeaseGrant(TTL=600).ID
        self.writers = [Writer(self.node, i, self.lease) for i in range(WRITERS)]
        self.watcher, self.last = Watcher(self), 0
        for writer in self.writers:
            writer.start()
        for _ in range(CRASHES):
            time.sleep(chance.uniform(0.02, 1.2))
            self.node.kill()
            promised = max(writer.seen for writer in self.writers)
            self.node.start()
            with Api(self.node) as api:
                self.look_after_crash(api, promised)
            if any(writer.broken for writer in self.writers):
                break
        self.finish()

    def look_after_crash(self, api, promised):
        revision = api.Range(key=b"x", limit=1).header.revision
        self.assertGreaterEqual(revision, max(promised, self.last), "the revision went back")
        self.last = revision
        left = api.LeaseTimeToLive(ID=self.lease)
        self.assertEqual(7200, left.grantedTTL)
        self.assertGreater(left.TTL, 6900)
        self.assertEqual({self.lease, self.short},
                         {one.ID for one in api.LeaseLeases().leases})
        self.watcher.follow(api, revision)

    def finish(self):
        for writer in self.writers:
            writer.ending = True
        for writer in self.writers:
            writer.join(30)
            self.assertFalse(writer.is_alive())
            self.assertEqual([], writer.broken)
        with Api(self.node) as api:
            for writer in self.writers:
                for key in writer.keys:
                    if len(writer.believed[key]) > 1:
                        writer.settle(api, key)
            state = api.Range(key=PREFIX, range_end=prefix_end(PREFIX))
            self.watcher.follow(api, state.header.revision)
        self.compare_state(state)
        self.compare_events()
        print(f"{CRASHES} crashes, {len(self.watcher.events)} events, "
              f"{sum(len(writer.acknowledged) for writer in self.writers)} acknowledged ... ",
              end="", flush=True)

    def compare_state(self, state):
        wanted = {}
        for writer in self.writers:
            wanted.update((key, states[0]) for key, states in writer.believed.items()
                          if states[0][0] is not None)
        found = {kv.key: (kv.value, kv.mod_revision) for kv in state.kvs}
        wrong = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
        self.assertEqual([], wrong)

    def compare_events(self):
        """Every acknowledged write is an event; what else there is was sent, at least; nothing is
        there twice or out of order, and each event's previous one is the key's event before."""
        events = {event[0]: event[1:3] for event in self.watcher.events}
        self.assertEqual(len(events), len(self.watcher.events))
        self.assertEqual(list(range(2, 2 + len(events))), sorted(events),
                         "revisions without event")
        maybe = collections.Counter()
        for writer in self.writers:
            for revision, key, value in writer.acknowledged:
                self.assertTrue((key, value) == events.pop(revision),
                                f"{key}: another event at {revision}")
            maybe += writer.maybe
        for key, value in events.values():
            maybe[(key, value)] -= 1
            self.assertGreaterEqual(maybe[(key, value)], 0,
                                    f"{key}: {(value or b'deleted')[:20]} was never sent")
        before = {}
        for revision, key, value, previous in self.watcher.events:
            self.assertEqual(before.get(key, 0), previous)
            before[key] = revision if value is not None else 0
