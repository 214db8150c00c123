/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A map from disjoint half-open ranges of uint64_t to pointers: a sorted array,
 * replaced as a whole to add (copy, change, publish, retire the old one), and
 * marked in place to remove. Look-ups inside a reader are lock-free binary
 * searches. Writers are serialised by the caller.
 *
 * Removing must not fail, so it must not allocate. It sets the entry's `dead`
 * flag and touches nothing else: a reader that found the entry before goes on
 * with an entry that still is as it was (the caller retires what value points
 * to, which waits for that reader), a later one finds nothing. The next copy
 * leaves dead entries out, so at most what was inserted stays allocated. (The
 * alternative, spare copies kept for removing, needs one spare per entry, since
 * readers may hold any number of old copies: memory by the square.)
 */
#ifndef VCORE_LIB_BASE_RANGEMAP_H
#define VCORE_LIB_BASE_RANGEMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ranges.h"
#include "base/rcu.h"

/* One copy. Once published only `dead` changes. */
struct vcore__ranges {
	struct vcore__retired retired;
	uint32_t count, capacity;	/* count: with dead ones */
	struct vcore__range_entry entry[];
};

struct vcore__rangemap {
	struct vcore__domain *domain;
	_Atomic(struct vcore__ranges *) current;	/* NULL: empty */
};

/* The domain stays the caller's and outlives the map. */
void
vcore__rangemap_init(struct vcore__rangemap *map, struct vcore__domain *domain);

/* No readers inside. Values are the caller's: walk first to free them. */
void
vcore__rangemap_fini(struct vcore__rangemap *map);

/* writer: 0, -EINVAL (len 0 or wrap), -EEXIST (overlap), -ENOMEM; no text */
int
vcore__rangemap_insert(struct vcore__rangemap *map, uint64_t start,
		       uint64_t len, void *value);

/*
 * writer: 0, or -ENOENT if there is no such exact range. Never allocates. No
 * look-up that begins after it returns finds the range; what value points to
 * is then to be retired in the map's domain.
 */
int
vcore__rangemap_remove(struct vcore__rangemap *map, uint64_t start,
		       uint64_t len);

/* inside a reader: the entry that holds addr, or NULL. Valid until exit. */
const struct vcore__range_entry *
vcore__rangemap_find(const struct vcore__rangemap *map, uint64_t addr);

/* inside a reader, or writer: copy for walking, NULL if empty. */
static inline const struct vcore__ranges *
vcore__rangemap_current(const struct vcore__rangemap *map)
{
	return atomic_load(&map->current);
}

/*
 * Next living entry of a copy, by address: start with *pos = 0 and call until
 * NULL. ranges may be NULL.
 */
const struct vcore__range_entry *
vcore__ranges_next(const struct vcore__ranges *ranges, uint32_t *pos);

/* The entry of one copy that holds addr, or NULL. ranges may be NULL. */
const struct vcore__range_entry *
vcore__ranges_find(const struct vcore__ranges *ranges, uint64_t addr);

/*
 * The same for who looks up one address over and over: *near is where the last
 * look-up ended, in whichever copy; any value will do, as what it points to is
 * looked at. Kept by the caller.
 */
const struct vcore__range_entry *
vcore__ranges_search(const struct vcore__ranges *ranges, uint64_t addr,
		     uint32_t *near);

static inline const struct vcore__range_entry *
vcore__ranges_near(const struct vcore__ranges *ranges, uint64_t addr,
		   uint32_t *near)
{
	const struct vcore__range_entry *e;

	if (VCORE__OFTEN(ranges && *near < ranges->count)) {
		e = &ranges->entry[*near];
		if (VCORE__OFTEN(vcore__range_holds(e, addr) &&
				 !atomic_load(&e->dead)))
			return e;
	}
	return vcore__ranges_search(ranges, addr, near);
}

/*
 * Several changes at once: take a private copy of the living entries with room
 * for `extra` more, change it, then publish (which can't fail) or free it.
 * -ENOMEM leaves *out as it is.
 */
int
vcore__rangemap_copy(const struct vcore__rangemap *map, uint32_t extra,
		     struct vcore__ranges **out);

/* On a private copy: 0, -EINVAL, -EEXIST, -ENOSPC (no room left). */
int
vcore__ranges_insert(struct vcore__ranges *ranges, uint64_t start, uint64_t len,
		     void *value);

/* On a private copy: 0, -ENOENT. Makes room for one. */
int
vcore__ranges_remove(struct vcore__ranges *ranges, uint64_t start,
		     uint64_t len);

/* A private copy that is not published. NULL is a no-op. */
void
vcore__ranges_free(struct vcore__ranges *ranges);

/* writer: readers see the copy from now on; the old one is retired. */
void
vcore__rangemap_publish(struct vcore__rangemap *map,
			struct vcore__ranges *ranges);

#endif
