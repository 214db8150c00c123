/* SPDX-License-Identifier: BSD-3-Clause */
/* MSI-X: a table of messages in a BAR, each an irq; pending bits; masks. */
#include "pci/pci.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#define ENTRY 16u

/* High byte of the control word. */
#define CONTROL_ENABLE 0x80u
#define CONTROL_MASK   0x40u

static uint32_t
control(const struct vcore_pci *pci)
{
	return pci->config[pci->msix_cap + PCI_MSIX_FLAGS + 1];
}

/*
 * Bring an irq to what its entry says. A message that the chip refuses (an
 * address that is none) stays masked: raises are pending until it is changed.
 */
static void
update(struct vcore_pci *pci, struct vcore__pci_vector *v)
{
	uint32_t c = control(pci);
	bool masked = !(c & CONTROL_ENABLE) || (c & CONTROL_MASK) ||
		      (v->control & PCI_MSIX_ENTRY_CTRL_MASKBIT);

	if (!masked && vcore_irq_set_message(v->irq, v->addr, v->data) < 0)
		masked = true;
	(void)vcore_irq_set_mask(v->irq, masked);
}

void
vcore__msix_control(struct vcore_pci *pci, uint32_t old)
{
	bool enabled = (control(pci) & CONTROL_ENABLE) != 0 &&
		       !(old & CONTROL_ENABLE);

	if (control(pci) == old)
		return;
	for (uint32_t i = 0; i < pci->vectors; i++) {
		/* What was raised while there was no MSI-X is not pending. */
		if (enabled)
			vcore_irq_clear(pci->vector[i].irq);
		update(pci, &pci->vector[i]);
	}
}

void
vcore__msix_reset(struct vcore_pci *pci)
{
	struct vcore__pci_vector *v;

	for (uint32_t i = 0; i < pci->vectors; i++) {
		v = &pci->vector[i];
		v->addr = 0;
		v->data = 0;
		v->control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		update(pci, v);
		vcore_irq_clear(v->irq);
	}
}

static uint32_t
read_entry(const struct vcore__pci_vector *v, uint32_t off)
{
	switch (off) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)v->addr;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return (uint32_t)(v->addr >> 32);
	case PCI_MSIX_ENTRY_DATA:
		return v->data;
	default:
		return v->control;
	}
}

static uint32_t
read_pending(const struct vcore_pci *pci, uint64_t first)
{
	uint32_t bits = 0;

	for (uint64_t i = first; i < first + 32 && i < pci->vectors; i++)
		if (vcore_irq_pending(pci->vector[i].irq) == 1)
			bits |= 1u << (i - first);
	return bits;
}

/* With the lock: one dword of the BAR; what is nothing reads as 0. */
static uint32_t
read_dword(struct vcore_pci *pci, uint64_t off)
{
	if (off < (uint64_t)pci->vectors * ENTRY)
		return read_entry(&pci->vector[off / ENTRY],
				  (uint32_t)(off % ENTRY));
	if (off >= pci->pba && (off - pci->pba) * 8 < pci->vectors)
		return read_pending(pci, (off - pci->pba) * 8);
	return 0;
}

/* PCI 3.0, 6.8.2: accesses are aligned dwords or qwords; others do nothing. */
static bool
is_access(uint64_t off, uint32_t len)
{
	return (len == 4 || len == 8) && off % len == 0;
}

static int
msix_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	  struct vcore_access *later)
{
	struct vcore_pci *pci = opaque;

	(void)later;
	*val = 0;
	if (!is_access(off, len))
		return 0;
	pthread_mutex_lock(&pci->lock);
	*val = read_dword(pci, off);
	if (len == 8)
		*val |= (uint64_t)read_dword(pci, off + 4) << 32;
	pthread_mutex_unlock(&pci->lock);
	return 0;
}

static void
write_entry(struct vcore__pci_vector *v, uint32_t off, uint32_t val)
{
	switch (off) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		v->addr = (v->addr & ~(uint64_t)UINT32_MAX) | (val & ~3u);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		v->addr = (v->addr & UINT32_MAX) | (uint64_t)val << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		v->data = val;
		break;
	default:
		v->control = val & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

static int
msix_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	struct vcore_pci *pci = opaque;
	struct vcore__pci_vector *v;

	(void)later;
	if (!is_access(off, len) || off >= (uint64_t)pci->vectors * ENTRY)
		return 0;
	pthread_mutex_lock(&pci->lock);
	v = &pci->vector[off / ENTRY];
	write_entry(v, (uint32_t)(off % ENTRY), (uint32_t)val);
	if (len == 8)
		write_entry(v, (uint32_t)(off % ENTRY) + 4,
			    (uint32_t)(val >> 32));
	update(pci, v);
	pthread_mutex_unlock(&pci->lock);
	return 0;
}

static const struct vcore_bus_ops msix_ops = {
	.size = sizeof(msix_ops), .read = msix_read, .write = msix_write,
};

static int
make_irqs(struct vcore_pci *pci, uint32_t vectors)
{
	struct vcore_irq_opts o;
	int rc;

	VCORE_INIT(&o);
	o.devid = pci->slot << 3;
	pci->vector = calloc(vectors, sizeof(*pci->vector));
	if (!pci->vector)
		return vcore__err(NULL, -ENOMEM, "no memory");
	for (uint32_t i = 0; i < vectors; i++) {
		rc = vcore_irq_new(pci->bus->irqchip, &o, &pci->vector[i].irq);
		if (rc < 0)
			return rc;
		pci->vector[i].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		pci->vectors = i + 1;
		rc = vcore_irq_set_mask(pci->vector[i].irq, 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The next power of two that is not smaller. */
static uint64_t
round_up(uint64_t n)
{
	uint64_t len = 4096;

	while (len < n)
		len *= 2;
	return len;
}

int
vcore__msix_init(struct vcore_pci *pci, uint32_t vectors, uint32_t bar)
{
	uint32_t table = vectors * ENTRY, pba_len = (vectors + 63) / 64 * 8;
	uint8_t body[10] = { 0 }, writable[10] = { 0 };
	uint32_t cap;
	int rc;

	/* The capability's vectors come first: pci->vectors is set last. */
	pci->pba = (table + 0x7ff) & ~0x7ffu;
	vcore__pci_put16(body, 0, vectors - 1);
	vcore__pci_put32(body, 2, bar);
	vcore__pci_put32(body, 6, pci->pba | bar);
	vcore__pci_put16(writable, 0,
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	rc = vcore_pci_add_capability(pci, PCI_CAP_ID_MSIX, body, sizeof(body),
				      writable, &cap);
	if (rc < 0)
		return rc;
	pci->msix_cap = cap;
	rc = make_irqs(pci, vectors);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_pci_new: %u vectors: %s", vectors,
				  vcore_error_text());
	rc = vcore_pci_add_bar(pci, bar, round_up(pci->pba + pba_len), 0,
			       &msix_ops, pci);
	if (rc < 0)
		return vcore__err(NULL, rc, "vcore_pci_new: BAR of MSI-X: %s",
				  vcore_error_text());
	return 0;
}

void
vcore__msix_fini(struct vcore_pci *pci)
{
	for (uint32_t i = 0; i < pci->vectors; i++)
		vcore_irq_unref(pci->vector[i].irq);
	free(pci->vector);
}
