/* SPDX-License-Identifier: BSD-3-Clause */
/* PVH start information: structure, module, memory map. */
#include "boot/arch/x86_64/x86.h"

#include "boot/common.h"

static void
setup(void)
{
	boot_setup_ram();
	make_elf();
	elf_note("Xen", 18, 8, 2 * MIB);
}

START_TEST(test_start_info_without_initrd)
{
	opts.cmdline = "hello";
	opts.rsdp = 0xe0000;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(info.rbx, 0x6000);
	ck_assert_uint_eq(get(0x6000, 4), 0x336ec578);
	ck_assert_uint_eq(get(0x6004, 4), 1);		/* version */
	ck_assert_uint_eq(get(0x6008, 4), 0);		/* flags */
	ck_assert_uint_eq(get(0x600c, 4), 0);		/* modules */
	ck_assert_uint_eq(get(0x6018, 8), 0x20000);	/* command line */
	ck_assert_uint_eq(get(0x6020, 8), 0xe0000);	/* RSDP */
	ck_assert_uint_eq(get(0x6034, 4), 0);		/* reserved */
	ck_assert_uint_eq(get(0x20000, 6), 0x6f6c6c6568);
}
END_TEST

START_TEST(test_initrd_is_a_module)
{
	uint64_t module;

	opts.initrd_data = elf;
	opts.initrd_len = 5000;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(get(0x600c, 4), 1);
	module = get(0x6010, 8);
	ck_assert_uint_eq(get(module, 8), info.initrd_gpa);
	ck_assert_uint_eq(get(module + 8, 8), 5000);
	ck_assert_uint_eq(get(module + 16, 8), 0);	/* its command line */
	ck_assert_uint_eq(info.initrd_gpa, 64 * MIB - 8192);
}
END_TEST

START_TEST(test_memory_map)
{
	static const uint64_t want[][3] = {
		{ 0, 0x9fc00, 1 },
		{ 0x9fc00, 0x60400, 2 },
		{ MIB, 63 * MIB, 1 },
	};
	uint64_t at;

	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(get(0x6030, 4), 3);
	at = get(0x6028, 8);
	for (int i = 0; i < 3; i++, at += 24) {
		ck_assert_uint_eq(get(at, 8), want[i][0]);
		ck_assert_uint_eq(get(at + 8, 8), want[i][1]);
		ck_assert_uint_eq(get(at + 16, 4), want[i][2]);
		ck_assert_uint_eq(get(at + 20, 4), 0);
	}
}
END_TEST

START_TEST(test_longest_map_and_command_line_fit)
{
	static struct vcore_boot_range ranges[125];
	static char line[65537];
	uint32_t i;

	for (i = 0; i < 125; i++)
		ranges[i] = (struct vcore_boot_range){
			(1ull << 33) + i * 2 * MIB, MIB,
			VCORE_BOOT_RANGE_PMEM, 0,
		};
	opts.ranges = ranges;
	opts.range_count = 125;
	memset(line, 'b', 65536);
	opts.cmdline = line;
	ck_assert_error(boot_bytes(elf, ELF_LEN), -EINVAL,
			"vcore_boot_linux: ");
	line[65535] = '\0';
	ck_assert_ok(vcore_memory_fill(memory, 0x30000, 0xcc, 16));
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(get(0x6030, 4), 128);
	ck_assert_uint_eq(get(get(0x6028, 8) + 127 * 24, 8),
			  (1ull << 33) + 124 * 2 * MIB);
	ck_assert(all_are(0x30000, 16, 0xcc));
	ck_assert(all_are(0x7000, 4096, 0));	/* no zero page in PVH */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pvh");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, boot_teardown);
	tcase_add_test(tc, test_start_info_without_initrd);
	tcase_add_test(tc, test_initrd_is_a_module);
	tcase_add_test(tc, test_memory_map);
	tcase_add_test(tc, test_longest_map_and_command_line_fit);
	suite_add_tcase(s, tc);
	return support_run(s);
}
