/* SPDX-License-Identifier: BSD-3-Clause */
/* A vCPU's power-on state: saved when KVM made it, put back by a reset. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "vcpu/arch/x86_64/state.h"

/* Most MSRs KVM may list. */
#define LIST_MAX 1024u
/* MSRs of one ioctl. */
#define MSRS 64u

/* Goes on counting: a reset of one vCPU would part it from the others. */
#define MSR_IA32_TSC 0x10u

/* What KVM refused to tell is not put back. */
#define HAS_EVENTS (1u << 0)
#define HAS_DEBUG  (1u << 1)
#define HAS_XCRS   (1u << 2)
#define HAS_LAPIC  (1u << 3)
#define HAS_MP     (1u << 4)
#define HAS_XSAVE  (1u << 5)
#define HAS_FPU    (1u << 6)

struct reset_state {
	uint32_t has;
	uint32_t nmsrs;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_fpu fpu;
	void *xsave;
	struct kvm_msr_entry msr[];
};

union msr_arg {
	struct kvm_msrs m;
	char room[sizeof(struct kvm_msrs) +
		  MSRS * sizeof(struct kvm_msr_entry)];
};

static void
state_free(void *keep)
{
	struct reset_state *s = keep;

	if (!s)
		return;
	free(s->xsave);
	free(s);
}

/*
 * Transfer all MSRs, passing over those that are refused. Returns how many
 * were transferred; when reading they move together at the front.
 */
static uint32_t
each_msr(struct vcore_vcpu *v, unsigned long request,
	 struct kvm_msr_entry *msr, uint32_t count)
{
	uint32_t at = 0, kept = 0, n;
	union msr_arg arg;
	int rc;

	while (at < count) {
		n = count - at < MSRS ? count - at : MSRS;
		memset(&arg.m, 0, sizeof(arg.m));
		arg.m.nmsrs = n;
		memcpy(arg.m.entries, msr + at, n * sizeof(*msr));
		rc = vcore__vcpu_ioctl(v, request, &arg);
		if (rc < 0)
			break;
		if (request == KVM_GET_MSRS)
			memcpy(msr + kept, arg.m.entries,
			       (uint32_t)rc * sizeof(*msr));
		kept += (uint32_t)rc;
		at += (uint32_t)rc;
		if ((uint32_t)rc < n) {
			vcore__log(v->vm->log, VCORE_LOG_DEBUG,
				   "vCPU %u: KVM refuses to %s MSR %#x", v->id,
				   request == KVM_GET_MSRS ? "read" : "write",
				   arg.m.entries[rc].index);
			at++;
		}
	}
	return kept;
}

static struct reset_state *
state_new(struct vcore_vcpu *v)
{
	union {
		struct kvm_msr_list l;
		uint32_t room[1 + LIST_MAX];
	} arg;
	struct reset_state *s;
	uint32_t i, n = 0;
	int rc;

	arg.l.nmsrs = LIST_MAX;
	rc = vcore__kvm_ioctl(&v->kvm, v->vm->host->fd, KVM_GET_MSR_INDEX_LIST,
			      &arg);
	if (rc >= 0 && arg.l.nmsrs <= LIST_MAX)
		n = arg.l.nmsrs;
	s = calloc(1, sizeof(*s) + n * sizeof(s->msr[0]));
	if (!s)
		return NULL;
	for (i = 0; i < n; i++)
		if (arg.l.indices[i] != MSR_IA32_TSC)
			s->msr[s->nmsrs++].index = arg.l.indices[i];
	return s;
}

static int
save_xsave(struct vcore_vcpu *v, struct reset_state *s)
{
	unsigned long request;
	size_t len = vcore__vcpu_xsave_len(v, &request);

	s->xsave = calloc(1, len);
	if (!s->xsave)
		return -ENOMEM;
	if (vcore__vcpu_ioctl(v, request, s->xsave) >= 0)
		s->has |= HAS_XSAVE;
	else if (vcore__vcpu_ioctl(v, KVM_GET_FPU, &s->fpu) >= 0)
		s->has |= HAS_FPU;
	return 0;
}

static void
save_optional(struct vcore_vcpu *v, struct reset_state *s)
{
	if (vcore__vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &s->events) >= 0)
		s->has |= HAS_EVENTS;
	if (vcore__vcpu_ioctl(v, KVM_GET_DEBUGREGS, &s->debug) >= 0)
		s->has |= HAS_DEBUG;
	if (vcore__vcpu_ioctl(v, KVM_GET_XCRS, &s->xcrs) >= 0)
		s->has |= HAS_XCRS;
	if (v->vm->irqchip_kind == VCORE_VM_IRQCHIP_NONE)
		return;
	if (vcore__vcpu_ioctl(v, KVM_GET_LAPIC, &s->lapic) >= 0)
		s->has |= HAS_LAPIC;
	if (vcore__vcpu_ioctl(v, KVM_GET_MP_STATE, &s->mp) >= 0)
		s->has |= HAS_MP;
}

int
vcore__vcpu_arch_save_reset(struct vcore_vcpu *v)
{
	struct reset_state *s = state_new(v);
	int rc = -ENOMEM;

	if (!s)
		goto fail;
	rc = vcore__vcpu_ioctl(v, KVM_GET_REGS, &s->regs);
	if (rc >= 0)
		rc = vcore__vcpu_ioctl(v, KVM_GET_SREGS, &s->sregs);
	if (rc >= 0)
		rc = save_xsave(v, s);
	if (rc < 0)
		goto fail;
	save_optional(v, s);
	s->nmsrs = each_msr(v, KVM_GET_MSRS, s->msr, s->nmsrs);
	v->loan->keep = s;
	v->loan->keep_free = state_free;
	return 0;

fail:
	state_free(s);
	return vcore__err(v->vm->log, rc,
			  "vcore_vcpu_new: vCPU %u: power-on state can't be saved: %s",
			  v->id, vcore__strerror(rc));
}

/* rc of the first that failed */
static void
put(struct vcore_vcpu *v, bool has, unsigned long request, void *arg, int *rc)
{
	int now;

	if (!has || *rc < 0)
		return;
	now = vcore__vcpu_ioctl(v, request, arg);
	if (now < 0)
		*rc = now;
}

int
vcore__vcpu_arch_reset(struct vcore_vcpu *v, const char *who)
{
	struct reset_state *s = v->loan->keep;
	struct kvm_sregs other;
	uint32_t done;
	int rc = 0;

	if (!s)
		return vcore__err(v->vm->log, -EOPNOTSUPP,
				  "%s: vCPU %u: its power-on state was not kept (VCORE_VCPU_NO_RESET)",
				  who, v->id);
	vcore__vcpu_complete(v);
	/* Events first: what was being injected belongs to the old state. */
	put(v, s->has & HAS_EVENTS, KVM_SET_VCPU_EVENTS, &s->events, &rc);
	/*
	 * A triple fault makes kvm_amd clear the whole VMCB, its nested_cr3
	 * too, and nothing sets that again if paging was off: the vCPU would
	 * have no memory, and fault for good. A new CR3 makes KVM do so.
	 */
	other = s->sregs;
	other.cr3 ^= 0x1000;
	put(v, true, KVM_SET_SREGS, &other, &rc);
	put(v, true, KVM_SET_SREGS, &s->sregs, &rc);
	put(v, true, KVM_SET_REGS, &s->regs, &rc);
	put(v, s->has & HAS_DEBUG, KVM_SET_DEBUGREGS, &s->debug, &rc);
	put(v, s->has & HAS_XCRS, KVM_SET_XCRS, &s->xcrs, &rc);
	put(v, s->has & HAS_XSAVE, KVM_SET_XSAVE, s->xsave, &rc);
	put(v, s->has & HAS_FPU, KVM_SET_FPU, &s->fpu, &rc);
	/* The timer's mode is in the APIC, its deadline among the MSRs. */
	put(v, s->has & HAS_LAPIC, KVM_SET_LAPIC, &s->lapic, &rc);
	done = rc < 0 ? 0 : each_msr(v, KVM_SET_MSRS, s->msr, s->nmsrs);
	put(v, s->has & HAS_MP, KVM_SET_MP_STATE, &s->mp, &rc);
	if (rc < 0)
		return vcore__err(v->vm->log, rc,
				  "%s: vCPU %u: power-on state is refused: %s",
				  who, v->id, vcore__strerror(rc));
	if (done < s->nmsrs)
		vcore__log(v->vm->log, VCORE_LOG_INFO,
			   "vCPU %u: %u of %u MSRs could not be reset", v->id,
			   s->nmsrs - done, s->nmsrs);
	return 0;
}
