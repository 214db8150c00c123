/* SPDX-License-Identifier: BSD-3-Clause */
/* Reset, pause, detach and destruction, also with requests in flight. */
#include "device.h"

#include <sched.h>

/* Fill queue 0 with requests that the device keeps. */
static void
fill_and_hold(void)
{
	struct vdriver_buf b = { buf, 64, true };

	e.hold = true;
	vdriver_up(&d, 2, QSIZE);
	for (uint32_t i = 0; i < QSIZE; i++)
		vdriver_add(&d.queue[0], &b, 1);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert_uint_eq(e.held_count[0], QSIZE);
}

static uint8_t memory_before[VDRIVER_RAM];

static void
remember_memory(void)
{
	memcpy(memory_before, env.ram, VDRIVER_SEAM);
	memcpy(memory_before + VDRIVER_SEAM, env.ram_high,
	       VDRIVER_RAM - VDRIVER_SEAM);
}

static bool
memory_is_unchanged(void)
{
	return memcmp(memory_before, env.ram, VDRIVER_SEAM) == 0 &&
	       memcmp(memory_before + VDRIVER_SEAM, env.ram_high,
		      VDRIVER_RAM - VDRIVER_SEAM) == 0;
}

START_TEST(test_reset_forgets_everything)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	vdriver_reset(&d);
	ck_assert_uint_eq(e.stops, 2);
	ck_assert_uint_eq(e.last_how, VCORE_VIRTIO_STOP_DROP);
	ck_assert(!vdriver_queue_enabled(&d, 0));
	ck_assert_uint_eq(vdriver_queue_max(&d, 0), QSIZE);
	ck_assert_uint_eq(vcore_virtio_features(e.virtio), 0);
	vdriver_up(&d, 2, 16);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_reset_of_idle_device_is_immediate)
{
	device_setup(_i, 0, 0);
	for (uint32_t i = 0; i < 100; i++) {
		vdriver_set_status(&d, STATUS_BEGIN);
		vdriver_set_status(&d, 0);
		ck_assert_uint_eq(vdriver_status(&d), 0);
	}
	device_teardown();
}
END_TEST

START_TEST(test_reset_with_requests_in_flight_drops_them)
{
	struct vcore_chain *c;
	struct vcore_virtqueue *q;

	device_setup(_i, 0, 0);
	fill_and_hold();
	c = e.held[0][3];
	q = e.queue[0];
	vdriver_reset(&d);
	remember_memory();
	/* A late completion of a model that got it wrong. */
	vcore_virtqueue_push(q, c, 64);
	vcore_virtqueue_flush(q);
	ck_assert(memory_is_unchanged());
	ck_assert_uint_eq(vcore_virtqueue_in_flight(q), 0);
	e.hold = false;
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_reset_status_is_not_0_before_the_model_stopped_pci)
{
	device_setup(1, 0, 0);
	e.slow_stop = true;
	fill_and_hold();
	vdriver_set_status(&d, 0);
	vdriver_run(&env);
	ck_assert_uint_ne(vdriver_status(&d), 0);
	/* Nothing else is listened to meanwhile. */
	vdriver_set_status(&d, STATUS_BEGIN);
	vdriver_set_status(&d, 0);
	ck_assert_uint_ne(vdriver_status(&d), 0);
	/* What the model answers by mistake is not seen by the guest. */
	remember_memory();
	for (uint32_t i = 0; i < 10; i++)
		vcore_virtqueue_push(e.queue[0], e.held[0][i], 64);
	vcore_virtqueue_flush(e.queue[0]);
	ck_assert(memory_is_unchanged());
	ck_assert_uint_eq(e.resets, 1);		/* of vdriver_begin() */
	echo_stopped(&e);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	ck_assert_uint_eq(e.resets, 2);
	/* What it did not give back was taken. */
	ck_assert_uint_eq(vcore_virtqueue_in_flight(e.queue[0]), 0);
	e.slow_stop = false;
	e.hold = false;
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

static void *
reset_in_thread(void *arg)
{
	vdriver_set_status(&d, 0);
	atomic_store((_Atomic uint32_t *)arg, 1);
	return NULL;
}

START_TEST(test_reset_write_waits_until_the_model_stopped_mmio)
{
	_Atomic uint32_t done[3] = { 0 };
	pthread_t thread[3];

	device_setup(0, VDRIVER_THREAD, 0);
	e.slow_stop = true;
	fill_and_hold();
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL,
						reset_in_thread,
						(void *)&done[i]), 0);
	while (e.stops < 2)
		sched_yield();
	vdriver_run(&env);
	ck_assert_uint_eq(done[0] + done[1] + done[2], 0);
	ck_assert_uint_ne(vdriver_status(&d), 0);
	echo_stopped(&e);
	for (uint32_t i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	e.slow_stop = false;
	device_teardown();
}
END_TEST

START_TEST(test_stop_done_twice_counts_once)
{
	struct vcore_done *done;

	device_setup(_i, 0, 0);
	e.slow_stop = true;
	vdriver_up(&d, 2, QSIZE);
	e.slow_stop = true;
	vcore_done_call(NULL, 0);
	if (_i) {
		vdriver_set_status(&d, 0);
		vdriver_run(&env);
		done = e.done[0];
		vcore_done_call(done, -EIO);
		vcore_done_call(done, 0);
		ck_assert_uint_ne(vdriver_status(&d), 0);
		e.done[0] = NULL;
		echo_stopped(&e);
		ck_assert_uint_eq(vdriver_status(&d), 0);
	}
	e.slow_stop = false;
	device_teardown();
}
END_TEST

static const struct {
	uint16_t head;
	const char *what;
} poison[] = { { QSIZE, "head" }, { 0, "loop" } };

START_TEST(test_broken_queue_needs_reset_and_leaves_others_alone)
{
	uint32_t which = (uint32_t)_i / 2;
	uint64_t before;

	device_setup(_i % 2, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	vdriver_desc(&d.queue[0], 0, buf, 1, VRING_DESC_F_NEXT, 0);
	before = _i % 2 ? env.messages[0] : env.lines;
	vdriver_avail(&d.queue[0], poison[which].head);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert_uint_eq(_i % 2 ? env.messages[0] : env.lines, before + 1);
	ck_assert_uint_eq(vdriver_events(&env, VCORE_EVENT_DEVICE_BROKEN), 1);
	device_assert_serves(1);
	/* It is not parsed again, and says nothing more. */
	for (uint32_t i = 0; i < 10; i++)
		vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	ck_assert_uint_eq(vdriver_events(&env, VCORE_EVENT_DEVICE_BROKEN), 0);
	device_assert_recovers();
	device_teardown();
}
END_TEST

START_TEST(test_queue_start_that_fails_needs_reset)
{
	device_setup(_i, 0, 0);
	e.start_rc = -ENOMEM;
	vdriver_up(&d, 1, QSIZE);
	ck_assert_uint_eq(e.stops, 0);
	e.start_rc = 0;
	device_assert_recovers();
	device_teardown();
}
END_TEST

static uint32_t calls_done;
static int calls_rc;

static void
count_call(struct vcore__call *c)
{
	calls_done++;
	calls_rc = c->rc;
}

/* A stop that is complete when the loop has turned. */
static void
stop_and_run(uint32_t how)
{
	struct vcore__call c = { .fn = count_call };

	calls_done = 0;
	vcore__virtio_stop(e.virtio, how, &c);
	vdriver_run(&env);
	ck_assert_uint_eq(calls_done, 1);
	ck_assert_int_eq(calls_rc, 0);
}

START_TEST(test_stop_drain_finishes_what_is_in_flight)
{
	uint32_t n = 0;

	device_setup(_i, 0, 0);
	fill_and_hold();
	stop_and_run(VCORE_VIRTIO_STOP_DRAIN);
	while (vdriver_used(&d.queue[0], NULL, NULL))
		n++;
	ck_assert_uint_eq(n, QSIZE);
	ck_assert_uint_eq(vdriver_status(&d), STATUS_RUNNING);
	e.hold = false;
	ck_assert_ok(vcore_virtio_start(e.virtio));
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_stop_park_keeps_what_is_in_flight)
{
	uint32_t n = 0;

	device_setup(_i, 0, 0);
	fill_and_hold();
	stop_and_run(VCORE_VIRTIO_STOP_PARK);
	ck_assert_uint_eq(vdriver_used_idx(&d.queue[0]), 0);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(e.queue[0]), QSIZE);
	ck_assert_ok(vcore_virtio_start(e.virtio));
	vdriver_run(&env);
	ck_assert_uint_eq(e.held_count[0], QSIZE);
	echo_answer(&e, 0);
	while (vdriver_used(&d.queue[0], NULL, NULL))
		n++;
	ck_assert_uint_eq(n, QSIZE);
	device_teardown();
}
END_TEST

START_TEST(test_stopped_device_touches_nothing)
{
	uint64_t lines;

	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	stop_and_run(VCORE_VIRTIO_STOP_DRAIN);
	device_offer(&d.queue[0]);
	remember_memory();
	lines = env.lines + env.messages[0] + env.messages[1];
	vdriver_kick(&d.queue[0]);
	vcore_virtio_config_changed(e.virtio);
	vdriver_run(&env);
	ck_assert(memory_is_unchanged());
	ck_assert_uint_eq(env.lines + env.messages[0] + env.messages[1],
			  lines);
	ck_assert_ptr_null(vcore_virtio_queue(e.virtio, 0));
	/* The kick and the interrupt were not lost. */
	ck_assert_ok(vcore_virtio_start(e.virtio));
	ck_assert(vdriver_wait(&d.queue[0], NULL, NULL));
	ck_assert_uint_ge(env.lines + env.messages[0], 1);
	device_teardown();
}
END_TEST

START_TEST(test_stop_drop_resets)
{
	device_setup(_i, 0, 0);
	fill_and_hold();
	stop_and_run(VCORE_VIRTIO_STOP_DROP);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	ck_assert_ok(vcore_virtio_start(e.virtio));
	e.hold = false;
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_stop_when_nothing_runs_is_immediate)
{
	struct vcore__call c = { .fn = count_call };

	device_setup(_i, 0, 0);
	calls_done = 0;
	vcore__virtio_stop(e.virtio, VCORE_VIRTIO_STOP_DRAIN, &c);
	ck_assert_uint_eq(calls_done, 1);
	/* Paused: queues start when the pause ends. */
	vdriver_up(&d, 1, QSIZE);
	ck_assert_uint_eq(e.starts, 0);
	ck_assert_ok(vcore_virtio_start(e.virtio));
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_start_before_stop_is_done_cancels_it)
{
	struct vcore__call c = { .fn = count_call };

	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	e.slow_stop = true;
	calls_done = 0;
	vcore__virtio_stop(e.virtio, VCORE_VIRTIO_STOP_DRAIN, &c);
	vdriver_run(&env);
	ck_assert_uint_eq(calls_done, 0);
	ck_assert_ok(vcore_virtio_start(e.virtio));
	e.slow_stop = false;
	echo_stopped(&e);
	ck_assert_uint_eq(calls_done, 1);
	ck_assert_int_eq(calls_rc, -ECANCELED);
	device_assert_serves(0);
	ck_assert_uint_eq(e.starts, 4);
	device_teardown();
}
END_TEST

START_TEST(test_stop_deadline_passed_returns_etimedout_and_runs_on)
{
	device_setup(_i, VDRIVER_THREAD, 0);
	vdriver_up(&d, 2, QSIZE);
	e.slow_stop = true;
	ck_assert_error(vcore_virtio_stop(e.virtio, VCORE_VIRTIO_STOP_DRAIN,
					  vcore__now_ns() + 1000000),
			-ETIMEDOUT, "vcore_virtio_stop: ");
	while (e.stops < 2)
		sched_yield();
	vdriver_run(&env);
	e.slow_stop = false;
	echo_stopped(&e);
	device_assert_serves(0);
	ck_assert_ok(vcore_virtio_stop(e.virtio, VCORE_VIRTIO_STOP_DRAIN, 0));
	ck_assert_ok(vcore_virtio_start(e.virtio));
	device_assert_serves(1);
	device_teardown();
}
END_TEST

static void *
start_again(void *arg)
{
	(void)arg;
	while (e.stops < 2)
		sched_yield();
	vcore_virtio_start(e.virtio);
	/* Its loop may still be inside of queue_stop(). */
	vdriver_run(&env);
	echo_stopped(&e);
	return NULL;
}

START_TEST(test_stop_that_somebody_else_undoes_returns_ecanceled)
{
	pthread_t thread;
	int rc;

	device_setup(_i, VDRIVER_THREAD, 0);
	vdriver_up(&d, 2, QSIZE);
	e.slow_stop = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, start_again, NULL), 0);
	rc = vcore_virtio_stop(e.virtio, VCORE_VIRTIO_STOP_DRAIN, 0);
	ck_assert_error(rc, -ECANCELED, "vcore_virtio_stop: ");
	pthread_join(thread, NULL);
	e.slow_stop = false;
	device_assert_serves(0);
	device_teardown();
}
END_TEST

static int stop_rc, detach_rc;

static void
stop_in_callback(void *opaque)
{
	(void)opaque;
	stop_rc = vcore_virtio_stop(e.virtio, VCORE_VIRTIO_STOP_DRAIN, 0);
	detach_rc = vcore_virtio_detach(e.virtio, 0);
}

START_TEST(test_stop_in_a_loop_callback_returns_edeadlk)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	ck_assert_ok(vcore_loop_call(env.loop, stop_in_callback, NULL));
	vdriver_run(&env);
	ck_assert_int_eq(stop_rc, -EDEADLK);
	ck_assert_int_eq(detach_rc, -EDEADLK);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_stop_bad_arguments_return_einval)
{
	device_setup(_i, 0, 0);
	ck_assert_error(vcore_virtio_stop(NULL, 1, 0), -EINVAL,
			"vcore_virtio_stop: ");
	ck_assert_error(vcore_virtio_stop(e.virtio, 0, 0), -EINVAL,
			"vcore_virtio_stop: ");
	ck_assert_error(vcore_virtio_stop(e.virtio, 4, 0), -EINVAL,
			"vcore_virtio_stop: ");
	ck_assert_error(vcore_virtio_start(NULL), -EINVAL,
			"vcore_virtio_start: ");
	ck_assert_error(vcore_virtio_detach(NULL, 0), -EINVAL,
			"vcore_virtio_detach: ");
	ck_assert_error(vcore_virtio_config_changed(NULL), -EINVAL,
			"vcore_virtio_config_changed: ");
	device_teardown();
}
END_TEST

START_TEST(test_part_stops_starts_and_resets)
{
	struct vcore__call c = { .fn = count_call };
	struct vcore__part part;

	device_setup(_i, 0, 0);
	fill_and_hold();
	vcore__virtio_part(e.virtio, &part);
	ck_assert_str_eq(part.name, "echo");
	ck_assert_uint_eq(part.ops->rank, VCORE__RANK_DEVICE);
	part.ops->stop(part.p, VCORE__PARK, &c);
	vdriver_run(&env);
	part.ops->reset(part.p);
	ck_assert_uint_eq(vdriver_status(&d), 0);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(e.queue[0]), 0);
	ck_assert_int_eq(part.ops->start(part.p), 0);
	e.hold = false;
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_ring_reset_of_one_queue_leaves_others_running)
{
	device_setup(_i, 0, 0);
	fill_and_hold();
	vdriver_queue_reset(&d, 0);
	ck_assert(!vdriver_queue_enabled(&d, 0));
	ck_assert(vdriver_queue_enabled(&d, 1));
	e.hold = false;
	device_assert_serves(1);
	/* Again, with another size. */
	ck_assert(vdriver_queue(&d, 0, 8));
	vdriver_run(&env);
	device_assert_serves(0);
	device_assert_serves(1);
	device_teardown();
}
END_TEST

START_TEST(test_ring_reset_of_broken_queue_revives_it)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	vdriver_set_avail_idx(&d.queue[0], 0x8000);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	vdriver_queue_reset(&d, 0);
	ck_assert(vdriver_queue(&d, 0, QSIZE));
	vdriver_run(&env);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_ring_reset_without_feature_is_ignored)
{
	device_setup(_i, 0, VCORE__VIRTIO_RING_RESET);
	vdriver_up(&d, 1, QSIZE);
	vdriver_queue_reset(&d, 0);
	ck_assert(vdriver_queue_enabled(&d, 0));
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_kicks_without_work_are_harmless)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	for (uint32_t i = 0; i < 10000; i++)
		vdriver_kick(&d.queue[i % 2]);
	vdriver_run(&env);
	device_assert_serves(0);
	device_assert_serves(1);
	device_teardown();
}
END_TEST

START_TEST(test_endless_work_yields_to_other_queues)
{
	struct vdriver_queue *q;

	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	q = &d.queue[0];
	/* Every chain is 64 descriptors, and all 64 heads are offered. */
	for (uint16_t i = 0; i < QSIZE; i++)
		vdriver_desc(q, i, buf, 1,
			     i + 1 < (int)QSIZE ? VRING_DESC_F_NEXT : 0,
			     (uint16_t)(i + 1));
	for (uint16_t i = 0; i < QSIZE; i++)
		vdriver_avail(q, i);
	vdriver_kick(q);
	ck_assert_int_ge(vcore_loop_dispatch(env.loop, 0), 1);
	ck_assert_uint_lt(e.pops, 16);
	device_assert_serves(1);
	vdriver_run(&env);
	ck_assert_uint_eq(vdriver_used_idx(q), QSIZE);
	device_teardown();
}
END_TEST

START_TEST(test_suppressing_model_loses_no_kick)
{
	device_setup(_i, 0, 0);
	e.suppress = true;
	vdriver_up(&d, 2, QSIZE);
	for (uint32_t i = 0; i < 200; i++)
		device_assert_serves(i % 2);
	device_teardown();
}
END_TEST

START_TEST(test_detach_and_attach_to_the_other_transport)
{
	device_setup(_i, 0, 0);
	for (int i = 0; i < 4; i++) {
		vdriver_up(&d, 2, QSIZE);
		device_assert_serves(0);
		vdriver_detach(&d);
		ck_assert_error(vcore_virtio_detach(e.virtio, 0), -ENOENT,
				"vcore_virtio_detach: ");
		vdriver_attach(&d, &env, e.virtio,
			       (i + _i) % 2 ? VDRIVER_PCI : VDRIVER_MMIO);
	}
	device_teardown();
}
END_TEST

START_TEST(test_detach_with_requests_in_flight)
{
	device_setup(_i, VDRIVER_THREAD, 0);
	fill_and_hold();
	e.slow_stop = true;
	ck_assert_error(vcore_virtio_detach(e.virtio,
					    vcore__now_ns() + 1000000),
			-ETIMEDOUT, "vcore_virtio_detach: ");
	/* Its registers are dead already. */
	ck_assert_uint_eq(vdriver_config_read(&d, 0, 4), UINT32_MAX);
	vdriver_config_write(&d, 0, 4, 1);
	ck_assert_uint_eq(e.config_writes, 0);
	while (e.stops < 2)
		sched_yield();
	vdriver_run(&env);
	remember_memory();
	e.slow_stop = false;
	echo_stopped(&e);
	ck_assert(memory_is_unchanged());
	device_teardown();
}
END_TEST

START_TEST(test_attach_twice_returns_ebusy)
{
	device_setup(_i, 0, 0);
	ck_assert_error(vcore_virtio_attach_mmio(e.virtio, env.bus, 0x1000,
						 env.line), -EBUSY,
			"vcore_virtio_attach_mmio: ");
	ck_assert_error(vcore_virtio_attach_pci(e.virtio, env.pci, 0), -EBUSY,
			"vcore_virtio_attach_pci: ");
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_unref_of_running_device_releases_once)
{
	int fds;

	vdriver_env_init(&env, 0);
	fds = support_open_fds();
	for (int i = 0; i < 10; i++) {
		vdriver_free_all(&env);
		echo_init(&e, QSIZE, 0);
		vdriver_attach(&d, &env, e.virtio,
			       _i ? VDRIVER_PCI : VDRIVER_MMIO);
		buf = vdriver_alloc(&env, 4096, 4096);
		fill_and_hold();
		vcore_virtio_unref(e.virtio);
		ck_assert_uint_eq(e.released, 0);
		vdriver_run(&env);
		ck_assert_uint_eq(e.released, 1);
		ck_assert_uint_eq(e.violations, 0);
		ck_assert_int_eq(support_open_fds(), fds);
	}
	vdriver_env_fini(&env);
}
END_TEST

START_TEST(test_unref_with_a_slow_model_releases_when_it_stopped)
{
	vdriver_env_init(&env, 0);
	echo_init(&e, QSIZE, 0);
	vdriver_attach(&d, &env, e.virtio, _i ? VDRIVER_PCI : VDRIVER_MMIO);
	buf = vdriver_alloc(&env, 4096, 4096);
	fill_and_hold();
	e.slow_stop = true;
	vcore_virtio_unref(e.virtio);
	vdriver_run(&env);
	ck_assert_uint_eq(e.released, 0);
	echo_stopped(&e);
	vdriver_run(&env);
	ck_assert_uint_eq(e.released, 1);
	vdriver_env_fini(&env);
}
END_TEST

START_TEST(test_unref_when_nobody_runs_the_loop_any_more_frees_all)
{
	vdriver_env_init(&env, 0);
	echo_init(&e, QSIZE, 0);
	vdriver_attach(&d, &env, e.virtio, _i ? VDRIVER_PCI : VDRIVER_MMIO);
	buf = vdriver_alloc(&env, 4096, 4096);
	fill_and_hold();
	vcore_loop_unref(env.loop);
	env.loop = NULL;
	vcore_virtio_unref(e.virtio);
	ck_assert_uint_eq(e.released, 1);
	ck_assert_uint_eq(e.stops, 2);
	vdriver_env_fini(&env);
}
END_TEST

static void
add_stop_tests(TCase *t)
{
	tcase_add_loop_test(t, test_stop_drain_finishes_what_is_in_flight, 0,
			    2);
	tcase_add_loop_test(t, test_stop_park_keeps_what_is_in_flight, 0, 2);
	tcase_add_loop_test(t, test_stopped_device_touches_nothing, 0, 2);
	tcase_add_loop_test(t, test_stop_drop_resets, 0, 2);
	tcase_add_loop_test(t, test_stop_when_nothing_runs_is_immediate, 0, 2);
	tcase_add_loop_test(t, test_start_before_stop_is_done_cancels_it, 0,
			    2);
	tcase_add_loop_test(
		t, test_stop_deadline_passed_returns_etimedout_and_runs_on, 0,
		2);
	tcase_add_loop_test(
		t, test_stop_that_somebody_else_undoes_returns_ecanceled, 0, 2);
	tcase_add_loop_test(t, test_stop_in_a_loop_callback_returns_edeadlk, 0,
			    2);
	tcase_add_loop_test(t, test_stop_bad_arguments_return_einval, 0, 2);
	tcase_add_loop_test(t, test_part_stops_starts_and_resets, 0, 2);
}

static void
add_ring_tests(TCase *t)
{
	tcase_add_loop_test(t,
			    test_ring_reset_of_one_queue_leaves_others_running,
			    0, 2);
	tcase_add_loop_test(t, test_ring_reset_of_broken_queue_revives_it, 0,
			    2);
	tcase_add_loop_test(t, test_ring_reset_without_feature_is_ignored, 0,
			    2);
	tcase_add_loop_test(t, test_kicks_without_work_are_harmless, 0, 2);
	tcase_add_loop_test(t, test_endless_work_yields_to_other_queues, 0, 2);
	tcase_add_loop_test(t, test_suppressing_model_loses_no_kick, 0, 2);
}

static void
add_end_tests(TCase *t)
{
	tcase_add_loop_test(t, test_detach_and_attach_to_the_other_transport,
			    0, 2);
	tcase_add_loop_test(t, test_detach_with_requests_in_flight, 0, 2);
	tcase_add_loop_test(t, test_attach_twice_returns_ebusy, 0, 2);
	tcase_add_loop_test(t, test_unref_of_running_device_releases_once, 0,
			    2);
	tcase_add_loop_test(
		t, test_unref_with_a_slow_model_releases_when_it_stopped, 0, 2);
	tcase_add_loop_test(
		t, test_unref_when_nobody_runs_the_loop_any_more_frees_all, 0,
		2);
}

int
main(void)
{
	Suite *suite = suite_create("virtio/lifecycle");
	TCase *t = tcase_create("both transports");

	tcase_add_loop_test(t, test_reset_forgets_everything, 0, 2);
	tcase_add_loop_test(t, test_reset_of_idle_device_is_immediate, 0, 2);
	tcase_add_loop_test(t, test_reset_with_requests_in_flight_drops_them,
			    0, 2);
	tcase_add_test(t,
		       test_reset_status_is_not_0_before_the_model_stopped_pci);
	tcase_add_test(t,
		       test_reset_write_waits_until_the_model_stopped_mmio);
	tcase_add_loop_test(t, test_stop_done_twice_counts_once, 0, 2);
	tcase_add_loop_test(
		t, test_broken_queue_needs_reset_and_leaves_others_alone, 0, 4);
	tcase_add_loop_test(t, test_queue_start_that_fails_needs_reset, 0, 2);
	add_stop_tests(t);
	add_ring_tests(t);
	add_end_tests(t);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
