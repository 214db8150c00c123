#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every #include obeys lib/layers.txt.

lib/<layer>/ may include its own headers, those of the layers it is allowed,
and their public headers; a public header the same. Optional parts and examples
see public headers only. Architecture #ifdefs stay in arch/ folders.
"""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
errors = []


def complain(path, line, text):
    errors.append(f"{path.relative_to(TOP)}:{line}: {text}")


def read_rules():
    allowed, owner = {}, {}
    for line in (TOP / "lib/layers.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        layer, below, headers = (f.strip() for f in line.split(":"))
        allowed[layer] = set(below.split()) | {"base", layer}
        for header in headers.split():
            owner[header] = layer
    for layer, below in allowed.items():
        if "all" in below:
            allowed[layer] = set(allowed)
        for name in below - {"all"} - set(allowed):
            sys.exit(f"lib/layers.txt: {layer}: no layer {name}")
    return allowed, owner


def lines(path):
    text = path.read_text()
    # Comments go, their line breaks stay.
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text,
                  flags=re.S)
    return enumerate(text.splitlines(), 1)


def includes(path):
    for number, line in lines(path):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found[1] == "<", found[2]


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in (".c", ".h", ".S"))


def check_public(path, number, header, layer, allowed, owner):
    """An #include <vcore/header> by a file of this layer."""
    if header not in owner:
        complain(path, number, f"<vcore/{header}> belongs to no layer: "
                 "add it to lib/layers.txt")
    elif owner[header] not in allowed[layer]:
        complain(path, number, f"<vcore/{header}> is {owner[header]}'s, "
                 f"which {layer} may not include")


def check_layer(layer, allowed, owner):
    for path in sources(TOP / "lib" / layer):
        for number, system, name in includes(path):
            folder, _, rest = name.partition("/")
            if system and folder == "vcore":
                check_public(path, number, rest, layer, allowed, owner)
            elif system:
                continue
            elif not rest or folder not in allowed:
                complain(path, number, f'"{name}": write "<layer>/..."')
            elif folder not in allowed[layer]:
                complain(path, number, f'"{name}": {layer} may not include '
                         f"{folder}")
        for number, line in lines(path):
            if (re.match(r"\s*#\s*(if|elif).*\b(__x86_64__|__i386__|"
                         r"__aarch64__|__riscv\w*)\b", line)
                    and "arch" not in path.relative_to(TOP).parts):
                complain(path, number, "architecture #if outside arch/")


def check_outside(folder, own):
    """Code that sees <vcore/...>, system headers and its own folder."""
    for path in sources(folder):
        for number, system, name in includes(path):
            if not system and not any((d / name).exists()
                                      for d in [path.parent, *own]):
                complain(path, number, f'"{name}": only <vcore/...>, system '
                         "headers and its own folder")


def main():
    allowed, owner = read_rules()
    for folder in sorted(p for p in (TOP / "lib").iterdir() if p.is_dir()):
        if folder.name in allowed:
            check_layer(folder.name, allowed, owner)
        elif sources(folder):
            errors.append(f"lib/{folder.name}: not in lib/layers.txt")
    for path in sorted((TOP / "include/vcore").glob("*.h")):
        if path.name not in owner:
            complain(path, 1, "belongs to no layer: add it to lib/layers.txt")
            continue
        for number, system, name in includes(path):
            if not system:
                complain(path, number, f'"{name}": write <vcore/...>')
            elif name.startswith("vcore/"):
                check_public(path, number, name[6:], owner[path.name],
                             allowed, owner)
    for folder in sorted((TOP / "optional").glob("*")):
        check_outside(folder, [folder, folder / "include"])
    check_outside(TOP / "examples", [])
    print("\n".join(errors + [f"{len(errors)} includes against the rules"]))
    return bool(errors)


sys.exit(main())
