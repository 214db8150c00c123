/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking failures: one call is made again and again, each time with another
 * of the allocations, system calls and ioctls that it makes failing, until a
 * run reaches no failing one. An error comes back with text, the call works
 * when it is made again, and when all is undone the process holds what it held
 * before. Then the same for what takes the call back, which has to do its work
 * whatever fails.
 */
#ifndef VCORE_TESTS_WALK_H
#define VCORE_TESTS_WALK_H

#include "support/fake_kvm.h"
#include "support/support.h"

struct walk {
	const char *name;	/* the public function: what texts begin with */
	void (*before)(void);	/* or NULL: makes what it is called on, anew */
	int (*call)(void);	/* 0 or more: done */
	/* Or NULL: after each call, whether or not it was done. */
	void (*check)(bool done);
	void (*undo)(void);	/* or NULL: destroys what the call made */
	void (*after)(void);	/* or NULL: destroys what before() made */
	struct fake_kvm *kvm;	/* or NULL: whose ioctls fail as well */
	int also[3];		/* errors beside the failing call's own */
	uint32_t least;		/* so many calls can fail at the least */
	bool once;		/* not to be made again */
};

/* { WALK(vcore_x_new), .call = ..., } */
#define WALK(function) .name = #function

/* Asserts. Each case's calls that failed are counted and printed. */
void
walk(const struct walk *cases, uint32_t count);

#endif
