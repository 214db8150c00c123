/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines on this machine's KVM with tiny guests, for tests of rig kvm. */
#ifndef VCORE_TESTS_MACHINE_H
#define VCORE_TESTS_MACHINE_H

#include <stdatomic.h>
#include <stdint.h>

#include <vcore/machine.h>

#include "support/guests/machine.h"
#include "support/kvm.h"
#include "support/support.h"

#define MACHINE_MEMORY (1u << 20)

/* One guest: its code, and what it pokes, by the number of the boot. */
struct machine_guest {
	const uint8_t *start, *end;
	const uint16_t *pokes;		/* pairs, POKE_END; or NULL */
	const uint16_t *pokes_again;	/* from the second boot on; or NULL */
	_Atomic uint32_t boots;		/* how often it was loaded */
};

/* struct machine_guest: { MACHINE_GUEST(count) } */
#define MACHINE_GUEST(name) .start = guest_##name, .end = guest_##name##_end

/* This machine's KVM, opened once. */
extern struct vcore_host *machine_host;
/* Opens it; KVM_SKIPPED: there is none. To be called first in main(). */
int
machine_tests_begin(void);
/* support_run(), and the host is closed. */
int
machine_tests_run(Suite *suite);

/* 1 MiB, the host, and the guest, loaded by boot(). */
void
machine_opts(struct vcore_machine_opts *opts, struct machine_guest *guest);
/* A machine of these options. */
struct vcore_machine *
machine_new(struct machine_guest *guest, uint32_t flags);
/* The boot method: opaque is a struct machine_guest. */
int
machine_boot(void *opaque, struct vcore_machine *machine);

/* A new file: an ELF kernel of this 64-bit code. Its descriptor. */
#define MACHINE_KERNEL_GPA 0x100000u
#define MACHINE_KERNEL_LEN 1024u
int
machine_kernel(const uint8_t *start, const uint8_t *end);

/* What the guest has at GUEST_DATA. */
uint32_t
machine_data(struct vcore_machine *machine);
/* Wait until it is another number (within a generous time), which is returned. */
uint32_t
machine_wait_data(struct vcore_machine *machine, uint32_t old);
/* Wait until this many bytes came out of a ring; they are compared. */
void
machine_wait_text(struct vcore_stream *ring, const char *text);
/* Wait for an event by next(); asserts its kind. */
void
machine_wait_event(struct vcore_machine *machine, uint32_t kind);

/* Threads of this process. */
int
machine_threads(void);
/* Joined threads may be counted a moment longer: wait for at most so many. */
void
machine_wait_threads(int count);

#endif
