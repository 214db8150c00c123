/* SPDX-License-Identifier: BSD-3-Clause */
/* Recipes: what they parse to, and what they refuse. */
#include "machine/recipe.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vcore_recipe *
parse(const char *text)
{
	struct vcore_recipe *r = NULL;

	ck_assert_int_eq(vcore__recipe_parse(text, &r), 0);
	return r;
}

static void
assert_refused(const char *text)
{
	struct vcore_recipe *r = (void *)&r;

	ck_assert_int_eq(vcore__recipe_parse(text, &r), -EINVAL);
	ck_assert_ptr_eq(r, (void *)&r);
	ck_assert(strncmp(vcore_error_text(), "vcore_machine_add: ", 19) == 0);
}

START_TEST(test_recipe_kind_alone_has_no_items)
{
	struct vcore_recipe *r = parse("rng");

	ck_assert_str_eq(r->kind, "rng");
	ck_assert_uint_eq(r->count, 0);
	ck_assert_int_eq(vcore__recipe_check(r), 0);
	free(r);
}
END_TEST

START_TEST(test_recipe_values_and_flags_are_found)
{
	struct vcore_recipe *r = parse("block,path=/a b=c,ro,empty=");

	ck_assert_str_eq(vcore_recipe_get(r, "path"), "/a b=c");
	ck_assert_int_eq(vcore__recipe_flag(r, "ro"), 1);
	ck_assert_int_eq(vcore__recipe_flag(r, "direct"), 0);
	ck_assert_str_eq(vcore_recipe_get(r, "empty"), "");
	ck_assert_ptr_null(vcore_recipe_get(r, "serial"));
	ck_assert_int_eq(vcore__recipe_check(r), 0);
	free(r);
}
END_TEST

START_TEST(test_recipe_doubled_comma_is_one_in_the_value)
{
	struct vcore_recipe *r = parse("block,path=a,,b,,,ro");

	ck_assert_str_eq(vcore_recipe_get(r, "path"), "a,b,");
	ck_assert_int_eq(vcore__recipe_flag(r, "ro"), 1);
	free(r);
}
END_TEST

START_TEST(test_recipe_unknown_key_is_refused_by_check)
{
	struct vcore_recipe *r = parse("block,path=x,rw");

	vcore_recipe_get(r, "path");
	ck_assert_int_eq(vcore__recipe_check(r), -EINVAL);
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "'rw'"));
	free(r);
}
END_TEST

START_TEST(test_recipe_flag_with_value_returns_einval)
{
	struct vcore_recipe *r = parse("block,ro=1");

	ck_assert_int_eq(vcore__recipe_flag(r, "ro"), -EINVAL);
	free(r);
}
END_TEST

static const struct {
	const char *text;
	uint64_t max, value;
	int rc;
} numbers[] = {
	{ "x,n=0", 10, 0, 1 },
	{ "x,n=10", 10, 10, 1 },
	{ "x,n=11", 10, 99, -EINVAL },
	{ "x,n=0x10", 100, 16, 1 },
	{ "x,n=010", 100, 10, 1 },
	{ "x,n=0x", 100, 99, -EINVAL },
	{ "x,n=0x1K", UINT64_MAX, 1024, 1 },
	{ "x,n=4K", UINT64_MAX, 4096, 1 },
	{ "x,n=1g", UINT64_MAX, 1u << 30, 1 },
	{ "x,n=16T", UINT64_MAX, 16ull << 40, 1 },
	{ "x,n=16777216T", UINT64_MAX, 99, -EINVAL },	/* 2^64 */
	{ "x,n=18446744073709551616", UINT64_MAX, 99, -EINVAL },
	{ "x,n=-1", UINT64_MAX, 99, -EINVAL },
	{ "x,n= 1", UINT64_MAX, 99, -EINVAL },
	{ "x,n=1KB", UINT64_MAX, 99, -EINVAL },
	{ "x,n=K", UINT64_MAX, 99, -EINVAL },
	{ "x,n", UINT64_MAX, 99, -EINVAL },
	{ "x,m=1", 10, 99, 0 },
};

START_TEST(test_recipe_numbers)
{
	struct vcore_recipe *r = parse(numbers[_i].text);
	uint64_t value = 99;

	ck_assert_int_eq(vcore_recipe_number(r, "n", numbers[_i].max, &value),
			 numbers[_i].rc);
	ck_assert_uint_eq(value, numbers[_i].value);
	free(r);
}
END_TEST

static const char *const malformed[] = {
	"", ",", "=x", "block,", "block,,path=x", "Block", "block,=x",
	"block,a=1,a=2", "block,a=1,a", "block,Path=x", "block,a b",
	"1block", "block,\x80=1",
};

START_TEST(test_recipe_malformed_returns_einval)
{
	assert_refused(malformed[_i]);
}
END_TEST

START_TEST(test_recipe_null_returns_einval)
{
	struct vcore_recipe *r = parse("x,n=1");
	uint64_t n = 7;

	assert_refused(NULL);
	ck_assert_int_eq(vcore_recipe_number(NULL, "n", 9, &n), -EINVAL);
	ck_assert_int_eq(vcore_recipe_number(r, NULL, 9, &n), -EINVAL);
	ck_assert_int_eq(vcore_recipe_number(r, "n", 9, NULL), -EINVAL);
	ck_assert_uint_eq(n, 7);
	free(r);
}
END_TEST

START_TEST(test_recipe_at_its_limits)
{
	char *text = malloc(VCORE__RECIPE_MAX_LEN + 2), *at = text;
	struct vcore_recipe *r;

	at += sprintf(at, "x");
	for (unsigned i = 0; i < VCORE__RECIPE_MAX_ITEMS; i++)
		at += sprintf(at, ",k%u", i);
	r = parse(text);
	ck_assert_uint_eq(r->count, VCORE__RECIPE_MAX_ITEMS);
	free(r);
	sprintf(at, ",more");
	assert_refused(text);
	memset(text, 'a', VCORE__RECIPE_MAX_LEN + 1);
	text[VCORE__RECIPE_MAX_LEN + 1] = '\0';
	assert_refused(text);
	text[VCORE__RECIPE_MAX_LEN] = '\0';
	free(parse(text));
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("recipe");
	TCase *tc = tcase_create("recipe");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_recipe_kind_alone_has_no_items);
	tcase_add_test(tc, test_recipe_values_and_flags_are_found);
	tcase_add_test(tc, test_recipe_doubled_comma_is_one_in_the_value);
	tcase_add_test(tc, test_recipe_unknown_key_is_refused_by_check);
	tcase_add_test(tc, test_recipe_flag_with_value_returns_einval);
	tcase_add_loop_test(tc, test_recipe_numbers, 0,
			    (int)(sizeof(numbers) / sizeof(numbers[0])));
	tcase_add_loop_test(tc, test_recipe_malformed_returns_einval, 0,
			    (int)(sizeof(malformed) / sizeof(malformed[0])));
	tcase_add_test(tc, test_recipe_null_returns_einval);
	tcase_add_test(tc, test_recipe_at_its_limits);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
