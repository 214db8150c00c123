/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A pool of worker threads for work that blocks, and how threads are started.
 */
#ifndef VCORE_POOL_H
#define VCORE_POOL_H

#include <vcore/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A pool of threads, counted. */
struct vcore_pool;

/**
 * How threads are started, if not by pthread_create(): for embedders who pin,
 * confine or count their threads. Used by a pool and by a machine.
 */
struct vcore_spawn_ops {
	uint32_t size;  /**< sizeof(struct vcore_spawn_ops). */
	uint32_t flags; /**< None yet: 0. */
	/**
	 * Start a thread that calls fn(arg) once and then ends. Required. Runs
	 * on control.
	 *
	 * Block all signals in it but SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP
	 * and SIGSYS, which an instruction of the thread itself can cause: the
	 * kernel kills a process that blocks those. `name` has at most 15
	 * bytes and is valid during the call. Return 0 with *thread set to
	 * what `join` is to get (set it before fn can run, or at least
	 * before returning), or a negative errno value.
	 */
	int (*spawn)(void *opaque, const char *name, void (*fn)(void *arg),
		     void *arg, void **thread);
	/**
	 * Wait until the thread has ended and free its handle. Required. Runs
	 * once for each thread; on that thread itself it must not wait but
	 * leave the thread to itself (pthread_detach()).
	 */
	void (*join)(void *opaque, void *thread);
};

/** How to make a pool. */
struct vcore_pool_opts {
	uint32_t size;      /**< Set by VCORE_INIT(). */
	uint32_t flags;     /**< None yet: 0. */
	uint32_t threads;   /**< How many, at most 1024; 0: 4. */
	uint32_t reserved0; /**< 0. */
	/** How to start threads, or NULL: pthread_create(). Copied. */
	const struct vcore_spawn_ops *spawn;
	/** First argument of both; used until the last thread is joined. */
	void *spawn_opaque;
};

/**
 * Make a pool and start its threads, named "vcore-pool0" and so on.
 *
 * @param[in]  opts  How, or NULL for the defaults. Copied.
 * @param[out] pool  The pool. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p pool is NULL, a `size` is not initialised, `threads` is
 *                  above 1024, or a function of `spawn` is NULL.
 * @retval -E2BIG   @p opts or `spawn` sets a field or flag this library does
 *                  not know.
 * @retval -ENOMEM  Out of memory.
 * @retval -EAGAIN  No more threads (and what else `spawn` returned).
 *
 * @owns   The caller owns a reference and drops it by vcore_pool_unref().
 * @thread Control.
 * @since  0.1
 */
VCORE_API int
vcore_pool_new(const struct vcore_pool_opts *opts, struct vcore_pool **pool);

/**
 * Take one more reference.
 *
 * @param[in] pool  The pool, or NULL.
 *
 * @return @p pool.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_pool *
vcore_pool_ref(struct vcore_pool *pool);

/**
 * Drop a reference. The last one lets the threads finish what is posted (and
 * what that posts), joins them and frees the pool.
 *
 * In a call that runs on the pool itself, or in a callback of a loop, it
 * returns at once, and the last of the threads does the rest.
 *
 * @param[in] pool  The pool, or NULL, which is a no-op.
 *
 * @owns   Takes the caller's reference.
 * @thread Control; also the pool's own threads and loops.
 * @since  0.1
 */
VCORE_API void
vcore_pool_unref(struct vcore_pool *pool);

/**
 * Run a function once on a thread of the pool. Calls are begun in order of
 * posting, and run side by side.
 *
 * @param[in] pool    The pool.
 * @param[in] fn      The function; may block.
 * @param[in] opaque  Its argument.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p pool or @p fn is NULL.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   @p opaque belongs to @p fn once the call has succeeded.
 * @thread Any thread; never waits. The caller holds a reference on the pool, or
 *         is in one of its calls.
 * @since  0.1
 */
VCORE_API int
vcore_pool_call(struct vcore_pool *pool, void (*fn)(void *opaque),
		void *opaque);

#ifdef __cplusplus
}
#endif
#endif
