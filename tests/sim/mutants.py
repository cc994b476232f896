#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants each bug of base/mutation.h in turn and looks whether the simulator finds it.

    cmake -S . -B build/mutant -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKETCD_MUTATIONS=ON
    cmake --build build/mutant --target sim_mutant
    ctest --test-dir build/mutant -R sim_mutants     # or one of them:
    tests/sim/mutants.py build/mutant/tests/sim/sim_mutant [--seeds 200] [NAME...]

Exit code 0: each was caught within that many seeds.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BATCH = 1


def planted():
    names = set()
    for source in [ROOT / "base/clock.c", *sorted((ROOT / "daemon").rglob("*.c"))]:
        names.update(re.findall(r"\bMUTATE\((\w+)\)", source.read_text()))
    return sorted(names)


def tell(output):
    """The seed and the words of the first finding."""
    lines = output.splitlines()
    for i, line in enumerate(lines):
        found = re.match(r"seed (\d+)(?: at [\d.]+ s)?: (.*)", line)
        if found:
            words = found.group(2)
            if "history" in words:
                wrongs = [above for above in lines[:i] if re.match(r"[a-z-]+: ", above)]
                words = wrongs[0] if wrongs else words
            return int(found.group(1)), words
    return 0, "?"


def hunt(sim, name, seeds):
    for first in range(1, seeds + 1, BATCH):
        count = min(BATCH, seeds + 1 - first)
        run = subprocess.run(
            [sim, "--mutate", name, "--seed", str(first), "--count", str(count), "--short"],
            capture_output=True, text=True, errors="replace")
        if run.returncode:
            return tell(run.stderr)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sim")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=200)
    asked = parser.parse_intermixed_args()
    missed = 0
    for name in asked.names or planted():
        found = hunt(asked.sim, name, asked.seeds)
        missed += found is None
        words = f"seed {found[0]}: {found[1]}" if found else f"not in {asked.seeds} seeds"
        print(f"{name:20} {words[:120]}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
