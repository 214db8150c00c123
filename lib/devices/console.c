/* SPDX-License-Identifier: BSD-3-Clause */
/* The console device: features, configuration, queues and their ports. */
#include "devices/console.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "virtio/virtio.h"

#define F_SIZE      (UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE)
#define F_MULTIPORT (UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT)

/* 5.3.2: the control queues, to and from the driver. */
#define CONTROL_TO   2u
#define CONTROL_FROM 3u

static uint64_t
console_features(void *opaque)
{
	const struct vcore__console *c = opaque;

	return (c->sized ? F_SIZE : 0) | (c->multiport ? F_MULTIPORT : 0);
}

static int
console_set_features(void *opaque, uint64_t features)
{
	struct vcore__console *c = opaque;

	c->features = features;
	return 0;
}

/* 5.3.4; EMERG_WRITE is not offered, so nothing is writable. */
static int
console_config(void *opaque, uint32_t off, void *buf, uint32_t len, int write)
{
	struct vcore__console *c = opaque;
	struct virtio_console_config config;
	uint32_t size = c->port[0].size;

	if (write)
		return -EPERM;
	memset(&config, 0, sizeof(config));
	config.cols = htole16((uint16_t)size);
	config.rows = htole16((uint16_t)(size >> 16));
	config.max_nr_ports = htole32(c->ports);
	memcpy(buf, (const uint8_t *)&config + off, len);
	return 0;
}

/* The port of a data queue; NULL: a control queue, or none. */
static struct vcore__console_port *
port_of(struct vcore__console *c, uint32_t index)
{
	uint32_t ports = vcore__console_is_multiport(c) ? c->ports : 1;

	if (index < CONTROL_TO)
		return &c->port[0];
	index = (index - 2) / 2;
	return index > 0 && index < ports ? &c->port[index] : NULL;
}

static int
console_queue_start(void *opaque, struct vcore_virtqueue *q)
{
	struct vcore__console *c = opaque;
	uint32_t index = vcore_virtqueue_index(q);
	struct vcore__console_port *p = port_of(c, index);
	int rc = 0;

	if (c->running && c->loop != vcore_virtqueue_loop(q))
		return -EINVAL;
	c->loop = vcore_virtqueue_loop(q);
	if (p)
		rc = vcore__console_port_start(p, q, index & 1);
	else if (index == CONTROL_TO && vcore__console_is_multiport(c))
		c->control = q;
	if (rc == 0)
		c->running++;
	return rc;
}

static void
console_queue_kick(void *opaque, struct vcore_virtqueue *q)
{
	struct vcore__console *c = opaque;
	uint32_t index = vcore_virtqueue_index(q);
	struct vcore__console_port *p = port_of(c, index);

	if (p)
		vcore__console_port_kick(p, index & 1);
	else if (q == c->control)
		vcore__console_tell(c);
	else if (index == CONTROL_FROM && vcore__console_is_multiport(c))
		vcore__console_hear(c, q);
}

static void
console_queue_stop(void *opaque, struct vcore_virtqueue *q, uint32_t how,
		   struct vcore_done *done)
{
	struct vcore__console *c = opaque;
	uint32_t index = vcore_virtqueue_index(q);
	struct vcore__console_port *p = port_of(c, index);

	if (p)
		vcore__console_port_stop(p, index & 1, how);
	if (q == c->control)
		c->control = NULL;
	c->running--;
	vcore_done_call(done, 0);
}

/* No queue runs. */
static void
console_reset(void *opaque)
{
	struct vcore__console *c = opaque;

	c->features = 0;
	for (uint32_t i = 0; i < c->ports; i++) {
		c->port[i].due = 0;
		c->port[i].sent = 0;
		c->port[i].known = false;
		c->port[i].guest_open = false;
	}
}

static const struct vcore_virtio_ops console_ops = {
	.size = sizeof(console_ops),
	.type = VIRTIO_ID_CONSOLE,
	.features = console_features,
	.config = console_config,
	.set_features = console_set_features,
	.queue_start = console_queue_start,
	.queue_kick = console_queue_kick,
	.queue_stop = console_queue_stop,
	.config_size = sizeof(struct virtio_console_config),
	.reset = console_reset,
};

static void
console_release(void *opaque)
{
	struct vcore__console *c = opaque;

	for (uint32_t i = 0; i < c->ports; i++)
		vcore_stream_unref(c->port[i].stream);
	free(c);
}

static int
check_port(const struct vcore_console_port *p, uint32_t i)
{
	if ((p->flags & ~VCORE_CONSOLE_PORT_CONSOLE) || p->reserved0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_console_new: port %u: flags %#x", i,
				  p->flags);
	if (p->name &&
	    (!p->name[0] || strlen(p->name) >= VCORE__CONSOLE_NAME))
		return vcore__err(NULL, -EINVAL,
				  "vcore_console_new: port %u: name '%.64s' is empty or longer than %u bytes",
				  i, p->name, VCORE__CONSOLE_NAME - 1);
	return 0;
}

static int
check_opts(const struct vcore_console_opts *o)
{
	int rc = 0;

	if (o->flags || o->reserved0)
		return vcore__err(NULL, -E2BIG, "vcore_console_new: flags %#x",
				  o->flags);
	if (!o->ports || !o->port_count ||
	    o->port_count > VCORE__CONSOLE_PORTS)
		return vcore__err(NULL, -EINVAL,
				  "vcore_console_new: ports %p, port_count %u",
				  (const void *)o->ports, o->port_count);
	for (uint32_t i = 0; i < o->port_count && rc == 0; i++)
		rc = check_port(&o->ports[i], i);
	return rc;
}

static struct vcore__console *
make(const struct vcore_console_opts *o)
{
	struct vcore__console_port *p;
	struct vcore__console *c;

	c = calloc(1, sizeof(*c) + o->port_count * sizeof(c->port[0]));
	if (!c)
		return NULL;
	c->ports = o->port_count;
	c->sized = o->cols && o->rows;
	c->multiport = o->port_count > 1 || o->ports[0].name ||
		       !(o->ports[0].flags & VCORE_CONSOLE_PORT_CONSOLE);
	for (uint32_t i = 0; i < c->ports; i++) {
		p = &c->port[i];
		p->console = c;
		p->index = i;
		p->flags = o->ports[i].flags;
		p->stream = vcore_stream_ref(o->ports[i].stream);
		p->host_open = p->stream != NULL;
		p->size = (uint32_t)o->rows << 16 | o->cols;
		if (o->ports[i].name)
			snprintf(p->name, sizeof(p->name), "%s",
				 o->ports[i].name);
	}
	return c;
}

int
vcore_console_new(const struct vcore_console_opts *opts,
		  struct vcore_virtio **virtio)
{
	struct vcore_virtio_ops ops = console_ops;
	struct vcore_virtio_opts vo;
	struct vcore_console_opts o;
	struct vcore__console *c;
	int rc;

	if (!virtio)
		return vcore__err(NULL, -EINVAL,
				  "vcore_console_new: virtio is NULL");
	rc = VCORE__SIZED("vcore_console_new: opts", &o, name, opts);
	if (rc == 0)
		rc = check_opts(&o);
	if (rc < 0)
		return rc;
	c = make(&o);
	if (!c)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_console_new: no memory");
	ops.queues = c->multiport ? 2 * (c->ports + 1) : 2;
	ops.queue_group = ops.queues;
	VCORE_INIT(&vo);
	vo.ops = &ops;
	vo.opaque = c;
	vo.release = console_release;
	vo.queue_size = o.queue_size ? o.queue_size : 64;
	o.name[sizeof(o.name) - 1] = '\0';
	snprintf(vo.name, sizeof(vo.name), "%s",
		 o.name[0] ? o.name : "console");
	rc = vcore_virtio_new(&vo, &c->virtio);
	if (rc < 0) {
		console_release(c);
		return vcore__err(NULL, rc, "vcore_console_new: %s",
				  vcore_error_text());
	}
	*virtio = c->virtio;
	return 0;
}

static struct vcore__console *
of_virtio(struct vcore_virtio *v)
{
	return v && v->ops.queue_kick == console_queue_kick ? v->opaque : NULL;
}

int
vcore_console_resize(struct vcore_virtio *virtio, uint32_t port, uint16_t cols,
		     uint16_t rows)
{
	struct vcore__console *c = of_virtio(virtio);
	struct vcore__console_port *p;

	if (!c || port >= c->ports || !cols || !rows ||
	    !(c->port[port].flags & VCORE_CONSOLE_PORT_CONSOLE))
		return vcore__err(NULL, -EINVAL,
				  "vcore_console_resize: %s: port %u to %u x %u",
				  c ? vcore_virtio_name(virtio) : "no console",
				  port, cols, rows);
	if (!c->sized)
		return vcore__err(NULL, -EOPNOTSUPP,
				  "vcore_console_resize: '%s' was made without a size",
				  vcore_virtio_name(virtio));
	p = &c->port[port];
	p->size = (uint32_t)rows << 16 | cols;
	if (port == 0)
		(void)vcore_virtio_config_changed(virtio);
	if (c->multiport && virtio->queues) {
		atomic_fetch_or(&p->due, VCORE__CONSOLE_RESIZE);
		vcore__queue_kick(&virtio->queues[CONTROL_TO]);
	}
	return 0;
}
