# SPDX-License-Identifier: Apache-2.0
"""Where the binaries are, and which ports are free."""
import os
import socket
import unittest

from .claim import claim

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("KETCD_BIN", os.path.join(ROOT, "build/release/bin")))
REFERENCE = os.environ.get("KETCD_REFERENCE", "")


def binary(name):
    """The path of one of our binaries. Absent: the test fails, for nothing was tested."""
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        raise AssertionError(f"{path} is missing: build the release preset, or set KETCD_BIN")
    return path


def reference(name):
    """The path of a reference binary. Absent: the test is skipped, and says so."""
    path = os.path.join(REFERENCE, name)
    if not REFERENCE or not os.access(path, os.X_OK):
        raise unittest.SkipTest(f"no reference {name}: set KETCD_REFERENCE to its folder")
    return path


def need_ipv6():
    """A socket that takes both families, and the loopback of IPv6. Absent: the test is skipped."""
    for host in ("::ffff:127.0.0.1", "::1"):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                probe.bind((host, 0))
        except OSError as error:
            raise unittest.SkipTest(f"no IPv6 on loopback: {host}: {error}") from error


def few(**variables):
    """An environment of these variables, and of where sanitizers report to (lib/side.py)."""
    kept = {name: os.environ[name] for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")
            if name in os.environ}
    return {**kept, **variables}


def free_port():
    """A port that nobody listens on now, one of a hundred that no other process here takes. Below
    the range from which the kernel takes ports for outgoing connections, so that none of those
    comes to sit on it before the member does."""
    if not hasattr(free_port, "next"):
        own = os.getpid() % 100
        own, free_port.lock = claim("ports", [*range(own, 100), *range(own)])
        free_port.next = 20000 + 100 * own
        free_port.block = (free_port.next, 100)
    first, count = getattr(free_port, "block", (20000, 10000))
    for _ in range(count):
        port = free_port.next
        free_port.next = first + (port - first + 1) % count
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 30000")
