# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, heard on a socket of the test's own."""
import contextlib
import ctypes
import http.client
import os
import signal
import socket
import threading
import time
import unittest
import urllib.error
import urllib.request

from lib import Case, reference, wait_until
from lib.api import Api, pb
from lib.env import free_port
from lib.faults import SYNC, Faults

LONG = 60
MORE_TIME = "EXTEND_TIMEOUT_USEC=120000000"
NO_LEADER = '{"health":"false","reason":"RAFT NO LEADER"}\n'


SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


@contextlib.contextmanager
def stopped_thread(pid, name):
    """One thread of a child stands still, while all others run."""
    tid = next(int(tid) for tid in os.listdir(f"/proc/{pid}/task")
               if open_text(f"/proc/{pid}/task/{tid}/comm").strip() == name)
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
    ptrace.restype = ctypes.c_long
    for request in (SEIZE, INTERRUPT):
        if ptrace(request, tid, None, None) != 0:
            raise unittest.SkipTest("no ptrace here: " + os.strerror(ctypes.get_errno()))
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        ptrace(DETACH, tid, None, None)


def open_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class NotifyCase(Case):
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


class Notify(NotifyCase):
    def test_ready_means_that_clients_are_served(self):
        member = self.member(certs=True, wait=False, env={"NOTIFY_SOCKET": self.path})
        *before, heard = self.hear("READY=1")
        self.assertEqual([], [said for said in before if said != [MORE_TIME]])
        self.assertTrue(any(line.startswith("STATUS=serving") for line in heard), heard)
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
        node = self.member(env={"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "1000000"})
        self.hear("WATCHDOG=1")
        with stopped_thread(node.process.pid, "core"):
            time.sleep(1.5)  # it may have turned since the last look
            self.drain()
            self.assertFalse(self.hears_anything(2))
        self.hear("WATCHDOG=1")

    def test_the_watchdog_is_fed_while_the_disk_stands_still(self):
        """In a sync of the log that core waits for: an end by the watchdog would not help."""
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
                heard = self.hears_anything(2) and self.hears_anything(2)
                hung_all_the_time = not pending.done()
                while not pending.done():
                    self.hears_anything(1)  # a full socket would block who tells
                pending.result()
                if hung_all_the_time:
                    break
            if not hung_all_the_time:
                self.skipTest("this machine is too slow: ten seconds went by at once")
            self.assertTrue(heard)
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


class AloneCase(NotifyCase):
    """The first of three members, as long as it is the only one."""
    program = None
    watchdog = {}  # who has one must hear it: telling a full socket blocks

    def setUp(self):
        super().setUp()
        program = self.program and self.program()
        self.nodes = [self.member(name=name, start=False, program=program) for name in "abc"]
        initial = ",".join(f"{node.name}={node.peer_url}" for node in self.nodes)
        for node in self.nodes:
            node.flags = [f"--initial-cluster={initial}"]
        self.first = self.nodes[0]
        self.metrics = f"http://127.0.0.1:{free_port()}"
        self.first.flags.append(f"--listen-metrics-urls={self.metrics}")
        self.first.env.update(NOTIFY_SOCKET=self.path, **self.watchdog)
        self.first.start(wait=False)
        self.while_it_runs("health is told", self.health)

    def while_it_runs(self, what, is_so):
        def is_so_now():
            self.assertIsNone(self.first.process.poll(), self.first.log_tail())
            return is_so()
        wait_until(what, is_so_now, LONG)

    def ask(self, path):
        try:
            with urllib.request.urlopen(self.metrics + path, timeout=LONG) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self):
        try:
            return self.ask("/health")
        except OSError:
            return None

    def assert_not_ready(self, seconds):
        """Nor in so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                self.assertNotIn("READY=1", self.socket.recv(4096).decode())
            except TimeoutError:
                pass


class WithoutLeader(AloneCase):
    ends_with = 0

    def test_metrics_and_health_are_told(self):
        self.assertIn("\netcd_server_has_leader 0\n", self.ask("/metrics")[1])
        self.assertEqual((503, NO_LEADER), self.ask("/health"))
        self.assertEqual((200, '{"health":"true","reason":""}'),
                         self.ask("/health?serializable=true"))
        self.assertEqual((200, "ok\n"), self.ask("/livez"))
        status, text = self.ask("/readyz")
        self.assertEqual(503, status)
        self.assertEqual(
            ["", "[+]data_corruption ok", "[+]non_learner ok", "[+]serializable_read ok",
             "[-]linearizable_read failed: etcdserver: request timed out"],
            sorted(set(text.split("\n"))))
        self.assertEqual(404, self.ask("/version")[0])

    def test_it_is_ready_once_there_is_one(self):
        self.assert_not_ready(65 if os.environ.get("KETCD_CLUSTER_LONG") else 1)
        with self.assertRaises(OSError):
            self.first.get("/health", timeout=1)
        self.nodes[1].start(wait=False)
        self.hear("READY=1")
        self.first.wait_ready()

    def test_a_signal_ends_it(self):
        """Over a question that waits for a leader."""
        asking = threading.Thread(target=self.readyz_until_the_end)
        asking.start()
        self.assertEqual(self.ends_with, self.first.terminate())
        asking.join(LONG)
        self.assertFalse(asking.is_alive())
        self.assert_not_ready(0.1)

    def readyz_until_the_end(self):
        try:
            while self.ask("/readyz"):
                pass
        except (OSError, http.client.HTTPException):
            pass


class WithoutLeaderWatched(AloneCase):
    watchdog = {"WATCHDOG_USEC": "10000000"}

    def test_the_watchdog_is_fed_and_certificates_reloaded(self):
        for _ in range(3):
            for message in self.hear("WATCHDOG=1"):
                self.assertNotIn("READY=1", message)
        self.first.process.send_signal(signal.SIGHUP)
        self.while_it_runs("the signal is answered",
                           lambda: "looking at certificates again" in self.first.log_tail(100))
        self.assert_not_ready(1)


class WithoutLeaderTimed(AloneCase):
    def test_systemd_is_asked_for_more_time(self):
        """Else it ends the start at TimeoutStartSec."""
        for message in self.hear(MORE_TIME):
            self.assertNotIn("READY=1", message)
        self.nodes[1].start(wait=False)
        self.hear("READY=1")


class WithoutLeaderReference(WithoutLeader):
    """The same asked of the reference."""
    program = staticmethod(lambda: reference("etcd"))
    ends_with = -signal.SIGTERM
