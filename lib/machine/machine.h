/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a machine: what its files share. */
#ifndef VCORE_LIB_MACHINE_MACHINE_H
#define VCORE_LIB_MACHINE_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/machine.h>
#include <vcore/platform.h>

#include "base/event.h"
#include "base/part.h"
#include "loop/thread.h"

/* How long control waits for vCPUs and for devices before it gives up. */
#define VCORE__MACHINE_STOP_NS 10000000000ull

#define VCORE__MACHINE_MAX_CPUS    255u	/* APIC id 255 is everybody */
#define VCORE__MACHINE_MAX_LOOPS   64u
#define VCORE__MACHINE_MAX_DEVICES 64u
#define VCORE__MACHINE_MAX_PARTS   (VCORE__MACHINE_MAX_DEVICES + 16u)

/* Guest-physical layout; docs/architecture.md shows it as a picture. */
#define VCORE__LAYOUT_ACPI        0x000e0000ull	/* RSDP and tables */
#define VCORE__LAYOUT_ACPI_LEN    0x0001fff0ull
#define VCORE__LAYOUT_RESET       0x000ffff0ull	/* the CPU's reset vector */
#define VCORE__LAYOUT_HOLE        0xc0000000ull	/* end of low RAM at most */
#define VCORE__LAYOUT_PCI32       0xc0000000ull
#define VCORE__LAYOUT_PCI32_LEN   0x10000000ull
#define VCORE__LAYOUT_VIRTIO      0xd0000000ull	/* virtio-mmio windows */
#define VCORE__LAYOUT_VIRTIO_STEP 0x00001000ull
#define VCORE__LAYOUT_ECAM        0xe0000000ull
#define VCORE__LAYOUT_IOAPIC      0xfec00000ull
#define VCORE__LAYOUT_HIGH        0x100000000ull	/* high RAM */

/* Interrupt lines (GSI) of the chips; others go to virtio-mmio devices. */
#define VCORE__GSI_UART 4u
#define VCORE__GSI_RTC  8u
#define VCORE__GSI_SCI  9u
#define VCORE__GSIS     24u

struct vcore__machine_cpu {
	struct vcore_machine *machine;
	struct vcore_vcpu *vcpu;
	void *thread;		/* the spawner's handle; may be NULL */
	bool started;		/* thread is to be joined; control only */
	/* By machine's lock. */
	bool held;		/* outside run, and stays there */
	bool stalled;		/* failed: does not run before a reset */
};

struct vcore__machine_loop {
	struct vcore_loop *loop;
	void *thread;		/* the spawner's handle; may be NULL */
	bool started;		/* never, if the loop is the embedder's */
};

struct vcore__machine_device {
	struct vcore_virtio *virtio;
	struct vcore_irq *irq;	/* MMIO: its line; NULL with PCI */
};

/* A backend kind taught by vcore_machine_add_*_kind(). */
struct vcore__machine_kind {
	struct vcore__machine_kind *next;
	vcore_disk_maker disk;	/* one of the two */
	vcore_link_maker link;
	void *opaque;
	char name[];
};

struct vcore_machine {
	_Atomic uint32_t refs;
	_Atomic uint32_t state;		/* enum vcore_machine_state */

	/* Fixed at creation. */
	struct vcore_machine_opts opts;	/* pointers: the machine's own copies
					   and references */
	int kernel_fd, initrd_fd;	/* -1: none */
	uint64_t stop_ns;		/* how long control waits for the rest */
	struct vcore__spawner spawner;
	struct vcore_host *host;
	struct vcore_memory *memory;
	struct vcore_events *events;
	struct vcore__event_slot stop_event;
	struct vcore_bus *pio, *mmio;
	struct vcore_vm *vm;
	struct vcore_irqchip *irqchip;	/* lines and messages; borrowed */
	struct vcore_pci_bus *pci;
	struct vcore__machine_chips *chips;
	uint32_t loop_count, cpu_count;
	struct vcore__machine_loop *loops;
	struct vcore__machine_cpu *cpus;

	/*
	 * Held during every call that changes what the machine is made of or
	 * its state, also while that waits. Never taken on a loop or a vCPU.
	 */
	pthread_mutex_t control;
	struct vcore__machine_kind *kinds;
	struct vcore_pool *pool;	/* of all `disk=file`; NULL: none yet */
	uint32_t device_count, part_count;
	struct vcore__machine_device device[VCORE__MACHINE_MAX_DEVICES];
	struct vcore__part part[VCORE__MACHINE_MAX_PARTS];
	uint32_t gsis;			/* bit n: line n is taken */
	uint32_t mmio_devices;

	/* Between vCPU threads and control; taken by both for a moment. */
	pthread_mutex_t lock;
	pthread_cond_t changed;		/* CLOCK_MONOTONIC */
	bool hold, quit;
};

/* control.c */
/*
 * Begin a call that may wait: 0, and control is held until leave; or -EINVAL
 * (m is NULL), -EDEADLK (in a callback), with text.
 */
int vcore__machine_enter(struct vcore_machine *m, const char *who);
void vcore__machine_leave(struct vcore_machine *m);
/* The same, and only a new machine passes: -EBUSY. */
int vcore__machine_enter_new(struct vcore_machine *m, const char *who);

/* A layer below has failed: rc, and its text says which call it was in. */
int vcore__machine_error(struct vcore_machine *m, int rc, const char *who);

/* chips.c: everything that is not a virtio device. */
int vcore__machine_chips_new(struct vcore_machine *m);
void vcore__machine_chips_free(struct vcore_machine *m);
/* An edge line nobody has, for a virtio-mmio device; -ENOSPC. */
int vcore__machine_take_line(struct vcore_machine *m, uint32_t *gsi);
/* Tell ACPI of a virtio-mmio device. */
int vcore__machine_chips_add_mmio(struct vcore_machine *m, uint64_t base,
				  uint32_t gsi);
/* Write the ACPI tables; *rsdp: where the guest finds them. */
int vcore__machine_chips_write(struct vcore_machine *m, uint64_t *rsdp);

/* load.c: bytes into memory, registers into the first vCPU. */
int vcore__machine_load(struct vcore_machine *m, const char *who);

/* cpus.c: threads that run vCPUs. */
int vcore__machine_cpus_new(struct vcore_machine *m);
void vcore__machine_cpus_free(struct vcore_machine *m);
/* Held. An error: some may have been started; quit joins them. */
int vcore__machine_cpus_start(struct vcore_machine *m);
/* All outside run and staying there; -ETIMEDOUT: all run on. */
int vcore__machine_cpus_hold(struct vcore_machine *m, const char *who);
void vcore__machine_cpus_release(struct vcore_machine *m);
void vcore__machine_cpus_quit(struct vcore_machine *m);	/* and join */
/* Held: to the state after creation. */
int vcore__machine_cpus_reset(struct vcore_machine *m);

/* parts.c: devices and chips as parts. */
void vcore__machine_add_part(struct vcore_machine *m,
			     const struct vcore__part *part);
/* Asks all, waits for all; -ETIMEDOUT: some have not stopped. */
int vcore__machine_parts_stop(struct vcore_machine *m, enum vcore__stop how,
			      const char *who);
int vcore__machine_parts_start(struct vcore_machine *m, const char *who);
void vcore__machine_parts_reset(struct vcore_machine *m);

/* loops.c: threads that run device loops. */
int vcore__machine_loops_new(struct vcore_machine *m);
void vcore__machine_loops_free(struct vcore_machine *m);
/* An error: some may have been started; quit joins them. */
int vcore__machine_loops_start(struct vcore_machine *m);
void vcore__machine_loops_quit(struct vcore_machine *m);
/* Run what freed chips and devices have posted; no thread does any more. */
void vcore__machine_loops_drain(struct vcore_machine *m);

#endif
