#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""coverage.py [--files] BUILD_DIR [FLOORS]: what the tests covered, by layer.

Prints lines and branches of each layer, and with --files of each file. With
FLOORS (tests/coverage/floors.txt) also its groups, the files of "guest" that
are less covered than others, and status 1 if a group is below its floor.

gcov sees branches that no source has: what gcovr calls unreachable or made
for exceptions (C has none, but calls in a block with a clean-up have edges
of their own) does not count.
"""
import json
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
KINDS = ("line", "branch")
NOTICED = {"line": 95, "branch": 85}


def summary(build):
    """{file: {kind: [covered, total]}}"""
    command = ["gcovr", "--root", str(TOP), "--filter", f"{TOP}/(lib|optional)/",
               "--exclude-unreachable-branches", "--exclude-throw-branches",
               "--json-summary", "-", str(build)]
    out = subprocess.run(command, check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {one["filename"]: {k: [one[f"{k}_covered"], one[f"{k}_total"]]
                              for k in KINDS}
            for one in json.loads(out)["files"]}


def total(files, names):
    """Of the files whose path begins with one of the names."""
    chosen = [files[f] for f in files
              if any(f == n or f.startswith(f"{n}/") for n in names)]
    return {k: [sum(c[k][i] for c in chosen) for i in (0, 1)] for k in KINDS}


def percent(counts, kind):
    covered, out_of = counts[kind]
    return 100 * covered / out_of if out_of else 100


def row(name, counts):
    print(f"{name:32}{percent(counts, 'line'):6.1f} % of "
          f"{counts['line'][1]:6d} lines  {percent(counts, 'branch'):6.1f} % of "
          f"{counts['branch'][1]:6d} branches")


def read_floors(path):
    """[(name, {kind: floor}, paths)]"""
    groups = []
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["group"]:
            floors = dict(zip(KINDS, map(float, words[2:4])))
            groups.append((words[1], floors, []))
        elif words:
            groups[-1][2].extend(words)
    return groups


def judge(files, groups):
    """How many floors are not reached."""
    bad = 0
    for name, floors, paths in groups:
        for path in paths:
            if total(files, [path])["line"][1] == 0:
                print(f"{name}: nothing is covered or counted in {path}")
                bad += 1
        counts = total(files, paths)
        row(f"{name} ({len(paths)} paths)", counts)
        for kind in KINDS:
            if percent(counts, kind) < floors[kind]:
                print(f"{name}: {kind} coverage has to be at least "
                      f"{floors[kind]} %")
                bad += 1
    return bad


def name_weak(files, groups):
    """The files of the group "guest" that stand out."""
    for paths in [g[2] for g in groups if g[0] == "guest"]:
        for file in files:
            counts = total({file: files[file]}, paths)
            if any(percent(counts, k) < NOTICED[k] for k in KINDS):
                row(f"  {file}", counts)


def main():
    args = [a for a in sys.argv[1:] if a != "--files"]
    files = summary(Path(args[0]).resolve())
    if "--files" in sys.argv:
        for name in files:
            row(name, files[name])
    layers = sorted({"/".join(f.split("/")[:2]) for f in files})
    for layer in layers:
        row(layer, total(files, [layer]))
    row("all", total(files, layers))
    if len(args) > 1:
        groups = read_floors(Path(args[1]))
        bad = judge(files, groups)
        name_weak(files, groups)
        return 1 if bad else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
