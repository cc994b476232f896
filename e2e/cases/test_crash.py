# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, again and again: nothing acknowledged is lost, nothing goes back.

KETCD_KILLS: how often (30).
"""
import json
import os
import threading
import time

import grpc

from lib import Case
from lib.api import Api
from lib.judged import Judged
from lib.recorder import check_file

KILLS = int(os.environ.get("KETCD_KILLS", "30"))
TTL, ROUNDING = 7200, 2


class Crash(Judged, Case):
    first = True
    seconds = 900 + 60 * KILLS

    def test_kill_9_under_load(self):
        node = self.member(certs=True, flags=["--snapshot-count=2000"])
        with Api(node) as api:
            granted = time.monotonic()
            lease = api.LeaseGrant(TTL=TTL).ID

        def crash(_):
            node.kill()
            node.start()
        recorder = self.judge([node], crash, KILLS)
        with Api(node) as api:
            left = api.LeaseTimeToLive(ID=lease)
        age = time.monotonic() - granted
        print(f"{left.TTL} s left after {age:.1f} s", end=" ... ", flush=True)
        self.assertEqual(TTL, left.grantedTTL)
        self.assertGreater(left.TTL, TTL - age - ROUNDING)
        self.assertLessEqual(left.TTL, TTL)
        self.check_that_it_would_find_a_lost_write(recorder.path)

    def check_that_it_would_find_a_lost_write(self, path):
        """The value of the last event that a watch showed is made nobody's."""
        with open(path, encoding="ascii") as file:
            lines = [json.loads(line) for line in file]
        events = [event for line in lines for event in line.get("events", []) if event[0] == "put"]
        events[-1][1][1] = "nobody's"
        with open(path, "w", encoding="ascii") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self.assertNotEqual("", check_file(path))

    def test_kill_9_while_it_defragments(self):
        node = self.member(certs=True, flags=["--snapshot-count=100"])

        def defragment():
            try:
                with Api(node) as api:
                    while True:
                        api.Defragment(timeout=60)
            except grpc.RpcError:
                pass

        def crash(_):
            thread = threading.Thread(target=defragment, daemon=True)
            thread.start()
            thread.join(0.1)
            node.kill()
            node.start()
            thread.join(60)
        self.judge([node], crash, 4)
