#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# doxygen.sh DOXYFILE: everything public is documented, each parameter too.
set -eu
if ! command -v doxygen >/dev/null; then
	echo "doxygen is not installed (Debian: apt install doxygen)"
	exit 1
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# HTML, because doxygen 1.9.4 finds fault with good @return when it writes XML.
{
	cat "$1"
	echo "OUTPUT_DIRECTORY = $tmp"
} | doxygen -
