/* SPDX-License-Identifier: BSD-3-Clause */
/* Part: what can be stopped and started: vCPU, device, chip, irqchip. */
#ifndef VCORE_LIB_BASE_PART_H
#define VCORE_LIB_BASE_PART_H

#include <stdint.h>

#include "base/call.h"

/* What becomes of requests in flight. */
enum vcore__stop {
	VCORE__DRAIN = 1,	/* finish them */
	VCORE__PARK = 2,	/* keep them as state */
	VCORE__DROP = 3		/* forget them (reset) */
};

/* Parts are stopped upwards and started downwards. */
enum vcore__rank {
	VCORE__RANK_VCPU = 1,
	VCORE__RANK_DEVICE = 2,
	VCORE__RANK_PLATFORM = 3,
	VCORE__RANK_IRQCHIP = 4
};

struct vcore__part_ops {
	const char *kind;		/* of its section in a state stream */
	uint32_t version;		/* of that section */
	uint32_t rank;			/* enum vcore__rank */
	/*
	 * control. Completes `done` exactly once, at once or later on any
	 * thread: 0, or -ETIMEDOUT, which leaves it running. Stopped means
	 * stopped: afterwards no thread touches guest memory, raises an
	 * interrupt or starts I/O for it.
	 */
	void (*stop)(void *p, enum vcore__stop how, struct vcore__call *done);
	/* control, stopped. */
	int (*start)(void *p);
	/* control, stopped: to the state after creation. May be NULL. */
	void (*reset)(void *p);
};

struct vcore__part {
	const struct vcore__part_ops *ops;
	void *p;			/* first argument of ops */
	char name[32];			/* which one: "block0" */
};

#endif
