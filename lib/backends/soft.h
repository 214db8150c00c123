/* SPDX-License-Identifier: BSD-3-Clause */
/* Soft: tells on a loop what no descriptor says, by a timer that is due. */
#ifndef VCORE_LIB_BACKENDS_SOFT_H
#define VCORE_LIB_BACKENDS_SOFT_H

#include <stdint.h>

#include <vcore/loop.h>

struct vcore__soft {
	struct vcore_source *timer;	/* NULL: stopped */
};

/* fn(opaque, 0) will run on loop after a poke. -ENOMEM and others. */
int
vcore__soft_start(struct vcore__soft *s, struct vcore_loop *loop,
		  vcore_loop_fn fn, void *opaque);

/* On the loop: fn is not called after this. */
void
vcore__soft_stop(struct vcore__soft *s);

/* any: fn runs in delay_ns from now, once; replaces an earlier poke. */
void
vcore__soft_poke(struct vcore__soft *s, uint64_t delay_ns);

#endif
