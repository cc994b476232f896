# SPDX-License-Identifier: Apache-2.0
"""A name server for one zone, in a thread: SRV and A records, no such name for all else."""
import os
import socket
import struct
import threading

A, SRV, IN = 1, 33, 1
RESPONSE, NO_SUCH_NAME = 0x8580, 3


def packed(name):
    labels = [label.encode() for label in name.strip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class Dns:
    """srv: {"_x._tcp.zone": [(target, port)]}, hosts: {"n1.zone": "10.0.0.1"}."""

    def __init__(self, address, folder):
        self.srv, self.hosts = {}, {}
        self.resolv = os.path.join(folder, "resolv.conf")
        with open(self.resolv, "w", encoding="utf-8") as file:
            file.write(f"nameserver {address}\noptions timeout:5 attempts:4\n")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.socket.settimeout(0.1)
        self.is_closing = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def command(self, command):
        """That command, asking this server."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, self.resolv, *command]

    def close(self):
        self.is_closing.set()
        self.thread.join()
        self.socket.close()

    def _answers(self, name, kind):
        if kind == SRV:
            return [struct.pack(">HHH", 10, 10, port) + packed(target)
                    for target, port in self.srv.get(name, ())]
        if kind == A and name in self.hosts:
            return [socket.inet_aton(self.hosts[name])]
        return []

    def _reply(self, query):
        ident, at, labels = query[:2], 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0]
        question = query[12:at + 5]
        answers = self._answers(name, kind)
        is_known = name in self.srv or name in self.hosts
        flags = RESPONSE if is_known else RESPONSE | NO_SUCH_NAME
        head = ident + struct.pack(">HHHHH", flags, 1, len(answers), 0, 0)
        return head + question + b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, IN, 60, len(data)) + data for data in answers)

    def _serve(self):
        while not self.is_closing.is_set():
            try:
                query, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self._reply(query), peer)
            except (OSError, IndexError, struct.error, UnicodeDecodeError):
                pass
