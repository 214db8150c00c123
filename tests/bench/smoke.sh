#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A benchmark, with counts as small as they get, says something that can be
# read. usage: smoke.sh PROGRAM [ARG...]
set -euo pipefail

case ${1##*/} in
bench_exit | bench_create | bench_start)
	[ -w /dev/kvm ] || {
		echo 'no /dev/kvm'
		exit 77
	}
	;;
esac
VCORE_BENCH_SMOKE=1 "$@" | python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
for line in lines:
    print(line)
    assert set(line) == {"bench", "case", "value", "unit", "vs", "ratio"}
    assert isinstance(line["value"], (int, float))
assert lines
assert len({line["case"] for line in lines}) == len(lines)'
