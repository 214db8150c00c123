/* SPDX-License-Identifier: BSD-3-Clause */
/* What bus.c and doorbell.c share: the bus and what is registered on it. */
#ifndef VCORE_LIB_BUS_RANGE_H
#define VCORE_LIB_BUS_RANGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/bus.h>

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
	struct vcore__bells *group;
	_Atomic(struct vcore_range *) next_bell;
};

/* Doorbells at one address. */
struct vcore__bells {
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
	struct vcore__rangemap bells;	/* by address -> vcore__bells */
	struct vcore__bus_listener *listeners;
	uint32_t count;
	/* Removed and seen by nobody; release() is due once no lock is held. */
	_Atomic(struct vcore_range *) dead;
	_Atomic uint64_t unclaimed;
	_Atomic uint64_t rung;
};

/* Takes the bus's lock. -EINVAL never: checked by the caller. */
int vcore__bell_insert(struct vcore_bus *bus, struct vcore_range *range);
/* With the bus's lock. */
void vcore__bell_unlink(struct vcore_bus *bus, struct vcore_range *range);
/* Inside a reader: the doorbell a write rings, or NULL. */
struct vcore_range *vcore__bell_find(struct vcore_bus *bus, uint64_t addr,
				     uint32_t len, uint64_t val);
void vcore__bell_ring(const struct vcore__bell *bell);

/* Call release() of what is dead. No locks held; the caller has a reference. */
void vcore__bus_bury(struct vcore_bus *bus);

#endif
