#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The preprocessor of eva.sh: ARG... IN OUT. Deletes what Frama-C has no word
# for, and adds what it can't know: a chain's iovecs fit into their array.
set -euo pipefail
in=${*: -2:1}
out=${*: -1}
gcc -E -C "${@:1:$#-2}" "$in" |
	sed -e '/^#/!s/\b_Atomic\b//' \
		-e 's,w->iovs += n;,& /*@ assert room: w->iovs <= w->room; */,' \
		>"$out"
