/* SPDX-License-Identifier: BSD-3-Clause */
/* Images: files, descriptors and memory, read within their bounds. */
#include "boot/boot.h"

#include <fcntl.h>
#include <stdlib.h>

#include "boot/common.h"

#define LEN (600u << 10)	/* more than two pieces */

static struct vcore__image image;
static uint8_t *bytes;

static void
setup(void)
{
	boot_setup();
	bytes = malloc(LEN);
	ck_assert_ptr_nonnull(bytes);
	for (uint32_t i = 0; i < LEN; i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void
teardown(void)
{
	vcore__image_close(&image);
	free(bytes);
	boot_teardown();
}

static void
check_read(void)
{
	uint8_t buf[100];

	ck_assert_int_eq(vcore__image_read(&image, LEN - 100, buf, 100), 0);
	ck_assert_mem_eq(buf, bytes + LEN - 100, 100);
	ck_assert_int_eq(vcore__image_read(&image, LEN, buf, 0), 0);
	ck_assert_error(vcore__image_read(&image, LEN - 99, buf, 100), -ENOEXEC,
			"vcore_boot_linux: ");
	ck_assert_error(vcore__image_read(&image, UINT64_MAX, buf, 2), -ENOEXEC,
			"vcore_boot_linux: ");
	ck_assert_error(vcore__image_read(&image, 1, buf, UINT64_MAX), -ENOEXEC,
			"vcore_boot_linux: ");
}

/* Regions of one page each: every piece is made of many. */
static void
check_load(void)
{
	uint8_t *copy = malloc(LEN);
	uint64_t gpa;

	ck_assert_ptr_nonnull(copy);
	for (gpa = 0; gpa < LEN + 2 * PAGE; gpa += PAGE)
		add_ram(gpa, PAGE, 0);
	ck_assert_int_eq(vcore__image_load(&image, 0, memory, 123, LEN), 0);
	ck_assert_ok(vcore_memory_read(memory, 123, copy, LEN));
	ck_assert_mem_eq(copy, bytes, LEN);
	ck_assert_int_eq(vcore__image_load(&image, 0, memory, 0, 0), 0);
	ck_assert_error(vcore__image_load(&image, 1, memory, 0, LEN), -ENOEXEC,
			"vcore_boot_linux: ");
	/* Beyond the last page there is nothing. */
	ck_assert_error(vcore__image_load(&image, 0, memory, gpa - LEN + 1,
					  LEN), -ENOSPC, "vcore_boot_linux: ");
	free(copy);
}

START_TEST(test_memory_image)
{
	ck_assert_int_eq(vcore__image_open(&image, "kernel", NULL, 0, bytes,
					   LEN), 0);
	ck_assert_str_eq(image.name, "kernel in memory");
	check_read();
	check_load();
}
END_TEST

START_TEST(test_descriptor_image_stays_the_callers)
{
	int fd = file_with(bytes, LEN);

	ck_assert_int_eq(vcore__image_open(&image, "initrd", NULL, fd, NULL, 0),
			 0);
	ck_assert_uint_eq(image.len, LEN);
	check_read();
	check_load();
	vcore__image_close(&image);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), LEN);	/* open, not moved */
	close(fd);
}
END_TEST

START_TEST(test_path_image_is_closed)
{
	int fd = file_with(bytes, LEN), fds = support_open_fds();
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(vcore__image_open(&image, "kernel", path, -1, NULL, 0),
			 0);
	check_read();
	check_load();
	vcore__image_close(&image);
	ck_assert_int_eq(support_open_fds(), fds);
	close(fd);
}
END_TEST

START_TEST(test_what_is_no_file_is_refused)
{
	int fds = support_open_fds(), pipes[2];

	ck_assert_error(vcore__image_open(&image, "kernel", "/nonexistent/k", -1,
					  NULL, 0), -ENOENT,
			"vcore_boot_linux: ");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "/nonexistent/k"));
	ck_assert_error(vcore__image_open(&image, "kernel", "/", -1, NULL, 0),
			-EINVAL, "vcore_boot_linux: / ");
	ck_assert_error(vcore__image_open(&image, "kernel", "/dev/null", -1,
					  NULL, 0), -EINVAL,
			"vcore_boot_linux: /dev/null ");
	ck_assert_error(vcore__image_open(&image, "initrd", NULL, -1, NULL, 0),
			-EBADF, "vcore_boot_linux: initrd in fd -1");
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_error(vcore__image_open(&image, "initrd", NULL, pipes[0],
					  NULL, 0), -EINVAL,
			"vcore_boot_linux: initrd in fd ");
	close(pipes[0]);
	close(pipes[1]);
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

START_TEST(test_file_that_shrinks_meanwhile_returns_eio)
{
	int fd = file_with(bytes, LEN);
	char byte;

	ck_assert_int_eq(vcore__image_open(&image, "kernel", NULL, fd, NULL, 0),
			 0);
	ck_assert_int_eq(ftruncate(fd, 10), 0);
	ck_assert_error(vcore__image_read(&image, 10, &byte, 1), -EIO,
			"vcore_boot_linux: ");
	add_ram(0, MIB, 0);
	ck_assert_error(vcore__image_load(&image, 0, memory, 0, LEN), -EIO,
			"vcore_boot_linux: ");
	close(fd);
}
END_TEST

START_TEST(test_read_only_memory_is_not_written)
{
	add_ram(0, MIB, VCORE_MEMORY_READONLY);
	ck_assert_int_eq(vcore__image_open(&image, "kernel", NULL, 0, bytes,
					   LEN), 0);
	ck_assert_error(vcore__image_load(&image, 0, memory, 0, LEN), -ENOSPC,
			"vcore_boot_linux: ");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("image");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_memory_image);
	tcase_add_test(tc, test_descriptor_image_stays_the_callers);
	tcase_add_test(tc, test_path_image_is_closed);
	tcase_add_test(tc, test_what_is_no_file_is_refused);
	tcase_add_test(tc, test_file_that_shrinks_meanwhile_returns_eio);
	tcase_add_test(tc, test_read_only_memory_is_not_written);
	suite_add_tcase(s, tc);
	return support_run(s);
}
