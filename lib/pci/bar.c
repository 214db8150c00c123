/* SPDX-License-Identifier: BSD-3-Clause */
/* BARs: where a function's registers and doorbells appear on the MMIO bus. */
#include "pci/pci.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <unistd.h>

static int
bar_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	 struct vcore_access *later)
{
	struct vcore__pci_bar *bar = opaque;

	return bar->ops.read(bar->opaque, off, len, val, later);
}

static int
bar_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	  struct vcore_access *later)
{
	struct vcore__pci_bar *bar = opaque;

	return bar->ops.write(bar->opaque, off, len, val, later);
}

static const struct vcore_bus_ops bar_ops = {
	.size = sizeof(bar_ops), .read = bar_read, .write = bar_write,
};

static void
bar_release(void *opaque)
{
	struct vcore__pci_bar *bar = opaque;

	vcore__pci_idle(bar->pci);
}

/* A doorbell that can't be had is no harm: the BAR's handler gets the write. */
static void
map_bell(struct vcore_pci *pci, struct vcore__pci_bell *bell)
{
	struct vcore_doorbell_opts o = bell->opts;

	o.addr += pci->bar[bell->bar].at;
	(void)vcore_bus_add_doorbell(pci->bus->mmio, &o, bell->efd,
				     &bell->range);
}

static void
unmap_bell(struct vcore__pci_bell *bell)
{
	vcore_range_remove(bell->range);
	bell->range = NULL;
}

/*
 * A guest may put a BAR where something else is (-EEXIST): then it is decoded
 * nowhere until the guest writes it, or the command register, again.
 */
static void
map_bar(struct vcore__pci_bar *bar, uint64_t addr)
{
	struct vcore_pci *pci = bar->pci;
	struct vcore__pci_bell *bell;
	struct vcore_range_opts o;

	VCORE_INIT(&o);
	o.base = addr;
	o.len = bar->len;
	o.ops = &bar_ops;
	o.opaque = bar;
	o.release = bar_release;
	vcore__pci_busy(pci);
	if (vcore_bus_add(pci->bus->mmio, &o, &bar->range) < 0) {
		vcore__pci_idle(pci);
		return;
	}
	bar->at = addr;
	for (bell = pci->bells; bell; bell = bell->next)
		if (bell->bar == bar->index)
			map_bell(pci, bell);
}

static void
unmap_bar(struct vcore__pci_bar *bar)
{
	struct vcore__pci_bell *bell;

	for (bell = bar->pci->bells; bell; bell = bell->next)
		if (bell->bar == bar->index)
			unmap_bell(bell);
	vcore_range_remove(bar->range);
	bar->range = NULL;
}

/* Where the registers want it: false: nowhere that the bus decodes. */
static bool
bar_wanted(const struct vcore__pci_bar *bar, uint64_t *addr)
{
	const struct vcore_pci *pci = bar->pci;
	uint32_t reg = PCI_BASE_ADDRESS_0 + 4 * bar->index;
	uint64_t a = vcore__pci_get32(pci->config, reg) &
		     (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;

	if (bar->flags & VCORE_PCI_BAR_64)
		a |= (uint64_t)vcore__pci_get32(pci->config, reg + 4) << 32;
	*addr = a;
	return bar->len && !pci->removed &&
	       (pci->config[PCI_COMMAND] & PCI_COMMAND_MEMORY) &&
	       vcore__pci_bus_decodes(pci->bus, a, bar->len);
}

void
vcore__pci_update_bars(struct vcore_pci *pci)
{
	struct vcore__pci_bar *bar;
	uint64_t addr;
	bool wanted;

	for (uint32_t i = 0; i < VCORE__PCI_BARS; i++) {
		bar = &pci->bar[i];
		wanted = bar_wanted(bar, &addr);
		if (bar->range && (!wanted || addr != bar->at))
			unmap_bar(bar);
	}
	for (uint32_t i = 0; i < VCORE__PCI_BARS; i++) {
		bar = &pci->bar[i];
		if (!bar->range && bar_wanted(bar, &addr))
			map_bar(bar, addr);
	}
}

void
vcore__pci_unmap_bars(struct vcore_pci *pci)
{
	for (uint32_t i = 0; i < VCORE__PCI_BARS; i++)
		if (pci->bar[i].range)
			unmap_bar(&pci->bar[i]);
}

static int
check_bar(const struct vcore_pci *pci, uint32_t index, uint64_t len,
	  uint32_t flags)
{
	bool wide = (flags & VCORE_PCI_BAR_64) != 0;

	if (flags & ~(VCORE_PCI_BAR_64 | VCORE_PCI_BAR_PREFETCH))
		return vcore__err(NULL, -E2BIG, "vcore_pci_add_bar: flags %#x",
				  flags);
	if (index + wide >= VCORE__PCI_BARS || index >= VCORE__PCI_BARS ||
	    len < 4096 || (len & (len - 1)) || (!wide && len > 1ull << 31))
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_add_bar: index %u, length %#llx, flags %#x",
				  index, (unsigned long long)len, flags);
	if (pci->bar[index].len || (wide && pci->bar[index + 1].len) ||
	    (index && (pci->bar[index - 1].flags & VCORE_PCI_BAR_64)))
		return vcore__err(NULL, -EEXIST,
				  "vcore_pci_add_bar: index %u is taken",
				  index);
	return 0;
}

/* The registers of a BAR: address, kind, and which bits the guest may write. */
static void
bar_registers(struct vcore_pci *pci, const struct vcore__pci_bar *bar)
{
	uint32_t reg = PCI_BASE_ADDRESS_0 + 4 * bar->index, kind = 0;
	uint64_t mask = ~(bar->len - 1);

	if (bar->flags & VCORE_PCI_BAR_64)
		kind |= PCI_BASE_ADDRESS_MEM_TYPE_64;
	if (bar->flags & VCORE_PCI_BAR_PREFETCH)
		kind |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	vcore__pci_put32(pci->config, reg, (uint32_t)bar->home | kind);
	vcore__pci_put32(pci->writable, reg, (uint32_t)mask);
	if (bar->flags & VCORE_PCI_BAR_64) {
		vcore__pci_put32(pci->config, reg + 4,
				 (uint32_t)(bar->home >> 32));
		vcore__pci_put32(pci->writable, reg + 4,
				 (uint32_t)(mask >> 32));
	}
	memcpy(pci->initial + reg, pci->config + reg,
	       bar->flags & VCORE_PCI_BAR_64 ? 8 : 4);
}

int
vcore_pci_add_bar(struct vcore_pci *pci, uint32_t index, uint64_t len,
		  uint32_t flags, const struct vcore_bus_ops *ops, void *opaque)
{
	struct vcore__pci_bar *bar;
	struct vcore_bus_ops o;
	int rc;

	if (!pci)
		return vcore__err(NULL, -EINVAL, "vcore_pci_add_bar: pci is NULL");
	rc = VCORE__SIZED("vcore_pci_add_bar: ops", &o, write, ops);
	if (rc < 0)
		return rc;
	if (o.flags)
		return vcore__err(NULL, -E2BIG,
				  "vcore_pci_add_bar: ops flags %#x", o.flags);
	if (!o.read || !o.write)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_add_bar: ops: read or write is NULL");
	pthread_mutex_lock(&pci->lock);
	rc = check_bar(pci, index, len, flags);
	if (rc == 0) {
		bar = &pci->bar[index];
		bar->flags = flags;
		bar->ops = o;
		bar->opaque = opaque;
		rc = vcore__pci_bus_place(pci->bus, bar, len);
		if (rc < 0)
			bar->flags = 0;
		if (rc < 0)
			rc = vcore__err(NULL, rc,
					"vcore_pci_add_bar: no window has %#llx bytes left",
					(unsigned long long)len);
		else
			bar_registers(pci, bar);
	}
	pthread_mutex_unlock(&pci->lock);
	return rc;
}

static int
check_bell(const struct vcore_pci *pci, uint32_t bar,
	   const struct vcore_doorbell_opts *o)
{
	uint64_t len = o->len ? o->len : 1;

	if (o->len > 8 || (o->len & (o->len - 1)) ||
	    (o->flags & ~VCORE_DOORBELL_MATCH) ||
	    ((o->flags & VCORE_DOORBELL_MATCH) && !o->len))
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_add_doorbell: length %u, flags %#x",
				  o->len, o->flags);
	if (bar >= VCORE__PCI_BARS ||
	    !vcore__range_fits(o->addr, len, pci->bar[bar].len))
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_add_doorbell: offset %#llx in BAR %u",
				  (unsigned long long)o->addr, bar);
	return 0;
}

int
vcore_pci_add_doorbell(struct vcore_pci *pci, uint32_t bar,
		       const struct vcore_doorbell_opts *opts, int efd,
		       uint32_t *id)
{
	struct vcore_doorbell_opts o;
	struct vcore__pci_bell *bell;
	int rc;

	if (!pci || !id)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_add_doorbell: %s is NULL",
				  pci ? "id" : "pci");
	rc = VCORE__SIZED("vcore_pci_add_doorbell: opts", &o, value, opts);
	if (rc < 0)
		return rc;
	bell = calloc(1, sizeof(*bell));
	if (!bell)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_pci_add_doorbell: no memory");
	bell->efd = fcntl(efd, F_DUPFD_CLOEXEC, 0);
	if (bell->efd < 0) {
		rc = -errno;
		free(bell);
		return vcore__err(NULL, rc,
				  "vcore_pci_add_doorbell: descriptor %d: %s",
				  efd, vcore__strerror(rc));
	}
	bell->bar = bar;
	bell->opts = o;
	pthread_mutex_lock(&pci->lock);
	rc = check_bell(pci, bar, &o);
	if (rc == 0) {
		bell->id = ++pci->bell_id;
		*id = bell->id;
		bell->next = pci->bells;
		pci->bells = bell;
		if (pci->bar[bar].range)
			map_bell(pci, bell);
	}
	pthread_mutex_unlock(&pci->lock);
	if (rc != 0) {
		close(bell->efd);
		free(bell);
	}
	return rc;
}

static void
free_bell(struct vcore__pci_bell *bell)
{
	unmap_bell(bell);
	close(bell->efd);
	free(bell);
}

void
vcore_pci_remove_doorbell(struct vcore_pci *pci, uint32_t id)
{
	struct vcore__pci_bell **at, *bell;

	if (!pci)
		return;
	pthread_mutex_lock(&pci->lock);
	for (at = &pci->bells; *at && (*at)->id != id;)
		at = &(*at)->next;
	bell = *at;
	if (bell)
		*at = bell->next;
	pthread_mutex_unlock(&pci->lock);
	if (bell)
		free_bell(bell);
}

void
vcore__pci_free_bells(struct vcore_pci *pci)
{
	struct vcore__pci_bell *bell;

	while ((bell = pci->bells)) {
		pci->bells = bell->next;
		free_bell(bell);
	}
}
