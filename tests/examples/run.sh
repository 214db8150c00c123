#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh EXPECTED PROGRAM [ARGUMENT...]: run an example, compare what it says.
#
# EXPECTED is an extended regular expression that the whole output, with line
# ends turned into '|', must match.
set -eu

expected=$1
shift
program=$*
status=0
output=$("$@" 2>&1) || status=$?
line=$(printf '%s\n' "$output" | tr '\n' '|')
if [ "$status" -ne "${STATUS:-0}" ]; then
	echo "$program: exit status $status, output: $output"
	exit 1
fi
if ! printf '%s' "$line" | grep -Eq "^$expected\$"; then
	echo "$program: output does not match '$expected': $output"
	exit 1
fi
