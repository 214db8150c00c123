/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the ACPI writer: what chips put into it. */
#ifndef VCORE_LIB_PLATFORM_ACPI_H
#define VCORE_LIB_PLATFORM_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include <vcore/platform.h>

#include "platform/aml.h"

#define VCORE__ACPI_TABLES 16u	/* of the embedder's own */

struct vcore_acpi {
	uint32_t flags;			/* VCORE_ACPI_* */
	uint32_t cpus;
	uint32_t ioapic;
	uint32_t uarts;			/* described so far */
	uint32_t virtios;
	uint32_t century;		/* CMOS index; 0: none */
	uint32_t power;			/* first power port; 0: none */
	uint32_t buses;			/* PCI; 0: no bridge */
	uint64_t ecam;			/* 0: no MCFG */
	struct vcore__aml sb;		/* what stands in \_SB, without CPUs */
	struct {
		uint8_t *bytes;
		size_t len;
	} table[VCORE__ACPI_TABLES];
	uint32_t tables;
	uint32_t reserved0;
};

/*
 * After a chip has appended to acpi->sb: 0, or -ENOMEM with what it appended
 * (since the length was `before`) taken away and fn named in the text.
 */
int vcore__acpi_added(struct vcore_acpi *acpi, size_t before, const char *fn);

/* Ports of the power registers, relative to their base. */
#define VCORE__POWER_SLEEP_CONTROL 0u
#define VCORE__POWER_SLEEP_STATUS  1u
#define VCORE__POWER_RESET         2u
#define VCORE__POWER_PORTS         4u
#define VCORE__POWER_RESET_VALUE   1u
#define VCORE__POWER_S5            5u	/* sleep type of soft-off */

/*
 * Lay all tables out as they stand at gpa: *buf is to be freed, *rsdp is the
 * RSDP's offset in it. 0 or -ENOMEM.
 */
int vcore__acpi_build(const struct vcore_acpi *acpi, uint64_t gpa,
		      struct vcore__aml *out, size_t *rsdp);

#endif
