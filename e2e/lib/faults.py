# SPDX-License-Identifier: Apache-2.0
"""A faulty disk under a real member: tests/fault/shim, preloaded and steered from here."""
import errno
import mmap
import os
import random
import shutil
import struct

from .env import BIN, ROOT

OPEN, CREATE, READ, WRITE, SYNC, TRUNCATE, ALLOCATE = 1, 2, 4, 8, 16, 32, 64
RENAME, UNLINK, MKDIR, CLOSE, SYNC_RANGE = 128, 256, 512, 1024, 2048
CHANGES = CREATE | WRITE | SYNC | TRUNCATE | ALLOCATE | RENAME | UNLINK | MKDIR
ALL = CHANGES | OPEN | READ
HALF = 1
HEAD, RULE, RULES = 64, struct.Struct("<IiII4Q80s"), 8
SECTOR, BLOCK = 512, 1 << 18


def shim():
    """The library's path: beside the binaries' tests, or in the dev preset's build."""
    places = [os.environ.get("KETCD_FAULT_SHIM", ""),
              os.path.join(os.path.dirname(BIN), "tests", "libketcd_fault.so"),
              os.path.join(ROOT, "build", "dev", "tests", "libketcd_fault.so")]
    for path in places:
        if path and os.access(path, os.R_OK):
            return path
    raise AssertionError("libketcd_fault.so is missing: build the dev preset")


class Faults:
    """Rules for one member's data directory. with_power: Power(faults) can cut after a kill."""

    def __init__(self, member, folder, with_power=False, seed=0):
        self.member, self.folder = member, folder
        os.makedirs(folder, exist_ok=True)
        self.control = os.path.join(folder, "control")
        self.trace_path = os.path.join(folder, "trace")
        self.shadow = os.path.join(folder, "shadow")
        with open(self.control, "wb") as file:
            file.write(b"\0" * (HEAD + RULES * RULE.size))
        with open(self.control, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        member.env.update(LD_PRELOAD=shim(), KETCD_FAULT_PREFIX=member.data_dir,
                          KETCD_FAULT_CONTROL=self.control, KETCD_FAULT_TRACE=self.trace_path,
                          KETCD_FAULT_SEED=str(seed))
        if with_power:
            member.env["KETCD_FAULT_SHADOW"] = self.shadow

    def rule(self, kinds, pattern="*", error=0, delay_us=0, skip=0, count=0, flags=0, slot=0):
        """From now on: operations of these kinds on names like pattern, after skip of them, count
        times (0: always), fail with error or wait. A slot holds one rule."""
        self.clear(slot)
        RULE.pack_into(self.memory, HEAD + slot * RULE.size, kinds, error, delay_us, flags, skip,
                       count, 0, 0, b"")
        at = HEAD + slot * RULE.size + RULE.size - 80
        name = pattern.encode()
        self.memory[at + 1:at + len(name)] = name[1:]
        self.memory[at:at + 1] = name[:1]

    def clear(self, slot=0):
        at = HEAD + slot * RULE.size
        self.memory[at + RULE.size - 80:at + RULE.size] = b"\0" * 80

    def clock(self, seconds):
        """The member's wall clock is wrong by so much from now on."""
        struct.pack_into("<q", self.memory, 8, int(seconds * 1e9))

    def seen(self, slot=0):
        return RULE.unpack_from(self.memory, HEAD + slot * RULE.size)[6]

    def hit(self, slot=0):
        return RULE.unpack_from(self.memory, HEAD + slot * RULE.size)[7]

    def operations(self):
        return struct.unpack_from("<Q", self.memory)[0]

    def trace(self):
        """(kind, name, errno) of each operation, in order."""
        with open(self.trace_path, encoding="utf-8") as file:
            return [(int(kind), name, int(code)) for kind, name, code in
                    (line.split(" ") for line in file if line.endswith("\n"))]


class Power:
    """Between begin() and cut() the member runs and is killed."""

    def __init__(self, faults):
        self.faults, self.root = faults, faults.member.data_dir
        self.before = {}

    def begin(self):
        """Everything that is there now is durable."""
        shutil.rmtree(self.faults.shadow, ignore_errors=True)
        os.makedirs(self.faults.shadow)
        self.before = {".": None}
        for folder, folders, files in os.walk(self.root):
            below = os.path.relpath(folder, self.root)
            for name in folders:
                self.before[os.path.normpath(os.path.join(below, name))] = None
            for name in files:
                path = os.path.normpath(os.path.join(below, name))
                self.before[path] = ("old", path)

    def cut(self, seed, how=None):
        """Rewinds the data directory to what a power cut by this seed leaves; returns words. how:
        the same for every file ("lose", "tear", "keep")."""
        chance = random.Random(seed)
        steps = self._steps()
        live = self._names(steps, lambda folder, at: True)
        durable = self._names(steps, self._prefixes(steps, chance))
        made = self.root + ".cut"
        shutil.rmtree(made, ignore_errors=True)
        if "." in durable:
            os.makedirs(made, 0o700)
        torn = 0
        for name in sorted(durable):
            if name != "." and durable[name] is None:
                os.mkdir(os.path.join(made, name), 0o700)
        paths = {what: name for name, what in live.items() if what}
        for name, what in durable.items():
            if what:
                torn += self._file(os.path.join(made, name), what, paths, chance, how)
        lost = sorted(set(live) ^ set(durable))
        shutil.rmtree(self.root)
        if os.path.isdir(made):
            os.rename(made, self.root)
        return f"{torn} sectors, {len(lost)} names {lost[:4]}"

    def _steps(self):
        """The journal: [kind, name, rest], each with what happened to a name; ids apart."""
        steps = []
        path = os.path.join(self.faults.shadow, "journal")
        if not os.path.exists(path):
            return steps
        with open(path, encoding="utf-8") as file:
            lines = [line.rstrip("\n").split("\t") for line in file]
        for line in lines:
            if line[0] == "Z":
                steps.pop()
            elif line[0] == "I":
                if line[2] in self.before:
                    self.before[line[2]] = ("id", int(line[1]))
            elif line[0] == "C":
                steps.append(("C", line[2], ("id", int(line[1]))))
            else:
                steps.append((line[0], line[1], line[2] if len(line) > 2 else None))
        if steps and self._in_flight(steps[-1]):
            steps.pop()
        return steps

    def _in_flight(self, step):
        """Whether the process was killed between the line and the call."""
        kind, name, _ = step
        is_there = os.path.lexists(os.path.join(self.root, name))
        return is_there if kind in "RUX" else not is_there if kind in "M" else False

    @staticmethod
    def _prefixes(steps, chance):
        """For each folder, how many of the steps in it are durable: all up to its last sync, and
        some of those behind, in order."""
        keep = {}
        for folder in sorted({os.path.dirname(name) or "." for _, name, _ in steps}):
            mine = [at for at, (kind, name, _) in enumerate(steps)
                    if kind != "S" and (os.path.dirname(name) or ".") == folder]
            synced = max((at for at, (kind, name, _) in enumerate(steps)
                          if kind == "S" and name == folder), default=-1)
            late = [at for at in mine if at > synced]
            luck = chance.random()
            count = (0 if luck < 0.4 else len(late) if luck < 0.7
                     else chance.randrange(len(late) + 1))
            keep[folder] = (late[count - 1] if count else synced)
        return lambda folder, at: at <= keep[folder]

    def _names(self, steps, is_kept):
        names = dict(self.before)
        for at, (kind, name, rest) in enumerate(steps):
            folder = os.path.dirname(name) or "."
            if kind == "S" or not is_kept(folder, at) or (name != "." and folder not in names):
                continue
            if kind == "C":
                names[name] = rest
            elif kind == "M":
                names[name] = None
            elif kind == "R":
                if name in names:
                    names[rest] = names.pop(name)
            else:
                names.pop(name, None)
        return names

    def _file(self, path, what, paths, chance, how):
        """One file, from its durable bytes and its newest ones; how many sectors are old."""
        newest = os.path.join(self.root, paths[what]) if what in paths else None
        if what[0] == "old":
            shutil.copy2(newest, path)
            return 0
        shadow = os.path.join(self.faults.shadow, str(what[1]))
        if newest is None or not os.path.exists(newest) or os.path.samefile(newest, shadow):
            shutil.copy2(shadow, path)
            return 0
        how = how or chance.choice(("lose", "tear", "tear", "keep"))
        return mix(shadow, newest, path, how, chance)


def mix(durable, newest, path, how, chance):
    """how: lose what was not synced, keep it, or tear: sector by sector either."""
    changed = 0
    with open(durable, "rb") as old, open(newest, "rb") as new, open(path, "wb") as out:
        sizes = os.fstat(old.fileno()).st_size, os.fstat(new.fileno()).st_size
        end = {"lose": sizes[0], "keep": sizes[1]}.get(how) if how != "tear" else (
            min(sizes) + chance.randrange(abs(sizes[0] - sizes[1]) // SECTOR + 1) * SECTOR
            if chance.random() < 0.5 else chance.choice(sizes))
        os.truncate(out.fileno(), end)
        for at in range(0, end, BLOCK):
            one, two = old.read(BLOCK), new.read(BLOCK)
            if one != two:
                one, two = one.ljust(len(two), b"\0"), two.ljust(len(one), b"\0")
                block, count = tear(one, two, how, chance)
                changed += count
            else:
                block = one
            if block.strip(b"\0"):
                out.seek(at)
                out.write(block[:end - at])
    shutil.copymode(newest, path)
    return changed


def tear(one, two, how, chance):
    if how != "tear":
        return (one if how == "lose" else two), 0
    odds, out, count = chance.choice((0.1, 0.5, 0.9)), bytearray(two), 0
    for at in range(0, len(one), SECTOR):
        if one[at:at + SECTOR] != two[at:at + SECTOR] and chance.random() < odds:
            out[at:at + SECTOR] = one[at:at + SECTOR]
            count += 1
    return bytes(out), count


def code(name):
    return getattr(errno, name)
