/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio device that copies what it reads into what it may write. */
#include "support/echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
get_features(void *opaque)
{
	struct echo *e = opaque;

	return e->features;
}

static int
config(void *opaque, uint32_t off, void *buf, uint32_t len, int write)
{
	struct echo *e = opaque;
	uint64_t copy[ECHO_CONFIG / 8];

	if (e->config_rc < 0)
		return e->config_rc;
	if (off > ECHO_CONFIG || len > ECHO_CONFIG - off)
		e->violations++;
	for (uint32_t i = 0; i < ECHO_CONFIG / 8; i++)
		copy[i] = e->config[i];
	if (!write) {
		memcpy(buf, (char *)copy + off, len);
		return 0;
	}
	e->config_writes++;
	memcpy((char *)copy + off, buf, len);
	for (uint32_t i = 0; i < ECHO_CONFIG / 8; i++)
		e->config[i] = copy[i];
	return 0;
}

static int
set_features(void *opaque, uint64_t features)
{
	struct echo *e = opaque;

	e->set_features = features;
	return e->features_rc;
}

static int
queue_start(void *opaque, struct vcore_virtqueue *q)
{
	struct echo *e = opaque;
	uint32_t i = vcore_virtqueue_index(q);

	e->starts++;
	if (e->running[i])
		e->violations++;
	if (e->start_rc < 0)
		return e->start_rc;
	e->running[i] = true;
	e->queue[i] = q;
	if (vcore_virtqueue_in_flight(q) == 0)
		e->held_count[i] = 0;
	return 0;
}

static void
answer(struct vcore_virtqueue *q, struct vcore_chain *c)
{
	uint64_t off = 0, n;
	char buf[4096];

	while (off < c->writable_len) {
		n = vcore_chain_read(c, off, buf, sizeof(buf));
		if (n == 0)
			break;
		n = vcore_chain_write(c, off, buf, n);
		off += n;
	}
	vcore_virtqueue_push(q, c, (uint32_t)off);
}

static void
take_all(struct echo *e, struct vcore_virtqueue *q)
{
	uint32_t i = vcore_virtqueue_index(q), n = 0;
	struct vcore_chain *c;

	while ((!e->max_pops || n < e->max_pops) &&
	       (!e->hold || e->held_count[i] < ECHO_HELD) &&
	       vcore_virtqueue_pop(q, &c) == 1) {
		n++;
		e->pops++;
		e->last_readable = c->readable;
		e->last_writable = c->writable;
		e->last_readable_len = c->readable_len;
		e->last_writable_len = c->writable_len;
		if (e->hold)
			e->held[i][e->held_count[i]++] = c;
		else
			answer(q, c);
	}
	vcore_virtqueue_flush(q);
}

static void
queue_kick(void *opaque, struct vcore_virtqueue *q)
{
	struct echo *e = opaque;

	e->kicks++;
	if (!e->running[vcore_virtqueue_index(q)])
		e->violations++;
	if (!e->suppress) {
		take_all(e, q);
		return;
	}
	do {
		vcore_virtqueue_disable_kick(q);
		take_all(e, q);
	} while (vcore_virtqueue_enable_kick(q));
}

static void
queue_stop(void *opaque, struct vcore_virtqueue *q, uint32_t how,
	   struct vcore_done *done)
{
	struct echo *e = opaque;
	uint32_t i = vcore_virtqueue_index(q);

	e->stops++;
	e->last_how = how;
	if (!e->running[i])
		e->violations++;
	e->running[i] = false;
	if (how == VCORE_VIRTIO_STOP_DRAIN)
		echo_answer(e, i);
	if (how == VCORE_VIRTIO_STOP_DROP && !e->slow_stop) {
		while (e->held_count[i])
			vcore_virtqueue_drop(
				q, e->held[i][--e->held_count[i]]);
	}
	if (e->slow_stop)
		e->done[i] = done;
	else
		vcore_done_call(done, 0);
}

static void
reset(void *opaque)
{
	struct echo *e = opaque;

	e->resets++;
	for (uint32_t i = 0; i < ECHO_QUEUES; i++) {
		if (e->running[i])
			e->violations++;
		e->held_count[i] = 0;
	}
}

static void
release(void *opaque)
{
	struct echo *e = opaque;

	e->released++;
}

const struct vcore_virtio_ops echo_ops = {
	.size = sizeof(echo_ops), .type = 42, .queues = ECHO_QUEUES,
	.features = get_features, .config = config,
	.set_features = set_features, .queue_start = queue_start,
	.queue_kick = queue_kick, .queue_stop = queue_stop,
	.config_size = ECHO_CONFIG, .reset = reset,
};

void
echo_init(struct echo *e, uint32_t queue_size, uint64_t features_off)
{
	struct vcore_virtio_opts o;

	memset(e, 0, sizeof(*e));
	VCORE_INIT(&o);
	o.ops = &echo_ops;
	o.opaque = e;
	o.release = release;
	o.queue_size = queue_size;
	o.features_off = features_off;
	snprintf(o.name, sizeof(o.name), "echo");
	if (vcore_virtio_new(&o, &e->virtio) < 0) {
		fprintf(stderr, "echo: %s\n", vcore_error_text());
		abort();
	}
}

void
echo_answer(struct echo *e, uint32_t queue)
{
	struct vcore_virtqueue *q = e->queue[queue];

	for (uint32_t i = 0; i < e->held_count[queue]; i++)
		answer(q, e->held[queue][i]);
	e->held_count[queue] = 0;
	vcore_virtqueue_flush(q);
}

void
echo_stopped(struct echo *e)
{
	struct vcore_done *done;

	for (uint32_t i = 0; i < ECHO_QUEUES; i++) {
		done = e->done[i];
		e->done[i] = NULL;
		vcore_done_call(done, 0);
	}
}
