/* SPDX-License-Identifier: BSD-3-Clause */
/* A PCI function: configuration space, capabilities, its coming and going. */
#include "pci/pci.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#define COMMAND_WRITABLE \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

static void
put(struct vcore_pci *pci)
{
	if (atomic_fetch_sub_explicit(&pci->refs, 1, memory_order_acq_rel) != 1)
		return;
	vcore__msix_fini(pci);
	vcore__pci_free_bells(pci);
	pthread_mutex_destroy(&pci->lock);
	vcore_pci_bus_unref(pci->bus);
	free(pci);
}

void
vcore__pci_busy(struct vcore_pci *pci)
{
	atomic_fetch_add_explicit(&pci->busy, 1, memory_order_relaxed);
}

void
vcore__pci_idle(struct vcore_pci *pci)
{
	if (atomic_fetch_sub_explicit(&pci->busy, 1, memory_order_acq_rel) != 1)
		return;
	if (pci->release)
		pci->release(pci->opaque);
	put(pci);
}

/* Off the bus, once. */
static void
leave(struct vcore_pci *pci)
{
	bool first;

	vcore__pci_bus_remove(pci->bus, pci);
	pthread_mutex_lock(&pci->lock);
	first = !pci->removed;
	pci->removed = true;
	vcore__pci_unmap_bars(pci);
	pthread_mutex_unlock(&pci->lock);
	if (first)
		vcore__pci_idle(pci);
}

static void
header(struct vcore_pci *pci, const struct vcore_pci_opts *o)
{
	uint8_t *c = pci->config, *w = pci->writable;

	vcore__pci_put16(c, PCI_VENDOR_ID, o->vendor);
	vcore__pci_put16(c, PCI_DEVICE_ID, o->device);
	vcore__pci_put32(c, PCI_CLASS_REVISION,
			 o->class_code << 8 | (o->revision & 0xff));
	vcore__pci_put16(c, PCI_SUBSYSTEM_VENDOR_ID, o->subsystem_vendor);
	vcore__pci_put16(c, PCI_SUBSYSTEM_ID, o->subsystem);
	vcore__pci_put16(w, PCI_COMMAND, COMMAND_WRITABLE);
	w[PCI_CACHE_LINE_SIZE] = 0xff;
	w[PCI_INTERRUPT_LINE] = 0xff;
	memcpy(pci->initial, c, sizeof(pci->initial));
}

static int
check_opts(const struct vcore_pci_opts *o)
{
	if (o->flags || o->reserved0)
		return vcore__err(NULL, -E2BIG, "vcore_pci_new: flags %#x",
				  o->flags);
	if (o->vendor == 0xffff || o->slot >= VCORE__PCI_SLOTS ||
	    o->class_code > 0xffffff || o->revision > 0xff ||
	    o->vectors > VCORE__PCI_VECTORS ||
	    o->msix_bar >= VCORE__PCI_BARS)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_new: vendor %#x, slot %u, class %#x, revision %#x, %u vectors, msix_bar %u",
				  o->vendor, o->slot, o->class_code,
				  o->revision, o->vectors, o->msix_bar);
	return 0;
}

int
vcore_pci_new(struct vcore_pci_bus *bus, const struct vcore_pci_opts *opts,
	      struct vcore_pci **pci)
{
	struct vcore_pci_opts o;
	struct vcore_pci *p;
	int rc;

	if (!bus || !pci)
		return vcore__err(NULL, -EINVAL, "vcore_pci_new: %s is NULL",
				  bus ? "pci" : "bus");
	rc = VCORE__SIZED("vcore_pci_new: opts", &o, release, opts);
	if (rc < 0)
		return rc;
	rc = check_opts(&o);
	if (rc < 0)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return vcore__err(NULL, -ENOMEM, "vcore_pci_new: no memory");
	atomic_init(&p->users, 1);
	atomic_init(&p->busy, 1);
	atomic_init(&p->refs, 2);
	p->bus = vcore_pci_bus_ref(bus);
	p->cap_end = PCI_STD_HEADER_SIZEOF;
	pthread_mutex_init(&p->lock, NULL);
	for (uint32_t i = 0; i < VCORE__PCI_BARS; i++) {
		p->bar[i].pci = p;
		p->bar[i].index = i;
	}
	header(p, &o);
	rc = vcore__pci_bus_add(bus, p, o.slot);
	if (rc == -EEXIST)
		vcore__err(NULL, rc, "vcore_pci_new: slot %u is taken", o.slot);
	else if (rc < 0)
		vcore__err(NULL, rc, "vcore_pci_new: all %u slots are taken",
			   VCORE__PCI_SLOTS - 1);
	else if (o.vectors)
		rc = vcore__msix_init(p, o.vectors, o.msix_bar);
	if (rc < 0) {
		vcore_pci_remove(p);
		return rc;
	}
	p->opaque = o.opaque;
	p->release = o.release;
	vcore__pci_bus_show(bus, p);
	*pci = p;
	return 0;
}

struct vcore_pci *
vcore_pci_ref(struct vcore_pci *pci)
{
	if (pci)
		atomic_fetch_add_explicit(&pci->users, 1, memory_order_relaxed);
	return pci;
}

void
vcore_pci_unref(struct vcore_pci *pci)
{
	if (!pci || atomic_fetch_sub_explicit(&pci->users, 1,
					      memory_order_acq_rel) != 1)
		return;
	leave(pci);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): users held one of refs */
	put(pci);
}

void
vcore_pci_remove(struct vcore_pci *pci)
{
	if (!pci)
		return;
	leave(pci);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the caller holds users */
	vcore_pci_unref(pci);
}

uint32_t
vcore_pci_bdf(struct vcore_pci *pci)
{
	return pci ? pci->slot << 3 : 0;
}

int
vcore_pci_add_capability(struct vcore_pci *pci, uint8_t id, const void *body,
			 uint32_t len, const void *wmask, uint32_t *offset)
{
	uint32_t at;

	if (!pci || !body || !offset)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_add_capability: %s is NULL",
				  !pci ? "pci" : !body ? "body" : "offset");
	pthread_mutex_lock(&pci->lock);
	at = (pci->cap_end + 3) & ~3u;
	if (at > VCORE__PCI_CONFIG - 2 || len > VCORE__PCI_CONFIG - 2 - at) {
		pthread_mutex_unlock(&pci->lock);
		return vcore__err(NULL, -ENOSPC,
				  "vcore_pci_add_capability: %u bytes at %#x",
				  len, at);
	}
	pci->config[at] = id;
	memcpy(pci->config + at + 2, body, len);
	if (wmask)
		memcpy(pci->writable + at + 2, wmask, len);
	pci->config[pci->cap_last ? pci->cap_last + 1 : PCI_CAPABILITY_LIST] =
		(uint8_t)at;
	pci->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	pci->initial[pci->cap_last ? pci->cap_last + 1 : PCI_CAPABILITY_LIST] =
		(uint8_t)at;
	pci->initial[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	memcpy(pci->initial + at, pci->config + at, len + 2);
	pci->cap_last = at;
	pci->cap_end = at + 2 + len;
	pthread_mutex_unlock(&pci->lock);
	*offset = at;
	return 0;
}

int
vcore_pci_set_config_ops(struct vcore_pci *pci,
			 const struct vcore_pci_config_ops *ops, void *opaque)
{
	struct vcore_pci_config_ops o;
	int rc;

	if (!pci)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_set_config_ops: pci is NULL");
	rc = VCORE__SIZED("vcore_pci_set_config_ops: ops", &o, write, ops);
	if (rc < 0)
		return rc;
	if (o.flags)
		return vcore__err(NULL, -E2BIG,
				  "vcore_pci_set_config_ops: flags %#x",
				  o.flags);
	pthread_mutex_lock(&pci->lock);
	pci->hooks = o;
	pci->hooks_opaque = opaque;
	pthread_mutex_unlock(&pci->lock);
	return 0;
}

/* The hooks as they are now; they run without the lock. */
static struct vcore_pci_config_ops
hooks(struct vcore_pci *pci, void **opaque)
{
	struct vcore_pci_config_ops o;

	pthread_mutex_lock(&pci->lock);
	o = pci->hooks;
	*opaque = pci->hooks_opaque;
	pthread_mutex_unlock(&pci->lock);
	return o;
}

uint32_t
vcore__pci_config_read(struct vcore_pci *pci, uint32_t off, uint32_t len)
{
	struct vcore_pci_config_ops o;
	void *opaque;
	uint32_t val;

	o = hooks(pci, &opaque);
	if (o.read)
		o.read(opaque, off, len);
	pthread_mutex_lock(&pci->lock);
	val = vcore__pci_get32(pci->config, off & ~3u) >> (off % 4 * 8);
	pthread_mutex_unlock(&pci->lock);
	return len < 4 ? val & ((1u << (len * 8)) - 1) : val;
}

static bool
overlaps(uint32_t off, uint32_t len, uint32_t start, uint32_t end)
{
	return off < end && start < off + len;
}

void
vcore__pci_config_write(struct vcore_pci *pci, uint32_t off, uint32_t len,
			uint32_t val)
{
	struct vcore_pci_config_ops o;
	uint32_t control = 0;
	uint8_t mask;
	void *opaque;

	pthread_mutex_lock(&pci->lock);
	if (pci->vectors)
		control = pci->config[pci->msix_cap + PCI_MSIX_FLAGS + 1];
	for (uint32_t i = 0; i < len; i++) {
		mask = pci->writable[off + i];
		pci->config[off + i] =
			(uint8_t)((pci->config[off + i] & ~mask) |
				  ((val >> (8 * i)) & mask));
	}
	if (overlaps(off, len, PCI_COMMAND, PCI_COMMAND + 2) ||
	    overlaps(off, len, PCI_BASE_ADDRESS_0, PCI_CARDBUS_CIS))
		vcore__pci_update_bars(pci);
	if (pci->vectors && overlaps(off, len, pci->msix_cap + PCI_MSIX_FLAGS,
				     pci->msix_cap + PCI_MSIX_FLAGS + 2))
		vcore__msix_control(pci, control);
	pthread_mutex_unlock(&pci->lock);
	o = hooks(pci, &opaque);
	if (o.write)
		o.write(opaque, off, len);
}

void
vcore__pci_reset(struct vcore_pci *pci)
{
	pthread_mutex_lock(&pci->lock);
	memcpy(pci->config, pci->initial, sizeof(pci->config));
	vcore__pci_update_bars(pci);
	vcore__msix_reset(pci);
	pthread_mutex_unlock(&pci->lock);
}

static int
check_config(const char *fn, const struct vcore_pci *pci, const void *buf,
	     uint32_t off, uint32_t len)
{
	if (!pci || !buf || !vcore__range_fits(off, len, VCORE__PCI_CONFIG))
		return vcore__err(NULL, -EINVAL,
				  "%s: pci %p, buf %p, [%#x, + %#x)", fn,
				  (const void *)pci, buf, off, len);
	return 0;
}

int
vcore_pci_config_get(struct vcore_pci *pci, uint32_t off, void *buf,
		     uint32_t len)
{
	int rc = check_config("vcore_pci_config_get", pci, buf, off, len);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&pci->lock);
	memcpy(buf, pci->config + off, len);
	pthread_mutex_unlock(&pci->lock);
	return 0;
}

int
vcore_pci_config_set(struct vcore_pci *pci, uint32_t off, const void *buf,
		     uint32_t len)
{
	int rc = check_config("vcore_pci_config_set", pci, buf, off, len);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&pci->lock);
	memcpy(pci->config + off, buf, len);
	pthread_mutex_unlock(&pci->lock);
	return 0;
}

int
vcore_pci_vector(struct vcore_pci *pci, uint32_t vector, struct vcore_irq **irq)
{
	if (!pci || !irq)
		return vcore__err(NULL, -EINVAL, "vcore_pci_vector: %s is NULL",
				  pci ? "irq" : "pci");
	if (vector >= pci->vectors)
		return vcore__err(NULL, -ENOENT,
				  "vcore_pci_vector: vector %u of %u", vector,
				  pci->vectors);
	*irq = pci->vector[vector].irq;
	return 0;
}
