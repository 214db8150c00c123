/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio devices as objects: made, given an environment, counted, freed. */
#include "virtio/virtio.h"

#include <stdio.h>
#include <stdlib.h>

void
vcore__virtio_hold(struct vcore_virtio *v)
{
	atomic_fetch_add_explicit(&v->holds, 1, memory_order_relaxed);
}

static void
destroy(struct vcore_virtio *v)
{
	for (uint32_t i = 0; v->queues && i < v->queue_count; i++)
		vcore__queue_fini(&v->queues[i]);
	free(v->queues);
	vcore__memory_user_fini(&v->user);
	vcore_memory_unref(v->memory);
	vcore_events_unref(v->events);
	vcore_log_unref(v->log);
	pthread_mutex_destroy(&v->irq_lock);
	pthread_mutex_destroy(&v->lock);
	if (v->release)
		v->release(v->opaque);
	free(v->config);
	free(v);
}

void
vcore__virtio_put(struct vcore_virtio *v)
{
	if (atomic_fetch_sub_explicit(&v->holds, 1, memory_order_acq_rel) == 1)
		destroy(v);
}

void
vcore__virtio_bad(struct vcore_virtio *v, const char *what, uint64_t value)
{
	atomic_fetch_add_explicit(&v->bad, 1, memory_order_relaxed);
	if (vcore__ratelimit_ok(&v->limit))
		vcore__log(v->log, VCORE_LOG_WARNING, "%s: driver: %s: %#llx",
			   v->name, what, (unsigned long long)value);
}

static int
check_ops(const struct vcore_virtio_ops *ops)
{
	if (ops->flags)
		return vcore__err(NULL, -E2BIG,
				  "vcore_virtio_new: ops: flags %#x",
				  ops->flags);
	if (ops->type == 0 || ops->type > 63 ||
	    ops->queues > VCORE__VIRTIO_QUEUES ||
	    ops->config_size > VCORE__VIRTIO_CONFIG)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_new: ops: type %u, %u queues, %u bytes of configuration",
				  ops->type, ops->queues, ops->config_size);
	if (!ops->queue_start || !ops->queue_kick || !ops->queue_stop ||
	    (ops->config_size && !ops->config))
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_new: ops: a required method is NULL");
	return 0;
}

static int
check_opts(struct vcore_virtio_opts *o, struct vcore_virtio_ops *ops)
{
	int rc;

	if (o->flags || o->reserved0)
		return vcore__err(NULL, -E2BIG, "vcore_virtio_new: flags %#x",
				  o->flags);
	if (!o->queue_size)
		o->queue_size = 256;
	if (o->queue_size > VCORE__QUEUE_MAX ||
	    (o->queue_size & (o->queue_size - 1)))
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_new: queue_size %u is no power of two up to 32768",
				  o->queue_size);
	o->name[sizeof(o->name) - 1] = '\0';
	rc = VCORE__SIZED("vcore_virtio_new: ops", ops, reset, o->ops);
	return rc < 0 ? rc : check_ops(ops);
}

int
vcore_virtio_new(const struct vcore_virtio_opts *opts,
		 struct vcore_virtio **virtio)
{
	struct vcore_virtio_opts o;
	struct vcore_virtio_ops ops;
	struct vcore_virtio *v;
	int rc;

	if (!virtio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_new: virtio is NULL");
	rc = VCORE__SIZED("vcore_virtio_new: opts", &o, name, opts);
	if (rc < 0)
		return rc;
	rc = check_opts(&o, &ops);
	if (rc < 0)
		return rc;
	v = calloc(1, sizeof(*v));
	if (!v)
		goto err_memory;
	v->config = calloc(1, ops.config_size ? ops.config_size : 1);
	if (!v->config)
		goto err_virtio;
	v->ops = ops;
	v->opaque = o.opaque;
	v->release = o.release;
	v->features_off = o.features_off;
	v->queue_count = ops.queues;
	v->queue_max = o.queue_size;
	snprintf(v->name, sizeof(v->name), "%s", o.name[0] ? o.name : "virtio");
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->irq_lock, NULL);
	atomic_init(&v->refs, 1);
	atomic_init(&v->holds, 1);
	atomic_init(&v->config_stale, 1);
	*virtio = v;
	return 0;

err_virtio:
	free(v);
err_memory:
	return vcore__err(NULL, -ENOMEM, "vcore_virtio_new: no memory");
}

struct vcore_virtio *
vcore_virtio_ref(struct vcore_virtio *virtio)
{
	if (virtio)
		atomic_fetch_add_explicit(&virtio->refs, 1,
					  memory_order_relaxed);
	return virtio;
}

void
vcore_virtio_unref(struct vcore_virtio *virtio)
{
	if (!virtio)
		return;
	if (atomic_fetch_sub_explicit(&virtio->refs, 1,
				      memory_order_acq_rel) != 1)
		return;
	vcore__virtio_abandon(virtio);
	vcore__virtio_put(virtio);
}

static int
check_env(const struct vcore_virtio *v, const struct vcore_virtio_env *e)
{
	if (e->flags || e->reserved0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_virtio_set_env: flags %#x", e->flags);
	if (!e->memory || !e->loops || !e->loop_count)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_set_env: memory %p, loops %p, loop_count %u",
				  (void *)e->memory, (const void *)e->loops,
				  e->loop_count);
	for (uint32_t i = 0; i < e->loop_count; i++)
		if (!e->loops[i])
			return vcore__err(NULL, -EINVAL,
					  "vcore_virtio_set_env: loops[%u] is NULL",
					  i);
	if (v->memory)
		return vcore__err(v->log, -EBUSY,
				  "vcore_virtio_set_env: '%s' has one already",
				  v->name);
	return 0;
}

/* Undo the first n queues. */
static void
free_queues(struct vcore_virtio *v, struct vcore__queue *queues, uint32_t n)
{
	(void)v;
	while (n--) {
		vcore_loop_unref(queues[n].vq.loop);
		vcore__queue_fini(&queues[n]);
	}
	free(queues);
}

static int
make_queues(struct vcore_virtio *v, const struct vcore_virtio_env *e)
{
	uint32_t group = v->ops.queue_group != 0 ? v->ops.queue_group : 1;
	struct vcore__queue *queues;
	int rc;

	queues = calloc(v->queue_count ? v->queue_count : 1, sizeof(*queues));
	if (!queues)
		return -ENOMEM;
	for (uint32_t i = 0; i < v->queue_count; i++) {
		rc = vcore__queue_init(&queues[i], v, i,
				       e->loops[i / group % e->loop_count]);
		if (rc < 0) {
			free_queues(v, queues, i);
			return rc;
		}
	}
	v->queues = queues;
	return 0;
}

int
vcore_virtio_set_env(struct vcore_virtio *virtio,
		     const struct vcore_virtio_env *env)
{
	struct vcore_virtio_env e;
	int rc;

	if (!virtio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_set_env: virtio is NULL");
	rc = VCORE__SIZED("vcore_virtio_set_env: env", &e, log, env);
	if (rc < 0)
		return rc;
	rc = check_env(virtio, &e);
	if (rc < 0)
		return rc;
	virtio->memory = e.memory;
	rc = make_queues(virtio, &e);
	if (rc == 0)
		rc = vcore__memory_user_init(&virtio->user, e.memory);
	if (rc < 0) {
		virtio->memory = NULL;
		if (virtio->queues)
			free_queues(virtio, virtio->queues,
				    virtio->queue_count);
		virtio->queues = NULL;
		return vcore__err(e.log, rc,
				  "vcore_virtio_set_env: queues of '%s': errno %d",
				  virtio->name, -rc);
	}
	vcore_memory_ref(e.memory);
	virtio->events = vcore_events_ref(e.events);
	virtio->log = vcore_log_ref(e.log);
	return 0;
}

struct vcore_virtqueue *
vcore_virtio_queue(struct vcore_virtio *virtio, uint32_t index)
{
	if (!virtio || !virtio->queues || index >= virtio->queue_count ||
	    !virtio->queues[index].serving)
		return NULL;
	return &virtio->queues[index].vq;
}

uint64_t
vcore_virtio_features(struct vcore_virtio *virtio)
{
	return virtio ? virtio->negotiated : 0;
}

struct vcore_events *
vcore_virtio_events(struct vcore_virtio *virtio)
{
	return virtio ? virtio->events : NULL;
}

void *
vcore__virtio_model(struct vcore_virtio *v, const struct vcore_virtio_ops *ops)
{
	return v && v->ops.queue_kick == ops->queue_kick ? v->opaque : NULL;
}

const char *
vcore_virtio_name(struct vcore_virtio *virtio)
{
	return virtio ? virtio->name : "";
}

int
vcore_virtio_get_info(struct vcore_virtio *virtio,
		      struct vcore_virtio_info *info)
{
	struct vcore_virtio_info i;
	struct vcore__queue *q;

	if (!virtio || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_get_info: %s is NULL",
				  virtio ? "info" : "virtio");
	VCORE_INIT(&i);
	i.type = virtio->ops.type;
	i.features = virtio->negotiated;
	i.status = virtio->status;
	i.queues = virtio->queue_count;
	i.bad = virtio->bad;
	i.interrupts = virtio->config_interrupts;
	for (uint32_t n = 0; virtio->queues && n < virtio->queue_count; n++) {
		q = &virtio->queues[n];
		i.kicks += q->kicks;
		i.interrupts += q->vq.interrupts;
		i.chains += q->vq.chains;
	}
	if (vcore__sized_return(info, VCORE__SIZE_TO(struct vcore_virtio_info,
						     bad), &i, sizeof(i)) < 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_virtio_get_info: info: bad size %u",
				  info->size);
	return 0;
}
