# SPDX-License-Identifier: Apache-2.0
"""The same data directory under another binary: etcd's own, ours, and back (etcdutl migrate)."""
import json
import os
import random
import re
import shutil
import subprocess
import time
import unittest

from lib import Case, binary, reference
from lib.api import Api
from lib.load import Load
from lib.recorder import Recorder

KILLS = int(os.environ.get("KETCD_ADOPT_KILLS", "4"))
DEBIAN = "/usr/bin/etcd"
MOVED_SECONDS = 60
WAYS = [(kill, flags) for kill in (False, True) for flags in ((), ("--snapshot-count=30",))]


def debian():
    """Debian's etcd 3.4. Ours may be there under the same name."""
    if os.access(DEBIAN, os.X_OK):
        said = subprocess.run([DEBIAN, "--version"], capture_output=True, text=True, timeout=60,
                              check=False).stdout
        if re.match(r"etcd Version: 3\.4\.", said):
            return DEBIAN
    raise unittest.SkipTest("no etcd 3.4: install Debian's etcd-server")


class Moving(Case):
    first = True
    seconds = 900 + 60 * KILLS

    def fill(self, member):
        """Something of everything."""
        with Api(member) as api:
            lease = api.LeaseGrant(TTL=3000).ID
            for i in range(120):
                api.Put(key=b"k%d" % (i % 25), value=b"v%d" % i, lease=lease if i % 6 == 0 else 0)
            api.DeleteRange(key=b"k3", range_end=b"k5")
            revision = api.Put(key=b"k9", value=b"x").header.revision
            api.Compact(revision=revision - 40, physical=True)
        ctl = self.ctl(member)
        for args in (("user", "add", "root:pw"), ("user", "add", "u:pw"), ("role", "add", "r"),
                     ("role", "grant-permission", "r", "readwrite", "k", "l"),
                     ("user", "grant-role", "u", "r"), ("user", "grant-role", "root", "root"),
                     ("auth", "enable")):
            ctl.until_done(*args)
        return lease

    def state(self, member, lease):
        """What must be the same under either binary. Who asks has to be root."""
        ctl = self.ctl(member)
        root = ("--user", "root:pw", "--dial-timeout=60s")
        found = ctl.json("endpoint", "hashkv", *root)[0]["HashKV"]
        return {
            "keys": ctl("get", "", "--prefix", "-w", "fields", *root).split("\n", 4)[4],
            "revision": re.search(r'"Revision" : (\d+)',
                                  ctl("get", "k1", "-w", "fields", *root)).group(1),
            "hash": found["hash"], "compacted": found["compact_revision"],
            "lease": sorted(re.findall(r"k\d+|granted with TTL\(\d+s\)", ctl(
                "lease", "timetolive", f"{lease:x}", "--keys", *root))),
            "users": ctl("user", "list", *root), "role": ctl("role", "get", "r", *root),
            "u": ctl("user", "get", "u", *root), "members": ctl("member", "list", *root),
            "may": ctl("get", "k1", "--user", "u:pw", "--dial-timeout=60s"),
            "alarms": ctl("alarm", "list", *root),
        }

    def fill_much(self, member, mib=24):
        """So much that taking it over takes a while."""
        with Api(member) as api:
            for i in range(mib * 4):
                api.Put(key=b"bulk/%d" % i, value=os.urandom(1 << 18))

    def hash(self, member):
        with Api(member) as api:
            found = api.HashKV()
            return found.header.revision, found.hash, found.compact_revision

    def swap(self, member, program):
        member.stop()
        member.program = program
        member.start(wait=False)
        member.wait_ready(MOVED_SECONDS)

    def migrate(self, member, target="3.5", *flags):
        return subprocess.run(
            [binary("etcdutl"), "migrate", "--data-dir", member.data_dir, "--target-version",
             target, *flags], capture_output=True, text=True, timeout=120, check=False)

    def lower(self, member, *user):
        """To cluster version 3.5, and then to etcd's own database."""
        wanted = '"etcdcluster":"3.5.0"'
        if wanted not in member.get("/version")[1]:
            self.ctl(member)("downgrade", "enable", "3.5", *user)
        deadline = time.monotonic() + MOVED_SECONDS
        while wanted not in member.get("/version")[1]:
            self.assertLess(time.monotonic(), deadline, member.log_tail())
            time.sleep(0.1)
        self.assertIn('"storage":"3.5.0"', member.get("/version")[1])
        path = os.path.join(self.folder, f"{member.name}-lowered.db")
        self.ctl(member)("snapshot", "save", path, *user)
        status = json.loads(subprocess.run(
            [binary("etcdutl"), "snapshot", "status", path, "-w", "json"], capture_output=True,
            check=True, timeout=120).stdout)
        self.assertEqual("", status["version"])  # no row of a database of 3.5
        member.terminate()
        done = self.migrate(member)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.exists(os.path.join(member.data_dir, "member", "snap", "db")))
        self.assertFalse(os.path.exists(os.path.join(member.data_dir, "member", "store")))


class ThereAndBack(Moving):
    """Needs nobody else's binary: what migrate makes is what etcd's own would have left."""

    def test_all_survives_both_ways(self):
        member = self.member(flags=["--snapshot-count=40", "--snapshot-catchup-entries=5"])
        lease = self.fill(member)
        before = self.state(member, lease)
        for _ in range(2):
            self.lower(member, "--user", "root:pw", "--dial-timeout=60s")
            member.start()
            self.assertIn("made a store of etcd's database", member.log_tail(400))
            self.assertEqual(self.state(member, lease), before)
        member.restart()
        self.assertEqual(self.state(member, lease), before)

    def test_killed_at_any_moment_it_goes_on(self):
        member = self.member()
        self.fill_much(member)
        before = self.hash(member)
        self.lower(member)
        kept = os.path.join(self.folder, "kept")
        shutil.copytree(member.data_dir, kept)
        moment = random.Random(1)
        seconds = 0.5
        for _ in range(KILLS):
            began = time.monotonic()
            member.start(wait=False)
            time.sleep(moment.uniform(0, seconds))
            member.kill()
            member.start(wait=False)
            member.wait_ready(MOVED_SECONDS)
            seconds = min(seconds, time.monotonic() - began)
            self.assertEqual(self.hash(member), before)
            member.kill()
            shutil.rmtree(member.data_dir)
            shutil.copytree(kept, member.data_dir)

    def test_migrate_killed_at_any_moment_loses_nothing(self):
        member = self.member()
        self.fill_much(member)
        before = self.hash(member)
        self.lower(member)
        member.start()
        moment = random.Random(2)
        for _ in range(KILLS):
            member.terminate()
            with subprocess.Popen(
                    [binary("etcdutl"), "migrate", "--data-dir", member.data_dir,
                     "--target-version", "3.5"], stderr=subprocess.DEVNULL) as migrating:
                time.sleep(moment.uniform(0, 0.4))
                migrating.kill()
            member.start(wait=False)
            member.wait_ready(MOVED_SECONDS)
            self.assertEqual(self.hash(member), before)

    def test_migrate_refuses(self):
        member = self.member()
        self.assertIn("is in use: stop the member first", self.migrate(member).stderr)
        with Api(member) as api:
            api.Put(key=b"a", value=b"1")
        member.terminate()
        for target, words in (("3", "wrong target version format"), ("3.4", 'Minimal "3.5"'),
                              ("x.y", "failed to parse"),
                              ("3.8", 'version "3.8.0" is not supported'),
                              ("4.0", 'version "4.0.0" is not supported'),
                              ("3.5", "cluster version 3.6.0 is above the target 3.5")):
            done = self.migrate(member, target)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stderr)
        self.assertEqual(self.migrate(member, "3.6").returncode, 0)
        self.assertIn("is etcd's own", self.migrate(member, "3.6").stderr)
        member.start()
        with Api(member) as api:
            self.assertEqual(api.Range(key=b"a").kvs[0].value, b"1")


class OfEtcds(Moving):
    """Directories that etcd's own binary has left."""

    def test_under_load_there_and_back(self):
        """Theirs, ours, theirs again, ours."""
        program = reference("etcd")
        member = self.member(program=program, flags=["--snapshot-count=60"])
        recorder = Recorder(os.path.join(self.folder, "history"))
        recorder.watch([member], b"/h/", b"/h0")
        with Load(recorder, [member]) as load:
            for target in (binary("etcd"), program, binary("etcd")):
                load.wait_answers(300)
                if target == program:
                    self.lower(member)
                self.swap(member, target)
            load.wait_answers(300)
        self.assertEqual(load.broken(), [])
        recorder.finish([member])
        self.assertEqual(recorder.check(), "")

    def adopt(self, program, name, kill, flags):
        """Stopped or killed; everything is there as it was."""
        member = self.member(name=name, program=program, flags=flags)
        lease = self.fill(member)
        before = self.state(member, lease)
        if kill:
            member.kill()
        self.swap(member, binary("etcd"))
        self.assertEqual(self.state(member, lease), before)
        member.kill()
        member.start()
        self.assertEqual(self.state(member, lease), before)
        member.stop()

    def test_reference_3_5(self):
        for number, (kill, flags) in enumerate(WAYS):
            self.adopt(reference("etcd"), f"n{number}", kill, flags)

    def test_debians_3_4(self):
        for number, (kill, flags) in enumerate(WAYS):
            self.adopt(debian(), f"n{number}", kill, flags)

    def killed_under_load(self, program):
        for name in ("n1", "n2", "n3"):
            member = self.member(name=name, program=program, flags=["--snapshot-count=60"])
            recorder = Recorder(os.path.join(self.folder, name, "history"))
            recorder.watch([member], b"/h/", b"/h0")
            with Load(recorder, [member]) as load:
                load.wait_answers(400)
                member.kill()
                self.swap(member, binary("etcd"))
                load.wait_answers(200)
            self.assertEqual(load.broken(), [])
            recorder.finish([member])
            self.assertEqual(recorder.check(), "")
            member.stop()

    def test_killed_under_load_3_5(self):
        self.killed_under_load(reference("etcd"))

    def test_killed_under_load_3_4(self):
        self.killed_under_load(debian())

    def test_a_running_etcd_is_left_alone(self):
        member = self.member(program=reference("etcd"))
        other = self.member(name="other", start=False)
        other.data_dir = member.data_dir
        other.start(wait=False)
        self.assertNotEqual(other.process.wait(60), 0)
        self.assertIn("is in use by another process", other.log_tail())
        with Api(member) as api:
            api.Put(key=b"a", value=b"1")

    def test_keys_of_the_v2_api_are_refused(self):
        member = self.member(program=debian(), flags=["--enable-v2"])
        done = subprocess.run(["curl", "-sf", "-X", "PUT", "-d", "value=1",
                               member.client_url + "/v2/keys/a"], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        member.terminate()
        member.program = binary("etcd")
        member.flags = []
        member.start(wait=False)
        self.assertNotEqual(member.process.wait(60), 0)
        self.assertIn("keys of the v2 API", member.log_tail())
