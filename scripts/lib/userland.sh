# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# A Debian userland on an ext4 image, made without root rights, loop mounts
# or name spaces: apt works out what the packages need and fetches it, tar
# unpacks it, mke2fs -d writes the image. Maintainer scripts are not run;
# the few things they would have left behind are made here.

USERLAND_PACKAGES='base-files base-passwd bash busybox-static coreutils
	e2fsprogs findutils gawk grep gzip iproute2 iputils-ping kmod mount
	procps sed tar usr-is-merged util-linux'

userland_dir() {
	printf '%s/userland\n' "$VCORE_CACHE"
}

# userland_get: the .deb files, in userland_dir.
userland_get() {
	cache_make "$(userland_dir)" "$(hash_of \
		"$VCORE_ROOT/scripts/lib/userland.sh")" \
		'Fetching a Debian userland' userland_make
}

userland_make() {
	# shellcheck disable=SC2086 # a list of words
	packages_fetch "$1" $USERLAND_PACKAGES
	rm -rf "$1/partial" "$1/lock"
	ls "$1"/*.deb >/dev/null
}

# userland_unpack DIR: the userland's files under DIR.
userland_unpack() {
	local dir=$1 d deb
	mkdir -p "$dir"/usr/{bin,sbin,lib,lib32,lib64,libx32}
	for d in bin sbin lib lib32 lib64 libx32; do
		ln -s "usr/$d" "$dir/$d"
	done
	for deb in "$(userland_dir)"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -C "$dir" -xp \
			--keep-directory-symlink --exclude='./usr/share/doc' \
			--exclude='./usr/share/man' --exclude='./usr/share/info' \
			--exclude='./usr/share/locale' --exclude='./usr/share/i18n' \
			--exclude='./usr/share/bash-completion'
	done
	mkdir -p "$dir"/{dev,proc,sys,run,tmp,root,mnt,etc}
	chmod 1777 "$dir/tmp"
	cp "$dir/usr/share/base-passwd/passwd.master" "$dir/etc/passwd"
	cp "$dir/usr/share/base-passwd/group.master" "$dir/etc/group"
	ln -sf bash "$dir/usr/bin/sh"
	[ -e "$dir/usr/bin/awk" ] || ln -s gawk "$dir/usr/bin/awk"
	ln -sf /proc/self/mounts "$dir/etc/mtab"
	echo '127.0.0.1 localhost' >"$dir/etc/hosts"
}

# image_make FILE DIR FREE_MIB [MKE2FS_ARG...]: an ext4 image with DIR's
# files and room for FREE_MIB more.
image_make() {
	local file=$1 dir=$2 free=$3 used inodes
	shift 3
	used=$(du -sm --apparent-size "$dir" | cut -f 1)
	inodes=$(find "$dir" | wc -l)
	# A file smaller than a block takes one; metadata takes some per cent.
	used=$((used + inodes * 4 / 1024))
	rm -f "$file"
	: >"$file"
	PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -b 4096 -d "$dir" -m 0 \
		-E lazy_itable_init=0,root_owner=0:0 -N $((inodes + 16384)) \
		"$@" "$file" $((used + used / 16 + free + 40))M
}
