/* SPDX-License-Identifier: BSD-3-Clause */
/* Every public function, called with nothing but zeroes; see calls.py. */
#ifndef VCORE_TESTS_API_CALLS_H
#define VCORE_TESTS_API_CALLS_H

#include <stdint.h>

enum call_kind {
	CALL_ERROR,	/* a count or a negative errno */
	CALL_NUMBER,
	CALL_POINTER,
	CALL_VOID
};

struct call {
	const char *name;
	enum call_kind kind;
	int64_t (*call)(void);	/* what it returned */
	int errors[16];		/* documented ones; ends with 0 */
};

extern const struct call calls[];
extern const unsigned call_count;

#endif
