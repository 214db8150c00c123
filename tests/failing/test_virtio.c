/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: virtio devices, their places, stops and starts. */
#include <errno.h>
#include <linux/virtio_config.h>

#include <vcore/block.h>
#include <vcore/console.h>
#include <vcore/net.h>
#include <vcore/rng.h>

#include "base/base.h"
#include "support/echo.h"
#include "support/fake_disk.h"
#include "support/fake_link.h"
#include "support/fake_stream.h"
#include "support/vdriver.h"
#include "support/walk.h"

static struct vdriver_env env;
static struct vdriver driver;
static struct vcore_virtio *virtio;
static struct fake_disk disk;
static struct fake_link link_;
static struct fake_stream stream;
static uint32_t released;

static void
on_release(void *opaque)
{
	(void)opaque;
	released++;
}

static void
check_not_released(bool done)
{
	(void)done;
	ck_assert_uint_eq(released, 0);
}

static void
unref(void)
{
	vcore_virtio_unref(virtio);
}

static int
new_virtio(void)
{
	struct vcore_virtio_opts o;
	static struct echo echo;

	VCORE_INIT(&o);
	o.ops = &echo_ops;
	o.opaque = &echo;
	o.release = on_release;
	released = 0;
	return vcore_virtio_new(&o, &virtio);
}

static void
with_disk(void)
{
	fake_disk_init(&disk, 1 << 20);
}

static void
without_disk(void)
{
	fake_disk_fini(&disk);
}

static int
new_block(void)
{
	struct vcore_block_opts o;

	VCORE_INIT(&o);
	o.queues = 2;
	return vcore_block_new(disk.disk, &o, &virtio);
}

static void
with_link(void)
{
	fake_link_init(&link_, 0, 2);
}

static void
without_link(void)
{
	fake_link_fini(&link_);
}

static int
new_net(void)
{
	struct vcore_net_opts o;

	VCORE_INIT(&o);
	o.pairs = 2;
	return vcore_net_new(link_.link, &o, &virtio);
}

static void
with_stream(void)
{
	fake_stream_init(&stream);
}

static void
without_stream(void)
{
	fake_stream_fini(&stream);
}

static int
new_console(void)
{
	const struct vcore_console_port ports[2] = {
		{ .stream = stream.stream, .flags = VCORE_CONSOLE_PORT_CONSOLE },
		{ .name = "other" },
	};
	struct vcore_console_opts o;

	VCORE_INIT(&o);
	o.ports = ports;
	o.port_count = 2;
	o.cols = 100;
	o.rows = 30;
	return vcore_console_new(&o, &virtio);
}

static void
with_console(void)
{
	with_stream();
	ck_assert_ok(new_console());
}

static void
without_console(void)
{
	unref();
	without_stream();
}

static int
resize(void)
{
	return vcore_console_resize(virtio, 0, 80, 25);
}

static int
new_rng(void)
{
	struct vcore_rng_opts o;

	VCORE_INIT(&o);
	o.release = on_release;
	released = 0;
	return vcore_rng_new(&o, &virtio);
}

/* A device with a disk in a world: not attached. */
static void
with_device(void)
{
	vdriver_env_init(&env, VDRIVER_THREAD);
	with_disk();
	ck_assert_ok(new_block());
}

static void
without_device(void)
{
	vdriver_run(&env);
	unref();
	without_disk();
	vdriver_env_fini(&env);
}

static int
set_env(void)
{
	struct vcore_virtio_env e;

	VCORE_INIT(&e);
	e.memory = env.memory;
	e.loops = &env.loop;
	e.loop_count = 1;
	e.events = env.events;
	return vcore_virtio_set_env(virtio, &e);
}

static void
with_env(void)
{
	with_device();
	ck_assert_ok(set_env());
}

static int
attach_mmio(void)
{
	return vcore_virtio_attach_mmio(virtio, env.bus, VDRIVER_MMIO_BASE,
					env.line);
}

static int
attach_pci(void)
{
	return vcore_virtio_attach_pci(virtio, env.pci, 0);
}

static void
without_attached(void)
{
	ck_assert_ok(vcore_virtio_detach(virtio, 0));
	without_device();
}

/* A running device, whose one queue has a request in it. */
static void
running(enum vdriver_transport kind)
{
	struct vdriver_buf bufs[2];

	with_device();
	vdriver_attach(&driver, &env, virtio, kind);
	vdriver_up(&driver, 2, 64);
	disk.hold = true;
	bufs[0] = (struct vdriver_buf){ vdriver_alloc(&env, 16, 16), 16,
					false };
	bufs[1] = (struct vdriver_buf){ vdriver_alloc(&env, 513, 16), 513,
					true };
	(void)vdriver_add(&driver.queue[0], bufs, 2);
	vdriver_kick(&driver.queue[0]);
	vdriver_run(&env);
	while (fake_disk_held(&disk) == 0)
		sched_yield();
}

static void
running_mmio(void)
{
	running(VDRIVER_MMIO);
}

static void
running_pci(void)
{
	running(VDRIVER_PCI);
}

static int
config_changed(void)
{
	return vcore_virtio_config_changed(virtio);
}

static int
detach(void)
{
	return vcore_virtio_detach(virtio, 0);
}

/* A device that could not be detached still has its request. */
static void
check_detach(bool done)
{
	ck_assert_uint_eq(fake_disk_held(&disk), !done);
}

static void
after_detach(void)
{
	disk.hold = false;
	without_device();
}

static int
stop(void)
{
	return vcore_virtio_stop(virtio, VCORE_VIRTIO_STOP_DROP, 0);
}

static void
after_running(void)
{
	disk.hold = false;
	vdriver_detach(&driver);
	without_device();
}

static void
stopped(void)
{
	with_device();
	vdriver_attach(&driver, &env, virtio, VDRIVER_MMIO);
	vdriver_up(&driver, 2, 64);
	ck_assert_ok(vcore_virtio_stop(virtio, VCORE_VIRTIO_STOP_DRAIN, 0));
}

static int
start(void)
{
	return vcore_virtio_start(virtio);
}

static void
check_started(bool done)
{
	vdriver_run(&env);
	ck_assert_uint_eq(disk.attaches - disk.detaches, done ? 2 : 0);
}

static const struct walk device_cases[] = {
	{ WALK(vcore_virtio_new), .call = new_virtio,
	  .check = check_not_released, .undo = unref, .least = 1 },
	{ WALK(vcore_block_new), .before = with_disk, .call = new_block,
	  .undo = unref, .after = without_disk, .least = 1 },
	{ WALK(vcore_net_new), .before = with_link, .call = new_net,
	  .undo = unref, .after = without_link, .least = 1 },
	{ WALK(vcore_console_new), .before = with_stream,
	  .call = new_console, .undo = unref, .after = without_stream,
	  .least = 1 },
	{ WALK(vcore_console_resize), .before = with_console,
	  .call = resize, .after = without_console },
	{ WALK(vcore_rng_new), .call = new_rng, .check = check_not_released,
	  .undo = unref, .least = 1 },
};

static const struct walk place_cases[] = {
	{ WALK(vcore_virtio_set_env), .before = with_device,
	  .call = set_env, .after = without_device, .least = 1 },
	{ WALK(vcore_virtio_attach_mmio), .before = with_env,
	  .call = attach_mmio, .after = without_attached, .least = 1 },
	{ WALK(vcore_virtio_attach_pci), .before = with_env,
	  .call = attach_pci, .after = without_attached, .least = 1 },
	{ WALK(vcore_virtio_config_changed), .before = running_mmio,
	  .call = config_changed, .after = after_running },
	{ WALK(vcore_virtio_config_changed), .before = running_pci,
	  .call = config_changed, .after = after_running },
	{ WALK(vcore_virtio_detach), .before = running_mmio,
	  .call = detach, .check = check_detach, .after = after_detach,
	  .least = 1 },
	{ WALK(vcore_virtio_detach), .before = running_pci,
	  .call = detach, .check = check_detach, .after = after_detach,
	  .least = 1 },
	{ WALK(vcore_virtio_stop), .before = running_mmio, .call = stop,
	  .check = check_detach, .after = after_running, .least = 1 },
	{ WALK(vcore_virtio_start), .before = stopped, .call = start,
	  .check = check_started, .after = after_running },
};

START_TEST(test_devices_with_each_call_failing)
{
	walk(device_cases, VCORE__ARRAY_SIZE(device_cases));
}
END_TEST

START_TEST(test_places_with_each_call_failing)
{
	walk(place_cases, VCORE__ARRAY_SIZE(place_cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/virtio");
	TCase *t = tcase_create("virtio");

	tcase_add_test(t, test_devices_with_each_call_failing);
	tcase_add_test(t, test_places_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
