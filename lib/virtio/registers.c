/* SPDX-License-Identifier: BSD-3-Clause */
/* What the registers of both transports do: features, queues, configuration. */
#include "virtio/virtio.h"

#include <endian.h>
#include <linux/virtio_config.h>

bool
vcore__virtio_lock(struct vcore__transport *t)
{
	struct vcore_virtio *v = t->virtio;

	pthread_mutex_lock(&v->lock);
	if (v->transport == t && !v->leaving)
		return true;
	pthread_mutex_unlock(&v->lock);
	return false;
}

void
vcore__virtio_unlock(struct vcore__transport *t)
{
	pthread_mutex_unlock(&t->virtio->lock);
}

uint32_t
vcore__virtio_device_features(struct vcore_virtio *v, uint32_t select)
{
	return select < 2 ? (uint32_t)(v->offered >> (32 * select)) : 0;
}

/* 3.1.1: what was accepted is fixed once FEATURES_OK is set. */
void
vcore__virtio_set_driver_features(struct vcore_virtio *v, uint32_t select,
				  uint32_t bits)
{
	if (v->resetting || (v->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		vcore__virtio_bad(v, "features written after FEATURES_OK",
				  bits);
		return;
	}
	if (select >= 2) {
		if (bits)
			vcore__virtio_bad(v, "features accepted in word",
					  select);
		return;
	}
	v->driver_features &= ~(UINT64_C(0xffffffff) << (32 * select));
	v->driver_features |= (uint64_t)bits << (32 * select);
}

uint32_t
vcore__virtio_get_driver_features(struct vcore_virtio *v, uint32_t select)
{
	return select < 2 ? (uint32_t)(v->driver_features >> (32 * select)) : 0;
}

struct vcore__queue *
vcore__virtio_select(struct vcore_virtio *v, uint32_t index)
{
	return index < v->queue_count ? &v->queues[index] : NULL;
}

/*
 * Between FEATURES_OK and DRIVER_OK, and not enabled; with RING_RESET also
 * later, after the queue was reset.
 */
bool
vcore__queue_is_open(const struct vcore__queue *q)
{
	struct vcore_virtio *v = q->virtio;
	uint32_t status = v->status;

	if (v->resetting || q->enabled || q->run != VCORE__QUEUE_STOPPED ||
	    !(status & VIRTIO_CONFIG_S_FEATURES_OK))
		return false;
	return !(status & VIRTIO_CONFIG_S_DRIVER_OK) ||
	       (v->negotiated & VCORE__VIRTIO_RING_RESET);
}

static bool
check_open(struct vcore__queue *q)
{
	if (vcore__queue_is_open(q))
		return true;
	vcore__virtio_bad(q->virtio, "register written too early or late of queue",
			  q->vq.index);
	return false;
}

/* A size that is refused leaves 0, with which the queue can't be enabled. */
void
vcore__queue_set_size(struct vcore__queue *q, uint32_t size)
{
	if (!check_open(q))
		return;
	if (size > q->vq.max || (size & (size - 1))) {
		vcore__virtio_bad(q->virtio, "queue size", size);
		size = 0;
	}
	q->regs.size = size;
}

static uint64_t *
address(struct vcore__queue *q, enum vcore__queue_address which)
{
	if (which == VCORE__QUEUE_DESC)
		return &q->regs.desc;
	return which == VCORE__QUEUE_DRIVER ? &q->regs.driver :
					      &q->regs.device;
}

void
vcore__queue_set_address(struct vcore__queue *q,
			 enum vcore__queue_address which, bool high,
			 uint32_t value)
{
	uint64_t *a = address(q, which);

	if (!check_open(q))
		return;
	if (high)
		*a = (*a & UINT32_MAX) | (uint64_t)value << 32;
	else
		*a = (*a & ~(uint64_t)UINT32_MAX) | value;
}

uint32_t
vcore__queue_get_address(const struct vcore__queue *q,
			 enum vcore__queue_address which, bool high)
{
	const struct vcore__ring *r = &q->regs;
	uint64_t a = which == VCORE__QUEUE_DESC	  ? r->desc :
		     which == VCORE__QUEUE_DRIVER ? r->driver :
						    r->device;

	return (uint32_t)(high ? a >> 32 : a);
}

void
vcore__queue_enable(struct vcore__queue *q)
{
	struct vcore_virtio *v = q->virtio;
	const char *why;

	if (q->enabled || !check_open(q))
		return;
	why = vcore__ring_check(&v->user, &q->regs, q->vq.max);
	if (why) {
		vcore__virtio_bad(v, why, q->vq.index);
		return;
	}
	q->regs.event_idx = (v->negotiated & VCORE__VIRTIO_EVENT_IDX) != 0;
	q->regs.indirect = (v->negotiated & VCORE__VIRTIO_INDIRECT) != 0;
	q->enabled = true;
	q->fresh = true;
	if ((v->status & VIRTIO_CONFIG_S_DRIVER_OK) && !v->paused)
		vcore__queues_start(v);
}

static void
forget_queue(struct vcore__queue *q)
{
	if (q->run == VCORE__QUEUE_STOPPED) {
		vcore__queue_wipe(q);
		return;
	}
	q->resetting = true;
	vcore__queue_stop(q, VCORE_VIRTIO_STOP_DROP);
}

void
vcore__queue_disable(struct vcore__queue *q)
{
	if (!q->virtio->resetting && q->enabled)
		forget_queue(q);
}

/* 2.6.1 */
void
vcore__queue_reset(struct vcore__queue *q)
{
	struct vcore_virtio *v = q->virtio;

	if (!v->resetting && (v->negotiated & VCORE__VIRTIO_RING_RESET))
		forget_queue(q);
}

/*
 * The driver reads a copy of the configuration, taken together with a new
 * generation: so two halves of a field that it read under one generation
 * always belong together. 2.5.1
 */
static void
refresh(struct vcore_virtio *v)
{
	if (!atomic_exchange(&v->config_stale, 0))
		return;
	v->generation++;
	if (v->ops.config_size &&
	    v->ops.config(v->opaque, 0, v->config, v->ops.config_size, 0) < 0)
		memset(v->config, 0, v->ops.config_size);
}

uint32_t
vcore__virtio_generation(struct vcore_virtio *v)
{
	refresh(v);
	return v->generation;
}

/* Bytes behind the end read as 0. */
uint64_t
vcore__virtio_config_read(struct vcore_virtio *v, uint64_t off, uint32_t len)
{
	uint64_t val = 0, n = len;

	refresh(v);
	if (off >= v->ops.config_size)
		return 0;
	if (n > v->ops.config_size - off)
		n = v->ops.config_size - off;
	memcpy(&val, v->config + off, n);
	return le64toh(val);
}

/* A write that passes the end is ignored as a whole. */
void
vcore__virtio_config_write(struct vcore_virtio *v, uint64_t off, uint32_t len,
			   uint64_t val)
{
	uint64_t bytes = htole64(val);

	if (v->resetting ||
	    !vcore__range_fits(off, len, v->ops.config_size)) {
		vcore__virtio_bad(v, "configuration written at", off);
		return;
	}
	if (v->ops.config(v->opaque, (uint32_t)off, &bytes, len, 1) < 0)
		vcore__virtio_bad(v, "configuration write refused at", off);
	/* The driver knows what it wrote: no new generation. */
	if (v->ops.config(v->opaque, 0, v->config, v->ops.config_size, 0) < 0)
		memset(v->config, 0, v->ops.config_size);
}
