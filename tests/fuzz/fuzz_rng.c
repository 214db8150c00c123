/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that does what it likes with the queue of an entropy device, and a
 * source that gives less, nothing, errors and lies. What is used was given by
 * the source; afterwards the device serves.
 *
 * FUZZ-SUPPORT: vdriver vring
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/rng.h>

#include "support/vdriver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SIZE  32u
#define STEPS 200u
#define AREA  (VDRIVER_RAM - (256u << 10))

struct input {
	const uint8_t *data;
	size_t len;
};

static struct vdriver_env env;
static struct vdriver d;
static bool made, wild;		/* wild: a buffer may lie over the ring */
/* The source: what it says next, and what it has given. */
static uint32_t mood;
static uint64_t given, used_bytes;

static void
need(bool ok)
{
	if (!ok)
		abort();
}

static uint32_t
take(struct input *in, uint32_t bytes)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < bytes && in->len; i++, in->len--)
		v |= (uint32_t)*in->data++ << (8 * i);
	return v;
}

static int64_t
source(void *opaque, void *buf, uint64_t len)
{
	(void)opaque;
	switch (mood & 7) {
	case 1:
		return 0;
	case 2:
		return -EAGAIN;
	case 3:
		return -EIO;
	case 4:
		return (int64_t)len + 1 + mood;	/* not true */
	case 5:
		len = len > 1 ? 1 + mood % len : len;
		break;
	default:
		break;
	}
	memset(buf, 0x77, len);
	given += len;
	return (int64_t)len;
}

static void
take_used(void)
{
	uint32_t n;

	while (d.queue[0].d && vdriver_used(&d.queue[0], NULL, &n))
		used_bytes += n;
	need(wild || used_bytes <= given);
}

static void
add_chain(struct input *in)
{
	struct vdriver_buf bufs[4];
	uint32_t n = take(in, 1) % 4 + 1;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = take(in, 1);

		bufs[i].write = (kind & 3) != 0;
		bufs[i].gpa = AREA + take(in, 2);
		bufs[i].len = kind & 4 ? take(in, 1) : take(in, 2);
		if (kind & 0x80)
			bufs[i].gpa = (uint64_t)take(in, 4) << (kind & 31);
		if (kind & 0x40)
			bufs[i].len = take(in, 4);
		wild |= (kind & 0x80) != 0;
	}
	if (n == 1 && bufs[0].len & 1)
		vdriver_add_indirect(&d.queue[0], bufs, n);
	else
		vdriver_add(&d.queue[0], bufs, n);
}

static void
start(struct input *in)
{
	take_used();
	vdriver_free_all(&env);
	used_bytes = given;
	if (!vdriver_begin(&d, (uint64_t)take(in, 1) << 28))
		(void)vdriver_begin(&d, 0);
	(void)vdriver_queue(&d, 0, SIZE);
	vdriver_ok(&d);
}

static void
step(struct input *in)
{
	struct vdriver_queue *q = &d.queue[0];
	uint32_t what = take(in, 1);

	switch (what & 7) {
	case 0:
		mood = what >> 3 | take(in, 1) << 5;
		break;
	case 1:
		start(in);
		break;
	case 2:
		vdriver_set_avail_idx(q, (uint16_t)take(in, 2));
		break;
	case 3:
		vdriver_queue_reset(&d, 0);
		(void)vdriver_queue(&d, 0, SIZE);
		break;
	case 4:
		vdriver_kick(q);
		vdriver_run(&env);
		break;
	default:
		add_chain(in);
		vdriver_kick(q);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	struct vcore_virtio *virtio;
	struct vcore_rng_opts o;
	struct vdriver_buf b = { AREA, 64, true };
	uint32_t n;

	if (!made)
		vdriver_env_init(&env, 0);
	made = true;
	mood = 0;
	wild = false;
	given = used_bytes = 0;
	memset(&d, 0, sizeof(d));
	VCORE_INIT(&o);
	o.read = source;
	need(vcore_rng_new(&o, &virtio) == 0);
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
	start(&in);
	for (uint32_t i = 0; i < STEPS && in.len; i++)
		step(&in);
	vdriver_run(&env);

	/* Whatever was: after a reset it fills a buffer. */
	mood = 0;
	vdriver_free_all(&env);
	vdriver_up(&d, 1, SIZE);
	vdriver_add(&d.queue[0], &b, 1);
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
	need(vdriver_used(&d.queue[0], NULL, &n) && n == 64);
	vdriver_detach(&d);
	vcore_virtio_unref(virtio);
	while (vdriver_events(&env, 0))
		;
	return 0;
}
