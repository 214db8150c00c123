# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# To be sourced by eva.sh and wp.sh: the project's root, a folder for what is
# temporary (Frama-C leaves files behind).
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

# need COMMAND=PACKAGE...: or else the test is skipped.
need() {
	local one
	for one; do
		command -v "${one%=*}" >/dev/null && continue
		echo "skipped: ${one%=*} is not installed" \
			"(Debian: apt install ${one#*=})"
		exit 77
	done
}
