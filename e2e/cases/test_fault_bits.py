# SPDX-License-Identifier: Apache-2.0
"""One flipped bit in the log, a snapshot file or the store: refused with words when the member
starts or when the place is read, or of no effect; never served, never lost in silence.

KETCD_FLIPS: how many (60). KETCD_SEED: which (1).
"""
import collections
import fnmatch
import os
import random
import shutil
import time

import grpc

from lib import Case
from lib.api import Api

FLIPS = int(os.environ.get("KETCD_FLIPS", "60"))
SEED = int(os.environ.get("KETCD_SEED", "1"))
KINDS = ["member/wal/*.wal", "member/snap/*.snap", "member/store/*.sst", "member/store/*.blob",
         "member/store/MANIFEST-*", "member/store/CURRENT", "member/store/OPTIONS-*",
         "member/store/IDENTITY"]
FLAGS = ["--snapshot-count=25"]


def files_below(root):
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


class FlippedBit(Case):
    first = True
    seconds = 900 + 10 * FLIPS

    def fill(self):
        """Every kind of row and file: keys old and new, deleted, leased; values small, in files of
        their own, and full of zeros, as what a torn sector leaves; two store files, a snapshot,
        and a log that goes on behind it."""
        data = random.Random(3)
        with Api(self.node) as api:
            lease = api.LeaseGrant(TTL=86400, ID=77).ID
            for number in range(80):
                body = (data.randbytes(30 + number), b"\0" * 3000 + data.randbytes(40),
                        data.randbytes(5000))[number % 3]
                api.Put(key=b"k%02d" % (number % 50), value=body, lease=lease * (number % 5 == 0))
                if number % 11 == 10:
                    api.DeleteRange(key=b"k%02d" % (number % 50))
            api.Compact(revision=12, physical=True)
            api.Put(key=b"last", value=b"\0" * 4000)
            api.Put(key=b"small", value=b"1")

    def answers(self, api):
        """All that a client can see."""
        now = api.Range(key=b"\0", range_end=b"\0", timeout=60)
        yield "keys", [kv.SerializeToString() for kv in now.kvs]
        yield "revision", now.header.revision
        for rev in (13, 30, 60, now.header.revision - 1):
            old = api.Range(key=b"\0", range_end=b"\0", revision=rev, timeout=60)
            yield f"at {rev}", [kv.SerializeToString() for kv in old.kvs]
        yield "leases", [one.ID for one in api.LeaseLeases(timeout=60).leases]
        yield "lease", sorted(api.LeaseTimeToLive(ID=77, keys=True, timeout=60).keys)
        yield "members", api.MemberList(timeout=60).members[0].SerializeToString()
        yield "hash", api.HashKV(timeout=60).hash
        watch = api.watch(b"\0", range_end=b"\0", start_revision=13, prev_kv=True)
        events = []
        while not events or events[-1].kv.mod_revision < now.header.revision:
            got = watch.next(timeout=60)
            if got.canceled:
                raise EOFError(got.cancel_reason)
            events += got.events
        watch.close()
        yield "events", [event.SerializeToString() for event in events]

    def setUp(self):
        super().setUp()
        self.node = self.member(flags=FLAGS)
        self.node.may_abort = True
        self.fill()
        self.node.kill()
        self.node.start()  # the store's files are read anew
        with Api(self.node) as api:
            self.truth = dict(self.answers(api))
        self.node.kill()
        self.cut_logs()
        self.pristine = self.node.data_dir + ".pristine"
        shutil.copytree(self.node.data_dir, self.pristine)
        self.files = {kind: [name for name in files_below(self.pristine)
                             if fnmatch.fnmatch(name, kind)] for kind in KINDS}
        self.files[KINDS[1]] = sorted(self.files[KINDS[1]])[-1:]  # older ones are not read
        self.assertEqual([], [kind for kind, names in self.files.items() if not names])

    def cut_logs(self):
        """The log's file ends a little behind its last record, so that it copies fast."""
        for name in files_below(self.node.data_dir):
            if name.endswith(".wal"):
                path = os.path.join(self.node.data_dir, name)
                with open(path, "rb") as file:
                    used = len(file.read().rstrip(b"\0"))
                os.truncate(path, (used + 1023) // 512 * 512)

    def place(self, chance):
        """A file, a byte of it and a bit: heads and ends of files as often as all the rest."""
        kind = chance.choice(KINDS)
        name = chance.choice(self.files[kind])
        size = os.path.getsize(os.path.join(self.pristine, name))
        at = chance.choice((chance.randrange(min(size, 128)), size - 1
                            - chance.randrange(min(size, 128)), chance.randrange(size),
                            chance.randrange(size)))
        return kind, name, at, chance.randrange(8)

    def test_single_bits(self):
        chance = random.Random(SEED)
        outcomes = collections.Counter()
        for number in range(FLIPS):
            kind, name, at, bit = self.place(chance)
            with self.subTest(number=number, file=name, byte=at, bit=bit):
                outcome = self.one(name, at, bit)
                if name.endswith(".snap") and os.path.exists(
                        os.path.join(self.node.data_dir, name + ".broken")):
                    self.assertIn("broken snapshot file", self.log(), "set aside in silence")
                    outcome = "set aside, the log begins before it"
                outcomes[f"{kind.split('/')[-1]} {outcome}"] += 1
        print(f"{FLIPS} flips from seed {SEED}: "
              + ", ".join(f"{what}: {count}" for what, count in sorted(outcomes.items()))
              + " ... ", end="", flush=True)

    def log(self):
        with open(self.node.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def one(self, name, at, bit):
        shutil.rmtree(self.node.data_dir)
        shutil.copytree(self.pristine, self.node.data_dir)
        with open(os.path.join(self.node.data_dir, name), "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
        open(self.node.log_path, "w", encoding="ascii").close()
        self.node.start(wait=False)
        try:
            return self.outcome()
        finally:
            if self.node.process.poll() is None:
                self.node.kill()

    def outcome(self):
        deadline = time.monotonic() + 60
        while self.node.process.poll() is None and not self.node.is_ready():
            self.assertLess(time.monotonic(), deadline, "neither ready nor refused")
            time.sleep(0.01)
        if self.node.process.poll() is not None:
            self.assertIn(self.node.process.returncode, (1, -6), self.node.log_tail(3))
            self.assertIn(self.node.data_dir, self.node.log_tail(3), "refused without words")
            return "refused"
        try:
            with Api(self.node) as api:
                for what, answer in self.answers(api):
                    self.assertEqual(self.truth[what], answer, what)
        except (grpc.RpcError, EOFError):
            return "refused when read"
        return "without effect"
