# SPDX-License-Identifier: Apache-2.0
"""No two rooms define the same name: linked from archives, one of them would be taken for both
without a word."""
import argparse
import glob
import os
import subprocess
import sys


def defined(listing):
    """The global names of nm's listing; weak ones may be there twice."""
    rows = (line.split() for line in listing.splitlines())
    return {row[2] for row in rows if len(row) == 3 and row[1] in "TDBRG"}


def clashes(listings):
    """(name, rooms) for what more than one of {room: listing} defines."""
    rooms = {}
    for room, listing in sorted(listings.items()):
        for name in defined(listing):
            rooms.setdefault(name, []).append(room)
    return sorted((name, where) for name, where in rooms.items() if len(where) > 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    args = parser.parse_args()
    archives = glob.glob(os.path.join(args.build, "**", "libroom_*.a"), recursive=True)
    listings = {}
    for path in archives:
        listings[os.path.basename(path)] = subprocess.run(
            ["nm", "-g", "--defined-only", path], capture_output=True, text=True,
            check=True).stdout
    found = clashes(listings)
    for name, rooms in found:
        print(f"{name}: in {' and '.join(rooms)}")
    print(f"{len(found)} clashes among {len(archives)} rooms")
    return 1 if found or not archives else 0


if __name__ == "__main__":
    sys.exit(main())
