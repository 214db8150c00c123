/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes: one step for all, in order, undone if one step fails. */
#include "memory/map.h"

#include "base/wait.h"
#include "memory/common.h"

static struct vcore_memory *memory;
static struct vcore_memory_change *change;
static struct fake guest, guest2, device, device2;

static void
setup(void)
{
	memory = make_memory(20000000);		/* 20 ms */
	ck_assert_ok(vcore_memory_change_new(memory, &change));
	fake_listen(&guest, memory, 'g', VCORE__GUEST);
	fake_listen(&device, memory, 'd', VCORE__DEVICES);
}

static void
teardown(void)
{
	vcore_memory_change_free(change);
	vcore_memory_unref(memory);
}

static void
change_add(uint64_t gpa)
{
	struct vcore_region *r = make_region(PAGE);

	ck_assert_ok(vcore_memory_change_add(change, gpa, r, 0));
	vcore_region_unref(r);
}

static uint8_t
byte_at(uint64_t gpa)
{
	uint8_t byte = 0;

	ck_assert_ok(vcore_memory_read(memory, gpa, &byte, 1));
	return byte;
}

START_TEST(test_commit_in_a_callback_returns_edeadlk)
{
	change_add(0);
	vcore__nowait_begin();
	ck_assert_error(vcore_memory_change_commit(change), -EDEADLK,
			"vcore_memory_change_commit:");
	vcore__nowait_end();
	add(memory, 0, PAGE, 0);
}
END_TEST

START_TEST(test_adding_tells_devices_first)
{
	fake_journal[0] = '\0';
	add(memory, PAGE, PAGE, 0);
	ck_assert_str_eq(fake_journal, "+d1 +g1 ");
}
END_TEST

START_TEST(test_removing_tells_the_guest_first)
{
	add(memory, PAGE, PAGE, 0);
	fake_journal[0] = '\0';
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
	ck_assert_str_eq(fake_journal, "-g1 -d1 ");
}
END_TEST

START_TEST(test_removals_come_before_additions)
{
	add(memory, PAGE, PAGE, 0);
	fake_journal[0] = '\0';
	change_add(PAGE);		/* where the old one still is */
	ck_assert_ok(vcore_memory_change_remove(change, PAGE));
	ck_assert_ok(vcore_memory_change_commit(change));
	ck_assert_str_eq(fake_journal, "-g1 -d1 +d1 +g1 ");
}
END_TEST

START_TEST(test_move_keeps_contents)
{
	struct vcore_region *r = make_region(PAGE);
	uint8_t byte = 42;

	ck_assert_ok(vcore_memory_add(memory, PAGE, r, 0));
	ck_assert_ok(vcore_memory_write(memory, PAGE, &byte, 1));
	ck_assert_ok(vcore_memory_change_remove(change, PAGE));
	ck_assert_ok(vcore_memory_change_add(change, 8 * PAGE, r, 0));
	vcore_region_unref(r);
	ck_assert_ok(vcore_memory_change_commit(change));
	ck_assert_uint_eq(byte_at(8 * PAGE), 42);
	ck_assert_int_eq(vcore_memory_read(memory, PAGE, &byte, 1), -EFAULT);
	ck_assert(fake_knows(&guest, 8 * PAGE) && !fake_knows(&guest, PAGE));
}
END_TEST

START_TEST(test_commit_works_once)
{
	struct vcore_region *r = make_region(PAGE);

	change_add(0);
	ck_assert_ok(vcore_memory_change_commit(change));
	ck_assert_error(vcore_memory_change_commit(change), -EBUSY,
			"vcore_memory_change_commit: ");
	ck_assert_error(vcore_memory_change_add(change, PAGE, r, 0), -EBUSY,
			"vcore_memory_change_add: ");
	ck_assert_error(vcore_memory_change_remove(change, 0), -EBUSY,
			"vcore_memory_change_remove: ");
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_empty_change_is_fine)
{
	ck_assert_ok(vcore_memory_change_commit(change));
}
END_TEST

START_TEST(test_null_and_flag_refusals)
{
	struct vcore_region *r = make_region(PAGE);
	struct vcore_memory_change *c = NULL;

	ck_assert_error(vcore_memory_change_new(NULL, &c), -EINVAL,
			"vcore_memory_change_new: ");
	ck_assert_error(vcore_memory_change_new(memory, NULL), -EINVAL,
			"vcore_memory_change_new: ");
	ck_assert_error(vcore_memory_change_add(NULL, 0, r, 0), -EINVAL,
			"vcore_memory_change_add: ");
	ck_assert_error(vcore_memory_change_add(change, 0, NULL, 0), -EINVAL,
			"vcore_memory_change_add: ");
	ck_assert_error(vcore_memory_change_add(change, 0, r, 2), -E2BIG,
			"vcore_memory_change_add: ");
	ck_assert_error(vcore_memory_change_remove(NULL, 0), -EINVAL,
			"vcore_memory_change_remove: ");
	ck_assert_error(vcore_memory_change_commit(NULL), -EINVAL,
			"vcore_memory_change_commit: ");
	vcore_memory_change_free(NULL);
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_additions_that_overlap_each_other)
{
	change_add(0);
	change_add(0);
	fake_journal[0] = '\0';
	ck_assert_error(vcore_memory_change_commit(change), -EEXIST,
			"vcore_memory_change_commit: ");
	ck_assert_str_eq(fake_journal, "");
}
END_TEST

START_TEST(test_removing_twice_returns_enoent)
{
	add(memory, 0, PAGE, 0);
	ck_assert_ok(vcore_memory_change_remove(change, 0));
	ck_assert_ok(vcore_memory_change_remove(change, 0));
	fake_journal[0] = '\0';
	ck_assert_error(vcore_memory_change_commit(change), -ENOENT,
			"vcore_memory_change_commit: ");
	ck_assert_str_eq(fake_journal, "");
	ck_assert_uint_eq(byte_at(0), 0);
}
END_TEST

START_TEST(test_bad_address_returns_einval)
{
	change_add(1);
	ck_assert_error(vcore_memory_change_commit(change), -EINVAL,
			"vcore_memory_change_commit: ");
}
END_TEST

/*
 * Remove 2 of 3, add 2, with two listeners of each level, and the nth call of
 * one of them refused, for every n: the map and what everybody knows of it are
 * as before, and what was to be added is let go.
 */
static void
fill(void)
{
	uint8_t byte;

	fake_listen(&guest2, memory, 'G', VCORE__GUEST);
	fake_listen(&device2, memory, 'D', VCORE__DEVICES);
	for (byte = 1; byte <= 3; byte++) {
		add(memory, byte * PAGE, PAGE, 0);
		ck_assert_ok(vcore_memory_write(memory, byte * PAGE, &byte, 1));
	}
}

static bool
as_before(const struct fake *f)
{
	return f->count == 3 && fake_knows(f, PAGE) &&
	       fake_knows(f, 2 * PAGE) && fake_knows(f, 3 * PAGE);
}

static int
commit_once(struct fake *who, uint32_t refuse)
{
	struct vcore_region *r = make_caller(PAGE);
	struct vcore_memory_change *c;
	int rc;

	who->calls = 0;
	who->refuse = refuse;
	ck_assert_ok(vcore_memory_change_new(memory, &c));
	ck_assert_ok(vcore_memory_change_remove(c, PAGE));
	ck_assert_ok(vcore_memory_change_remove(c, 3 * PAGE));
	ck_assert_ok(vcore_memory_change_add(c, PAGE, r, 0));
	ck_assert_ok(vcore_memory_change_add(c, 9 * PAGE, r, 0));
	vcore_region_unref(r);
	rc = vcore_memory_change_commit(c);
	who->refuse = 0;
	vcore_memory_change_free(c);
	return rc;
}

START_TEST(test_refusal_at_every_step_restores_everything)
{
	struct fake *all[] = { &guest, &guest2, &device, &device2 };
	struct vcore_memory_info info;
	uint8_t byte;
	size_t i;

	fill();
	/* Each sees 2 del and 2 add. */
	for (uint32_t step = 0; step < 16; step++) {
		ck_assert_int_eq(commit_once(all[step / 4], step % 4 + 1),
				 step % 4 < 2 ? -EIO : -ENOSPC);
		ck_assert_ptr_eq(strstr(vcore_error_text(),
					"vcore_memory_change_commit: "),
				 vcore_error_text());
		for (i = 0; i < 4; i++)
			ck_assert(as_before(all[i]));
		for (byte = 1; byte <= 3; byte++)
			ck_assert_uint_eq(byte_at(byte * PAGE), byte);
		ck_assert_int_eq(vcore_memory_read(memory, 9 * PAGE, &byte, 1),
				 -EFAULT);
		VCORE_INIT(&info);
		ck_assert_ok(vcore_memory_get_info(memory, &info));
		ck_assert_uint_eq(info.regions, 3);
		ck_assert_int_eq(caller_released, 1);
	}
	ck_assert_int_eq(commit_once(&guest, 0), 0);
	ck_assert_uint_eq(guest.count, 3);
	ck_assert(fake_knows(&device2, 9 * PAGE));
	ck_assert_int_eq(caller_released, 0);
}
END_TEST

START_TEST(test_failing_allocations_change_nothing)
{
	bool failed = true;
	unsigned int n;
	int rc;

	fill();
	for (n = 1; failed; n++) {
		struct vcore_region *r = make_caller(PAGE);
		struct vcore_memory_change *c;

		fake_journal[0] = '\0';
		ck_assert_ok(vcore_memory_change_new(memory, &c));
		ck_assert_ok(vcore_memory_change_remove(c, PAGE));
		ck_assert_ok(vcore_memory_change_add(c, 9 * PAGE, r, 0));
		vcore_region_unref(r);
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_memory_change_commit(c);
		failed = fail_stop();
		vcore_memory_change_free(c);
		ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
		ck_assert_int_eq(caller_released, failed);
		ck_assert_int_eq(as_before(&guest) && as_before(&device2),
				 failed);
	}
	ck_assert_uint_ge(n, 5);
}
END_TEST

START_TEST(test_failing_allocations_while_building)
{
	struct vcore_region *r = make_region(PAGE);
	struct vcore_memory_change *c = NULL;

	fail_nth(FAIL_ALLOC, 1);
	ck_assert_error(vcore_memory_change_new(memory, &c), -ENOMEM,
			"vcore_memory_change_new: ");
	ck_assert_ptr_null(c);
	fail_nth(FAIL_ALLOC, 1);
	ck_assert_error(vcore_memory_change_add(change, 0, r, 0), -ENOMEM,
			"vcore_memory_change_add: ");
	fail_nth(FAIL_ALLOC, 1);
	ck_assert_error(vcore_memory_change_remove(change, 0), -ENOMEM,
			"vcore_memory_change_remove: ");
	fail_nth(FAIL_ALLOC, 1);
	ck_assert_error(vcore_memory_add(memory, 0, r, 0), -ENOMEM,
			"vcore_memory_add: ");
	add(memory, 0, PAGE, 0);
	fail_nth(FAIL_ALLOC, 1);
	ck_assert_error(vcore_memory_remove(memory, 0), -ENOMEM,
			"vcore_memory_remove: ");
	fail_stop();
	vcore_region_unref(r);
}
END_TEST

START_TEST(test_pin_timeout_undoes_the_whole_change)
{
	struct vcore_region *added = make_caller(PAGE);
	struct vcore_pin pin;
	struct iovec iov;

	add(memory, PAGE, PAGE, 0);
	ck_assert_int_eq(vcore_memory_pin(memory, PAGE, 1, VCORE_PIN_WRITE,
					  &iov, 1, &pin), 1);
	*(char *)iov.iov_base = 7;
	ck_assert_ok(vcore_memory_change_remove(change, PAGE));
	ck_assert_ok(vcore_memory_change_add(change, 9 * PAGE, added, 0));
	vcore_region_unref(added);
	fake_journal[0] = '\0';
	ck_assert_error(vcore_memory_change_commit(change), -ETIMEDOUT,
			"vcore_memory_change_commit: ");
	ck_assert_str_eq(fake_journal,
			 "-g1 -d1 +d9 +g9 -g9 -d9 +d1 +g1 ");
	ck_assert_uint_eq(byte_at(PAGE), 7);
	ck_assert_int_eq(vcore_memory_read(memory, 9 * PAGE, &(char){ 0 }, 1),
			 -EFAULT);
	vcore_memory_change_free(change);
	change = NULL;
	/* A reader may have pinned it meanwhile: it goes with the next drain. */
	ck_assert_int_eq(caller_released, 0);
	vcore_memory_unpin(memory, &pin);
	ck_assert_ok(vcore_memory_remove(memory, PAGE));
	ck_assert_int_eq(caller_released, 1);
}
END_TEST

START_TEST(test_what_waits_in_limbo_goes_with_the_memory)
{
	struct vcore_memory *m = make_memory(1);
	struct vcore_region *added = make_caller(PAGE);
	struct vcore_memory_change *c;
	struct vcore_pin pin;
	struct iovec iov;

	add(m, PAGE, PAGE, 0);
	ck_assert_int_eq(vcore_memory_pin(m, PAGE, 1, 0, &iov, 1, &pin), 1);
	ck_assert_ok(vcore_memory_change_new(m, &c));
	ck_assert_ok(vcore_memory_change_remove(c, PAGE));
	ck_assert_ok(vcore_memory_change_add(c, 9 * PAGE, added, 0));
	vcore_region_unref(added);
	ck_assert_int_eq(vcore_memory_change_commit(c), -ETIMEDOUT);
	vcore_memory_change_free(c);
	vcore_memory_unpin(m, &pin);
	vcore_memory_unref(m);
	ck_assert_int_eq(caller_released, 1);
}
END_TEST

/* A listener that fails while it undoes: logged, the rest is undone anyway. */
static unsigned int logged;

static void
count_line(void *opaque, uint32_t level, const char *text)
{
	(void)opaque;
	ck_assert_uint_eq(level, VCORE_LOG_ERR);
	logged += strstr(text, "undoing") != NULL;
}

START_TEST(test_failure_while_undoing_is_logged)
{
	struct vcore_memory_opts opts;
	struct vcore_log_opts log;
	struct vcore_memory *m;

	VCORE_INIT(&log);
	log.message = count_line;
	VCORE_INIT(&opts);
	ck_assert_ok(vcore_log_new(&log, &opts.log));
	ck_assert_ok(vcore_memory_new(&opts, &m));
	vcore_log_unref(opts.log);
	add(m, PAGE, PAGE, 0);
	fake_listen(&guest2, m, 'G', VCORE__GUEST);
	fake_listen(&device2, m, 'D', VCORE__DEVICES);
	guest2.refuse = 3;	/* told of it, del, and then to add it again */
	device2.refuse = 2;
	ck_assert_error(vcore_memory_remove(m, PAGE), -EIO,
			"vcore_memory_remove: ");
	ck_assert_uint_eq(logged, 1);
	ck_assert_ok(vcore_memory_read(m, PAGE, &(char){ 0 }, 1));
	vcore_memory_unref(m);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("change");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_commit_in_a_callback_returns_edeadlk);
	tcase_add_test(tc, test_adding_tells_devices_first);
	tcase_add_test(tc, test_removing_tells_the_guest_first);
	tcase_add_test(tc, test_removals_come_before_additions);
	tcase_add_test(tc, test_move_keeps_contents);
	tcase_add_test(tc, test_commit_works_once);
	tcase_add_test(tc, test_empty_change_is_fine);
	tcase_add_test(tc, test_null_and_flag_refusals);
	tcase_add_test(tc, test_additions_that_overlap_each_other);
	tcase_add_test(tc, test_removing_twice_returns_enoent);
	tcase_add_test(tc, test_bad_address_returns_einval);
	tcase_add_test(tc, test_refusal_at_every_step_restores_everything);
	tcase_add_test(tc, test_failing_allocations_change_nothing);
	tcase_add_test(tc, test_failing_allocations_while_building);
	tcase_add_test(tc, test_pin_timeout_undoes_the_whole_change);
	tcase_add_test(tc, test_what_waits_in_limbo_goes_with_the_memory);
	tcase_add_test(tc, test_failure_while_undoing_is_logged);
	suite_add_tcase(s, tc);
	return support_run(s);
}
