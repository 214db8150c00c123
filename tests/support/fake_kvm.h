/* SPDX-License-Identifier: BSD-3-Clause */
/* A KVM without a kernel: answers, remembers, fails on command. */
#ifndef VCORE_TESTS_FAKE_KVM_H
#define VCORE_TESTS_FAKE_KVM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/host.h>

#include "kvm/compat.h"
#include "kvm/ioctl.h"

#define FAKE_CALLS 4096
#define FAKE_CAPS  256
#define FAKE_MSRS  4
/* What fake_kvm answers. */
#define FAKE_SLOTS 6
#define FAKE_ROUTES 28		/* GSIs: 24 pins and 4 messages */
#define FAKE_VCPUS 4
#define FAKE_IDS 8
#define FAKE_RUNS 16

/* open and mmap as "requests" */
#define FAKE_OPEN 1ul
#define FAKE_MMAP 2ul

struct fake_call {
	unsigned long request;
	int fd;
	int rc;
	uint64_t arg;		/* number, or the pointer */
	union {			/* copies of what matters */
		struct kvm_userspace_memory_region slot;
		struct kvm_ioeventfd bell;
		struct kvm_irqfd irqfd;
		struct kvm_irq_level level;
		struct kvm_msi msi;
		struct kvm_enable_cap cap;
		struct kvm_mp_state mp;
		struct kvm_pit_config pit;
		uint8_t sigset[8];
	} u;
};

struct fake_kvm {
	struct vcore__kvm kvm;		/* give this to vcore__host_open() */
	pthread_mutex_t lock;
	struct fake_call call[FAKE_CALLS];
	uint32_t calls;
	uint32_t open;			/* descriptors */
	uint32_t maps;
	int caps[FAKE_CAPS];
	/* Fail: the nth call from now (1: the next), or all of a request. */
	uint32_t fail_at;
	unsigned long fail_request;
	int fail_error;			/* positive; default ENOMEM */
	bool fail_here;			/* only calls of this thread count: */
	pthread_t fail_thread;
	bool failed;			/* it came to that */
	/* What the kernel holds. */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint32_t mmu_loads;		/* new CR3s: KVM sets the MMU up again */
	struct kvm_msr_entry msr[FAKE_MSRS];
	uint32_t msr_refused;		/* index + 1 of one that can't be had */
	struct kvm_irq_routing_entry routes[128];
	uint32_t nroutes;
	struct kvm_cpuid_entry2 cpuid[64];	/* last KVM_SET_CPUID2 */
	uint32_t ncpuid;
	/* KVM_RUN: fills run, returns 0 or a negative errno value. */
	int (*run)(struct fake_kvm *fake, struct kvm_run *run);
	void *opaque;
	struct kvm_run *area;		/* of the last vCPU */
	struct {
		int fd;
		struct kvm_run *area;
	} run_of[FAKE_RUNS];		/* of each, by its descriptor */
};

void
fake_kvm_init(struct fake_kvm *fake);

/* Opens a host on it; asserts. */
struct vcore_host *
fake_kvm_host(struct fake_kvm *fake);

/* Calls of a request so far. */
uint32_t
fake_kvm_count(struct fake_kvm *fake, unsigned long request);

/* Last call of a request; asserts that there is one. */
const struct fake_call *
fake_kvm_last(struct fake_kvm *fake, unsigned long request);

/* Forget the calls. */
void
fake_kvm_clear(struct fake_kvm *fake);

#endif
