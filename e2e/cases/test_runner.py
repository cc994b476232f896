# SPDX-License-Identifier: Apache-2.0
"""e2e/run itself: what it says of tests that fail, skip, die, hang and leave processes behind."""
import os
import subprocess
import sys
import textwrap
import time

from lib import Case
from lib.env import ROOT


class Runner(Case):
    def run_toys(self, text, *flags):
        """The exit code, the counts, the skipped tests and what was printed."""
        with open(os.path.join(self.folder, "toy.py"), "w", encoding="utf-8") as file:
            file.write("import os, signal, subprocess, time, unittest\n" + textwrap.dedent(text))
        counts = os.path.join(self.folder, "counts")
        if os.path.exists(counts):
            os.unlink(counts)
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "e2e", "run"), "--counts", counts, *flags, "toy"],
            capture_output=True, text=True, timeout=300, check=False,
            env=dict(os.environ, PYTHONPATH=self.folder, TOY=self.folder))
        with open(counts, encoding="utf-8") as file:
            first, *skips = file.read().splitlines()
        return done.returncode, first, skips, done.stdout + done.stderr

    def test_outcomes_are_counted(self):
        toys = """
        class Toy(unittest.TestCase):
            def test_passes(self): print("said once")
            def test_fails(self): self.fail("wrong, it is")
            def test_raises(self): raise OSError("gone")
            def test_skips(self): self.skipTest("no tool")
            def test_some_parts_fail(self):
                for n in range(3):
                    with self.subTest(n=n): self.assertEqual(0, n)
            @unittest.expectedFailure
            def test_should_fail(self): pass
        class Missing(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise unittest.SkipTest("no root")
            def test_a(self): pass
            def test_b(self): pass
        class Broken(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise OSError("no disk")
            def test_a(self): pass
            def test_b(self): pass
        class BadEnd(unittest.TestCase):
            @classmethod
            def tearDownClass(cls): raise OSError("no end")
            def test_a(self): pass
        """
        for jobs in ("1", "3"):
            code, counts, skips, said = self.run_toys(toys, "--jobs", jobs)
            self.assertEqual((1, "2 7 3"), (code, counts), said)
            self.assertEqual(["toy.Missing.test_a: no root", "toy.Missing.test_b: no root",
                              "toy.Toy.test_skips: no tool"], skips)
            self.assertEqual(1, said.count("said once"))
            self.assertIn("wrong, it is", said)
            self.assertIn("e2e: 2 passed, 7 failed, 3 skipped", said)

    def test_nothing_ran_is_no_success(self):
        code, counts, _, _ = self.run_toys("""
        class Toy(unittest.TestCase):
            def test_a(self): self.skipTest("no tool")
        """)
        self.assertEqual((1, "0 0 1"), (code, counts))
        code, counts, _, said = self.run_toys("import nothing_of_that_name")
        self.assertEqual((1, "0 1 0"), (code, counts))
        self.assertIn("ModuleNotFoundError", said)

    def test_who_dies_fails_and_the_others_go_on(self):
        code, counts, _, said = self.run_toys("""
        class Shared(unittest.TestCase):
            @classmethod
            def setUpClass(cls): pass
            def test_a(self): pass
            def test_b(self): print("before", flush=True); os.kill(os.getpid(), signal.SIGSEGV)
            def test_c(self): pass
        class Exits(unittest.TestCase):
            @classmethod
            def tearDownClass(cls): os._exit(3)
            def test_a(self): pass
        """)
        self.assertEqual((1, "3 2 0"), (code, counts), said)
        self.assertIn("before", said)
        self.assertIn("toy.Shared.test_b: its process died with -11", said)

    def test_who_hangs_fails_and_tells_where(self):
        began = time.monotonic()
        code, counts, _, said = self.run_toys("""
        class Hangs(unittest.TestCase):
            seconds = 20
            def test_a(self): subprocess.run(["sleep", "1000"])
        class Other(unittest.TestCase):
            def test_b(self): pass
        """)
        self.assertEqual((1, "1 1 0"), (code, counts), said)
        self.assertIn("its process hung", said)
        self.assertIn("in test_a", said)
        self.assertLess(time.monotonic() - began, 900)

    def test_nothing_is_left_running(self):
        code, counts, _, _ = self.run_toys("""
        class Toy(unittest.TestCase):
            def test_a(self):
                # pylint: disable-next=consider-using-with
                left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
                with open(os.path.join(os.environ["TOY"], "pid"), "w") as file:
                    file.write(str(left.pid))
        """)
        self.assertEqual((0, "1 0 0"), (code, counts))
        with open(os.path.join(self.folder, "pid"), encoding="ascii") as file:
            self.assertFalse(os.path.exists("/proc/" + file.read()))

    def test_some_go_side_by_side_and_some_do_not(self):
        """Two meet; who is alone meets nobody."""
        code, counts, _, said = self.run_toys("""
        def path(*names): return os.path.join(os.environ["TOY"], *names)
        class Meet(unittest.TestCase):
            def meet(self, mine, other):
                open(path(mine), "w").close()
                deadline = time.monotonic() + 200
                while not os.path.exists(path(other)):
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
            def test_a(self): self.meet("a", "b")
            def test_b(self): self.meet("b", "a")
        class Held(unittest.TestCase):
            def hold(self, *files):
                made = [path(name) for name in files]
                for name in made: os.close(os.open(name, os.O_CREAT | os.O_EXCL))
                time.sleep(0.2)
                for name in made: os.unlink(name)
        class Alone(Held):
            alone = True
            def test_a(self): self.hold("one", "two")
            def test_b(self): self.hold("one", "two")
        class Free(Held):
            def test_a(self): self.hold("one")
            def test_b(self): self.hold("two")
        """, "--jobs", "3")
        self.assertEqual((0, "6 0 0"), (code, counts), said)

    def test_what_a_sanitizer_reports_fails_the_test(self):
        code, counts, _, said = self.run_toys("""
        def report(name, words):
            path = os.environ["ASAN_OPTIONS"].split("log_path=")[1].split(":")[0]
            with open(path + "." + name, "w") as file: file.write(words)
        class Toy(unittest.TestCase):
            @classmethod
            def tearDownClass(cls): report("2", "late ")
            def test_a(self): pass
            def test_b(self): report("1", "one leak")
            def test_c(self): pass
        class Other(unittest.TestCase):
            @classmethod
            def tearDownClass(cls): report("3", "late ")
            def test_a(self): pass
        """)
        self.assertEqual((1, "3 2 0"), (code, counts), said)
        self.assertIn("failed toy.Toy.test_b", said)
        self.assertIn("one leak", said)
        self.assertEqual(2, said.count("late "))

    def test_a_member_that_crashes_fails_the_test(self):
        """Whoever does not look at it, too; and what one says on its standard error is shown."""
        code, counts, _, said = self.run_toys("""
        from lib import Case
        class Toy(Case):
            def broken(self, number, **rest):
                program = os.path.join(self.folder, "etcd")
                with open(program, "w") as file:
                    file.write(f"#!/bin/sh\\necho broken >&2\\nkill -{number} $$\\n")
                os.chmod(program, 0o755)
                member = self.member(program=program, wait=False, **rest)
                member.process.wait()
                return member
            def test_aborts(self): self.broken("ABRT")
            def test_is_started_again(self): self.broken("SEGV").start(wait=False)
            def test_is_killed(self): self.broken("KILL")
            def test_may_abort(self): self.broken("ABRT").may_abort = True
            def test_may_not_do_that(self): self.broken("BUS").may_abort = True
        """)
        self.assertEqual((1, "2 3 0"), (code, counts), said)
        self.assertEqual(3, said.count("\nbroken"), said)
        for name in ("aborts", "is_started_again", "may_not_do_that"):
            self.assertIn(f"failed toy.Toy.test_{name}", said)
