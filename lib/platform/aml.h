/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A writer of AML, the byte code in ACPI's DSDT.
 *
 * Terms are appended to a growing buffer. What contains others is opened,
 * filled and closed with vcore__aml_end(), which puts its length in. Memory
 * that runs out is remembered: check `rc` once at the end.
 */
#ifndef VCORE_LIB_PLATFORM_AML_H
#define VCORE_LIB_PLATFORM_AML_H

#include <stddef.h>
#include <stdint.h>

struct vcore__aml {
	uint8_t *buf;
	size_t len, cap;
	int rc;			/* 0 or -ENOMEM */
	uint32_t reserved0;
};

void vcore__aml_fini(struct vcore__aml *a);
void vcore__aml_bytes(struct vcore__aml *a, const void *bytes, size_t len);
/* Forget what was added since a->len was len. */
void vcore__aml_truncate(struct vcore__aml *a, size_t len);

/* Data. */
void vcore__aml_integer(struct vcore__aml *a, uint64_t value);
void vcore__aml_string(struct vcore__aml *a, const char *text);
void vcore__aml_eisaid(struct vcore__aml *a, const char *id);	/* "PNP0501" */

/*
 * Paths are of four-letter names: "_HID", "\\_SB_", "\\_SB_.PCI0". The value of
 * vcore__aml_name() is what is appended next.
 */
void vcore__aml_name(struct vcore__aml *a, const char *path);
void vcore__aml_name_integer(struct vcore__aml *a, const char *path,
			     uint64_t value);
void vcore__aml_name_string(struct vcore__aml *a, const char *path,
			    const char *text);
void vcore__aml_name_eisaid(struct vcore__aml *a, const char *path,
			    const char *id);

/* Containers: each returns what vcore__aml_end() takes. */
size_t vcore__aml_scope(struct vcore__aml *a, const char *path);
size_t vcore__aml_device(struct vcore__aml *a, const char *path);
size_t vcore__aml_method(struct vcore__aml *a, const char *path,
			 uint8_t args);
size_t vcore__aml_package(struct vcore__aml *a, uint8_t count);
void vcore__aml_end(struct vcore__aml *a, size_t mark);
void vcore__aml_return_integer(struct vcore__aml *a, uint64_t value);

/* A resource template: a buffer of descriptors, as the value of a name. */
size_t vcore__aml_resources(struct vcore__aml *a);
void vcore__aml_resources_end(struct vcore__aml *a, size_t mark);
void vcore__aml_io(struct vcore__aml *a, uint16_t base, uint8_t len);
void vcore__aml_memory32(struct vcore__aml *a, uint32_t base, uint32_t len);
void vcore__aml_interrupt_edge(struct vcore__aml *a, uint32_t gsi);
void vcore__aml_bus_numbers(struct vcore__aml *a, uint16_t first,
			    uint16_t last);
/* Windows that a bridge passes on, and (fixed) registers above 4 GiB. */
void vcore__aml_window32(struct vcore__aml *a, uint32_t base, uint32_t len);
void vcore__aml_window64(struct vcore__aml *a, uint64_t base, uint64_t len);
void vcore__aml_memory64(struct vcore__aml *a, uint64_t base, uint64_t len);

#endif
