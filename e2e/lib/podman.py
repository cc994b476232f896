# SPDX-License-Identifier: Apache-2.0
"""The container image, built by buildah and run by podman in a space of their own."""
import os
import shutil
import time

from .env import BIN, ROOT
from .space import CGROUP2, Space, need_root, rootfs

PROGRAMS = ("etcd", "etcdctl", "etcdutl", "etcd-pki")
IMAGE = "localhost/ketcd:e2e"
# A kernel that grants a process no more than it has itself, and no cgroup controllers.
RUN = ("--runtime", "crun", "--cgroups=disabled", "--ulimit", "nofile=4096:4096",
       "--ulimit", "nproc=8192:8192")


class Podman:
    """Storage and containers below folder; the containers' host is the space."""

    def __init__(self, folder):
        need_root("podman", "buildah", "crun")
        self.folder = folder
        self.base = rootfs()
        self.space = Space(os.path.join(folder, "space"))
        self.space("sh", "-c", CGROUP2)
        self.flags = ["--root", os.path.join(folder, "root"), "--runroot",
                      os.path.join(folder, "run"), "--storage-driver", "vfs"]
        self.names = []

    def call(self, *words, timeout=60, **rest):
        return self.space.run("podman", *self.flags, *words, timeout=timeout, **rest)

    def __call__(self, *words, timeout=60, **rest):
        return self.space("podman", *self.flags, *words, timeout=timeout, **rest)

    def build(self):
        """The image around the binaries under test, on the root file system as its base."""
        context = os.path.join(self.folder, "context")
        shutil.copytree(os.path.join(ROOT, "deploy"), os.path.join(context, "deploy"))
        os.mkdir(os.path.join(context, "bin"))
        for name in PROGRAMS:
            shutil.copy2(os.path.join(BIN, name), os.path.join(context, "bin", name))
        storage = " ".join(self.flags)
        self.space("sh", "-c", f"tar -C '{self.base}' -c . | podman {storage} import - base:e2e",
                   timeout=300)
        self.space("buildah", *self.flags, "bud", "--isolation", "chroot",
                   "-f", os.path.join(context, "deploy", "Dockerfile"),
                   "--build-arg", "BASE=localhost/base:e2e", "--build-arg", "BINARIES=bin",
                   "-t", IMAGE, context, timeout=300)
        shutil.rmtree(context)

    def start(self, name, flags=(), command=()):
        """A container in the background. With --network=host it is the space's network."""
        self.names.append(name)
        self("run", "-d", "--name", name, *RUN, "--network=host", *flags, IMAGE, *command)

    def once(self, *command, flags=()):
        """A container that ends: the finished process."""
        return self.call("run", "--rm", *RUN, "--network=none", *flags, IMAGE, *command)

    def exec(self, name, *command):
        return self("exec", name, *command)

    def inspect(self, name, what):
        return self("inspect", "--format", "{{." + what + "}}", name).strip()

    def wait(self, name, url, *flags, seconds=60):
        deadline = time.monotonic() + seconds
        while (status := self.space.status(url, *flags, timeout=2)) != 200:
            if time.monotonic() > deadline or self.inspect(name, "State.Running") != "true":
                logs = self.call("logs", name)
                raise AssertionError(f"{name}: {url}: {status}\n"
                                     + (logs.stdout + logs.stderr)[-3000:])
            time.sleep(0.1)

    def remove(self):
        for name in self.names:
            self.call("rm", "-f", "-t", "1", name)
        self.names.clear()

    def stop(self):
        self.remove()
        self.space.stop()
