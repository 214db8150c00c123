/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/base/sized.c and of the arithmetic in base.h. */
#include <errno.h>

#include "base/base.h"
#include "support/support.h"

/* The struct as 0.1 had it, as this library has it, as a later one will. */
struct first {
	uint32_t size, flags;
};

struct here {
	uint32_t size, flags;
	uint64_t added;
};

struct later {
	uint32_t size, flags;
	uint64_t added;
	uint64_t unknown;
};

static int
take(struct here *dst, const void *src)
{
	return VCORE__SIZED("vcore_x_new: opts", dst, flags, src);
}

START_TEST(test_init_zeroes_and_sets_the_size)
{
	struct here h;

	memset(&h, 0xff, sizeof(h));
	VCORE_INIT(&h);
	ck_assert_uint_eq(h.size, sizeof(h));
	ck_assert_uint_eq(h.flags, 0);
	ck_assert_uint_eq(h.added, 0);
}
END_TEST

START_TEST(test_same_size_is_copied)
{
	struct here src = { .size = sizeof(src), .flags = 1, .added = 2 };
	struct here dst;

	ck_assert_ok(take(&dst, &src));
	ck_assert_uint_eq(dst.flags, 1);
	ck_assert_uint_eq(dst.added, 2);
}
END_TEST

START_TEST(test_shorter_caller_is_filled_with_zero)
{
	struct first src = { .size = sizeof(src), .flags = 1 };
	struct here dst;

	memset(&dst, 0xff, sizeof(dst));
	ck_assert_ok(take(&dst, &src));
	ck_assert_uint_eq(dst.size, sizeof(dst));
	ck_assert_uint_eq(dst.flags, 1);
	ck_assert_uint_eq(dst.added, 0);
}
END_TEST

START_TEST(test_longer_caller_with_zero_tail_is_accepted)
{
	struct later src = { .size = sizeof(src), .added = 3 };
	struct here dst;

	ck_assert_ok(take(&dst, &src));
	ck_assert_uint_eq(dst.added, 3);
	ck_assert_uint_eq(dst.size, sizeof(dst));
}
END_TEST

START_TEST(test_longer_caller_with_a_set_tail_returns_e2big)
{
	struct later src = { .size = sizeof(src) };
	unsigned char *last = (unsigned char *)(&src + 1) - 1;
	struct here dst = { 0 };

	*last = 1;
	ck_assert_error(take(&dst, &src), -E2BIG, "vcore_x_new: opts");
}
END_TEST

START_TEST(test_size_below_the_first_returns_einval)
{
	struct here src = { .size = sizeof(struct first) - 1 };
	struct here dst;

	ck_assert_error(take(&dst, &src), -EINVAL, "vcore_x_new: opts: size 7");
}
END_TEST

START_TEST(test_size_4096_is_accepted_and_4097_returns_einval)
{
	static union {
		uint32_t size;
		unsigned char bytes[4097];
	} src;
	struct here dst;

	src.size = 4096;
	ck_assert_ok(take(&dst, &src));
	src.size = 4097;
	ck_assert_error(take(&dst, &src), -EINVAL, "vcore_x_new: opts");
}
END_TEST

START_TEST(test_null_returns_einval)
{
	struct here dst;

	ck_assert_error(take(&dst, NULL), -EINVAL, "vcore_x_new: opts is NULL");
}
END_TEST

START_TEST(test_return_fills_a_shorter_caller_only_up_to_its_size)
{
	struct here src = { .size = sizeof(src), .flags = 1, .added = 2 };
	struct here dst;

	memset(&dst, 0xaa, sizeof(dst));
	dst.size = sizeof(struct first);
	ck_assert_int_eq(vcore__sized_return(&dst, sizeof(struct first), &src,
					     sizeof(src)),
			 0);
	ck_assert_uint_eq(dst.size, sizeof(struct first));
	ck_assert_uint_eq(dst.flags, 1);
	ck_assert_uint_eq(dst.added, 0xaaaaaaaaaaaaaaaaull);
}
END_TEST

START_TEST(test_return_tells_a_longer_caller_how_much_was_filled)
{
	struct here src = { .size = sizeof(src), .flags = 1, .added = 2 };
	struct later dst = { .size = sizeof(dst), .unknown = 5 };

	ck_assert_int_eq(vcore__sized_return(&dst, sizeof(struct first), &src,
					     sizeof(src)),
			 0);
	ck_assert_uint_eq(dst.size, sizeof(src));
	ck_assert_uint_eq(dst.added, 2);
	ck_assert_uint_eq(dst.unknown, 5);
}
END_TEST

START_TEST(test_return_to_a_bad_size_returns_einval)
{
	struct here src = { .size = sizeof(src) };
	struct here dst = { .size = 4 };

	ck_assert_int_eq(vcore__sized_return(&dst, sizeof(struct first), &src,
					     sizeof(src)),
			 -EINVAL);
	dst.size = 5000;
	ck_assert_int_eq(vcore__sized_return(&dst, sizeof(struct first), &src,
					     sizeof(src)),
			 -EINVAL);
}
END_TEST

START_TEST(test_range_fits_up_to_the_last_byte)
{
	ck_assert(vcore__range_fits(0, 16, 16));
	ck_assert(vcore__range_fits(15, 1, 16));
	ck_assert(vcore__range_fits(16, 0, 16));
	ck_assert(!vcore__range_fits(15, 2, 16));
	ck_assert(!vcore__range_fits(17, 0, 16));
	ck_assert(!vcore__range_fits(8, UINT64_MAX, 16));
	ck_assert(!vcore__range_fits(UINT64_MAX, 2, 16));
}
END_TEST

START_TEST(test_clock_does_not_go_back)
{
	uint64_t a = vcore__now_ns(), b = vcore__now_ns();

	ck_assert_uint_gt(a, 0);
	ck_assert_uint_le(a, b);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sized");
	TCase *t = tcase_create("sized");

	tcase_add_test(t, test_init_zeroes_and_sets_the_size);
	tcase_add_test(t, test_same_size_is_copied);
	tcase_add_test(t, test_shorter_caller_is_filled_with_zero);
	tcase_add_test(t, test_longer_caller_with_zero_tail_is_accepted);
	tcase_add_test(t, test_longer_caller_with_a_set_tail_returns_e2big);
	tcase_add_test(t, test_size_below_the_first_returns_einval);
	tcase_add_test(t, test_size_4096_is_accepted_and_4097_returns_einval);
	tcase_add_test(t, test_null_returns_einval);
	tcase_add_test(t,
		       test_return_fills_a_shorter_caller_only_up_to_its_size);
	tcase_add_test(t, test_return_tells_a_longer_caller_how_much_was_filled);
	tcase_add_test(t, test_return_to_a_bad_size_returns_einval);
	tcase_add_test(t, test_range_fits_up_to_the_last_byte);
	tcase_add_test(t, test_clock_does_not_go_back);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
