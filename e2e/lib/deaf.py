# SPDX-License-Identifier: Apache-2.0
"""A gRPC client on a bare socket that asks and reads only when told to, as no library would."""
import socket
import struct

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, END_HEADERS = 1, 4
WINDOW_MOST = 0x7fffffff
WINDOW_FIRST = 65535


def _literal(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


class Deaf:
    """One plain connection. window: what each stream may send before it is told of more, which it
    never is; the connection's own is as large as can be."""

    def __init__(self, member, window=WINDOW_MOST, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", member.client_port))
        self.stream = 1
        self.rest = b""
        self.taken = {}  # stream -> bytes of DATA
        self.ended = set()
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._send(SETTINGS, 0, 0, struct.pack(">HI", 4, window))
        self._send(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW_MOST - WINDOW_FIRST))

    def _send(self, kind, flags, stream, body):
        head = struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream)
        self.socket.sendall(head + body)

    def ask(self, path, message, is_last=True):
        """Begins a call with that message; returns its stream."""
        stream = self.stream
        self.stream += 2
        headers = b"\x83\x86" + b"".join(_literal(*pair) for pair in (
            (b":path", path.encode()), (b":authority", b"deaf"),
            (b"content-type", b"application/grpc"), (b"te", b"trailers")))
        packed = message.SerializeToString()
        self._send(HEADERS, END_HEADERS, stream, headers)
        self._send(DATA, END_STREAM if is_last else 0, stream,
                   b"\0" + struct.pack(">I", len(packed)) + packed)
        return stream

    def _take(self, count):
        while len(self.rest) < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise EOFError("the member closed the connection")
            self.rest += more
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def hear(self):
        """Reads one frame."""
        head = self._take(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        body = self._take(length)
        if kind == DATA:
            self.taken[stream] = self.taken.get(stream, 0) + length
        elif kind == SETTINGS and not flags & 1:
            self._send(SETTINGS, 1, 0, b"")
        elif kind == PING and not flags & 1:
            self._send(PING, 1, 0, body)
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(stream)

    def hear_until(self, is_enough):
        """Reads until is_enough(); fails when nothing comes for a minute."""
        while not is_enough():
            self.hear()

    def close(self):
        self.socket.close()
