/* SPDX-License-Identifier: BSD-3-Clause */
/* bzImage: where it goes, what is handed over, and every lie in its header. */
#include "boot/arch/x86_64/x86.h"

#include "boot/common.h"

static void
setup(void)
{
	boot_setup_ram();
	make_bzimage();
}

static void
refused(int error)
{
	ck_assert_error(boot_bytes(bz, BZ_LEN), error, "vcore_boot_linux: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "kernel in memory"));
	make_bzimage();
}

START_TEST(test_loads_at_its_preferred_address)
{
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.kind, VCORE_BOOT_BZIMAGE);
	ck_assert_uint_eq(info.kernel_gpa, 16 * MIB);
	ck_assert_uint_eq(info.kernel_len, MIB);
	ck_assert_uint_eq(info.rip, 16 * MIB + 0x200);
	ck_assert_uint_eq(info.rsi, 0x7000);
	ck_assert_uint_eq(info.rbx, 0);
	ck_assert_uint_eq(info.size, sizeof(info));
	ck_assert(all_are(16 * MIB, BZ_BODY, 0x5a));
	ck_assert(all_are(16 * MIB + BZ_BODY, 4096, 0));
}
END_TEST

START_TEST(test_header_is_copied_and_the_rest_is_zero)
{
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(get(0x7000 + 0x202, 4), 0x53726448);	/* HdrS */
	ck_assert_uint_eq(get(0x7000 + 0x1f1, 1), BZ_SETUP);
	ck_assert_uint_eq(get(0x7000 + 0x260, 4), MIB);
	ck_assert_uint_eq(get(0x7000 + 0x214, 4), 16 * MIB);
	/* Behind the header's end (0x202 + 0x6a) nothing of the file. */
	ck_assert_uint_eq(get(0x7000 + 0x26b, 1), 0x11);
	ck_assert(all_are(0x7000 + 0x26c, 0x290 - 0x26c, 0));
	ck_assert(all_are(0x7000, 0x1e8, 0));
	ck_assert_uint_eq(get(0x7000 + 0x1ef, 1), 0);	/* sentinel */
}
END_TEST

START_TEST(test_header_longer_than_the_zero_page_has_room_for)
{
	bz[0x201] = 0xff;
	memset(bz + 0x268, 0x22, 0x100);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(get(0x7000 + 0x28f, 1), 0x22);
	ck_assert_uint_eq(get(0x7000 + 0x290, 1), 0);
}
END_TEST

START_TEST(test_setup_sects_zero_means_four)
{
	static uint8_t image[5 * 512 + BZ_BODY];

	memcpy(image, bz, BZ_OFFSET);
	image[0x1f1] = 0;
	memset(image + 5 * 512, 0x33, BZ_BODY);
	ck_assert_ok(boot_bytes(image, sizeof(image)));
	ck_assert(all_are(16 * MIB, BZ_BODY, 0x33));
}
END_TEST

START_TEST(test_bytes_behind_syssize_are_not_loaded)
{
	static uint8_t image[BZ_LEN + 100];

	memset(image, 0x44, sizeof(image));	/* a signature, for example */
	memcpy(image, bz, BZ_LEN);
	ck_assert_ok(boot_bytes(image, sizeof(image)));
	ck_assert(all_are(16 * MIB + BZ_BODY, 100, 0));
}
END_TEST

START_TEST(test_last_paragraph_may_be_short)
{
	ck_assert_ok(boot_bytes(bz, BZ_LEN - 15));
	ck_assert(all_are(16 * MIB, BZ_BODY - 15, 0x5a));
	ck_assert(all_are(16 * MIB + BZ_BODY - 15, 15, 0));
	VCORE_INIT(&info);
	ck_assert_error(boot_bytes(bz, BZ_LEN - 16), -ENOEXEC,
			"vcore_boot_linux: ");
}
END_TEST

START_TEST(test_moves_if_its_place_is_taken)
{
	const struct vcore_boot_range taken = {
		16 * MIB, MIB, VCORE_BOOT_RANGE_RESERVED, 0,
	};

	opts.ranges = &taken;
	opts.range_count = 1;
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.kernel_gpa, 2 * MIB);	/* lowest aligned */
	ck_assert_uint_eq(info.rip, 2 * MIB + 0x200);
	ck_assert_uint_eq(get(0x7000 + 0x214, 4), 2 * MIB);

	bz[0x234] = 0;
	VCORE_INIT(&info);
	refused(-ENOSPC);
}
END_TEST

START_TEST(test_preferred_address_in_low_memory_or_absurd)
{
	static const uint64_t addresses[] = {
		0, 0x7000, 0x9f000, 0xff000, 63 * MIB + PAGE, 64 * MIB, 1ull << 32,
		UINT64_MAX - PAGE + 1,
	};

	for (size_t i = 0; i < sizeof(addresses) / 8; i++) {
		put(bz + 0x258, 8, addresses[i]);
		VCORE_INIT(&info);
		ck_assert_ok(boot_bytes(bz, BZ_LEN));
		ck_assert_uint_eq(info.kernel_gpa, 2 * MIB);
		bz[0x234] = 0;
		VCORE_INIT(&info);
		refused(-ENOSPC);
	}
}
END_TEST

START_TEST(test_ends_exactly_with_the_memory)
{
	put(bz + 0x258, 8, 63 * MIB);
	bz[0x234] = 0;
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.kernel_gpa, 63 * MIB);
}
END_TEST

START_TEST(test_init_size_lies)
{
	put(bz + 0x260, 4, UINT32_MAX);
	refused(-ENOSPC);
	put(bz + 0x260, 4, 64 * MIB);
	refused(-ENOSPC);
	put(bz + 0x260, 4, 0);		/* the file's bytes are the minimum */
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.kernel_len, BZ_BODY);
}
END_TEST

START_TEST(test_file_sizes_lie)
{
	put(bz + 0x1f4, 4, BZ_BODY / 16 + 1);
	refused(-ENOEXEC);
	put(bz + 0x1f4, 4, UINT32_MAX);
	refused(-ENOEXEC);
	put(bz + 0x1f4, 4, 0);
	refused(-ENOEXEC);
	put(bz + 0x1f4, 4, 32);		/* nothing at the entry */
	refused(-ENOEXEC);
	bz[0x1f1] = 255;
	refused(-ENOEXEC);
	bz[0x1f1] = 18;			/* setup ends one sector behind */
	refused(-ENOEXEC);
	put(bz + 0x248, 4, BZ_BODY);	/* payload outside */
	refused(-ENOEXEC);
	put(bz + 0x24c, 4, UINT32_MAX);
	refused(-ENOEXEC);
}
END_TEST

START_TEST(test_kernels_without_a_64_bit_entry)
{
	put(bz + 0x236, 2, 0xfffe);
	refused(-ENOEXEC);
	put(bz + 0x206, 2, 0x020b);
	refused(-ENOEXEC);
	put(bz + 0x206, 2, 0);
	refused(-ENOEXEC);
	bz[0x211] = 0;			/* zImage */
	refused(-ENOEXEC);
	bz[0x201] = 0x61;		/* header without init_size */
	refused(-ENOEXEC);
}
END_TEST

START_TEST(test_bad_alignments)
{
	static const uint32_t bad[] = { 0, 1, 2048, 4097, 0x80000001, ~0u };

	for (size_t i = 0; i < 6; i++) {
		put(bz + 0x230, 4, bad[i]);
		refused(-ENOEXEC);
	}
	put(bz + 0x258, 8, 16 * MIB + 1);
	refused(-ENOEXEC);
	put(bz + 0x230, 4, 0x80000000);	/* fine, as it need not move */
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
}
END_TEST

START_TEST(test_every_truncation_is_refused)
{
	for (uint64_t len = 0; len <= BZ_LEN - 16; len += len < 0x300 ? 1 : 61)
		ck_assert_error(boot_bytes(bz, len), -ENOEXEC,
				"vcore_boot_linux: ");
}
END_TEST

START_TEST(test_command_line_as_long_as_the_header_says)
{
	static char line[70000];

	memset(line, 'a', sizeof(line) - 1);
	opts.cmdline = line;
	refused(-EINVAL);
	line[2048] = '\0';
	refused(-EINVAL);
	line[2047] = '\0';
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(get(0x7000 + 0x228, 4), 0x20000);
	ck_assert(all_are(0x20000, 2047, 'a'));
	ck_assert_uint_eq(get(0x20000 + 2047, 1), 0);

	/* A header that takes more than there is room for. */
	put(bz + 0x238, 4, UINT32_MAX);
	memset(line, 'a', sizeof(line) - 1);
	refused(-EINVAL);
	put(bz + 0x238, 4, UINT32_MAX);
	line[65535] = '\0';
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	put(bz + 0x238, 4, 0);
	refused(-EINVAL);
	put(bz + 0x238, 4, 0);
	opts.cmdline = "";
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
}
END_TEST

START_TEST(test_initrd_goes_below_what_the_header_says)
{
	static uint8_t initrd[5000];

	memset(initrd, 0x66, sizeof(initrd));
	opts.initrd_data = initrd;
	opts.initrd_len = sizeof(initrd);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.initrd_gpa, 64 * MIB - 8192);
	ck_assert_uint_eq(info.initrd_len, 5000);
	ck_assert_uint_eq(get(0x7000 + 0x218, 4), 64 * MIB - 8192);
	ck_assert_uint_eq(get(0x7000 + 0x21c, 4), 5000);
	ck_assert(all_are(info.initrd_gpa, 5000, 0x66));

	put(bz + 0x22c, 4, 32 * MIB - 1);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.initrd_gpa, 32 * MIB - 8192);

	/* The kernel stands right below the limit: under it, then. */
	put(bz + 0x22c, 4, 17 * MIB - 1);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.initrd_gpa, 16 * MIB - 8192);

	put(bz + 0x22c, 4, 0);
	ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOSPC, "vcore_boot_linux: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "initrd in memory"));
}
END_TEST

/* Each byte of the header, each bit: an answer, and nothing else happens. */
START_TEST(test_flipped_bits_are_survived)
{
	for (uint32_t bit = 0x1f0 * 8; bit < 0x270 * 8; bit++) {
		make_bzimage();
		bz[bit / 8] ^= (uint8_t)(1u << bit % 8);
		VCORE_INIT(&info);
		(void)boot_bytes(bz, BZ_LEN);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bzimage");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, boot_teardown);
	tcase_add_test(tc, test_loads_at_its_preferred_address);
	tcase_add_test(tc, test_header_is_copied_and_the_rest_is_zero);
	tcase_add_test(tc, test_header_longer_than_the_zero_page_has_room_for);
	tcase_add_test(tc, test_setup_sects_zero_means_four);
	tcase_add_test(tc, test_bytes_behind_syssize_are_not_loaded);
	tcase_add_test(tc, test_last_paragraph_may_be_short);
	tcase_add_test(tc, test_moves_if_its_place_is_taken);
	tcase_add_test(tc, test_preferred_address_in_low_memory_or_absurd);
	tcase_add_test(tc, test_ends_exactly_with_the_memory);
	tcase_add_test(tc, test_init_size_lies);
	tcase_add_test(tc, test_file_sizes_lie);
	tcase_add_test(tc, test_kernels_without_a_64_bit_entry);
	tcase_add_test(tc, test_bad_alignments);
	tcase_add_test(tc, test_every_truncation_is_refused);
	tcase_add_test(tc, test_command_line_as_long_as_the_header_says);
	tcase_add_test(tc, test_initrd_goes_below_what_the_header_says);
	tcase_add_test(tc, test_flipped_bits_are_survived);
	suite_add_tcase(s, tc);
	return support_run(s);
}
