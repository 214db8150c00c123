/* SPDX-License-Identifier: BSD-3-Clause */
/* Extents: which addresses are of which kind, and where something fits. */
#include "boot/boot.h"

#include <stdlib.h>

#include "base/base.h"

void
vcore__extents_fini(struct vcore__extents *x)
{
	free(x->list);
	x->list = NULL;
	x->count = x->capacity = 0;
}

static int
reserve(struct vcore__extents *x, uint32_t count)
{
	struct vcore__extent *list;
	uint32_t capacity;

	if (count <= x->capacity)
		return 0;
	capacity = count + 32;
	list = realloc(x->list, capacity * sizeof(*list));
	if (!list)
		return VCORE__BOOT_ERR(-ENOMEM, "out of memory");
	x->list = list;
	x->capacity = capacity;
	return 0;
}

static void
insert(struct vcore__extents *x, uint32_t at, uint64_t start, uint64_t end,
       uint32_t kind)
{
	struct vcore__extent *e = &x->list[at];

	memmove(e + 1, e, (x->count - at) * sizeof(*e));
	memset(e, 0, sizeof(*e));
	e->start = start;
	e->end = end;
	e->kind = kind;
	x->count++;
}

static void
delete(struct vcore__extents *x, uint32_t at)
{
	x->count--;
	memmove(&x->list[at], &x->list[at + 1],
		(x->count - at) * sizeof(x->list[0]));
}

/* Remove what overlaps; returns where an extent that begins at start goes. */
static uint32_t
cut(struct vcore__extents *x, uint64_t start, uint64_t end)
{
	struct vcore__extent *e;
	uint32_t i = 0;

	while (i < x->count && x->list[i].end <= start)
		i++;
	while (i < x->count && x->list[i].start < end) {
		e = &x->list[i];
		if (e->start < start && e->end > end) {
			insert(x, i + 1, end, e->end, e->kind);
			x->list[i].end = start;
			return i + 1;
		}
		if (e->start < start) {
			e->end = start;
			i++;
		} else if (e->end > end) {
			e->start = end;
		} else {
			delete(x, i);
		}
	}
	return i;
}

static void
merge(struct vcore__extents *x, uint32_t at)
{
	struct vcore__extent *e = x->list;

	if (at + 1 < x->count && e[at].end == e[at + 1].start &&
	    e[at].kind == e[at + 1].kind) {
		e[at].end = e[at + 1].end;
		delete(x, at + 1);
	}
	if (at > 0 && e[at - 1].end == e[at].start &&
	    e[at - 1].kind == e[at].kind) {
		e[at - 1].end = e[at].end;
		delete(x, at);
	}
}

int
vcore__extents_set(struct vcore__extents *x, uint64_t start, uint64_t end,
		   uint32_t kind)
{
	uint32_t at;

	if (start >= end)
		return 0;
	if (reserve(x, x->count + 2) < 0)
		return -ENOMEM;
	at = cut(x, start, end);
	if (kind) {
		insert(x, at, start, end, kind);
		merge(x, at);
	}
	return 0;
}

int
vcore__extents_only(const struct vcore__extents *x, uint32_t kind,
		    struct vcore__extents *out)
{
	uint32_t i;

	if (reserve(out, x->count) < 0)
		return -ENOMEM;
	out->count = 0;
	for (i = 0; i < x->count; i++)
		if (x->list[i].kind == kind)
			out->list[out->count++] = x->list[i];
	return 0;
}

bool
vcore__extents_holds(const struct vcore__extents *x, uint64_t start,
		     uint64_t len, uint32_t kind)
{
	const struct vcore__extent *e;
	uint32_t i;

	for (i = 0; i < x->count; i++) {
		e = &x->list[i];
		if (e->kind == kind && start >= e->start &&
		    vcore__range_fits(start, len, e->end))
			return true;
	}
	return false;
}

/* Cut an extent to [min, end): false if nothing of it is left. */
static bool
clip(const struct vcore__extent *e, uint64_t min, uint64_t end, uint64_t *from,
     uint64_t *to)
{
	*from = e->start > min ? e->start : min;
	*to = e->end < end ? e->end : end;
	return *from < *to;
}

bool
vcore__extents_lowest(const struct vcore__extents *x, uint64_t min,
		      uint64_t end, uint64_t len, uint64_t align,
		      uint64_t *start)
{
	uint64_t from, to;
	uint32_t i;

	for (i = 0; i < x->count; i++) {
		if (!clip(&x->list[i], min, end, &from, &to) ||
		    vcore__add_overflow(from, align - 1, &from))
			continue;
		from &= ~(align - 1);
		if (vcore__range_fits(from, len, to)) {
			*start = from;
			return true;
		}
	}
	return false;
}

bool
vcore__extents_highest(const struct vcore__extents *x, uint64_t min,
		       uint64_t end, uint64_t len, uint64_t align,
		       uint64_t *start)
{
	uint64_t from, to;
	uint32_t i;

	for (i = x->count; i-- > 0;) {
		if (!clip(&x->list[i], min, end, &from, &to) || len > to - from)
			continue;
		to = (to - len) & ~(align - 1);
		if (to >= from) {
			*start = to;
			return true;
		}
	}
	return false;
}
