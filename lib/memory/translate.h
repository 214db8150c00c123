/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From guest physical addresses to places in regions: the arithmetic, apart
 * from how a span is found and from host pointers. The comments that begin
 * with @ are ACSL: tests/formal/wp.sh proves that the functions keep them.
 */
#ifndef VCORE_LIB_MEMORY_TRANSLATE_H
#define VCORE_LIB_MEMORY_TRANSLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vcore/memory.h>

#include "base/ranges.h"
#include "memory/access.h"

/*
 * One stretch of the map as listeners see it. Valid during the call; the
 * region may be referenced for longer.
 */
struct vcore__span {
	uint64_t gpa, len;
	struct vcore_region *region;
	uint64_t offset;	/* into the region */
	VCORE__GUEST_PTR *hva;	/* of gpa */
	uint32_t flags;		/* VCORE_MEMORY_* */
	uint32_t reserved;
};

/*@
  logic integer end(struct vcore__span *s) = s->gpa + s->len;

  predicate readonly(struct vcore__span *s) =
    (s->flags & VCORE_MEMORY_READONLY) != 0;

  predicate allows(struct vcore__span *s, integer write) =
    s != \null && !(write != 0 && readonly(s));

  predicate within(struct vcore__span *s, integer gpa, integer len) =
    s->gpa <= gpa && gpa + len <= end(s);

  predicate found(struct vcore__span *s, integer gpa) =
    \valid_read(s) && range(s->gpa, s->len) && s->gpa <= gpa < end(s);
*/

/* As vcore__range_holds(). */
/*@
  requires \valid_read(s) && range(s->gpa, s->len);
  assigns \nothing;
  ensures \result <==> s->gpa <= gpa < end(s);
*/
static inline bool
vcore__span_holds(const struct vcore__span *s, uint64_t gpa)
{
	return gpa - s->gpa < s->len;
}

/* May this span, NULL where there is none, be read or written? */
/*@
  requires s == \null || \valid_read(s);
  assigns \nothing;
  ensures \result <==> allows(s, write);
*/
static inline bool
vcore__span_allows(const struct vcore__span *s, bool write)
{
	return s && !(write && (s->flags & VCORE_MEMORY_READONLY));
}

/*
 * Does [gpa, gpa + len) lie in the span that holds gpa? Then *offset, from the
 * span's beginning, is where.
 */
/*@
  requires found(s, gpa) && \valid(offset) && \separated(s, offset);
  assigns *offset;
  ensures \result <==> within(s, gpa, len);
  ensures *offset == gpa - s->gpa && *offset < s->len;
  ensures \result ==> *offset + len <= s->len;
*/
static inline bool
vcore__span_covers(const struct vcore__span *s, uint64_t gpa, uint64_t len,
		   uint64_t *offset)
{
	*offset = gpa - s->gpa;
	return len <= s->len - *offset;
}

/*
 * The first bytes of [*gpa, *gpa + *len), not empty, that lie in one span: s,
 * which is what was found at *gpa (NULL: a hole). Returns how many and steps
 * behind them, or 0: not to be accessed. To wrap to 0 is fine only where
 * nothing is left.
 */
/*@
  requires \valid(gpa) && \valid(len) && \valid(offset);
  requires \separated(gpa, len, offset);
  requires s == \null || found(s, *gpa) && \separated(s, gpa, len, offset);
  requires 0 < *len;
  assigns *gpa, *len, *offset;
  ensures 0 < \result <==> allows(s, write) && (0x10000000000000000 == end(s)
    ==> \old(*gpa) + \old(*len) <= 0x10000000000000000);
  ensures 0 < \result ==> within(s, \old(*gpa), \result) &&
    *offset == \old(*gpa) - s->gpa && *offset + \result <= s->len;
  ensures 0 < \result ==> *len == \old(*len) - \result;
  ensures 0 < \result && 0 < *len ==>
    *gpa == \old(*gpa) + \result && *gpa == end(s);
*/
static inline uint64_t
vcore__span_take(const struct vcore__span *s, uint64_t *gpa, uint64_t *len,
		 bool write, uint64_t *offset)
{
	uint64_t n = *len;

	if (!vcore__span_allows(s, write))
		return 0;
	if (!vcore__span_covers(s, *gpa, n, offset))
		n = s->len - *offset;
	*len -= n;
	*gpa += n;
	return *gpa < n && *len ? 0 : n;
}

#endif
