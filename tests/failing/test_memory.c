/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: regions of each backing, the map and its changes. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vcore/memory.h>

#include "base/base.h"
#include "support/walk.h"

#define PAGE 4096u
#define LEN  (4 * PAGE)

static struct vcore_region_opts opts;
static struct vcore_region *region;
static struct vcore_memory *memory;
static struct vcore_memory_change *change;
static uint32_t released;
static int file;

static void
count_release(void *opaque)
{
	(void)opaque;
	released++;
}

static int
new_region(void)
{
	return vcore_region_new(&opts, &region);
}

static void
unref_region(void)
{
	vcore_region_unref(region);
}

static void
anonymous(void)
{
	VCORE_INIT(&opts);
	opts.len = LEN;
	opts.flags = VCORE_REGION_POPULATE;
}

static void
shared(void)
{
	VCORE_INIT(&opts);
	opts.len = LEN;
	opts.flags = VCORE_REGION_SHARED | VCORE_REGION_POPULATE;
}

static void
of_file(void)
{
	file = memfd_create("walk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(file, LEN), 0);
	VCORE_INIT(&opts);
	opts.len = LEN;
	opts.backing = VCORE_BACKING_FILE;
	opts.flags = VCORE_REGION_SHARED | VCORE_REGION_UNSEALED_OK;
	opts.fd = file;
}

static void
close_file(void)
{
	close(file);
}

static void
of_caller(void)
{
	VCORE_INIT(&opts);
	opts.len = LEN;
	opts.backing = VCORE_BACKING_CALLER;
	opts.hva = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	opts.release = count_release;
	released = 0;
}

static void
check_caller(bool done)
{
	(void)done;
	ck_assert_uint_eq(released, 0);
}

static void
unref_caller(void)
{
	vcore_region_unref(region);
	ck_assert_uint_eq(released, 1);
}

static void
unmap_caller(void)
{
	munmap(opts.hva, LEN);
}

static int
new_memory(void)
{
	return vcore_memory_new(NULL, &memory);
}

static void
unref_memory(void)
{
	vcore_memory_unref(memory);
}

/* A map, and a region that is not in it. */
static void
before_add(void)
{
	ck_assert_ok(new_memory());
	anonymous();
	ck_assert_ok(new_region());
}

static void
after_add(void)
{
	unref_memory();
	unref_region();
}

static int
add(void)
{
	return vcore_memory_add(memory, 0, region, 0);
}

static uint32_t
regions(void)
{
	struct vcore_memory_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_memory_get_info(memory, &info));
	return info.regions;
}

static void
check_add(bool done)
{
	ck_assert_uint_eq(regions(), done);
}

static void
before_remove(void)
{
	before_add();
	ck_assert_ok(add());
}

static int
take_out(void)
{
	return vcore_memory_remove(memory, 0);
}

static void
check_remove(bool done)
{
	char byte;

	ck_assert_uint_eq(regions(), !done);
	ck_assert_int_eq(vcore_memory_read(memory, 0, &byte, 1),
			 done ? -EFAULT : 0);
}

static int
pin(void)
{
	struct vcore_pin p;
	struct iovec iov;
	int rc = vcore_memory_pin(memory, 0, PAGE, 0, &iov, 1, &p);

	if (rc >= 0)
		vcore_memory_unpin(memory, &p);
	return rc;
}

static int
change_new(void)
{
	return vcore_memory_change_new(memory, &change);
}

static void
change_free(void)
{
	vcore_memory_change_free(change);
}

static void
before_change(void)
{
	before_remove();
	ck_assert_ok(change_new());
}

static void
after_change(void)
{
	change_free();
	after_add();
}

static int
change_add(void)
{
	return vcore_memory_change_add(change, 16 * PAGE, region, 0);
}

static int
change_remove(void)
{
	return vcore_memory_change_remove(change, 0);
}

/* One region moves, another comes. */
static void
before_commit(void)
{
	before_change();
	ck_assert_ok(change_remove());
	ck_assert_ok(change_add());
	ck_assert_ok(vcore_memory_change_add(change, 32 * PAGE, region, 0));
}

static int
commit(void)
{
	return vcore_memory_change_commit(change);
}

static void
check_commit(bool done)
{
	uint64_t gpa = 1, len;
	uint32_t flags;

	ck_assert_uint_eq(regions(), done ? 2 : 1);
	ck_assert_ok(vcore_memory_get_range(memory, 0, &gpa, &len, &flags));
	ck_assert_uint_eq(gpa, done ? 16 * PAGE : 0);
}

static const struct walk cases[] = {
	/* EINVAL is what kernels say that do not know MADV_POPULATE_WRITE. */
	{ WALK(vcore_region_new), .before = anonymous, .call = new_region,
	  .undo = unref_region, .least = 4, .also = { -EOPNOTSUPP } },
	{ WALK(vcore_region_new), .before = shared, .call = new_region,
	  .undo = unref_region, .least = 6, .also = { -EOPNOTSUPP } },
	{ WALK(vcore_region_new), .before = of_file, .call = new_region,
	  .undo = unref_region, .after = close_file, .least = 5 },
	{ WALK(vcore_region_new), .before = of_caller, .call = new_region,
	  .check = check_caller, .undo = unref_caller,
	  .after = unmap_caller, .least = 1, .also = { -EINVAL } },
	{ WALK(vcore_memory_new), .call = new_memory, .undo = unref_memory,
	  .least = 2 },
	{ WALK(vcore_memory_add), .before = before_add, .call = add,
	  .check = check_add, .after = after_add, .least = 3 },
	{ WALK(vcore_memory_remove), .before = before_remove,
	  .call = take_out, .check = check_remove, .after = after_add,
	  .least = 2 },
	{ WALK(vcore_memory_pin), .before = before_remove, .call = pin,
	  .after = after_add },
	{ WALK(vcore_memory_change_new), .before = before_add,
	  .call = change_new, .undo = change_free, .after = after_add,
	  .least = 1 },
	{ WALK(vcore_memory_change_add), .before = before_change,
	  .call = change_add, .after = after_change, .least = 1 },
	{ WALK(vcore_memory_change_remove), .before = before_change,
	  .call = change_remove, .after = after_change, .least = 1 },
	{ WALK(vcore_memory_change_commit), .before = before_commit,
	  .call = commit, .check = check_commit, .after = after_change,
	  .least = 2, .once = true },
};

START_TEST(test_memory_with_each_call_failing)
{
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/memory");
	TCase *t = tcase_create("memory");

	tcase_add_test(t, test_memory_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
