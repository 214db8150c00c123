#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What ctest knows: its tests as lines for a shell, its results as a table.

suite.py list BUILD_DIR LABEL     programs with that label: NAME TIMEOUT COMMAND
suite.py summary JUNIT_FILE...    seconds per label, failures, skips, reasons
"""
import collections
import json
import pathlib
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET


def ctest_json(build):
    out = subprocess.run(
        ["ctest", "--test-dir", build, "--show-only=json-v1"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(out)["tests"]


def properties(test):
    return {p["name"]: p["value"] for p in test.get("properties", [])}


def list_tests(build, label):
    """One line each; a runner in front of the program is left out.

    A script of which one word is the runner is about the program behind it,
    and is listed as that: this is how the runner looks for the results.
    """
    for test in ctest_json(build):
        props = properties(test)
        command = test.get("command")
        if label not in props.get("LABELS", []):
            continue
        if not command:
            sys.exit(f"{test['name']} is not built")
        name = test["name"]
        runner = [i for i, word in enumerate(command)
                  if word.endswith("/kvm-replay")]
        if runner:
            command = command[runner[0] + 1:]
            name = pathlib.Path(command[0]).name
        if not command[0].startswith(str(pathlib.Path(build).resolve())):
            continue  # a script, not a program of ours
        print(name, int(props.get("TIMEOUT", 60)),
              shlex.join(command))


def reason(case):
    """Why a test was skipped: the last thing it said."""
    out = (case.findtext("system-out") or "").strip().splitlines()
    said = [line.strip() for line in out if line.strip()]
    for line in said:
        if "skip" in line.lower():
            return line
    return said[-1] if said else "it gave no reason"


def was_skipped(case):
    """True if the test itself said so; one that is not built did not."""
    message = case.find("skipped")
    return message is not None and "SKIP_" in message.get("message", "")


def summary(files):
    seconds = collections.Counter()
    tests = collections.Counter()
    bad, skipped = [], []
    for name in files:
        build = pathlib.Path(name).resolve().parent
        labels = {t["name"]: properties(t).get("LABELS", [])
                  for t in ctest_json(str(build))}
        for case in ET.parse(name).getroot().iter("testcase"):
            test = case.get("name")
            for label in labels.get(test) or ["(none)"]:
                seconds[label] += float(case.get("time", 0))
                tests[label] += 1
            if was_skipped(case):
                skipped.append((f"{build.name}/{test}", reason(case)))
            elif case.get("status") != "run":
                bad.append(f"{build.name}/{test}")
    print("seconds  tests  label")
    for label in sorted(seconds):
        print(f"{seconds[label]:7.1f}  {tests[label]:5d}  {label}")
    print(f"skipped: {len(skipped) or 'none'}")
    for where, why in skipped:
        print(f"  {where}: {why}")
    if bad:
        print(f"failed: {len(bad)}")
        print("\n".join(f"  {where}" for where in bad))
    return len(skipped)


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "list":
        list_tests(sys.argv[2], sys.argv[3])
    elif len(sys.argv) >= 3 and sys.argv[1] == "summary":
        return 77 if summary(sys.argv[2:]) else 0
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
