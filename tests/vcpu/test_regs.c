/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers, MSRs and the power-on state, on a fake KVM. */
#include <errno.h>

#include "support/fake_vcpu.h"
#include "support/support.h"
#include "vcpu/vcpu.h"

static struct fake_vcpu f;

static void
setup(void)
{
	fake_vcpu_new(&f, VCORE_VM_IRQCHIP_KERNEL, 0, 0);
}

static void
teardown(void)
{
	fake_vcpu_free(&f);
}

START_TEST(test_regs_go_to_kvm_and_back)
{
	struct vcore_regs in = { .rax = 1, .rsi = 5, .r15 = 16, .rip = 0x1000,
				 .rflags = 2 }, out;
	struct vcore_sregs s = { .cr0 = 0x11, .efer = 0x500 }, t;

	s.cs.selector = 8;
	s.cs.dpl = 3;
	s.idt.limit = 0x7ff;
	ck_assert_ok(vcore_vcpu_set_regs(f.vcpu, &in));
	ck_assert_uint_eq(f.kvm.regs.rip, 0x1000);
	ck_assert_uint_eq(f.kvm.regs.r15, 16);
	ck_assert_ok(vcore_vcpu_get_regs(f.vcpu, &out));
	ck_assert_mem_eq(&in, &out, sizeof(in));
	ck_assert_ok(vcore_vcpu_set_sregs(f.vcpu, &s));
	ck_assert_uint_eq(f.kvm.sregs.cs.dpl, 3);
	ck_assert_uint_eq(f.kvm.sregs.idt.limit, 0x7ff);
	ck_assert_uint_eq(f.kvm.sregs.efer, 0x500);
	ck_assert_ok(vcore_vcpu_get_sregs(f.vcpu, &t));
	ck_assert_mem_eq(&s, &t, sizeof(s));
}
END_TEST

START_TEST(test_regs_null_arguments)
{
	struct vcore_sregs s;
	struct vcore_regs r;
	uint32_t n;

	ck_assert_error(vcore_vcpu_get_regs(NULL, &r), -EINVAL,
			"vcore_vcpu_get_regs: vcpu");
	ck_assert_error(vcore_vcpu_get_regs(f.vcpu, NULL), -EINVAL,
			"vcore_vcpu_get_regs: the struct");
	ck_assert_error(vcore_vcpu_set_regs(NULL, &r), -EINVAL,
			"vcore_vcpu_set_regs");
	ck_assert_error(vcore_vcpu_set_regs(f.vcpu, NULL), -EINVAL,
			"vcore_vcpu_set_regs");
	ck_assert_error(vcore_vcpu_get_sregs(NULL, &s), -EINVAL,
			"vcore_vcpu_get_sregs");
	ck_assert_error(vcore_vcpu_get_sregs(f.vcpu, NULL), -EINVAL,
			"vcore_vcpu_get_sregs");
	ck_assert_error(vcore_vcpu_set_sregs(NULL, &s), -EINVAL,
			"vcore_vcpu_set_sregs");
	ck_assert_error(vcore_vcpu_set_sregs(f.vcpu, NULL), -EINVAL,
			"vcore_vcpu_set_sregs");
	ck_assert_error(vcore_vcpu_get_mp_state(f.vcpu, NULL), -EINVAL,
			"vcore_vcpu_get_mp_state");
	ck_assert_error(vcore_vcpu_get_mp_state(NULL, &n), -EINVAL,
			"vcore_vcpu_get_mp_state");
	ck_assert_error(vcore_vcpu_set_mp_state(NULL, 0), -EINVAL,
			"vcore_vcpu_set_mp_state");
	ck_assert_error(vcore_vcpu_nmi(NULL), -EINVAL, "vcore_vcpu_nmi");
	ck_assert_error(vcore_vcpu_interrupt(NULL, 1), -EINVAL,
			"vcore_vcpu_interrupt");
}
END_TEST

START_TEST(test_regs_refused_by_kvm)
{
	struct vcore_sregs s, before;
	struct vcore_regs r = { 0 };

	memset(&s, 0x5a, sizeof(s));
	before = s;
	f.kvm.fail_error = EINVAL;
	f.kvm.fail_request = KVM_SET_REGS;
	ck_assert_error(vcore_vcpu_set_regs(f.vcpu, &r), -EINVAL,
			"vcore_vcpu_set_regs: vCPU 0");
	f.kvm.fail_request = KVM_GET_SREGS;
	ck_assert_error(vcore_vcpu_get_sregs(f.vcpu, &s), -EINVAL,
			"vcore_vcpu_get_sregs");
	ck_assert_mem_eq(&s, &before, sizeof(s));
	f.kvm.fail_request = KVM_SET_SREGS;
	ck_assert_error(vcore_vcpu_set_sregs(f.vcpu, &s), -EINVAL,
			"vcore_vcpu_set_sregs");
}
END_TEST

START_TEST(test_msrs_stop_at_the_refused_one)
{
	struct vcore_msr m[4] = { { .index = 0x174, .value = 1 },
				  { .index = 0x1a0, .value = 2 },
				  { .index = 0x9999, .value = 3 },
				  { .index = 0x277, .value = 4 } };

	ck_assert_int_eq(vcore_vcpu_set_msrs(f.vcpu, m, 4), 2);
	ck_assert_int_eq(vcore_vcpu_set_msrs(f.vcpu, m + 3, 1), 1);
	m[0].value = m[1].value = m[3].value = 0;
	ck_assert_int_eq(vcore_vcpu_get_msrs(f.vcpu, m, 4), 2);
	ck_assert_uint_eq(m[0].value, 1);
	ck_assert_uint_eq(m[1].value, 2);
	ck_assert_uint_eq(m[2].value, 3);
	ck_assert_uint_eq(m[3].value, 0);
	ck_assert_int_eq(vcore_vcpu_get_msrs(f.vcpu, NULL, 0), 0);
	ck_assert_error(vcore_vcpu_get_msrs(f.vcpu, NULL, 1), -EINVAL,
			"vcore_vcpu_get_msrs");
	ck_assert_error(vcore_vcpu_get_msrs(NULL, m, 1), -EINVAL,
			"vcore_vcpu_get_msrs");
	ck_assert_error(vcore_vcpu_set_msrs(NULL, m, 1), -EINVAL,
			"vcore_vcpu_set_msrs");
	ck_assert_error(vcore_vcpu_set_msrs(f.vcpu, m, UINT32_MAX), -EINVAL,
			"vcore_vcpu_set_msrs");
	f.kvm.fail_request = KVM_SET_MSRS;
	f.kvm.fail_error = EFAULT;
	ck_assert_error(vcore_vcpu_set_msrs(f.vcpu, m, 1), -EFAULT,
			"vcore_vcpu_set_msrs");
}
END_TEST

START_TEST(test_msrs_more_than_one_call_takes)
{
	struct vcore_msr m[200];
	uint32_t i;

	for (i = 0; i < 200; i++)
		m[i] = (struct vcore_msr){ .index = 0x174, .value = i };
	fake_kvm_clear(&f.kvm);
	ck_assert_int_eq(vcore_vcpu_set_msrs(f.vcpu, m, 200), 200);
	ck_assert_uint_eq(fake_kvm_count(&f.kvm, KVM_SET_MSRS), 4);
	ck_assert_int_eq(vcore_vcpu_get_msrs(f.vcpu, m, 200), 200);
	for (i = 0; i < 200; i++)
		ck_assert_uint_eq(m[i].value, 199);
	m[100].index = 0x9999;
	ck_assert_int_eq(vcore_vcpu_get_msrs(f.vcpu, m, 200), 100);
}
END_TEST

START_TEST(test_interrupt_needs_a_vm_without_irqchip)
{
	struct fake_vcpu bare;

	ck_assert_error(vcore_vcpu_interrupt(f.vcpu, 32), -EOPNOTSUPP,
			"vcore_vcpu_interrupt");
	ck_assert_error(vcore_vcpu_interrupt(f.vcpu, 256), -EINVAL,
			"vcore_vcpu_interrupt");
	fake_vcpu_new(&bare, VCORE_VM_IRQCHIP_NONE, 0, 0);
	ck_assert_ok(vcore_vcpu_interrupt(bare.vcpu, 32));
	ck_assert_uint_eq(fake_kvm_count(&bare.kvm, KVM_INTERRUPT), 1);
	ck_assert_ok(vcore_vcpu_nmi(bare.vcpu));
	ck_assert_uint_eq(fake_kvm_count(&bare.kvm, KVM_NMI), 1);
	fake_vcpu_free(&bare);
}
END_TEST

START_TEST(test_mp_state)
{
	uint32_t state = 9;

	ck_assert_ok(vcore_vcpu_set_mp_state(f.vcpu, 3));
	ck_assert_uint_eq(fake_kvm_last(&f.kvm, KVM_SET_MP_STATE)->u.mp.mp_state,
			  3);
	ck_assert_ok(vcore_vcpu_get_mp_state(f.vcpu, &state));
	ck_assert_uint_eq(state, 0);
}
END_TEST

START_TEST(test_reset_restores_what_was_saved)
{
	struct vcore_regs r = { .rip = 0x1234 };
	struct vcore_msr m = { .index = 0x174, .value = 7 };
	struct vcore_msr tsc = { .index = 0x10, .value = 8 };

	ck_assert_ok(vcore_vcpu_set_regs(f.vcpu, &r));
	ck_assert_int_eq(vcore_vcpu_set_msrs(f.vcpu, &m, 1), 1);
	ck_assert_int_eq(vcore_vcpu_set_msrs(f.vcpu, &tsc, 1), 1);
	ck_assert_ok(vcore_vcpu_reset(f.vcpu));
	ck_assert_uint_eq(f.kvm.regs.rip, 0);
	ck_assert_int_eq(vcore_vcpu_get_msrs(f.vcpu, &m, 1), 1);
	ck_assert_uint_eq(m.value, 0);
	/* The time stamp counter goes on. */
	ck_assert_int_eq(vcore_vcpu_get_msrs(f.vcpu, &tsc, 1), 1);
	ck_assert_uint_eq(tsc.value, 8);
}
END_TEST

/* A vCPU of kvm_amd has none after a triple fault with paging off. */
START_TEST(test_reset_sets_the_mmu_up_again)
{
	uint32_t before = f.kvm.mmu_loads;

	ck_assert_ok(vcore_vcpu_reset(f.vcpu));
	ck_assert_uint_gt(f.kvm.mmu_loads, before);
	ck_assert_uint_eq(f.kvm.sregs.cr3, 0);
}
END_TEST

START_TEST(test_reset_passes_over_a_refused_msr)
{
	struct vcore_msr m = { .index = 0x277, .value = 7 };

	ck_assert_int_eq(vcore_vcpu_set_msrs(f.vcpu, &m, 1), 1);
	f.kvm.msr_refused = 0x174 + 1;
	ck_assert_ok(vcore_vcpu_reset(f.vcpu));
	ck_assert_int_eq(vcore_vcpu_get_msrs(f.vcpu, &m, 1), 1);
	ck_assert_uint_eq(m.value, 0);
}
END_TEST

START_TEST(test_reset_refused_by_kvm)
{
	f.kvm.fail_request = KVM_SET_SREGS;
	f.kvm.fail_error = EINVAL;
	ck_assert_error(vcore_vcpu_reset(f.vcpu), -EINVAL,
			"vcore_vcpu_reset: vCPU 0");
	f.kvm.fail_request = 0;
	ck_assert_ok(vcore_vcpu_reset(f.vcpu));
}
END_TEST

START_TEST(test_new_without_optional_state_works)
{
	static const unsigned long optional[] = {
		KVM_GET_VCPU_EVENTS, KVM_GET_DEBUGREGS, KVM_GET_XCRS,
		KVM_GET_LAPIC, KVM_GET_MP_STATE, KVM_GET_XSAVE,
		KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS,
	};
	static const unsigned long put_back[] = {
		KVM_SET_VCPU_EVENTS, KVM_SET_DEBUGREGS, KVM_SET_XCRS,
		KVM_SET_LAPIC, KVM_SET_MP_STATE, KVM_SET_XSAVE,
		KVM_SET_MSRS, KVM_SET_MSRS,
	};
	struct fake_vcpu one;
	struct vcore_vcpu *v;
	uint32_t i;

	for (i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
		fake_vcpu_new(&one, VCORE_VM_IRQCHIP_KERNEL, 0, 0);
		one.kvm.fail_request = optional[i];
		one.kvm.fail_error = EINVAL;
		ck_assert_ok(vcore_vcpu_new(one.vm, 1, NULL, &v));
		one.kvm.fail_request = 0;
		fake_kvm_clear(&one.kvm);
		ck_assert_ok(vcore_vcpu_reset(v));
		ck_assert_uint_eq(fake_kvm_count(&one.kvm, put_back[i]), 0);
		vcore_vcpu_unref(v);
		fake_vcpu_free(&one);
	}
}
END_TEST

START_TEST(test_xsave2_size_is_respected)
{
	struct fake_kvm *k = &f.kvm;
	struct vcore_vcpu *v;
	struct vcore_host *h;
	struct vcore_vm *vm;

	k->caps[KVM_CAP_XSAVE2] = 11008;
	h = fake_kvm_host(k);
	ck_assert_ok(vcore_vm_new(h, f.memory, NULL, &vm));
	fake_kvm_clear(k);
	ck_assert_ok(vcore_vcpu_new(vm, 0, NULL, &v));
	ck_assert_uint_eq(fake_kvm_count(k, KVM_GET_XSAVE2), 1);
	ck_assert_uint_eq(fake_kvm_count(k, KVM_GET_XSAVE), 0);
	vcore_vcpu_unref(v);
	vcore_vm_unref(vm);
	vcore_host_unref(h);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("vcpu/regs");
	TCase *t = tcase_create("regs");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_regs_go_to_kvm_and_back);
	tcase_add_test(t, test_regs_null_arguments);
	tcase_add_test(t, test_regs_refused_by_kvm);
	tcase_add_test(t, test_msrs_stop_at_the_refused_one);
	tcase_add_test(t, test_msrs_more_than_one_call_takes);
	tcase_add_test(t, test_interrupt_needs_a_vm_without_irqchip);
	tcase_add_test(t, test_mp_state);
	tcase_add_test(t, test_reset_restores_what_was_saved);
	tcase_add_test(t, test_reset_sets_the_mmu_up_again);
	tcase_add_test(t, test_reset_passes_over_a_refused_msr);
	tcase_add_test(t, test_reset_refused_by_kvm);
	tcase_add_test(t, test_new_without_optional_state_works);
	tcase_add_test(t, test_xsave2_size_is_respected);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
