/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver's side of a split ring: descriptors, and what is used. */
#include "support/vdriver.h"

#include <endian.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sched.h>

#include "base/base.h"

#define WAIT_NS 60000000000ull

static void *
at(struct vdriver_queue *q, uint64_t gpa)
{
	return vdriver_ram(q->d->env, gpa);
}

static void
store16(struct vdriver_queue *q, uint64_t gpa, uint16_t val)
{
	__atomic_store_n((uint16_t *)at(q, gpa), htole16(val),
			 __ATOMIC_SEQ_CST);
}

static uint16_t
load16(struct vdriver_queue *q, uint64_t gpa)
{
	return le16toh(__atomic_load_n((uint16_t *)at(q, gpa),
				       __ATOMIC_SEQ_CST));
}

void
vdriver_desc_at(struct vdriver_env *env, uint64_t gpa, uint64_t addr,
		uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc d = {
		.addr = htole64(addr), .len = htole32(len),
		.flags = htole16(flags), .next = htole16(next),
	};

	memcpy(vdriver_ram(env, gpa), &d, sizeof(d));
}

void
vdriver_desc(struct vdriver_queue *q, uint32_t i, uint64_t addr, uint32_t len,
	     uint16_t flags, uint16_t next)
{
	vdriver_desc_at(q->d->env, q->desc + 16ull * (i % q->size), addr, len,
			flags, next);
}

void
vdriver_set_avail_idx(struct vdriver_queue *q, uint16_t idx)
{
	q->avail_idx = idx;
	store16(q, q->avail + 2, idx);
}

void
vdriver_avail(struct vdriver_queue *q, uint16_t head)
{
	store16(q, q->avail + 4 + 2ull * (q->avail_idx % q->size), head);
	vdriver_set_avail_idx(q, (uint16_t)(q->avail_idx + 1));
}

static uint16_t
flags_of(const struct vdriver_buf *buf, bool last)
{
	return (uint16_t)((buf->write ? VRING_DESC_F_WRITE : 0) |
			  (last ? 0 : VRING_DESC_F_NEXT));
}

uint16_t
vdriver_add(struct vdriver_queue *q, const struct vdriver_buf *bufs, uint32_t n)
{
	uint16_t head = q->next_desc, next = head;

	for (uint32_t i = 0; i < n; i++) {
		uint16_t this = next;

		next = (uint16_t)((next + 1u) % q->size);
		vdriver_desc(q, this, bufs[i].gpa, bufs[i].len,
			     flags_of(&bufs[i], i + 1 == n), next);
	}
	q->next_desc = next;
	vdriver_avail(q, head);
	return head;
}

uint16_t
vdriver_add_indirect(struct vdriver_queue *q, const struct vdriver_buf *bufs,
		     uint32_t n)
{
	uint64_t table = vdriver_alloc(q->d->env, 16ull * n, 16);
	uint16_t head = q->next_desc;

	for (uint32_t i = 0; i < n; i++)
		vdriver_desc_at(q->d->env, table + 16ull * i, bufs[i].gpa,
				bufs[i].len, flags_of(&bufs[i], i + 1 == n),
				(uint16_t)(i + 1));
	vdriver_desc(q, head, table, 16 * n, VRING_DESC_F_INDIRECT, 0);
	q->next_desc = (uint16_t)((head + 1u) % q->size);
	vdriver_avail(q, head);
	return head;
}

void
vdriver_kick(struct vdriver_queue *q)
{
	if (q->d->kind == VDRIVER_MMIO)
		vdriver_bus_write(q->d->env,
				  q->d->base + VIRTIO_MMIO_QUEUE_NOTIFY, 4,
				  q->index);
	else
		vdriver_bus_write(q->d->env, q->notify, 2, q->index);
}

uint16_t
vdriver_used_idx(struct vdriver_queue *q)
{
	return load16(q, q->used + 2);
}

bool
vdriver_used(struct vdriver_queue *q, uint32_t *id, uint32_t *len)
{
	struct vring_used_elem e;

	if (vdriver_used_idx(q) == q->last_used)
		return false;
	memcpy(&e, at(q, q->used + 4 + 8ull * (q->last_used % q->size)),
	       sizeof(e));
	q->last_used++;
	if (id)
		*id = le32toh(e.id);
	if (len)
		*len = le32toh(e.len);
	return true;
}

bool
vdriver_wait(struct vdriver_queue *q, uint32_t *id, uint32_t *len)
{
	uint64_t deadline = vcore__now_ns() + WAIT_NS;
	struct vdriver_env *env = q->d->env;

	while (!vdriver_used(q, id, len)) {
		if (vcore__now_ns() > deadline)
			return false;
		if (env->threaded)
			sched_yield();
		else
			(void)vcore_loop_dispatch(env->loop, 1);
	}
	return true;
}

void
vdriver_set_used_event(struct vdriver_queue *q, uint16_t value)
{
	store16(q, q->avail + 4 + 2ull * q->size, value);
}

uint16_t
vdriver_avail_event(struct vdriver_queue *q)
{
	return load16(q, q->used + 4 + 8ull * q->size);
}

void
vdriver_set_no_interrupt(struct vdriver_queue *q, bool on)
{
	store16(q, q->avail, on ? VRING_AVAIL_F_NO_INTERRUPT : 0);
}

uint16_t
vdriver_used_flags(struct vdriver_queue *q)
{
	return load16(q, q->used);
}
