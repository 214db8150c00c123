/* SPDX-License-Identifier: BSD-3-Clause */
/* Exits as KVM tells them become exits as the library tells them. */
#include <errno.h>

#include "support/fake_vcpu.h"
#include "support/support.h"
#include "vcpu/vcpu.h"

static struct fake_vcpu f;
static struct vcore_exit e;
/* What the next KVM_RUN leaves behind. */
static struct kvm_run next;
static int next_rc;
static uint32_t runs;

static int
run_next(struct fake_kvm *fake, struct kvm_run *run)
{
	(void)fake;
	runs++;
	run->exit_reason = next.exit_reason;
	memcpy(run->padding, next.padding, sizeof(next.padding));
	return next_rc;
}

static void
setup(void)
{
	fake_vcpu_new(&f, VCORE_VM_IRQCHIP_NONE, 0, FAKE_VCPU_BARE);
	f.kvm.run = run_next;
	memset(&next, 0, sizeof(next));
	next_rc = 0;
	runs = 0;
}

static void
teardown(void)
{
	fake_vcpu_free(&f);
}

static void
expect(uint32_t kind)
{
	VCORE_INIT(&e);
	ck_assert_ok(vcore_vcpu_run(f.vcpu, &e));
	ck_assert_uint_eq(e.kind, kind);
	ck_assert_uint_eq(e.reason, next.exit_reason);
	ck_assert_uint_eq(e.size, sizeof(e));
}

START_TEST(test_exit_halt_and_shutdown)
{
	next.exit_reason = KVM_EXIT_HLT;
	expect(VCORE_EXIT_HALT);
	next.exit_reason = KVM_EXIT_SHUTDOWN;
	expect(VCORE_EXIT_SHUTDOWN);
}
END_TEST

START_TEST(test_exit_io_without_bus)
{
	next.exit_reason = KVM_EXIT_IO;
	next.io.direction = KVM_EXIT_IO_OUT;
	next.io.size = 2;
	next.io.port = 0x3f8;
	next.io.count = 7;
	next.io.data_offset = 4096;
	expect(VCORE_EXIT_IO);
	ck_assert_uint_eq(e.u.io.port, 0x3f8);
	ck_assert_uint_eq(e.u.io.len, 2);
	ck_assert_uint_eq(e.u.io.count, 7);
	ck_assert_uint_eq(e.u.io.write, 1);
	ck_assert_ptr_eq(e.u.io.data, (uint8_t *)f.kvm.area + 4096);
}
END_TEST

START_TEST(test_exit_mmio_without_bus)
{
	next.exit_reason = KVM_EXIT_MMIO;
	next.mmio.phys_addr = 0xd0000000;
	next.mmio.len = 4;
	expect(VCORE_EXIT_MMIO);
	ck_assert_uint_eq(e.u.mmio.gpa, 0xd0000000);
	ck_assert_uint_eq(e.u.mmio.len, 4);
	ck_assert_uint_eq(e.u.mmio.write, 0);
	ck_assert_ptr_eq(e.u.mmio.data, f.kvm.area->mmio.data);
	/* More than KVM can mean is cut. */
	next.mmio.len = 200;
	expect(VCORE_EXIT_MMIO);
	ck_assert_uint_eq(e.u.mmio.len, 8);
}
END_TEST

START_TEST(test_exit_internal_error)
{
	next.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	next.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	next.internal.ndata = 2;
	next.internal.data[0] = 5;
	next.internal.data[1] = 6;
	expect(VCORE_EXIT_INTERNAL_ERROR);
	ck_assert_uint_eq(e.u.internal.suberror, 3);
	ck_assert_uint_eq(e.u.internal.ndata, 2);
	ck_assert_uint_eq(e.u.internal.data[1], 6);
	ck_assert_uint_eq(e.u.internal.ninsn, 0);
	/* ndata beyond the array is cut */
	next.internal.ndata = 99;
	expect(VCORE_EXIT_INTERNAL_ERROR);
	ck_assert_uint_eq(e.u.internal.ndata, 16);
}
END_TEST

START_TEST(test_exit_emulation_failure_with_bytes)
{
	next.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	next.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	next.emulation_failure.ndata = 3;
	next.emulation_failure.flags =
		KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	next.emulation_failure.insn_size = 3;
	memcpy(next.emulation_failure.insn_bytes, "\x0f\x58\x03", 3);
	expect(VCORE_EXIT_INTERNAL_ERROR);
	ck_assert_uint_eq(e.u.internal.ninsn, 3);
	ck_assert_mem_eq(e.u.internal.insn, "\x0f\x58\x03", 3);
	next.emulation_failure.insn_size = 255;
	expect(VCORE_EXIT_INTERNAL_ERROR);
	ck_assert_uint_eq(e.u.internal.ninsn, 15);
	/* Without the flag, or with too little data, there are none. */
	next.emulation_failure.flags = 0;
	expect(VCORE_EXIT_INTERNAL_ERROR);
	ck_assert_uint_eq(e.u.internal.ninsn, 0);
	next.emulation_failure.flags = 1;
	next.emulation_failure.ndata = 1;
	expect(VCORE_EXIT_INTERNAL_ERROR);
	ck_assert_uint_eq(e.u.internal.ninsn, 0);
}
END_TEST

START_TEST(test_exit_fail_entry)
{
	next.exit_reason = KVM_EXIT_FAIL_ENTRY;
	next.fail_entry.hardware_entry_failure_reason = 0x80000021;
	next.fail_entry.cpu = 3;
	expect(VCORE_EXIT_FAIL_ENTRY);
	ck_assert_uint_eq(e.u.fail.hardware_reason, 0x80000021);
	ck_assert_uint_eq(e.u.fail.cpu, 3);
}
END_TEST

START_TEST(test_exit_system_event)
{
	next.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	next.system_event.type = KVM_SYSTEM_EVENT_RESET;
	next.system_event.ndata = 1000;
	next.system_event.data[15] = 4;
	expect(VCORE_EXIT_SYSTEM_EVENT);
	ck_assert_uint_eq(e.u.system.type, KVM_SYSTEM_EVENT_RESET);
	ck_assert_uint_eq(e.u.system.ndata, 16);
	ck_assert_uint_eq(e.u.system.data[15], 4);
}
END_TEST

START_TEST(test_exit_hypercall)
{
	next.exit_reason = KVM_EXIT_HYPERCALL;
	next.hypercall.nr = 12;
	next.hypercall.args[5] = 9;
	expect(VCORE_EXIT_HYPERCALL);
	ck_assert_uint_eq(e.u.hypercall.nr, 12);
	ck_assert_uint_eq(e.u.hypercall.args[5], 9);
	*e.u.hypercall.ret = 77;
	ck_assert_uint_eq(f.kvm.area->hypercall.ret, 77);
}
END_TEST

START_TEST(test_exit_msr)
{
	next.exit_reason = KVM_EXIT_X86_WRMSR;
	next.msr.index = 0x4b;
	next.msr.data = 5;
	expect(VCORE_EXIT_MSR);
	ck_assert_uint_eq(e.u.msr.index, 0x4b);
	ck_assert_uint_eq(e.u.msr.write, 1);
	ck_assert_uint_eq(*e.u.msr.data, 5);
	*e.u.msr.error = 1;
	ck_assert_uint_eq(f.kvm.area->msr.error, 1);
	next.exit_reason = KVM_EXIT_X86_RDMSR;
	expect(VCORE_EXIT_MSR);
	ck_assert_uint_eq(e.u.msr.write, 0);
}
END_TEST

START_TEST(test_exit_debug)
{
	next.exit_reason = KVM_EXIT_DEBUG;
	next.debug.arch.exception = 3;
	next.debug.arch.pc = 0x1000;
	next.debug.arch.dr6 = 0x4000;
	expect(VCORE_EXIT_DEBUG);
	ck_assert_uint_eq(e.u.debug.exception, 3);
	ck_assert_uint_eq(e.u.debug.pc, 0x1000);
	ck_assert_uint_eq(e.u.debug.dr6, 0x4000);
}
END_TEST

START_TEST(test_exit_unknown_is_raw)
{
	uint64_t len = 0;

	next.exit_reason = 9999;
	expect(VCORE_EXIT_OTHER);
	ck_assert_ptr_eq(vcore_vcpu_run_area(f.vcpu, &len), f.kvm.area);
	ck_assert_uint_ge(len, sizeof(struct kvm_run));
	next.exit_reason = KVM_EXIT_UNKNOWN;
	expect(VCORE_EXIT_OTHER);
}
END_TEST

START_TEST(test_exit_efault_is_memory_fault)
{
	struct vcore__kvm_memory_fault fault = { 8, 0x5000, 0x1000 };

	next_rc = -EFAULT;
	next.exit_reason = KVM_EXIT_UNKNOWN;
	expect(VCORE_EXIT_MEMORY_FAULT);
	ck_assert_uint_eq(e.u.fault.gpa, UINT64_MAX);
	next.exit_reason = VCORE__KVM_EXIT_MEMORY_FAULT;
	memcpy(next.padding, &fault, sizeof(fault));
	expect(VCORE_EXIT_MEMORY_FAULT);
	ck_assert_uint_eq(e.u.fault.gpa, 0x5000);
	ck_assert_uint_eq(e.u.fault.len, 0x1000);
	ck_assert_uint_eq(e.u.fault.flags, 8);
	/* Not mistaken for a later one that says nothing. */
	ck_assert_uint_eq(f.kvm.area->exit_reason, KVM_EXIT_UNKNOWN);
}
END_TEST

START_TEST(test_exit_other_errors_pass_through)
{
	static const int errors[] = { ENOMEM, EINVAL, EIO, EPERM };
	uint32_t i;

	for (i = 0; i < 4; i++) {
		next_rc = -errors[i];
		VCORE_INIT(&e);
		ck_assert_error(vcore_vcpu_run(f.vcpu, &e), -errors[i],
				"vcore_vcpu_run");
		ck_assert_uint_eq(e.kind, 0);
	}
}
END_TEST

START_TEST(test_exit_eagain_is_bounded)
{
	next_rc = -EAGAIN;
	VCORE_INIT(&e);
	/* fake_kvm says mp_state 0: runnable */
	ck_assert_error(vcore_vcpu_run(f.vcpu, &e), -EAGAIN, "vcore_vcpu_run");
	ck_assert_uint_ge(runs, 1000);
}
END_TEST

START_TEST(test_run_bad_arguments)
{
	VCORE_INIT(&e);
	ck_assert_error(vcore_vcpu_run(NULL, &e), -EINVAL, "vcore_vcpu_run");
	ck_assert_error(vcore_vcpu_run(f.vcpu, NULL), -EINVAL,
			"vcore_vcpu_run");
	e.size = 0;
	ck_assert_error(vcore_vcpu_run(f.vcpu, &e), -EINVAL,
			"vcore_vcpu_run");
	e.size = 5000;
	ck_assert_error(vcore_vcpu_run(f.vcpu, &e), -EINVAL,
			"vcore_vcpu_run");
	ck_assert_uint_eq(runs, 0);
}
END_TEST

START_TEST(test_run_without_signal_mask_fails)
{
	VCORE_INIT(&e);
	f.kvm.fail_request = KVM_SET_SIGNAL_MASK;
	f.kvm.fail_error = EINVAL;
	ck_assert_error(vcore_vcpu_run(f.vcpu, &e), -EINVAL,
			"vcore_vcpu_run");
	f.kvm.fail_request = 0;
	next.exit_reason = KVM_EXIT_HLT;
	expect(VCORE_EXIT_HALT);
}
END_TEST

START_TEST(test_run_sets_the_mask_only_when_it_changed)
{
	const struct fake_call *c;
	sigset_t set;

	next.exit_reason = KVM_EXIT_HLT;
	expect(VCORE_EXIT_HALT);
	expect(VCORE_EXIT_HALT);
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_SET_SIGNAL_MASK), 1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	expect(VCORE_EXIT_HALT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_SET_SIGNAL_MASK), 2);
	c = fake_kvm_last(&f.kvm, KVM_SET_SIGNAL_MASK);
	ck_assert_uint_eq(c->u.sigset[(SIGUSR1 - 1) / 8] >>
				  ((SIGUSR1 - 1) % 8) & 1, 1);
	ck_assert_uint_eq(c->u.sigset[(SIGRTMIN - 1) / 8] >>
				  ((SIGRTMIN - 1) % 8) & 1, 0);
}
END_TEST

START_TEST(test_kick_completes_the_last_exit_first)
{
	next.exit_reason = KVM_EXIT_HLT;
	expect(VCORE_EXIT_HALT);
	ck_assert_ok(vcore_vcpu_kick(f.vcpu));
	fake_kvm_clear(&f.kvm);
	VCORE_INIT(&e);
	ck_assert_ok(vcore_vcpu_run(f.vcpu, &e));
	ck_assert_uint_eq(e.kind, VCORE_EXIT_KICKED);
	/* One KVM_RUN, with immediate_exit: runs did not count it. */
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_RUN), 1);
	ck_assert_uint_eq(runs, 1);
	ck_assert_uint_eq(f.kvm.area->immediate_exit, 0);
	/* The next one has nothing to complete. */
	ck_assert_ok(vcore_vcpu_kick(f.vcpu));
	ck_assert_ok(vcore_vcpu_run(f.vcpu, &e));
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_RUN), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("vcpu/exit");
	TCase *t = tcase_create("exit");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_exit_halt_and_shutdown);
	tcase_add_test(t, test_exit_io_without_bus);
	tcase_add_test(t, test_exit_mmio_without_bus);
	tcase_add_test(t, test_exit_internal_error);
	tcase_add_test(t, test_exit_emulation_failure_with_bytes);
	tcase_add_test(t, test_exit_fail_entry);
	tcase_add_test(t, test_exit_system_event);
	tcase_add_test(t, test_exit_hypercall);
	tcase_add_test(t, test_exit_msr);
	tcase_add_test(t, test_exit_debug);
	tcase_add_test(t, test_exit_unknown_is_raw);
	tcase_add_test(t, test_exit_efault_is_memory_fault);
	tcase_add_test(t, test_exit_other_errors_pass_through);
	tcase_add_test(t, test_exit_eagain_is_bounded);
	tcase_add_test(t, test_run_bad_arguments);
	tcase_add_test(t, test_run_without_signal_mask_fails);
	tcase_add_test(t, test_run_sets_the_mask_only_when_it_changed);
	tcase_add_test(t, test_kick_completes_the_last_exit_first);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
