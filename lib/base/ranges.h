/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looking up in a sorted array of disjoint ranges, apart from who shares and
 * replaces the array (base/rangemap.h). The comments that begin with @ are
 * ACSL: tests/formal/wp.sh proves that the functions keep them.
 */
#ifndef VCORE_LIB_BASE_RANGES_H
#define VCORE_LIB_BASE_RANGES_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vcore__range_entry {
	uint64_t start, len;	/* len > 0; start + len may be 2^64 */
	void *value;
	_Atomic uint32_t dead;	/* removed: walkers skip it */
	uint32_t reserved;
};

/*
 * Unsigned conversion, C11 6.3.1.3p2, for what one addition or subtraction
 * gives: the prover's own theory says nothing about results out of range.
 */
/*@
  axiomatic wrap {
    axiom below: \forall integer x; -0x10000000000000000 <= x < 0 ==>
      (uint64_t)x == x + 0x10000000000000000;
    axiom above: \forall integer x;
      0x10000000000000000 <= x < 0x20000000000000000 ==>
      (uint64_t)x == x - 0x10000000000000000;
  }
*/

/*@
  logic integer first(struct vcore__range_entry *e) = e->start;
  logic integer behind(struct vcore__range_entry *e) = e->start + e->len;

  predicate range(integer start, integer len) =
    0 < len && start + len <= 0x10000000000000000;

  predicate holds(struct vcore__range_entry *e, integer addr) =
    first(e) <= addr < behind(e);

  predicate apart(struct vcore__range_entry *e, integer n) =
    (\forall integer i; 0 <= i < n ==> range(e[i].start, e[i].len)) &&
    (\forall integer i, j; 0 <= i < j < n ==> behind(&e[i]) <= first(&e[j]));
*/

/*
 * Index of the last entry whose start is not above addr, or of the first entry
 * if there is none; count > 0. The only branch is the loop's own, which depends
 * on count alone: the comparison becomes a factor.
 */
/*@
  requires 0 < count && \valid_read(e + (0 .. count - 1));
  requires apart(e, count);
  assigns \nothing;
  ensures \result < count;
  ensures 0 < \result ==> first(&e[\result]) <= addr;
  ensures \forall integer i; \result < i < count ==> addr < first(&e[i]);
*/
static inline uint32_t
vcore__ranges_below(const struct vcore__range_entry *e, uint32_t count,
		    uint64_t addr)
{
	uint32_t base = 0, left = count, half;

	/*@
	  loop invariant 0 < left && base + left <= count;
	  loop invariant 0 < base ==> first(&e[base]) <= addr;
	  loop invariant \forall integer i; base + left <= i < count ==>
	    addr < first(&e[i]);
	  loop assigns base, left, half;
	  loop variant left;
	*/
	while (left > 1) {
		half = left / 2;
		base += half * (e[base + half].start <= addr);
		left -= half;
	}
	return base;
}

/* One comparison: below start the difference wraps, to more than any len. */
/*@
  requires \valid_read(e) && range(e->start, e->len);
  assigns \nothing;
  ensures \result <==> holds(e, addr);
*/
static inline bool
vcore__range_holds(const struct vcore__range_entry *e, uint64_t addr)
{
	return addr - e->start < e->len;
}

/*
 * The entry that holds addr, dead or not, or NULL; *near is its index, or that
 * of a neighbour. count > 0.
 */
/*@
  requires 0 < count && \valid_read(e + (0 .. count - 1)) && \valid(near);
  requires \separated(near, e + (0 .. count - 1));
  requires apart(e, count);
  assigns *near, \result \from e, count, addr, e[0 .. count - 1];
  ensures *near < count;
  ensures \result == \null || \result == &e[*near];
  ensures \result != \null ==> holds(\result, addr);
  ensures \result == \null <==>
    (\forall integer i; 0 <= i < count ==> !holds(&e[i], addr));
*/
static inline const struct vcore__range_entry *
vcore__ranges_at(const struct vcore__range_entry *e, uint32_t count,
		 uint64_t addr, uint32_t *near)
{
	*near = vcore__ranges_below(e, count, addr);
	return vcore__range_holds(&e[*near], addr) ? &e[*near] : NULL;
}

/* Do two ranges, given by first and last, share an address? */
/*@
  requires \valid_read(e) && range(e->start, e->len) && first <= last;
  assigns \nothing;
  ensures \result <==> first(e) <= last && first < behind(e);
*/
static inline bool
vcore__range_overlaps(const struct vcore__range_entry *e, uint64_t first,
		      uint64_t last)
{
	return e->start <= last && e->start + (e->len - 1) >= first;
}

/*
 * Where a new range belongs: in front of entry *at. 0, -EINVAL (len 0 or
 * wrap), -EEXIST (overlap).
 */
/*@
  requires \valid_read(e + (0 .. count - 1)) && \valid(at);
  requires \separated(at, e + (0 .. count - 1));
  requires apart(e, count);
  assigns *at;
  ensures \result == 0 || \result == -EINVAL || \result == -EEXIST;
  ensures \result == -EINVAL <==> !range(start, len);
  ensures \result == -EEXIST <==> range(start, len) &&
    (\exists integer i; 0 <= i < count &&
      first(&e[i]) < start + len && start < behind(&e[i]));
  ensures \result == 0 ==> *at <= count &&
    (\forall integer i; 0 <= i < *at ==> behind(&e[i]) <= start) &&
    (\forall integer i; *at <= i < count ==> start + len <= first(&e[i]));
*/
static inline int
vcore__ranges_place(const struct vcore__range_entry *e, uint32_t count,
		    uint64_t start, uint64_t len, uint32_t *at)
{
	uint64_t last = start + (len - 1);
	uint32_t i = 0;

	if (len == 0 || last < start)
		return -EINVAL;
	if (count) {
		i = vcore__ranges_below(e, count, start);
		i += e[i].start <= start;
	}
	if ((i > 0 && vcore__range_overlaps(&e[i - 1], start, last)) ||
	    (i < count && vcore__range_overlaps(&e[i], start, last)))
		return -EEXIST;
	*at = i;
	return 0;
}

#endif
