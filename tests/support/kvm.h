/* SPDX-License-Identifier: BSD-3-Clause */
/* A small VM on this machine's KVM, for tests of rig kvm. */
#ifndef VCORE_TESTS_KVM_H
#define VCORE_TESTS_KVM_H

#include <stdint.h>

#include <vcore/vcpu.h>
#include <vcore/vm.h>

#include "support/guests/guests.h"

#define KVM_BED_MEMORY (1u << 20)

/*
 * This machine's KVM: the descriptor VCORE_TEST_KVM_FD if that is set, else
 * /dev/kvm. NULL after a line on stderr that says why not: main() then
 * returns KVM_SKIPPED.
 */
#define KVM_SKIPPED 77
struct vcore_host *
kvm_host(void);

struct kvm_bed {
	struct vcore_host *host;
	struct vcore_region *region;
	struct vcore_memory *memory;
	struct vcore_bus *pio;
	struct vcore_bus *mmio;
	struct vcore_vm *vm;
	struct vcore_vcpu *vcpu;	/* id 0 */
};

/* 1 MiB of memory at 0, both buses unless bare, one vCPU. Asserts. */
#define KVM_BED_BARE (1u << 0)
/* Its vCPU is VCORE_VCPU_SIGNAL_HANDLED, and the handler is there. */
#define KVM_BED_HANDLED (1u << 1)
void
kvm_bed_new(struct kvm_bed *bed, uint32_t irqchip, uint32_t flags);
void
kvm_bed_free(struct kvm_bed *bed);

/* Install vcore_vcpu_kick_handler() for SIGRTMIN. */
void
kvm_handle_kicks(void);

/* Bytes into memory. */
void
kvm_bed_load(struct kvm_bed *bed, uint64_t gpa, const uint8_t *start,
	     const uint8_t *end);

/* Enter guest_NAME at GUEST_CODE: 32 bit flat, ring 0, GDT at 0x3000. */
void
kvm_bed_flat32(struct kvm_bed *bed, struct vcore_vcpu *vcpu);
#define kvm_bed_guest(bed, name)                                          \
	(kvm_bed_load((bed), GUEST_CODE, guest_##name, guest_##name##_end), \
	 kvm_bed_flat32((bed), (bed)->vcpu))

/* Enter 64 bit ring 3, ports allowed, 1 GiB mapped: native speed everywhere. */
void
kvm_bed_ring3(struct kvm_bed *bed, struct vcore_vcpu *vcpu, uint64_t ecx);

#endif
