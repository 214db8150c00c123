/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PVH start information: struct hvm_start_info, version 1. Xen
 * docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h.
 */
#include "boot/arch/x86_64/x86.h"

#include "base/base.h"

#define PVH_MAGIC	0x336ec578u
#define MODULES		0x40u	/* behind the 56 bytes of the structure */
#define MEMMAP		0x60u	/* behind one module */
#define MEMMAP_ENTRY	24u

int
vcore__pvh_write(struct vcore__boot *b)
{
	const struct vcore__extent *e = b->map.list;
	uint8_t page[4096], *entry = page + MEMMAP;
	uint32_t i;
	int rc;

	memset(page, 0, sizeof(page));
	x86_put(page, 4, PVH_MAGIC);
	x86_put(page + 4, 4, 1);			/* version */
	x86_put(page + 12, 4, b->info.initrd_len != 0);	/* nr_modules */
	x86_put(page + 16, 8, X86_PVH_INFO + MODULES);
	x86_put(page + 24, 8, X86_CMDLINE);
	x86_put(page + 32, 8, b->opts.rsdp);
	x86_put(page + 40, 8, X86_PVH_INFO + MEMMAP);
	x86_put(page + 48, 4, b->map.count);
	x86_put(page + MODULES, 8, b->info.initrd_gpa);
	x86_put(page + MODULES + 8, 8, b->info.initrd_len);
	/* At most 128 entries, which end at 0xc60. */
	for (i = 0; i < b->map.count; i++, entry += MEMMAP_ENTRY) {
		x86_put(entry, 8, e[i].start);
		x86_put(entry + 8, 8, e[i].end - e[i].start);
		x86_put(entry + 16, 4, e[i].kind);
	}
	rc = vcore__boot_put(b, X86_PVH_INFO, page, sizeof(page));
	b->info.rbx = X86_PVH_INFO;
	return rc < 0 ? rc : vcore__cmdline_write(b);
}
