#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each hostile case has a test.

cases.txt lists what a guest, a peer or an image may do to break a VMM, by the
numbers of CLASSES below. Three levels of indentation:

  A1 what the case is about
      one way to do it
          virtio/test_chain: test_that_tries_it test_that_tries_more

A line of the third level names a file below tests/ (without .c) and test cases
of it, or a fuzzer (fuzz/fuzz_block:) that has to find nothing.

It fails if a number is missing or twice, if a way has no test, if a test is
not in that file, is in no suite there, or if the file is not built.
"""
import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_name("cases.txt")
# What there is nothing of yet has no class here: packed rings, hotplug,
# vhost-user, streams of state.
CLASSES = {
    "A": [*range(1, 11), *range(13, 17), *range(18, 22)],
    "C": [*range(28, 33), *range(34, 37)],
    "D": [37, 38],
    "E": [*range(45, 50)],
    "F": [*range(50, 59)],
    "G": [*range(59, 65)],
    "J": [82],
    "K": [90],
    "L": [91],
}


def parse(lines):
    """[(number, [(way, [(file, [test])])])], and what is wrong with it."""
    cases, wrong = [], []
    for at, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip(" "))) // 4
        if depth == 0 and re.match(r"[A-L]\d+ \S", text):
            cases.append((text.split()[0], []))
        elif depth == 1 and cases:
            cases[-1][1].append((text, []))
        elif depth == 2 and cases and cases[-1][1] and ":" in text:
            name, tests = text.split(":", 1)
            cases[-1][1][-1][1].append((name, tests.split()))
        else:
            wrong.append(f"line {at} does not fit: {text}")
    return cases, wrong


class File:
    """A file of tests: what it defines, what its suites run."""

    def __init__(self, name):
        path = TESTS / f"{name}.c"
        self.exists = path.is_file()
        text = path.read_text() if self.exists else ""
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        self.defined = set(re.findall(r"^START_TEST\((\w+)\)", text, re.M))
        self.run = set(re.findall(
            r"\btcase_add_(?:loop_)?test\(\s*\w+,\s*(\w+)", text))
        lists = path.parent / "CMakeLists.txt"
        self.built = lists.is_file() and re.search(
            rf"vcore_test\(\s*\w+ {path.stem}\b", lists.read_text())

    def wrong(self, tests):
        if not self.exists:
            return ["no such file"]
        if not self.built:
            return ["is not built"]
        return ([f"has no {t}" for t in tests if t not in self.defined] +
                [f"does not run {t}" for t in tests
                 if t in self.defined and t not in self.run] +
                ([] if tests else ["names no test"]))


def fuzzer_wrong(name):
    corpus = TESTS / "fuzz" / "corpus" / name.removeprefix("fuzz/fuzz_")
    if not (TESTS / f"{name}.c").is_file():
        return ["no such fuzzer"]
    return [] if any(corpus.glob("*")) else ["has no corpus"]


def check(cases):
    wanted = {f"{c}{n}" for c, numbers in CLASSES.items() for n in numbers}
    seen, files, named = set(), {}, set()
    for number, ways in cases:
        if number in seen:
            yield f"{number} is there twice"
        seen.add(number)
        if not ways:
            yield f"{number} has no way to do it"
        for way, tests in ways:
            if not tests:
                yield f"{number}, {way}: no test"
            for name, names in tests:
                if name.startswith("fuzz/"):
                    problems = fuzzer_wrong(name)
                else:
                    files.setdefault(name, File(name))
                    problems = files[name].wrong(names)
                    named |= {(name, n) for n in names}
                yield from (f"{number}, {way}: tests/{name} {p}"
                            for p in problems)
    for number in sorted(wanted - seen):
        yield f"{number} is missing"
    for number in sorted(seen - wanted):
        yield f"{number} is no number of this list"
    print(f"{len(seen)} cases, {sum(len(w) for _, w in cases)} ways, "
          f"{len(named)} tests in {len(files)} files")


def main():
    cases, wrong = parse(LIST.read_text().splitlines())
    wrong += list(check(cases))
    for line in wrong:
        print(line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
