/* SPDX-License-Identifier: BSD-3-Clause */
/* A PCI bus: 32 devices of one function, the first of them the host bridge. */
#include "pci/pci.h"

#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>

#include "pci/part.h"

/*
 * Device 0. The identity is that of a host bridge without quirks in any guest
 * we know: Intel's for virtual machines.
 */
#define BRIDGE_ID    0x0d578086u
#define BRIDGE_CLASS 0x06000000u

static int
check_bus(const struct vcore_pci_bus_opts *o)
{
	uint64_t end;

	if (o->flags)
		return vcore__err(NULL, -E2BIG, "vcore_pci_bus_new: flags %#x",
				  o->flags);
	if (!o->mmio || !o->irqchip)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_bus_new: %s is NULL",
				  o->mmio ? "irqchip" : "mmio");
	if (!vcore__range_fits(o->window32, o->window32_len, 1ull << 32) ||
	    vcore__add_overflow(o->window64, o->window64_len, &end))
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_bus_new: windows at %#llx + %#llx, %#llx + %#llx",
				  (unsigned long long)o->window32,
				  (unsigned long long)o->window32_len,
				  (unsigned long long)o->window64,
				  (unsigned long long)o->window64_len);
	return 0;
}

int
vcore_pci_bus_new(const struct vcore_pci_bus_opts *opts,
		  struct vcore_pci_bus **bus)
{
	struct vcore_pci_bus_opts o;
	struct vcore_pci_bus *b;
	int rc;

	if (!bus)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_bus_new: bus is NULL");
	rc = VCORE__SIZED("vcore_pci_bus_new: opts", &o, window64_len, opts);
	if (rc < 0)
		return rc;
	rc = check_bus(&o);
	if (rc < 0)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_pci_bus_new: no memory");
	atomic_init(&b->refs, 1);
	b->mmio = vcore_bus_ref(o.mmio);
	b->irqchip = vcore_irqchip_ref(o.irqchip);
	b->window[0] = o.window32;
	b->window_len[0] = o.window32_len;
	b->window[1] = o.window64;
	b->window_len[1] = o.window64_len;
	pthread_mutex_init(&b->lock, NULL);
	*bus = b;
	return 0;
}

struct vcore_pci_bus *
vcore_pci_bus_ref(struct vcore_pci_bus *bus)
{
	if (bus)
		atomic_fetch_add_explicit(&bus->refs, 1, memory_order_relaxed);
	return bus;
}

void
vcore_pci_bus_unref(struct vcore_pci_bus *bus)
{
	if (!bus || atomic_fetch_sub_explicit(&bus->refs, 1,
					      memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&bus->lock);
	vcore_irqchip_unref(bus->irqchip);
	vcore_bus_unref(bus->mmio);
	free(bus);
}

int
vcore__pci_bus_add(struct vcore_pci_bus *bus, struct vcore_pci *pci,
		   uint32_t slot)
{
	int rc = 0;

	pthread_mutex_lock(&bus->lock);
	if (!slot)
		for (slot = 1; slot < VCORE__PCI_SLOTS && bus->slot[slot];)
			slot++;
	if (slot == VCORE__PCI_SLOTS)
		rc = -ENOSPC;
	else if (bus->slot[slot])
		rc = -EEXIST;
	if (rc == 0) {
		pci->slot = slot;
		bus->slot[slot] = pci;
	}
	pthread_mutex_unlock(&bus->lock);
	return rc;
}

void
vcore__pci_bus_show(struct vcore_pci_bus *bus, struct vcore_pci *pci)
{
	pthread_mutex_lock(&bus->lock);
	pci->visible = true;
	pthread_mutex_unlock(&bus->lock);
}

void
vcore__pci_bus_remove(struct vcore_pci_bus *bus, struct vcore_pci *pci)
{
	pthread_mutex_lock(&bus->lock);
	if (bus->slot[pci->slot] == pci)
		bus->slot[pci->slot] = NULL;
	pthread_mutex_unlock(&bus->lock);
}

/* With the lock: a BAR whose home overlaps, or NULL. */
static const struct vcore__pci_bar *
find_home(const struct vcore_pci_bus *bus, uint64_t addr, uint64_t len)
{
	const struct vcore__pci_bar *bar;

	for (uint32_t s = 0; s < VCORE__PCI_SLOTS; s++) {
		for (uint32_t i = 0; bus->slot[s] && i < VCORE__PCI_BARS; i++) {
			bar = &bus->slot[s]->bar[i];
			if (bar->len && addr < bar->home + bar->len &&
			    bar->home < addr + len)
				return bar;
		}
	}
	return NULL;
}

/* With the lock: the lowest free address of a window, or -ENOSPC. */
static int
place_in(struct vcore_pci_bus *bus, struct vcore__pci_bar *bar, uint64_t len,
	 uint32_t window)
{
	uint64_t base = bus->window[window], addr = base;
	const struct vcore__pci_bar *other;

	do {
		if (vcore__add_overflow(addr, len - 1, &addr))
			return -ENOSPC;
		addr &= ~(len - 1);
		if (!vcore__range_fits(addr - base, len,
				       bus->window_len[window]))
			return -ENOSPC;
		other = find_home(bus, addr, len);
		if (!other) {
			bar->home = addr;
			bar->len = len;
			return 0;
		}
		addr = other->home + other->len;
	} while (addr);
	return -ENOSPC;
}

int
vcore__pci_bus_place(struct vcore_pci_bus *bus, struct vcore__pci_bar *bar,
		     uint64_t len)
{
	int rc = -ENOSPC;

	pthread_mutex_lock(&bus->lock);
	if (bar->flags & VCORE_PCI_BAR_64)
		rc = place_in(bus, bar, len, 1);
	if (rc < 0)
		rc = place_in(bus, bar, len, 0);
	pthread_mutex_unlock(&bus->lock);
	return rc;
}

bool
vcore__pci_bus_decodes(const struct vcore_pci_bus *bus, uint64_t addr,
		       uint64_t len)
{
	for (uint32_t i = 0; i < 2; i++)
		if (addr >= bus->window[i] &&
		    vcore__range_fits(addr - bus->window[i], len,
				      bus->window_len[i]))
			return true;
	return false;
}

/* The function at bdf, busy; NULL: none. */
static struct vcore_pci *
find(struct vcore_pci_bus *bus, uint32_t bdf)
{
	struct vcore_pci *pci = NULL;

	if (bdf >= VCORE__PCI_SLOTS << 3 || (bdf & 7))
		return NULL;
	pthread_mutex_lock(&bus->lock);
	pci = bus->slot[bdf >> 3];
	if (pci && !pci->visible)
		pci = NULL;
	if (pci)
		vcore__pci_busy(pci);
	pthread_mutex_unlock(&bus->lock);
	return pci;
}

static bool
is_access(uint32_t off, uint32_t len)
{
	return (len == 1 || len == 2 || len == 4) && off < 4096 &&
	       off % 4 + len <= 4;
}

static uint32_t
read_bridge(uint32_t off)
{
	switch (off & ~3u) {
	case PCI_VENDOR_ID:
		return BRIDGE_ID;
	case PCI_CLASS_REVISION:
		return BRIDGE_CLASS;
	default:
		return 0;
	}
}

int
vcore_pci_bus_config_read(struct vcore_pci_bus *bus, uint32_t bdf, uint32_t off,
			  uint32_t len, uint32_t *val)
{
	struct vcore_pci *pci;
	uint32_t v = UINT32_MAX;

	if (!bus || !val)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_bus_config_read: %s is NULL",
				  bus ? "val" : "bus");
	if (is_access(off, len) && off < VCORE__PCI_CONFIG) {
		pci = find(bus, bdf);
		if (pci) {
			v = vcore__pci_config_read(pci, off, len);
			vcore__pci_idle(pci);
		} else if (bdf == 0) {
			v = read_bridge(off) >> (off % 4 * 8);
		}
	}
	if (len < 4)
		v &= (1u << (len * 8)) - 1;
	*val = v;
	return 0;
}

int
vcore_pci_bus_config_write(struct vcore_pci_bus *bus, uint32_t bdf,
			   uint32_t off, uint32_t len, uint32_t val)
{
	struct vcore_pci *pci;

	if (!bus)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_bus_config_write: bus is NULL");
	if (!is_access(off, len) || off >= VCORE__PCI_CONFIG)
		return 0;
	pci = find(bus, bdf);
	if (pci) {
		vcore__pci_config_write(pci, off, len, val);
		vcore__pci_idle(pci);
	}
	return 0;
}

static void
part_stop(void *p, enum vcore__stop how, struct vcore__call *done)
{
	(void)p;
	(void)how;
	vcore__call_done(done, 0);
}

static int
part_start(void *p)
{
	(void)p;
	return 0;
}

static void
part_reset(void *p)
{
	struct vcore_pci_bus *bus = p;
	struct vcore_pci *pci;

	for (uint32_t slot = 1; slot < VCORE__PCI_SLOTS; slot++) {
		pci = find(bus, slot << 3);
		if (!pci)
			continue;
		vcore__pci_reset(pci);
		vcore__pci_idle(pci);
	}
}

void
vcore__pci_bus_part(struct vcore_pci_bus *bus, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "pci", .version = 1, .rank = VCORE__RANK_PLATFORM,
		.stop = part_stop, .start = part_start, .reset = part_reset,
	};

	part->ops = &ops;
	part->p = bus;
	snprintf(part->name, sizeof(part->name), "pci");
}
