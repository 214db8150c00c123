#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""coverage.py BUILD_DIR: what the tests that ran there covered, by layer.

Prints lines and branches of each layer, and with --files of each file.
"""
import json
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
KINDS = ("line", "branch")


def summary(build):
    command = ["gcovr", "--root", str(TOP), "--filter", f"{TOP}/(lib|optional)/",
               "--exclude-unreachable-branches", "--exclude-throw-branches",
               "--json-summary", "-", str(build)]
    out = subprocess.run(command, check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)["files"]


def row(name, counts):
    cells = []
    for kind in KINDS:
        covered, total = counts[kind]
        part = 100 * covered / total if total else 100
        cells.append(f"{part:6.1f} % of {total:6d} {kind}s".replace("branchs",
                                                                  "branches"))
    print(f"{name:32}" + "  ".join(cells))


def main():
    args = [a for a in sys.argv[1:] if a != "--files"]
    layers, total = {}, {kind: [0, 0] for kind in KINDS}
    for one in summary(Path(args[0]).resolve()):
        counts = {k: [one[f"{k}_covered"], one[f"{k}_total"]] for k in KINDS}
        if "--files" in sys.argv:
            row(one["filename"], counts)
        layer = "/".join(one["filename"].split("/")[:2])
        for into in (layers.setdefault(layer, {k: [0, 0] for k in KINDS}),
                     total):
            for kind in KINDS:
                into[kind] = [a + b for a, b in zip(into[kind], counts[kind])]
    for layer in sorted(layers):
        row(layer, layers[layer])
    row("all", total)


if __name__ == "__main__":
    main()
