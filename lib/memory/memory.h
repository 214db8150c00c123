/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of guest memory: listeners, and access for who touches it a lot. */
#ifndef VCORE_LIB_MEMORY_MEMORY_H
#define VCORE_LIB_MEMORY_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vcore/memory.h>

#include "base/rcu.h"
#include "memory/access.h"
#include "memory/translate.h"

#define VCORE__DEVICES 1u
#define VCORE__GUEST   2u

/*
 * Adding: DEVICES first, then GUEST. Removing: GUEST first, then DEVICES, then
 * pins drain, then the mapping goes. A failed change is undone in the opposite
 * order; what a listener returns from a call that undoes is only logged.
 *
 * Both run on the control thread that changes the map, under the map's lock:
 * they may look things up and touch guest memory, but a change of the map,
 * listen and unlisten return -EDEADLK there.
 */
struct vcore__map_listener {
	uint32_t level;		/* VCORE__DEVICES or VCORE__GUEST */
	uint32_t reserved;
	/* 0, or an error: the whole change is undone */
	int (*add)(void *opaque, const struct vcore__span *s);
	/* no new access once it returns; error only before anything changed */
	int (*del)(void *opaque, const struct vcore__span *s);
	void *opaque;
	struct vcore__map_listener *next;	/* the map's */
};

/*
 * control: what is mapped already is reported first. 0; -EDEADLK; an error of
 * add: undone, not listening.
 */
int vcore__memory_listen(struct vcore_memory *memory,
			 struct vcore__map_listener *l);
/*
 * control: del for everything that is mapped, then gone. Not listening: no-op.
 * Not from inside a listener.
 */
void vcore__memory_unlisten(struct vcore_memory *memory,
			    struct vcore__map_listener *l);

/*
 * A user: one thread (a loop's, a queue's) that touches guest memory often.
 * Between enter and exit look-ups are valid; pins outlive exit and are counted
 * here, without a shared cache line. unpin may be on another thread than the
 * rest: the counters are atomic, uncontended.
 */
struct vcore__memory_user {
	struct vcore_memory *memory;	/* counted */
	_Atomic uint64_t *generation;	/* the memory's */
	const struct vcore__span *cached;	/* last hit, if the generation */
	uint64_t cached_generation;		/* is still this one */
	struct vcore__reader reader;
	_Atomic uint64_t pins[2];	/* by phase */
	struct vcore__memory_user *next, **prev;
};

/* control. Always 0 so far. */
int vcore__memory_user_init(struct vcore__memory_user *u,
			    struct vcore_memory *memory);
/* control: outside, and every unpin has returned */
void vcore__memory_user_fini(struct vcore__memory_user *u);

/* May nest. Short: a removal waits for the exit. */
void vcore__memory_enter(struct vcore__memory_user *u);
void vcore__memory_exit(struct vcore__memory_user *u);

/*
 * Between enter and exit: iovecs for [gpa, gpa + len), split where regions
 * meet. Entries used (0 for len 0), -EFAULT (hole, or write to what is
 * read-only), -ENOSPC (more than max). No error text: guests cause these.
 */
int vcore__memory_iov(struct vcore__memory_user *u, uint64_t gpa, uint64_t len,
		      bool write, struct iovec *iov, uint32_t max);
/* Checked copies between enter and exit. 0; -EFAULT, perhaps after a prefix. */
int vcore__memory_get(struct vcore__memory_user *u, uint64_t gpa, void *buf,
		      uint64_t len);
int vcore__memory_put(struct vcore__memory_user *u, uint64_t gpa,
		      const void *buf, uint64_t len);
/* Never 0; changes with every change of the map. Between enter and exit. */
static inline uint64_t
vcore__memory_generation(struct vcore__memory_user *u)
{
	return atomic_load(u->generation);
}

/* Between enter and exit: where an address is, or NULL. */
const struct vcore__span *vcore__memory_find(struct vcore__memory_user *u,
					     uint64_t gpa);

/*
 * The same, by the last hit. A writer publishes the map, then the generation,
 * then waits for sections. Whoever is in a section and still reads the old
 * generation keeps the old map's entries alive, so a hit under an equal
 * generation is safe; find() loads the generation first, so that it can at
 * worst store a new entry under an old generation, which never matches again.
 * (Both are seq_cst: the rule of base/rcu.h.)
 */
static inline const struct vcore__span *
vcore__memory_span(struct vcore__memory_user *u, uint64_t gpa)
{
	if (u->cached_generation == vcore__memory_generation(u) &&
	    vcore__span_holds(u->cached, gpa))
		return u->cached;
	return vcore__memory_find(u, gpa);
}

/*
 * HVA of a range in one region, or NULL: of rings, and of each buffer in them,
 * so it is here. May be kept and used in later sections (enter to exit) that
 * see the same generation. Read and write it only by access.h.
 */
static inline VCORE__GUEST_PTR *
vcore__memory_hva(struct vcore__memory_user *u, uint64_t gpa, uint64_t len,
		  bool write)
{
	const struct vcore__span *s = vcore__memory_span(u, gpa);
	uint64_t offset;

	if (!vcore__span_allows(s, write) ||
	    !vcore__span_covers(s, gpa, len, &offset))
		return NULL;
	return vcore__guest_at(s->hva, offset);
}

/*
 * A short pin: a request in flight. What was looked up in this section (enter
 * to exit) stays mapped until unpin. Returns the phase to give to unpin.
 */
uint32_t vcore__memory_pin(struct vcore__memory_user *u);
/*
 * The same in two steps, both in this section: for who knows only at its end
 * whether it needs a pin.
 */
uint32_t vcore__memory_phase(struct vcore__memory_user *u);
void vcore__memory_pin_phase(struct vcore__memory_user *u, uint32_t phase);
/* any thread */
void vcore__memory_unpin(struct vcore__memory_user *u, uint32_t phase);

#endif
