/* SPDX-License-Identifier: BSD-3-Clause */
/* Access: copies, iovecs and pointers at every kind of border. */
#include "memory/access.h"

#include "memory/map.h"

#include "memory/common.h"

/* [1, 3) and [3, 4) pages touch, hole, [8, 9) is read-only. */
static struct vcore_memory *memory;
static struct vcore__memory_user user;
static struct iovec iov[8];

static void
setup(void)
{
	memory = make_memory(0);
	add(memory, PAGE, 2 * PAGE, 0);
	add(memory, 3 * PAGE, PAGE, 0);
	add(memory, 8 * PAGE, PAGE, VCORE_MEMORY_READONLY);
	ck_assert_int_eq(vcore__memory_user_init(&user, memory), 0);
	vcore__memory_enter(&user);
}

static void
teardown(void)
{
	vcore__memory_exit(&user);
	vcore__memory_user_fini(&user);
	vcore_memory_unref(memory);
}

static const uint64_t nowhere[][2] = {
	{ 0, 1 },
	{ PAGE - 1, 1 },
	{ PAGE - 1, 2 },			/* begins one byte before */
	{ 4 * PAGE, 1 },			/* one byte behind */
	{ 4 * PAGE - 1, 2 },			/* ends one byte behind */
	{ PAGE, 3 * PAGE + 1 },
	{ PAGE, 7 * PAGE },			/* over the hole */
	{ 9 * PAGE, 1 },
	{ PAGE, UINT64_MAX },			/* wraps */
	{ PAGE, UINT64_MAX - PAGE + 1 },	/* ends at 2^64 */
	{ PAGE, UINT64_MAX - PAGE + 2 },
	{ UINT64_MAX, 1 },
	{ UINT64_MAX, 2 },
	{ UINT64_MAX, UINT64_MAX },
	{ UINT64_MAX - PAGE + 1, PAGE },
	{ 1ull << 63, 1ull << 63 },
};
#define NOWHERE (sizeof(nowhere) / sizeof(nowhere[0]))

START_TEST(test_ranges_that_are_not_there_return_efault)
{
	static char buf[8 * PAGE];
	struct vcore_pin pin;

	for (size_t i = 0; i < NOWHERE; i++) {
		uint64_t gpa = nowhere[i][0], len = nowhere[i][1];

		ck_assert_int_eq(vcore__memory_iov(&user, gpa, len, false, iov,
						   8), -EFAULT);
		ck_assert_ptr_null(vcore__memory_hva(&user, gpa, len, false));
		ck_assert_error(vcore_memory_pin(memory, gpa, len, 0, iov, 8,
						 &pin), -EFAULT,
				"vcore_memory_pin: ");
		if (len > sizeof(buf))
			continue;	/* a prefix is copied: buf must hold it */
		ck_assert_int_eq(vcore__memory_get(&user, gpa, buf, len),
				 -EFAULT);
		ck_assert_int_eq(vcore__memory_put(&user, gpa, buf, len),
				 -EFAULT);
		ck_assert_error(vcore_memory_read(memory, gpa, buf, len),
				-EFAULT, "vcore_memory_read: ");
		ck_assert_error(vcore_memory_write(memory, gpa, buf, len),
				-EFAULT, "vcore_memory_write: ");
		ck_assert_error(vcore_memory_fill(memory, gpa, 0, len), -EFAULT,
				"vcore_memory_fill: ");
	}
}
END_TEST

START_TEST(test_range_that_ends_with_the_memory_is_fine)
{
	char buf[2] = { 1, 2 };

	ck_assert_int_eq(vcore__memory_put(&user, 4 * PAGE - 2, buf, 2), 0);
	ck_assert_int_eq(vcore__memory_get(&user, 4 * PAGE - 1, buf, 1), 0);
	ck_assert_int_eq(buf[0], 2);
	ck_assert_int_eq(vcore__memory_iov(&user, PAGE, 3 * PAGE, true, iov, 8),
			 2);
	ck_assert_ok(vcore_memory_fill(memory, PAGE, 3, 3 * PAGE));
}
END_TEST

START_TEST(test_iov_is_split_where_regions_meet)
{
	VCORE__GUEST_PTR *first = vcore__memory_hva(&user, PAGE, 1, true);
	VCORE__GUEST_PTR *second = vcore__memory_hva(&user, 3 * PAGE, 1, true);

	ck_assert_int_eq(vcore__memory_iov(&user, 3 * PAGE - 16, 48, true, iov,
					   8), 2);
	ck_assert_ptr_eq(iov[0].iov_base, (char *)first + 2 * PAGE - 16);
	ck_assert_uint_eq(iov[0].iov_len, 16);
	ck_assert_ptr_eq(iov[1].iov_base, second);
	ck_assert_uint_eq(iov[1].iov_len, 32);
	ck_assert_int_eq(vcore__memory_iov(&user, 3 * PAGE - 16, 48, true, iov,
					   1), -ENOSPC);
	ck_assert_int_eq(vcore__memory_iov(&user, PAGE, 1, true, NULL, 0),
			 -ENOSPC);
	/* Up to the border it is one piece. */
	ck_assert_int_eq(vcore__memory_iov(&user, PAGE, 2 * PAGE, true, iov, 1),
			 1);
	ck_assert_ptr_null(vcore__memory_hva(&user, 3 * PAGE - 1, 2, false));
}
END_TEST

START_TEST(test_pieces_that_touch_in_the_host_are_one)
{
	struct vcore_region *r = make_caller(PAGE), *next;
	struct vcore_region_opts opts;

	VCORE_INIT(&opts);
	opts.backing = VCORE_BACKING_CALLER;
	opts.hva = caller_page + PAGE;
	opts.len = PAGE;
	ck_assert_ok(vcore_region_new(&opts, &next));
	ck_assert_ok(vcore_memory_add(memory, 32 * PAGE, r, 0));
	ck_assert_ok(vcore_memory_add(memory, 33 * PAGE, next, 0));
	ck_assert_int_eq(vcore__memory_iov(&user, 32 * PAGE, 2 * PAGE, true,
					   iov, 1), 1);
	ck_assert_uint_eq(iov[0].iov_len, 2 * PAGE);
	vcore_region_unref(r);
	vcore_region_unref(next);
}
END_TEST

START_TEST(test_zero_length_is_fine_everywhere)
{
	struct vcore_pin pin;

	ck_assert_int_eq(vcore__memory_iov(&user, 0, 0, true, NULL, 0), 0);
	ck_assert_int_eq(vcore__memory_get(&user, UINT64_MAX, NULL, 0), 0);
	ck_assert_int_eq(vcore__memory_put(&user, 0, NULL, 0), 0);
	ck_assert_ok(vcore_memory_read(memory, 0, NULL, 0));
	ck_assert_ok(vcore_memory_write(memory, 8 * PAGE, NULL, 0));
	ck_assert_ok(vcore_memory_fill(memory, 0, 0, 0));
	ck_assert_int_eq(vcore_memory_pin(memory, 0, 0, 0, NULL, 0, &pin), 0);
	vcore_memory_unpin(memory, &pin);
}
END_TEST

START_TEST(test_copies_cross_regions)
{
	char in[64], out[64];

	for (int i = 0; i < 64; i++)
		in[i] = (char)(i + 1);
	ck_assert_ok(vcore_memory_write(memory, 3 * PAGE - 10, in, 64));
	ck_assert_int_eq(vcore__memory_get(&user, 3 * PAGE - 10, out, 64), 0);
	ck_assert_mem_eq(in, out, 64);
	ck_assert_int_eq(vcore__memory_put(&user, 3 * PAGE - 30, in, 64), 0);
	memset(out, 0, 64);
	ck_assert_ok(vcore_memory_read(memory, 3 * PAGE - 30, out, 64));
	ck_assert_mem_eq(in, out, 64);
	ck_assert_ok(vcore_memory_fill(memory, 3 * PAGE - 30, 9, 64));
	ck_assert_ok(vcore_memory_read(memory, 3 * PAGE - 30, out, 64));
	ck_assert_int_eq(out[0] + out[63], 18);
	ck_assert_ok(vcore_memory_read(memory, 3 * PAGE - 31, out, 1));
	ck_assert_int_eq(out[0], 0);
}
END_TEST

START_TEST(test_read_only_range_refuses_writes_only)
{
	struct vcore_pin pin;
	uint32_t word = 1;

	ck_assert_ok(vcore_memory_read(memory, 8 * PAGE, &word, 4));
	ck_assert_int_eq(vcore__memory_iov(&user, 8 * PAGE, 4, false, iov, 8),
			 1);
	ck_assert_ptr_nonnull(vcore__memory_hva(&user, 8 * PAGE, 4, false));
	ck_assert_int_eq(vcore__memory_iov(&user, 8 * PAGE, 4, true, iov, 8),
			 -EFAULT);
	ck_assert_ptr_null(vcore__memory_hva(&user, 8 * PAGE, 4, true));
	ck_assert_int_eq(vcore__memory_put(&user, 8 * PAGE, &word, 4), -EFAULT);
	ck_assert_int_eq(vcore_memory_write(memory, 8 * PAGE, &word, 4),
			 -EFAULT);
	ck_assert_int_eq(vcore_memory_fill(memory, 8 * PAGE, 1, 4), -EFAULT);
	ck_assert_int_eq(vcore_memory_pin(memory, 8 * PAGE, 4, VCORE_PIN_WRITE,
					  iov, 8, &pin), -EFAULT);
	ck_assert_int_eq(vcore_memory_pin(memory, 8 * PAGE, 4, 0, iov, 8, &pin),
			 1);
	vcore_memory_unpin(memory, &pin);
}
END_TEST

START_TEST(test_read_only_region_makes_the_map_read_only)
{
	struct vcore_region_opts opts;
	struct vcore_region *r;
	uint64_t gpa, len;
	uint32_t flags;

	VCORE_INIT(&opts);
	opts.backing = VCORE_BACKING_CALLER;
	opts.hva = caller_page;
	opts.len = PAGE;
	opts.flags = VCORE_REGION_READONLY;
	ck_assert_ok(vcore_region_new(&opts, &r));
	ck_assert_ok(vcore_memory_add(memory, 0, r, 0));
	ck_assert_ok(vcore_memory_get_range(memory, 0, &gpa, &len, &flags));
	ck_assert_uint_eq(flags, VCORE_MEMORY_READONLY);
	ck_assert_int_eq(vcore_memory_write(memory, 0, &flags, 4), -EFAULT);
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_null_refusals)
{
	char byte;

	ck_assert_error(vcore_memory_read(NULL, 0, &byte, 1), -EINVAL,
			"vcore_memory_read: ");
	ck_assert_error(vcore_memory_read(memory, 0, NULL, 1), -EINVAL,
			"vcore_memory_read: ");
	ck_assert_error(vcore_memory_write(NULL, 0, &byte, 1), -EINVAL,
			"vcore_memory_write: ");
	ck_assert_error(vcore_memory_write(memory, 0, NULL, 1), -EINVAL,
			"vcore_memory_write: ");
	ck_assert_error(vcore_memory_fill(NULL, 0, 0, 1), -EINVAL,
			"vcore_memory_fill: ");
}
END_TEST

/* The cached range must not outlive a change; the generation says so. */
START_TEST(test_change_is_seen_through_the_cache)
{
	uint64_t before = vcore__memory_generation(&user), after;
	char byte;

	ck_assert_uint_ne(before, 0);
	ck_assert_int_eq(vcore__memory_get(&user, 8 * PAGE, &byte, 1), 0);
	ck_assert_uint_eq(vcore__memory_generation(&user), before);
	vcore__memory_exit(&user);
	ck_assert_ok(vcore_memory_remove(memory, 8 * PAGE));
	vcore__memory_enter(&user);
	after = vcore__memory_generation(&user);
	ck_assert_uint_ne(after, before);
	ck_assert_int_eq(vcore__memory_get(&user, 8 * PAGE, &byte, 1), -EFAULT);
	add(memory, 8 * PAGE, PAGE, 0);
	ck_assert_uint_ne(vcore__memory_generation(&user), after);
	ck_assert_int_eq(vcore__memory_put(&user, 8 * PAGE, &byte, 1), 0);
}
END_TEST

START_TEST(test_loads_and_stores_are_little_endian)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	VCORE__GUEST_PTR *p = vcore__memory_hva(&user, PAGE, 64, true);
	uint8_t out[8];

	vcore__guest_copy_to(p, bytes, 8);
	ck_assert_uint_eq(vcore__guest_load8(vcore__guest_at(p, 2)), 3);
	ck_assert_uint_eq(vcore__guest_load16(p), 0x0201);
	ck_assert_uint_eq(vcore__guest_load16_acquire(p), 0x0201);
	ck_assert_uint_eq(vcore__guest_load32(p), 0x04030201);
	ck_assert_uint_eq(vcore__guest_load32_acquire(p), 0x04030201);
	ck_assert_uint_eq(vcore__guest_load64(p), 0x0807060504030201);
	ck_assert_uint_eq(vcore__guest_load64_acquire(p), 0x0807060504030201);
	vcore__guest_store16(p, 0x1122);
	vcore__guest_store16_release(vcore__guest_at(p, 2), 0x3344);
	vcore__guest_store32_release(vcore__guest_at(p, 4), 0x55667788);
	vcore__guest_copy_from(out, p, 8);
	ck_assert_mem_eq(out, "\x22\x11\x44\x33\x88\x77\x66\x55", 8);
	vcore__guest_store32(p, 0);
	vcore__guest_store64(vcore__guest_at(p, 8), 7);
	vcore__guest_store64_release(p, 5);
	ck_assert_uint_eq(vcore__guest_load64(p), 5);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("access");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_ranges_that_are_not_there_return_efault);
	tcase_add_test(tc, test_range_that_ends_with_the_memory_is_fine);
	tcase_add_test(tc, test_iov_is_split_where_regions_meet);
	tcase_add_test(tc, test_pieces_that_touch_in_the_host_are_one);
	tcase_add_test(tc, test_zero_length_is_fine_everywhere);
	tcase_add_test(tc, test_copies_cross_regions);
	tcase_add_test(tc, test_read_only_range_refuses_writes_only);
	tcase_add_test(tc, test_read_only_region_makes_the_map_read_only);
	tcase_add_test(tc, test_null_refusals);
	tcase_add_test(tc, test_change_is_seen_through_the_cache);
	tcase_add_test(tc, test_loads_and_stores_are_little_endian);
	suite_add_tcase(s, tc);
	return support_run(s);
}
