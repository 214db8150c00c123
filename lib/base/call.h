/* SPDX-License-Identifier: BSD-3-Clause */
/* Call: a piece of work that is posted without allocating and never fails. */
#ifndef VCORE_LIB_BASE_CALL_H
#define VCORE_LIB_BASE_CALL_H

#include <stdint.h>

/*
 * Lives inside the object whose work it is. From the moment it is posted until
 * fn begins it belongs to the queue; fn may free or post it again.
 */
struct vcore__call {
	void (*fn)(struct vcore__call *c);
	struct vcore__call *next;	/* the queue's while posted */
	int rc;				/* of a completion: valid in fn */
	uint32_t state;			/* the owner's; queues don't touch it */
};

/* Completion: run c->fn here and now, with c->rc = rc. */
static inline void
vcore__call_done(struct vcore__call *c, int rc)
{
	c->rc = rc;
	c->fn(c);
}

#endif
