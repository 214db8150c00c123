/* SPDX-License-Identifier: BSD-3-Clause */
/* The freestanding guests of machine.S: from a symbol to its _end. */
#ifndef VCORE_TESTS_GUESTS_MACHINE_H
#define VCORE_TESTS_GUESTS_MACHINE_H

#include "guests.h"

/* What guest_pokes does, one after the other: pairs of port, value. */
#define GUEST_POKES 0xb000
/* Ends the list: a port that is not poked. */
#define POKE_END 0
/* Instead of a port: read the one given as value, keep it at GUEST_DATA. */
#define POKE_READ 0xffff
#define POKE_SERIAL 0x3f8
#define POKE_PANIC 0x505
#define POKE_SLEEP 0x600
#define POKE_S5 0x34		/* type 5, enable */
#define POKE_RESET 0x64
#define POKE_PULSE 0xfe
/* Where guest_kernel counts how often it was entered. */
#define GUEST_BOOTS 0x40000

#ifndef __ASSEMBLER__
#define GUEST(name) \
	extern const uint8_t guest_##name[], guest_##name##_end[]

GUEST(pokes);	/* the list at GUEST_POKES; hlt */
GUEST(insn_off);	/* an instruction KVM does not know; power-off */
GUEST(count);	/* increments GUEST_DATA for ever */
GUEST(smp_all);	/* INIT, SIPI to all; waits until GUEST_DATA is the number at
		   GUEST_POKES; 'S' to the serial port; power-off */
GUEST(ap_all);	/* real mode: increments GUEST_DATA; hlt */
GUEST(ap_fault);	/* real mode, then protected mode: triple fault */
GUEST(kernel);	/* says command line, 'R', initrd; reset until booted thrice;
		   then power-off */
GUEST(echo);	/* 64 bit: '!', then what comes in, until 'q': power-off */
GUEST(panic);	/* 64 bit: pvpanic, then power-off */
GUEST(fault64);	/* 64 bit: triple fault */
#undef GUEST
#endif

#endif
