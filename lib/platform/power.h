/* SPDX-License-Identifier: BSD-3-Clause */
/* What the PCI host shares with the reset registers: port 0xcf9. */
#ifndef VCORE_LIB_PLATFORM_POWER_H
#define VCORE_LIB_PLATFORM_POWER_H

#include <stdatomic.h>
#include <stdint.h>

#include <vcore/event.h>

/* A write to the reset control register, whose last value is *reg. */
void vcore__cf9_write(struct vcore_events *events, _Atomic uint32_t *reg,
		      uint8_t val);

#endif
