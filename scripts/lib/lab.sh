# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The lab: a Debian kernel with the real kvm_amd, on the CPU that QEMU's TCG
# emulates. Slow, needs no rights and no /dev/kvm, and runs stock guests.

# Modules for the lab's own disks and for the port its output takes.
LAB_MODULES='virtio_pci virtio_blk ext4'

# What lab_run ends with when it is not the command's own status.
LAB_QEMU_DIED=121
LAB_TIMED_OUT=124
LAB_FAILED=125

LAB_PACKAGES='qemu-system-x86=qemu-system-x86_64 e2fsprogs=mke2fs kmod=depmod
	tar=tar xz-utils=xz gcc=cc libc6-dev=/usr/include/stdio.h'

lab_dir() {
	printf '%s/lab\n' "$VCORE_CACHE"
}

# lab_get: everything that a lab boot needs.
lab_get() {
	local fakeroot=()
	[ "$(id -u)" -eq 0 ] || fakeroot=(fakeroot=fakeroot)
	# shellcheck disable=SC2086 # a list of words
	packages_install $LAB_PACKAGES "${fakeroot[@]}"
	kernel_get cloud-amd64
	userland_get
	cache_make "$(lab_dir)" "$(hash_of \
		"$VCORE_ROOT"/scripts/lib/{kernel,userland}.sh \
		"$VCORE_ROOT"/scripts/lab-image/* \
		"$(kernel_dir cloud-amd64)/version")" \
		"Making the lab's disk" lab_make
}

lab_make() {
	local dir=$1 tree=$1/tree version
	version=$(cat "$(kernel_dir cloud-amd64)/version")
	userland_unpack "$tree"
	tar -C "$tree" -xf "$(kernel_dir cloud-amd64)/modules.tar" \
		--keep-directory-symlink
	(cd "$tree" && find usr/lib -name '*.so*' -printf '%f\n') |
		sort -u >"$dir/libraries"
	# initramfs_make takes one script; lab-init travels beside it.
	# shellcheck disable=SC2086 # a list of words
	initramfs_make "$dir/initrd" "$tree/lib/modules/$version" \
		"$VCORE_ROOT/scripts/lab-image/initrd-init" $LAB_MODULES
	mkdir "$dir/extra"
	install -m 755 "$VCORE_ROOT/scripts/lab-image/init" \
		"$dir/extra/lab-init"
	(cd "$dir/extra" && echo lab-init | "$(busybox_path)" cpio -o \
		-H newc -R 0:0 2>/dev/null) | gzip -1 >>"$dir/initrd"
	image_make "$dir/lab.img" "$tree" 256 -L vcore-lab -O ^has_journal
	rm -rf "$tree" "$dir/extra"
}

# lab_reset: forget the options of the last lab_run.
#
# One processor, as QEMU's emulation can't be relied on with more:
# - With a thread for each, QEMU 7.2 was found to run code for ever that another
#   processor had changed: a breakpoint in __schedule(), with which Linux changes
#   preempt_notifier_key when the first VM comes or the last one goes.
# - With one thread for all, of 7.2 and of 10.0, a guest of one vCPU hung in each
#   of five tries; one that was looked into had taken a timer interrupt inside
#   hrtimer's own lock, that is with interrupts off.
# Guests have as many vCPUs as they like.
lab_reset() {
	lab_cpus=1 lab_mem=2048 lab_disk=1024 lab_timeout=1200 lab_net=0
	lab_tty=0 lab_log='' lab_append=''
	lab_put=() lab_get_paths=() lab_qemu=()
}

# lab_stage DIR: what was put, as files of the disk to be made.
lab_stage() {
	local dir=$1 item from to
	: >"$dir/.get"
	for item in "${lab_get_paths[@]}"; do
		printf '%s\n' "${item%%:*}" >>"$dir/.get"
	done
	for item in "${lab_put[@]}"; do
		from=${item%%:*}
		to=/lab/${from##*/}
		[[ $item != *:* ]] || to=${item#*:}
		case $to in
		/lab/*) to=$dir${to#/lab} ;;
		/*) to=$dir/.root$to ;;
		*) to=$dir/$to ;;
		esac
		[ -e "$from" ] || {
			echo "lab: no such file: $from" >&2
			return 1
		}
		mkdir -p "$(dirname "$to")"
		if [ -d "$from" ]; then
			mkdir -p "$to"
			cp -a "$from/." "$to/"
		else
			cp -lL "$from" "$to" 2>/dev/null || cp -L "$from" "$to"
		fi
	done
	lab_stage_libraries "$dir"
}

# lab_stage_libraries DIR: the shared libraries of the programs in DIR that
# the lab's userland has not.
lab_stage_libraries() {
	local dir=$1 file lib magic
	find "$dir" -type f -size +1k \( -perm -u+x -o -name '*.so*' \) -print0 |
		while IFS= read -r -d '' file; do
			IFS= read -r -N 4 magic <"$file" 2>/dev/null || continue
			[ "$magic" = $'\x7fELF' ] || continue
			# A static program makes ldd fail: nothing to bring.
			{ ldd "$file" 2>/dev/null || true; } |
				awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
		done | sort -u | while read -r lib; do
		grep -qxF "${lib##*/}" "$(lab_dir)/libraries" || {
			mkdir -p "$dir/.lib"
			cp -L "$lib" "$dir/.lib/"
		}
	done
}

# lab_qemu_run RUN: QEMU itself; its exit status.
lab_qemu_run() {
	local run=$1 disk n=0 args=() feed=/dev/null append
	append="console=ttyS0 panic=-1 mitigations=off nowatchdog quiet loglevel=4"
	append+=" rcupdate.rcu_cpu_stall_suppress=1 random.trust_cpu=on"
	# Where QEMU gets too little of a busy machine the kernel sees too few
	# ticks while it tests the timer, and panics.
	append+=" no_timer_check"
	# QEMU changes its set of pending interrupts without a lock when a guest is
	# entered and left: one that comes then is lost. The next one brings it
	# along, so that there has to be a next one.
	append+=" nohz=off highres=off $lab_append"
	for disk in "$(lab_dir)/lab.img,snapshot=on" "$run/payload.img" \
		"$run/result.img"; do
		args+=(-drive "if=none,id=d$n,format=raw,cache=unsafe,file=$disk"
			-device "virtio-blk-pci,drive=d$n")
		n=$((n + 1))
	done
	if [ "$lab_tty" = 1 ]; then
		feed=/dev/stdin
		append+=' lab.tty'
		args+=(-chardev 'stdio,id=out,signal=off'
			-device 'virtconsole,chardev=out')
	else
		# Not stdio: at the end of its input that counts as unplugged.
		args+=(-chardev 'file,id=out,path=/dev/stdout'
			-device 'virtserialport,chardev=out,name=vcore.out')
	fi
	[ "$lab_net" = 0 ] || args+=(-netdev 'user,id=net'
		-device 'virtio-net-pci,netdev=net,romfile=')
	args+=("${lab_qemu[@]}")
	TMPDIR=$run timeout --foreground -k 5 "$lab_timeout" \
		qemu-system-x86_64 -nodefaults -no-user-config \
		-display none -no-reboot -M q35 \
		-accel tcg,tb-size=512 -cpu max \
		-smp "$lab_cpus" -m "$lab_mem" \
		-kernel "$(kernel_dir cloud-amd64)/vmlinuz" \
		-initrd "$(lab_dir)/initrd" -append "$append" \
		-serial "file:$run/console" -device virtio-rng-pci \
		-device virtio-serial-pci "${args[@]}" \
		2>"$run/qemu" <"$feed"
}

# lab_show: what comes in goes out; until something comes, say that it boots.
lab_show() {
	local first='' tick
	step_tick "$BASHPID" 'the lab boots' &
	tick=$!
	LC_ALL=C IFS= read -r -N 1 first || true
	kill "$tick" 2>/dev/null || true
	wait "$tick" 2>/dev/null || true
	[ ! -t 2 ] || printf '\r\e[K' >&2
	printf '%s' "$first"
	cat
}

# lab_collect RUN: the command's status, after fetching what it left.
lab_collect() {
	local run=$1 item n=0 rc
	mkdir "$run/result"
	tar -C "$run/result" -xf "$run/result.img" 2>/dev/null || true
	[ -f "$run/result/status" ] || return "$LAB_FAILED"
	rc=$(cat "$run/result/status")
	for item in "${lab_get_paths[@]}"; do
		if [ -e "$run/result/get/$n" ]; then
			rm -rf "${item#*:}"
			mv "$run/result/get/$n" "${item#*:}"
		else
			echo "lab: nothing to get at ${item%%:*}" >&2
			[ "$rc" -ne 0 ] || rc=$LAB_FAILED
		fi
		n=$((n + 1))
	done
	return "$rc"
}

# lab_explain RUN WHY: why there is no status, with the ends of the logs.
lab_explain() {
	local run=$1 f
	echo "lab: $2" >&2
	for f in qemu console; do
		[ ! -s "$run/$f" ] || {
			echo "lab: the end of QEMU's ${f/qemu/messages}:"
			tail -n 60 "$run/$f" | tr -d '\r' | sed 's/^/    | /'
		} >&2
	done
}

# lab_run COMMAND...: boot, run, return the command's status; or one of the
# three above. Options are the lab_* variables of lab_reset.
lab_run() {
	local run rc=0
	run=$(cache_tmp)
	lab_run_in "$run" "$@" || rc=$?
	[ -z "$lab_log" ] || cat "$run/console" "$run/qemu" >"$lab_log" 2>/dev/null
	rm -rf "$run"
	return "$rc"
}

lab_run_in() {
	local run=$1 rc=0
	shift
	mkdir "$run/stage"
	lab_stage "$run/stage" || return "$LAB_FAILED"
	printf '%q ' "$@" >"$run/stage/.command"
	image_make "$run/payload.img" "$run/stage" "$lab_disk" \
		-O ^has_journal || return "$LAB_FAILED"
	rm -rf "$run/stage"
	truncate -s 8G "$run/result.img"
	: >"$run/console"
	if [ "$lab_tty" = 1 ]; then
		lab_qemu_run "$run" || rc=$?
	else
		# A pipe, as QEMU truncates what it opens as a file.
		lab_qemu_run "$run" | lab_show
		rc=${PIPESTATUS[0]}
	fi
	case $rc in
	124 | 137)
		lab_explain "$run" "timed out after $lab_timeout s"
		return "$LAB_TIMED_OUT"
		;;
	0) ;;
	*)
		lab_explain "$run" "QEMU itself failed (status $rc)"
		return "$LAB_QEMU_DIED"
		;;
	esac
	rc=0
	lab_collect "$run" || rc=$?
	[ -f "$run/result/status" ] ||
		lab_explain "$run" 'ended without a status'
	return "$rc"
}
