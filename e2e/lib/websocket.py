# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client of a few lines: text messages both ways, and the bytes of the handshake."""
import os
import socket
import struct

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def frame(opcode, payload, final=True):
    """A client's frame, masked."""
    head = bytes([(0x80 if final else 0) | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class WebSocket:
    """handshake: the answer's head, or the whole answer when it is no upgrade."""

    def __init__(self, port, path, headers=(), timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                 "Sec-WebSocket-Version: 13", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.handshake = b""
        while not self.handshake.endswith(b"\r\n\r\n"):
            self.handshake += self.read(1)

    def read(self, size):
        """Exactly that many bytes; EOFError at the end."""
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            if not piece:
                raise EOFError(f"after {got!r}")
            got += piece
        return got

    def send(self, text, opcode=TEXT):
        self.socket.sendall(frame(opcode, text.encode()))

    def next(self):
        """Opcode and payload of the next message."""
        first, size = self.read(2)
        if size == 126:
            size, = struct.unpack(">H", self.read(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.read(8))
        return first & 0xf, self.read(size)

    def text(self):
        opcode, payload = self.next()
        if opcode != TEXT:
            raise AssertionError(f"opcode {opcode}: {payload}")
        return payload.decode()

    def is_over(self):
        try:
            return not self.socket.recv(1)
        except ConnectionError:
            return True

    def close(self):
        self.socket.close()
