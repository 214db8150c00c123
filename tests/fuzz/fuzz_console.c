/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that does what it likes with the queues of a console of three ports:
 * the input is a list of steps.
 *
 * FUZZ-SUPPORT: vdriver vring fake_stream
 */
#include <stdlib.h>
#include <string.h>

#include <vcore/console.h>

#include "support/fake_stream.h"
#include "support/vdriver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define PORTS  3u
#define QUEUES (2 * (PORTS + 1))
#define SIZE   32u
#define STEPS  200u
#define AREA   (VDRIVER_RAM - (256u << 10))

struct input {
	const uint8_t *data;
	size_t len;
};

static struct fake_stream streams[PORTS];

static uint32_t
take(struct input *in, uint32_t bytes)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < bytes && in->len; i++, in->len--)
		v |= (uint32_t)*in->data++ << (8 * i);
	return v;
}

static void
add_chain(struct vdriver_queue *q, struct input *in)
{
	struct vdriver_buf bufs[4];
	uint32_t n = take(in, 1) % 4 + 1;
	uint8_t *at;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = take(in, 1);

		bufs[i].write = kind & 1;
		bufs[i].gpa = AREA + take(in, 2);
		bufs[i].len = kind & 2 ? take(in, 1) : take(in, 2);
		at = vdriver_ram(q->d->env, bufs[i].gpa);
		for (uint32_t k = 0; k < (kind >> 3 & 15); k++)
			at[k] = (uint8_t)take(in, 1);
		if (kind & 0x80)
			bufs[i].gpa = (uint64_t)take(in, 4) << (kind & 31);
	}
	vdriver_add(q, bufs, n);
}

static void
start(struct vdriver *d, struct input *in)
{
	vdriver_free_all(d->env);
	if (!vdriver_begin(d, take(in, 1) & 3))
		(void)vdriver_begin(d, 0);
	for (uint32_t i = 0; i < QUEUES; i++)
		(void)vdriver_queue(d, i, SIZE);
	vdriver_ok(d);
}

static void
step_stream(struct fake_stream *s, uint32_t what)
{
	static const uint8_t bytes[3000];

	switch (what) {
	case 0:
		fake_stream_put(s, bytes, sizeof(bytes));
		break;
	case 1:
		fake_stream_hang_up(s);
		break;
	case 2:
		fake_stream_come(s);
		break;
	case 3:
		s->room = 0;
		break;
	case 4:
		s->away = !s->away;
		break;
	default:
		s->out_len = 0;
		fake_stream_make_room(s, 100 * what);
		break;
	}
}

static void
step(struct vdriver *d, struct input *in)
{
	uint32_t what = take(in, 1);
	struct vdriver_queue *q = &d->queue[(what >> 4) % QUEUES];

	switch (what & 15) {
	case 0:
	case 1:
		step_stream(&streams[what >> 4 & 1], take(in, 1) & 7);
		break;
	case 2:
		start(d, in);
		break;
	case 3:
		vdriver_set_avail_idx(q, (uint16_t)take(in, 2));
		break;
	case 4:
		(void)vcore_console_resize(d->virtio, what >> 4,
					   (uint16_t)take(in, 2), 25);
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
		add_chain(q, in);
		vdriver_kick(q);
		break;
	}
}

static struct vcore_virtio *
make(void)
{
	struct vcore_console_port ports[PORTS];
	struct vcore_console_opts o;
	struct vcore_virtio *virtio;

	memset(ports, 0, sizeof(ports));
	for (uint32_t i = 0; i < PORTS; i++) {
		fake_stream_init(&streams[i]);
		ports[i].stream = streams[i].stream;
	}
	ports[0].flags = VCORE_CONSOLE_PORT_CONSOLE;
	ports[1].name = "name";
	VCORE_INIT(&o);
	o.ports = ports;
	o.port_count = PORTS;
	o.cols = 80;
	o.rows = 25;
	if (vcore_console_new(&o, &virtio) < 0)
		abort();
	return virtio;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	struct vcore_virtio *virtio;
	struct vdriver_env env;
	struct vdriver d;

	vdriver_env_init(&env, 0);
	virtio = make();
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
	start(&d, &in);
	for (uint32_t i = 0; i < STEPS && in.len; i++)
		step(&d, &in);
	vdriver_run(&env);

	/* Whatever was: after a reset a byte gets through. */
	streams[0].away = false;
	streams[0].out_len = 0;
	fake_stream_make_room(&streams[0], 1);
	vdriver_free_all(&env);
	vdriver_up(&d, QUEUES, SIZE);
	vdriver_add(&d.queue[1], &(struct vdriver_buf){ .gpa = AREA,
							.len = 1 }, 1);
	vdriver_kick(&d.queue[1]);
	vdriver_run(&env);
	if (streams[0].out_len == 0)
		abort();
	vdriver_detach(&d);
	vcore_virtio_unref(virtio);
	vdriver_env_fini(&env);
	for (uint32_t i = 0; i < PORTS; i++)
		fake_stream_fini(&streams[i]);
	return 0;
}
