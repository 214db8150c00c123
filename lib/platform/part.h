/* SPDX-License-Identifier: BSD-3-Clause */
/* The platform's chips as parts: stopped, started and reset by a machine. */
#ifndef VCORE_LIB_PLATFORM_PART_H
#define VCORE_LIB_PLATFORM_PART_H

#include <vcore/platform.h>

#include "base/part.h"

/* Fill *part; it is valid as long as the chip is. Rank PLATFORM. */
void vcore__uart_part(struct vcore_uart *uart, struct vcore__part *part);
void vcore__rtc_part(struct vcore_rtc *rtc, struct vcore__part *part);
void vcore__power_part(struct vcore_power *power, struct vcore__part *part);
void vcore__pci_host_part(struct vcore_pci_host *host,
			  struct vcore__part *part);
void vcore__ioapic_part(struct vcore_ioapic *ioapic, struct vcore__part *part);

/* stop and start of a chip that only works inside vCPUs' accesses. */
void vcore__chip_stop(void *p, enum vcore__stop how, struct vcore__call *done);
int vcore__chip_start(void *p);

#endif
