#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Break one check of the library at a time; its tests must notice.

    run.py [-j JOBS] BUILD_DIR LIST... [-- NAME...]

BUILD_DIR is a finished Ninja build, best with sanitizers; nothing in it and
nothing in the sources changes. For each mutant the changed file is compiled,
and the tests it names are linked with that object in place of the original,
in a folder of their own, and run until one fails. A mutant that no test
notices is an error, and so is one whose text is not there any more.

A list has stanzas, one a mutant:

    [name]
    file = lib/virtio/chain.c
    from = what stands there, once, within a line
    to = what stands there instead
    tests = virtio_chain virtio_virtqueue
    after = a line's text further up, where `from` is not the only one (optional)
    compile = of a header below lib/: the file that includes it (optional)
"""
import argparse
import configparser
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# A mutant may loop for ever, which counts as noticed: after so many seconds,
# and so many times those that the unchanged test takes.
PATIENCE = 10, 5


class Broken(Exception):
    """The list, or the build, is not as it should be."""


def mutate(mutant):
    """The source file's text with the one change."""
    with open(os.path.join(ROOT, mutant["file"]), encoding="utf-8") as f:
        text = f.read()
    begin = 0
    if "after" in mutant:
        begin = text.find(mutant["after"])
        if begin < 0:
            raise Broken(f"no '{mutant['after']}' in {mutant['file']}")
        if text.find(mutant["after"], begin + 1) >= 0:
            raise Broken(f"more than one '{mutant['after']}'")
    at = text.find(mutant["from"], begin)
    if at < 0:
        raise Broken(f"no '{mutant['from']}' in {mutant['file']}")
    if "after" not in mutant and text.find(mutant["from"], at + 1) >= 0:
        raise Broken(f"more than one '{mutant['from']}'; say after what")
    return text[:at] + mutant["to"] + text[at + len(mutant["from"]):]


def replace_argument(args, option, value):
    at = args.index(option) + 1
    old = args[at]
    args[at] = value
    return old


class Build:
    def __init__(self, build):
        self.dir = os.path.abspath(build)
        path = os.path.join(self.dir, "compile_commands.json")
        with open(path, encoding="utf-8") as f:
            commands = json.load(f)
        self.compile = {os.path.relpath(c["file"], ROOT): c for c in commands}
        self.limit = {}

    def run(self, args):
        done = subprocess.run(args, cwd=self.dir, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Broken(done.stdout)

    def compile_mutant(self, mutant, work):
        """The object, and the one of the build it stands for."""
        compiled = mutant.get("compile", mutant["file"])
        source = os.path.join(work, os.path.relpath(mutant["file"], "lib"))
        os.makedirs(os.path.dirname(source), exist_ok=True)
        with open(source, "w", encoding="utf-8") as f:
            f.write(mutate(mutant))
        entry = self.compile.get(compiled)
        if entry is None:
            raise Broken(f"{compiled} is not built")
        args = shlex.split(entry["command"])
        new = os.path.join(work, "mutant.o")
        old = replace_argument(args, "-o", new)
        if compiled == mutant["file"]:
            replace_argument(args, "-c", source)
        else:
            args[1:1] = ["-I", work]
        # What a removed check used is unused now.
        self.run(args + ["-Wno-error", "-w"])
        return old, new

    def link_command(self, test):
        out = subprocess.run(["ninja", "-t", "commands", test], cwd=self.dir,
                             stdout=subprocess.PIPE, text=True, check=False)
        if out.returncode:
            raise Broken(f"no test program {test}")
        line = out.stdout.strip().splitlines()[-1]
        return shlex.split(line.removeprefix(": && ").removesuffix(" && :"))

    def time(self, test):
        """The unchanged test has to pass."""
        args = self.link_command(test)
        program = os.path.join(self.dir, args[args.index("-o") + 1])
        begun = time.monotonic()
        how = notices(program, 600)
        if how is not None:
            raise Broken(f"{test}, unchanged: {': '.join(how)}")
        self.limit[test] = PATIENCE[0] + \
            PATIENCE[1] * (time.monotonic() - begun)

    def link(self, test, old, new, work):
        args = self.link_command(test)
        if old not in args:
            raise Broken(f"{test} is not linked with {old}")
        args[args.index(old)] = new
        program = os.path.join(work, test)
        replace_argument(args, "-o", program)
        self.run(args)
        return program


def kill_session(leader):
    """Check's test cases are process groups of their own."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == leader:
                os.kill(int(pid), 9)
        except ProcessLookupError:
            pass


def notices(program, limit):
    """(test case, how it failed), or None."""
    env = dict(os.environ, CK_DEFAULT_TIMEOUT=str(int(limit)))
    try:
        with subprocess.Popen([program], cwd=ROOT, env=env, text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              start_new_session=True) as p:
            try:
                out, _ = p.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                kill_session(p.pid)
                return program, "does not end"
    except OSError as e:
        raise Broken(str(e)) from e
    if p.returncode == 0:
        return None
    for line in out.splitlines():
        parts = line.split(":")
        if len(parts) > 5 and parts[2] in ("F", "E"):
            return parts[4], ":".join(parts[5:]).strip()
    return program, f"status {p.returncode}"


def try_mutant(build, name, mutant):
    """(is it noticed, what to print)"""
    with tempfile.TemporaryDirectory(prefix="mutant.") as work:
        try:
            old, new = build.compile_mutant(mutant, work)
            for test in mutant["tests"].split():
                test = "test_" + test
                how = notices(build.link(test, old, new, work),
                              build.limit[test])
                if how is not None:
                    return True, f"{name}: {test}: {how[0]}"
        except (Broken, KeyError) as e:
            return False, f"{name}: BROKEN: {e}"
    return False, f"{name}: SURVIVED {mutant['tests']}: {mutant['file']}"


def read_lists(files):
    mutants = {}
    for path in files:
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None,
                                           comment_prefixes=("#",))
        with open(path, encoding="utf-8") as f:
            parser.read_file(f)
        for name in parser.sections():
            if name in mutants:
                raise SystemExit(f"{path}: two mutants '{name}'")
            mutants[name] = dict(parser[name])
    return mutants


def main():
    argv, names = sys.argv[1:], []
    if "--" in argv:
        names = argv[argv.index("--") + 1:]
        argv = argv[:argv.index("--")]
    parser = argparse.ArgumentParser(description="mutation test")
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1)
    parser.add_argument("build")
    parser.add_argument("lists", nargs="+")
    options = parser.parse_args(argv)
    mutants = read_lists(options.lists)
    if names:
        mutants = {n: mutants[n] for n in names}
    build = Build(options.build)
    noticed = 0
    tests = sorted({"test_" + t for m in mutants.values()
                    for t in m["tests"].split()})
    with ThreadPoolExecutor(options.j) as pool:
        list(pool.map(build.time, tests))
        jobs = [pool.submit(try_mutant, build, n, m)
                for n, m in mutants.items()]
        for job in jobs:
            good, text = job.result()
            noticed += good
            print(text, flush=True)
    print(f"{noticed} of {len(mutants)} mutants noticed")
    return 0 if noticed == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
