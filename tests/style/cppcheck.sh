#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# cppcheck finds nothing in lib/ and optional/.
#
# ctuuninitvar is off: it takes what a function fills in for what it reads.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v cppcheck >/dev/null; then
	echo "skipped: cppcheck is not installed"
	exit 77
fi
set -- -Iinclude -Ilib
for dir in optional/*/include; do
	[ -d "$dir" ] && set -- "$@" "-I$dir"
done
cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -D_GNU_SOURCE \
	--enable=warning,performance,portability -j "$(nproc)" \
	--suppress=missingIncludeSystem --suppress=ctuuninitvar \
	"$@" lib optional
