/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/disk_file_open.c: which files are disks. */
#include <vcore/disk.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "support/support.h"

#define CAPACITY (1u << 20)

static char path[64];

static int
make_file(uint64_t size)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/vcore-disk-XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct vcore_disk_file_opts
options(uint32_t flags)
{
	struct vcore_disk_file_opts o;

	VCORE_INIT(&o);
	o.flags = flags;
	o.path = path;
	return o;
}

static void
check_refused(const struct vcore_disk_file_opts *o, int error)
{
	struct vcore_disk *d = NULL;
	int fds = support_open_fds();

	ck_assert_error(vcore_disk_new_file(o, &d), error,
			"vcore_disk_new_file");
	ck_assert_ptr_null(d);
	ck_assert_int_eq(support_open_fds(), fds);
}

START_TEST(test_bad_options_are_refused)
{
	struct vcore_disk_file_opts o = options(0);
	struct vcore_disk *d = NULL;

	snprintf(path, sizeof(path), "/dev/null");
	check_refused(NULL, -EINVAL);
	ck_assert_error(vcore_disk_new_file(&o, NULL), -EINVAL,
			"vcore_disk_new_file");
	o.flags = 8;
	check_refused(&o, -E2BIG);
	o.flags = 0;
	o.reserved0 = 1;
	check_refused(&o, -E2BIG);
	o = options(VCORE_DISK_FILE_FD);
	check_refused(&o, -EINVAL);
	o = options(0);
	o.path = NULL;
	check_refused(&o, -EINVAL);
	o = options(0);
	o.size = 0;
	check_refused(&o, -EINVAL);
	ck_assert_ptr_null(d);
}
END_TEST

START_TEST(test_wrong_files_are_refused)
{
	struct vcore_disk_file_opts o = options(0);

	o.path = "/nonexistent/disk";
	check_refused(&o, -ENOENT);
	o.path = "/tmp";
	check_refused(&o, -EISDIR);
	o.flags = VCORE_DISK_FILE_READONLY;
	check_refused(&o, -EISDIR);
	o.path = "/dev/null";
	check_refused(&o, -ENOTBLK);
	o.path = "/proc/version";
	check_refused(&o, -ENODATA);
	/* Files there are made by the kernel as they are read. */
	o.flags |= VCORE_DISK_FILE_DIRECT;
	check_refused(&o, -EOPNOTSUPP);
}
END_TEST

START_TEST(test_fifo_is_refused_without_blocking)
{
	struct vcore_disk_file_opts o = options(0);

	snprintf(path, sizeof(path), "/tmp/vcore-fifo-%d", getpid());
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	check_refused(&o, -ENOTBLK);
	o.flags = VCORE_DISK_FILE_READONLY;
	check_refused(&o, -ENOTBLK);
	unlink(path);
}
END_TEST

START_TEST(test_empty_and_tiny_files_are_enodata)
{
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(0);

	check_refused(&o, -ENODATA);
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "0 bytes"));
	ck_assert_int_eq(ftruncate(fd, 511), 0);
	check_refused(&o, -ENODATA);
	unlink(path);
	close(fd);
}
END_TEST

START_TEST(test_descriptor_mode_must_fit)
{
	struct vcore_disk_file_opts o = options(VCORE_DISK_FILE_FD);
	int fd = make_file(CAPACITY);
	int ro = open(path, O_RDONLY | O_CLOEXEC);
	int wo = open(path, O_WRONLY | O_CLOEXEC);
	struct vcore_disk *d;

	o.path = NULL;
	o.fd = ro;
	check_refused(&o, -EACCES);
	o.fd = wo;
	check_refused(&o, -EACCES);
	o.fd = 1000;
	check_refused(&o, -EBADF);
	o.fd = fd;
	o.flags |= VCORE_DISK_FILE_DIRECT;
	check_refused(&o, -EINVAL);
	o.flags = VCORE_DISK_FILE_FD | VCORE_DISK_FILE_READONLY;
	o.fd = ro;
	ck_assert_ok(vcore_disk_new_file(&o, &d));
	vcore_disk_unref(d);
	unlink(path);
	close(fd);
	close(ro);
	close(wo);
}
END_TEST

START_TEST(test_limits_are_the_files)
{
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(CAPACITY + 700);
	struct vcore_disk_limits l;
	struct vcore_disk *d;

	VCORE_INIT(&l);
	ck_assert_ok(vcore_disk_new_file(&o, &d));
	ck_assert_ok(vcore_disk_get_limits(d, &l));
	ck_assert_uint_eq(l.capacity, CAPACITY + 512);
	ck_assert_uint_eq(l.logical_block, 512);
	ck_assert_uint_eq(l.flags, VCORE_DISK_CAN_FLUSH |
					   VCORE_DISK_CAN_DISCARD |
					   VCORE_DISK_CAN_ZERO);
	vcore_disk_unref(d);
	o.flags = VCORE_DISK_FILE_READONLY;
	ck_assert_ok(vcore_disk_new_file(&o, &d));
	ck_assert_ok(vcore_disk_get_limits(d, &l));
	ck_assert_uint_eq(l.flags, VCORE_DISK_READONLY);
	vcore_disk_unref(d);
	unlink(path);
	close(fd);
}
END_TEST

START_TEST(test_open_file_gives_descriptor_and_limits)
{
	struct vcore_disk_file_opts o = options(0);
	int made = make_file(CAPACITY), fd;
	struct vcore_disk_limits l;

	VCORE_INIT(&l);
	fd = vcore_disk_open_file(&o, &l);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(l.capacity, CAPACITY);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	unlink(path);
	close(made);
}
END_TEST

START_TEST(test_open_file_refuses_what_new_file_refuses)
{
	struct vcore_disk_file_opts o = options(0);
	int made = make_file(CAPACITY), fds = support_open_fds();
	struct vcore_disk_limits l;

	VCORE_INIT(&l);
	ck_assert_error(vcore_disk_open_file(NULL, &l), -EINVAL,
			"vcore_disk_open_file");
	ck_assert_error(vcore_disk_open_file(&o, NULL), -EINVAL,
			"vcore_disk_open_file");
	o.flags = 64;
	ck_assert_error(vcore_disk_open_file(&o, &l), -E2BIG,
			"vcore_disk_open_file");
	o.flags = 0;
	o.path = "/tmp";
	ck_assert_error(vcore_disk_open_file(&o, &l), -EISDIR,
			"vcore_disk_open_file");
	o.path = "/nonexistent/disk";
	ck_assert_error(vcore_disk_open_file(&o, &l), -ENOENT,
			"vcore_disk_open_file");
	o.path = NULL;
	o.flags = VCORE_DISK_FILE_FD;
	o.fd = 1000;
	ck_assert_error(vcore_disk_open_file(&o, &l), -EBADF,
			"vcore_disk_open_file");
	o.fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_error(vcore_disk_open_file(&o, &l), -EACCES,
			"vcore_disk_open_file");
	close(o.fd);
	o = options(0);
	l.size = 1;
	ck_assert_error(vcore_disk_open_file(&o, &l), -EINVAL,
			"vcore_disk_open_file");
	VCORE_INIT(&l);
	o.flags = VCORE_DISK_FILE_READONLY;
	o.path = "/dev/null";
	ck_assert_error(vcore_disk_open_file(&o, &l), -ENOTBLK,
			"vcore_disk_open_file");
	o.path = "/proc/version";
	ck_assert_error(vcore_disk_open_file(&o, &l), -ENODATA,
			"vcore_disk_open_file");
	o.flags |= VCORE_DISK_FILE_DIRECT;
	ck_assert_error(vcore_disk_open_file(&o, &l), -EOPNOTSUPP,
			"vcore_disk_open_file");
	ck_assert_int_eq(support_open_fds(), fds);
	unlink(path);
	close(made);
}
END_TEST

/* Class F, 58: what sector 0 says changes nothing. */
START_TEST(test_format_is_never_probed)
{
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(CAPACITY);
	struct vcore_disk_limits l;
	struct vcore_disk *d;

	ck_assert_int_eq(pwrite(fd, "QFI\373\0\0\0\003", 8, 0), 8);
	VCORE_INIT(&l);
	ck_assert_ok(vcore_disk_new_file(&o, &d));
	ck_assert_ok(vcore_disk_get_limits(d, &l));
	ck_assert_uint_eq(l.capacity, CAPACITY);
	vcore_disk_unref(d);
	unlink(path);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/disk_file_open");
	TCase *t = tcase_create("open");

	tcase_add_test(t, test_bad_options_are_refused);
	tcase_add_test(t, test_wrong_files_are_refused);
	tcase_add_test(t, test_fifo_is_refused_without_blocking);
	tcase_add_test(t, test_empty_and_tiny_files_are_enodata);
	tcase_add_test(t, test_descriptor_mode_must_fit);
	tcase_add_test(t, test_limits_are_the_files);
	tcase_add_test(t, test_open_file_gives_descriptor_and_limits);
	tcase_add_test(t, test_open_file_refuses_what_new_file_refuses);
	tcase_add_test(t, test_format_is_never_probed);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
