/* SPDX-License-Identifier: BSD-3-Clause */
/* A vCPU: made, let go of, kicked, paused, asked. */
#include "vcpu/vcpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/wait.h"

#define KNOWN_FLAGS                                                   \
	(VCORE_VCPU_RETURN_UNCLAIMED | VCORE_VCPU_RETURN_PAUSED |     \
	 VCORE_VCPU_SIGNAL_BLOCKED | VCORE_VCPU_NO_RESET |            \
	 VCORE_VCPU_SIGNAL_HANDLED)
#define SIGNAL_FLAGS (VCORE_VCPU_SIGNAL_BLOCKED | VCORE_VCPU_SIGNAL_HANDLED)

/* A new vCPU's state is kept; one that was there before gets it back. */
static int
power_on(struct vcore_vcpu *v)
{
	if (v->flags & VCORE_VCPU_NO_RESET)
		return 0;
	if (v->loan->fresh)
		return vcore__vcpu_arch_save_reset(v);
	v->midway = true;
	return vcore__vcpu_arch_reset(v, "vcore_vcpu_new");
}

static void
add_readers(struct vcore_vcpu *v)
{
	uint32_t i;

	v->bus[0] = vcore__vm_bus(v->vm, VCORE_BUS_PIO);
	v->bus[1] = vcore__vm_bus(v->vm, VCORE_BUS_MMIO);
	for (i = 0; i < 2; i++)
		if (v->bus[i])
			vcore__bus_reader_init(v->bus[i], &v->reader[i]);
}

/*
 * There only under ThreadSanitizer, which runs a handler when it likes: also
 * after a KVM_RUN that it should have kept from the guest.
 */
extern void
__tsan_init(void) __attribute__((weak));

static enum vcore__kick_way
kick_way(uint32_t flags)
{
	if ((flags & VCORE_VCPU_SIGNAL_HANDLED) && !__tsan_init)
		return VCORE__KICK_HANDLED;
	return flags & VCORE_VCPU_SIGNAL_BLOCKED ? VCORE__KICK_BLOCKED :
						   VCORE__KICK_BLOCK;
}

/* What an earlier borrower of the descriptor has set would stay. */
static int
forget_mask(struct vcore_vcpu *v)
{
	int rc;

	if (!v->loan->masked || v->kick.way != VCORE__KICK_HANDLED)
		return 0;
	rc = vcore__vcpu_ioctl(v, KVM_SET_SIGNAL_MASK, NULL);
	if (rc < 0)
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_new: vCPU %u: KVM_SET_SIGNAL_MASK: %s",
				  v->id, vcore__strerror(rc));
	v->loan->masked = false;
	return 0;
}

/* Everything but the power-on state; v is zeroed and the caller's to free. */
static int
set_up(struct vcore_vcpu *v, struct vcore_vm *vm, uint32_t id, uint32_t flags)
{
	int rc;

	v->answer = vcore__answer_new(&v->kick);
	if (!v->answer)
		return vcore__err(vm->log, -ENOMEM,
				  "vcore_vcpu_new: out of memory");
	rc = vcore__vm_loan(vm, id, &v->loan);
	if (rc)
		return rc;
	v->refs = 1;
	v->id = id;
	v->flags = flags;
	v->vm = vm;
	v->kvm = vm->host->kvm;
	v->ioctl = v->kvm.ops->ioctl;
	v->fd = v->loan->fd;
	v->run = v->loan->run;
	v->run->immediate_exit = 0;
	vcore__kick_init(&v->kick, (int)vm->kick_signal, kick_way(flags),
			 &v->run->immediate_exit);
	return forget_mask(v);
}

int
vcore_vcpu_new(struct vcore_vm *vm, uint32_t id,
	       const struct vcore_vcpu_opts *opts, struct vcore_vcpu **out)
{
	struct vcore_vcpu_opts o;
	struct vcore_vcpu *v;
	int rc;

	VCORE_INIT(&o);
	if (!vm || !out)
		return vcore__err(NULL, -EINVAL, "vcore_vcpu_new: %s is NULL",
				  vm ? "vcpu" : "vm");
	if (opts) {
		rc = VCORE__SIZED("vcore_vcpu_new: opts", &o, flags, opts);
		if (rc)
			return rc;
	}
	if (o.flags & ~KNOWN_FLAGS)
		return vcore__err(vm->log, -E2BIG,
				  "vcore_vcpu_new: flags %#x: unknown bits",
				  o.flags);
	if ((o.flags & SIGNAL_FLAGS) == SIGNAL_FLAGS)
		return vcore__err(vm->log, -EINVAL,
				  "vcore_vcpu_new: flags %#x: the signal is either blocked or handled",
				  o.flags);
	v = calloc(1, sizeof(*v));
	if (!v)
		return vcore__err(vm->log, -ENOMEM,
				  "vcore_vcpu_new: out of memory");
	rc = set_up(v, vm, id, o.flags);
	if (rc == 0)
		rc = power_on(v);
	if (rc) {
		if (v->loan)
			vcore__vm_return(vm, v->loan);
		free(v->answer);
		free(v);
		return rc;
	}
	v->loan->fresh = false;
	vcore_vm_ref(vm);
	add_readers(v);
	*out = v;
	return 0;
}

struct vcore_vcpu *
vcore_vcpu_ref(struct vcore_vcpu *v)
{
	if (v)
		atomic_fetch_add(&v->refs, 1);
	return v;
}

void
vcore_vcpu_unref(struct vcore_vcpu *v)
{
	struct vcore_vm *vm;
	uint32_t i;

	if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
		return;
	vm = v->vm;
	for (i = 0; i < 2; i++)
		if (v->bus[i])
			vcore__reader_fini(&v->reader[i]);
	vcore__vm_return(vm, v->loan);
	vcore__answer_drop(v->answer, v->step.pending);
	free(v);
	vcore_vm_unref(vm);
}

uint32_t
vcore_vcpu_id(const struct vcore_vcpu *v)
{
	return v ? v->id : UINT32_MAX;
}

int
vcore_vcpu_fd(struct vcore_vcpu *v)
{
	if (!v)
		return vcore__err(NULL, -EINVAL, "vcore_vcpu_fd: vcpu is NULL");
	return v->fd;
}

void *
vcore_vcpu_run_area(struct vcore_vcpu *v, uint64_t *len)
{
	if (!v)
		return NULL;
	if (len)
		*len = v->vm->host->run_len;
	return v->run;
}

int
vcore_vcpu_kick(struct vcore_vcpu *v)
{
	int rc;

	if (!v)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vcpu_kick: vcpu is NULL");
	rc = vcore__kick_kick(&v->kick);
	/* Not logged: a signal handler may be the caller. */
	if (rc)
		return vcore__err(NULL, rc,
				  "vcore_vcpu_kick: vCPU %u: signal %d: %s",
				  v->id, v->kick.signal, vcore__strerror(rc));
	return 0;
}

int
vcore_vcpu_pause(struct vcore_vcpu *v, uint64_t deadline_ns)
{
	struct vcore_vcpu *late;
	int rc;

	if (!v)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vcpu_pause: vcpu is NULL");
	rc = vcore__vcpu_pause_many(&v, 1, deadline_ns, &late);
	switch (rc) {
	case 0:
		return 0;
	case -EDEADLK:
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_pause: vCPU %u: called in a callback",
				  v->id);
	case -ETIMEDOUT:
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_pause: vCPU %u did not stop in time",
				  v->id);
	default:
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_pause: vCPU %u is paused %u times",
				  v->id, VCORE__KICK_PAUSES_MAX);
	}
}

int
vcore_vcpu_resume(struct vcore_vcpu *v)
{
	int rc;

	if (!v)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vcpu_resume: vcpu is NULL");
	rc = vcore__kick_resume(&v->kick);
	if (rc)
		return vcore__err(v->vm->log, -EBUSY,
				  "vcore_vcpu_resume: vCPU %u is not paused",
				  v->id);
	return 0;
}

void
vcore__vcpu_resume_many(struct vcore_vcpu *const *vcpus, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		(void)vcore__kick_resume(&vcpus[i]->kick);
}

int
vcore__vcpu_pause_many(struct vcore_vcpu *const *vcpus, uint32_t n,
		       uint64_t deadline_ns, struct vcore_vcpu **late)
{
	uint32_t i, asked;
	int rc = 0;

	if (!vcore__may_wait())
		return -EDEADLK;
	for (asked = 0; rc == 0 && asked < n; asked++)
		rc = vcore__kick_pause(&vcpus[asked]->kick);
	if (rc)
		asked--;
	for (i = 0; rc == 0 && i < n; i++) {
		rc = vcore__kick_wait_paused(&vcpus[i]->kick, deadline_ns);
		if (rc && late)
			*late = vcpus[i];
	}
	if (rc)
		vcore__vcpu_resume_many(vcpus, asked);
	return rc;
}

int
vcore__vcpu_check_idle(struct vcore_vcpu *v, const char *who)
{
	struct vcore__kick *k = &v->kick;

	if (vcore__kick_is_paused(k) || !atomic_load(&k->owner) ||
	    vcore__kick_is_owner(k))
		return 0;
	return vcore__err(v->vm->log, -EBUSY, "%s: vCPU %u is running", who,
			  v->id);
}

/* The guest that waits for an answer will not get it. */
static int
discard_access(struct vcore_vcpu *v)
{
	struct vcore__answer *fresh = vcore__answer_new(&v->kick);

	if (!fresh)
		return vcore__err(v->vm->log, -ENOMEM,
				  "vcore_vcpu_reset: out of memory");
	vcore__answer_drop(v->answer, true);
	v->answer = fresh;
	v->step.pending = false;
	return 0;
}

int
vcore_vcpu_reset(struct vcore_vcpu *v)
{
	int rc;

	if (!v)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vcpu_reset: vcpu is NULL");
	if (v->flags & VCORE_VCPU_NO_RESET)
		return vcore__err(v->vm->log, -EOPNOTSUPP,
				  "vcore_vcpu_reset: vCPU %u was made with VCORE_VCPU_NO_RESET",
				  v->id);
	if (vcore__kick_claim(&v->kick))
		return vcore__err(v->vm->log, -EBUSY,
				  "vcore_vcpu_reset: vCPU %u is running",
				  v->id);
	rc = v->step.pending ? discard_access(v) : 0;
	if (rc == 0)
		rc = vcore__vcpu_arch_reset(v, "vcore_vcpu_reset");
	vcore__kick_unclaim(&v->kick);
	return rc;
}

int
vcore_vcpu_get_info(struct vcore_vcpu *v, struct vcore_vcpu_info *info)
{
	struct vcore_vcpu_info i = { .size = sizeof(i) };
	int rc;

	if (!v || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_vcpu_get_info: %s is NULL",
				  v ? "info" : "vcpu");
	i.id = v->id;
	i.exits = atomic_load_explicit(&v->exits, memory_order_relaxed);
	i.handled = atomic_load_explicit(&v->handled, memory_order_relaxed);
	i.unclaimed = atomic_load_explicit(&v->unclaimed,
					   memory_order_relaxed);
	i.kicks = atomic_load_explicit(&v->kicks, memory_order_relaxed);
	rc = vcore__sized_return(info, sizeof(i), &i, sizeof(i));
	if (rc)
		return vcore__err(v->vm->log, rc,
				  "vcore_vcpu_get_info: size %u: see VCORE_INIT()",
				  info->size);
	return 0;
}
