/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes a virtio PCI function: configuration space, BARs wherever they are
 * put, MSI-X, the transport's registers. It survives, and serves a well-formed
 * request after its configuration was set right and it was reset.
 *
 * FUZZ-SUPPORT: vdriver vring echo
 */
#include "virtio_ops.h"

#include <linux/pci_regs.h>

static uint64_t
bar(uint32_t index)
{
	return vdriver_pci_read(&d, PCI_BASE_ADDRESS_0 + 4 * index, 4) & ~0xfull;
}

/* Registers: a page each of the first BAR, and the MSI-X table. */
static uint64_t
address(uint32_t off)
{
	if (off & 0x8000)
		return bar(1) + (off & 0xfff);
	return bar(0) + (off & 0x3000) + (off & 0x7f);
}

static void
one_op(const struct op *op)
{
	uint32_t len = op->width > 4 ? 4 : op->width;

	switch (op->which) {
	case 0:
		vdriver_bus_write(&env, address(op->off), op->width, op->val);
		break;
	case 1:
		(void)vdriver_bus_read(&env, address(op->off), op->width);
		break;
	case 4:
		vdriver_pci_write(&d, op->off % 260, len, op->val);
		break;
	case 5:
		(void)vdriver_pci_read(&d, op->off % 260, len);
		break;
	default:
		common_op(op);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t home[2];
	struct op op;

	begin(VDRIVER_PCI);
	for (uint32_t i = 0; i < 2; i++)
		home[i] = (uint32_t)bar(i);
	while (next_op(&data, &len, &op))
		one_op(&op);
	vdriver_pci_write(&d, PCI_COMMAND, 2, 0);
	for (uint32_t i = 0; i < 2; i++)
		vdriver_pci_write(&d, PCI_BASE_ADDRESS_0 + 4 * i, 4, home[i]);
	vdriver_pci_write(&d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	end();
	return 0;
}
