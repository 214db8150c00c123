/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: disks by io_uring. */
#include <vcore/uring.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "support/walk.h"

#define SKIPPED 77

static struct fake_kvm fake;
static struct vcore_machine *machine;
static struct vcore_host *host;
static struct vcore_loop *loop;
static struct vcore_disk *disk;
static void *queue;
static char recipe[64];
static int file;

/* Also called outside of tests, where nothing can be asserted. */
static void
before_file(void)
{
	file = memfd_create("walk", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, 65536) < 0)
		abort();
}

static void
after_file(void)
{
	close(file);
}

static int
new_disk(void)
{
	struct vcore_uring_opts o;

	VCORE_INIT(&o);
	o.flags = VCORE_DISK_FILE_FD;
	o.fd = file;
	return vcore_uring_new(&o, &disk);
}

static void
unref_disk(void)
{
	vcore_disk_unref(disk);
}

static void
with_disk(void)
{
	before_file();
	ck_assert_ok(new_disk());
	ck_assert_ok(vcore_loop_new(NULL, &loop));
}

static void
without_disk(void)
{
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	vcore_loop_unref(loop);
	unref_disk();
	after_file();
}

static int
attach(void)
{
	return vcore_disk_attach(disk, loop, &queue);
}

/* What was given up is released by the loop. */
static void
settle(bool done)
{
	(void)done;
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
}

static void
detach(void)
{
	vcore_disk_detach(disk, queue);
}

static void
with_machine(void)
{
	struct vcore_machine_opts o;

	before_file();
	host = fake_kvm_host(&fake);
	VCORE_INIT(&o);
	o.memory = 1 << 20;
	o.host = host;
	ck_assert_ok(vcore_machine_new(&o, &machine));
	ck_assert_ok(vcore_machine_add_disk_kind(machine, "uring",
						 vcore_uring_make, NULL));
	snprintf(recipe, sizeof(recipe), "block,disk=uring,fd=%d", file);
}

static void
without_machine(void)
{
	vcore_machine_unref(machine);
	vcore_host_unref(host);
	after_file();
}

static int
add(void)
{
	return vcore_machine_add(machine, recipe);
}

static const struct walk cases[] = {
	{ WALK(vcore_uring_new), .before = before_file, .call = new_disk,
	  .undo = unref_disk, .after = after_file, .least = 5,
	  .also = { -EOPNOTSUPP } },
	{ WALK(vcore_disk_attach), .before = with_disk, .call = attach,
	  .check = settle, .undo = detach, .after = without_disk,
	  .least = 6 },
	{ WALK(vcore_machine_add), .before = with_machine, .call = add,
	  .after = without_machine, .least = 20,
	  .also = { -EOPNOTSUPP } },
};

START_TEST(test_uring_with_each_call_failing)
{
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("uring/failing");
	TCase *t = tcase_create("uring");

	before_file();
	if (new_disk() < 0) {
		printf("skipped: %s\n", vcore_error_text());
		return SKIPPED;
	}
	unref_disk();
	after_file();
	fake_kvm_init(&fake);
	tcase_add_test(t, test_uring_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
