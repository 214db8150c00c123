#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# unprivileged.sh BUILD_DIR: the programs of the suite once more as a user
# without rights, who gets /dev/kvm as an open descriptor. Where scripts/test
# ran the kvm tests in the lab it has done this there: see what came out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib/all.sh
. "$here/../../scripts/lib/all.sh"
build=$1
# This is about rights, not about counts.
unset VCORE_SOAK

if [ "$(id -u)" -ne 0 ]; then
	echo 'The suite runs as an unprivileged user anyway.'
	exit 0
fi
results=${VCORE_KVM_RESULTS:-}
if [ -n "$results" ]; then
	grep -H . "$results"/user/*.status | sed 's/.*\///'
	for f in "$results"/user/*.status; do
		[ "$(cat "$f")" = 0 ] || [ "$(cat "$f")" = 77 ] || exit 1
	done
	exit 0
fi

# The checkout may be where that user cannot read: work on copies then.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
for label in unit kvm; do
	suite_list "$build" "$label"
done >"$stage/list"
read -r _ _ first <"$stage/list"
if ! setpriv --reuid 65534 --regid 65534 --clear-groups \
	test -x "${first%% *}"; then
	lab_get
	lab_reset
	suite_put "$stage/list"
	mkdir -m 755 "$stage/bin"
	lab_stage "$stage/bin"
	sed -i "s|^\([^ ]* [^ ]*\) [^ ]*/|\1 $stage/bin/|" "$stage/list"
	export LD_LIBRARY_PATH=$stage/bin/.lib
fi
"$VCORE_ROOT/scripts/lib/suite-run" "$stage/list" "$stage/results" user
