#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A pointer into guest memory is used through lib/memory/access.h only: clang
# refuses everything else, and finds nothing in lib/.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v clang >/dev/null; then
	echo "skipped: clang is not installed"
	exit 77
fi
# noderef says more than that qualifiers get lost with it.
check=(clang -fsyntax-only -std=gnu11 -D_GNU_SOURCE -DVCORE__CHECK_GUEST
	-Werror -Wcast-qual -Iinclude -Ilib
	-Wno-incompatible-pointer-types-discards-qualifiers)
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# compiles STATEMENTS: in a function with a pointer of each sort.
compiles() {
	"${check[@]}" -x c - >"$log" 2>&1 <<-END
		#include "virtio/virtqueue.h"
		struct raw { uint32_t len; };
		static inline uint64_t
		use(struct vcore_virtqueue *q, VCORE__GUEST_PTR *p, char *buf)
		{
			uint64_t n = 0;
			$1
			return n + (uint64_t)(buf - (char *)q) +
			       (uintptr_t)p;
		}
	END
}

# accepts STATEMENTS
accepts() {
	if ! compiles "$1"; then
		echo "refused, and should not be: $1"
		cat "$log"
		failed=1
	fi
}

# refuses ERROR STATEMENTS: with that error, not with another.
refuses() {
	if compiles "$2"; then
		echo "accepted, and should not be: $2"
		failed=1
	elif ! grep -q "error: .*$1" "$log" ||
		[ "$(grep -c 'error: ' "$log")" != 1 ]; then
		echo "refused for another reason than '$1': $2"
		cat "$log"
		failed=1
	fi
}

accepts ''
accepts 'n = vcore__guest_load16(p);'
accepts 'n = vcore__guest_load64_acquire(vcore__guest_at(q->avail, 2));'
accepts 'vcore__guest_store32_release(q->used, 1);'
accepts 'vcore__guest_copy_from(buf, p, 8);'
accepts 'vcore__guest_copy_to(p, buf, 8); vcore__guest_fill(p, 0, 8);'
accepts 'struct iovec v = vcore__guest_iov(p, 8); n = v.iov_len;'
accepts 'p = vcore__guest_ptr(buf);'
accepts 'if (!q->desc) q->desc = p;'

cast="casting to dereferenceable pointer removes 'noderef'"
refuses "$cast" 'memcpy(buf, p, 8);'
refuses "$cast" 'memset(q->used, 0, 8);'
refuses "$cast" 'struct iovec v = { .iov_base = p }; n = v.iov_len;'
refuses "$cast" 'buf = p;'
refuses "$cast" 'void *plain = q->desc; n = !plain;'
cast="drops volatile qualifier"
refuses "$cast" 'n = *(uint8_t *)p;'
refuses "$cast" 'n = *(const uint8_t *)p;'
refuses "$cast" 'n = ((struct raw *)p)->len;'
refuses "$cast" 'n = __atomic_load_n((uint16_t *)q->avail, 0);'
# Typed, but still marked.
raw='volatile struct raw __attribute__((noderef))'
refuses 'dereferencing r;' "$raw *r = p; n = r->len;"
refuses 'dereferencing r;' "$raw *r = q->used; n = r[1].len;"

# Casts that drop const are somebody else's affair.
while IFS= read -r file; do
	if ! "${check[@]}" -Wno-error=cast-qual "$file" >"$log" 2>&1 ||
		grep -q 'drops.*volatile' "$log"; then
		cat "$log"
		failed=1
	fi
done < <(find lib -name '*.c' | LC_ALL=C sort)

# Who takes the mark away on purpose: madvise() on a mapping, no one else.
users=$(grep -rl 'vcore__guest_force(' lib optional | LC_ALL=C sort | xargs)
if [ "$users" != 'lib/memory/access.h lib/memory/region.c' ]; then
	echo "vcore__guest_force() is called in: $users"
	failed=1
fi
[ "$failed" = 0 ]
