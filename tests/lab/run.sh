#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh BATCH MICROVM [CUSTOM_DISK]: boots the guests of one batch of
# cases.txt, all in one boot of the lab (directly where this machine's KVM runs
# stock kernels and we are root), and that of examples/custom_disk if it is
# given. Fails if a case failed, or said nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib/all.sh
. "$here/../../scripts/lib/all.sh"

batch=$1
microvm=$2
custom_disk=${3:-}
[ -x "$microvm" ] || die "not built: $microvm"

stage=$(cache_tmp)
trap 'rm -rf "$stage"' EXIT

# The batch as a script of boots, one a line; the names, to be looked for.
names=()
while read -r name number kernel transport cpus irqchip engine net action \
	more; do
	case $name in '' | '#'*) continue ;; esac
	[ "$number" = "$batch" ] || continue
	names+=("$name")
	echo "./boot name=$name kernel=$kernel transport=$transport" \
		"cpus=$cpus irqchip=$irqchip engine=$engine net=$net" \
		"action=$action timeout=600 $more"
done <"$here/cases.txt" >"$stage/batch"
[ ${#names[@]} -gt 0 ] || die "no such batch: $batch"
if [ -n "$custom_disk" ]; then
	names+=(custom_disk)
	echo './custom_disk.sh ./custom_disk cloud-amd64' >>"$stage/batch"
fi

lab_get
guest_get
rig_probe
[ "$RIG" = lab ] || [ "$(id -u)" -eq 0 ] || {
	RIG=lab
	RIG_WHY='taps need root here'
}
say "Batch $batch (${names[*]}) in: $RIG: $RIG_WHY"

lab_reset
lab_timeout=2700
lab_put=("$stage/batch" "$microvm" "$(guest_image)" "$(busybox_path)"
	"$VCORE_ROOT/scripts/guest/boot")
[ -z "$custom_disk" ] || lab_put+=("$custom_disk" "$here/custom_disk.sh")
mapfile -t flavours < <(sed -n 's/.* kernel=\([^ ]*\) .*/\1/p' \
	"$stage/batch" | sort -u)
for flavour in "${flavours[@]}"; do
	kernel_get "$flavour"
	for f in vmlinuz initrd version; do
		lab_put+=("$(kernel_dir "$flavour")/$f:/lab/$flavour/$f")
	done
done

if [ "$RIG" = direct ]; then
	lab_stage "$stage"
	(cd "$stage" && TMPDIR=$stage bash ./batch) | tee "$stage/log" || true
else
	lab_run bash ./batch | tee "$stage/log" || true
fi

failed=0
echo
for name in "${names[@]}"; do
	verdict=$(tr -d '\r' <"$stage/log" | grep "^CASE $name " || true)
	case $verdict in
	"CASE $name PASS") ;;
	'')
		verdict="CASE $name MISSING"
		failed=1
		;;
	*) failed=1 ;;
	esac
	echo "$verdict"
done
exit $failed
