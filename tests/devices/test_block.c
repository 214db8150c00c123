/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/devices/block.c: features, configuration, cache, creation. */
#include "base/base.h"
#include "devices/block_bed.h"

#define WCE_AT 32u			/* in the configuration */

static struct bed b;

START_TEST(test_new_bad_arguments_are_refused)
{
	struct vcore_virtio *v = NULL;
	struct vcore_block_opts o;
	struct fake_disk f;

	fake_disk_init(&f, 4096);
	VCORE_INIT(&o);
	ck_assert_error(vcore_block_new(NULL, &o, &v), -EINVAL,
			"vcore_block_new");
	ck_assert_error(vcore_block_new(f.disk, &o, NULL), -EINVAL,
			"vcore_block_new");
	o.flags = 4;
	ck_assert_error(vcore_block_new(f.disk, &o, &v), -E2BIG,
			"vcore_block_new");
	o.flags = 0;
	o.reserved0 = 1;
	ck_assert_error(vcore_block_new(f.disk, &o, &v), -E2BIG,
			"vcore_block_new");
	VCORE_INIT(&o);
	o.queues = 257;
	ck_assert_error(vcore_block_new(f.disk, &o, &v), -EINVAL,
			"vcore_block_new");
	o.queues = 1;
	o.queue_size = 100;
	ck_assert_error(vcore_block_new(f.disk, &o, &v), -EINVAL,
			"vcore_block_new");
	o.queue_size = 65536;
	ck_assert_error(vcore_block_new(f.disk, &o, &v), -EINVAL,
			"vcore_block_new");
	o.size = 3;
	ck_assert_error(vcore_block_new(f.disk, &o, &v), -EINVAL,
			"vcore_block_new");
	f.limits.capacity = 511;
	ck_assert_error(vcore_block_new(f.disk, NULL, &v), -EINVAL,
			"vcore_block_new");
	f.limits.logical_block = 100;
	ck_assert_error(vcore_block_new(f.disk, NULL, &v), -EINVAL,
			"vcore_block_new");
	ck_assert_ptr_null(v);
	fake_disk_fini(&f);
}
END_TEST

START_TEST(test_new_without_memory_leaves_nothing)
{
	struct vcore_virtio *v = NULL;
	struct fake_disk f;
	bool failed = true;
	int rc;

	fake_disk_init(&f, 4096);
	for (unsigned n = 1; failed; n++) {
		v = NULL;
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_block_new(f.disk, NULL, &v);
		failed = fail_stop();
		ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
		ck_assert(failed == (v == NULL));
	}
	vcore_virtio_unref(v);
	fake_disk_fini(&f);
}
END_TEST

START_TEST(test_device_keeps_its_disk)
{
	struct vcore_virtio *v;
	struct fake_disk f;

	fake_disk_init(&f, 4096);
	ck_assert_ok(vcore_block_new(f.disk, NULL, &v));
	vcore_disk_unref(f.disk);
	ck_assert_uint_eq(f.released, 0);
	vcore_disk_ref(f.disk);
	vcore_virtio_unref(v);
	ck_assert_uint_eq(f.released, 0);
	fake_disk_fini(&f);
}
END_TEST

START_TEST(test_info_of_other_things_is_einval)
{
	struct vcore_block_info i;

	bed_init(&b, NULL);
	VCORE_INIT(&i);
	ck_assert_error(vcore_block_get_info(NULL, &i), -EINVAL,
			"vcore_block_get_info");
	ck_assert_error(vcore_block_get_info(b.virtio, NULL), -EINVAL,
			"vcore_block_get_info");
	i.size = 1;
	ck_assert_error(vcore_block_get_info(b.virtio, &i), -EINVAL,
			"vcore_block_get_info");
	bed_fini(&b);
}
END_TEST

static uint64_t
offered(const struct vcore_block_opts *opts, uint32_t limits_flags)
{
	uint64_t features;

	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, 0);
	fake_disk_init(&b.disk, BED_CAPACITY);
	b.disk.limits.flags = limits_flags;
	bed_device(&b, opts);
	features = vdriver_device_features(&b.d) & 0xffffff;
	bed_fini(&b);
	return features;
}

#define ALWAYS (BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) | \
		BIT(VIRTIO_BLK_F_TOPOLOGY))

START_TEST(test_features_follow_the_disk)
{
	struct vcore_block_opts o;

	ck_assert_uint_eq(offered(NULL, 0), ALWAYS);
	ck_assert_uint_eq(offered(NULL, VCORE_DISK_CAN_FLUSH),
			  ALWAYS | BIT(VIRTIO_BLK_F_FLUSH) |
				  BIT(VIRTIO_BLK_F_CONFIG_WCE));
	ck_assert_uint_eq(offered(NULL, VCORE_DISK_CAN_DISCARD),
			  ALWAYS | BIT(VIRTIO_BLK_F_DISCARD));
	ck_assert_uint_eq(offered(NULL, VCORE_DISK_CAN_ZERO),
			  ALWAYS | BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	ck_assert_uint_eq(offered(NULL, VCORE_DISK_READONLY |
						VCORE_DISK_CAN_FLUSH),
			  ALWAYS | BIT(VIRTIO_BLK_F_RO));
	VCORE_INIT(&o);
	o.flags = VCORE_BLOCK_READONLY;
	ck_assert_uint_eq(offered(&o, VCORE_DISK_CAN_DISCARD),
			  ALWAYS | BIT(VIRTIO_BLK_F_RO));
	o.flags = 0;
	o.queues = 3;
	ck_assert_uint_eq(offered(&o, 0), ALWAYS | BIT(VIRTIO_BLK_F_MQ));
}
END_TEST

START_TEST(test_configuration_is_the_disks)
{
	struct vcore_block_opts o;
	struct virtio_blk_config c;
	uint8_t *at = (uint8_t *)&c;

	VCORE_INIT(&o);
	o.queues = 3;
	o.queue_size = 64;
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, 0);
	fake_disk_init(&b.disk, BED_CAPACITY);
	b.disk.limits.logical_block = 1024;
	b.disk.limits.physical_block = 8192;
	b.disk.limits.max_discard = 1 << 30;
	bed_device(&b, &o);
	for (uint32_t i = 0; i < 60; i++)
		at[i] = (uint8_t)vdriver_config_read(&b.d, i, 1);
	ck_assert_uint_eq(c.capacity, BED_SECTORS);
	ck_assert_uint_eq(c.seg_max, 62);
	ck_assert_uint_eq(c.blk_size, 1024);
	ck_assert_uint_eq(c.physical_block_exp, 3);
	ck_assert_uint_eq(c.min_io_size, 8);
	ck_assert_uint_eq(c.wce, 1);
	ck_assert_uint_eq(c.num_queues, 3);
	ck_assert_uint_eq(c.max_discard_sectors, 1 << 21);
	ck_assert_uint_eq(c.max_discard_seg, 1);
	ck_assert_uint_eq(c.discard_sector_alignment, 2);
	ck_assert_uint_eq(c.max_write_zeroes_sectors, UINT32_MAX);
	ck_assert_uint_eq(c.max_write_zeroes_seg, 1);
	ck_assert_uint_eq(c.write_zeroes_may_unmap, 1);
	bed_fini(&b);
}
END_TEST

START_TEST(test_logical_blocks_bind_requests)
{
	memset(&b, 0, sizeof(b));
	vdriver_env_init(&b.env, 0);
	fake_disk_init(&b.disk, BED_CAPACITY);
	b.disk.limits.logical_block = 4096;
	bed_device(&b, NULL);
	vdriver_up(&b.d, 1, 16);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, 8, NULL, 4096),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, 1, NULL, 4096),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_IN, 8, NULL, 512),
			  VIRTIO_BLK_S_IOERR);
	bed_fini(&b);
}
END_TEST

/* Case 51, second half. */
START_TEST(test_readonly_refuses_every_change)
{
	struct virtio_blk_discard_write_zeroes seg = { .num_sectors = 8 };
	struct vcore_block_opts o;
	uint8_t data[512] = { 0 };

	VCORE_INIT(&o);
	o.flags = VCORE_BLOCK_READONLY;
	bed_init(&b, &o);
	vdriver_up(&b.d, 1, 16);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, 0, data, 512),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_DISCARD, 0, &seg,
				 sizeof(seg)),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_WRITE_ZEROES, 0, &seg,
				 sizeof(seg)),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_SECURE_ERASE, 0, &seg,
				 sizeof(seg)),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(b.disk.op_count, 0);
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

START_TEST(test_withheld_features_are_unsupp)
{
	struct virtio_blk_discard_write_zeroes seg = { .num_sectors = 8 };

	bed_init(&b, NULL);
	ck_assert(vdriver_begin(&b.d, BIT(VIRTIO_BLK_F_FLUSH) |
					      BIT(VIRTIO_BLK_F_DISCARD) |
					      BIT(VIRTIO_BLK_F_WRITE_ZEROES)));
	ck_assert(vdriver_queue(&b.d, 0, 16));
	vdriver_ok(&b.d);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_DISCARD, 0, &seg,
				 sizeof(seg)),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_WRITE_ZEROES, 0, &seg,
				 sizeof(seg)),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(b.disk.op_count, 0);
	bed_fini(&b);
}
END_TEST

/* One write: how many flushes followed it. */
static uint32_t
flushes_after_write(void)
{
	uint8_t data[512] = { 1 };
	uint32_t before = b.disk.op_count;

	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, 0, data, 512),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(b.disk.ops[before].op, VCORE_DISK_WRITE);
	if (b.disk.op_count > before + 1)
		ck_assert_uint_eq(b.disk.ops[before + 1].op, VCORE_DISK_FLUSH);
	return b.disk.op_count - before - 1;
}

START_TEST(test_write_cache_is_on_and_can_be_switched)
{
	bed_init(&b, NULL);
	vdriver_up(&b.d, 1, 16);
	ck_assert_uint_eq(flushes_after_write(), 0);
	ck_assert_uint_eq(bed_info(&b).write_cache, 1);
	vdriver_config_write(&b.d, WCE_AT, 1, 0);
	ck_assert_uint_eq(vdriver_config_read(&b.d, WCE_AT, 1), 0);
	ck_assert_uint_eq(flushes_after_write(), 1);
	ck_assert_uint_eq(bed_info(&b).write_cache, 0);
	vdriver_config_write(&b.d, WCE_AT, 1, 1);
	ck_assert_uint_eq(flushes_after_write(), 0);
	vdriver_config_write(&b.d, WCE_AT, 1, 0);
	vdriver_up(&b.d, 1, 16);
	ck_assert_uint_eq(vdriver_config_read(&b.d, WCE_AT, 1), 1);
	bed_fini(&b);
}
END_TEST

START_TEST(test_only_the_cache_setting_can_be_written)
{
	bed_init(&b, NULL);
	vdriver_up(&b.d, 1, 16);
	for (uint32_t i = 0; i < 60; i++)
		if (i != WCE_AT)
			vdriver_config_write(&b.d, i, 1, 0xff);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 0, 4), BED_SECTORS);
	ck_assert_uint_eq(vdriver_config_read(&b.d, WCE_AT, 1), 1);
	ck_assert_uint_eq(flushes_after_write(), 0);
	bed_fini(&b);
}
END_TEST

START_TEST(test_writethrough_flushes_each_write)
{
	struct vcore_block_opts o;

	VCORE_INIT(&o);
	o.flags = VCORE_BLOCK_WRITETHROUGH;
	bed_init(&b, &o);
	vdriver_up(&b.d, 1, 16);
	ck_assert_uint_eq(vdriver_config_read(&b.d, WCE_AT, 1), 0);
	ck_assert_uint_eq(flushes_after_write(), 1);
	/* A driver that knows flushes and not the setting. */
	ck_assert(vdriver_begin(&b.d, BIT(VIRTIO_BLK_F_CONFIG_WCE)));
	ck_assert(vdriver_queue(&b.d, 0, 16));
	vdriver_ok(&b.d);
	ck_assert_uint_eq(flushes_after_write(), 1);
	bed_fini(&b);
}
END_TEST

/* Case 56: a driver that can't flush gets durable writes, whatever it sets. */
START_TEST(test_driver_without_flush_gets_writethrough)
{
	bed_init(&b, NULL);
	ck_assert(vdriver_begin(&b.d, BIT(VIRTIO_BLK_F_FLUSH)));
	ck_assert(vdriver_queue(&b.d, 0, 16));
	vdriver_ok(&b.d);
	vdriver_config_write(&b.d, WCE_AT, 1, 1);
	ck_assert_uint_eq(flushes_after_write(), 1);
	bed_fini(&b);
}
END_TEST

START_TEST(test_failed_flush_fails_the_write_through)
{
	struct vcore_block_opts o;
	uint8_t data[512] = { 1 };

	VCORE_INIT(&o);
	o.flags = VCORE_BLOCK_WRITETHROUGH;
	bed_init(&b, &o);
	vdriver_up(&b.d, 1, 16);
	b.disk.fail_op = VCORE_DISK_FLUSH;
	b.disk.fail_rc = -EIO;
	ck_assert_uint_eq(bed_do(&b, VIRTIO_BLK_T_OUT, 0, data, 512),
			  VIRTIO_BLK_S_IOERR);
	bed_fini(&b);
}
END_TEST

START_TEST(test_disk_that_refuses_to_attach_breaks_the_queue)
{
	bed_init(&b, NULL);
	b.disk.attach_rc = -EMFILE;
	vdriver_up(&b.d, 1, 16);
	vdriver_run(&b.env);
	ck_assert_uint_ne(vdriver_status(&b.d) & VIRTIO_CONFIG_S_NEEDS_RESET,
			  0);
	b.disk.attach_rc = 0;
	vdriver_up(&b.d, 1, 16);
	bed_check_alive(&b);
	bed_fini(&b);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("devices/block");
	TCase *t = tcase_create("block");

	tcase_add_test(t, test_new_bad_arguments_are_refused);
	tcase_add_test(t, test_new_without_memory_leaves_nothing);
	tcase_add_test(t, test_device_keeps_its_disk);
	tcase_add_test(t, test_info_of_other_things_is_einval);
	tcase_add_test(t, test_features_follow_the_disk);
	tcase_add_test(t, test_configuration_is_the_disks);
	tcase_add_test(t, test_logical_blocks_bind_requests);
	tcase_add_test(t, test_readonly_refuses_every_change);
	tcase_add_test(t, test_withheld_features_are_unsupp);
	tcase_add_test(t, test_write_cache_is_on_and_can_be_switched);
	tcase_add_test(t, test_only_the_cache_setting_can_be_written);
	tcase_add_test(t, test_writethrough_flushes_each_write);
	tcase_add_test(t, test_driver_without_flush_gets_writethrough);
	tcase_add_test(t, test_failed_flush_fails_the_write_through);
	tcase_add_test(t, test_disk_that_refuses_to_attach_breaks_the_queue);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
