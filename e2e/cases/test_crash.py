# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, again and again: nothing acknowledged is lost, nothing goes back.

KETCD_KILLS: how often (10).
"""
import os

from lib import Case
from lib.history import History

KILLS = int(os.environ.get("KETCD_KILLS", "10"))


class Crash(Case):
    def test_kill_9_under_load(self):
        node = self.member(certs=True, flags=["--snapshot-count=2000"])
        history = History(self, node)
        history.loop(KILLS, lambda number: node.kill())
        print(f"{KILLS} kills, {history.words()}", end="", flush=True)
