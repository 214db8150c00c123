/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the MSI-X table of a PCI function, its pending bits and control word,
 * with raises in between, on a chip that refuses what is no interrupt address.
 * No message is made up, and none of a vector comes twice for one raise; in the
 * end each vector raises the message that was set up.
 *
 * Input: steps of 8 bytes: which (and vector), width, offset (2), value (4).
 */
#include <linux/pci_regs.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/bus.h>
#include <vcore/irq.h>
#include <vcore/pci.h>

#define VECTORS 5u
#define PBA     0x800u
#define WINDOW  0xc0000000ull

static struct vcore_bus *mmio;
static struct vcore_irqchip *chip;
static struct vcore_pci_bus *bus;
static struct vcore_pci *pci;
static struct vcore_irq *irq[VECTORS];
static uint32_t raised[VECTORS], got[VECTORS], last_data[VECTORS];

static void
need(int ok)
{
	if (!ok)
		abort();
}

static uint32_t
index_of(const struct vcore_irq *which)
{
	uint32_t i = 0;

	while (i < VECTORS && irq[i] != which)
		i++;
	return i;
}

static int
chip_route(void *opaque, struct vcore_irq *which, uint64_t addr, uint32_t data,
	   uint32_t devid)
{
	(void)opaque;
	(void)devid;
	if (addr && addr >> 20 != 0xfee)
		return -22;
	vcore_irq_set_chip_data(which, (void *)(uintptr_t)data);
	return 0;
}

static int
chip_raise(void *opaque, struct vcore_irq *which)
{
	uint32_t i = index_of(which);

	(void)opaque;
	need(i < VECTORS);
	got[i]++;
	/* No more messages than causes. */
	need(got[i] <= raised[i]);
	last_data[i] = (uint32_t)(uintptr_t)vcore_irq_chip_data(which);
	return 0;
}

static const struct vcore_irqchip_ops chip_ops = {
	.size = sizeof(chip_ops), .route = chip_route, .raise = chip_raise,
};

static void
make(void)
{
	struct vcore_pci_bus_opts bo;
	struct vcore_pci_opts o;

	need(vcore_bus_new(NULL, &mmio) == 0);
	need(vcore_irqchip_new(&chip_ops, NULL, NULL, &chip) == 0);
	VCORE_INIT(&bo);
	bo.mmio = mmio;
	bo.irqchip = chip;
	bo.window32 = WINDOW;
	bo.window32_len = 0x1000000;
	need(vcore_pci_bus_new(&bo, &bus) == 0);
	VCORE_INIT(&o);
	o.vendor = 0x1234;
	o.vectors = VECTORS;
	o.msix_bar = 4;
	need(vcore_pci_new(bus, &o, &pci) == 0);
	memset(raised, 0, sizeof(raised));
	memset(got, 0, sizeof(got));
	for (uint32_t i = 0; i < VECTORS; i++)
		need(vcore_pci_vector(pci, i, &irq[i]) == 0);
}

static void
unmake(void)
{
	vcore_pci_remove(pci);
	vcore_pci_bus_unref(bus);
	vcore_irqchip_unref(chip);
	vcore_bus_unref(mmio);
}

static uint32_t
config(uint32_t off, uint32_t len)
{
	uint32_t val = 0;

	need(vcore_pci_bus_config_read(bus, vcore_pci_bdf(pci), off, len,
				       &val) == 0);
	return val;
}

static void
set_config(uint32_t off, uint32_t len, uint32_t val)
{
	(void)vcore_pci_bus_config_write(bus, vcore_pci_bdf(pci), off, len,
					 val);
}

static uint64_t
table(void)
{
	return config(PCI_BASE_ADDRESS_4, 4) & ~0xfull;
}

/* The capability is the only one. */
static uint32_t
control(void)
{
	return config(PCI_CAPABILITY_LIST, 1) + PCI_MSIX_FLAGS;
}

static void
step(const uint8_t *p)
{
	uint32_t which = p[0] & 7, vector = (p[0] >> 3) % VECTORS;
	uint32_t len = 1u << (p[1] & 3), off = p[2] | (uint32_t)p[3] << 8;
	uint64_t val, at = table();

	memcpy(&val, p + 4, 4);
	val &= UINT32_MAX;
	switch (which) {
	case 0:
	case 1:
		/* An entry, aligned and sensible. */
		off = 16 * vector + 4 * (off & 3);
		if (!(off & 15))
			val = 0xfee00000 | (val & 0xff000);
		(void)vcore_bus_write(mmio, at + off, 4, val);
		break;
	case 2:
		(void)vcore_bus_write(mmio, at + off % 0x1008, len,
				      val | val << 32);
		break;
	case 3:
		(void)vcore_bus_read(mmio, at + off % 0x1008, len, &val);
		break;
	case 4:
		set_config(control(), len > 2 ? 2 : len, (uint32_t)val);
		break;
	case 5:
		set_config(off % 256, len > 4 ? 4 : len, (uint32_t)val);
		break;
	default:
		raised[vector]++;
		(void)vcore_irq_raise(irq[vector]);
		break;
	}
}

/* All set up anew: what was pending comes, then each raise at once. */
static void
check(void)
{
	uint64_t at = WINDOW, val = 0;
	uint32_t before;

	set_config(PCI_COMMAND, 2, 0);
	set_config(PCI_BASE_ADDRESS_4, 4, (uint32_t)at);
	set_config(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set_config(control(), 2, PCI_MSIX_FLAGS_ENABLE);
	for (uint32_t i = 0; i < VECTORS; i++) {
		(void)vcore_bus_write(mmio, at + 16 * i + 12, 4, 1);
		(void)vcore_bus_write(mmio, at + 16 * i, 8, 0xfee01000);
		(void)vcore_bus_write(mmio, at + 16 * i + 8, 4, 0x40 + i);
		(void)vcore_bus_write(mmio, at + 16 * i + 12, 4, 0);
	}
	for (uint32_t i = 0; i < VECTORS; i++) {
		before = got[i];
		raised[i]++;
		need(vcore_irq_raise(irq[i]) == 0);
		need(got[i] == before + 1 && last_data[i] == 0x40 + i);
	}
	need(vcore_bus_read(mmio, at + PBA, 8, &val) == 0 && val == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	make();
	set_config(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (; len >= 8; data += 8, len -= 8)
		step(data);
	check();
	unmake();
	return 0;
}
