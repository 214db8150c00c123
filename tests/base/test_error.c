/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/base/error.c. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "base/base.h"
#include "support/support.h"

static char logged[600];

static void
keep_line(void *opaque, uint32_t level, const char *text)
{
	(void)opaque;
	ck_assert_uint_eq(level, VCORE_LOG_ERR);
	ck_assert_uint_lt(strlen(text), sizeof(logged));
	strcpy(logged, text);
}

START_TEST(test_version_is_that_of_the_headers)
{
	ck_assert_uint_eq(vcore_version(), 0x000100);
}
END_TEST

START_TEST(test_text_is_empty_before_the_first_error)
{
	ck_assert_str_eq(vcore_error_text(), "");
}
END_TEST

START_TEST(test_err_returns_the_number_and_keeps_the_text)
{
	ck_assert_int_eq(vcore__err(NULL, -EEXIST, "vcore_x: [%#x, %#x)", 16, 32),
			 -EEXIST);
	ck_assert_str_eq(vcore_error_text(), "vcore_x: [0x10, 0x20)");
	vcore__err(NULL, -EINVAL, "vcore_y");
	ck_assert_str_eq(vcore_error_text(), "vcore_y");
}
END_TEST

START_TEST(test_long_text_is_cut)
{
	char longer[400];

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	vcore__err(NULL, -EINVAL, "%s", longer);
	ck_assert_uint_eq(strlen(vcore_error_text()), 255);
}
END_TEST

START_TEST(test_text_can_wrap_itself)
{
	vcore__err(NULL, -EINVAL, "vcore_inner: bad");
	vcore__err(NULL, -EINVAL, "vcore_outer: %s", vcore_error_text());
	ck_assert_str_eq(vcore_error_text(), "vcore_outer: vcore_inner: bad");
}
END_TEST

START_TEST(test_control_characters_become_question_marks)
{
	vcore__err(NULL, -EINVAL, "vcore_x: a\nb\x1b[c\x7f");
	ck_assert_str_eq(vcore_error_text(), "vcore_x: a?b?[c?");
}
END_TEST

START_TEST(test_every_number_has_words)
{
	ck_assert_str_eq(vcore__strerror(-ENOMEM), "Cannot allocate memory");
	ck_assert_str_eq(vcore__strerror(-4095), "no error that there is");
	ck_assert_str_eq(vcore__strerror(5), "no error that there is");
	ck_assert_str_eq(vcore__strerror(INT_MIN), "no error that there is");
}
END_TEST

START_TEST(test_err_preserves_errno)
{
	errno = EDOM;
	vcore__err(NULL, -EINVAL, "vcore_x: %m");
	ck_assert_int_eq(errno, EDOM);
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), strerror(EDOM)));
}
END_TEST

START_TEST(test_err_logs_at_level_err)
{
	struct vcore_log_opts opts;
	struct vcore_log *log;

	VCORE_INIT(&opts);
	opts.message = keep_line;
	ck_assert_ok(vcore_log_new(&opts, &log));
	vcore__err(log, -EINVAL, "vcore_x: %d", 5);
	ck_assert_str_eq(logged, "vcore_x: 5");
	vcore_log_unref(log);
}
END_TEST

static void *
fail_here(void *arg)
{
	(void)arg;
	ck_assert_str_eq(vcore_error_text(), "");
	vcore__err(NULL, -EINVAL, "vcore_thread");
	return NULL;
}

START_TEST(test_set_leaves_the_text_and_returns_the_number)
{
	ck_assert_int_eq(vcore_error_set(-ENOSPC, "my_disk: full"), -ENOSPC);
	ck_assert_str_eq(vcore_error_text(), "my_disk: full");
	ck_assert_int_eq(vcore_error_set(-EIO, vcore_error_text()), -EIO);
	ck_assert_str_eq(vcore_error_text(), "my_disk: full");
	ck_assert_int_eq(vcore_error_set(-EIO, "100%s\n"), -EIO);
	ck_assert_str_eq(vcore_error_text(), "100%s?");
	ck_assert_int_eq(vcore_error_set(0, NULL), 0);
	ck_assert_str_eq(vcore_error_text(), "");
}
END_TEST

/* Whoever was called is named first, once. */
START_TEST(test_err_name_puts_the_function_in_front)
{
	vcore__err(NULL, -EINVAL, "vcore_inner: bad");
	ck_assert_int_eq(vcore__err_name(0, "vcore_x"), 0);
	ck_assert_str_eq(vcore_error_text(), "vcore_inner: bad");
	ck_assert_int_eq(vcore__err_name(-EINVAL, "vcore_in"), -EINVAL);
	ck_assert_str_eq(vcore_error_text(), "vcore_in: vcore_inner: bad");
	ck_assert_int_eq(vcore__err_name(-EINVAL, "vcore_in"), -EINVAL);
	ck_assert_str_eq(vcore_error_text(), "vcore_in: vcore_inner: bad");
}
END_TEST

/* A method of somebody else that failed without a word. */
START_TEST(test_err_from_does_not_repeat_an_old_text)
{
	uint32_t since;

	vcore__err(NULL, -EINVAL, "vcore_old: bad");
	since = vcore__err_count();
	ck_assert_int_eq(vcore__err_from(0, "vcore_x", since), 0);
	ck_assert_str_eq(vcore_error_text(), "vcore_old: bad");
	ck_assert_int_eq(vcore__err_from(-EIO, "vcore_x", since), -EIO);
	ck_assert_str_eq(vcore_error_text(), "vcore_x: errno 5");
	since = vcore__err_count();
	vcore__err(NULL, -EIO, "my_disk: gone");
	ck_assert_int_eq(vcore__err_from(-EIO, "vcore_x", since), -EIO);
	ck_assert_str_eq(vcore_error_text(), "vcore_x: my_disk: gone");
}
END_TEST

START_TEST(test_each_thread_has_its_own_text)
{
	pthread_t thread;

	vcore__err(NULL, -EINVAL, "vcore_main");
	pthread_create(&thread, NULL, fail_here, NULL);
	pthread_join(thread, NULL);
	ck_assert_str_eq(vcore_error_text(), "vcore_main");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("error");
	TCase *t = tcase_create("error");

	tcase_add_test(t, test_version_is_that_of_the_headers);
	tcase_add_test(t, test_text_is_empty_before_the_first_error);
	tcase_add_test(t, test_err_returns_the_number_and_keeps_the_text);
	tcase_add_test(t, test_long_text_is_cut);
	tcase_add_test(t, test_text_can_wrap_itself);
	tcase_add_test(t, test_control_characters_become_question_marks);
	tcase_add_test(t, test_every_number_has_words);
	tcase_add_test(t, test_err_preserves_errno);
	tcase_add_test(t, test_err_logs_at_level_err);
	tcase_add_test(t, test_set_leaves_the_text_and_returns_the_number);
	tcase_add_test(t, test_err_name_puts_the_function_in_front);
	tcase_add_test(t, test_err_from_does_not_repeat_an_old_text);
	tcase_add_test(t, test_each_thread_has_its_own_text);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
