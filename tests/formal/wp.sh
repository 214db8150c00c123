#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Frama-C/WP proves what the ACSL in lib/base/ranges.h, lib/memory/translate.h
# and walk.c says, and that nothing undefined happens there. Then the proof has
# to fail for each of some mistakes. See docs/models/README.md.
#
#   tests/formal/wp.sh             all of it
#   tests/formal/wp.sh -v          and say how each goal was proved
set -euo pipefail
# shellcheck source=tests/formal/common.sh
. "$(dirname "$0")/common.sh"
need frama-c=frama-c-base why3=why3 cvc4=cvc4
verbose=${1:-}

export WHY3CONFIG=$work/why3.conf
why3 -C "$WHY3CONFIG" config detect >"$work/detect" 2>&1

ranges='vcore__ranges_below vcore__range_holds vcore__ranges_at
	vcore__range_overlaps vcore__ranges_place'
translate='vcore__span_holds vcore__span_allows vcore__span_covers
	vcore__span_take'

# wp TREE FUNCTIONS [OPTION...]: the sources in TREE; the output to $work/log
wp() {
	local tree=$1 functions
	functions=$(tr -s ' \t\n' ',' <<<"$2")
	shift 2
	frama-c -machdep gcc_x86_64 -cpp-extra-args="-I$tree/lib -Iinclude \
		-DPLAIN_ATOMIC \
		-include tests/formal/prelude.h" tests/formal/walk.c \
		-kernel-warn-key asm:clobber=inactive \
		-wp -wp-rte -wp-fct "${functions%,}" -wp-prover cvc4 -wp-par 1 \
		-wp-cache none -wp-session "$work/session" "$@" \
		>"$work/log" 2>&1
}

# proved: was every goal of the last wp?
proved() {
	local counts
	counts=$(sed -n 's|^\[wp\] Proved goals: *\([0-9]*\) / \([0-9]*\)$|\1 \2|p' \
		"$work/log")
	goals=${counts#* }
	[ -n "$counts" ] && [ "${counts% *}" = "$goals" ]
}

# Smoke tests: no contract and no axiom contradicts another, all code is live.
if ! wp . "$ranges $translate walk" -wp-timeout 30 -wp-smoke-tests \
	-wp-smoke-timeout 2 || ! proved || grep -q Warning "$work/log"; then
	cat "$work/log"
	exit 1
fi
[ "$verbose" = -v ] && cat "$work/log"
echo "$goals goals, all proved"
if [ "$goals" -lt 200 ]; then
	echo 'so few? something was not looked at'
	exit 1
fi

# mutant FILE FUNCTIONS FROM TO: text FROM, on one line of FILE, is a mistake.
failed=0
mutant() {
	local file=$1 functions=$2
	rm -rf "$work/tree"
	mkdir "$work/tree"
	cp -r lib "$work/tree"
	FROM=$3 TO=$4 awk '
		(at = index($0, ENVIRON["FROM"])) && ++n == 1 {
			$0 = substr($0, 1, at - 1) ENVIRON["TO"] \
				substr($0, at + length(ENVIRON["FROM"]))
		}
		{ print }
		END { exit n != 1 }' "$file" >"$work/tree/$file" || {
		echo "$file has not once: $3"
		failed=1
		return
	}
	if ! wp "$work/tree" "$functions" -wp-timeout 3; then
		cat "$work/log"
		failed=1
	elif proved; then
		echo "$file: proved with '$4' for '$3'"
		failed=1
	elif [ -z "$goals" ]; then
		cat "$work/log"
		failed=1
	else
		echo "$file: '$4' for '$3' is found out"
	fi
}

f=lib/memory/translate.h
mutant $f vcore__span_covers 'return len <= s->len - *offset' \
	'return len > s->len - *offset'
mutant $f vcore__span_covers 'return len <= s->len - *offset' \
	'return len <= s->len'
mutant $f vcore__span_holds 'return gpa - s->gpa < s->len' \
	'return gpa - s->gpa <= s->len'
mutant $f vcore__span_allows '!(write && (s->flags' '!(!write && (s->flags'
mutant $f vcore__span_take 'n && *len ? 0 : n' 'n && *len ? n : n'
f=lib/base/ranges.h
mutant $f vcore__range_holds 'return addr - e->start < e->len' \
	'return addr < e->start + e->len'
mutant $f vcore__ranges_below 'e[base + half].start <= addr' \
	'e[base + half].start < addr'
mutant $f vcore__range_overlaps '(e->len - 1) >= first' 'e->len >= first'
mutant $f vcore__ranges_place 'len == 0 || last < start' 'len == 0'
exit $failed
