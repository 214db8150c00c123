/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library's search and its translation give together: a range of
 * guest memory over several regions with holes. The loop is the one of
 * lib/memory/access.c; what a map entry points to is an array here.
 */
#include "memory/translate.h"

/*@
  predicate map(struct vcore__range_entry *e, struct vcore__span *s,
                integer n) = apart(e, n) && (\forall integer i; 0 <= i < n ==>
      e[i].start == s[i].gpa && e[i].len == s[i].len);

  predicate accessible(struct vcore__span *s, integer n, integer a,
                       integer write) =
    \exists integer i; 0 <= i < n && s[i].gpa <= a < end(&s[i]) &&
      allows(&s[i], write);
*/

/*@
  requires 0 < count;
  requires \valid_read(e + (0 .. count - 1));
  requires \valid_read(s + (0 .. count - 1));
  requires map(e, s, count);
  assigns \nothing;
  ensures \result == 0 || \result == -EFAULT;
  ensures \result == 0 <==> (\forall integer a; gpa <= a < gpa + len ==>
    accessible(s, count, a, write));
*/
static int
walk(const struct vcore__range_entry *e, const struct vcore__span *s,
     uint32_t count, uint64_t gpa, uint64_t len, bool write)
{
	const struct vcore__range_entry *at;
	uint64_t n, from, offset;
	uint32_t near;

	/*@ assert one: \forall integer i, j, a; 0 <= i < count &&
	  0 <= j < count && s[i].gpa <= a < end(&s[i]) &&
	  s[j].gpa <= a < end(&s[j]) ==> i == j; */
	/*@
	  loop invariant 0 < len ==>
	    gpa + len == \at(gpa, Pre) + \at(len, Pre);
	  loop invariant 0 <= len <= \at(len, Pre);
	  loop invariant \forall integer a; \at(gpa, Pre) <= a <
	    \at(gpa, Pre) + \at(len, Pre) - len ==>
	    accessible(s, count, a, write);
	  loop assigns gpa, len, at, n, from, offset, near;
	  loop variant len;
	*/
	while (len) {
		from = gpa;
		at = vcore__ranges_at(e, count, gpa, &near);
		n = vcore__span_take(at ? &s[near] : NULL, &gpa, &len, write,
				     &offset);
		if (!n) {
			/*@ assert at == \null ==>
			  !accessible(s, count, from, write); */
			/*@ assert at != \null && !allows(&s[near], write) ==>
			  !accessible(s, count, from, write); */
			/*@ assert at != \null && allows(&s[near], write) ==>
			  !accessible(s, count, 0x10000000000000000, write) &&
			  \at(gpa, Pre) + \at(len, Pre) >
			  0x10000000000000000; */
			return -EFAULT;
		}
		/*@ assert s[near].gpa + offset == from; */
		/*@ assert offset + n <= s[near].len; */
		/*@ assert allows(&s[near], write); */
	}
	return 0;
}
