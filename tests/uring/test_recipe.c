/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of optional/uring/recipe.c: disks by io_uring from recipes. */
#include <vcore/uring.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "machine/recipe.h"
#include "support/support.h"

#define SKIPPED 77

static char path[64];
static int file;

static int
make(const char *text, struct vcore_disk **disk)
{
	struct vcore_recipe *recipe = NULL;
	char all[128];
	int rc;

	snprintf(all, sizeof(all), text, path, file);
	ck_assert_ok(vcore__recipe_parse(all, &recipe));
	rc = vcore_uring_make(NULL, recipe, disk);
	free(recipe);
	return rc;
}

START_TEST(test_path_and_descriptor_make_disks)
{
	struct vcore_disk_limits l;
	struct vcore_disk *d = NULL;

	VCORE_INIT(&l);
	ck_assert_ok(make("block,disk=uring,path=%s,ro", &d));
	ck_assert_ok(vcore_disk_get_limits(d, &l));
	ck_assert_uint_eq(l.flags, VCORE_DISK_READONLY);
	vcore_disk_unref(d);
	ck_assert_ok(make("block,serial=%s,fd=%d", &d));
	ck_assert_ok(vcore_disk_get_limits(d, &l));
	ck_assert_uint_eq(l.flags & VCORE_DISK_READONLY, 0);
	vcore_disk_unref(d);
}
END_TEST

START_TEST(test_malformed_recipes_are_einval)
{
	static const char *const bad[] = {
		"block,serial=%s", "block,path=%s,fd=%d", "block,path=%s,ro=1",
		"block,path=%s,direct=yes", "block,serial=%s,fd=x",
		"block,serial=%s,fd=-1",
	};
	struct vcore_disk *d = NULL;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(make(bad[i], &d), -EINVAL);
	ck_assert_error(vcore_uring_make(NULL, NULL, &d), -EINVAL,
			"vcore_uring_make");
	ck_assert_ptr_null(d);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("uring/recipe");
	TCase *t = tcase_create("recipe");
	struct vcore_uring_opts o;
	struct vcore_disk *d;
	int rc;

	snprintf(path, sizeof(path), "/tmp/vcore-uring-XXXXXX");
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0 || ftruncate(file, 65536) < 0)
		return EXIT_FAILURE;
	VCORE_INIT(&o);
	o.path = path;
	rc = vcore_uring_new(&o, &d);
	if (rc < 0) {
		printf("skipped: %s\n", vcore_error_text());
		unlink(path);
		return SKIPPED;
	}
	vcore_disk_unref(d);
	tcase_add_test(t, test_path_and_descriptor_make_disks);
	tcase_add_test(t, test_malformed_recipes_are_einval);
	suite_add_tcase(suite, t);
	rc = support_run(suite);
	unlink(path);
	return rc;
}
