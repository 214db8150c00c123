/* SPDX-License-Identifier: BSD-3-Clause */
/* What bus.c and doorbell.c share: the bus and what is registered on it. */
#ifndef VCORE_LIB_BUS_RANGE_H
#define VCORE_LIB_BUS_RANGE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/bus.h>

#include "base/defined.h"
#include "base/rangemap.h"
#include "base/rcu.h"
#include "bus/bus.h"

struct vcore_range {
	struct vcore_bus *bus;		/* counted until it is removed */
	struct vcore__retired retired;
	struct vcore_range *next_dead;	/* bus->dead */
	bool is_bell;
	/* a range with a handler */
	uint64_t base, len;
	struct vcore_bus_ops ops;
	void *opaque;
	void (*release)(void *opaque);
	/* a doorbell */
	struct vcore__bell bell;
	struct vcore__bell_group *group;
	_Atomic(struct vcore_range *) next_bell;
};

/* Doorbells at one address. */
struct vcore__bell_group {
	struct vcore__retired retired;
	_Atomic(struct vcore_range *) head;
};

struct vcore_bus {
	_Atomic uint32_t refs;
	uint32_t kind;
	uint64_t last;			/* last address */
	struct vcore__domain *domain;
	pthread_mutex_t lock;		/* changes of what follows */
	struct vcore__rangemap ranges;	/* -> vcore_range */
	struct vcore__rangemap bells;	/* by address -> vcore__bell_group */
	struct vcore__bus_listener *listeners;
	uint32_t count;
	/* Removed and seen by nobody; release() is due once no lock is held. */
	_Atomic(struct vcore_range *) dead;
	_Atomic uint64_t unclaimed;
	_Atomic uint64_t rung;
};

/* Call release() of what is dead. No locks held; the caller has a reference. */
void vcore__bus_bury(struct vcore_bus *bus);

/* Takes the bus's lock. -EINVAL never: checked by the caller. */
int vcore__bell_insert(struct vcore_bus *bus, struct vcore_range *range);
/* With the bus's lock. */
void vcore__bell_unlink(struct vcore_bus *bus, struct vcore_range *range);
/* Inside a reader: the doorbell a write rings, or NULL. */
struct vcore_range *vcore__bell_find(struct vcore_bus *bus, uint64_t addr,
				     uint32_t len, uint64_t val);
void vcore__bell_ring(const struct vcore__bell *bell);

/*
 * Inside a reader: whose handler takes the access, and where in it; NULL: a
 * doorbell does, or nobody.
 */
static inline struct vcore_range *
vcore__bus_handler(struct vcore_bus *bus, uint32_t *near, bool write,
		   uint64_t addr, uint32_t len, uint64_t val, uint64_t *off)
{
	const struct vcore__range_entry *e;

	if (write && VCORE__RARELY(vcore__rangemap_current(&bus->bells)) &&
	    vcore__bell_find(bus, addr, len, val))
		return NULL;
	e = vcore__ranges_near(vcore__rangemap_current(&bus->ranges), addr,
			       near);
	if (VCORE__RARELY(!e))
		return NULL;
	*off = addr - e->start;
	if (VCORE__RARELY(len > e->len - *off))
		return NULL;
	if (!e->value)	/* not so: spares the caller's test a second test */
		__builtin_unreachable();
	return e->value;
}

/* Inside a reader. *val: what is written, or where the answer goes. */
static inline int
vcore__range_call(struct vcore_range *r, bool write, uint64_t off,
		  uint32_t len, uint64_t *val, struct vcore_access *a)
{
	int rc;

	a->len = len;
	atomic_store_explicit(&a->state, VCORE__ACCESS_PENDING,
			      memory_order_relaxed);
	if (write)
		rc = r->ops.write(r->opaque, off, len, *val, a);
	else
		rc = r->ops.read(r->opaque, off, len, val, a);
	if (!write && rc == 0)
		VCORE__DEFINED(val, len);
	if (VCORE__OFTEN(rc != -EINPROGRESS))
		atomic_store_explicit(&a->state, VCORE__ACCESS_IDLE,
				      memory_order_relaxed);
	return rc;
}

/*
 * Outside of the section: what follows from a handler's rc < 0, as
 * vcore__bus_access() says it.
 */
int vcore__bus_odd_answer(struct vcore_bus *bus, int rc, bool write,
			  uint64_t *val, struct vcore_access *a);

/*
 * What nearly every access is, in line where exits come from: one with a
 * reader and a len that is right, that a handler takes. Returns what the
 * handler says, to be given to vcore__bus_odd_answer() if that is < 0; or
 * VCORE__BUS_MISSED: nothing was done, and vcore__bus_access() is to do it.
 * A read's *val may have more bits than len.
 */
#define VCORE__BUS_MISSED INT32_MIN

static inline __attribute__((always_inline)) int
vcore__bus_exit(struct vcore_bus *bus, struct vcore__reader *r, bool write,
		uint64_t addr, uint32_t len, uint64_t *val,
		struct vcore_access *a)
{
	int rc = VCORE__BUS_MISSED;
	struct vcore_range *range;
	uint64_t off;

	vcore__reader_enter(r);
	range = vcore__bus_handler(bus, &r->near, write, addr, len,
				   write ? *val : 0, &off);
	if (VCORE__OFTEN(range))
		rc = vcore__range_call(range, write, off, len, val, a);
	vcore__reader_exit(r);
	if (VCORE__RARELY(atomic_load_explicit(&bus->dead,
					       memory_order_relaxed)))
		vcore__bus_bury(bus);
	return rc;
}

#endif
