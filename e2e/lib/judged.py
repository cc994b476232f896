# SPDX-License-Identifier: Apache-2.0
"""A load over members that something happens to, and what tests/history says of it."""
import os
import random
import time

import grpc

from .api import Api
from .load import END, PREFIX, Load
from .recorder import QUICK, Recorder

LEASES_END_SECONDS = 120


class Judged:
    """For a Case."""

    def judge(self, members, fault, times, seed=1, answers=100, **load_options):
        """Calls fault(number) that often, each time after up to so many answers. No member's clock
        may jump or stand still meanwhile."""
        chance = random.Random(seed)
        recorder = Recorder(os.path.join(self.folder, "history"), sane_clocks=True)
        for _ in range(2):
            recorder.watch(members, PREFIX, END)
        recorder.watch(members, b"\0", b"\0", prev_kv=False)
        with Load(recorder, members, seed=seed, **load_options) as load:
            for number in range(times):
                load.wait_answers(chance.randrange(1, answers))
                fault(number)
            load.wait_answers(answers)
        self.assertEqual([], load.broken())
        self.leases_end(members[0], load.short_leases())
        recorder.finish(members)
        self.assertEqual("", recorder.check())
        print(f"{recorder.answered} answers, {sum(w.count for w in recorder.watches)} events, "
              f"{recorder.longest_gap():.1f} s without an answer ... ", end="", flush=True)
        return recorder

    def leases_end(self, member, leases):
        """Nobody renews them any more."""
        deadline = time.monotonic() + LEASES_END_SECONDS
        left = set(leases)
        while left:
            self.assertLess(time.monotonic(), deadline, f"leases live on: {left}")
            time.sleep(0.2)
            try:
                with Api(member, options=QUICK) as api:
                    left &= {one.ID for one in api.LeaseLeases(timeout=5).leases}
            except grpc.RpcError:
                pass
