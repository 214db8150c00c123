/* SPDX-License-Identifier: BSD-3-Clause */
/* A vCPU on a fake KVM: life, references, wrong calls, handlers' rules. */
#include "vcpu/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <vcore/cpuid.h>

#include "base/wait.h"
#include "support/fake_vcpu.h"
#include "support/support.h"

static struct fake_vcpu f;
static struct vcore_exit e;

static void
setup(void)
{
	fake_vcpu_new(&f, VCORE_VM_IRQCHIP_KERNEL, 0, 0);
	VCORE_INIT(&e);
}

static void
teardown(void)
{
	fake_vcpu_free(&f);
}

START_TEST(test_vcpu_new_bad_arguments)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v = NULL;

	ck_assert_error(vcore_vcpu_new(NULL, 1, NULL, &v), -EINVAL,
			"vcore_vcpu_new: vm");
	ck_assert_error(vcore_vcpu_new(f.vm, 1, NULL, NULL), -EINVAL,
			"vcore_vcpu_new: vcpu");
	VCORE_INIT(&opts);
	opts.flags = 1u << 20;
	ck_assert_error(vcore_vcpu_new(f.vm, 1, &opts, &v), -E2BIG,
			"vcore_vcpu_new: flags");
	opts.flags = 0;
	opts.size = 1;
	ck_assert_error(vcore_vcpu_new(f.vm, 1, &opts, &v), -EINVAL,
			"vcore_vcpu_new: opts");
	ck_assert_error(vcore_vcpu_new(f.vm, 0, NULL, &v), -EEXIST,
			"vcore_vcpu_new: vCPU 0 exists");
	ck_assert_error(vcore_vcpu_new(f.vm, FAKE_IDS, NULL, &v), -EINVAL,
			"vcore_vcpu_new: id 8");
	ck_assert_ptr_null(v);
}
END_TEST

START_TEST(test_vcpu_new_fails_at_each_ioctl_without_leak)
{
	struct vcore_vcpu *v;
	uint32_t n, open = f.kvm.open;
	int rc;

	for (n = 1;; n++) {
		v = NULL;
		f.kvm.failed = false;
		f.kvm.fail_at = n;
		rc = vcore_vcpu_new(f.vm, 1, NULL, &v);
		f.kvm.fail_at = 0;
		if (rc == 0)
			vcore_vcpu_unref(v);
		else
			ck_assert_ptr_null(v);
		/* At most the one descriptor that the VM keeps. */
		ck_assert_uint_le(f.kvm.open, open + 1);
		if (!f.kvm.failed)
			break;
	}
	ck_assert_uint_gt(n, 5);
}
END_TEST

START_TEST(test_vcpu_null_arguments)
{
	struct vcore_vcpu_info info;
	uint64_t len = 5;

	ck_assert_ptr_null(vcore_vcpu_ref(NULL));
	vcore_vcpu_unref(NULL);
	ck_assert_uint_eq(vcore_vcpu_id(NULL), UINT32_MAX);
	ck_assert_error(vcore_vcpu_fd(NULL), -EINVAL, "vcore_vcpu_fd");
	ck_assert_ptr_null(vcore_vcpu_run_area(NULL, &len));
	ck_assert_uint_eq(len, 5);
	ck_assert_error(vcore_vcpu_kick(NULL), -EINVAL, "vcore_vcpu_kick");
	ck_assert_error(vcore_vcpu_pause(NULL, 0), -EINVAL,
			"vcore_vcpu_pause");
	ck_assert_error(vcore_vcpu_resume(NULL), -EINVAL,
			"vcore_vcpu_resume");
	ck_assert_error(vcore_vcpu_reset(NULL), -EINVAL, "vcore_vcpu_reset");
	ck_assert_error(vcore_vcpu_get_info(NULL, &info), -EINVAL,
			"vcore_vcpu_get_info");
	ck_assert_error(vcore_vcpu_get_info(f.vcpu, NULL), -EINVAL,
			"vcore_vcpu_get_info");
	memset(&info, 0, sizeof(info));
	ck_assert_error(vcore_vcpu_get_info(f.vcpu, &info), -EINVAL,
			"vcore_vcpu_get_info");
	ck_assert_uint_eq(vcore_vcpu_id(f.vcpu), 0);
	ck_assert_int_ge(vcore_vcpu_fd(f.vcpu), 0);
	ck_assert_ptr_eq(vcore_vcpu_run_area(f.vcpu, NULL), f.kvm.area);
}
END_TEST

START_TEST(test_vcpu_resume_without_pause_is_ebusy)
{
	ck_assert_error(vcore_vcpu_resume(f.vcpu), -EBUSY,
			"vcore_vcpu_resume");
	ck_assert_ok(vcore_vcpu_pause(f.vcpu, 0));
	ck_assert_ok(vcore_vcpu_resume(f.vcpu));
}
END_TEST

START_TEST(test_vcpu_pause_too_often_is_enospc)
{
	atomic_store(&f.vcpu->kick.request, VCORE__KICK_PAUSES_MAX << 8);
	ck_assert_error(vcore_vcpu_pause(f.vcpu, 0), -ENOSPC,
			"vcore_vcpu_pause");
	atomic_store(&f.vcpu->kick.request, 0);
}
END_TEST

START_TEST(test_vcpu_reset_without_saved_state_is_eopnotsupp)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v, *w = NULL;

	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_NO_RESET;
	fake_kvm_clear(&f.kvm);
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_GET_REGS), 0);
	ck_assert_error(vcore_vcpu_reset(v), -EOPNOTSUPP, "vcore_vcpu_reset");
	vcore_vcpu_unref(v);
	/* Nor can the id be had with a state that nobody kept. */
	ck_assert_error(vcore_vcpu_new(f.vm, 1, NULL, &w), -EOPNOTSUPP,
			"vcore_vcpu_new");
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
	vcore_vcpu_unref(v);
}
END_TEST

START_TEST(test_vcpu_return_paused)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v;

	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_RETURN_PAUSED;
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
	ck_assert_ok(vcore_vcpu_pause(v, 0));
	ck_assert_ok(vcore_vcpu_run(v, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_PAUSED);
	/* A kick is told first. */
	ck_assert_ok(vcore_vcpu_kick(v));
	ck_assert_ok(vcore_vcpu_run(v, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_KICKED);
	ck_assert_ok(vcore_vcpu_run(v, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_PAUSED);
	vcore_vcpu_unref(v);
}
END_TEST

START_TEST(test_vcpu_signal_blocked_is_checked)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v;
	sigset_t set;

	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_SIGNAL_BLOCKED;
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
	ck_assert_error(vcore_vcpu_run(v, &e), -EINVAL, "vcore_vcpu_run");
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ck_assert_ok(vcore_vcpu_kick(v));
	ck_assert_ok(vcore_vcpu_run(v, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_KICKED);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	vcore_vcpu_unref(v);
}
END_TEST

START_TEST(test_vcpu_signal_handled_is_checked)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v;
	sigset_t set;

	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_SIGNAL_HANDLED;
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
	ck_assert_int_eq(v->kick.way, SUPPORT_TSAN ? VCORE__KICK_BLOCK :
						     VCORE__KICK_HANDLED);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	if (!SUPPORT_TSAN) {
		/* No handler; none that does anything; blocked. */
		ck_assert_error(vcore_vcpu_run(v, &e), -EINVAL,
				"vcore_vcpu_run");
		signal(SIGRTMIN, SIG_IGN);
		ck_assert_error(vcore_vcpu_run(v, &e), -EINVAL,
				"vcore_vcpu_run");
		signal(SIGRTMIN, vcore_vcpu_kick_handler);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		ck_assert_error(vcore_vcpu_run(v, &e), -EINVAL,
				"vcore_vcpu_run");
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	}
	signal(SIGRTMIN, vcore_vcpu_kick_handler);
	ck_assert_ok(vcore_vcpu_kick(v));
	ck_assert_ok(vcore_vcpu_run(v, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_KICKED);
	/* Outside of a run it does nothing. */
	raise(SIGRTMIN);
	vcore_vcpu_kick_handler(SIGRTMIN);
	ck_assert_uint_eq(v->run->immediate_exit, 0);
	vcore_vcpu_unref(v);
	signal(SIGRTMIN, SIG_DFL);
}
END_TEST

START_TEST(test_vcpu_signal_blocked_and_handled_is_einval)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v = NULL;

	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_SIGNAL_HANDLED | VCORE_VCPU_SIGNAL_BLOCKED;
	ck_assert_error(vcore_vcpu_new(f.vm, 1, &opts, &v), -EINVAL,
			"vcore_vcpu_new");
	ck_assert_ptr_null(v);
}
END_TEST

/* What a handler may and may not do on its vCPU. */
static struct {
	struct vcore_vcpu *other;
	uint32_t calls;
} handler;

static int
handler_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	      struct vcore_access *later)
{
	struct vcore_vcpu *v = opaque;
	struct vcore_regs regs;
	struct vcore_exit inner;

	(void)off;
	(void)len;
	(void)val;
	(void)later;
	VCORE_INIT(&inner);
	handler.calls++;
	ck_assert_ptr_eq(vcore__vcpu_current(), v);
	ck_assert(!vcore__may_wait());
	ck_assert_ok(vcore_vcpu_get_regs(v, &regs));
	ck_assert_ok(vcore_vcpu_set_regs(v, &regs));
	ck_assert_error(vcore_vcpu_run(v, &inner), -EBUSY, "vcore_vcpu_run");
	ck_assert_error(vcore_vcpu_run(handler.other, &inner), -EDEADLK,
			"vcore_vcpu_run");
	ck_assert_error(vcore_vcpu_pause(v, 0), -EDEADLK, "vcore_vcpu_pause");
	ck_assert_error(vcore_vcpu_pause(handler.other, 0), -EDEADLK,
			"vcore_vcpu_pause");
	ck_assert_error(vcore_vcpu_reset(v), -EBUSY, "vcore_vcpu_reset");
	ck_assert_ok(vcore_vcpu_kick(v));
	return 0;
}

static int
handler_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	     struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	return 0;
}

static int
out_exit(struct fake_kvm *fake, struct kvm_run *run)
{
	(void)fake;
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.size = 1;
	run->io.count = 1;
	run->io.port = 0x10;
	run->io.data_offset = 4096;
	return 0;
}

/* A signal of somebody's in a handler of the bus. */
static int
signal_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	     struct vcore_access *later)
{
	(void)off;
	(void)len;
	(void)val;
	(void)later;
	raise(SIGRTMIN);
	handler.calls += f.kvm.area->immediate_exit;
	/* The second time, so that the run ends. */
	if (handler.calls == 2)
		ck_assert_ok(vcore_vcpu_kick(opaque));
	return 0;
}

static void
add_to_bus(const struct vcore_bus_ops *ops, struct vcore_vcpu *v,
	   struct vcore_range **range)
{
	struct vcore_range_opts opts;

	memset(&handler, 0, sizeof(handler));
	f.kvm.area = v->run;
	VCORE_INIT(&opts);
	opts.base = 0x10;
	opts.len = 1;
	opts.ops = ops;
	opts.opaque = v;
	ck_assert_ok(vcore_bus_add(f.pio, &opts, range));
	f.kvm.run = out_exit;
}

START_TEST(test_vcpu_handler_makes_the_next_kvm_run_return_at_once)
{
	static const struct vcore_bus_ops ops = { .size = sizeof(ops),
						  .read = handler_read,
						  .write = signal_write };
	struct vcore_vcpu_opts opts;
	struct vcore_range *range;
	struct vcore_vcpu *v;
	uint32_t runs;

	signal(SIGRTMIN, vcore_vcpu_kick_handler);
	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_SIGNAL_HANDLED;
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
	add_to_bus(&ops, v, &range);
	runs = fake_kvm_count(&f.kvm, KVM_RUN);
	ck_assert_ok(vcore_vcpu_run(v, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_KICKED);
	/* An exit, nothing, an exit; nothing, which completes that one. */
	ck_assert_uint_eq(handler.calls, 2);
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_RUN) - runs, 4);
	ck_assert_uint_eq(v->run->immediate_exit, 0);
	vcore_range_remove(range);
	vcore_vcpu_unref(v);
	signal(SIGRTMIN, SIG_DFL);
}
END_TEST

/* KVM keeps a mask with the descriptor, which the next vCPU gets, too. */
START_TEST(test_vcpu_handled_after_one_with_a_mask)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v;
	uint32_t masks;

	signal(SIGRTMIN, vcore_vcpu_kick_handler);
	VCORE_INIT(&opts);
	for (uint32_t i = 0; i < 3; i++) {
		opts.flags = i ? VCORE_VCPU_SIGNAL_HANDLED : 0;
		ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
		ck_assert_ok(vcore_vcpu_kick(v));
		ck_assert_ok(vcore_vcpu_run(v, &e));
		vcore_vcpu_unref(v);
		masks = fake_kvm_count(&f.kvm, KVM_SET_SIGNAL_MASK);
		/* Set by the first, taken away by the second. */
		ck_assert_uint_eq(masks, i ? 2 : 1);
	}
	ck_assert_uint_eq(fake_kvm_last(&f.kvm, KVM_SET_SIGNAL_MASK)->arg, 0);
	signal(SIGRTMIN, SIG_DFL);
}
END_TEST

/* The signal is blocked already, but KVM has to be told again. */
START_TEST(test_vcpu_mask_that_did_not_get_to_kvm_is_set_again)
{
	struct vcore_vcpu_opts opts;
	struct vcore_vcpu *v;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	VCORE_INIT(&opts);
	opts.flags = VCORE_VCPU_SIGNAL_BLOCKED;
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, &opts, &v));
	ck_assert_ok(vcore_vcpu_kick(v));
	f.kvm.fail_request = KVM_SET_SIGNAL_MASK;
	ck_assert_error(vcore_vcpu_run(v, &e), -ENOMEM, "vcore_vcpu_run");
	f.kvm.fail_request = 0;
	ck_assert_ok(vcore_vcpu_run(v, &e));
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_SET_SIGNAL_MASK), 2);
	vcore_vcpu_unref(v);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
END_TEST

START_TEST(test_vcpu_rules_inside_a_handler)
{
	static const struct vcore_bus_ops ops = { .size = sizeof(ops),
						  .read = handler_read,
						  .write = handler_write };
	struct vcore_range *range;

	add_to_bus(&ops, f.vcpu, &range);
	ck_assert_ok(vcore_vcpu_new(f.vm, 1, NULL, &handler.other));
	ck_assert_ok(vcore_vcpu_run(f.vcpu, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_KICKED);
	ck_assert_uint_eq(handler.calls, 1);
	ck_assert_ptr_null(vcore__vcpu_current());
	vcore_range_remove(range);
	vcore_vcpu_unref(handler.other);
}
END_TEST

/* A guest that runs until it is told to stop. */
static int
spin(struct fake_kvm *fake, struct kvm_run *run)
{
	sigset_t pending;

	(void)fake;
	do {
		sched_yield();
		sigpending(&pending);
	} while (!sigismember(&pending, SIGRTMIN) && !run->immediate_exit);
	return -EINTR;
}

static void *
run_main(void *opaque)
{
	struct vcore_exit x;

	VCORE_INIT(&x);
	if (vcore_vcpu_run(opaque, &x) || x.kind != VCORE_EXIT_KICKED)
		return opaque;
	return NULL;
}

static void
wait_running(struct vcore_vcpu *v)
{
	while (!(vcore__kick_request(&v->kick) & VCORE__KICK_IN))
		sched_yield();
}

START_TEST(test_vcpu_calls_while_it_runs_are_ebusy)
{
	struct kvm_fpu fpu = { .fcw = 0x37f };
	struct vcore_regs regs;
	pthread_t thread;
	uint32_t state;
	void *failed;

	f.kvm.run = spin;
	pthread_create(&thread, NULL, run_main, f.vcpu);
	wait_running(f.vcpu);
	ck_assert_error(vcore_vcpu_run(f.vcpu, &e), -EBUSY, "vcore_vcpu_run");
	ck_assert_error(vcore_vcpu_get_regs(f.vcpu, &regs), -EBUSY,
			"vcore_vcpu_get_regs");
	ck_assert_error(vcore_vcpu_get_mp_state(f.vcpu, &state), -EBUSY,
			"vcore_vcpu_get_mp_state");
	ck_assert_error((int)vcore_vcpu_get_state(
				f.vcpu, VCORE_VCPU_STATE_FPU, &fpu,
				sizeof(fpu)),
			-EBUSY, "vcore_vcpu_get_state");
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, VCORE_VCPU_STATE_FPU,
					     &fpu, sizeof(fpu)),
			-EBUSY, "vcore_vcpu_set_state");
	ck_assert_error(vcore_vcpu_reset(f.vcpu), -EBUSY, "vcore_vcpu_reset");
	ck_assert_ok(vcore_vcpu_pause(f.vcpu, 0));
	ck_assert_ok(vcore_vcpu_get_regs(f.vcpu, &regs));
	ck_assert_ok(vcore_vcpu_resume(f.vcpu));
	ck_assert_ok(vcore_vcpu_kick(f.vcpu));
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
}
END_TEST

START_TEST(test_vcpu_registers_while_it_runs_are_ebusy)
{
	struct vcore_sregs sregs = { 0 };
	struct vcore_msr msr = { 0 };
	struct vcore_cpuid *cpuid;
	pthread_t thread;
	void *failed;

	ck_assert_ok(vcore_cpuid_new(f.host, &cpuid));
	f.kvm.run = spin;
	pthread_create(&thread, NULL, run_main, f.vcpu);
	wait_running(f.vcpu);
	ck_assert_error(vcore_vcpu_get_sregs(f.vcpu, &sregs), -EBUSY,
			"vcore_vcpu_get_sregs");
	ck_assert_error(vcore_vcpu_set_sregs(f.vcpu, &sregs), -EBUSY,
			"vcore_vcpu_set_sregs");
	ck_assert_error(vcore_vcpu_get_msrs(f.vcpu, &msr, 1), -EBUSY,
			"vcore_vcpu_get_msrs");
	ck_assert_error(vcore_vcpu_set_msrs(f.vcpu, &msr, 1), -EBUSY,
			"vcore_vcpu_set_msrs");
	ck_assert_error(vcore_vcpu_set_mp_state(f.vcpu, 0), -EBUSY,
			"vcore_vcpu_set_mp_state");
	ck_assert_error(vcore_vcpu_nmi(f.vcpu), -EBUSY, "vcore_vcpu_nmi");
	ck_assert_error(vcore_vcpu_set_cpuid(f.vcpu, cpuid, 1), -EBUSY,
			"vcore_vcpu_set_cpuid");
	ck_assert_ok(vcore_vcpu_kick(f.vcpu));
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	vcore_cpuid_free(cpuid);
}
END_TEST

START_TEST(test_vcpu_interrupt_while_it_runs_is_ebusy)
{
	struct fake_vcpu bare;
	pthread_t thread;
	void *failed;

	fake_vcpu_new(&bare, VCORE_VM_IRQCHIP_NONE, 0, 0);
	bare.kvm.run = spin;
	pthread_create(&thread, NULL, run_main, bare.vcpu);
	wait_running(bare.vcpu);
	ck_assert_error(vcore_vcpu_interrupt(bare.vcpu, 32), -EBUSY,
			"vcore_vcpu_interrupt");
	ck_assert_ok(vcore_vcpu_kick(bare.vcpu));
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	/* KVM takes one at a time. */
	bare.kvm.fail_request = KVM_INTERRUPT;
	bare.kvm.fail_error = EEXIST;
	ck_assert_error(vcore_vcpu_interrupt(bare.vcpu, 32), -EEXIST,
			"vcore_vcpu_interrupt");
	fake_vcpu_free(&bare);
}
END_TEST

/* A guest that no signal reaches, because none can be queued. */
static _Atomic uint32_t let_out;

static int
deaf(struct fake_kvm *fake, struct kvm_run *run)
{
	(void)fake;
	(void)run;
	while (!atomic_load(&let_out))
		sched_yield();
	return -EINTR;
}

static void
limit_signals(rlim_t n)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_SIGPENDING, &limit), 0);
	limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_SIGPENDING, &limit), 0);
}

START_TEST(test_vcpu_kick_without_room_for_signals_is_eagain)
{
	pthread_t thread;
	void *failed;

	atomic_store(&let_out, 0);
	f.kvm.run = deaf;
	pthread_create(&thread, NULL, run_main, f.vcpu);
	wait_running(f.vcpu);
	limit_signals(0);
	ck_assert_error(vcore_vcpu_kick(f.vcpu), -EAGAIN, "vcore_vcpu_kick");
	limit_signals(1000);
	/* It stands: the next exit shows it. */
	atomic_store(&let_out, 1);
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
}
END_TEST

static void *
pause_main(void *opaque)
{
	return vcore_vcpu_pause(opaque, 0) ? opaque : NULL;
}

START_TEST(test_vcpu_pause_signals_again_when_there_is_room)
{
	pthread_t runner, pauser;
	void *failed;

	f.kvm.run = spin;
	pthread_create(&runner, NULL, run_main, f.vcpu);
	wait_running(f.vcpu);
	limit_signals(0);
	pthread_create(&pauser, NULL, pause_main, f.vcpu);
	while (!atomic_load(&f.vcpu->kick.unsent))
		sched_yield();
	limit_signals(1000);
	pthread_join(pauser, &failed);
	ck_assert_ptr_null(failed);
	ck_assert_ok(vcore_vcpu_kick(f.vcpu));
	pthread_join(runner, &failed);
	ck_assert_ptr_null(failed);
	ck_assert_ok(vcore_vcpu_resume(f.vcpu));
}
END_TEST

START_TEST(test_vcpu_out_of_memory_takes_nothing)
{
	struct vcore_cpuid *cpuid;
	struct vcore_vcpu *v;
	bool failed = true;
	uint32_t n;
	int rc;

	for (n = 1; failed; n++) {
		v = NULL;
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_vcpu_new(f.vm, 1, NULL, &v);
		failed = fail_stop();
		if (failed)
			ck_assert_error(rc, -ENOMEM, "vcore_vcpu_new");
		ck_assert_int_eq(failed, !v);
		vcore_vcpu_unref(v);
	}
	ck_assert_uint_gt(n, 3);
	for (n = 1, failed = true; failed; n++) {
		cpuid = NULL;
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_cpuid_new(f.host, &cpuid);
		failed = fail_stop();
		if (failed)
			ck_assert_error(rc, -ENOMEM, "vcore_cpuid_new");
		ck_assert_int_eq(failed, !cpuid);
		vcore_cpuid_free(cpuid);
	}
	ck_assert_uint_gt(n, 3);
}
END_TEST

START_TEST(test_vcpu_out_of_memory_for_cpuid)
{
	struct vcore_cpuid_entry entry = { .function = 0x70, .flags = 1 };
	struct vcore_cpuid *cpuid;
	uint32_t count, last;
	int rc;

	ck_assert_ok(vcore_cpuid_new(f.host, &cpuid));
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_vcpu_set_cpuid(f.vcpu, cpuid, 1);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_vcpu_set_cpuid");
	do {
		entry.index++;
		count = vcore_cpuid_count(cpuid);
		fail_nth(FAIL_ALLOC, 1);
		rc = vcore_cpuid_set(cpuid, &entry);
	} while (!fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_cpuid_set");
	last = vcore_cpuid_count(cpuid);
	ck_assert_uint_eq(last, count);
	vcore_cpuid_free(cpuid);
}
END_TEST

static int
later_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	   struct vcore_access *later)
{
	struct vcore_access **kept = opaque;

	(void)off;
	(void)len;
	(void)val;
	*kept = later;
	ck_assert_ok(vcore_vcpu_kick(f.vcpu));
	return -EINPROGRESS;
}

static int
in_exit(struct fake_kvm *fake, struct kvm_run *run)
{
	int rc = out_exit(fake, run);

	run->io.direction = KVM_EXIT_IO_IN;
	return rc;
}

START_TEST(test_vcpu_reset_out_of_memory_keeps_the_access)
{
	static const struct vcore_bus_ops ops = { .size = sizeof(ops),
						  .read = later_read,
						  .write = handler_write };
	struct vcore_access *kept = NULL;
	struct vcore_range_opts opts;
	struct vcore_range *range;
	int rc;

	VCORE_INIT(&opts);
	opts.base = 0x10;
	opts.len = 1;
	opts.ops = &ops;
	opts.opaque = &kept;
	ck_assert_ok(vcore_bus_add(f.pio, &opts, &range));
	f.kvm.run = in_exit;
	ck_assert_ok(vcore_vcpu_run(f.vcpu, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_KICKED);
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_vcpu_reset(f.vcpu);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_vcpu_reset");
	ck_assert(f.vcpu->step.pending);
	/* It can still be answered, and is then forgotten. */
	vcore_access_done(kept, 0x5a);
	ck_assert_ok(vcore_vcpu_reset(f.vcpu));
	ck_assert(!f.vcpu->step.pending);
	vcore_range_remove(range);
}
END_TEST

START_TEST(test_vcpu_let_go_of_while_it_runs)
{
	struct vcore_vcpu *v = f.vcpu;
	pthread_t thread;
	void *failed;

	f.kvm.run = spin;
	pthread_create(&thread, NULL, run_main, v);
	wait_running(v);
	/* Kicked through a reference of our own, the last is the run's. */
	vcore_vm_unref(f.vm);
	f.vm = NULL;
	ck_assert_ok(vcore_vcpu_kick(v));
	vcore_vcpu_unref(v);
	f.vcpu = NULL;
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
}
END_TEST

START_TEST(test_vcpu_pause_many_all_or_none)
{
	struct vcore_vcpu *v[2] = { f.vcpu, NULL }, *late = NULL;
	sigset_t mask;
	bool fresh;

	ck_assert_ok(vcore_vcpu_new(f.vm, 1, NULL, &v[1]));
	ck_assert_int_eq(vcore__vcpu_pause_many(v, 2, 0, NULL), 0);
	vcore__vcpu_resume_many(v, 2);
	/* The second one is in a handler that does not return. */
	ck_assert_int_eq(vcore__kick_enter(&v[1]->kick, &mask, &fresh), 0);
	ck_assert(vcore__kick_go_in(&v[1]->kick));
	ck_assert_int_eq(vcore__vcpu_pause_many(v, 2, 1, &late), -ETIMEDOUT);
	ck_assert_ptr_eq(late, v[1]);
	ck_assert_uint_eq(vcore__kick_request(&v[0]->kick), 0);
	ck_assert_uint_eq(vcore__kick_request(&v[1]->kick), VCORE__KICK_IN);
	vcore__kick_leave(&v[1]->kick);
	/* The second one can't be asked: the first is let go. */
	atomic_store(&v[1]->kick.request, VCORE__KICK_PAUSES_MAX << 8);
	ck_assert_int_eq(vcore__vcpu_pause_many(v, 2, 0, &late), -ENOSPC);
	ck_assert_uint_eq(vcore__kick_request(&v[0]->kick), 0);
	atomic_store(&v[1]->kick.request, 0);
	vcore_vcpu_unref(v[1]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("vcpu/vcpu");
	TCase *t = tcase_create("vcpu");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_vcpu_new_bad_arguments);
	tcase_add_test(t, test_vcpu_new_fails_at_each_ioctl_without_leak);
	tcase_add_test(t, test_vcpu_null_arguments);
	tcase_add_test(t, test_vcpu_resume_without_pause_is_ebusy);
	tcase_add_test(t, test_vcpu_pause_too_often_is_enospc);
	tcase_add_test(t, test_vcpu_reset_without_saved_state_is_eopnotsupp);
	tcase_add_test(t, test_vcpu_return_paused);
	tcase_add_test(t, test_vcpu_signal_blocked_is_checked);
	tcase_add_test(t, test_vcpu_signal_handled_is_checked);
	tcase_add_test(t, test_vcpu_signal_blocked_and_handled_is_einval);
	if (!SUPPORT_TSAN) {
		tcase_add_test(
			t,
			test_vcpu_handler_makes_the_next_kvm_run_return_at_once);
		tcase_add_test(t, test_vcpu_handled_after_one_with_a_mask);
	}
	tcase_add_test(t,
		       test_vcpu_mask_that_did_not_get_to_kvm_is_set_again);
	tcase_add_test(t, test_vcpu_rules_inside_a_handler);
	tcase_add_test(t, test_vcpu_calls_while_it_runs_are_ebusy);
	tcase_add_test(t, test_vcpu_registers_while_it_runs_are_ebusy);
	tcase_add_test(t, test_vcpu_interrupt_while_it_runs_is_ebusy);
	tcase_add_test(t, test_vcpu_kick_without_room_for_signals_is_eagain);
	tcase_add_test(t, test_vcpu_pause_signals_again_when_there_is_room);
	tcase_add_test(t, test_vcpu_out_of_memory_takes_nothing);
	tcase_add_test(t, test_vcpu_out_of_memory_for_cpuid);
	tcase_add_test(t, test_vcpu_reset_out_of_memory_keeps_the_access);
	tcase_add_test(t, test_vcpu_let_go_of_while_it_runs);
	tcase_add_test(t, test_vcpu_pause_many_all_or_none);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
