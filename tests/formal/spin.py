#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""SPIN searches the models of docs/models/ exhaustively and finds no error.

Each mutant of a model has to be found out, and each line of a model has to be
reached in one of its runs. See docs/models/README.md.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

MODELS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "models")

# Model: who takes part. "LIVE": with weak fairness, everything ends.
RUNS = {
    "rcu.pml": [
        "READERS=2",
        "READERS=1 ANONYMOUS=1",
        "READERS=0 ANONYMOUS=2",
    ],
    "kick.pml": [
        "KICKERS=2",
        "KICKERS=1 PAUSERS=1",
        "KICKERS=1 LATER=1 OWN=1",
        "KICKERS=1 FAILS=1",
        "PAUSERS=2",
        "PAUSERS=1 FAILS=1",
        "PAUSERS=1 LATER=1",
        "HOLDS=2",
        "HOLDS=1 PAUSERS=1",
        "HOLDS=1 LATER=1 OWN=1",
        "HANDLED=1 KICKERS=2",
        "HANDLED=1 KICKERS=1 PAUSERS=1",
        "HANDLED=1 KICKERS=1 LATER=1 OWN=1",
        "HANDLED=1 KICKERS=1 FAILS=1",
        "HANDLED=1 HOLDS=1 LATER=1",
        "LIVE HOLDS=1",
        "LIVE KICKERS=1 PAUSERS=1",
    ],
}

MUTANTS = {
    "rcu.pml": [
        "MUTANT=1 READERS=1",
        "MUTANT=2 READERS=1",
        "MUTANT=3 READERS=0 ANONYMOUS=3",
        "MUTANT=4 READERS=1",
    ],
    "kick.pml": [
        "MUTANT=1 PAUSERS=1",
        "MUTANT=2 KICKERS=1",
        "MUTANT=3 KICKERS=1",
        "MUTANT=4 PAUSERS=1",
        "MUTANT=5 HOLDS=1",
        "MUTANT=6 PAUSERS=1",
        "MUTANT=3 HANDLED=1 KICKERS=1",
        "MUTANT=7 HANDLED=1 KICKERS=1",
    ],
}

MEMORY_MIB = "1500"


class Broken(Exception):
    """A tool did not do its work."""


def tool(*args, cwd):
    done = subprocess.run(args, cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Broken("%s:\n%s" % (" ".join(args), done.stdout))
    return done.stdout


def states(pan, cwd):
    """(process, state) -> source line, of what can be executed."""
    found, process = {}, None
    for line in tool(pan, "-d", cwd=cwd).splitlines():
        m = re.match(r"proctype (\w+)", line)
        if m:
            process = m.group(1)
        m = re.match(r"\s+state\s+(\d+) -.*?\S+\.pml:(\d+) =>", line)
        if m:
            found[process, int(m.group(1))] = int(m.group(2))
    return found


def unreached(report):
    found, process = set(), None
    for line in report.splitlines():
        m = re.match(r"unreached in (?:proctype )?(\w+)", line)
        if m:
            process = m.group(1)
        m = re.match(r"\s+\S+\.pml:\d+, state (\d+),", line)
        if m:
            found.add((process, int(m.group(1))))
    return found


def search(model, switches):
    """errors, states searched, lines, lines reached, report"""
    live = "LIVE" in switches.split()
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(os.path.join(MODELS, model), work)
        tool("spin", "-a", *("-D" + s for s in switches.split()), model,
             cwd=work)
        # A mutant is found out soon: compiling takes longer.
        level = "-O0" if "MUTANT" in switches else "-O1"
        tool("gcc", level, "-w", "-o", "pan", "-DVECTORSZ=2048",
             "-DMEMLIM=" + MEMORY_MIB,
             *(() if live else ("-DSAFETY", "-DNOCLAIM")),
             "pan.c", cwd=work)
        pan = os.path.join(work, "pan")
        report = tool(pan, "-m100000", "-w22",
                      *(("-a", "-f") if live else ()), cwd=work)
        errors = re.search(r"errors: (\d+)", report)
        stored = re.search(r"(\d+) states, stored", report)
        if not errors or not stored or "max search depth too small" in report \
                or "Search not completed" in report and errors.group(1) == "0":
            raise Broken("%s %s: the search broke off:\n%s" %
                         (model, switches, report))
        all_states = states(pan, work)
        missed = unreached(report)
    lines = set(all_states.values())
    reached = {line for state, line in all_states.items()
               if state not in missed}
    return int(errors.group(1)), int(stored.group(1)), lines, reached, report


def main():
    for program in "spin", "gcc":
        if not shutil.which(program):
            print("skipped: %s is not installed" % program)
            return 77
    jobs = [(m, s) for m in RUNS for s in RUNS[m] + MUTANTS[m]]
    failed = 0
    lines = {m: set() for m in RUNS}
    reached = {m: set() for m in RUNS}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda job: search(*job), jobs)
        for (model, switches), result in zip(jobs, results):
            errors, stored, of, hit, report = result
            wanted = switches in MUTANTS[model]
            print("%s %s: %d states, %s" %
                  (model, switches, stored,
                   "an error" if errors else "no error"), flush=True)
            if bool(errors) != wanted:
                print("that is wrong:\n" + report)
                failed = 1
            if not wanted:
                lines[model] |= of
                reached[model] |= hit
    for model, of in lines.items():
        print("%s: %d lines" % (model, len(of)))
        if len(of) < 50:
            print("so few? the table of states was not understood")
            failed = 1
        for line in sorted(of - reached[model]):
            print("%s:%d is never reached" % (model, line))
            failed = 1
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as e:
        print(e)
        sys.exit(1)
