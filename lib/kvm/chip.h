/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM's interrupt routes and irqfds, behind vcore_irqchip. */
#ifndef VCORE_LIB_KVM_CHIP_H
#define VCORE_LIB_KVM_CHIP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/irq.h>
#include <vcore/log.h>

#include "base/base.h"
#include "kvm/compat.h"
#include "kvm/vmfd.h"

/* Lines of the IOAPIC: GSIs below it are pins, from it on messages. */
#define VCORE__CHIP_PINS 24u

/* One irq. Changed under the chip's lock. */
struct vcore__chip_irq {
	struct vcore__chip_irq *next;	/* routed ones: chip's list */
	struct vcore__chip_irq **prev;	/* NULL: not in the list */
	uint64_t addr;
	uint32_t data;
	uint32_t gsi;
	uint32_t flags;			/* VCORE_IRQ_* */
	int fd;
	bool wanted;			/* the fd is to be consumed */
	bool hooked;			/* KVM consumes it */
	bool high;
};

/* The opaque of a VM's vcore_irqchip; lives as long as that. */
struct vcore__chip {
	struct vcore__vmfd *vmfd;	/* counted */
	struct vcore_log *log;		/* counted; or NULL */
	pthread_mutex_t lock;
	bool split;			/* pins are messages of user space */
	bool irqfd;			/* KVM can */
	bool routing;			/* KVM can */
	bool dirty;			/* routes not in KVM yet */
	uint32_t gsi_end;		/* GSIs are below it */
	uint32_t pins;			/* bitmap: split, in use */
	uint64_t *gsi_used;		/* bitmap from VCORE__CHIP_PINS on */
	struct vcore__chip_irq *routed;	/* list */
	struct kvm_irq_routing *table;	/* scratch for commits */
	uint32_t table_cap;		/* entries */
	uint32_t irqs;			/* attached, any kind */
	uint32_t high[VCORE__CHIP_PINS];	/* sources that hold a pin high */
	struct vcore__ratelimit limit;
	_Atomic uint32_t routes;	/* messages in KVM's table */
	_Atomic uint32_t irqfds;
};

/* The new irqchip's opaque is *chip. Text begins with vcore_vm_new. */
int
vcore__chip_new(struct vcore__vmfd *vmfd, bool split, struct vcore_log *log,
		struct vcore_irqchip **irqchip, struct vcore__chip **chip);

/* Most entries that vcore__chip_arch_defaults() writes. */
#define VCORE__CHIP_DEFAULTS 40u

/* The routes of lines: number of entries written. */
uint32_t
vcore__chip_arch_defaults(const struct vcore__chip *chip,
			  struct kvm_irq_routing_entry *entry);

/* May KVM be given a message for this address? */
bool
vcore__chip_arch_routable(uint64_t addr);

#endif
