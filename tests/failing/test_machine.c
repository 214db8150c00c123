/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failures walked: machines, their devices and their states, on a fake KVM.
 * Calls that fail for the vCPUs' and the loops' own threads are not among
 * them: what those do is told as an event.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vcore/machine.h>
#include <vcore/rng.h>

#include "base/base.h"
#include "support/walk.h"

static struct fake_kvm fake;
static struct vcore_machine_opts opts;
static struct vcore_machine *machine;
static struct vcore_virtio *rng;
static const char *recipe;
static char block[64];
static int file;

/* Guests that do nothing. */
static int
run_idle(struct fake_kvm *f, struct kvm_run *run)
{
	(void)f;
	(void)run;
	sched_yield();
	return -EINTR;
}

static void
with_host(uint32_t irqchip)
{
	VCORE_INIT(&opts);
	opts.memory = 1 << 20;
	opts.cpus = 2;
	opts.irqchip = irqchip;
	opts.host = fake_kvm_host(&fake);
	ck_assert_ok(vcore_stream_new_ring(64, &opts.serial));
}

static void
with_kernel_chip(void)
{
	with_host(VCORE_VM_IRQCHIP_KERNEL);
}

static void
with_split_chip(void)
{
	with_host(VCORE_VM_IRQCHIP_SPLIT);
	opts.flags = VCORE_MACHINE_SHARED_MEMORY;
}

static void
without_host(void)
{
	vcore_stream_unref(opts.serial);
	vcore_host_unref(opts.host);
}

static int
new_machine(void)
{
	return vcore_machine_new(&opts, &machine);
}

static void
unref_machine(void)
{
	vcore_machine_unref(machine);
}

static void
with_machine(void)
{
	with_kernel_chip();
	ck_assert_ok(new_machine());
}

static void
without_machine(void)
{
	unref_machine();
	without_host();
}

static void
check_device(bool done)
{
	ck_assert_int_eq(vcore_machine_device(machine, 0) != NULL, done);
	ck_assert_int_eq(vcore_machine_state(machine), VCORE_MACHINE_NEW);
}

static int
add(void)
{
	return vcore_machine_add(machine, recipe);
}

static void
with_rng(void)
{
	with_machine();
	recipe = "rng";
}

static void
with_rng_mmio(void)
{
	with_machine();
	recipe = "rng,transport=mmio";
}

static void
with_console(void)
{
	with_machine();
	recipe = "console,transport=mmio,stream=null,port1=pty,name1=x";
}

static void
with_block(void)
{
	with_machine();
	file = memfd_create("walk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(file, 4096), 0);
	snprintf(block, sizeof(block), "block,fd=%d", file);
	recipe = block;
}

static void
without_block(void)
{
	without_machine();
	close(file);
}

static void
with_device(void)
{
	with_machine();
	ck_assert_ok(vcore_rng_new(NULL, &rng));
}

static void
without_device(void)
{
	vcore_virtio_unref(rng);
	without_machine();
}

static int
attach(void)
{
	return vcore_machine_attach(machine, rng, NULL);
}

static int
no_disk(void *opaque, struct vcore_recipe *r, struct vcore_disk **disk)
{
	(void)opaque;
	(void)r;
	(void)disk;
	return -EIO;
}

static int
no_link(void *opaque, struct vcore_recipe *r, struct vcore_link **link)
{
	(void)opaque;
	(void)r;
	(void)link;
	return -EIO;
}

static int
add_disk_kind(void)
{
	return vcore_machine_add_disk_kind(machine, "x", no_disk, NULL);
}

static int
add_link_kind(void)
{
	return vcore_machine_add_link_kind(machine, "x", no_link, NULL);
}

/* A machine with a device that runs, is paused, is to be started. */
static void
startable(void)
{
	with_machine();
	ck_assert_ok(vcore_machine_add(machine, "rng,transport=mmio"));
}

static int
start(void)
{
	return vcore_machine_start(machine);
}

static void
check_start(bool done)
{
	ck_assert_int_eq(vcore_machine_state(machine),
			 done ? VCORE_MACHINE_RUNNING : VCORE_MACHINE_NEW);
}

static void
running(void)
{
	startable();
	ck_assert_ok(start());
}

static int
pause_it(void)
{
	return vcore_machine_pause(machine);
}

static void
check_pause(bool done)
{
	ck_assert_int_eq(vcore_machine_state(machine),
			 done ? VCORE_MACHINE_PAUSED : VCORE_MACHINE_RUNNING);
}

static void
paused(void)
{
	running();
	ck_assert_ok(pause_it());
}

static int
resume(void)
{
	return vcore_machine_resume(machine);
}

static void
check_resume(bool done)
{
	check_pause(!done);
}

static int
reset(void)
{
	return vcore_machine_reset(machine);
}

/* What can't boot again is off. */
static void
check_reset(bool done)
{
	ck_assert_int_eq(vcore_machine_state(machine),
			 done ? VCORE_MACHINE_RUNNING : VCORE_MACHINE_OFF);
}

static int
stop(void)
{
	return vcore_machine_stop(machine);
}

static void
check_stop(bool done)
{
	(void)done;
	ck_assert_int_eq(vcore_machine_state(machine), VCORE_MACHINE_OFF);
}

static int
next(void)
{
	struct vcore_event event;

	VCORE_INIT(&event);
	vcore_machine_quit(machine);
	return vcore_machine_next(machine, &event);
}

/* A machine that is asked to stop before it starts. */
static void
to_be_stopped(void)
{
	startable();
	vcore_machine_quit(machine);
}

static int
run(void)
{
	return vcore_machine_run(machine);
}

#define ON_FAKE .kvm = &fake

static const struct walk make_cases[] = {
	{ WALK(vcore_machine_new), .before = with_kernel_chip,
	  .call = new_machine, .undo = unref_machine, .after = without_host,
	  ON_FAKE, .least = 100, .also = { -EOPNOTSUPP } },
	{ WALK(vcore_machine_new), .before = with_split_chip,
	  .call = new_machine, .undo = unref_machine, .after = without_host,
	  ON_FAKE, .least = 100, .also = { -EOPNOTSUPP } },
	{ WALK(vcore_machine_add), .before = with_rng, .call = add,
	  .check = check_device, .after = without_machine, ON_FAKE,
	  .least = 20 },
	{ WALK(vcore_machine_add), .before = with_rng_mmio, .call = add,
	  .check = check_device, .after = without_machine, ON_FAKE,
	  .least = 15 },
	{ WALK(vcore_machine_add), .before = with_console, .call = add,
	  .check = check_device, .after = without_machine, ON_FAKE,
	  .least = 30 },
	{ WALK(vcore_machine_add), .before = with_block, .call = add,
	  .check = check_device, .after = without_block, ON_FAKE,
	  .least = 30 },
	{ WALK(vcore_machine_attach), .before = with_device, .call = attach,
	  .check = check_device, .after = without_device, ON_FAKE,
	  .least = 15 },
	{ WALK(vcore_machine_add_disk_kind), .before = with_machine,
	  .call = add_disk_kind, .after = without_machine, ON_FAKE,
	  .least = 1 },
	{ WALK(vcore_machine_add_link_kind), .before = with_machine,
	  .call = add_link_kind, .after = without_machine, ON_FAKE,
	  .least = 1 },
};

static const struct walk state_cases[] = {
	{ WALK(vcore_machine_start), .before = startable, .call = start,
	  .check = check_start, .after = without_machine, ON_FAKE,
	  .least = 6 },
	{ WALK(vcore_machine_pause), .before = running, .call = pause_it,
	  .check = check_pause, .after = without_machine, ON_FAKE,
	  .least = 1 },
	{ WALK(vcore_machine_resume), .before = paused, .call = resume,
	  .check = check_resume, .after = without_machine, ON_FAKE },
	{ WALK(vcore_machine_reset), .before = running, .call = reset,
	  .check = check_reset, .after = without_machine, ON_FAKE,
	  .least = 10, .also = { -EIO }, .once = true },
	{ WALK(vcore_machine_stop), .before = running, .call = stop,
	  .check = check_stop, .after = without_machine, ON_FAKE,
	  .least = 1 },
	{ WALK(vcore_machine_run), .before = to_be_stopped, .call = run,
	  .after = without_machine, ON_FAKE, .least = 1 },
	{ WALK(vcore_machine_next), .before = running, .call = next,
	  .check = check_stop, .after = without_machine, ON_FAKE,
	  .least = 1 },
};

START_TEST(test_making_machines_with_each_call_failing)
{
	fake_kvm_init(&fake);
	fake.run = run_idle;
	walk(make_cases, VCORE__ARRAY_SIZE(make_cases));
}
END_TEST

START_TEST(test_states_of_machines_with_each_call_failing)
{
	fake_kvm_init(&fake);
	fake.run = run_idle;
	walk(state_cases, VCORE__ARRAY_SIZE(state_cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/machine");
	TCase *t = tcase_create("machine");

	tcase_add_test(t, test_making_machines_with_each_call_failing);
	tcase_add_test(t, test_states_of_machines_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
