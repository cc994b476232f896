# SPDX-License-Identifier: Apache-2.0
"""A recorded load over members that are killed, judged by tests/history."""
import json
import os

from lib import Case
from lib.cluster import ClusterCase
from lib.load import END, PREFIX, Load
from lib.recorder import Recorder, check_file

ANSWERS = 150


class Judged:
    def judge(self, members, faults, **run):
        recorder = Recorder(os.path.join(self.folder, "history"), **run)
        for _ in range(2):
            recorder.watch(members, PREFIX, END)
        recorder.watch(members, b"\0", b"\0", prev_kv=False)
        with Load(recorder, members) as load:
            load.wait_answers(ANSWERS)
            for fault in faults:
                fault()
                load.wait_answers(ANSWERS)
        self.assertEqual([], load.broken())
        recorder.finish(members)
        self.assertEqual("", recorder.check())
        print(f"{recorder.answered} answers, {sum(w.count for w in recorder.watches)} events, "
              f"{recorder.longest_gap():.1f} s without an answer ... ", end="", flush=True)
        return recorder


class One(Judged, Case):
    def test_a_member_that_is_killed(self):
        node = self.member(certs=True, flags=["--snapshot-count=100"])

        def crash():
            node.kill()
            node.start()
        recorder = self.judge([node], [crash] * 3)
        self.check_that_it_would_find_a_lost_write(recorder.path)

    def check_that_it_would_find_a_lost_write(self, path):
        """The last event of the last watch is made another's value."""
        with open(path, encoding="ascii") as file:
            lines = [json.loads(line) for line in file]
        events = [event for line in lines for event in line.get("events", []) if event[0] == "put"]
        events[-1][1][1] = "nobody's"
        with open(path, "w", encoding="ascii") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self.assertNotEqual("", check_file(path))


class Three(Judged, ClusterCase):
    def test_members_that_are_killed(self):
        cluster = self.cluster(3, flags=["--snapshot-count=100"])

        def crash(victim):
            victim.kill()
            victim.start()
        self.judge(cluster.members, [lambda: crash(cluster.leader()),
                                     lambda: crash(cluster.followers()[0])])
