/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device: features, configuration, queues started and stopped. */
#include "devices/net.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/base.h"
#include "virtio/virtio.h"

#define BIT VCORE__NET_BIT

/* A feature, and one of which another must be there: 5.1.3.1. */
static const struct {
	uint64_t feature, needs;
} needs[] = {
	{ BIT(GUEST_TSO4), BIT(GUEST_CSUM) },
	{ BIT(GUEST_TSO6), BIT(GUEST_CSUM) },
	{ BIT(GUEST_UFO), BIT(GUEST_CSUM) },
	{ BIT(GUEST_ECN), BIT(GUEST_TSO4) | BIT(GUEST_TSO6) },
	{ BIT(HOST_TSO4), BIT(CSUM) },
	{ BIT(HOST_TSO6), BIT(CSUM) },
	{ BIT(HOST_UFO), BIT(CSUM) },
	{ BIT(HOST_ECN), BIT(HOST_TSO4) | BIT(HOST_TSO6) },
	{ BIT(CTRL_RX), BIT(CTRL_VQ) },
	{ BIT(CTRL_RX_EXTRA), BIT(CTRL_RX) },
	{ BIT(CTRL_GUEST_OFFLOADS), BIT(CTRL_VQ) },
	{ BIT(CTRL_MAC_ADDR), BIT(CTRL_VQ) },
	{ BIT(MQ), BIT(CTRL_VQ) },
};

/* What an offload of the link is towards the device, and towards the guest. */
static const struct {
	uint32_t offload;
	uint64_t host, guest;
} offloads[] = {
	{ VCORE_LINK_OFFLOAD_CSUM, BIT(CSUM), BIT(GUEST_CSUM) },
	{ VCORE_LINK_OFFLOAD_TSO4, BIT(HOST_TSO4), BIT(GUEST_TSO4) },
	{ VCORE_LINK_OFFLOAD_TSO6, BIT(HOST_TSO6), BIT(GUEST_TSO6) },
	{ VCORE_LINK_OFFLOAD_ECN, BIT(HOST_ECN), BIT(GUEST_ECN) },
	{ VCORE_LINK_OFFLOAD_UFO, BIT(HOST_UFO), BIT(GUEST_UFO) },
};

uint32_t
vcore__net_rx_offloads(uint64_t features)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < VCORE__ARRAY_SIZE(offloads); i++)
		if (features & offloads[i].guest)
			bits |= offloads[i].offload;
	return bits;
}

static uint64_t
net_features(void *opaque)
{
	struct vcore__net *net = opaque;
	uint32_t link = vcore_link_offloads(net->link);
	uint64_t f = BIT(MAC) | BIT(MRG_RXBUF) | BIT(STATUS) | BIT(CTRL_VQ) |
		     BIT(CTRL_RX) | BIT(CTRL_RX_EXTRA) | BIT(CTRL_MAC_ADDR);

	if (net->mtu)
		f |= BIT(MTU);
	if (net->pairs > 1)
		f |= BIT(MQ);
	for (size_t i = 0; i < VCORE__ARRAY_SIZE(offloads); i++)
		if (link & offloads[i].offload)
			f |= offloads[i].host | offloads[i].guest;
	if (f & BIT(GUEST_CSUM))
		f |= BIT(CTRL_GUEST_OFFLOADS);
	f &= ~net->features_off;
	for (size_t i = 0; i < VCORE__ARRAY_SIZE(needs); i++)
		if (!(f & needs[i].needs))
			f &= ~needs[i].feature;
	return f;
}

/* Device's lock, no queue runs. */
static int
net_set_features(void *opaque, uint64_t features)
{
	struct vcore__net *net = opaque;
	uint32_t bits = vcore__net_rx_offloads(features);
	int rc;

	for (size_t i = 0; i < VCORE__ARRAY_SIZE(needs); i++)
		if ((features & needs[i].feature) &&
		    !(features & needs[i].needs))
			return -EINVAL;
	rc = vcore_link_set_offloads(net->link, bits);
	if (rc < 0)
		return rc;
	net->offloads = bits;
	net->features = features;
	pthread_mutex_lock(&net->lock);
	net->filter.on = (features & BIT(CTRL_RX)) != 0;
	net->filter_seq++;
	pthread_mutex_unlock(&net->lock);
	return 0;
}

/* 5.1.4; nothing is writable with VERSION_1. */
static int
net_config(void *opaque, uint32_t off, void *buf, uint32_t len, int write)
{
	struct vcore__net *net = opaque;
	struct virtio_net_config c;

	if (write)
		return -EPERM;
	memset(&c, 0, sizeof(c));
	pthread_mutex_lock(&net->lock);
	memcpy(c.mac, net->filter.mac, sizeof(c.mac));
	pthread_mutex_unlock(&net->lock);
	c.status = htole16(net->down ? 0 : VIRTIO_NET_S_LINK_UP);
	c.max_virtqueue_pairs = htole16((uint16_t)net->pairs);
	c.mtu = htole16(net->mtu);
	memcpy(buf, (const uint8_t *)&c + off, len);
	return 0;
}

void
vcore__net_set_down(struct vcore__net *net, bool down)
{
	if (atomic_load_explicit(&net->down, memory_order_relaxed) == down ||
	    atomic_exchange(&net->down, down) == down)
		return;
	(void)vcore_virtio_config_changed(net->virtio);
}

/* Tell the link's queue what this pair waits for. */
static void
update_wanted(struct vcore__net_pair *p)
{
	uint32_t wanted = 0;

	if (!p->attached)
		return;
	if (p->rx && !p->starved && !p->failed)
		wanted |= VCORE_LINK_READABLE;
	if (p->tx && p->blocked)
		wanted |= VCORE_LINK_WRITABLE;
	if (wanted != p->wanted &&
	    vcore_link_want(p->net->link, p->queue, wanted) == 0)
		p->wanted = wanted;
}

static void
on_ready(void *opaque, uint32_t ready)
{
	struct vcore__net_pair *p = opaque;

	if (ready & VCORE_LINK_DOWN)
		vcore__net_set_down(p->net, true);
	else
		vcore__net_set_down(p->net, false);
	if (p->rx && (ready & VCORE_LINK_READABLE))
		vcore__net_receive(p);
	if (p->tx && p->blocked &&
	    (ready & (VCORE_LINK_WRITABLE | VCORE_LINK_DOWN)))
		vcore__net_transmit(p);
	update_wanted(p);
}

static int
attach(struct vcore__net_pair *p, struct vcore_virtqueue *q)
{
	int rc = vcore_link_attach(p->net->link, p->index,
				   vcore_virtqueue_loop(q), on_ready, p,
				   &p->queue);

	p->attached = rc == 0;
	p->wanted = 0;
	p->target = VCORE__NET_TARGET;
	/* What waits here the link would not tell of: a kick follows. */
	p->starved = p->pending != 0;
	p->failed = false;
	p->errors = 0;
	p->blocked = false;
	return rc;
}

static void
detach(struct vcore__net_pair *p)
{
	if (p->attached)
		vcore_link_detach(p->net->link, p->queue);
	p->attached = false;
}

/*
 * Attach the pair to the link while the driver has it switched on and one of
 * its queues runs; detach it otherwise. q: one of its queues, for the loop.
 */
static int
update_attached(struct vcore__net_pair *p, struct vcore_virtqueue *q)
{
	bool on = (p->rx || p->tx) && p->index < p->net->active;

	if (on && !p->attached)
		return attach(p, q);
	if (!on)
		detach(p);
	return 0;
}

/* The pair of a queue; NULL: none that the driver has negotiated. */
static struct vcore__net_pair *
pair_of(struct vcore__net *net, uint32_t index)
{
	uint32_t n = net->features & BIT(MQ) ? net->pairs : 1;

	return index / 2 < n ? &net->pair[index / 2] : NULL;
}

/* 5.1.2: behind all pairs, or behind the first one without MQ. */
static bool
is_control(const struct vcore__net *net, uint32_t index)
{
	return (net->features & BIT(CTRL_VQ)) &&
	       index == (net->features & BIT(MQ) ? 2 * net->pairs : 2);
}

static int
net_queue_start(void *opaque, struct vcore_virtqueue *q)
{
	struct vcore__net *net = opaque;
	uint32_t index = vcore_virtqueue_index(q);
	struct vcore__net_pair *p = pair_of(net, index);
	struct vcore_virtqueue **mine, *other;
	int rc;

	if (!p)
		return 0;
	mine = index & 1 ? &p->tx : &p->rx;
	other = index & 1 ? p->rx : p->tx;
	if (other && vcore_virtqueue_loop(other) != vcore_virtqueue_loop(q))
		return -EINVAL;
	*mine = q;
	rc = update_attached(p, q);
	if (rc < 0) {
		*mine = NULL;
		return rc;
	}
	if (!(index & 1))
		p->starved = p->pending != 0;
	update_wanted(p);
	return 0;
}

static void
net_queue_kick(void *opaque, struct vcore_virtqueue *q)
{
	struct vcore__net *net = opaque;
	uint32_t index = vcore_virtqueue_index(q);
	struct vcore__net_pair *p = pair_of(net, index);

	if (is_control(net, index))
		vcore__net_control(net, q);
	if (!p || update_attached(p, q) < 0 || !p->attached)
		return;
	if (q == p->rx && p->starved)
		vcore__net_receive(p);
	if (q == p->tx && !p->blocked)
		vcore__net_transmit(p);
	update_wanted(p);
}

static void
net_queue_stop(void *opaque, struct vcore_virtqueue *q, uint32_t how,
	       struct vcore_done *done)
{
	struct vcore__net *net = opaque;
	struct vcore__net_pair *p = pair_of(net, vcore_virtqueue_index(q));

	if (p && q == p->rx) {
		p->rx = NULL;
		if (how == VCORE_VIRTIO_STOP_DROP && p->pending) {
			p->pending = 0;
			vcore__net_count(&p->n.rx_dropped, 1);
		}
	} else if (p && q == p->tx) {
		p->tx = NULL;
		p->blocked = false;
	}
	if (p) {
		(void)update_attached(p, q);
		update_wanted(p);
	}
	vcore_done_call(done, 0);
}

/* No queue runs. */
static void
net_reset(void *opaque)
{
	struct vcore__net *net = opaque;

	net->active = 1;
	net->features = 0;
	vcore__net_filter_reset(net);
}

static const struct vcore_virtio_ops net_ops = {
	.size = sizeof(net_ops),
	.type = VIRTIO_ID_NET,
	.features = net_features,
	.config = net_config,
	.set_features = net_set_features,
	.queue_start = net_queue_start,
	.queue_kick = net_queue_kick,
	.queue_stop = net_queue_stop,
	.config_size = offsetof(struct virtio_net_config, mtu) + 2,
	.queue_group = 2,
	.reset = net_reset,
};

static void
net_release(void *opaque)
{
	struct vcore__net *net = opaque;

	vcore_link_unref(net->link);
	pthread_mutex_destroy(&net->lock);
	free(net->bufs);
	free(net);
}

/* An address that is nobody's: locally administered, unicast. */
static int
make_mac(uint8_t mac[6])
{
	static const uint8_t zero[6];

	if (memcmp(mac, zero, sizeof(zero)) != 0)
		return 0;
	if (getrandom(mac, sizeof(zero), GRND_NONBLOCK) != sizeof(zero))
		return vcore__err(NULL, -EAGAIN,
				  "vcore_net_new: no random numbers for mac");
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
	return 0;
}

static int
check_opts(struct vcore_net_opts *o, struct vcore_link *link)
{
	uint32_t max = vcore_link_queues(link);

	if (o->flags)
		return vcore__err(NULL, -E2BIG, "vcore_net_new: flags %#x",
				  o->flags);
	if (max > VCORE__NET_PAIRS)
		max = VCORE__NET_PAIRS;
	if (!o->pairs)
		o->pairs = max ? max : 1;
	if (o->pairs > max)
		return vcore__err(NULL, -EINVAL,
				  "vcore_net_new: %u pairs, the link serves %u",
				  o->pairs, max);
	if (o->mac[0] & 1)
		return vcore__err(NULL, -EINVAL,
				  "vcore_net_new: mac is a multicast address");
	if (o->mtu && o->mtu < 68)
		return vcore__err(NULL, -EINVAL,
				  "vcore_net_new: mtu %u is below 68", o->mtu);
	o->name[sizeof(o->name) - 1] = '\0';
	return make_mac(o->mac);
}

static struct vcore__net *
make(struct vcore_link *link, const struct vcore_net_opts *o)
{
	struct vcore__net *net;
	struct vcore__net_pair *p;

	net = calloc(1, sizeof(*net) + o->pairs * sizeof(net->pair[0]));
	if (!net)
		return NULL;
	/* Touched only as far as it is needed. */
	net->bufs = malloc((size_t)o->pairs * 2 * VCORE__NET_BUF);
	if (!net->bufs) {
		free(net);
		return NULL;
	}
	for (uint32_t i = 0; i < o->pairs; i++) {
		p = &net->pair[i];
		p->net = net;
		p->index = i;
		p->rx_buf = net->bufs + (size_t)i * 2 * VCORE__NET_BUF;
		p->tx_buf = p->rx_buf + VCORE__NET_BUF;
	}
	net->link = vcore_link_ref(link);
	net->pairs = o->pairs;
	net->mtu = o->mtu;
	net->features_off = o->features_off;
	memcpy(net->first_mac, o->mac, sizeof(net->first_mac));
	pthread_mutex_init(&net->lock, NULL);
	net_reset(net);
	return net;
}

int
vcore_net_new(struct vcore_link *link, const struct vcore_net_opts *opts,
	      struct vcore_virtio **virtio)
{
	struct vcore_virtio_ops ops = net_ops;
	struct vcore_virtio_opts vo;
	struct vcore_net_opts o;
	struct vcore__net *net;
	int rc;

	if (!link || !virtio)
		return vcore__err(NULL, -EINVAL, "vcore_net_new: %s is NULL",
				  link ? "virtio" : "link");
	VCORE_INIT(&o);
	rc = opts ? VCORE__SIZED("vcore_net_new: opts", &o, name, opts) : 0;
	if (rc == 0)
		rc = check_opts(&o, link);
	if (rc < 0)
		return rc;
	net = make(link, &o);
	if (!net)
		return vcore__err(NULL, -ENOMEM, "vcore_net_new: no memory");
	ops.queues = 2 * o.pairs + 1;
	VCORE_INIT(&vo);
	vo.ops = &ops;
	vo.opaque = net;
	vo.release = net_release;
	vo.features_off = o.features_off;
	vo.queue_size = o.queue_size;
	snprintf(vo.name, sizeof(vo.name), "%s", o.name[0] ? o.name : "net");
	rc = vcore_virtio_new(&vo, &net->virtio);
	if (rc < 0) {
		net_release(net);
		return vcore__err(NULL, rc, "vcore_net_new: %s",
				  vcore_error_text());
	}
	*virtio = net->virtio;
	return 0;
}

static void
sum(struct vcore_net_info *i, const struct vcore__net *net)
{
	const struct vcore__net_counters *n;

	i->pairs = net->active;
	for (uint32_t p = 0; p < net->pairs; p++) {
		n = &net->pair[p].n;
		i->rx_frames += n->rx_frames;
		i->rx_bytes += n->rx_bytes;
		i->rx_dropped += n->rx_dropped;
		i->tx_frames += n->tx_frames;
		i->tx_bytes += n->tx_bytes;
		i->tx_dropped += n->tx_dropped;
		i->rx_merged += n->rx_merged;
		i->tx_gso += n->tx_gso;
		i->rx_gso += n->rx_gso;
		if (p < VCORE__ARRAY_SIZE(i->queue_frames))
			i->queue_frames[p] = n->rx_frames + n->tx_frames;
	}
}

int
vcore_net_get_info(struct vcore_virtio *virtio, struct vcore_net_info *info)
{
	const struct vcore__net *net;
	struct vcore_net_info i;

	if (!virtio || !info)
		return vcore__err(NULL, -EINVAL,
				  "vcore_net_get_info: %s is NULL",
				  virtio ? "info" : "virtio");
	if (virtio->ops.queue_kick != net_queue_kick)
		return vcore__err(NULL, -EINVAL,
				  "vcore_net_get_info: '%s' is no network device",
				  vcore_virtio_name(virtio));
	net = virtio->opaque;
	VCORE_INIT(&i);
	sum(&i, net);
	if (vcore__sized_return(info, VCORE__SIZE_TO(struct vcore_net_info,
						     queue_frames),
				&i, sizeof(i)) < 0)
		return vcore__err(NULL, -EINVAL,
				  "vcore_net_get_info: info: bad size %u",
				  info->size);
	return 0;
}
