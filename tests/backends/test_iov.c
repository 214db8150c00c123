/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/iov.c: walking arrays of iovecs. */
#include "backends/iov.h"

#include "base/base.h"
#include "support/support.h"

static char mem[16];

/* "0123456789abcdef" cut into 3, 0, 1, 12, 0. */
static const struct iovec parts[] = {
	{ mem, 3 }, { mem + 3, 0 }, { mem + 3, 1 }, { mem + 4, 12 },
	{ NULL, 0 },
};

static struct vcore__iov
start(void)
{
	memcpy(mem, "0123456789abcdef", sizeof(mem));
	return (struct vcore__iov){ .iov = parts,
				    .count = VCORE__ARRAY_SIZE(parts) };
}

START_TEST(test_window_skips_empty_and_stops_at_limits)
{
	struct vcore__iov at = start();
	struct iovec w[4];

	ck_assert_uint_eq(vcore__iov_window(&at, w, 4, 16), 3);
	ck_assert_uint_eq(w[0].iov_len, 3);
	ck_assert_ptr_eq(w[1].iov_base, mem + 3);
	ck_assert_uint_eq(w[2].iov_len, 12);
	ck_assert_uint_eq(vcore__iov_window(&at, w, 2, 16), 2);
	ck_assert_uint_eq(vcore__iov_window(&at, w, 4, 6), 3);
	ck_assert_uint_eq(w[2].iov_len, 2);
	ck_assert_uint_eq(vcore__iov_window(&at, w, 4, 0), 0);
	ck_assert_uint_eq(vcore__iov_window(&at, w, 0, 16), 0);
}
END_TEST

START_TEST(test_advance_to_every_place)
{
	struct iovec w[1];

	for (uint64_t n = 0; n < 16; n++) {
		struct vcore__iov at = start();

		vcore__iov_advance(&at, n);
		ck_assert_uint_eq(vcore__iov_window(&at, w, 1, 1), 1);
		ck_assert_ptr_eq(w[0].iov_base, mem + n);
	}
}
END_TEST

START_TEST(test_advance_past_the_end_stays_there)
{
	struct vcore__iov at = start();
	struct iovec w[1];

	vcore__iov_advance(&at, 1000);
	ck_assert_uint_eq(vcore__iov_window(&at, w, 1, 1), 0);
	vcore__iov_advance(&at, 1);
	ck_assert_uint_eq(vcore__iov_copy_to(&at, "x", 1), 0);
}
END_TEST

START_TEST(test_copies_cross_borders_and_stop_at_the_end)
{
	struct vcore__iov at = start();
	char buf[32] = "";

	vcore__iov_advance(&at, 2);
	ck_assert_uint_eq(vcore__iov_copy_from(&at, buf, 4), 4);
	ck_assert_str_eq(buf, "2345");
	ck_assert_uint_eq(vcore__iov_copy_from(&at, buf, 32), 10);
	ck_assert_mem_eq(buf, "6789abcdef", 10);
	at = start();
	vcore__iov_advance(&at, 1);
	ck_assert_uint_eq(vcore__iov_copy_to(&at, "XYZW", 4), 4);
	ck_assert_mem_eq(mem, "0XYZW56789abcdef", 16);
	memset(buf, 'q', sizeof(buf));
	ck_assert_uint_eq(vcore__iov_copy_to(&at, buf, 32), 11);
	ck_assert_mem_eq(mem, "0XYZWqqqqqqqqqqq", 16);
}
END_TEST

START_TEST(test_zero_clears_the_rest_only)
{
	struct vcore__iov at = start();

	vcore__iov_advance(&at, 2);
	vcore__iov_zero(&at);
	ck_assert_mem_eq(mem, "01\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}
END_TEST

START_TEST(test_len_sums_without_wrap)
{
	const struct iovec huge[] = { { NULL, SIZE_MAX }, { NULL, 2 } };

	ck_assert_uint_eq(vcore__iov_len(parts, 5), 16);
	ck_assert_uint_eq(vcore__iov_len(parts, 0), 0);
	ck_assert_uint_eq(vcore__iov_len(huge, 2), UINT64_MAX);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/iov");
	TCase *t = tcase_create("iov");

	tcase_add_test(t, test_window_skips_empty_and_stops_at_limits);
	tcase_add_test(t, test_advance_to_every_place);
	tcase_add_test(t, test_advance_past_the_end_stays_there);
	tcase_add_test(t, test_copies_cross_borders_and_stop_at_the_end);
	tcase_add_test(t, test_zero_clears_the_rest_only);
	tcase_add_test(t, test_len_sums_without_wrap);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
