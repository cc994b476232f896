# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, that fails, that is slow: the member stops with words or goes on, nothing
acknowledged is lost, and it starts again when the disk is well.

KETCD_NTH: which operations fail in turn: "all", "short" (all of the way without a new segment),
"from-to", or how many samples (12).
"""
import os
import random
import shutil
import time

import grpc

from lib import Case
from lib import faults
from lib.api import Api
from lib.faults import (ALLOCATE, CHANGES, CREATE, MKDIR, OPEN, READ, RENAME, SYNC, WRITE, Faults,
                        code)

NTH = os.environ.get("KETCD_NTH", "12")
STOP_S = 60
FLAGS = ["--snapshot-count=20", "--max-wals=2", "--max-snapshots=2"]
BIG = 1 << 20


class Load:
    """A little of everything, until a call fails. acked: what is surely there; unsure: the state
    of the key whose call got no answer."""

    def __init__(self, big=0):
        self.big, self.acked, self.unsure, self.failed = big, {}, None, None

    def put(self, api, key, value):
        self.unsure = (key, value)
        api.Put(key=key, value=value, timeout=STOP_S)
        self.acked[key], self.unsure = value, None

    def delete(self, api, key):
        self.unsure = (key, None)
        api.DeleteRange(key=key, timeout=STOP_S)
        self.acked.pop(key, None)
        self.unsure = None

    def steps(self, api):
        data = random.Random(5)
        for number in range(50):
            self.put(api, b"k%03d" % (number % 30), data.randbytes(200 + number % 7 * 1000))
            if number % 7 == 6:
                self.delete(api, b"k%03d" % (number % 30))
            if number == 30:
                api.Compact(revision=20, physical=True)
        api.Defragment(timeout=STOP_S)
        for number in range(self.big):
            self.put(api, b"l%03d" % number, data.randbytes(BIG))

    def run(self, node):
        try:
            with Api(node, options=[("grpc.enable_retries", 0)]) as api:
                self.steps(api)
        except grpc.RpcError as error:
            self.failed = f"{error.code()}: {error.details()}"
        return self

    def wrong(self, node):
        """Keys that are not as they must be."""
        with Api(node) as api:
            found = {kv.key: kv.value for start, end in ((b"k", b"l"), (b"l", b"m"))
                     for kv in api.Range(key=start, range_end=end, timeout=60).kvs}
            api.Put(key=b"after", value=b"1")
        wrong = {key for key in found.keys() | self.acked.keys()
                 if found.get(key) != self.acked.get(key)}
        if self.unsure and found.get(self.unsure[0]) == self.unsure[1]:
            wrong.discard(self.unsure[0])
        return wrong


class DiskCase(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member(start=False, flags=FLAGS)
        self.faults = Faults(self.node, os.path.join(self.folder, "faults"))

    def ended(self):
        """The exit code, once the process has ended by itself."""
        deadline = time.monotonic() + STOP_S
        while self.node.process.poll() is None:
            self.assertLess(time.monotonic(), deadline, "neither serves nor stops: "
                            + self.node.log_tail(5))
            time.sleep(0.02)
        return self.node.process.returncode

    def well_again(self, load):
        for slot in range(faults.RULES):
            self.faults.clear(slot)
        self.node.start()
        self.assertEqual(set(), load.wrong(self.node))
        self.node.kill()

    def stops(self, word, big=0):
        """Under the rules that are set the load ends, the member with words, and all is there."""
        load = Load(big).run(self.node)
        self.assertGreater(self.faults.hit(), 0, "the rule met nothing")
        self.assertNotEqual(0, self.ended())
        self.assertRegex(self.node.log_tail(4), word)
        return load


class FullDisk(DiskCase):
    def full(self, kinds, pattern, big=0, flags=0):
        self.node.start()
        self.faults.rule(kinds, pattern, error=code("ENOSPC"), flags=flags)
        load = self.stops("(?i)no space left.*|fatal", big)
        self.assertRegex(self.node.log_tail(4), "(?i)no space left|background")
        self.node.start(wait=False)
        time.sleep(0.3)
        if self.node.process.poll() is None:
            self.node.kill()
        self.well_again(load)

    def test_append_to_the_log(self):
        self.full(WRITE, "member/wal/*.wal")

    def test_append_to_the_log_after_half(self):
        self.full(WRITE, "member/wal/*.wal", flags=faults.HALF)

    def test_next_segment(self):
        self.full(CREATE, "member/wal/*.tmp", big=70)

    def test_space_of_the_next_segment(self):
        self.full(ALLOCATE, "member/wal/*.tmp", big=130)

    def test_store_file(self):
        self.full(WRITE, "*.sst")

    def test_store_file_that_cannot_be_made(self):
        self.full(CREATE, "*.sst")

    def test_value_file(self):
        self.full(WRITE, "*.blob")

    def test_manifest(self):
        self.full(WRITE, "*/MANIFEST-*")

    def test_snapshot_file(self):
        self.full(WRITE, "member/snap/*")

    def test_snapshot_file_that_cannot_be_made(self):
        self.full(CREATE, "member/snap/*")

    def test_everything(self):
        self.full(WRITE | CREATE | ALLOCATE | MKDIR, "*")

    def test_flush_in_the_background(self):
        """No call waits for it: the store's memory fills, a background thread cannot empty it."""
        self.node.flags[:] = ["--snapshot-count=100000"]
        self.full(WRITE | CREATE, "*.[sb][sl][to]*", big=140)

    def test_first_start(self):
        for kinds, pattern in ((MKDIR, "*"), (CREATE, "member/wal/*"), (ALLOCATE, "*"),
                               (WRITE, "member/wal/*"), (CREATE, "*/MANIFEST*"),
                               (WRITE, "*/MANIFEST*"), (WRITE, "*.dbtmp"), (RENAME, "*")):
            self.faults.rule(kinds, pattern, error=code("ENOSPC"))
            self.node.start(wait=False)
            self.assertNotEqual(0, self.ended(), pattern)
            self.assertRegex(self.node.log_tail(2), "(?i)no space left", pattern)
            self.faults.clear()
        self.node.start()
        self.assertIsNone(Load().run(self.node).failed)


class FailingSync(DiskCase):
    def fails(self, pattern, big=0, skip=0, flags=FLAGS):
        self.node.flags[:] = flags
        self.node.start()
        mark = len(self.faults.trace())
        self.faults.rule(SYNC, pattern, error=code("EIO"), count=1, skip=skip)
        load = self.stops("(?i)input/output error|background", big)
        syncs = [step for step in self.faults.trace()[mark:] if step[0] == SYNC]
        failed = next(at for at, step in enumerate(syncs) if step[2])
        self.assertNotIn(syncs[failed][1], [name for _, name, _ in syncs[failed + 1:]],
                         "a failed sync was tried again")
        self.well_again(load)

    def test_log(self):
        self.fails("member/wal/*.wal", skip=7)

    def test_log_folder(self):
        self.fails("member/wal", big=70)

    def test_new_segment(self):
        self.fails("member/wal/*.tmp", big=70)

    def test_store_file(self):
        self.fails("*.sst")

    def test_value_file(self):
        self.fails("*.blob")

    def test_manifest(self):
        self.fails("*/MANIFEST-*")

    def test_store_folder(self):
        self.fails("member/store")

    def test_snapshot_file(self):
        self.fails("member/snap/*")

    def test_snapshot_folder(self):
        self.fails("member/snap")

    def test_flush_in_the_background(self):
        self.fails("*.sst", big=70, flags=["--snapshot-count=100000"])


class FailingRead(DiskCase):
    def test_reads_of_the_store(self):
        """What cannot be read is told, not left out."""
        self.node.flags[:] = ["--snapshot-count=10", "--value-cache-bytes=0"]
        self.node.start()
        load = Load().run(self.node)
        self.node.terminate()
        self.node.start()
        self.faults.rule(READ, "member/store/*", error=code("EIO"))
        with Api(self.node) as api:
            with self.assertRaises(grpc.RpcError) as caught:
                api.Range(key=b"k", range_end=b"l")
        self.assertNotEqual(grpc.StatusCode.OK, caught.exception.code())
        if self.node.process.poll() is None:
            self.node.kill()
        self.well_again(load)


    def test_previous_values_of_a_watch(self):
        """A watch that asked for previous values gets them, or ends: never the event without."""
        self.node.flags[:] = ["--value-cache-bytes=0"]
        self.node.start()
        with Api(self.node) as api:
            for number in range(4):
                api.Put(key=b"k%d" % number, value=b"old" * 3000)
        self.node.terminate()
        self.node.start()
        with Api(self.node) as api:
            watch = api.watch(b"k", range_end=b"l", prev_kv=True)
            api.Put(key=b"k0", value=b"new")
            self.assertEqual(b"old" * 3000, watch.events(1)[0].prev_kv.value)
            self.faults.rule(READ, "member/store/*", error=code("EIO"))
            api.Put(key=b"k1", value=b"new")
            with self.assertRaises(grpc.RpcError) as caught:
                watch.next()
            self.assertEqual(grpc.StatusCode.INTERNAL, caught.exception.code())
            self.faults.clear()
            again = api.watch(b"k", range_end=b"l", prev_kv=True,
                              start_revision=api.Range(key=b"k1").kvs[0].mod_revision)
            self.assertEqual(b"old" * 3000, again.events(1)[0].prev_kv.value)
            watch.close()
            again.close()


class SlowDisk(DiskCase):
    def test_syncs_of_a_second(self):
        self.node.start()
        self.faults.rule(SYNC, "member/wal/*", delay_us=1_100_000)
        with Api(self.node) as api:
            api.Put(key=b"k000", value=b"slow", timeout=60)
        self.faults.clear()
        self.assertIn("slow fdatasync", self.node.log_tail(20))
        load = Load().run(self.node)
        self.assertIsNone(load.failed)
        self.node.kill()
        self.well_again(load)


class NthOperation(DiskCase):
    """The whole way, start, load, snapshots, compaction, defragmentation and a new segment, then a
    second start and all that is there, with one operation that fails: once, or for good from then
    on."""

    first = True
    seconds = 1200 if NTH.isdigit() and int(NTH) <= 12 else 86400
    KINDS = CHANGES | OPEN | READ

    def test_every_operation_in_turn(self):
        self.short = self.count(0)
        total = self.count(70)
        numbers = self.chosen(total)
        stopped = 0
        for number in numbers:
            for lasting in (False, True):
                with self.subTest(operation=number, lasting=lasting):
                    stopped += self.one(number, lasting)
        print(f"{len(numbers)} of {total} operations, {self.short} without a new segment; stopped "
              f"or refused {stopped} times of {2 * len(numbers)} ... ", end="", flush=True)

    def count(self, big):
        self.node = self.member(start=False, flags=FLAGS, name=f"count{big}")
        self.node.name = "node1"
        self.faults = Faults(self.node, os.path.join(self.node.folder, "faults"))
        self.faults.rule(self.KINDS)
        self.node.start()
        load = Load(big).run(self.node)
        self.assertIsNone(load.failed)
        first = self.faults.seen()
        self.node.restart()
        self.assertEqual(set(), load.wrong(self.node))
        self.assertGreater(self.faults.seen(), first)
        self.node.terminate()
        return self.faults.seen()

    def chosen(self, total):
        """Most of a new segment is one write after the other: half of the samples are before."""
        if NTH in ("all", "short"):
            return range(total if NTH == "all" else self.short)
        if "-" in NTH:
            first, last = NTH.split("-")
            return range(int(first), min(int(last) + 1, total))
        chance, count = random.Random(total), min(int(NTH), total)
        before = min(count // 2, self.short)
        return sorted(chance.sample(range(self.short), before)
                      + chance.sample(range(self.short, total), count - before))

    def one(self, number, lasting):
        node = self.member(start=False, flags=FLAGS, name=f"n{number}{'l' if lasting else 'o'}")
        self.node = node
        node.name = "node1"
        self.faults = Faults(node, os.path.join(node.folder, "faults"))
        self.faults.rule(self.KINDS, error=code("ENOSPC" if number % 2 else "EIO"), skip=number,
                         count=0 if lasting else 1)
        load = Load(0 if number < self.short else 70)
        if self.comes_up():
            load.run(node)
        if load.failed and not self.only_a_read(load):
            self.ended()
        has_stopped = node.process.poll() is not None
        if not has_stopped:
            node.terminate()
            has_stopped = not self.comes_up() or self.is_refused(load)
        if node.process.poll() is None:
            node.kill()
        self.well_again(load)
        shutil.rmtree(node.folder)
        return has_stopped

    def comes_up(self):
        """Or ends."""
        self.node.start(wait=False)
        deadline = time.monotonic() + STOP_S
        while self.node.process.poll() is None and not self.node.is_ready():
            self.assertLess(time.monotonic(), deadline, "neither serves nor stops: "
                            + self.node.log_tail(5))
            time.sleep(0.01)
        return self.node.process.poll() is None

    def only_a_read(self, load):
        """A call is told that something cannot be read, and the member goes on: nothing is lost of
        that, so long as no change failed. (The trace is of all but reads.)"""
        return not any(step[2] for step in self.faults.trace()) and not self.is_refused(load)

    def is_refused(self, load):
        """What the faulty disk gives is all that there is, or an error."""
        try:
            self.assertEqual(set(), load.wrong(self.node))
        except grpc.RpcError:
            return True
        return False
