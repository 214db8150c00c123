/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a virtqueue: a split ring, its chains, and who owns it. */
#ifndef VCORE_LIB_VIRTIO_VIRTQUEUE_H
#define VCORE_LIB_VIRTIO_VIRTQUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vcore/virtqueue.h>

#include "base/base.h"
#include "memory/memory.h"

#define VCORE__QUEUE_MAX 32768u	/* descriptors: what 16-bit indices allow */

/* iovecs inside of a chain; enough for a packet of 17 fragments */
#define VCORE__CHAIN_SMALL 20u
/* iovecs that borders between regions may add to a chain */
#define VCORE__CHAIN_SPLITS 64u
/* Bytes of larger iovec arrays a queue holds, and how many at least. */
#define VCORE__CHAIN_LARGE_BYTES (4u << 20)
#define VCORE__CHAIN_LARGE_MIN   8u

/* Descriptors a queue serves in one dispatch before others get their turn. */
#define VCORE__QUEUE_BUDGET(size) (4u * (size))

struct vcore__chain {
	struct vcore_chain pub;		/* first: the device's view */
	struct vcore__chain *next;	/* free list */
	struct iovec *large;		/* of the pool; NULL: small[] is used */
	uint32_t phase;			/* of the pin */
	uint32_t count;			/* descriptors */
	uint16_t avail;			/* where in the ring it was popped */
	bool in_flight;
	bool reserved;
	struct iovec small[VCORE__CHAIN_SMALL];
};

/*
 * Chains of a queue: one for every possible head. One mapping, touched only as
 * far as the guest ever needed: max chains, then the large iovec arrays.
 */
struct vcore__chain_pool {
	struct vcore__chain *chain;
	char *large;
	size_t bytes;			/* of the mapping */
	uint32_t max;			/* chains */
	uint32_t large_max;		/* large arrays */
	uint32_t large_cap;		/* iovecs in each */
	uint32_t fresh;			/* chains never used so far */
	uint32_t large_fresh;
	uint32_t reserved;
	struct vcore__chain *free;
	struct iovec *large_free;	/* iov_base of one: the next */
};

enum vcore__queue_state {
	VCORE__QUEUE_CLOSED = 0,	/* nothing is popped or pushed */
	VCORE__QUEUE_OPEN = 1,
	VCORE__QUEUE_DRAINING = 2,	/* pushed, not popped */
	VCORE__QUEUE_BROKEN = 3		/* until the next setup */
};

/* Whom a queue tells. Both run on the queue's loop, without locks. */
struct vcore__virtqueue_ops {
	void (*interrupt)(void *owner, struct vcore_virtqueue *q);
	/* once after each setup at most; why is a constant */
	void (*broken)(void *owner, struct vcore_virtqueue *q, const char *why);
	/* what pop() refused may be popped now: kick soon */
	void (*again)(void *owner, struct vcore_virtqueue *q);
};

/* Where a driver put its ring. */
struct vcore__ring {
	uint64_t desc, driver, device;	/* guest physical */
	uint32_t size;			/* power of two */
	bool event_idx, indirect;	/* negotiated */
	bool reserved[2];
};

/* Everything below `ring` is the owner's (the loop's) alone. */
struct vcore_virtqueue {
	/* Fixed. */
	const struct vcore__virtqueue_ops *ops;
	void *owner;
	struct vcore_loop *loop;
	uint32_t index;
	uint32_t max;			/* descriptors */
	struct vcore__memory_user user;
	struct vcore__chain_pool pool;
	uint8_t *busy;			/* by head: it is in flight */
	void *opaque;			/* the device's */

	struct vcore__ring ring;
	uint32_t plain;			/* descriptors of a chain that is short:
					 * it fits small[], and the ring */
	enum vcore__queue_state state;
	bool kicks;			/* the driver is asked for kicks */
	bool signalled_valid;
	bool in_dispatch;		/* inside a section, ring looked up */
	bool ring_found;		/* ... and this is what came of it */
	bool hungry;			/* pop() refused something */
	bool asked;			/* ... for a kick since setup */
	/* Host addresses of the ring, good for this generation of the map. */
	uint64_t generation;
	VCORE__GUEST_PTR *desc, *avail, *used;
	uint16_t last_avail;		/* next to pop */
	uint16_t avail_idx;		/* as last read */
	uint16_t avail_event;		/* as last written */
	uint16_t used_idx;		/* next to push */
	uint16_t flushed;		/* used->idx as last written */
	uint16_t signalled;		/* used_idx at the last decision */
	uint16_t mask;			/* ring size - 1 */
	/*
	 * Chains are pinned together: one pin of the map for all chains of a
	 * phase. It is taken and given back where a section ends: what is
	 * pushed in the section it was popped in needs none.
	 */
	uint32_t phase;			/* of what this section pops */
	uint32_t pins[2];		/* chains in flight, by phase */
	bool pinned[2];			/* the map's pin is held */
	bool reserved[2];
	uint32_t budget;		/* left in this dispatch */

	/* Counters: written by the owner, read by anyone. */
	_Atomic uint64_t chains, interrupts;
};

/* virtqueue.c */
/* control: all zero before. 0, -ENOMEM. */
int
vcore__virtqueue_init(struct vcore_virtqueue *q, struct vcore_memory *memory,
		      uint32_t index, uint32_t max);
/* no chain is in flight; NULL-safe for one that was never initialised */
void
vcore__virtqueue_fini(struct vcore_virtqueue *q);

/* NULL, or why this ring can't be used. user: of the caller, outside. */
const char *
vcore__ring_check(struct vcore__memory_user *user,
		  const struct vcore__ring *ring, uint32_t max);

/* A ring from its beginning; state CLOSED, what was in flight is forgotten. */
void
vcore__virtqueue_setup(struct vcore_virtqueue *q,
		       const struct vcore__ring *ring);
/* CLOSED or DRAINING -> OPEN */
void
vcore__virtqueue_open(struct vcore_virtqueue *q);
/* OPEN -> DRAINING */
void
vcore__virtqueue_drain(struct vcore_virtqueue *q);

/* any: have the model called soon, as if the driver had kicked. */
void
vcore__virtqueue_again(struct vcore_virtqueue *q);
/* -> CLOSED (a broken one stays so): nothing is written any more */
void
vcore__virtqueue_close(struct vcore_virtqueue *q);
/* Unpin all that is still in flight. */
void
vcore__virtqueue_forget(struct vcore_virtqueue *q);

/*
 * Around a dispatch: one section of the map for all of it, and a budget. end:
 * true if more waits and the queue is to be dispatched again.
 */
void
vcore__virtqueue_begin(struct vcore_virtqueue *q);
bool
vcore__virtqueue_end(struct vcore_virtqueue *q);

/* chain.c */
int
vcore__chain_pool_init(struct vcore__chain_pool *pool, uint32_t max);
void
vcore__chain_pool_fini(struct vcore__chain_pool *pool);
static inline struct vcore__chain *
vcore__chain_take(struct vcore__chain_pool *pool)
{
	struct vcore__chain *c = pool->free;

	if (c)
		pool->free = c->next;
	else if (pool->fresh < pool->max)
		c = &pool->chain[pool->fresh++];
	return c;
}

/* Is a large array free? */
bool
vcore__chain_has_large(const struct vcore__chain_pool *pool);
void
vcore__chain_give_large(struct vcore__chain_pool *pool, struct vcore__chain *c);
/* One without a large array. */
static inline void
vcore__chain_give(struct vcore__chain_pool *pool, struct vcore__chain *c)
{
	c->next = pool->free;
	pool->free = c;
}

#endif
