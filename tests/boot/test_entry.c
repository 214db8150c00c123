/* SPDX-License-Identifier: BSD-3-Clause */
/* Entry: registers, segment descriptors and page tables. */
#include "boot/arch/x86_64/x86.h"

#include "base/base.h"
#include "boot/common.h"

static void
long_mode(void)
{
	make_bzimage();
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
}

static void
protected_mode(void)
{
	make_elf();
	elf_note("Xen", 18, 4, 2 * MIB);
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}

START_TEST(test_long_mode_registers)
{
	long_mode();
	ck_assert_uint_eq(info.rflags, 2);
	ck_assert_uint_eq(info.rsp, 0);
	/* PG, PE, and what the CPU has by itself; PAE; LMA, LME */
	ck_assert_uint_eq(info.cr0 & 0x80000001, 0x80000001);
	ck_assert_uint_eq(info.cr4, 0x20);
	ck_assert_uint_eq(info.efer, 0x500);
	ck_assert_uint_eq(info.cr3, 0x9000);
	ck_assert_uint_eq(info.cs.l, 1);
	ck_assert_uint_eq(info.cs.db, 0);
	ck_assert_uint_eq(info.cs.selector, 0x10);	/* __BOOT_CS */
	ck_assert_uint_eq(info.ds.selector, 0x18);	/* __BOOT_DS */
}
END_TEST

START_TEST(test_protected_mode_registers)
{
	protected_mode();
	ck_assert_uint_eq(info.rflags, 2);
	ck_assert_uint_eq(info.cr0, 1);
	ck_assert_uint_eq(info.cr3, 0);
	ck_assert_uint_eq(info.cr4, 0);
	ck_assert_uint_eq(info.efer, 0);
	ck_assert_uint_eq(info.rbx, 0x6000);
	ck_assert_uint_eq(info.rsi, 0);
	ck_assert_uint_eq(info.cs.l, 0);
	ck_assert_uint_eq(info.cs.db, 1);
	ck_assert_uint_eq(info.cs.base, 0);
	ck_assert_uint_eq(info.cs.limit, 0xffffffff);
	ck_assert_uint_eq(info.ds.base, 0);
	ck_assert_uint_eq(info.ds.limit, 0xffffffff);
	ck_assert_uint_eq(info.tr.limit, 0x67);
}
END_TEST

START_TEST(test_gdt_says_what_the_registers_say)
{
	long_mode();
	ck_assert_uint_eq(info.gdt_base, 0x500);
	ck_assert_uint_eq(info.gdt_limit, 47);
	ck_assert(all_are(0x500, 16, 0));
	ck_assert_uint_eq(get(0x510, 8), 0x00af9b000000ffff);
	ck_assert_uint_eq(get(0x518, 8), 0x00cf93000000ffff);
	ck_assert_uint_eq(get(0x520, 8), 0x00008b0000000067);
	ck_assert_uint_eq(get(0x528, 8), 0);
	protected_mode();
	ck_assert_uint_eq(get(0x510, 8), 0x00cf9b000000ffff);
}
END_TEST

/* Walk the tables as the CPU does: every 2 MiB below 4 GiB is itself. */
START_TEST(test_page_tables_map_4_gib_at_their_place)
{
	uint64_t gpa, pdpt, pd, entry;

	long_mode();
	pdpt = get(info.cr3, 8);
	ck_assert_uint_eq(pdpt & 0xfff, 3);
	for (gpa = 0; gpa < 1ull << 32; gpa += 2 * MIB) {
		pd = get((pdpt & ~0xfffull) + (gpa >> 30) * 8, 8);
		ck_assert_uint_eq(pd & 0xfff, 3);
		entry = get((pd & ~0xfffull) + (gpa >> 21 & 511) * 8, 8);
		ck_assert_uint_eq(entry, gpa | 0x83);
	}
	ck_assert(all_are(info.cr3 + 8, 4088, 0));
	ck_assert(all_are((pdpt & ~0xfffull) + 32, 4064, 0));
}
END_TEST

static int
entry_long(struct vcore__boot *b)
{
	return vcore__entry_long(b, MIB);
}

static int
entry_protected(struct vcore__boot *b)
{
	return vcore__entry_protected(b, MIB);
}

static int
params(struct vcore__boot *b)
{
	return vcore__params_write(b, NULL);
}

/* What stands in low memory, and the pages from 0 that it needs. */
static const struct {
	int (*write)(struct vcore__boot *b);
	uint64_t pages;
} writers[] = {
	{ entry_protected, 1 },				/* GDT */
	{ entry_long, (X86_TABLES >> 12) + 6 },
	{ params, (X86_CMDLINE >> 12) + 1 },
	{ vcore__pvh_write, (X86_CMDLINE >> 12) + 1 },
};

/* The map was good when the boot began, and is changed by another thread. */
START_TEST(test_boot_data_where_memory_went_away_are_enospc)
{
	struct vcore__boot b = { .memory = memory, .cmdline = "" };
	uint64_t n;

	ck_assert_ok(vcore_memory_remove(memory, 0));
	for (n = 0; n < writers[_i].pages; n++) {
		if (n)
			add_ram(0, n * PAGE, 0);
		ck_assert_error(writers[_i].write(&b), -ENOSPC,
				"vcore_boot_linux: boot data: ");
		if (n)
			ck_assert_ok(vcore_memory_remove(memory, 0));
	}
	add_ram(0, n * PAGE, 0);
	ck_assert_ok(writers[_i].write(&b));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("entry");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, boot_setup_ram, boot_teardown);
	tcase_add_test(tc, test_long_mode_registers);
	tcase_add_test(tc, test_protected_mode_registers);
	tcase_add_test(tc, test_gdt_says_what_the_registers_say);
	tcase_add_test(tc, test_page_tables_map_4_gib_at_their_place);
	tcase_add_loop_test(
		tc, test_boot_data_where_memory_went_away_are_enospc, 0,
		(int)VCORE__ARRAY_SIZE(writers));
	suite_add_tcase(s, tc);
	return support_run(s);
}
