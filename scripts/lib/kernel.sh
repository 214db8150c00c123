# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Debian's kernels, unmodified, and initramfs archives that load exactly the
# modules somebody needs, each after those it needs itself.

# What a guest needs to find its disk, link, console and entropy on either
# transport, and to say that it panics. Modules that a kernel has built in are
# left out.
GUEST_MODULES='virtio_pci virtio_mmio virtio_blk virtio_net virtio_console
	virtio-rng pvpanic-mmio crc32c_generic libcrc32c ext4'

# kernel_given FLAVOUR: the package of that flavour which VCORE_KERNEL_DEB
# names (files, with colons between them), or nothing.
kernel_given() {
	local deb debs=()
	IFS=: read -r -a debs <<<"${VCORE_KERNEL_DEB:-}"
	for deb in "${debs[@]}"; do
		# The whole flavour: "amd64" is not the end of "cloud-amd64".
		[[ ! ${deb##*/} =~ ^linux-image-[^_]*[0-9]-"$1"_ ]] ||
			printf '%s\n' "$deb"
	done | tail -n 1
}

# kernel_dir FLAVOUR: where kernel_get puts that flavour.
kernel_dir() {
	printf '%s/kernel-%s\n' "$VCORE_CACHE" "$1"
}

# kernel_get FLAVOUR: make sure that kernel_dir FLAVOUR ("cloud-amd64" or
# "amd64") holds vmlinuz, version, modules.tar and the guests' initrd.
kernel_get() {
	local flavour=$1 given from
	given=$(kernel_given "$flavour")
	from=("$VCORE_ROOT"/scripts/lib/{kernel,packages}.sh
		"$VCORE_ROOT/scripts/guest/initrd-init" ${given:+"$given"})
	[ -z "$given" ] || [ -r "$given" ] || die "cannot read $given"
	cache_make "$(kernel_dir "$flavour")" "$(hash_of "${from[@]}")" \
		"Fetching Debian's linux-image-$flavour" \
		kernel_make "$flavour" "$given"
}

# kernel_fetch DIR FLAVOUR: the .deb of the flavour's newest kernel, into DIR.
kernel_fetch() {
	local dir=$1 flavour=$2 package
	package=$(packages_depend "linux-image-$flavour" 'linux-image-*') || {
		cat <<-END
			apt on this system knows no linux-image-$flavour: it is a
			package of Debian, not of its derivatives. Download the package
			that it depends on from Debian (its name is like
			linux-image-6.1.0-41-${flavour}_6.1.158-1_amd64.deb) and name
			the file in VCORE_KERNEL_DEB (several: with colons between).
		END
		return 1
	}
	packages_download "$dir" "$package"
}

kernel_make() {
	local dir=$1 flavour=$2 given=$3 version
	if [ -n "$given" ]; then
		cp "$given" "$dir/"
	else
		kernel_fetch "$dir" "$flavour"
	fi
	mkdir "$dir/tree"
	dpkg-deb -x "$dir"/*.deb "$dir/tree"
	version=$(ls "$dir/tree/lib/modules")
	printf '%s\n' "$version" >"$dir/version"
	cp "$dir/tree/boot/vmlinuz-$version" "$dir/vmlinuz"
	busybox_get
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$dir/tree" "$version"
	# shellcheck disable=SC2086 # a list of words
	initramfs_make "$dir/initrd" "$dir/tree/lib/modules/$version" \
		"$VCORE_ROOT/scripts/guest/initrd-init" $GUEST_MODULES
	# The lab loads whatever it is asked to: keep what it may want.
	tar -C "$dir/tree" -cf "$dir/modules.tar" \
		--exclude='*/drivers/gpu' --exclude='*/sound' \
		"lib/modules/$version"
	rm -rf "$dir/tree" "$dir"/*.deb
}

# busybox: the machine need not have it installed.
busybox_path() {
	printf '%s/busybox/busybox\n' "$VCORE_CACHE"
}

busybox_get() {
	cache_make "$VCORE_CACHE/busybox" 1 'Fetching busybox-static' \
		busybox_make
}

busybox_make() {
	packages_download "$1" busybox-static
	dpkg-deb -x "$1"/busybox-static_*.deb "$1/tree"
	cp "$1/tree/bin/busybox" "$1/busybox" ||
		cp "$1/tree/usr/bin/busybox" "$1/busybox"
	rm -rf "$1/tree" "$1"/*.deb
}

# modules_in_order MODULES_DIR NAME...: the files of the modules and of all
# that they need, each after its needs. Reads modules.dep (every line lists
# all needs of one module, in no useful order).
modules_in_order() {
	local dir=$1
	shift
	awk -v wanted="$*" '
		function key(path) {
			sub(/.*\//, "", path)
			sub(/\.ko.*/, "", path)
			gsub(/-/, "_", path)
			return path
		}
		function visit(path,    k, n, i, need) {
			k = key(path)
			if (k in seen)
				return
			seen[k] = 1
			n = split(needs[k], need, " ")
			for (i = 1; i <= n; i++)
				visit(need[i])
			print path
		}
		{
			path = $1
			sub(/:$/, "", path)
			file[key(path)] = path
			$1 = ""
			needs[key(path)] = $0
		}
		END {
			n = split(wanted, name, " ")
			for (i = 1; i <= n; i++)
				if (key(name[i]) in file)
					visit(file[key(name[i])])
		}' "$dir/modules.dep"
}

# initramfs_make OUT MODULES_DIR INIT NAME...: an archive with busybox, the
# script INIT as /init, and the modules, listed in /modules in the order in
# which to load them.
initramfs_make() {
	local out=$1 modules=$2 init=$3 work path file
	shift 3
	work=$(cache_tmp)
	mkdir -p "$work"/{bin,dev,proc,sys,new,lib}
	cp "$(busybox_path)" "$work/bin/busybox"
	ln -s busybox "$work/bin/sh"
	install -m 755 "$init" "$work/init"
	: >"$work/modules"
	while read -r path; do
		file=${path##*/}
		case $file in
		*.ko) cp "$modules/$path" "$work/lib/$file" ;;
		*.ko.xz) xz -dc "$modules/$path" >"$work/lib/${file%.xz}" ;;
		*.ko.zst) zstd -qdc "$modules/$path" \
			>"$work/lib/${file%.zst}" ;;
		esac
		file=${file%.xz}
		printf '/lib/%s\n' "${file%.zst}" >>"$work/modules"
	done < <(modules_in_order "$modules" "$@")
	(cd "$work" && find . -print0 | sort -z | "$(busybox_path)" cpio \
		-o -H newc -0 -R 0:0 2>/dev/null | gzip -1) >"$out"
	rm -rf "$work"
}
