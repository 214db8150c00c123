/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * An event loop that runs alone or inside the embedder's.
 *
 * A loop calls functions when descriptors are ready, when timers expire and
 * when calls were posted to it. It has no thread of its own. Either one of the
 * embedder's threads runs it:
 *
 * @code
 * vcore_loop_run(loop);
 * @endcode
 *
 * which returns after vcore_loop_quit(); or the embedder's own loop watches its
 * descriptor and never blocks in it:
 *
 * @code
 * struct pollfd fd = { .fd = vcore_loop_fd(loop), .events = POLLIN };
 *
 * if (poll(&fd, 1, -1) > 0)
 *         vcore_loop_dispatch(loop, 0);
 * @endcode
 *
 * **Owner.** The thread that is in vcore_loop_run() or vcore_loop_dispatch() is
 * the loop's owner for that time. It may be another one the next time; two at
 * once are refused. Callbacks *run on loop*: on the owner, one at a time.
 *
 * **Callbacks.** A callback may do everything that does not wait, also add,
 * change and remove sources (its own, too), post calls, and drop references on
 * the loop. What waits returns -EDEADLK there: the loop is to turn.
 *
 * **Fairness.** One dispatch runs at most 64 descriptor callbacks, 64 timers
 * and 64 posted calls. What is left keeps the loop's descriptor readable.
 *
 * **The end.** A source holds a reference on its loop until it is removed. The
 * last unref runs what is still posted and releases what is still to be
 * released, on the thread that calls it.
 */
#ifndef VCORE_LOOP_H
#define VCORE_LOOP_H

#include <vcore/base.h>
#include <vcore/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An event loop, counted. */
struct vcore_loop;
/** A descriptor or timer that a loop watches; has one owner. */
struct vcore_source;

/** How to make a loop. */
struct vcore_loop_opts {
	uint32_t size;         /**< Set by VCORE_INIT(). */
	uint32_t flags;        /**< None yet: 0. */
	struct vcore_log *log; /**< For errors, or NULL. Referenced. */
};

/** The descriptor can be read. */
#define VCORE_LOOP_READ  (1u << 0)
/** The descriptor can be written. */
#define VCORE_LOOP_WRITE (1u << 1)
/** The peer left, or the descriptor failed. Reported without being asked. */
#define VCORE_LOOP_HUP   (1u << 2)

/** The source's descriptor is an eventfd, which the loop reads before `fn`. */
#define VCORE_SOURCE_EVENTFD (1u << 0)

/**
 * A source is ready. Runs on loop; must not block.
 *
 * A descriptor that stays ready is reported again by the next dispatch.
 *
 * @param[in] opaque  Of the source.
 * @param[in] ready   VCORE_LOOP_* that are true; 0 for a timer.
 */
typedef void (*vcore_loop_fn)(void *opaque, uint32_t ready);

/** What to watch. */
struct vcore_source_opts {
	uint32_t size;    /**< Set by VCORE_INIT(). */
	uint32_t flags;   /**< VCORE_SOURCE_*; 0 for a timer. */
	/**
	 * The descriptor; -1: a timer. VCORE_INIT() leaves 0, a valid number,
	 * so this is always to be set. The loop watches a duplicate and closes
	 * that in vcore_source_remove(), or, if the source's function is just
	 * running on another thread, when it returns.
	 */
	int32_t fd;
	/** VCORE_LOOP_READ, _WRITE: wanted now. 0: nothing, not even _HUP. */
	uint32_t events;
	vcore_loop_fn fn; /**< Called when ready. Required. */
	void *opaque;     /**< First argument of both functions. */
	/** Runs on loop, once, when no call of `fn` can follow; or NULL. */
	void (*release)(void *opaque);
};

/**
 * Make a loop.
 *
 * @param[in]  opts  How, or NULL for the defaults. Copied.
 * @param[out] loop  The loop. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p loop is NULL, or `size` is not initialised.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 * @retval -EMFILE  No descriptor is left: a loop needs three (and other errors
 *                  of epoll_create1(2), eventfd(2), timerfd_create(2)).
 *
 * @owns   The caller owns a reference and drops it by vcore_loop_unref().
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_loop_new(const struct vcore_loop_opts *opts, struct vcore_loop **loop);

/**
 * Take one more reference.
 *
 * @param[in] loop  The loop, or NULL.
 *
 * @return @p loop.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_loop *
vcore_loop_ref(struct vcore_loop *loop);

/**
 * Drop a reference.
 *
 * The last one (a source that is not removed holds one, too) runs the calls
 * that are still posted, and those that they post, releases removed sources,
 * and frees the loop. Inside a dispatch of this loop that happens when the
 * dispatch returns.
 *
 * @param[in] loop  The loop, or NULL, which is a no-op.
 *
 * @owns   Takes the caller's reference.
 * @thread Any thread, also the loop's callbacks.
 * @since  0.1
 */
VCORE_API void
vcore_loop_unref(struct vcore_loop *loop);

/**
 * The descriptor for an outer loop: readable when vcore_loop_dispatch() with
 * time-out 0 has something to do, timers included. It may rarely be readable
 * with nothing to do. Only poll it (poll, select, epoll, io_uring).
 *
 * @param[in] loop  The loop.
 *
 * @return The descriptor, or a negative errno value:
 * @retval -EINVAL  @p loop is NULL.
 *
 * @owns   The loop owns the descriptor; valid as long as the loop.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_loop_fd(struct vcore_loop *loop);

/**
 * Run what is ready, once.
 *
 * @param[in] loop        The loop.
 * @param[in] timeout_ms  How long to wait if nothing is ready: 0: not at all;
 *                        -1: until something is.
 *
 * @return Number of callbacks that ran (0 also if a signal or vcore_loop_quit()
 *         ended the wait), or a negative errno value:
 * @retval -EINVAL   @p loop is NULL, or @p timeout_ms is below -1.
 * @retval -EDEADLK  Called in a callback of this loop; or in one of another
 *                   loop with a time-out other than 0.
 * @retval -EBUSY    Another thread is in this loop.
 *
 * @owns   Nothing changes hands.
 * @thread Owner: makes this thread the owner until it returns.
 * @since  0.1
 */
VCORE_API int
vcore_loop_dispatch(struct vcore_loop *loop, int32_t timeout_ms);

/**
 * Dispatch until vcore_loop_quit(). A quit that came before counts.
 *
 * @param[in] loop  The loop.
 *
 * @return 0 after a quit, or a negative errno value:
 * @retval -EINVAL   @p loop is NULL.
 * @retval -EDEADLK  Called in a callback of a loop.
 * @retval -EBUSY    Another thread is in this loop.
 *
 * @owns   Nothing changes hands.
 * @thread Owner: makes this thread the owner until it returns.
 * @since  0.1
 */
VCORE_API int
vcore_loop_run(struct vcore_loop *loop);

/**
 * Make vcore_loop_run() return, once, after the dispatch it is in; if nobody is
 * in it, the next one returns at once. Several quits before that are one.
 *
 * @param[in] loop  The loop, or NULL, which is a no-op.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread; never waits.
 * @since  0.1
 */
VCORE_API void
vcore_loop_quit(struct vcore_loop *loop);

/**
 * Is this code called by the loop?
 *
 * @param[in] loop  The loop, or NULL.
 *
 * @return 1 in a callback of this loop (also of a loop that is dispatched in
 *         such a callback), 0 otherwise.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_loop_is_owner(struct vcore_loop *loop);

/**
 * Run a function once on the loop.
 *
 * Calls run in order of posting. All that are posted run, at the latest in the
 * last vcore_loop_unref().
 *
 * @param[in] loop    The loop.
 * @param[in] fn      The function.
 * @param[in] opaque  Its argument.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p loop or @p fn is NULL.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   @p opaque belongs to @p fn once the call has succeeded.
 * @thread Any thread; never waits. The caller holds a reference on the loop, or
 *         is in one of its callbacks.
 * @since  0.1
 */
VCORE_API int
vcore_loop_call(struct vcore_loop *loop, void (*fn)(void *opaque),
		void *opaque);

/**
 * Watch a descriptor, or make a timer, which begins disarmed.
 *
 * The function may be called, on the loop's thread, before this call returns;
 * @p source is set by then.
 *
 * @param[in]  loop    The loop.
 * @param[in]  opts    What to watch. Copied.
 * @param[out] source  The source. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer or `fn` is NULL, `size` is not initialised, `fd`
 *                  is below -1, or a timer has flags or events.
 * @retval -E2BIG   @p opts sets a field, flag or event this library does not
 *                  know.
 * @retval -EBADF   `fd` is not open.
 * @retval -EPERM   `fd` can't be watched: a regular file or directory.
 * @retval -EBUSY   The loop's last reference is gone (a release called this).
 * @retval -ENOMEM  Out of memory.
 * @retval -EMFILE  No descriptor is left for the duplicate.
 * @retval -ENOSPC  The user's limit of watched descriptors is reached.
 *
 * @owns   The caller owns the source and gives it back by
 *         vcore_source_remove(). The descriptor stays the caller's and may be
 *         closed. `opaque` is the source's until `release`; after a failure it
 *         still is the caller's.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_loop_add(struct vcore_loop *loop, const struct vcore_source_opts *opts,
	       struct vcore_source **source);

/**
 * Change what a descriptor is watched for.
 *
 * On the loop's thread the change holds from now on. On another thread a call
 * for the old events may just be running.
 *
 * @param[in] source  A source with a descriptor.
 * @param[in] events  VCORE_LOOP_READ, _WRITE; 0: nothing, not even _HUP.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p source is NULL or a timer.
 * @retval -E2BIG   An event this library does not know.
 * @retval -ENOMEM  Out of kernel memory; what was watched still is.
 * @retval -ENOSPC  The user's limit of watched descriptors is reached.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_source_set_events(struct vcore_source *source, uint32_t events);

/**
 * Arm, move or disarm a timer. It fires once.
 *
 * @param[in] source       A timer.
 * @param[in] deadline_ns  When, on CLOCK_MONOTONIC; a time that has passed
 *                         fires at once. 0: disarm. On another thread than
 *                         the loop's, a call for the old time may just be
 *                         running.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p source is NULL or no timer.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_source_set_timer(struct vcore_source *source, uint64_t deadline_ns);

/**
 * Stop watching, and give the source back.
 *
 * No call of its function begins after this. One that is running on the
 * loop's thread goes on; `release` then follows on the loop's thread (in the
 * last unref if the loop no longer turns). Its reference on the loop is
 * dropped.
 *
 * @param[in] source  The source, or NULL, which is a no-op.
 *
 * @owns   Takes the source.
 * @thread Any thread, also the source's own callback; never waits.
 * @since  0.1
 */
VCORE_API void
vcore_source_remove(struct vcore_source *source);

#ifdef __cplusplus
}
#endif
#endif
