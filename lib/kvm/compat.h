/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM's interface, with what headers of Linux 6.1 do not have yet. */
#ifndef VCORE_LIB_KVM_COMPAT_H
#define VCORE_LIB_KVM_COMPAT_H

#include <linux/kvm.h>
#include <stdint.h>

/* Linux 6.8: why KVM_RUN failed with EFAULT. */
#define VCORE__KVM_EXIT_MEMORY_FAULT 39u

/* The union member of struct kvm_run that goes with it. */
struct vcore__kvm_memory_fault {
	uint64_t flags;
	uint64_t gpa;
	uint64_t size;
};

_Static_assert(KVM_API_VERSION == 12, "the only version there ever was");

#endif
