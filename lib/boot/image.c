/* SPDX-License-Identifier: BSD-3-Clause */
/* Images: bytes of a file or of memory, read within bounds. */
#include "boot/boot.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/base.h"

/* A pin covers this much at a time; regions are at least a page. */
#define PIECE (256u << 10)
#define PIECE_IOVS (PIECE / 4096 + 1)

static int
file_size(struct vcore__image *image)
{
	struct stat st;

	if (fstat(image->fd, &st) < 0)
		return VCORE__BOOT_ERR(-errno, "%s: fstat: %m", image->name);
	if (S_ISREG(st.st_mode)) {
		image->len = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return VCORE__BOOT_ERR(-EINVAL,
				       "%s is neither a regular file nor a block device",
				       image->name);
	if (ioctl(image->fd, BLKGETSIZE64, &image->len) < 0)
		return VCORE__BOOT_ERR(-errno, "%s: BLKGETSIZE64: %m",
				       image->name);
	return 0;
}

int
vcore__image_open(struct vcore__image *image, const char *what,
		  const char *path, int fd, const void *data, uint64_t len)
{
	int rc;

	image->name = image->buf;
	image->data = data;
	image->len = len;
	image->fd = -1;
	image->close_fd = false;
	if (data) {
		snprintf(image->buf, sizeof(image->buf), "%s in memory", what);
		return 0;
	}
	image->fd = fd;
	snprintf(image->buf, sizeof(image->buf), "%s in fd %d", what, fd);
	if (path)
		image->name = path;
	if (path && fd < 0) {
		image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		image->close_fd = image->fd >= 0;
		if (image->fd < 0)
			return VCORE__BOOT_ERR(-errno, "cannot open %s %s: %m",
					       what, path);
	}
	rc = file_size(image);
	if (rc < 0)
		vcore__image_close(image);
	return rc;
}

void
vcore__image_close(struct vcore__image *image)
{
	if (image->close_fd)
		close(image->fd);
	image->close_fd = false;
	image->fd = -1;
}

static int
check(const struct vcore__image *image, uint64_t off, uint64_t len)
{
	if (vcore__range_fits(off, len, image->len))
		return 0;
	return VCORE__BOOT_ERR(-ENOEXEC,
			       "%s: [%#llx, + %#llx) is outside of its %#llx bytes",
			       image->name, VCORE__ULL(off), VCORE__ULL(len),
			       VCORE__ULL(image->len));
}

/* preadv until all is there. */
static int
read_all(const struct vcore__image *image, uint64_t off, struct iovec *iov,
	 int count)
{
	ssize_t n;

	while (count > 0) {
		n = preadv(image->fd, iov, count, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return VCORE__BOOT_ERR(n < 0 ? -errno : -EIO,
					       "%s: cannot read at %#llx: %s",
					       image->name, VCORE__ULL(off),
					       n < 0 ? vcore__strerror(-errno) :
						       "it ends");
		off += (uint64_t)n;
		while (count > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int
vcore__image_read(const struct vcore__image *image, uint64_t off, void *buf,
		  uint64_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	int rc;

	rc = check(image, off, len);
	if (rc < 0)
		return rc;
	if (image->data) {
		memcpy(buf, image->data + off, len);
		return 0;
	}
	return len ? read_all(image, off, &iov, 1) : 0;
}

/* One piece straight into pinned memory. */
static int
load_piece(const struct vcore__image *image, uint64_t off,
	   struct vcore_memory *memory, uint64_t gpa, uint64_t len)
{
	struct iovec iov[PIECE_IOVS];
	struct vcore_pin pin;
	int n, rc;

	n = vcore_memory_pin(memory, gpa, len, VCORE_PIN_WRITE, iov, PIECE_IOVS,
			     &pin);
	if (n < 0)
		return VCORE__BOOT_ERR(-ENOSPC, "%s: %s", image->name,
				       vcore_error_text());
	rc = read_all(image, off, iov, n);
	vcore_memory_unpin(memory, &pin);
	return rc;
}

int
vcore__image_load(const struct vcore__image *image, uint64_t off,
		  struct vcore_memory *memory, uint64_t gpa, uint64_t len)
{
	uint64_t n;
	int rc;

	rc = check(image, off, len);
	if (rc == 0 && image->data) {
		rc = vcore_memory_write(memory, gpa, image->data + off, len);
		if (rc < 0)
			rc = VCORE__BOOT_ERR(-ENOSPC, "%s: %s", image->name,
					     vcore_error_text());
		return rc;
	}
	while (rc == 0 && len > 0) {
		n = len < PIECE ? len : PIECE;
		rc = load_piece(image, off, memory, gpa, n);
		off += n;
		gpa += n;
		len -= n;
	}
	return rc;
}
