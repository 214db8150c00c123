/* SPDX-License-Identifier: BSD-3-Clause */
/* The one table through which every system call on KVM goes. */
#ifndef VCORE_LIB_KVM_IOCTL_H
#define VCORE_LIB_KVM_IOCTL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Methods return a value >= 0 or a negative errno value; never -1 with errno.
 * Descriptors are ordinary ones of the process, also a test's.
 */
struct vcore__kvm_ops {
	int (*open)(void *opaque, const char *path);
	int (*ioctl)(void *opaque, int fd, unsigned long request, void *arg);
	int (*mmap)(void *opaque, int fd, size_t len, void **area);
	void (*munmap)(void *opaque, void *area, size_t len);
	void (*close)(void *opaque, int fd);
};

/* A table and its first argument; carried by vcore_host. */
struct vcore__kvm {
	const struct vcore__kvm_ops *ops;
	void *opaque;
};

/* The kernel's KVM. opaque is unused. */
extern const struct vcore__kvm_ops vcore__kvm_real;

static inline int
vcore__kvm_ioctl(const struct vcore__kvm *kvm, int fd, unsigned long request,
		 void *arg)
{
	return kvm->ops->ioctl(kvm->opaque, fd, request, arg);
}

/* For ioctls that take a number. */
static inline int
vcore__kvm_ioctl_n(const struct vcore__kvm *kvm, int fd,
		   unsigned long request, uint64_t n)
{
	return kvm->ops->ioctl(kvm->opaque, fd, request,
			       (void *)(uintptr_t)n);
}

#endif
