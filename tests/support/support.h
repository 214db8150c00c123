/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of all layers share: errors, descriptors, failing calls. */
#ifndef VCORE_TESTS_SUPPORT_H
#define VCORE_TESTS_SUPPORT_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/base.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define SUPPORT_MSAN
#endif
#if __has_feature(thread_sanitizer)
#define SUPPORT_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define SUPPORT_TSAN 1
#endif
#ifndef SUPPORT_TSAN
#define SUPPORT_TSAN 0
#endif

/* The call returns this error, and its text begins with that. */
#define ck_assert_error(call, error, prefix)                             \
	do {                                                             \
		int rc_ = (call);                                        \
		ck_assert_msg(rc_ == (error), "%s is %d, not %d (%s)",   \
			      #call, rc_, (error), vcore_error_text());  \
		ck_assert_msg(strncmp(vcore_error_text(), (prefix),      \
				      strlen(prefix)) == 0,              \
			      "%s: text is \"%s\", not \"%s...\"",       \
			      #call, vcore_error_text(), (prefix));      \
	} while (0)

/* The call returns 0, or the text says why not. */
#define ck_assert_ok(call)                                               \
	do {                                                             \
		int rc_ = (call);                                        \
		ck_assert_msg(rc_ == 0, "%s is %d (%s)", #call, rc_,     \
			      vcore_error_text());                       \
	} while (0)

/* Does this run under valgrind, which has a say in where mappings lie? */
static inline bool
support_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

/* Number of open descriptors of this process (SUPPORT fds). */
int
support_open_fds(void);

/* 1 if a descriptor is readable now (SUPPORT fds). */
int
support_readable(int fd);

/* 1 if it gets readable within a generous time (SUPPORT fds). */
int
support_wait_readable(int fd);

/*
 * Failure injection (SUPPORT fail_alloc): the nth call, from 1, that this
 * thread makes from the library's or the test's own code (not from inside
 * libc) fails. Calls of other threads pass. An assertion that fails between
 * fail_nth() and fail_stop() may end the program without a word: Check is
 * linked statically and allocates, too.
 */
#define FAIL_ALLOC  (1u << 0)	/* malloc and its relatives: ENOMEM */
#define FAIL_SYSTEM (1u << 1)	/* descriptors, mappings, threads */
#define FAIL_ADVICE (1u << 2)	/* madvise: EINVAL */
#define FAIL_MORE   (1u << 3)	/* what asks and sets: fstat, bind, ioctl, ... */

void
fail_nth(uint32_t what, unsigned int n);

/* The same, with another errno than the usual one. */
void
fail_nth_with(uint32_t what, unsigned int n, int error);

/* No more failing: true if the nth call was reached, and failed. */
bool
fail_stop(void);

/* The errno the last call that failed was given, and its name. */
int
fail_error(const char **name);

/*
 * For wrappers: count a call of this sort; true, with errno, if it is to fail.
 */
bool
fail_now(uint32_t what, int error, const char *name);

/* Blocks of memory, and bytes of mappings, that are taken now. */
int64_t
fail_blocks(void);
int64_t
fail_mapped(void);

/*
 * Walk every step: the body runs with the 1st, 2nd, ... call failing, until
 * one run reached no failing call. Use fail_stop() in the body right after the
 * call under test; the loop ends after a run in which it was false:
 *
 *	bool failed = true;
 *	for (unsigned int n = 1; failed; n++) {
 *		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
 *		rc = vcore_x_new(NULL, &x);
 *		failed = fail_stop();
 *		...
 *	}
 */

/*
 * How often to repeat something: the second number in a soak (scripts/test
 * --soak, which also gives the tests the time for it), else the first.
 */
static inline uint32_t
support_rounds(uint32_t plain, uint32_t soak)
{
	return getenv("VCORE_SOAK") ? soak : plain;
}

/*
 * Check is not instrumented: what it hands to libc looks to MSan as if nobody
 * had written it. A thread that asserts, other than the test's own, calls this
 * first; all else is checked as usual.
 */
static inline void
support_asserts_here(void)
{
#ifdef SUPPORT_MSAN
	__msan_scoped_disable_interceptor_checks();
#endif
}

/* What one test program does: run a suite, and say whether all was well. */
static inline int
support_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	support_asserts_here();
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
