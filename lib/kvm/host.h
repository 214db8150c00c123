/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a host's KVM: its table of system calls, what it can do. */
#ifndef VCORE_LIB_KVM_HOST_H
#define VCORE_LIB_KVM_HOST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <vcore/host.h>

#include "kvm/ioctl.h"

/* Capabilities with lower numbers are asked for once. */
#define VCORE__HOST_CAPS 256u

struct vcore_host {
	struct vcore__kvm kvm;
	int fd;
	_Atomic uint32_t refs;
	size_t run_len;			/* of a vCPU's run area */
	struct vcore_log *log;		/* counted; or NULL */
	_Atomic int32_t caps[VCORE__HOST_CAPS];	/* answer + 1; 0: not asked */
};

/* vcore_host_open() on a table of one's own: tests. opts as there. */
int
vcore__host_open(const struct vcore_host_opts *opts,
		 const struct vcore__kvm *kvm, struct vcore_host **host);

/* KVM_CHECK_EXTENSION's answer; 0 if it failed. */
uint32_t
vcore__host_cap(struct vcore_host *host, uint32_t cap);

#endif
