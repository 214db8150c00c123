/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/stream_open.c: streams from text. */
#include <vcore/stream.h>

#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "support/support.h"

START_TEST(test_malformed_specs_are_einval)
{
	static const char *const bad[] = {
		"", "nul", "null ", "fd", "fd:", "fd:x", "fd:1:", "fd:1:2:3",
		"fd:-1", "fd:99999999999", "ptys", "stdio:", "file:/tmp/x",
	};
	struct vcore_stream *s = NULL;

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(bad); i++)
		ck_assert_error(vcore_stream_open(bad[i], &s, NULL, 0), -EINVAL,
				"vcore_stream_open");
	ck_assert_error(vcore_stream_open(NULL, &s, NULL, 0), -EINVAL,
			"vcore_stream_open");
	ck_assert_error(vcore_stream_open("null", NULL, NULL, 0), -EINVAL,
			"vcore_stream_open");
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(test_null_takes_all_and_gives_nothing)
{
	struct vcore_stream *s = NULL;
	char c, path[8] = "junk";

	ck_assert_ok(vcore_stream_open("null", &s, path, sizeof(path)));
	ck_assert_str_eq(path, "");
	ck_assert_int_eq(vcore_stream_write(s, "abc", 3), 3);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), -EAGAIN);
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_fd_pair_is_used)
{
	struct vcore_stream *s = NULL;
	char spec[32], c;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	snprintf(spec, sizeof(spec), "fd:%d:%d", p[0], p[1]);
	ck_assert_ok(vcore_stream_open(spec, &s, NULL, 0));
	ck_assert_int_eq(vcore_stream_write(s, "q", 1), 1);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), 1);
	ck_assert_int_eq(c, 'q');
	vcore_stream_unref(s);
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(test_closed_fd_is_ebadf)
{
	struct vcore_stream *s = NULL;

	ck_assert_error(vcore_stream_open("fd:1000", &s, NULL, 0), -EBADF,
			"vcore_stream_open: vcore_stream_new_fd");
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(test_pty_says_its_name)
{
	struct vcore_stream *s = NULL;
	char path[64];

	ck_assert_ok(vcore_stream_open("pty", &s, path, sizeof(path)));
	ck_assert_int_eq(access(path, R_OK | W_OK), 0);
	vcore_stream_unref(s);
	ck_assert_ok(vcore_stream_open("pty", &s, path, 4));
	ck_assert_str_eq(path, "/de");
	vcore_stream_unref(s);
	ck_assert_ok(vcore_stream_open("pty", &s, NULL, 0));
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_unix_listens)
{
	struct vcore_stream *s = NULL;
	char spec[64];

	snprintf(spec, sizeof(spec), "unix:/tmp/vcore-open-%d", getpid());
	ck_assert_ok(vcore_stream_open(spec, &s, NULL, 0));
	ck_assert_int_eq(access(spec + 5, F_OK), 0);
	vcore_stream_unref(s);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/stream_open");
	TCase *t = tcase_create("open");

	tcase_add_test(t, test_malformed_specs_are_einval);
	tcase_add_test(t, test_null_takes_all_and_gives_nothing);
	tcase_add_test(t, test_fd_pair_is_used);
	tcase_add_test(t, test_closed_fd_is_ebadf);
	tcase_add_test(t, test_pty_says_its_name);
	tcase_add_test(t, test_unix_listens);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
