/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks by io_uring: what the files share. */
#ifndef VCORE_URING_RING_H
#define VCORE_URING_RING_H

#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/uring.h>

#define VCORE__URING_WINDOW 64u

struct vcore__uring_disk {
	_Atomic uint32_t refs;		/* the disk, each queue */
	int fd;
	bool direct;
	bool reserved[3];
	uint32_t entries;
	struct vcore_disk_limits limits;
	_Atomic int flush_error;	/* sticky: 0 or -errno */
};

/* Requests wait in a list linked by driver[0], then the kernel has them. */
struct vcore__uring_queue {
	struct vcore__uring_disk *disk;
	struct io_uring ring;
	struct vcore_source *source;	/* eventfd: completions */
	struct vcore_source *retry;	/* timer: the kernel had no memory */
	int eventfd;
	bool fixed;			/* the file is registered as number 0 */
	bool busy;			/* in run() */
	bool dead;			/* detached in a done of run() */
	bool reserved0;
	struct vcore_disk_request *first, *last;
	uint32_t in_kernel;		/* prepared or submitted */
	uint32_t max;			/* ... at most */
};

/*
 * What a request needs beyond its driver[] words: [1] bytes done, [2] this.
 * Only short transfers, misaligned buffers, long arrays, and zeroes have it.
 */
struct vcore__uring_extra {
	struct iovec iov[VCORE__URING_WINDOW];
	uint32_t count;
	uint32_t phase;			/* WRITE_ZEROES: ways tried */
	uint64_t len;			/* bytes of this step */
	void *bounce;
};

/* request.c: fill in the next step. 0, or -errno: it is done with that. */
int
vcore__uring_prepare(struct vcore__uring_queue *q,
		     struct vcore_disk_request *req, struct io_uring_sqe *sqe);

/* A step came to res. 1: prepare another, else the request's result. */
int
vcore__uring_step(struct vcore__uring_queue *q, struct vcore_disk_request *req,
		  int res);

/* Before vcore_disk_done(). */
void
vcore__uring_forget(struct vcore_disk_request *req);

/* May it begin? 0, or the result. */
int
vcore__uring_check(struct vcore__uring_disk *d,
		   const struct vcore_disk_request *req);

/*
 * window.c: up to VCORE__URING_WINDOW entries from byte `from` of an array,
 * limit bytes at most; how many entries, and the bytes in *len.
 */
uint32_t
vcore__uring_window(const struct vcore_disk_request *req, uint64_t from,
		    uint64_t limit, struct iovec *window, uint64_t *len);

/* Copy between a buffer and len bytes of the request's memory; or zero them. */
void
vcore__uring_copy_in(const struct vcore_disk_request *req, uint64_t from,
		     void *buf, uint64_t len);
void
vcore__uring_copy_out(const struct vcore_disk_request *req, uint64_t from,
		      const void *buf, uint64_t len);
void
vcore__uring_zero(const struct vcore_disk_request *req, uint64_t from);

/* Sum of the lengths; UINT64_MAX if it does not fit. */
uint64_t
vcore__uring_len(const struct vcore_disk_request *req);

/* vcore_error_set() with a printf format. */
int
vcore__uring_error(int rc, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
