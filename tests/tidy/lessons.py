#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds tests/LESSONS.md against the tree: each test that it names is there, no row is gone."""
import argparse
import os
import re
import sys

# etcd's issues and advisories that a row must be about.
ROWS = ("#13766 #14370 #14571 #14685 #15220 #15271 #17247 #17529 #17780 #18089 #19179 #18055 "
        "#18667 #21432 #18799 #20221 #20271 #20650 #20418 #20707 #17425 GHSA-q8m4-xhhv-38mg "
        "GHSA-rfx7-8w68-q57q GHSA-x35m-3gp4-4fh5 GHSA-3wh4-j44w-pg92 GHSA-xg4h-6gfc-h4m8 "
        "GHSA-6vch-q96h-7gc3").split()
NAME = re.compile(r"`([^`]+)`")


def tests_of(cell):
    """(file, test) of each: a file in backticks, then its tests."""
    file = None
    for word in NAME.findall(cell):
        if "/" in word:
            file = word
        else:
            yield file, word


def find(root, file):
    for base in ("tests", ""):
        path = os.path.join(root, base, file or "")
        if file and os.path.isfile(path):
            return path
    return None


def is_there(text, path, test):
    """A function of that name; in C one that is run as well."""
    if path.endswith(".py"):
        return re.search(rf"^\s*def {re.escape(test)}\(", text, re.M) is not None
    defined = re.search(rf"^(static )?void {re.escape(test)}\(", text, re.M)
    return defined is not None and len(re.findall(rf"\b{re.escape(test)}\b", text)) > 1


def offences(root, text):
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")]
            for line in text.split("\n") if line.startswith("| ")]
    rows = [row for row in rows if row[0] not in ("etcd's", "Advisory")]
    for wanted in ROWS:
        if not any(re.search(rf"{wanted}\b", row[0]) for row in rows):
            yield f"no row about {wanted}"
    for row in rows:
        if len(row) != 4:
            yield f"{row[0]}: {len(row)} cells"
            continue
        tests = list(tests_of(row[2]))
        if not tests:
            yield f"{row[0]}: no test"
        for file, test in tests:
            path = find(root, file)
            if path is None:
                yield f"{row[0]}: no file {file}"
                continue
            with open(path, encoding="utf-8") as source:
                if not is_there(source.read(), path, test):
                    yield f"{row[0]}: no {test} in {file}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    root = parser.parse_args().root
    with open(os.path.join(root, "tests", "LESSONS.md"), encoding="utf-8") as file:
        found = list(offences(root, file.read()))
    for text in found:
        print(f"tests/LESSONS.md: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
