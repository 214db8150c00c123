/* SPDX-License-Identifier: BSD-3-Clause */
/* State in KVM's structs: how long it is, what is refused; on a fake KVM. */
#include <errno.h>

#include "kvm/host.h"
#include "support/fake_vcpu.h"
#include "support/support.h"
#include "vcpu/vcpu.h"

#define AMX 11008		/* bytes of an XSAVE area with tiles */

static struct fake_vcpu f;
static uint8_t buf[AMX];

/* The host remembers what it has asked. */
static void
set_cap(uint32_t cap, int value)
{
	f.kvm.caps[cap] = value;
	atomic_store(&f.host->caps[cap], 0);
}

static void
setup(void)
{
	static const uint32_t caps[] = {
		KVM_CAP_XSAVE, KVM_CAP_XCRS, KVM_CAP_VCPU_EVENTS,
		KVM_CAP_DEBUGREGS, KVM_CAP_IRQCHIP, KVM_CAP_SREGS2,
	};

	fake_vcpu_new(&f, VCORE_VM_IRQCHIP_KERNEL, 0, 0);
	for (uint32_t i = 0; i < VCORE__ARRAY_SIZE(caps); i++)
		set_cap(caps[i], 1);
}

static void
teardown(void)
{
	fake_vcpu_free(&f);
}

/* The last ioctl on the vCPU. */
static unsigned long
last_request(void)
{
	return f.kvm.call[f.kvm.calls - 1].request;
}

static const struct {
	uint32_t what, cap, len;
	unsigned long get, set;
} states[] = {
	{ VCORE_VCPU_STATE_FPU, 0, sizeof(struct kvm_fpu), KVM_GET_FPU,
	  KVM_SET_FPU },
	{ VCORE_VCPU_STATE_XCRS, KVM_CAP_XCRS, sizeof(struct kvm_xcrs),
	  KVM_GET_XCRS, KVM_SET_XCRS },
	{ VCORE_VCPU_STATE_EVENTS, KVM_CAP_VCPU_EVENTS,
	  sizeof(struct kvm_vcpu_events), KVM_GET_VCPU_EVENTS,
	  KVM_SET_VCPU_EVENTS },
	{ VCORE_VCPU_STATE_DEBUGREGS, KVM_CAP_DEBUGREGS,
	  sizeof(struct kvm_debugregs), KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS },
	{ VCORE_VCPU_STATE_LAPIC, KVM_CAP_IRQCHIP,
	  sizeof(struct kvm_lapic_state), KVM_GET_LAPIC, KVM_SET_LAPIC },
	{ VCORE_VCPU_STATE_SREGS2, KVM_CAP_SREGS2, sizeof(struct kvm_sregs2),
	  KVM_GET_SREGS2, KVM_SET_SREGS2 },
	{ VCORE_VCPU_STATE_XSAVE, KVM_CAP_XSAVE, sizeof(struct kvm_xsave),
	  KVM_GET_XSAVE, KVM_SET_XSAVE },
};
#define STATES ((int)VCORE__ARRAY_SIZE(states))

START_TEST(test_state_is_asked_for_by_its_length)
{
	uint32_t what = states[_i].what, len = states[_i].len;

	ck_assert_int_eq(vcore_vcpu_get_state(f.vcpu, what, NULL, 0), len);
	ck_assert_int_eq(vcore_vcpu_get_state(f.vcpu, what, buf, len), len);
	ck_assert_uint_eq(last_request(), states[_i].get);
	ck_assert_int_eq(vcore_vcpu_get_state(f.vcpu, what, buf, AMX), len);
	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, what, buf, len - 1),
			-ENOSPC, "vcore_vcpu_get_state: vCPU 0");
	ck_assert_ok(vcore_vcpu_set_state(f.vcpu, what, buf, len));
	ck_assert_uint_eq(last_request(), states[_i].set);
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, what, buf, len - 1),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, what, buf, len + 1),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
}
END_TEST

START_TEST(test_state_that_kvm_lacks_is_eopnotsupp)
{
	uint32_t cap = states[_i].cap;

	if (!cap)
		return;
	set_cap(cap, 0);
	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, states[_i].what,
						  NULL, 0),
			-EOPNOTSUPP, "vcore_vcpu_get_state: vCPU 0: KVM lacks");
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, states[_i].what, buf,
					     states[_i].len),
			-EOPNOTSUPP, "vcore_vcpu_set_state: vCPU 0: KVM lacks");
}
END_TEST

START_TEST(test_state_refused_by_kvm_is_told)
{
	f.kvm.fail_request = states[_i].get;
	f.kvm.fail_error = EIO;
	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, states[_i].what,
						  buf, AMX),
			-EIO, "vcore_vcpu_get_state: vCPU 0");
	f.kvm.fail_request = states[_i].set;
	f.kvm.fail_error = EINVAL;
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, states[_i].what, buf,
					     states[_i].len),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	f.kvm.fail_request = 0;
}
END_TEST

START_TEST(test_state_xsave_of_any_size)
{
	uint32_t what = VCORE_VCPU_STATE_XSAVE;

	set_cap(KVM_CAP_XSAVE2, AMX);
	ck_assert_int_eq(vcore_vcpu_get_state(f.vcpu, what, NULL, 0), AMX);
	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, what, buf, 4096),
			-ENOSPC, "vcore_vcpu_get_state: vCPU 0");
	ck_assert_int_eq(vcore_vcpu_get_state(f.vcpu, what, buf, AMX), AMX);
	ck_assert_uint_eq(last_request(), KVM_GET_XSAVE2);
	ck_assert_ok(vcore_vcpu_set_state(f.vcpu, what, buf, AMX));
	ck_assert_uint_eq(last_request(), KVM_SET_XSAVE);
	/* KVM would read beyond a shorter one. */
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, what, buf, 4096),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
}
END_TEST

START_TEST(test_state_nested_says_how_long_it_is)
{
	struct kvm_nested_state *nested = (void *)buf;
	uint32_t what = VCORE_VCPU_STATE_NESTED, least = sizeof(*nested);

	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, what, NULL, 0),
			-EOPNOTSUPP, "vcore_vcpu_get_state: vCPU 0: KVM lacks");
	set_cap(KVM_CAP_NESTED_STATE, 8192);
	ck_assert_int_eq(vcore_vcpu_get_state(f.vcpu, what, NULL, 0), 8192);
	ck_assert_int_eq(vcore_vcpu_get_state(f.vcpu, what, buf, AMX), 8192);
	ck_assert_uint_eq(nested->size, 8192);
	nested->size = least;
	ck_assert_ok(vcore_vcpu_set_state(f.vcpu, what, buf, least));
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, what, buf, least + 1),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	nested->size = least - 1;
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, what, buf, least - 1),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	nested->size = 8193;
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, what, buf, 8193),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
}
END_TEST

START_TEST(test_state_wrong_arguments)
{
	uint32_t fpu = VCORE_VCPU_STATE_FPU;

	ck_assert_error((int)vcore_vcpu_get_state(NULL, fpu, buf, AMX),
			-EINVAL, "vcore_vcpu_get_state: vcpu");
	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, fpu, NULL, 1),
			-EINVAL, "vcore_vcpu_get_state: vCPU 0: buf");
	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, 0, buf, AMX),
			-EINVAL, "vcore_vcpu_get_state: vCPU 0: there is no");
	ck_assert_error((int)vcore_vcpu_get_state(f.vcpu, 9, buf, AMX),
			-EINVAL, "vcore_vcpu_get_state: vCPU 0: there is no");
	ck_assert_error(vcore_vcpu_set_state(NULL, fpu, buf, 1), -EINVAL,
			"vcore_vcpu_set_state: vcpu");
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, fpu, NULL,
					     sizeof(struct kvm_fpu)),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0: buf");
	ck_assert_error(vcore_vcpu_set_state(f.vcpu, UINT32_MAX, buf, 1),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0: there is no");
}
END_TEST

START_TEST(test_state_without_local_apics)
{
	fake_vcpu_free(&f);
	fake_vcpu_new(&f, VCORE_VM_IRQCHIP_NONE, 0, 0);
	set_cap(KVM_CAP_IRQCHIP, 1);
	ck_assert_error((int)vcore_vcpu_get_state(
				f.vcpu, VCORE_VCPU_STATE_LAPIC, NULL, 0),
			-EOPNOTSUPP,
			"vcore_vcpu_get_state: vCPU 0 has no local APIC");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("vcpu/state");
	TCase *t = tcase_create("state");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_state_is_asked_for_by_its_length, 0,
			    STATES);
	tcase_add_loop_test(t, test_state_that_kvm_lacks_is_eopnotsupp, 0,
			    STATES);
	tcase_add_loop_test(t, test_state_refused_by_kvm_is_told, 0, STATES);
	tcase_add_test(t, test_state_xsave_of_any_size);
	tcase_add_test(t, test_state_nested_says_how_long_it_is);
	tcase_add_test(t, test_state_wrong_arguments);
	tcase_add_test(t, test_state_without_local_apics);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
