/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/loop/loop.c: life, posted calls, dispatch inside and outside. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"
#include "base/wait.h"
#include "loop/call.h"
#include "loop/impl.h"
#include "support/support.h"

#define POSTS	5000
#define THREADS 3

static struct vcore_loop *loop;

static void
setup(void)
{
	ck_assert_ok(vcore_loop_new(NULL, &loop));
}

static void
teardown(void)
{
	vcore_loop_unref(loop);
}

static void
count(void *opaque)
{
	(*(int *)opaque)++;
}

START_TEST(test_new_bad_options_return_the_documented_errors)
{
	struct vcore_loop *l = NULL;
	struct vcore_loop_opts opts;

	VCORE_INIT(&opts);
	ck_assert_error(vcore_loop_new(NULL, NULL), -EINVAL, "vcore_loop_new:");
	opts.flags = 1;
	ck_assert_error(vcore_loop_new(&opts, &l), -E2BIG, "vcore_loop_new:");
	opts.size = 1;
	ck_assert_error(vcore_loop_new(&opts, &l), -EINVAL, "vcore_loop_new:");
	ck_assert_ptr_null(l);
}
END_TEST

START_TEST(test_new_with_each_step_failing_leaks_nothing)
{
	int before = support_open_fds(), rc;
	struct vcore_loop *l = NULL;
	bool failed = true;
	unsigned int n;

	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_loop_new(NULL, &l);
		failed = fail_stop();
		if (!failed)
			break;
		ck_assert_int_lt(rc, 0);
		ck_assert_error(rc, rc, "vcore_loop_new:");
		ck_assert(n != 1 || rc == -ENOMEM);
		ck_assert(n != 2 || rc == -EMFILE);
		ck_assert_ptr_null(l);
		ck_assert_int_eq(support_open_fds(), before);
	}
	ck_assert_uint_eq(n, 7);
	vcore_loop_unref(l);
	ck_assert_int_eq(support_open_fds(), before);
}
END_TEST

START_TEST(test_null_handles)
{
	ck_assert_ptr_null(vcore_loop_ref(NULL));
	vcore_loop_unref(NULL);
	vcore_loop_quit(NULL);
	ck_assert_int_eq(vcore_loop_is_owner(NULL), 0);
	ck_assert_error(vcore_loop_fd(NULL), -EINVAL, "vcore_loop_fd:");
	ck_assert_error(vcore_loop_dispatch(NULL, 0), -EINVAL,
			"vcore_loop_dispatch:");
	ck_assert_error(vcore_loop_run(NULL), -EINVAL, "vcore_loop_run:");
	ck_assert_error(vcore_loop_call(NULL, count, NULL), -EINVAL,
			"vcore_loop_call:");
	ck_assert_error(vcore_loop_call(loop, NULL, NULL), -EINVAL,
			"vcore_loop_call:");
}
END_TEST

START_TEST(test_dispatch_bad_timeout_returns_einval)
{
	ck_assert_error(vcore_loop_dispatch(loop, -2), -EINVAL,
			"vcore_loop_dispatch:");
}
END_TEST

START_TEST(test_idle_loop_does_nothing_and_is_not_readable)
{
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 0);
	ck_assert(!support_readable(vcore_loop_fd(loop)));
}
END_TEST

START_TEST(test_call_runs_once_and_makes_the_loop_readable)
{
	int calls = 0;

	ck_assert_ok(vcore_loop_call(loop, count, &calls));
	ck_assert_int_eq(calls, 0);
	ck_assert(support_readable(vcore_loop_fd(loop)));
	ck_assert_int_eq(vcore_loop_dispatch(loop, -1), 1);
	ck_assert_int_eq(calls, 1);
	ck_assert(!support_readable(vcore_loop_fd(loop)));
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 0);
}
END_TEST

START_TEST(test_call_without_memory_returns_enomem)
{
	int calls = 0, rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_loop_call(loop, count, &calls);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_loop_call:");
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 0);
}
END_TEST

struct numbered {
	struct vcore__call call;
	int number;
	int *next;
};

static void
expect_number(struct vcore__call *c)
{
	struct numbered *n = VCORE__CONTAINER(c, struct numbered, call);

	ck_assert_int_eq((*n->next)++, n->number);
}

START_TEST(test_posts_run_in_order_and_a_budget_at_a_time)
{
	static struct numbered calls[200];
	int i, next = 0, n, rounds = 0;

	for (i = 0; i < 200; i++) {
		calls[i].call.fn = expect_number;
		calls[i].number = i;
		calls[i].next = &next;
		vcore__loop_post(loop, &calls[i].call);
		if (i == 150)
			ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 64);
	}
	while (support_readable(vcore_loop_fd(loop))) {
		n = vcore_loop_dispatch(loop, 0);
		ck_assert_int_le(n, VCORE__LOOP_BUDGET);
		rounds++;
	}
	ck_assert_int_eq(next, 200);
	ck_assert_int_eq(rounds, 3);
}
END_TEST

static struct vcore__call again;
static int again_calls;

static void
post_again(struct vcore__call *c)
{
	if (++again_calls < 300)
		vcore__loop_post(loop, c);
}

START_TEST(test_call_that_posts_itself_lets_dispatch_return)
{
	again.fn = post_again;
	vcore__loop_post(loop, &again);
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 1);
	ck_assert(support_readable(vcore_loop_fd(loop)));
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	ck_assert_int_eq(again_calls, 300);
}
END_TEST

static void
try_to_wait(void *opaque)
{
	(void)opaque;
	ck_assert_int_eq(vcore_loop_is_owner(loop), 1);
	ck_assert_ptr_eq(vcore__loop_current(), loop);
	ck_assert(!vcore__may_wait());
	ck_assert_error(vcore_loop_dispatch(loop, 0), -EDEADLK,
			"vcore_loop_dispatch:");
	ck_assert_error(vcore_loop_run(loop), -EDEADLK, "vcore_loop_run:");
}

START_TEST(test_waiting_in_a_callback_returns_edeadlk)
{
	ck_assert_int_eq(vcore_loop_is_owner(loop), 0);
	ck_assert_ok(vcore_loop_call(loop, try_to_wait, NULL));
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 1);
	ck_assert_int_eq(vcore_loop_is_owner(loop), 0);
	ck_assert_ptr_null(vcore__loop_current());
	ck_assert(vcore__may_wait());
}
END_TEST

static struct vcore_loop *inner;

static void
check_both(void *opaque)
{
	(*(int *)opaque)++;
	ck_assert_int_eq(vcore_loop_is_owner(loop), 1);
	ck_assert_int_eq(vcore_loop_is_owner(inner), 1);
	ck_assert_ptr_eq(vcore__loop_current(), inner);
	ck_assert_error(vcore_loop_dispatch(loop, 0), -EDEADLK,
			"vcore_loop_dispatch:");
}

static void
dispatch_inner(void *opaque, uint32_t ready)
{
	(void)opaque;
	ck_assert_uint_eq(ready, VCORE_LOOP_READ);
	ck_assert_error(vcore_loop_dispatch(inner, -1), -EDEADLK,
			"vcore_loop_dispatch:");
	ck_assert_int_ge(vcore_loop_dispatch(inner, 0), 0);
	ck_assert_ptr_eq(vcore__loop_current(), loop);
}

START_TEST(test_loop_inside_a_loop)
{
	struct vcore_source_opts opts;
	struct vcore_source *source;
	int calls = 0;

	ck_assert_ok(vcore_loop_new(NULL, &inner));
	VCORE_INIT(&opts);
	opts.fd = vcore_loop_fd(inner);
	opts.events = VCORE_LOOP_READ;
	opts.fn = dispatch_inner;
	ck_assert_ok(vcore_loop_add(loop, &opts, &source));
	ck_assert_ok(vcore_loop_call(inner, check_both, &calls));
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 1);
	ck_assert_int_eq(calls, 1);
	vcore_source_remove(source);
	vcore_loop_unref(inner);
}
END_TEST

static _Atomic int owner_came;

static void *
dispatch_as_its_owner(void *arg)
{
	(void)arg;
	atomic_store(&owner_came, 1);
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	atomic_store(&owner_came, 2);
	return NULL;
}

/* In the callback of one who helps out: another helper, and the owner. */
static void
while_helping(void *opaque)
{
	ck_assert_int_eq(vcore__loop_help(loop), -EDEADLK);
	ck_assert_int_eq(pthread_create(opaque, NULL, dispatch_as_its_owner,
					NULL), 0);
	while (!atomic_load(&owner_came))
		sched_yield();
	for (int i = 0; i < 1000; i++)
		sched_yield();
	ck_assert_int_eq(atomic_load(&owner_came), 1);
}

START_TEST(test_owner_waits_for_who_helps_out)
{
	pthread_t thread;

	ck_assert_ok(vcore_loop_call(loop, while_helping, &thread));
	ck_assert_int_eq(vcore__loop_help(loop), 1);
	pthread_join(thread, NULL);
	ck_assert_int_eq(atomic_load(&owner_came), 2);
	ck_assert_int_eq(vcore__loop_help(loop), 0);
}
END_TEST

/* Who helps out hears of the quit, in the place of the owner. */
START_TEST(test_quit_is_left_to_the_owner)
{
	vcore_loop_quit(loop);
	ck_assert_int_eq(vcore__loop_help(loop), 0);
	ck_assert(support_readable(vcore_loop_fd(loop)));
	ck_assert_ok(vcore_loop_run(loop));
}
END_TEST

static void *
dispatch_elsewhere(void *arg)
{
	(void)arg;
	ck_assert_error(vcore_loop_dispatch(loop, 0), -EBUSY,
			"vcore_loop_dispatch:");
	ck_assert_error(vcore_loop_run(loop), -EBUSY, "vcore_loop_dispatch:");
	ck_assert_int_eq(vcore__loop_help(loop), -EBUSY);
	return NULL;
}

static void
run_thread(void *opaque)
{
	pthread_t thread;

	(void)opaque;
	pthread_create(&thread, NULL, dispatch_elsewhere, NULL);
	pthread_join(thread, NULL);
}

START_TEST(test_second_dispatching_thread_gets_ebusy)
{
	ck_assert_ok(vcore_loop_call(loop, run_thread, NULL));
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 1);
}
END_TEST

START_TEST(test_quit_before_run_counts)
{
	vcore_loop_quit(loop);
	vcore_loop_quit(loop);
	ck_assert_ok(vcore_loop_run(loop));
}
END_TEST

static void
quit(void *opaque)
{
	vcore_loop_quit(opaque);
}

START_TEST(test_run_returns_after_quit_and_can_run_again)
{
	int calls = 0;

	ck_assert_ok(vcore_loop_call(loop, count, &calls));
	ck_assert_ok(vcore_loop_call(loop, quit, loop));
	ck_assert_ok(vcore_loop_run(loop));
	ck_assert_int_eq(calls, 1);
	ck_assert_ok(vcore_loop_call(loop, count, &calls));
	ck_assert_ok(vcore_loop_call(loop, quit, loop));
	ck_assert_ok(vcore_loop_run(loop));
	ck_assert_int_eq(calls, 2);
}
END_TEST

static void *
run_loop(void *arg)
{
	ck_assert_ok(vcore_loop_run(arg));
	return NULL;
}

START_TEST(test_quit_from_another_thread_ends_run)
{
	pthread_t thread;
	int i;

	for (i = 0; i < 200; i++) {
		pthread_create(&thread, NULL, run_loop, loop);
		vcore_loop_quit(loop);
		pthread_join(thread, NULL);
	}
}
END_TEST

static void
post_count(void *opaque)
{
	ck_assert_ok(vcore_loop_call(loop, count, opaque));
}

START_TEST(test_unref_runs_what_is_posted_and_what_that_posts)
{
	int calls = 0, i;

	for (i = 0; i < 100; i++)
		ck_assert_ok(vcore_loop_call(loop, post_count, &calls));
	vcore_loop_unref(loop);
	ck_assert_int_eq(calls, 100);
	setup();
}
END_TEST

START_TEST(test_unref_runs_what_a_dispatch_left)
{
	int calls = 0, i;

	for (i = 0; i < 100; i++)
		ck_assert_ok(vcore_loop_call(loop, count, &calls));
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 64);
	vcore_loop_unref(loop);
	ck_assert_int_eq(calls, 100);
	setup();
}
END_TEST

static void
take_and_drop(void *opaque)
{
	ck_assert_ptr_eq(vcore__loop_current(), loop);
	vcore_loop_unref(vcore_loop_ref(loop));
	(*(int *)opaque)++;
}

START_TEST(test_handle_taken_while_the_loop_ends_does_not_end_it_twice)
{
	int calls = 0;

	ck_assert_ok(vcore_loop_call(loop, take_and_drop, &calls));
	vcore_loop_unref(loop);
	ck_assert_int_eq(calls, 1);
	setup();
}
END_TEST

static void
unref_loop(void *opaque)
{
	vcore_loop_unref(opaque);
}

START_TEST(test_last_unref_in_a_callback_ends_the_loop_after_the_dispatch)
{
	int calls = 0, before = support_open_fds();

	ck_assert_ok(vcore_loop_call(loop, unref_loop, loop));
	ck_assert_ok(vcore_loop_call(loop, count, &calls));
	ck_assert_int_eq(vcore_loop_dispatch(loop, 0), 2);
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(support_open_fds(), before - 3);
	setup();
}
END_TEST

/* The embedder's loop: poll(2) and dispatch without ever blocking in ours. */

static void
stop_outer(void *opaque, uint32_t ready)
{
	ck_assert_uint_eq(ready, 0);
	*(bool *)opaque = true;
}

static void *
post_from_outside(void *arg)
{
	int i;

	for (i = 0; i < POSTS; i++)
		ck_assert_ok(vcore_loop_call(loop, count, arg));
	return NULL;
}

START_TEST(test_outer_poll_drives_posts_and_timers)
{
	struct pollfd p = { .fd = vcore_loop_fd(loop), .events = POLLIN };
	struct vcore_source_opts opts;
	struct vcore_source *timer;
	bool expired = false;
	pthread_t thread;
	int calls = 0;

	VCORE_INIT(&opts);
	opts.fd = -1;
	opts.fn = stop_outer;
	opts.opaque = &expired;
	ck_assert_ok(vcore_loop_add(loop, &opts, &timer));
	ck_assert_ok(vcore_source_set_timer(timer, vcore__now_ns() + 20000000));
	pthread_create(&thread, NULL, post_from_outside, &calls);
	/* Nothing else wakes poll: a missed post or timer hangs the test. */
	while (!expired || calls < POSTS) {
		ck_assert_int_eq(poll(&p, 1, -1), 1);
		ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq(calls, POSTS);
	vcore_source_remove(timer);
}
END_TEST

static void
count_atomically(void *opaque)
{
	atomic_fetch_add((_Atomic int *)opaque, 1);
}

static _Atomic int posted_calls;

/* Each poster holds a reference; the last of all ends the loop. */
static void *
post_and_unref(void *arg)
{
	int i;

	for (i = 0; i < POSTS; i++)
		ck_assert_ok(
			vcore_loop_call(arg, count_atomically, &posted_calls));
	vcore_loop_unref(arg);
	return NULL;
}

START_TEST(test_stress_every_call_posted_before_the_last_unref_runs_once)
{
	pthread_t thread[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, post_and_unref,
			       vcore_loop_ref(loop));
	for (i = 0; i < 100; i++)
		ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	vcore_loop_unref(loop);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(atomic_load(&posted_calls), THREADS * POSTS);
	setup();
}
END_TEST

START_TEST(test_stress_running_loop_misses_no_wake_up)
{
	pthread_t runner, thread;
	int calls = 0;

	pthread_create(&runner, NULL, run_loop, loop);
	pthread_create(&thread, NULL, post_from_outside, &calls);
	pthread_join(thread, NULL);
	ck_assert_ok(vcore_loop_call(loop, quit, loop));
	pthread_join(runner, NULL);
	ck_assert_int_eq(calls, POSTS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("loop");
	TCase *t = tcase_create("loop");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_new_bad_options_return_the_documented_errors);
	tcase_add_test(t, test_new_with_each_step_failing_leaks_nothing);
	tcase_add_test(t, test_owner_waits_for_who_helps_out);
	tcase_add_test(t, test_quit_is_left_to_the_owner);
	tcase_add_test(t, test_null_handles);
	tcase_add_test(t, test_dispatch_bad_timeout_returns_einval);
	tcase_add_test(t, test_idle_loop_does_nothing_and_is_not_readable);
	tcase_add_test(t, test_call_runs_once_and_makes_the_loop_readable);
	tcase_add_test(t, test_call_without_memory_returns_enomem);
	tcase_add_test(t, test_posts_run_in_order_and_a_budget_at_a_time);
	tcase_add_test(t, test_call_that_posts_itself_lets_dispatch_return);
	tcase_add_test(t, test_waiting_in_a_callback_returns_edeadlk);
	tcase_add_test(t, test_loop_inside_a_loop);
	tcase_add_test(t, test_second_dispatching_thread_gets_ebusy);
	tcase_add_test(t, test_quit_before_run_counts);
	tcase_add_test(t, test_run_returns_after_quit_and_can_run_again);
	tcase_add_test(t, test_quit_from_another_thread_ends_run);
	tcase_add_test(t, test_unref_runs_what_is_posted_and_what_that_posts);
	tcase_add_test(t, test_unref_runs_what_a_dispatch_left);
	tcase_add_test(t,
		       test_handle_taken_while_the_loop_ends_does_not_end_it_twice);
	tcase_add_test(t,
		       test_last_unref_in_a_callback_ends_the_loop_after_the_dispatch);
	tcase_add_test(t, test_outer_poll_drives_posts_and_timers);
	tcase_add_test(t,
		       test_stress_every_call_posted_before_the_last_unref_runs_once);
	tcase_add_test(t, test_stress_running_loop_misses_no_wake_up);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
