/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that does what it likes with a block device: the input is a list of
 * steps, each a request, a chain of anything, or what the disk does. The disk
 * aborts if it is asked for anything outside of itself.
 *
 * FUZZ-SUPPORT: vdriver vring fake_disk
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/block.h>

#include "support/fake_disk.h"
#include "support/vdriver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define QUEUES   3u
#define SIZE     32u
#define STEPS    200u
#define CAPACITY (256u << 10)
/* Buffers of the guest, which the input fills. */
#define AREA     (256u << 10)
#define WCE_AT   32u

struct input {
	const uint8_t *data;
	size_t len;
};

static uint64_t
take(struct input *in, uint32_t bytes)
{
	uint64_t v = 0;

	for (uint32_t i = 0; i < bytes && in->len; i++, in->len--)
		v |= (uint64_t)*in->data++ << (8 * i);
	return v;
}

/* A header as drivers write it, or nearly; then data and status. */
static void
add_request(struct vdriver_queue *q, struct input *in, uint64_t area)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 14, 0x80000000 };
	struct virtio_blk_outhdr hdr = { .type = types[take(in, 1) % 8] };
	uint32_t shape = (uint32_t)take(in, 1);
	struct vdriver_buf bufs[3];

	hdr.sector = take(in, shape & 1 ? 8 : 2);
	memcpy(vdriver_ram(q->d->env, area), &hdr, sizeof(hdr));
	bufs[0] = (struct vdriver_buf){ area, shape & 2 ? shape >> 2 : 16,
					false };
	bufs[1] = (struct vdriver_buf){ area + 4096, 512, (shape & 4) != 0 };
	bufs[2] = (struct vdriver_buf){ area + 2048, 1, true };
	if (shape & 8)
		bufs[1].len = (uint32_t)take(in, 2);
	if (shape & 16)
		bufs[1].len = 16;
	if (bufs[0].len == 0)
		bufs[0].len = 1;
	vdriver_add(q, bufs, 3);
}

/* A chain of up to 16 descriptors with content from the input. */
static void
add_chain(struct vdriver_queue *q, struct input *in, uint64_t area)
{
	uint32_t n = (uint32_t)take(in, 1) % 16 + 1, fill;
	struct vdriver_buf bufs[16];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = (uint32_t)take(in, 1);

		bufs[i].write = kind & 1;
		bufs[i].gpa = area + take(in, 2);
		bufs[i].len = (uint32_t)take(in, kind & 2 ? 1 : 2);
		if (kind & 0x80)
			bufs[i].gpa = take(in, 4) << (kind & 31);
		fill = kind >> 2 & 31;
		for (uint32_t k = 0; k < fill && bufs[i].gpa < area + 0x10000;
		     k++)
			*((uint8_t *)vdriver_ram(q->d->env, bufs[i].gpa) + k) =
				(uint8_t)take(in, 1);
	}
	vdriver_add(q, bufs, n);
}

static void
start(struct vdriver *d, struct input *in)
{
	vdriver_free_all(d->env);
	if (!vdriver_begin(d, take(in, 2)))
		(void)vdriver_begin(d, 0);
	for (uint32_t i = 0; i < QUEUES; i++)
		(void)vdriver_queue(d, i, SIZE);
	vdriver_ok(d);
}

static void
step_disk(struct fake_disk *f, struct input *in)
{
	uint32_t what = (uint32_t)take(in, 1);

	f->hold = what & 1;
	f->fail_op = what >> 1 & 7;
	f->fail_rc = what & 16 ? -EIO : -ENOSPC;
	if (what & 32)
		fake_disk_release(f, what >> 6);
}

static void
step(struct vdriver *d, struct fake_disk *f, struct input *in, uint64_t area)
{
	uint32_t what = (uint32_t)take(in, 1);
	struct vdriver_queue *q = &d->queue[(what >> 4) % QUEUES];

	switch (what & 15) {
	case 0:
	case 1:
		step_disk(f, in);
		break;
	case 2:
		start(d, in);
		break;
	case 3:
		vdriver_set_avail_idx(q, (uint16_t)take(in, 2));
		break;
	case 4:
		vdriver_config_write(d, (uint32_t)take(in, 1) % 60, 1,
				     take(in, 1));
		break;
	case 5:
		vdriver_config_write(d, WCE_AT, 1, what >> 7);
		break;
	case 6:
		vdriver_queue_reset(d, q->index);
		(void)vdriver_queue(d, q->index, SIZE);
		break;
	case 7:
		vdriver_run(d->env);
		break;
	case 8:
	case 9:
	case 10:
		add_chain(q, in, area);
		vdriver_kick(q);
		break;
	default:
		add_request(q, in, area);
		vdriver_kick(q);
		break;
	}
}

/* Whatever was: after a reset sector 3 can be read. */
static void
check_alive(struct vdriver *d, struct fake_disk *f, uint64_t area)
{
	struct virtio_blk_outhdr hdr = { .sector = 3 };
	const struct vdriver_buf bufs[3] = { { area, 16, false },
					     { area + 4096, 512, true },
					     { area + 2048, 1, true } };
	uint32_t id, written;

	f->hold = false;
	f->fail_op = 0;
	fake_disk_release(f, FAKE_DISK_KEPT);
	vdriver_free_all(d->env);
	vdriver_up(d, QUEUES, SIZE);
	memcpy(vdriver_ram(d->env, area), &hdr, sizeof(hdr));
	vdriver_add(&d->queue[0], bufs, 3);
	vdriver_kick(&d->queue[0]);
	if (!vdriver_wait(&d->queue[0], &id, &written) || written != 513 ||
	    memcmp(vdriver_ram(d->env, area + 4096), f->bytes + 3 * 512, 512))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	struct vcore_block_opts o;
	struct vcore_virtio *virtio;
	struct vdriver_env env;
	struct vdriver d;
	static struct fake_disk disk;
	uint64_t area = VDRIVER_RAM - AREA;

	vdriver_env_init(&env, 0);
	fake_disk_init(&disk, CAPACITY);
	VCORE_INIT(&o);
	o.queues = QUEUES;
	o.flags = (uint32_t)take(&in, 1) & 3;
	if (vcore_block_new(disk.disk, &o, &virtio) < 0)
		abort();
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
	start(&d, &in);
	for (uint32_t i = 0; i < STEPS && in.len; i++)
		step(&d, &disk, &in, area);
	vdriver_run(&env);
	check_alive(&d, &disk, area);
	vdriver_detach(&d);
	vcore_virtio_unref(virtio);
	fake_disk_fini(&disk);
	vdriver_env_fini(&env);
	return 0;
}
