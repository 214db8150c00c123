/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the network device: what its files share. */
#ifndef VCORE_LIB_DEVICES_NET_H
#define VCORE_LIB_DEVICES_NET_H

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vcore/net.h>

#define VCORE__NET_PAIRS  128u
#define VCORE__NET_HDR    12u	/* struct virtio_net_hdr_v1 */
#define VCORE__NET_ETH    14u	/* the shortest frame: an Ethernet header */
/* The longest frame: 64 KiB of IP behind an Ethernet header with tags. */
#define VCORE__NET_FRAME  (65536u + 32u)
#define VCORE__NET_BUF    (VCORE__NET_HDR + VCORE__NET_FRAME)
/* What is received into memory of our own: header, destination address. */
#define VCORE__NET_HEAD   (VCORE__NET_HDR + 6u)
/* Receive chains, and iovecs of theirs, that are held for a frame. */
#define VCORE__NET_HELD   128u
/* Receive buffers are held for at least a usual frame. */
#define VCORE__NET_TARGET 2048u
/* What one callback does at most before others get their turn. */
#define VCORE__NET_FRAMES 64u
#define VCORE__NET_BYTES  (1u << 20)
/* Failures of a link's receive in a row until it counts as down. */
#define VCORE__NET_ERRORS 16u
/* Addresses in the filter; more open it for all of their kind. */
#define VCORE__NET_MACS   64u

#define VCORE__NET_BIT(n) (UINT64_C(1) << VIRTIO_NET_F_##n)

/* Which frames the guest wants: 5.1.6.5.1, 5.1.6.5.2. */
struct vcore__net_filter {
	bool on;			/* CTRL_RX was accepted */
	/* In the order of the commands VIRTIO_NET_CTRL_RX_*. */
	bool mode[6];
	uint8_t mac[6];
	uint8_t unicasts, multicasts;	/* in macs[]: first these, then those */
	bool all_unicasts, all_multicasts;	/* did not fit */
	uint8_t macs[VCORE__NET_MACS][6];
};

/* Written by the pair's loop, read by anyone. */
struct vcore__net_counters {
	_Atomic uint64_t rx_frames, rx_bytes, rx_dropped, rx_merged, rx_gso;
	_Atomic uint64_t tx_frames, tx_bytes, tx_dropped, tx_gso;
};

struct vcore__net;

struct vcore__net_head {
	struct virtio_net_hdr_v1 hdr;
	uint8_t dst[6];
};

/* Two queues and one of the link. Everything here belongs to their loop. */
struct vcore__net_pair {
	struct vcore__net *net;
	uint32_t index;
	uint32_t wanted;		/* of the link's queue */
	struct vcore_virtqueue *rx, *tx;	/* NULL: stopped */
	void *queue;			/* of the link, while attached */
	bool attached;
	bool starved;			/* no buffers: frames wait in the link */
	bool failed;			/* receive does nothing but fail */
	uint32_t errors;		/* of receive, in a row */
	bool blocked;			/* transmit: the link is full */

	/* Receiving: chains popped for this callback. */
	struct vcore_chain *held[VCORE__NET_HELD];
	uint32_t first, count;		/* in held[] */
	uint32_t iovs;			/* of all held */
	uint32_t target;		/* bytes to hold before receiving */
	uint64_t room;			/* bytes of all held */
	struct vcore__net_head head;	/* of the frame in hand */
	uint32_t pending;		/* its length if it waits in rx_buf */
	uint64_t direct;		/* bytes of it that went to the guest */
	struct iovec iov[VCORE__NET_HELD + 2];
	uint8_t *rx_buf, *tx_buf;	/* VCORE__NET_BUF each */

	struct vcore__net_filter filter;	/* copy of the device's */
	uint32_t filter_seq;
	struct vcore__net_counters n;
};

struct vcore__net {
	struct vcore_virtio *virtio;	/* back: it owns us */
	struct vcore_link *link;
	uint32_t pairs;
	uint16_t mtu;
	uint8_t first_mac[6];		/* after reset */
	uint64_t features_off;
	uint64_t features;		/* negotiated; fixed while queues run */
	_Atomic uint32_t active;	/* pairs the driver has switched on */
	_Atomic uint32_t offloads;	/* VCORE_LINK_OFFLOAD_*: guest takes */
	_Atomic bool down;
	pthread_mutex_t lock;		/* the filter; innermost */
	struct vcore__net_filter filter;
	_Atomic uint32_t filter_seq;	/* grows with each change */
	uint8_t *bufs;
	struct vcore__net_pair pair[];
};

static inline void
vcore__net_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter,
			      atomic_load_explicit(counter,
						   memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* net.c */
/* The link has told, or shown, that it is down or up. any loop */
void
vcore__net_set_down(struct vcore__net *net, bool down);
/* VIRTIO_NET_F_GUEST_* as VCORE_LINK_OFFLOAD_* */
uint32_t
vcore__net_rx_offloads(uint64_t features);

/* net_rx.c, on the pair's loop, rx started and attached */
void
vcore__net_receive(struct vcore__net_pair *p);

/* net_tx.c, on the pair's loop, tx started and attached */
void
vcore__net_transmit(struct vcore__net_pair *p);
/*
 * Check a header from the guest for a frame of len bytes and clear what the
 * guest may not set. false: nonsense.
 */
bool
vcore__net_hdr_check(struct virtio_net_hdr_v1 *hdr, uint64_t features,
		     uint32_t len);

/* net_ctrl.c, on the control queue's loop */
void
vcore__net_control(struct vcore__net *net, struct vcore_virtqueue *q);
/* Does the guest want a frame for this address? */
bool
vcore__net_filter_wants(const struct vcore__net_filter *f,
			const uint8_t dst[6]);
/* As after a reset. */
void
vcore__net_filter_reset(struct vcore__net *net);

#endif
