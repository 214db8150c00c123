/* SPDX-License-Identifier: BSD-3-Clause */
/* Status, features, queue registers, configuration: over both transports. */
#include "device.h"

START_TEST(test_status_handshake_reaches_driver_ok)
{
	device_setup(_i, 0, 0);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	vdriver_up(&d, ECHO_QUEUES, QSIZE);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_RUNNING);
	ck_assert_uint_eq(e.starts, ECHO_QUEUES);
	for (uint32_t i = 0; i < ECHO_QUEUES; i++)
		device_assert_serves(i);
	device_teardown();
}
END_TEST

START_TEST(test_status_driver_ok_before_features_ok_is_ignored)
{
	device_setup(_i, 0, 0);
	vdriver_set_status(&d, STATUS_BEGIN);
	vdriver_set_features(&d, vdriver_device_features(&d));
	vdriver_set_status(&d, STATUS_BEGIN | VIRTIO_CONFIG_S_DRIVER_OK);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_BEGIN);
	/* Not even with both at once. */
	vdriver_set_status(&d, STATUS_RUNNING);
	ck_assert_uint_eq(vdriver_status(&d) & VIRTIO_CONFIG_S_DRIVER_OK, 0);
	device_teardown();
}
END_TEST

START_TEST(test_status_features_ok_needs_driver)
{
	device_setup(_i, 0, 0);
	vdriver_set_features(&d, vdriver_device_features(&d));
	vdriver_set_status(&d, VIRTIO_CONFIG_S_ACKNOWLEDGE |
			       VIRTIO_CONFIG_S_FEATURES_OK);
	ck_assert_uint_eq(vdriver_status(&d), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	device_teardown();
}
END_TEST

START_TEST(test_status_clearing_a_bit_is_ignored)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	vdriver_set_status(&d, STATUS_BEGIN);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_RUNNING);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_status_driver_ok_twice_starts_once)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	vdriver_ok(&d);
	vdriver_ok(&d);
	ck_assert_uint_eq(e.starts, 2);
	device_assert_serves(1);
	device_teardown();
}
END_TEST

START_TEST(test_status_driver_ok_without_queues_is_accepted)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 0, QSIZE);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_RUNNING);
	ck_assert_uint_eq(e.starts, 0);
	device_teardown();
}
END_TEST

START_TEST(test_status_failed_is_kept_and_needs_reset_not_settable)
{
	device_setup(_i, 0, 0);
	vdriver_set_status(&d, VIRTIO_CONFIG_S_ACKNOWLEDGE |
			       VIRTIO_CONFIG_S_FAILED |
			       VIRTIO_CONFIG_S_NEEDS_RESET);
	ck_assert_uint_eq(vdriver_status(&d), VIRTIO_CONFIG_S_ACKNOWLEDGE |
					      VIRTIO_CONFIG_S_FAILED);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_features_are_offered_and_negotiated)
{
	uint64_t all;

	device_setup(_i, 0, UINT64_C(1) << 5 | UINT64_C(1) << 29 |
			    UINT64_C(1) << 32);
	e.features = UINT64_C(3) << 4;
	vdriver_detach(&d);
	vdriver_attach(&d, &env, e.virtio, d.kind);
	all = vdriver_device_features(&d);
	/* Bit 5 and EVENT_IDX are withdrawn, VERSION_1 can't be. */
	ck_assert_uint_eq(all, UINT64_C(1) << 4 | UINT64_C(1) << 28 |
			       UINT64_C(1) << 32 | UINT64_C(1) << 40);
	ck_assert_uint_eq(vcore_virtio_features(e.virtio), 0);
	ck_assert(vdriver_begin(&d, UINT64_C(1) << 28));
	ck_assert_uint_eq(vcore_virtio_features(e.virtio),
			  all & ~(UINT64_C(1) << 28));
	ck_assert_uint_eq(e.set_features, all & ~(UINT64_C(1) << 28));
	device_teardown();
}
END_TEST

START_TEST(test_features_not_offered_are_refused)
{
	device_setup(_i, 0, 0);
	vdriver_set_status(&d, STATUS_BEGIN);
	vdriver_set_features(&d, vdriver_device_features(&d) | 1);
	vdriver_set_status(&d, STATUS_BEGIN | VIRTIO_CONFIG_S_FEATURES_OK);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_BEGIN);
	/* The driver may think again. */
	vdriver_set_features(&d, vdriver_device_features(&d));
	vdriver_set_status(&d, STATUS_BEGIN | VIRTIO_CONFIG_S_FEATURES_OK);
	ck_assert_uint_eq(vdriver_status(&d),
			  STATUS_BEGIN | VIRTIO_CONFIG_S_FEATURES_OK);
	device_teardown();
}
END_TEST

START_TEST(test_features_without_version_1_are_refused)
{
	device_setup(_i, 0, 0);
	ck_assert(!vdriver_begin(&d, VCORE__VIRTIO_VERSION_1));
	device_teardown();
}
END_TEST

START_TEST(test_features_the_model_refuses_are_refused)
{
	device_setup(_i, 0, 0);
	e.features_rc = -EINVAL;
	ck_assert(!vdriver_begin(&d, 0));
	e.features_rc = 0;
	vdriver_up(&d, 1, QSIZE);
	device_teardown();
}
END_TEST

START_TEST(test_features_after_features_ok_are_fixed)
{
	device_setup(_i, 0, 0);
	ck_assert(vdriver_begin(&d, VCORE__VIRTIO_EVENT_IDX));
	vdriver_set_features(&d, vdriver_device_features(&d));
	ck_assert_uint_eq(vcore_virtio_features(e.virtio) &
			  VCORE__VIRTIO_EVENT_IDX, 0);
	/* The register (MMIO's can't be read) has not changed either. */
	pthread_mutex_lock(&e.virtio->lock);
	ck_assert_uint_eq(e.virtio->driver_features & VCORE__VIRTIO_EVENT_IDX,
			  0);
	pthread_mutex_unlock(&e.virtio->lock);
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	d.queue[0].event_idx = false;
	vdriver_ok(&d);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_queue_registers_before_features_ok_are_ignored)
{
	device_setup(_i, 0, 0);
	vdriver_set_status(&d, STATUS_BEGIN);
	ck_assert(!vdriver_queue(&d, 0, QSIZE));
	device_teardown();
}
END_TEST

START_TEST(test_queue_registers_after_driver_ok_are_ignored)
{
	device_setup(_i, 0, VCORE__VIRTIO_RING_RESET);
	vdriver_up(&d, 1, QSIZE);
	ck_assert(!vdriver_queue(&d, 1, QSIZE));
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_queue_registers_of_enabled_queue_are_fixed)
{
	struct vdriver_queue good;

	device_setup(_i, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	good = d.queue[0];
	/* It stays enabled, as it was. */
	ck_assert(vdriver_queue_at(&d, 0, 16, 0x1000, 0x2000, 0x3000));
	d.queue[0] = good;
	vdriver_ok(&d);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

static const struct {
	uint32_t size;
	uint64_t desc, avail, used;
} refused[] = {
	{ 0, 0x1000, 0x2000, 0x3000 },
	{ 3, 0x1000, 0x2000, 0x3000 },
	{ QSIZE * 2, 0x1000, 0x2000, 0x3000 },
	{ 16, 0x1001, 0x2000, 0x3000 },
	{ 16, 0x1000, 0x2001, 0x3000 },
	{ 16, 0x1000, 0x2000, 0x3001 },
	{ 16, VDRIVER_RAM, 0x2000, 0x3000 },
	{ 16, 0x1000, UINT64_MAX - 1, 0x3000 },
	{ 16, 0x1000, 0x2000, VDRIVER_ROM },
};

START_TEST(test_queue_that_cannot_be_is_not_enabled)
{
	int n = _i / 2;

	device_setup(_i % 2, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(!vdriver_queue_at(&d, 0, refused[n].size, refused[n].desc,
				    refused[n].avail, refused[n].used));
	/* The driver may correct itself. */
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	vdriver_ok(&d);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_queue_beyond_the_last_reads_as_absent)
{
	static const uint32_t index[] = { ECHO_QUEUES, 0x7fff, 0xffff };

	device_setup(_i, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(vdriver_queue_max(&d, index[i]), 0);
		ck_assert(!vdriver_queue_at(&d, index[i], 16, 0x1000, 0x2000,
					    0x3000));
	}
	ck_assert_uint_eq(vdriver_queue_max(&d, 0), QSIZE);
	device_teardown();
}
END_TEST

START_TEST(test_queue_smaller_than_offered_works)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, 2);
	for (uint32_t i = 0; i < 10; i++)
		device_assert_serves(i % 2);
	device_teardown();
}
END_TEST

START_TEST(test_config_reads_and_writes_reach_the_model)
{
	device_setup(_i, 0, 0);
	e.config[0] = 0x1122334455667788;
	vcore_virtio_config_changed(e.virtio);
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 1), 0x88);
	ck_assert_uint_eq(vdriver_config_read(&d, 2, 2), 0x5566);
	ck_assert_uint_eq(vdriver_config_read(&d, 4, 4), 0x11223344);
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 8), 0x1122334455667788);
	vdriver_config_write(&d, 1, 1, 0xab);
	ck_assert_uint_eq(e.config[0], 0x112233445566ab88);
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 4), 0x5566ab88);
	device_teardown();
}
END_TEST

START_TEST(test_config_beyond_the_end_reads_0_and_ignores_writes)
{
	device_setup(_i, 0, 0);
	e.config[2] = UINT64_MAX;
	vcore_virtio_config_changed(e.virtio);
	ck_assert_uint_eq(vdriver_config_read(&d, ECHO_CONFIG - 1, 1), 0xff);
	ck_assert_uint_eq(vdriver_config_read(&d, ECHO_CONFIG - 2, 4), 0xffff);
	ck_assert_uint_eq(vdriver_config_read(&d, ECHO_CONFIG, 1), 0);
	ck_assert_uint_eq(vdriver_config_read(&d, ECHO_CONFIG, 8), 0);
	vdriver_config_write(&d, ECHO_CONFIG - 2, 4, 0);
	vdriver_config_write(&d, ECHO_CONFIG, 4, 0);
	ck_assert_uint_eq(e.config_writes, 0);
	device_teardown();
}
END_TEST

START_TEST(test_config_error_of_the_model_reads_as_0)
{
	device_setup(_i, 0, 0);
	e.config[0] = UINT64_MAX;
	e.config_rc = -EIO;
	vcore_virtio_config_changed(e.virtio);
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 4), 0);
	vdriver_config_write(&d, 0, 4, 1);
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 4), 0);
	device_teardown();
}
END_TEST

START_TEST(test_generation_changes_with_the_configuration_only)
{
	uint32_t before, after;

	device_setup(_i, 0, 0);
	before = vdriver_generation(&d);
	ck_assert_uint_eq(vdriver_generation(&d), before);
	vdriver_config_write(&d, 0, 4, 1);
	ck_assert_uint_eq(vdriver_generation(&d), before);
	vcore_virtio_config_changed(e.virtio);
	after = vdriver_generation(&d);
	ck_assert_uint_ne(after, before);
	ck_assert_uint_eq(vdriver_generation(&d), after);
	device_teardown();
}
END_TEST

START_TEST(test_generation_covers_halves_read_around_a_change)
{
	uint32_t before, low, high;

	device_setup(_i, 0, 0);
	before = vdriver_generation(&d);
	low = (uint32_t)vdriver_config_read(&d, 0, 4);
	/* The model changes first and tells later. */
	e.config[0] = 0x0000000500000006;
	high = (uint32_t)vdriver_config_read(&d, 4, 4);
	ck_assert_uint_eq(low, 0);
	ck_assert_uint_eq(high, 0);
	ck_assert_uint_eq(vdriver_generation(&d), before);
	vcore_virtio_config_changed(e.virtio);
	ck_assert_uint_eq(vdriver_config_read(&d, 4, 4), 5);
	ck_assert_uint_ne(vdriver_generation(&d), before);
	device_teardown();
}
END_TEST

START_TEST(test_config_interrupt_comes_after_driver_ok_only)
{
	uint64_t before;

	device_setup(_i, 0, 0);
	vcore_virtio_config_changed(e.virtio);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	vcore_virtio_config_changed(e.virtio);
	before = _i ? env.messages[0] : env.lines;
	ck_assert_uint_eq(before, 0);
	vdriver_ok(&d);
	vcore_virtio_config_changed(e.virtio);
	ck_assert_uint_eq(_i ? env.messages[0] : env.lines, 1);
	device_teardown();
}
END_TEST

START_TEST(test_bad_driver_is_counted_and_logged_at_a_limited_rate)
{
	struct vcore_virtio_info info;

	device_setup(_i, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	for (uint32_t i = 0; i < 1000; i++)
		vdriver_set_status(&d, 1);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_virtio_get_info(e.virtio, &info));
	ck_assert_uint_eq(info.bad, 1000);
	ck_assert_uint_ge(env.log_lines, 1);
	ck_assert_uint_le(env.log_lines, 100);
	device_teardown();
}
END_TEST

static void
add_queue_tests(TCase *t)
{
	tcase_add_loop_test(
		t, test_queue_registers_before_features_ok_are_ignored, 0, 2);
	tcase_add_loop_test(
		t, test_queue_registers_after_driver_ok_are_ignored, 0, 2);
	tcase_add_loop_test(
		t, test_queue_registers_of_enabled_queue_are_fixed, 0, 2);
	tcase_add_loop_test(t, test_queue_that_cannot_be_is_not_enabled, 0,
			    2 * (int)VCORE__ARRAY_SIZE(refused));
	tcase_add_loop_test(t, test_queue_beyond_the_last_reads_as_absent, 0,
			    2);
	tcase_add_loop_test(t, test_queue_smaller_than_offered_works, 0, 2);
}

static void
add_config_tests(TCase *t)
{
	tcase_add_loop_test(t, test_config_reads_and_writes_reach_the_model, 0,
			    2);
	tcase_add_loop_test(
		t, test_config_beyond_the_end_reads_0_and_ignores_writes, 0, 2);
	tcase_add_loop_test(t, test_config_error_of_the_model_reads_as_0, 0,
			    2);
	tcase_add_loop_test(
		t, test_generation_changes_with_the_configuration_only, 0, 2);
	tcase_add_loop_test(
		t, test_generation_covers_halves_read_around_a_change, 0, 2);
	tcase_add_loop_test(t, test_config_interrupt_comes_after_driver_ok_only,
			    0, 2);
	tcase_add_loop_test(
		t, test_bad_driver_is_counted_and_logged_at_a_limited_rate, 0,
		2);
}

int
main(void)
{
	Suite *suite = suite_create("virtio/registers");
	TCase *t = tcase_create("both transports");

	tcase_add_loop_test(t, test_status_handshake_reaches_driver_ok, 0, 2);
	tcase_add_loop_test(
		t, test_status_driver_ok_before_features_ok_is_ignored, 0, 2);
	tcase_add_loop_test(t, test_status_features_ok_needs_driver, 0, 2);
	tcase_add_loop_test(t, test_status_clearing_a_bit_is_ignored, 0, 2);
	tcase_add_loop_test(t, test_status_driver_ok_twice_starts_once, 0, 2);
	tcase_add_loop_test(
		t, test_status_driver_ok_without_queues_is_accepted, 0, 2);
	tcase_add_loop_test(
		t, test_status_failed_is_kept_and_needs_reset_not_settable, 0,
		2);
	tcase_add_loop_test(t, test_features_are_offered_and_negotiated, 0, 2);
	tcase_add_loop_test(t, test_features_not_offered_are_refused, 0, 2);
	tcase_add_loop_test(t, test_features_without_version_1_are_refused, 0,
			    2);
	tcase_add_loop_test(t, test_features_the_model_refuses_are_refused, 0,
			    2);
	tcase_add_loop_test(t, test_features_after_features_ok_are_fixed, 0,
			    2);
	add_queue_tests(t);
	add_config_tests(t);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
