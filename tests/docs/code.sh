#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Compile every ```c block of the documents, each a whole source file, and every
# @code block of the headers: a whole function, or statements that use names of
# tests/docs/names.h.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
count=0

# compile: what awk has put into files.
compile() {
	for file in "$dir"/*.c; do
		[ -f "$file" ] || continue
		count=$((count + 1))
		${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror \
			-Iinclude -Itests/docs -fsyntax-only "$file" || failed=1
		rm "$file"
	done
}

for doc in README.md HACKING.md SECURITY.md docs/*.md; do
	awk -v dir="$dir" '
		/^```c$/ { n++; file = sprintf("%s/%03d.c", dir, n);
			   printf "#line %d \"%s\"\n", NR + 1, FILENAME > file;
			   next }
		/^```/ { file = "" }
		file != "" { print > file }' "$doc"
	compile
done
for header in include/vcore/*.h optional/*/include/vcore/*.h; do
	awk -v dir="$dir" '
		/^ *\* @code$/ { n++; file = sprintf("%s/%03d.c", dir, n);
				 first = 1; next }
		/^ *\* @endcode$/ { if (!whole) print "}" > file; file = "" }
		file == "" { next }
		{ sub(/^ *\* ?/, "") }
		first { first = 0; whole = /^static/
			print "#include \"names.h\"" > file
			if (!whole) print "void example(void)\n{" > file
			printf "#line %d \"%s\"\n", NR, FILENAME > file }
		{ print > file }' "$header"
	compile
done
echo "$count blocks of code compiled"
[ "$count" -gt 1 ] && [ "$failed" -eq 0 ]
