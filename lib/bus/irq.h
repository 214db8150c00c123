/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of interrupts: what the chips (kvm, the IOAPIC) see of a line. */
#ifndef VCORE_LIB_BUS_IRQ_H
#define VCORE_LIB_BUS_IRQ_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <vcore/irq.h>

struct vcore_irqchip {
	struct vcore_irqchip_ops ops;	/* a full copy */
	void *opaque;
	void (*release)(void *opaque);
	_Atomic uint32_t refs;
	uint32_t reserved0;
};

/* vcore_irq.state: what decides how a raise travels; read without the lock */
#define VCORE__IRQ_HOOKED (1u << 0)	/* the chip consumes the fd */
#define VCORE__IRQ_MASKED (1u << 1)	/* or a message without address */

/*
 * Lock order: an irq's lock, then the chip's locks, then locks of an irq that
 * this chip has made on the chip below. Ops run with the irq's lock held.
 */
struct vcore_irq {
	struct vcore_irqchip *chip;	/* counted */
	void *chip_data;
	pthread_mutex_t lock;		/* the fields below it */
	uint64_t addr;			/* message; 0: none */
	uint32_t data;
	uint32_t masked;		/* what the owner asked for */
	uint32_t level;			/* line: last vcore_irq_set_level() */
	_Atomic uint32_t state;		/* VCORE__IRQ_*; changed under lock */
	_Atomic uint32_t refs;
	uint32_t flags;			/* VCORE_IRQ_*; fixed */
	uint32_t gsi;			/* fixed */
	uint32_t devid;			/* fixed */
	int fd;				/* fixed; non-blocking */
	uint32_t reserved0;
};

#endif
