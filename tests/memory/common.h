/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the memory layer share: short makers, a fake listener. */
#ifndef VCORE_TESTS_MEMORY_COMMON_H
#define VCORE_TESTS_MEMORY_COMMON_H

#include <errno.h>
#include <stdio.h>

#include "memory/memory.h"
#include "support/support.h"

#define PAGE 4096ull

static inline struct vcore_memory *
make_memory(uint64_t timeout_ns)
{
	struct vcore_memory_opts opts;
	struct vcore_memory *memory;

	VCORE_INIT(&opts);
	opts.remove_timeout_ns = timeout_ns;
	ck_assert_ok(vcore_memory_new(&opts, &memory));
	return memory;
}

static inline struct vcore_region *
make_region(uint64_t len)
{
	struct vcore_region_opts opts;
	struct vcore_region *region;

	VCORE_INIT(&opts);
	opts.len = len;
	ck_assert_ok(vcore_region_new(&opts, &region));
	return region;
}

/* A region of its own at gpa, held by the map alone. */
static inline void
add(struct vcore_memory *memory, uint64_t gpa, uint64_t len, uint32_t flags)
{
	struct vcore_region *region = make_region(len);

	ck_assert_ok(vcore_memory_add(memory, gpa, region, flags));
	vcore_region_unref(region);
}

/* A region of the caller's whose release sets a flag. */
static _Alignas(4096) char caller_page[8 * 4096];
static int caller_released;

static inline void
caller_release(void *opaque)
{
	++*(int *)opaque;
}

static inline struct vcore_region *
make_caller(uint64_t len)
{
	struct vcore_region_opts opts;
	struct vcore_region *region;

	VCORE_INIT(&opts);
	opts.len = len;
	opts.backing = VCORE_BACKING_CALLER;
	opts.hva = caller_page;
	opts.opaque = &caller_released;
	opts.release = caller_release;
	caller_released = 0;
	ck_assert_ok(vcore_region_new(&opts, &region));
	return region;
}

/*
 * A listener that keeps the set of spans it was told of, notes every call in
 * order, and refuses the call number `refuse` (from 1; 0: none).
 */
struct fake {
	struct vcore__map_listener l;
	char name;
	uint32_t count, calls, refuse;
	uint64_t gpa[16];
};

static char fake_journal[1024];	/* of all listeners: "+a1 -b2 " */

static inline void
fake_note(char what, const struct fake *f, uint64_t gpa)
{
	size_t n = strlen(fake_journal);

	snprintf(fake_journal + n, sizeof(fake_journal) - n, "%c%c%llx ", what,
		 f->name, (unsigned long long)(gpa / PAGE));
}

static inline int
fake_add(void *opaque, const struct vcore__span *s)
{
	struct fake *f = opaque;

	if (++f->calls == f->refuse)
		return -ENOSPC;
	if (!s->hva)
		abort();	/* Check allocates, which some tests count */
	fake_note('+', f, s->gpa);
	f->gpa[f->count++] = s->gpa;
	return 0;
}

static inline int
fake_del(void *opaque, const struct vcore__span *s)
{
	struct fake *f = opaque;
	uint32_t i;

	if (++f->calls == f->refuse)
		return -EIO;
	fake_note('-', f, s->gpa);
	for (i = 0; f->gpa[i] != s->gpa; i++)
		if (i == f->count)
			abort();
	f->gpa[i] = f->gpa[--f->count];
	return 0;
}

static inline void
fake_listen(struct fake *f, struct vcore_memory *memory, char name,
	    uint32_t level)
{
	memset(f, 0, sizeof(*f));
	f->name = name;
	f->l.level = level;
	f->l.add = fake_add;
	f->l.del = fake_del;
	f->l.opaque = f;
	ck_assert_ok(vcore__memory_listen(memory, &f->l));
}

static inline bool
fake_knows(const struct fake *f, uint64_t gpa)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (f->gpa[i] == gpa)
			return true;
	return false;
}

#endif
