/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of optional/uring/window.c: stretches of a request's memory. */
#include "ring.h"
#include "support/support.h"

static char mem[16];
static struct iovec parts[] = {
	{ mem, 3 }, { mem + 3, 0 }, { mem + 3, 1 }, { mem + 4, 12 },
};
static struct vcore_disk_request req = {
	.iov = parts, .iov_count = 4, .len = 16,
};

START_TEST(test_window_at_every_place)
{
	struct iovec w[VCORE__URING_WINDOW];
	uint64_t len;

	for (uint64_t from = 0; from < 16; from++) {
		uint32_t n = vcore__uring_window(&req, from, 16, w, &len);

		ck_assert_uint_ge(n, 1);
		ck_assert_uint_eq(len, 16 - from);
		ck_assert_ptr_eq(w[0].iov_base, mem + from);
	}
	ck_assert_uint_eq(vcore__uring_window(&req, 16, 16, w, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(vcore__uring_window(&req, 2, 3, w, &len), 3);
	ck_assert_uint_eq(len, 3);
	ck_assert_uint_eq(w[2].iov_len, 1);
}
END_TEST

START_TEST(test_window_holds_its_number_of_entries)
{
	struct iovec many[VCORE__URING_WINDOW * 2], w[VCORE__URING_WINDOW];
	struct vcore_disk_request r = { .iov = many };
	uint64_t len;

	r.iov_count = VCORE__URING_WINDOW * 2;
	for (uint32_t i = 0; i < r.iov_count; i++)
		many[i] = (struct iovec){ mem, 2 };
	r.len = 2 * r.iov_count;
	ck_assert_uint_eq(vcore__uring_window(&r, 1, r.len, w, &len),
			  VCORE__URING_WINDOW);
	ck_assert_uint_eq(len, 2 * VCORE__URING_WINDOW - 1);
}
END_TEST

START_TEST(test_copies_and_zero)
{
	char buf[16];

	memcpy(mem, "0123456789abcdef", 16);
	vcore__uring_copy_in(&req, 1, buf, 9);
	ck_assert_mem_eq(buf, "123456789", 9);
	vcore__uring_copy_out(&req, 2, "XYZ", 3);
	ck_assert_mem_eq(mem, "01XYZ56789abcdef", 16);
	vcore__uring_zero(&req, 14);
	ck_assert_mem_eq(mem, "01XYZ56789abcd\0\0", 16);
}
END_TEST

START_TEST(test_len_sums_without_wrap)
{
	struct iovec huge[] = { { NULL, SIZE_MAX }, { NULL, 1 } };
	struct vcore_disk_request r = { .iov = huge, .iov_count = 2 };

	ck_assert_uint_eq(vcore__uring_len(&req), 16);
	ck_assert_uint_eq(vcore__uring_len(&r), UINT64_MAX);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("uring/window");
	TCase *t = tcase_create("window");

	tcase_add_test(t, test_window_at_every_place);
	tcase_add_test(t, test_window_holds_its_number_of_entries);
	tcase_add_test(t, test_copies_and_zero);
	tcase_add_test(t, test_len_sums_without_wrap);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
