# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, heard on a socket of the test's own."""
import os
import signal
import socket
import time

from lib import Case


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
        heard = self.hear("READY=1", 20)
        self.assertEqual(1, len(heard))
        self.assertTrue(any(line.startswith("STATUS=serving") for line in heard[0]), heard)
        self.assertTrue(member.is_ready())

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
        self.member(env={"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "1000000"})
        self.hear("READY=1")
        for _ in range(5):
            self.hear("WATCHDOG=1", 1)

    def test_nobody_feeds_a_watchdog_that_is_not_there(self):
        self.member(env={"NOTIFY_SOCKET": self.path})
        self.hear("READY=1")
        self.socket.settimeout(1.5)
        with self.assertRaises(TimeoutError):
            self.socket.recv(4096)
