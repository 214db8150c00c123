#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""analyze.py BUILD_DIR: gcc -fanalyzer finds nothing in lib/ and optional/.

Each file is compiled as BUILD_DIR's compile_commands.json says, but for -O2
always, so that the verdict is the same for each preset: at -O0 gcc 12 takes
what a small memcpy() reads for uninitialised.
"""
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
FLAGS = ["-O2", "-fanalyzer", "-Werror", "-DVCORE__ANALYZE", "-o", os.devnull]
BUG = "#include <stdlib.h>\nint f(void) { char *p = malloc(1); return !p; }\n"


def commands(build):
    """{file: argument list} of what is compiled in lib/ and optional/."""
    found = {}
    for one in json.loads((build / "compile_commands.json").read_text()):
        file = Path(one["file"])
        if not file.is_relative_to(TOP):
            continue
        name = str(file.relative_to(TOP))
        if not name.startswith(("lib/", "optional/")):
            continue
        args = shlex.split(one["command"])
        # Whatever the preset's compiler is; without its -o.
        at = args.index("-o")
        found[name] = (["gcc"] + args[1:at] + args[at + 2:],
                       one["directory"])
    return found


def analyze(args, cwd):
    run = subprocess.run(args + FLAGS, cwd=cwd, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return run.returncode, run.stdout


def main():
    if shutil.which("gcc") is None:
        print("skipped: gcc is not installed")
        return 77
    with tempfile.TemporaryDirectory() as tmp:
        bug = Path(tmp) / "bug.c"
        bug.write_text(BUG)
        rc, text = analyze(["gcc", "-c", str(bug)], tmp)
        if rc == 0 or "-Werror=analyzer-malloc-leak" not in text:
            print(text + "gcc -fanalyzer does not find a bug that is there")
            return 1
    todo = commands(Path(sys.argv[1]).resolve())
    if not todo:
        print("nothing to look at: is this a build folder?")
        return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda job: analyze(*job), todo.values()))
    bad = [text for rc, text in results if rc != 0]
    print("".join(bad), end="")
    print(f"{len(todo)} files, {len(bad)} with complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
