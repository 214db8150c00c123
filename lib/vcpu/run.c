/* SPDX-License-Identifier: BSD-3-Clause */
/* The run loop: KVM_RUN, exits, kicks, pauses, answers that come later. */
#include "vcpu/vcpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/wait.h"

/* EAGAINs in a row after which a runnable vCPU is taken for broken. */
#define AGAIN_MAX 10000u
/* Exits that completing one instruction may cause. */
#define COMPLETE_MAX 64u

/* Never allocated late, and volatile: signal handlers look at it. */
static _Thread_local struct vcore_vcpu *volatile current
	__attribute__((tls_model("initial-exec")));

struct vcore_vcpu *
vcore__vcpu_current(void)
{
	return current;
}

/*
 * Signal handlers set it, too. Whoever clears it looks at the request after
 * that and before the next KVM_RUN.
 */
static inline void
set_immediate(struct vcore_vcpu *v, bool on)
{
	*(volatile __u8 *)&v->run->immediate_exit = on;
	atomic_signal_fence(memory_order_seq_cst);
}

/*
 * A few accesses to memory and nothing else, as it may interrupt anything, the
 * run time of a sanitizer included.
 */
__attribute__((no_sanitize_address, no_sanitize_thread)) void
vcore_vcpu_kick_handler(int sig)
{
	struct vcore_vcpu *v = current;

	(void)sig;
	if (v)
		*v->kick.immediate = 1;
}

static inline int
enter(struct vcore_vcpu *v)
{
	int rc = vcore__vcpu_ioctl(v, KVM_RUN, NULL);

	vcore__vcpu_count(&v->exits);
	if (VCORE__RARELY(rc < 0)) {
		set_immediate(v, false);
		v->midway = false;
		return rc;
	}
	v->midway = true;
	return rc;
}

/* With a request waiting: only the end of the last instruction. */
static int
enter_to_complete(struct vcore_vcpu *v)
{
	int rc;

	set_immediate(v, true);
	rc = enter(v);
	set_immediate(v, false);
	return rc;
}

void
vcore__vcpu_complete(struct vcore_vcpu *v)
{
	uint32_t i;

	for (i = 0; v->midway && i < COMPLETE_MAX; i++)
		(void)enter_to_complete(v);
	v->midway = false;
	v->step.count = 0;
	v->step.pos = 0;
}

/*
 * KVM_RUN says EAGAIN when a processor that waits for INIT or SIPI was woken,
 * which guests may do as often as they like; otherwise it is transient.
 */
static int
try_again(struct vcore_vcpu *v)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	if (++v->again < AGAIN_MAX)
		return 0;
	v->again = 0;
	if (vcore__vcpu_ioctl(v, KVM_GET_MP_STATE, &mp) >= 0 &&
	    mp.mp_state != KVM_MP_STATE_RUNNABLE)
		return 0;
	return vcore__err(v->vm->log, -EAGAIN,
			  "vcore_vcpu_run: vCPU %u: KVM_RUN said EAGAIN %u times",
			  v->id, AGAIN_MAX);
}

/* 1: *e filled; 0: go on; < 0: error */
static int
run_failed(struct vcore_vcpu *v, int rc, struct vcore_exit *e)
{
	switch (rc) {
	case -EINTR:
		v->again = 0;
		vcore__kick_drain(&v->kick);
		return 0;
	case -EAGAIN:
		return try_again(v);
	case -EFAULT:
		e->reason = v->run->exit_reason;
		vcore__vcpu_fault(v, e);
		/* So that a later one that says nothing is not mistaken. */
		v->run->exit_reason = KVM_EXIT_UNKNOWN;
		return 1;
	default:
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_run: vCPU %u: KVM_RUN: %s",
				  v->id, vcore__strerror(rc));
	}
}

/* 1: *e filled; 0: go on */
static int
handle_other(struct vcore_vcpu *v, struct vcore_exit *e)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IOAPIC_EOI:
		vcore__vm_eoi(v->vm, run->eoi.vector);
		return 0;
	case KVM_EXIT_INTR:
		return 0;
	default:
		vcore__vcpu_exit(v, e);
		return 1;
	}
}

/* The same. Accesses first: they are nearly all. */
static inline int
handle(struct vcore_vcpu *v, struct vcore_exit *e)
{
	if (VCORE__OFTEN(v->run->exit_reason == KVM_EXIT_IO))
		return vcore__vcpu_io(v, e);
	if (v->run->exit_reason == KVM_EXIT_MMIO)
		return vcore__vcpu_mmio(v, e);
	return handle_other(v, e);
}

/* Something to attend to, or an answer to wait for. 1: *e filled. */
static int
attend(struct vcore_vcpu *v, struct vcore_exit *e)
{
	uint32_t r = vcore__kick_request(&v->kick);

	if (r & VCORE__KICK_KICK) {
		set_immediate(v, false);
		atomic_fetch_and(&v->kick.request, ~VCORE__KICK_KICK);
		vcore__vcpu_count(&v->kicks);
		e->kind = VCORE_EXIT_KICKED;
		return 1;
	}
	if (VCORE__KICK_PAUSES(r) && (v->flags & VCORE_VCPU_RETURN_PAUSED)) {
		e->kind = VCORE_EXIT_PAUSED;
		return 1;
	}
	if (vcore__kick_park(&v->kick,
			     v->step.pending ? vcore__vcpu_step_ready : NULL,
			     v) &&
	    v->step.pending)
		vcore__vcpu_step_take(v);
	return 0;
}

/* 1: *e filled; 0: again; < 0: error */
static int
advance(struct vcore_vcpu *v, struct vcore_exit *e)
{
	uint32_t request = vcore__kick_request(&v->kick);
	bool left = vcore__vcpu_step_left(v);
	int rc;

	/* Nearly always. */
	if (VCORE__OFTEN(request == VCORE__KICK_IN && !left)) {
		rc = enter(v);
		return rc < 0 ? run_failed(v, rc, e) : handle(v, e);
	}
	if (!(request & VCORE__KICK_IN))
		return vcore__kick_go_in(&v->kick) ? 0 : attend(v, e);
	request &= ~VCORE__KICK_IN;
	/* A kick finds the guest between instructions if it can. */
	if (v->step.pending || (request && (left || !v->midway)))
		return attend(v, e);
	if (!request)
		return vcore__vcpu_step(v, e);
	rc = enter_to_complete(v);
	return rc < 0 ? run_failed(v, rc, e) : handle(v, e);
}

/* KVM_RUN blocks what the thread blocks, but for the kick signal. */
static int
set_mask(struct vcore_vcpu *v, const sigset_t *mask)
{
	union {
		struct kvm_signal_mask m;
		char room[sizeof(struct kvm_signal_mask) + 8];
	} arg;
	int rc;

	if (v->mask_valid && !memcmp(&v->mask, mask, 8))
		return 0;
	arg.m.len = 8;		/* of the kernel's set, not the C library's */
	memcpy(arg.m.sigset, mask, 8);
	rc = vcore__vcpu_ioctl(v, KVM_SET_SIGNAL_MASK, &arg);
	if (rc < 0) {
		vcore__kick_ask_again(&v->kick);
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_run: vCPU %u: KVM_SET_SIGNAL_MASK: %s",
				  v->id, vcore__strerror(rc));
	}
	memcpy(&v->mask, mask, 8);
	v->mask_valid = true;
	v->loan->masked = true;
	return 0;
}

static int
check_entry(struct vcore_vcpu *v, const struct vcore_exit *exit)
{
	if (!v || !exit)
		return vcore__err(NULL, -EINVAL, "vcore_vcpu_run: %s is NULL",
				  v ? "exit" : "vcpu");
	if (exit->size < sizeof(*exit) || exit->size > 4096)
		return vcore__err(v->vm->log, -EINVAL,
				  "vcore_vcpu_run: exit: size %u: see VCORE_INIT()",
				  exit->size);
	if (current != v && !vcore__may_wait())
		return vcore__err(v->vm->log, -EDEADLK,
				  "vcore_vcpu_run: vCPU %u: called in a callback",
				  v->id);
	return 0;
}

static int
enter_failed(struct vcore_vcpu *v, int rc)
{
	if (rc == -EBUSY)
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_run: vCPU %u is running", v->id);
	if (v->kick.way == VCORE__KICK_BLOCKED)
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_run: vCPU %u: VCORE_VCPU_SIGNAL_BLOCKED, but signal %d is not blocked",
				  v->id, v->kick.signal);
	return vcore__err(v->vm->log, rc,
			  "vcore_vcpu_run: vCPU %u: VCORE_VCPU_SIGNAL_HANDLED, but signal %d is blocked or has no handler",
			  v->id, v->kick.signal);
}

VCORE__HOT int
vcore_vcpu_run(struct vcore_vcpu *v, struct vcore_exit *exit)
{
	struct vcore_exit e;
	sigset_t mask;
	bool fresh;
	int rc;

	rc = check_entry(v, exit);
	if (rc)
		return rc;
	rc = vcore__kick_enter(&v->kick, &mask, &fresh);
	if (rc)
		return enter_failed(v, rc);
	/* So that it may be let go of while it runs, also in a handler. */
	vcore_vcpu_ref(v);
	current = v;
	vcore__nowait_begin();
	memset(&e, 0, sizeof(e));
	if (fresh)
		rc = set_mask(v, &mask);
	while (rc == 0)
		rc = advance(v, &e);
	rc = rc < 0 ? rc : 0;
	if (rc == 0 && !e.reason && e.kind != VCORE_EXIT_KICKED &&
	    e.kind != VCORE_EXIT_PAUSED)
		e.reason = v->run->exit_reason;
	vcore__nowait_end();
	current = NULL;
	vcore__kick_leave(&v->kick);
	if (rc == 0)
		(void)vcore__sized_return(exit, sizeof(e), &e, sizeof(e));
	vcore_vcpu_unref(v);
	return rc;
}
