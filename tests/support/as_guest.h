/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread of a test that is the guest: its stores into guest memory are races
 * by nature. Between these two calls TSan ignores what this thread reads and
 * writes, and goes on to look at what the library's threads do to each other.
 */
#ifndef VCORE_TESTS_SUPPORT_AS_GUEST_H
#define VCORE_TESTS_SUPPORT_AS_GUEST_H

#ifdef __SANITIZE_THREAD__
#define AS_GUEST_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AS_GUEST_TSAN
#endif
#endif

#ifdef AS_GUEST_TSAN
/* Of gcc's and clang's runtime. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#endif

static inline void
as_guest_begin(void)
{
#ifdef AS_GUEST_TSAN
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
}

static inline void
as_guest_end(void)
{
#ifdef AS_GUEST_TSAN
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
}

#endif
