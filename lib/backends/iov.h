/* SPDX-License-Identifier: BSD-3-Clause */
/* Walking an array of iovecs that must not be changed. */
#ifndef VCORE_LIB_BACKENDS_IOV_H
#define VCORE_LIB_BACKENDS_IOV_H

#include <stdint.h>
#include <sys/uio.h>

/* A place in an array; the array stays the caller's. */
struct vcore__iov {
	const struct iovec *iov;
	uint32_t count;		/* entries left */
	uint32_t reserved0;
	uint64_t skip;		/* bytes of the first that are behind us */
};

/* The next up to max entries and limit bytes as an array; how many entries. */
uint32_t
vcore__iov_window(const struct vcore__iov *at, struct iovec *window,
		  uint32_t max, uint64_t limit);

/* Move on; no further than the end. */
void
vcore__iov_advance(struct vcore__iov *at, uint64_t len);

/* Copy len bytes and move on; how many were copied. */
uint64_t
vcore__iov_copy_to(struct vcore__iov *at, const void *buf, uint64_t len);

uint64_t
vcore__iov_copy_from(struct vcore__iov *at, void *buf, uint64_t len);

/* Zero everything from here to the end. */
void
vcore__iov_zero(struct vcore__iov *at);

/* Sum of the lengths; UINT64_MAX if it does not fit. */
uint64_t
vcore__iov_len(const struct iovec *iov, uint32_t count);

#endif
