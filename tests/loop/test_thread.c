/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/loop/thread.c. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/base.h"
#include "loop/thread.h"
#include "support/support.h"

struct seen {
	sigset_t mask;
	char name[16];
	int calls;
};

static void
look(void *arg)
{
	struct seen *seen = arg;

	pthread_sigmask(SIG_BLOCK, NULL, &seen->mask);
	pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
	seen->calls++;
}

static int
refuse(void *opaque, const char *name, void (*fn)(void *arg), void *arg,
       void **thread)
{
	(void)name;
	(void)fn;
	(void)arg;
	(void)thread;
	++*(int *)opaque;
	return -EPERM;
}

static void
no_join(void *opaque, void *thread)
{
	(void)opaque;
	(void)thread;
	ck_abort_msg("nothing to join");
}

START_TEST(test_default_thread_runs_with_its_name)
{
	struct vcore__spawner s;
	struct seen seen = { .calls = 0 };
	void *thread;

	ck_assert_ok(vcore__spawner_init(&s, "vcore_x_new: spawn", NULL, NULL));
	ck_assert_ok(vcore__thread_start(&s, "a name that is too long", look,
					 &seen, &thread));
	vcore__thread_join(&s, thread);
	ck_assert_int_eq(seen.calls, 1);
	ck_assert_str_eq(seen.name, "a name that is ");
}
END_TEST

START_TEST(test_default_thread_blocks_all_but_its_own_faults)
{
	static const int open[] = { SIGBUS, SIGSEGV, SIGFPE,
				    SIGILL, SIGTRAP, SIGSYS };
	struct vcore__spawner s;
	struct seen seen = { .calls = 0 };
	sigset_t before, after;
	void *thread;
	size_t i;
	int n;

	pthread_sigmask(SIG_BLOCK, NULL, &before);
	ck_assert_ok(vcore__spawner_init(&s, "vcore_x_new: spawn", NULL, NULL));
	ck_assert_ok(vcore__thread_start(&s, "t", look, &seen, &thread));
	vcore__thread_join(&s, thread);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	for (n = 1; n <= SIGRTMAX; n++)
		ck_assert_int_eq(sigismember(&before, n),
				 sigismember(&after, n));
	for (i = 0; i < VCORE__ARRAY_SIZE(open); i++)
		ck_assert(!sigismember(&seen.mask, open[i]));
	ck_assert(sigismember(&seen.mask, SIGTERM));
	ck_assert(sigismember(&seen.mask, SIGALRM));
	ck_assert(sigismember(&seen.mask, SIGUSR1));
	ck_assert(sigismember(&seen.mask, SIGRTMAX));
}
END_TEST

START_TEST(test_default_start_with_each_step_failing)
{
	static const int errors[] = { -ENOMEM, -EAGAIN };
	struct seen seen = { .calls = 0 };
	struct vcore__spawner s;
	void *thread = NULL;
	unsigned int n;
	int rc;

	ck_assert_ok(vcore__spawner_init(&s, "vcore_x_new: spawn", NULL, NULL));
	for (n = 1; n <= 2; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore__thread_start(&s, "t", look, &seen, &thread);
		ck_assert(fail_stop());
		ck_assert_int_eq(rc, errors[n - 1]);
	}
	ck_assert_int_eq(seen.calls, 0);
}
END_TEST

START_TEST(test_embedders_table_is_copied_and_used)
{
	struct vcore_spawn_ops ops;
	struct vcore__spawner s;
	int calls = 0;
	void *thread;

	VCORE_INIT(&ops);
	ops.spawn = refuse;
	ops.join = no_join;
	ck_assert_ok(vcore__spawner_init(&s, "vcore_x_new: spawn", &ops, &calls));
	memset(&ops, 0xff, sizeof(ops));
	ck_assert_int_eq(vcore__thread_start(&s, "t", look, NULL, &thread),
			 -EPERM);
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(test_bad_table_returns_the_documented_errors)
{
	struct vcore_spawn_ops ops;
	struct vcore__spawner s;

	VCORE_INIT(&ops);
	ops.join = no_join;
	ck_assert_error(vcore__spawner_init(&s, "vcore_x_new: spawn", &ops, NULL),
			-EINVAL, "vcore_x_new: spawn");
	ops.spawn = refuse;
	ops.join = NULL;
	ck_assert_error(vcore__spawner_init(&s, "vcore_x_new: spawn", &ops, NULL),
			-EINVAL, "vcore_x_new: spawn");
	ops.join = no_join;
	ops.flags = 1;
	ck_assert_error(vcore__spawner_init(&s, "vcore_x_new: spawn", &ops, NULL),
			-E2BIG, "vcore_x_new: spawn");
	ops.size = 0;
	ck_assert_error(vcore__spawner_init(&s, "vcore_x_new: spawn", &ops, NULL),
			-EINVAL, "vcore_x_new: spawn");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("thread");
	TCase *t = tcase_create("thread");

	tcase_add_test(t, test_default_thread_runs_with_its_name);
	tcase_add_test(t, test_default_thread_blocks_all_but_its_own_faults);
	tcase_add_test(t, test_default_start_with_each_step_failing);
	tcase_add_test(t, test_embedders_table_is_copied_and_used);
	tcase_add_test(t, test_bad_table_returns_the_documented_errors);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
