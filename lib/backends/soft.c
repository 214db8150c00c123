/* SPDX-License-Identifier: BSD-3-Clause */
/* Soft: tells on a loop what no descriptor says, by a timer that is due. */
#include "backends/soft.h"

#include <stddef.h>

#include "base/base.h"

int
vcore__soft_start(struct vcore__soft *s, struct vcore_loop *loop,
		  vcore_loop_fn fn, void *opaque)
{
	struct vcore_source_opts opts;

	VCORE_INIT(&opts);
	opts.fd = -1;
	opts.fn = fn;
	opts.opaque = opaque;
	return vcore_loop_add(loop, &opts, &s->timer);
}

void
vcore__soft_stop(struct vcore__soft *s)
{
	vcore_source_remove(s->timer);
	s->timer = NULL;
}

void
vcore__soft_poke(struct vcore__soft *s, uint64_t delay_ns)
{
	/*
	 * Later than the time at which a dispatch began, so that a callback
	 * that pokes itself leaves the others their turn.
	 */
	if (s->timer != NULL)
		(void)vcore_source_set_timer(s->timer,
					     vcore__now_ns() + 1 + delay_ns);
}
