/* SPDX-License-Identifier: BSD-3-Clause */
/* State in KVM's structs, there and back, on this machine's KVM. */
#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "kvm/compat.h"
#include "support/kvm.h"
#include "support/support.h"

/* In words of an XSAVE area: its legacy part, its header. */
#define XMM3	  ((160 + 3 * 16) / 4)
#define XSTATE_BV (512 / 4)

static struct kvm_bed bed;

static void
setup(void)
{
	kvm_bed_new(&bed, VCORE_VM_IRQCHIP_KERNEL, 0);
}

static void
teardown(void)
{
	kvm_bed_free(&bed);
}

static const uint32_t states[] = {
	VCORE_VCPU_STATE_FPU,	 VCORE_VCPU_STATE_XSAVE,
	VCORE_VCPU_STATE_XCRS,	 VCORE_VCPU_STATE_EVENTS,
	VCORE_VCPU_STATE_DEBUGREGS, VCORE_VCPU_STATE_LAPIC,
	VCORE_VCPU_STATE_SREGS2, VCORE_VCPU_STATE_NESTED,
};

/* Zeroed; the caller's. *len: 0 if this KVM lacks it. */
static void *
get(uint32_t what, uint64_t *len)
{
	int64_t rc = vcore_vcpu_get_state(bed.vcpu, what, NULL, 0);
	void *buf;

	*len = 0;
	if (rc == -EOPNOTSUPP)
		return NULL;
	ck_assert_int_gt(rc, 0);
	buf = calloc(1, (size_t)rc);
	ck_assert_ptr_nonnull(buf);
	rc = vcore_vcpu_get_state(bed.vcpu, what, buf, (uint64_t)rc);
	ck_assert_msg(rc > 0, "%u: %s", what, vcore_error_text());
	*len = (uint64_t)rc;
	return buf;
}

/* What KVM gave it takes, and gives again. */
START_TEST(test_state_there_and_back)
{
	uint64_t len, again_len;
	void *buf = get(states[_i], &len), *again;

	if (!len)
		return;
	ck_assert_ok(vcore_vcpu_set_state(bed.vcpu, states[_i], buf, len));
	again = get(states[_i], &again_len);
	ck_assert_uint_eq(again_len, len);
	ck_assert_mem_eq(again, buf, len);
	free(buf);
	free(again);
}
END_TEST

/* A change arrives: of x87 and SSE by either way, of a debug register. */
START_TEST(test_state_changes_arrive)
{
	struct kvm_debugregs *debug;
	struct kvm_xsave *xsave;
	struct kvm_fpu *fpu;
	uint64_t len;

	fpu = get(VCORE_VCPU_STATE_FPU, &len);
	fpu->fcw = 0x27f;
	fpu->xmm[3][0] = 0x5a;
	ck_assert_ok(vcore_vcpu_set_state(bed.vcpu, VCORE_VCPU_STATE_FPU, fpu,
					  len));
	free(fpu);
	fpu = get(VCORE_VCPU_STATE_FPU, &len);
	ck_assert_uint_eq(fpu->fcw, 0x27f);
	ck_assert_uint_eq(fpu->xmm[3][0], 0x5a);
	free(fpu);
	xsave = get(VCORE_VCPU_STATE_XSAVE, &len);
	xsave->region[0] = 0x27f;
	xsave->region[XMM3] = 0xa5;
	xsave->region[XSTATE_BV] |= 3;
	ck_assert_ok(vcore_vcpu_set_state(bed.vcpu, VCORE_VCPU_STATE_XSAVE,
					  xsave, len));
	free(xsave);
	xsave = get(VCORE_VCPU_STATE_XSAVE, &len);
	ck_assert_uint_eq(xsave->region[0] & 0xffff, 0x27f);
	ck_assert_uint_eq(xsave->region[XMM3], 0xa5);
	free(xsave);
	debug = get(VCORE_VCPU_STATE_DEBUGREGS, &len);
	debug->db[1] = 0x1234;
	ck_assert_ok(vcore_vcpu_set_state(bed.vcpu, VCORE_VCPU_STATE_DEBUGREGS,
					  debug, len));
	free(debug);
	debug = get(VCORE_VCPU_STATE_DEBUGREGS, &len);
	ck_assert_uint_eq(debug->db[1], 0x1234);
	free(debug);
}
END_TEST

/* What no processor can be in: refused, and nothing has changed. */
START_TEST(test_state_refused_changes_nothing)
{
	struct kvm_debugregs *debug, *debug_now;
	struct kvm_vcpu_events *events;
	struct kvm_xcrs *xcrs, *xcrs_now;
	uint64_t len;

	xcrs = get(VCORE_VCPU_STATE_XCRS, &len);
	ck_assert_ptr_nonnull(xcrs);
	xcrs->nr_xcrs = UINT32_MAX;
	ck_assert_error(vcore_vcpu_set_state(bed.vcpu, VCORE_VCPU_STATE_XCRS,
					     xcrs, len),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = 0;
	xcrs->xcrs[0].value = 0;	/* without x87 */
	ck_assert_error(vcore_vcpu_set_state(bed.vcpu, VCORE_VCPU_STATE_XCRS,
					     xcrs, len),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	xcrs_now = get(VCORE_VCPU_STATE_XCRS, &len);
	ck_assert_uint_eq(xcrs_now->xcrs[0].value & 1, 1);
	free(xcrs);
	free(xcrs_now);

	debug = get(VCORE_VCPU_STATE_DEBUGREGS, &len);
	debug->dr7 = 1ull << 40;
	debug->db[0] = 0x77;
	ck_assert_error(vcore_vcpu_set_state(
				bed.vcpu, VCORE_VCPU_STATE_DEBUGREGS, debug,
				len),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	debug_now = get(VCORE_VCPU_STATE_DEBUGREGS, &len);
	ck_assert_uint_ne(debug_now->db[0], 0x77);
	free(debug);
	free(debug_now);

	events = get(VCORE_VCPU_STATE_EVENTS, &len);
	events->flags = UINT32_MAX;
	ck_assert_error(vcore_vcpu_set_state(
				bed.vcpu, VCORE_VCPU_STATE_EVENTS, events, len),
			-EINVAL, "vcore_vcpu_set_state: vCPU 0");
	free(events);
}
END_TEST

int
main(void)
{
	struct vcore_host *host = kvm_host();
	Suite *suite = suite_create("vcpu/state_kvm");
	TCase *t = tcase_create("state_kvm");

	if (!host)
		return KVM_SKIPPED;
	vcore_host_unref(host);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_state_there_and_back, 0,
			    (int)VCORE__ARRAY_SIZE(states));
	tcase_add_test(t, test_state_changes_arrive);
	tcase_add_test(t, test_state_refused_changes_nothing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
