/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the MMIO transport's registers with a device behind them: it survives,
 * and serves a well-formed request after a reset.
 *
 * FUZZ-SUPPORT: vdriver vring echo
 */
#include "virtio_ops.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct op op;

	begin(VDRIVER_MMIO);
	while (next_op(&data, &len, &op)) {
		if (op.which == 0 || op.which == 4)
			vdriver_bus_write(&env, d.base + op.off % 0x208,
					  op.which ? 4 : op.width, op.val);
		else if (op.which == 1)
			(void)vdriver_bus_read(&env, d.base + op.off % 0x208,
					       op.width);
		else
			common_op(&op);
	}
	end();
	return 0;
}
