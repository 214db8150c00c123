/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that attacks a whole device, behind both transports: it answers
 * afterwards or needs a reset, its other queue does not notice, and what it
 * does is bounded. tests/hostile/cases.txt says which case is where.
 */
#include "device.h"

#include <linux/pci_regs.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <stdio.h>

#define STORM 1000000u

static bool
needs_reset(void)
{
	return (vdriver_status(&d) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

/* Kick queue 0: it breaks, once, and queue 1 goes on. */
static void
assert_breaks_once(void)
{
	uint32_t pops = e.pops;

	for (uint32_t i = 0; i < 10; i++)
		vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert(needs_reset());
	ck_assert_uint_eq(vdriver_events(&env, VCORE_EVENT_DEVICE_BROKEN), 1);
	ck_assert_uint_eq(e.pops, pops);
	device_assert_serves(1);
	device_assert_recovers();
}

START_TEST(test_hostile_every_available_entry_bad)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	for (uint32_t i = 0; i < QSIZE; i++)
		vdriver_avail(&d.queue[0], (uint16_t)(QSIZE + i));
	assert_breaks_once();
	device_teardown();
}
END_TEST

/* Answered one by one it is legal, and ends; kept, it is in flight twice. */
START_TEST(test_hostile_same_head_in_every_slot)
{
	bool hold = _i >= 2;

	device_setup(_i % 2, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	e.hold = hold;
	vdriver_desc(&d.queue[0], 7, buf, 16, VRING_DESC_F_WRITE, 0);
	for (uint32_t i = 0; i < QSIZE; i++)
		vdriver_avail(&d.queue[0], 7);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert_uint_eq(e.pops, hold ? 1 : QSIZE);
	ck_assert_uint_eq(vdriver_used_idx(&d.queue[0]), hold ? 0 : QSIZE);
	ck_assert_int_eq(needs_reset(), hold);
	e.hold = false;
	while (vdriver_used(&d.queue[0], NULL, NULL))
		;
	if (hold)
		device_assert_recovers();
	else
		device_assert_serves(0);
	device_teardown();
}
END_TEST

/* Cases 9, 10: over a hole, and the device's own registers as memory. */
static uint64_t
nowhere(uint32_t which)
{
	bool pci = d.kind == VDRIVER_PCI;

	switch (which) {
	case 0:
		return pci ? d.notify : d.base + VIRTIO_MMIO_QUEUE_NOTIFY;
	case 1:
		return pci ? d.common : d.base + VIRTIO_MMIO_STATUS;
	case 2:
		return pci ? d.msix : d.base;
	case 3:
		return 0xfee00000;
	default:
		return VDRIVER_RAM - 8;
	}
}

START_TEST(test_hostile_buffer_in_device_registers)
{
	uint32_t which = (uint32_t)_i / 4;
	uint16_t flags = _i & 2 ? VRING_DESC_F_WRITE : 0;
	uint64_t kicks;

	device_setup(_i % 2, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	vdriver_desc(&d.queue[0], 0, nowhere(which), 16, flags, 0);
	vdriver_avail(&d.queue[0], 0);
	kicks = e.kicks;
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	/* Nothing rang by itself, and no register was written. */
	ck_assert_uint_eq(e.kicks, kicks + 1);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_RUNNING |
			  VIRTIO_CONFIG_S_NEEDS_RESET);
	device_assert_recovers();
	device_teardown();
}
END_TEST

START_TEST(test_hostile_buffer_over_a_hole)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	/* Both its ends are memory. */
	vdriver_desc(&d.queue[0], 0, VDRIVER_RAM - 1,
		     (uint32_t)(VDRIVER_ROM - VDRIVER_RAM) + 2, 0, 0);
	vdriver_avail(&d.queue[0], 0);
	assert_breaks_once();
	device_teardown();
}
END_TEST

START_TEST(test_hostile_indirect_table_in_device_registers)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	vdriver_desc(&d.queue[0], 0, nowhere(1), 32, VRING_DESC_F_INDIRECT,
		     0);
	vdriver_avail(&d.queue[0], 0);
	assert_breaks_once();
	device_teardown();
}
END_TEST

/* Case 13: address 0 is memory like any other. */
START_TEST(test_hostile_ring_at_address_0_works)
{
	device_setup(_i, 0, 0);
	memset(env.ram, 0, 0x3000);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(vdriver_queue_at(&d, 0, 16, 0, 0x1000, 0x2000));
	vdriver_ok(&d);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

/* Rings that lie on each other, or on what they describe. */
START_TEST(test_hostile_rings_over_each_other)
{
	static const uint64_t at[][3] = {
		{ 0x4000, 0x4000, 0x4000 },
		{ 0x4000, 0x4000, 0x5000 },
		{ 0x4000, 0x5000, 0x4000 },
		{ 0x4000, 0x5000, 0x5000 },
	};
	const uint64_t *a = at[_i / 2];

	device_setup(_i % 2, 0, 0);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(vdriver_queue_at(&d, 0, 16, a[0], a[1], a[2]));
	ck_assert(vdriver_queue(&d, 1, QSIZE));
	vdriver_ok(&d);
	for (uint32_t i = 0; i < 200; i++) {
		vdriver_desc(&d.queue[0], i, a[i % 3], 0x400,
			     VRING_DESC_F_WRITE, 0);
		vdriver_avail(&d.queue[0], (uint16_t)(i % 16));
		vdriver_kick(&d.queue[0]);
		vdriver_run(&env);
	}
	/* It works on by its own indices, or it is broken; nothing else. */
	ck_assert_uint_le(e.pops, 200 * 16);
	device_assert_serves(1);
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

/* Case 18: a driver that wants to hear nothing, and looks by itself. */
START_TEST(test_hostile_interrupts_suppressed_for_ever)
{
	/* Indices wrap only where there are events to compare them with. */
	uint32_t n = _i < 2 ? 70000 : 2000;
	uint64_t before;

	device_setup(_i % 2, 0, _i < 2 ? 0 : VCORE__VIRTIO_EVENT_IDX);
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	before = vdriver_interrupts(&d, 0);
	vdriver_set_no_interrupt(&d.queue[0], true);
	for (uint32_t i = 0; i < n; i++) {
		/* An event that is always 32768 behind. */
		vdriver_set_used_event(&d.queue[0],
				       (uint16_t)(i + 0x8000));
		device_offer(&d.queue[0]);
		vdriver_kick(&d.queue[0]);
		ck_assert(vdriver_wait(&d.queue[0], NULL, NULL));
	}
	ck_assert_uint_eq(vdriver_interrupts(&d, 0), before);
	ck_assert_uint_eq(e.pops, n + 1);
	/* As soon as it listens it is told. */
	vdriver_set_no_interrupt(&d.queue[0], false);
	vdriver_set_used_event(&d.queue[0], d.queue[0].last_used);
	device_assert_serves(0);
	ck_assert_uint_eq(vdriver_interrupts(&d, 0), before + 1);
	device_teardown();
}
END_TEST

/*
 * A driver that kicks only when avail_event says so, over the end of 16 bits:
 * each request is served.
 */
START_TEST(test_hostile_avail_event_wraps)
{
	struct vdriver_queue *q = &d.queue[0];
	uint32_t kicks = 0;

	device_setup(_i, 0, 0);
	e.suppress = true;
	vdriver_up(&d, 2, QSIZE);
	for (uint32_t i = 0; i < 70000; i++) {
		device_offer(q);
		if (vdriver_avail_event(q) == (uint16_t)(q->avail_idx - 1)) {
			vdriver_kick(q);
			kicks++;
		}
		ck_assert(vdriver_wait(q, NULL, NULL));
	}
	ck_assert_uint_eq(kicks, 70000);
	device_teardown();
}
END_TEST

/* Case 19: each kick of an empty ring is work for one turn of the loop. */
START_TEST(test_hostile_kick_storm_on_an_empty_ring)
{
	uint32_t reads = 0;

	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	for (uint32_t i = 0; i < STORM; i++) {
		vdriver_kick(&d.queue[0]);
		if (i % 65536 == 0) {
			vdriver_run(&env);
			reads++;
		}
	}
	vdriver_run(&env);
	/* They gather: what the loop did not see is one. */
	ck_assert_uint_le(e.kicks, 2 + reads + 1);
	ck_assert_uint_eq(e.pops, 0);
	device_assert_serves(0);
	device_assert_serves(1);
	device_teardown();
}
END_TEST

/* Every value a doorbell can be written with, of every width. */
START_TEST(test_hostile_kicks_of_queues_that_are_not_there)
{
	static const uint64_t values[] = {
		ECHO_QUEUES, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff,
		0x80000000, 0xffffffff, UINT64_MAX, 1ull << 63,
	};
	uint64_t at;

	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	at = _i ? d.notify : d.base + VIRTIO_MMIO_QUEUE_NOTIFY;
	for (uint32_t v = 0; v < VCORE__ARRAY_SIZE(values); v++)
		for (uint32_t len = 1; len <= 8; len *= 2)
			vdriver_bus_write(&env, at, len, values[v]);
	/* Behind the last queue's doorbell. */
	for (uint32_t off = 0; _i && off < 0x1000; off += 2)
		vdriver_bus_write(&env, d.notify + off, 2, 1);
	vdriver_run(&env);
	ck_assert_uint_eq(e.pops, 0);
	ck_assert(!needs_reset());
	device_assert_serves(0);
	device_teardown();
}
END_TEST

/*
 * Case 21: with two different fillings, what is as it was both times was not
 * written: exactly the bytes behind the used length.
 */
START_TEST(test_hostile_used_length_is_what_was_written)
{
	static const uint32_t in[] = { 0, 1, 15, 64, 100, 200 };
	uint32_t used, n = in[_i / 2];
	struct vdriver_buf b[3];
	uint8_t *out;

	device_setup(_i % 2, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	out = vdriver_ram(&env, buf + 0x400);
	b[0] = (struct vdriver_buf){ buf, n, false };
	b[1] = (struct vdriver_buf){ buf + 0x400, 40, true };
	b[2] = (struct vdriver_buf){ buf + 0x400 + 40, 60, true };
	for (uint32_t round = 0; round < 2; round++) {
		memset(vdriver_ram(&env, buf), 0x11, 0x400);
		memset(out, round ? 0xaa : 0x55, 200);
		vdriver_add(&d.queue[0], b, 3);
		vdriver_kick(&d.queue[0]);
		ck_assert(vdriver_wait(&d.queue[0], NULL, &used));
		ck_assert_uint_eq(used, n < 100 ? n : 100);
		for (uint32_t i = 0; i < 200; i++)
			ck_assert_uint_eq(out[i], i < used ? 0x11 :
					  round ? 0xaa : 0x55);
	}
	device_teardown();
}
END_TEST

/* Case 29: selectors far out of range, on PCI as test_mmio has it. */
START_TEST(test_hostile_feature_selectors_out_of_range)
{
	static const uint32_t words[] = { 2, 0x80000000, UINT32_MAX };

	device_setup(1, 0, 0);
	for (uint32_t i = 0; i < 3; i++) {
		vdriver_bus_write(&env, d.common + VIRTIO_PCI_COMMON_DFSELECT,
				  4, words[i]);
		ck_assert_uint_eq(vdriver_bus_read(
			&env, d.common + VIRTIO_PCI_COMMON_DF, 4), 0);
		vdriver_bus_write(&env, d.common + VIRTIO_PCI_COMMON_GFSELECT,
				  4, words[i]);
		vdriver_bus_write(&env, d.common + VIRTIO_PCI_COMMON_GF, 4,
				  UINT32_MAX);
		ck_assert_uint_eq(vdriver_bus_read(
			&env, d.common + VIRTIO_PCI_COMMON_GF, 4), 0);
	}
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

/* Requests that the device keeps, on queue 0. */
static void
keep_requests(void)
{
	e.hold = true;
	vdriver_up(&d, 2, QSIZE);
	for (uint32_t i = 0; i < 16; i++)
		device_offer(&d.queue[0]);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert_uint_eq(e.held_count[0], 16);
}

/* What the device kept is answered, all of it. */
static void
assert_answered(void)
{
	uint32_t n = 0;

	echo_answer(&e, 0);
	while (vdriver_used(&d.queue[0], NULL, NULL))
		n++;
	ck_assert_uint_eq(n, 16);
	e.hold = false;
	device_assert_serves(0);
	device_assert_serves(1);
}

/* Case 32: sizing, decoding off, both with requests in flight. */
START_TEST(test_hostile_bar_sized_with_requests_in_flight)
{
	uint32_t home;

	device_setup(1, 0, 0);
	keep_requests();
	for (uint32_t bar = PCI_BASE_ADDRESS_0; bar <= PCI_BASE_ADDRESS_5;
	     bar += 4) {
		home = vdriver_pci_read(&d, bar, 4);
		vdriver_pci_write(&d, bar, 4, UINT32_MAX);
		(void)vdriver_pci_read(&d, bar, 4);
		vdriver_kick(&d.queue[0]);
		vdriver_pci_write(&d, bar, 4, home);
	}
	assert_answered();
	device_teardown();
}
END_TEST

START_TEST(test_hostile_decoding_off_with_requests_in_flight)
{
	uint64_t told;

	device_setup(1, 0, 0);
	keep_requests();
	told = env.messages[1];
	vdriver_pci_write(&d, PCI_COMMAND, 2, 0);
	echo_answer(&e, 0);
	/* A function is a bus master or not; decoding has no say in that. */
	ck_assert_uint_eq(vdriver_used_idx(&d.queue[0]), 16);
	ck_assert_uint_eq(env.messages[1], told + 1);
	vdriver_pci_write(&d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	while (vdriver_used(&d.queue[0], NULL, NULL))
		;
	e.hold = false;
	device_assert_serves(0);
	device_teardown();
}
END_TEST

/* Case 31: every entry's every dword, MSI-X off and on, while one is held. */
START_TEST(test_hostile_vectors_rewritten_with_requests_in_flight)
{
	uint32_t control = 0;

	device_setup(1, 0, 0);
	keep_requests();
	for (uint32_t at = vdriver_pci_read(&d, PCI_CAPABILITY_LIST, 1); at;
	     at = vdriver_pci_read(&d, at + 1, 1))
		if (vdriver_pci_read(&d, at, 1) == PCI_CAP_ID_MSIX)
			control = at + PCI_MSIX_FLAGS;
	ck_assert_uint_ne(control, 0);
	for (uint32_t off = 0; off < 0x1000; off += 4)
		vdriver_bus_write(&env, d.msix + off, 4, 0xfffffffc + off);
	vdriver_pci_write(&d, control, 2, 0);
	vdriver_pci_write(&d, control, 2, 0xffff);
	vdriver_pci_write(&d, control, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_answered();
	device_teardown();
}
END_TEST

/* Case 38: there is no function level reset to be asked for. */
START_TEST(test_hostile_function_level_reset_is_not_offered)
{
	device_setup(1, 0, 0);
	for (uint32_t at = vdriver_pci_read(&d, PCI_CAPABILITY_LIST, 1); at;
	     at = vdriver_pci_read(&d, at + 1, 1)) {
		uint32_t id = vdriver_pci_read(&d, at, 1);

		ck_assert(id == PCI_CAP_ID_VNDR || id == PCI_CAP_ID_MSIX);
	}
	device_teardown();
}
END_TEST

/* Pages that are this process's own; the guest's are all touched before. */
static long
resident(void)
{
	long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%ld %ld", &size, &pages), 2);
	fclose(f);
	return pages;
}

/*
 * A driver that breaks the device again and again, each time with requests in
 * flight and chains of the largest kind: memory stays what it was.
 */
START_TEST(test_hostile_breaking_for_ever_takes_no_memory)
{
	long before = 0;

	device_setup(_i, 0, 0);
	memset(env.ram, 1, VDRIVER_SEAM);
	memset(env.ram_high, 1, VDRIVER_RAM - VDRIVER_SEAM);
	for (uint32_t n = 0; n < 600; n++) {
		vdriver_reset(&d);
		vdriver_free_all(&env);
		buf = vdriver_alloc(&env, 4096, 4096);
		e.hold = true;
		vdriver_up(&d, 2, QSIZE);
		for (uint32_t i = 0; i < QSIZE - 1; i++)
			vdriver_desc(&d.queue[0], i, buf + i, 1,
				     i + 2 < QSIZE ? VRING_DESC_F_NEXT : 0,
				     (uint16_t)(i + 1));
		/* Each of them goes through all behind it. */
		for (uint32_t i = 0; i < QSIZE - 1; i++)
			vdriver_avail(&d.queue[0], (uint16_t)i);
		vdriver_avail(&d.queue[0], (uint16_t)(n % 2 ? 0 : 0xffff));
		vdriver_kick(&d.queue[0]);
		vdriver_run(&env);
		ck_assert(needs_reset());
		(void)vdriver_events(&env, 0);
		if (n == 99)
			before = resident();
	}
	/* 1 MiB is far less than what 500 rounds have used in between. */
	ck_assert_int_lt(resident() - before, 256);
	device_assert_recovers();
	device_teardown();
}
END_TEST

/* What a driver writes before it has begun, and after it has ended. */
START_TEST(test_hostile_queue_registers_in_every_state)
{
	static const uint32_t states[] = {
		0, 1, 2, 3, 8, 11, 4, 12, 15, 0x80, 0xff, 0x40, 0x4f,
	};

	device_setup(_i, 0, 0);
	for (uint32_t s = 0; s < VCORE__ARRAY_SIZE(states); s++) {
		vdriver_set_status(&d, states[s]);
		for (uint32_t i = 0; i < ECHO_QUEUES + 2; i++)
			(void)vdriver_queue_at(&d, i, 16, UINT64_MAX - 15,
					       UINT64_MAX - 1, UINT64_MAX - 3);
		vdriver_run(&env);
	}
	ck_assert_uint_eq(e.starts, 0);
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

static void
add_ring_tests(TCase *t)
{
	tcase_add_loop_test(t, test_hostile_every_available_entry_bad, 0, 2);
	tcase_add_loop_test(t, test_hostile_same_head_in_every_slot, 0, 4);
	tcase_add_loop_test(t, test_hostile_buffer_in_device_registers, 0, 20);
	tcase_add_loop_test(t, test_hostile_buffer_over_a_hole, 0, 2);
	tcase_add_loop_test(t, test_hostile_indirect_table_in_device_registers,
			    0, 2);
	tcase_add_loop_test(t, test_hostile_ring_at_address_0_works, 0, 2);
	tcase_add_loop_test(t, test_hostile_rings_over_each_other, 0, 8);
	tcase_add_loop_test(t, test_hostile_interrupts_suppressed_for_ever, 0,
			    4);
	tcase_add_loop_test(t, test_hostile_avail_event_wraps, 0, 2);
	tcase_add_loop_test(t, test_hostile_kick_storm_on_an_empty_ring, 0, 2);
	tcase_add_loop_test(t, test_hostile_kicks_of_queues_that_are_not_there,
			    0, 2);
	tcase_add_loop_test(t, test_hostile_used_length_is_what_was_written, 0,
			    12);
}

int
main(void)
{
	Suite *suite = suite_create("virtio/hostile");
	TCase *t = tcase_create("hostile");

	add_ring_tests(t);
	tcase_add_test(t, test_hostile_feature_selectors_out_of_range);
	tcase_add_test(t, test_hostile_bar_sized_with_requests_in_flight);
	tcase_add_test(t, test_hostile_decoding_off_with_requests_in_flight);
	tcase_add_test(t,
		       test_hostile_vectors_rewritten_with_requests_in_flight);
	tcase_add_test(t, test_hostile_function_level_reset_is_not_offered);
	tcase_add_loop_test(t, test_hostile_queue_registers_in_every_state, 0,
			    2);
	tcase_add_loop_test(
		t, test_hostile_breaking_for_ever_takes_no_memory, 0, 2);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
