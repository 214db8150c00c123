/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The zero page: struct boot_params of Linux. Documentation/arch/x86/boot.rst
 * and zero-page.rst; offsets by arch/x86/include/uapi/asm/bootparam.h.
 */
#include "boot/arch/x86_64/x86.h"

#include "base/base.h"

#define RSDP		0x070
#define E820_ENTRIES	0x1e8
#define BOOT_FLAG	0x1fe
#define MAGIC		0x202
#define VERSION		0x206
#define LOADER		0x210
#define LOADFLAGS	0x211
#define RAMDISK_IMAGE	0x218
#define RAMDISK_SIZE	0x21c
#define CMD_LINE_PTR	0x228
#define ALIGNMENT	0x230
#define CMDLINE_SIZE	0x238
#define E820_TABLE	0x2d0
#define E820_ENTRY	20u

#define LOADER_UNDEFINED 0xff	/* "no ID assigned" */

/* For an ELF kernel there is no header to copy: what Linux reads of it. */
static void
default_header(uint8_t *page)
{
	x86_put(page + BOOT_FLAG, 2, 0xaa55);
	memcpy(page + MAGIC, "HdrS", 4);
	x86_put(page + VERSION, 2, 0x020f);
	page[LOADFLAGS] = 1;
	x86_put(page + ALIGNMENT, 4, 0x1000000);
	x86_put(page + CMDLINE_SIZE, 4, X86_LINUX_CMDLINE_MAX);
}

int
vcore__params_write(struct vcore__boot *b, const uint8_t *header)
{
	const struct vcore__extent *e = b->map.list;
	uint8_t page[4096], *entry = page + E820_TABLE;
	uint32_t i;
	int rc;

	memset(page, 0, sizeof(page));
	if (header)
		memcpy(page + X86_SETUP, header + X86_SETUP,
		       X86_SETUP_MAX - X86_SETUP);
	else
		default_header(page);
	page[LOADER] = LOADER_UNDEFINED;
	x86_put(page + CMD_LINE_PTR, 4, X86_CMDLINE);
	x86_put(page + RAMDISK_IMAGE, 4, b->info.initrd_gpa);
	x86_put(page + RAMDISK_SIZE, 4, b->info.initrd_len);
	x86_put(page + RSDP, 8, b->opts.rsdp);
	page[E820_ENTRIES] = (uint8_t)b->map.count;	/* at most 128 */
	for (i = 0; i < b->map.count; i++, entry += E820_ENTRY) {
		x86_put(entry, 8, e[i].start);
		x86_put(entry + 8, 8, e[i].end - e[i].start);
		x86_put(entry + 16, 4, e[i].kind);
	}
	rc = vcore__boot_put(b, X86_PARAMS, page, sizeof(page));
	b->info.rsi = X86_PARAMS;
	return rc < 0 ? rc : vcore__cmdline_write(b);
}
