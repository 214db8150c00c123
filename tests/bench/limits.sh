#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Counts of instructions against bench/limits.txt. usage: limits.sh PROGRAM
set -euo pipefail

command -v valgrind >/dev/null || {
	echo 'no valgrind'
	exit 77
}
results=$("$1")
scripts/lib/bench.py bench/limits.txt "${1##*/bench_}" <<<"$results"
