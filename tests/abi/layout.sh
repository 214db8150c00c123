#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Compile layout.c against the headers as they are, and fail if there is a member
# of a public struct, or a function, that layout.c says nothing about.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

set -- -Iinclude
for dir in optional/*/include; do
	[ -d "$dir" ] && set -- "$@" "-I$dir"
done
for header in include/vcore/*.h optional/*/include/vcore/*.h; do
	[ -f "$header" ] && echo "#include <vcore/${header##*/}>"
done >"$tmp/all-headers.h"

"${CC:-cc}" -std=gnu11 -fsyntax-only "$@" "-I$tmp" tests/abi/layout.c

if ! scripts/abi layout --check; then
	echo "tests/abi/layout.c lacks the lines above:" \
		"scripts/abi layout --append"
	exit 1
fi
