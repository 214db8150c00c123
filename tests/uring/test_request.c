/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of optional/uring/request.c: steps of a request whose completions fall
 * short or fail, which a real ring does not do on command.
 */
#include "ring.h"

#include <linux/falloc.h>

#include "support/support.h"

#define LEN 3000u

static struct vcore__uring_disk disk;
static struct vcore__uring_queue q;
static uint8_t mem[8192];
static struct iovec iov[3];
static struct vcore_disk_request req;
static struct io_uring_sqe sqe;

static void
setup(void)
{
	memset(&disk, 0, sizeof(disk));
	memset(&q, 0, sizeof(q));
	disk.fd = 7;
	disk.limits.capacity = 1 << 20;
	disk.limits.logical_block = 512;
	q.disk = &disk;
	memset(mem, 0xee, sizeof(mem));
	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){ mem + i * 2000, 1000 };
	req = (struct vcore_disk_request){ .op = VCORE_DISK_READ,
					   .offset = 512, .len = LEN,
					   .iov = iov, .iov_count = 3 };
}

static void
teardown(void)
{
	vcore__uring_forget(&req);
}

static void
prepare(void)
{
	memset(&sqe, 0, sizeof(sqe));
	ck_assert_int_eq(vcore__uring_prepare(&q, &req, &sqe), 0);
	ck_assert_uint_eq(sqe.user_data, (uint64_t)(uintptr_t)&req);
	ck_assert_int_eq(sqe.fd, 7);
}

START_TEST(test_first_step_is_the_submitters_array)
{
	prepare();
	ck_assert_uint_eq(sqe.opcode, IORING_OP_READV);
	ck_assert_uint_eq(sqe.addr, (uint64_t)(uintptr_t)iov);
	ck_assert_uint_eq(sqe.len, 3);
	ck_assert_uint_eq(sqe.off, 512);
	ck_assert_ptr_null(req.driver[2]);
	ck_assert_int_eq(vcore__uring_step(&q, &req, LEN), 0);
}
END_TEST

START_TEST(test_one_buffer_is_no_array)
{
	req.iov_count = 1;
	req.len = 1000;
	prepare();
	ck_assert_uint_eq(sqe.opcode, IORING_OP_READ);
	ck_assert_uint_eq(sqe.addr, (uint64_t)(uintptr_t)mem);
	req.op = VCORE_DISK_WRITE;
	prepare();
	ck_assert_uint_eq(sqe.opcode, IORING_OP_WRITE);
	ck_assert_uint_eq(sqe.len, 1000);
}
END_TEST

START_TEST(test_registered_file_is_number_zero)
{
	q.fixed = true;
	memset(&sqe, 0, sizeof(sqe));
	ck_assert_int_eq(vcore__uring_prepare(&q, &req, &sqe), 0);
	ck_assert_int_eq(sqe.fd, 0);
	ck_assert_uint_eq(sqe.flags & IOSQE_FIXED_FILE, IOSQE_FIXED_FILE);
}
END_TEST

/* Case 57: a short transfer goes on where it stopped. */
START_TEST(test_short_transfers_go_on)
{
	static const int parts[] = { 1, 998, 2, 1500 };
	uint32_t done = 0;
	struct iovec *v;

	for (uint32_t op = VCORE_DISK_READ; op <= VCORE_DISK_WRITE; op++) {
		vcore__uring_forget(&req);
		req.op = op;
		req.driver[1] = NULL;
		prepare();
		for (done = 0; done < 2501; done += 1) {
			int n = parts[done % 4];

			if (done + (uint32_t)n > 2500)
				break;
			done += (uint32_t)n - 1;
			ck_assert_int_eq(vcore__uring_step(&q, &req, n), 1);
			prepare();
			v = (struct iovec *)(uintptr_t)sqe.addr;
			ck_assert_uint_eq(sqe.off, 512 + done + 1);
			if (sqe.opcode == IORING_OP_READV ||
			    sqe.opcode == IORING_OP_WRITEV)
				ck_assert_ptr_eq(v->iov_base,
						 mem + (done + 1) / 1000 * 2000 +
							 (done + 1) % 1000);
		}
		ck_assert_int_eq(vcore__uring_step(&q, &req,
						   (int)(LEN - done)),
				 0);
	}
}
END_TEST

START_TEST(test_interrupted_step_is_repeated)
{
	prepare();
	ck_assert_int_eq(vcore__uring_step(&q, &req, -EINTR), 1);
	prepare();
	ck_assert_uint_eq(sqe.off, 512);
}
END_TEST

START_TEST(test_errors_end_the_request)
{
	static const int errors[] = { -EIO, -ENOSPC, -EAGAIN, -ECANCELED };

	for (unsigned i = 0; i < 4; i++) {
		prepare();
		ck_assert_int_eq(vcore__uring_step(&q, &req, 1000), 1);
		ck_assert_int_eq(vcore__uring_step(&q, &req, errors[i]),
				 errors[i]);
		vcore__uring_forget(&req);
		req.driver[1] = NULL;
	}
}
END_TEST

/* A file that shrank: zeroes, never what was in the buffers. */
START_TEST(test_read_past_the_end_is_zeroes)
{
	static const uint8_t zero[1000];

	prepare();
	ck_assert_int_eq(vcore__uring_step(&q, &req, 1500), 1);
	prepare();
	ck_assert_int_eq(vcore__uring_step(&q, &req, 0), 0);
	ck_assert_uint_eq(mem[2499], 0xee);
	ck_assert_mem_eq(mem + 2500, zero, 500);
	ck_assert_mem_eq(mem + 4000, zero, 1000);
	ck_assert_uint_eq(mem[3000], 0xee);
}
END_TEST

START_TEST(test_direct_read_that_stops_inside_a_sector_is_the_end)
{
	disk.direct = true;
	req.iov_count = 1;
	iov[0] = (struct iovec){ (void *)(((uintptr_t)mem + 511) & ~511ul),
				 1024 };
	req.len = 1024;
	prepare();
	ck_assert_int_eq(vcore__uring_step(&q, &req, 700), 0);
	ck_assert_uint_eq(((uint8_t *)iov[0].iov_base)[699], 0xee);
	ck_assert_uint_eq(((uint8_t *)iov[0].iov_base)[700], 0);
}
END_TEST

START_TEST(test_write_that_takes_nothing_is_eio)
{
	req.op = VCORE_DISK_WRITE;
	prepare();
	ck_assert_int_eq(vcore__uring_step(&q, &req, 0), -EIO);
}
END_TEST

START_TEST(test_misaligned_direct_goes_through_a_bounce_buffer)
{
	disk.direct = true;
	prepare();
	ck_assert_uint_eq(sqe.opcode, IORING_OP_READ);
	ck_assert_uint_eq(sqe.addr % 4096, 0);
	ck_assert_uint_eq(sqe.len, LEN);
	memset((void *)(uintptr_t)sqe.addr, 0x42, LEN);
	ck_assert_int_eq(vcore__uring_step(&q, &req, LEN), 0);
	ck_assert_uint_eq(mem[0], 0x42);
	ck_assert_uint_eq(mem[999], 0x42);
	ck_assert_uint_eq(mem[1000], 0xee);
	ck_assert_uint_eq(mem[4999], 0x42);
	vcore__uring_forget(&req);
	req.driver[1] = NULL;
	req.op = VCORE_DISK_WRITE;
	mem[2000] = 0x99;
	prepare();
	ck_assert_uint_eq(((uint8_t *)(uintptr_t)sqe.addr)[1000], 0x99);
}
END_TEST

START_TEST(test_failed_flush_is_remembered)
{
	req.op = VCORE_DISK_FLUSH;
	prepare();
	ck_assert_uint_eq(sqe.opcode, IORING_OP_FSYNC);
	ck_assert_uint_eq(sqe.fsync_flags, IORING_FSYNC_DATASYNC);
	ck_assert_int_eq(vcore__uring_step(&q, &req, -ECANCELED), -ECANCELED);
	ck_assert_int_eq(vcore__uring_check(&disk, &req), 0);
	ck_assert_int_eq(vcore__uring_step(&q, &req, -EIO), -EIO);
	ck_assert_int_eq(vcore__uring_check(&disk, &req), -EIO);
}
END_TEST

START_TEST(test_discard_where_there_is_none_is_done)
{
	req.op = VCORE_DISK_DISCARD;
	prepare();
	ck_assert_uint_eq(sqe.opcode, IORING_OP_FALLOCATE);
	ck_assert_uint_eq(sqe.len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	ck_assert_uint_eq(sqe.addr, LEN);
	ck_assert_int_eq(vcore__uring_step(&q, &req, -EOPNOTSUPP), 0);
	ck_assert_int_eq(vcore__uring_step(&q, &req, -EIO), -EIO);
	ck_assert_int_eq(vcore__uring_step(&q, &req, 0), 0);
}
END_TEST

START_TEST(test_write_zeroes_tries_three_ways)
{
	struct iovec *v;

	req.op = VCORE_DISK_WRITE_ZEROES;
	req.flags = VCORE_DISK_MAY_UNMAP;
	req.len = 70000;
	prepare();
	ck_assert_uint_eq(sqe.len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	ck_assert_int_eq(vcore__uring_step(&q, &req, -EOPNOTSUPP), 1);
	prepare();
	ck_assert_uint_eq(sqe.len, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	ck_assert_int_eq(vcore__uring_step(&q, &req, -EOPNOTSUPP), 1);
	prepare();
	ck_assert_uint_eq(sqe.opcode, IORING_OP_WRITEV);
	v = (struct iovec *)(uintptr_t)sqe.addr;
	ck_assert_uint_eq(sqe.len, 2);
	ck_assert_uint_eq(v[0].iov_len + v[1].iov_len, 70000);
	ck_assert_uint_eq(((uint8_t *)v[1].iov_base)[0], 0);
	ck_assert_int_eq(vcore__uring_step(&q, &req, 69000), 1);
	prepare();
	ck_assert_uint_eq(sqe.off, 512 + 69000);
	ck_assert_int_eq(vcore__uring_step(&q, &req, 1000), 0);
}
END_TEST

START_TEST(test_write_zeroes_that_must_keep_space_does_not_punch)
{
	req.op = VCORE_DISK_WRITE_ZEROES;
	prepare();
	ck_assert_uint_eq(sqe.len, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	ck_assert_int_eq(vcore__uring_step(&q, &req, -ENOSPC), -ENOSPC);
}
END_TEST

START_TEST(test_check_refuses_what_is_outside)
{
	ck_assert_int_eq(vcore__uring_check(&disk, &req), 0);
	req.offset = (1 << 20) - LEN + 1;
	ck_assert_int_eq(vcore__uring_check(&disk, &req), -EINVAL);
	req.offset = UINT64_MAX;
	ck_assert_int_eq(vcore__uring_check(&disk, &req), -EINVAL);
	req.offset = 0;
	req.len = LEN - 1;
	ck_assert_int_eq(vcore__uring_check(&disk, &req), -EINVAL);
	req.len = LEN;
	disk.limits.flags = VCORE_DISK_READONLY;
	ck_assert_int_eq(vcore__uring_check(&disk, &req), 0);
	for (uint32_t op = VCORE_DISK_WRITE; op <= VCORE_DISK_WRITE_ZEROES;
	     op++) {
		req.op = op;
		ck_assert_int_eq(vcore__uring_check(&disk, &req),
				 op == VCORE_DISK_FLUSH ? 0 : -EROFS);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("uring/request");
	TCase *t = tcase_create("request");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_first_step_is_the_submitters_array);
	tcase_add_test(t, test_one_buffer_is_no_array);
	tcase_add_test(t, test_registered_file_is_number_zero);
	tcase_add_test(t, test_short_transfers_go_on);
	tcase_add_test(t, test_interrupted_step_is_repeated);
	tcase_add_test(t, test_errors_end_the_request);
	tcase_add_test(t, test_read_past_the_end_is_zeroes);
	tcase_add_test(t,
		       test_direct_read_that_stops_inside_a_sector_is_the_end);
	tcase_add_test(t, test_write_that_takes_nothing_is_eio);
	tcase_add_test(t, test_misaligned_direct_goes_through_a_bounce_buffer);
	tcase_add_test(t, test_failed_flush_is_remembered);
	tcase_add_test(t, test_discard_where_there_is_none_is_done);
	tcase_add_test(t, test_write_zeroes_tries_three_ways);
	tcase_add_test(t, test_write_zeroes_that_must_keep_space_does_not_punch);
	tcase_add_test(t, test_check_refuses_what_is_outside);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
