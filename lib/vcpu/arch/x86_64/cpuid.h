/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of CPUID tables: entries, names of features. */
#ifndef VCORE_LIB_VCPU_ARCH_CPUID_H
#define VCORE_LIB_VCPU_ARCH_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include <vcore/cpuid.h>

struct vcore_cpuid {
	struct vcore_host *host;	/* counted */
	uint32_t count;
	uint32_t cap;
	struct vcore_cpuid_entry *entry;
};

/* A feature bit: where its name in /proc/cpuinfo says it is. */
struct vcore__feature {
	const char *name;
	uint32_t function;
	uint8_t index;
	uint8_t reg;			/* enum vcore_cpuid_register */
	uint8_t bit;
};

/* By name; NULL: unknown. */
const struct vcore__feature *
vcore__feature_find(const char *name);

/* index-th of the table, NULL behind its end: for tests and listings. */
const struct vcore__feature *
vcore__feature_at(uint32_t index);

#endif
