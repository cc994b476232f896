# SPDX-License-Identifier: Apache-2.0
"""The same requests to the member and to the reference get the same answers. e2e/oracle/run does
this for as long as one likes; here it runs for less than a minute, with fixed seeds.

KETCD_SEED: of the planted difference (1).
"""
import glob
import os
import random

import grpc

from lib import Case, reference
from lib.api import Api, op_delete, op_put
from lib.env import ROOT
from oracle.compare import LOST_ROW, TOO_SLOW, Pair
from oracle.generate import KEYS, Generator
from oracle.script import flags, parse
from oracle.shrink import shows, shrink

# Without and with users; a full store; one with little room.
SEEDS = (2, 4, 3, 11)
OPERATIONS = 700


# A random script may part the two on its way: so much of it was compared before.
MOST = 0.7
# Lines that the reference owes an answer to, and how it ends there.
OWED = {"lost_row.txt": (1, LOST_ROW)}
# On a machine too slow to ask of a short lease before its end, a script is run again.
TRIES = 5
FEW = 5
SEED = int(os.environ.get("KETCD_SEED", "1"))


class Planted(Pair):
    """Our member says one thing wrong: one field, of one key, once that was put twice."""

    def __enter__(self):
        chance = random.Random(SEED)
        self.lies = 0
        self.key = chance.choice(KEYS)
        self.field = chance.choice(("version", "mod_revision", "create_revision", "lease"))
        super().__enter__()
        self.told = self.ours.calls["Range"]
        self.ours.calls["Range"] = self.lie
        return self

    def lie(self, *request, **how):
        answer = self.told(*request, **how)
        for kv in answer.kvs:
            if kv.key == self.key and kv.version > 1:
                setattr(kv, self.field, getattr(kv, self.field) + 1)
                self.lies += 1
        return answer


class Oracle(Case):
    seconds = 1800

    def compared(self, operations, name):
        """The pair, once they have answered the same for as long as there is something to
        compare."""
        reference("etcd")
        for _ in range(TRIES):
            with Pair(os.path.join(self.folder, "pair"), flags(operations)) as pair:
                found = pair.run(operations)
            if found:
                self.fail(f"{name} line {found[0] + 1}: {operations[found[0]].line}\n{found[1]}")
            if pair.parted != TOO_SLOW:
                return pair
        return self.fail(f"{name}: too slow, {TRIES} times")

    def test_random_requests_get_the_references_answers(self):
        told = []
        for seed in SEEDS:
            name = f"e2e/oracle/run --sequences 1 --seed {seed}:"
            operations = parse(Generator(seed).script(OPERATIONS))
            pair = self.compared(operations, name)
            answers = pair.operations - pair.passed_over
            self.assertGreater(answers, MOST * OPERATIONS, f"{name} {pair.parted}")
            told.append(f"seed {seed}: {answers} of {len(operations)}")
        print(", ".join(told), end=" ... ", flush=True)

    def test_what_differed_once_does_not_again(self):
        paths = sorted(glob.glob(os.path.join(ROOT, "e2e/oracle/cases/*.txt")))
        self.assertLess(set(OWED), {os.path.basename(path) for path in paths})
        for path in paths:
            with open(path, encoding="utf-8") as file:
                operations = parse(file)
            pair = self.compared(operations, path)
            owed, end = OWED.get(os.path.basename(path), (0, None))
            self.assertEqual((len(operations) - owed, 0, end),
                             (pair.operations, pair.passed_over, pair.parted), path)

    def test_a_planted_difference_is_found_and_made_short(self):
        reference("etcd")
        folder = os.path.join(self.folder, "pair")
        print(f"KETCD_SEED={SEED}", end=" ... ", flush=True)
        for seed in range(SEED, SEED + TRIES):  # some full stores never take a key twice
            operations = parse(Generator(seed).script(OPERATIONS))
            with Planted(folder, flags(operations)) as pair:
                found = pair.run(operations)
            if pair.lies:
                break
        self.assertIsNotNone(found, f"{pair.lies} lies about {pair.field} of {pair.key}: unseen")
        self.assertEqual("Range", found[1].name)
        script = operations[:found[0] + 1]
        short, difference = shrink(folder, script, "Range", seconds=900, make=Planted)
        lines = "\n".join(operation.line for operation in short)
        self.assertIn(pair.field, str(difference))
        self.assertLessEqual(len(short), FEW, lines)
        self.assertIsNone(shows(folder, short, "Range"), f"not the planted one:\n{lines}")
        print(f"{len(script)} lines, {len(short)} of them enough", end=" ... ", flush=True)

    def test_a_refused_transaction_writes_nothing(self):
        """The put needs a key that the delete before it takes. (The reference dies of this.)"""
        with Api(self.member()) as api:
            api.Put(key=b"b", value=b"1")
            before = api.Range(key=b"\0", range_end=b"\0")
            with self.assertRaises(grpc.RpcError) as caught:
                api.Txn(success=[op_delete(b"\0", range_end=b"\0"),
                                 op_put(b"b", b"2", ignore_lease=True)])
            self.assertEqual("etcdserver: key not found", caught.exception.details())
            self.assertEqual(before, api.Range(key=b"\0", range_end=b"\0"))
