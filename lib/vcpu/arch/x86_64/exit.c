/* SPDX-License-Identifier: BSD-3-Clause */
/* Exits that only x86 has. */
#include "vcpu/vcpu.h"

bool
vcore__vcpu_arch_exit(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_DEBUG:
		e->kind = VCORE_EXIT_DEBUG;
		e->u.debug.exception = run->debug.arch.exception;
		e->u.debug.pc = run->debug.arch.pc;
		e->u.debug.dr6 = run->debug.arch.dr6;
		e->u.debug.dr7 = run->debug.arch.dr7;
		return true;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		e->kind = VCORE_EXIT_MSR;
		e->u.msr.index = run->msr.index;
		e->u.msr.write = run->exit_reason == KVM_EXIT_X86_WRMSR;
		e->u.msr.data = (uint64_t *)(void *)&run->msr.data;
		e->u.msr.error = &run->msr.error;
		return true;
	default:
		return false;
	}
}
