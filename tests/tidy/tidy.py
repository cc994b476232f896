#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the tree against its own rules; prints each offence as file:line: text."""
import argparse
import concurrent.futures
import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys

import rules

SKIPPED = {"build", ".git", ".cache", "__pycache__", "node_modules"}
C = (".c", ".h", ".cc")
WITH_SPDX = C + (".py", ".sh", ".cmake", "CMakeLists.txt", ".def", ".proto", ".service")
WITH_COLUMNS = C + (".py", ".sh", ".def")
PURE = {"raft", "mvcc", "lease", "auth", "member", "v2store", "apply"}
IMPURE_HEADERS = {"base/log.h", "base/clock.h"}
ONLY_IN = {"rocksdb/c.h": "backend"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Tree:
    def __init__(self, root, rooms_text):
        self.root = root
        self.files = sorted(self.walk())
        self.folders = {}  # folder -> room
        self.on = {}       # room -> rooms it stands on
        for line in rooms_text.splitlines():
            if not line.strip():
                continue
            head, _, on = line.partition(":")
            room, folder = head.split()
            self.folders[folder] = room
            self.on[room] = set(on.split())

    def walk(self):
        for folder, names, files in os.walk(self.root):
            names[:] = [n for n in names if n not in SKIPPED]
            for name in (n for n in files if n not in SKIPPED):
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def lines(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read().split("\n")[:-1]

    def room_of(self, path):
        """The room whose folder is the nearest above the file, or None."""
        folder = os.path.dirname(path)
        while folder and folder not in self.folders:
            folder = os.path.dirname(folder)
        return self.folders.get(folder)

    def is_door(self, path):
        folder, name = os.path.split(path)
        room = self.folders.get(folder)
        if folder == "base":
            return True
        return name == os.path.basename(folder) + ".h" or (room and name == room + ".h")

    def find_include(self, path, name):
        """The tree's own file that the quoted name means, or None."""
        for base in (os.path.dirname(path), "", "daemon"):
            found = os.path.normpath(os.path.join(base, name))
            if os.path.isfile(os.path.join(self.root, found)):
                return found
        return None


def exemptions(path):
    with open(path, encoding="utf-8") as file:
        pairs = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return [(rule, pattern) for rule, pattern in pairs]


def include_offence(tree, path, room, mark, name):
    """Why the file may not include that, or None."""
    on = tree.on[room]
    if name in ONLY_IN and room != ONLY_IN[name]:
        return f"{name} belongs to {ONLY_IN[name]} alone"
    if name.endswith(".pb-c.h"):
        return None if "proto" in on else f"{name}, but room {room} is not ON proto"
    if mark == "<":
        return None
    found = tree.find_include(path, name)
    if room in PURE and (name in IMPURE_HEADERS):
        return f"{name} in {room}, which must stay pure"
    if found is None or found.startswith("base/") or tree.room_of(found) == room:
        return None
    other = tree.room_of(found)
    if not tree.is_door(found):
        return f"{name} is not a door"
    if other is not None and other not in on:
        return f"{name}, but room {room} is not ON {other}"
    return None


def check_includes(tree):
    for path in tree.files:
        room = tree.room_of(path)
        if room is None or not path.endswith(C) or os.path.basename(path) == "main.c":
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = INCLUDE.match(line)
            text = include_offence(tree, path, room, *match.groups()) if match else None
            if text:
                yield path, number, "include", text


def check_readmes(tree):
    for folder, room in tree.folders.items():
        readme = os.path.join(folder, "README.md")
        if folder == "base/proto":
            continue
        if readme not in tree.files:
            yield readme, 1, "readme", f"room {room} has no README.md"
        elif len(tree.lines(readme)) > rules.README_MAX:
            yield readme, rules.README_MAX, "readme", f"more than {rules.README_MAX} lines"


def check_texts(tree):
    for path in tree.files:
        if path.endswith((".db", ".snap", ".wal", ".bin", ".png")) or "/corpus/" in path:
            continue
        lines = tree.lines(path)
        found = [("words", rules.words(path, lines))]
        is_script = bool(lines) and lines[0].startswith("#!")
        if is_script or path.endswith(WITH_SPDX):
            found.append(("spdx", rules.spdx(path, lines)))
        if is_script or path.endswith(WITH_COLUMNS):
            found.append(("lines", rules.columns(path, lines)))
        if path.endswith(C):
            found.append(("size", rules.size(path, lines, tree.is_door(path))))
            found.append(("function", rules.functions(path, lines)))
            found.append(("call", rules.calls(path, lines)))
        for rule, offences in found:
            for number, text in offences:
                yield path, number, rule, text


def compile_flags(tree, build):
    """Folder -> the -I, -isystem and -D of a file that is compiled there; "" for the rest."""
    flags = {"": ["-D_GNU_SOURCE", "-I" + tree.root, "-I" + os.path.join(tree.root, "daemon")]}
    database = os.path.join(build, "compile_commands.json")
    if os.path.isfile(database):
        with open(database, encoding="utf-8") as file:
            for entry in json.load(file):
                folder = os.path.relpath(os.path.dirname(entry["file"]), tree.root)
                words = shlex.split(entry["command"])
                kept = [w for i, w in enumerate(words) if w.startswith(("-I", "-D", "-isystem"))
                        or (i and words[i - 1] == "-isystem")]
                if entry["file"].endswith(".c") and len(kept) > len(flags.get(folder, [])):
                    flags[folder] = kept
    return flags


def check_headers(tree, build, compiler):
    flags = compile_flags(tree, build)
    roots = rules.SOURCE_ROOTS

    def compile_one(path):
        folder = os.path.dirname(path)
        if folder not in flags and tree.room_of(path) is None:
            return path, ""  # its room is not configured here
        command = [compiler, "-std=c11", "-fsyntax-only", "-x", "c", "-Wno-pragma-once-outside-"
                   "header", *flags.get(folder, flags[""]), os.path.join(tree.root, path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return path, done.stderr if done.returncode else ""

    headers = [p for p in tree.files if p.endswith(".h") and p.startswith(roots)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, text in pool.map(compile_one, headers):
            if text:
                first = next((t for t in text.split("\n") if "error:" in t), text.split("\n")[0])
                yield path, 1, "header", "does not compile alone: " + first.split("error: ")[-1]


def check_tree(tree, build=None, compiler=None, exempt=()):
    found = [*check_texts(tree), *check_includes(tree), *check_readmes(tree)]
    if compiler:
        found += check_headers(tree, build, compiler)
    return sorted((path, line, rule, text) for path, line, rule, text in found
                  if not any(rule == r and fnmatch.fnmatch(path, p) for r, p in exempt))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()
    with open(os.path.join(args.build, "rooms.txt"), encoding="utf-8") as file:
        tree = Tree(os.path.abspath(args.root), file.read())
    here = os.path.dirname(os.path.abspath(__file__))
    exempt = exemptions(os.path.join(here, "exempt.txt"))
    offences = check_tree(tree, args.build, args.cc, exempt)
    for path, line, rule, text in offences:
        print(f"{path}:{line}: {text} [{rule}]")
    print(f"{len(offences)} offences in {len(tree.files)} files of {len(tree.on)} rooms")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
