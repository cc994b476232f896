# SPDX-License-Identifier: Apache-2.0
"""One member as a process: started, waited for, killed, started again, stopped."""
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

from .env import binary, free_port

READY_SECONDS = 180
STOP_SECONDS = 180
CRASHES = tuple(-number for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL,
                                       signal.SIGFPE))


class Member:
    """Owns the folder's data/ and log below it. certs None: plain HTTP."""

    def __init__(self, folder, certs=None, name="node1", flags=(), env=None, program=None):
        self.folder = folder
        self.certs = certs
        self.name = name
        self.flags = list(flags)
        self.env = dict(os.environ, **(env or {}))
        self.program = program or binary("etcd")
        self.data_dir = os.path.join(folder, "data")
        self.log_path = os.path.join(folder, "etcd.log")
        scheme = "https" if certs else "http"
        self.client_port = free_port()
        self.peer_port = free_port()
        self.client_url = f"{scheme}://127.0.0.1:{self.client_port}"
        self.peer_url = f"{scheme}://127.0.0.1:{self.peer_port}"
        self.process = None
        self.may_abort = False  # a check on what the disk gave may end it

    def command(self):
        flags = [f"--name={self.name}", f"--data-dir={self.data_dir}",
                 f"--listen-client-urls={self.client_url}",
                 f"--advertise-client-urls={self.client_url}",
                 f"--listen-peer-urls={self.peer_url}",
                 f"--initial-advertise-peer-urls={self.peer_url}",
                 f"--initial-cluster={self.name}={self.peer_url}"]
        if self.certs:
            flags += self.certs.server_flags()
        return [self.program, *flags, *self.flags]

    def start(self, wait=True):
        self.assert_no_crash()
        os.makedirs(self.folder, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.env)
        if wait:
            self.wait_ready()
        return self

    def get(self, path, timeout=60, client="client"):
        """GET over HTTP/1.1 on the client port: status and text."""
        context = self.certs.context(client) if self.certs else None
        try:
            with urllib.request.urlopen(self.client_url + path, timeout=timeout,
                                        context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def is_ready(self):
        try:
            status = self.get("/readyz", timeout=10)[0]
            if status == 404:  # etcd 3.4
                status = self.get("/health", timeout=10)[0]
            return status == 200
        except OSError:
            return False

    def wait_ready(self, seconds=READY_SECONDS):
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n"
                                     + self.log_tail())
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} is not ready after {seconds} s:\n"
                                     + self.log_tail())
            time.sleep(0.02)

    def log_tail(self, lines=15):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def kill(self):
        """kill -9; whatever was not synced is the kernel's to keep."""
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds=STOP_SECONDS):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def restart(self):
        if self.process and self.process.poll() is None:
            self.terminate()
        return self.start()

    def stop(self):
        """For the end of a test: whatever state the process is in, it is gone after."""
        if self.process and self.process.poll() is None:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()
        self.assert_no_crash()

    def assert_no_crash(self):
        """That the process, if it is over, did not end by a signal that only its own fault sends:
        unseen by a test that looks at the other members, or starts it again."""
        code = self.process.poll() if self.process else None
        if code in CRASHES and not (self.may_abort and code == -signal.SIGABRT):
            self.process = None  # said once
            raise AssertionError(f"{self.name} ended with {code}:\n{self.log_tail(40)}")
