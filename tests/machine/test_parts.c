/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine and a device that takes its time to stop. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <sched.h>

#include "machine/machine.h"
#include "support/machine.h"

#define SHORT_NS 50000000u
#define RING     0x20000u

/* A device with one queue; a stop is complete when the test says so. */
struct slow {
	struct vcore_virtio *virtio;
	struct vcore_done *_Atomic done;
	_Atomic uint32_t how, starts, stops, resets, releases;
	_Atomic bool quick;		/* stops at once */
};

static struct vcore_machine *m;
static struct slow slow;
static struct machine_guest counting = { MACHINE_GUEST(count) };

static int
slow_start(void *opaque, struct vcore_virtqueue *q)
{
	struct slow *s = opaque;

	(void)q;
	s->starts++;
	return 0;
}

static void
slow_kick(void *opaque, struct vcore_virtqueue *q)
{
	(void)opaque;
	(void)q;
}

static void
slow_stop(void *opaque, struct vcore_virtqueue *q, uint32_t how,
	  struct vcore_done *done)
{
	struct slow *s = opaque;

	(void)q;
	s->how = how;
	s->stops++;
	if (s->quick)
		vcore_done_call(done, 0);
	else
		s->done = done;
}

static void
slow_reset(void *opaque)
{
	((struct slow *)opaque)->resets++;
}

static void
slow_release(void *opaque)
{
	((struct slow *)opaque)->releases++;
}

static const struct vcore_virtio_ops slow_ops = {
	.size = sizeof(slow_ops), .type = 4, .queues = 1,
	.queue_start = slow_start, .queue_kick = slow_kick,
	.queue_stop = slow_stop, .reset = slow_reset,
};

static void
reg(uint32_t off, uint32_t value)
{
	ck_assert_ok(vcore_bus_write(vcore_machine_bus(m, VCORE_BUS_MMIO),
				     VCORE__LAYOUT_VIRTIO + off, 4, value));
}

static uint32_t
status(void)
{
	uint64_t value = 0;

	ck_assert_ok(vcore_bus_read(vcore_machine_bus(m, VCORE_BUS_MMIO),
				    VCORE__LAYOUT_VIRTIO + VIRTIO_MMIO_STATUS,
				    4, &value));
	return (uint32_t)value;
}

/* What a driver does, from outside; the queue is served when this returns. */
static void
drive(void)
{
	uint32_t begin = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint32_t starts = slow.starts;

	reg(VIRTIO_MMIO_STATUS, begin);
	reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg(VIRTIO_MMIO_DRIVER_FEATURES, 1);	/* VERSION_1 */
	begin |= VIRTIO_CONFIG_S_FEATURES_OK;
	reg(VIRTIO_MMIO_STATUS, begin);
	reg(VIRTIO_MMIO_QUEUE_NUM, 8);
	reg(VIRTIO_MMIO_QUEUE_DESC_LOW, RING);
	reg(VIRTIO_MMIO_QUEUE_AVAIL_LOW, RING + 0x1000);
	reg(VIRTIO_MMIO_QUEUE_USED_LOW, RING + 0x2000);
	reg(VIRTIO_MMIO_QUEUE_READY, 1);
	reg(VIRTIO_MMIO_STATUS, begin | VIRTIO_CONFIG_S_DRIVER_OK);
	while (slow.starts == starts)
		sched_yield();
}

static void
setup(void)
{
	struct vcore_virtio_opts opts;
	struct vcore_attach_opts attach;

	m = machine_new(&counting, 0);
	m->stop_ns = SHORT_NS;
	memset(&slow, 0, sizeof(slow));
	VCORE_INIT(&opts);
	opts.ops = &slow_ops;
	opts.opaque = &slow;
	opts.release = slow_release;
	memcpy(opts.name, "slow", 5);
	ck_assert_ok(vcore_virtio_new(&opts, &slow.virtio));
	VCORE_INIT(&attach);
	attach.transport = VCORE_TRANSPORT_MMIO;
	ck_assert_ok(vcore_machine_attach(m, slow.virtio, &attach));
	ck_assert_ok(vcore_machine_start(m));
	drive();
}

static void
wait_stop_call(void)
{
	while (slow.done == NULL)
		sched_yield();
}

/* The stop that is owed ends, from this thread. */
static void
finish_stop(void)
{
	wait_stop_call();
	vcore_done_call(atomic_exchange(&slow.done, NULL), 0);
}

START_TEST(test_pause_drains_and_resume_starts_again)
{
	slow.quick = true;
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_uint_eq(slow.how, VCORE_VIRTIO_STOP_DRAIN);
	ck_assert_uint_eq(slow.stops, 1);
	ck_assert_uint_eq(slow.starts, 1);
	ck_assert_ok(vcore_machine_resume(m));
	while (slow.starts != 2)
		sched_yield();
	ck_assert_uint_eq(slow.resets, 0);
	ck_assert_ok(vcore_machine_stop(m));
	vcore_machine_unref(m);
	vcore_virtio_unref(slow.virtio);
	ck_assert_uint_eq(slow.releases, 1);
}
END_TEST

START_TEST(test_pause_that_takes_too_long_runs_on)
{
	uint32_t seen;

	ck_assert_error(vcore_machine_pause(m), -ETIMEDOUT,
			"vcore_machine_pause: 'slow'");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_RUNNING);
	seen = machine_data(m);
	machine_wait_data(m, seen);
	/* The late stop starts the queue again. */
	slow.quick = true;
	finish_stop();
	while (slow.starts != 2)
		sched_yield();
	ck_assert_ok(vcore_machine_pause(m));
	ck_assert_ok(vcore_machine_stop(m));
	vcore_machine_unref(m);
	vcore_virtio_unref(slow.virtio);
}
END_TEST

START_TEST(test_reset_drops_and_the_device_is_new)
{
	slow.quick = true;
	ck_assert_uint_ne(status(), 0);
	ck_assert_ok(vcore_machine_reset(m));
	ck_assert_uint_eq(slow.how, VCORE_VIRTIO_STOP_DROP);
	ck_assert_uint_ge(slow.resets, 1);
	ck_assert_uint_eq(status(), 0);
	drive();
	vcore_machine_unref(m);
	vcore_virtio_unref(slow.virtio);
}
END_TEST

START_TEST(test_reset_that_takes_too_long_makes_it_off)
{
	ck_assert_error(vcore_machine_reset(m), -EIO,
			"vcore_machine_reset: cannot boot again");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	finish_stop();
	vcore_machine_unref(m);
	vcore_virtio_unref(slow.virtio);
	ck_assert_uint_eq(slow.releases, 1);
}
END_TEST

START_TEST(test_stop_that_takes_too_long_names_the_device)
{
	ck_assert_error(vcore_machine_stop(m), -ETIMEDOUT,
			"vcore_machine_stop: 'slow'");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	ck_assert_ok(vcore_machine_stop(m));
	finish_stop();
	vcore_machine_unref(m);
	vcore_virtio_unref(slow.virtio);
	ck_assert_uint_eq(slow.releases, 1);
}
END_TEST

/* The device outlives its machine, and is freed by its late answer. */
START_TEST(test_device_that_stops_after_the_machine_is_gone)
{
	vcore_virtio_unref(slow.virtio);
	vcore_machine_unref(m);
	ck_assert_uint_eq(slow.releases, 0);
	finish_stop();
	ck_assert_uint_eq(slow.releases, 1);
}
END_TEST

START_TEST(test_power_off_that_takes_too_long_is_told_by_next)
{
	struct vcore_event event;

	VCORE_INIT(&event);
	vcore_machine_quit(m);
	ck_assert_error(vcore_machine_next(m, &event), -ETIMEDOUT,
			"vcore_machine_next: 'slow'");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	finish_stop();
	vcore_machine_unref(m);
	vcore_virtio_unref(slow.virtio);
}
END_TEST

/* A handler that does not return: nothing gets that vCPU out. */
static _Atomic bool stuck, let_go;

static int
stuck_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	   struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	stuck = true;
	while (!let_go)
		sched_yield();
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

START_TEST(test_pause_and_reset_with_a_stuck_vcpu_time_out)
{
	static const uint16_t reads[] = { POKE_READ, GUEST_PORT, POKE_END };
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = stuck_read, .write = no_write,
	};
	struct machine_guest guest = { MACHINE_GUEST(pokes), .pokes = reads };
	struct vcore_machine *other = machine_new(&guest, 0);
	struct vcore_range_opts opts;
	struct vcore_range *range = NULL;

	VCORE_INIT(&opts);
	opts.base = GUEST_PORT;
	opts.len = 1;
	opts.ops = &ops;
	ck_assert_ok(vcore_bus_add(vcore_machine_bus(other, VCORE_BUS_PIO),
				   &opts, &range));
	other->stop_ns = SHORT_NS;
	ck_assert_ok(vcore_machine_start(other));
	while (!stuck)
		sched_yield();
	ck_assert_error(vcore_machine_pause(other), -ETIMEDOUT,
			"vcore_machine_pause: vCPU 0");
	ck_assert_error(vcore_machine_reset(other), -ETIMEDOUT,
			"vcore_machine_reset: vCPU 0");
	ck_assert_int_eq(vcore_machine_state(other), VCORE_MACHINE_RUNNING);
	let_go = true;
	ck_assert_ok(vcore_machine_stop(other));
	vcore_range_remove(range);
	vcore_machine_unref(other);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("parts");
	TCase *tc = tcase_create("parts");
	TCase *alone = tcase_create("alone");

	if (machine_tests_begin() != 0)
		return KVM_SKIPPED;
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_pause_drains_and_resume_starts_again);
	tcase_add_test(tc, test_pause_that_takes_too_long_runs_on);
	tcase_add_test(tc, test_reset_drops_and_the_device_is_new);
	tcase_add_test(tc, test_reset_that_takes_too_long_makes_it_off);
	tcase_add_test(tc, test_stop_that_takes_too_long_names_the_device);
	tcase_add_test(tc, test_device_that_stops_after_the_machine_is_gone);
	tcase_add_test(tc, test_power_off_that_takes_too_long_is_told_by_next);
	suite_add_tcase(suite, tc);
	tcase_add_test(alone, test_pause_and_reset_with_a_stuck_vcpu_time_out);
	suite_add_tcase(suite, alone);
	return machine_tests_run(suite);
}
