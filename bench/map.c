/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups among 1 to 4096 ranges, with the map at rest and while a thread
 * changes it all the time: of guest memory (an address of the guest to one of
 * the host) and of a bus (a whole read, handler and all); against the bare
 * search in an array, with which one can't change anything.
 *
 * The addresses come from a list in random order, so that it is a range of its
 * own each time (what was hit last doesn't help) and branches are guessed
 * wrong as they would be. Look-ups of memory are in sections of 64, as a device
 * has them; a read of the bus is a section each, as an exit of a vCPU is.
 */
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/bus.h>
#include <vcore/memory.h>

#include "bus/bus.h"
#include "memory/memory.h"

#define RANGES_MAX 4096u
#define SPACING	   8192ull		/* from range to range */
#define RANGE	   4096ull
#define ADDRESSES  4096u
#define SECTION	   64u
#define LOOKUPS	   16384u		/* of a block */
#define SCRATCH	   (1ull << 40)		/* where the writer adds and removes */

struct entry {
	uint64_t start, len;
	uintptr_t value;
};

struct bench {
	uint32_t n;			/* ranges */
	uint64_t lookups;
	uint64_t address[ADDRESSES];
	struct entry array[RANGES_MAX];
	struct vcore_region *region;
	struct vcore_memory *memory;
	struct vcore__memory_user user;
	struct vcore_bus *bus;
	struct vcore_range *range[RANGES_MAX];
	struct vcore__reader reader;
	struct vcore_access access;
	uint64_t sum;			/* so that nothing is left out */
	_Atomic bool stop;
	uint64_t changes;		/* the writer's */
};

static int
read_one(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	 struct vcore_access *later)
{
	(void)len;
	(void)later;
	*val = (uintptr_t)opaque + off;
	return 0;
}

static int
write_none(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)val;
	(void)later;
	return 0;
}

static const struct vcore_bus_ops bus_ops = {
	.size = sizeof(bus_ops), .read = read_one, .write = write_none,
};

static void
add_to_bus(struct bench *b, uint64_t base, struct vcore_range **range)
{
	struct vcore_range_opts o;

	VCORE_INIT(&o);
	o.base = base;
	o.len = RANGE;
	o.ops = &bus_ops;
	bench_need(vcore_bus_add(b->bus, &o, range) == 0, "bus range");
}

/* All of it, or what one side needs. */
static void
make(struct bench *b, bool memory, bool bus)
{
	struct vcore_bus_opts bus_opts;
	struct vcore_region_opts o;
	struct vcore_region_info info;

	VCORE_INIT(&o);
	o.len = RANGE;
	o.backing = VCORE_BACKING_ANONYMOUS;
	o.fd = -1;
	bench_need(vcore_region_new(&o, &b->region) == 0, "region");
	VCORE_INIT(&info);
	bench_need(vcore_region_get_info(b->region, &info) == 0, "info");
	bench_need(vcore_memory_new(NULL, &b->memory) == 0, "memory");
	vcore__memory_user_init(&b->user, b->memory);
	VCORE_INIT(&bus_opts);
	bench_need(vcore_bus_new(&bus_opts, &b->bus) == 0, "bus");
	vcore__bus_reader_init(b->bus, &b->reader);
	for (uint32_t i = 0; i < b->n; i++) {
		if (memory)
			bench_need(vcore_memory_add(b->memory, SPACING * i,
						    b->region, 0) == 0,
				   "memory range");
		if (bus)
			add_to_bus(b, SPACING * i, &b->range[i]);
		b->array[i] = (struct entry){ SPACING * i, RANGE, info.hva };
	}
	srandom(1);
	for (uint32_t i = 0; i < ADDRESSES; i++)
		b->address[i] = SPACING * ((uint64_t)random() % b->n) +
				(uint64_t)random() % RANGE;
}

static void
end(struct bench *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		vcore_range_remove(b->range[i]);
	vcore__reader_fini(&b->reader);
	vcore_bus_unref(b->bus);
	vcore__memory_user_fini(&b->user);
	vcore_memory_unref(b->memory);
	vcore_region_unref(b->region);
}

static double
memory_block(void *opaque)
{
	struct bench *b = opaque;
	double start = bench_now_ns();
	VCORE__GUEST_PTR *hva;

	for (uint64_t i = 0; i < b->lookups; i += SECTION) {
		vcore__memory_enter(&b->user);
		for (uint32_t j = 0; j < SECTION; j++) {
			hva = vcore__memory_hva(&b->user,
						b->address[(i + j) % ADDRESSES],
						1, true);
			b->sum += (uintptr_t)hva;
		}
		vcore__memory_exit(&b->user);
	}
	return (bench_now_ns() - start) / (double)b->lookups;
}

static double
bus_block(void *opaque)
{
	struct bench *b = opaque;
	double start = bench_now_ns();
	uint64_t val = 0;

	for (uint64_t i = 0; i < b->lookups; i++) {
		(void)vcore__bus_access(b->bus, &b->reader, 0,
					b->address[i % ADDRESSES], 1, &val,
					&b->access);
		b->sum += val;
	}
	return (bench_now_ns() - start) / (double)b->lookups;
}

static double
bare_block(void *opaque)
{
	struct bench *b = opaque;
	double start = bench_now_ns();
	const struct entry *e;
	uint64_t addr;

	for (uint64_t i = 0; i < b->lookups; i++) {
		uint32_t base = 0, left = b->n, half;

		addr = b->address[i % ADDRESSES];
		for (; left > 1; left -= half) {
			half = left / 2;
			base += half * (b->array[base + half].start <= addr);
		}
		e = &b->array[base];
		if (addr - e->start < e->len)
			b->sum += e->value + (addr - e->start);
	}
	return (bench_now_ns() - start) / (double)b->lookups;
}

static void *
writer(void *opaque)
{
	struct bench *b = opaque;
	struct vcore_range *range;

	bench_pin(1);
	while (!atomic_load(&b->stop)) {
		bench_need(vcore_memory_add(b->memory, SCRATCH, b->region,
					    0) == 0 &&
			   vcore_memory_remove(b->memory, SCRATCH) == 0,
			   "change of memory");
		add_to_bus(b, SCRATCH, &range);
		vcore_range_remove(range);
		b->changes += 2;
	}
	return NULL;
}

/* Of one look-up: the difference between runs of two lengths. */
static double
instructions(uint32_t n, const char *what)
{
	char ranges[16], lookups[16];
	const char *args[] = { what, ranges, lookups, NULL };
	uint64_t counts[2];

	snprintf(ranges, sizeof(ranges), "%u", n);
	for (uint32_t i = 0; i < 2; i++) {
		snprintf(lookups, sizeof(lookups), "%u",
			 (i + 1) * ADDRESSES);
		counts[i] = bench_instructions(args);
	}
	return (double)(counts[1] - counts[0]) / ADDRESSES;
}

static void
compare(struct bench *b, const char *how)
{
	struct bench_side memory = { memory_block, b }, bus = { bus_block, b },
			  bare = { bare_block, b };
	uint32_t blocks = (uint32_t)bench_count(101, 1);
	char name[64];

	snprintf(name, sizeof(name), "memory, %u ranges, %s", b->n, how);
	bench_alternate(&memory, &bare, blocks, "ns/look-up", name);
	snprintf(name, sizeof(name), "bus, %u ranges, %s", b->n, how);
	bench_alternate(&bus, &bare, blocks, "ns/look-up", name);
}

static void
measure(struct bench *b)
{
	pthread_t thread;
	double bare;

	make(b, true, true);
	b->lookups = bench_count(LOOKUPS, SECTION);
	compare(b, "idle");
	atomic_store(&b->stop, false);
	b->changes = 0;
	bench_need(pthread_create(&thread, NULL, writer, b) == 0, "thread");
	compare(b, "being changed");
	atomic_store(&b->stop, true);
	pthread_join(thread, NULL);
	bench_print((double)b->changes, "changes", NAN,
		    "%u ranges, changes meanwhile", b->n);
	if (!bench_smoke()) {
		bare = instructions(b->n, "bare");
		bench_print(instructions(b->n, "memory"),
			    "instructions/look-up", bare,
			    "memory, %u ranges, instructions", b->n);
		bench_print(instructions(b->n, "bus"), "instructions/look-up",
			    bare, "bus, %u ranges, instructions", b->n);
	}
	end(b);
}

/* Under callgrind: WHAT RANGES LOOKUPS */
static void
only(struct bench *b, char **argv)
{
	b->n = (uint32_t)strtoul(argv[1], NULL, 10);
	bench_need(b->n > 0 && b->n <= RANGES_MAX, "ranges");
	make(b, strcmp(argv[0], "memory") == 0, strcmp(argv[0], "bus") == 0);
	b->lookups = strtoul(argv[2], NULL, 10);
	if (strcmp(argv[0], "memory") == 0)
		memory_block(b);
	else if (b->range[0])
		bus_block(b);
	else
		bare_block(b);
	end(b);
}

int
main(int argc, char **argv)
{
	static const uint32_t ranges[] = { 1, 16, 512, 4096 };
	static struct bench b;

	if (argc == 4) {
		only(&b, argv + 1);
		return 0;
	}
	bench_begin("map", true);
	for (uint32_t i = 0; i < 4; i++) {
		b.n = ranges[i];
		measure(&b);
	}
	return bench_end();
}
