/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes a virtio PCI function through the window in its configuration space
 * alone: bar, offset, length and data of every kind. What the window shows of a
 * register is what the register says, and afterwards the device serves, driven
 * through the window.
 *
 * FUZZ-SUPPORT: vdriver vring echo
 */
#include "virtio_ops.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

static void
point(uint32_t bar, uint32_t off, uint32_t len)
{
	vdriver_pci_write(&d, d.cfg_cap + 4, 1, bar);
	vdriver_pci_write(&d, d.cfg_cap + 8, 4, off);
	vdriver_pci_write(&d, d.cfg_cap + 12, 4, len);
}

static void
set(uint32_t off, uint32_t len, uint32_t val)
{
	point(0, off, len);
	vdriver_pci_write(&d, d.cfg_cap + 16, len, val);
}

static uint32_t
get(uint32_t off, uint32_t len)
{
	point(0, off, len);
	return vdriver_pci_read(&d, d.cfg_cap + 16, len);
}

/* Mostly where registers are, sometimes anywhere. */
static void
point_at(const struct op *op)
{
	uint32_t off = op->off & 0x3fff;

	if (off < 0x3000)
		off &= 0x307f;
	if (op->val & 0x100)
		point(op->val >> 16 & 0xff, op->val, op->off);
	else
		point(0, off, op->width);
}

static void
one_op(const struct op *op)
{
	uint32_t len = op->width > 4 ? 4 : op->width;

	switch (op->which) {
	case 0:
		point_at(op);
		vdriver_pci_write(&d, d.cfg_cap + 16, len, op->val);
		break;
	case 1:
		point_at(op);
		(void)vdriver_pci_read(&d, d.cfg_cap + 16, len);
		break;
	case 4:
		/* Any byte of the capability, with any width. */
		vdriver_pci_write(&d, d.cfg_cap + op->off % 24, len, op->val);
		break;
	case 5:
		(void)vdriver_pci_read(&d, d.cfg_cap + op->off % 24, len);
		break;
	default:
		common_op(op);
		break;
	}
}

/* Reads of the window agree with the BAR; those that change nothing. */
static void
compare(void)
{
	static const struct {
		uint32_t off, len;
	} regs[] = {
		{ VIRTIO_PCI_COMMON_DFSELECT, 4 }, { VIRTIO_PCI_COMMON_DF, 4 },
		{ VIRTIO_PCI_COMMON_GF, 4 }, { VIRTIO_PCI_COMMON_MSIX, 2 },
		{ VIRTIO_PCI_COMMON_NUMQ, 2 }, { VIRTIO_PCI_COMMON_STATUS, 1 },
		{ VIRTIO_PCI_COMMON_Q_SELECT, 2 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 4 },
	};

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		need(get(regs[i].off, regs[i].len) ==
		     vdriver_bus_read(&env, d.common + regs[i].off,
				      regs[i].len));
}

/* Reset, handshake and a queue through the window. */
static void
serve_through_window(void)
{
	uint64_t desc, avail, used;
	struct vdriver_queue q = { .d = &d, .size = QSIZE };
	struct vdriver_buf b;

	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	for (uint32_t i = 0; get(VIRTIO_PCI_COMMON_STATUS, 1) != 0; i++) {
		need(i < 1000);
		turn();
	}
	e.hold = false;
	set(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	set(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	set(VIRTIO_PCI_COMMON_GF, 4, 1);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 11);
	need(get(VIRTIO_PCI_COMMON_STATUS, 1) == 11);
	q.desc = desc = vdriver_alloc(&env, 16 * QSIZE, 16);
	q.avail = avail = vdriver_alloc(&env, 6 + 2 * QSIZE, 16);
	q.used = used = vdriver_alloc(&env, 6 + 8 * QSIZE, 16);
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	set(VIRTIO_PCI_COMMON_Q_SIZE, 2, QSIZE);
	set(VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)desc);
	set(VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0);
	set(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)avail);
	set(VIRTIO_PCI_COMMON_Q_AVAILHI, 4, 0);
	set(VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)used);
	set(VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0);
	set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	need(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 1);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 15);
	b = (struct vdriver_buf){ vdriver_alloc(&env, 64, 64), 64, true };
	vdriver_add(&q, &b, 1);
	set((uint32_t)(d.notify - d.common), 2, 0);
	need(vdriver_wait(&q, NULL, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct op op;

	begin(VDRIVER_PCI);
	while (next_op(&data, &len, &op))
		one_op(&op);
	compare();
	serve_through_window();
	end();
	return 0;
}
