# SPDX-License-Identifier: Apache-2.0
"""A real kube-apiserver over a member, and a client that speaks HTTPS and JSON to it."""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest
import urllib.parse

from .env import free_port

PROGRAM = os.environ.get("KETCD_KUBE_APISERVER", "")
READY_SECONDS = 300
STOP_SECONDS = 180
BROKEN = (OSError, http.client.HTTPException, ValueError)


def kube_apiserver():
    """The path of the binary. Absent: the tests are skipped, and say so."""
    if not PROGRAM or not os.access(PROGRAM, os.X_OK):
        raise unittest.SkipTest("no kube-apiserver: set KETCD_KUBE_APISERVER to its path")
    return PROGRAM


def encode(query):
    return "?" + urllib.parse.urlencode(query) if query else ""


class Refused(Exception):
    """An answer that is no success; status is the Status object."""

    def __init__(self, code, status):
        super().__init__(f"{code}: {status}")
        self.code, self.status = code, status
        self.reason = status.get("reason", "") if isinstance(status, dict) else ""


class Client:
    """One connection at a time; a thread has its own."""

    def __init__(self, server, timeout=180):
        self.server, self.timeout, self.connection = server, timeout, None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def open(self, method, path, body=None, kind="application/json"):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                "127.0.0.1", self.server.port, timeout=self.timeout, context=self.server.context)
        headers = {"Authorization": "Bearer " + self.server.token, "Content-Type": kind,
                   "Accept": "application/json"}
        try:
            self.connection.request(method, path, json.dumps(body) if body else None, headers)
            return self.connection.getresponse()
        except BROKEN:
            self.close()
            raise

    def text(self, path):
        answer = self.open("GET", path)
        return answer.status, answer.read().decode()

    def call(self, method, path, body=None, **rest):
        """The object answered. Errors: Refused; one of BROKEN when no answer came."""
        answer = self.open(method, path, body, **rest)
        try:
            text = answer.read()
        except BROKEN:
            self.close()
            raise
        try:
            value = json.loads(text)
        except ValueError:
            value = text.decode(errors="replace")
        if answer.status >= 300:
            raise Refused(answer.status, value)
        return value

    def get(self, path, **query):
        return self.call("GET", path + encode(query))

    def create(self, path, body):
        return self.call("POST", path, body)

    def update(self, path, body):
        return self.call("PUT", path, body)

    def patch(self, path, body, kind="merge-patch+json", **query):
        return self.call("PATCH", path + encode(query), body, kind="application/" + kind)

    def delete(self, path, body=None, **query):
        return self.call("DELETE", path + encode(query), body)


class Watch(threading.Thread):
    """Collects a watch's events, each (type, object), until it ends; wait() waits for some."""

    def __init__(self, server, path, resource_version="", seconds=90, **query):
        super().__init__(daemon=True)
        self.client = Client(server, timeout=seconds + 5)
        self.query = dict(query, watch="1", resourceVersion=resource_version,
                          timeoutSeconds=seconds)
        self.events, self.changed, self.over = [], threading.Condition(), False
        self.refused = None
        self.answer = self.client.open("GET", path + encode(self.query))
        if self.answer.status != 200:
            self.refused = self.answer.status
        server.watches.append(self)
        self.start()

    def end(self):
        connection = self.client.connection
        try:
            if connection and connection.sock:
                connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def run(self):
        try:
            while line := self.answer.readline():
                event = json.loads(line)
                with self.changed:
                    self.events.append((event.get("type"), event.get("object", event)))
                    self.changed.notify_all()
        except (*BROKEN, AttributeError):
            pass
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def wait(self, enough, seconds=60):
        """Until enough(events), the watch's end or the time is up: the events so far."""
        with self.changed:
            self.changed.wait_for(lambda: self.over or enough(self.events), seconds)
            return list(self.events)

    def expired(self):
        """Whether the revision asked for is gone: 410, by status or by event."""
        return self.refused == 410 or any(
            kind == "ERROR" and found.get("code") == 410 for kind, found in self.events)


class ApiServer:
    """One kube-apiserver process over a member with mutual TLS, or over several."""

    def __init__(self, folder, member, flags=(), others=()):
        self.folder, self.member, self.flags = folder, member, list(flags)
        self.members = [member, *others]
        self.program = kube_apiserver()
        self.port = free_port()
        self.token = "token-of-the-admin"
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.log_path = os.path.join(folder, "kube-apiserver.log")
        self.process = None
        self.watches = []

    def command(self):
        certs = self.member.certs
        cert, key = certs.pair("apiserver-etcd-client")
        servers = ",".join(member.client_url for member in self.members)
        return [self.program, f"--etcd-servers={servers}",
                f"--etcd-cafile={certs.ca}", f"--etcd-certfile={cert}", f"--etcd-keyfile={key}",
                "--service-account-issuer=https://issuer.example",
                f"--service-account-key-file={cert}", f"--service-account-signing-key-file={key}",
                "--authorization-mode=AlwaysAllow", "--disable-admission-plugins=ServiceAccount",
                f"--token-auth-file={os.path.join(self.folder, 'tokens.csv')}",
                f"--cert-dir={self.folder}", f"--secure-port={self.port}", "--insecure-port=0",
                "--bind-address=127.0.0.1", "--advertise-address=192.0.2.1", *self.flags]

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "tokens.csv"), "w", encoding="ascii") as file:
            file.write(f'{self.token},admin,admin,"system:masters"\n')
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        return self.wait_ready()

    def is_ready(self):
        client = Client(self, timeout=5)
        try:
            return client.text("/readyz")[0] == 200
        except BROKEN:
            return False
        finally:
            client.close()

    def wait_ready(self, seconds=READY_SECONDS):
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"kube-apiserver is not ready:\n{self.log_tail()}")
            time.sleep(0.2)
        return self

    def log_tail(self, lines=15):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def stop(self):
        """SIGTERM. It would wait a minute for open watches: they end first."""
        for watch in self.watches:
            watch.end()
        self.watches.clear()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
