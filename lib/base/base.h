/* SPDX-License-Identifier: BSD-3-Clause */
/* What the layers share: errors, sized structs, clocks, small arithmetic. */
#ifndef VCORE_LIB_BASE_H
#define VCORE_LIB_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vcore/base.h>
#include <vcore/log.h>

#define VCORE__ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define VCORE__CONTAINER(p, type, member) \
	((type *)(void *)((char *)(p) - offsetof(type, member)))

/*
 * Fail with a text: writes this thread's error text, logs it at VCORE_LOG_ERR
 * (log may be NULL) and returns rc, a negative errno. The text starts with the
 * public function's name; control characters in it become '?'. An argument may
 * be vcore_error_text() itself, so that an outer call can wrap an inner text.
 * errno is preserved.
 */
int
vcore__err(struct vcore_log *log, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#if defined(__clang_analyzer__) || defined(VCORE__ANALYZE)
/* Analysers see one file at a time: that a failure is one has to be said. */
#define vcore__err(log, rc, ...)                                 \
	__extension__({                                          \
		const int vcore__rc = (rc);                      \
		(void)vcore__err((log), vcore__rc, __VA_ARGS__); \
		if (vcore__rc >= 0)                              \
			__builtin_unreachable();                 \
		vcore__rc;                                       \
	})
#endif

/*
 * A public function whose work was done by another: the text of a negative rc
 * gets who, the function's name, in front, unless it begins with that. rc is
 * returned.
 */
int
vcore__err_name(int rc, const char *who);

/*
 * The same for methods that others implement, and that may say nothing: since
 * is what vcore__err_count(), this thread's number of texts, was before.
 */
int
vcore__err_from(int rc, const char *who, uint32_t since);

uint32_t
vcore__err_count(void);

/* Log a line if the level is wanted. log may be NULL. errno is preserved. */
void
vcore__log(struct vcore_log *log, uint32_t level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Hand over a line that is formatted already, if the level is wanted. */
void
vcore__log_text(struct vcore_log *log, uint32_t level, const char *text);

/* Make a line of text: control characters become '?'. */
void
vcore__text_clean(char *text);

/*
 * Rate limit for lines a guest can cause: true if this line may be written.
 * One bucket per call site and object, zero to begin with: 5 lines at once,
 * then 1 a second. Any thread.
 */
struct vcore__ratelimit {
	_Atomic uint64_t full_ns;	/* when the bucket is full again */
};

bool
vcore__ratelimit_ok(struct vcore__ratelimit *rl);

/* The same with the time given, for tests. now_ns > 0. */
bool
vcore__ratelimit_ok_at(struct vcore__ratelimit *rl, uint64_t now_ns);

/*
 * Copy a caller's sized struct into a local full one, which then says
 * size == dst_size.
 *
 * v1 is the smallest size ever released. -EINVAL: size below v1 or above 4096;
 * -E2BIG: bytes behind those known here are not zero. Writes no error text:
 * use VCORE__SIZED(). Reserved fields and flags are the caller's to check,
 * in the copy.
 */
int
vcore__sized_copy(void *dst, size_t dst_size, size_t v1, const void *src);

/*
 * vcore__sized_copy() with an error text that begins with who, which is the
 * public function and the parameter: "vcore_loop_new: opts". src == NULL is
 * -EINVAL.
 */
int
vcore__sized_take(const char *who, void *dst, size_t dst_size, size_t v1,
		  const void *src);

/* No sized struct is larger: a size above it was not initialised. */
#define VCORE__SIZE_LIMIT 4096u

/* Size of a struct up to and including a member: its size when that was last */
#define VCORE__SIZE_TO(type, last) \
	(offsetof(type, last) + sizeof(((type *)0)->last))

/* The usual entry: dst is a local struct, last the last member of 0.1. */
#define VCORE__SIZED(who, dst, last, src)                             \
	vcore__sized_take((who), (dst), sizeof(*(dst)),               \
			  VCORE__SIZE_TO(__typeof__(*(dst)), last), (src))

/*
 * Return an _info struct: writes min(dst->size, src_size) bytes and sets
 * dst->size to that. -EINVAL, without text, if dst->size < v1 or > 4096.
 */
int
vcore__sized_return(void *dst, size_t v1, const void *src, size_t src_size);

/* a + b, a * b without wrap: true if it overflowed (*r is then wrapped) */
#define vcore__add_overflow(a, b, r) __builtin_add_overflow((a), (b), (r))
#define vcore__mul_overflow(a, b, r) __builtin_mul_overflow((a), (b), (r))

/* Words for a negative errno, whoever made it up. Async-signal-safe. */
const char *
vcore__strerror(int rc);

/* Nanoseconds of CLOCK_MONOTONIC. Async-signal-safe. */
uint64_t
vcore__now_ns(void);

/* Does [start, start + len) lie in [0, limit)? len 0: true at start <= limit */
static inline bool
vcore__range_fits(uint64_t start, uint64_t len, uint64_t limit)
{
	return start <= limit && len <= limit - start;
}

#endif
