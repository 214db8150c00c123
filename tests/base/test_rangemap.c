/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/base/rangemap.c. */
#include <errno.h>
#include <pthread.h>

#include "base/base.h"
#include "base/rangemap.h"
#include "support/support.h"

#define TOP	      UINT64_MAX
#define STRESS_ROUNDS support_rounds(5000, 200000)

static struct vcore__domain *domain;
static struct vcore__rangemap map;
static int a, b, c;

static void
setup(void)
{
	ck_assert_int_eq(vcore__domain_new(&domain), 0);
	vcore__rangemap_init(&map, domain);
}

static void
teardown(void)
{
	vcore__rangemap_fini(&map);
	vcore__domain_free(domain);
}

static int
add(uint64_t start, uint64_t len, void *value)
{
	return vcore__rangemap_insert(&map, start, len, value);
}

static void *
at(uint64_t addr)
{
	const struct vcore__range_entry *e = vcore__rangemap_find(&map, addr);

	return e ? e->value : NULL;
}

static uint32_t
living(void)
{
	uint32_t pos = 0, count = 0;

	while (vcore__ranges_next(vcore__rangemap_current(&map), &pos))
		count++;
	return count;
}

START_TEST(test_empty_map_finds_nothing)
{
	ck_assert_ptr_null(at(0));
	ck_assert_ptr_null(at(TOP));
	ck_assert_uint_eq(living(), 0);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0, 1), -ENOENT);
}
END_TEST

START_TEST(test_find_holds_for_the_first_and_last_byte_only)
{
	ck_assert_int_eq(add(0x1000, 0x100, &a), 0);
	ck_assert_ptr_null(at(0xfff));
	ck_assert_ptr_eq(at(0x1000), &a);
	ck_assert_ptr_eq(at(0x10ff), &a);
	ck_assert_ptr_null(at(0x1100));
}
END_TEST

START_TEST(test_range_may_end_at_the_top)
{
	ck_assert_int_eq(add(TOP, 1, &a), 0);
	ck_assert_int_eq(add(TOP - 0x10, 0x10, &b), 0);
	ck_assert_ptr_eq(at(TOP), &a);
	ck_assert_ptr_eq(at(TOP - 1), &b);
	ck_assert_ptr_null(at(TOP - 0x11));
	ck_assert_int_eq(add(TOP, 1, &c), -EEXIST);
}
END_TEST

START_TEST(test_range_past_the_top_returns_einval)
{
	ck_assert_int_eq(add(TOP, 2, &a), -EINVAL);
	ck_assert_int_eq(add(2, TOP, &a), -EINVAL);
	ck_assert_int_eq(add(1, TOP, &a), 0);
	ck_assert_ptr_null(at(0));
	ck_assert_ptr_eq(at(TOP), &a);
}
END_TEST

START_TEST(test_empty_range_returns_einval)
{
	ck_assert_int_eq(add(0, 0, &a), -EINVAL);
	ck_assert_int_eq(add(5, 0, &a), -EINVAL);
	ck_assert_uint_eq(living(), 0);
}
END_TEST

START_TEST(test_overlap_returns_eexist_and_changes_nothing)
{
	ck_assert_int_eq(add(0x1000, 0x1000, &a), 0);
	ck_assert_int_eq(add(0x1000, 0x1000, &b), -EEXIST);
	ck_assert_int_eq(add(0x1fff, 1, &b), -EEXIST);
	ck_assert_int_eq(add(0xfff, 2, &b), -EEXIST);
	ck_assert_int_eq(add(0, TOP, &b), -EEXIST);
	ck_assert_int_eq(add(0x1800, 0x10, &b), -EEXIST);
	ck_assert_uint_eq(living(), 1);
	ck_assert_ptr_eq(at(0x1fff), &a);
}
END_TEST

START_TEST(test_neighbours_do_not_overlap)
{
	ck_assert_int_eq(add(0x1000, 0x1000, &a), 0);
	ck_assert_int_eq(add(0x2000, 0x1000, &b), 0);
	ck_assert_int_eq(add(0, 0x1000, &c), 0);
	ck_assert_ptr_eq(at(0xfff), &c);
	ck_assert_ptr_eq(at(0x1000), &a);
	ck_assert_ptr_eq(at(0x1fff), &a);
	ck_assert_ptr_eq(at(0x2000), &b);
}
END_TEST

START_TEST(test_insert_without_memory_returns_enomem_and_changes_nothing)
{
	int rc;

	ck_assert_int_eq(add(0, 1, &a), 0);
	fail_nth(FAIL_ALLOC, 1);
	rc = add(1, 1, &b);
	ck_assert(fail_stop());
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_ptr_eq(at(0), &a);
	ck_assert_ptr_null(at(1));
}
END_TEST

START_TEST(test_remove_never_allocates)
{
	int failures = 0;
	uint64_t i;

	for (i = 0; i < 256; i++)
		ck_assert_int_eq(add(i * 2, 1, &a), 0);
	fail_nth(FAIL_ALLOC, 1);
	for (i = 0; i < 256; i++)
		failures += vcore__rangemap_remove(&map, i * 2, 1) != 0;
	ck_assert(!fail_stop());
	ck_assert_int_eq(failures, 0);
	ck_assert_uint_eq(living(), 0);
	for (i = 0; i < 512; i++)
		ck_assert_ptr_null(at(i));
}
END_TEST

START_TEST(test_remove_of_another_range_returns_enoent)
{
	ck_assert_int_eq(add(0x1000, 0x1000, &a), 0);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x1000, 0xfff), -ENOENT);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x1001, 0xfff), -ENOENT);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0, 1), -ENOENT);
	ck_assert_int_eq(vcore__rangemap_remove(&map, TOP, 1), -ENOENT);
	ck_assert_ptr_eq(at(0x1000), &a);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x1000, 0x1000), 0);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x1000, 0x1000), -ENOENT);
}
END_TEST

START_TEST(test_removed_place_can_be_used_again)
{
	ck_assert_int_eq(add(0x1000, 0x1000, &a), 0);
	ck_assert_int_eq(add(0x4000, 0x1000, &b), 0);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x1000, 0x1000), 0);
	ck_assert_int_eq(add(0x800, 0x1000, &c), 0);
	ck_assert_ptr_eq(at(0x1000), &c);
	ck_assert_ptr_null(at(0x1fff));
	ck_assert_ptr_eq(at(0x4000), &b);
	ck_assert_uint_eq(vcore__rangemap_current(&map)->count, 2);
}
END_TEST

START_TEST(test_reader_keeps_the_entry_it_found)
{
	const struct vcore__range_entry *e;
	struct vcore__reader r;

	vcore__reader_init(&r, domain);
	ck_assert_int_eq(add(0x1000, 0x1000, &a), 0);
	vcore__reader_enter(&r);
	e = vcore__rangemap_find(&map, 0x1000);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x1000, 0x1000), 0);
	ck_assert_int_eq(add(0x1000, 0x800, &b), 0);
	/* Under ASan this also shows that the old copy is still there. */
	ck_assert_ptr_eq(e->value, &a);
	ck_assert_uint_eq(e->len, 0x1000);
	ck_assert_ptr_eq(at(0x1000), &b);
	vcore__reader_exit(&r);
	vcore__reader_fini(&r);
}
END_TEST

static void *
near_at(uint64_t addr, uint32_t *near)
{
	const struct vcore__range_entry *e;

	e = vcore__ranges_near(vcore__rangemap_current(&map), addr, near);
	return e ? e->value : NULL;
}

START_TEST(test_near_finds_what_find_does_from_any_hint)
{
	static const uint32_t hints[] = { 0, 1, 2, 3, 1000, UINT32_MAX };
	uint32_t i, near = 7;

	ck_assert_ptr_null(near_at(0x1000, &near));
	ck_assert_int_eq(add(0x1000, 0x1000, &a), 0);
	ck_assert_int_eq(add(0x4000, 0x1000, &b), 0);
	ck_assert_int_eq(add(TOP - 0xfff, 0x1000, &c), 0);
	for (i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		near = hints[i];
		ck_assert_ptr_null(near_at(0xfff, &near));
		near = hints[i];
		ck_assert_ptr_eq(near_at(0x1000, &near), &a);
		ck_assert_uint_eq(near, 0);
		near = hints[i];
		ck_assert_ptr_null(near_at(0x2000, &near));
		near = hints[i];
		ck_assert_ptr_eq(near_at(0x4fff, &near), &b);
		ck_assert_uint_eq(near, 1);
		near = hints[i];
		ck_assert_ptr_eq(near_at(TOP, &near), &c);
		ck_assert_uint_eq(near, 2);
	}
}
END_TEST

START_TEST(test_near_does_not_find_what_was_removed)
{
	uint32_t near = 0;

	ck_assert_int_eq(add(0x1000, 0x1000, &a), 0);
	ck_assert_ptr_eq(near_at(0x1000, &near), &a);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x1000, 0x1000), 0);
	ck_assert_ptr_null(near_at(0x1000, &near));
	/* In its place in the next copy. */
	ck_assert_int_eq(add(0x4000, 0x1000, &b), 0);
	near = 0;
	ck_assert_ptr_null(near_at(0x1000, &near));
	ck_assert_ptr_eq(near_at(0x4000, &near), &b);
}
END_TEST

/* n ranges of 16 at every 32, put in by a permutation of the places. */
static void
check_many(uint32_t n)
{
	static int values[4096];
	uint64_t i, place;

	for (i = 0; i < n; i++) {
		place = (i * 4001 + 7) % n; /* 4001 is prime */
		ck_assert_int_eq(add(place * 32, 16, &values[place]), 0);
	}
	ck_assert_uint_eq(living(), n);
	for (i = 0; i < n; i++) {
		ck_assert_ptr_eq(at(i * 32), &values[i]);
		ck_assert_ptr_eq(at(i * 32 + 15), &values[i]);
		ck_assert_ptr_null(at(i * 32 + 16));
		ck_assert_ptr_null(at(i * 32 + 31));
	}
}

START_TEST(test_many_ranges_are_all_found)
{
	static const uint32_t sizes[] = { 1, 2, 3, 16, 255, 256, 1000 };

	check_many(sizes[_i]);
}
END_TEST

START_TEST(test_walk_is_in_order_and_skips_removed)
{
	const struct vcore__range_entry *e;
	uint32_t pos = 0;

	ck_assert_int_eq(add(0x30, 1, &c), 0);
	ck_assert_int_eq(add(0x10, 1, &a), 0);
	ck_assert_int_eq(add(0x20, 1, &b), 0);
	ck_assert_int_eq(vcore__rangemap_remove(&map, 0x20, 1), 0);
	e = vcore__ranges_next(vcore__rangemap_current(&map), &pos);
	ck_assert_ptr_eq(e->value, &a);
	e = vcore__ranges_next(vcore__rangemap_current(&map), &pos);
	ck_assert_ptr_eq(e->value, &c);
	ck_assert_ptr_null(
		vcore__ranges_next(vcore__rangemap_current(&map), &pos));
	pos = 0;
	ck_assert_ptr_null(vcore__ranges_next(NULL, &pos));
}
END_TEST

START_TEST(test_private_copy_changes_nothing_until_published)
{
	struct vcore__ranges *copy;

	ck_assert_int_eq(add(0x10, 1, &a), 0);
	ck_assert_int_eq(vcore__rangemap_copy(&map, 2, &copy), 0);
	ck_assert_int_eq(vcore__ranges_remove(copy, 0x10, 1), 0);
	ck_assert_int_eq(vcore__ranges_remove(copy, 0x10, 1), -ENOENT);
	ck_assert_int_eq(vcore__ranges_insert(copy, 0x10, 8, &b), 0);
	ck_assert_int_eq(vcore__ranges_insert(copy, 0x20, 8, &c), 0);
	ck_assert_ptr_eq(at(0x10), &a);
	ck_assert_ptr_null(at(0x20));
	vcore__rangemap_publish(&map, copy);
	ck_assert_ptr_eq(at(0x17), &b);
	ck_assert_ptr_eq(at(0x27), &c);
}
END_TEST

START_TEST(test_private_copy_without_room_returns_enospc)
{
	struct vcore__ranges *copy;

	ck_assert_int_eq(vcore__rangemap_copy(&map, 1, &copy), 0);
	ck_assert_int_eq(vcore__ranges_insert(copy, 0x10, 1, &a), 0);
	ck_assert_int_eq(vcore__ranges_insert(copy, 0x20, 1, &b), -ENOSPC);
	ck_assert_int_eq(vcore__ranges_remove(copy, 0x10, 1), 0);
	ck_assert_int_eq(vcore__ranges_insert(copy, 0x20, 1, &b), 0);
	ck_assert_ptr_eq(vcore__ranges_find(copy, 0x20)->value, &b);
	vcore__ranges_free(copy);
	vcore__ranges_free(NULL);
	ck_assert_ptr_null(at(0x20));
}
END_TEST

/*
 * Stress: three slots come and go; what they point to is poisoned when the
 * domain says so, and readers check what they find.
 */
struct target {
	struct vcore__retired retired;
	uint64_t start;
};

static _Atomic int stop;
static _Atomic int freed;

static void
poison(struct vcore__retired *r)
{
	struct target *t = VCORE__CONTAINER(r, struct target, retired);

	t->start = 0;
	free(t);
	atomic_fetch_add(&freed, 1);
}

static void *
look_around(void *arg)
{
	const struct vcore__range_entry *e;
	struct vcore__reader r;
	struct target *t;
	uint64_t addr = 0;

	(void)arg;
	vcore__reader_init(&r, domain);
	while (!atomic_load(&stop)) {
		addr = (addr + 0x777) % 0x8000;
		vcore__reader_enter(&r);
		e = vcore__rangemap_find(&map, addr);
		if (e) {
			t = e->value;
			ck_assert_uint_eq(t->start, e->start);
			ck_assert_uint_lt(addr - e->start, e->len);
		}
		vcore__reader_exit(&r);
	}
	vcore__reader_fini(&r);
	return NULL;
}

static struct target *
put(uint64_t start)
{
	struct target *t = calloc(1, sizeof(*t));

	t->start = start;
	ck_assert_int_eq(add(start, 0x1000, t), 0);
	return t;
}

START_TEST(test_stress_finds_only_what_is_alive)
{
	struct target *t[3];
	uint64_t i, rounds = STRESS_ROUNDS;
	pthread_t thread[3];

	for (i = 0; i < 3; i++)
		t[i] = put(0x1000 + i * 0x2000);
	for (i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, look_around, NULL);
	for (i = 0; i < rounds; i++) {
		struct target **slot = &t[i % 3];
		uint64_t start = (*slot)->start;

		ck_assert_int_eq(vcore__rangemap_remove(&map, start, 0x1000), 0);
		vcore__domain_retire(domain, &(*slot)->retired, poison);
		*slot = put(start);
	}
	atomic_store(&stop, 1);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq((uint64_t)atomic_load(&freed), rounds);
	for (i = 0; i < 3; i++)
		free(t[i]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("rangemap");
	TCase *t = tcase_create("rangemap");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_empty_map_finds_nothing);
	tcase_add_test(t, test_find_holds_for_the_first_and_last_byte_only);
	tcase_add_test(t, test_range_may_end_at_the_top);
	tcase_add_test(t, test_range_past_the_top_returns_einval);
	tcase_add_test(t, test_empty_range_returns_einval);
	tcase_add_test(t, test_overlap_returns_eexist_and_changes_nothing);
	tcase_add_test(t, test_neighbours_do_not_overlap);
	tcase_add_test(t,
		       test_insert_without_memory_returns_enomem_and_changes_nothing);
	tcase_add_test(t, test_remove_never_allocates);
	tcase_add_test(t, test_remove_of_another_range_returns_enoent);
	tcase_add_test(t, test_removed_place_can_be_used_again);
	tcase_add_test(t, test_reader_keeps_the_entry_it_found);
	tcase_add_test(t, test_near_finds_what_find_does_from_any_hint);
	tcase_add_test(t, test_near_does_not_find_what_was_removed);
	tcase_add_loop_test(t, test_many_ranges_are_all_found, 0, 7);
	tcase_add_test(t, test_walk_is_in_order_and_skips_removed);
	tcase_add_test(t, test_private_copy_changes_nothing_until_published);
	tcase_add_test(t, test_private_copy_without_room_returns_enospc);
	tcase_add_test(t, test_stress_finds_only_what_is_alive);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
