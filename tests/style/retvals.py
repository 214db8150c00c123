#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each documented error of a public function has a test.

A pair (function, errno) of the headers' @retval lines counts as tested if one
test case names both: between START_TEST and END_TEST, or in what these lines
use of the same file (functions, tables, macros). What WALK() names has had
each of its allocations and descriptors refused: ENOMEM, EMFILE.
"""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent


def documented():
    """{(function, errno)} of all public headers."""
    pairs = set()
    headers = sorted(TOP.glob("include/vcore/*.h"))
    headers += sorted(TOP.glob("optional/*/include/vcore/*.h"))
    for path in headers:
        for doc, decl in re.findall(
                r"/\*\*((?:(?!\*/).)*)\*/\s*VCORE_API\b([^;{]*)[;{]",
                path.read_text(), flags=re.S):
            name = re.search(r"\b(vcore_\w+)\s*\(", decl)
            for line in re.findall(r"@retval\s+(-E\w+(?:,\s*-E\w+)*)", doc):
                pairs |= {(name[1], e) for e in re.findall(r"E\w+", line)}
    return pairs


def chunks(text):
    """(name, text) of what stands at file level; tests have the name None."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    for body in re.findall(r"^START_TEST\(.*?^END_TEST", text,
                           flags=re.S | re.M):
        yield None, body
    text = re.sub(r"^START_TEST\(.*?^END_TEST", "", text, flags=re.S | re.M)
    for name, body in re.findall(
            r"^#[ \t]*define[ \t]+(\w+)((?:.*\\\n)*.*)", text, flags=re.M):
        yield name, body
    text = re.sub(r"^#(?:.*\\\n)*.*", "", text, flags=re.M)
    for name, body in re.findall(
            r"^(?:[a-z][\w \t*]*[\s*])?(\w+)((?:\([^;{]*\)|[^;({]*=)\s*\{.*?^\})",
            text, flags=re.S | re.M):
        yield name, body


def test_cases(path):
    """The words of each test case of a file, and of what it uses."""
    parts, tests = {}, []
    for name, body in chunks(path.read_text()):
        words = set(re.findall(r"\w+", body))
        if name is None:
            tests.append(words)
        else:
            parts.setdefault(name, set()).update(words)
    for words in tests:
        todo, seen = words & parts.keys(), set()
        while todo:
            name = todo.pop()
            seen.add(name)
            words |= parts[name]
            todo |= (parts[name] & parts.keys()) - seen
        yield words


def untested():
    missing = documented()
    for path in sorted(TOP.glob("tests/*/*.c")):
        walked = re.findall(r"\bWALK\((\w+)\)", path.read_text())
        missing -= {(f, e) for f in walked for e in ("ENOMEM", "EMFILE")}
        for words in test_cases(path):
            missing -= {p for p in missing if p[0] in words and p[1] in words}
    return missing


def main():
    missing = sorted(untested())
    for name, error in missing:
        print(f"{name} -{error}: documented, and no test case names both")
    print(f"{len(documented())} documented errors, {len(missing)} untested")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
