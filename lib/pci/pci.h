/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of PCI: a function, its BARs and its MSI-X table; the bus of them. */
#ifndef VCORE_LIB_PCI_PCI_H
#define VCORE_LIB_PCI_PCI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/pci.h>

#include "base/base.h"

#define VCORE__PCI_CONFIG 256u		/* bytes: conventional functions */
#define VCORE__PCI_SLOTS  32u
#define VCORE__PCI_BARS   6u
#define VCORE__PCI_VECTORS 2048u	/* what MSI-X allows */

struct vcore__pci_bar {
	struct vcore_pci *pci;
	uint64_t len;			/* 0: no such BAR */
	uint64_t home;			/* address after a reset; bus's lock */
	struct vcore_bus_ops ops;
	void *opaque;
	uint32_t index;
	uint32_t flags;			/* VCORE_PCI_BAR_* */
	/* Where it is decoded now; range NULL: nowhere. */
	struct vcore_range *range;
	uint64_t at;
};

struct vcore__pci_bell {
	struct vcore__pci_bell *next;
	struct vcore_doorbell_opts opts;	/* addr: relative to the BAR */
	uint32_t bar, id;
	int efd;			/* our own duplicate */
	uint32_t reserved;
	struct vcore_range *range;	/* NULL: the BAR is not decoded */
};

struct vcore__pci_vector {
	struct vcore_irq *irq;
	uint64_t addr;
	uint32_t data;
	uint32_t control;		/* bit 0: masked */
};

/*
 * users: references of embedders; with the last the function leaves its bus.
 * busy: 1 while on the bus, 1 for each BAR's range, 1 for each access to the
 * configuration under way; at 0 release() is called. refs: users and busy,
 * 1 each; at 0 it is freed.
 */
struct vcore_pci {
	_Atomic uint32_t users, busy, refs;
	uint32_t slot;			/* fixed */
	struct vcore_pci_bus *bus;	/* counted */
	void *opaque;
	void (*release)(void *opaque);
	struct vcore_pci_config_ops hooks;
	void *hooks_opaque;

	pthread_mutex_t lock;		/* what follows; before bus locks */
	bool removed;
	bool visible;			/* complete; under the bus's lock */
	bool reserved[2];
	uint32_t cap_last, cap_end;	/* offsets */
	uint32_t bell_id;
	uint8_t config[VCORE__PCI_CONFIG];
	uint8_t initial[VCORE__PCI_CONFIG];	/* after a reset */
	uint8_t writable[VCORE__PCI_CONFIG];	/* by the guest: mask */
	struct vcore__pci_bar bar[VCORE__PCI_BARS];
	struct vcore__pci_bell *bells;
	/* MSI-X; vectors 0: none */
	uint32_t vectors;
	uint32_t msix_cap;
	uint32_t pba;			/* offset in the BAR */
	uint32_t reserved1;
	struct vcore__pci_vector *vector;
};

struct vcore_pci_bus {
	_Atomic uint32_t refs;
	uint32_t reserved;
	struct vcore_bus *mmio;		/* counted */
	struct vcore_irqchip *irqchip;	/* counted */
	uint64_t window[2], window_len[2];	/* 32-bit, 64-bit */
	pthread_mutex_t lock;
	struct vcore_pci *slot[VCORE__PCI_SLOTS];	/* not counted */
};

static inline uint32_t
vcore__pci_get32(const uint8_t *config, uint32_t off)
{
	return (uint32_t)config[off] | (uint32_t)config[off + 1] << 8 |
	       (uint32_t)config[off + 2] << 16 |
	       (uint32_t)config[off + 3] << 24;
}

static inline void
vcore__pci_put16(uint8_t *config, uint32_t off, uint32_t val)
{
	config[off] = (uint8_t)val;
	config[off + 1] = (uint8_t)(val >> 8);
}

static inline void
vcore__pci_put32(uint8_t *config, uint32_t off, uint32_t val)
{
	vcore__pci_put16(config, off, val);
	vcore__pci_put16(config, off + 2, val >> 16);
}

/* pci.c */
void
vcore__pci_busy(struct vcore_pci *pci);
void
vcore__pci_idle(struct vcore_pci *pci);
/* on a vCPU; the function is busy. Inside one dword of the first 256 bytes. */
uint32_t
vcore__pci_config_read(struct vcore_pci *pci, uint32_t off, uint32_t len);
void
vcore__pci_config_write(struct vcore_pci *pci, uint32_t off, uint32_t len,
			uint32_t val);
/* As after creation. */
void
vcore__pci_reset(struct vcore_pci *pci);

/* bar.c: the function's lock is held */
/* Decode the BARs where the registers say, and nowhere else. */
void
vcore__pci_update_bars(struct vcore_pci *pci);
/* The function leaves: nothing is decoded any more. */
void
vcore__pci_unmap_bars(struct vcore_pci *pci);
void
vcore__pci_free_bells(struct vcore_pci *pci);

/* msix.c */
/* control: capability, BAR and irqs. Undone by vcore__msix_fini(). */
int
vcore__msix_init(struct vcore_pci *pci, uint32_t vectors, uint32_t bar);
void
vcore__msix_fini(struct vcore_pci *pci);
/* The function's lock is held: the control word was written. */
void
vcore__msix_control(struct vcore_pci *pci, uint32_t old);
void
vcore__msix_reset(struct vcore_pci *pci);

/* bus.c */
/* An address for a BAR after a reset: sets bar->home and bar->len. */
int
vcore__pci_bus_place(struct vcore_pci_bus *bus, struct vcore__pci_bar *bar,
		     uint64_t len);
/* Does the bus pass [addr, addr + len) on to its functions? */
bool
vcore__pci_bus_decodes(const struct vcore_pci_bus *bus, uint64_t addr,
		       uint64_t len);
/* 0, -EEXIST, -ENOSPC. Has its slot, but no access finds it yet. */
int
vcore__pci_bus_add(struct vcore_pci_bus *bus, struct vcore_pci *pci,
		   uint32_t slot);
void
vcore__pci_bus_show(struct vcore_pci_bus *bus, struct vcore_pci *pci);
void
vcore__pci_bus_remove(struct vcore_pci_bus *bus, struct vcore_pci *pci);

#endif
