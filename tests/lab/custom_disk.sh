#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# custom_disk.sh PROGRAM KERNEL_DIR: examples/custom_disk, where a stock kernel
# runs: the guest has to see the size of its disk, and what is at its start.
set -uo pipefail
program=$1 kernel=$2
text='hello from a disk in memory'
wanted="131072 $text"
# A slow machine is no reason to write between the lines.
calm='loglevel=3 rcupdate.rcu_cpu_stall_suppress=1'

timeout -k 5 900 "$program" "$kernel/vmlinuz" "$kernel/initrd" \
	"console=ttyS0 quiet panic=-1 vcore.first=${#text} $calm" \
	</dev/null 2>&1 | tee custom_disk.out
status=${PIPESTATUS[0]}
said=$(tr -d '\r' <custom_disk.out | sed -n 's/^.*VCORE-FIRST //p')
if [ "$status" = 0 ] && [ "$said" = "$wanted" ]; then
	echo 'CASE custom_disk PASS'
else
	echo "CASE custom_disk FAIL (status $status, '$said', not '$wanted')"
fi
