/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that does what it likes with the queues of a network device: the
 * input is a list of steps, each a descriptor, a kick or a frame of the link.
 *
 * FUZZ-SUPPORT: vdriver vring fake_link
 */
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/net.h>

#include "support/fake_link.h"
#include "support/vdriver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define QUEUES 5u
#define SIZE   64u
#define STEPS  200u
/* Buffers of the guest, which the input fills. */
#define AREA   (256u << 10)

struct input {
	const uint8_t *data;
	size_t len;
};

static uint32_t
take(struct input *in, uint32_t bytes)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < bytes && in->len; i++, in->len--)
		v |= (uint32_t)*in->data++ << (8 * i);
	return v;
}

/* A chain of up to 16 descriptors with content from the input. */
static void
add_chain(struct vdriver_queue *q, struct input *in, uint64_t area)
{
	struct vdriver_buf bufs[16];
	uint32_t n = take(in, 1) % 16 + 1, fill;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = take(in, 1);

		bufs[i].write = kind & 1;
		bufs[i].gpa = area + take(in, 2);
		bufs[i].len = kind & 2 ? take(in, 1) : take(in, 2);
		if (kind & 4)
			bufs[i].len = bufs[i].len * 4 % 0x20000;
		if (kind & 0x80)
			bufs[i].gpa = (uint64_t)take(in, 4) << (kind & 31);
		fill = kind >> 3 & 15;
		for (uint32_t k = 0; k < fill && bufs[i].gpa < area + 0x10000;
		     k++)
			*((uint8_t *)vdriver_ram(q->d->env, bufs[i].gpa) + k) =
				(uint8_t)take(in, 1);
	}
	vdriver_add(q, bufs, n);
}

static void
put_frame(struct fake_link *l, struct input *in)
{
	static const uint8_t payload[66000];
	struct virtio_net_hdr_v1 hdr;

	memset(&hdr, 0, sizeof(hdr));
	hdr.flags = (uint8_t)take(in, 1);
	hdr.gso_type = (uint8_t)take(in, 1);
	fake_link_put(l, hdr.flags >> 7, &hdr, payload,
		      take(in, 2) % 65000 + 14);
}

static void
start(struct vdriver *d, struct input *in)
{
	vdriver_free_all(d->env);
	if (!vdriver_begin(d, (uint64_t)take(in, 3)))
		(void)vdriver_begin(d, 0);
	for (uint32_t i = 0; i < QUEUES; i++)
		(void)vdriver_queue(d, i, SIZE);
	vdriver_ok(d);
}

static void
step(struct vdriver *d, struct fake_link *l, struct input *in, uint64_t area)
{
	uint32_t what = take(in, 1);
	struct vdriver_queue *q = &d->queue[(what >> 4) % QUEUES];

	switch (what & 15) {
	case 0:
		fake_link_set_full(l, !l->full);
		break;
	case 1:
		fake_link_go_down(l);
		break;
	case 2:
		start(d, in);
		break;
	case 3:
		vdriver_set_avail_idx(q, (uint16_t)take(in, 2));
		break;
	case 4:
	case 5:
		put_frame(l, in);
		break;
	case 6:
		vdriver_queue_reset(d, q->index);
		(void)vdriver_queue(d, q->index, SIZE);
		break;
	case 7:
	case 8:
		vdriver_kick(q);
		vdriver_run(d->env);
		break;
	default:
		add_chain(q, in, area);
		vdriver_kick(q);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	static struct fake_link link;
	struct vcore_virtio *virtio;
	struct vdriver_env env;
	struct vdriver d;
	uint64_t area;

	vdriver_env_init(&env, 0);
	area = VDRIVER_RAM - AREA;
	fake_link_init(&link, take(&in, 1), 2);
	if (vcore_net_new(link.link, NULL, &virtio) < 0)
		abort();
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
	start(&d, &in);
	for (uint32_t i = 0; i < STEPS && in.len; i++)
		step(&d, &link, &in, area);
	vdriver_run(&env);

	/* Whatever was: after a reset a frame gets through. */
	fake_link_set_full(&link, false);
	fake_link_clear(&link);
	vdriver_free_all(&env);
	vdriver_up(&d, QUEUES, SIZE);
	vdriver_add(&d.queue[1], &(struct vdriver_buf){ .gpa = area,
							.len = 72 }, 1);
	memset(vdriver_ram(&env, area), 0, 72);
	vdriver_kick(&d.queue[1]);
	vdriver_run(&env);
	if (!fake_link_sent(&link, 0, 0))
		abort();
	vdriver_detach(&d);
	vcore_virtio_unref(virtio);
	vdriver_env_fini(&env);
	fake_link_fini(&link);
	return 0;
}
