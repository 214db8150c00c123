/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Split-ring request rate on one core: pop, translate, copy, complete. Against
 * a bare loop that makes the same copies and checks nothing, in the same run,
 * in alternating blocks; what the driver's side costs is measured, too, and
 * taken off both. One JSON object a line.
 */
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vcore/memory.h>

#include "virtio/virtqueue.h"

#define RING   256u
#define RAM    (16ull << 20)
#define DESC   0x1000ull
#define AVAIL  0x3000ull
#define USED   0x4000ull
#define DATA   0x100000ull
#define ROUNDS 15u

struct work {
	struct vcore_virtqueue q;
	struct vcore_memory *memory;
	uint8_t *ram;
	uint32_t len, batch;		/* bytes a request, requests a batch */
	uint16_t avail_idx;		/* the driver's */
	uint16_t bare_avail, bare_used;	/* of the bare loop */
	uint8_t buf[4096];
};

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "ring: %s: %s\n", what, vcore_error_text());
	exit(EXIT_FAILURE);
}

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
	need(0, why);
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
	need(vcore_memory_new(NULL, &w->memory) == 0, "memory");
	need(vcore_region_new(&o, &region) == 0, "region");
	need(vcore_memory_add(w->memory, 0, region, 0) == 0, "map");
	VCORE_INIT(&info);
	need(vcore_region_get_info(region, &info) == 0, "info");
	w->ram = (uint8_t *)(uintptr_t)info.hva;
	vcore_region_unref(region);
	need(vcore__virtqueue_init(&w->q, w->memory, 0, RING) == 0, "queue");
	w->q.ops = &ops;
}

/* Requests of `len` bytes to read and a status byte to write. */
static void
set_up(struct work *w)
{
	struct vcore__ring ring = {
		.desc = DESC, .driver = AVAIL, .device = USED, .size = RING,
		.event_idx = true, .indirect = true,
	};
	struct vring_desc *desc = (void *)(w->ram + DESC);

	memset(w->ram, 0, DATA);
	for (uint32_t i = 0; i < RING; i += 2) {
		desc[i] = (struct vring_desc){
			.addr = DATA + 4096ull * i, .len = w->len,
			.flags = VRING_DESC_F_NEXT, .next = (uint16_t)(i + 1),
		};
		desc[i + 1] = (struct vring_desc){
			.addr = DATA + 4096ull * i + 4095, .len = 1,
			.flags = VRING_DESC_F_WRITE,
		};
	}
	w->avail_idx = 0;
	w->bare_avail = 0;
	w->bare_used = 0;
	vcore__virtqueue_setup(&w->q, &ring);
	vcore__virtqueue_open(&w->q);
}

static void
driver(struct work *w)
{
	uint16_t *avail = (void *)(w->ram + AVAIL);

	for (uint32_t i = 0; i < w->batch; i++, w->avail_idx++)
		avail[2 + w->avail_idx % RING] =
			(uint16_t)(w->avail_idx * 2 % RING);
	/* Interrupts are not wanted: used_event stays behind. */
	avail[2 + RING] = (uint16_t)(w->avail_idx - RING);
	__atomic_store_n(&avail[1], w->avail_idx, __ATOMIC_RELEASE);
}

static void
library(struct work *w)
{
	struct vcore_chain *c;
	uint8_t status = 0;

	driver(w);
	vcore__virtqueue_begin(&w->q);
	while (vcore_virtqueue_pop(&w->q, &c) == 1) {
		(void)vcore_chain_read(c, 0, w->buf, sizeof(w->buf));
		(void)vcore_chain_write(c, 0, &status, 1);
		vcore_virtqueue_push(&w->q, c, 1);
	}
	vcore_virtqueue_flush(&w->q);
	(void)vcore__virtqueue_end(&w->q);
}

/* What a device does that believes everything. */
static void
bare(struct work *w)
{
	struct vring_desc *desc = (void *)(w->ram + DESC), *d;
	uint16_t *avail = (void *)(w->ram + AVAIL), idx;
	struct vring_used *used = (void *)(w->ram + USED);
	uint32_t head;

	driver(w);
	idx = __atomic_load_n(&avail[1], __ATOMIC_ACQUIRE);
	for (; w->bare_avail != idx; w->bare_avail++, w->bare_used++) {
		head = avail[2 + w->bare_avail % RING];
		d = &desc[head];
		memcpy(w->buf, w->ram + d->addr, d->len);
		__asm__ volatile("" : : "r"(w->buf) : "memory");
		d = &desc[d->next];
		w->ram[d->addr] = 0;
		used->ring[w->bare_used % RING].id = head;
		used->ring[w->bare_used % RING].len = 1;
	}
	memcpy(&used->ring[RING], &w->bare_avail, sizeof(w->bare_avail));
	__atomic_store_n(&used->idx, w->bare_used, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static double
block(struct work *w, void (*fn)(struct work *w), uint32_t batches)
{
	struct timespec a, b;

	set_up(w);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint32_t i = 0; i < batches; i++)
		fn(w);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 +
		(double)(b.tv_nsec - a.tv_nsec)) /
	       ((double)batches * w->batch);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
measure(struct work *w, uint32_t len, uint32_t batch)
{
	double lib[ROUNDS], raw[ROUNDS], drv[ROUNDS], value, vs;
	uint32_t batches = 400000 / batch;

	w->len = len;
	w->batch = batch;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		lib[i] = block(w, library, batches);
		raw[i] = block(w, bare, batches);
		drv[i] = block(w, driver, batches);
	}
	qsort(lib, ROUNDS, sizeof(lib[0]), compare);
	qsort(raw, ROUNDS, sizeof(raw[0]), compare);
	qsort(drv, ROUNDS, sizeof(drv[0]), compare);
	value = lib[ROUNDS / 2] - drv[ROUNDS / 2];
	vs = raw[ROUNDS / 2] - drv[ROUNDS / 2];
	printf("{\"bench\":\"ring\",\"case\":\"%u bytes, batch %u\",\"value\":%.1f,\"unit\":\"ns/request\",\"vs\":%.1f,\"ratio\":%.2f}\n",
	       len, batch, value, vs, value / vs);
}

int
main(void)
{
	static const uint32_t lens[] = { 64, 4094 }, batches[] = { 1, 32 };
	struct work *w = calloc(1, sizeof(*w));

	need(w != NULL, "memory");
	make(w);
	for (uint32_t i = 0; i < 4; i++)
		measure(w, lens[i / 2], batches[i % 2]);
	vcore__virtqueue_fini(&w->q);
	vcore_memory_unref(w->memory);
	free(w);
	return 0;
}
