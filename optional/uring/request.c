/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks by io_uring: a request as steps, each one submission.
 *
 * Most requests are one step over the submitter's own array. What falls short,
 * is not aligned for direct I/O, or has too many buffers goes on in windows of
 * an array of its own.
 */
#include "ring.h"

#include <linux/falloc.h>
#include <stdlib.h>

#define IOVS_MAX 1024u			/* of one system call */
#define ONE_MAX (1u << 30)
#define BOUNCE ((uint64_t)1 << 20)
#define ZEROES 65536u
#define ALIGN 4096u

enum phase { PUNCH = 0, ZERO_RANGE = 1, WRITE = 2 };

static const uint8_t zeroes[ZEROES] __attribute__((aligned(ALIGN)));

static uint64_t
bytes_done(const struct vcore_disk_request *req)
{
	return (uintptr_t)req->driver[1];
}

static void
add_done(struct vcore_disk_request *req, uint64_t n)
{
	req->driver[1] = (void *)(uintptr_t)(bytes_done(req) + n);
}

static struct vcore__uring_extra *
extra_of(const struct vcore_disk_request *req)
{
	return req->driver[2];
}

void
vcore__uring_forget(struct vcore_disk_request *req)
{
	struct vcore__uring_extra *x = extra_of(req);

	if (x != NULL)
		free(x->bounce);
	free(x);
	req->driver[2] = NULL;
}

static struct vcore__uring_extra *
need_extra(struct vcore_disk_request *req)
{
	if (req->driver[2] == NULL)
		req->driver[2] = calloc(1, sizeof(struct vcore__uring_extra));
	return req->driver[2];
}

int
vcore__uring_check(struct vcore__uring_disk *d,
		   const struct vcore_disk_request *req)
{
	if (req->op == VCORE_DISK_FLUSH)
		return atomic_load(&d->flush_error);
	if (req->offset > d->limits.capacity ||
	    req->len > d->limits.capacity - req->offset)
		return -EINVAL;
	if (req->op != VCORE_DISK_READ &&
	    (d->limits.flags & VCORE_DISK_READONLY))
		return -EROFS;
	if ((req->op == VCORE_DISK_READ || req->op == VCORE_DISK_WRITE) &&
	    vcore__uring_len(req) != req->len)
		return -EINVAL;
	return 0;
}

static bool
is_misaligned(const struct vcore__uring_disk *d,
	      const struct vcore_disk_request *req)
{
	const struct iovec *v = req->iov;

	if (!d->direct)
		return false;
	for (uint32_t i = 0; i < req->iov_count; i++)
		if (((uintptr_t)v[i].iov_base | v[i].iov_len) %
		    d->limits.logical_block != 0)
			return true;
	return false;
}

/* The next piece goes through memory that is aligned. */
static int
use_bounce(struct vcore__uring_extra *x, const struct vcore_disk_request *req)
{
	uint64_t left = req->len - bytes_done(req);

	if (x->bounce == NULL &&
	    posix_memalign(&x->bounce, ALIGN,
			   req->len < BOUNCE ? req->len : BOUNCE) != 0) {
		x->bounce = NULL;
		return -ENOMEM;
	}
	x->len = left < BOUNCE ? left : BOUNCE;
	x->iov[0].iov_base = x->bounce;
	x->iov[0].iov_len = x->len;
	x->count = 1;
	if (req->op == VCORE_DISK_WRITE)
		vcore__uring_copy_in(req, bytes_done(req), x->bounce, x->len);
	return 0;
}

/* One buffer costs the kernel less than an array of one. */
static void
prepare_iov(const struct vcore__uring_queue *q,
	    const struct vcore_disk_request *req, struct io_uring_sqe *sqe,
	    const struct iovec *iov, uint32_t count)
{
	uint64_t off = req->offset + bytes_done(req);
	bool one = count == 1 && iov->iov_len <= ONE_MAX;
	bool read = req->op == VCORE_DISK_READ;

	if (one && read)
		io_uring_prep_read(sqe, q->disk->fd, iov->iov_base,
				   (unsigned)iov->iov_len, off);
	else if (one)
		io_uring_prep_write(sqe, q->disk->fd, iov->iov_base,
				    (unsigned)iov->iov_len, off);
	else if (read)
		io_uring_prep_readv(sqe, q->disk->fd, iov, count, off);
	else
		io_uring_prep_writev(sqe, q->disk->fd, iov, count, off);
}

static int
prepare_transfer(struct vcore__uring_queue *q, struct vcore_disk_request *req,
		 struct io_uring_sqe *sqe)
{
	const struct iovec *iov = req->iov;
	uint32_t count = req->iov_count;
	uint64_t done = bytes_done(req);
	bool bounce = is_misaligned(q->disk, req);
	struct vcore__uring_extra *x;
	int rc = 0;

	if (bounce || done > 0 || count > IOVS_MAX) {
		x = need_extra(req);
		if (x == NULL)
			return -ENOMEM;
		if (bounce)
			rc = use_bounce(x, req);
		else
			x->count = vcore__uring_window(req, done,
						       req->len - done, x->iov,
						       &x->len);
		if (rc < 0)
			return rc;
		iov = x->iov;
		count = x->count;
	}
	prepare_iov(q, req, sqe, iov, count);
	return 0;
}

static int
prepare_zeroes(struct vcore__uring_queue *q, struct vcore_disk_request *req,
	       struct io_uring_sqe *sqe)
{
	struct vcore__uring_extra *x = need_extra(req);
	uint64_t done = bytes_done(req), left = req->len - done;

	if (x == NULL)
		return -ENOMEM;
	if (x->phase == PUNCH && !(req->flags & VCORE_DISK_MAY_UNMAP))
		x->phase = ZERO_RANGE;
	if (x->phase != WRITE) {
		io_uring_prep_fallocate(sqe, q->disk->fd,
					FALLOC_FL_KEEP_SIZE |
						(x->phase == PUNCH ?
							 FALLOC_FL_PUNCH_HOLE :
							 FALLOC_FL_ZERO_RANGE),
					(off_t)req->offset, (off_t)req->len);
		return 0;
	}
	for (x->count = 0; x->count < VCORE__URING_WINDOW && left > 0;
	     x->count++) {
		struct iovec *v = &x->iov[x->count];

		v->iov_base = (void *)(uintptr_t)zeroes;
		v->iov_len = left < ZEROES ? left : ZEROES;
		left -= v->iov_len;
	}
	io_uring_prep_writev(sqe, q->disk->fd, x->iov, x->count,
			     req->offset + done);
	return 0;
}

int
vcore__uring_prepare(struct vcore__uring_queue *q,
		     struct vcore_disk_request *req, struct io_uring_sqe *sqe)
{
	int rc = 0;

	switch (req->op) {
	case VCORE_DISK_READ:
	case VCORE_DISK_WRITE:
		rc = prepare_transfer(q, req, sqe);
		break;
	case VCORE_DISK_FLUSH:
		io_uring_prep_fsync(sqe, q->disk->fd, IORING_FSYNC_DATASYNC);
		break;
	case VCORE_DISK_DISCARD:
		io_uring_prep_fallocate(sqe, q->disk->fd,
					FALLOC_FL_KEEP_SIZE |
						FALLOC_FL_PUNCH_HOLE,
					(off_t)req->offset, (off_t)req->len);
		break;
	default:
		rc = prepare_zeroes(q, req, sqe);
		break;
	}
	if (rc < 0)
		return rc;
	if (q->fixed) {
		sqe->fd = 0;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	io_uring_sqe_set_data(sqe, req);
	return 0;
}

/* So many bytes more are done: 1 if there are others. */
static int
advance(struct vcore_disk_request *req, uint32_t n)
{
	add_done(req, n);
	return bytes_done(req) < req->len;
}

static int
step_read(struct vcore__uring_queue *q, struct vcore_disk_request *req,
	  uint32_t n)
{
	struct vcore__uring_extra *x = extra_of(req);
	int more;

	if (x != NULL && x->bounce != NULL)
		vcore__uring_copy_out(req, bytes_done(req), x->bounce, n);
	more = advance(req, n);
	/* A file that ends early reads as zeroes. */
	if (more && (n == 0 || (q->disk->direct &&
				n % q->disk->limits.logical_block != 0))) {
		vcore__uring_zero(req, bytes_done(req));
		more = 0;
	}
	return more;
}

static bool
is_unsupported(int res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -ENODEV;
}

static int
step_zeroes(struct vcore_disk_request *req, int res)
{
	struct vcore__uring_extra *x = extra_of(req);

	if (x->phase == WRITE)
		return res > 0 ? advance(req, (uint32_t)res) : -EIO;
	if (!is_unsupported(res))
		return 0;
	x->phase++;
	return 1;
}

int
vcore__uring_step(struct vcore__uring_queue *q, struct vcore_disk_request *req,
		  int res)
{
	if (res == -EINTR)
		return 1;
	if (res < 0 && req->op == VCORE_DISK_FLUSH && res != -ECANCELED)
		atomic_store(&q->disk->flush_error, res);
	if (is_unsupported(res) && req->op == VCORE_DISK_DISCARD)
		return 0;
	if (res < 0 && !(is_unsupported(res) &&
			 req->op == VCORE_DISK_WRITE_ZEROES))
		return res;
	switch (req->op) {
	case VCORE_DISK_READ:
		return step_read(q, req, (uint32_t)res);
	case VCORE_DISK_WRITE:
		return res > 0 ? advance(req, (uint32_t)res) : -EIO;
	case VCORE_DISK_WRITE_ZEROES:
		return step_zeroes(req, res);
	default:
		return 0;
	}
}
