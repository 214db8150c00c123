# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # used by those who source this
#
# The programs of the suite outside ctest: in the lab, or as another user.

# suite_list BUILD_DIR LABEL: "NAME TIMEOUT COMMAND" lines.
suite_list() {
	python3 "$VCORE_ROOT/scripts/lib/suite.py" list "$1" "$2"
}

# suite_put LIST: have the lab carry the programs of a list.
suite_put() {
	local program
	while read -r _ _ program; do
		lab_put+=("${program%% *}")
	done <"$1"
}

# suite_in_lab BUILD_DIR RESULTS [user]: the kvm tests in one boot of the lab,
# first as root (not with "user"), then as a user with an open /dev/kvm. What
# they said and how they ended comes back in RESULTS and RESULTS/user. Status 0:
# none failed.
suite_in_lab() {
	local build=$1 results=$2 who=${3:-both} work rc=0
	work=$(cache_tmp)
	suite_list "$build" kvm >"$work/list"
	lab_reset
	lab_timeout=5400
	[ -z "${VCORE_SOAK:-}" ] || lab_timeout=36000
	suite_put "$work/list"
	lab_put+=("$work/list" "$VCORE_ROOT/scripts/lib/suite-run")
	lab_get_paths=("/lab/results:$results")
	# Emulated CPUs are slow: three times the usual patience.
	# shellcheck disable=SC2016 # the lab's shell expands it
	lab_run bash -c 'export SUITE_PATIENCE=3
		[ -z "$1" ] || export VCORE_SOAK=$1
		mkdir results
		[ "$0" = user ] || ./suite-run list results || status=1
		echo "As an unprivileged user:"
		./suite-run list results/user user || status=1
		exit ${status:-0}' "$who" "${VCORE_SOAK:-}" || rc=$?
	rm -rf "$work"
	return "$rc"
}

# suite_record REPOSITORY FAILED(0|1) LINES...: a soak as an entry of
# docs/soak.md. What is tried without being committed is said to be.
suite_record() {
	local root=$1 verdict=passed commit changed
	[ "$2" = 0 ] || verdict=FAILED
	shift 2
	commit=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null) ||
		commit='unknown'
	changed=$(git -C "$root" status --porcelain -- . ':!docs/soak.md' \
		2>/dev/null) || true
	printf '\n## %s, commit %s%s: %s\n\n' "$(date -u +%F)" "$commit" \
		"${changed:+ and changes}" "$verdict"
	[ -z "$changed" ] || printf '%s\n\n' \
		'Not of that commit alone: there were uncommitted changes.'
	printf '%s\n' "$@" | sed 's/^./    &/'
}
