#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every source, script and cmake file says its licence in its first five lines.
set -eu
cd "$(dirname "$0")/../.."

find . \( -name .git -o -path ./build -o -name corpus -o -name __pycache__ \) \
	-prune -o -type f -print | sort | {
	checked=0
	bad=0
	while read -r file; do
		case $file in
		*.[chS] | *.cc | *.sh | *.py | *.sed | *.cmake | *.map | *.mk | \
			*.in | */CMakeLists.txt | */layers.txt | */Makefile) ;;
		*)
			# A script by its first two bytes.
			[ "$(head -c 2 "$file" | tr -d '\0')" = "#!" ] || continue
			;;
		esac
		checked=$((checked + 1))
		head -n 5 "$file" |
			grep -q 'SPDX-License-Identifier: BSD-3-Clause' || {
			echo "$file: no SPDX-License-Identifier: BSD-3-Clause"
			bad=$((bad + 1))
		}
	done
	echo "$checked files, $bad without the line"
	[ "$checked" -gt 0 ] && [ "$bad" -eq 0 ]
}
