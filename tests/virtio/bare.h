/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtqueue without a device: the ring alone, its owner counting calls. */
#ifndef VCORE_TESTS_VIRTIO_BARE_H
#define VCORE_TESTS_VIRTIO_BARE_H

#include <linux/virtio_ring.h>

#include "support/support.h"
#include "support/vdriver.h"
#include "virtio/virtqueue.h"

#define BARE_MAX 64u

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

static struct vdriver_env env;
static struct vdriver driver;
static struct vdriver_queue *ring;	/* the driver's side */
static struct vcore_virtqueue q;	/* the device's */
static uint32_t interrupts, agains;
static const char *broken_why;
static uint64_t buf;			/* a page of guest memory */

static void
count_interrupt(void *owner, struct vcore_virtqueue *queue)
{
	ck_assert_ptr_eq(owner, &env);
	ck_assert_ptr_eq(queue, &q);
	interrupts++;
}

static void
note_broken(void *owner, struct vcore_virtqueue *queue, const char *why)
{
	(void)owner;
	(void)queue;
	ck_assert_ptr_null(broken_why);
	broken_why = why;
}

static void
count_again(void *owner, struct vcore_virtqueue *queue)
{
	(void)owner;
	(void)queue;
	agains++;
}

static const struct vcore__virtqueue_ops bare_ops = {
	.interrupt = count_interrupt, .broken = note_broken,
	.again = count_again,
};

/* A ring of this size in fresh memory, its indices at 0. */
static inline void
bare_open(uint32_t size, bool event_idx)
{
	struct vcore__ring r = {
		.desc = vdriver_alloc(&env, 16ull * size, 16),
		.driver = vdriver_alloc(&env, 6 + 2ull * size, 2),
		.device = vdriver_alloc(&env, 6 + 8ull * size, 4),
		.size = size, .event_idx = event_idx, .indirect = true,
	};

	*ring = (struct vdriver_queue){
		.d = &driver, .size = size, .desc = r.desc, .avail = r.driver,
		.used = r.device, .event_idx = event_idx,
	};
	broken_why = NULL;
	interrupts = 0;
	agains = 0;
	ck_assert_ptr_null(vcore__ring_check(&q.user, &r, q.max));
	vcore__virtqueue_setup(&q, &r);
	vcore__virtqueue_open(&q);
}

static inline void
bare_setup_max(uint32_t max)
{
	vdriver_env_init(&env, 0);
	driver.env = &env;
	ring = &driver.queue[0];
	memset(&q, 0, sizeof(q));
	ck_assert_int_eq(vcore__virtqueue_init(&q, env.memory, 0, max), 0);
	q.ops = &bare_ops;
	q.owner = &env;
	buf = vdriver_alloc(&env, 4096, 4096);
	bare_open(max < 1024 ? max : 1024, false);
}

static inline void
bare_setup(void)
{
	bare_setup_max(BARE_MAX);
}

static inline void
bare_teardown(void)
{
	vcore__virtqueue_forget(&q);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 0);
	vcore__virtqueue_fini(&q);
	vdriver_env_fini(&env);
}

static inline struct vcore_chain *
bare_pop(void)
{
	struct vcore_chain *c = NULL;

	return vcore_virtqueue_pop(&q, &c) == 1 ? c : NULL;
}

/* What is in the ring is refused: broken, for this reason, for good. */
static inline void
bare_assert_broken(const char *why)
{
	ck_assert_ptr_null(bare_pop());
	ck_assert_ptr_nonnull(broken_why);
	ck_assert_str_eq(broken_why, why);
	ck_assert_ptr_null(bare_pop());
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 0);
	ck_assert_uint_eq(vdriver_used_idx(ring), 0);
	/* The queue serves again after it was set up anew. */
	bare_open(BARE_MAX, false);
	vdriver_desc(ring, 0, buf, 16, 0, 0);
	vdriver_avail(ring, 0);
	ck_assert_ptr_nonnull(bare_pop());
}

#endif
