/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Events: what happens without a call to return it from.
 *
 * A guest switches itself off, a disk fails, a vCPU meets an error: nobody's
 * call returns it, so it is posted to a queue that the embedder reads. The
 * queue is bounded, and an event of the same object and kind as one that waits
 * is merged into it, so a guest can't fill it. Kinds that ask for something
 * (RESET, POWEROFF, SHUTDOWN, VCPU_ERROR, STOP) don't get lost in a full queue:
 * they take the place of the oldest event that only tells.
 *
 * Read it like this, from any event loop or thread:
 *
 * @code
 * struct pollfd fd = { .fd = vcore_events_fd(events), .events = POLLIN };
 * struct vcore_event event;
 *
 * poll(&fd, 1, -1);
 * VCORE_INIT(&event);
 * while (vcore_events_next(events, &event) > 0)
 *         handle(&event);
 * @endcode
 */
#ifndef VCORE_EVENT_H
#define VCORE_EVENT_H

#include <vcore/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A queue of events, counted. */
struct vcore_events;

/** What happened. The object of the event says to whom. */
enum vcore_event_kind {
	/** The guest asked for a reset; value[0]: which port or register. */
	VCORE_EVENT_RESET = 1,
	/** The guest switched itself off. */
	VCORE_EVENT_POWEROFF = 2,
	/** The guest said that it panicked (pvpanic); value[0]: its byte. */
	VCORE_EVENT_PANIC = 3,
	/** Triple fault; value[0]: vCPU id. */
	VCORE_EVENT_SHUTDOWN = 4,
	/** KVM could not go on; value[0]: vCPU id, [1]: exit, [2]: suberror. */
	VCORE_EVENT_VCPU_ERROR = 5,
	/** A device asks for a reset (DEVICE_NEEDS_RESET). */
	VCORE_EVENT_DEVICE_BROKEN = 6,
	/** A disk failed a request; value[0]: the errno, [1]: offset. */
	VCORE_EVENT_DISK_ERROR = 7,
	/** A network link failed or its peer left; value[0]: the errno. */
	VCORE_EVENT_LINK_ERROR = 8,
	/** A stream failed or its peer left; value[0]: the errno. */
	VCORE_EVENT_STREAM_ERROR = 9,
	/** A page can't be read back; value[0]: region offset, [1]: length. */
	VCORE_EVENT_MEMORY_FAULT = 10,
	/** Something did not answer in time; the text names it. */
	VCORE_EVENT_TIMEOUT = 11,
	/** The queue was full: `count` events before this one are missing. */
	VCORE_EVENT_LOST = 12,
	/** The embedder stops the machine, or has stopped it. */
	VCORE_EVENT_STOP = 13,
	/** The embedder's own kinds start here. */
	VCORE_EVENT_USER = 0x10000
};

/** One event. Filled up to `size` by vcore_events_next(). */
struct vcore_event {
	uint32_t size;    /**< Set by VCORE_INIT(); bytes filled on return. */
	uint32_t kind;    /**< enum vcore_event_kind, or the embedder's own. */
	uint64_t count;   /**< How many were merged into it; 1 or more. */
	uint64_t value[4];/**< By kind; of the newest that was merged. */
	char object[32];  /**< Who: "block0", "vcpu1". Ends with a NUL. */
	char text[160];   /**< For people, no interface. Ends with a NUL. */
};

/** How to make a queue. */
struct vcore_events_opts {
	uint32_t size;      /**< Set by VCORE_INIT(). */
	uint32_t flags;     /**< None yet: 0. */
	uint32_t capacity;  /**< Events held, at most 4096; 0: 64. */
	uint32_t reserved0; /**< 0. */
};

/**
 * Make a queue of events.
 *
 * @param[in]  opts    How, or NULL for the defaults. Copied.
 * @param[out] events  The queue. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p events is NULL, `size` is not initialised, or `capacity`
 *                  is above 4096.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 * @retval -EMFILE  No descriptor is left (and other errors of eventfd(2)).
 *
 * @owns   The caller owns a reference and drops it by vcore_events_unref().
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_events_new(const struct vcore_events_opts *opts,
		 struct vcore_events **events);

/**
 * Take one more reference.
 *
 * @param[in] events  The queue, or NULL.
 *
 * @return @p events.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_events *
vcore_events_ref(struct vcore_events *events);

/**
 * Drop a reference. The last one frees the queue and what waits in it, and
 * closes its descriptor.
 *
 * @param[in] events  The queue, or NULL, which is a no-op.
 *
 * @owns   Takes the caller's reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_events_unref(struct vcore_events *events);

/**
 * The descriptor to poll: readable while an event waits. Only poll it, never
 * read it. It may rarely be readable with nothing to read.
 *
 * @param[in] events  The queue.
 *
 * @return The descriptor, or a negative errno value:
 * @retval -EINVAL  @p events is NULL.
 *
 * @owns   The queue owns the descriptor; valid as long as the queue.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_events_fd(struct vcore_events *events);

/**
 * Take the oldest event. Never blocks.
 *
 * After the queue was full and has been emptied, one event of the kind
 * VCORE_EVENT_LOST says how many could not be kept.
 *
 * @param[in]     events  The queue.
 * @param[in,out] event   Set up with VCORE_INIT() (once is enough: `size` stays
 *                        what it was with one library); filled if the result
 *                        is 1, untouched otherwise.
 *
 * @return 1 if @p event is filled, 0 if none waits, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, or `size` is not initialised.
 *
 * @owns   The caller owns @p event.
 * @thread Any thread; several readers share the events among them.
 * @since  0.1
 */
VCORE_API int
vcore_events_next(struct vcore_events *events, struct vcore_event *event);

/**
 * Post an event.
 *
 * If one of the same object and kind waits, this one is merged into it: its
 * place in the queue stays, its count grows, values and text become the new
 * ones.
 *
 * @param[in] events  The queue.
 * @param[in] event   Set up with VCORE_INIT(); `kind`, `object`, `value` and
 *                    `text` are used, `count` is not. Copied.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer is NULL, `size` is not initialised, `kind` is 0,
 *                  or `object` or `text` has no terminating NUL.
 * @retval -E2BIG   @p event sets a field this library does not know.
 * @retval -ENOSPC  The queue is full, and the event is of a kind that only
 *                  tells, or all that wait are of the others. It is counted as
 *                  lost; the reader is told by VCORE_EVENT_LOST.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread, also callbacks; never blocks. Not in signal handlers.
 * @since  0.1
 */
VCORE_API int
vcore_events_post(struct vcore_events *events, const struct vcore_event *event);

#ifdef __cplusplus
}
#endif
#endif
