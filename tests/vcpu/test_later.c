/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses that are answered later: kicked, paused, reset, freed meanwhile. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/base.h"
#include "support/kvm.h"
#include "support/support.h"

/* Holds the access back until the test answers it. */
struct device {
	_Atomic(struct vcore_access *) waiting;
	uint32_t at_once;	/* answer before the handler returns */
	uint32_t shown;
	uint32_t writes;
};

static int
device_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	    struct vcore_access *later)
{
	struct device *d = opaque;

	(void)off;
	(void)len;
	(void)val;
	if (d->at_once)
		vcore_access_done(later, 0x1234);
	else
		atomic_store(&d->waiting, later);
	return -EINPROGRESS;
}

static int
device_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	     struct vcore_access *later)
{
	struct device *d = opaque;

	(void)off;
	(void)len;
	(void)later;
	d->shown = (uint32_t)val;
	d->writes++;
	return 0;
}

static const struct vcore_bus_ops device_ops = {
	.size = sizeof(device_ops),
	.read = device_read,
	.write = device_write,
};

struct bed {
	struct kvm_bed kvm;
	struct device device;
	struct vcore_range *range;
	struct vcore_exit exit;
	struct vcore_access *owed;	/* not answered yet */
};

static void
bed_new(struct bed *b)
{
	struct vcore_range_opts opts;

	memset(b, 0, sizeof(*b));
	kvm_bed_new(&b->kvm, VCORE_VM_IRQCHIP_NONE, 0);
	VCORE_INIT(&opts);
	opts.base = GUEST_PORT;
	opts.len = 0x20;
	opts.ops = &device_ops;
	opts.opaque = &b->device;
	ck_assert_ok(vcore_bus_add(b->kvm.pio, &opts, &b->range));
	kvm_bed_guest(&b->kvm, later);
}

static void
bed_free(struct bed *b)
{
	vcore_range_remove(b->range);
	kvm_bed_free(&b->kvm);
	/* Every access is answered once, even when nobody hears it. */
	if (b->owed)
		vcore_access_done(b->owed, 0);
}

static void *
run_main(void *opaque)
{
	struct bed *b = opaque;

	VCORE_INIT(&b->exit);
	if (vcore_vcpu_run(b->kvm.vcpu, &b->exit) < 0)
		return b;
	return NULL;
}

static struct vcore_access *
wait_access(struct bed *b)
{
	struct vcore_access *a;

	while (!(a = atomic_exchange(&b->device.waiting, NULL)))
		sched_yield();
	b->owed = a;
	return a;
}

static void
answer(struct bed *b, struct vcore_access *a, uint64_t val)
{
	if (b->owed == a)
		b->owed = NULL;
	vcore_access_done(a, val);
}

static void
kick_and_join(struct bed *b, pthread_t thread)
{
	void *failed;

	ck_assert_ok(vcore_vcpu_kick(b->kvm.vcpu));
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	ck_assert_uint_eq(b->exit.kind, VCORE_EXIT_KICKED);
}

START_TEST(test_later_answer_reaches_the_guest)
{
	pthread_t thread;
	struct bed b;
	uint32_t i;

	bed_new(&b);
	pthread_create(&thread, NULL, run_main, &b);
	for (i = 0; i < 100; i++)
		answer(&b, wait_access(&b), 0x5500 + i);
	(void)wait_access(&b);
	kick_and_join(&b, thread);
	ck_assert_uint_eq(b.device.writes, 100);
	ck_assert_uint_eq(b.device.shown, 0x5500 + 99);
	bed_free(&b);
}
END_TEST

START_TEST(test_later_answer_before_handler_returns)
{
	pthread_t thread;
	struct bed b;

	bed_new(&b);
	b.device.at_once = 1;
	pthread_create(&thread, NULL, run_main, &b);
	sched_yield();
	kick_and_join(&b, thread);
	if (b.device.writes)
		ck_assert_uint_eq(b.device.shown, 0x1234);
	bed_free(&b);
}
END_TEST

START_TEST(test_later_kick_returns_and_next_run_waits_on)
{
	struct vcore_access *a;
	pthread_t thread;
	struct bed b;
	uint32_t i;

	bed_new(&b);
	pthread_create(&thread, NULL, run_main, &b);
	a = wait_access(&b);
	for (i = 0; i < 20; i++) {
		kick_and_join(&b, thread);
		pthread_create(&thread, NULL, run_main, &b);
	}
	ck_assert_uint_eq(b.device.writes, 0);
	answer(&b, a, 0x77);
	(void)wait_access(&b);
	kick_and_join(&b, thread);
	ck_assert_uint_eq(b.device.shown, 0x77);
	bed_free(&b);
}
END_TEST

START_TEST(test_later_answer_while_paused_waits_for_resume)
{
	struct vcore_vcpu_info before, after;
	struct vcore_access *a;
	pthread_t thread;
	struct bed b;

	bed_new(&b);
	VCORE_INIT(&before);
	VCORE_INIT(&after);
	pthread_create(&thread, NULL, run_main, &b);
	answer(&b, wait_access(&b), 1);
	/* The second one is pending: pausing does not need its answer. */
	a = wait_access(&b);
	ck_assert_ok(vcore_vcpu_pause(b.kvm.vcpu, 0));
	ck_assert_ok(vcore_vcpu_get_info(b.kvm.vcpu, &before));
	answer(&b, a, 0x42);
	sched_yield();
	ck_assert_ok(vcore_vcpu_get_info(b.kvm.vcpu, &after));
	ck_assert_uint_eq(before.exits, after.exits);
	ck_assert_uint_eq(before.handled, after.handled);
	ck_assert_ok(vcore_vcpu_resume(b.kvm.vcpu));
	(void)wait_access(&b);
	kick_and_join(&b, thread);
	ck_assert_uint_eq(b.device.shown, 0x42);
	bed_free(&b);
}
END_TEST

START_TEST(test_later_reset_discards_the_access)
{
	struct vcore_access *a, *old;
	pthread_t thread;
	struct bed b;

	bed_new(&b);
	pthread_create(&thread, NULL, run_main, &b);
	old = wait_access(&b);
	kick_and_join(&b, thread);
	ck_assert_ok(vcore_vcpu_reset(b.kvm.vcpu));
	kvm_bed_guest(&b.kvm, later);
	pthread_create(&thread, NULL, run_main, &b);
	a = wait_access(&b);
	/* The old answer goes nowhere. */
	answer(&b, old, 0x99);
	answer(&b, a, 0x11);
	(void)wait_access(&b);
	kick_and_join(&b, thread);
	ck_assert_uint_eq(b.device.shown, 0x11);
	ck_assert_uint_eq(b.device.writes, 1);
	bed_free(&b);
}
END_TEST

START_TEST(test_later_reset_discards_an_answer_that_came)
{
	struct vcore_access *a;
	pthread_t thread;
	struct bed b;

	bed_new(&b);
	pthread_create(&thread, NULL, run_main, &b);
	a = wait_access(&b);
	kick_and_join(&b, thread);
	answer(&b, a, 0x99);
	ck_assert_ok(vcore_vcpu_reset(b.kvm.vcpu));
	kvm_bed_guest(&b.kvm, hello);
	pthread_create(&thread, NULL, run_main, &b);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(b.exit.kind, VCORE_EXIT_HALT);
	ck_assert_uint_eq(b.device.writes, 6);
	bed_free(&b);
}
END_TEST

START_TEST(test_later_answer_after_the_vcpu_is_gone)
{
	struct vcore_access *a;
	pthread_t thread;
	struct bed b;

	bed_new(&b);
	pthread_create(&thread, NULL, run_main, &b);
	a = wait_access(&b);
	kick_and_join(&b, thread);
	vcore_vcpu_unref(b.kvm.vcpu);
	/* The id can be had again at once, at power-on state. */
	ck_assert_ok(vcore_vcpu_new(b.kvm.vm, 0, NULL, &b.kvm.vcpu));
	answer(&b, a, 0x99);
	kvm_bed_guest(&b.kvm, later);
	pthread_create(&thread, NULL, run_main, &b);
	answer(&b, wait_access(&b), 0x33);
	(void)wait_access(&b);
	kick_and_join(&b, thread);
	ck_assert_uint_eq(b.device.shown, 0x33);
	bed_free(&b);
}
END_TEST

int
main(void)
{
	struct vcore_host *host = kvm_host();
	Suite *suite = suite_create("vcpu/later");
	TCase *t = tcase_create("later");

	if (!host)
		return KVM_SKIPPED;
	vcore_host_unref(host);
	tcase_add_test(t, test_later_answer_reaches_the_guest);
	tcase_add_test(t, test_later_answer_before_handler_returns);
	tcase_add_test(t, test_later_kick_returns_and_next_run_waits_on);
	tcase_add_test(t, test_later_answer_while_paused_waits_for_resume);
	tcase_add_test(t, test_later_reset_discards_the_access);
	tcase_add_test(t, test_later_reset_discards_an_answer_that_came);
	tcase_add_test(t, test_later_answer_after_the_vcpu_is_gone);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
