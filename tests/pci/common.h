/* SPDX-License-Identifier: BSD-3-Clause */
/* A PCI bus with a counting irqchip, and a function to try things on. */
#ifndef VCORE_TESTS_PCI_COMMON_H
#define VCORE_TESTS_PCI_COMMON_H

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdatomic.h>

#include <vcore/pci.h>

#include "base/base.h"
#include "support/support.h"

#define W32     0xc0000000ull
#define W32_LEN 0x01000000ull
#define W64     0x800000000ull
#define W64_LEN 0x100000000ull

static struct vcore_bus *mmio;
static struct vcore_irqchip *chip;
static struct vcore_pci_bus *bus;
static struct vcore_pci *pci;
static uint32_t released;

/* What the chip was told. */
static uint64_t routed_addr;
static uint32_t routed_data, routes, raises, raised_data;
static int route_rc;

static int
chip_route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
	   uint32_t devid)
{
	(void)opaque;
	(void)devid;
	if (route_rc < 0)
		return route_rc;
	routes++;
	routed_addr = addr;
	routed_data = data;
	vcore_irq_set_chip_data(irq, (void *)(uintptr_t)data);
	return 0;
}

static int
chip_raise(void *opaque, struct vcore_irq *irq)
{
	(void)opaque;
	raises++;
	raised_data = (uint32_t)(uintptr_t)vcore_irq_chip_data(irq);
	return 0;
}

static const struct vcore_irqchip_ops chip_ops = {
	.size = sizeof(chip_ops), .route = chip_route, .raise = chip_raise,
};

/* A BAR that answers with its offset and remembers the last write. */
static uint64_t last_off, last_val;
static _Atomic uint32_t accesses;

static int
bar_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	 struct vcore_access *later)
{
	(void)opaque;
	(void)len;
	(void)later;
	accesses++;
	*val = off;
	return 0;
}

static int
bar_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	  struct vcore_access *later)
{
	(void)opaque;
	(void)len;
	(void)later;
	accesses++;
	last_off = off;
	last_val = val;
	return 0;
}

static const struct vcore_bus_ops bar_ops = {
	.size = sizeof(bar_ops), .read = bar_read, .write = bar_write,
};

static inline void
count_release(void *opaque)
{
	ck_assert_ptr_eq(opaque, &released);
	released++;
}

static inline struct vcore_pci_opts
pci_opts(uint32_t vectors)
{
	struct vcore_pci_opts o;

	VCORE_INIT(&o);
	o.vendor = 0x1234;
	o.device = 0x5678;
	o.subsystem_vendor = 0x9abc;
	o.subsystem = 0xdef0;
	o.class_code = 0x020000;
	o.revision = 7;
	o.vectors = vectors;
	o.msix_bar = 4;
	o.opaque = &released;
	o.release = count_release;
	return o;
}

static inline void
bus_setup(void)
{
	struct vcore_pci_bus_opts o;

	released = 0;
	routes = 0;
	raises = 0;
	route_rc = 0;
	accesses = 0;
	ck_assert_ok(vcore_bus_new(NULL, &mmio));
	ck_assert_ok(vcore_irqchip_new(&chip_ops, NULL, NULL, &chip));
	VCORE_INIT(&o);
	o.mmio = mmio;
	o.irqchip = chip;
	o.window32 = W32;
	o.window32_len = W32_LEN;
	o.window64 = W64;
	o.window64_len = W64_LEN;
	ck_assert_ok(vcore_pci_bus_new(&o, &bus));
}

static inline void
bus_teardown(void)
{
	vcore_pci_bus_unref(bus);
	vcore_irqchip_unref(chip);
	vcore_bus_unref(mmio);
}

static inline void
pci_setup(void)
{
	struct vcore_pci_opts o = pci_opts(4);

	bus_setup();
	ck_assert_ok(vcore_pci_new(bus, &o, &pci));
}

static inline void
pci_teardown(void)
{
	vcore_pci_remove(pci);
	ck_assert_uint_eq(released, 1);
	bus_teardown();
}

static inline uint32_t
get(uint32_t off, uint32_t len)
{
	uint32_t val = 0;

	ck_assert_ok(vcore_pci_bus_config_read(bus, vcore_pci_bdf(pci), off,
					       len, &val));
	return val;
}

static inline void
set(uint32_t off, uint32_t len, uint32_t val)
{
	ck_assert_ok(vcore_pci_bus_config_write(bus, vcore_pci_bdf(pci), off,
						len, val));
}

static inline uint64_t
bar_at(uint32_t index)
{
	return get(PCI_BASE_ADDRESS_0 + 4 * index, 4) & ~0xfull;
}

/* What a bus read finds; all ones: nobody. */
static inline uint64_t
peek(uint64_t addr, uint32_t len)
{
	uint64_t val = 0;

	(void)vcore_bus_read(mmio, addr, len, &val);
	return val;
}

static inline void
poke(uint64_t addr, uint32_t len, uint64_t val)
{
	(void)vcore_bus_write(mmio, addr, len, val);
}

static inline uint32_t
ranges(void)
{
	struct vcore_bus_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_bus_get_info(mmio, &info));
	return info.ranges;
}

#endif
