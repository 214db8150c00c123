/* SPDX-License-Identifier: BSD-3-Clause */
/* Kicks and pauses against guests that spin, halt and exit. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "support/kvm.h"
#include "support/support.h"

/* Of each kind of guest; in a soak the number the design was tried with. */
#define KICKS support_rounds(200, 2000)
#define PAUSES support_rounds(100, 2000)
#define RUNNERS support_rounds(10, 100)
#define SECOND 1000000000ull

/* Of a bed: the signal blocked, or handled. */
static uint32_t
flags(int i)
{
	return i ? KVM_BED_HANDLED : 0;
}

struct runner {
	struct vcore_vcpu *vcpu;
	pthread_t thread;
	_Atomic uint32_t kicked;
	_Atomic uint32_t stop;
	uint32_t other;
	uint32_t signal_was_blocked;
};

static void *
runner_main(void *opaque)
{
	struct runner *r = opaque;
	struct vcore_exit e;
	sigset_t set;

	while (!atomic_load(&r->stop)) {
		VCORE_INIT(&e);
		if (vcore_vcpu_run(r->vcpu, &e) < 0)
			r->other++;
		else if (e.kind == VCORE_EXIT_KICKED)
			atomic_fetch_add(&r->kicked, 1);
		else
			r->other++;
	}
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	r->signal_was_blocked = (uint32_t)sigismember(&set, SIGRTMIN);
	return NULL;
}

static void
runner_start(struct runner *r, struct vcore_vcpu *vcpu)
{
	memset(r, 0, sizeof(*r));
	r->vcpu = vcpu;
	ck_assert_int_eq(pthread_create(&r->thread, NULL, runner_main, r), 0);
}

static void
runner_stop(struct runner *r)
{
	atomic_store(&r->stop, 1);
	ck_assert_ok(vcore_vcpu_kick(r->vcpu));
	pthread_join(r->thread, NULL);
	ck_assert_uint_eq(r->other, 0);
	/* The thread's signal mask is as it was before. */
	ck_assert_uint_eq(r->signal_was_blocked, 0);
}

/* Each kick is answered: one exit each, none lost, none made up. */
static void
kick_all(struct kvm_bed *bed)
{
	uint32_t i, kicks = KICKS;
	struct runner r;

	runner_start(&r, bed->vcpu);
	for (i = 0; i < kicks; i++) {
		/* Now and then before, in, and after KVM_RUN. */
		if (i % 3 == 0)
			sched_yield();
		else if (i % 3 == 1)
			usleep(i % 50);
		ck_assert_ok(vcore_vcpu_kick(r.vcpu));
		while (atomic_load(&r.kicked) <= i)
			sched_yield();
	}
	ck_assert_uint_eq(atomic_load(&r.kicked), kicks);
	runner_stop(&r);
}

START_TEST(test_kick_tight_guest)
{
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, flags(_i));
	kvm_bed_guest(&bed, tight);
	kick_all(&bed);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_kick_halted_guest)
{
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, flags(_i));
	kvm_bed_guest(&bed, halt);
	kick_all(&bed);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_kick_exiting_guest)
{
	struct kvm_bed bed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, flags(_i));
	kvm_bed_guest(&bed, exits);
	kick_all(&bed);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_kick_waiting_processor)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *ap;
	struct kvm_bed bed;

	/* One that waits for INIT: KVM_RUN blocks without a guest. */
	VCORE_INIT(&opts);
	opts.flags = _i ? VCORE_VCPU_SIGNAL_HANDLED : 0;
	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, flags(_i));
	ck_assert_ok(vcore_vcpu_new(bed.vm, 1, &opts, &ap));
	vcore_vcpu_unref(bed.vcpu);
	bed.vcpu = ap;
	kick_all(&bed);
	kvm_bed_free(&bed);
}
END_TEST

struct storm {
	struct vcore_vcpu *vcpu;
};

static void *
storm_main(void *opaque)
{
	struct storm *s = opaque;
	uint32_t i, kicks = KICKS;

	for (i = 0; i < kicks; i++)
		if (vcore_vcpu_kick(s->vcpu) < 0)
			return s;
	return NULL;
}

/* Kickers that do not wait for the answers, while the thread changes. */
START_TEST(test_kick_storm_from_several_threads)
{
	pthread_t thread[3];
	struct storm storm;
	struct kvm_bed bed;
	struct runner r;
	uint32_t i, before, runners = RUNNERS;
	void *failed;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, flags(_i));
	kvm_bed_guest(&bed, exits);
	storm.vcpu = bed.vcpu;
	runner_start(&r, bed.vcpu);
	for (i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, storm_main, &storm);
	for (i = 0; i < runners; i++) {
		runner_stop(&r);
		runner_start(&r, bed.vcpu);
	}
	for (i = 0; i < 3; i++) {
		pthread_join(thread[i], &failed);
		ck_assert_ptr_null(failed);
	}
	/* Still alive: the next one is answered. */
	before = atomic_load(&r.kicked);
	ck_assert_ok(vcore_vcpu_kick(bed.vcpu));
	while (atomic_load(&r.kicked) == before)
		sched_yield();
	runner_stop(&r);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_pause_holds_the_guest_out)
{
	struct vcore_vcpu_info a, b;
	struct vcore_regs regs;
	struct kvm_bed bed;
	struct runner r;
	uint32_t i, pauses = PAUSES;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, flags(_i));
	kvm_bed_guest(&bed, exits);
	runner_start(&r, bed.vcpu);
	VCORE_INIT(&a);
	VCORE_INIT(&b);
	for (i = 0; i < pauses; i++) {
		ck_assert_ok(vcore_vcpu_pause(bed.vcpu, 0));
		ck_assert_ok(vcore_vcpu_pause(bed.vcpu, 0));
		ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &a));
		ck_assert_ok(vcore_vcpu_get_regs(bed.vcpu, &regs));
		ck_assert_ok(vcore_vcpu_resume(bed.vcpu));
		sched_yield();
		ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &b));
		ck_assert_uint_eq(a.exits, b.exits);
		ck_assert_ok(vcore_vcpu_resume(bed.vcpu));
	}
	/* It still runs. */
	do
		ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &b));
	while (b.exits == a.exits);
	runner_stop(&r);
	kvm_bed_free(&bed);
}
END_TEST

START_TEST(test_kick_comes_through_a_pause)
{
	struct kvm_bed bed;
	struct runner r;
	uint32_t i;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, flags(_i));
	kvm_bed_guest(&bed, tight);
	runner_start(&r, bed.vcpu);
	ck_assert_ok(vcore_vcpu_pause(bed.vcpu, 0));
	for (i = 0; i < 100; i++) {
		ck_assert_ok(vcore_vcpu_kick(bed.vcpu));
		while (atomic_load(&r.kicked) <= i)
			sched_yield();
	}
	ck_assert_ok(vcore_vcpu_resume(bed.vcpu));
	runner_stop(&r);
	kvm_bed_free(&bed);
}
END_TEST

static void *
kick_a_hundred(void *opaque)
{
	struct runner *r = opaque;
	uint32_t i;

	for (i = 0; i < 100; i++) {
		ck_assert_ok(vcore_vcpu_kick(r->vcpu));
		while (atomic_load(&r->kicked) <= i)
			sched_yield();
	}
	ck_assert_ok(vcore_vcpu_pause(r->vcpu, vcore__now_ns() + 20 * SECOND));
	ck_assert_ok(vcore_vcpu_resume(r->vcpu));
	atomic_store(&r->stop, 1);
	ck_assert_ok(vcore_vcpu_kick(r->vcpu));
	return NULL;
}

/* A guest on this thread, kicked by another one. */
static void
run_here(uint32_t bed_flags)
{
	struct runner r = { .other = 0 };
	struct kvm_bed bed;
	pthread_t thread;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, bed_flags);
	kvm_bed_guest(&bed, tight);
	r.vcpu = bed.vcpu;
	pthread_create(&thread, NULL, kick_a_hundred, &r);
	runner_main(&r);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(r.other, 0);
	kvm_bed_free(&bed);
}

/* A thread that has run a vCPU forks; the child has VMs of its own. */
START_TEST(test_kick_and_pause_in_a_forked_child)
{
	int status;
	pid_t pid;

	run_here(flags(_i));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		alarm(60);
		run_here(flags(_i));
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void *
signal_main(void *opaque)
{
	struct runner *r = opaque;
	uint32_t i, signals = KICKS;

	/* The runner blocks none, and lives until it is kicked. */
	for (i = 0; i < signals; i++) {
		pthread_kill(r->thread, SIGRTMIN);
		if (i % 2)
			usleep(i % 50);
	}
	return NULL;
}

/* Signals that the library did not send are no kicks, and keep nobody out. */
START_TEST(test_signals_of_strangers_do_not_end_a_run)
{
	struct vcore_vcpu_info a, b;
	struct kvm_bed bed;
	pthread_t thread;
	struct runner r;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, flags(_i));
	kvm_bed_guest(&bed, exits);
	/* So that they do no harm before the first run. */
	kvm_handle_kicks();
	runner_start(&r, bed.vcpu);
	pthread_create(&thread, NULL, signal_main, &r);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(atomic_load(&r.kicked), 0);
	VCORE_INIT(&a);
	VCORE_INIT(&b);
	ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &a));
	do
		ck_assert_ok(vcore_vcpu_get_info(bed.vcpu, &b));
	while (b.unclaimed < a.unclaimed + 100);
	runner_stop(&r);
	ck_assert_uint_eq(atomic_load(&r.kicked), 1);
	kvm_bed_free(&bed);
}
END_TEST

struct slow {
	_Atomic uint32_t entered;
	_Atomic uint32_t go;
};

static int
slow_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	struct slow *s = opaque;

	(void)off;
	(void)len;
	(void)val;
	(void)later;
	atomic_store(&s->entered, 1);
	while (!atomic_load(&s->go))
		sched_yield();
	return 0;
}

static int
slow_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	  struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	return 0;
}

START_TEST(test_pause_times_out_while_handler_is_busy)
{
	static const struct vcore_bus_ops ops = { .size = sizeof(ops),
						  .read = slow_read,
						  .write = slow_write };
	struct vcore_range_opts opts;
	struct vcore_range *range;
	struct slow slow = { 0 };
	struct kvm_bed bed;
	struct runner r;

	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_NONE, 0);
	VCORE_INIT(&opts);
	opts.base = GUEST_PORT;
	opts.len = 1;
	opts.ops = &ops;
	opts.opaque = &slow;
	ck_assert_ok(vcore_bus_add(bed.pio, &opts, &range));
	kvm_bed_guest(&bed, exits);
	runner_start(&r, bed.vcpu);
	while (!atomic_load(&slow.entered))
		sched_yield();
	ck_assert_error(vcore_vcpu_pause(bed.vcpu, vcore__now_ns() + 1000000),
			-ETIMEDOUT, "vcore_vcpu_pause");
	/* It was not left paused. */
	ck_assert_error(vcore_vcpu_resume(bed.vcpu), -EBUSY,
			"vcore_vcpu_resume");
	atomic_store(&slow.go, 1);
	ck_assert_ok(vcore_vcpu_pause(bed.vcpu, vcore__now_ns() + 120 * SECOND));
	ck_assert_ok(vcore_vcpu_resume(bed.vcpu));
	runner_stop(&r);
	vcore_range_remove(range);
	kvm_bed_free(&bed);
}
END_TEST

int
main(void)
{
	struct vcore_host *host = kvm_host();
	Suite *suite = suite_create("vcpu/stress");
	TCase *t = tcase_create("stress");

	if (!host)
		return KVM_SKIPPED;
	vcore_host_unref(host);
	tcase_add_loop_test(t, test_kick_tight_guest, 0, 2);
	tcase_add_loop_test(t, test_kick_halted_guest, 0, 2);
	tcase_add_loop_test(t, test_kick_exiting_guest, 0, 2);
	tcase_add_loop_test(t, test_kick_waiting_processor, 0, 2);
	tcase_add_loop_test(t, test_kick_storm_from_several_threads, 0, 2);
	tcase_add_loop_test(t, test_pause_holds_the_guest_out, 0, 2);
	tcase_add_loop_test(t, test_kick_comes_through_a_pause, 0, 2);
	tcase_add_loop_test(t, test_kick_and_pause_in_a_forked_child, 0, 2);
	tcase_add_loop_test(t, test_signals_of_strangers_do_not_end_a_run, 0,
			    2);
	tcase_add_test(t, test_pause_times_out_while_handler_is_busy);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
