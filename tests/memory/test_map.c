/* SPDX-License-Identifier: BSD-3-Clause */
/* The map: creation, adding, removing, information, listeners. */
#include "memory/map.h"

#include "base/wait.h"
#include "memory/common.h"

static struct vcore_memory *memory;

static void
setup(void)
{
	memory = make_memory(0);
	fake_journal[0] = '\0';
}

static void
teardown(void)
{
	vcore_memory_unref(memory);
}

static struct vcore_memory_info
info_of(struct vcore_memory *m)
{
	struct vcore_memory_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_memory_get_info(m, &info));
	return info;
}

START_TEST(test_new_refusals)
{
	struct vcore_memory_opts opts;
	struct vcore_memory *m = NULL;

	ck_assert_error(vcore_memory_new(NULL, NULL), -EINVAL,
			"vcore_memory_new: ");
	VCORE_INIT(&opts);
	opts.flags = 1;
	ck_assert_error(vcore_memory_new(&opts, &m), -E2BIG,
			"vcore_memory_new: ");
	opts.size = 3;
	ck_assert_error(vcore_memory_new(&opts, &m), -EINVAL,
			"vcore_memory_new: ");
	ck_assert_ptr_null(m);
	ck_assert_ptr_null(vcore_memory_ref(NULL));
	vcore_memory_unref(NULL);
}
END_TEST

START_TEST(test_new_failing_allocations)
{
	struct vcore_memory *m;
	bool failed = true;
	int rc;

	for (unsigned int n = 1; failed; n++) {
		m = NULL;
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_memory_new(NULL, &m);
		failed = fail_stop();
		ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
		ck_assert_int_eq(m == NULL, failed);
		vcore_memory_unref(m);
	}
}
END_TEST

START_TEST(test_add_remove_and_info)
{
	uint64_t gpa, len;
	uint32_t flags;

	ck_assert_uint_eq(info_of(memory).regions, 0);
	ck_assert_uint_eq(info_of(memory).top, 0);
	add(memory, 16 * PAGE, 2 * PAGE, 0);
	add(memory, 0, 4 * PAGE, VCORE_MEMORY_READONLY);
	ck_assert_uint_eq(info_of(memory).regions, 2);
	ck_assert_uint_eq(info_of(memory).bytes, 6 * PAGE);
	ck_assert_uint_eq(info_of(memory).top, 18 * PAGE);
	ck_assert_ok(vcore_memory_get_range(memory, 0, &gpa, &len, &flags));
	ck_assert_uint_eq(gpa, 0);
	ck_assert_uint_eq(len, 4 * PAGE);
	ck_assert_uint_eq(flags, VCORE_MEMORY_READONLY);
	ck_assert_ok(vcore_memory_get_range(memory, 1, &gpa, &len, &flags));
	ck_assert_uint_eq(gpa, 16 * PAGE);
	ck_assert_uint_eq(flags, 0);
	gpa = 1;
	ck_assert_error(vcore_memory_get_range(memory, 2, &gpa, &len, &flags),
			-ENOENT, "vcore_memory_get_range: ");
	ck_assert_uint_eq(gpa, 1);
	ck_assert_ok(vcore_memory_remove(memory, 0));
	ck_assert_ok(vcore_memory_remove(memory, 16 * PAGE));
	ck_assert_uint_eq(info_of(memory).regions, 0);
}
END_TEST

START_TEST(test_null_and_size_refusals)
{
	struct vcore_region *r = make_region(PAGE);
	struct vcore_memory_info info;
	uint64_t gpa;
	uint32_t flags;

	memset(&info, 0, sizeof(info));
	ck_assert_error(vcore_memory_get_info(memory, &info), -EINVAL,
			"vcore_memory_get_info: ");
	ck_assert_error(vcore_memory_get_info(memory, NULL), -EINVAL,
			"vcore_memory_get_info: ");
	ck_assert_error(vcore_memory_get_info(NULL, &info), -EINVAL,
			"vcore_memory_get_info: ");
	ck_assert_error(vcore_memory_get_range(memory, 0, &gpa, NULL, &flags),
			-EINVAL, "vcore_memory_get_range: ");
	ck_assert_error(vcore_memory_add(NULL, 0, r, 0), -EINVAL,
			"vcore_memory_add: ");
	ck_assert_error(vcore_memory_add(memory, 0, NULL, 0), -EINVAL,
			"vcore_memory_add: ");
	ck_assert_error(vcore_memory_add(memory, 0, r, 2), -E2BIG,
			"vcore_memory_add: ");
	ck_assert_error(vcore_memory_remove(NULL, 0), -EINVAL,
			"vcore_memory_remove: ");
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_add_overlap_returns_eexist)
{
	static const struct {
		uint64_t gpa, pages;
	} bad[] = {
		{ 8, 4 }, { 8, 1 }, { 11, 1 }, { 7, 2 }, { 11, 2 }, { 4, 16 },
		{ 9, 2 },
	};
	struct vcore_region *r;

	add(memory, 8 * PAGE, 4 * PAGE, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = make_region(bad[i].pages * PAGE);
		ck_assert_error(vcore_memory_add(memory, bad[i].gpa * PAGE, r,
						 0),
				-EEXIST, "vcore_memory_add: ");
		vcore_region_unref(r);
	}
	ck_assert_uint_eq(info_of(memory).regions, 1);
	add(memory, 7 * PAGE, PAGE, 0);		/* touching is fine */
	add(memory, 12 * PAGE, PAGE, 0);
}
END_TEST

START_TEST(test_add_address_refusals)
{
	static const uint64_t bad[] = {
		1, PAGE - 1, 1ull << 52, (1ull << 52) - PAGE,
		UINT64_MAX - PAGE + 1, UINT64_MAX - 2 * PAGE + 1,
	};
	struct vcore_region *r = make_region(2 * PAGE);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_error(vcore_memory_add(memory, bad[i], r, 0), -EINVAL,
				"vcore_memory_add: ");
	/* The last two pages below the limit are fine. */
	ck_assert_ok(vcore_memory_add(memory, (1ull << 52) - 2 * PAGE, r, 0));
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_limit_is_the_embedders)
{
	struct vcore_region *r = make_region(PAGE);
	struct vcore_memory_opts opts;
	struct vcore_memory *m;

	VCORE_INIT(&opts);
	opts.limit = 4 * PAGE;
	ck_assert_ok(vcore_memory_new(&opts, &m));
	ck_assert_ok(vcore_memory_add(m, 3 * PAGE, r, 0));
	ck_assert_error(vcore_memory_add(m, 4 * PAGE, r, 0), -EINVAL,
			"vcore_memory_add: ");
	vcore_memory_unref(m);
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_remove_needs_the_exact_start)
{
	add(memory, 8 * PAGE, 4 * PAGE, 0);
	ck_assert_error(vcore_memory_remove(memory, 9 * PAGE), -ENOENT,
			"vcore_memory_remove: ");
	ck_assert_error(vcore_memory_remove(memory, 7 * PAGE), -ENOENT,
			"vcore_memory_remove: ");
	ck_assert_error(vcore_memory_remove(memory, 12 * PAGE), -ENOENT,
			"vcore_memory_remove: ");
	ck_assert_ok(vcore_memory_remove(memory, 8 * PAGE));
	ck_assert_error(vcore_memory_remove(memory, 8 * PAGE), -ENOENT,
			"vcore_memory_remove: ");
}
END_TEST

START_TEST(test_region_lives_while_mapped_anywhere)
{
	struct vcore_region *r = make_caller(PAGE);

	ck_assert_ok(vcore_memory_add(memory, 0, r, 0));
	ck_assert_ok(vcore_memory_add(memory, 8 * PAGE, r, 0));
	vcore_region_unref(r);
	ck_assert_ok(vcore_memory_remove(memory, 0));
	ck_assert_int_eq(caller_released, 0);
	ck_assert_ok(vcore_memory_remove(memory, 8 * PAGE));
	ck_assert_int_eq(caller_released, 1);
}
END_TEST

static void
release_changes(void *opaque)
{
	*(int *)opaque = vcore_memory_remove(memory, 64 * PAGE);
}

START_TEST(test_release_may_change_the_map)
{
	struct vcore_region_opts opts;
	struct vcore_region *r;
	int rc = 1;

	add(memory, 64 * PAGE, PAGE, 0);
	VCORE_INIT(&opts);
	opts.len = PAGE;
	opts.backing = VCORE_BACKING_CALLER;
	opts.hva = caller_page;
	opts.opaque = &rc;
	opts.release = release_changes;
	ck_assert_ok(vcore_region_new(&opts, &r));
	ck_assert_ok(vcore_memory_add(memory, 0, r, 0));
	vcore_region_unref(r);
	ck_assert_ok(vcore_memory_remove(memory, 0));
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(info_of(memory).regions, 0);
}
END_TEST

START_TEST(test_regions_go_with_the_memory)
{
	struct vcore_region *r = make_caller(PAGE);
	struct vcore_memory *m = make_memory(0);

	ck_assert_ok(vcore_memory_add(m, 0, r, 0));
	vcore_region_unref(r);
	vcore_memory_unref(vcore_memory_ref(m));
	ck_assert_int_eq(caller_released, 0);
	vcore_memory_unref(m);
	ck_assert_int_eq(caller_released, 1);
}
END_TEST

START_TEST(test_hundreds_of_regions)
{
	struct vcore_region *r = make_region(PAGE);
	const uint64_t n = 512;
	uint64_t i, gpa, len;
	uint32_t flags;

	for (i = 0; i < n; i++)		/* in a mixed order, with holes */
		ck_assert_ok(vcore_memory_add(memory, (i * 37 % n) * 2 * PAGE,
					      r, 0));
	for (i = 0; i < n; i++) {
		ck_assert_ok(vcore_memory_get_range(memory, (uint32_t)i, &gpa,
						    &len, &flags));
		ck_assert_uint_eq(gpa, i * 2 * PAGE);
	}
	for (i = 0; i < n; i++)
		ck_assert_ok(vcore_memory_remove(memory,
						 (i * 101 % n) * 2 * PAGE));
	ck_assert_uint_eq(info_of(memory).regions, 0);
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_listener_is_told_what_is_there)
{
	struct fake f;

	add(memory, 0, PAGE, 0);
	add(memory, 4 * PAGE, PAGE, 0);
	fake_listen(&f, memory, 'a', VCORE__GUEST);
	ck_assert_str_eq(fake_journal, "+a0 +a4 ");
	vcore__memory_unlisten(memory, &f.l);
	ck_assert_str_eq(fake_journal, "+a0 +a4 -a0 -a4 ");
	vcore__memory_unlisten(memory, &f.l);	/* no-op */
	ck_assert_str_eq(fake_journal, "+a0 +a4 -a0 -a4 ");
	add(memory, 8 * PAGE, PAGE, 0);
	ck_assert_str_eq(fake_journal, "+a0 +a4 -a0 -a4 ");
}
END_TEST

START_TEST(test_listener_that_refuses_does_not_listen)
{
	struct fake f = { .name = 'a', .refuse = 2 };

	add(memory, 0, PAGE, 0);
	add(memory, 4 * PAGE, PAGE, 0);
	f.l.level = VCORE__DEVICES;
	f.l.add = fake_add;
	f.l.del = fake_del;
	f.l.opaque = &f;
	ck_assert_int_eq(vcore__memory_listen(memory, &f.l), -ENOSPC);
	ck_assert_str_eq(fake_journal, "+a0 -a0 ");
	add(memory, 8 * PAGE, PAGE, 0);
	ck_assert_str_eq(fake_journal, "+a0 -a0 ");
}
END_TEST

static int nested_rc[3];

static int
nested_add(void *opaque, const struct vcore__span *s)
{
	struct vcore_memory *m = opaque;
	static struct vcore__map_listener other;
	uint32_t byte = 1;

	nested_rc[0] = vcore_memory_remove(m, s->gpa);
	nested_rc[1] = vcore__memory_listen(m, &other);
	nested_rc[2] = vcore_memory_write(m, 0, &byte, sizeof(byte));
	return 0;
}

static int
nested_del(void *opaque, const struct vcore__span *s)
{
	(void)opaque;
	(void)s;
	return 0;
}

START_TEST(test_change_inside_a_callback_returns_edeadlk)
{
	struct vcore__map_listener l = {
		.level = VCORE__GUEST, .add = nested_add, .del = nested_del,
		.opaque = memory,
	};
	struct vcore_region *r = make_region(PAGE);

	add(memory, 0, PAGE, 0);
	vcore__nowait_begin();
	ck_assert_error(vcore_memory_add(memory, PAGE, r, 0), -EDEADLK,
			"vcore_memory_add:");
	ck_assert_error(vcore_memory_remove(memory, 0), -EDEADLK,
			"vcore_memory_remove:");
	ck_assert_int_eq(vcore__memory_listen(memory, &l), -EDEADLK);
	vcore__nowait_end();
	ck_assert_ok(vcore_memory_remove(memory, 0));
	vcore_region_unref(r);
}
END_TEST

/* A last reference may go anywhere, and takes its listener along. */
START_TEST(test_unlisten_inside_a_callback_works)
{
	static struct fake follower;

	fake_listen(&follower, memory, 'f', VCORE__GUEST);
	add(memory, 0, PAGE, 0);
	fake_journal[0] = '\0';
	vcore__nowait_begin();
	vcore__memory_unlisten(memory, &follower.l);
	vcore__nowait_end();
	ck_assert_str_eq(fake_journal, "-f0 ");
}
END_TEST

START_TEST(test_change_inside_a_listener_returns_edeadlk)
{
	struct vcore__map_listener l = {
		.level = VCORE__GUEST, .add = nested_add, .del = nested_del,
		.opaque = memory,
	};

	add(memory, 0, PAGE, 0);
	ck_assert_ok(vcore__memory_listen(memory, &l));
	ck_assert_int_eq(nested_rc[0], -EDEADLK);
	ck_assert_int_eq(nested_rc[1], -EDEADLK);
	ck_assert_int_eq(nested_rc[2], 0);
	vcore__memory_unlisten(memory, &l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("map");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_new_refusals);
	tcase_add_test(tc, test_new_failing_allocations);
	tcase_add_test(tc, test_add_remove_and_info);
	tcase_add_test(tc, test_null_and_size_refusals);
	tcase_add_test(tc, test_add_overlap_returns_eexist);
	tcase_add_test(tc, test_add_address_refusals);
	tcase_add_test(tc, test_limit_is_the_embedders);
	tcase_add_test(tc, test_remove_needs_the_exact_start);
	tcase_add_test(tc, test_region_lives_while_mapped_anywhere);
	tcase_add_test(tc, test_release_may_change_the_map);
	tcase_add_test(tc, test_regions_go_with_the_memory);
	tcase_add_test(tc, test_hundreds_of_regions);
	tcase_add_test(tc, test_listener_is_told_what_is_there);
	tcase_add_test(tc, test_listener_that_refuses_does_not_listen);
	tcase_add_test(tc, test_change_inside_a_callback_returns_edeadlk);
	tcase_add_test(tc, test_unlisten_inside_a_callback_works);
	tcase_add_test(tc, test_change_inside_a_listener_returns_edeadlk);
	suite_add_tcase(s, tc);
	return support_run(s);
}
