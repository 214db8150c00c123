/* SPDX-License-Identifier: BSD-3-Clause */
/* The VM descriptor, counted. */
#include "kvm/vmfd.h"

#include <stdlib.h>

struct vcore__vmfd *
vcore__vmfd_new(struct vcore_host *host, int fd)
{
	struct vcore__vmfd *vmfd = calloc(1, sizeof(*vmfd));

	if (!vmfd)
		return NULL;
	vmfd->host = vcore_host_ref(host);
	vmfd->fd = fd;
	vmfd->refs = 1;
	return vmfd;
}

struct vcore__vmfd *
vcore__vmfd_ref(struct vcore__vmfd *vmfd)
{
	atomic_fetch_add(&vmfd->refs, 1);
	return vmfd;
}

void
vcore__vmfd_unref(struct vcore__vmfd *vmfd)
{
	struct vcore__kvm *kvm;

	if (!vmfd || atomic_fetch_sub(&vmfd->refs, 1) > 1)
		return;
	kvm = &vmfd->host->kvm;
	kvm->ops->close(kvm->opaque, vmfd->fd);
	vcore_host_unref(vmfd->host);
	free(vmfd);
}

bool
vcore__vmfd_is_last(struct vcore__vmfd *vmfd)
{
	return atomic_load(&vmfd->refs) == 1;
}
