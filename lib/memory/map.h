/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the map: what the files of this layer share. */
#ifndef VCORE_LIB_MEMORY_MAP_H
#define VCORE_LIB_MEMORY_MAP_H

#include <pthread.h>

#include "base/event.h"
#include "base/rangemap.h"
#include "memory/memory.h"
#include "memory/region.h"

/*
 * Where the SIGBUS handler finds a mapping: seq is odd while the rest changes.
 * Slots are reused, and freed only with the memory.
 */
struct vcore__fault_slot {
	_Atomic uint32_t seq;
	uint32_t used;			/* under memory->lock */
	_Atomic uintptr_t start;
	_Atomic uint64_t len;
	_Atomic uint64_t gpa;
	_Atomic(struct vcore_region *) region;
};

#define VCORE__FAULT_SLOTS 16

struct vcore__fault_chunk {
	struct vcore__fault_slot slot[VCORE__FAULT_SLOTS];
	_Atomic(struct vcore__fault_chunk *) next;
};

/* What a range of the map points to. Constant while readers can see it. */
struct vcore__map_entry {
	struct vcore__span span;	/* region counted */
	struct vcore__fault_slot *slot;
	struct vcore__map_entry *next;	/* in a change, or in limbo */
};

/* One addition or removal of a change. */
struct vcore__map_op {
	struct vcore__map_op *next;
	uint64_t gpa;
	struct vcore_region *region;	/* NULL: remove; counted by its maker */
	uint32_t flags;
	uint32_t reserved;
};

struct vcore_memory {
	_Atomic uint64_t refs;
	struct vcore_log *log;
	struct vcore_events *events;
	uint64_t limit;
	uint64_t remove_timeout_ns;
	struct vcore__domain *domain;
	struct vcore__rangemap map;
	_Atomic uint64_t generation;
	_Atomic uint32_t phase;		/* pins are counted under this */
	_Atomic uint32_t draining;	/* somebody waits for unpins */

	/* Written by readers: on a line of its own. */
	_Alignas(64) _Atomic uint64_t pins[2];	/* of threads without a user */
	_Atomic uint32_t wake;		/* futex: an unpin while draining */

	_Alignas(64) pthread_mutex_t lock;	/* changes, listeners, limbo */
	struct vcore__map_listener *listeners;
	struct vcore__map_entry *limbo;	/* out of the map, perhaps pinned */
	pthread_mutex_t users_lock;	/* inside lock */
	struct vcore__memory_user *users;
	_Atomic uint32_t recovering;	/* spin lock of the signal handler */
	struct vcore__event_slot fault_event;	/* if events */
	struct vcore__fault_chunk faults;
};

/* map.c */
/* 0 or -EDEADLK (in a listener or a callback), with text. */
int vcore__memory_lock(struct vcore_memory *m, const char *who);
void vcore__memory_unlock(struct vcore_memory *m);
/* Frees an entry whose slot was given back. May run a release: no lock. */
void vcore__map_entry_free(struct vcore__map_entry *e);

/* change.c: commit ops; who begins the error texts. Takes the lock. */
int vcore__map_commit(struct vcore_memory *m, const struct vcore__map_op *ops,
		      const char *who);

/* access.c: u may be NULL (any thread, inside a section of the domain). */
int vcore__map_iov(const struct vcore_memory *m, struct vcore__memory_user *u,
		   uint64_t gpa, uint64_t len, bool write, struct iovec *iov,
		   uint32_t max);

/*
 * pin.c, under lock: wait until no reader is in a section that began before,
 * and all pins that were taken before are gone. 0, -ETIMEDOUT, -ENOMEM.
 */
int vcore__map_drain(struct vcore_memory *m, uint64_t deadline_ns,
		     const char *who);

/* recover.c, under lock */
int vcore__fault_slot_take(struct vcore_memory *m,
			   struct vcore__fault_slot **slot);
void vcore__fault_slot_set(struct vcore__fault_slot *slot,
			   const struct vcore__span *span);
void vcore__fault_slot_give(struct vcore__fault_slot *slot);
void vcore__fault_slots_free(struct vcore_memory *m);

#endif
