# SPDX-License-Identifier: Apache-2.0
"""Runs tests side by side, each unit (a test, or a class that sets up for all of its tests) in a
process of its own that is forked from this one.

A class may say: `alone = True`, nothing runs beside it; `first = True`, it takes long and is begun
before others; `seconds`, how long each of its tests may take until it counts as hung (SECONDS).

What a unit writes is printed when it ends, whole. A test whose process dies or hangs has failed;
the ones behind it get a process of their own."""
import ctypes
import faulthandler
import json
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unittest

from .env import ROOT

SECONDS = 900
SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36
# The library that fails on demand is loaded before the sanitizer's; their memory is for what leaks.
ASAN_OPTIONS = "verify_asan_link_order=0:quarantine_size_mb=16"
TSAN_OPTIONS = f"halt_on_error=0:print_suppressions=0:suppressions={ROOT}/tests/tsan.supp"
CLASS_FIXTURES = ("setUpClass", "tearDownClass")


def prctl(*args):
    ctypes.CDLL(None).prctl(*args)


def flat(suite):
    """The tests of nested suites."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def has_fixture(kind):
    return any(getattr(kind, name).__func__ is not getattr(unittest.TestCase, name).__func__
               for name in CLASS_FIXTURES)


def units_of(tests):
    """Lists of tests that go together, in the order in which they are best begun."""
    units, of_class = [], {}
    for test in tests:
        kind = type(test)
        if has_fixture(kind) and kind in of_class:
            of_class[kind].append(test)
            continue
        unit = [test]
        of_class[kind] = unit
        units.append(unit)
    return sorted(units, key=lambda unit: (getattr(unit[0], "alone", False),
                                           not getattr(unit[0], "first", False)))


class Reports:
    """What sanitizers write about the processes that this one starts, of any user; binaries without
    one take no notice of the options."""

    def __init__(self):
        self.folder, self.seen = tempfile.mkdtemp(prefix="ketcd-reports-"), set()
        os.chmod(self.folder, 0o1777)
        common = f"log_path={self.folder}/report:halt_on_error=1:print_stacktrace=1"
        os.environ["UBSAN_OPTIONS"] = common
        os.environ["TSAN_OPTIONS"] = f"{common}:{TSAN_OPTIONS}"
        os.environ["ASAN_OPTIONS"] = f"{common}:detect_leaks=1:{ASAN_OPTIONS}"

    def new(self):
        text = ""
        for name in sorted(set(os.listdir(self.folder)) - self.seen):
            self.seen.add(name)
            with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as file:
                text += f"{name}:\n{file.read()}"
        return text

    def close(self):
        shutil.rmtree(self.folder)


class Told(unittest.TextTestResult):
    """Writes a line for each thing that happens to a test: what, its name, a reason."""

    def __init__(self, stream, pipe, reports):
        super().__init__(stream, descriptions=True, verbosity=2)
        self.pipe, self.reports = pipe, reports

    def note_reports(self, test):
        text = self.reports.new()
        if text:
            self.addFailure(test, (AssertionError, AssertionError(text), None))

    def tell(self, what, test, reason=""):
        name = getattr(test, "test_case", test).id()
        os.write(self.pipe, (json.dumps([what, name, reason]) + "\n").encode())

    def startTest(self, test):
        self.tell("start", test)
        super().startTest(test)

    def stopTest(self, test):
        self.note_reports(test)
        super().stopTest(test)
        self.tell("end", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.tell("failed", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell("failed", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.tell("failed", test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.tell("failed", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tell("skipped", test, reason)


def work(tests, output, pipe):
    """The forked process' life."""
    code = 1
    try:
        prctl(SET_PDEATHSIG, signal.SIGKILL)
        prctl(SET_CHILD_SUBREAPER, 1)
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_DFL)
        if output is not None:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        faulthandler.register(signal.SIGUSR1, file=1)
        # pylint: disable-next=consider-using-with
        sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)
        result = Told(unittest.runner._WritelnDecorator(sys.stdout), pipe, Reports())
        unittest.TestSuite(tests).run(result)
        result.note_reports(unittest.suite._ErrorHolder("a sanitizer's report at the end"))
        result.printErrors()
        result.reports.close()
        code = 0
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(code)  # nothing of the parent's is tidied up here


class Unit:
    """One running process and what became of its tests."""

    def __init__(self, tests, is_quiet):
        self.tests = tests
        self.since = time.monotonic()
        self.current, self.is_over = None, False
        self.ended, self.outcomes, self.rest = {}, {}, b""
        # pylint: disable-next=consider-using-with
        self.output = tempfile.TemporaryFile() if is_quiet else None
        self.pipe, other = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            work(tests, self.output, other)
        os.close(other)

    def read(self):
        """What the process tells. False once it tells no more."""
        data = os.read(self.pipe, 65536)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            what, name, reason = json.loads(line)
            self.note(what, name, reason)
        return bool(data)

    def note(self, what, name, reason):
        now = time.monotonic()
        if what == "start":
            self.current = name
        elif what == "end":
            self.ended[name] = now - self.since
            self.outcomes.setdefault(name, ("passed", ""))
            self.current = None
        elif self.outcomes.get(name, ("",))[0] != "failed":
            self.outcomes[name] = (what, reason)
        if what in ("start", "end"):
            self.since = now

    def is_hung(self):
        limit = next((getattr(test, "seconds", SECONDS) for test in self.tests
                      if self.current in (None, test.id())), SECONDS)
        return time.monotonic() - self.since > limit

    def text(self):
        if self.output is None:
            return ""
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def close(self):
        os.close(self.pipe)
        if self.output:
            self.output.close()


def processes():
    """pid: parent's pid, of all there are."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
    return parents


def below(roots, parents):
    """Those processes and all that they started."""
    found, more = set(), set(roots)
    while more:
        found |= more
        more = {pid for pid, parent in parents.items() if parent in more} - found
    return found


def kill(roots):
    for pid in below(roots, processes()):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


class Side:
    """run() gives {test's name: (outcome, reason, seconds)}."""

    def __init__(self, jobs, is_failfast=False):
        self.jobs, self.is_failfast = jobs, is_failfast
        self.waiting, self.running, self.results = [], {}, {}
        self.cpu = {}  # seconds of each unit, by its first test
        self.selector = selectors.DefaultSelector()

    def run(self, tests):
        self.waiting = units_of(tests)
        prctl(SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            while self.running or self.waiting:
                self.begin()
                self.turn()
        finally:
            self.running.clear()
            self.kill_orphans()
        return self.results

    def may_begin(self, unit):
        others = [one.tests[0] for one in self.running.values()]
        return not others or (len(others) < self.jobs and not any(
            getattr(test, "alone", False) for test in [unit[0], *others]))

    def begin(self):
        while (unit := next((u for u in self.waiting if self.may_begin(u)), None)) is not None:
            self.waiting.remove(unit)
            process = Unit(unit, self.jobs > 1)
            self.running[process.pid] = process
            self.selector.register(process.pipe, selectors.EVENT_READ, process)

    def turn(self):
        """Until something is told or a second is over."""
        for key, _ in self.selector.select(1):
            if not key.data.read():
                self.selector.unregister(key.fileobj)
                key.data.is_over = True
        for process in list(self.running.values()):
            if process.is_over:
                self.end(process, *os.wait4(process.pid, 0)[1:])
            elif process.is_hung():
                self.end_hung(process)

    def end_hung(self, process):
        """Where each of its threads is, is the last that it writes."""
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(1)
        kill([process.pid])
        self.selector.unregister(process.pipe)
        self.end(process, None, os.wait4(process.pid, 0)[2])

    def end(self, process, status, usage):
        """status None: it hung."""
        self.cpu[process.tests[0].id()] = usage.ru_utime + usage.ru_stime
        del self.running[process.pid]
        self.kill_orphans()
        fate = (f"hung for {time.monotonic() - process.since:.0f} s" if status is None
                else f"died with {os.waitstatus_to_exitcode(status)}" if status else "")
        print(process.text(), end="")
        left = self.collect(process, fate)
        if fate:
            print(f"{process.current or process.tests[0].id()}: its process {fate}")
        print(end="", flush=True)
        process.close()
        failed = any(outcome == "failed" for outcome, _, _ in self.results.values())
        if self.is_failfast and failed:
            self.waiting.clear()
        elif left:
            self.waiting.insert(0, left)

    def collect(self, process, fate):
        """Takes over the outcomes. What is left to be run in another process."""
        names = [test.id() for test in process.tests]
        # What happened to the class happened to each test that was not begun.
        of_class = {name: what for name, what in process.outcomes.items() if name not in names}
        left, spoilt = [], process.current
        for test in process.tests:
            name = test.id()
            outcome = process.outcomes.get(name)
            if fate and name == process.current:
                outcome = ("failed", "")
            if outcome is None and of_class:
                outcome = next(iter(of_class.values()))
            elif outcome is None and spoilt:
                left.append(test)
                continue
            self.results[name] = (*(outcome or ("failed", "")), process.ended.get(name, 0.0))
        if all(self.results[name][0] != "failed" for name in names if name in self.results):
            if "failed" in (what for what, _ in of_class.values()) or (fate and not left):
                # The end of the class, or of the process, and no test's own fault.
                self.results[f"the end of {names[-1]}"] = ("failed", fate, 0.0)
        return left

    def kill_orphans(self):
        """What an ended unit left behind came to be a child of this process."""
        while orphans := [pid for pid, parent in processes().items()
                          if parent == os.getpid() and pid not in self.running]:
            kill(orphans)
            for pid in orphans:
                os.waitpid(pid, 0)
