# SPDX-License-Identifier: Apache-2.0
"""A load with a recorded history, over a member that is killed and comes back, and what must be
true of it: no acknowledged write lost, no revision twice or backwards, every watch sees each
event once and in order, no lease ends early or lives on."""
import collections
import queue
import random
import threading
import time

import grpc

from . import objects
from .api import Api, compare, op_delete, op_get, op_put, pb, prefix_end

WRITERS = 4
KEYS = 12
PREFIX = b"/registry/configmaps/"
LEASED = b"/registry/leased/"
QUICK = [("grpc.max_reconnect_backoff_ms", 100), ("grpc.initial_reconnect_backoff_ms", 50),
         ("grpc.min_reconnect_backoff_ms", 50)]
GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
# The member's clock ticks, and it looks for what has expired twice a second.
LEASE_SLACK_S = 4


class Client(threading.Thread):
    """Calls turn(api) until it is told to end; broken collects what must not be."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.ending, self.broken = node, False, []

    def run(self):
        while not self.ending:
            try:
                with Api(self.node, options=QUICK) as api:
                    while not self.ending:
                        self.turn(api)
            except grpc.RpcError as error:
                if error.code() not in GONE:
                    self.broken.append(f"{error.code()}: {error.details()}")
                    return
                time.sleep(0.02)
            except AssertionError as error:
                self.broken.append(str(error))
                return

    def turn(self, api):
        raise NotImplementedError


class Writer(Client):
    """Owns its keys. Each call is an optimistic transaction on what the writer believes is
    there; believed[key] is a list of states (value, mod_revision), more than one where a call got
    no answer. acknowledged holds (revision, type, key, value) of every answered write."""

    def __init__(self, node, number, lease):
        super().__init__(node)
        self.number, self.lease = number, lease
        self.random = random.Random(number)
        self.keys = [PREFIX + b"w%d/k%02d" % (number, i) for i in range(KEYS)]
        self.believed = {key: [(None, 0)] for key in self.keys}
        self.acknowledged = []
        self.maybe = collections.Counter()
        self.seen = 0
        self.count = 0

    def turn(self, api):
        self.step(api, self.random.choice(self.keys))

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

    def __init__(self):
        self.events, self.next = [], 2

    def take(self, events):
        for event in events:
            revision = event.kv.mod_revision
            if revision < self.next:
                raise AssertionError(f"an event came twice or late: {revision} after {self.next}")
            self.next = revision + 1
            self.events.append((revision, event.kv.key, event.kv.value
                                if event.type == pb.Event.PUT else None,
                                event.prev_kv.mod_revision))

    def follow(self, api, until):
        watch = api.watch(PREFIX, range_end=prefix_end(PREFIX), start_revision=self.next,
                          prev_kv=True, progress_notify=True)
        while self.next <= until:
            got = watch.next(timeout=20)
            self.take(got.events)
            if not got.events and got.header.revision >= until:
                break
            if self.next <= until:
                watch.send(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
        watch.close()


class LiveWatcher(Client):
    """A watch that is there while the crash comes: what it was shown must not be taken back."""

    def __init__(self, node):
        super().__init__(node)
        self.seen = Watcher()

    def turn(self, api):
        watch = api.watch(PREFIX, range_end=prefix_end(PREFIX), start_revision=self.seen.next,
                          prev_kv=True)
        try:
            while not self.ending:
                try:
                    self.seen.take(watch.next(timeout=0.2).events)
                except queue.Empty:
                    pass
        except EOFError:
            pass
        finally:
            watch.close()


class Lessor(Client):
    """Grants short leases, each with a key; look() after a crash and done() at the end tell
    whether one ended early, left its key behind, or outlived its whole time once more."""

    def __init__(self, node):
        super().__init__(node)
        self.random = random.Random(7)
        self.count, self.leases, self.kept = 0, {}, 0

    def turn(self, api):
        began, ttl = time.monotonic(), self.random.randrange(2, 8)
        key = LEASED + b"%d" % self.count
        self.count += 1
        lease = api.LeaseGrant(TTL=ttl, timeout=5)
        api.Put(key=key, value=b"x", lease=lease.ID, timeout=5)
        self.leases[lease.ID] = (began, lease.TTL, key)
        time.sleep(0.2)

    def look(self, api):
        known = dict(self.leases)
        now = time.monotonic()
        there = {one.ID for one in api.LeaseLeases().leases}
        keys = {kv.key for kv in api.Range(key=LEASED, range_end=prefix_end(LEASED)).kvs}
        late = {one.ID for one in api.LeaseLeases().leases}
        for number, (began, ttl, key) in known.items():
            if now < began + ttl and (number not in there or key not in keys):
                self.broken.append(f"lease {number} of {ttl} s ended after {now - began:.1f} s")
            if number not in there and key in keys:
                self.broken.append(f"lease {number} ended, its key {key} did not")
            if number in late and key not in keys:
                self.broken.append(f"lease {number} lost its key {key}")
            if number not in there:
                self.leases.pop(number, None)
        self.kept += len(known)

    def done(self, api, restarted):
        """restarted: when the member last came back: each has its full time again, at most."""
        while (left := api.LeaseLeases().leases) and self.leases:
            mine = [one.ID for one in left if one.ID in self.leases]
            if not mine:
                return
            last = restarted + max(self.leases[number][1] for number in mine) + LEASE_SLACK_S
            if time.monotonic() > last:
                self.broken.append(f"leases {mine} live on")
                return
            time.sleep(0.2)


class History:
    """The load as a whole. loop(): crash() ends the member and does what is to be done to its
    folder, whereupon it is started and looked at."""

    def __init__(self, case, node, seed=20):
        self.case, self.node, self.chance = case, node, random.Random(seed)
        with Api(node) as api:
            self.lease = api.LeaseGrant(TTL=7200).ID
        self.writers = [Writer(node, i, self.lease) for i in range(WRITERS)]
        self.watcher, self.live, self.lessor = Watcher(), LiveWatcher(node), Lessor(node)
        self.clients = [*self.writers, self.live, self.lessor]
        self.last, self.restarted, self.compacted = 0, time.monotonic(), 0

    def broken(self):
        return [text for client in self.clients for text in client.broken]

    def loop(self, crashes, crash, longest=1.2):
        for client in self.clients:
            client.start()
        for number in range(crashes):
            time.sleep(self.chance.uniform(0.02, longest))
            crash(number)
            promised = max(writer.seen for writer in self.writers)
            self.node.start()
            self.restarted = time.monotonic()
            with Api(self.node) as api:
                self.look(api, promised)
            if self.broken():
                break
        self.finish()

    def look(self, api, promised):
        revision = api.Range(key=b"x", limit=1).header.revision
        self.case.assertGreaterEqual(revision, max(promised, self.last), "the revision went back")
        self.last = revision
        left = api.LeaseTimeToLive(ID=self.lease)
        self.case.assertEqual(7200, left.grantedTTL)
        self.case.assertGreater(left.TTL, 6900)
        self.lessor.look(api)
        self.watcher.follow(api, revision)
        oldest = min(self.watcher.next, self.live.seen.next) - 1
        if self.chance.random() < 0.3 and oldest > self.compacted:
            api.Compact(revision=oldest, physical=self.chance.random() < 0.5)
            self.compacted = oldest

    def finish(self):
        for client in self.clients:
            client.ending = True
        for client in self.clients:
            client.join(30)
            self.case.assertFalse(client.is_alive())
        self.case.assertEqual([], self.broken())
        with Api(self.node) as api:
            for writer in self.writers:
                for key in writer.keys:
                    if len(writer.believed[key]) > 1:
                        writer.settle(api, key)
            state = api.Range(key=PREFIX, range_end=prefix_end(PREFIX))
            for watcher in (self.watcher, self.live.seen):
                watcher.follow(api, state.header.revision)
            self.lessor.done(api, self.restarted)
        self.case.assertEqual([], self.broken())
        self.compare_state(state)
        self.compare_events()

    def words(self):
        return (f"{len(self.watcher.events)} events, {self.lessor.count} leases, "
                f"{sum(len(writer.acknowledged) for writer in self.writers)} acknowledged ... ")

    def compare_state(self, state):
        wanted = {}
        for writer in self.writers:
            wanted.update((key, states[0]) for key, states in writer.believed.items()
                          if states[0][0] is not None)
        found = {kv.key: (kv.value, kv.mod_revision) for kv in state.kvs}
        wrong = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
        self.case.assertEqual([], wrong)

    def compare_events(self):
        """Every acknowledged write is an event; what else there is was sent, at least; nothing is
        there twice or out of order, and each event's previous one is the key's event before."""
        events = {event[0]: event[1:3] for event in self.watcher.events}
        self.case.assertEqual(len(events), len(self.watcher.events))
        self.case.assertEqual(self.watcher.events, self.live.seen.events,
                              "a live watch was shown something else")
        maybe = collections.Counter()
        for writer in self.writers:
            for revision, key, value in writer.acknowledged:
                self.case.assertTrue((key, value) == events.pop(revision),
                                f"{key}: another event at {revision}")
            maybe += writer.maybe
        for key, value in events.values():
            maybe[(key, value)] -= 1
            self.case.assertGreaterEqual(maybe[(key, value)], 0,
                                    f"{key}: {(value or b'deleted')[:20]} was never sent")
        before = {}
        for revision, key, value, previous in self.watcher.events:
            self.case.assertEqual(before.get(key, 0), previous)
            before[key] = revision if value is not None else 0
