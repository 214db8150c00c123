/* SPDX-License-Identifier: BSD-3-Clause */
/* vcore_boot_linux(): options, sources of images, too little memory. */
#include "boot/boot.h"

#include "boot/common.h"

static void
setup(void)
{
	boot_setup_ram();
	make_bzimage();
	make_elf();
}

static int
boot_it(void)
{
	return vcore_boot_linux(memory, &opts, &info);
}

START_TEST(test_null_and_size_refusals)
{
	opts.kernel_data = bz;
	opts.kernel_len = BZ_LEN;
	ck_assert_error(vcore_boot_linux(NULL, &opts, &info), -EINVAL,
			"vcore_boot_linux: ");
	ck_assert_error(vcore_boot_linux(memory, NULL, &info), -EINVAL,
			"vcore_boot_linux: ");
	ck_assert_error(vcore_boot_linux(memory, &opts, NULL), -EINVAL,
			"vcore_boot_linux: ");
	opts.size = 0;
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: ");
	opts.size = sizeof(opts);
	info.size = 8;
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: ");
	ck_assert_uint_eq(get(0x7000, 8), 0);
}
END_TEST

START_TEST(test_unknown_flags_and_fields_return_e2big)
{
	struct vcore_boot_range range = { 0, MIB, 2, 1 };
	struct {
		struct vcore_boot_opts opts;
		uint64_t unknown;
	} longer;

	opts.kernel_data = bz;
	opts.kernel_len = BZ_LEN;
	longer.opts = opts;
	longer.opts.size = sizeof(longer);
	longer.unknown = 1;
	ck_assert_error(vcore_boot_linux(memory, &longer.opts, &info), -E2BIG,
			"vcore_boot_linux: ");
	opts.ranges = &range;
	opts.range_count = 1;
	ck_assert_error(boot_it(), -E2BIG, "vcore_boot_linux: ");
	opts.flags = 4;
	ck_assert_error(boot_it(), -E2BIG, "vcore_boot_linux: ");
}
END_TEST

START_TEST(test_exactly_one_kernel_and_at_most_one_initrd)
{
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: 0 kernels");
	opts.kernel_data = bz;
	opts.kernel = "k";
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: 2 kernels");
	opts.kernel = NULL;
	opts.flags = VCORE_BOOT_KERNEL_FD;
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: 2 kernels");
	opts.flags = VCORE_BOOT_INITRD_FD;
	opts.initrd_data = bz;
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: 1 kernels");
	opts.initrd_data = NULL;
	opts.initrd_fd = -1;
	opts.initrd = "i";
	ck_assert_error(boot_it(), -EBADF,
			"vcore_boot_linux: kernel_fd 0 or initrd_fd -1");
	opts.flags = 0;
	opts.initrd = NULL;
	opts.initrd_len = 5;
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: ");
	opts.initrd_len = 0;
	opts.kind = 4;
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: kind 4");
}
END_TEST

START_TEST(test_bad_ranges)
{
	static const struct vcore_boot_range bad[] = {
		{ 0, 0, 2, 0 }, { UINT64_MAX, 2, 2, 0 }, { MIB, MIB, 1, 0 },
		{ MIB, MIB, 0, 0 }, { MIB, MIB, 5, 0 }, { MIB, MIB, 8, 0 },
		{ UINT64_MAX, 1, 2, 0 },
	};

	opts.kernel_data = bz;
	opts.kernel_len = BZ_LEN;
	opts.range_count = 1;
	ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: ");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.ranges = &bad[i];
		ck_assert_error(boot_it(), -EINVAL, "vcore_boot_linux: range");
	}
	opts.range_count = 129;
	ck_assert_error(boot_it(), -ENOSPC, "vcore_boot_linux: 129 ranges");
}
END_TEST

START_TEST(test_paths_and_descriptors)
{
	int kernel = file_with(bz, BZ_LEN), initrd = file_with(elf, ELF_LEN);
	char kpath[64], ipath[64];
	int fds = support_open_fds();

	snprintf(kpath, sizeof(kpath), "/proc/self/fd/%d", kernel);
	snprintf(ipath, sizeof(ipath), "/proc/self/fd/%d", initrd);
	opts.kernel = kpath;
	opts.initrd = ipath;
	ck_assert_ok(boot_it());
	ck_assert_uint_eq(info.kind, VCORE_BOOT_BZIMAGE);
	ck_assert_uint_eq(info.initrd_len, ELF_LEN);
	ck_assert(all_are(16 * MIB, BZ_BODY, 0x5a));
	ck_assert_uint_eq(get(info.initrd_gpa, 4), 0x464c457f);

	opts.kernel = opts.initrd = NULL;
	opts.kernel_fd = kernel;
	opts.initrd_fd = initrd;
	opts.flags = VCORE_BOOT_KERNEL_FD | VCORE_BOOT_INITRD_FD;
	ck_assert_ok(boot_it());
	ck_assert_uint_eq(info.initrd_len, ELF_LEN);
	ck_assert_int_eq(support_open_fds(), fds);
	/* Then a path is but a name. */
	opts.kernel = "/nonexistent/kernel";
	opts.initrd = "/nonexistent/initrd";
	ck_assert_ok(boot_it());
	ck_assert_int_eq(ftruncate(initrd, 1ll << 40), 0);
	ck_assert_error(boot_it(), -ENOSPC,
			"vcore_boot_linux: /nonexistent/initrd: no free RAM");
	ck_assert_int_eq(ftruncate(kernel, 0), 0);
	ck_assert_error(boot_it(), -ENOEXEC,
			"vcore_boot_linux: /nonexistent/kernel: ");
	close(kernel);
	close(initrd);
}
END_TEST

START_TEST(test_missing_files_are_named)
{
	int fds = support_open_fds();

	opts.kernel = "/nonexistent/vmlinuz";
	ck_assert_error(boot_it(), -ENOENT, "vcore_boot_linux: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(),
				     "kernel /nonexistent/vmlinuz"));
	opts.kernel = "/proc/self/exe";
	opts.initrd = "/nonexistent/initrd";
	ck_assert_error(boot_it(), -ENOENT, "vcore_boot_linux: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(),
				     "initrd /nonexistent/initrd"));
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

START_TEST(test_what_is_no_kernel)
{
	static const char text[4096] = "#!/bin/sh\n";
	static const char zeroes[4096];

	ck_assert_error(boot_bytes(text, sizeof(text)), -ENOEXEC,
			"vcore_boot_linux: kernel in memory: is neither");
	ck_assert_error(boot_bytes(zeroes, sizeof(zeroes)), -ENOEXEC,
			"vcore_boot_linux: ");
	ck_assert_error(boot_bytes(zeroes, 0), -ENOEXEC, "vcore_boot_linux: ");
	opts.kind = VCORE_BOOT_BZIMAGE;
	ck_assert_error(boot_bytes(elf, ELF_LEN), -ENOEXEC,
			"vcore_boot_linux: kernel in memory: is ELF");
	opts.kind = VCORE_BOOT_ELF;
	ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOEXEC,
			"vcore_boot_linux: kernel in memory: is a bzImage");
	opts.kind = VCORE_BOOT_PVH;
	ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOEXEC,
			"vcore_boot_linux: kernel in memory: is a bzImage");
	opts.kind = VCORE_BOOT_BZIMAGE;
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	opts.kind = VCORE_BOOT_ELF;
	ck_assert_ok(boot_bytes(elf, ELF_LEN));
}
END_TEST

START_TEST(test_too_little_memory)
{
	static const struct {
		uint64_t gpa, len;
		uint32_t flags;
	} small[] = {
		{ 0, PAGE, 0 }, { 0, 0x2f000, 0 }, { PAGE, 64 * MIB, 0 },
		{ 0, MIB, 0 }, { 0, 2 * MIB, 0 },
		{ 0, 64 * MIB, VCORE_MEMORY_READONLY },
	};

	boot_teardown();
	boot_setup();
	ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOSPC, "vcore_boot_linux: ");
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		add_ram(small[i].gpa, small[i].len, small[i].flags);
		ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOSPC,
				"vcore_boot_linux: ");
		ck_assert_ok(vcore_memory_remove(memory, small[i].gpa));
	}
	/* 1 MiB of init_size at the lowest aligned place, and not more. */
	add_ram(0, 3 * MIB, 0);
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.kernel_gpa, 2 * MIB);
}
END_TEST

START_TEST(test_initrd_too_large_names_both_numbers)
{
	opts.initrd_data = bz;
	opts.initrd_len = 48 * MIB;	/* refused before it is read */
	ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOSPC,
			"vcore_boot_linux: initrd in memory: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "0x3000000"));
	opts.initrd_len = UINT64_MAX;
	ck_assert_error(boot_bytes(bz, BZ_LEN), -ENOSPC,
			"vcore_boot_linux: initrd in memory: ");
	opts.initrd_len = 0;		/* empty is none */
	ck_assert_ok(boot_bytes(bz, BZ_LEN));
	ck_assert_uint_eq(info.initrd_gpa, 0);
}
END_TEST

START_TEST(test_short_info_is_filled_as_far_as_it_goes)
{
	struct {
		struct vcore_boot_info info;
		uint64_t more;
	} longer;

	opts.kernel_data = bz;
	opts.kernel_len = BZ_LEN;
	memset(&longer, 0xee, sizeof(longer));
	longer.info.size = sizeof(longer);
	ck_assert_ok(vcore_boot_linux(memory, &opts, &longer.info));
	ck_assert_uint_eq(longer.info.size, sizeof(longer.info));
	ck_assert_uint_eq(longer.more, 0xeeeeeeeeeeeeeeee);
}
END_TEST

START_TEST(test_every_failing_step_leaves_nothing)
{
	int kernel = file_with(bz, BZ_LEN), fds = support_open_fds(), rc;
	bool failed = true;
	unsigned int n;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", kernel);
	opts.kernel = path;
	opts.initrd = path;
	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = boot_it();
		failed = fail_stop();
		if (failed)
			ck_assert_int_lt(rc, 0);
		else
			ck_assert_int_eq(rc, 0);
		ck_assert_int_eq(support_open_fds(), fds);
	}
	ck_assert_uint_ge(n, 5);
	close(kernel);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("boot");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, boot_teardown);
	tcase_add_test(tc, test_null_and_size_refusals);
	tcase_add_test(tc, test_unknown_flags_and_fields_return_e2big);
	tcase_add_test(tc, test_exactly_one_kernel_and_at_most_one_initrd);
	tcase_add_test(tc, test_bad_ranges);
	tcase_add_test(tc, test_paths_and_descriptors);
	tcase_add_test(tc, test_missing_files_are_named);
	tcase_add_test(tc, test_what_is_no_kernel);
	tcase_add_test(tc, test_too_little_memory);
	tcase_add_test(tc, test_initrd_too_large_names_both_numbers);
	tcase_add_test(tc, test_short_info_is_filled_as_far_as_it_goes);
	tcase_add_test(tc, test_every_failing_step_leaves_nothing);
	suite_add_tcase(s, tc);
	return support_run(s);
}
