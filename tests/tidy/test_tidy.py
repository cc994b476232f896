# SPDX-License-Identifier: Apache-2.0
"""Each rule against a small tree that breaks it, and one that breaks none."""
import os
import tempfile
import unittest

import lessons
import names
import tidy

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
ROOMS = "base base: \nlow daemon/low: base\nhigh daemon/high: base low\nraft daemon/raft: base\n"


class Rules(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for room in ("base", "daemon/low", "daemon/high", "daemon/raft"):
            self.put(room + "/README.md", "# a room\n")
        self.put("base/log.h", SPDX + "void log_it(void);\n")
        self.put("daemon/low/low.h", SPDX + "int low(void);\n")
        self.put("daemon/low/inner.h", SPDX + "int inner(void);\n")

    def put(self, path, text):
        path = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def offences(self, compiler=None):
        tree = tidy.Tree(self.folder.name, ROOMS)
        return tidy.check_tree(tree, self.folder.name, compiler)

    def assert_rule(self, rule, path, line=None, compiler=None):
        found = self.offences(compiler)
        self.assertEqual([(path, rule)], [(p, r) for p, _, r, _ in found], found)
        if line:
            self.assertEqual(line, found[0][1])

    def test_a_clean_tree_passes(self):
        self.put("daemon/high/a.c", SPDX + '#include "low/low.h"\n#include "base/log.h"\n'
                 'int f(void)\n{\n    return strcmp("a strcpy(", "b"); /* system( */\n}\n')
        self.assertEqual([], self.offences("cc"))

    def test_a_missing_spdx_line(self):
        self.put("daemon/low/a.c", "int a;\n")
        self.assert_rule("spdx", "daemon/low/a.c", 1)

    def test_a_long_line(self):
        self.put("daemon/low/a.c", SPDX + "int " + "a" * 97 + ";\n")
        self.assert_rule("lines", "daemon/low/a.c", 2)

    def test_a_long_function(self):
        self.put("daemon/low/a.c", SPDX + "void f(void)\n{\n" + "    g();\n" * 71 + "}\n")
        self.assert_rule("function", "daemon/low/a.c", 3)

    def test_a_long_file(self):
        self.put("daemon/low/a.c", SPDX + "int a;\n" * 1000)
        self.assert_rule("size", "daemon/low/a.c")

    def test_a_long_private_header(self):
        self.put("daemon/low/b.h", SPDX + "int a;\n" * 99)
        self.assert_rule("size", "daemon/low/b.h")

    def test_a_long_door(self):
        self.put("daemon/low/low.h", SPDX + "extern int a;\n" * 249)
        self.assert_rule("size", "daemon/low/low.h")

    def test_banned_calls(self):
        self.put("daemon/low/a.c", SPDX + "void f(void)\n{\n    strcpy(a, b);\n}\n")
        self.assert_rule("call", "daemon/low/a.c", 4)

    def test_system_may_be_called_in_tests_only(self):
        self.put("tests/unit/low/a.c", SPDX + 'int a = system("x");\n')
        self.assertEqual([], self.offences())
        self.put("daemon/low/a.c", SPDX + 'int a = system("x");\n')
        self.assert_rule("call", "daemon/low/a.c", 2)

    def test_banners(self):
        self.put("daemon/low/a.c", SPDX + "/* -" + "-- life --- */\nint a; /* b --- c */\n")
        self.assert_rule("words", "daemon/low/a.c", 2)

    def test_notes_to_do_later(self):
        self.put("daemon/low/a.c", SPDX + "/* TO" + "DO: this */\n")
        self.assert_rule("words", "daemon/low/a.c", 2)

    def test_paths_of_a_machine(self):
        self.put("README.md", "see /wo" + "rk/main\n")
        self.assert_rule("words", "README.md", 1)

    def test_a_room_it_does_not_stand_on(self):
        self.put("daemon/high/high.h", SPDX + "int high(void);\n")
        self.put("daemon/low/a.c", SPDX + '#include "high/high.h"\n')
        self.assert_rule("include", "daemon/low/a.c", 2)

    def test_a_header_that_is_no_door(self):
        self.put("daemon/high/a.c", SPDX + '#include "low/inner.h"\n')
        self.assert_rule("include", "daemon/high/a.c", 2)

    def test_generated_code_without_proto(self):
        self.put("daemon/low/a.c", SPDX + "#include <rpc.pb-c.h>\n")
        self.assert_rule("include", "daemon/low/a.c", 2)

    def test_rocksdb_outside_backend(self):
        self.put("daemon/low/a.c", SPDX + "#include <rocksdb/c.h>\n")
        self.assert_rule("include", "daemon/low/a.c", 2)

    def test_a_pure_room_that_logs(self):
        self.put("daemon/raft/a.c", SPDX + '#include "base/log.h"\n')
        self.assert_rule("include", "daemon/raft/a.c", 2)

    def test_a_header_that_does_not_compile_alone(self):
        self.put("daemon/low/low.h", SPDX + "size_t low(void);\n")
        self.assert_rule("header", "daemon/low/low.h", compiler="cc")

    def test_a_room_without_readme(self):
        os.unlink(os.path.join(self.folder.name, "daemon/low/README.md"))
        self.assert_rule("readme", "daemon/low/README.md")


class Lessons(unittest.TestCase):
    ROW = "| %s | x | `unit/test_a.c` %s | x |"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.makedirs(os.path.join(self.folder.name, "tests/unit"))
        with open(os.path.join(self.folder.name, "tests/unit/test_a.c"), "w",
                  encoding="utf-8") as file:
            file.write("static void test_run(void **state)\n{\n}\n"
                       "static void test_left_out(void **state)\n{\n}\nT(test_run)\n")

    def found(self, *rows):
        return list(lessons.offences(self.folder.name, "\n".join(rows)))

    def test_all_is_there(self):
        self.assertEqual([], self.found(*(self.ROW % (row, "`test_run`") for row in lessons.ROWS)))

    def test_a_row_that_is_gone(self):
        rows = [self.ROW % (row, "`test_run`") for row in lessons.ROWS[1:]]
        self.assertEqual([f"no row about {lessons.ROWS[0]}"], self.found(*rows))

    def test_tests_that_are_not(self):
        for cell, words in (("`test_gone`", "no test_gone in"), ("", "no test"),
                            ("`test_left_out`", "no test_left_out in"),
                            ("`unit/gone.c` `test_run`", "no file unit/gone.c")):
            self.assertTrue(any(words in text for text in self.found(self.ROW % ("x", cell))), cell)


class Names(unittest.TestCase):
    def test_a_name_in_two_rooms(self):
        low = "\ninner.c.o:\n0000000000000010 T dial_start\n0000000000000020 W spare\n"
        high = "\ndial.c.o:\n0000000000000040 T dial_start\n0000000000000050 T other\n"
        self.assertEqual([("dial_start", ["high", "low"])],
                         names.clashes({"low": low, "high": high + low.replace("T", "W")}))
        self.assertEqual([], names.clashes({"low": low, "high": high.replace("_start", "_end")}))


if __name__ == "__main__":
    unittest.main()
