# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # used by those who source this
#
# Which rig: where stock guest kernels run ("direct" or "lab"), and whether
# the project's own small test guests run on this machine's /dev/kvm.

# A wrong choice is said at once, not after all has been built.
case ${VCORE_RIG:-lab} in
lab | direct) ;;
*) usage_error "VCORE_RIG is lab or direct, not '$VCORE_RIG'" ;;
esac

# rig_try FOUND: the probe's status and what it says, as two lines of FOUND.
rig_try() {
	local probe=$VCORE_CACHE/kvmprobe rc=0 says
	local source=$VCORE_ROOT/scripts/lib/kvmprobe.c
	if [ ! -x "$probe" ] || [ "$source" -nt "$probe" ]; then
		"${CC:-cc}" -O1 -o "$probe.$$" "$source" &&
			mv "$probe.$$" "$probe" || return
	fi
	says=$("$probe") || rc=$?
	printf '%s\n' "$rc" "$says" >"$1"
}

# rig_probe: sets RIG (direct, lab), RIG_WHY, RIG_KVM (yes, no).
# VCORE_RIG=lab or direct overrides.
rig_probe() {
	local found rc
	packages_install gcc=cc libc6-dev=/usr/include/stdio.h \
		linux-libc-dev=/usr/include/linux/kvm.h
	found=$(mktemp "$VCORE_CACHE/tmp.$$.rig.XXXXXX")
	step 'Trying what /dev/kvm runs' rig_try "$found" ||
		die 'could not try /dev/kvm'
	{
		read -r rc
		read -r RIG_WHY
	} <"$found"
	rm -f "$found"
	RIG=lab RIG_KVM=no
	case $rc in
	0) RIG=direct RIG_KVM=yes ;;
	1) RIG_KVM=yes ;;
	esac
	if [ -n "${VCORE_RIG:-}" ]; then
		RIG=$VCORE_RIG
		RIG_WHY="asked for by VCORE_RIG ($RIG_WHY)"
	fi
}
