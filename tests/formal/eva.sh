#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Frama-C/Eva finds nothing undefined in the split ring's code, whatever a
# driver writes and whenever, except for what eva.txt explains; and does find
# some mistakes. See docs/models/README.md.
set -euo pipefail
# shellcheck source=tests/formal/common.sh
. "$(dirname "$0")/common.sh"
need frama-c=frama-c-base gcc=gcc

failed=0

# eva TREE [DEFINE]: the alarms, one a line, to $work/alarms
eva() {
	local tree=$1
	if ! frama-c -machdep gcc_x86_64 \
		-cpp-command 'tests/formal/cpp.sh %args %i %o' \
		-cpp-frama-c-compliant -cpp-extra-args="-I$tree/lib -Iinclude \
		-include tests/formal/prelude.h -idirafter /usr/include \
		-idirafter /usr/include/$(gcc -print-multiarch) ${2:-}" \
		-kernel-warn-key asm:clobber=inactive tests/formal/ring.c \
		"$tree/lib/virtio/chain.c" "$tree/lib/virtio/virtqueue.c" \
		"$tree/lib/base/rangemap.c" -eva -eva-precision 0 \
		-eva-slevel 10 -eva-ilevel 128 -eva-plevel 2000 \
		-eva-split-return auto -eva-no-alloc-returns-null \
		-eva-msg-key=-initial-state,-final-states >"$work/log" 2>&1 ||
		! grep -q 'ANALYSIS SUMMARY' "$work/log"; then
		cat "$work/log"
		exit 1
	fi
	sed "s,$work/tree/,,g" "$work/log" | awk '
		/^\[/ { if (line) print line; line = "" }
		/^\[eva:alarm\]|^\[kernel\].*Warning/ { line = $0; next }
		line { gsub(/^ +/, ""); line = line " " $0 }
		END { if (line) print line }' >"$work/alarms"
}

# unexplained: alarms that no line of eva.txt is about; says which were used.
unexplained() {
	awk '
		NR == FNR {
			if (/^[^#]/) {
				sub(/ # .*/, "")
				file[++n] = $1
				text[n] = substr($0, length($1) + 2)
			}
			next
		}
		{
			for (i = 1; i <= n; i++)
				if (index($0, " " file[i] ":") && $0 ~ text[i])
					break
			if (i > n)
				print
			else
				print file[i] " " text[i] >> USED
		}' USED="$work/used" tests/formal/eva.txt "$work/alarms"
}

for define in '' -DINDIRECT; do
	eva . "$define"
	grep 'statements reached' "$work/log"
	echo "$(wc -l <"$work/alarms") alarms to explain"
	unexplained >"$work/left"
	if [ -s "$work/left" ]; then
		echo "not explained${define:+, $define}:"
		cat "$work/left"
		failed=1
	fi
done
while IFS= read -r line; do
	if ! grep -qxF -- "$line" "$work/used"; then
		echo "eva.txt: not needed: $line"
		failed=1
	fi
done < <(sed -n '/^[^#]/s/ # .*//p' tests/formal/eva.txt)

# mutant FILE FROM TO: a mistake in a copy.
mutant() {
	rm -rf "$work/tree"
	mkdir "$work/tree"
	cp -r lib "$work/tree"
	sed -i "s/$2/$3/" "$work/tree/$1"
	if cmp -s "$1" "$work/tree/$1"; then
		echo "$1 has not: $2"
		failed=1
		return
	fi
	eva "$work/tree"
	unexplained >"$work/left"
	if [ -s "$work/left" ]; then
		echo "$1: '$3' for '$2' is found out:"
		cat "$work/left"
	else
		echo "$1: nobody minds '$3' for '$2'"
		failed=1
	fi
}

mutant lib/virtio/virtqueue.c 'head >= q->ring.size' 'head > q->ring.size'
mutant lib/virtio/chain.h 'd->next >= q->ring.size' 'd->next > q->ring.size'
exit $failed
