/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/disk_file_io.c: system calls that fall short or fail. */
#include "backends/disk_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "support/support.h"

#define CAPACITY 65536u

/* What the fake system calls do; all zero: like the real ones. */
static struct {
	int64_t max;		/* bytes of one transfer at most */
	int calls;		/* reads and writes */
	int fail_at;		/* nth of them */
	int fail_errno;
	int interrupt;		/* so many calls are interrupted first */
	int sync_errno;
	int syncs;
	uint32_t bad_modes;	/* fallocate: these get EOPNOTSUPP */
	int alloc_errno;
	int allocs;
	int modes[4];
} sys;

static int fd;
static uint8_t want[CAPACITY];

/* 0, or -1 with errno: what happens before a transfer. */
static int
before_transfer(void)
{
	if (sys.interrupt > 0) {
		sys.interrupt--;
		errno = EINTR;
		return -1;
	}
	if (++sys.calls == sys.fail_at) {
		errno = sys.fail_errno;
		return sys.fail_errno != 0 ? -1 : 1;
	}
	return 0;
}

static ssize_t
transfer(bool write, const struct iovec *iov, int count, off_t off)
{
	struct iovec cut[64];
	int64_t left = sys.max != 0 ? sys.max : INT64_MAX;
	int n = 0, rc = before_transfer();

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	ck_assert_int_le(count, 64);
	for (; n < count && left > 0; n++) {
		cut[n] = iov[n];
		if ((int64_t)cut[n].iov_len > left)
			cut[n].iov_len = (size_t)left;
		left -= (int64_t)cut[n].iov_len;
	}
	return write ? pwritev(fd, cut, n, off) : preadv(fd, cut, n, off);
}

static ssize_t
fake_preadv(int f, const struct iovec *iov, int count, off_t off)
{
	ck_assert_int_eq(f, fd);
	return transfer(false, iov, count, off);
}

static ssize_t
fake_pwritev(int f, const struct iovec *iov, int count, off_t off)
{
	ck_assert_int_eq(f, fd);
	return transfer(true, iov, count, off);
}

static int
fake_fdatasync(int f)
{
	ck_assert_int_eq(f, fd);
	if (sys.interrupt > 0) {
		sys.interrupt--;
		errno = EINTR;
		return -1;
	}
	sys.syncs++;
	errno = sys.sync_errno;
	sys.sync_errno = 0;
	return errno != 0 ? -1 : 0;
}

static int
fake_fallocate(int f, int mode, off_t off, off_t len)
{
	if (sys.interrupt > 0) {
		sys.interrupt--;
		errno = EINTR;
		return -1;
	}
	sys.modes[sys.allocs++ % 4] = mode;
	ck_assert_int_ne(mode & FALLOC_FL_KEEP_SIZE, 0);
	if (sys.alloc_errno != 0 || ((uint32_t)mode & sys.bad_modes) != 0) {
		errno = sys.alloc_errno ? sys.alloc_errno : EOPNOTSUPP;
		return -1;
	}
	return fallocate(f, mode, off, len);
}

static const struct vcore__file_sys fake_sys = {
	.preadv = fake_preadv,
	.pwritev = fake_pwritev,
	.fdatasync = fake_fdatasync,
	.fallocate = fake_fallocate,
};

static struct vcore__file file;
static uint8_t buf[CAPACITY] __attribute__((aligned(4096)));
static struct iovec iov[4];
static struct vcore_disk_request req;

/* A file with a pattern, and a request over three buffers of 1000 bytes... */
static void
setup(void)
{
	char path[] = "/tmp/vcore-disk-XXXXXX";

	memset(&sys, 0, sizeof(sys));
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	for (uint32_t i = 0; i < CAPACITY; i++)
		want[i] = (uint8_t)(i * 7 + i / 256);
	ck_assert_int_eq(write(fd, want, CAPACITY), CAPACITY);
	file = (struct vcore__file){ .fd = fd, .capacity = CAPACITY,
				     .logical_block = 512,
				     .physical_block = 4096,
				     .mem_align = 512, .sys = &fake_sys };
	memset(buf, 0xee, sizeof(buf));
	req = (struct vcore_disk_request){ .op = VCORE_DISK_READ,
					   .offset = 512, .len = 3000,
					   .iov = iov, .iov_count = 3 };
	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){ buf + i * 2000, 1000 };
}

static void
teardown(void)
{
	close(fd);
}

/* The three buffers hold the file's bytes, those between are untouched. */
static void
check_read(void)
{
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_mem_eq(buf + i * 2000, want + 512 + i * 1000, 1000);
		ck_assert_uint_eq(buf[i * 2000 + 1000], 0xee);
	}
}

START_TEST(test_read_scatters)
{
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	check_read();
	ck_assert_int_eq(sys.calls, 1);
}
END_TEST

/* Case 57: every short transfer is finished from where it stopped. */
START_TEST(test_short_reads_are_finished)
{
	static const int64_t max[] = { 1, 7, 999, 1000, 1001, 2500, 2999 };

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(max); i++) {
		memset(buf, 0xee, sizeof(buf));
		sys.max = max[i];
		ck_assert_int_eq(vcore__file_run(&file, &req), 0);
		check_read();
	}
}
END_TEST

START_TEST(test_short_writes_are_finished)
{
	static const int64_t max[] = { 1, 7, 999, 1000, 1001, 2500, 2999 };
	uint8_t got[3002];

	req.op = VCORE_DISK_WRITE;
	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(max); i++) {
		for (uint32_t j = 0; j < 6000; j++)
			buf[j] = (uint8_t)(j * 3 + i);
		sys.max = max[i];
		ck_assert_int_eq(vcore__file_run(&file, &req), 0);
		ck_assert_int_eq(pread(fd, got, sizeof(got), 511), 3002);
		ck_assert_uint_eq(got[0], want[511]);
		for (uint32_t j = 0; j < 3; j++)
			ck_assert_mem_eq(got + 1 + j * 1000, buf + j * 2000,
					 1000);
		ck_assert_uint_eq(got[3001], want[3512]);
	}
}
END_TEST

START_TEST(test_interrupted_calls_are_repeated)
{
	sys.interrupt = 3;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	check_read();
	req.op = VCORE_DISK_FLUSH;
	sys.interrupt = 2;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(sys.syncs, 1);
	req.op = VCORE_DISK_DISCARD;
	req.len = 1024;
	sys.interrupt = 2;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
}
END_TEST

/* EIO, ENOSPC, EAGAIN on the first, a middle and the last part. */
START_TEST(test_error_on_any_part_fails_the_request)
{
	static const int errors[] = { EIO, ENOSPC, EAGAIN };

	for (int op = VCORE_DISK_READ; op <= VCORE_DISK_WRITE; op++) {
		for (int n = 1; n <= 3; n++) {
			req.op = (uint32_t)op;
			sys.calls = 0;
			sys.max = 1000;
			sys.fail_at = n;
			sys.fail_errno = errors[n - 1];
			ck_assert_int_eq(vcore__file_run(&file, &req),
					 -errors[n - 1]);
			ck_assert_int_eq(sys.calls, n);
		}
	}
}
END_TEST

START_TEST(test_write_that_takes_nothing_is_eio)
{
	req.op = VCORE_DISK_WRITE;
	sys.fail_at = 1;
	ck_assert_int_eq(vcore__file_run(&file, &req), -EIO);
}
END_TEST

START_TEST(test_truncated_file_reads_as_zeroes)
{
	static const uint8_t zero[3000];

	ck_assert_int_eq(ftruncate(fd, 512 + 1500), 0);
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_mem_eq(buf, want + 512, 1000);
	ck_assert_mem_eq(buf + 2000, want + 1512, 500);
	ck_assert_mem_eq(buf + 2500, zero, 500);
	ck_assert_mem_eq(buf + 4000, zero, 1000);
	ck_assert_uint_eq(buf[3000], 0xee);
	ck_assert_uint_eq(buf[5000], 0xee);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_mem_eq(buf, zero, 1000);
}
END_TEST

START_TEST(test_direct_read_that_stops_inside_a_sector_is_the_end)
{
	static const uint8_t zero[1000];

	/* Not really direct: only the rule for its short reads. */
	file.direct = true;
	file.logical_block = 8;
	file.mem_align = 1;
	ck_assert_int_eq(ftruncate(fd, 512 + 1100), 0);
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(sys.calls, 1);
	ck_assert_mem_eq(buf + 2000, want + 1512, 100);
	ck_assert_mem_eq(buf + 2100, zero, 900);
	ck_assert_mem_eq(buf + 4000, zero, 1000);
}
END_TEST

START_TEST(test_many_iovecs_take_several_calls)
{
	static struct iovec many[200];
	static uint8_t got[200 * 5];

	for (int i = 0; i < 200; i++)
		many[i] = (struct iovec){ got + (199 - i) * 5, 5 };
	req.iov = many;
	req.iov_count = 200;
	req.len = 1000;
	req.offset = 100;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	for (int i = 0; i < 200; i++)
		ck_assert_mem_eq(got + (199 - i) * 5, want + 100 + i * 5, 5);
	ck_assert_int_eq(sys.calls, 4);
}
END_TEST

START_TEST(test_misaligned_direct_goes_through_a_bounce_buffer)
{
	file.direct = true;
	req.len = 1024;
	iov[0] = (struct iovec){ buf + 3, 300 };
	iov[1] = (struct iovec){ buf + 1000, 724 };
	req.iov_count = 2;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_mem_eq(buf + 3, want + 512, 300);
	ck_assert_mem_eq(buf + 1000, want + 812, 724);
	ck_assert_uint_eq(buf[2], 0xee);
	ck_assert_uint_eq(buf[303], 0xee);
	req.op = VCORE_DISK_WRITE;
	req.offset = 2048;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(pread(fd, buf + 8192, 1024, 2048), 1024);
	ck_assert_mem_eq(buf + 8192, want + 512, 1024);
}
END_TEST

START_TEST(test_ranges_outside_are_einval)
{
	static const uint64_t bad[][2] = {
		{ CAPACITY, 1 }, { CAPACITY - 1, 2 }, { UINT64_MAX, 1 },
		{ UINT64_MAX, UINT64_MAX }, { 0, CAPACITY + 1 },
	};

	for (uint32_t op = VCORE_DISK_READ; op <= VCORE_DISK_WRITE_ZEROES; op++)
		for (unsigned i = 0; i < VCORE__ARRAY_SIZE(bad); i++) {
			if (op == VCORE_DISK_FLUSH)
				continue;
			req.op = op;
			req.offset = bad[i][0];
			req.len = bad[i][1];
			ck_assert_int_eq(vcore__file_run(&file, &req), -EINVAL);
		}
	ck_assert_int_eq(sys.calls + sys.allocs, 0);
}
END_TEST

START_TEST(test_len_that_is_not_the_iovecs_is_einval)
{
	req.len = 2999;
	ck_assert_int_eq(vcore__file_run(&file, &req), -EINVAL);
	req.len = 3001;
	ck_assert_int_eq(vcore__file_run(&file, &req), -EINVAL);
	req.len = 0;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(sys.calls, 0);
}
END_TEST

START_TEST(test_readonly_refuses_every_change)
{
	file.readonly = true;
	for (uint32_t op = VCORE_DISK_WRITE; op <= VCORE_DISK_WRITE_ZEROES;
	     op++) {
		req.op = op;
		ck_assert_int_eq(vcore__file_run(&file, &req),
				 op == VCORE_DISK_FLUSH ? 0 : -EROFS);
	}
	ck_assert_int_eq(sys.calls + sys.allocs, 0);
}
END_TEST

/* The kernel reports lost writes once; we keep saying so. */
START_TEST(test_failed_flush_stays_failed_until_cleared)
{
	req.op = VCORE_DISK_FLUSH;
	sys.sync_errno = EIO;
	ck_assert_int_eq(vcore__file_run(&file, &req), -EIO);
	ck_assert_int_eq(vcore__file_run(&file, &req), -EIO);
	ck_assert_int_eq(sys.syncs, 1);
	file.flush_error = 0;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(sys.syncs, 2);
}
END_TEST

static void
check_zeroes(uint64_t off, uint64_t len)
{
	static const uint8_t zero[CAPACITY];
	uint8_t got[CAPACITY];

	ck_assert_int_eq(pread(fd, got, CAPACITY, 0), CAPACITY);
	ck_assert_mem_eq(got, want, off);
	ck_assert_mem_eq(got + off, zero, len);
	ck_assert_mem_eq(got + off + len, want + off + len,
			 CAPACITY - off - len);
}

START_TEST(test_write_zeroes_that_may_unmap_punches)
{
	req.op = VCORE_DISK_WRITE_ZEROES;
	req.flags = VCORE_DISK_MAY_UNMAP;
	req.offset = 4096;
	req.len = 8192;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(sys.allocs, 1);
	ck_assert_int_ne(sys.modes[0] & FALLOC_FL_PUNCH_HOLE, 0);
	check_zeroes(4096, 8192);
}
END_TEST

START_TEST(test_write_zeroes_that_must_keep_space_does_not_punch)
{
	req.op = VCORE_DISK_WRITE_ZEROES;
	req.offset = 512;
	req.len = 1024;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(sys.modes[0] & FALLOC_FL_PUNCH_HOLE, 0);
	check_zeroes(512, 1024);
}
END_TEST

START_TEST(test_write_zeroes_without_fallocate_writes)
{
	sys.bad_modes = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	req.op = VCORE_DISK_WRITE_ZEROES;
	req.flags = VCORE_DISK_MAY_UNMAP;
	req.offset = 512;
	req.len = 3072;
	sys.max = 1000;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(sys.allocs, 2);
	ck_assert_int_eq(sys.calls, 4);
	check_zeroes(512, 3072);
	sys.fail_at = sys.calls + 1;
	sys.fail_errno = ENOSPC;
	ck_assert_int_eq(vcore__file_run(&file, &req), -ENOSPC);
}
END_TEST

START_TEST(test_write_zeroes_error_is_passed_on)
{
	sys.alloc_errno = ENOSPC;
	req.op = VCORE_DISK_WRITE_ZEROES;
	ck_assert_int_eq(vcore__file_run(&file, &req), -ENOSPC);
	ck_assert_int_eq(sys.calls, 0);
}
END_TEST

START_TEST(test_discard_frees_space)
{
	struct stat before, after;

	req.op = VCORE_DISK_DISCARD;
	req.offset = 0;
	req.len = CAPACITY;
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(fstat(fd, &before), 0);
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	ck_assert_int_eq(fstat(fd, &after), 0);
	ck_assert_int_lt(after.st_blocks, before.st_blocks);
	ck_assert_int_eq(after.st_size, CAPACITY);
	check_zeroes(0, CAPACITY);
}
END_TEST

START_TEST(test_discard_where_there_is_none_keeps_the_bytes)
{
	sys.bad_modes = FALLOC_FL_PUNCH_HOLE;
	req.op = VCORE_DISK_DISCARD;
	ck_assert_int_eq(vcore__file_run(&file, &req), 0);
	check_zeroes(0, 0);
	sys.alloc_errno = EIO;
	ck_assert_int_eq(vcore__file_run(&file, &req), -EIO);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/disk_file_io");
	TCase *t = tcase_create("io");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_read_scatters);
	tcase_add_test(t, test_short_reads_are_finished);
	tcase_add_test(t, test_short_writes_are_finished);
	tcase_add_test(t, test_interrupted_calls_are_repeated);
	tcase_add_test(t, test_error_on_any_part_fails_the_request);
	tcase_add_test(t, test_write_that_takes_nothing_is_eio);
	tcase_add_test(t, test_truncated_file_reads_as_zeroes);
	tcase_add_test(t, test_direct_read_that_stops_inside_a_sector_is_the_end);
	tcase_add_test(t, test_many_iovecs_take_several_calls);
	tcase_add_test(t, test_misaligned_direct_goes_through_a_bounce_buffer);
	tcase_add_test(t, test_ranges_outside_are_einval);
	tcase_add_test(t, test_len_that_is_not_the_iovecs_is_einval);
	tcase_add_test(t, test_readonly_refuses_every_change);
	tcase_add_test(t, test_failed_flush_stays_failed_until_cleared);
	tcase_add_test(t, test_write_zeroes_that_may_unmap_punches);
	tcase_add_test(t, test_write_zeroes_that_must_keep_space_does_not_punch);
	tcase_add_test(t, test_write_zeroes_without_fallocate_writes);
	tcase_add_test(t, test_write_zeroes_error_is_passed_on);
	tcase_add_test(t, test_discard_frees_space);
	tcase_add_test(t, test_discard_where_there_is_none_keeps_the_bytes);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
