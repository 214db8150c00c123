/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In which state a kernel is entered. 64-bit: boot.rst, "64-bit Boot Protocol":
 * paging on, the first 4 GiB mapped at their own addresses. PVH: pvh.pandoc,
 * "x86/PVH direct boot ABI": flat 32-bit segments, paging off.
 */
#include "boot/arch/x86_64/x86.h"

#include "base/base.h"

#define SELECTOR_CS	0x10	/* __BOOT_CS */
#define SELECTOR_DS	0x18	/* __BOOT_DS */
#define SELECTOR_TR	0x20
#define GDT_ENTRIES	6u	/* the last one: upper half of a 64-bit TSS */

#define CR0_PE		0x1u
#define CR0_LONG	0x80050033u	/* PG AM WP NE ET MP PE */
#define CR4_PAE		0x20u
#define EFER_LONG	0x500u		/* LMA LME */
#define RFLAGS_ONE	0x2u

#define PAGE_PRESENT_WRITE 0x3u
#define PAGE_2M		0x80u
#define ENTRIES		512u

static uint64_t
descriptor(const struct vcore_boot_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 |
	       (uint64_t)s->type << 40 | (uint64_t)s->s << 44 |
	       (uint64_t)s->dpl << 45 | (uint64_t)s->present << 47 |
	       (limit >> 16 & 0xf) << 48 | (uint64_t)s->avl << 52 |
	       (uint64_t)s->l << 53 | (uint64_t)s->db << 54 |
	       (uint64_t)s->g << 55 | (s->base >> 24 & 0xff) << 56;
}

static int
write_gdt(struct vcore__boot *b, bool wide)
{
	const struct vcore_boot_segment flat = {
		.limit = UINT32_MAX, .present = 1, .s = 1, .g = 1,
	};
	struct vcore_boot_info *i = &b->info;
	uint8_t gdt[GDT_ENTRIES * 8];

	i->cs = i->ds = flat;
	i->cs.selector = SELECTOR_CS;
	i->cs.type = 11;	/* execute, read, accessed */
	i->cs.l = wide;
	i->cs.db = !wide;
	i->ds.selector = SELECTOR_DS;
	i->ds.type = 3;		/* read, write, accessed */
	i->ds.db = 1;
	i->tr = (struct vcore_boot_segment){
		.limit = 0x67, .selector = SELECTOR_TR, .type = 11 /* busy */,
		.present = 1,
	};
	i->gdt_base = X86_GDT;
	i->gdt_limit = sizeof(gdt) - 1;
	memset(gdt, 0, sizeof(gdt));
	x86_put(gdt + SELECTOR_CS, 8, descriptor(&i->cs));
	x86_put(gdt + SELECTOR_DS, 8, descriptor(&i->ds));
	x86_put(gdt + SELECTOR_TR, 8, descriptor(&i->tr));
	return vcore__boot_put(b, X86_GDT, gdt, sizeof(gdt));
}

/* One PML4, one PDPT, four page directories of 2 MiB pages. */
static int
write_tables(struct vcore__boot *b)
{
	uint8_t page[4096];
	uint64_t table, n, gpa = 0;
	int rc;

	memset(page, 0, sizeof(page));
	x86_put(page, 8, (X86_TABLES + 0x1000) | PAGE_PRESENT_WRITE);
	rc = vcore__boot_put(b, X86_TABLES, page, sizeof(page));
	for (n = 0; n < 4; n++)
		x86_put(page + n * 8, 8,
			(X86_TABLES + 0x2000 + n * 0x1000) | PAGE_PRESENT_WRITE);
	if (rc == 0)
		rc = vcore__boot_put(b, X86_TABLES + 0x1000, page,
				     sizeof(page));
	for (table = 0; rc == 0 && table < 4; table++) {
		for (n = 0; n < ENTRIES; n++, gpa += 2u << 20)
			x86_put(page + n * 8, 8,
				gpa | PAGE_2M | PAGE_PRESENT_WRITE);
		rc = vcore__boot_put(b, X86_TABLES + 0x2000 + table * 0x1000,
				     page, sizeof(page));
	}
	return rc;
}

int
vcore__entry_long(struct vcore__boot *b, uint64_t rip)
{
	int rc;

	b->info.rip = rip;
	b->info.rflags = RFLAGS_ONE;
	b->info.cr0 = CR0_LONG;
	b->info.cr3 = X86_TABLES;
	b->info.cr4 = CR4_PAE;
	b->info.efer = EFER_LONG;
	rc = write_gdt(b, true);
	return rc < 0 ? rc : write_tables(b);
}

int
vcore__entry_protected(struct vcore__boot *b, uint64_t rip)
{
	b->info.rip = rip;
	b->info.rflags = RFLAGS_ONE;
	b->info.cr0 = CR0_PE;
	return write_gdt(b, false);
}
