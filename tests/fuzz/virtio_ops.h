/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzzers of the transports share: a device that echoes, and
 * operations of 8 bytes each: which, width, offset (2), value (4).
 */
#ifndef VCORE_TESTS_FUZZ_VIRTIO_OPS_H
#define VCORE_TESTS_FUZZ_VIRTIO_OPS_H

#include <stddef.h>
#include <stdlib.h>

#include "support/echo.h"
#include "support/vdriver.h"

#define QSIZE 16u

static struct vdriver_env env;
static struct vdriver d;
static struct echo e;
static bool made;

struct op {
	uint32_t which, width, off, val;
};

static inline void
need(bool ok)
{
	if (!ok)
		abort();
}

static inline bool
next_op(const uint8_t **data, size_t *len, struct op *op)
{
	const uint8_t *p = *data;

	if (*len < 8)
		return false;
	op->which = p[0] % 8;
	op->width = 1u << p[1] % 4;
	op->off = p[2] | (uint32_t)p[3] << 8;
	op->val = p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 |
		  (uint32_t)p[7] << 24;
	*data += 8;
	*len -= 8;
	return true;
}

static inline void
begin(enum vdriver_transport kind)
{
	if (!made)
		vdriver_env_init(&env, 0);
	made = true;
	vdriver_free_all(&env);
	memset(env.ram, 0, 0x40000);
	echo_init(&e, QSIZE, 0);
	vdriver_attach(&d, &env, e.virtio, kind);
}

/* Turn the loop, but not for ever: a ring may be full of work. */
static inline void
turn(void)
{
	for (uint32_t i = 0; i < 64; i++)
		if (vcore_loop_dispatch(env.loop, 0) <= 0)
			return;
}

/* Those that have nothing to do with the transport. */
static inline void
common_op(const struct op *op)
{
	switch (op->which) {
	case 2:
		memcpy(env.ram + op->off * 4ull, &op->val, 4);
		break;
	case 3:
		turn();
		break;
	case 6:
		e.hold = !e.hold;
		if (!e.hold)
			for (uint32_t i = 0; i < ECHO_QUEUES; i++)
				if (e.running[i])
					echo_answer(&e, i);
		break;
	default:
		vcore_virtio_config_changed(e.virtio);
		break;
	}
}

/* Whatever came before: the device serves after a reset, and goes. */
static inline void
end(void)
{
	struct vdriver_buf b;

	e.hold = false;
	vdriver_up(&d, 2, QSIZE);
	b = (struct vdriver_buf){ vdriver_alloc(&env, 64, 64), 64, true };
	vdriver_add(&d.queue[1], &b, 1);
	vdriver_kick(&d.queue[1]);
	need(vdriver_wait(&d.queue[1], NULL, NULL));
	need(e.violations == 0);
	vcore_virtio_unref(e.virtio);
	vdriver_run(&env);
	need(e.released == 1);
	while (vdriver_events(&env, 0))
		;
}

#endif
