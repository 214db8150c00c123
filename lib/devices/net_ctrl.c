/* SPDX-License-Identifier: BSD-3-Clause */
/* The control queue: receive filters, offloads, number of pairs. 5.1.6.5 */
#include "devices/net.h"

#include <endian.h>

#include "base/base.h"
#include "virtio/virtio.h"

#define MAC_LEN 6u

/* A command being carried out. */
struct command {
	struct vcore__net *net;
	const struct vcore_chain *chain;
	struct virtio_net_ctrl_hdr hdr;
	uint64_t at;			/* read so far */
};

/* The next bytes of a command: false if there are not so many. */
static bool
next(struct command *c, void *buf, uint64_t len)
{
	if (vcore_chain_read(c->chain, c->at, buf, len) != len)
		return false;
	c->at += len;
	return true;
}

/* All there is, of exactly this length. */
static bool
only(struct command *c, void *buf, uint64_t len)
{
	return c->chain->readable_len - c->at == len && next(c, buf, len);
}

static bool
has(const struct command *c, uint64_t feature)
{
	return (c->net->features & feature) != 0;
}

static bool
rx_mode(struct command *c)
{
	struct vcore__net *net = c->net;
	uint8_t on;

	if (!has(c, VCORE__NET_BIT(CTRL_RX)) ||
	    c->hdr.cmd >= VCORE__ARRAY_SIZE(net->filter.mode) ||
	    (c->hdr.cmd > VIRTIO_NET_CTRL_RX_ALLMULTI &&
	     !has(c, VCORE__NET_BIT(CTRL_RX_EXTRA))) ||
	    !only(c, &on, sizeof(on)))
		return false;
	pthread_mutex_lock(&net->lock);
	net->filter.mode[c->hdr.cmd] = on != 0;
	net->filter_seq++;
	pthread_mutex_unlock(&net->lock);
	return true;
}

/*
 * One half of a table: a count and addresses. As many as fit are put at
 * f->macs[first]; *stored says how many, *all that there were more.
 */
static bool
read_macs(struct command *c, struct vcore__net_filter *f, uint32_t first,
	  uint8_t *stored, bool *all)
{
	uint64_t left, len;
	uint32_t count, n;

	if (!next(c, &count, sizeof(count)))
		return false;
	count = le32toh(count);
	left = c->chain->readable_len - c->at;
	len = (uint64_t)count * MAC_LEN;
	if (len > left)
		return false;
	n = count < VCORE__NET_MACS - first ? count : VCORE__NET_MACS - first;
	*all = n < count;
	*stored = (uint8_t)n;
	if (n > 0)
		vcore_chain_read(c->chain, c->at, f->macs[first],
				 (uint64_t)n * MAC_LEN);
	c->at += len;
	return true;
}

static bool
mac_table(struct command *c)
{
	struct vcore__net_filter f;
	struct vcore__net *net = c->net;

	if (!has(c, VCORE__NET_BIT(CTRL_RX)))
		return false;
	memset(&f, 0, sizeof(f));
	if (!read_macs(c, &f, 0, &f.unicasts, &f.all_unicasts) ||
	    !read_macs(c, &f, f.unicasts, &f.multicasts, &f.all_multicasts) ||
	    c->at != c->chain->readable_len)
		return false;
	pthread_mutex_lock(&net->lock);
	f.on = net->filter.on;
	memcpy(f.mode, net->filter.mode, sizeof(f.mode));
	memcpy(f.mac, net->filter.mac, sizeof(f.mac));
	net->filter = f;
	net->filter_seq++;
	pthread_mutex_unlock(&net->lock);
	return true;
}

static bool
mac_address(struct command *c)
{
	struct vcore__net *net = c->net;
	uint8_t mac[MAC_LEN];

	if (!has(c, VCORE__NET_BIT(CTRL_MAC_ADDR)) ||
	    !only(c, mac, sizeof(mac)) || (mac[0] & 1))
		return false;
	pthread_mutex_lock(&net->lock);
	memcpy(net->filter.mac, mac, sizeof(mac));
	net->filter_seq++;
	pthread_mutex_unlock(&net->lock);
	(void)vcore_virtio_config_changed(net->virtio);
	return true;
}

/* The pairs' loops see the new number when their queues are kicked. */
static bool
pairs(struct command *c)
{
	struct vcore__net *net = c->net;
	uint16_t n;

	if (!has(c, VCORE__NET_BIT(MQ)) ||
	    c->hdr.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !only(c, &n, sizeof(n)))
		return false;
	n = le16toh(n);
	if (n < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || n > net->pairs)
		return false;
	net->active = n;
	for (uint32_t i = 0; i < 2 * net->pairs; i++)
		vcore__queue_kick(&net->virtio->queues[i]);
	return true;
}

static bool
guest_offloads(struct command *c)
{
	const uint64_t all = VCORE__NET_BIT(GUEST_CSUM) |
			     VCORE__NET_BIT(GUEST_TSO4) |
			     VCORE__NET_BIT(GUEST_TSO6) |
			     VCORE__NET_BIT(GUEST_ECN) |
			     VCORE__NET_BIT(GUEST_UFO);
	struct vcore__net *net = c->net;
	uint32_t offloads;
	uint64_t bits;

	if (!has(c, VCORE__NET_BIT(CTRL_GUEST_OFFLOADS)) ||
	    c->hdr.cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    !only(c, &bits, sizeof(bits)))
		return false;
	bits = le64toh(bits);
	if (bits & ~(all & net->features))
		return false;
	offloads = vcore__net_rx_offloads(bits);
	if (vcore_link_set_offloads(net->link, offloads) < 0)
		return false;
	net->offloads = offloads;
	return true;
}

static bool
carry_out(struct command *c)
{
	if (!next(c, &c->hdr, sizeof(c->hdr)))
		return false;
	switch (c->hdr.class) {
	case VIRTIO_NET_CTRL_RX:
		return rx_mode(c);
	case VIRTIO_NET_CTRL_MAC:
		if (c->hdr.cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET)
			return mac_table(c);
		return c->hdr.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET &&
		       mac_address(c);
	case VIRTIO_NET_CTRL_MQ:
		return pairs(c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return guest_offloads(c);
	default:
		return false;
	}
}

void
vcore__net_control(struct vcore__net *net, struct vcore_virtqueue *q)
{
	struct vcore_chain *chain;
	struct command c;
	uint8_t ack;

	while (vcore_virtqueue_pop(q, &chain)) {
		if (chain->writable_len == 0) {
			vcore_virtqueue_break(q,
					      "control command without room for the answer");
			break;
		}
		c = (struct command){ .net = net, .chain = chain };
		ack = carry_out(&c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		vcore_chain_write(chain, 0, &ack, sizeof(ack));
		vcore_virtqueue_push(q, chain, sizeof(ack));
	}
	vcore_virtqueue_flush(q);
}

static bool
is_in(const struct vcore__net_filter *f, uint32_t first, uint32_t count,
      const uint8_t dst[MAC_LEN])
{
	for (uint32_t i = first; i < first + count; i++)
		if (memcmp(f->macs[i], dst, MAC_LEN) == 0)
			return true;
	return false;
}

bool
vcore__net_filter_wants(const struct vcore__net_filter *f,
			const uint8_t dst[MAC_LEN])
{
	static const uint8_t broadcast[MAC_LEN] = { 255, 255, 255,
						    255, 255, 255 };
	const bool *mode = f->mode;

	if (!f->on || mode[VIRTIO_NET_CTRL_RX_PROMISC])
		return true;
	if (memcmp(dst, broadcast, MAC_LEN) == 0)
		return !mode[VIRTIO_NET_CTRL_RX_NOBCAST];
	if (dst[0] & 1)
		return !mode[VIRTIO_NET_CTRL_RX_NOMULTI] &&
		       (mode[VIRTIO_NET_CTRL_RX_ALLMULTI] ||
			f->all_multicasts ||
			is_in(f, f->unicasts, f->multicasts, dst));
	return !mode[VIRTIO_NET_CTRL_RX_NOUNI] &&
	       (mode[VIRTIO_NET_CTRL_RX_ALLUNI] || f->all_unicasts ||
		memcmp(dst, f->mac, MAC_LEN) == 0 ||
		is_in(f, 0, f->unicasts, dst));
}

void
vcore__net_filter_reset(struct vcore__net *net)
{
	pthread_mutex_lock(&net->lock);
	memset(&net->filter, 0, sizeof(net->filter));
	memcpy(net->filter.mac, net->first_mac, MAC_LEN);
	/* Until the driver has said what it wants it gets everything. */
	net->filter.mode[VIRTIO_NET_CTRL_RX_PROMISC] = true;
	net->filter_seq++;
	pthread_mutex_unlock(&net->lock);
}
