# SPDX-License-Identifier: Apache-2.0
"""Completion scripts, asked by a shell."""
import shutil
import subprocess
import unittest

from lib import Case, binary


class Completion(Case):
    CASES = {
        "etcdctl": (("sna", "snapshot"), ("snapshot sa", "save"), ("lease ke", "keep-alive"),
                    ("put --prev", "--prev-kv")),
        "etcdutl": (("snap", "snapshot"), ("snapshot re", "restore"), ("com", "completion"),
                    ("defrag --data", "--data-dir")),
    }

    @unittest.skipUnless(shutil.which("bash"), "no bash: install bash")
    def test_bash(self):
        for program, cases in self.CASES.items():
            for typed, wanted in cases:
                words = [program, *typed.split()]
                script = (f"source <({binary(program)} completion bash); COMP_WORDS=("
                          + " ".join(words) + f"); COMP_CWORD={len(words) - 1}; _{program}; "
                          'echo "${COMPREPLY[@]}"')
                done = subprocess.run(["bash", "-c", script], capture_output=True, text=True,
                                      timeout=60, check=True)
                self.assertEqual(wanted, done.stdout.strip(), (program, typed))

    def test_every_shell_has_one(self):
        for program in self.CASES:
            for shell in ("bash", "zsh", "fish", "powershell"):
                done = subprocess.run([binary(program), "completion", shell], capture_output=True,
                                      text=True, timeout=60, check=True)
                self.assertIn(program, done.stdout)
                self.assertIn("snapshot", done.stdout)
            for args in ([], ["x"], ["bash", "zsh"]):
                done = subprocess.run([binary(program), "completion", *args], capture_output=True,
                                      text=True, timeout=60, check=False)
                self.assertNotEqual(0, done.returncode)
