# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # used by those who source this
#
# Building the project: what has to be installed, and how it is configured.
# (libslirp-dev does not bring glib's headers, but its .pc file asks for them.)

BUILD_PACKAGES='gcc=cc libc6-dev=/usr/include/stdio.h cmake=cmake
	linux-libc-dev=/usr/include/linux/kvm.h ninja-build=ninja
	pkg-config=pkg-config liburing-dev=/usr/include/liburing.h
	libslirp-dev=/usr/include/slirp/libslirp.h
	libglib2.0-dev=/usr/include/glib-2.0/glib.h'

TEST_PACKAGES='g++=c++ clang=clang check=/usr/include/check.h python3=python3
	abigail-tools=abidiff acpica-tools=iasl doxygen=doxygen
	shellcheck=shellcheck binutils=nm util-linux=setpriv
	nbdkit=nbdkit libnbd-bin=nbdfuse fuse3=fusermount3
	cppcheck=cppcheck clang-tidy=clang-tidy valgrind=valgrind
	spin=spin gcovr=gcovr frama-c-base=frama-c why3=why3 cvc4=cvc4'

# build_jobs: how many compilers at once.
build_jobs() {
	nproc
}

# build_dir PRESET: where that preset builds.
build_dir() {
	printf '%s/build/%s\n' "$VCORE_ROOT" "$1"
}

# build_configure PRESET [CMAKE_ARG...]: a CMake preset, or "clang", which is
# the preset "dev" with that compiler.
build_configure() {
	local preset=$1
	shift
	if [ "$preset" = clang ]; then
		preset=dev
		set -- -B "$(build_dir clang)" -DCMAKE_C_COMPILER=clang "$@"
	fi
	(cd "$VCORE_ROOT" && cmake --preset "$preset" "$@")
}

# build_targets PRESET [TARGET...]: all of it without targets.
build_targets() {
	local preset=$1
	shift
	(cd "$VCORE_ROOT" && cmake --build "$(build_dir "$preset")" \
		-j "$(build_jobs)" ${1:+--target "$@"})
}
