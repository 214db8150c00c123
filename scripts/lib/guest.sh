# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The real guest: a stock Debian kernel (kernel.sh) and a root disk with a
# Debian userland whose init proves, on the console, what works.

# guest_image: the root disk's image (keep it unwritten: copy or overlay).
guest_image() {
	printf '%s/guest/root.img\n' "$VCORE_CACHE"
}

guest_get() {
	local from=("$VCORE_ROOT"/scripts/lib/{userland,guest,packages}.sh
		"$VCORE_ROOT"/scripts/guest/*)
	userland_get
	cache_make "$VCORE_CACHE/guest" "$(hash_of "${from[@]}")" \
		"Making the guest's root disk" guest_make
}

guest_make() {
	local dir=$1 tree=$1/tree
	userland_unpack "$tree"
	# /sbin/init of ours in the place of systemd.
	install -m 755 "$VCORE_ROOT/scripts/guest/init" "$tree/usr/sbin/init"
	"${CC:-cc}" -O2 -Wall -static -o "$tree/usr/bin/blkverify" \
		"$VCORE_ROOT/scripts/guest/blkverify.c"
	echo vcore-guest >"$tree/etc/hostname"
	image_make "$dir/root.img" "$tree" 192 -L vcore-root
	rm -rf "$tree"
}
