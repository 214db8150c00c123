/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads against each other: resets, kicks, moved BARs, pauses, detaching. */
#include "device.h"

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <sched.h>

#include "support/as_guest.h"

#define RESETS 300u
#define MOVES  300u
#define PAUSES 100u

static _Atomic uint32_t over;
static _Atomic uint64_t scribbles;

/* A vCPU that kicks, and reads what it finds, as long as the test runs. */
static void *
kicker(void *arg)
{
	struct vdriver_queue q;
	(void)arg;

	while (!atomic_load(&over)) {
		for (uint32_t i = 0; i < 2; i++) {
			q = (struct vdriver_queue){ .d = &d, .index = i };
			q.notify = d.notify + 4ull * i;
			vdriver_kick(&q);
		}
		(void)vdriver_status(&d);
		(void)vdriver_generation(&d);
		(void)vdriver_config_read(&d, 0, 4);
	}
	return NULL;
}

/* A model that tells of changes from a thread of its own. */
static void *
changer(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		e.config[0]++;
		vcore_virtio_config_changed(e.virtio);
		sched_yield();
	}
	return NULL;
}

/* A guest that writes at random where the rings and buffers are. */
static void *
scribbler(void *arg)
{
	uint64_t at = VDRIVER_HEAP, x = 88172645463325252ull;
	(void)arg;

	as_guest_begin();
	while (!atomic_load(&over)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = VDRIVER_HEAP + (x >> 20) % 0x8000 / 2 * 2;
		__atomic_store_n((uint16_t *)vdriver_ram(&env, at),
				 (uint16_t)(x & 0x7f), __ATOMIC_RELAXED);
		scribbles++;
	}
	as_guest_end();
	return NULL;
}

/* A vCPU that writes and reads registers at random, resets among them. */
static void *
poker(void *arg)
{
	uint64_t x = 88172645463325252ull + (uintptr_t)arg, at;
	uint32_t len;

	while (!atomic_load(&over)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		len = 1u << (x >> 8) % 4;
		at = d.kind == VDRIVER_MMIO ? d.base + (x >> 16) % 0x120 :
		     x & 0x10 ? d.common + (x >> 16) % 0x40 :
		     x & 0x20 ? d.msix + (x >> 16) % 0x60 :
				d.isr + (x >> 16) % 0x2010;
		/* Registers are where their widths are, most of the time. */
		at &= x & 0x40 ? ~0ull : ~(uint64_t)(len - 1);
		if (x & 0x80)
			(void)vdriver_bus_read(&env, at, len);
		else
			vdriver_bus_write(&env, at, len, (x >> 32) & 0xf);
	}
	return NULL;
}

/* Causes that this vCPU took out of the interrupt status. */
static _Atomic uint32_t causes;

static void *
isr_reader(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		if (vdriver_bus_read(&env, d.isr, 1) & 1)
			causes++;
	return NULL;
}

/*
 * Both halves of a field, under one generation. On PCI that has 8 bits, and a
 * reader who was away for 256 changes can't tell: each changes the field by 1.
 */
static void *
config_reader(void *arg)
{
	uint32_t before, low, high, *torn = arg;

	while (!atomic_load(&over)) {
		before = vdriver_generation(&d);
		low = (uint32_t)vdriver_config_read(&d, 0, 4);
		high = (uint32_t)vdriver_config_read(&d, 4, 4);
		if (vdriver_generation(&d) == before && low != high &&
		    high - low < 255)
			++*torn;
	}
	return NULL;
}

static void *
config_writer(void *arg)
{
	(void)arg;
	for (uint64_t n = 0; !atomic_load(&over); n = (n + 1) & UINT32_MAX) {
		e.config[0] = n << 32 | n;
		vcore_virtio_config_changed(e.virtio);
	}
	return NULL;
}

static pthread_t threads[4];
static uint32_t thread_count;

static void
start_with(void *(*fn)(void *arg), void *arg)
{
	ck_assert_int_eq(pthread_create(&threads[thread_count++], NULL, fn,
					arg), 0);
}

static void
start(void *(*fn)(void *arg))
{
	start_with(fn, NULL);
}

static void
join(void)
{
	atomic_store(&over, 1);
	while (thread_count)
		pthread_join(threads[--thread_count], NULL);
}

static void
race_setup(int transport)
{
	over = 0;
	thread_count = 0;
	device_setup(transport, VDRIVER_THREAD, 0);
}

static void
race_teardown(void)
{
	join();
	device_teardown();
}

/* The device has let go of its memory: it may be written at leisure. */
static void
fresh_memory(void)
{
	vdriver_reset(&d);
	vdriver_free_all(&env);
	buf = vdriver_alloc(&env, 4096, 4096);
}

START_TEST(test_race_reset_storm_against_kicks)
{
	race_setup(_i);
	start(kicker);
	start(changer);
	for (uint32_t i = 0; i < support_rounds(RESETS, 10000); i++) {
		fresh_memory();
		ck_assert(vdriver_begin(&d, 0));
		ck_assert(vdriver_queue(&d, 0, QSIZE));
		ck_assert(vdriver_queue(&d, 1, QSIZE));
		vdriver_set_status(&d, STATUS_RUNNING);
		device_offer(&d.queue[0]);
		device_offer(&d.queue[1]);
		if (i % 4 == 0)
			ck_assert(vdriver_wait(&d.queue[0], NULL, NULL));
	}
	fresh_memory();
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	race_teardown();
}
END_TEST

START_TEST(test_race_pauses_against_kicks_and_resets)
{
	race_setup(_i);
	start(kicker);
	start(changer);
	for (uint32_t i = 0; i < PAUSES; i++) {
		fresh_memory();
		vdriver_up(&d, 2, QSIZE);
		device_offer(&d.queue[0]);
		ck_assert_ok(vcore_virtio_stop(
			e.virtio, i % 3 + VCORE_VIRTIO_STOP_DRAIN, 0));
		if (i % 3 != 2)
			ck_assert_uint_eq(vdriver_status(&d), STATUS_RUNNING);
		ck_assert_ok(vcore_virtio_start(e.virtio));
		if (i % 3 != 2)
			ck_assert(vdriver_wait(&d.queue[0], NULL, NULL));
	}
	race_teardown();
}
END_TEST

START_TEST(test_race_moved_bar_against_accesses)
{
	race_setup(1);
	vdriver_up(&d, 2, QSIZE);
	start(kicker);
	start(kicker);
	for (uint32_t i = 0; i < MOVES; i++) {
		vdriver_pci_write(&d, PCI_BASE_ADDRESS_0, 4,
				  (uint32_t)VDRIVER_PCI32 + 0x10000 * (i % 7));
		if (i % 5 == 0)
			vdriver_pci_write(&d, PCI_COMMAND, 2, 0);
		vdriver_pci_write(&d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	}
	vdriver_pci_write(&d, PCI_BASE_ADDRESS_0, 4,
			  (uint32_t)(d.common & UINT32_MAX));
	device_assert_serves(0);
	device_assert_serves(1);
	race_teardown();
}
END_TEST

START_TEST(test_race_detach_against_accesses)
{
	race_setup(_i);
	vdriver_up(&d, 2, QSIZE);
	start(kicker);
	start(changer);
	ck_assert_ok(vcore_virtio_detach(e.virtio, 0));
	race_teardown();
}
END_TEST

START_TEST(test_race_unref_against_accesses)
{
	race_setup(_i);
	vdriver_up(&d, 2, QSIZE);
	start(kicker);
	vcore_virtio_unref(e.virtio);
	while (!e.released)
		sched_yield();
	atomic_store(&over, 1);
	pthread_join(threads[0], NULL);
	ck_assert_uint_eq(e.violations, 0);
	vdriver_env_fini(&env);
}
END_TEST

/*
 * The bytes of the rings change under the device, ten million times with
 * --soak: it never leaves memory, never waits for sense, and works again.
 */
static void *
ring_driver(void *arg)
{
	uint64_t end = support_rounds(50000, 10000000);

	(void)arg;
	as_guest_begin();
	for (uint32_t i = 0; i < 100 || scribbles < end; i++) {
		fresh_memory();
		if (!vdriver_begin(&d, 0))
			continue;
		(void)vdriver_queue(&d, 0, QSIZE);
		vdriver_set_status(&d, STATUS_RUNNING);
		for (uint32_t n = 0; n < 32; n++) {
			device_offer(&d.queue[0]);
			vdriver_kick(&d.queue[0]);
		}
		vdriver_run(&env);
	}
	as_guest_end();
	return NULL;
}

START_TEST(test_race_ring_rewritten_while_served)
{
	pthread_t guest;

	race_setup(_i);
	scribbles = 0;
	start(scribbler);
	ck_assert_int_eq(pthread_create(&guest, NULL, ring_driver, NULL), 0);
	pthread_join(guest, NULL);
	join();
	vdriver_reset(&d);
	vdriver_free_all(&env);
	buf = vdriver_alloc(&env, 4096, 4096);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	race_teardown();
}
END_TEST

/* Two vCPUs at all registers at once, and the device in between. */
START_TEST(test_race_registers_from_two_vcpus)
{
	race_setup(_i);
	start_with(poker, (void *)1);
	start_with(poker, (void *)2);
	start(changer);
	for (uint32_t i = 0; i < support_rounds(200, 20000); i++) {
		vdriver_status(&d);
		vdriver_run(&env);
	}
	join();
	fresh_memory();
	/* What is left of the vectors is the driver's to set right. */
	for (uint32_t i = 0; _i && i < 0x60; i += 16)
		vdriver_bus_write(&env, d.msix + i + 12, 4, 0);
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_assert_serves(1);
	race_teardown();
}
END_TEST

/* Two vCPUs read the cause away: one of them has it, or it is still there. */
START_TEST(test_race_isr_read_storm)
{
	race_setup(1);
	ck_assert(vdriver_begin(&d, 0));
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	vdriver_bus_write(&env, d.common + VIRTIO_PCI_COMMON_Q_MSIX, 2,
			  0xffff);
	vdriver_set_status(&d, STATUS_RUNNING);
	causes = 0;
	start(isr_reader);
	start(isr_reader);
	for (uint32_t i = 1; i <= support_rounds(500, 100000); i++) {
		vdriver_set_used_event(&d.queue[0], d.queue[0].last_used);
		device_assert_serves(0);
		while (causes < i)
			sched_yield();
		ck_assert_uint_eq(causes, i);
	}
	race_teardown();
}
END_TEST

START_TEST(test_race_configuration_is_never_torn)
{
	uint32_t torn[2] = { 0, 0 };

	race_setup(_i);
	start(config_writer);
	start_with(config_reader, &torn[0]);
	start_with(config_reader, &torn[1]);
	for (uint32_t i = 0; i < support_rounds(300, 100000); i++)
		vdriver_run(&env);
	join();
	ck_assert_uint_eq(torn[0] + torn[1], 0);
	race_teardown();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("virtio/race");
	TCase *t = tcase_create("race");

	tcase_add_loop_test(t, test_race_reset_storm_against_kicks, 0, 2);
	tcase_add_loop_test(t, test_race_pauses_against_kicks_and_resets, 0, 2);
	tcase_add_test(t, test_race_moved_bar_against_accesses);
	tcase_add_loop_test(t, test_race_detach_against_accesses, 0, 2);
	tcase_add_loop_test(t, test_race_unref_against_accesses, 0, 2);
	tcase_add_loop_test(t, test_race_ring_rewritten_while_served, 0, 2);
	tcase_add_loop_test(t, test_race_registers_from_two_vcpus, 0, 2);
	tcase_add_test(t, test_race_isr_read_storm);
	tcase_add_loop_test(t, test_race_configuration_is_never_torn, 0, 2);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
