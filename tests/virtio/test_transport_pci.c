/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI transport: its structures, vectors, and its moving BARs. */
#include "device.h"

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#define DATA_AT 16u	/* of the window's capability */

static uint32_t
common(uint32_t off, uint32_t len)
{
	return (uint32_t)vdriver_bus_read(&env, d.common + off, len);
}

static void
set_common(uint32_t off, uint32_t len, uint32_t val)
{
	vdriver_bus_write(&env, d.common + off, len, val);
}

static uint32_t
ranges(void)
{
	struct vcore_bus_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_bus_get_info(env.bus, &info));
	return info.ranges;
}

START_TEST(test_pci_identity)
{
	device_setup(1, 0, 0);
	ck_assert_uint_eq(vdriver_pci_read(&d, PCI_VENDOR_ID, 2), 0x1af4);
	ck_assert_uint_eq(vdriver_pci_read(&d, PCI_DEVICE_ID, 2), 0x1040 + 42);
	ck_assert_uint_eq(vdriver_pci_read(&d, PCI_REVISION_ID, 1), 1);
	ck_assert_uint_eq(vdriver_pci_read(&d, PCI_CLASS_DEVICE, 2), 0x00ff);
	ck_assert_uint_ge(vdriver_pci_read(&d, PCI_SUBSYSTEM_ID, 2), 0x40);
	ck_assert_uint_eq(vdriver_pci_read(&d, PCI_INTERRUPT_PIN, 1), 0);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_NUMQ, 2), ECHO_QUEUES);
	device_teardown();
}
END_TEST

START_TEST(test_pci_structures_lie_in_their_bars)
{
	uint32_t at, types = 0, off, len;

	device_setup(1, 0, 0);
	for (at = vdriver_pci_read(&d, PCI_CAPABILITY_LIST, 1); at;
	     at = vdriver_pci_read(&d, at + 1, 1)) {
		if (vdriver_pci_read(&d, at, 1) != PCI_CAP_ID_VNDR)
			continue;
		types |= 1u << vdriver_pci_read(&d, at + 3, 1);
		off = vdriver_pci_read(&d, at + 8, 4);
		len = vdriver_pci_read(&d, at + 12, 4);
		ck_assert_uint_eq(off % 4, 0);
		ck_assert_uint_le(off + len, 0x4000);
	}
	/* Common, notify, ISR, device, window. */
	ck_assert_uint_eq(types, 0x3e);
	ck_assert_uint_eq(d.notify_multiplier, 4);
	device_teardown();
}
END_TEST

START_TEST(test_pci_common_fields_of_odd_width_read_0)
{
	device_setup(1, 0, 0);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_NUMQ, 1), 0);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_NUMQ, 4), 0);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_NUMQ + 1, 2), 0);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_DF + 2, 4), 0);
	set_common(VIRTIO_PCI_COMMON_STATUS, 2, 1);
	set_common(VIRTIO_PCI_COMMON_STATUS, 4, 1);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	device_teardown();
}
END_TEST

START_TEST(test_pci_every_register_with_every_width_survives)
{
	static const uint64_t values[] = { 0, 1, UINT64_MAX, 0x80000000 };
	uint64_t at[5];

	device_setup(1, 0, 0);
	at[0] = d.common;
	at[1] = d.isr;
	at[2] = d.config;
	at[3] = d.notify;
	at[4] = d.msix;
	for (uint32_t s = 0; s < 5; s++)
		for (uint32_t off = 0; off < 0x90; off++)
			for (uint32_t len = 1; len <= 8; len *= 2) {
				(void)vdriver_bus_read(&env, at[s] + off, len);
				vdriver_bus_write(&env, at[s] + off, len,
						  values[(off + len) % 4]);
			}
	vdriver_up(&d, 1, QSIZE);
	vdriver_kick(&d.queue[0]);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_pci_queue_registers_read_back)
{
	device_setup(1, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	set_common(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_Q_SELECT, 2), 1);
	for (uint32_t off = 32; off < 56; off += 4) {
		set_common(off, 4, 0x11110000 + off);
		ck_assert_uint_eq(common(off, 4), 0x11110000 + off);
	}
	set_common(VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_Q_SIZE, 2), 8);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
	set_common(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	ck_assert_uint_eq(common(32, 4), 0);
	device_teardown();
}
END_TEST

START_TEST(test_pci_vector_that_does_not_exist_reads_no_vector)
{
	static const uint32_t bad[] = { ECHO_QUEUES + 1, 0xfffe, 0xffff };

	device_setup(1, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	for (uint32_t i = 0; i < 3; i++) {
		set_common(VIRTIO_PCI_COMMON_MSIX, 2, bad[i]);
		ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
		set_common(VIRTIO_PCI_COMMON_Q_MSIX, 2, bad[i]);
		ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	}
	set_common(VIRTIO_PCI_COMMON_MSIX, 2, ECHO_QUEUES);
	ck_assert_uint_eq(common(VIRTIO_PCI_COMMON_MSIX, 2), ECHO_QUEUES);
	device_teardown();
}
END_TEST

START_TEST(test_pci_without_vector_the_isr_tells)
{
	device_setup(1, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	set_common(VIRTIO_PCI_COMMON_Q_MSIX, 2, 0xffff);
	set_common(VIRTIO_PCI_COMMON_MSIX, 2, 0xffff);
	vdriver_ok(&d);
	device_assert_serves(0);
	vcore_virtio_config_changed(e.virtio);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.isr, 1), 3);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.isr, 1), 0);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_eq(env.messages[i], 0);
	device_teardown();
}
END_TEST

START_TEST(test_pci_vector_changed_with_requests_in_flight)
{
	device_setup(1, 0, 0);
	e.hold = true;
	vdriver_up(&d, 1, QSIZE);
	device_offer(&d.queue[0]);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	set_common(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	set_common(VIRTIO_PCI_COMMON_Q_MSIX, 2, 3);
	echo_answer(&e, 0);
	ck_assert_uint_eq(env.messages[1], 0);
	ck_assert_uint_eq(env.messages[3], 1);
	device_teardown();
}
END_TEST

START_TEST(test_pci_masked_vector_is_pending_and_raised_later)
{
	uint64_t control, pba;

	device_setup(1, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	control = d.msix + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL;
	pba = d.msix + 0x800;
	vdriver_bus_write(&env, control, 4, 1);
	device_assert_serves(0);
	ck_assert_uint_eq(env.messages[1], 0);
	ck_assert_uint_eq(vdriver_bus_read(&env, pba, 8), 2);
	vdriver_bus_write(&env, control, 4, 0);
	ck_assert_uint_eq(env.messages[1], 1);
	ck_assert_uint_eq(vdriver_bus_read(&env, pba, 4), 0);
	device_teardown();
}
END_TEST

/* Move BAR 0 and find the structures there. */
static void
move_bar(uint64_t to)
{
	uint64_t from = vdriver_pci_read(&d, PCI_BASE_ADDRESS_0, 4) & ~0xfull;

	vdriver_pci_write(&d, PCI_BASE_ADDRESS_0, 4, (uint32_t)to);
	d.common += to - from;
	d.notify += to - from;
	d.isr += to - from;
	d.config += to - from;
	for (uint32_t i = 0; i < VDRIVER_QUEUES; i++)
		d.queue[i].notify += to - from;
}

START_TEST(test_pci_bar_moved_while_running_takes_its_doorbells_along)
{
	uint64_t old;

	device_setup(1, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	old = d.common;
	move_bar(VDRIVER_PCI32 + 0x100000);
	ck_assert_uint_eq(vdriver_bus_read(&env, old, 4), UINT32_MAX);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_RUNNING);
	device_assert_serves(0);
	device_assert_serves(1);
	device_teardown();
}
END_TEST

START_TEST(test_pci_memory_decode_off_and_on_while_running)
{
	uint32_t before;

	device_setup(1, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	before = ranges();
	vdriver_pci_write(&d, PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(ranges(), 0);
	ck_assert_uint_eq(vdriver_bus_read(&env, d.common, 4), UINT32_MAX);
	vdriver_kick(&d.queue[0]);
	vdriver_pci_write(&d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(ranges(), before);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

/* Point the window at something. */
static void
point(uint32_t bar, uint32_t off, uint32_t len)
{
	vdriver_pci_write(&d, d.cfg_cap + 4, 1, bar);
	vdriver_pci_write(&d, d.cfg_cap + 8, 4, off);
	vdriver_pci_write(&d, d.cfg_cap + 12, 4, len);
}

START_TEST(test_pci_window_reads_and_writes_registers)
{
	device_setup(1, 0, 0);
	point(0, VIRTIO_PCI_COMMON_NUMQ, 2);
	ck_assert_uint_eq(vdriver_pci_read(&d, d.cfg_cap + DATA_AT, 2),
			  ECHO_QUEUES);
	point(0, VIRTIO_PCI_COMMON_STATUS, 1);
	vdriver_pci_write(&d, d.cfg_cap + DATA_AT, 1, 1);
	ck_assert_uint_eq(vdriver_status(&d), 1);
	ck_assert_uint_eq(vdriver_pci_read(&d, d.cfg_cap + DATA_AT, 1), 1);
	/* Also while memory decoding is off. */
	vdriver_pci_write(&d, PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(vdriver_pci_read(&d, d.cfg_cap + DATA_AT, 1), 1);
	vdriver_pci_write(&d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	device_teardown();
}
END_TEST

START_TEST(test_pci_window_kicks)
{
	device_setup(1, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	device_offer(&d.queue[1]);
	point(0, 0x3004, 2);
	vdriver_pci_write(&d, d.cfg_cap + DATA_AT, 2, 1);
	ck_assert(vdriver_wait(&d.queue[1], NULL, NULL));
	device_teardown();
}
END_TEST

static const struct {
	uint32_t bar, off, len;
} windows[] = {
	{ 1, 4, 4 }, { 6, 4, 4 }, { 255, 4, 4 },	/* not 0 in BAR 0 */
	{ 0, 0x4000, 4 }, { 0, 0xfffffffc, 4 }, { 0, 0x80000000, 1 },
	{ 0, 1, 2 }, { 0, 2, 4 },
	{ 0, 0, 0 }, { 0, 0, 3 }, { 0, 0, 8 }, { 0, 0, 0xffffffff },
};

START_TEST(test_pci_notify_between_two_queues_kicks_neither)
{
	device_setup(1, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	device_offer(&d.queue[0]);
	device_offer(&d.queue[1]);
	for (uint32_t off = 1; off < 4; off++)
		vdriver_bus_write(&env, d.notify + off, 1, 0);
	vdriver_run(&env);
	ck_assert(!vdriver_used(&d.queue[0], NULL, NULL));
	ck_assert(!vdriver_used(&d.queue[1], NULL, NULL));
	device_teardown();
}
END_TEST

START_TEST(test_pci_window_elsewhere_does_nothing)
{
	device_setup(1, 0, 0);
	point(windows[_i].bar, windows[_i].off, windows[_i].len);
	vdriver_pci_write(&d, d.cfg_cap + DATA_AT, 4, 0x5a5a5a5a);
	/* Only what was written is there. */
	ck_assert_uint_eq(vdriver_pci_read(&d, d.cfg_cap + DATA_AT, 4),
			  0x5a5a5a5a);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_pci_attach_bad_arguments_return_einval)
{
	device_setup(1, 0, 0);
	ck_assert_error(vcore_virtio_attach_pci(NULL, env.pci, 0), -EINVAL,
			"vcore_virtio_attach_pci: ");
	ck_assert_error(vcore_virtio_attach_pci(e.virtio, NULL, 0), -EINVAL,
			"vcore_virtio_attach_pci: ");
	vdriver_detach(&d);
	ck_assert_error(vcore_virtio_attach_pci(e.virtio, env.pci, 32),
			-EINVAL, "vcore_virtio_attach_pci: ");
	vdriver_attach(&d, &env, e.virtio, VDRIVER_PCI);
	device_teardown();
}
END_TEST

START_TEST(test_pci_attach_without_environment_returns_ebusy)
{
	struct echo other;

	device_setup(1, 0, 0);
	echo_init(&other, QSIZE, 0);
	ck_assert_error(vcore_virtio_attach_pci(other.virtio, env.pci, 0),
			-EBUSY, "vcore_virtio_attach_pci: ");
	vcore_virtio_unref(other.virtio);
	device_teardown();
}
END_TEST

START_TEST(test_pci_attach_to_taken_slot_returns_eexist)
{
	device_setup(1, 0, 0);
	struct vdriver second;
	struct echo other;

	echo_init(&other, QSIZE, 0);
	vdriver_attach(&second, &env, other.virtio, VDRIVER_PCI);
	vdriver_detach(&second);
	ck_assert_error(vcore_virtio_attach_pci(other.virtio, env.pci,
						d.bdf >> 3), -EEXIST,
			"vcore_virtio_attach_pci: ");
	vdriver_attach(&second, &env, other.virtio, VDRIVER_PCI);
	ck_assert_uint_ne(second.bdf, d.bdf);
	vdriver_detach(&second);
	vcore_virtio_unref(other.virtio);
	ck_assert_uint_eq(other.released, 1);
	device_teardown();
}
END_TEST

START_TEST(test_pci_detach_leaves_nothing_on_the_bus)
{
	device_setup(1, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	vdriver_detach(&d);
	ck_assert_uint_eq(ranges(), 0);
	ck_assert_uint_eq(vdriver_pci_read(&d, PCI_VENDOR_ID, 4), UINT32_MAX);
	device_teardown();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("virtio/transport_pci");
	TCase *t = tcase_create("pci");

	tcase_add_test(t, test_pci_identity);
	tcase_add_test(t, test_pci_structures_lie_in_their_bars);
	tcase_add_test(t, test_pci_common_fields_of_odd_width_read_0);
	tcase_add_test(t, test_pci_every_register_with_every_width_survives);
	tcase_add_test(t, test_pci_queue_registers_read_back);
	tcase_add_test(t, test_pci_vector_that_does_not_exist_reads_no_vector);
	tcase_add_test(t, test_pci_without_vector_the_isr_tells);
	tcase_add_test(t, test_pci_vector_changed_with_requests_in_flight);
	tcase_add_test(t, test_pci_masked_vector_is_pending_and_raised_later);
	tcase_add_test(
		t, test_pci_bar_moved_while_running_takes_its_doorbells_along);
	tcase_add_test(t, test_pci_memory_decode_off_and_on_while_running);
	tcase_add_test(t, test_pci_window_reads_and_writes_registers);
	tcase_add_test(t, test_pci_window_kicks);
	tcase_add_test(t, test_pci_notify_between_two_queues_kicks_neither);
	tcase_add_loop_test(t, test_pci_window_elsewhere_does_nothing, 0,
			    (int)VCORE__ARRAY_SIZE(windows));
	tcase_add_test(t, test_pci_attach_bad_arguments_return_einval);
	tcase_add_test(t, test_pci_attach_without_environment_returns_ebusy);
	tcase_add_test(t, test_pci_attach_to_taken_slot_returns_eexist);
	tcase_add_test(t, test_pci_detach_leaves_nothing_on_the_bus);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
