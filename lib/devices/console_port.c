/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data of a console's port: bytes between a stream and two queues.
 *
 * No chain is held between two calls. One that the stream took in part stays
 * the first of its queue, and `sent` says how much of it is done.
 */
#include "devices/console.h"

#include "base/base.h"
#include "virtio/virtio.h"

static bool
is_open(const struct vcore__console_port *p)
{
	return p->guest_open || !vcore__console_is_multiport(p->console);
}

/* The other end came or went: the driver is told. */
static void
set_host_open(struct vcore__console_port *p, bool open)
{
	if (p->host_open == open)
		return;
	p->host_open = open;
	atomic_fetch_or(&p->due, VCORE__CONSOLE_OPEN);
	vcore__console_tell(p->console);
}

static void
update_wanted(struct vcore__console_port *p)
{
	uint32_t wanted = 0;

	if (!p->attached)
		return;
	if (p->rx && is_open(p) && !p->starved && !p->ended)
		wanted |= VCORE_STREAM_READABLE;
	if (p->tx && p->blocked)
		wanted |= VCORE_STREAM_WRITABLE;
	if (wanted != p->wanted && vcore_stream_want(p->stream, wanted) == 0)
		p->wanted = wanted;
}

/* Input for one chain: how many bytes, or what the stream says. */
static int64_t
fill(struct vcore__console_port *p, const struct vcore_chain *chain)
{
	uint64_t len = chain->writable_len;
	uint8_t *buf = p->console->buf;
	int64_t n;

	if (len > sizeof(p->console->buf))
		len = sizeof(p->console->buf);
	n = vcore_stream_read(p->stream, buf, len);
	if (n > (int64_t)len)
		return -EIO;
	if (n > 0)
		vcore_chain_write(chain, 0, buf, (uint64_t)n);
	return n;
}

/* From the stream to the guest. */
static void
input(struct vcore__console_port *p)
{
	struct vcore_virtqueue *q = p->rx;
	struct vcore_chain *chain;
	uint32_t total = 0;
	int64_t n;

	p->starved = false;
	for (uint32_t i = 0; i < VCORE__CONSOLE_CHAINS; i++) {
		if (!vcore_virtqueue_pop(q, &chain)) {
			p->starved = true;
			break;
		}
		if (chain->writable_len == 0) {
			vcore_virtqueue_break(q, "console input without room");
			p->starved = true;
			break;
		}
		n = fill(p, chain);
		if (n <= 0) {
			vcore_virtqueue_unpop(q, chain);
			p->ended = n != -EAGAIN;
			break;
		}
		vcore_virtqueue_push(q, chain, (uint32_t)n);
		total += (uint32_t)n;
		if (total >= VCORE__CONSOLE_BYTES)
			break;
	}
	vcore_virtqueue_flush(q);
	if (total > 0)
		set_host_open(p, true);
}

/*
 * Output of one chain: 0: all of it is done; -EAGAIN: the rest waits for the
 * stream; -EINPROGRESS: this call has moved enough.
 */
static int
drain(struct vcore__console_port *p, const struct vcore_chain *chain,
      uint64_t *budget)
{
	uint8_t *buf = p->console->buf;
	uint64_t len;
	int64_t n;

	while (p->sent < chain->readable_len) {
		if (*budget == 0)
			return -EINPROGRESS;
		len = vcore_chain_read(chain, p->sent, buf,
				       sizeof(p->console->buf));
		n = p->stream ? vcore_stream_write(p->stream, buf, len) :
				-EPIPE;
		if (n == -EAGAIN)
			return -EAGAIN;
		if (n <= 0 || (uint64_t)n > len)
			break;	/* nobody there: dropped */
		set_host_open(p, true);
		p->sent += (uint64_t)n;
		*budget -= (uint64_t)n < *budget ? (uint64_t)n : *budget;
	}
	p->sent = 0;
	return 0;
}

/* From the guest to the stream. */
static void
output(struct vcore__console_port *p)
{
	struct vcore_virtqueue *q = p->tx;
	uint64_t budget = VCORE__CONSOLE_BYTES;
	struct vcore_chain *chain;
	uint32_t i;
	int rc = 0;

	for (i = 0; i < VCORE__CONSOLE_CHAINS; i++) {
		if (!vcore_virtqueue_pop(q, &chain))
			break;
		rc = drain(p, chain, &budget);
		if (rc < 0) {
			vcore_virtqueue_unpop(q, chain);
			break;
		}
		vcore_virtqueue_push(q, chain, 0);
	}
	vcore_virtqueue_flush(q);
	p->blocked = rc == -EAGAIN;
	if (rc == -EINPROGRESS || i == VCORE__CONSOLE_CHAINS)
		vcore__virtqueue_again(q);
}

static void
on_ready(void *opaque, uint32_t ready)
{
	struct vcore__console_port *p = opaque;

	if (ready == VCORE_STREAM_READABLE)
		set_host_open(p, true);
	if (p->rx && is_open(p) && (ready & VCORE_STREAM_READABLE))
		input(p);
	/* After a hang-up what waits is refused, and so dropped. */
	if (p->tx && p->blocked)
		output(p);
	if (ready & VCORE_STREAM_HANGUP)
		set_host_open(p, false);
	update_wanted(p);
}

static int
attach(struct vcore__console_port *p)
{
	int rc;

	if (p->attached || !p->stream)
		return 0;
	rc = vcore_stream_attach(p->stream, p->console->loop, on_ready, p);
	p->attached = rc == 0;
	p->wanted = 0;
	p->ended = false;
	return rc;
}

int
vcore__console_port_start(struct vcore__console_port *p,
			  struct vcore_virtqueue *q, bool tx)
{
	int rc = attach(p);

	if (rc < 0)
		return rc;
	if (tx) {
		p->tx = q;
		p->blocked = false;
	} else {
		p->rx = q;
		p->starved = false;
	}
	update_wanted(p);
	return 0;
}

void
vcore__console_port_stop(struct vcore__console_port *p, bool tx, uint32_t how)
{
	if (tx) {
		p->tx = NULL;
		p->blocked = false;
		if (how == VCORE_VIRTIO_STOP_DROP)
			p->sent = 0;
	} else {
		p->rx = NULL;
	}
	if (p->attached && !p->rx && !p->tx) {
		vcore_stream_detach(p->stream);
		p->attached = false;
	}
	update_wanted(p);
}

void
vcore__console_port_kick(struct vcore__console_port *p, bool tx)
{
	if (tx && p->tx && !p->blocked)
		output(p);
	if (!tx && p->rx && p->starved && p->attached && is_open(p) &&
	    !p->ended)
		input(p);
	update_wanted(p);
}

void
vcore__console_port_open(struct vcore__console_port *p, bool open)
{
	p->guest_open = open;
	update_wanted(p);
}
