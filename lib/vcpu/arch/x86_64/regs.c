/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers of an x86 vCPU, as KVM keeps them. */
#include <stddef.h>
#include <string.h>

#include "base/base.h"
#include "vcpu/vcpu.h"

/* MSRs of one ioctl; KVM takes at most 256. */
#define MSRS 64u

/* The public structs have KVM's layout, so a copy is a copy. */
#define SAME(a, x, b, y)                                              \
	_Static_assert(offsetof(struct a, x) == offsetof(struct b, y), #x)

SAME(vcore_regs, rsi, kvm_regs, rsi);
SAME(vcore_regs, r15, kvm_regs, r15);
SAME(vcore_regs, rflags, kvm_regs, rflags);
_Static_assert(sizeof(struct vcore_regs) == sizeof(struct kvm_regs), "regs");
SAME(vcore_segment, selector, kvm_segment, selector);
SAME(vcore_segment, type, kvm_segment, type);
SAME(vcore_segment, dpl, kvm_segment, dpl);
SAME(vcore_segment, unusable, kvm_segment, unusable);
SAME(vcore_sregs, ss, kvm_sregs, ss);
SAME(vcore_sregs, ldt, kvm_sregs, ldt);
SAME(vcore_sregs, idt, kvm_sregs, idt);
SAME(vcore_sregs, cr0, kvm_sregs, cr0);
SAME(vcore_sregs, efer, kvm_sregs, efer);
SAME(vcore_sregs, interrupt_bitmap, kvm_sregs, interrupt_bitmap);
_Static_assert(sizeof(struct vcore_sregs) == sizeof(struct kvm_sregs),
	       "sregs");
SAME(vcore_msr, value, kvm_msr_entry, data);
_Static_assert(sizeof(struct vcore_msr) == sizeof(struct kvm_msr_entry),
	       "msr");

/* One ioctl with one struct, on a vCPU that does not run. */
static int
transfer(struct vcore_vcpu *v, const char *who, unsigned long request,
	 void *arg, bool given)
{
	int rc;

	if (!v || !given)
		return vcore__err(NULL, -EINVAL, "%s: %s is NULL", who,
				  v ? "the struct" : "vcpu");
	rc = vcore__vcpu_check_idle(v, who);
	if (rc)
		return rc;
	rc = vcore__vcpu_ioctl(v, request, arg);
	if (rc < 0)
		return vcore__err(v->vm->log, rc, "%s: vCPU %u: KVM says: %s",
				  who, v->id, vcore__strerror(rc));
	return 0;
}

int
vcore_vcpu_get_regs(struct vcore_vcpu *v, struct vcore_regs *regs)
{
	struct kvm_regs k;
	int rc;

	rc = transfer(v, "vcore_vcpu_get_regs", KVM_GET_REGS, &k, regs);
	if (rc == 0)
		memcpy(regs, &k, sizeof(k));
	return rc;
}

int
vcore_vcpu_set_regs(struct vcore_vcpu *v, const struct vcore_regs *regs)
{
	struct kvm_regs k;

	if (regs)
		memcpy(&k, regs, sizeof(k));
	return transfer(v, "vcore_vcpu_set_regs", KVM_SET_REGS, &k, regs);
}

int
vcore_vcpu_get_sregs(struct vcore_vcpu *v, struct vcore_sregs *sregs)
{
	struct kvm_sregs k;
	int rc;

	rc = transfer(v, "vcore_vcpu_get_sregs", KVM_GET_SREGS, &k, sregs);
	if (rc == 0)
		memcpy(sregs, &k, sizeof(k));
	return rc;
}

int
vcore_vcpu_set_sregs(struct vcore_vcpu *v, const struct vcore_sregs *sregs)
{
	struct kvm_sregs k;

	if (sregs)
		memcpy(&k, sregs, sizeof(k));
	return transfer(v, "vcore_vcpu_set_sregs", KVM_SET_SREGS, &k, sregs);
}

/* MSRS at a time, until one is refused. Number taken, or an error. */
static int
msrs(struct vcore_vcpu *v, unsigned long request, struct vcore_msr *io,
     const struct vcore_msr *in, uint32_t count)
{
	union {
		struct kvm_msrs m;
		char room[sizeof(struct kvm_msrs) +
			  MSRS * sizeof(struct kvm_msr_entry)];
	} arg;
	uint32_t done = 0, n;
	int rc;

	while (done < count) {
		n = count - done < MSRS ? count - done : MSRS;
		memset(&arg.m, 0, sizeof(arg.m));
		arg.m.nmsrs = n;
		memcpy(arg.m.entries, in + done, n * sizeof(*in));
		rc = vcore__vcpu_ioctl(v, request, &arg);
		if (rc < 0)
			return rc;
		if (io)
			memcpy(io + done, arg.m.entries,
			       (uint32_t)rc * sizeof(*io));
		done += (uint32_t)rc;
		if ((uint32_t)rc < n)
			break;
	}
	return (int)done;
}

static int
msrs_checked(struct vcore_vcpu *v, const char *who, unsigned long request,
	     struct vcore_msr *io, const struct vcore_msr *in, uint32_t count)
{
	int rc;

	if (!v || (!in && count))
		return vcore__err(NULL, -EINVAL, "%s: %s is NULL", who,
				  v ? "msrs" : "vcpu");
	if (count > INT32_MAX)
		return vcore__err(v->vm->log, -EINVAL, "%s: count %u", who,
				  count);
	rc = vcore__vcpu_check_idle(v, who);
	if (rc)
		return rc;
	rc = msrs(v, request, io, in, count);
	if (rc < 0)
		return vcore__err(v->vm->log, rc, "%s: vCPU %u: KVM says: %s",
				  who, v->id, vcore__strerror(rc));
	return rc;
}

int
vcore_vcpu_get_msrs(struct vcore_vcpu *v, struct vcore_msr *list,
		    uint32_t count)
{
	return msrs_checked(v, "vcore_vcpu_get_msrs", KVM_GET_MSRS, list, list,
			    count);
}

int
vcore_vcpu_set_msrs(struct vcore_vcpu *v, const struct vcore_msr *list,
		    uint32_t count)
{
	return msrs_checked(v, "vcore_vcpu_set_msrs", KVM_SET_MSRS, NULL, list,
			    count);
}

int
vcore_vcpu_get_mp_state(struct vcore_vcpu *v, uint32_t *state)
{
	struct kvm_mp_state mp = { 0 };
	int rc;

	rc = transfer(v, "vcore_vcpu_get_mp_state", KVM_GET_MP_STATE, &mp,
		      state);
	if (rc == 0)
		*state = mp.mp_state;
	return rc;
}

int
vcore_vcpu_set_mp_state(struct vcore_vcpu *v, uint32_t state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	return transfer(v, "vcore_vcpu_set_mp_state", KVM_SET_MP_STATE, &mp,
			true);
}

int
vcore_vcpu_interrupt(struct vcore_vcpu *v, uint32_t vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	if (vector > 255)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vcpu_interrupt: vector %u", vector);
	if (v && v->vm->irqchip_kind != VCORE_VM_IRQCHIP_NONE)
		return vcore__err(v->vm->log, -EOPNOTSUPP,
				  "vcore_vcpu_interrupt: the VM has an irqchip");
	return transfer(v, "vcore_vcpu_interrupt", KVM_INTERRUPT, &irq, true);
}

int
vcore_vcpu_nmi(struct vcore_vcpu *v)
{
	return transfer(v, "vcore_vcpu_nmi", KVM_NMI, NULL, true);
}
