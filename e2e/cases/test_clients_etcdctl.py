# SPDX-License-Identifier: Apache-2.0
"""etcdctl in three builds against a member with mutual TLS; etcd's own tools on its snapshot."""
import json
import os
import socket
import subprocess
import sys

from lib import BIN, Case, Etcdctl, Member, Reference, binary, objects, reference
from lib.api import Api
from lib.env import ROOT


class Commands:
    """What every build must get right; the classes below choose the build."""

    def setUp(self):
        super().setUp()
        self.node = self.member(certs=True)
        self.etcdctl = self.build(self.node)

    def put(self, *pairs):
        for key, value in pairs:
            self.assertEqual("OK\n", self.etcdctl("put", key, value))

    def test_put_and_get(self):
        self.put(("/registry/a", "1"), ("/registry/b", "2"), ("/registry/c", "3"))
        self.assertEqual("OK\n/registry/a\n1\n", self.etcdctl("put", "--prev-kv", "/registry/a",
                                                            "one"))
        self.assertEqual("OK\n", self.etcdctl("put", "/registry/a", "--ignore-value"))
        get = self.etcdctl
        self.assertEqual("/registry/a\none\n/registry/b\n2\n/registry/c\n3\n",
                         get("get", "--prefix", "/registry/"))
        self.assertEqual("1\n", get("get", "/registry/a", "--rev=2", "--print-value-only"))
        self.assertEqual("/registry/c\n\n/registry/b\n\n",
                         get("get", "--prefix", "/registry/", "--keys-only", "--limit=2",
                             "--order=DESCEND", "--sort-by=KEY"))
        self.assertEqual("/registry/b\n2\n/registry/c\n3\n",
                         get("get", "--from-key", "/registry/b"))
        self.assertEqual("/registry/a\none\n", get("get", "/registry/a", "/registry/b"))
        kv = get.json("get", "/registry/a")["kvs"][0]
        self.assertEqual((2, 6, 3), (kv["create_revision"], kv["mod_revision"], kv["version"]))

    def test_del(self):
        self.put(("a", "1"), ("b", "2"), ("c", "3"))
        self.assertEqual("1\na\n1\n", self.etcdctl("del", "a", "--prev-kv"))
        self.assertEqual("2\n", self.etcdctl("del", "--from-key", "b"))
        self.assertEqual("0\n", self.etcdctl("del", "a"))

    def test_txn(self):
        self.put(("a", "1"))
        text = 'val("a") = "1"\nmod("b") = "0"\n\nput b 2\nget a\n\nget b\n\n'
        self.assertEqual("SUCCESS\n\nOK\n\na\n1\n", self.etcdctl("txn", stdin=text))
        self.assertEqual("FAILURE\n\nb\n2\n", self.etcdctl("txn", stdin=text))

    def test_watch(self):
        self.put(("a", "1"), ("a", "2"))
        self.etcdctl("del", "a")
        watch = self.etcdctl.popen("watch", "--rev=2", "--prev-kv", "a")
        try:
            got = "".join(watch.stdout.readline() for _ in range(13))
        finally:
            watch.kill()
            watch.communicate()
        self.assertEqual("PUT\na\n1\nPUT\na\n1\na\n2\nDELETE\na\n2\na\n\n", got)

    def test_lease(self):
        granted = self.etcdctl("lease", "grant", "100")
        lease = granted.split()[1]
        self.assertEqual(f"lease {lease} granted with TTL(100s)\n", granted)
        self.etcdctl("put", "a", "1", f"--lease={lease}")
        left = self.etcdctl("lease", "timetolive", "--keys", lease)
        self.assertRegex(left, rf"^lease {lease} granted with TTL\(100s\), "
                               r"remaining\(\d+s\), attached keys\(\[a\]\)\n$")
        self.assertEqual(f"lease {lease} keepalived with TTL(100)\n",
                         self.etcdctl("lease", "keep-alive", "--once", lease))
        self.assertEqual(f"found 1 leases\n{lease}\n", self.etcdctl("lease", "list"))
        self.assertEqual(f"lease {lease} revoked\n", self.etcdctl("lease", "revoke", lease))
        self.assertEqual("", self.etcdctl("get", "a"))

    def test_compaction(self):
        self.put(("a", "1"), ("a", "2"), ("a", "3"))
        self.assertEqual("compacted revision 3\n",
                         self.etcdctl("compaction", "--physical", "3"))
        gone = self.etcdctl.run("get", "a", "--rev=2")
        self.assertNotEqual(0, gone.returncode)
        self.assertIn("etcdserver: mvcc: required revision has been compacted", gone.stderr)

    def test_endpoint(self):
        self.put(("a", "1"))
        done = self.etcdctl.run("endpoint", "health")
        self.assertIn(f"{self.node.client_url} is healthy", done.stdout + done.stderr)
        status = self.etcdctl.json("endpoint", "status")[0]["Status"]
        self.assertEqual(status["leader"], status["header"]["member_id"])
        self.assertEqual(2, status["header"]["revision"])
        first = self.etcdctl.json("endpoint", "hashkv")[0]["HashKV"]
        self.put(("b", "1"))
        self.assertNotEqual(first["hash"],
                            self.etcdctl.json("endpoint", "hashkv")[0]["HashKV"]["hash"])
        self.assertEqual(first["hash"], self.etcdctl.json(
            "endpoint", "hashkv", "--rev=2")[0]["HashKV"]["hash"])

    def test_member_alarm_defrag_move_leader(self):
        member = self.etcdctl.json("member", "list")["members"]
        self.assertEqual(["node1"], [one["name"] for one in member])
        self.assertEqual([[self.node.peer_url]], [one["peerURLs"] for one in member])
        self.assertEqual("", self.etcdctl("alarm", "list"))
        self.assertEqual("", self.etcdctl("alarm", "disarm"))
        self.assertIn("Finished defragmenting etcd member", self.etcdctl("defrag"))
        moved = self.etcdctl.run("move-leader", "1234")
        self.assertNotEqual(0, moved.returncode)

    def test_snapshot_save(self):
        self.put(("a", "1"))
        path = os.path.join(self.folder, "snapshot.db")
        self.etcdctl("snapshot", "save", path)
        self.assertGreater(os.path.getsize(path), 4096)


class Debian(Commands, Case):
    build = Etcdctl.debian


class Upstream(Commands, Case):
    build = Etcdctl.reference


class Ours(Commands, Case):
    build = Etcdctl


class Silent(Case):
    def test_the_environment_bounds_snapshot_save(self):
        """A save has no deadline but the one that is asked for, by flag or variable."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(5)
            for program in (binary("etcdctl"), reference("etcdctl")):
                done = subprocess.run(
                    [program, f"--endpoints=127.0.0.1:{listener.getsockname()[1]}", "snapshot",
                     "save", os.path.join(self.folder, "s.db")], timeout=120, check=False,
                    capture_output=True, text=True,
                    env={**os.environ, "ETCDCTL_COMMAND_TIMEOUT": "1s", "ETCDCTL_API": "3"})
                self.assertNotEqual(0, done.returncode)
                self.assertIn("context deadline exceeded", done.stderr)


class Snapshot(Case):
    """The reference starts from our snapshot and has all of it."""

    def fill(self, node):
        with Api(node) as api:
            leases = [api.LeaseGrant(TTL=5000 + i).ID for i in range(5)]
            pairs = list(objects.namespaces(50)) + list(objects.pods(200))
            for i, (key, value) in enumerate(pairs):
                api.Put(key=key, value=value, lease=leases[i % 5] if i % 3 == 0 else 0)
            for key, value in pairs[:100]:
                api.Put(key=key, value=value + b"!")
            for key, _ in pairs[50:90]:
                api.DeleteRange(key=key)
            api.Compact(revision=200, physical=True)
            return leases

    def restored(self, path):
        """A reference member on what its own etcdutl restored."""
        other = Member(os.path.join(self.folder, "restored"), program=reference("etcd"))
        done = Reference.etcdutl(
            "snapshot", "restore", path, f"--data-dir={other.data_dir}", f"--name={other.name}",
            f"--initial-cluster={other.name}={other.peer_url}",
            f"--initial-advertise-peer-urls={other.peer_url}")
        self.assertEqual(0, done.returncode, done.stderr)
        self.addCleanup(other.stop)
        other.is_ready = lambda: other.get("/health")[0] == 200 if self.listens(other) else False
        return other.start()

    @staticmethod
    def listens(member):
        try:
            member.get("/health")
        except OSError:
            return False
        return True

    def test_reference_restores_and_serves_it(self):
        reference("etcdutl")
        node = self.member(certs=True)
        leases = self.fill(node)
        path = os.path.join(self.folder, "snapshot.db")
        Etcdctl(node)("snapshot", "save", path)
        done = Reference.etcdutl("snapshot", "status", path, "-w", "json")
        self.assertEqual(0, done.returncode, done.stderr)
        with Api(node) as ours:
            now = ours.Range(key=b"\0", range_end=b"\0")
            status = json.loads(done.stdout)
            self.assertEqual(now.header.revision, status["revision"])
            with Api(self.restored(path)) as theirs:
                self.compare(ours, theirs, now, leases)

    def compare(self, ours, theirs, now, leases):
        then = theirs.Range(key=b"\0", range_end=b"\0")
        self.assertEqual(now.header.revision, then.header.revision)
        self.assertTrue(list(now.kvs) == list(then.kvs), "the keys differ")
        for revision in (200, 250, 300, now.header.revision):
            self.assertTrue(
                list(ours.Range(key=b"\0", range_end=b"\0", revision=revision).kvs)
                == list(theirs.Range(key=b"\0", range_end=b"\0", revision=revision).kvs),
                f"the keys differ at {revision}")
            one, other = ours.HashKV(revision=revision), theirs.HashKV(revision=revision)
            self.assertEqual(one.hash, other.hash, revision)
            # Who compacted remembers that hash, with what was compacted before it: nothing.
            self.assertEqual(-1 if revision == 200 else other.compact_revision,
                             one.compact_revision, revision)
        for lease in leases:
            one, other = (api.LeaseTimeToLive(ID=lease, keys=True) for api in (ours, theirs))
            self.assertEqual((one.grantedTTL, sorted(one.keys)),
                             (other.grantedTTL, sorted(other.keys)))

    def test_our_etcdutl_restores_it_for_us(self):
        node = self.member(certs=True)
        self.fill(node)
        path = os.path.join(self.folder, "snapshot.db")
        Etcdctl(node)("snapshot", "save", path)
        other = Member(os.path.join(self.folder, "restored"), node.certs)
        done = subprocess.run(
            [binary("etcdutl"), "snapshot", "restore", path, f"--data-dir={other.data_dir}",
             f"--name={other.name}", f"--initial-cluster={other.name}={other.peer_url}",
             f"--initial-advertise-peer-urls={other.peer_url}"],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.addCleanup(other.stop)
        other.start()
        with Api(node) as ours, Api(other) as theirs:
            now, then = (api.Range(key=b"\0", range_end=b"\0") for api in (ours, theirs))
            self.assertEqual((now.header.revision, now.count), (then.header.revision, then.count))
            self.assertTrue(list(now.kvs) == list(then.kvs), "the keys differ")


class SideBySide(Case):
    """e2e/ctl/compare.py on a reference server without TLS. All its command lines take minutes:
    KETCD_COMPARE chooses those with that word in them, "all" is all of them."""

    def compare(self, word):
        server = Member(os.path.join(self.folder, "reference"), program=reference("etcd"),
                        flags=["--bcrypt-cost=4"])
        server.is_ready = lambda: Snapshot.listens(server)
        self.addCleanup(server.stop)
        server.start()
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "e2e/ctl/compare.py"), reference("etcdctl"),
             os.path.join(BIN, "etcdctl"), server.client_url, word],
            capture_output=True, text=True, timeout=1200, check=False)
        self.assertEqual(0, done.returncode, done.stdout[-4000:] + done.stderr[-2000:])

    def test_our_etcdctl_says_what_the_reference_says(self):
        word = os.environ.get("KETCD_COMPARE", "-w simple")
        self.compare("" if word == "all" else word)

    def test_endpoint_status_is_the_references(self):
        self.compare("endpoint status")
