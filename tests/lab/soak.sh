#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What a soak leaves in docs/soak.md: the commit, and whether it was only that.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib/all.sh
. "$here/../../scripts/lib/all.sh"
command -v git >/dev/null || {
	echo 'skipped: git is not installed (Debian: apt install git)'
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

expect() {
	if [ "$2" = "$3" ]; then
		echo "ok: $1"
	else
		printf 'FAILED: %s:\nwanted:\n%s\ngot:\n%s\n' "$1" "$2" "$3"
		failed=1
	fi
}

record() {
	suite_record "$work" "$@"
}

day=$(date -u +%F)
expect 'no repository' "
## $day, commit unknown: passed

    a" "$(record 0 a)"

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git -C "$work" init -q
mkdir "$work/docs"
echo 1 >"$work/docs/soak.md"
echo 1 >"$work/file"
git -C "$work" add .
git -C "$work" -c user.name=test -c user.email=test@localhost commit -q -m test
commit=$(git -C "$work" rev-parse --short=12 HEAD)
echo 2 >"$work/docs/soak.md"
expect 'all of it committed' "
## $day, commit $commit: FAILED

    seconds  tests
          1      2

    ci: one" "$(record 1 $'seconds  tests\n      1      2\n' 'ci: one')"

echo 2 >"$work/new"
expect 'changes' "
## $day, commit $commit and changes: passed

Not of that commit alone: there were uncommitted changes.

    a" "$(record 0 a)"
exit $failed
