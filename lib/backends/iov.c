/* SPDX-License-Identifier: BSD-3-Clause */
/* Walking an array of iovecs that must not be changed. */
#include "backends/iov.h"

#include <string.h>

#include "base/base.h"
#include "base/defined.h"

/* What is left of the first entry, empty ones skipped; false at the end. */
static bool
first(struct vcore__iov *at, struct iovec *left)
{
	while (at->count > 0 && at->skip >= at->iov->iov_len) {
		at->skip -= at->iov->iov_len;
		at->iov++;
		at->count--;
	}
	if (at->count == 0)
		return false;
	left->iov_base = (char *)at->iov->iov_base + at->skip;
	left->iov_len = at->iov->iov_len - at->skip;
	return true;
}

uint32_t
vcore__iov_window(const struct vcore__iov *at, struct iovec *window,
		  uint32_t max, uint64_t limit)
{
	struct vcore__iov it = *at;
	uint32_t n = 0;

	while (n < max && limit > 0 && first(&it, &window[n])) {
		if (window[n].iov_len > limit)
			window[n].iov_len = limit;
		limit -= window[n].iov_len;
		it.skip += window[n].iov_len;
		n++;
	}
	return n;
}

void
vcore__iov_advance(struct vcore__iov *at, uint64_t len)
{
	struct iovec left;

	while (len > 0 && first(at, &left)) {
		if (left.iov_len > len)
			left.iov_len = len;
		at->skip += left.iov_len;
		len -= left.iov_len;
	}
}

uint64_t
vcore__iov_copy_to(struct vcore__iov *at, const void *buf, uint64_t len)
{
	uint64_t done = 0;
	struct iovec left;

	while (done < len && first(at, &left)) {
		if (left.iov_len > len - done)
			left.iov_len = len - done;
		VCORE__DEFINED((const char *)buf + done, left.iov_len);
		memcpy(left.iov_base, (const char *)buf + done, left.iov_len);
		at->skip += left.iov_len;
		done += left.iov_len;
	}
	return done;
}

uint64_t
vcore__iov_copy_from(struct vcore__iov *at, void *buf, uint64_t len)
{
	uint64_t done = 0;
	struct iovec left;

	while (done < len && first(at, &left)) {
		if (left.iov_len > len - done)
			left.iov_len = len - done;
		memcpy((char *)buf + done, left.iov_base, left.iov_len);
		at->skip += left.iov_len;
		done += left.iov_len;
	}
	return done;
}

void
vcore__iov_zero(struct vcore__iov *at)
{
	struct iovec left;

	while (first(at, &left)) {
		memset(left.iov_base, 0, left.iov_len);
		at->skip += left.iov_len;
	}
}

uint64_t
vcore__iov_len(const struct iovec *iov, uint32_t count)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		if (vcore__add_overflow(sum, (uint64_t)iov[i].iov_len, &sum))
			return UINT64_MAX;
	return sum;
}
