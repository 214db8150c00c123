/* SPDX-License-Identifier: BSD-3-Clause */
/* The control queues of a console with several ports: 5.3.6.2. */
#include "devices/console.h"

#include <endian.h>

#include "base/base.h"
#include "virtio/virtio.h"

struct message {
	struct virtio_console_control head;
	char body[VCORE__CONSOLE_NAME];
	uint32_t body_len;
};

/* What a message says is looked up when it is sent: so it is the newest. */
static void
compose(const struct vcore__console_port *p, uint32_t what, struct message *m)
{
	uint32_t size = p->size;
	uint16_t event = 0, value = 1, pair[2];

	memset(m, 0, sizeof(*m));
	switch (what) {
	case VCORE__CONSOLE_ADD:
		event = VIRTIO_CONSOLE_PORT_ADD;
		break;
	case VCORE__CONSOLE_CONSOLE:
		event = VIRTIO_CONSOLE_CONSOLE_PORT;
		break;
	case VCORE__CONSOLE_RESIZE:
		/*
		 * 5.3.6.2 has columns first, Linux reads rows first; no other
		 * driver is known to look.
		 */
		event = VIRTIO_CONSOLE_RESIZE;
		pair[0] = htole16((uint16_t)(size >> 16));
		pair[1] = htole16((uint16_t)size);
		memcpy(m->body, pair, sizeof(pair));
		m->body_len = sizeof(pair);
		break;
	case VCORE__CONSOLE_NAMED:
		event = VIRTIO_CONSOLE_PORT_NAME;
		m->body_len = (uint32_t)strlen(p->name);
		memcpy(m->body, p->name, m->body_len);
		break;
	default:
		event = VIRTIO_CONSOLE_PORT_OPEN;
		value = p->host_open;
		break;
	}
	m->head.id = htole32(p->index);
	m->head.event = htole16(event);
	m->head.value = htole16(value);
}

/* false: no buffer for it now */
static bool
send(struct vcore__console *c, const struct message *m)
{
	uint64_t len = sizeof(m->head);
	struct vcore_chain *chain;

	if (!vcore_virtqueue_pop(c->control, &chain))
		return false;
	if (chain->writable_len < len) {
		vcore_virtqueue_break(c->control,
				      "control buffer shorter than a message");
		return false;
	}
	vcore_chain_write(chain, 0, &m->head, len);
	len += vcore_chain_write(chain, len, m->body, m->body_len);
	vcore_virtqueue_push(c->control, chain, (uint32_t)len);
	return true;
}

/* Send what a port owes: false if there are no more buffers. */
static bool
tell_port(struct vcore__console_port *p)
{
	/* A driver that does not know the port yet would not understand. */
	uint32_t last = p->known ? VCORE__CONSOLE_LAST : VCORE__CONSOLE_ADD;
	struct message m;

	for (uint32_t what = VCORE__CONSOLE_ADD; what <= last; what <<= 1) {
		if (!(atomic_fetch_and(&p->due, ~what) & what))
			continue;
		compose(p, what, &m);
		if (!send(p->console, &m)) {
			atomic_fetch_or(&p->due, what);
			return false;
		}
	}
	return true;
}

void
vcore__console_tell(struct vcore__console *c)
{
	bool room = true;

	if (!c->control)
		return;
	for (uint32_t i = 0; room && i < c->ports; i++)
		room = tell_port(&c->port[i]);
	vcore_virtqueue_flush(c->control);
}

/* A port is known to the driver: what it has to know about it. */
static void
introduce(struct vcore__console_port *p)
{
	uint32_t due = VCORE__CONSOLE_OPEN;

	p->known = true;
	if (p->flags & VCORE_CONSOLE_PORT_CONSOLE) {
		due |= VCORE__CONSOLE_CONSOLE;
		if (p->console->sized)
			due |= VCORE__CONSOLE_RESIZE;
	}
	if (p->name[0])
		due |= VCORE__CONSOLE_NAMED;
	atomic_fetch_or(&p->due, due);
}

static void
hear(struct vcore__console *c, const struct virtio_console_control *m)
{
	uint32_t id = le32toh(m->id);
	uint16_t event = le16toh(m->event), value = le16toh(m->value);
	struct vcore__console_port *p = id < c->ports ? &c->port[id] : NULL;

	if (event == VIRTIO_CONSOLE_DEVICE_READY) {
		/* Otherwise it could not be set up. */
		for (uint32_t i = 0; value && i < c->ports; i++)
			atomic_fetch_or(&c->port[i].due, VCORE__CONSOLE_ADD);
	} else if (p && event == VIRTIO_CONSOLE_PORT_READY) {
		if (value)
			introduce(p);
	} else if (p && event == VIRTIO_CONSOLE_PORT_OPEN) {
		vcore__console_port_open(p, value != 0);
	} else {
		vcore__virtio_bad(c->virtio,
				  p ? "unknown control event" :
				      "control message for port",
				  p ? event : id);
	}
}

void
vcore__console_hear(struct vcore__console *c, struct vcore_virtqueue *q)
{
	struct virtio_console_control m;
	struct vcore_chain *chain;
	uint64_t n;

	while (vcore_virtqueue_pop(q, &chain)) {
		n = vcore_chain_read(chain, 0, &m, sizeof(m));
		vcore_virtqueue_push(q, chain, 0);
		if (n == sizeof(m))
			hear(c, &m);
		else
			vcore__virtio_bad(c->virtio,
					  "control message of bytes", n);
	}
	vcore_virtqueue_flush(q);
	vcore__console_tell(c);
}
