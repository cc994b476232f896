# SPDX-License-Identifier: Apache-2.0
"""Every command and flag of the tools of 3.4 and 3.5, read from their own help, is one of ours."""
import os
import re
import subprocess

from lib import Case, binary, reference

LONG = 60
DEBIAN = "/usr/bin/etcdctl"
HEADS = r"^(?:COMMANDS|Available Commands):\n((?:.+\n)*?)(?:\n|\Z)"
# What 3.6 has new words for, as ours.
LOAD, REVISION = ("check", "perf", "--load"), ("endpoint", "hashkv", "--rev")
ONCE = ("lease", "keep-alive", "--once")


def asked(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=LONG,
                          check=False, env=dict(os.environ, ETCDCTL_API="3"))
    return done.returncode, done.stdout


class Tree:
    """What a tool's help tells of it: the page of each command."""

    def __init__(self, program):
        self.program, self.pages = program, {}
        self.walk(())

    def walk(self, path):
        status, page = asked(self.program, *path, "--help")
        assert status == 0, (self.program, path)
        self.pages[path] = page
        for found in re.findall(HEADS, page + "\n", re.MULTILINE):
            for line in found.splitlines():
                words = tuple(re.split(r"\t|  +", line.strip())[0].split())
                below = words if words[:len(path)] == path else path + words
                if below not in self.pages:
                    self.walk(below)

    def flags(self, path):
        return dict(re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)(.*)$", self.pages[path],
                               re.MULTILINE))


class Help(Case):
    def compare(self, theirs, ours, count):
        self.assertGreater(len(theirs.pages), count)
        changed = set()
        for path in theirs.pages:
            status, page = asked(ours.program, *path, "--help")
            self.assertEqual(0, status, path)
            ours.pages.setdefault(path, page)
            of_ours = ours.flags(path)
            for name, text in theirs.flags(path).items():
                self.assertIn(name, of_ours, path)
                if text.split() != of_ours[name].split() and name != "help":
                    changed.add((*path, "--" + name))
            self.assertEqual(asked(ours.program, *path, "--help"),
                             asked(ours.program, "help", *path), path)
        return changed

    def test_etcdctl_3_5(self):
        """And every line of their pages, but of those that 3.6 has new ones of."""
        theirs, ours = Tree(reference("etcdctl")), Tree(binary("etcdctl"))
        self.assertEqual({LOAD, REVISION}, self.compare(theirs, ours, 50))
        for path, page in theirs.pages.items():
            if path and path[0] != "completion" and path != ("snapshot", "status"):
                lines = {" ".join(line.split()) for line in ours.pages[path].splitlines()}
                self.assertEqual([], [
                    line for line in page.splitlines() if " ".join(line.split()) not in lines
                    and not any(flag in line for flag in (LOAD[-1], REVISION[-1]))], path)

    def test_etcdctl_3_4(self):
        if not os.access(DEBIAN, os.X_OK):
            self.skipTest("no /usr/bin/etcdctl: install etcd-client")
        theirs, ours = Tree(DEBIAN), Tree(binary("etcdctl"))
        self.assertEqual({LOAD, REVISION, ONCE}, self.compare(theirs, ours, 50))

    def test_etcdutl_3_5(self):
        theirs, ours = Tree(reference("etcdutl")), Tree(binary("etcdutl"))
        self.assertEqual(set(), self.compare(theirs, ours, 10))


class Gone(Case):
    """What is there by name says what to do instead."""

    def test_migrate(self):
        done = subprocess.run([binary("etcdctl"), "migrate", "--data-dir=x", "--no-ttl"],
                              capture_output=True, text=True, timeout=LONG, check=False)
        self.assertEqual(4, done.returncode)
        self.assertIn("use the etcdctl of etcd 3.4", done.stderr)


class V2Store(Case):
    """etcdutl check v2store, beside the reference."""

    def check(self, *args):
        ours, theirs = (subprocess.run([program, "check", "v2store", *args], timeout=LONG,
                                       capture_output=True, text=True, check=False)
                        for program in (binary("etcdutl"), reference("etcdutl")))
        self.assertEqual((theirs.returncode, theirs.stdout, theirs.stderr),
                         (ours.returncode, ours.stdout, ours.stderr))
        return ours.returncode

    def v2_puts(self, member, count):
        for number in range(count):
            done = subprocess.run(["curl", "-sf", "-X", "PUT", "-d", f"value={number}",
                                   member.client_url + "/v2/keys/a"], capture_output=True,
                                  text=True, timeout=LONG, check=False)
            self.assertEqual(0, done.returncode, done.stderr)

    def test_beside_the_reference(self):
        empty = os.path.join(self.folder, "empty")
        os.makedirs(os.path.join(empty, "member", "wal"))
        os.makedirs(os.path.join(empty, "member", "snap"))
        self.assertEqual(1, self.check())
        self.assertEqual(1, self.check("--data-dir", "/nonexistent"))
        self.assertEqual(0, self.check("--data-dir", empty))
        member = self.member(program=reference("etcd"),
                             flags=["--enable-v2", "--snapshot-count=5"])
        ctl = self.ctl(member)
        for number in range(12):
            ctl("put", "a", str(number))
        member.terminate()
        self.assertEqual(0, self.check("--data-dir", member.data_dir))
        member.start()
        self.v2_puts(member, 12)
        member.terminate()
        self.assertEqual(1, self.check("--data-dir", member.data_dir))
        self.assertEqual(1, self.check("--data-dir", member.data_dir, "--wal-dir",
                                       os.path.join(member.data_dir, "member", "wal")))

    def test_of_the_log_too(self):
        """The reference looks at the snapshot only; a member of ours refuses both."""
        member = self.member(program=reference("etcd"), flags=["--enable-v2"])
        self.v2_puts(member, 1)
        member.terminate()
        done = subprocess.run([binary("etcdutl"), "check", "v2store", "--data-dir",
                               member.data_dir], capture_output=True, text=True, timeout=LONG,
                              check=False)
        self.assertEqual((1, "Error: detected custom content in v2store\n"),
                         (done.returncode, done.stderr))
