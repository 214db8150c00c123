#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# tidy.sh BUILD_DIR: clang-tidy finds nothing in lib/ and optional/. What it
# looks for stands in .clang-tidy. BUILD_DIR has the compile_commands.json.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v clang-tidy >/dev/null; then
	echo "skipped: clang-tidy is not installed"
	exit 77
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Only what is compiled: an optional part may be off.
sed -n 's/^ *"file": "\(.*\)",*$/\1/p' "$1/compile_commands.json" |
	grep -E "^$PWD/(lib|optional)/.*\.c$" | LC_ALL=C sort -u >"$log"
count=$(wc -l <"$log")
xargs -P "$(nproc)" -n 4 clang-tidy -p "$1" --quiet <"$log" 2>/dev/null ||
	{ echo "clang-tidy complains, see above" && exit 1; }
echo "$count files, 0 complaints"
