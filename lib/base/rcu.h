/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readers that never wait, and memory that is freed when all of them passed.
 *
 * A domain protects versions of some structure. Readers announce themselves
 * with enter/exit; a writer replaces the structure and retires the old one;
 * the retired node's fn runs (on whichever thread notices, without locks held)
 * after every reader that could have seen it has left. Nobody waits for it.
 *
 * Rule for users: the pointer that readers follow is _Atomic, and both sides
 * access it with the default order (memory_order_seq_cst). Readers load it
 * after enter; the writer stores the new value before retire. rcu.c says why.
 */
#ifndef VCORE_LIB_BASE_RCU_H
#define VCORE_LIB_BASE_RCU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * For the few places that run on every exit: right after a guest no branch is
 * predicted yet, and one that is not taken costs the least.
 */
#define VCORE__OFTEN(x) __builtin_expect(!!(x), 1)
#define VCORE__RARELY(x) __builtin_expect(!!(x), 0)
/*
 * On the way of every exit: the linker puts these together, so that few pages
 * have to come back into the TLB after KVM_RUN.
 */
#define VCORE__HOT __attribute__((hot))

struct vcore__retired;

/* Sections without a reader. */
struct vcore__group {
	uint64_t epoch;		/* of the first member; valid if count > 0 */
	uint64_t count;
};

/* rcu.c's; here, because entering and leaving are a few instructions. */
struct vcore__domain {
	_Atomic uint64_t epoch;	 /* 1 at first, changed under lock */
	_Atomic uint64_t newest; /* tag of last, 0: none waits */
	pthread_mutex_t lock;	 /* everything below */
	struct vcore__reader *readers;
	struct vcore__retired *first; /* by ascending tag */
	struct vcore__retired **end;
	struct vcore__group group[2];
	uint32_t current;
	uint32_t reserved;
};

/*
 * Owned by one thread at a time (a vCPU's, a loop's). enter may nest. Not for
 * signal handlers of the owning thread.
 */
struct vcore__reader {
	_Atomic uint64_t epoch;		/* 0: outside; else as read on entry */
	uint32_t depth;			/* owner */
	uint32_t near;			/* owner's, for look-ups: base/rangemap.h */
	struct vcore__domain *domain;
	struct vcore__reader *next, **prev;	/* list, under domain's lock */
};

/* Inside the object that waits to be freed. */
struct vcore__retired {
	struct vcore__retired *next;
	uint64_t epoch;			/* readers up to this one may see it */
	void (*fn)(struct vcore__retired *node);
};

/* 0, -ENOMEM. Writes no error text. */
int
vcore__domain_new(struct vcore__domain **domain);

/*
 * All readers are gone and nobody uses the domain any more; runs what is still
 * retired, and what that retires. NULL is a no-op.
 */
void
vcore__domain_free(struct vcore__domain *domain);

/* any: the reader is outside. It is unlisted before the domain is freed. */
void
vcore__reader_init(struct vcore__reader *r, struct vcore__domain *domain);

/* any, reader outside. Safe while others retire and reclaim. */
void
vcore__reader_fini(struct vcore__reader *r);

/* any: run what is free by now. */
void
vcore__domain_reclaim(struct vcore__domain *domain);

/* owner: an uncontended atomic store */
static inline void
vcore__reader_enter(struct vcore__reader *r)
{
	if (VCORE__OFTEN(r->depth++ == 0))
		atomic_store(&r->epoch, atomic_load(&r->domain->epoch));
}

/*
 * owner: an uncontended atomic store. Leaving the outermost section runs what
 * waited for this reader last.
 */
static inline void
vcore__reader_exit(struct vcore__reader *r)
{
	struct vcore__domain *d = r->domain;
	uint64_t entered;

	if (VCORE__RARELY(--r->depth > 0))
		return;
	entered = atomic_load_explicit(&r->epoch, memory_order_relaxed);
	atomic_store(&r->epoch, 0);
	if (VCORE__RARELY(atomic_load(&d->newest) >= entered))
		vcore__domain_reclaim(d);
}

/*
 * For threads without a reader: a section counted in the domain, at the price
 * of its mutex twice. May nest; exit may be on another thread.
 */
void
vcore__domain_enter(struct vcore__domain *domain, uint64_t *token);
void
vcore__domain_exit(struct vcore__domain *domain, uint64_t token);

/*
 * any thread, also inside a section and from an fn: fn runs later, or now if
 * nobody reads. Never fails, never waits for a reader. Calls that ran their
 * fn's in order of retiring on one thread may overlap on several.
 */
void
vcore__domain_retire(struct vcore__domain *domain, struct vcore__retired *node,
		     void (*fn)(struct vcore__retired *));

#endif
