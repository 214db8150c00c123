/* SPDX-License-Identifier: BSD-3-Clause */
/* Posting calls to loops and pools, and waiting for one. */
#ifndef VCORE_LIB_LOOP_CALL_H
#define VCORE_LIB_LOOP_CALL_H

#include <stdatomic.h>
#include <stdint.h>

#include <vcore/loop.h>
#include <vcore/pool.h>

#include "base/call.h"

/*
 * any: c->fn(c) runs once on the loop, in order of posting, at the latest in
 * the loop's last unref. Never fails, never allocates, never waits. The caller
 * holds a reference on the loop, or is one of its callbacks.
 */
void
vcore__loop_post(struct vcore_loop *loop, struct vcore__call *c);

/* any: the same on a worker of the pool. Taken in order, run side by side. */
void
vcore__pool_post(struct vcore_pool *pool, struct vcore__call *c);

/*
 * control: one dispatch, without waiting, of a loop that nobody may be running
 * just now. Its owner does not notice: a dispatch of his that begins meanwhile
 * waits for this one. -EBUSY: somebody is in; -EDEADLK: in its callback;
 * otherwise as vcore_loop_dispatch().
 */
int
vcore__loop_help(struct vcore_loop *loop);

/* The loop whose callback this thread is in (the innermost), or NULL. */
struct vcore_loop *
vcore__loop_current(void);

/*
 * A call somebody waits for: init, hand &w->call to who completes it with
 * vcore__call_done(), wait. One waiter, one completion.
 *
 * If a deadline is given the completion may come after the waiter has gone, so
 * the object must outlive both: use vcore__waiter_new() and
 * vcore__waiter_free(), which leaves the memory to whoever is last.
 */
struct vcore__waiter {
	struct vcore__call call;
	_Atomic uint32_t futex;		/* enum in waiter.c */
	uint32_t reserved;
};

void
vcore__waiter_init(struct vcore__waiter *w);

/* On the heap, initialised; NULL: no memory. */
struct vcore__waiter *
vcore__waiter_new(void);

/* Of vcore__waiter_new(): completed or not; a later completion is dropped. */
void
vcore__waiter_free(struct vcore__waiter *w);

/*
 * control, vCPU: the completion's rc; -ETIMEDOUT if deadline_ns (of
 * CLOCK_MONOTONIC, 0: none) passes first, it is then still pending and may be
 * waited for again; -EDEADLK in a callback of a loop. Writes no error text: the
 * caller knows who was waited for.
 */
int
vcore__waiter_wait(struct vcore__waiter *w, uint64_t deadline_ns);

#endif
