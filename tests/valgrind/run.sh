#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# run.sh BUILD_DIR LAYER: the unit tests of a layer under valgrind's memcheck:
# no error, and in no test case's process a byte that nothing points to.
#
# exceptions.txt has the programs that can't be run so, valgrind.supp what is
# meant to happen; both say why.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v valgrind >/dev/null; then
	echo "skipped: valgrind is not installed"
	exit 77
fi
build=$1 layer=$2
here=tests/valgrind
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The handlers of lost pages return to where the fault was: all registers have
# to be as they were there. Threads run one at a time: fairly, as some spin.
check=(valgrind -q --error-exitcode=99 "--suppressions=$here/valgrind.supp"
	--leak-check=full --show-leak-kinds=definite --fair-sched=yes
	--errors-for-leak-kinds=definite
	--vex-iropt-register-updates=allregs-at-mem-access)
# Everything takes 20 to 50 times as long, also what sets a time of its own.
export CK_DEFAULT_TIMEOUT=30 CK_TIMEOUT_MULTIPLIER=20
# The usual counts, also in a soak, where the slow ones come in addition.
left_out=(soak slow)
[ "${VCORE_SOAK:-}" != 1 ] || left_out=(soak)
unset VCORE_SOAK

# list LABEL...: names and programs that have one of these
list() {
	local label
	for label in "$@"; do
		python3 scripts/lib/suite.py list "$build" "$label"
	done | cut -d ' ' -f 1,3- | LC_ALL=C sort -u
}

count=0 failed=0
while read -r name program; do
	if why=$(grep "^$name: " $here/exceptions.txt); then
		echo "not run: $why"
		continue
	fi
	count=$((count + 1))
	rc=0
	"${check[@]}" "$program" >"$log" 2>&1 </dev/null || rc=$?
	[ "$rc" = 0 ] || [ "$rc" = 77 ] || {
		echo "$name: status $rc"
		cat "$log"
		failed=$((failed + 1))
	}
done < <(LC_ALL=C comm -12 <(list unit) <(list "$layer") |
	LC_ALL=C comm -23 - <(list "${left_out[@]}"))
echo "$count programs, $failed with complaints"
[ "$count" -gt 0 ] && [ "$failed" = 0 ]
