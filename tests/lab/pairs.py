#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks that cases.txt covers every pair of values of any two columns."""
import itertools
import pathlib
import sys

COLUMNS = {
    "kernel": {"cloud-amd64", "amd64"},
    "transport": {"pci", "mmio"},
    "cpus": {"1", "2", "4"},
    "irqchip": {"kernel", "split"},
    "engine": {"file", "uring"},
    "net": {"tap", "user"},
    "action": {"poweroff", "reboot", "panic"},
}


def rows(path):
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield dict(zip(COLUMNS, line.split()[2:]))


def main():
    table = list(rows(pathlib.Path(__file__).with_name("cases.txt")))
    missing = []
    pairs = 0
    for a, b in itertools.combinations(COLUMNS, 2):
        for x, y in itertools.product(sorted(COLUMNS[a]), sorted(COLUMNS[b])):
            pairs += 1
            if not any(r[a] == x and r[b] == y for r in table):
                missing.append(f"{a}={x} with {b}={y}")
    for row in table:
        for column, value in row.items():
            if value not in COLUMNS[column]:
                missing.append(f"unknown value {column}={value}")
    print(f"{len(table)} cases, {pairs} pairs, {len(missing)} missing")
    print("\n".join(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
