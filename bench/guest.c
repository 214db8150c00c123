/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest of benchmarks: 64-bit ring 3, which is native on every KVM. */
#include "guest.h"

#include <string.h>

#define TABLES 0x10000u

/* out %al, %dx; jmp back */
static const uint8_t pio_code[] = { 0xee, 0xeb, 0xfd };
/* mov %eax, (%rbx); jmp back */
static const uint8_t mmio_code[] = { 0x89, 0x03, 0xeb, 0xfc };

void
guest_fill(uint8_t *ram, int mmio)
{
	uint64_t *table = (void *)(ram + TABLES), i;

	if (mmio)
		memcpy(ram + GUEST_CODE, mmio_code, sizeof(mmio_code));
	else
		memcpy(ram + GUEST_CODE, pio_code, sizeof(pio_code));
	/* 1 GiB, for everyone to write, in pages of 2 MiB. */
	table[0] = (TABLES + 0x1000) | 7;
	table[512] = (TABLES + 0x2000) | 7;
	for (i = 0; i < 512; i++)
		table[1024 + i] = i << 21 | 0x87;
}

void
guest_state(struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	struct kvm_segment s = { .limit = 0xffffffff, .selector = 0x33,
				 .type = 11, .present = 1, .dpl = 3, .s = 1,
				 .l = 1, .g = 1 };

	sregs->cs = s;
	s.selector = 0x2b;
	s.type = 3;
	s.l = 0;
	s.db = 1;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = s;
	sregs->ldt.unusable = 1;
	sregs->ldt.present = 0;
	sregs->cr0 = 0x80050033;
	sregs->cr3 = TABLES;
	sregs->cr4 = 0x20;
	sregs->efer = 0xd01;
	memset(regs, 0, sizeof(*regs));
	regs->rip = GUEST_CODE;
	regs->rdx = GUEST_PORT;
	regs->rbx = GUEST_MMIO;
	regs->rflags = 0x3202;	/* IOPL 3 */
}
