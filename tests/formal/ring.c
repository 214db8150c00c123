/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split ring in front of a driver that does anything: for Frama-C/Eva, with
 * the library's own chain.c, virtqueue.c, rangemap.c and the look-up of
 * access.c. The memory of the guest is volatile, so that each read gives any
 * value, whatever the last one gave; the rings are arrays of just their size.
 *
 * The rest of the library is below: what it may return is what it may do.
 */
#include <__fc_builtin.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "memory/map.h"
#include "virtio/virtqueue.h"

/* Not looked at here: stand-ins are below. */
#define vcore__memory_iov access_iov
#define vcore__memory_get access_get
#include "memory/access.c"
#undef vcore__memory_iov
#undef vcore__memory_get

#define SIZE 4u
#ifdef INDIRECT
#define MAX 8u
#else
#define MAX SIZE
#endif

#define RAM 0x100000u

static volatile uint64_t desc[2 * SIZE];
static volatile uint16_t avail[3 + SIZE];
static volatile uint32_t used[2 + 2 * SIZE];
static volatile uint8_t ram[3][RAM];
static struct vcore__map_entry entries[6];
static struct vcore__domain domain;
static struct vcore_memory memory;
static struct vcore_virtqueue q;

/* The kernel's, for vcore__chain_pool_init() */
void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return calloc(1, len);
}

int
munmap(void *addr, size_t len)
{
	return 0;
}

/* base/base.h */
int
vcore__err(struct vcore_log *log, int rc, const char *fmt, ...)
{
	return rc;
}

/* base/rcu.h */
void
vcore__reader_init(struct vcore__reader *r, struct vcore__domain *d)
{
	r->domain = d;
}

void
vcore__reader_fini(struct vcore__reader *r)
{
}

void
vcore__domain_reclaim(struct vcore__domain *d)
{
}

void
vcore__domain_enter(struct vcore__domain *d, uint64_t *token)
{
	*token = 0;
}

void
vcore__domain_exit(struct vcore__domain *d, uint64_t token)
{
}

void
vcore__domain_retire(struct vcore__domain *d, struct vcore__retired *node,
		     void (*fn)(struct vcore__retired *))
{
	fn(node);
}

/* memory/memory.h: of a map that does not change */
uint32_t
vcore__memory_phase(struct vcore__memory_user *u)
{
	return (uint32_t)Frama_C_interval(0, 1);
}

void
vcore__memory_pin_phase(struct vcore__memory_user *u, uint32_t phase)
{
}

void
vcore__memory_unpin(struct vcore__memory_user *u, uint32_t phase)
{
}

struct vcore_memory *
vcore_memory_ref(struct vcore_memory *m)
{
	return m;
}

void
vcore_memory_unref(struct vcore_memory *m)
{
}

/* memcpy(): of iovecs, which are nothing that the ring looks at. */
void
formal_copy(void *to, const void *from, size_t n)
{
	/*@ assert to: \valid((char *)to + (0 .. n - 1)); */
	/*@ assert from: \valid_read((char *)from + (0 .. n - 1)); */
}

#ifdef INDIRECT
uint64_t
formal_any(void)
{
	return Frama_C_unsigned_long_interval(0, UINT64_MAX);
}
#endif

/* memory/access.c */
int
vcore__memory_iov(struct vcore__memory_user *u, uint64_t gpa, uint64_t len,
		  bool write, struct iovec *iov, uint32_t max)
{
	/* What it writes there is nothing that the ring looks at. */
	/*@ assert room: \valid(iov + (0 .. max - 1)); */
	if (Frama_C_interval(0, 1))
		return -EFAULT;
	if (Frama_C_interval(0, 1))
		return -ENOSPC;
	return (int)Frama_C_unsigned_int_interval(0, max);
}

int
vcore__memory_get(struct vcore__memory_user *u, uint64_t gpa, void *buf,
		  uint64_t len)
{
	Frama_C_make_unknown(buf, len);
	return Frama_C_interval(0, 1) ? -EFAULT : 0;
}

/* The device and its transport */
static void
interrupt(void *owner, struct vcore_virtqueue *queue)
{
}

static void
broken(void *owner, struct vcore_virtqueue *queue, const char *why)
{
	/*@ assert why != \null; */
}

static void
again(void *owner, struct vcore_virtqueue *queue)
{
}

static const struct vcore__virtqueue_ops ops = { interrupt, broken, again };

static void
add(struct vcore__ranges *ranges, uint32_t i, uint64_t gpa, uint64_t len,
    volatile void *hva, uint32_t flags)
{
	struct vcore__span *s = &entries[i].span;

	s->gpa = gpa;
	s->len = len;
	s->hva = (void *)hva;
	s->flags = flags;
	if (vcore__ranges_insert(ranges, gpa, len, &entries[i]) < 0)
		exit(1);
}

/* One after the other, with a hole, one read-only, one at the end of all. */
static void
map(void)
{
	struct vcore__ranges *ranges = NULL;

	memory.domain = &domain;
	memory.generation = 1;
	vcore__rangemap_init(&memory.map, &domain);
	(void)vcore__rangemap_copy(&memory.map, 8, &ranges);
	if (!ranges)
		exit(1);
	add(ranges, 0, 0x1000, sizeof(desc), desc, 0);
	add(ranges, 1, 0x2000, sizeof(avail), avail, 0);
	add(ranges, 2, 0x3000, sizeof(used), used, 0);
	add(ranges, 3, 0x100000, RAM, ram[0], 0);
	add(ranges, 4, 0x200000, RAM, ram[1], VCORE_MEMORY_READONLY);
	add(ranges, 5, (uint64_t)-RAM, RAM, ram[2], 0);
	vcore__rangemap_publish(&memory.map, ranges);
}

/* One chain after the other: what the device does with it. */
static void
serve(void)
{
	struct vcore_chain *chain = NULL;

	if (vcore_virtqueue_pop(&q, &chain) == 0 || !chain)
		return;
	switch (Frama_C_interval(0, 2)) {
	case 0:
		vcore_virtqueue_push(&q, chain,
				     (uint32_t)Frama_C_interval(0, 0x7fffffff));
		break;
	case 1:
		vcore_virtqueue_unpop(&q, chain);
		break;
	default:
		vcore_virtqueue_drop(&q, chain);
	}
}

static void
dispatch(void)
{
	vcore__virtqueue_begin(&q);
	while (Frama_C_interval(0, 1))
		serve();
	vcore_virtqueue_flush(&q);
	vcore_virtqueue_enable_kick(&q);
	(void)vcore__virtqueue_end(&q);
}

int
main(void)
{
	struct vcore__ring ring = {
		.desc = 0x1000, .driver = 0x2000, .device = 0x3000,
		.size = SIZE, .event_idx = Frama_C_interval(0, 1),
#ifdef INDIRECT
		.indirect = true,
#endif
	};

	map();
	q.ops = &ops;
	if (vcore__virtqueue_init(&q, &memory, 0, MAX) < 0)
		return 0;
	if (vcore__ring_check(&q.user, &ring, MAX))
		return 0;
	vcore__virtqueue_setup(&q, &ring);
	q.pool.max = 1;
	q.pool.large_max = 1;
	vcore__virtqueue_open(&q);
	while (Frama_C_interval(0, 1))
		dispatch();
	vcore__virtqueue_fini(&q);
	return 0;
}
