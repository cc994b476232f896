# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, heard on a socket of the test's own."""
import os
import signal
import socket
import time

from lib import Case
from lib.api import Api, pb
from lib.faults import SYNC, Faults


class Notify(Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(self.path)

    def hear(self, wanted, seconds=60):
        """Messages up to the first with that line."""
        heard = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                heard.append(self.socket.recv(4096).decode().split("\n"))
            except TimeoutError:
                break
            if wanted in heard[-1]:
                return heard
        self.fail(f"no {wanted} within {seconds} s, but {heard}")

    def test_ready_means_that_clients_are_served(self):
        member = self.member(certs=True, wait=False, env={"NOTIFY_SOCKET": self.path})
        heard = self.hear("READY=1")
        self.assertEqual(1, len(heard))
        self.assertTrue(any(line.startswith("STATUS=serving") for line in heard[0]), heard)
        self.assertEqual("OK\n", self.ctl(member)("put", "a", "1"))

    def test_reload_and_stop_are_told(self):
        member = self.member(env={"NOTIFY_SOCKET": self.path})
        self.hear("READY=1")
        member.process.send_signal(signal.SIGHUP)
        heard = self.hear("RELOADING=1")
        self.assertTrue(any(line.startswith("MONOTONIC_USEC=") for line in heard[-1]), heard)
        self.hear("READY=1")
        self.assertEqual(0, member.terminate())
        self.hear("STOPPING=1")

    def test_the_watchdog_is_fed_while_core_turns(self):
        self.member(env={"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "10000000"})
        self.hear("READY=1")
        for _ in range(5):
            self.hear("WATCHDOG=1")

    def test_the_watchdog_is_not_fed_while_core_hangs(self):
        """In a write of the log that the disk does not end."""
        node = self.member(start=False,
                           env={"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "1000000"})
        faults = Faults(node, os.path.join(self.folder, "faults"))
        node.start()
        self.hear("WATCHDOG=1")
        with Api(node) as api:
            put = api.channel.unary_unary("/etcdserverpb.KV/Put")
            for _ in range(10):
                faults.rule(SYNC, "member/wal/*", delay_us=10_000_000, count=1)
                pending = put.future(pb.PutRequest(key=b"a").SerializeToString(), timeout=60)
                while faults.hit() == 0:
                    time.sleep(0.01)
                time.sleep(1.5)  # it may have turned since the last look
                self.drain()
                heard = self.hears_anything(2)
                hung_all_the_time = not pending.done()
                pending.result()
                if hung_all_the_time:
                    break
            if not hung_all_the_time:
                self.skipTest("this machine is too slow: ten seconds went by at once")
            self.assertFalse(heard)
        self.hear("WATCHDOG=1")

    def hears_anything(self, seconds):
        self.socket.settimeout(seconds)
        try:
            return bool(self.socket.recv(4096))
        except TimeoutError:
            return False

    def drain(self):
        self.socket.setblocking(False)
        try:
            while self.socket.recv(4096):
                pass
        except BlockingIOError:
            pass

    def test_nobody_feeds_a_watchdog_that_is_not_there(self):
        self.member(env={"NOTIFY_SOCKET": self.path})
        self.hear("READY=1")
        self.socket.settimeout(1.5)
        with self.assertRaises(TimeoutError):
            self.socket.recv(4096)
