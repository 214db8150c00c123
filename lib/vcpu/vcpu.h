/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a vCPU: its state between exits, what its files share. */
#ifndef VCORE_LIB_VCPU_VCPU_H
#define VCORE_LIB_VCPU_VCPU_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/vcpu.h>

#include "base/rcu.h"
#include "bus/bus.h"
#include "kvm/compat.h"
#include "kvm/vm.h"
#include "vcpu/kick.h"

/* Accesses of one exit that the bus still has to see. */
struct vcore__step {
	uint8_t *data;		/* of element 0, in the run area */
	uint64_t addr;
	uint32_t kind;		/* enum vcore_bus_kind */
	uint32_t len;		/* of an element: 1, 2, 4, 8 */
	uint32_t count;
	uint32_t pos;		/* the next one; == count: nothing left */
	uint32_t stride;	/* 0: all at addr (ports); or len */
	bool write;
	bool pending;		/* element pos will be answered later */
};

/*
 * An access that the bus may answer later. Apart from the vCPU, because who
 * owes the answer may keep it longer than the vCPU lives.
 */
struct vcore__answer {
	struct vcore_access access;
	struct vcore__kick *kick;	/* the vCPU's, while not abandoned */
};

struct vcore_vcpu {
	_Atomic uint32_t refs;
	uint32_t id;
	uint32_t flags;			/* VCORE_VCPU_* */
	int fd;				/* the loan's */
	struct kvm_run *run;		/* the loan's */
	/* kvm.ops->ioctl, whose page is not touched for it. */
	int (*ioctl)(void *opaque, int fd, unsigned long request, void *arg);
	struct vcore__kvm kvm;
	struct vcore_vm *vm;		/* counted */
	struct vcore__loan *loan;
	struct vcore__kick kick;
	/* Owner's from here on. */
	struct vcore_bus *bus[2];	/* PIO, MMIO: the VM's, or NULL */
	struct vcore__reader reader[2];	/* set up with the bus */
	struct vcore__answer *answer;
	struct vcore__step step;
	bool midway;			/* KVM has the last exit to complete */
	bool mask_valid;
	sigset_t mask;			/* what KVM has */
	uint32_t again;			/* EAGAINs in a row */
	/* Written by the owner, read by any thread. */
	_Atomic uint64_t exits;
	_Atomic uint64_t handled;
	_Atomic uint64_t unclaimed;
	_Atomic uint64_t kicks;
};

static inline int
vcore__vcpu_ioctl(struct vcore_vcpu *v, unsigned long request, void *arg)
{
	return v->ioctl(v->kvm.opaque, v->fd, request, arg);
}

/* One writer. */
static inline void
vcore__vcpu_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter,
			      atomic_load_explicit(counter,
						   memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/*
 * May registers be touched now? 0, or -EBUSY with text (who: the public
 * function). KVM would make the caller wait until the guest exits.
 */
int
vcore__vcpu_check_idle(struct vcore_vcpu *v, const char *who);

/* The vCPU that the calling thread is inside of, or NULL. */
struct vcore_vcpu *
vcore__vcpu_current(void);

/* step.c: the exit's accesses become steps. 1: *e filled, return it. */
int
vcore__vcpu_io(struct vcore_vcpu *v, struct vcore_exit *e);
int
vcore__vcpu_mmio(struct vcore_vcpu *v, struct vcore_exit *e);
/* What is left of them. 1: *e filled; 0: done, or step.pending. */
int
vcore__vcpu_step(struct vcore_vcpu *v, struct vcore_exit *e);
/* Has the bus answered the pending one? */
bool
vcore__vcpu_step_ready(void *vcpu);
/* Take the answer, if it is complete. */
void
vcore__vcpu_step_take(struct vcore_vcpu *v);
/* NULL: out of memory. */
struct vcore__answer *
vcore__answer_new(struct vcore__kick *kick);
/* No longer wanted; pending: it is owed still. */
void
vcore__answer_drop(struct vcore__answer *answer, bool pending);

static inline bool
vcore__vcpu_step_left(const struct vcore_vcpu *v)
{
	return v->step.pos < v->step.count;
}

/* exit.c: fill *e, which is zeroed, from the run area. */
void
vcore__vcpu_exit(struct vcore_vcpu *v, struct vcore_exit *e);
void
vcore__vcpu_fault(struct vcore_vcpu *v, struct vcore_exit *e);
/* The architecture's own: true if it filled *e. */
bool
vcore__vcpu_arch_exit(struct vcore_vcpu *v, struct vcore_exit *e);

/*
 * Let KVM finish the instruction of the last exit without running further;
 * accesses that come up are thrown away. Nobody else may run it.
 */
void
vcore__vcpu_complete(struct vcore_vcpu *v);

/* Keep the power-on state in the loan; put it back. Text: who. */
int
vcore__vcpu_arch_save_reset(struct vcore_vcpu *v);
int
vcore__vcpu_arch_reset(struct vcore_vcpu *v, const char *who);

/*
 * Pause several: all are asked first, then waited for. -ETIMEDOUT: none is
 * paused; *late (may be NULL) is the first that did not stop. Control.
 */
int
vcore__vcpu_pause_many(struct vcore_vcpu *const *vcpus, uint32_t n,
		       uint64_t deadline_ns, struct vcore_vcpu **late);
void
vcore__vcpu_resume_many(struct vcore_vcpu *const *vcpus, uint32_t n);

#endif
