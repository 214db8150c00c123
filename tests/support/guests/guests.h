/* SPDX-License-Identifier: BSD-3-Clause */
/* The freestanding guests of guests.S: from a symbol to its _end. */
#ifndef VCORE_TESTS_GUESTS_H
#define VCORE_TESTS_GUESTS_H

/* Where guests are loaded and entered. */
#define GUEST_CODE 0x1000
/* A page of memory that guests use as they like. */
#define GUEST_DATA 0x8000
/* What string I/O reads into. */
#define GUEST_DATA2 0xa000
/* IDT of guests with interrupts. */
#define GUEST_IDT 0x4000
/* Real-mode code of other processors: SIPI vector 6. */
#define GUEST_AP 0x6000
/* Nothing is mapped here. */
#define GUEST_MMIO 0xd0000000
/* Ports that no chip of a PC has. */
#define GUEST_PORT 0x510
#define GUEST_PORT2 0x520
#define GUEST_BELL 0x530
/* Vector of guest_irq, and the port its handler writes to. */
#define GUEST_VECTOR 0x40
#define GUEST_IRQ_PORT 0x521

#ifndef __ASSEMBLER__
#include <stdint.h>

#define GUEST(name) \
	extern const uint8_t guest_##name[], guest_##name##_end[]

GUEST(hello);	/* "hello\n" to GUEST_PORT, byte by byte; hlt */
GUEST(string);	/* 4096 bytes DATA -> PORT, PORT2 -> DATA2, words too; hlt */
GUEST(edges);	/* strings from and to nobody, and over the end of RAM; hlt */
GUEST(ports);	/* in from each port; DATA is how many gave all ones; hlt */
GUEST(mmio);	/* widths 1, 2, 4 at MMIO, read back and out; hlt */
GUEST(tight);	/* jmp . */
GUEST(halt);	/* sti; hlt; again */
GUEST(exits);	/* out to GUEST_PORT for ever */
GUEST(fault);	/* triple fault */
GUEST(insn);	/* addps with an operand in MMIO: no emulator has it */
GUEST(irq);	/* enables its APIC, says 'R', halts; 'I' per interrupt */
GUEST(smp);	/* INIT, SIPI to APIC id 1, waits until DATA is 1; 'S' */
GUEST(ap);	/* real mode: DATA = 1, its APIC id to PORT2; hlt */
GUEST(bell);	/* 100 times out to GUEST_BELL, then 'B'; hlt */
GUEST(ring3);	/* 64 bit: ecx times out to GUEST_PORT, then PORT2 */
GUEST(later);	/* in from GUEST_PORT, out of what came to PORT2; again */
#undef GUEST
#endif

#endif
