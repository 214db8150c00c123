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

#include <stdatomic.h>
#include <stdint.h>

struct vcore__domain;

/*
 * Owned by one thread at a time (a vCPU's, a loop's). enter may nest. Not for
 * signal handlers of the owning thread.
 */
struct vcore__reader {
	_Atomic uint64_t epoch;		/* 0: outside; else as read on entry */
	uint32_t depth;			/* owner */
	uint32_t reserved;
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

/* owner: an uncontended atomic store */
void
vcore__reader_enter(struct vcore__reader *r);

/*
 * owner: an uncontended atomic store. Leaving the outermost section runs what
 * waited for this reader last.
 */
void
vcore__reader_exit(struct vcore__reader *r);

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

/* any: run what is free by now. */
void
vcore__domain_reclaim(struct vcore__domain *domain);

#endif
