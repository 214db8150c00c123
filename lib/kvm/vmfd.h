/* SPDX-License-Identifier: BSD-3-Clause */
/* The VM descriptor, counted: interrupts may outlive their VM. */
#ifndef VCORE_LIB_KVM_VMFD_H
#define VCORE_LIB_KVM_VMFD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/host.h"

struct vcore__vmfd {
	struct vcore_host *host;	/* counted */
	int fd;
	_Atomic uint32_t refs;
};

/* Takes over fd if it succeeds. NULL: out of memory. */
struct vcore__vmfd *
vcore__vmfd_new(struct vcore_host *host, int fd);

struct vcore__vmfd *
vcore__vmfd_ref(struct vcore__vmfd *vmfd);

void
vcore__vmfd_unref(struct vcore__vmfd *vmfd);

/* Is the caller's reference the only one? */
bool
vcore__vmfd_is_last(struct vcore__vmfd *vmfd);

static inline int
vcore__vmfd_ioctl(const struct vcore__vmfd *vmfd, unsigned long request,
		  void *arg)
{
	return vcore__kvm_ioctl(&vmfd->host->kvm, vmfd->fd, request, arg);
}

#endif
