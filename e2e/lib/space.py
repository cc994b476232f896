# SPDX-License-Identifier: Apache-2.0
"""Private mount and network namespaces: what a host, a container engine or a kubelet would be."""
import os
import shutil
import subprocess
import unittest

from .env import ROOT

ROOTFS = os.environ.get("KETCD_ROOTFS", os.path.join(ROOT, "build", "rootfs"))

# Container engines and systemd want one cgroup hierarchy, whatever the host has.
CGROUP2 = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup"


def rootfs():
    """A small Debian's folder. Absent: the test is skipped, and says so."""
    if os.environ.get("KETCD_SANITIZED"):
        raise unittest.SkipTest("the root file system has no sanitizer's library")
    if not os.path.isdir(os.path.join(ROOTFS, "etc")):
        raise unittest.SkipTest("no root file system: e2e/rootfs makes one, KETCD_ROOTFS names it")
    return ROOTFS


def need_root(*programs):
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")
    for program in programs:
        if not shutil.which(program):
            raise unittest.SkipTest(f"no {program}")


class Space:
    """Lives until stop(), or its process' end. The network has loopback only."""

    def __init__(self, folder):
        need_root("unshare", "nsenter", "ip")
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.process = subprocess.Popen(
            ["unshare", "-m", "-n", "sh", "-c", "ip link set lo up && echo up && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.process.stdout.readline()
        if said != "up\n":
            said += self.process.communicate()[0]
            raise unittest.SkipTest(f"no namespaces: {said}")

    def command(self, *command):
        return ["nsenter", "-t", str(self.process.pid), "-m", "-n", *command]

    def run(self, *command, timeout=60, **rest):
        """The finished process, whatever its exit code; text."""
        return subprocess.run(self.command(*command), capture_output=True, text=True,
                              timeout=timeout, check=False, **rest)

    def __call__(self, *command, **rest):
        """The output; a failure fails the test."""
        done = self.run(*command, **rest)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def writable(self, path):
        """What is written below path stays in here. Skips where the kernel has no overlays."""
        name = path.strip("/").replace("/", "-")
        upper, work = (os.path.join(self.folder, f"{name}-{part}") for part in ("upper", "work"))
        os.makedirs(upper)
        os.makedirs(work)
        done = self.run("mount", "-t", "overlay", "-o",
                        f"lowerdir={path},upperdir={upper},workdir={work}", "overlay", path)
        if done.returncode != 0:
            raise unittest.SkipTest(f"no overlay: {done.stderr.strip()}")

    def address(self, address):
        self("ip", "address", "add", address + "/32", "dev", "lo")

    def status(self, url, *flags, timeout=60):
        """The HTTP status of a GET; 0 when there is no answer."""
        done = self.run("curl", "-s", "-o", "/dev/null", "-m", str(timeout), "-w", "%{http_code}",
                        *flags, url, timeout=timeout + 5)
        return int(done.stdout or 0)

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
