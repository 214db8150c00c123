/* SPDX-License-Identifier: BSD-3-Clause */
/* A user of a stream or link for tests: counts what it is told, on a loop. */
#ifndef VCORE_TESTS_SUPPORT_READY_H
#define VCORE_TESTS_SUPPORT_READY_H

#include <check.h>

#include <vcore/loop.h>

#include "base/base.h"
#include "support/support.h"

#define READY_DEADLINE_NS 10000000000u

struct ready {
	struct vcore_loop *loop;
	uint32_t seen;			/* bits told since last cleared */
	uint32_t calls;
	void (*then)(struct ready *r, uint32_t bits);	/* or NULL */
	void *opaque;
};

static inline void
ready_init(struct ready *r)
{
	memset(r, 0, sizeof(*r));
	ck_assert_ok(vcore_loop_new(NULL, &r->loop));
}

static inline void
ready_fini(struct ready *r)
{
	vcore_loop_unref(r->loop);
}

/* A vcore_stream_ready_fn and vcore_link_ready_fn. */
static inline void
ready_fn(void *opaque, uint32_t bits)
{
	struct ready *r = opaque;

	ck_assert_uint_ne(bits, 0);
	r->seen |= bits;
	r->calls++;
	if (r->then != NULL)
		r->then(r, bits);
}

/* Some turns of the loop, without waiting. */
static inline void
ready_turn(struct ready *r)
{
	for (int i = 0; i < 10; i++)
		ck_assert_int_ge(vcore_loop_dispatch(r->loop, 0), 0);
}

/* Turn the loop until all these bits were told: false after 10 s. */
static inline bool
ready_wait(struct ready *r, uint32_t bits)
{
	uint64_t deadline = vcore__now_ns() + READY_DEADLINE_NS;

	while ((r->seen & bits) != bits && vcore__now_ns() < deadline)
		ck_assert_int_ge(vcore_loop_dispatch(r->loop, 100), 0);
	return (r->seen & bits) == bits;
}

#endif
