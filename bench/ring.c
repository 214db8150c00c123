/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests through a split ring on one core: the driver offers them, the device
 * pops, translates, copies and completes them, the driver takes them back.
 * Against the same driver with a device that checks nothing.
 *
 * What makes the two comparable:
 *
 * - A request is a readable buffer of 64 bytes or 4 KiB, which is copied out,
 *   and a status byte, which is written. Data are in pages of their own: guests
 *   have it so, and both sides pay for the cache lines and the TLB.
 * - Both devices do the same work on the same interface: a chain is popped into
 *   iovecs, whatever its shape, bytes are copied from and to those, the chain
 *   is completed. The unchecked one adds a guest address to that of the memory,
 *   believes every index, length, flag and address, keeps no account of what
 *   is in flight, and protects itself against no change of the memory map.
 * - Both take the steps of the protocol, once a batch: where the ring is empty,
 *   ask for a kick, barrier, look again (virtio 1.2, 2.7.10.1); then show what
 *   is used, barrier, look whether an interrupt is wanted (2.7.7.1).
 * - A batch is what the driver offers at once and the device completes at once.
 *   A dispatch of the library, which is a section of the memory map, serves 32
 *   requests: one batch of 32, or 32 of one. "a dispatch each" is what a single
 *   request costs that is all a dispatch finds.
 *
 * "device" are the same two devices when the driver's part is one store a
 * batch: the available ring and the descriptors are written before, and the
 * same requests come again and again. That is how to have the device's side
 * alone. Timing the driver alone, and taking that off, is not: a processor runs
 * parts of both side by side, so times don't subtract.
 */
#include "common.h"

#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/memory.h>

#include "virtio/virtqueue.h"

#define RING   256u
#define SLOTS  (RING / 2)
#define RAM    (16ull << 20)
#define DESC   0x1000ull
#define AVAIL  0x3000ull
#define USED   0x4000ull
#define DATA   0x100000ull

struct work {
	struct vcore_virtqueue q;
	struct vcore_memory *memory;
	uint8_t *ram;
	uint32_t len, batch;		/* bytes a request, requests a batch */
	uint32_t turn;			/* batches a dispatch */
	uint64_t turns;			/* dispatches a block */
	/* The driver. */
	bool lazy;			/* all is written already but the index */
	uint16_t avail_idx, used_idx;
	uint16_t free;			/* descriptor, linked by `next` */
	uint64_t kicks, failed;
	uint16_t bare_idx;		/* next to pop, of the unchecked device */
	char buf[4096];
};

static void
ignore(void *owner, struct vcore_virtqueue *q)
{
	(void)owner;
	(void)q;
}

static void
broken(void *owner, struct vcore_virtqueue *q, const char *why)
{
	(void)owner;
	(void)q;
	bench_need(false, why);
}

static const struct vcore__virtqueue_ops ops = {
	.interrupt = ignore, .broken = broken, .again = ignore,
};

static void
make(struct work *w)
{
	struct vcore_region_opts o;
	struct vcore_region_info info;
	struct vcore_region *region;

	VCORE_INIT(&o);
	o.len = RAM;
	o.backing = VCORE_BACKING_ANONYMOUS;
	o.flags = VCORE_REGION_POPULATE;
	o.fd = -1;
	bench_need(vcore_memory_new(NULL, &w->memory) == 0, "memory");
	bench_need(vcore_region_new(&o, &region) == 0, "region");
	bench_need(vcore_memory_add(w->memory, 0, region, 0) == 0, "map");
	VCORE_INIT(&info);
	bench_need(vcore_region_get_info(region, &info) == 0, "info");
	w->ram = (uint8_t *)(uintptr_t)info.hva;
	vcore_region_unref(region);
	bench_need(vcore__virtqueue_init(&w->q, w->memory, 0, RING) == 0,
		   "queue");
	w->q.ops = &ops;
}

/* Request n, in descriptors i and then j. */
static inline void
describe(struct work *w, uint32_t n, uint16_t i, uint16_t j)
{
	struct vring_desc *desc = (void *)(w->ram + DESC);
	uint64_t data = DATA + 8192ull * n;

	desc[i].addr = data;
	desc[i].len = w->len;
	desc[i].flags = VRING_DESC_F_NEXT;
	desc[i].next = j;
	desc[j].addr = data + 4096 + 64 * (n % 64);
	desc[j].len = 1;
	desc[j].flags = VRING_DESC_F_WRITE;
}

/* A fresh ring: all descriptors are free, in order. */
static void
set_up(struct work *w)
{
	struct vcore__ring ring = {
		.desc = DESC, .driver = AVAIL, .device = USED, .size = RING,
		.event_idx = true, .indirect = true,
	};
	struct vring_desc *desc = (void *)(w->ram + DESC);
	uint16_t *avail = (void *)(w->ram + AVAIL);

	memset(w->ram + DESC, 0, USED + 4096 - DESC);
	for (uint16_t i = 0; i < RING; i++) {
		desc[i].next = (uint16_t)(i + 1);
		avail[2 + i] = (uint16_t)(i % SLOTS * 2);
	}
	for (uint16_t i = 0; w->lazy && i < SLOTS; i++)
		describe(w, i, (uint16_t)(2 * i), (uint16_t)(2 * i + 1));
	w->free = 0;
	w->avail_idx = 0;
	w->used_idx = 0;
	w->bare_idx = 0;
	vcore__virtqueue_setup(&w->q, &ring);
	vcore__virtqueue_open(&w->q);
}

/* A batch of requests: descriptors, indices, and is a kick due? */
static inline void
offer(struct work *w)
{
	struct vring_desc *desc = (void *)(w->ram + DESC);
	uint16_t *avail = (void *)(w->ram + AVAIL), *used, event, i, j;
	uint16_t old = w->avail_idx;

	if (w->lazy) {
		w->avail_idx = (uint16_t)(w->avail_idx + w->batch);
		__atomic_store_n(&avail[1], w->avail_idx, __ATOMIC_RELEASE);
		return;
	}
	for (uint32_t n = 0; n < w->batch; n++) {
		i = w->free;
		j = desc[i].next;
		w->free = desc[j].next;
		describe(w, w->avail_idx % SLOTS, i, j);
		avail[2 + w->avail_idx++ % RING] = i;
	}
	__atomic_store_n(&avail[1], w->avail_idx, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	used = (void *)(w->ram + USED);
	event = __atomic_load_n(&used[2 + 4 * RING], __ATOMIC_RELAXED);
	w->kicks += (uint64_t)vring_need_event(event, w->avail_idx, old);
}

/* Take back what the device has used: its status, and the descriptors. */
static inline void
reap(struct work *w)
{
	struct vring_desc *desc = (void *)(w->ram + DESC);
	struct vring_used *used = (void *)(w->ram + USED);
	uint16_t idx, i, j;

	if (w->lazy)
		return;
	idx = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
	for (; w->used_idx != idx; w->used_idx++) {
		i = (uint16_t)used->ring[w->used_idx % RING].id;
		j = desc[i].next;
		w->failed += w->ram[desc[j].addr] != 0;
		desc[j].next = w->free;
		w->free = i;
	}
}

static void
library(struct work *w)
{
	struct vcore_chain *c;
	uint8_t status = 0;

	vcore__virtqueue_begin(&w->q);
	for (uint32_t i = 0; i < w->turn; i++) {
		offer(w);
		while (vcore_virtqueue_pop(&w->q, &c) == 1) {
			(void)vcore_chain_read(c, 0, w->buf, sizeof(w->buf));
			(void)vcore_chain_write(c, 0, &status, 1);
			vcore_virtqueue_push(&w->q, c, 1);
		}
		vcore_virtqueue_flush(&w->q);
		reap(w);
	}
	(void)vcore__virtqueue_end(&w->q);
}

struct bare_chain {
	struct iovec iov[20];
	uint32_t readable, writable;
	uint16_t head;
};

static void
bare_pop(struct work *w, struct bare_chain *c)
{
	struct vring_desc *desc = (void *)(w->ram + DESC), *d;
	uint16_t *avail = (void *)(w->ram + AVAIL);

	c->readable = 0;
	c->writable = 0;
	c->head = avail[2 + w->bare_idx++ % RING];
	for (d = &desc[c->head];; d = &desc[d->next]) {
		c->iov[c->readable + c->writable] = (struct iovec){
			w->ram + d->addr, d->len,
		};
		if (d->flags & VRING_DESC_F_WRITE)
			c->writable++;
		else
			c->readable++;
		if (!(d->flags & VRING_DESC_F_NEXT))
			break;
	}
}

static size_t
bare_copy(const struct iovec *iov, uint32_t n, char *buf, const char *from,
	  size_t len)
{
	size_t done = 0, part;

	/*
	 * It shall not know the length either: gcc makes "rep movs" of what it
	 * knows to be short, which takes twice as long as the library's copies.
	 */
	__asm__("" : "+r"(len));
	for (; n && done < len; n--, iov++) {
		part = iov->iov_len;
		if (part > len - done)
			part = len - done;
		if (buf)
			memcpy(buf + done, iov->iov_base, part);
		else
			memcpy(iov->iov_base, from + done, part);
		done += part;
	}
	return done;
}

/* Everything that waits. */
static void
bare_pop_all(struct work *w, uint16_t idx)
{
	struct vring_used *used = (void *)(w->ram + USED);
	struct bare_chain c;
	char status = 0;

	while (w->bare_idx != idx) {
		bare_pop(w, &c);
		bare_copy(c.iov, c.readable, w->buf, NULL, sizeof(w->buf));
		__asm__ volatile("" : : "r"(w->buf) : "memory");
		bare_copy(c.iov + c.readable, c.writable, NULL, &status, 1);
		used->ring[(w->bare_idx - 1) % RING].id = c.head;
		used->ring[(w->bare_idx - 1) % RING].len = 1;
	}
}

/* Is there more? If not, the driver is to kick when there is. */
static bool
bare_look(struct work *w, uint16_t *idx)
{
	uint16_t *avail = (void *)(w->ram + AVAIL);
	uint16_t *used = (void *)(w->ram + USED);

	*idx = __atomic_load_n(&avail[1], __ATOMIC_ACQUIRE);
	if (*idx != w->bare_idx)
		return true;
	/* avail_event is behind the used ring's 8 bytes an entry. */
	__atomic_store_n(&used[2 + 4 * RING], *idx, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*idx = __atomic_load_n(&avail[1], __ATOMIC_ACQUIRE);
	return *idx != w->bare_idx;
}

static void
bare(struct work *w)
{
	uint16_t *avail = (void *)(w->ram + AVAIL), idx, event, old;
	uint16_t *used = (void *)(w->ram + USED);

	for (uint32_t i = 0; i < w->turn; i++) {
		offer(w);
		old = w->bare_idx;
		while (bare_look(w, &idx))
			bare_pop_all(w, idx);
		__atomic_store_n(&used[1], w->bare_idx, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		event = __atomic_load_n(&avail[2 + RING], __ATOMIC_RELAXED);
		if (vring_need_event(event, w->bare_idx, old))
			ignore(w, &w->q);
		reap(w);
	}
}

static double
block(struct work *w, void (*fn)(struct work *w))
{
	double begin, end;

	set_up(w);
	begin = bench_now_ns();
	for (uint64_t i = 0; i < w->turns; i++)
		fn(w);
	end = bench_now_ns();
	bench_need(w->failed == 0 && (w->lazy || w->used_idx == w->avail_idx),
		   "a request was lost");
	return (end - begin) / ((double)w->turns * w->turn * w->batch);
}

static double
library_block(void *opaque)
{
	return block(opaque, library);
}

static double
bare_block(void *opaque)
{
	return block(opaque, bare);
}

/* Of one request: the difference between runs of two lengths. */
static double
instructions(const struct work *w, const char *side)
{
	uint64_t few = 100, counts[2];
	char len[16], batch[16], turn[16], turns[16];
	const char *args[] = { side, w->lazy ? "lazy" : "driver", len, batch,
			       turn, turns, NULL };

	snprintf(len, sizeof(len), "%u", w->len);
	snprintf(batch, sizeof(batch), "%u", w->batch);
	snprintf(turn, sizeof(turn), "%u", w->turn);
	for (uint32_t i = 0; i < 2; i++) {
		snprintf(turns, sizeof(turns), "%u", (unsigned)(few * (i + 1)));
		counts[i] = bench_instructions(args);
	}
	return (double)(counts[1] - counts[0]) /
	       (double)(few * w->turn * w->batch);
}

static void
measure(struct work *w, uint32_t len, uint32_t batch, uint32_t turn, bool lazy)
{
	struct bench_side ours = { library_block, w }, peer = { bare_block, w };
	uint64_t requests = bench_count(len > 64 ? 4096 : 16384, 64);
	char name[80];

	w->lazy = lazy;
	w->len = len;
	w->batch = batch;
	w->turn = turn;
	/*
	 * Short, so that most blocks are not interrupted; and many, so that some
	 * come when nobody else is on the same core.
	 */
	w->turns = requests / (batch * turn);
	snprintf(name, sizeof(name), "%u bytes, batch %u%s%s", len, batch,
		 batch * turn == 1 ? ", a dispatch each" : "",
		 lazy ? ", device" : "");
	bench_alternate(&ours, &peer, (uint32_t)bench_count(1000, 1),
			"ns/request", name);
	if (!bench_smoke())
		bench_print(instructions(w, "library"), "instructions/request",
			    instructions(w, "bare"), "%s, instructions", name);
}

/* Under callgrind: SIDE DRIVER LEN BATCH TURN TURNS */
static void
only(struct work *w, char **argv)
{
	w->lazy = strcmp(argv[1], "lazy") == 0;
	w->len = (uint32_t)strtoul(argv[2], NULL, 10);
	w->batch = (uint32_t)strtoul(argv[3], NULL, 10);
	w->turn = (uint32_t)strtoul(argv[4], NULL, 10);
	w->turns = strtoul(argv[5], NULL, 10);
	(void)block(w, strcmp(argv[0], "bare") == 0 ? bare : library);
}

int
main(int argc, char **argv)
{
	struct work *w = calloc(1, sizeof(*w));
	int rc = 0;

	bench_need(w != NULL, "memory");
	make(w);
	if (argc == 7) {
		only(w, argv + 1);
	} else {
		bench_begin("ring", true);
		for (uint32_t i = 0; i < 4; i++) {
			uint32_t len = i & 1 ? 4096 : 64;

			measure(w, len, 1, 32, i / 2);
			measure(w, len, 32, 1, i / 2);
			measure(w, len, 1, 1, i / 2);
		}
		rc = bench_end();
	}
	vcore__virtqueue_fini(&w->q);
	vcore_memory_unref(w->memory);
	free(w);
	return rc;
}
