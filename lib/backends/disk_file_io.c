/* SPDX-License-Identifier: BSD-3-Clause */
/* Disk on a file: a request as system calls, finished however short they are. */
#include "backends/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/iov.h"
#include "base/base.h"

#define WINDOW 64u		/* iovecs of one system call */
#define SECTOR 512u		/* no file has a finer direct I/O grain */
#define ZEROES 65536u
#define BOUNCE 262144u
#define BOUNCE_ALIGN 4096u

const struct vcore__file_sys vcore__file_sys = {
	.preadv = preadv,
	.pwritev = pwritev,
	.fdatasync = fdatasync,
	.fallocate = fallocate,
	.in_memory = vcore__file_in_memory,
};

static const uint8_t zeroes[ZEROES] __attribute__((aligned(BOUNCE_ALIGN)));

/* One system call, again if a signal came: bytes or -errno. */
static int64_t
call(const struct vcore__file *f, bool write, const struct iovec *iov,
     uint32_t count, uint64_t off)
{
	ssize_t n;

	do {
		n = write ? f->sys->pwritev(f->fd, iov, (int)count, (off_t)off)
			  : f->sys->preadv(f->fd, iov, (int)count, (off_t)off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * Read or write all of it. A file that ends early reads as zeroes; there a
 * direct read may stop inside a sector, where it could not go on.
 */
static int
transfer(const struct vcore__file *f, bool write, struct vcore__iov at,
	 uint64_t off, uint64_t len)
{
	struct iovec window[WINDOW];
	uint32_t count;
	int64_t n;

	while (len > 0) {
		count = vcore__iov_window(&at, window, WINDOW, len);
		n = call(f, write, window, count, off);
		if (n < 0)
			return (int)n;
		if (n == 0 && write)
			return -EIO;
		vcore__iov_advance(&at, (uint64_t)n);
		off += (uint64_t)n;
		len -= (uint64_t)n;
		if (!write && (n == 0 || (f->direct && n % SECTOR != 0))) {
			vcore__iov_zero(&at);
			return 0;
		}
	}
	return 0;
}

static int
transfer_one(const struct vcore__file *f, bool write, const void *buf,
	     uint64_t off, uint64_t len)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct vcore__iov at = { .iov = &iov, .count = 1 };

	return transfer(f, write, at, off, len);
}

/* A guest's buffers may be anywhere; direct I/O wants them aligned. */
static bool
needs_bounce(const struct vcore__file *f, const struct vcore_disk_request *req)
{
	const struct iovec *v = req->iov;

	if (!f->direct)
		return false;
	for (uint32_t i = 0; i < req->iov_count; i++)
		if ((uintptr_t)v[i].iov_base % f->mem_align != 0 ||
		    v[i].iov_len % f->logical_block != 0)
			return true;
	return false;
}

static int
bounce(const struct vcore__file *f, bool write,
       const struct vcore_disk_request *req)
{
	struct vcore__iov at = { .iov = req->iov, .count = req->iov_count };
	uint64_t done, n;
	void *buf;
	int rc = 0;

	if (posix_memalign(&buf, BOUNCE_ALIGN,
			   req->len < BOUNCE ? req->len : BOUNCE) != 0)
		return -ENOMEM;
	for (done = 0; rc == 0 && done < req->len; done += n) {
		n = req->len - done < BOUNCE ? req->len - done : BOUNCE;
		if (write)
			vcore__iov_copy_from(&at, buf, n);
		rc = transfer_one(f, write, buf, req->offset + done, n);
		if (rc == 0 && !write)
			vcore__iov_copy_to(&at, buf, n);
	}
	free(buf);
	return rc;
}

static int
read_write(const struct vcore__file *f, const struct vcore_disk_request *req)
{
	struct vcore__iov at = { .iov = req->iov, .count = req->iov_count };
	bool write = req->op == VCORE_DISK_WRITE;

	if (vcore__iov_len(req->iov, req->iov_count) != req->len)
		return -EINVAL;
	if (needs_bounce(f, req))
		return bounce(f, write, req);
	return transfer(f, write, at, req->offset, req->len);
}

static int
fallocate_all(const struct vcore__file *f, int mode, uint64_t off, uint64_t len)
{
	int rc;

	do {
		rc = f->sys->fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE,
				       (off_t)off, (off_t)len);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

static bool
is_unsupported(int rc)
{
	return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -ENODEV;
}

static int
discard(const struct vcore__file *f, const struct vcore_disk_request *req)
{
	int rc = fallocate_all(f, FALLOC_FL_PUNCH_HOLE, req->offset, req->len);

	/* It is advice: keeping the bytes is allowed. */
	return is_unsupported(rc) ? 0 : rc;
}

static int
write_zeroes(const struct vcore__file *f, const struct vcore_disk_request *req)
{
	uint64_t done, n;
	int rc = -EOPNOTSUPP;

	if (req->flags & VCORE_DISK_MAY_UNMAP)
		rc = fallocate_all(f, FALLOC_FL_PUNCH_HOLE, req->offset,
				   req->len);
	if (is_unsupported(rc))
		rc = fallocate_all(f, FALLOC_FL_ZERO_RANGE, req->offset,
				   req->len);
	if (!is_unsupported(rc))
		return rc;
	for (rc = 0, done = 0; rc == 0 && done < req->len; done += n) {
		n = req->len - done < ZEROES ? req->len - done : ZEROES;
		rc = transfer_one(f, true, zeroes, req->offset + done, n);
	}
	return rc;
}

/*
 * The kernel tells a failed write-back once and takes the pages for clean, so
 * the next fdatasync() would succeed with the bytes lost.
 */
static int
flush(struct vcore__file *f)
{
	int rc = atomic_load(&f->flush_error);

	if (rc < 0)
		return rc;
	do {
		rc = f->sys->fdatasync(f->fd);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		rc = -errno;
		atomic_store(&f->flush_error, rc);
	}
	return rc;
}

int
vcore__file_run(struct vcore__file *f, const struct vcore_disk_request *req)
{
	if (req->op == VCORE_DISK_FLUSH)
		return flush(f);
	if (!vcore__range_fits(req->offset, req->len, f->capacity))
		return -EINVAL;
	if (req->op != VCORE_DISK_READ && f->readonly)
		return -EROFS;
	if (req->len == 0)
		return 0;
	if (req->op == VCORE_DISK_DISCARD)
		return discard(f, req);
	if (req->op == VCORE_DISK_WRITE_ZEROES)
		return write_zeroes(f, req);
	return read_write(f, req);
}
