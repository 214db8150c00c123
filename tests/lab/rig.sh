#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The lab itself: output, status, files in and out, a kernel with KVM, and
# each of the ways in which a run can fail to give a status.
set -euo pipefail
cd "$(dirname "$0")/../.."
lab=scripts/lab
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

expect() {
	local what=$1 wanted=$2 got=$3
	if [ "$wanted" = "$got" ]; then
		echo "ok: $what"
	else
		echo "FAILED: $what: wanted '$wanted', got '$got'"
		failed=1
	fi
}

mkdir "$work/dir"
echo hello >"$work/dir/file with space"
rc=0
# shellcheck disable=SC2016 # the lab's shell expands it
out=$("$lab" run --put "$work/dir:/lab/in" --put "$work/dir:/opt/x" \
	--get "/lab/out:$work/out" -- bash -c '
	cat "in/file with space" "/opt/x/file with space"
	[ -w /dev/kvm ] && echo kvm
	mkdir out; head -c 100000 /dev/zero | tr "\0" x >out/big
	echo errors too >&2
	exit 42') || rc=$?
expect 'status' 42 "$rc"
expect 'output' "$(printf 'hello\nhello\nkvm\nerrors too')" "$out"
expect 'file out' 100000 "$(stat -c %s "$work/out/big" 2>/dev/null || true)"

rc=0
"$lab" run --timeout 25 -- sleep 100 2>"$work/err" || rc=$?
expect 'a run that takes too long' 124 "$rc"
expect 'says so' 1 "$(grep -c 'timed out after 25 s' "$work/err")"

rc=0
"$lab" run -- bash -c 'echo 1 >/proc/sys/kernel/sysrq
	echo c >/proc/sysrq-trigger' 2>"$work/err" || rc=$?
expect 'a lab whose kernel dies' 125 "$rc"
expect 'shows why' 1 "$(grep -c 'Kernel panic - not syncing' "$work/err")"

rc=0
"$lab" run --qemu -no-such-option -- true 2>"$work/err" || rc=$?
expect 'a QEMU that fails' 121 "$rc"

rc=0
"$lab" run --no-such-option x -- true 2>"$work/err" || rc=$?
expect 'wrong usage' 2 "$rc"

rc=0
VCORE_RIG=zzz "$lab" where >/dev/null 2>"$work/err" || rc=$?
expect 'an unknown rig' 2 "$rc"
expect 'says so' 1 "$(grep -c "VCORE_RIG is lab or direct, not 'zzz'" \
	"$work/err")"
exit $failed
