#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# abidiff.sh LIBRARY: its ABI is that of the baseline, or has new functions
# only. Of public headers nothing is suppressed: when a sized struct grows, the
# baseline is rewritten in the same commit and its diff reviewed.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
baseline=$top/tests/abi/virtcore-0.abi

if ! command -v abidiff >/dev/null; then
	echo "abidiff is not installed (Debian: apt install abigail-tools)"
	exit 1
fi
if [ ! -f "$baseline" ]; then
	echo "There is no ABI baseline, tests/abi/virtcore-0.abi."
	echo "Write the first one: scripts/abi rebase BUILD_DIRECTORY"
	exit 1
fi
status=0
abidiff --no-added-syms --suppressions "$top/tests/abi/private.suppr" \
	--headers-dir2 "$top/include" "$baseline" "$1" || status=$?
if [ "$status" -ne 0 ]; then
	echo "The ABI changed (abidiff: $status). If that is meant and allowed" \
		"(HACKING.md), run: scripts/abi rebase BUILD_DIRECTORY"
	exit 1
fi
