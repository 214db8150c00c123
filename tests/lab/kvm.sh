#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# kvm.sh BUILD_DIR: the kvm tests under the real kvm_amd of the lab, as a user
# (and as root with --soak); this machine's own KVM may be of another kind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib/all.sh
. "$here/../../scripts/lib/all.sh"

if [ -n "${VCORE_KVM_RESULTS:-}" ]; then
	echo 'The kvm tests ran in the lab already.'
	exit 0
fi
lab_get
results=$(cache_tmp)
trap 'rm -rf "$results"' EXIT
who=user
[ -z "${VCORE_SOAK:-}" ] || who=both
suite_in_lab "$1" "$results/kvm" "$who"
