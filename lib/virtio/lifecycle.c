/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a device: attached, running, stopped, reset, broken, gone. */
#include "virtio/virtio.h"

#include <linux/virtio_config.h>
#include <stdio.h>

#include "base/wait.h"
#include "loop/call.h"

/* What is to be done without the lock once all queues have stopped. */
struct settled {
	struct vcore__transport *transport;	/* to be removed */
	struct vcore__call *waiters;
	int rc;					/* for the waiters */
	bool put;				/* the hold of active queues */
	uint32_t later_count;
	struct vcore_access *later[VCORE__VIRTIO_LATER];
};

/* With the lock. */
static void
irqs_live(struct vcore_virtio *v, bool live)
{
	pthread_mutex_lock(&v->irq_lock);
	v->irq_live = live;
	if (!live)
		v->irq_gathered = false;
	pthread_mutex_unlock(&v->irq_lock);
}

/* With the lock; all queues are stopped. As after creation. */
static void
do_reset(struct vcore_virtio *v)
{
	irqs_live(v, false);
	if (v->ops.reset)
		v->ops.reset(v->opaque);
	for (uint32_t i = 0; v->queues && i < v->queue_count; i++)
		vcore__queue_wipe(&v->queues[i]);
	v->driver_features = 0;
	v->resetting = false;
	atomic_store(&v->negotiated, 0);
	atomic_store(&v->config_stale, 1);
	if (v->transport)
		v->transport->ops->reset(v->transport);
	/* Last: whoever reads 0 here finds everything else done. */
	atomic_store(&v->status, 0);
}

/* With the lock; no queue is active any more. */
static void
settle(struct vcore_virtio *v, struct settled *s)
{
	if (v->resetting || v->leaving)
		do_reset(v);
	memcpy(s->later, v->later, sizeof(s->later));
	s->later_count = v->later_count;
	v->later_count = 0;
	s->waiters = v->waiters;
	v->waiters = NULL;
	if (v->leaving) {
		s->transport = v->transport;
		v->transport = NULL;
		v->leaving = v->dead;
	} else if (!v->paused && s->waiters) {
		s->rc = -ECANCELED;
	}
	if (!v->paused && !v->leaving &&
	    (v->status & VIRTIO_CONFIG_S_DRIVER_OK))
		vcore__queues_start(v);
}

/* No locks. v may be freed by the time this returns. */
static void
finish(struct vcore_virtio *v, struct settled *s)
{
	struct vcore__call *next;

	for (uint32_t i = 0; i < s->later_count; i++)
		vcore_access_done(s->later[i], 0);
	if (s->transport)
		s->transport->ops->remove(s->transport);
	for (; s->waiters; s->waiters = next) {
		next = s->waiters->next;
		vcore__call_done(s->waiters, s->rc);
	}
	if (s->put)
		vcore__virtio_put(v);
}

void
vcore__virtio_queue_stopped(struct vcore__queue *q)
{
	struct vcore_virtio *v = q->virtio;
	struct settled s = { .rc = 0 };

	pthread_mutex_lock(&v->lock);
	q->run = VCORE__QUEUE_STOPPED;
	if (q->resetting)
		vcore__queue_wipe(q);
	if (--v->active == 0) {
		s.put = true;
		settle(v, &s);
	}
	pthread_mutex_unlock(&v->lock);
	finish(v, &s);
}

/* With the lock: a stop was asked for; s gets what is due at once. */
static void
stop_locked(struct vcore_virtio *v, uint32_t how, struct settled *s)
{
	if (how == VCORE_VIRTIO_STOP_DROP)
		v->resetting = true;
	if (v->active)
		vcore__queues_stop(v, how);
	else
		settle(v, s);
}

void
vcore__virtio_stop(struct vcore_virtio *v, uint32_t how, struct vcore__call *c)
{
	struct settled s = { .rc = 0 };

	pthread_mutex_lock(&v->irq_lock);
	v->irq_held = true;
	pthread_mutex_unlock(&v->irq_lock);

	pthread_mutex_lock(&v->lock);
	v->paused = true;
	c->next = v->waiters;
	v->waiters = c;
	stop_locked(v, how, &s);
	pthread_mutex_unlock(&v->lock);
	finish(v, &s);
}

/* With irq_lock. */
static void
raise_config(struct vcore_virtio *v)
{
	if (!v->irq_live)
		return;
	if (v->irq_held) {
		v->irq_gathered = true;
		return;
	}
	atomic_fetch_add_explicit(&v->config_interrupts, 1,
				  memory_order_relaxed);
	v->transport->ops->config_irq(v->transport);
}

void
vcore__virtio_start(struct vcore_virtio *v)
{
	pthread_mutex_lock(&v->lock);
	v->paused = false;
	/* If some still stop, settle() starts them all again. */
	if (v->active == 0 && !v->leaving &&
	    (v->status & VIRTIO_CONFIG_S_DRIVER_OK))
		vcore__queues_start(v);
	pthread_mutex_lock(&v->irq_lock);
	v->irq_held = false;
	if (v->irq_gathered) {
		v->irq_gathered = false;
		raise_config(v);
	}
	pthread_mutex_unlock(&v->irq_lock);
	pthread_mutex_unlock(&v->lock);
}

int
vcore_virtio_config_changed(struct vcore_virtio *virtio)
{
	if (!virtio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_config_changed: virtio is NULL");
	atomic_store(&virtio->config_stale, 1);
	pthread_mutex_lock(&virtio->irq_lock);
	raise_config(virtio);
	pthread_mutex_unlock(&virtio->irq_lock);
	return 0;
}

void
vcore__virtio_broken(struct vcore_virtio *v, uint32_t index, const char *why)
{
	struct vcore_event e;

	atomic_fetch_add_explicit(&v->bad, 1, memory_order_relaxed);
	pthread_mutex_lock(&v->lock);
	atomic_fetch_or(&v->status, VIRTIO_CONFIG_S_NEEDS_RESET);
	pthread_mutex_unlock(&v->lock);
	pthread_mutex_lock(&v->irq_lock);
	raise_config(v);
	pthread_mutex_unlock(&v->irq_lock);
	if (v->events) {
		VCORE_INIT(&e);
		e.kind = VCORE_EVENT_DEVICE_BROKEN;
		e.value[0] = index;
		snprintf(e.object, sizeof(e.object), "%s", v->name);
		snprintf(e.text, sizeof(e.text), "queue %u: %s", index, why);
		(void)vcore_events_post(v->events, &e);
	}
	if (vcore__ratelimit_ok(&v->limit))
		vcore__log(v->log, VCORE_LOG_WARNING,
			   "%s: queue %u: %s; needs a reset", v->name, index,
			   why);
}

/* With the lock: validate what the driver accepted. 2.2, 3.1.1 */
static bool
accept_features(struct vcore_virtio *v)
{
	uint64_t f = v->driver_features;

	if (f & ~v->offered) {
		vcore__virtio_bad(v, "features accepted that are not offered",
				  f & ~v->offered);
		return false;
	}
	if (!(f & VCORE__VIRTIO_VERSION_1)) {
		vcore__virtio_bad(v, "VERSION_1 not accepted, features", f);
		return false;
	}
	if (v->ops.set_features && v->ops.set_features(v->opaque, f) < 0) {
		vcore__virtio_bad(v, "features refused", f);
		return false;
	}
	atomic_store(&v->negotiated, f);
	return true;
}

static int
reset_by_driver(struct vcore_virtio *v, struct vcore_access *later)
{
	if (v->active == 0) {
		do_reset(v);
		return 0;
	}
	v->resetting = true;
	vcore__queues_stop(v, VCORE_VIRTIO_STOP_DROP);
	if (!later || v->later_count == VCORE__VIRTIO_LATER)
		return 0;
	v->later[v->later_count++] = later;
	return -EINPROGRESS;
}

int
vcore__virtio_write_status(struct vcore_virtio *v, uint32_t value,
			   struct vcore_access *later)
{
	const uint32_t begin = VIRTIO_CONFIG_S_ACKNOWLEDGE |
			       VIRTIO_CONFIG_S_DRIVER;
	uint32_t old = v->status;
	uint32_t kept = old & ~(uint32_t)VIRTIO_CONFIG_S_NEEDS_RESET;
	uint32_t set = value & ~old;

	if (value == 0)
		return reset_by_driver(v, later);
	if (v->resetting)
		return 0;
	if (kept & ~value) {
		vcore__virtio_bad(v, "status bits cleared without reset", value);
		return 0;
	}
	old |= set & (begin | VIRTIO_CONFIG_S_FAILED);
	if ((set & VIRTIO_CONFIG_S_FEATURES_OK) && (old & begin) == begin &&
	    accept_features(v))
		old |= VIRTIO_CONFIG_S_FEATURES_OK;
	if ((set & VIRTIO_CONFIG_S_DRIVER_OK) &&
	    (kept & VIRTIO_CONFIG_S_FEATURES_OK)) {
		old |= VIRTIO_CONFIG_S_DRIVER_OK;
		irqs_live(v, true);
	}
	atomic_store(&v->status, old);
	if (!v->paused && (old & ~kept & VIRTIO_CONFIG_S_DRIVER_OK))
		vcore__queues_start(v);
	return 0;
}

int
vcore__virtio_join(struct vcore_virtio *v, struct vcore__transport *t,
		   const char *who)
{
	bool busy;

	pthread_mutex_lock(&v->lock);
	busy = v->transport || v->leaving;
	if (!busy) {
		v->offered = VCORE__VIRTIO_RING_FEATURES;
		if (v->ops.features)
			v->offered |= v->ops.features(v->opaque);
		v->offered &= ~v->features_off;
		v->offered |= VCORE__VIRTIO_VERSION_1;
		v->transport = t;
		vcore__virtio_hold(v);
	}
	pthread_mutex_unlock(&v->lock);
	if (busy)
		return vcore__err(v->log, -EBUSY, "%s: '%s' is attached already",
				  who, v->name);
	return 0;
}

/*
 * A guest may have found the half-finished transport and begun to use it, so
 * this is a detach.
 */
void
vcore__virtio_leave(struct vcore_virtio *v, struct vcore__transport *t)
{
	struct settled s = { .rc = 0 };

	pthread_mutex_lock(&v->lock);
	if (v->transport == t) {
		v->leaving = true;
		stop_locked(v, VCORE_VIRTIO_STOP_DROP, &s);
	}
	pthread_mutex_unlock(&v->lock);
	finish(v, &s);
}

int
vcore_virtio_detach(struct vcore_virtio *virtio, uint64_t deadline_ns)
{
	struct settled s = { .rc = 0 };
	struct vcore__waiter *w;
	int rc;

	if (!virtio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_detach: virtio is NULL");
	if (!vcore__may_wait())
		return vcore__err(virtio->log, -EDEADLK,
				  "vcore_virtio_detach: '%s': called in a callback",
				  virtio->name);
	w = vcore__waiter_new();
	if (!w)
		return vcore__err(virtio->log, -ENOMEM,
				  "vcore_virtio_detach: no memory");
	pthread_mutex_lock(&virtio->lock);
	if (!virtio->transport) {
		pthread_mutex_unlock(&virtio->lock);
		/* Nobody else has it: complete, so that it is freed. */
		vcore__call_done(&w->call, 0);
		vcore__waiter_free(w);
		return vcore__err(virtio->log, -ENOENT,
				  "vcore_virtio_detach: '%s' is not attached",
				  virtio->name);
	}
	virtio->leaving = true;
	w->call.next = virtio->waiters;
	virtio->waiters = &w->call;
	stop_locked(virtio, VCORE_VIRTIO_STOP_DROP, &s);
	pthread_mutex_unlock(&virtio->lock);
	finish(virtio, &s);
	rc = vcore__waiter_wait(w, deadline_ns);
	vcore__waiter_free(w);
	if (rc < 0)
		return vcore__err(virtio->log, rc,
				  "vcore_virtio_detach: waited for the queues of '%s'",
				  virtio->name);
	return 0;
}

void
vcore__virtio_abandon(struct vcore_virtio *v)
{
	struct settled s = { .rc = 0 };
	struct vcore_source *source;

	pthread_mutex_lock(&v->lock);
	v->leaving = true;
	v->dead = true;
	stop_locked(v, VCORE_VIRTIO_STOP_DROP, &s);
	pthread_mutex_unlock(&v->lock);
	finish(v, &s);
	/*
	 * The stops are posted. A loop that nobody runs any more ends with the
	 * references given up here, and runs them.
	 */
	for (uint32_t i = 0; v->queues && i < v->queue_count; i++) {
		pthread_mutex_lock(&v->lock);
		source = v->queues[i].source;
		v->queues[i].source = NULL;
		pthread_mutex_unlock(&v->lock);
		vcore_source_remove(source);
		vcore_loop_unref(v->queues[i].vq.loop);
	}
}

int
vcore_virtio_stop(struct vcore_virtio *virtio, uint32_t how,
		  uint64_t deadline_ns)
{
	struct vcore__waiter *w;
	int rc;

	if (!virtio || how < VCORE_VIRTIO_STOP_DRAIN ||
	    how > VCORE_VIRTIO_STOP_DROP)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_stop: virtio %p, how %u",
				  (void *)virtio, how);
	if (!vcore__may_wait())
		return vcore__err(virtio->log, -EDEADLK,
				  "vcore_virtio_stop: '%s': called in a callback",
				  virtio->name);
	w = vcore__waiter_new();
	if (!w)
		return vcore__err(virtio->log, -ENOMEM,
				  "vcore_virtio_stop: no memory");
	vcore__virtio_stop(virtio, how, &w->call);
	rc = vcore__waiter_wait(w, deadline_ns);
	vcore__waiter_free(w);
	if (rc < 0) {
		vcore__virtio_start(virtio);
		return vcore__err(virtio->log, rc,
				  "vcore_virtio_stop: waited for the queues of '%s'",
				  virtio->name);
	}
	return 0;
}

int
vcore_virtio_start(struct vcore_virtio *virtio)
{
	if (!virtio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_start: virtio is NULL");
	vcore__virtio_start(virtio);
	return 0;
}

static void
part_stop(void *p, enum vcore__stop how, struct vcore__call *done)
{
	vcore__virtio_stop(p, (uint32_t)how, done);
}

static int
part_start(void *p)
{
	vcore__virtio_start(p);
	return 0;
}

/* The queues are stopped; whatever they had kept is forgotten. */
static void
part_reset(void *p)
{
	struct vcore_virtio *v = p;

	pthread_mutex_lock(&v->lock);
	if (v->active == 0)
		do_reset(v);
	pthread_mutex_unlock(&v->lock);
}

void
vcore__virtio_part(struct vcore_virtio *v, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "virtio", .version = 1, .rank = VCORE__RANK_DEVICE,
		.stop = part_stop, .start = part_start, .reset = part_reset,
	};

	part->ops = &ops;
	part->p = v;
	snprintf(part->name, sizeof(part->name), "%s", v->name);
}
