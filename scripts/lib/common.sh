# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What every script here needs: where things are, how progress looks, how a
# failure ends. Source this first, from bash with `set -euo pipefail`.

VCORE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VCORE_CACHE=${VCORE_CACHE:-$VCORE_ROOT/build/rig}
mkdir -p "$VCORE_CACHE"
VCORE_CACHE=$(cd "$VCORE_CACHE" && pwd)
export VCORE_ROOT VCORE_CACHE

# Colours only where somebody is looking.
if [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; then
	c_bold=$'\e[1m' c_red=$'\e[31m' c_green=$'\e[32m' c_off=$'\e[0m'
else
	c_bold='' c_red='' c_green='' c_off=''
fi

# say TEXT...: one line of progress, on stderr.
say() {
	printf '%s==>%s %s\n' "$c_bold" "$c_off" "$*" >&2
}

# die TEXT...: say why and end with status 1.
die() {
	printf '%s: %serror:%s %s\n' "${0##*/}" "$c_red" "$c_off" "$*" >&2
	exit 1
}

# usage_error TEXT...: the caller typed something wrong; status 2.
usage_error() {
	printf '%s: %s (try --help)\n' "${0##*/}" "$*" >&2
	exit 2
}

# step_tick PID TEXT: while PID lives, show that it does.
step_tick() {
	local pid=$1 text=$2 begun=$SECONDS every=10 next
	next=$((begun + every))
	while kill -0 "$pid" 2>/dev/null; do
		if [ -t 2 ]; then
			[ $((SECONDS - begun)) -gt 0 ] && printf \
				'\r    %s ... %d s' "$text" $((SECONDS - begun)) >&2
		elif [ "$SECONDS" -ge "$next" ]; then
			printf '    %s ... %d s\n' "$text" \
				$((SECONDS - begun)) >&2
			next=$((SECONDS + every))
		fi
		sleep 0.2
	done
	[ -t 2 ] && printf '\r\e[K' >&2
	return 0
}

# step TEXT COMMAND...: run COMMAND with its output kept in a log, showing
# that it is under way and how long it took. On failure: the log's end, and
# COMMAND's status is returned.
step() {
	local text=$1 log begun=$SECONDS pid rc=0
	shift
	log=$(mktemp "$VCORE_CACHE/tmp.$$.step.XXXXXX")
	say "$text"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	step_tick "$pid" "$text"
	wait "$pid" || rc=$?
	if [ "$rc" -ne 0 ]; then
		tail -n 40 "$log" | sed 's/^/    | /' >&2
		printf '    %sfailed%s (status %d): %s\n' "$c_red" "$c_off" \
			"$rc" "$text" >&2
	elif [ $((SECONDS - begun)) -ge 1 ]; then
		printf '    %sdone%s in %d s\n' "$c_green" "$c_off" \
			$((SECONDS - begun)) >&2
	fi
	rm -f "$log"
	return "$rc"
}

# cache_hit DIR KEY: is DIR there, finished, and made from KEY?
cache_hit() {
	[ -f "$1/.key" ] && [ "$(cat "$1/.key")" = "$2" ]
}

# cache_make DIR KEY TEXT FUNCTION [ARG...]: make sure that DIR holds what
# `FUNCTION NEWDIR ARG...` puts into NEWDIR. A second process asking for the
# same waits for the first one. A DIR is complete or absent, never half.
cache_make() {
	local dir=$1 key=$2 text=$3 rc=0
	shift 3
	cache_hit "$dir" "$key" && return 0
	mkdir -p "$(dirname "$dir")"
	local lock
	exec {lock}>"$dir.lock"
	flock "$lock"
	if ! cache_hit "$dir" "$key"; then
		rm -rf "$dir.new"
		mkdir -p "$dir.new"
		step "$text" cache_fill "$dir.new" "$@" || rc=$?
		if [ "$rc" -eq 0 ]; then
			printf '%s\n' "$key" >"$dir.new/.key"
			rm -rf "$dir"
			mv "$dir.new" "$dir"
		else
			rm -rf "$dir.new"
		fi
	fi
	exec {lock}>&-
	return "$rc"
}

# The function runs in a shell of its own so that `set -e` holds inside it
# (it does not in anything called from a condition), and where the files it
# unpacks and puts into images belong to root: truly, or as fakeroot has it.
cache_fill() {
	local dir=$1 as=()
	shift
	[ "$(id -u)" -eq 0 ] || as=(fakeroot)
	# shellcheck disable=SC2016 # the inner shell expands it
	"${as[@]}" bash -euo pipefail -c '
		. "$VCORE_ROOT/scripts/lib/all.sh"
		"$@"' cache_fill "$1" "$dir" "${@:2}"
}

# cache_tmp: a new folder for this run, in the cache. Those of runs that were
# interrupted go away here.
cache_tmp() {
	local old pid
	for old in "$VCORE_CACHE"/tmp.*.*; do
		pid=${old##*/tmp.}
		[ -d "/proc/${pid%%.*}" ] || rm -rf "$old"
	done
	mktemp -d "$VCORE_CACHE/tmp.$$.XXXXXX"
}

# hash_of FILE...: one short word that changes when any of the files does.
hash_of() {
	cat "$@" | sha256sum | cut -c 1-16
}
