#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Sizes of files and functions against the norms: prints the percentiles and
# what is worth a second look (note), fails only above the last limit that
# exceptions.txt does not lift.
#
# A function stands between a { and a } in the first column.
set -eu
cd "$(dirname "$0")/../.."

files=$(find lib include optional -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
if [ -z "$files" ]; then
	echo "no sources yet"
	exit 0
fi

# File names have no blanks here.
# shellcheck disable=SC2086
awk '
# note(LIMIT1, LIMIT2, LINES, WHAT, KEY): look again above 1, fail above 2.
function note(look, most, n, what, key) {
	if (n > most && (key in excepted)) {
		used[key] = 1
		printf "excepted: %s: %d lines\n", what, n
	} else if (n > most) {
		printf "TOO LONG: %s: %d lines, at most %d\n", what, n, most
		bad++
	} else if (n > look) {
		printf "look again: %s: %d lines\n", what, n
	}
}

function end_file() {
	if (file == "")
		return
	if (file ~ /include\/vcore\//) {
		note(500, 700, lines, file, file)
	} else {
		sizes[++nfiles] = lines
		note(600, 900, lines, file, file)
	}
}

# Insertion into buckets is enough: sizes are small numbers.
function percentiles(what, values, n,    i, j, v, buckets, top, seen, want) {
	if (n == 0)
		return
	for (i = 1; i <= n; i++) {
		buckets[values[i]]++
		if (values[i] > top)
			top = values[i]
	}
	printf "%s: %d", what, n
	for (j = 50; j <= 90; j += 40) {
		want = int((n * j + 99) / 100)
		seen = 0
		for (v = 0; v <= top && seen < want; v++)
			seen += buckets[v]
		printf ", p%d %d", j, v - 1
	}
	printf ", longest %d lines\n", top
}

FILENAME == "tests/style/exceptions.txt" {
	if ($1 == "size" && match($0, /: ./)) {
		key = substr($0, 6, RSTART - 6)
		excepted[key] = 1
	}
	next
}
FNR == 1 {
	end_file()
	file = FILENAME
	lines = 0
	start = 0
}
{ lines++ }
# The name of a function is the last word before ( at the left margin.
/^[A-Za-z_][A-Za-z0-9_ *]*\(/ {
	name = $0
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
}
/^\{/ { start = FNR }
/^\}/ && start {
	n = FNR - start + 1
	start = 0
	functions[++nfunctions] = n
	note(50, 90, n, file ":" FNR - n + 1 " " name "()", file " " name)
}
END {
	end_file()
	for (key in excepted)
		if (!(key in used)) {
			printf "exceptions.txt: \"size %s\" is not needed\n", key
			bad++
		}
	percentiles("lib files", sizes, nfiles)
	percentiles("functions", functions, nfunctions)
	exit bad != 0
}
' tests/style/exceptions.txt $files
