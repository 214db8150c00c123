#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Each public header, alone, compiles as C11 and as C++17 without a warning,
# and no struct in it has padding that the compiler put there.
set -u
cd "$(dirname "$0")/../.." || exit 1
flags="-fsyntax-only -Wall -Wextra -Wpedantic -Wpadded -Werror"
failed=0
count=0

# try COMPILER LANGUAGE STANDARD HEADER INCLUDE...
try()
{
	compiler=$1 language=$2 standard=$3 header=$4
	shift 4
	command -v "$compiler" >/dev/null || return 0
	count=$((count + 1))
	# Twice: the guard must hold.
	# shellcheck disable=SC2086
	printf '#include <vcore/%s>\n' "$header" "$header" |
		"$compiler" $flags "-std=$standard" "$@" -x "$language" - ||
		{
			echo "FAILED: <vcore/$header> with $compiler -std=$standard"
			failed=$((failed + 1))
		}
}

for path in include/vcore/*.h optional/*/include/vcore/*.h; do
	[ -f "$path" ] || continue
	header=${path##*/}
	dir=${path%/vcore/*}
	for compiler in gcc clang; do
		try $compiler c c11 "$header" -Iinclude "-I$dir"
	done
	for compiler in g++ clang++; do
		try $compiler c++ c++17 "$header" -Iinclude "-I$dir"
	done
done

echo "$count compilations, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
