/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transmitting: frames of the guest to the link, straight from its buffers.
 *
 * Only the header is copied, checked and replaced by the copy. While the link
 * is full the chains stay in the queue.
 */
#include "devices/net.h"

#include <endian.h>

#include "backends/iov.h"
#include "base/base.h"
#include "virtio/virtqueue.h"

/* The feature a segmentation needs: 5.1.6.2.2. 0: no such type. */
static uint64_t
gso_needs(uint32_t type)
{
	switch (type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return VCORE__NET_BIT(HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return VCORE__NET_BIT(HOST_TSO6);
	case VIRTIO_NET_HDR_GSO_UDP:
		return VCORE__NET_BIT(HOST_UFO);
	default:
		return 0;
	}
}

static bool
gso_check(const struct virtio_net_hdr_v1 *hdr, uint64_t features,
	  uint32_t len)
{
	uint32_t type = hdr->gso_type & ~(uint32_t)VIRTIO_NET_HDR_GSO_ECN;

	if (!(features & gso_needs(type)))
		return false;
	if ((hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN) &&
	    !(features & VCORE__NET_BIT(HOST_ECN)))
		return false;
	return (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	       hdr->gso_size != 0 && le16toh(hdr->hdr_len) <= len;
}

bool
vcore__net_hdr_check(struct virtio_net_hdr_v1 *hdr, uint64_t features,
		     uint32_t len)
{
	uint32_t start = le16toh(hdr->csum_start);
	uint32_t offset = le16toh(hdr->csum_offset);

	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->num_buffers = 0;
	if (hdr->flags) {
		if (!(features & VCORE__NET_BIT(CSUM)) ||
		    start < VCORE__NET_ETH || start + offset + 2 > len)
			return false;
	} else {
		hdr->csum_start = 0;
		hdr->csum_offset = 0;
	}
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return gso_check(hdr, features, len);
	hdr->hdr_len = 0;
	hdr->gso_size = 0;
	return true;
}

/* The frame of a chain as iovecs: how many; the first is the header's. */
static uint32_t
frame_iov(struct vcore__net_pair *p, const struct vcore_chain *chain,
	  uint32_t len)
{
	struct vcore__iov at = { .iov = chain->iov, .count = chain->readable };

	if (chain->readable <= VCORE__NET_HELD) {
		vcore__iov_advance(&at, VCORE__NET_HDR);
		return 1 + vcore__iov_window(&at, p->iov + 1, VCORE__NET_HELD,
					     len);
	}
	/* More pieces than a host would take at once. */
	vcore_chain_read(chain, VCORE__NET_HDR, p->tx_buf, len);
	p->iov[1].iov_base = p->tx_buf;
	p->iov[1].iov_len = len;
	return 2;
}

/* 0, or -EAGAIN: the link is full. Everything else ends with the frame gone. */
static int
send_one(struct vcore__net_pair *p, const struct vcore_chain *chain)
{
	struct vcore__net *net = p->net;
	struct virtio_net_hdr_v1 hdr;
	uint32_t len, n;
	int rc = -EINVAL;

	if (chain->readable_len < VCORE__NET_HDR + VCORE__NET_ETH ||
	    chain->readable_len > VCORE__NET_BUF)
		goto out;
	len = (uint32_t)chain->readable_len - VCORE__NET_HDR;
	vcore_chain_read(chain, 0, &hdr, sizeof(hdr));
	if (!vcore__net_hdr_check(&hdr, net->features, len))
		goto out;
	n = frame_iov(p, chain, len);
	p->iov[0].iov_base = &hdr;
	p->iov[0].iov_len = sizeof(hdr);
	rc = vcore_link_send(net->link, p->queue, p->iov, n);
	/* A link that is down may never say that it can go on. */
	if (rc == -EAGAIN && !net->down)
		return rc;
	if (rc == 0) {
		vcore__net_set_down(net, false);
		p->failed = false;
		p->errors = 0;
		vcore__net_count(&p->n.tx_frames, 1);
		vcore__net_count(&p->n.tx_bytes, len);
		vcore__net_count(&p->n.tx_gso, hdr.gso_type != 0);
	}
out:
	vcore__net_count(&p->n.tx_dropped, rc < 0);
	return 0;
}

void
vcore__net_transmit(struct vcore__net_pair *p)
{
	uint64_t begin = p->n.tx_bytes;
	struct vcore_chain *chain;
	uint32_t frames = 0;

	p->blocked = false;
	vcore_virtqueue_disable_kick(p->tx);
	for (;;) {
		if (!vcore_virtqueue_pop(p->tx, &chain)) {
			if (vcore_virtqueue_enable_kick(p->tx))
				continue;
			break;
		}
		if (send_one(p, chain) < 0) {
			vcore_virtqueue_unpop(p->tx, chain);
			p->blocked = true;
			break;
		}
		vcore_virtqueue_push(p->tx, chain, 0);
		if (++frames == VCORE__NET_FRAMES ||
		    p->n.tx_bytes - begin >= VCORE__NET_BYTES) {
			vcore__virtqueue_again(p->tx);
			break;
		}
	}
	vcore_virtqueue_flush(p->tx);
}
