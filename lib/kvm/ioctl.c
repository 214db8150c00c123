/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of system calls, as the kernel does them. */
#include "kvm/ioctl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rcu.h"

static int
real_open(void *opaque, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)opaque;
	return fd < 0 ? -errno : fd;
}

VCORE__HOT static int
real_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	int rc = ioctl(fd, request, arg);

	(void)opaque;
	return rc < 0 ? -errno : rc;
}

static int
real_mmap(void *opaque, int fd, size_t len, void **area)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)opaque;
	if (p == MAP_FAILED)
		return -errno;
	*area = p;
	return 0;
}

static void
real_munmap(void *opaque, void *area, size_t len)
{
	(void)opaque;
	munmap(area, len);
}

static void
real_close(void *opaque, int fd)
{
	(void)opaque;
	close(fd);
}

const struct vcore__kvm_ops vcore__kvm_real = {
	.open = real_open,
	.ioctl = real_ioctl,
	.mmap = real_mmap,
	.munmap = real_munmap,
	.close = real_close,
};
