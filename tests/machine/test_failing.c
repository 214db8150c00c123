/* SPDX-License-Identifier: BSD-3-Clause */
/* Machines on a KVM that lacks or refuses things, and without memory. */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>

#include <vcore/rng.h>

#include "machine/machine.h"
#include "support/fake_kvm.h"
#include "support/support.h"

static struct fake_kvm fake;
static struct vcore_machine_opts opts;
static _Atomic int run_error;

/* Guests that do nothing, until KVM fails. */
static int
run_idle(struct fake_kvm *f, struct kvm_run *run)
{
	(void)f;
	(void)run;
	sched_yield();
	return run_error != 0 ? run_error : -EINTR;
}

static void
setup(void)
{
	fake_kvm_init(&fake);
	fake.run = run_idle;
	VCORE_INIT(&opts);
	opts.memory = 1 << 20;
	opts.host = fake_kvm_host(&fake);
}

static void
teardown(void)
{
	vcore_host_unref(opts.host);
	ck_assert_uint_eq(fake.open, 0);
	ck_assert_uint_eq(fake.maps, 0);
}

static struct vcore_machine *
new_machine(void)
{
	struct vcore_machine *m = NULL;

	ck_assert_ok(vcore_machine_new(&opts, &m));
	return m;
}

START_TEST(test_new_with_each_ioctl_failing_leaves_nothing)
{
	struct vcore_machine *m;
	uint32_t open = fake.open, maps = fake.maps, failures = 0;
	int rc;

	opts.irqchip = (uint32_t)_i;
	do {
		m = NULL;
		fake.failed = false;
		fake.fail_at = ++failures;
		fake.fail_error = EIO;
		rc = vcore_machine_new(&opts, &m);
		fake.fail_at = 0;
		ck_assert_int_eq(rc == 0, m != NULL);
		if (rc < 0)
			ck_assert_int_eq(strncmp(vcore_error_text(),
						 "vcore_machine_new: ", 19),
					 0);
		vcore_machine_unref(m);
		ck_assert_uint_eq(fake.open, open);
		ck_assert_uint_eq(fake.maps, maps);
		fake_kvm_clear(&fake);
	} while (fake.failed);
	ck_assert_uint_gt(failures, 10);
}
END_TEST

/* Without a capability it works, or says that it does not. */
START_TEST(test_new_with_each_capability_hidden_works_or_returns_eopnotsupp)
{
	struct vcore_machine *m;
	unsigned refused = 0;
	int rc;

	vcore_host_unref(opts.host);
	for (uint32_t cap = 0; cap < FAKE_CAPS; cap++) {
		m = NULL;
		fake_kvm_init(&fake);
		fake.run = run_idle;
		if (fake.caps[cap] == 0)
			continue;
		opts.host = fake_kvm_host(&fake);
		opts.irqchip = VCORE_VM_IRQCHIP_SPLIT;
		fake.caps[cap] = 0;
		rc = vcore_machine_new(&opts, &m);
		if (rc < 0)
			ck_assert_error(rc, -EOPNOTSUPP, "vcore_machine_new: ");
		refused += rc < 0;
		vcore_machine_unref(m);
		vcore_host_unref(opts.host);
	}
	ck_assert_uint_gt(refused, 0);
	opts.host = fake_kvm_host(&fake);
}
END_TEST

START_TEST(test_new_without_descriptors_returns_emfile)
{
	struct vcore_machine *m = NULL;
	int rc;

	opts.kernel = "/dev/null";
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_machine_new(&opts, &m);
	fail_stop();
	ck_assert_error(rc, -EMFILE, "vcore_machine_new: kernel '/dev/null'");
	ck_assert_ptr_null(m);
}
END_TEST

START_TEST(test_start_without_memory_returns_enomem)
{
	struct vcore_machine *m = new_machine();
	int rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_machine_start(m);
	fail_stop();
	ck_assert_error(rc, -ENOMEM, "vcore_machine_start: ");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_NEW);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_pause_without_memory_returns_enomem_and_runs_on)
{
	struct vcore_machine *m = new_machine();
	int rc;

	ck_assert_ok(vcore_machine_start(m));
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_machine_pause(m);
	fail_stop();
	ck_assert_error(rc, -ENOMEM, "vcore_machine_pause: no memory to stop");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_RUNNING);
	ck_assert_ok(vcore_machine_pause(m));
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_stop_without_memory_returns_enomem_and_is_off)
{
	struct vcore_machine *m = new_machine();
	int rc;

	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_ok(vcore_machine_start(m));
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_machine_stop(m);
	fail_stop();
	ck_assert_error(rc, -ENOMEM, "vcore_machine_stop: no memory to stop");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_reset_with_each_allocation_failing_is_off_or_done)
{
	struct vcore_machine *m;
	bool failed = true;
	int rc;

	for (unsigned n = 1; failed; n++) {
		m = new_machine();
		ck_assert_ok(vcore_machine_add(m, "rng,transport=mmio"));
		ck_assert_ok(vcore_machine_start(m));
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_machine_reset(m);
		failed = fail_stop();
		if (rc < 0)
			ck_assert_error(rc, -EIO, "vcore_machine_reset: ");
		ck_assert_int_eq(vcore_machine_state(m),
				 rc < 0 ? VCORE_MACHINE_OFF :
					  VCORE_MACHINE_RUNNING);
		vcore_machine_unref(m);
	}
}
END_TEST

static int
make_disk(void *opaque, struct vcore_recipe *r, struct vcore_disk **disk)
{
	(void)opaque;
	(void)r;
	(void)disk;
	return -EIO;
}

static int
make_link(void *opaque, struct vcore_recipe *r, struct vcore_link **link)
{
	(void)opaque;
	(void)r;
	(void)link;
	return -EIO;
}

START_TEST(test_add_without_memory_returns_enomem)
{
	struct vcore_machine *m = new_machine();
	struct vcore_virtio *virtio = NULL;
	int add, disk, link, attach;

	ck_assert_ok(vcore_rng_new(NULL, &virtio));
	fail_nth(FAIL_ALLOC, 1);
	add = vcore_machine_add(m, "rng");
	fail_nth(FAIL_ALLOC, 1);
	disk = vcore_machine_add_disk_kind(m, "x", make_disk, NULL);
	fail_nth(FAIL_ALLOC, 1);
	link = vcore_machine_add_link_kind(m, "x", make_link, NULL);
	fail_nth(FAIL_ALLOC, 1);
	attach = vcore_machine_attach(m, virtio, NULL);
	fail_stop();
	ck_assert_int_eq(add, -ENOMEM);
	ck_assert_int_eq(disk, -ENOMEM);
	ck_assert_int_eq(link, -ENOMEM);
	ck_assert_error(attach, -ENOMEM, "vcore_machine_attach: ");
	/* Nothing of it was kept. */
	ck_assert_ok(vcore_machine_add(m, "rng"));
	ck_assert_ok(vcore_machine_add_disk_kind(m, "x", make_disk, NULL));
	ck_assert_ok(vcore_machine_add_link_kind(m, "x", make_link, NULL));
	ck_assert_ok(vcore_machine_attach(m, virtio, NULL));
	vcore_virtio_unref(virtio);
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_run_with_a_failing_kvm_run_returns_eio)
{
	struct vcore_machine *m = new_machine();

	run_error = -EIO;
	ck_assert_error(vcore_machine_run(m), -EIO, "vcore_machine_run: vcpu");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	run_error = 0;
	vcore_machine_unref(m);
}
END_TEST

START_TEST(test_reset_with_kvm_refusing_returns_eio)
{
	struct vcore_machine *m = new_machine();

	ck_assert_ok(vcore_machine_start(m));
	/* Nobody calls KVM while the fake is being changed. */
	ck_assert_ok(vcore_machine_pause(m));
	fake.fail_request = KVM_SET_SREGS;
	fake.fail_error = EINVAL;
	ck_assert_error(vcore_machine_reset(m), -EIO, "vcore_machine_reset: ");
	ck_assert_int_eq(vcore_machine_state(m), VCORE_MACHINE_OFF);
	fake.fail_request = 0;
	vcore_machine_unref(m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing");
	TCase *tc = tcase_create("failing");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_new_with_each_ioctl_failing_leaves_nothing,
			    VCORE_VM_IRQCHIP_KERNEL,
			    VCORE_VM_IRQCHIP_SPLIT + 1);
	tcase_add_test(
		tc,
		test_new_with_each_capability_hidden_works_or_returns_eopnotsupp);
	tcase_add_test(tc, test_new_without_descriptors_returns_emfile);
	tcase_add_test(tc, test_start_without_memory_returns_enomem);
	tcase_add_test(tc,
		       test_pause_without_memory_returns_enomem_and_runs_on);
	tcase_add_test(tc, test_stop_without_memory_returns_enomem_and_is_off);
	tcase_add_test(
		tc, test_reset_with_each_allocation_failing_is_off_or_done);
	tcase_add_test(tc, test_add_without_memory_returns_enomem);
	tcase_add_test(tc, test_run_with_a_failing_kvm_run_returns_eio);
	tcase_add_test(tc, test_reset_with_kvm_refusing_returns_eio);
	suite_add_tcase(suite, tc);
	return support_run(suite);
}
