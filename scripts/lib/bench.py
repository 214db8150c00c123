#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Benchmark results against their limits.

usage: bench.py LIMITS BENCH... <RESULTS

RESULTS are lines of JSON as the benchmarks print them, of one or more runs;
other lines are passed over. Prints a table: worst result, limit and goal of
each case that has a limit. Status 1 if a limit is broken in any run, or if a
line of LIMITS for one of the BENCHes has no result.
"""
import fnmatch
import json
import re
import sys

FORM = re.compile(r"(value|ratio)\s*(<=|>=)\s*([0-9.]+)$")


def read_limits(path, benches):
    """[(bench, pattern, (what, how, limit), goal)]"""
    limits = []
    with open(path) as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            words = [word.strip() for word in line.split("|")]
            form = FORM.match(words[2]) if len(words) == 4 else None
            if not form:
                sys.exit(f"{path}:{number}: cannot read '{line}'")
            if words[0] in benches:
                limit = (form[1], form[2], float(form[3]))
                limits.append((words[0], words[1], limit, words[3]))
    return limits


def read_results(file):
    """{(bench, case): [result of each run]}"""
    results = {}
    for line in file:
        if line.startswith('{"bench"'):
            one = json.loads(line)
            results.setdefault((one["bench"], one["case"]), []).append(one)
    return results


def holds(one, limit):
    what, how, bound = limit
    got = one[what]
    if got is None:
        return False
    return got <= bound if how == "<=" else got >= bound


def worst(runs, limit):
    values = [one[limit[0]] for one in runs if one[limit[0]] is not None]
    if not values:
        return float("nan")
    return max(values) if limit[1] == "<=" else min(values)


def judge(results, bench, pattern, limit, goal):
    """Print a line for each case; True if all of them hold."""
    good, found = True, False
    for (name, case), runs in results.items():
        if name != bench or not fnmatch.fnmatchcase(case, pattern):
            continue
        found = True
        held = sum(holds(one, limit) for one in runs)
        form = FORM.match(goal)
        if form:
            goal_limit = (form[1], form[2], float(form[3]))
            reached = sum(holds(one, goal_limit) for one in runs)
            goal_text = f"{goal} ({reached} of {len(runs)})"
        else:
            goal_text = goal
        print(f"{'ok ' if held == len(runs) else 'BAD'} {bench}: {case}: "
              f"worst {limit[0]} {worst(runs, limit):.4g}, limit "
              f"{limit[1]} {limit[2]:g} in {held} of {len(runs)} runs; "
              f"goal {goal_text}")
        good = good and held == len(runs)
    if not found:
        print(f"BAD {bench}: no result matches '{pattern}'")
    return good and found


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    limits = read_limits(sys.argv[1], sys.argv[2:])
    results = read_results(sys.stdin)
    verdicts = [judge(results, *limit) for limit in limits]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
