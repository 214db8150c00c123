/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A page that can't be read back: replaced by zeroes from the embedder's
 * SIGBUS handler. vcore_memory_recover() uses atomics and system calls only.
 */
#include "memory/map.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/base.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* The slot that holds an address, copied whole. */
struct found {
	uintptr_t start;
	uint64_t len, gpa;
	struct vcore_region *region;
};

int
vcore__fault_slot_take(struct vcore_memory *m, struct vcore__fault_slot **slot)
{
	struct vcore__fault_chunk *chunk = &m->faults, *next;
	uint32_t i;

	for (;;) {
		for (i = 0; i < VCORE__FAULT_SLOTS; i++) {
			if (chunk->slot[i].used)
				continue;
			chunk->slot[i].used = 1;
			*slot = &chunk->slot[i];
			return 0;
		}
		next = atomic_load(&chunk->next);
		if (!next) {
			next = calloc(1, sizeof(*next));
			if (!next)
				return -ENOMEM;
			atomic_store(&chunk->next, next);
		}
		chunk = next;
	}
}

static void
slot_write(struct vcore__fault_slot *slot, const struct vcore__span *span)
{
	atomic_fetch_add(&slot->seq, 1);
	atomic_store(&slot->start, span ? (uintptr_t)span->hva : 0);
	atomic_store(&slot->len, span ? span->len : 0);
	atomic_store(&slot->gpa, span ? span->gpa : 0);
	atomic_store(&slot->region, span ? span->region : NULL);
	atomic_fetch_add(&slot->seq, 1);
}

void
vcore__fault_slot_set(struct vcore__fault_slot *slot,
		      const struct vcore__span *span)
{
	slot_write(slot, span);
}

void
vcore__fault_slot_give(struct vcore__fault_slot *slot)
{
	slot_write(slot, NULL);
	slot->used = 0;
}

void
vcore__fault_slots_free(struct vcore_memory *m)
{
	struct vcore__fault_chunk *chunk, *next;

	for (chunk = atomic_load(&m->faults.next); chunk; chunk = next) {
		next = atomic_load(&chunk->next);
		free(chunk);
	}
}

/*
 * Whoever touches guest memory keeps its region in the map meanwhile, so the
 * slot of the address that faulted stands still. One that changes is another's.
 */
static bool
find_slot(struct vcore_memory *m, uintptr_t address, struct found *f)
{
	struct vcore__fault_chunk *chunk;
	struct vcore__fault_slot *s;
	uint32_t i, seq;

	for (chunk = &m->faults; chunk; chunk = atomic_load(&chunk->next)) {
		for (i = 0; i < VCORE__FAULT_SLOTS; i++) {
			s = &chunk->slot[i];
			seq = atomic_load(&s->seq);
			f->start = atomic_load(&s->start);
			f->len = atomic_load(&s->len);
			f->gpa = atomic_load(&s->gpa);
			f->region = atomic_load(&s->region);
			if (!(seq & 1) && atomic_load(&s->seq) == seq &&
			    f->region && address >= f->start &&
			    address - f->start < f->len)
				return true;
		}
	}
	return false;
}

/* One lost page: 0 if it is usable now. */
static int
replace(char *page, uint64_t size, bool readonly)
{
	int prot = readonly ? PROT_READ : PROT_READ | PROT_WRITE;

	/* Another thread may have been here just now: keep what it wrote. */
	if (madvise(page, size, readonly ? MADV_POPULATE_READ :
					   MADV_POPULATE_WRITE) == 0)
		return 0;
	if (mmap(page, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return -errno;
	return 0;
}

int
vcore_memory_recover(struct vcore_memory *memory, void *siginfo, void *ucontext)
{
	const siginfo_t *info = siginfo;
	int saved = errno, rc;
	uint64_t size, offset;
	struct found f;

	(void)ucontext;
	if (!memory || !info || info->si_signo != SIGBUS ||
	    (info->si_code != BUS_ADRERR && info->si_code != BUS_MCEERR_AR))
		return 0;
	if (!find_slot(memory, (uintptr_t)info->si_addr, &f))
		return 0;
	size = f.region->page_size;
	offset = ((uintptr_t)info->si_addr - f.start) & ~(size - 1);

	while (atomic_exchange(&memory->recovering, 1))
		sched_yield();
	rc = replace((char *)f.start + offset, size,
		     f.region->flags & VCORE_REGION_READONLY);
	atomic_store(&memory->recovering, 0);
	if (rc == 0) {
		atomic_store(&f.region->failed, 1);
		if (memory->events)
			vcore__events_post_signal(memory->events,
						  &memory->fault_event,
						  f.gpa + offset, size);
	}
	errno = saved;
	return rc == 0;
}
