/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Where diagnostic lines go. Never the only report of an error.
 *
 * A log is passed to objects in their options. Without one nothing is written:
 * errors are returned, with vcore_error_text(). Lines that a guest can cause
 * are limited in rate.
 */
#ifndef VCORE_LOG_H
#define VCORE_LOG_H

#include <vcore/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A log, counted. */
struct vcore_log;

/** A call failed; the line is its error text. (Numbers of syslog(3).) */
#define VCORE_LOG_ERR     3u
/** Something is wrong that no call returns: a guest's misbehaviour, mostly. */
#define VCORE_LOG_WARNING 4u
/** News that is not wrong. */
#define VCORE_LOG_INFO    6u
/** Details for who develops. */
#define VCORE_LOG_DEBUG   7u

/** How to make a log. */
struct vcore_log_opts {
	uint32_t size;      /**< Set by VCORE_INIT(). */
	uint32_t flags;     /**< None yet: 0. */
	uint32_t level;     /**< Lines above it are dropped; 0: WARNING. */
	uint32_t reserved0; /**< 0. */
	/**
	 * Take a line. Required. Runs on any thread, on several at a time, and
	 * with locks of the library held: it must not call the library.
	 *
	 * The text has no newline and no control characters, at most 511
	 * bytes, and is valid during the call.
	 */
	void (*message)(void *opaque, uint32_t level, const char *text);
	void *opaque;       /**< First argument of both functions. */
	/** Runs once after the last message, or NULL. */
	void (*release)(void *opaque);
};

/**
 * Make a log.
 *
 * @param[in]  opts  How, set up with VCORE_INIT(). Copied.
 * @param[out] log   The log. Unchanged on failure.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  A pointer or `message` is NULL, `size` is not initialised,
 *                  or `level` is above 7.
 * @retval -E2BIG   @p opts sets a field or flag this library does not know.
 * @retval -ENOMEM  Out of memory.
 *
 * @owns   The caller owns a reference and drops it by vcore_log_unref().
 *         `opaque` is the log's until `release`; after a failure it still is
 *         the caller's.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_log_new(const struct vcore_log_opts *opts, struct vcore_log **log);

/**
 * Take one more reference.
 *
 * @param[in] log  The log, or NULL.
 *
 * @return @p log.
 *
 * @owns   The caller owns the new reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API struct vcore_log *
vcore_log_ref(struct vcore_log *log);

/**
 * Drop a reference. The last one calls `release`.
 *
 * @param[in] log  The log, or NULL, which is a no-op.
 *
 * @owns   Takes the caller's reference.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API void
vcore_log_unref(struct vcore_log *log);

/**
 * Change which lines are dropped.
 *
 * @param[in] log    The log.
 * @param[in] level  Lines above it are dropped; 0: VCORE_LOG_WARNING.
 *
 * @return 0, or a negative errno value:
 * @retval -EINVAL  @p log is NULL, or @p level is above 7.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API int
vcore_log_set_level(struct vcore_log *log, uint32_t level);

/**
 * Which lines are wanted.
 *
 * @param[in] log  The log, or NULL.
 *
 * @return The level, 1 to 7; 0, which no line passes, if @p log is NULL.
 *
 * @owns   Nothing changes hands.
 * @thread Any thread.
 * @since  0.1
 */
VCORE_API uint32_t
vcore_log_level(const struct vcore_log *log);

#ifdef __cplusplus
}
#endif
#endif
