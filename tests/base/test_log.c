/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/base/log.c. */
#include <errno.h>
#include <stdio.h>

#include "base/base.h"
#include "support/support.h"

#define SECOND 1000000000ull

struct sink {
	uint32_t lines, releases, level;
	char text[600];
};

static void
take_line(void *opaque, uint32_t level, const char *text)
{
	struct sink *sink = opaque;

	sink->lines++;
	sink->level = level;
	snprintf(sink->text, sizeof(sink->text), "%s", text);
}

static void
count_release(void *opaque)
{
	struct sink *sink = opaque;

	sink->releases++;
}

static struct vcore_log_opts
opts_for(struct sink *sink)
{
	struct vcore_log_opts opts;

	VCORE_INIT(&opts);
	opts.message = take_line;
	opts.release = count_release;
	opts.opaque = sink;
	return opts;
}

START_TEST(test_new_null_opts_returns_einval)
{
	struct vcore_log *log = NULL;

	ck_assert_error(vcore_log_new(NULL, &log), -EINVAL, "vcore_log_new:");
	ck_assert_ptr_null(log);
}
END_TEST

START_TEST(test_new_null_out_returns_einval)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);

	ck_assert_error(vcore_log_new(&opts, NULL), -EINVAL, "vcore_log_new:");
	ck_assert_uint_eq(sink.releases, 0);
}
END_TEST

START_TEST(test_new_without_message_returns_einval)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log = NULL;

	opts.message = NULL;
	ck_assert_error(vcore_log_new(&opts, &log), -EINVAL, "vcore_log_new:");
	ck_assert_ptr_null(log);
}
END_TEST

START_TEST(test_new_uninitialised_size_returns_einval)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log = NULL;

	opts.size = 0;
	ck_assert_error(vcore_log_new(&opts, &log), -EINVAL, "vcore_log_new:");
}
END_TEST

START_TEST(test_new_level_8_returns_einval)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log = NULL;

	opts.level = 8;
	ck_assert_error(vcore_log_new(&opts, &log), -EINVAL, "vcore_log_new:");
}
END_TEST

START_TEST(test_new_unknown_flag_or_field_returns_e2big)
{
	struct {
		struct vcore_log_opts known;
		uint64_t later;
	} opts = { .later = 1 };
	struct sink sink = { 0 };
	struct vcore_log *log = NULL;

	opts.known = opts_for(&sink);
	opts.known.flags = 1;
	ck_assert_error(vcore_log_new(&opts.known, &log), -E2BIG,
			"vcore_log_new:");
	opts.known.flags = 0;
	opts.known.reserved0 = 1;
	ck_assert_error(vcore_log_new(&opts.known, &log), -E2BIG,
			"vcore_log_new:");
	opts.known.reserved0 = 0;
	opts.known.size = sizeof(opts);
	ck_assert_error(vcore_log_new(&opts.known, &log), -E2BIG,
			"vcore_log_new:");
	ck_assert_ptr_null(log);
	ck_assert_uint_eq(sink.releases, 0);
}
END_TEST

START_TEST(test_new_without_memory_returns_enomem)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log = NULL;
	int rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_log_new(&opts, &log);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_log_new:");
	ck_assert_ptr_null(log);
	ck_assert_uint_eq(sink.releases, 0);
}
END_TEST

START_TEST(test_default_level_passes_warnings_and_drops_info)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log;

	ck_assert_ok(vcore_log_new(&opts, &log));
	ck_assert_uint_eq(vcore_log_level(log), VCORE_LOG_WARNING);
	vcore__log(log, VCORE_LOG_WARNING, "n is %d", 3);
	ck_assert_str_eq(sink.text, "n is 3");
	ck_assert_uint_eq(sink.level, VCORE_LOG_WARNING);
	vcore__log(log, VCORE_LOG_INFO, "dropped");
	ck_assert_uint_eq(sink.lines, 1);
	vcore_log_unref(log);
}
END_TEST

START_TEST(test_set_level_changes_what_passes)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log;

	ck_assert_ok(vcore_log_new(&opts, &log));
	ck_assert_ok(vcore_log_set_level(log, VCORE_LOG_DEBUG));
	vcore__log(log, VCORE_LOG_DEBUG, "passes");
	ck_assert_uint_eq(sink.lines, 1);
	ck_assert_ok(vcore_log_set_level(log, 0));
	ck_assert_uint_eq(vcore_log_level(log), VCORE_LOG_WARNING);
	vcore__log(log, VCORE_LOG_DEBUG, "dropped");
	ck_assert_uint_eq(sink.lines, 1);
	vcore_log_unref(log);
}
END_TEST

START_TEST(test_set_level_bad_arguments_return_einval)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log;

	ck_assert_ok(vcore_log_new(&opts, &log));
	ck_assert_error(vcore_log_set_level(NULL, 3), -EINVAL,
			"vcore_log_set_level:");
	ck_assert_error(vcore_log_set_level(log, 8), -EINVAL,
			"vcore_log_set_level:");
	ck_assert_uint_eq(vcore_log_level(log), VCORE_LOG_WARNING);
	vcore_log_unref(log);
}
END_TEST

START_TEST(test_release_runs_once_at_the_last_unref)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log;

	ck_assert_ok(vcore_log_new(&opts, &log));
	ck_assert_ptr_eq(vcore_log_ref(log), log);
	vcore_log_unref(log);
	ck_assert_uint_eq(sink.releases, 0);
	vcore_log_unref(log);
	ck_assert_uint_eq(sink.releases, 1);
}
END_TEST

START_TEST(test_release_may_be_null)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log;

	opts.release = NULL;
	ck_assert_ok(vcore_log_new(&opts, &log));
	vcore_log_unref(log);
	ck_assert_uint_eq(sink.releases, 0);
}
END_TEST

START_TEST(test_null_log_is_silent)
{
	ck_assert_ptr_null(vcore_log_ref(NULL));
	vcore_log_unref(NULL);
	ck_assert_uint_eq(vcore_log_level(NULL), 0);
	vcore__log(NULL, VCORE_LOG_ERR, "nobody");
}
END_TEST

START_TEST(test_line_has_no_newline_and_is_cut_at_511)
{
	struct sink sink = { 0 };
	struct vcore_log_opts opts = opts_for(&sink);
	struct vcore_log *log;
	char longer[700];

	memset(longer, '\n', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_ok(vcore_log_new(&opts, &log));
	vcore__log(log, VCORE_LOG_ERR, "%s", longer);
	ck_assert_uint_eq(strlen(sink.text), 511);
	ck_assert_ptr_null(strchr(sink.text, '\n'));
	vcore_log_unref(log);
}
END_TEST

START_TEST(test_ratelimit_lets_5_pass_at_once)
{
	struct vcore__ratelimit rl = { 0 };
	uint64_t now = 100 * SECOND;
	int i;

	for (i = 0; i < 5; i++)
		ck_assert(vcore__ratelimit_ok_at(&rl, now));
	for (i = 0; i < 1000; i++)
		ck_assert(!vcore__ratelimit_ok_at(&rl, now));
}
END_TEST

START_TEST(test_ratelimit_refills_one_a_second)
{
	struct vcore__ratelimit rl = { 0 };
	uint64_t now = 100 * SECOND;
	int i;

	for (i = 0; i < 5; i++)
		ck_assert(vcore__ratelimit_ok_at(&rl, now));
	ck_assert(!vcore__ratelimit_ok_at(&rl, now + SECOND - 1));
	ck_assert(vcore__ratelimit_ok_at(&rl, now + SECOND));
	ck_assert(!vcore__ratelimit_ok_at(&rl, now + SECOND));
	for (i = 0; i < 5; i++)
		ck_assert(vcore__ratelimit_ok_at(&rl, now + 60 * SECOND));
	ck_assert(!vcore__ratelimit_ok_at(&rl, now + 60 * SECOND));
}
END_TEST

START_TEST(test_ratelimit_works_with_the_clock)
{
	struct vcore__ratelimit rl = { 0 };

	ck_assert(vcore__ratelimit_ok(&rl));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("log");
	TCase *t = tcase_create("log");

	tcase_add_test(t, test_new_null_opts_returns_einval);
	tcase_add_test(t, test_new_null_out_returns_einval);
	tcase_add_test(t, test_new_without_message_returns_einval);
	tcase_add_test(t, test_new_uninitialised_size_returns_einval);
	tcase_add_test(t, test_new_level_8_returns_einval);
	tcase_add_test(t, test_new_unknown_flag_or_field_returns_e2big);
	tcase_add_test(t, test_new_without_memory_returns_enomem);
	tcase_add_test(t, test_default_level_passes_warnings_and_drops_info);
	tcase_add_test(t, test_set_level_changes_what_passes);
	tcase_add_test(t, test_set_level_bad_arguments_return_einval);
	tcase_add_test(t, test_release_runs_once_at_the_last_unref);
	tcase_add_test(t, test_release_may_be_null);
	tcase_add_test(t, test_null_log_is_silent);
	tcase_add_test(t, test_line_has_no_newline_and_is_cut_at_511);
	tcase_add_test(t, test_ratelimit_lets_5_pass_at_once);
	tcase_add_test(t, test_ratelimit_refills_one_a_second);
	tcase_add_test(t, test_ratelimit_works_with_the_clock);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
