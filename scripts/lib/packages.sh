# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Debian packages: installing what the machine lacks, and fetching packages
# to take apart (kernels, guests) without installing them. Only apt's own
# configuration says where they come from.

# packages_missing NAME=PROOF...: those of which PROOF (a command, or an
# absolute path) is not there.
packages_missing() {
	local p proof
	for p in "$@"; do
		proof=${p#*=}
		case $proof in
		/*) [ -e "$proof" ] && continue ;;
		*) PATH=$PATH:/usr/sbin:/sbin command -v "$proof" \
			>/dev/null && continue ;;
		esac
		printf '%s\n' "${p%%=*}"
	done
}

# packages_install NAME=PROOF...: install what is missing, where that can be
# done without asking; otherwise say what to install and end.
packages_install() {
	local missing sudo=()
	mapfile -t missing < <(packages_missing "$@" | sort -u)
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		if sudo -n true 2>/dev/null; then
			sudo=(sudo -n)
		else
			sudo=(false)
		fi
	fi
	if ! command -v apt-get >/dev/null || [ "${sudo[0]:-}" = false ]; then
		{
			printf 'These are needed and are not here'
			printf ' (names of Debian packages):\n'
			printf '    %s\n' "${missing[@]}"
			if command -v apt-get >/dev/null; then
				printf 'As root: apt-get install %s\n' \
					"${missing[*]}"
			fi
		} >&2
		exit 1
	fi
	if ! "${sudo[@]}" apt-get -s install "${missing[@]}" \
		>/dev/null 2>&1; then
		step 'Reading the package lists (apt-get update)' \
			"${sudo[@]}" apt-get update ||
			die 'apt-get update failed'
	fi
	step "Installing ${missing[*]}" \
		"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -y --no-install-recommends install "${missing[@]}" ||
		die "could not install ${missing[*]}"
	mapfile -t missing < <(packages_missing "$@" | sort -u)
	[ ${#missing[@]} -eq 0 ] ||
		die "installed, but still not usable: ${missing[*]}"
}

# apt_private [own] ARG...: apt-get (or, with VCORE_APT, another of its
# tools) as if nothing were installed: needs no rights and changes nothing
# outside the cache. "own" uses lists of our own instead of the system's.
apt_private() {
	local state=$VCORE_CACHE/apt args=()
	mkdir -p "$state/cache/archives/partial" "$state/lists/partial"
	: >"$state/status"
	if [ "$1" = own ]; then
		args+=(-o "Dir::State::lists=$state/lists")
		shift
	fi
	[ "$(id -u)" -ne 0 ] || args+=(-o APT::Sandbox::User=root)
	"${VCORE_APT:-apt-get}" -o "Dir::State::status=$state/status" \
		-o "Dir::Cache=$state/cache" -o Debug::NoLocking=1 \
		-o Acquire::Retries=3 "${args[@]}" "$@"
}

# packages_fetch DIR NAME...: the .deb files of the packages and of all that
# they need, into DIR. The system's package lists first; where these are
# absent or out of date, lists of our own.
packages_fetch() {
	local dir=$1
	shift
	local get=(-y --no-install-recommends
		-o "Dir::Cache::archives=$dir" --download-only install "$@")
	mkdir -p "$dir/partial"
	apt_private "${get[@]}" && return 0
	echo 'The package lists here do not do; reading fresh ones.'
	apt_private own update
	apt_private own "${get[@]}"
}

# packages_depend NAME PATTERN: the first dependency of NAME that matches
# the shell PATTERN (a meta package's real one).
packages_depend() {
	local name=$1 pattern=$2 from found
	for from in '' own; do
		[ -z "$from" ] || apt_private own update >&2
		while read -r found; do
			# shellcheck disable=SC2053 # PATTERN is a pattern
			if [[ $found == $pattern ]]; then
				printf '%s\n' "$found"
				return 0
			fi
		done < <(VCORE_APT=apt-cache apt_private ${from:+"$from"} \
			depends "$name" 2>/dev/null |
			sed -n 's/^ *Depends: //p')
	done
	echo "no package $name with a dependency $pattern" >&2
	return 1
}

# packages_download DIR NAME: the .deb of this one package into DIR.
packages_download() {
	local dir=$1 name=$2
	(cd "$dir" && {
		apt_private download "$name" || {
			apt_private own update
			apt_private own download "$name"
		}
	})
}
