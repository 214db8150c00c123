/* SPDX-License-Identifier: BSD-3-Clause */
/* A device's queue on its loop: started, kicked, stopped by posted calls. */
#include "virtio/virtio.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "loop/call.h"

static struct vcore__queue *
of_vq(struct vcore_virtqueue *vq)
{
	return VCORE__CONTAINER(vq, struct vcore__queue, vq);
}

static void
interrupt(void *owner, struct vcore_virtqueue *vq)
{
	struct vcore_virtio *v = owner;

	v->transport->ops->queue_irq(v->transport, vq->index);
}

static void
broken(void *owner, struct vcore_virtqueue *vq, const char *why)
{
	vcore__virtio_broken(owner, vq->index, why);
}

void
vcore__queue_kick(struct vcore__queue *q)
{
	static const uint64_t one = 1;

	/* A full counter (-EAGAIN) is readable already. */
	if (write(q->kick_fd, &one, sizeof(one)) < 0)
		(void)0;
}

static void
again(void *owner, struct vcore_virtqueue *vq)
{
	(void)owner;
	vcore__queue_kick(of_vq(vq));
}

static const struct vcore__virtqueue_ops vq_ops = {
	.interrupt = interrupt, .broken = broken, .again = again,
};

/* On the loop: one dispatch, of at most the queue's budget. */
static void
serve(struct vcore__queue *q)
{
	struct vcore_virtio *v = q->virtio;

	vcore__virtqueue_begin(&q->vq);
	v->ops.queue_kick(v->opaque, &q->vq);
	if (vcore__virtqueue_end(&q->vq))
		vcore__queue_kick(q);
}

static void
on_kick(void *opaque, uint32_t ready)
{
	struct vcore__queue *q = opaque;

	(void)ready;
	atomic_store_explicit(&q->kicks, q->kicks + 1, memory_order_relaxed);
	if (q->serving)
		serve(q);
}

static void
source_gone(void *opaque)
{
	struct vcore__queue *q = opaque;

	vcore__virtio_put(q->virtio);
}

/* On the loop: listen to the doorbell. */
static int
listen(struct vcore__queue *q)
{
	struct vcore_virtio *v = q->virtio;
	struct vcore_source_opts o;
	struct vcore_source *s = NULL;
	int rc;

	VCORE_INIT(&o);
	o.flags = VCORE_SOURCE_EVENTFD;
	o.fd = q->kick_fd;
	o.events = VCORE_LOOP_READ;
	o.fn = on_kick;
	o.opaque = q;
	o.release = source_gone;
	vcore__virtio_hold(v);
	rc = vcore_loop_add(q->vq.loop, &o, &s);
	if (rc < 0) {
		vcore__virtio_put(v);
		return rc;
	}
	pthread_mutex_lock(&v->lock);
	if (!v->dead) {
		q->source = s;
		s = NULL;
	}
	pthread_mutex_unlock(&v->lock);
	vcore_source_remove(s);
	return 0;
}

static void
run_start(struct vcore__call *c)
{
	struct vcore__queue *q =
		VCORE__CONTAINER(c, struct vcore__queue, start);
	struct vcore_virtio *v = q->virtio;

	if (q->fresh) {
		q->fresh = false;
		vcore__virtqueue_setup(&q->vq, &q->regs);
	}
	vcore__virtqueue_open(&q->vq);
	if (q->vq.state != VCORE__QUEUE_OPEN)
		return;
	if (listen(q) < 0 || v->ops.queue_start(v->opaque, &q->vq) < 0) {
		vcore_virtqueue_break(&q->vq, "the queue could not start");
		return;
	}
	q->serving = true;
	/* What came before the doorbell was listened to. */
	vcore__queue_kick(q);
}

static struct vcore_source *
take_source(struct vcore__queue *q)
{
	struct vcore_source *s;

	pthread_mutex_lock(&q->virtio->lock);
	s = q->source;
	q->source = NULL;
	pthread_mutex_unlock(&q->virtio->lock);
	return s;
}

static void
run_stop(struct vcore__call *c)
{
	struct vcore__queue *q = VCORE__CONTAINER(c, struct vcore__queue, stop);
	struct vcore_virtio *v = q->virtio;
	uint32_t how = q->how;

	vcore_source_remove(take_source(q));
	if (how == VCORE_VIRTIO_STOP_DROP)
		vcore__virtqueue_close(&q->vq);
	else
		vcore__virtqueue_drain(&q->vq);
	atomic_store(&q->done.armed, 1);
	if (q->serving) {
		q->serving = false;
		v->ops.queue_stop(v->opaque, &q->vq, how, &q->done);
	} else {
		vcore_done_call(&q->done, 0);
	}
}

void
vcore_done_call(struct vcore_done *done, int rc)
{
	struct vcore__queue *q;

	if (!done || !atomic_exchange(&done->armed, 0))
		return;
	q = done->queue;
	if (rc < 0)
		vcore__log(q->virtio->log, VCORE_LOG_WARNING,
			   "%s: queue %u stopped: %s",
			   q->virtio->name, q->vq.index, vcore__strerror(rc));
	vcore__virtqueue_close(&q->vq);
	if (q->how == VCORE_VIRTIO_STOP_DROP)
		vcore__virtqueue_forget(&q->vq);
	vcore__virtio_queue_stopped(q);
}

void
vcore__queues_start(struct vcore_virtio *v)
{
	struct vcore__queue *q;

	for (uint32_t i = 0; i < v->queue_count; i++) {
		q = &v->queues[i];
		if (!q->enabled || q->run != VCORE__QUEUE_STOPPED)
			continue;
		q->run = VCORE__QUEUE_STARTED;
		if (v->active++ == 0)
			vcore__virtio_hold(v);
		vcore__loop_post(q->vq.loop, &q->start);
	}
}

void
vcore__queue_stop(struct vcore__queue *q, uint32_t how)
{
	if (q->run != VCORE__QUEUE_STARTED)
		return;
	q->run = VCORE__QUEUE_STOPPING;
	q->how = how;
	vcore__loop_post(q->vq.loop, &q->stop);
}

void
vcore__queues_stop(struct vcore_virtio *v, uint32_t how)
{
	for (uint32_t i = 0; i < v->queue_count; i++)
		vcore__queue_stop(&v->queues[i], how);
}

void
vcore__queue_wipe(struct vcore__queue *q)
{
	vcore__virtqueue_forget(&q->vq);
	memset(&q->regs, 0, sizeof(q->regs));
	q->regs.size = q->vq.max;
	q->enabled = false;
	q->resetting = false;
	q->fresh = true;
}

int
vcore__queue_init(struct vcore__queue *q, struct vcore_virtio *v,
		  uint32_t index, struct vcore_loop *loop)
{
	int rc;

	q->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->kick_fd < 0) {
		rc = -errno;
		q->kick_fd = -1;
		return rc;
	}
	rc = vcore__virtqueue_init(&q->vq, v->memory, index, v->queue_max);
	if (rc < 0) {
		close(q->kick_fd);
		return rc;
	}
	q->virtio = v;
	q->done.queue = q;
	q->start.fn = run_start;
	q->stop.fn = run_stop;
	q->vq.ops = &vq_ops;
	q->vq.owner = v;
	q->vq.loop = vcore_loop_ref(loop);
	vcore__queue_wipe(q);
	return 0;
}

void
vcore__queue_fini(struct vcore__queue *q)
{
	if (!q->virtio)
		return;
	vcore__virtqueue_forget(&q->vq);
	vcore__virtqueue_fini(&q->vq);
	close(q->kick_fd);
	q->virtio = NULL;
}
