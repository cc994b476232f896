# SPDX-License-Identifier: Apache-2.0
"""etcdctl asks for a password at a terminal."""
import os
import pty
import signal
import subprocess
import termios
import time

from lib import Case, binary, reference

WAIT = 120


class Commands:
    """What every build must get right; the classes below choose the build."""

    def setUp(self):
        super().setUp()
        self.keyboard, self.terminal = pty.openpty()
        self.addCleanup(os.close, self.keyboard)
        self.addCleanup(os.close, self.terminal)

    def has_echo(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def ask(self, *args):
        """A process that waits for the password."""
        process = subprocess.Popen(
            [self.find("etcdctl"), "--endpoints=127.0.0.1:1", "--user=u", *args],
            stdin=self.terminal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + WAIT
        while self.has_echo():
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline, "the terminal still echoes")
            time.sleep(0.02)
        return process

    def test_a_signal_gives_the_terminal_its_echo_back(self):
        for words in (("get", "a"), ("lock", "a")):
            for which in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
                process = self.ask(*words)
                process.send_signal(which)
                self.assertEqual(255, process.wait(WAIT))
                self.assertTrue(self.has_echo(), f"{words} after {which}")


class Upstream(Commands, Case):
    find = staticmethod(reference)


class Ours(Commands, Case):
    find = staticmethod(binary)
