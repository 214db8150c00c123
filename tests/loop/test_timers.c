/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/loop/timers.c. */
#include <errno.h>

#include "base/base.h"
#include "loop/timers.h"
#include "support/support.h"

#define MANY 500

static struct vcore__timers timers;
static struct vcore__timer timer[MANY];

static void
setup(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(vcore__timers_reserve(&timers), 0);
}

static void
teardown(void)
{
	vcore__timers_fini(&timers);
}

static uint64_t
first(void)
{
	struct vcore__timer *t = vcore__timers_first(&timers);

	return t ? t->deadline_ns : 0;
}

START_TEST(test_reserve_without_memory_returns_enomem)
{
	struct vcore__timers none = { 0 };
	int rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore__timers_reserve(&none);
	ck_assert(fail_stop());
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_uint_eq(none.users, 0);
	vcore__timers_fini(&none);
}
END_TEST

START_TEST(test_empty_has_no_first)
{
	ck_assert_ptr_null(vcore__timers_first(&timers));
}
END_TEST

START_TEST(test_first_is_the_earliest)
{
	vcore__timers_set(&timers, &timer[0], 30);
	vcore__timers_set(&timers, &timer[1], 10);
	vcore__timers_set(&timers, &timer[2], 20);
	ck_assert_uint_eq(first(), 10);
	vcore__timers_set(&timers, &timer[1], 0);
	ck_assert_uint_eq(first(), 20);
}
END_TEST

START_TEST(test_moved_timer_is_found_at_its_new_time)
{
	vcore__timers_set(&timers, &timer[0], 10);
	vcore__timers_set(&timers, &timer[1], 20);
	vcore__timers_set(&timers, &timer[0], 30);
	ck_assert_uint_eq(first(), 20);
	vcore__timers_set(&timers, &timer[0], 5);
	ck_assert_uint_eq(first(), 5);
	ck_assert_uint_eq(timers.count, 2);
}
END_TEST

START_TEST(test_disarming_twice_is_harmless)
{
	vcore__timers_set(&timers, &timer[0], 10);
	vcore__timers_set(&timers, &timer[0], 0);
	vcore__timers_set(&timers, &timer[0], 0);
	ck_assert_uint_eq(timers.count, 0);
	ck_assert_uint_eq(timer[0].place, 0);
}
END_TEST

/* Set, move and drop by a fixed pseudo-random sequence; then empty in order. */
START_TEST(test_many_come_out_in_order)
{
	uint64_t x = 1, last = 0;
	int i;

	for (i = 0; i < 20 * MANY; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		vcore__timers_set(&timers, &timer[(x >> 33) % MANY],
				  (x >> 20) % 1000);
	}
	ck_assert_uint_gt(timers.count, MANY / 2);
	while (timers.count) {
		ck_assert_uint_ge(first(), last);
		last = first();
		vcore__timers_set(&timers, vcore__timers_first(&timers), 0);
	}
	for (i = 0; i < MANY; i++)
		ck_assert_uint_eq(timer[i].place, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("timers");
	TCase *t = tcase_create("timers");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_reserve_without_memory_returns_enomem);
	tcase_add_test(t, test_empty_has_no_first);
	tcase_add_test(t, test_first_is_the_earliest);
	tcase_add_test(t, test_moved_timer_is_found_at_its_new_time);
	tcase_add_test(t, test_disarming_twice_is_harmless);
	tcase_add_test(t, test_many_come_out_in_order);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
