# SPDX-License-Identifier: Apache-2.0
"""A member that is told to stop while it opens ends at once, by that signal, and loses nothing."""
import os
import signal
import socket
import subprocess

from lib import Case, binary, wait_until
from lib.api import Api
from lib.env import free_port
from lib.faults import CREATE, READ, SYNC, Faults

LONG = 60
HANG_US = LONG * 1_000_000
SOON = 5  # half of what a peer's answer is waited for


class Opening(Case):
    def ends_by(self, member, which):
        member.process.send_signal(which)
        self.assertEqual(-which, member.process.wait(SOON), member.log_tail())

    def filled(self):
        member = self.member()
        with Api(member) as api:
            for number in range(20):
                api.Put(key=b"k%d" % number, value=b"1")
        member.terminate()
        return member

    def ends_where_it_hangs(self, member, kinds, pattern):
        """At the first such operation; then it starts as if nothing had been."""
        faults = Faults(member, os.path.join(self.folder, "faults"))
        for which in (signal.SIGTERM, signal.SIGINT):
            faults.rule(kinds, pattern, delay_us=HANG_US, count=1)
            member.start(wait=False)
            wait_until("it hangs", faults.hit, LONG)
            self.ends_by(member, which)
        faults.clear()
        member.start()
        with Api(member) as api:
            self.assertEqual(20, api.Range(key=b"k", range_end=b"l", count_only=True).count)
        self.assertEqual(0, member.terminate())

    def test_while_it_joins_and_nobody_answers(self):
        """Peers that take a connection and say nothing."""
        silent = socket.create_server(("127.0.0.1", free_port()))
        self.addCleanup(silent.close)
        silent.settimeout(LONG)
        member = self.member(start=False)
        member.flags = [
            f"--initial-cluster=node1={member.peer_url},"
            f"b=http://127.0.0.1:{silent.getsockname()[1]}", "--initial-cluster-state=existing"]
        for which in (signal.SIGTERM, signal.SIGINT):
            member.start(wait=False)
            with silent.accept()[0]:
                self.ends_by(member, which)

    def test_while_it_reads_its_log(self):
        self.ends_where_it_hangs(self.filled(), READ, "member/wal/*")

    def test_while_it_opens_its_store(self):
        self.ends_where_it_hangs(self.filled(), CREATE | SYNC, "member/store*")

    def test_while_it_adopts_a_database(self):
        member = self.filled()
        subprocess.run([binary("etcdutl"), "migrate", "--data-dir", member.data_dir,
                        "--target-version", "3.6"], check=True, capture_output=True, timeout=LONG)
        self.ends_where_it_hangs(member, CREATE | SYNC, "member/store.new*")

    def test_a_reload_waits_until_it_is_open(self):
        member = self.filled()
        faults = Faults(member, os.path.join(self.folder, "faults"))
        faults.rule(CREATE | SYNC, "member/store*", delay_us=1_000_000, count=1)
        member.start(wait=False)
        wait_until("it hangs", faults.hit, LONG)
        member.process.send_signal(signal.SIGHUP)
        member.wait_ready()
        wait_until("the signal is answered",
                   lambda: "looking at certificates again" in member.log_tail(200), LONG)
        self.assertEqual(0, member.terminate())
