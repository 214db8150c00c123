/* SPDX-License-Identifier: BSD-3-Clause */
/* From KVM's run area to struct vcore_exit. */
#include <string.h>

#include "base/base.h"
#include "vcpu/vcpu.h"

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void
internal_error(const struct kvm_run *run, struct vcore_exit *e)
{
	uint32_t ndata = least(run->internal.ndata, 16);

	e->kind = VCORE_EXIT_INTERNAL_ERROR;
	e->u.internal.suberror = run->internal.suberror;
	e->u.internal.ndata = ndata;
	memcpy(e->u.internal.data, run->internal.data,
	       (size_t)ndata * 8);
	/* flags is data[0]; the bytes are data[1] and data[2] */
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    ndata < 3 ||
	    !(run->emulation_failure.flags &
	      KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	e->u.internal.ninsn =
		least(run->emulation_failure.insn_size,
		      sizeof(run->emulation_failure.insn_bytes));
	memcpy(e->u.internal.insn, run->emulation_failure.insn_bytes,
	       e->u.internal.ninsn);
}

static void
system_event(const struct kvm_run *run, struct vcore_exit *e)
{
	e->kind = VCORE_EXIT_SYSTEM_EVENT;
	e->u.system.type = run->system_event.type;
	e->u.system.ndata = least(run->system_event.ndata, 16);
	memcpy(e->u.system.data, run->system_event.data,
	       (size_t)e->u.system.ndata * 8);
}

static void
hypercall(struct kvm_run *run, struct vcore_exit *e)
{
	e->kind = VCORE_EXIT_HYPERCALL;
	e->u.hypercall.nr = run->hypercall.nr;
	memcpy(e->u.hypercall.args, run->hypercall.args,
	       sizeof(e->u.hypercall.args));
	e->u.hypercall.ret = (uint64_t *)(void *)&run->hypercall.ret;
}

static void
fail_entry(const struct kvm_run *run, struct vcore_exit *e)
{
	e->kind = VCORE_EXIT_FAIL_ENTRY;
	e->u.fail.hardware_reason =
		run->fail_entry.hardware_entry_failure_reason;
	e->u.fail.cpu = run->fail_entry.cpu;
}

void
vcore__vcpu_exit(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_HLT:
		e->kind = VCORE_EXIT_HALT;
		break;
	case KVM_EXIT_SHUTDOWN:
		e->kind = VCORE_EXIT_SHUTDOWN;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(run, e);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fail_entry(run, e);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(run, e);
		break;
	case KVM_EXIT_HYPERCALL:
		hypercall(run, e);
		break;
	case VCORE__KVM_EXIT_MEMORY_FAULT:
		vcore__vcpu_fault(v, e);
		break;
	default:
		if (!vcore__vcpu_arch_exit(v, e))
			e->kind = VCORE_EXIT_OTHER;
		break;
	}
}

/* KVM_RUN failed with EFAULT; newer kernels say where. */
void
vcore__vcpu_fault(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct vcore__kvm_memory_fault fault;

	e->kind = VCORE_EXIT_MEMORY_FAULT;
	e->u.fault.gpa = UINT64_MAX;
	if (v->run->exit_reason != VCORE__KVM_EXIT_MEMORY_FAULT)
		return;
	memcpy(&fault, v->run->padding, sizeof(fault));
	e->u.fault.gpa = fault.gpa;
	e->u.fault.len = fault.size;
	e->u.fault.flags = fault.flags;
}
