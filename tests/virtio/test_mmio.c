/* SPDX-License-Identifier: BSD-3-Clause */
/* The MMIO transport: its registers, and accesses nobody should make. */
#include "device.h"

#include <linux/virtio_mmio.h>

static uint32_t
reg(uint32_t off)
{
	return (uint32_t)vdriver_bus_read(&env, d.base + off, 4);
}

static void
set_reg(uint32_t off, uint32_t val)
{
	vdriver_bus_write(&env, d.base + off, 4, val);
}

static uint32_t
ranges(void)
{
	struct vcore_bus_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_bus_get_info(env.bus, &info));
	return info.ranges;
}

START_TEST(test_mmio_identity)
{
	device_setup(0, 0, 0);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_VERSION), 2);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_DEVICE_ID), 42);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_QUEUE_NUM_MAX), QSIZE);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_registers_of_odd_width_read_0)
{
	device_setup(0, 0, 0);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.base, 1), 0);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.base, 2), 0);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.base, 8), 0);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.base + 1, 4), 0);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.base + 2, 4), 0);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_registers_of_odd_width_ignore_writes)
{
	device_setup(0, 0, 0);
	vdriver_bus_write(&env, d.base + VIRTIO_MMIO_STATUS, 1, 1);
	vdriver_bus_write(&env, d.base + VIRTIO_MMIO_STATUS, 2, 1);
	vdriver_bus_write(&env, d.base + VIRTIO_MMIO_STATUS, 8, 1);
	vdriver_bus_write(&env, d.base + VIRTIO_MMIO_STATUS + 1, 4, 1);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_every_register_with_every_width_survives)
{
	static const uint64_t values[] = { 0, 1, UINT64_MAX, 0x80000000 };

	device_setup(0, 0, 0);
	for (uint32_t v = 0; v < 4; v++)
		for (uint32_t off = 0; off < 0x208; off++)
			for (uint32_t len = 1; len <= 8; len *= 2) {
				(void)vdriver_bus_read(&env, d.base + off, len);
				vdriver_bus_write(&env, d.base + off, len,
						  values[v]);
			}
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_access_over_the_end_is_nobodys)
{
	uint64_t val;

	device_setup(0, 0, 0);
	ck_assert_int_eq(vcore_bus_read(env.bus, d.base + 0x1fe, 4, &val),
			 -ENOENT);
	ck_assert_int_eq(vcore_bus_read(env.bus, d.base + 0x200, 4, &val),
			 -ENOENT);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_read_only_registers_ignore_writes)
{
	device_setup(0, 0, 0);
	for (uint32_t off = 0; off < 0x14; off += 4)
		set_reg(off, 0);
	set_reg(VIRTIO_MMIO_INTERRUPT_STATUS, 3);
	set_reg(VIRTIO_MMIO_CONFIG_GENERATION, 99);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_feature_words_beyond_the_second_are_0)
{
	static const uint32_t words[] = { 2, 0x80000000, UINT32_MAX };

	device_setup(0, 0, 0);
	for (uint32_t i = 0; i < 3; i++) {
		set_reg(VIRTIO_MMIO_DEVICE_FEATURES_SEL, words[i]);
		ck_assert_uint_eq(reg(VIRTIO_MMIO_DEVICE_FEATURES), 0);
		set_reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, words[i]);
		set_reg(VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	}
	vdriver_up(&d, 1, QSIZE);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_interrupt_status_is_set_and_acknowledged)
{
	device_setup(0, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	ck_assert_uint_eq(env.lines, 1);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_INTERRUPT_STATUS),
			  VIRTIO_MMIO_INT_VRING);
	vcore_virtio_config_changed(e.virtio);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_INTERRUPT_STATUS),
			  VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	set_reg(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_INTERRUPT_STATUS),
			  VIRTIO_MMIO_INT_CONFIG);
	vdriver_reset(&d);
	ck_assert_uint_eq(reg(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_notify_of_odd_values_is_harmless)
{
	static const uint32_t values[] = { ECHO_QUEUES, 0xffff, 0x10000,
					   0x80000000, UINT32_MAX };

	device_setup(0, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	for (uint32_t i = 0; i < 5; i++)
		set_reg(VIRTIO_MMIO_QUEUE_NOTIFY, values[i]);
	vdriver_bus_write(&env, d.base + VIRTIO_MMIO_QUEUE_NOTIFY, 2, 0);
	vdriver_bus_write(&env, d.base + VIRTIO_MMIO_QUEUE_NOTIFY, 1, 0);
	/* A queue that is not enabled. */
	set_reg(VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	vdriver_run(&env);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_doorbells_ring_without_the_handler)
{
	struct vcore_bus_info info;

	device_setup(0, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	vdriver_kick(&d.queue[0]);
	vdriver_kick(&d.queue[1]);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_bus_get_info(env.bus, &info));
	ck_assert_uint_eq(info.doorbells, 2);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_queue_ready_0_disables)
{
	device_setup(0, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	set_reg(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert(!vdriver_queue_enabled(&d, 0));
	ck_assert(vdriver_queue(&d, 0, 16));
	ck_assert(vdriver_queue(&d, 1, 16));
	vdriver_ok(&d);
	device_assert_serves(0);
	/* Also while it runs: then it takes a turn of the loop. */
	set_reg(VIRTIO_MMIO_QUEUE_SEL, 0);
	set_reg(VIRTIO_MMIO_QUEUE_READY, 0);
	vdriver_run(&env);
	ck_assert(!vdriver_queue_enabled(&d, 0));
	device_assert_serves(1);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_attach_bad_arguments_return_einval)
{
	device_setup(0, 0, 0);
	vdriver_detach(&d);
	ck_assert_error(vcore_virtio_attach_mmio(NULL, env.bus, 0, env.line),
			-EINVAL, "vcore_virtio_attach_mmio: ");
	ck_assert_error(vcore_virtio_attach_mmio(e.virtio, NULL, 0, env.line),
			-EINVAL, "vcore_virtio_attach_mmio: ");
	ck_assert_error(vcore_virtio_attach_mmio(e.virtio, env.bus, 0, NULL),
			-EINVAL, "vcore_virtio_attach_mmio: ");
	ck_assert_error(vcore_virtio_attach_mmio(e.virtio, env.bus, 2,
						 env.line), -EINVAL,
			"vcore_virtio_attach_mmio: ");
	/* The range would pass the end of the bus. */
	ck_assert_error(vcore_virtio_attach_mmio(e.virtio, env.bus,
						 0xffffffffffffff00, env.line),
			-EINVAL, "vcore_virtio_attach_mmio: ");
	vdriver_attach(&d, &env, e.virtio, VDRIVER_MMIO);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_attach_without_environment_returns_ebusy)
{
	device_setup(0, 0, 0);
	struct echo other;

	echo_init(&other, QSIZE, 0);
	ck_assert_error(vcore_virtio_attach_mmio(other.virtio, env.bus, 0x1000,
						 env.line), -EBUSY,
			"vcore_virtio_attach_mmio: ");
	vcore_virtio_unref(other.virtio);
	ck_assert_uint_eq(other.released, 1);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_attach_over_another_returns_eexist_and_takes_nothing)
{
	struct vdriver second;
	struct echo other;
	uint32_t before;

	device_setup(0, 0, 0);
	echo_init(&other, QSIZE, 0);
	vdriver_attach(&second, &env, other.virtio, VDRIVER_MMIO);
	vdriver_detach(&second);
	before = ranges();
	ck_assert_error(vcore_virtio_attach_mmio(other.virtio, env.bus,
						 d.base + 0x100, env.line),
			-EEXIST, "vcore_virtio_attach_mmio: ");
	ck_assert_uint_eq(ranges(), before);
	vdriver_attach(&second, &env, other.virtio, VDRIVER_MMIO);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	vdriver_detach(&second);
	vcore_virtio_unref(other.virtio);
	device_teardown();
}
END_TEST

START_TEST(test_mmio_detach_leaves_nothing_on_the_bus)
{
	device_setup(0, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	ck_assert_uint_eq(ranges(), 1 + ECHO_QUEUES);
	vdriver_detach(&d);
	ck_assert_uint_eq(ranges(), 0);
	device_teardown();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("virtio/mmio");
	TCase *t = tcase_create("mmio");

	tcase_add_test(t, test_mmio_identity);
	tcase_add_test(t, test_mmio_registers_of_odd_width_read_0);
	tcase_add_test(t, test_mmio_registers_of_odd_width_ignore_writes);
	tcase_add_test(t, test_mmio_every_register_with_every_width_survives);
	tcase_add_test(t, test_mmio_access_over_the_end_is_nobodys);
	tcase_add_test(t, test_mmio_read_only_registers_ignore_writes);
	tcase_add_test(t, test_mmio_feature_words_beyond_the_second_are_0);
	tcase_add_test(t, test_mmio_interrupt_status_is_set_and_acknowledged);
	tcase_add_test(t, test_mmio_notify_of_odd_values_is_harmless);
	tcase_add_test(t, test_mmio_doorbells_ring_without_the_handler);
	tcase_add_test(t, test_mmio_queue_ready_0_disables);
	tcase_add_test(t, test_mmio_attach_bad_arguments_return_einval);
	tcase_add_test(t, test_mmio_attach_without_environment_returns_ebusy);
	tcase_add_test(
		t,
		test_mmio_attach_over_another_returns_eexist_and_takes_nothing);
	tcase_add_test(t, test_mmio_detach_leaves_nothing_on_the_bus);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
