# SPDX-License-Identifier: Apache-2.0
"""etcdctl check perf and check datascale: what they say, and that they leave nothing behind."""
import os
import signal
import time

from lib import Case, Etcdctl

PERF = "/etcdctl-check-perf/"


class Check(Case):
    def setUp(self):
        super().setUp()
        self.node = self.member(certs=True)
        self.etcdctl = self.ctl(self.node)

    def ctl(self, member, **rest):
        """Without the variable that older clients want and newer ones warn of."""
        etcdctl = Etcdctl(member, **rest)
        del etcdctl.env["ETCDCTL_API"]
        return etcdctl

    def count(self, prefix):
        return int(self.etcdctl("get", "--prefix", prefix, "--count-only", "-w", "fields")
                   .split('"Count" : ')[1])

    def interrupted(self, *words):
        """A check that somebody ends after some seconds: exit code and output."""
        process = self.etcdctl.popen("check", "perf", *words)
        self.addCleanup(process.stdin.close)
        deadline = time.monotonic() + 60
        while self.count(PERF) < 150:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
        self.assertEqual("", errors)
        return process.returncode, said

    def test_perf(self):
        """At its end, or when interrupted, it judges what was done so far."""
        code, said = self.interrupted("--auto-compact", "--auto-defrag")
        self.assertRegex(said, r"\ACompacting with revision (\d+)\nCompacted with revision \1\n"
                         r'Defragmenting "https://127.0.0.1:\d+"\n'
                         r'Defragmented "https://127.0.0.1:\d+"\n'
                         r"(PASS: Throughput is|FAIL: Throughput too low:) \d+ writes/s\n"
                         r"(PASS: Slowest request took|Slowest request took too long:) "
                         r"\d\.\d{6}s\n(PASS: Stddev is|Stddev too high:) \d\.\d{6}s\n"
                         r"(PASS|FAIL)\n\Z")
        self.assertEqual(0 if said.endswith("PASS\n") else 1, code)
        self.assertEqual(0, self.count(PERF))

    def test_perf_counts_errors(self):
        """A member over its quota refuses; nothing else is wrong."""
        small = self.member(name="node2", flags=("--quota-backend-bytes=1000000",))
        self.etcdctl = self.ctl(small)
        process = self.etcdctl.popen("check", "perf", "--load=m")
        self.addCleanup(process.stdin.close)
        deadline = time.monotonic() + 60
        while "NOSPACE" not in self.etcdctl("alarm", "list"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        self.assertEqual(1, process.returncode)
        self.assertRegex(said, r"\AFAIL: too many errors\n"
                         r"FAIL: ERROR\(etcdserver: mvcc: database space exceeded\) -> \d+\n")
        self.assertTrue(said.endswith("\nFAIL\n"), said)

    def test_datascale(self):
        done = self.etcdctl.run("check", "datascale", timeout=60)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertRegex(done.stdout, r"\AStart data scale check for work load \[10000 key-value "
                         r"pairs, 1024 bytes per key-value, 50 concurrent clients\]\.\n"
                         r"PASS: Approximate system memory used : -?\d+\.\d\d MB\.\n\Z")
        self.assertEqual(0, self.count("/etcdctl-check-datascale/"))
        revision = self.etcdctl.json("get", "x")["header"]["revision"]
        self.assertEqual(1 + 10000 + 1, revision)

    def test_datascale_fails_where_it_may_not_delete(self):
        """Keys that are left are said, by exit code and words."""
        node = self.member(name="node2", certs=None, flags=("--bcrypt-cost=4",))
        prefix = "/etcdctl-check-datascale/"
        above_all = prefix + os.fsdecode(b"\xff" * 10)  # but not the end of what is deleted
        admin = self.ctl(node)
        for words in (("user", "add", "root:pw"), ("user", "grant-role", "root", "root"),
                      ("user", "add", "u:pw"), ("role", "add", "r"),
                      ("user", "grant-role", "u", "r"),
                      ("role", "grant-permission", "r", "read", prefix, "--prefix"),
                      ("role", "grant-permission", "r", "write", prefix, above_all),
                      ("auth", "enable")):
            admin(*words)
        for build in (Etcdctl, Etcdctl.reference):
            etcdctl = build(node)
            del etcdctl.env["ETCDCTL_API"]
            done = etcdctl.run("--user=u:pw", "check", "datascale", timeout=120)
            self.assertEqual(1, done.returncode, done.stdout)
            self.assertNotIn("PASS", done.stdout)
            self.assertTrue(done.stderr.endswith("Error: etcdserver: permission denied\n"),
                            done.stderr)
            admin("--user=root:pw", "del", "--prefix", prefix)

    def test_refusals(self):
        self.etcdctl("put", PERF + "mine", "1")
        self.etcdctl("put", "/etcdctl-check-datascale/mine", "1")
        for words, code, said in (
                (("perf", "--load=zz"), 4, "Error: unknown load option zz\n"),
                (("datascale", "--load=small."), 4, "Error: unknown load option small.\n"),
                (("perf",), 3, f'Error: prefix "{PERF}" has keys. Delete with '
                 f"'etcdctl del --prefix {PERF}' first\n"),
                (("datascale",), 3, 'Error: prefix "/etcdctl-check-datascale/" has keys. Delete '
                 "with etcdctl del --prefix /etcdctl-check-datascale/ first\n")):
            done = self.etcdctl.run("check", *words)
            self.assertEqual((code, "", said), (done.returncode, done.stdout, done.stderr))
        self.assertEqual(1, self.count(PERF))
