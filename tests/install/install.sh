#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# install.sh BUILD_DIRECTORY: install into a scratch prefix, move it elsewhere,
# and use it from there as a stranger would: by pkg-config and by CMake, from C
# and from C++, shared and static.
set -eu
build=$1
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc=${CC:-cc}
cxx=${CXX:-c++}
warn="-Wall -Wextra -Wpedantic -Werror"

step()
{
	echo "== $*"
}

fail()
{
	echo "FAILED: $*"
	exit 1
}

cmake --install "$build" --prefix "$tmp/first" >"$tmp/log"
mv "$tmp/first" "$tmp/moved"
pcdir=$(dirname "$(find "$tmp/moved" -name vcore.pc)")
libdir=$(dirname "$pcdir")
export PKG_CONFIG_LIBDIR="$pcdir"
export LD_LIBRARY_PATH="$libdir"
parts=
for pc in "$pcdir"/vcore-*.pc; do
	[ -f "$pc" ] || continue
	part=${pc##*/vcore-}
	parts="$parts${parts:+;}${part%.pc}"
done

step "nothing installed names a path of the build"
if grep -rlF -e "$build" -e "$tmp/first" "$tmp/moved"; then
	fail "the files above do"
fi

step "pkg-config vcore"
cflags=$(pkg-config --cflags vcore)
libs=$(pkg-config --libs vcore)
echo "cflags: $cflags; libs: $libs"
for flag in $cflags; do
	case $flag in
	-I*) ;;
	*) fail "--cflags has more than -I" ;;
	esac
done
case $(pkg-config --print-requires --print-requires-private vcore) in
'') ;;
*) fail "vcore.pc requires other packages" ;;
esac

step "pkg-config, C, C++, static C"
# shellcheck disable=SC2046,SC2086
{
	"$cc" -std=c11 $warn $cflags -o "$tmp/c" "$here/consumer/consumer.c" \
		$libs
	"$cxx" -std=c++11 $warn $cflags -o "$tmp/cxx" \
		"$here/consumer/consumer.cc" $libs
	"$cc" -std=c11 $warn $cflags -o "$tmp/static" \
		"$here/consumer/consumer.c" "$libdir/libvirtcore.a" \
		$(pkg-config --static --libs-only-other vcore)
}
for program in c cxx static; do
	"$tmp/$program" || fail "$program"
done
if ldd "$tmp/static" | grep virtcore; then
	fail "the static program needs the shared library"
fi

for part in $(echo "$parts" | tr ';' ' '); do
	step "optional part $part by pkg-config"
	# shellcheck disable=SC2046
	"$cc" -std=c11 -DPART_HEADER="<vcore/$part.h>" -o "$tmp/part" \
		$(pkg-config --cflags "vcore-$part") "$here/consumer/consumer.c" \
		-Wl,--no-as-needed $(pkg-config --libs "vcore-$part")
	"$tmp/part" || fail "the program"
done

step "CMake"
if ! { cmake -S "$here/consumer" -B "$tmp/build" -DPARTS="$parts" \
	-DCMAKE_PREFIX_PATH="$tmp/moved" -DCMAKE_C_COMPILER="$cc" \
	-DCMAKE_CXX_COMPILER="$cxx" &&
	cmake --build "$tmp/build"; } >>"$tmp/log" 2>&1; then
	cat "$tmp/log"
	fail "cmake"
fi
for program in c_shared c_static cxx_shared; do
	"$tmp/build/$program" || fail "$program"
done

step "the library needs libc only"
ldd "$libdir/libvirtcore.so"
ldd "$libdir/libvirtcore.so" | awk '{ print $1 }' |
	grep -v -e '^statically' -e '^linux-vdso\.so' -e '^libc\.so\.6$' -e '/ld-linux' &&
	fail "the libraries above"
echo "installed parts: ${parts:-none}"
