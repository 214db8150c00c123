/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of lib/devices/block_request.c: every request a driver can write, and
 * those only a hostile one does (class F of the catalogue).
 */
#include "base/base.h"
#include "devices/block_bed.h"

static struct bed b;

static void
setup(void)
{
	struct vcore_block_opts o;

	VCORE_INIT(&o);
	memcpy(o.serial, "serial-of-20-bytes-!", 20);
	bed_init(&b, &o);
	vdriver_up(&b.d, 1, 64);
}

static void
teardown(void)
{
	bed_fini(&b);
}

static uint8_t
segment(uint32_t type, uint64_t sector, uint32_t num, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes seg = {
		.sector = sector, .num_sectors = num, .flags = flags
	};

	return bed_do(&b, type, 0, &seg, sizeof(seg));
}

START_TEST(test_read_gives_the_disks_bytes)
{
	struct bed_request r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 5, NULL, 4096);
	uint32_t written;

	ck_assert_uint_eq(bed_finish(&b, 0, &r, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, 4097);
	ck_assert_mem_eq(bed_data(&b, &r), b.disk.bytes + 5 * 512, 4096);
	ck_assert_uint_eq(bed_data(&b, &r)[4096], BED_CANARY);
	ck_assert_uint_eq(bed_info(&b).bytes_read, 4096);
}
END_TEST

START_TEST(test_write_reaches_the_disk)
{
	uint8_t data[1024];
	struct bed_request r;
	uint32_t written;

	memset(data, 0x77, sizeof(data));
	r = bed_add(&b, 0, VIRTIO_BLK_T_OUT, 9, data, sizeof(data));
	ck_assert_uint_eq(bed_finish(&b, 0, &r, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, 1);
	ck_assert_mem_eq(b.disk.bytes + 9 * 512, data, sizeof(data));
	ck_assert_uint_eq(bed_info(&b).bytes_written, sizeof(data));
	ck_assert_uint_eq(bed_info(&b).writes, 1);
}
END_TEST

/* Case 15: header, data and status cut into descriptors of any size. */
START_TEST(test_any_cut_of_a_write_is_the_same)
{
	struct vdriver_buf bufs[20];
	struct bed_request r;

	for (uint32_t cut = 1; cut < 16; cut++) {
		uint32_t n = 0;

		/* cut bytes of header; the rest with data behind it; status */
		r = bed_prepare(&b, VIRTIO_BLK_T_OUT, cut, 512);
		memcpy(vdriver_ram(&b.env, r.data),
		       (char *)vdriver_ram(&b.env, r.hdr) + cut, 16 - cut);
		memset(bed_data(&b, &r) + 16 - cut, (int)cut, 512);
		bufs[n++] = (struct vdriver_buf){ r.hdr, cut, false };
		bufs[n++] = (struct vdriver_buf){ r.data, 512 + 16 - cut,
						  false };
		bufs[n++] = (struct vdriver_buf){ r.status, 1, true };
		r.head = vdriver_add(&b.d.queue[0], bufs, n);
		ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL),
				  VIRTIO_BLK_S_OK);
		for (uint32_t i = 0; i < 512; i++)
			ck_assert_uint_eq(b.disk.bytes[cut * 512 + i], cut);
	}
}
END_TEST

START_TEST(test_header_in_sixteen_descriptors_is_read)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_IN, 7, 512);
	struct vdriver_buf bufs[18];

	for (uint32_t i = 0; i < 16; i++)
		bufs[i] = (struct vdriver_buf){ r.hdr + i, 1, false };
	bufs[16] = (struct vdriver_buf){ r.data, 512, true };
	bufs[17] = (struct vdriver_buf){ r.status, 1, true };
	r.head = vdriver_add(&b.d.queue[0], bufs, 18);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(bed_data(&b, &r), b.disk.bytes + 7 * 512, 512);
}
END_TEST

START_TEST(test_status_at_the_end_of_the_data_buffer)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_IN, 7, 513);
	struct vdriver_buf bufs[3] = {
		{ r.hdr, 16, false }, { r.data, 100, true },
		{ r.data + 100, 413, true },
	};
	uint32_t written;

	r.status = r.data + 512;
	r.head = vdriver_add(&b.d.queue[0], bufs, 3);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, 513);
	ck_assert_mem_eq(bed_data(&b, &r), b.disk.bytes + 7 * 512, 512);
}
END_TEST

START_TEST(test_everything_in_two_descriptors)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_OUT, 2, 512);
	uint64_t all = vdriver_alloc(&b.env, 528, 16);
	struct vdriver_buf bufs[2] = { { all, 528, false },
				       { r.status, 1, true } };

	memcpy(vdriver_ram(&b.env, all), vdriver_ram(&b.env, r.hdr), 16);
	memset((char *)vdriver_ram(&b.env, all) + 16, 0x31, 512);
	r.head = vdriver_add(&b.d.queue[0], bufs, 2);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(b.disk.bytes[2 * 512], 0x31);
	ck_assert_uint_eq(b.disk.bytes[3 * 512 - 1], 0x31);
}
END_TEST

START_TEST(test_indirect_request_works)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_IN, 1, 512);
	struct vdriver_buf bufs[3] = { { r.hdr, 16, false },
				       { r.data, 512, true },
				       { r.status, 1, true } };

	r.head = vdriver_add_indirect(&b.d.queue[0], bufs, 3);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(bed_data(&b, &r), b.disk.bytes + 512, 512);
}
END_TEST

/* Case 50. */
START_TEST(test_sectors_outside_are_ioerr)
{
	static const uint64_t bad[] = {
		BED_SECTORS, BED_SECTORS - 1, BED_SECTORS + 1,
		(UINT64_C(1) << 55) - 1, UINT64_C(1) << 55,
		(UINT64_C(1) << 55) + 1, UINT64_C(1) << 63, UINT64_MAX,
		UINT64_MAX - 1,
	};
	uint8_t data[1024] = { 0 };

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(bad); i++) {
		ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, bad[i], NULL,
					 1024),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, bad[i], data,
					 1024),
				  VIRTIO_BLK_S_IOERR);
	}
	ck_assert_uint_eq(b.disk.op_count, 0);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, BED_SECTORS - 2, NULL,
				 1024),
			  VIRTIO_BLK_S_OK);
	bed_check_alive(&b);
}
END_TEST

/* Case 51. */
START_TEST(test_lengths_that_are_no_sectors_are_ioerr)
{
	static const uint32_t bad[] = { 1, 511, 513, 1000, 1025 };
	uint8_t data[1025] = { 0 };

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(bad); i++) {
		ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, 0, NULL, bad[i]),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, 0, data,
					 bad[i]),
				  VIRTIO_BLK_S_IOERR);
	}
	ck_assert_uint_eq(b.disk.op_count, 0);
	bed_check_alive(&b);
}
END_TEST

START_TEST(test_no_data_is_ioerr)
{
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, 0, NULL, 0),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, 0, NULL, 0),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(b.disk.op_count, 0);
	bed_check_alive(&b);
}
END_TEST

/* The same pages 60 times over: within this disk, yet too much to wait for. */
START_TEST(test_more_data_than_any_driver_needs_is_ioerr)
{
	struct vdriver_buf bufs[62];
	struct bed_request r;
	uint64_t pages = 1 << 16;

	teardown();
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, 0);
	fake_disk_init(&b.disk, BED_CAPACITY);
	b.disk.limits.capacity = UINT64_C(1) << 40;
	b.disk.hold = true;
	bed_device(&b, NULL);
	vdriver_up(&b.d, 1, 64);
	r = bed_prepare(&b, VIRTIO_BLK_T_OUT, 0, 16);
	bufs[0] = (struct vdriver_buf){ r.hdr, 16, false };
	for (int i = 1; i < 61; i++)
		bufs[i] = (struct vdriver_buf){ pages, 7 << 20, false };
	bufs[61] = (struct vdriver_buf){ r.status, 1, true };
	r.head = vdriver_add(&b.d.queue[0], bufs, 62);
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.disk.op_count, 0);
	ck_assert_uint_eq(bed_status(&b, &r), VIRTIO_BLK_S_IOERR);
}
END_TEST

START_TEST(test_segments_above_the_disks_limit_are_ioerr)
{
	teardown();
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, 0);
	fake_disk_init(&b.disk, BED_CAPACITY);
	b.disk.limits.max_discard = 64 * 512;
	b.disk.limits.max_write_zeroes = 32 * 512;
	bed_device(&b, NULL);
	vdriver_up(&b.d, 1, 64);
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_DISCARD, 0, 65, 0),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_WRITE_ZEROES, 0, 33, 0),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(b.disk.op_count, 0);
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_DISCARD, 0, 64, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, 0),
			  VIRTIO_BLK_S_OK);
}
END_TEST

START_TEST(test_short_header_is_ioerr)
{
	struct bed_request r;

	for (uint32_t len = 1; len < 16; len++) {
		struct vdriver_buf bufs[2];

		r = bed_prepare(&b, VIRTIO_BLK_T_IN, 0, 512);
		bufs[0] = (struct vdriver_buf){ r.hdr, len, false };
		bufs[1] = (struct vdriver_buf){ r.status, 1, true };
		r.head = vdriver_add(&b.d.queue[0], bufs, 2);
		ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL),
				  VIRTIO_BLK_S_IOERR);
	}
	bed_check_alive(&b);
}
END_TEST

START_TEST(test_no_header_at_all_is_ioerr)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_IN, 0, 512);
	struct vdriver_buf bufs[1] = { { r.status, 1, true } };

	r.head = vdriver_add(&b.d.queue[0], bufs, 1);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_IOERR);
	bed_check_alive(&b);
}
END_TEST

/* Case 52, second half: nowhere to put the status. */
START_TEST(test_no_status_is_consumed_unanswered)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_OUT, 0, 512);
	struct vdriver_buf bufs[2] = { { r.hdr, 16, false },
				       { r.data, 512, false } };
	uint32_t id, len;

	vdriver_add(&b.d.queue[0], bufs, 2);
	vdriver_kick(&b.d.queue[0]);
	ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(b.disk.op_count, 0);
	ck_assert_uint_eq(bed_info(&b).errors, 1);
	bed_check_alive(&b);
}
END_TEST

/* Case 52. */
START_TEST(test_id_fills_what_there_is_room_for)
{
	static const uint32_t len[] = { 1, 19, 20, 21, 64 };
	struct bed_request r;
	uint32_t written, n;

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(len); i++) {
		r = bed_add(&b, 0, VIRTIO_BLK_T_GET_ID, 0, NULL, len[i]);
		ck_assert_uint_eq(bed_finish(&b, 0, &r, &written),
				  VIRTIO_BLK_S_OK);
		n = len[i] < 20 ? len[i] : 20;
		ck_assert_mem_eq(bed_data(&b, &r), "serial-of-20-bytes-!", n);
		ck_assert_uint_eq(bed_data(&b, &r)[n], BED_CANARY);
		/* Exactly the bytes that were written from the start. */
		ck_assert_uint_eq(written, len[i] <= 20 ? n + 1 : 20);
	}
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_GET_ID, 0, NULL, 0),
			  VIRTIO_BLK_S_OK);
}
END_TEST

/* Case 54. */
START_TEST(test_unknown_types_are_unsupp)
{
	static const uint32_t bad[] = {
		2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 18, 20, 100, 0x7fffffff,
		0x80000000, 0x80000001, 0x80000004, 0xffffffff,
	};
	uint8_t data[512] = { 0 };

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(bad); i++)
		ck_assert_uint_eq(bed_do(&b, bad[i], 0, data, sizeof(data)),
				  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(b.disk.op_count, 0);
	bed_check_alive(&b);
}
END_TEST

/* Case 55. */
START_TEST(test_flush_with_data_flushes)
{
	uint8_t data[512] = { 0 };

	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_FLUSH, UINT64_MAX, data,
				 sizeof(data)),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(b.disk.op_count, 2);
	ck_assert_uint_eq(b.disk.ops[1].op, VCORE_DISK_FLUSH);
	ck_assert_uint_eq(bed_info(&b).flushes, 2);
}
END_TEST

START_TEST(test_discard_and_write_zeroes_reach_the_disk)
{
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_DISCARD, 8, 4, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_WRITE_ZEROES, 16, 8, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_WRITE_ZEROES, 32, 8, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(b.disk.op_count, 3);
	ck_assert_uint_eq(b.disk.ops[0].op, VCORE_DISK_DISCARD);
	ck_assert_uint_eq(b.disk.ops[0].offset, 8 * 512);
	ck_assert_uint_eq(b.disk.ops[0].len, 4 * 512);
	ck_assert_uint_eq(b.disk.ops[1].op, VCORE_DISK_WRITE_ZEROES);
	ck_assert_uint_eq(b.disk.ops[1].flags, 0);
	ck_assert_uint_eq(b.disk.ops[2].flags, VCORE_DISK_MAY_UNMAP);
	ck_assert_uint_eq(b.disk.bytes[16 * 512], 0);
	ck_assert_uint_eq(bed_info(&b).discards, 1);
	ck_assert_uint_eq(bed_info(&b).zeroes, 2);
}
END_TEST

/* Case 53. */
START_TEST(test_bad_segments_are_refused)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD,
					  VIRTIO_BLK_T_WRITE_ZEROES };

	for (int i = 0; i < 2; i++) {
		uint32_t t = types[i];

		ck_assert_uint_eq(segment(t, BED_SECTORS, 1, 0),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(segment(t, 1, BED_SECTORS, 0),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(segment(t, UINT64_MAX, 2, 0),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(segment(t, UINT64_C(1) << 55, 1, 0),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(segment(t, 0, UINT32_MAX, 0),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(segment(t, 0, 8, 2), VIRTIO_BLK_S_UNSUPP);
		ck_assert_uint_eq(segment(t, 0, 8, 0x80000000),
				  VIRTIO_BLK_S_UNSUPP);
		ck_assert_uint_eq(segment(t, 0, 0, 0), VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_eq(segment(VIRTIO_BLK_T_DISCARD, 0, 8, 1),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(b.disk.op_count, 0);
	bed_check_alive(&b);
}
END_TEST

START_TEST(test_not_exactly_one_segment_is_ioerr)
{
	static const uint32_t bad[] = { 0, 1, 15, 17, 32, 48, 512 };
	uint8_t data[512] = { 0 };

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(bad); i++) {
		ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_DISCARD, 0, data,
					 bad[i]),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_WRITE_ZEROES, 0,
					 data, bad[i]),
				  VIRTIO_BLK_S_IOERR);
	}
	ck_assert_uint_eq(b.disk.op_count, 0);
}
END_TEST

/* Case 57, 91: a failed read hands out nothing and claims nothing. */
START_TEST(test_failed_read_is_ioerr_and_an_event)
{
	struct bed_request r;
	uint32_t written;

	b.disk.fail_op = VCORE_DISK_READ;
	b.disk.fail_rc = -EIO;
	r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 5, NULL, 512);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, &written), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(written, 0);
	for (int i = 0; i < 512; i++)
		ck_assert_uint_eq(bed_data(&b, &r)[i], BED_CANARY);
	ck_assert_uint_eq(vdriver_events(&b.env, VCORE_EVENT_DISK_ERROR), 1);
	ck_assert_uint_eq(bed_info(&b).errors, 1);
	ck_assert_uint_eq(bed_info(&b).reads, 0);
	b.disk.fail_op = 0;
	bed_check_alive(&b);
}
END_TEST

START_TEST(test_failed_write_and_flush_are_ioerr)
{
	uint8_t data[512] = { 0 };

	b.disk.fail_rc = -ENOSPC;
	b.disk.fail_op = VCORE_DISK_WRITE;
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, 0, data, 512),
			  VIRTIO_BLK_S_IOERR);
	b.disk.fail_op = VCORE_DISK_FLUSH;
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(vdriver_events(&b.env, VCORE_EVENT_DISK_ERROR), 2);
	b.disk.fail_op = 0;
	bed_check_alive(&b);
}
END_TEST

/* Case 46: what the header says after it was read changes nothing. */
START_TEST(test_header_changed_in_flight_is_not_seen)
{
	struct virtio_blk_outhdr evil = { .type = VIRTIO_BLK_T_OUT,
					  .sector = UINT64_MAX };
	struct bed_request r;

	b.disk.hold = true;
	r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 3, NULL, 512);
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.disk.held_count, 1);
	memcpy(vdriver_ram(&b.env, r.hdr), &evil, sizeof(evil));
	ck_assert_uint_eq(fake_disk_release(&b.disk, 1), 1);
	b.disk.hold = false;
	ck_assert_uint_eq(bed_finish(&b, 0, &r, NULL), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(bed_data(&b, &r), b.disk.bytes + 3 * 512, 512);
}
END_TEST

START_TEST(test_status_is_written_last)
{
	struct bed_request r;
	uint32_t id, len;

	b.disk.hold = true;
	r = bed_add(&b, 0, VIRTIO_BLK_T_IN, 3, NULL, 512);
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_status(&b, &r), BED_NO_STATUS);
	fake_disk_release(&b.disk, 1);
	/* The bytes are there; who completes does not touch the guest. */
	ck_assert_uint_eq(bed_status(&b, &r), BED_NO_STATUS);
	ck_assert(vdriver_wait(&b.d.queue[0], &id, &len));
	ck_assert_uint_eq(bed_status(&b, &r), VIRTIO_BLK_S_OK);
	b.disk.hold = false;
}
END_TEST

START_TEST(test_writable_data_before_readable_header_breaks_the_queue)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_IN, 0, 512);
	struct vdriver_buf bufs[2] = { { r.status, 1, true },
				       { r.hdr, 16, false } };

	vdriver_add(&b.d.queue[0], bufs, 2);
	vdriver_kick(&b.d.queue[0]);
	vdriver_run(&b.env);
	ck_assert_uint_ne(vdriver_status(&b.d) & VIRTIO_CONFIG_S_NEEDS_RESET,
			  0);
	vdriver_up(&b.d, 1, 64);
	bed_check_alive(&b);
}
END_TEST

START_TEST(test_surplus_writable_bytes_of_a_write_stay_unclaimed)
{
	struct bed_request r = bed_prepare(&b, VIRTIO_BLK_T_OUT, 0, 512);
	struct vdriver_buf bufs[3] = { { r.hdr, 16, false },
				       { r.data, 512, false },
				       { r.data + 512, 16, true } };
	uint32_t written;

	r.status = r.data + 527;
	r.head = vdriver_add(&b.d.queue[0], bufs, 3);
	ck_assert_uint_eq(bed_finish(&b, 0, &r, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, 0);
	ck_assert_uint_eq(bed_data(&b, &r)[512], BED_CANARY);
	ck_assert_uint_eq(bed_data(&b, &r)[526], BED_CANARY);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("devices/block_request");
	TCase *t = tcase_create("request");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_read_gives_the_disks_bytes);
	tcase_add_test(t, test_write_reaches_the_disk);
	tcase_add_test(t, test_any_cut_of_a_write_is_the_same);
	tcase_add_test(t, test_header_in_sixteen_descriptors_is_read);
	tcase_add_test(t, test_status_at_the_end_of_the_data_buffer);
	tcase_add_test(t, test_everything_in_two_descriptors);
	tcase_add_test(t, test_indirect_request_works);
	tcase_add_test(t, test_sectors_outside_are_ioerr);
	tcase_add_test(t, test_lengths_that_are_no_sectors_are_ioerr);
	tcase_add_test(t, test_no_data_is_ioerr);
	tcase_add_test(t, test_more_data_than_any_driver_needs_is_ioerr);
	tcase_add_test(t, test_short_header_is_ioerr);
	tcase_add_test(t, test_no_header_at_all_is_ioerr);
	tcase_add_test(t, test_no_status_is_consumed_unanswered);
	tcase_add_test(t, test_id_fills_what_there_is_room_for);
	tcase_add_test(t, test_unknown_types_are_unsupp);
	tcase_add_test(t, test_flush_with_data_flushes);
	tcase_add_test(t, test_discard_and_write_zeroes_reach_the_disk);
	tcase_add_test(t, test_bad_segments_are_refused);
	tcase_add_test(t, test_segments_above_the_disks_limit_are_ioerr);
	tcase_add_test(t, test_not_exactly_one_segment_is_ioerr);
	tcase_add_test(t, test_failed_read_is_ioerr_and_an_event);
	tcase_add_test(t, test_failed_write_and_flush_are_ioerr);
	tcase_add_test(t, test_header_changed_in_flight_is_not_seen);
	tcase_add_test(t, test_status_is_written_last);
	tcase_add_test(t,
		       test_writable_data_before_readable_header_breaks_the_queue);
	tcase_add_test(t,
		       test_surplus_writable_bytes_of_a_write_stay_unclaimed);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
