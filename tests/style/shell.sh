#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# No shell script makes shellcheck complain.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v shellcheck >/dev/null; then
	echo "skipped: shellcheck is not installed (Debian: apt install shellcheck)"
	exit 77
fi
find . \( -name .git -o -path ./build \) -prune -o -type f -print | sort |
	while read -r file; do
		case $(head -n 1 "$file" | tr -d '\0') in
		'#!'*sh) printf '%s\0' "$file" ;;
		esac
	done | xargs -0 shellcheck -x -P SCRIPTDIR
