# SPDX-License-Identifier: Apache-2.0
"""Makes a script that shows a difference short: delta debugging over its lines."""
import time

from .compare import Pair
from .script import flags


def shows(folder, operations, name, make=Pair):
    """The difference at an operation of this name, or None; and the script up to it."""
    with make(folder, flags(operations)) as pair:
        found = pair.run(operations)
    if found and found[1].name == name:
        return operations[:found[0] + 1], found[1]
    return None


def without_kinds(folder, best, name, deadline, make):
    """Most kinds of requests have nothing to do with it."""
    for kind in sorted({operation.name for operation in best[0]} - {name}):
        trial = [operation for operation in best[0] if operation.name != kind]
        if time.monotonic() < deadline:
            best = shows(folder, trial, name, make) or best
    return best


def shrink(folder, operations, name, seconds=120, make=Pair):
    """Returns (script, difference); None when the same script does not show it again. make: what
    the scripts are run on."""
    deadline = time.monotonic() + seconds
    best = shows(folder, operations, name, make)
    if best is None:
        return None
    best = without_kinds(folder, best, name, deadline, make)
    chunk = max(len(best[0]) // 2, 1)
    while time.monotonic() < deadline:
        start, cut = 0, False
        while start < len(best[0]) and time.monotonic() < deadline:
            trial = best[0][:start] + best[0][start + chunk:]
            shown = shows(folder, trial, name, make) if trial else None
            if shown:
                best, cut = shown, True
            else:
                start += chunk
        if chunk == 1 and not cut:
            break
        chunk = max(chunk // 2, 1)
    return best
