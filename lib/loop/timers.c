/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers: a binary heap whose members know their place. */
#include "loop/timers.h"

#include <errno.h>
#include <stdlib.h>

int
vcore__timers_reserve(struct vcore__timers *t)
{
	uint32_t capacity = t->capacity ? t->capacity * 2 : 8;
	struct vcore__timer **heap;

	if (t->users == t->capacity) {
		heap = realloc(t->heap,
			       capacity * sizeof(struct vcore__timer *));
		if (!heap)
			return -ENOMEM;
		t->heap = heap;
		t->capacity = capacity;
	}
	t->users++;
	return 0;
}

void
vcore__timers_unreserve(struct vcore__timers *t)
{
	t->users--;
}

static void
put(struct vcore__timers *t, uint32_t at, struct vcore__timer *timer)
{
	t->heap[at] = timer;
	timer->place = at + 1;
}

static void
sift_up(struct vcore__timers *t, uint32_t at, struct vcore__timer *timer)
{
	uint32_t parent;

	while (at > 0) {
		parent = (at - 1) / 2;
		if (t->heap[parent]->deadline_ns <= timer->deadline_ns)
			break;
		put(t, at, t->heap[parent]);
		at = parent;
	}
	put(t, at, timer);
}

static void
sift_down(struct vcore__timers *t, uint32_t at, struct vcore__timer *timer)
{
	uint32_t child;

	while ((child = 2 * at + 1) < t->count) {
		if (child + 1 < t->count && t->heap[child + 1]->deadline_ns <
						    t->heap[child]->deadline_ns)
			child++;
		if (timer->deadline_ns <= t->heap[child]->deadline_ns)
			break;
		put(t, at, t->heap[child]);
		at = child;
	}
	put(t, at, timer);
}

/* Put a timer where it belongs, starting from a free place. */
static void
settle(struct vcore__timers *t, uint32_t at, struct vcore__timer *timer)
{
	sift_up(t, at, timer);
	sift_down(t, timer->place - 1, timer);
}

static void
disarm(struct vcore__timers *t, struct vcore__timer *timer)
{
	uint32_t at = timer->place - 1;
	struct vcore__timer *last = t->heap[--t->count];

	timer->place = 0;
	if (last != timer)
		settle(t, at, last);
}

void
vcore__timers_set(struct vcore__timers *t, struct vcore__timer *timer,
		  uint64_t deadline_ns)
{
	if (timer->place)
		disarm(t, timer);
	timer->deadline_ns = deadline_ns;
	if (deadline_ns)
		settle(t, t->count++, timer);
}

struct vcore__timer *
vcore__timers_first(const struct vcore__timers *t)
{
	return t->count ? t->heap[0] : NULL;
}

void
vcore__timers_fini(struct vcore__timers *t)
{
	free(t->heap);
}
