# SPDX-License-Identifier: Apache-2.0
"""The rules that look at one file's text. Each yields (line, text)."""
import re

COLUMNS_MAX = 100
C_LINES_MAX = 1000
PRIVATE_HEADER_BELOW = 100
DOOR_BELOW = 250
FUNCTION_MAX = 70
README_MAX = 60

SOURCE_ROOTS = ("base/", "daemon/", "ctl/", "pki/")
BANNED = ("strcpy stpcpy strcat sprintf vsprintf gets strtok alloca atoi atol atoll atof tmpnam "
          "mktemp rand srand asctime ctime gmtime localtime").split()
BANNED_IN_SOURCE = "system popen".split()
LATER = re.compile(r"\b(" + "TO" + "DO|FIX" + r"ME)\b")
BANNER = re.compile(r"(?:/\*|//|^\s*#)\s*[-=*]{3,}")
MACHINE = re.compile("(?<![A-Za-z0-9_./-])/(?:" + "wo" + "rk|tmp/(?:" + "re" + "f|b-|ba-))/?")


def blank(match):
    """What stands for a comment or a string: as many lines, no words."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text):
    """C without comments and without the insides of strings."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
    return re.sub(pattern, blank, text, flags=re.S)


def spdx(path, lines):
    first = 1 if lines and lines[0].startswith("#!") else 0
    if len(lines) <= first or "SPDX-License-Identifier: Apache-2.0" not in lines[first]:
        yield first + 1, "the SPDX line is not first"


def columns(path, lines):
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns, {COLUMNS_MAX} allowed"
        if line != line.rstrip():
            yield number, "blanks at the end"
        if "\t" in line:
            yield number, "a tab"


def size(path, lines, is_door=False):
    count = len(lines)
    if path.endswith((".c", ".cc")) and count > C_LINES_MAX:
        yield count, f"{count} lines, {C_LINES_MAX} allowed"
    if path.endswith(".h"):
        below = DOOR_BELOW if is_door else PRIVATE_HEADER_BELOW
        kind = "door" if is_door else "private header"
        if count >= below:
            yield count, f"{count} lines in a {kind}, fewer than {below} wanted"


def functions(path, lines):
    """A body opens with { alone at column 0 (the house style) and closes with }."""
    start = 0
    for number, line in enumerate(code_only("\n".join(lines)).split("\n"), 1):
        if line.rstrip() == "{":
            start = number
        elif line.rstrip() == "}" and start:
            if number - start - 1 > FUNCTION_MAX:
                yield start, f"function of {number - start - 1} lines, {FUNCTION_MAX} allowed"
            start = 0


def calls(path, lines):
    names = list(BANNED)
    if path.startswith(SOURCE_ROOTS):
        names += BANNED_IN_SOURCE
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(")
    for number, line in enumerate(code_only("\n".join(lines)).split("\n"), 1):
        for match in pattern.finditer(line):
            yield number, f"{match.group(1)}() is banned"


def words(path, lines):
    for number, line in enumerate(lines, 1):
        for pattern, text in ((LATER, "a note to do something later"),
                              (BANNER, "a banner"),
                              (MACHINE, "a path of somebody's machine")):
            match = pattern.search(line)
            if match:
                yield number, f"{text}: {match.group(0)}"
