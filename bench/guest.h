/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest of benchmarks: 64-bit ring 3, which is native on every KVM. */
#ifndef VCORE_BENCH_GUEST_H
#define VCORE_BENCH_GUEST_H

#include <linux/kvm.h>
#include <stdint.h>

#define GUEST_MEMORY (128u << 10)
#define GUEST_CODE   0x1000u
#define GUEST_PORT   0x4000u
#define GUEST_MMIO   0x3fff0000u	/* mapped by the guest, no memory there */

/*
 * Code and page tables into its memory, GUEST_MEMORY bytes at 0. It writes a
 * byte to GUEST_PORT or four to GUEST_MMIO, over and over.
 */
void
guest_fill(uint8_t *ram, int mmio);

/* sregs: as KVM gave them. To the start of the guest, port accesses allowed. */
void
guest_state(struct kvm_sregs *sregs, struct kvm_regs *regs);

#endif
