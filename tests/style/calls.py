#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The library takes nothing from its host program.

No code under lib/ or optional/ ends the process, writes to stdio, installs a
signal handler or changes what belongs to the whole process. exceptions.txt
names the places that may, with the reason.
"""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
FORBIDDEN = ("abort exit _exit _Exit quick_exit atexit printf fprintf vprintf "
             "vfprintf puts putchar perror psignal signal sigaction chdir "
             "umask setlocale setenv putenv unsetenv daemon system").split()
CALL = re.compile(r"(?<![\w.>])(" + "|".join(FORBIDDEN) + r")\s*\(")
STREAM = re.compile(r"\b(stdout|stderr)\b")
# Comments, strings and character constants.
SKIP = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
                  re.S)


def exceptions():
    """{(path, word)} of the lines 'calls <path> <word>: reason'."""
    text = (TOP / "tests/style/exceptions.txt").read_text()
    return set(re.findall(r"^calls (\S+) (\w+): \S", text, flags=re.M))


def main():
    allowed, used, bad = exceptions(), set(), 0
    paths = [p for top in ("lib", "optional") for p in (TOP / top).rglob("*")
             if p.suffix in (".c", ".h")]
    for path in sorted(paths):
        name = str(path.relative_to(TOP))
        text = SKIP.sub(lambda m: "\n" * m[0].count("\n") or " ",
                        path.read_text())
        for number, line in enumerate(text.splitlines(), 1):
            for word in CALL.findall(line) + STREAM.findall(line):
                if (name, word) in allowed:
                    used.add((name, word))
                else:
                    print(f"{name}:{number}: {word}")
                    bad += 1
    for name, word in sorted(allowed - used):
        print(f"exceptions.txt: 'calls {name} {word}' is not needed")
        bad += 1
    print(f"{len(paths)} files, {bad} complaints")
    return bad != 0


sys.exit(main())
