/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/base/wait.c: the marker nests and belongs to its thread. */
#include <pthread.h>

#include "base/wait.h"
#include "support/support.h"

START_TEST(test_a_thread_may_wait_by_itself)
{
	ck_assert(vcore__may_wait());
}
END_TEST

START_TEST(test_no_waiting_between_begin_and_end)
{
	vcore__nowait_begin();
	ck_assert(!vcore__may_wait());
	vcore__nowait_end();
	ck_assert(vcore__may_wait());
}
END_TEST

START_TEST(test_callbacks_nest)
{
	vcore__nowait_begin();
	vcore__nowait_begin();
	vcore__nowait_end();
	ck_assert(!vcore__may_wait());
	vcore__nowait_end();
	ck_assert(vcore__may_wait());
}
END_TEST

static void *
ask(void *arg)
{
	*(bool *)arg = vcore__may_wait();
	return NULL;
}

START_TEST(test_other_threads_may_still_wait)
{
	bool may = false;
	pthread_t t;

	vcore__nowait_begin();
	ck_assert_int_eq(pthread_create(&t, NULL, ask, &may), 0);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	vcore__nowait_end();
	ck_assert(may);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("wait");
	TCase *t = tcase_create("wait");

	tcase_add_test(t, test_a_thread_may_wait_by_itself);
	tcase_add_test(t, test_no_waiting_between_begin_and_end);
	tcase_add_test(t, test_callbacks_nest);
	tcase_add_test(t, test_other_threads_may_still_wait);
	suite_add_tcase(s, t);
	return support_run(s);
}
