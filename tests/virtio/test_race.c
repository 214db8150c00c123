/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads against each other: resets, kicks, moved BARs, pauses, detaching. */
#include "device.h"

#include <linux/pci_regs.h>
#include <sched.h>

#ifdef __SANITIZE_THREAD__
#define WITH_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN
#endif
#endif

#define RESETS 300u
#define MOVES  300u
#define PAUSES 100u

static _Atomic uint32_t over;

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

#ifndef WITH_TSAN
/* A guest that writes at random where the rings and buffers are. */
static void *
scribbler(void *arg)
{
	uint64_t at = VDRIVER_HEAP, x = 88172645463325252ull;
	(void)arg;

	while (!atomic_load(&over)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = VDRIVER_HEAP + (x >> 20) % 0x8000 / 2 * 2;
		__atomic_store_n((uint16_t *)vdriver_ram(&env, at),
				 (uint16_t)(x & 0x7f), __ATOMIC_RELAXED);
	}
	return NULL;
}

#endif

static pthread_t threads[3];
static uint32_t thread_count;

static void
start(void *(*fn)(void *arg))
{
	ck_assert_int_eq(pthread_create(&threads[thread_count++], NULL, fn,
					NULL), 0);
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
	atomic_store(&over, 1);
	while (thread_count)
		pthread_join(threads[--thread_count], NULL);
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
	for (uint32_t i = 0; i < RESETS; i++) {
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

#ifndef WITH_TSAN
/*
 * The bytes of the rings change under the device. TSan has no opinion on this
 * one (a guest's stores are races by nature): it is for ASan and UBSan.
 */
START_TEST(test_race_ring_rewritten_while_served)
{
	race_setup(_i);
	start(scribbler);
	for (uint32_t i = 0; i < 100; i++) {
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
	atomic_store(&over, 1);
	pthread_join(threads[--thread_count], NULL);
	vdriver_free_all(&env);
	buf = vdriver_alloc(&env, 4096, 4096);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	race_teardown();
}
END_TEST
#endif

int
main(void)
{
	Suite *suite = suite_create("virtio/race");
	TCase *t = tcase_create("race");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_race_reset_storm_against_kicks, 0, 2);
	tcase_add_loop_test(t, test_race_pauses_against_kicks_and_resets, 0, 2);
	tcase_add_test(t, test_race_moved_bar_against_accesses);
	tcase_add_loop_test(t, test_race_detach_against_accesses, 0, 2);
	tcase_add_loop_test(t, test_race_unref_against_accesses, 0, 2);
#ifndef WITH_TSAN
	tcase_add_loop_test(t, test_race_ring_rewritten_while_served, 0, 2);
#endif
	suite_add_tcase(suite, t);
	return support_run(suite);
}
