/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring: popping chains, pushing them back, asking for kicks. */
#include "virtio/chain.h"

#include <stdlib.h>

/* virtio 1.2, 2.7: offsets in the two rings the driver and the device write. */
#define AVAIL_FLAGS 0u
#define AVAIL_IDX   2u
#define AVAIL_RING  4u
#define USED_FLAGS  0u
#define USED_IDX    2u
#define USED_RING   4u

#define DESC_BYTES(size)  (16ull * (size))
#define AVAIL_BYTES(size) (6ull + 2ull * (size))
#define USED_BYTES(size)  (6ull + 8ull * (size))

int
vcore__virtqueue_init(struct vcore_virtqueue *q, struct vcore_memory *memory,
		      uint32_t index, uint32_t max)
{
	int rc;

	q->busy = calloc(max, sizeof(*q->busy));
	if (!q->busy)
		return -ENOMEM;
	rc = vcore__chain_pool_init(&q->pool, max);
	if (rc < 0)
		goto err_busy;
	rc = vcore__memory_user_init(&q->user, memory);
	if (rc < 0)
		goto err_pool;
	q->index = index;
	q->max = max;
	return 0;

err_pool:
	vcore__chain_pool_fini(&q->pool);
err_busy:
	free(q->busy);
	q->busy = NULL;
	return rc;
}

void
vcore__virtqueue_fini(struct vcore_virtqueue *q)
{
	if (!q->busy)
		return;
	vcore__memory_user_fini(&q->user);
	vcore__chain_pool_fini(&q->pool);
	free(q->busy);
	q->busy = NULL;
}

static bool
range_ok(struct vcore__memory_user *user, uint64_t gpa, uint64_t len,
	 bool write)
{
	uint64_t end;

	return !vcore__add_overflow(gpa, len, &end) &&
	       vcore__memory_hva(user, gpa, len, write) != NULL;
}

const char *
vcore__ring_check(struct vcore__memory_user *user,
		  const struct vcore__ring *ring, uint32_t max)
{
	uint32_t n = ring->size;
	const char *why = NULL;

	if (n == 0 || n > max || (n & (n - 1)))
		return "bad queue size";
	if (ring->desc % 16 || ring->driver % 2 || ring->device % 4)
		return "ring address not aligned";
	vcore__memory_enter(user);
	if (!range_ok(user, ring->desc, DESC_BYTES(n), false) ||
	    !range_ok(user, ring->driver, AVAIL_BYTES(n), false) ||
	    !range_ok(user, ring->device, USED_BYTES(n), true))
		why = "ring not in one stretch of writable memory";
	vcore__memory_exit(user);
	return why;
}

void
vcore__virtqueue_setup(struct vcore_virtqueue *q,
		       const struct vcore__ring *ring)
{
	vcore__virtqueue_forget(q);
	q->ring = *ring;
	q->plain = ring->size < VCORE__CHAIN_SMALL ? ring->size :
						     VCORE__CHAIN_SMALL;
	q->mask = (uint16_t)(ring->size - 1);
	q->state = VCORE__QUEUE_CLOSED;
	q->kicks = true;
	q->signalled_valid = false;
	q->hungry = false;
	q->generation = 0;
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
	q->last_avail = 0;
	q->avail_idx = 0;
	q->avail_event = 0;
	q->asked = false;
	q->used_idx = 0;
	q->flushed = 0;
	q->signalled = 0;
}

void
vcore__virtqueue_open(struct vcore_virtqueue *q)
{
	if (q->state != VCORE__QUEUE_BROKEN)
		q->state = VCORE__QUEUE_OPEN;
}

void
vcore__virtqueue_drain(struct vcore_virtqueue *q)
{
	if (q->state == VCORE__QUEUE_OPEN)
		q->state = VCORE__QUEUE_DRAINING;
}

void
vcore__virtqueue_close(struct vcore_virtqueue *q)
{
	if (q->state != VCORE__QUEUE_BROKEN)
		q->state = VCORE__QUEUE_CLOSED;
}

void
vcore_virtqueue_break(struct vcore_virtqueue *q, const char *why)
{
	if (!q || q->state == VCORE__QUEUE_BROKEN)
		return;
	q->state = VCORE__QUEUE_BROKEN;
	q->ops->broken(q->owner, q, why ? why : "malformed request");
}

/*
 * Before a section ends: the memory of the chains that were popped in it, and
 * are in flight, stays mapped. And after a push that none remains of.
 */
static void
settle(struct vcore_virtqueue *q, uint32_t phase)
{
	bool needed = q->pins[phase] != 0;

	if (needed == q->pinned[phase])
		return;
	q->pinned[phase] = needed;
	if (needed)
		vcore__memory_pin_phase(&q->user, phase);
	else
		vcore__memory_unpin(&q->user, phase);
}

/*
 * Inside a section: the ring's host addresses, looked up anew after the map
 * has changed.
 */
static bool
find_ring(struct vcore_virtqueue *q)
{
	uint64_t generation = vcore__memory_generation(&q->user);
	uint32_t n = q->ring.size;

	if (q->generation == generation)
		return true;
	q->desc = vcore__memory_hva(&q->user, q->ring.desc, DESC_BYTES(n),
				    false);
	q->avail = vcore__memory_hva(&q->user, q->ring.driver, AVAIL_BYTES(n),
				     false);
	q->used = vcore__memory_hva(&q->user, q->ring.device, USED_BYTES(n),
				    true);
	if (!q->desc || !q->avail || !q->used) {
		vcore_virtqueue_break(q, "ring not in memory any more");
		return false;
	}
	q->generation = generation;
	return true;
}

/*
 * What is out of the way of a dispatch, which does nearly all of the work, is
 * kept out of its functions: they save fewer registers without it.
 */
#define APART __attribute__((noinline))

static APART bool
enter_section(struct vcore_virtqueue *q)
{
	vcore__memory_enter(&q->user);
	q->phase = vcore__memory_phase(&q->user);
	return find_ring(q);
}

static APART void
leave_section(struct vcore_virtqueue *q)
{
	settle(q, q->phase);
	vcore__memory_exit(&q->user);
}

/*
 * A section of the map, unless the dispatch is one already. true: the ring is
 * there. Ended by leave() in either case.
 */
static inline bool
enter(struct vcore_virtqueue *q)
{
	return q->in_dispatch ? q->ring_found : enter_section(q);
}

static inline void
leave(struct vcore_virtqueue *q)
{
	if (!q->in_dispatch)
		leave_section(q);
}

/* Does the driver offer more than was popped? Reads avail->idx. */
static bool
look(struct vcore_virtqueue *q)
{
	uint16_t idx;

	idx = vcore__guest_load16_acquire(vcore__guest_at(q->avail, AVAIL_IDX));
	if ((uint16_t)(idx - q->last_avail) > q->ring.size) {
		vcore_virtqueue_break(q, "available index jumped");
		return false;
	}
	q->avail_idx = idx;
	return idx != q->last_avail;
}

/*
 * Ask for a kick at the next chain, and look whether it came before the driver
 * could see that: 2.7.10.1.
 */
static bool
ask_for_kick(struct vcore_virtqueue *q)
{
	q->asked = true;
	if (q->ring.event_idx) {
		q->avail_event = q->last_avail;
		vcore__guest_store16(
			vcore__guest_at(q->used, USED_BYTES(q->ring.size) - 2),
			q->avail_event);
	} else {
		vcore__guest_store16(vcore__guest_at(q->used, USED_FLAGS), 0);
	}
	atomic_thread_fence(memory_order_seq_cst);
	return look(q);
}

/* All that was seen is popped: is there more, or will the driver kick? */
static APART bool
look_again(struct vcore_virtqueue *q)
{
	if (look(q))
		return true;
	if (q->state != VCORE__QUEUE_OPEN || !q->kicks)
		return false;
	if (q->asked &&
	    (!q->ring.event_idx || q->avail_event == q->last_avail))
		return false;
	return ask_for_kick(q);
}

/* Outside of a dispatch, a chain was given back. */
static APART void
given_outside(struct vcore_virtqueue *q, uint32_t phase, bool large)
{
	settle(q, phase);
	if (large && q->hungry) {
		q->hungry = false;
		q->ops->again(q->owner, q);
	}
}

/* Inside a dispatch, and without a large array: all there is to do. */
static inline void
give_plain(struct vcore_virtqueue *q, struct vcore__chain *c)
{
	c->in_flight = false;
	q->busy[c->pub.head] = 0;
	q->pins[c->phase]--;
	vcore__chain_give(&q->pool, c);
}

static APART void
give(struct vcore_virtqueue *q, struct vcore__chain *c)
{
	bool large = c->large != NULL;

	if (large)
		vcore__chain_give_large(&q->pool, c);
	give_plain(q, c);
	if (!q->in_dispatch)
		given_outside(q, c->phase, large);
}

static inline void
take(struct vcore_virtqueue *q, struct vcore__chain *c)
{
	uint32_t count = c->count;

	c->phase = q->phase;
	q->pins[c->phase]++;
	c->avail = q->last_avail++;
	c->in_flight = true;
	q->busy[c->pub.head] = 1;
	q->budget -= count < q->budget ? count : q->budget;
	atomic_store_explicit(&q->chains, q->chains + 1, memory_order_relaxed);
}

/* A chain that could not be read, or not now. */
static APART void
refuse(struct vcore_virtqueue *q, struct vcore__chain *c, const char *why)
{
	if (c->large)
		vcore__chain_give_large(&q->pool, c);
	vcore__chain_give(&q->pool, c);
	if (why == vcore__chain_full)
		q->hungry = true;
	else
		vcore_virtqueue_break(q, why);
}

/* Inside a section, ring found, avail_idx != last_avail. 1: popped. */
static APART int
pop_head(struct vcore_virtqueue *q, struct vcore_chain **chain)
{
	struct vcore__chain *c;
	uint32_t head, slot = q->last_avail & q->mask;
	const char *why = NULL;
	struct vcore__desc d;

	head = vcore__guest_load16(
		vcore__guest_at(q->avail, AVAIL_RING + 2ull * slot));
	if (head >= q->ring.size) {
		vcore_virtqueue_break(q, "head beyond the queue");
		return 0;
	}
	if (q->busy[head]) {
		vcore_virtqueue_break(q, "head is in flight already");
		return 0;
	}
	c = vcore__chain_take(&q->pool);
	if (!c)
		return 0;
	c->pub.iov = c->small;
	c->pub.head = (uint16_t)head;
	c->pub.opaque = NULL;
	d = vcore__desc_load(q->desc, head);
	if (!vcore__chain_plain(q, c, &d, &why))
		why = vcore__chain_parse_rest(q, c, d);
	if (why) {
		refuse(q, c, why);
		return 0;
	}
	take(q, c);
	*chain = &c->pub;
	return 1;
}

static APART int
pop_outside(struct vcore_virtqueue *q, struct vcore_chain **chain)
{
	int rc = 0;

	if (enter(q) && (q->avail_idx != q->last_avail || look_again(q)))
		rc = pop_head(q, chain);
	leave(q);
	return rc;
}

int
vcore_virtqueue_pop(struct vcore_virtqueue *q, struct vcore_chain **chain)
{
	if (!q || !chain || q->state != VCORE__QUEUE_OPEN)
		return 0;
	if (!q->in_dispatch)
		return pop_outside(q, chain);
	if (!q->ring_found ||
	    (q->avail_idx == q->last_avail && !look_again(q)))
		return 0;
	if (q->budget == 0) {
		q->hungry = true;
		return 0;
	}
	return pop_head(q, chain);
}

void
vcore_virtqueue_unpop(struct vcore_virtqueue *q, struct vcore_chain *chain)
{
	struct vcore__chain *c = (struct vcore__chain *)(void *)chain;

	if (!q || !c || !c->in_flight ||
	    c->avail != (uint16_t)(q->last_avail - 1))
		return;
	q->last_avail--;
	give(q, c);
}

void
vcore_virtqueue_drop(struct vcore_virtqueue *q, struct vcore_chain *chain)
{
	struct vcore__chain *c = (struct vcore__chain *)(void *)chain;

	if (q && c && c->in_flight)
		give(q, c);
}

static uint32_t
in_flight(const struct vcore_virtqueue *q)
{
	return q->pins[0] + q->pins[1];
}

void
vcore__virtqueue_forget(struct vcore_virtqueue *q)
{
	for (uint32_t i = 0; i < q->pool.fresh && in_flight(q); i++)
		vcore_virtqueue_drop(q, &q->pool.chain[i].pub);
}

static bool
is_writing(const struct vcore_virtqueue *q)
{
	return q->state == VCORE__QUEUE_OPEN ||
	       q->state == VCORE__QUEUE_DRAINING;
}

static inline void
put_used(struct vcore_virtqueue *q, uint32_t head, uint32_t written)
{
	VCORE__GUEST_PTR *elem =
		vcore__guest_at(q->used, USED_RING + 8ull * (q->used_idx &
							     q->mask));

	vcore__guest_store32(elem, head);
	vcore__guest_store32(vcore__guest_at(elem, 4), written);
	q->used_idx++;
}

static APART void
push_outside(struct vcore_virtqueue *q, struct vcore__chain *c,
	     uint32_t written)
{
	if (enter(q) && is_writing(q))
		put_used(q, c->pub.head, written);
	leave(q);
	give(q, c);
}

void
vcore_virtqueue_push(struct vcore_virtqueue *q, struct vcore_chain *chain,
		     uint32_t written)
{
	struct vcore__chain *c = (struct vcore__chain *)(void *)chain;

	if (!q || !c || !c->in_flight)
		return;
	if (written > chain->writable_len)
		written = (uint32_t)chain->writable_len;
	if (!q->in_dispatch) {
		push_outside(q, c, written);
		return;
	}
	if (q->ring_found && is_writing(q))
		put_used(q, chain->head, written);
	if (c->large)
		give(q, c);
	else
		give_plain(q, c);
}

/* After used->idx was written: does the driver want an interrupt? 2.7.7 */
static bool
wants_interrupt(struct vcore_virtqueue *q)
{
	uint16_t event, old = q->signalled;
	bool valid = q->signalled_valid;

	if (!q->ring.event_idx)
		return !(vcore__guest_load16(
				 vcore__guest_at(q->avail, AVAIL_FLAGS)) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	q->signalled = q->used_idx;
	q->signalled_valid = true;
	event = vcore__guest_load16(
		vcore__guest_at(q->avail, AVAIL_BYTES(q->ring.size) - 2));
	return !valid || vring_need_event(event, q->used_idx, old);
}

void
vcore_virtqueue_flush(struct vcore_virtqueue *q)
{
	bool wanted = false;

	if (!q || q->used_idx == q->flushed || !is_writing(q))
		return;
	if (enter(q)) {
		vcore__guest_store16_release(
			vcore__guest_at(q->used, USED_IDX), q->used_idx);
		q->flushed = q->used_idx;
		atomic_thread_fence(memory_order_seq_cst);
		wanted = wants_interrupt(q);
	}
	leave(q);
	if (!wanted)
		return;
	atomic_store_explicit(&q->interrupts, q->interrupts + 1,
			      memory_order_relaxed);
	q->ops->interrupt(q->owner, q);
}

int
vcore_virtqueue_enable_kick(struct vcore_virtqueue *q)
{
	bool more = false;

	if (!q || q->state != VCORE__QUEUE_OPEN)
		return 0;
	q->kicks = true;
	if (enter(q))
		more = ask_for_kick(q);
	leave(q);
	/* In a dispatch that used up its budget the next one is due anyway. */
	if (more && q->in_dispatch && q->budget == 0) {
		q->hungry = true;
		more = false;
	}
	return more;
}

void
vcore_virtqueue_disable_kick(struct vcore_virtqueue *q)
{
	if (!q || q->state != VCORE__QUEUE_OPEN)
		return;
	q->kicks = false;
	if (q->ring.event_idx)
		return;
	if (enter(q))
		vcore__guest_store16(vcore__guest_at(q->used, USED_FLAGS),
				     VRING_USED_F_NO_NOTIFY);
	leave(q);
}

void
vcore__virtqueue_begin(struct vcore_virtqueue *q)
{
	vcore__memory_enter(&q->user);
	q->ring_found = is_writing(q) && find_ring(q);
	q->phase = vcore__memory_phase(&q->user);
	q->in_dispatch = true;
	q->hungry = false;
	q->budget = VCORE__QUEUE_BUDGET(q->ring.size);
}

bool
vcore__virtqueue_end(struct vcore_virtqueue *q)
{
	bool more = q->hungry && q->state == VCORE__QUEUE_OPEN &&
		    (q->budget == 0 || vcore__chain_has_large(&q->pool));

	q->in_dispatch = false;
	settle(q, 0);
	settle(q, 1);
	vcore__memory_exit(&q->user);
	if (more)
		q->hungry = false;
	return more;
}

uint32_t
vcore_virtqueue_index(const struct vcore_virtqueue *q)
{
	return q ? q->index : 0;
}

uint32_t
vcore_virtqueue_size(const struct vcore_virtqueue *q)
{
	return q ? q->ring.size : 0;
}

struct vcore_loop *
vcore_virtqueue_loop(const struct vcore_virtqueue *q)
{
	return q ? q->loop : NULL;
}

uint32_t
vcore_virtqueue_in_flight(const struct vcore_virtqueue *q)
{
	return q ? in_flight(q) : 0;
}

void
vcore_virtqueue_set_opaque(struct vcore_virtqueue *q, void *opaque)
{
	if (q)
		q->opaque = opaque;
}

void *
vcore_virtqueue_opaque(const struct vcore_virtqueue *q)
{
	return q ? q->opaque : NULL;
}

void
vcore__virtqueue_again(struct vcore_virtqueue *q)
{
	q->ops->again(q->owner, q);
}
