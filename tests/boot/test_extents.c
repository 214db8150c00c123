/* SPDX-License-Identifier: BSD-3-Clause */
/* Extents: setting, splitting, merging, finding room. */
#include "boot/boot.h"

#include <errno.h>
#include <stdio.h>

#include "support/support.h"

static struct vcore__extents x;

static void
teardown(void)
{
	vcore__extents_fini(&x);
}

static void
set(uint64_t start, uint64_t end, uint32_t kind)
{
	ck_assert_int_eq(vcore__extents_set(&x, start, end, kind), 0);
}

/* "10-20:1 30-40:2" */
static const char *
shown(void)
{
	static char text[512];
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < x.count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s%llu-%llu:%u", i ? " " : "",
				      VCORE__ULL(x.list[i].start),
				      VCORE__ULL(x.list[i].end),
				      x.list[i].kind);
	return text;
}

START_TEST(test_set_keeps_order_and_merges)
{
	set(30, 40, 1);
	set(10, 20, 1);
	set(50, 60, 1);
	ck_assert_str_eq(shown(), "10-20:1 30-40:1 50-60:1");
	set(20, 30, 1);
	ck_assert_str_eq(shown(), "10-40:1 50-60:1");
	set(40, 50, 2);
	ck_assert_str_eq(shown(), "10-40:1 40-50:2 50-60:1");
}
END_TEST

START_TEST(test_set_splits_and_replaces)
{
	set(0, 100, 1);
	set(40, 60, 2);
	ck_assert_str_eq(shown(), "0-40:1 40-60:2 60-100:1");
	set(30, 50, 3);
	ck_assert_str_eq(shown(), "0-30:1 30-50:3 50-60:2 60-100:1");
	set(10, 90, 1);
	ck_assert_str_eq(shown(), "0-100:1");
	set(0, 100, 4);
	ck_assert_str_eq(shown(), "0-100:4");
}
END_TEST

START_TEST(test_kind_zero_removes)
{
	set(0, 100, 1);
	set(10, 20, 0);
	set(90, 200, 0);
	set(0, 5, 0);
	ck_assert_str_eq(shown(), "5-10:1 20-90:1");
	set(0, UINT64_MAX, 0);
	ck_assert_str_eq(shown(), "");
}
END_TEST

START_TEST(test_empty_and_reversed_are_nothing)
{
	set(0, 100, 1);
	set(50, 50, 2);
	set(60, 50, 2);
	ck_assert_str_eq(shown(), "0-100:1");
}
END_TEST

START_TEST(test_only_picks_a_kind)
{
	struct vcore__extents ram = { NULL, 0, 0 };

	set(0, 100, 1);
	set(40, 60, 2);
	ck_assert_int_eq(vcore__extents_only(&x, 1, &ram), 0);
	ck_assert_uint_eq(ram.count, 2);
	ck_assert_uint_eq(ram.list[1].start, 60);
	vcore__extents_fini(&ram);
}
END_TEST

START_TEST(test_holds_counts_every_byte)
{
	set(10, 20, 1);
	set(20, 30, 2);
	ck_assert(vcore__extents_holds(&x, 10, 10, 1));
	ck_assert(!vcore__extents_holds(&x, 10, 11, 1));
	ck_assert(!vcore__extents_holds(&x, 9, 2, 1));
	ck_assert(!vcore__extents_holds(&x, 10, 1, 2));
	ck_assert(!vcore__extents_holds(&x, 10, UINT64_MAX, 1));
	ck_assert(!vcore__extents_holds(&x, UINT64_MAX, 20, 1));
}
END_TEST

START_TEST(test_lowest_and_highest_are_aligned_and_inside)
{
	uint64_t at = 0;

	set(10, 40, 1);
	set(100, 200, 1);
	ck_assert(vcore__extents_lowest(&x, 0, 1000, 8, 16, &at));
	ck_assert_uint_eq(at, 16);
	ck_assert(vcore__extents_lowest(&x, 17, 1000, 8, 16, &at));
	ck_assert_uint_eq(at, 32);
	ck_assert(vcore__extents_lowest(&x, 0, 1000, 24, 16, &at));
	ck_assert_uint_eq(at, 16);
	ck_assert(vcore__extents_lowest(&x, 0, 1000, 25, 16, &at));
	ck_assert_uint_eq(at, 112);
	ck_assert(!vcore__extents_lowest(&x, 0, 1000, 89, 16, &at));
	ck_assert(!vcore__extents_lowest(&x, 0, 130, 25, 16, &at));
	ck_assert(!vcore__extents_lowest(&x, 0, 1000, UINT64_MAX, 16, &at));
	ck_assert_uint_eq(at, 112);
	ck_assert(vcore__extents_highest(&x, 0, 1000, 8, 16, &at));
	ck_assert_uint_eq(at, 192);
	ck_assert(vcore__extents_highest(&x, 0, 190, 8, 16, &at));
	ck_assert_uint_eq(at, 176);
	ck_assert(vcore__extents_highest(&x, 0, 100, 8, 16, &at));
	ck_assert_uint_eq(at, 32);
	ck_assert(vcore__extents_highest(&x, 0, 1000, 100, 1, &at));
	ck_assert_uint_eq(at, 100);
	ck_assert(!vcore__extents_highest(&x, 0, 1000, 100, 16, &at));
	ck_assert(!vcore__extents_highest(&x, 0, 1000, 101, 1, &at));
	ck_assert(!vcore__extents_highest(&x, 180, 1000, 30, 1, &at));
	ck_assert(!vcore__extents_highest(&x, 0, 1000, UINT64_MAX, 1, &at));
}
END_TEST

START_TEST(test_alignment_at_the_end_of_the_address_space)
{
	uint64_t at = 0;

	set(UINT64_MAX - 100, UINT64_MAX, 1);
	ck_assert(!vcore__extents_lowest(&x, 0, UINT64_MAX, 1, 4096, &at));
	ck_assert(!vcore__extents_highest(&x, 0, UINT64_MAX, 1, 4096, &at));
	ck_assert(vcore__extents_highest(&x, 0, UINT64_MAX, 100, 1, &at));
}
END_TEST

/* Against an array of one kind per address. */
START_TEST(test_random_sets_agree_with_a_plain_model)
{
	uint8_t model[64] = { 0 };
	uint64_t n = 1, start, end, i;
	uint32_t kind;

	for (int round = 0; round < 3000; round++) {
		n = n * 6364136223846793005u + 1442695040888963407u;
		start = n >> 33 & 63;
		end = n >> 40 & 63;
		kind = n >> 50 & 3;
		set(start, end, kind);
		for (i = start; i < end; i++)
			model[i] = (uint8_t)kind;
		for (i = 0; i < 64; i++)
			for (kind = 1; kind < 4; kind++)
				if (vcore__extents_holds(&x, i, 1, kind) !=
				    (model[i] == kind))
					ck_abort_msg("round %d", round);
		for (i = 1; i < x.count; i++)
			if (x.list[i - 1].end > x.list[i].start ||
			    (x.list[i - 1].end == x.list[i].start &&
			     x.list[i - 1].kind == x.list[i].kind))
				ck_abort_msg("round %d: %s", round, shown());
	}
}
END_TEST

START_TEST(test_failing_allocation_changes_nothing)
{
	fail_nth(FAIL_ALLOC, 1);
	ck_assert_error(vcore__extents_set(&x, 0, 1, 1), -ENOMEM,
			"vcore_boot_linux: ");
	ck_assert(!fail_stop() || x.count == 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("extents");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, test_set_keeps_order_and_merges);
	tcase_add_test(tc, test_set_splits_and_replaces);
	tcase_add_test(tc, test_kind_zero_removes);
	tcase_add_test(tc, test_empty_and_reversed_are_nothing);
	tcase_add_test(tc, test_only_picks_a_kind);
	tcase_add_test(tc, test_holds_counts_every_byte);
	tcase_add_test(tc, test_lowest_and_highest_are_aligned_and_inside);
	tcase_add_test(tc, test_alignment_at_the_end_of_the_address_space);
	tcase_add_test(tc, test_random_sets_agree_with_a_plain_model);
	tcase_add_test(tc, test_failing_allocation_changes_nothing);
	suite_add_tcase(s, tc);
	return support_run(s);
}
