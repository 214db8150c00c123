/* SPDX-License-Identifier: BSD-3-Clause */
/* A network device with a driver on one side and a link of ours on the other. */
#ifndef VCORE_TESTS_NET_BED_H
#define VCORE_TESTS_NET_BED_H

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include <vcore/net.h>

#include "support/fake_link.h"
#include "support/support.h"
#include "support/vdriver.h"

#define BIT(n) (UINT64_C(1) << VIRTIO_NET_F_##n)
#define HDR    12u
#define ALL_OFFLOADS                                                 \
	(VCORE_LINK_OFFLOAD_CSUM | VCORE_LINK_OFFLOAD_TSO4 |         \
	 VCORE_LINK_OFFLOAD_TSO6 | VCORE_LINK_OFFLOAD_ECN |          \
	 VCORE_LINK_OFFLOAD_UFO)

struct net_bed {
	struct vdriver_env env;
	struct vdriver d;
	struct fake_link link;
	struct vcore_virtio *virtio;
	struct vdriver_queue *rx, *tx, *ctrl;	/* of pair 0 */
};

static const uint8_t bed_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

/* A device on the bus; the driver has done nothing yet. */
static inline void
bed_make(struct net_bed *b, uint32_t offloads, uint32_t pairs,
	 uint32_t queue_size)
{
	struct vcore_net_opts o;

	memset(b, 0, sizeof(*b));
	vdriver_env_init(&b->env, 0);
	fake_link_init(&b->link, offloads, pairs);
	VCORE_INIT(&o);
	memcpy(o.mac, bed_mac, sizeof(o.mac));
	o.queue_size = queue_size;
	ck_assert_ok(vcore_net_new(b->link.link, &o, &b->virtio));
	vdriver_attach(&b->d, &b->env, b->virtio, VDRIVER_MMIO);
	b->rx = &b->d.queue[0];
	b->tx = &b->d.queue[1];
	b->ctrl = &b->d.queue[2 * pairs];
}

/* The driver runs pair 0 and the control queue, less these features. */
static inline void
bed_start(struct net_bed *b, uint64_t without, uint32_t size)
{
	ck_assert(vdriver_begin(&b->d, without));
	ck_assert(vdriver_queue(&b->d, 0, size));
	ck_assert(vdriver_queue(&b->d, 1, size));
	ck_assert(vdriver_queue(&b->d, (uint32_t)(b->ctrl - b->d.queue), 64));
	vdriver_ok(&b->d);
}

static inline void
bed_up(struct net_bed *b, uint32_t offloads, uint64_t without, uint32_t size)
{
	bed_make(b, offloads, 1, size);
	bed_start(b, without, size);
}

static inline void
bed_down(struct net_bed *b)
{
	vdriver_detach(&b->d);
	vcore_virtio_unref(b->virtio);
	vdriver_env_fini(&b->env);
	fake_link_fini(&b->link);
}

static inline struct vcore_net_info
bed_info(struct net_bed *b)
{
	struct vcore_net_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_net_get_info(b->virtio, &info));
	return info;
}

static inline bool
bed_is_broken(struct net_bed *b)
{
	return (vdriver_status(&b->d) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

/* A frame of len bytes for bed_mac whose bytes tell where they belong. */
static inline void
bed_frame(uint8_t *frame, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(seed * 31 + i + (i >> 8));
	memcpy(frame, bed_mac, len < 6 ? len : 6);
}

/* n writable buffers of len bytes as chains of their own; the first's GPA. */
static inline uint64_t
bed_add_rx(struct net_bed *b, uint32_t n, uint32_t len)
{
	uint64_t first = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct vdriver_buf buf = {
			.gpa = vdriver_alloc(&b->env, len, 1),
			.len = len, .write = true,
		};

		memset(vdriver_ram(&b->env, buf.gpa), 0xee, len);
		vdriver_add(b->rx, &buf, 1);
		first = i ? first : buf.gpa;
	}
	return first;
}

/* Header and payload as one readable buffer; not kicked. */
static inline void
bed_add_tx(struct net_bed *b, const struct virtio_net_hdr_v1 *hdr,
	   const void *payload, uint32_t len)
{
	struct vdriver_buf buf = {
		.gpa = vdriver_alloc(&b->env, HDR + len, 1), .len = HDR + len,
	};
	uint8_t *at = vdriver_ram(&b->env, buf.gpa);

	if (hdr)
		memcpy(at, hdr, HDR);
	memcpy(at + HDR, payload, len);
	vdriver_add(b->tx, &buf, 1);
}

/* A control command; its answer, 0xff if there was none. */
static inline uint8_t
bed_control(struct net_bed *b, uint8_t class, uint8_t cmd, const void *data,
	    uint32_t len)
{
	struct vdriver_buf bufs[3];
	uint64_t at = vdriver_alloc(&b->env, len + 3, 1);
	uint8_t *p = vdriver_ram(&b->env, at);
	uint32_t n = 0, used = 0;

	p[0] = class;
	p[1] = cmd;
	if (len)
		memcpy(p + 2, data, len);
	p[len + 2] = 0xff;
	bufs[n++] = (struct vdriver_buf){ .gpa = at, .len = 2 };
	if (len)
		bufs[n++] = (struct vdriver_buf){ .gpa = at + 2, .len = len };
	bufs[n++] = (struct vdriver_buf){ .gpa = at + 2 + len, .len = 1,
					  .write = true };
	vdriver_add(b->ctrl, bufs, n);
	vdriver_kick(b->ctrl);
	vdriver_run(&b->env);
	if (vdriver_used(b->ctrl, NULL, &used))
		ck_assert_uint_eq(used, 1);
	return p[len + 2];
}

#endif
