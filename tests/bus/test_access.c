/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses that a handler answers later. */
#include "bus/bus.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/wait.h"

/* How the handler under test answers. */
enum how { AT_ONCE, BEFORE_RETURN, BY_THREAD, BY_TEST };

struct slow {
	enum how how;
	uint64_t answer;
	struct vcore_access *pending;
	pthread_t thread;
	uint32_t wakes;
};

static struct vcore_bus *bus;
static struct vcore_range *range;
static struct slow dev;

static void *
answer_thread(void *arg)
{
	struct slow *d = arg;

	vcore_access_done(d->pending, d->answer);
	return NULL;
}

static int
slow_access(struct slow *d, struct vcore_access *later)
{
	d->pending = later;
	if (d->how == AT_ONCE)
		return 0;
	if (d->how == BEFORE_RETURN)
		vcore_access_done(later, d->answer);
	if (d->how == BY_THREAD)
		ck_assert_int_eq(pthread_create(&d->thread, NULL,
						answer_thread, d),
				 0);
	return -EINPROGRESS;
}

static int
slow_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	  struct vcore_access *later)
{
	struct slow *d = opaque;

	(void)off;
	(void)len;
	*val = d->answer;
	return slow_access(d, later);
}

static int
slow_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	(void)off;
	(void)len;
	(void)val;
	return slow_access(opaque, later);
}

static void
setup(void)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = slow_read, .write = slow_write,
	};
	struct vcore_range_opts o;

	dev = (struct slow){ .answer = 0x1122334455667788 };
	ck_assert_int_eq(vcore_bus_new(NULL, &bus), 0);
	VCORE_INIT(&o);
	o.len = 16;
	o.ops = &ops;
	o.opaque = &dev;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), 0);
}

static void
teardown(void)
{
	vcore_range_remove(range);
	vcore_bus_unref(bus);
}

START_TEST(test_waiting_access_in_a_callback_returns_edeadlk)
{
	uint64_t val = 42;

	dev.how = AT_ONCE;
	vcore__nowait_begin();
	ck_assert_int_eq(vcore_bus_read(bus, 0, 1, &val), -EDEADLK);
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "vcore_bus_read: "));
	ck_assert_int_eq(vcore_bus_write(bus, 0, 1, 1), -EDEADLK);
	vcore__nowait_end();
	ck_assert_uint_eq(val, 42);
	ck_assert_ptr_null(dev.pending);
	ck_assert_int_eq(vcore_bus_read(bus, 0, 1, &val), 0);
}
END_TEST

static void
count_wake(struct vcore_access *a)
{
	(void)a;
	dev.wakes++;
}

START_TEST(test_done_before_return_is_an_answer)
{
	uint64_t val;

	dev.how = BEFORE_RETURN;
	ck_assert_int_eq(vcore_bus_read(bus, 0, 2, &val), 0);
	ck_assert_uint_eq(val, 0x7788);
	ck_assert_int_eq(vcore_bus_write(bus, 0, 2, 0), 0);
}
END_TEST

START_TEST(test_answer_from_another_thread_is_waited_for)
{
	uint64_t val;
	int i;

	dev.how = BY_THREAD;
	for (i = 0; i < 200; i++) {
		dev.answer = (uint64_t)i;
		ck_assert_int_eq(vcore_bus_read(bus, 0, 8, &val), 0);
		ck_assert_uint_eq(val, (uint64_t)i);
		ck_assert_int_eq(pthread_join(dev.thread, NULL), 0);
		ck_assert_int_eq(vcore_bus_write(bus, 0, 8, 0), 0);
		ck_assert_int_eq(pthread_join(dev.thread, NULL), 0);
	}
}
END_TEST

START_TEST(test_vcpu_gets_inprogress_then_takes_the_answer)
{
	struct vcore_access a = { .wake = count_wake };
	struct vcore__reader r;
	uint64_t val = 0;

	dev.how = BY_TEST;
	vcore__bus_reader_init(bus, &r);
	ck_assert_int_eq(vcore__bus_access(bus, &r, 0, 4, 1, &val, &a),
			 -EINPROGRESS);
	ck_assert_ptr_eq(dev.pending, &a);
	ck_assert(!vcore__access_take(&a, &val));
	vcore_access_done(&a, UINT64_MAX);
	ck_assert_uint_eq(dev.wakes, 1);
	ck_assert(vcore__access_take(&a, &val));
	ck_assert_uint_eq(val, 0xff);
	/* The access is idle again: nothing is there to be taken. */
	ck_assert(!vcore__access_take(&a, &val));
	vcore__reader_fini(&r);
}
END_TEST

START_TEST(test_second_answer_is_ignored)
{
	struct vcore_access a = { .wake = count_wake };
	struct vcore__reader r;
	uint64_t val = 0;

	dev.how = BY_TEST;
	vcore__bus_reader_init(bus, &r);
	ck_assert_int_eq(vcore__bus_access(bus, &r, 0, 4, 8, &val, &a),
			 -EINPROGRESS);
	vcore_access_done(&a, 1);
	vcore_access_done(&a, 2);
	ck_assert(vcore__access_take(&a, &val));
	ck_assert_uint_eq(val, 1);
	vcore_access_done(&a, 3);
	ck_assert(!vcore__access_take(&a, &val));
	vcore_access_done(NULL, 0);
	ck_assert_uint_eq(dev.wakes, 1);
	vcore__reader_fini(&r);
}
END_TEST

START_TEST(test_early_answer_of_vcpu_needs_no_take)
{
	struct vcore_access a = { .wake = count_wake };
	struct vcore__reader r;
	uint64_t val = 0;

	dev.how = BEFORE_RETURN;
	vcore__bus_reader_init(bus, &r);
	ck_assert_int_eq(vcore__bus_access(bus, &r, 0, 4, 8, &val, &a), 0);
	ck_assert_uint_eq(val, dev.answer);
	ck_assert(!vcore__access_take(&a, &val));
	vcore__reader_fini(&r);
}
END_TEST

START_TEST(test_removed_range_still_answers)
{
	struct vcore_access a = { 0 };
	struct vcore__reader r;
	uint64_t val = 0;

	dev.how = BY_TEST;
	vcore__bus_reader_init(bus, &r);
	ck_assert_int_eq(vcore__bus_access(bus, &r, 0, 4, 8, &val, &a),
			 -EINPROGRESS);
	vcore_range_remove(range);
	range = NULL;
	vcore_access_done(&a, 9);
	ck_assert(vcore__access_take(&a, &val));
	ck_assert_uint_eq(val, 9);
	vcore__reader_fini(&r);
}
END_TEST

static void
free_gone(struct vcore_access *a)
{
	dev.wakes += 100;
	free(a);
}

START_TEST(test_abandoned_access_goes_with_its_answer)
{
	struct vcore_access *a = calloc(1, sizeof(*a));
	struct vcore__reader r;
	uint64_t val = 0;

	ck_assert_ptr_nonnull(a);
	a->wake = count_wake;
	a->gone = free_gone;
	dev.how = BY_TEST;
	vcore__bus_reader_init(bus, &r);
	ck_assert_int_eq(vcore__bus_access(bus, &r, 0, 4, 8, &val, a),
			 -EINPROGRESS);
	ck_assert(vcore__access_abandon(a));
	vcore_access_done(a, 1);
	ck_assert_uint_eq(dev.wakes, 100);
	vcore__reader_fini(&r);
}
END_TEST

START_TEST(test_abandoning_an_answered_or_idle_access_is_over_at_once)
{
	struct vcore_access a = { .wake = count_wake };
	struct vcore__reader r;
	uint64_t val = 0;

	dev.how = BY_TEST;
	vcore__bus_reader_init(bus, &r);
	ck_assert(!vcore__access_abandon(&a));
	ck_assert_int_eq(vcore__bus_access(bus, &r, 0, 4, 8, &val, &a),
			 -EINPROGRESS);
	vcore_access_done(&a, 1);
	ck_assert(!vcore__access_abandon(&a));
	ck_assert(!vcore__access_take(&a, &val));
	/* It can be used again. */
	dev.how = AT_ONCE;
	ck_assert_int_eq(vcore__bus_access(bus, &r, 0, 4, 8, &val, &a), 0);
	vcore__reader_fini(&r);
}
END_TEST

/* The access is freed at once when it was taken: ASan and TSan watch. */
static void
slow_wake(struct vcore_access *a)
{
	int i;

	for (i = 0; i < 20; i++)
		sched_yield();
	ck_assert_uint_eq(a->val, dev.answer);
}

START_TEST(test_access_may_go_once_taken)
{
	struct vcore__reader r;
	struct vcore_access *a;
	uint64_t val = 0;
	int i, rc;

	dev.how = BY_THREAD;
	vcore__bus_reader_init(bus, &r);
	for (i = 0; i < 100; i++) {
		a = calloc(1, sizeof(*a));
		ck_assert_ptr_nonnull(a);
		a->wake = slow_wake;
		rc = vcore__bus_access(bus, &r, 0, 4, 8, &val, a);
		while (rc == -EINPROGRESS && !vcore__access_take(a, &val))
			sched_yield();
		free(a);
		ck_assert_uint_eq(val, dev.answer);
		pthread_join(dev.thread, NULL);
	}
	vcore__reader_fini(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("access");
	TCase *t = tcase_create("access");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_done_before_return_is_an_answer);
	tcase_add_test(t, test_answer_from_another_thread_is_waited_for);
	tcase_add_test(t, test_vcpu_gets_inprogress_then_takes_the_answer);
	tcase_add_test(t,
		       test_waiting_access_in_a_callback_returns_edeadlk);
	tcase_add_test(t, test_second_answer_is_ignored);
	tcase_add_test(t, test_early_answer_of_vcpu_needs_no_take);
	tcase_add_test(t, test_removed_range_still_answers);
	tcase_add_test(t, test_abandoned_access_goes_with_its_answer);
	tcase_add_test(
		t,
		test_abandoning_an_answered_or_idle_access_is_over_at_once);
	tcase_add_test(t, test_access_may_go_once_taken);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
