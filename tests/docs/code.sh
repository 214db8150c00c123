#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Compile every ```c block of the documents: each is a whole source file.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
count=0

for doc in README.md HACKING.md SECURITY.md docs/*.md; do
	[ -f "$doc" ] || continue
	rm -f "$dir"/*.c
	awk -v dir="$dir" '
		/^```c$/ { n++; file = sprintf("%s/%03d.c", dir, n);
			   printf "#line %d \"%s\"\n", NR + 1, FILENAME > file;
			   next }
		/^```/ { file = "" }
		file != "" { print > file }' "$doc"
	for file in "$dir"/*.c; do
		[ -f "$file" ] || continue
		count=$((count + 1))
		${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror \
			-Iinclude -fsyntax-only "$file" || failed=1
	done
done
echo "$count blocks of code compiled"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
