/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pool: worker threads that take calls from one queue, first in, first out.
 *
 * Sleep. Who posts wakes a sleeping worker after he has let go of the lock, or
 * the worker would run into it at once. A worker may have taken the call before
 * that, and the pool be gone: so they sleep on a futex, of which only the
 * address is used then. It may be nobody's, or another's, who is woken in vain.
 *
 * The end. The last unref sets `stop`; workers go on until the queue is empty
 * (a call may post more) and leave. Where waiting is allowed, unref then joins
 * them. In a worker's own call, or in a callback of a loop, it isn't: there the
 * last worker to leave joins the others, who have nothing left to do, gives its
 * own handle back and frees the pool.
 */
#include <vcore/pool.h>

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "loop/call.h"
#include "loop/thread.h"

#define THREADS_DEFAULT 4u
#define THREADS_MAX	1024u
#define NAME_BYTES	24 /* of any uint32_t; spawn cuts it */

struct vcore_pool {
	_Atomic uint32_t refs;
	uint32_t threads; /* started; constant once made */
	struct vcore__spawner spawner;
	_Atomic uint32_t wakes; /* futex; changed with the lock held */
	pthread_mutex_t lock;	/* everything below */
	uint32_t asleep;	/* workers that nobody wakes yet; or more */
	struct vcore__call *first;
	struct vcore__call **end;
	uint32_t live; /* workers that have not left */
	bool stop;
	bool self; /* the last worker cleans up */
	void *handle[];
};

static _Thread_local struct vcore_pool *worker_of;

/* Everybody has left: join them (a worker its own handle, too) and free. */
static void
finish(struct vcore_pool *pool)
{
	uint32_t i;

	for (i = 0; i < pool->threads; i++)
		vcore__thread_join(&pool->spawner, pool->handle[i]);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* Lock held, which is let go of meanwhile. May return for no reason. */
static void
wait_for_work(struct vcore_pool *pool)
{
	uint32_t seen = atomic_load(&pool->wakes);

	if (pool->asleep < pool->live)
		pool->asleep++;
	pthread_mutex_unlock(&pool->lock);
	(void)syscall(SYS_futex, &pool->wakes, FUTEX_WAIT_PRIVATE, seen, NULL,
		      NULL, 0);
	pthread_mutex_lock(&pool->lock);
}

/* The pool may be gone. */
static void
futex_wake(_Atomic uint32_t *wakes, int count)
{
	(void)syscall(SYS_futex, wakes, FUTEX_WAKE_PRIVATE, count, NULL, NULL,
		      0);
}

/* Wait for a call; NULL: leave. Lock held. */
static struct vcore__call *
take(struct vcore_pool *pool)
{
	struct vcore__call *c;

	while (!pool->first && !pool->stop)
		wait_for_work(pool);
	c = pool->first;
	if (!c)
		return NULL;
	pool->first = c->next;
	if (!pool->first)
		pool->end = &pool->first;
	return c;
}

static void
worker(void *arg)
{
	struct vcore_pool *pool = arg;
	struct vcore__call *c;
	bool last;

	worker_of = pool;
	pthread_mutex_lock(&pool->lock);
	while ((c = take(pool))) {
		pthread_mutex_unlock(&pool->lock);
		c->fn(c);
		pthread_mutex_lock(&pool->lock);
	}
	last = --pool->live == 0 && pool->self;
	pthread_mutex_unlock(&pool->lock);
	worker_of = NULL;
	if (last)
		finish(pool);
}

/* Tell the workers to leave; self: and to clean up. */
static void
stop_workers(struct vcore_pool *pool, bool self)
{
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pool->self = self;
	atomic_fetch_add(&pool->wakes, 1);
	pthread_mutex_unlock(&pool->lock);
	futex_wake(&pool->wakes, INT_MAX);
}

static int
check_opts(const struct vcore_pool_opts *o)
{
	if (o->flags || o->reserved0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_pool_new: flags %#x, reserved0 %#x",
				  o->flags, o->reserved0);
	if (o->threads > THREADS_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pool_new: threads %u is above %u",
				  o->threads, THREADS_MAX);
	return 0;
}

static int
start_workers(struct vcore_pool *pool, uint32_t threads)
{
	char name[NAME_BYTES];
	int rc;

	for (; pool->threads < threads; pool->threads++) {
		snprintf(name, sizeof(name), "vcore-pool%u", pool->threads);
		pthread_mutex_lock(&pool->lock);
		pool->live++;
		pthread_mutex_unlock(&pool->lock);
		rc = vcore__thread_start(&pool->spawner, name, worker, pool,
					 &pool->handle[pool->threads]);
		if (rc < 0)
			return vcore__err(NULL, rc,
					  "vcore_pool_new: thread %u of %u: %s",
					  pool->threads + 1, threads,
					  vcore__strerror(rc));
	}
	return 0;
}

int
vcore_pool_new(const struct vcore_pool_opts *opts, struct vcore_pool **pool)
{
	struct vcore_pool_opts o = { .size = sizeof(o) };
	struct vcore__spawner spawner;
	struct vcore_pool *p;
	int rc = 0;

	if (opts)
		rc = VCORE__SIZED("vcore_pool_new: opts", &o, spawn_opaque,
				  opts);
	if (rc == 0)
		rc = check_opts(&o);
	if (rc < 0)
		return rc;
	if (!pool)
		return vcore__err(NULL, -EINVAL, "vcore_pool_new: pool is NULL");
	rc = vcore__spawner_init(&spawner, "vcore_pool_new: spawn", o.spawn,
				 o.spawn_opaque);
	if (rc < 0)
		return rc;
	if (o.threads == 0)
		o.threads = THREADS_DEFAULT;
	p = calloc(1, sizeof(*p) + o.threads * sizeof(p->handle[0]));
	if (!p)
		return vcore__err(NULL, -ENOMEM, "vcore_pool_new: no memory");
	atomic_init(&p->refs, 1);
	p->spawner = spawner;
	p->end = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	rc = start_workers(p, o.threads);
	if (rc < 0) {
		stop_workers(p, false);
		finish(p);
		return rc;
	}
	*pool = p;
	return 0;
}

struct vcore_pool *
vcore_pool_ref(struct vcore_pool *pool)
{
	if (pool)
		atomic_fetch_add(&pool->refs, 1);
	return pool;
}

void
vcore_pool_unref(struct vcore_pool *pool)
{
	bool self;

	if (!pool || atomic_fetch_sub(&pool->refs, 1) != 1)
		return;
	self = worker_of == pool || vcore__loop_current();
	stop_workers(pool, self);
	if (!self)
		finish(pool);
}

void
vcore__pool_post(struct vcore_pool *pool, struct vcore__call *c)
{
	_Atomic uint32_t *wakes = &pool->wakes;
	bool wake;

	c->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->end = c;
	pool->end = &c->next;
	wake = pool->asleep > 0;
	if (wake) {
		pool->asleep--;
		atomic_fetch_add(wakes, 1);
	}
	pthread_mutex_unlock(&pool->lock);
	/* The caller's reference may have been the call's to drop. */
	if (wake)
		futex_wake(wakes, 1);
}

struct boxed_call {
	struct vcore__call call;
	void (*fn)(void *opaque);
	void *opaque;
};

static void
run_boxed(struct vcore__call *c)
{
	struct boxed_call box = *VCORE__CONTAINER(c, struct boxed_call, call);

	free(VCORE__CONTAINER(c, struct boxed_call, call));
	box.fn(box.opaque);
}

int
vcore_pool_call(struct vcore_pool *pool, void (*fn)(void *opaque), void *opaque)
{
	struct boxed_call *box;

	if (!pool || !fn)
		return vcore__err(NULL, -EINVAL, "vcore_pool_call: %s is NULL",
				  pool ? "fn" : "pool");
	box = malloc(sizeof(*box));
	if (!box)
		return vcore__err(NULL, -ENOMEM, "vcore_pool_call: no memory");
	box->call.fn = run_boxed;
	box->fn = fn;
	box->opaque = opaque;
	vcore__pool_post(pool, &box->call);
	return 0;
}
