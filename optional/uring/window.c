/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks by io_uring: stretches of a request's memory. */
#include "ring.h"

uint32_t
vcore__uring_window(const struct vcore_disk_request *req, uint64_t from,
		    uint64_t limit, struct iovec *window, uint64_t *len)
{
	uint32_t i = 0, n = 0;
	struct iovec v;

	*len = 0;
	for (; i < req->iov_count && from >= req->iov[i].iov_len; i++)
		from -= req->iov[i].iov_len;
	for (; i < req->iov_count && n < VCORE__URING_WINDOW && *len < limit;
	     i++) {
		v.iov_base = (char *)req->iov[i].iov_base + from;
		v.iov_len = req->iov[i].iov_len - from;
		from = 0;
		if (v.iov_len > limit - *len)
			v.iov_len = limit - *len;
		if (v.iov_len == 0)
			continue;
		window[n++] = v;
		*len += v.iov_len;
	}
	return n;
}

enum how { COPY_IN, COPY_OUT, ZERO };

static void
walk(const struct vcore_disk_request *req, uint64_t from, char *buf,
     uint64_t len, enum how how)
{
	struct iovec window[VCORE__URING_WINDOW];
	uint64_t part;
	uint32_t n;

	for (; len > 0; len -= part, from += part) {
		n = vcore__uring_window(req, from, len, window, &part);
		if (n == 0)
			return;
		for (uint32_t i = 0; i < n; i++) {
			if (how == ZERO)
				memset(window[i].iov_base, 0,
				       window[i].iov_len);
			else if (how == COPY_IN)
				memcpy(buf, window[i].iov_base,
				       window[i].iov_len);
			else
				memcpy(window[i].iov_base, buf,
				       window[i].iov_len);
			if (how != ZERO)
				buf += window[i].iov_len;
		}
	}
}

void
vcore__uring_copy_in(const struct vcore_disk_request *req, uint64_t from,
		     void *buf, uint64_t len)
{
	walk(req, from, buf, len, COPY_IN);
}

void
vcore__uring_copy_out(const struct vcore_disk_request *req, uint64_t from,
		      const void *buf, uint64_t len)
{
	walk(req, from, (char *)(uintptr_t)buf, len, COPY_OUT);
}

void
vcore__uring_zero(const struct vcore_disk_request *req, uint64_t from)
{
	walk(req, from, NULL, req->len - from, ZERO);
}

uint64_t
vcore__uring_len(const struct vcore_disk_request *req)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < req->iov_count; i++)
		if (__builtin_add_overflow(sum, (uint64_t)req->iov[i].iov_len,
					   &sum))
			return UINT64_MAX;
	return sum;
}
