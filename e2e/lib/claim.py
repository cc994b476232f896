# SPDX-License-Identifier: Apache-2.0
"""What belongs to one process at a time, so that tests running side by side, and runs from several
trees on one machine, do not meet."""
import contextlib
import fcntl
import os

# The same for every run on this machine, whatever its TMPDIR.
LOCKS = "/run/lock" if os.path.isdir("/run/lock") else "/tmp"


def opened(name):
    # pylint: disable-next=consider-using-with
    return open(os.path.join(LOCKS, f"ketcd-e2e-{name}.lock"), "w", encoding="utf-8")


@contextlib.contextmanager
def one_at_a_time(name):
    with opened(name) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def claim(name, numbers):
    """The first of the numbers that nobody has, and the file that keeps it claimed while open."""
    for number in numbers:
        try:
            file = opened(f"{name}-{number}")
        except OSError:  # another user's
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number, file
        except OSError:
            file.close()
    raise RuntimeError(f"every {name} number is in use")
