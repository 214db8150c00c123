/* SPDX-License-Identifier: BSD-3-Clause */
/* Zero page: the map that Linux is told, RSDP, an ELF kernel's header. */
#include "boot/arch/x86_64/x86.h"

#include "boot/common.h"

static void
setup(void)
{
	boot_setup();
	make_bzimage();
}

/* "0-9fc00:1 9fc00-100000:2", from guest memory. */
static const char *
e820(void)
{
	static char text[8192];
	uint64_t count = get(0x7000 + 0x1e8, 1), at = 0x7000 + 0x2d0, start;
	size_t n = 0;

	text[0] = '\0';
	for (uint64_t i = 0; i < count; i++, at += 20) {
		start = get(at, 8);
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s%llx-%llx:%u", i ? " " : "",
				      (unsigned long long)start,
				      (unsigned long long)(start +
							   get(at + 8, 8)),
				      (unsigned int)get(at + 16, 4));
	}
	return text;
}

START_TEST(test_map_of_plain_ram)
{
	add_ram(0, 64 * MIB, 0);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_str_eq(e820(), "0-9fc00:1 9fc00-100000:2 100000-4000000:1");
}
END_TEST

START_TEST(test_map_of_several_regions)
{
	add_ram(0, 32 * MIB, 0);
	add_ram(32 * MIB, 32 * MIB, 0);		/* touches: one entry */
	add_ram(80 * MIB, MIB, VCORE_MEMORY_READONLY);
	add_ram(1ull << 32, MIB, 0);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_str_eq(e820(),
			 "0-9fc00:1 9fc00-100000:2 100000-4000000:1 "
			 "5000000-5100000:2 100000000-100100000:1");
}
END_TEST

START_TEST(test_callers_ranges_replace_ram)
{
	const struct vcore_boot_range ranges[] = {
		{ 0xe0000, 0x10000, VCORE_BOOT_RANGE_ACPI, 0 },
		{ 60 * MIB, MIB, VCORE_BOOT_RANGE_NVS, 0 },
		{ 63 * MIB, 2 * MIB, VCORE_BOOT_RANGE_RESERVED, 0 },
		{ 1ull << 33, MIB, VCORE_BOOT_RANGE_PMEM, 0 },
	};
	static const char initrd[100];

	add_ram(0, 64 * MIB, 0);
	opts.ranges = ranges;
	opts.range_count = 4;
	opts.initrd_data = initrd;
	opts.initrd_len = sizeof(initrd);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_str_eq(e820(),
			 "0-9fc00:1 9fc00-e0000:2 e0000-f0000:3 f0000-100000:2 "
			 "100000-3c00000:1 3c00000-3d00000:4 3d00000-3f00000:1 "
			 "3f00000-4100000:2 200000000-200100000:7");
	ck_assert_uint_eq(info.initrd_gpa, 63 * MIB - PAGE);
}
END_TEST

START_TEST(test_map_of_128_entries_and_not_one_more)
{
	static struct vcore_boot_range ranges[128];
	uint32_t i;

	add_ram(0, 64 * MIB, 0);
	for (i = 0; i < 128; i++)
		ranges[i] = (struct vcore_boot_range){
			(1ull << 33) + i * 2 * MIB, MIB,
			VCORE_BOOT_RANGE_PMEM, 0,
		};
	opts.ranges = ranges;
	opts.range_count = 126;		/* and three others */
	ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOSPC, "vcore_boot_linux: ");
	opts.range_count = 125;
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(get(0x7000 + 0x1e8, 1), 128);
	ck_assert_uint_eq(get(0x7000 + 0x2d0 + 127 * 20, 8),
			  (1ull << 33) + 124 * 2 * MIB);
	ck_assert_uint_eq(get(0x7000 + 0xcd0, 8), 0);	/* right behind */
}
END_TEST

START_TEST(test_rsdp_and_loader)
{
	add_ram(0, 64 * MIB, 0);
	opts.rsdp = 0xe0010;
	opts.cmdline = "console=ttyS0";
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(get(0x7000 + 0x70, 8), 0xe0010);
	ck_assert_uint_eq(get(0x7000 + 0x210, 1), 0xff);
	ck_assert_uint_eq(get(0x7000 + 0x228, 4), 0x20000);
	ck_assert_uint_eq(get(0x20000, 8), 0x3d656c6f736e6f63);
	ck_assert_uint_eq(get(0x7000 + 0x218, 8), 0);	/* no initrd */
}
END_TEST

START_TEST(test_elf_kernel_gets_a_header)
{
	add_ram(0, 64 * MIB, 0);
	make_elf();
	opts.rsdp = 0xe0010;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
	ck_assert_uint_eq(get(0x7000 + 0x1fe, 2), 0xaa55);
	ck_assert_uint_eq(get(0x7000 + 0x202, 4), 0x53726448);
	ck_assert_uint_ge(get(0x7000 + 0x206, 2), 0x20c);
	ck_assert_uint_eq(get(0x7000 + 0x210, 1), 0xff);
	ck_assert_uint_eq(get(0x7000 + 0x211, 1), 1);
	ck_assert_uint_eq(get(0x7000 + 0x238, 4), 2047);
	ck_assert_uint_eq(get(0x7000 + 0x70, 8), 0xe0010);
	ck_assert_str_eq(e820(), "0-9fc00:1 9fc00-100000:2 100000-4000000:1");
}
END_TEST

/* What a first boot left there is gone. */
START_TEST(test_second_boot_starts_from_zero)
{
	static const char initrd[100];

	add_ram(0, 64 * MIB, 0);
	opts.initrd_data = initrd;
	opts.initrd_len = sizeof(initrd);
	opts.cmdline = "long command line";
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_ok(vcore_memory_fill(memory, 0x7000, 0xff, PAGE));
	opts.initrd_data = NULL;
	opts.initrd_len = 0;
	opts.cmdline = NULL;
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(get(0x7000 + 0x218, 8), 0);
	ck_assert_uint_eq(get(0x20000, 1), 0);
	ck_assert(all_are(0x7000, 0x1e8, 0));
	ck_assert_uint_eq(info.initrd_gpa, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("params");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, boot_teardown);
	tcase_add_test(tc, test_map_of_plain_ram);
	tcase_add_test(tc, test_map_of_several_regions);
	tcase_add_test(tc, test_callers_ranges_replace_ram);
	tcase_add_test(tc, test_map_of_128_entries_and_not_one_more);
	tcase_add_test(tc, test_rsdp_and_loader);
	tcase_add_test(tc, test_elf_kernel_gets_a_header);
	tcase_add_test(tc, test_second_boot_starts_from_zero);
	suite_add_tcase(s, tc);
	return support_run(s);
}
