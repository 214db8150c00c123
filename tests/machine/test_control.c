/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine's states: start, events, pause, reset, stop, from any thread. */
#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "machine/machine.h"
#include "support/machine.h"

/* Says 'x', then halts. */
static const uint16_t says_x[] = { POKE_SERIAL, 'x', POKE_END };
static const uint16_t says_y_goes_off[] = {
	POKE_SERIAL, 'y', POKE_SLEEP, POKE_S5, POKE_END
};
/* More than one way out, then a sign that all of it has been done. */
static const uint16_t resets_and_goes_off[] = {
	POKE_RESET, POKE_PULSE, POKE_SLEEP, POKE_S5, POKE_SERIAL, 'x', POKE_END
};

static struct vcore_stream *serial;

static void
setup(void)
{
	ck_assert_ok(vcore_stream_new_ring(4096, &serial));
}

static void
teardown(void)
{
	vcore_stream_unref(serial);
}

static struct vcore_machine *
new_with_serial(struct machine_guest *guest, uint32_t flags)
{
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, guest);
	opts.flags = flags;
	opts.serial = serial;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	return m;
}

START_TEST(test_null_machine_returns_einval)
{
	struct vcore_event event;

	VCORE_INIT(&event);
	ck_assert_error(vcore_machine_start(NULL), -EINVAL,
			"vcore_machine_start");
	ck_assert_error(vcore_machine_run(NULL), -EINVAL, "vcore_machine_run");
	ck_assert_error(vcore_machine_fd(NULL), -EINVAL, "vcore_machine_fd");
	ck_assert_error(vcore_machine_next(NULL, &event), -EINVAL,
			"vcore_machine_next");
	ck_assert_error(vcore_machine_state(NULL), -EINVAL,
			"vcore_machine_state");
	ck_assert_error(vcore_machine_pause(NULL), -EINVAL,
			"vcore_machine_pause");
	ck_assert_error(vcore_machine_resume(NULL), -EINVAL,
			"vcore_machine_resume");
	ck_assert_error(vcore_machine_reset(NULL), -EINVAL,
			"vcore_machine_reset");
	ck_assert_error(vcore_machine_stop(NULL), -EINVAL,
			"vcore_machine_stop");
	vcore_machine_quit(NULL);
	vcore_machine_unref(NULL);
	ck_assert_ptr_null(vcore_machine_ref(NULL));
}
END_TEST

START_TEST(test_next_bad_event_returns_einval)
{
	struct vcore_machine *m = machine_new(NULL, 0);
	struct vcore_event event = { .size = 0 };

	ck_assert_error(vcore_machine_next(m, NULL), -EINVAL,
			"vcore_machine_next");
	ck_assert_error(vcore_machine_next(m, &event), -EINVAL,
			"vcore_machine_next");
	VCORE_INIT(&event);
	ck_assert_int_eq(vcore_machine_next(m, &event), 0);
	vcore_machine_unref(m);
}
END_TEST

static void
assert_not_running(struct vcore_machine *m)
{
	ck_assert_error(vcore_machine_pause(m), -EBUSY, "vcore_machine_pause");
	ck_assert_error(vcore_machine_resume(m), -EBUSY,
			"vcore_machine_resume");
	ck_assert_error(vcore_machine_reset(m), -EBUSY, "vcore_machine_reset");
}

/* Kicked by a signal that is blocked, or handled. */
static uint32_t
kicked_by(int with_handler)
{
	if (!with_handler)
		return 0;
	kvm_handle_kicks();
	return VCORE_MACHINE_SIGNAL_HANDLED;
}

START_TEST(test_start_without_the_handler_returns_einval)
{
	struct machine_guest guest = { MACHINE_GUEST(tight) };
	struct vcore_machine *m =
		machine_new(&guest, VCORE_MACHINE_SIGNAL_HANDLED);

	ck_assert_error(vcore_machine_start(m), -EINVAL,
			"vcore_machine_start: VCORE_MACHINE_SIGNAL_HANDLED");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_NEW);
	kvm_handle_kicks();
	ck_assert_ok(vcore_machine_start(m));
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_calls_in_the_wrong_state_return_ebusy)
{
	struct machine_guest guest = { MACHINE_GUEST(tight) };
	struct vcore_machine *m = machine_new(&guest, kicked_by(_i));

	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_NEW);
	assert_not_running(m);
	ck_assert_ok(vcore_machine_start(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_RUNNING);
	ck_assert_error(vcore_machine_start(m), -EBUSY, "vcore_machine_start");
	ck_assert_error(vcore_machine_resume(m), -EBUSY,
			"vcore_machine_resume");
	ck_assert_error(vcore_machine_add(m, "rng"), -EBUSY,
			"vcore_machine_add");
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_PAUSED);
	ck_assert_error(vcore_machine_pause(m), -EBUSY, "vcore_machine_pause");
	ck_assert_error(vcore_machine_start(m), -EBUSY, "vcore_machine_start");
	ck_assert_ok(vcore_machine_resume(m));
	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	assert_not_running(m);
	ck_assert_error(vcore_machine_start(m), -EBUSY, "vcore_machine_start");
	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_stop_of_a_new_machine_makes_it_off)
{
	struct vcore_machine *m = machine_new(NULL, 0);

	ck_assert_ok(vcore_machine_stop(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	ck_assert_error(vcore_machine_start(m), -EBUSY, "vcore_machine_start");
	ck_assert_error(vcore_machine_add(m, "rng"), -EBUSY,
			"vcore_machine_add");
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_power_off_ends_run_and_output_has_arrived)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = says_y_goes_off };
	struct vcore_machine *m = new_with_serial(&guest, 0);

	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	machine_wait_text(serial, "y");
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_guest_reset_boots_again)
{
	static const uint16_t resets[] = { POKE_SERIAL, 'r', POKE_RESET,
					   POKE_PULSE, POKE_END };
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = resets,
				       .pokes_again = says_y_goes_off };
	struct vcore_machine *m = new_with_serial(&guest, 0);

	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_uint_eq(guest.boots, 2);
	machine_wait_text(serial, "ry");
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_guest_reset_with_no_reboot_makes_it_off)
{
	static const uint16_t resets[] = { POKE_RESET, POKE_PULSE, POKE_END };
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = resets };
	struct vcore_machine *m = machine_new(&guest, VCORE_MACHINE_NO_REBOOT);

	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_uint_eq(guest.boots, 1);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_reset_forgets_what_the_guest_before_has_asked_for)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = resets_and_goes_off,
				       .pokes_again = says_x };
	struct vcore_machine *m = new_with_serial(&guest, 0);
	struct vcore_event event;

	ck_assert_ok(vcore_machine_start(m));
	machine_wait_text(serial, "x");
	machine_wait_event(m, VCORE_EVENT_RESET);
	VCORE_INIT(&event);
	ck_assert_int_eq(vcore_machine_next(m, &event), 0);
	machine_wait_text(serial, "x");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_RUNNING);
	ck_assert_uint_eq(guest.boots, 2);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_reset_asked_before_a_pause_happens_in_it)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = resets_and_goes_off,
				       .pokes_again = says_y_goes_off };
	struct vcore_machine *m = new_with_serial(&guest, 0);

	ck_assert_ok(vcore_machine_start(m));
	machine_wait_text(serial, "x");
	ck_assert_ok(vcore_machine_pause(m));
	machine_wait_event(m, VCORE_EVENT_RESET);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_PAUSED);
	ck_assert_uint_eq(guest.boots, 2);
	ck_assert_ok(vcore_machine_resume(m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	machine_wait_text(serial, "y");
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_power_off_asked_before_a_pause_happens_in_it)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = says_y_goes_off };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct pollfd p = { .events = POLLIN };

	ck_assert_ok(vcore_machine_start(m));
	p.fd = vcore_machine_fd(m);
	ck_assert_int_eq(poll(&p, 1, 30000), 1);
	ck_assert_ok(vcore_machine_pause(m));
	machine_wait_event(m, VCORE_EVENT_POWEROFF);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_reset_by_the_embedder_keeps_it_running_or_paused)
{
	struct machine_guest guest = { MACHINE_GUEST(count) };
	struct vcore_machine *m = machine_new(&guest, kicked_by(_i));

	ck_assert_ok(vcore_machine_start(m));
	ck_assert_ok(vcore_machine_reset(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_RUNNING);
	machine_wait_data(m, machine_data(m));
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_ok(vcore_machine_reset(m));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_PAUSED);
	ck_assert_ok(vcore_machine_resume(m));
	machine_wait_data(m, machine_data(m));
	ck_assert_uint_eq(guest.boots, 3);
	vcore_machine_unref(m);
}
END_TEST

static int
boot_fails_later(void *opaque, struct vcore_machine *m)
{
	struct machine_guest *guest = opaque;

	return guest->boots == 0 ? machine_boot(opaque, m) : -ENODATA;
}

START_TEST(test_reset_that_cannot_boot_returns_eio_and_makes_it_off)
{
	struct machine_guest guest = { MACHINE_GUEST(tight) };
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, &guest);
	opts.boot = boot_fails_later;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_ok(vcore_machine_start(m));
	ck_assert_error(vcore_machine_reset(m), -EIO, "vcore_machine_reset");
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "boot()"));
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_guest_reset_that_cannot_boot_returns_eio_from_run)
{
	static const uint16_t resets[] = { POKE_RESET, POKE_PULSE, POKE_END };
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = resets };
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, &guest);
	opts.boot = boot_fails_later;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_error(vcore_machine_run(m), -EIO, "vcore_machine_run");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_start_that_cannot_boot_leaves_it_new)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes), .boots = 1,
				       .pokes = says_y_goes_off };
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, &guest);
	opts.boot = boot_fails_later;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_error(vcore_machine_start(m), -ENODATA,
			"vcore_machine_start");
	ck_assert_error(vcore_machine_run(m), -ENODATA, "vcore_machine_run");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_NEW);
	ck_assert_ok(vcore_machine_add(m, "rng"));
	guest.boots = 0;
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_paused_guest_stands_still)
{
	struct machine_guest guest = { MACHINE_GUEST(count) };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_regs regs;
	uint32_t before;

	ck_assert_ok(vcore_machine_start(m));
	machine_wait_data(m, machine_data(m));
	for (int round = 0; round < 20; round++) {
		ck_assert_ok(vcore_machine_pause(m));
		before = machine_data(m);
		/* Registers may be looked at while nobody runs the vCPU. */
		for (int i = 0; i < 100; i++) {
			ck_assert_ok(vcore_vcpu_get_regs(
				vcore_machine_vcpu(m, 0), &regs));
			ck_assert_uint_eq(machine_data(m), before);
		}
		ck_assert_ok(vcore_machine_resume(m));
		machine_wait_data(m, before);
	}
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_quit_before_start_stops_at_once)
{
	struct machine_guest guest = { MACHINE_GUEST(tight) };
	struct vcore_machine *m = machine_new(&guest, 0);

	vcore_machine_quit(m);
	vcore_machine_quit(m);
	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

static struct vcore_machine *quit_in_handler;

static void
on_signal(int sig)
{
	(void)sig;
	vcore_machine_quit(quit_in_handler);
}

static void *
send_when_running(void *opaque)
{
	machine_wait_data(opaque, 0);
	kill(getpid(), SIGUSR1);
	return NULL;
}

START_TEST(test_quit_in_a_signal_handler_ends_run)
{
	struct machine_guest guest = { MACHINE_GUEST(count) };
	struct vcore_machine *m = machine_new(&guest, 0);
	pthread_t thread;

	quit_in_handler = m;
	signal(SIGUSR1, on_signal);
	pthread_create(&thread, NULL, send_when_running, m);
	ck_assert_int_eq(vcore_machine_run(m), 0);
	pthread_join(thread, NULL);
	vcore_machine_unref(m);
}
END_TEST

/* More than the queue of any machine holds. */
static void
flood(struct vcore_machine *m)
{
	struct vcore_event event;
	uint32_t lost = 0;

	VCORE_INIT(&event);
	for (uint32_t i = 0; i < 4097; i++) {
		event.kind = VCORE_EVENT_USER + i;
		if (vcore_events_post(vcore_machine_events(m), &event) < 0)
			lost++;
	}
	ck_assert_uint_gt(lost, 0);
}

START_TEST(test_quit_with_a_full_queue_stops)
{
	struct machine_guest guest = { MACHINE_GUEST(tight) };
	struct vcore_machine *m = machine_new(&guest, 0);

	flood(m);
	vcore_machine_quit(m);
	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_reset_and_power_off_come_through_a_full_queue)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = resets_and_goes_off,
				       .pokes_again = says_y_goes_off };
	struct vcore_machine *m = new_with_serial(&guest, 0);

	flood(m);
	ck_assert_ok(vcore_machine_start(m));
	machine_wait_text(serial, "x");
	ck_assert_int_eq(vcore_machine_run(m), 0);
	ck_assert_uint_eq(guest.boots, 2);
	vcore_machine_unref(m);
}
END_TEST

/* In a callback nothing that waits works, and nothing is broken by it. */
static void
try_all(struct vcore_machine *m)
{
	struct vcore_event event;

	VCORE_INIT(&event);
	ck_assert_error(vcore_machine_start(m), -EDEADLK,
			"vcore_machine_start");
	ck_assert_error(vcore_machine_run(m), -EDEADLK, "vcore_machine_run");
	ck_assert_error(vcore_machine_next(m, &event), -EDEADLK,
			"vcore_machine_next");
	ck_assert_error(vcore_machine_pause(m), -EDEADLK,
			"vcore_machine_pause");
	ck_assert_error(vcore_machine_resume(m), -EDEADLK,
			"vcore_machine_resume");
	ck_assert_error(vcore_machine_reset(m), -EDEADLK,
			"vcore_machine_reset");
	ck_assert_error(vcore_machine_stop(m), -EDEADLK, "vcore_machine_stop");
	ck_assert_error(vcore_machine_add(m, "rng"), -EDEADLK,
			"vcore_machine_add");
}

static void
on_loop(void *opaque)
{
	try_all(opaque);
	vcore_machine_quit(opaque);
}

START_TEST(test_in_a_loop_callback_only_quit_works)
{
	struct machine_guest guest = { MACHINE_GUEST(tight) };
	struct vcore_machine *m = machine_new(&guest, 0);

	ck_assert_ok(vcore_loop_call(vcore_machine_loop(m, 0), on_loop, m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_machine_unref(m);
}
END_TEST

static int
handler_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	     struct vcore_access *later)
{
	(void)off;
	(void)len;
	(void)later;
	on_loop(opaque);
	*val = 0;
	return 0;
}

static int
no_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	 struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)val;
	(void)later;
	return 0;
}

static struct vcore_range *
add_handler(struct vcore_machine *m,
	    int (*read)(void *, uint64_t, uint32_t, uint64_t *,
			struct vcore_access *), void *opaque)
{
	struct vcore_bus_ops ops = { .size = sizeof(ops), .read = read,
				     .write = no_write };
	struct vcore_range_opts opts;
	struct vcore_range *range = NULL;

	VCORE_INIT(&opts);
	opts.base = GUEST_PORT;
	opts.len = 4;
	opts.ops = &ops;
	opts.opaque = opaque;
	ck_assert_ok(vcore_bus_add(vcore_machine_bus(m, VCORE_BUS_PIO), &opts,
				   &range));
	return range;
}

static const uint16_t reads_port[] = { POKE_READ, GUEST_PORT, POKE_END };

START_TEST(test_in_a_vcpu_handler_only_quit_works)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = reads_port };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_range *range = add_handler(m, handler_read, m);

	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_range_remove(range);
	vcore_machine_unref(m);
}
END_TEST

static int
boot_tries(void *opaque, struct vcore_machine *m)
{
	try_all(m);
	return machine_boot(opaque, m);
}

START_TEST(test_in_boot_nothing_that_waits_works)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = says_y_goes_off };
	struct vcore_machine *m = NULL;
	struct vcore_machine_opts opts;

	machine_opts(&opts, &guest);
	opts.boot = boot_tries;
	ck_assert_ok(vcore_machine_new(&opts, &m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_machine_unref(m);
}
END_TEST

static struct vcore_access *_Atomic owed;

static int
never_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	   struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)val;
	owed = later;
	return -EINPROGRESS;
}

/* A vCPU waits for an answer that only comes when the machine is gone. */
START_TEST(test_stop_with_an_access_owed_does_not_wait_for_it)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = reads_port };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_range *range = add_handler(m, never_read, NULL);

	ck_assert_ok(vcore_machine_start(m));
	while (owed == NULL)
		sched_yield();
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_ok(vcore_machine_resume(m));
	ck_assert_ok(vcore_machine_stop(m));
	vcore_range_remove(range);
	vcore_machine_unref(m);
	vcore_access_done(owed, 5);
}
END_TEST

START_TEST(test_reset_with_an_access_owed_boots_again)
{
	struct machine_guest guest = { MACHINE_GUEST(pokes),
				       .pokes = reads_port,
				       .pokes_again = says_y_goes_off };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct vcore_range *range = add_handler(m, never_read, NULL);

	ck_assert_ok(vcore_machine_start(m));
	while (owed == NULL)
		sched_yield();
	ck_assert_ok(vcore_machine_reset(m));
	ck_assert_int_eq(vcore_machine_run(m), 0);
	vcore_access_done(owed, 5);
	vcore_range_remove(range);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_unref_of_a_running_machine_stops_it)
{
	struct machine_guest guest = { MACHINE_GUEST(count) };
	struct vcore_machine *m;
	int threads = 0;

	/* The first round: sanitizers start threads of their own. */
	for (int round = 0; round < 2; round++) {
		m = machine_new(&guest, 0);
		ck_assert_ok(vcore_machine_start(m));
		machine_wait_data(m, machine_data(m));
		ck_assert_ptr_eq(vcore_machine_ref(m), m);
		vcore_machine_unref(m);
		ck_assert_int_eq(vcore_machine_state(m),
				 VCORE_MACHINE_RUNNING);
		vcore_machine_unref(m);
		if (round == 0)
			threads = machine_threads();
	}
	machine_wait_threads(threads);
}
END_TEST

static void
unref_on_loop(void *opaque)
{
	vcore_machine_unref(opaque);
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "callback"));
	vcore_machine_quit(opaque);
}

START_TEST(test_last_unref_in_a_callback_is_refused)
{
	struct machine_guest guest = { MACHINE_GUEST(tight) };
	struct vcore_machine *m = machine_new(&guest, 0);
	struct pollfd p = { .fd = vcore_machine_fd(m), .events = POLLIN };

	ck_assert_ok(vcore_loop_call(vcore_machine_loop(m, 0), unref_on_loop,
				     m));
	ck_assert_ok(vcore_machine_start(m));
	ck_assert_int_eq(poll(&p, 1, 30000), 1);
	machine_wait_event(m, VCORE_EVENT_STOP);
	vcore_machine_unref(m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("control");
	TCase *tc = tcase_create("control");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_null_machine_returns_einval);
	tcase_add_test(tc, test_next_bad_event_returns_einval);
	tcase_add_test(tc, test_start_without_the_handler_returns_einval);
	tcase_add_loop_test(tc, test_calls_in_the_wrong_state_return_ebusy, 0, 2);
	tcase_add_test(tc, test_stop_of_a_new_machine_makes_it_off);
	tcase_add_test(tc, test_power_off_ends_run_and_output_has_arrived);
	tcase_add_test(tc, test_guest_reset_boots_again);
	tcase_add_test(tc, test_guest_reset_with_no_reboot_makes_it_off);
	tcase_add_test(tc,
		       test_reset_forgets_what_the_guest_before_has_asked_for);
	tcase_add_test(tc, test_reset_asked_before_a_pause_happens_in_it);
	tcase_add_test(tc, test_power_off_asked_before_a_pause_happens_in_it);
	tcase_add_loop_test(tc, test_reset_by_the_embedder_keeps_it_running_or_paused, 0, 2);
	tcase_add_test(tc,
		       test_reset_that_cannot_boot_returns_eio_and_makes_it_off);
	tcase_add_test(tc,
		       test_guest_reset_that_cannot_boot_returns_eio_from_run);
	tcase_add_test(tc, test_start_that_cannot_boot_leaves_it_new);
	tcase_add_test(tc, test_paused_guest_stands_still);
	tcase_add_test(tc, test_quit_before_start_stops_at_once);
	tcase_add_test(tc, test_quit_in_a_signal_handler_ends_run);
	tcase_add_test(tc, test_quit_with_a_full_queue_stops);
	tcase_add_test(tc, test_reset_and_power_off_come_through_a_full_queue);
	tcase_add_test(tc, test_in_a_loop_callback_only_quit_works);
	tcase_add_test(tc, test_in_a_vcpu_handler_only_quit_works);
	tcase_add_test(tc, test_in_boot_nothing_that_waits_works);
	tcase_add_test(tc, test_stop_with_an_access_owed_does_not_wait_for_it);
	tcase_add_test(tc, test_reset_with_an_access_owed_boots_again);
	tcase_add_test(tc, test_unref_of_a_running_machine_stops_it);
	tcase_add_test(tc, test_last_unref_in_a_callback_is_refused);
	suite_add_tcase(suite, tc);
	return machine_tests_run(suite);
}
