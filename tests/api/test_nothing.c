/* SPDX-License-Identifier: BSD-3-Clause */
/* Each function of the shared library, given nothing at all. */
#include <errno.h>

#include "api/calls.h"
#include "support/support.h"

/* Of these, nothing is something: a text, a number, or "no". */
static const char *const content[] = {
	"vcore_error_set", "vcore_error_text", "vcore_loop_is_owner",
	"vcore_memory_recover", "vcore_virtio_name",
	"vcore_virtqueue_enable_kick", "vcore_virtqueue_pop",
};

static bool
is_content(const char *name)
{
	for (size_t i = 0; i < sizeof(content) / sizeof(content[0]); i++)
		if (strcmp(name, content[i]) == 0)
			return true;
	return false;
}

static bool
is_documented(const struct call *c, int64_t rc)
{
	const int *e = c->errors;

	while (*e != 0 && -*e != rc)
		e++;
	return *e != 0;
}

START_TEST(test_nothing_is_refused_by_name)
{
	const struct call *c = &calls[_i];
	size_t len = strlen(c->name);
	const char *text;
	int64_t rc;

	vcore_error_set(-1, "nothing was said");
	rc = c->call();
	text = vcore_error_text();
	if (c->kind == CALL_POINTER)
		ck_assert_msg(rc == 0 || is_content(c->name), "%s: a pointer",
			      c->name);
	if (c->kind != CALL_ERROR || is_content(c->name))
		return;
	ck_assert_msg(rc < 0, "%s is %lld", c->name, (long long)rc);
	ck_assert_msg(is_documented(c, rc), "%s: %lld is not documented (%s)",
		      c->name, (long long)rc, text);
	ck_assert_msg(strncmp(text, c->name, len) == 0 &&
			      (text[len] == ':' || text[len] == ' '),
		      "%s: text is \"%s\"", c->name, text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("nothing");
	TCase *t = tcase_create("nothing");

	tcase_add_loop_test(t, test_nothing_is_refused_by_name, 0,
			    (int)call_count);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
