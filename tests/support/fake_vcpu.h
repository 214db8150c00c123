/* SPDX-License-Identifier: BSD-3-Clause */
/* A vCPU on a fake KVM, for unit tests of layer vcpu. */
#ifndef VCORE_TESTS_FAKE_VCPU_H
#define VCORE_TESTS_FAKE_VCPU_H

#include <vcore/vcpu.h>

#include "support/fake_kvm.h"

struct fake_vcpu {
	struct fake_kvm kvm;
	struct vcore_host *host;
	struct vcore_memory *memory;
	struct vcore_bus *pio;
	struct vcore_bus *mmio;
	struct vcore_vm *vm;
	struct vcore_vcpu *vcpu;
};

#define FAKE_VCPU_BARE (1u << 0)	/* no buses */

/* One vCPU, id 0, with these VCORE_VCPU_* flags; asserts. */
void
fake_vcpu_new(struct fake_vcpu *f, uint32_t irqchip, uint32_t vcpu_flags,
	      uint32_t flags);
/* Also asserts that nothing is left open. */
void
fake_vcpu_free(struct fake_vcpu *f);

#endif
