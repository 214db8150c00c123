/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a bus: listeners (kvm) and the vCPU's way in. */
#ifndef VCORE_LIB_BUS_BUS_H
#define VCORE_LIB_BUS_BUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/bus.h>

#include "base/rcu.h"

/*
 * State of an access. The completer's last touch of the struct is the store
 * of SETTLED, so that whoever embeds it may be freed once it took the answer.
 */
#define VCORE__ACCESS_IDLE    0u
#define VCORE__ACCESS_PENDING 1u	/* with a handler or who answers */
#define VCORE__ACCESS_DONE    2u	/* val is there; wake() may run */
#define VCORE__ACCESS_SETTLED 3u	/* the completer has left */
#define VCORE__ACCESS_FILLING 4u	/* val is being written */
#define VCORE__ACCESS_ORPHAN  5u	/* nobody waits: gone() when answered */

/* An access under way. Embedded in whoever accesses (a vCPU); start zeroed. */
struct vcore_access {
	_Atomic uint32_t state;		/* VCORE__ACCESS_* */
	uint32_t len;			/* of the access: the answer's width */
	uint64_t val;
	/*
	 * Runs in vcore_access_done(), any thread, state DONE: make the owner
	 * look again. Must not wait. Also runs when the answer comes before
	 * the handler returned. May be NULL.
	 */
	void (*wake)(struct vcore_access *a);
	/*
	 * Runs in vcore_access_done(), any thread, instead of wake() after
	 * vcore__access_abandon() said true; may free the access.
	 */
	void (*gone)(struct vcore_access *a);
};

/*
 * After vcore__bus_access() said -EINPROGRESS: false while the answer is not
 * there; true: it is in *val and the access is idle again. Owner only.
 */
bool vcore__access_take(struct vcore_access *a, uint64_t *val);

/*
 * Give up a pending access. true: the answer is owed still, and gone() is
 * called when it comes; until then *a must live. false: no answer is owed (any
 * more), what came is forgotten; *a may go now. Owner only.
 */
bool vcore__access_abandon(struct vcore_access *a);

/* One doorbell. The same pointer in bell_add and bell_del. */
struct vcore__bell {
	uint64_t addr;
	uint64_t value;		/* with VCORE_DOORBELL_MATCH */
	uint32_t len;		/* 0: any */
	uint32_t flags;		/* VCORE_DOORBELL_* */
	int efd;		/* the bus's; until bell_del returns */
	uint32_t kind;		/* enum vcore_bus_kind */
};

/*
 * Called with the bus's lock held: must not call the bus. bell_del comes for
 * every bell that was reported, also for one that bell_add refused.
 */
struct vcore__bus_listener {
	/* error: the bus goes on serving the bell itself */
	int (*bell_add)(void *opaque, const struct vcore__bell *bell);
	void (*bell_del)(void *opaque, const struct vcore__bell *bell);
	void *opaque;
	struct vcore__bus_listener *next;	/* bus's list */
};

/* control: bells that are there already are reported first. Always 0. */
int vcore__bus_listen(struct vcore_bus *bus, struct vcore__bus_listener *l);
/* control: bell_del for every bell, then gone */
void vcore__bus_unlisten(struct vcore_bus *bus, struct vcore__bus_listener *l);

/* enum vcore_bus_kind */
uint32_t vcore__bus_kind(const struct vcore_bus *bus);

/* The reader's owner keeps a reference on the bus as long as it has it. */
void vcore__bus_reader_init(struct vcore_bus *bus, struct vcore__reader *r);

/*
 * A vCPU's access. r: this vCPU's reader for this bus; NULL: a thread without
 * one, that holds a reference on the bus. 0; -EINPROGRESS: see
 * vcore__access_take(); -ENOENT: nobody answered (a read's *val is all ones);
 * -EINVAL: len is not 1, 2, 4 or 8.
 */
int vcore__bus_access(struct vcore_bus *bus, struct vcore__reader *r, int write,
		      uint64_t addr, uint32_t len, uint64_t *val,
		      struct vcore_access *a);

#endif
