/* SPDX-License-Identifier: BSD-3-Clause */
/* Range map: sorted copies, replaced to add and marked to remove. */
#include "base/rangemap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
vcore__rangemap_init(struct vcore__rangemap *map, struct vcore__domain *domain)
{
	map->domain = domain;
	atomic_init(&map->current, NULL);
}

void
vcore__rangemap_fini(struct vcore__rangemap *map)
{
	vcore__ranges_free(atomic_exchange(&map->current, NULL));
}

const struct vcore__range_entry *
vcore__ranges_search(const struct vcore__ranges *ranges, uint64_t addr,
		     uint32_t *near)
{
	const struct vcore__range_entry *e;

	if (!ranges || ranges->count == 0)
		return NULL;
	e = vcore__ranges_at(ranges->entry, ranges->count, addr, near);
	return e && !atomic_load(&e->dead) ? e : NULL;
}

const struct vcore__range_entry *
vcore__ranges_find(const struct vcore__ranges *ranges, uint64_t addr)
{
	uint32_t near;

	return vcore__ranges_search(ranges, addr, &near);
}

const struct vcore__range_entry *
vcore__rangemap_find(const struct vcore__rangemap *map, uint64_t addr)
{
	return vcore__ranges_find(atomic_load(&map->current), addr);
}

const struct vcore__range_entry *
vcore__ranges_next(const struct vcore__ranges *ranges, uint32_t *pos)
{
	const struct vcore__range_entry *e;

	while (ranges && *pos < ranges->count) {
		e = &ranges->entry[(*pos)++];
		if (!atomic_load(&e->dead))
			return e;
	}
	return NULL;
}

int
vcore__rangemap_copy(const struct vcore__rangemap *map, uint32_t extra,
		     struct vcore__ranges **out)
{
	const struct vcore__ranges *old = atomic_load(&map->current);
	const struct vcore__range_entry *e;
	struct vcore__ranges *copy;
	size_t room = extra;
	uint32_t pos = 0;

	if (old)
		room += old->count;
	if (room > UINT32_MAX)
		return -ENOMEM;
	copy = calloc(1, sizeof(*copy) + room * sizeof(copy->entry[0]));
	if (!copy)
		return -ENOMEM;
	copy->capacity = (uint32_t)room;
	while ((e = vcore__ranges_next(old, &pos))) {
		copy->entry[copy->count].start = e->start;
		copy->entry[copy->count].len = e->len;
		copy->entry[copy->count].value = e->value;
		copy->count++;
	}
	*out = copy;
	return 0;
}

int
vcore__ranges_insert(struct vcore__ranges *ranges, uint64_t start, uint64_t len,
		     void *value)
{
	struct vcore__range_entry *e = ranges->entry;
	uint32_t at;
	int rc;

	rc = vcore__ranges_place(e, ranges->count, start, len, &at);
	if (rc < 0)
		return rc;
	if (ranges->count == ranges->capacity)
		return -ENOSPC;
	memmove(&e[at + 1], &e[at], (ranges->count - at) * sizeof(*e));
	memset(&e[at], 0, sizeof(*e));
	e[at].start = start;
	e[at].len = len;
	e[at].value = value;
	ranges->count++;
	return 0;
}

/* Index of the living entry that is exactly this range, or -ENOENT. */
static int64_t
exact(const struct vcore__ranges *ranges, uint64_t start, uint64_t len)
{
	const struct vcore__range_entry *e = vcore__ranges_find(ranges, start);

	if (!e || e->start != start || e->len != len)
		return -ENOENT;
	return e - ranges->entry;
}

int
vcore__ranges_remove(struct vcore__ranges *ranges, uint64_t start, uint64_t len)
{
	struct vcore__range_entry *e = ranges->entry;
	int64_t at = exact(ranges, start, len);

	if (at < 0)
		return -ENOENT;
	ranges->count--;
	memmove(&e[at], &e[at + 1], (ranges->count - (size_t)at) * sizeof(*e));
	return 0;
}

void
vcore__ranges_free(struct vcore__ranges *ranges)
{
	free(ranges);
}

static void
free_retired(struct vcore__retired *node)
{
	/* The node is the copy's first member. */
	free(node);
}

void
vcore__rangemap_publish(struct vcore__rangemap *map,
			struct vcore__ranges *ranges)
{
	struct vcore__ranges *old = atomic_exchange(&map->current, ranges);

	if (old)
		vcore__domain_retire(map->domain, &old->retired, free_retired);
}

int
vcore__rangemap_insert(struct vcore__rangemap *map, uint64_t start,
		       uint64_t len, void *value)
{
	struct vcore__ranges *copy;
	int rc;

	rc = vcore__rangemap_copy(map, 1, &copy);
	if (rc < 0)
		return rc;
	rc = vcore__ranges_insert(copy, start, len, value);
	if (rc < 0) {
		vcore__ranges_free(copy);
		return rc;
	}
	vcore__rangemap_publish(map, copy);
	return 0;
}

int
vcore__rangemap_remove(struct vcore__rangemap *map, uint64_t start, uint64_t len)
{
	struct vcore__ranges *ranges = atomic_load(&map->current);
	int64_t at = exact(ranges, start, len);

	if (at < 0)
		return -ENOENT;
	atomic_store(&ranges->entry[at].dead, 1);
	return 0;
}
