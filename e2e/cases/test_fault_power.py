# SPDX-License-Identifier: Apache-2.0
"""The power goes under load: bytes and names that no sync covered are lost or torn.

KETCD_CUTS: how often (5). KETCD_SEED: the first cut's seed (1); each cut has the next one.
"""
import os
import shutil

from lib import Case
from lib.api import Api
from lib.faults import SYNC, Faults, Power
from lib.judged import Judged

CUTS = int(os.environ.get("KETCD_CUTS", "5"))
SEED = int(os.environ.get("KETCD_SEED", "1"))
KEEP = os.environ.get("KETCD_KEEP", "")


class PowerCut(Judged, Case):
    first = True
    seconds = 900 + 60 * CUTS

    def test_power_cuts_under_load(self):
        node = self.member(start=False, flags=["--snapshot-count=150", "--max-wals=2",
                                               "--max-snapshots=2"])
        self.faults = Faults(node, os.path.join(self.folder, "faults"), with_power=True, seed=SEED)
        self.faults.rule(SYNC, delay_us=1000)
        self.power = Power(self.faults)
        self.power.begin()
        node.start()
        self.said = "none"

        def crash(number):
            node.kill()
            if KEEP:
                shutil.rmtree(KEEP, ignore_errors=True)
                shutil.copytree(self.folder, KEEP, symlinks=True)
            self.said = f"cut {SEED + number}: " + self.power.cut(SEED + number)
            self.power.begin()
            node.start()
        try:
            self.judge([node], crash, CUTS, seed=SEED)
        except AssertionError as error:
            raise AssertionError(f"after {self.said}: {error}") from error
        print(f"{CUTS} cuts from seed {SEED} ... ", end="", flush=True)

    def test_the_cut_loses_what_no_sync_covered(self):
        """The test's own test: with syncs that come back without having done anything, writes
        that were acknowledged are gone after a cut."""
        node = self.member(start=False, flags=["--unsafe-no-fsync"])
        faults = Faults(node, os.path.join(self.folder, "faults"), with_power=True)
        power = Power(faults)
        power.begin()
        node.start()
        node.kill()
        power.begin()
        node.start()
        with Api(node) as api:
            for number in range(50):
                api.Put(key=b"k%d" % number, value=b"x" * 1000)
        node.kill()
        power.cut(1, "lose")
        power.begin()
        node.start()
        with Api(node) as api:
            self.assertLess(api.Range(key=b"k", range_end=b"l", count_only=True).count, 50)
