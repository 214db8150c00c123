#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write a call of each public function with nothing but zeroes.

  calls.py HEADER... >calls.c

Each function becomes an entry of the table in calls.h: its name, what it
returns, the call, and the errors that its documentation lists.
"""
import re
import sys
from pathlib import Path

DECL = r"/\*\*((?:(?!\*/).)*)\*/\s*VCORE_API\b([^;{]*);"


def kind(returns):
    if returns == "void":
        return "VOID"
    if returns.endswith("*"):
        return "POINTER"
    return "ERROR" if returns in ("int", "int64_t") else "NUMBER"


def functions(path):
    for doc, decl in re.findall(DECL, path.read_text(), flags=re.S):
        decl = " ".join(decl.split())
        m = re.fullmatch(r"(.*?)\b(vcore_\w+)\s*\((.*)\)", decl)
        if not m:
            sys.exit(f"{path}: not a function: {decl}")
        # A parameter that is a function has commas of its own.
        params = re.sub(r"\([^()]*\)", "", m[3])
        count = 0 if params == "void" else params.count(",") + 1
        errors = sorted(set(re.findall(r"-(E[A-Z0-9]+)\b", doc)))
        yield m[2], kind(m[1].strip()), count, errors


def call(name, what, count):
    text = f"{name}({', '.join(['0'] * count)})"
    if what == "VOID":
        return f"\t{text};\n\treturn 0;\n"
    if what == "POINTER":
        return f"\treturn (int64_t)(intptr_t){text};\n"
    return f"\treturn (int64_t){text};\n"


def main():
    paths = [Path(p) for p in sys.argv[1:]]
    found = [f for p in paths for f in functions(p)]
    print('/* Written by tests/api/calls.py. */\n#include "api/calls.h"\n')
    print("#include <errno.h>\n")
    for path in paths:
        print(f"#include <vcore/{path.name}>")
    for name, what, count, _ in found:
        print(f"\nstatic int64_t\ncall_{name}(void)\n{{")
        print(call(name, what, count) + "}")
    print("\nconst struct call calls[] = {")
    for name, what, _, errors in found:
        listed = "".join(f"{e}, " for e in errors)
        print(f'\t{{ "{name}", CALL_{what}, call_{name}, {{ {listed}0 }} }},')
    print("};")
    print(f"const unsigned call_count = {len(found)};")


if __name__ == "__main__":
    main()
