/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/loop/waiter.c. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/base.h"
#include "loop/call.h"
#include "support/support.h"

#define ROUNDS 3000

static void *
complete_with_5(void *arg)
{
	vcore__call_done(arg, 5);
	return NULL;
}

START_TEST(test_completed_call_returns_its_rc_at_once)
{
	struct vcore__waiter w;

	vcore__waiter_init(&w);
	vcore__call_done(&w.call, -EIO);
	ck_assert_int_eq(vcore__waiter_wait(&w, 0), -EIO);
	ck_assert_int_eq(vcore__waiter_wait(&w, 1), -EIO);
}
END_TEST

START_TEST(test_wait_ends_with_the_completion)
{
	struct vcore__waiter w;
	pthread_t thread;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		vcore__waiter_init(&w);
		pthread_create(&thread, NULL, complete_with_5, &w.call);
		ck_assert_int_eq(vcore__waiter_wait(&w, 0), 5);
		pthread_join(thread, NULL);
	}
}
END_TEST

START_TEST(test_passed_deadline_returns_etimedout_and_can_be_repeated)
{
	struct vcore__waiter w;

	vcore__waiter_init(&w);
	ck_assert_int_eq(vcore__waiter_wait(&w, 1), -ETIMEDOUT);
	ck_assert_int_eq(vcore__waiter_wait(&w, vcore__now_ns() + 1000),
			 -ETIMEDOUT);
	vcore__call_done(&w.call, 0);
	ck_assert_int_eq(vcore__waiter_wait(&w, 1), 0);
}
END_TEST

static void
wait_on_loop(void *opaque)
{
	struct vcore__waiter w;

	vcore__waiter_init(&w);
	ck_assert_int_eq(vcore__waiter_wait(&w, 1), -EDEADLK);
	/* Also if it would not have to wait: an error of every run. */
	vcore__call_done(&w.call, 0);
	ck_assert_int_eq(vcore__waiter_wait(&w, 0), -EDEADLK);
	(*(int *)opaque)++;
}

START_TEST(test_wait_in_a_loop_callback_returns_edeadlk)
{
	struct vcore_loop *loop;
	int calls = 0;

	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_loop_call(loop, wait_on_loop, &calls));
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 1);
	/* The last unref is a callback, too. */
	ck_assert_ok(vcore_loop_call(loop, wait_on_loop, &calls));
	vcore_loop_unref(loop);
	ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(test_new_without_memory_returns_null)
{
	struct vcore__waiter *w;

	fail_nth(FAIL_ALLOC, 1);
	w = vcore__waiter_new();
	ck_assert(fail_stop());
	ck_assert_ptr_null(w);
	vcore__waiter_free(NULL);
}
END_TEST

START_TEST(test_free_after_completion_and_before_it)
{
	struct vcore__waiter *w = vcore__waiter_new();

	vcore__call_done(&w->call, 0);
	vcore__waiter_free(w);
	w = vcore__waiter_new();
	vcore__waiter_free(w);
	/* Frees it: the sanitizer's leak check is the assertion. */
	vcore__call_done(&w->call, 0);
}
END_TEST

START_TEST(test_race_of_free_and_completion_frees_once)
{
	struct vcore__waiter *w;
	pthread_t thread;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		w = vcore__waiter_new();
		pthread_create(&thread, NULL, complete_with_5, &w->call);
		if (i % 2)
			vcore__waiter_wait(w, 1);
		vcore__waiter_free(w);
		pthread_join(thread, NULL);
	}
}
END_TEST

static void
ignore(int number)
{
	(void)number;
}

START_TEST(test_signals_do_not_end_the_wait)
{
	struct itimerspec often = { .it_interval.tv_nsec = 100000,
				    .it_value.tv_nsec = 100000 };
	struct sigaction sa = { .sa_handler = ignore };
	struct vcore__waiter w;
	timer_t timer;

	vcore__waiter_init(&w);
	sigaction(SIGALRM, &sa, NULL);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &often, NULL), 0);
	ck_assert_int_eq(vcore__waiter_wait(&w, vcore__now_ns() + 5000000),
			 -ETIMEDOUT);
	timer_delete(timer);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("waiter");
	TCase *t = tcase_create("waiter");

	tcase_add_test(t, test_completed_call_returns_its_rc_at_once);
	tcase_add_test(t, test_wait_ends_with_the_completion);
	tcase_add_test(t,
		       test_passed_deadline_returns_etimedout_and_can_be_repeated);
	tcase_add_test(t, test_wait_in_a_loop_callback_returns_edeadlk);
	tcase_add_test(t, test_new_without_memory_returns_null);
	tcase_add_test(t, test_free_after_completion_and_before_it);
	tcase_add_test(t, test_race_of_free_and_completion_frees_once);
	tcase_add_test(t, test_signals_do_not_end_the_wait);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
