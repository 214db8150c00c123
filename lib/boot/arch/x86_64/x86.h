/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the x86 loaders: where things stand in low memory. */
#ifndef VCORE_LIB_BOOT_X86_H
#define VCORE_LIB_BOOT_X86_H

#include "boot/boot.h"

#define X86_GDT		0x500u
#define X86_PVH_INFO	0x6000u	/* up to 0x7000 */
#define X86_PARAMS	0x7000u	/* one page */
#define X86_TABLES	0x9000u	/* up to 0xf000 */
#define X86_CMDLINE	0x20000u
#define X86_CMDLINE_MAX	0xffffu	/* up to 0x30000, with the NUL */
#define X86_LOW_END	0x30000u
#define X86_EBDA	0x9fc00u
#define X86_HIGH	0x100000u
#define X86_4G		(1ull << 32)

/* COMMAND_LINE_SIZE of Linux, without the NUL */
#define X86_LINUX_CMDLINE_MAX 2047u

/* bzimage.c */
#define X86_SETUP	0x1f1u	/* the setup header, in file and zero page */
#define X86_SETUP_MAX	0x290u	/* what follows it in the zero page */

int vcore__bzimage_load(struct vcore__boot *b);
/* Is this the header of a bzImage? 1, 0 or an error. */
int vcore__bzimage_probe(const struct vcore__boot *b);

/* params.c: the zero page; header: setup header at its place, or NULL */
int vcore__params_write(struct vcore__boot *b, const uint8_t *header);
int vcore__cmdline_write(struct vcore__boot *b);

/* pvh.c */
int vcore__pvh_write(struct vcore__boot *b);

/* entry.c: GDT, page tables, registers */
int vcore__entry_long(struct vcore__boot *b, uint64_t rip);
int vcore__entry_protected(struct vcore__boot *b, uint64_t rip);

/* A write of the library's own; it can only fail if the map changes. */
int vcore__boot_put(struct vcore__boot *b, uint64_t gpa, const void *buf,
		    uint64_t len);

/* Little endian bytes at any offset. */
static inline void
x86_put(uint8_t *p, uint32_t bytes, uint64_t value)
{
	for (; bytes > 0; bytes--, value >>= 8)
		*p++ = (uint8_t)value;
}

static inline uint64_t
x86_get(const uint8_t *p, uint32_t bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | p[bytes];
	return value;
}

#endif
