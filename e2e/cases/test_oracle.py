# SPDX-License-Identifier: Apache-2.0
"""The same requests to the member and to the reference get the same answers. e2e/oracle/run does
this for as long as one likes; here it runs for less than a minute, with fixed seeds."""
import glob
import os

import grpc

from lib import Case, reference
from lib.api import Api, op_delete, op_put
from lib.env import ROOT
from oracle.compare import Pair
from oracle.generate import Generator
from oracle.script import flags, parse

# Without and with users; a full store; one with little room.
SEEDS = (2, 4, 3, 11)
OPERATIONS = 700


class Oracle(Case):
    def compared(self, lines, name):
        reference("etcd")
        operations = parse(lines)
        with Pair(os.path.join(self.folder, "pair"), flags(operations)) as pair:
            found = pair.run(operations)
        if found:
            self.fail(f"{name} line {found[0] + 1}: {operations[found[0]].line}\n{found[1]}")

    def test_random_requests_get_the_references_answers(self):
        for seed in SEEDS:
            self.compared(Generator(seed).script(OPERATIONS),
                          f"e2e/oracle/run --sequences 1 --seed {seed}:")

    def test_what_differed_once_does_not_again(self):
        for path in sorted(glob.glob(os.path.join(ROOT, "e2e/oracle/cases/*.txt"))):
            with open(path, encoding="utf-8") as file:
                self.compared(file, path)

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
