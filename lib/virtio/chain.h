/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a descriptor chain. What nearly all chains are is read here, inside of
 * vcore_virtqueue_pop(); the others in chain.c.
 */
#ifndef VCORE_LIB_VIRTIO_CHAIN_H
#define VCORE_LIB_VIRTIO_CHAIN_H

#include <linux/virtio_ring.h>

#include "virtio/virtqueue.h"

/* A descriptor, read once from guest memory. */
struct vcore__desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static inline struct vcore__desc
vcore__desc_load(VCORE__GUEST_PTR *table, uint32_t i)
{
	VCORE__GUEST_PTR *at = vcore__guest_at(table, 16ull * i);

	/* As the driver has stored them: a wider load waits for its stores. */
	return (struct vcore__desc){
		.addr = vcore__guest_load64(at),
		.len = vcore__guest_load32(vcore__guest_at(at, 8)),
		.flags = vcore__guest_load16(vcore__guest_at(at, 12)),
		.next = vcore__guest_load16(vcore__guest_at(at, 14)),
	};
}

/* So much of a chain has been read. NULL, or what is wrong with it. */
static inline const char *
vcore__chain_sum(struct vcore__chain *c, uint32_t n, uint64_t len, bool split)
{
	if (!split) {
		c->pub.readable = n;
		c->pub.readable_len = len;
	}
	c->pub.writable = n - c->pub.readable;
	c->pub.writable_len = len - c->pub.readable_len;
	c->count = n;
	return len > UINT32_MAX ? "chain longer than 4 GiB" : NULL;
}

/*
 * Inside a section of the map: read the chain that starts with *d and fill in
 * its iovecs, if all of it is descriptors of the queue's own table, each of
 * them one iovec and in the span hit last. true: that was all, or *why says
 * what is wrong. Else vcore__chain_parse_rest() goes on with *d, which was read
 * here and is not read again.
 */
static inline bool
vcore__chain_plain(struct vcore_virtqueue *q, struct vcore__chain *c,
		   struct vcore__desc *d, const char **why)
{
	const struct vcore__span *s = vcore__memory_span(&q->user, d->addr);
	uint32_t n = 0, writable = 0;	/* the flag, once it was seen */
	uint64_t offset, len = 0;

	while (s && n < q->plain && !(d->flags & VRING_DESC_F_INDIRECT)) {
		if (!vcore__span_holds(s, d->addr) || !d->len ||
		    !vcore__span_covers(s, d->addr, d->len, &offset))
			break;
		if ((d->flags & VRING_DESC_F_WRITE) != writable) {
			if (writable || (s->flags & VCORE_MEMORY_READONLY))
				break;
			writable = VRING_DESC_F_WRITE;
			c->pub.readable = n;
			c->pub.readable_len = len;
		}
		c->small[n++] = vcore__guest_iov(
			vcore__guest_at(s->hva, offset), d->len);
		len += d->len;
		if (!(d->flags & VRING_DESC_F_NEXT)) {
			*why = vcore__chain_sum(c, n, len, writable != 0);
			return true;
		}
		if (d->next >= q->ring.size) {
			*why = "next descriptor beyond the table";
			return true;
		}
		*d = vcore__desc_load(q->desc, d->next);
	}
	*why = vcore__chain_sum(c, n, len, writable != 0);
	return *why != NULL;
}

/*
 * The rest of it, with everything that a chain may have. NULL, or what is wrong
 * with it; vcore__chain_full: nothing is, but no large array is free now.
 */
const char *
vcore__chain_parse_rest(struct vcore_virtqueue *q, struct vcore__chain *c,
			struct vcore__desc d);
extern const char vcore__chain_full[];

#endif
