/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers of one loop: a binary heap by deadline. The loop's lock is held. */
#ifndef VCORE_LIB_LOOP_TIMERS_H
#define VCORE_LIB_LOOP_TIMERS_H

#include <stdint.h>

struct vcore__timer {
	uint64_t deadline_ns;
	uint32_t place;		/* in the heap, from 1; 0: not armed */
	uint32_t reserved;
};

struct vcore__timers {
	struct vcore__timer **heap;	/* [0, count), room for users */
	uint32_t count, users, capacity, reserved;
};

/* Room for one more timer, so that arming it can't fail. 0, -ENOMEM. */
int
vcore__timers_reserve(struct vcore__timers *t);

/* One timer less; it is not armed. */
void
vcore__timers_unreserve(struct vcore__timers *t);

/* Arm, move, or with 0 disarm. */
void
vcore__timers_set(struct vcore__timers *t, struct vcore__timer *timer,
		  uint64_t deadline_ns);

/* The one that is due first, or NULL. */
struct vcore__timer *
vcore__timers_first(const struct vcore__timers *t);

void
vcore__timers_fini(struct vcore__timers *t);

#endif
