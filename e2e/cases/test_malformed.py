# SPDX-License-Identifier: Apache-2.0
"""Every method, given what it cannot read and what it must refuse, over gRPC and as JSON: codes,
texts and bodies are the reference's. lib/malformed.txt holds what etcd 3.5.30 answered; where it is
at hand it is asked again."""
import io
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib import Case, malformed
from lib.api import UNARY, Api
from lib.env import ROOT, reference

RECORDED = os.path.join(ROOT, "e2e", "lib", "malformed.txt")
# As etcd 3.6 and 3.7 have it, read in their source: a cancel of no downgrade is only logged.
NEWER = {'json maintenance/downgrade {"action":2}': "200", "grpc maintenance/downgrade CAI=": "OK"}


class Malformed(Case):
    def ask(self, name, program=None):
        node = self.member(name=name, program=program, flags=["--bcrypt-cost=4"])
        with Api(node) as api:
            return malformed.ask_all(node, api)

    def recorded(self):
        with open(RECORDED, encoding="utf-8") as file:
            return malformed.read(file)

    def compare(self, wanted, got):
        self.assertEqual(set(wanted), set(got))
        wrong = [f"{name}\n  wanted {answer}\n  got    {got[name]}"
                 for name, answer in wanted.items() if answer != got[name]]
        self.assertEqual([], wrong[:20], f"{len(wrong)} of {len(wanted)}")

    def test_answers_are_those_that_were_recorded(self):
        wanted = {**self.recorded(), **NEWER}
        self.assertGreater(len(wanted), 1800)
        self.compare(wanted, self.ask("ours"))

    def test_the_record_is_the_references(self):
        self.compare(self.recorded(), self.ask("theirs", reference("etcd")))

    def test_every_method_is_asked(self):
        asked = {path for path, _ in malformed.METHODS.values()}
        for service, methods in UNARY.items():
            for method in methods.split():
                self.assertIn(f"/etcdserverpb.{service}/{method.split(':')[0]}", asked)
        with open(os.path.join(ROOT, "daemon", "gateway", "paths.c"), encoding="utf-8") as file:
            served = {line.split('"')[1][4:] for line in file if line.startswith('    {"/v3/')}
        self.assertEqual(served, set(malformed.METHODS))

    def test_the_record_is_read_as_it_is_written(self):
        said, file = self.recorded(), io.StringIO()
        malformed.write(said, file)
        file.seek(0)
        self.assertEqual(said, malformed.read(file))


if __name__ == "__main__":
    import unittest
    unittest.main()
