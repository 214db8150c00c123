#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each public function that creates or changes something is walked.

tests/style/walked.txt has a line for each function of the headers: the test
programs that walk its failures, in which WALK(function) stands, or a dash and
why there is nothing to walk. A function without a line fails, and so does a
line without its function or its case.

  walked.py            check
  walked.py --list     print what is walked where, as lines for walked.txt
"""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
LIST = Path(__file__).with_name("walked.txt")
REASONS = {
    "reads": "changes nothing",
    "destroys": "walked as what takes back the call that made it",
    "counts": "takes a reference",
    "data": "requests, frames, bytes and guest memory",
    "inside": "called in a method of the embedder's, within a walked call",
    "threads": "runs, wakes or answers who waits",
}


def public():
    """The functions that the headers declare."""
    headers = sorted(TOP.glob("include/vcore/*.h"))
    headers += sorted(TOP.glob("optional/*/include/vcore/*.h"))
    names = set()
    for path in headers:
        text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.S)
        names |= set(re.findall(r"VCORE_API\b[^;{(]*?\b(vcore_\w+)\s*\(",
                                text))
    return names


def cases():
    """{function: {test programs with a WALK() of it}}"""
    found = {}
    for path in sorted(TOP.glob("tests/*/*.c")):
        for name in re.findall(r"\bWALK\((\w+)\)", path.read_text()):
            found.setdefault(name, set()).add(
                str(path.relative_to(TOP / "tests")))
    return found


def check(lines, functions, walked):
    """Sentences on what is wrong."""
    listed = set()
    for line in lines:
        name, *rest = line.split()
        if name in listed:
            yield f"{name}: listed twice"
        listed.add(name)
        if name not in functions:
            yield f"{name}: listed, but in no header"
        elif rest[:1] == ["-"]:
            if len(rest) != 2 or rest[1] not in REASONS:
                yield f"{name}: the reason is one of {', '.join(REASONS)}"
            if name in walked:
                yield f"{name}: not to be walked, but is"
        elif not rest or set(rest) != walked.get(name, set()):
            there = " ".join(sorted(walked.get(name, set())))
            yield f"{name}: listed in '{' '.join(rest)}', walked in '{there}'"
    for name in sorted(functions - listed):
        yield f"{name}: creates or changes something? Walk it, or say why not"


def main():
    functions, walked = public(), cases()
    if sys.argv[1:] == ["--list"]:
        for name in sorted(walked):
            print(name, *sorted(walked[name]))
        return 0
    lines = [line for line in LIST.read_text().splitlines()
             if line and not line.startswith("#")]
    wrong = list(check(lines, functions, walked))
    print("\n".join(wrong + [f"{len(functions)} public functions, "
                             f"{len(functions & walked.keys())} walked"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
