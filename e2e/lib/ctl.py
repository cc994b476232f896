# SPDX-License-Identifier: Apache-2.0
"""etcdctl in three builds: ours, Debian's and the reference's."""
import json
import os
import subprocess
import time
import unittest

from .env import binary, reference

DEBIAN = "/usr/bin/etcdctl"


class Etcdctl:
    """Calls program against a member. The environment carries no ETCDCTL_* but the API's number."""

    def __init__(self, member, program=None, client="client"):
        self.program = program or binary("etcdctl")
        self.flags = [f"--endpoints={member.client_url}"]
        if member.certs:
            self.flags += member.certs.client_flags(client)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
        self.env["ETCDCTL_API"] = "3"

    @classmethod
    def debian(cls, member, **rest):
        if not os.access(DEBIAN, os.X_OK):
            raise unittest.SkipTest(f"no {DEBIAN}: install etcd-client")
        return cls(member, DEBIAN, **rest)

    @classmethod
    def reference(cls, member, **rest):
        return cls(member, reference("etcdctl"), **rest)

    def run(self, *args, stdin=None, timeout=120):
        """The finished process, whatever its exit code; text. It has long to answer."""
        words = [*self.flags, *args]
        if not any(word.startswith("--command-timeout") for word in words):
            words.insert(0, "--command-timeout=60s")
        return subprocess.run([self.program, *words], input=stdin, text=True,
                              capture_output=True, timeout=timeout, env=self.env, check=False)

    def __call__(self, *args, **rest):
        """The output; a failure fails the test."""
        done = self.run(*args, **rest)
        if done.returncode != 0:
            raise AssertionError(f"etcdctl {' '.join(args)}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def until_done(self, *args, seconds=120):
        """Again, when the member had no time for it; what was done all the same is done."""
        deadline = time.monotonic() + seconds
        while True:
            done = self.run(*args)
            if done.returncode == 0 or "already" in done.stderr:
                return
            is_late = "request timed out" in done.stderr or "deadline exceeded" in done.stderr
            if not is_late or time.monotonic() > deadline:
                raise AssertionError(f"etcdctl {' '.join(args)}: {done.stdout}{done.stderr}")

    def json(self, *args, **rest):
        return json.loads(self(*args, "-w", "json", **rest))

    def popen(self, *args):
        """For watches; the caller ends it."""
        return subprocess.Popen([self.program, *self.flags, *args], text=True, env=self.env,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)


class Reference:
    """The reference's tools that need no member."""

    @staticmethod
    def etcdutl(*args, timeout=120):
        return subprocess.run([reference("etcdutl"), *args], text=True, capture_output=True,
                              timeout=timeout, check=False)
