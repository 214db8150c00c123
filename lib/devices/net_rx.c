/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving: frames of the link into the guest's buffers.
 *
 * As many chains are held as the recent frames needed, and the link writes
 * straight into them. What is longer goes behind them into a buffer of ours,
 * and from there into more chains. If there are none, the whole frame waits in
 * that buffer, and all others in the link. No chain is held between two calls.
 */
#include "devices/net.h"

#include <endian.h>

#include "backends/iov.h"
#include "base/base.h"
#include "memory/access.h"
#include "virtio/virtqueue.h"

static bool
is_mergeable(const struct vcore__net_pair *p)
{
	return (p->net->features & VCORE__NET_BIT(MRG_RXBUF)) != 0;
}

/* Can no more chains be held? */
static bool
is_full(const struct vcore__net_pair *p)
{
	if (!is_mergeable(p))
		return p->count > 0;
	return p->count == VCORE__NET_HELD || p->iovs >= VCORE__NET_HELD;
}

/* Hold chains with room for want bytes, if there are so many. */
static void
hold(struct vcore__net_pair *p, uint64_t want)
{
	struct vcore_chain *chain;

	if (p->first > 0) {
		memmove(p->held, p->held + p->first,
			p->count * sizeof(p->held[0]));
		p->first = 0;
	}
	while (p->room < want && !is_full(p) &&
	       vcore_virtqueue_pop(p->rx, &chain)) {
		p->held[p->count++] = chain;
		p->room += chain->writable_len;
		p->iovs += chain->readable + chain->writable;
		/* 5.1.6.3.1 */
		if (chain->writable_len < VCORE__NET_HDR)
			vcore_virtqueue_break(p->rx,
					      "receive buffer shorter than the header");
	}
}

/* Newest first, as unpop wants it. */
static void
give_back(struct vcore__net_pair *p)
{
	while (p->count > 0)
		vcore_virtqueue_unpop(p->rx,
				      p->held[p->first + --p->count]);
	p->first = 0;
	p->iovs = 0;
	p->room = 0;
}

/*
 * Where a frame goes: its head to us, then the room of the held chains, what
 * is longer to rx_buf at the place that it has in the frame.
 */
static uint32_t
frame_iov(struct vcore__net_pair *p)
{
	uint64_t skip = VCORE__NET_HEAD, max = VCORE__NET_BUF - VCORE__NET_HEAD;
	struct iovec *out = p->iov;
	struct vcore_chain *c;
	struct vcore__iov at;
	uint32_t n = 1, left, got;

	out[0].iov_base = &p->head;
	out[0].iov_len = VCORE__NET_HEAD;
	p->direct = 0;
	for (uint32_t i = 0; i < p->count; i++) {
		c = p->held[p->first + i];
		left = VCORE__NET_HELD + 1 - n;
		if (left == 0 || p->direct == max)
			break;
		if (skip >= c->writable_len) {
			skip -= c->writable_len;
			continue;
		}
		at = (struct vcore__iov){ .iov = c->iov + c->readable,
					  .count = c->writable };
		vcore__iov_advance(&at, skip);
		skip = 0;
		got = vcore__iov_window(&at, out + n, left, max - p->direct);
		p->direct += vcore__iov_len(out + n, got);
		n += got;
	}
	if (p->direct < max) {
		out[n].iov_base = p->rx_buf + VCORE__NET_HEAD + p->direct;
		out[n].iov_len = max - p->direct;
		n++;
	}
	return n;
}

/* Copy into the held chains, off bytes from their begin. */
static void
scatter(struct vcore__net_pair *p, uint64_t off, const uint8_t *buf,
	uint64_t len)
{
	struct vcore_chain *c;
	uint64_t n;

	for (uint32_t i = 0; i < p->count && len > 0; i++) {
		c = p->held[p->first + i];
		if (off >= c->writable_len) {
			off -= c->writable_len;
			continue;
		}
		n = vcore_chain_write(c, off, buf, len);
		buf += n;
		len -= n;
		off = 0;
	}
}

/* The frame waits: what went to the guest comes back. */
static void
keep(struct vcore__net_pair *p, uint32_t len)
{
	uint64_t n = len - VCORE__NET_HEAD;
	struct vcore__iov at = { .iov = p->iov + 1,
				 .count = VCORE__NET_HELD + 1 };

	if (p->pending)
		return;
	if (n > p->direct)
		n = p->direct;
	if (n > 0)
		vcore__iov_copy_from(&at, p->rx_buf + VCORE__NET_HEAD, n);
	p->pending = len;
	p->direct = 0;
}

/* How many held chains len bytes take. */
static uint32_t
chains_for(const struct vcore__net_pair *p, uint64_t len)
{
	uint64_t room = 0;
	uint32_t n = 0;

	while (n < p->count && room < len)
		room += p->held[p->first + n++]->writable_len;
	return n;
}

/* Return the first n chains: written bytes in all. */
static void
push(struct vcore__net_pair *p, uint32_t n, uint32_t written)
{
	struct vcore_chain *c;
	uint32_t part;

	for (uint32_t i = 0; i < n; i++) {
		c = p->held[p->first + i];
		part = written;
		if (part > c->writable_len)
			part = (uint32_t)c->writable_len;
		written -= part;
		p->room -= c->writable_len;
		p->iovs -= c->readable + c->writable;
		vcore_virtqueue_push(p->rx, c, part);
	}
	p->first += n;
	p->count -= n;
}

/* The frame goes into the chains, which have room for it. */
static void
deliver(struct vcore__net_pair *p, uint32_t len)
{
	struct virtio_net_hdr_v1 *hdr = &p->head.hdr;
	uint64_t behind = VCORE__NET_HEAD + p->direct;
	uint32_t n = chains_for(p, len);

	/* Before any chain is returned: 5.1.6.4.1. */
	hdr->num_buffers = htole16((uint16_t)n);
	scatter(p, 0, (const uint8_t *)&p->head, VCORE__NET_HEAD);
	if (len > behind)
		scatter(p, behind, p->rx_buf + behind, len - behind);
	push(p, n, len);
	p->pending = 0;
	vcore__net_count(&p->n.rx_frames, 1);
	vcore__net_count(&p->n.rx_bytes, len - VCORE__NET_HDR);
	vcore__net_count(&p->n.rx_merged, n > 1);
	vcore__net_count(&p->n.rx_gso,
			 hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE);
}

/*
 * A link's header, less what the driver has not accepted. false: it can't do
 * without. Shortly after the driver has given up an offload there may be such
 * frames on their way.
 */
static bool
clean_header(struct virtio_net_hdr_v1 *hdr, uint32_t offloads)
{
	static const uint32_t needs[] = {
		[VIRTIO_NET_HDR_GSO_TCPV4] = VCORE_LINK_OFFLOAD_TSO4,
		[VIRTIO_NET_HDR_GSO_UDP] = VCORE_LINK_OFFLOAD_UFO,
		[VIRTIO_NET_HDR_GSO_TCPV6] = VCORE_LINK_OFFLOAD_TSO6,
	};
	uint32_t type = hdr->gso_type & ~(uint32_t)VIRTIO_NET_HDR_GSO_ECN;

	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM |
		      VIRTIO_NET_HDR_F_DATA_VALID;
	if (!(offloads & VCORE_LINK_OFFLOAD_CSUM)) {
		if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			return false;
		hdr->flags = 0;
	}
	if (type == VIRTIO_NET_HDR_GSO_NONE) {
		hdr->gso_type = VIRTIO_NET_HDR_GSO_NONE;
		return true;
	}
	if (type >= VCORE__ARRAY_SIZE(needs) || !(offloads & needs[type]))
		return false;
	return !(hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN) ||
	       (offloads & VCORE_LINK_OFFLOAD_ECN);
}

/* Is this frame, of len bytes with header, for the guest? */
static bool
is_wanted(struct vcore__net_pair *p, int64_t len)
{
	uint32_t offloads = atomic_load_explicit(&p->net->offloads,
						 memory_order_relaxed);

	return len >= (int64_t)(VCORE__NET_HDR + VCORE__NET_ETH) &&
	       len <= (int64_t)VCORE__NET_BUF &&
	       clean_header(&p->head.hdr, offloads) &&
	       vcore__net_filter_wants(&p->filter, p->head.dst);
}

/* A copy of the device's filter, taken when that has changed. */
static void
update_filter(struct vcore__net_pair *p)
{
	struct vcore__net *net = p->net;

	if (atomic_load_explicit(&net->filter_seq, memory_order_acquire) ==
	    p->filter_seq)
		return;
	pthread_mutex_lock(&net->lock);
	p->filter = net->filter;
	p->filter_seq = net->filter_seq;
	pthread_mutex_unlock(&net->lock);
}

enum outcome { GO_ON, NO_FRAME, NO_BUFFERS };

/* The frame in hand to the guest. */
static enum outcome
place(struct vcore__net_pair *p, uint32_t len)
{
	if (p->room < len)
		hold(p, len);
	if (p->room < len && p->count > 0 && is_full(p)) {
		/* It can't ever fit into such buffers. */
		p->pending = 0;
		vcore__net_count(&p->n.rx_dropped, 1);
		return GO_ON;
	}
	if (p->room < len) {
		keep(p, len);
		return NO_BUFFERS;
	}
	deliver(p, len);
	if (len > p->target)
		p->target = len;
	else if (p->target > VCORE__NET_TARGET)
		p->target -= (p->target - VCORE__NET_TARGET) / 8 + 1;
	return GO_ON;
}

/* A link that does nothing but fail is not asked for ever. */
static enum outcome
failed(struct vcore__net_pair *p)
{
	if (++p->errors == VCORE__NET_ERRORS) {
		p->failed = true;
		vcore__net_set_down(p->net, true);
	}
	return NO_FRAME;
}

static enum outcome
receive_one(struct vcore__net_pair *p)
{
	int64_t len;

	if (p->pending)
		return place(p, p->pending);
	hold(p, p->target);
	if (p->count == 0)
		return NO_BUFFERS;
	len = vcore_link_receive(p->net->link, p->queue, p->iov, frame_iov(p));
	if (len == -EAGAIN)
		return NO_FRAME;
	if (len < 0 && len != -EMSGSIZE)
		return failed(p);
	p->errors = 0;
	if (!is_wanted(p, len)) {
		vcore__net_count(&p->n.rx_dropped, 1);
		return GO_ON;
	}
	return place(p, (uint32_t)len);
}

void
vcore__net_receive(struct vcore__net_pair *p)
{
	enum outcome outcome = GO_ON;
	uint64_t begin = p->n.rx_bytes;

	update_filter(p);
	vcore_virtqueue_disable_kick(p->rx);
	for (uint32_t i = 0; i < VCORE__NET_FRAMES && outcome == GO_ON; i++) {
		outcome = receive_one(p);
		if (outcome == NO_BUFFERS && vcore_virtqueue_enable_kick(p->rx))
			outcome = GO_ON;
		if (p->n.rx_bytes - begin >= VCORE__NET_BYTES)
			break;
	}
	give_back(p);
	vcore_virtqueue_flush(p->rx);
	p->starved = outcome == NO_BUFFERS;
	if (p->pending && !p->starved) {
		/* The link would not tell of the frame that waits here. */
		p->starved = true;
		vcore__virtqueue_again(p->rx);
	}
}
