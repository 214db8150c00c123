/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions: every backing, what is refused, guard pages, lifetime. */
#include "memory/region.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "memory/common.h"

static struct vcore_region_opts opts;
static struct vcore_region *region;

static void
setup(void)
{
	VCORE_INIT(&opts);
	opts.len = 4 * PAGE;
	region = NULL;
}

static void
refused(int error)
{
	ck_assert_error(vcore_region_new(&opts, &region), error,
			"vcore_region_new: ");
	ck_assert_ptr_null(region);
}

static struct vcore_region_info
info_of(struct vcore_region *r)
{
	struct vcore_region_info info;

	VCORE_INIT(&info);
	ck_assert_ok(vcore_region_get_info(r, &info));
	return info;
}

static int
file_of(uint64_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
	return fd;
}

START_TEST(test_auto_is_anonymous_zero_and_writable)
{
	struct vcore_region_info info;
	char *p;

	ck_assert_ok(vcore_region_new(&opts, &region));
	info = info_of(region);
	ck_assert_uint_eq(info.backing, VCORE_BACKING_ANONYMOUS);
	ck_assert_uint_eq(info.len, 4 * PAGE);
	ck_assert_uint_eq(info.page_size, PAGE);
	ck_assert_int_eq(info.fd, -1);
	ck_assert_uint_eq(info.flags, 0);
	ck_assert_uint_eq(info.failed, 0);
	ck_assert_uint_eq(info.size, sizeof(info));
	p = (char *)(uintptr_t)info.hva;
	ck_assert_int_eq(p[4 * PAGE - 1], 0);
	p[4 * PAGE - 1] = 1;
	vcore_region_unref(region);
}
END_TEST

START_TEST(test_auto_shared_is_sealed_memfd)
{
	struct vcore_region_info info;
	char *other, *p;
	int seals;

	opts.flags = VCORE_REGION_SHARED;
	ck_assert_ok(vcore_region_new(&opts, &region));
	info = info_of(region);
	ck_assert_uint_eq(info.backing, VCORE_BACKING_MEMFD);
	ck_assert_uint_eq(info.flags, VCORE_REGION_SHARED);
	seals = fcntl(info.fd, F_GET_SEALS);
	ck_assert_int_eq(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_lt(ftruncate(info.fd, 0), 0);
	p = (char *)(uintptr_t)info.hva;
	p[PAGE] = 42;
	other = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, info.fd, 0);
	ck_assert_ptr_ne(other, MAP_FAILED);
	ck_assert_int_eq(other[PAGE], 42);
	munmap(other, 4 * PAGE);
	vcore_region_unref(region);
}
END_TEST

START_TEST(test_memfd_says_shared_without_the_flag)
{
	opts.backing = VCORE_BACKING_MEMFD;
	ck_assert_ok(vcore_region_new(&opts, &region));
	ck_assert_uint_eq(info_of(region).flags, VCORE_REGION_SHARED);
	vcore_region_unref(region);
}
END_TEST

START_TEST(test_large_region_is_aligned_for_huge_pages)
{
	opts.len = 4ull << 20;
	ck_assert_ok(vcore_region_new(&opts, &region));
	ck_assert_uint_eq(info_of(region).hva & ((2ull << 20) - 1), 0);
	vcore_region_unref(region);
}
END_TEST

START_TEST(test_populate_has_every_page_present)
{
	unsigned char present[4];
	uint64_t hva;

	opts.flags = VCORE_REGION_POPULATE;
	ck_assert_ok(vcore_region_new(&opts, &region));
	hva = info_of(region).hva;
	ck_assert_int_eq(mincore((void *)(uintptr_t)hva, 4 * PAGE, present), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(present[i] & 1, 1);
	vcore_region_unref(region);
}
END_TEST

START_TEST(test_file_shared_private_and_offset)
{
	int fd = file_of(4 * PAGE);
	struct vcore_region_info info;
	char byte = 7;

	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)(2 * PAGE)), 1);
	opts.backing = VCORE_BACKING_FILE;
	opts.flags = VCORE_REGION_UNSEALED_OK | VCORE_REGION_SHARED;
	opts.fd = fd;
	opts.fd_offset = 2 * PAGE;
	opts.len = 2 * PAGE;
	ck_assert_ok(vcore_region_new(&opts, &region));
	info = info_of(region);
	ck_assert_int_ne(info.fd, fd);
	ck_assert_uint_eq(info.fd_offset, 2 * PAGE);
	ck_assert_int_eq(*(char *)(uintptr_t)info.hva, 7);
	*(char *)(uintptr_t)info.hva = 8;
	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)(2 * PAGE)), 1);
	ck_assert_int_eq(byte, 8);
	vcore_region_unref(region);

	opts.flags = VCORE_REGION_UNSEALED_OK;
	ck_assert_ok(vcore_region_new(&opts, &region));
	*(char *)(uintptr_t)info_of(region).hva = 9;
	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)(2 * PAGE)), 1);
	ck_assert_int_eq(byte, 8);
	vcore_region_unref(region);
	close(fd);
}
END_TEST

START_TEST(test_sealed_file_needs_no_flag)
{
	int fd = file_of(4 * PAGE);

	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	opts.backing = VCORE_BACKING_FILE;
	opts.flags = VCORE_REGION_SHARED;
	opts.fd = fd;
	ck_assert_ok(vcore_region_new(&opts, &region));
	vcore_region_unref(region);
	close(fd);
}
END_TEST

START_TEST(test_file_read_only_fd_needs_readonly)
{
	char path[64];
	int fd, ro;

	fd = file_of(4 * PAGE);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(ro, 0);
	opts.backing = VCORE_BACKING_FILE;
	opts.flags = VCORE_REGION_UNSEALED_OK | VCORE_REGION_SHARED;
	opts.fd = ro;
	refused(-EACCES);
	opts.flags |= VCORE_REGION_READONLY | VCORE_REGION_POPULATE;
	ck_assert_ok(vcore_region_new(&opts, &region));
	vcore_region_unref(region);
	close(ro);
	close(fd);
}
END_TEST

START_TEST(test_file_refusals)
{
	int fd = file_of(4 * PAGE), pipes[2];

	opts.backing = VCORE_BACKING_FILE;
	opts.fd = fd;
	refused(-EINVAL);		/* not sealed, and nobody said so */
	opts.flags = VCORE_REGION_UNSEALED_OK;
	opts.fd_offset = PAGE;
	refused(-EINVAL);		/* one page past the end */
	opts.fd_offset = UINT64_MAX - PAGE + 1;
	refused(-EINVAL);		/* wraps */
	opts.fd_offset = 1;
	refused(-EINVAL);		/* unaligned */
	opts.fd_offset = 0;
	opts.fd = -1;
	refused(-EBADF);
	ck_assert_int_eq(pipe(pipes), 0);
	opts.fd = pipes[0];
	refused(-ENODEV);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}
END_TEST

START_TEST(test_hugetlb_works_or_names_the_reason)
{
	int rc;

	opts.backing = VCORE_BACKING_HUGETLB;
	opts.len = 2ull << 20;
	rc = vcore_region_new(&opts, &region);
	if (rc == 0) {
		ck_assert_uint_eq(info_of(region).page_size, 2ull << 20);
		vcore_region_unref(region);
		return;
	}
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), "vcore_region_new: "));
	ck_assert_ptr_null(region);
}
END_TEST

START_TEST(test_hugetlb_refusals)
{
	opts.backing = VCORE_BACKING_HUGETLB;
	refused(-EINVAL);		/* len is no multiple of 2 MiB */
	opts.len = 2ull << 20;
	opts.page_size = 3 * PAGE;
	refused(-EINVAL);
	opts.page_size = 1;
	refused(-EINVAL);
}
END_TEST

START_TEST(test_caller_release_runs_once_at_the_end)
{
	struct vcore_region *r = make_caller(PAGE);

	ck_assert_ptr_eq(vcore_region_ref(r), r);
	vcore_region_unref(r);
	ck_assert_int_eq(caller_released, 0);
	ck_assert_uint_eq(info_of(r).hva, (uintptr_t)caller_page);
	vcore_region_unref(r);
	ck_assert_int_eq(caller_released, 1);
	caller_page[0] = 1;		/* still mapped */
}
END_TEST

START_TEST(test_caller_refusals_take_nothing)
{
	char *hole = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	munmap(hole + PAGE, PAGE);
	caller_released = 0;
	opts.backing = VCORE_BACKING_CALLER;
	opts.release = caller_release;
	opts.opaque = &caller_released;
	refused(-EINVAL);		/* NULL */
	opts.hva = caller_page + 1;
	refused(-EINVAL);
	opts.hva = (void *)(uintptr_t)(UINTPTR_MAX - PAGE + 1);
	refused(-EINVAL);		/* wraps */
	opts.hva = hole;
	refused(-EINVAL);		/* not all of it is mapped */
	ck_assert_int_eq(caller_released, 0);
	munmap(hole, 4 * PAGE);
}
END_TEST

START_TEST(test_pointers_and_sizes_are_checked)
{
	struct vcore_region_info info;

	ck_assert_error(vcore_region_new(NULL, &region), -EINVAL,
			"vcore_region_new: ");
	ck_assert_error(vcore_region_new(&opts, NULL), -EINVAL,
			"vcore_region_new: ");
	opts.size = 0;
	refused(-EINVAL);
	opts.size = 8192;
	refused(-EINVAL);
	region = make_region(PAGE);
	memset(&info, 0, sizeof(info));
	ck_assert_error(vcore_region_get_info(region, &info), -EINVAL,
			"vcore_region_get_info: ");
	ck_assert_error(vcore_region_get_info(NULL, &info), -EINVAL,
			"vcore_region_get_info: ");
	ck_assert_error(vcore_region_get_info(region, NULL), -EINVAL,
			"vcore_region_get_info: ");
	vcore_region_unref(region);
	vcore_region_unref(NULL);
	ck_assert_ptr_null(vcore_region_ref(NULL));
}
END_TEST

START_TEST(test_unknown_things_return_e2big)
{
	struct {
		struct vcore_region_opts opts;
		uint64_t unknown;
	} longer;

	opts.flags = 1u << 31;
	refused(-E2BIG);
	setup();
	longer.opts = opts;
	longer.opts.size = sizeof(longer);
	longer.unknown = 0;
	ck_assert_ok(vcore_region_new(&longer.opts, &region));
	vcore_region_unref(region);
	region = NULL;
	longer.unknown = 1;
	ck_assert_error(vcore_region_new(&longer.opts, &region), -E2BIG,
			"vcore_region_new: ");
}
END_TEST

START_TEST(test_bad_lengths_are_refused)
{
	static const uint64_t bad[] = {
		0, 1, PAGE - 1, PAGE + 1, UINT64_MAX, 1ull << 63,
	};
	int error = support_valgrind() ? EINVAL : ENOMEM;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.len = bad[i];
		refused(-EINVAL);
	}
	opts.len = 1ull << 62;		/* more than there are addresses */
	refused(-error);
	ck_assert_ptr_nonnull(strstr(vcore_error_text(), strerror(error)));
}
END_TEST

START_TEST(test_region_may_be_larger_than_the_host)
{
	struct sysinfo host;
	int strict = 0;
	FILE *f;

	/* It takes notes on each page: more than fit into this host. */
	if (support_valgrind())
		return;
	f = fopen("/proc/sys/vm/overcommit_memory", "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%d", &strict), 1);
	fclose(f);
	ck_assert_int_eq(sysinfo(&host), 0);
	opts.len = ((host.totalram + host.totalswap) * host.mem_unit * 2 +
		    (1ull << 30)) & ~(PAGE - 1);
	opts.backing = VCORE_BACKING_ANONYMOUS;
	if (strict == 2) {
		refused(-ENOMEM);
		return;
	}
	ck_assert_ok(vcore_region_new(&opts, &region));
	vcore_region_unref(region);
}
END_TEST

START_TEST(test_flags_that_do_not_go_with_the_backing)
{
	static const struct {
		uint32_t backing, flags;
	} bad[] = {
		{ VCORE_BACKING_ANONYMOUS, VCORE_REGION_SHARED },
		{ VCORE_BACKING_ANONYMOUS, VCORE_REGION_READONLY },
		{ VCORE_BACKING_AUTO, VCORE_REGION_UNSEALED_OK },
		{ VCORE_BACKING_MEMFD, VCORE_REGION_UNSEALED_OK },
		{ VCORE_BACKING_MEMFD, VCORE_REGION_READONLY },
		{ VCORE_BACKING_HUGETLB, VCORE_REGION_READONLY },
		{ VCORE_BACKING_CALLER, VCORE_REGION_SHARED },
		{ 6, 0 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.backing = bad[i].backing;
		opts.flags = bad[i].flags;
		refused(-EINVAL);
	}
	setup();
	opts.hva = caller_page;
	refused(-EINVAL);
	setup();
	opts.release = caller_release;
	refused(-EINVAL);
	setup();
	opts.page_size = PAGE;
	refused(-EINVAL);
}
END_TEST

/* The pages before and behind a region can't be touched. */
START_TEST(test_guard_pages_surround_the_region)
{
	const uint64_t lens[] = { PAGE, 4 * PAGE, 2ull << 20, 3ull << 20 };
	unsigned char vec;
	int fds[2];
	char *p;

	ck_assert_int_eq(pipe(fds), 0);
	for (size_t i = 0; i < 4; i++) {
		opts.len = lens[i];
		ck_assert_ok(vcore_region_new(&opts, &region));
		p = (char *)(uintptr_t)info_of(region).hva;
		/* write(2) reads the byte, and says EFAULT instead of dying. */
		ck_assert_int_eq(write(fds[1], p, 1), 1);
		ck_assert_int_eq(write(fds[1], p + opts.len - 1, 1), 1);
		ck_assert_int_eq(write(fds[1], p - 1, 1), -1);
		ck_assert_int_eq(errno, EFAULT);
		ck_assert_int_eq(write(fds[1], p + opts.len, 1), -1);
		ck_assert_int_eq(errno, EFAULT);
		/* They are ours, not just free. */
		ck_assert_int_eq(mincore(p - PAGE, PAGE, &vec), 0);
		ck_assert_int_eq(mincore(p + opts.len, PAGE, &vec), 0);
		vcore_region_unref(region);
		ck_assert_int_eq(mincore(p - PAGE, PAGE, &vec), -1);
		ck_assert_int_eq(mincore(p + opts.len, PAGE, &vec), -1);
	}
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void
walk_failures(uint32_t backing, uint32_t flags, int fd)
{
	int fds = support_open_fds(), rc;
	bool failed = true;
	unsigned int n;

	opts.backing = backing;
	opts.flags = flags;
	opts.fd = fd;
	for (n = 1; failed; n++) {
		region = NULL;
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_region_new(&opts, &region);
		failed = fail_stop();
		if (failed) {
			ck_assert_int_lt(rc, 0);
			ck_assert_ptr_nonnull(strstr(vcore_error_text(),
						     "vcore_region_new: "));
			ck_assert_ptr_null(region);
		} else {
			ck_assert_int_eq(rc, 0);
			vcore_region_unref(region);
		}
		ck_assert_int_eq(support_open_fds(), fds);
	}
	ck_assert_uint_ge(n, 4);
}

START_TEST(test_populate_says_why_it_cannot)
{
	static const struct {
		int error, rc;
	} cases[] = {
		{ EINVAL, -EOPNOTSUPP },	/* before Linux 5.14 */
		{ EFAULT, -ENOMEM },
		{ ENOMEM, -ENOMEM },
	};
	int rc;

	opts.flags = VCORE_REGION_POPULATE;
	for (size_t i = 0; i < 3; i++) {
		/* The first asks for huge pages, which may be refused. */
		fail_nth_with(FAIL_ADVICE, 1, cases[i].error);
		rc = vcore_region_new(&opts, &region);
		ck_assert(fail_stop());
		if (rc == 0) {
			vcore_region_unref(region);
			fail_nth_with(FAIL_ADVICE, 2, cases[i].error);
			rc = vcore_region_new(&opts, &region);
			ck_assert(fail_stop());
		}
		ck_assert_error(rc, cases[i].rc, "vcore_region_new:");
	}
}
END_TEST

START_TEST(test_every_failing_step_leaves_nothing)
{
	int fd = file_of(4 * PAGE);

	walk_failures(VCORE_BACKING_ANONYMOUS, 0, 0);
	walk_failures(VCORE_BACKING_MEMFD, VCORE_REGION_POPULATE, 0);
	walk_failures(VCORE_BACKING_FILE, VCORE_REGION_UNSEALED_OK, fd);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("region");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_auto_is_anonymous_zero_and_writable);
	tcase_add_test(tc, test_auto_shared_is_sealed_memfd);
	tcase_add_test(tc, test_memfd_says_shared_without_the_flag);
	tcase_add_test(tc, test_large_region_is_aligned_for_huge_pages);
	tcase_add_test(tc, test_populate_has_every_page_present);
	tcase_add_test(tc, test_file_shared_private_and_offset);
	tcase_add_test(tc, test_sealed_file_needs_no_flag);
	tcase_add_test(tc, test_file_read_only_fd_needs_readonly);
	tcase_add_test(tc, test_file_refusals);
	tcase_add_test(tc, test_hugetlb_works_or_names_the_reason);
	tcase_add_test(tc, test_hugetlb_refusals);
	tcase_add_test(tc, test_caller_release_runs_once_at_the_end);
	tcase_add_test(tc, test_caller_refusals_take_nothing);
	tcase_add_test(tc, test_pointers_and_sizes_are_checked);
	tcase_add_test(tc, test_unknown_things_return_e2big);
	tcase_add_test(tc, test_bad_lengths_are_refused);
	tcase_add_test(tc, test_region_may_be_larger_than_the_host);
	tcase_add_test(tc, test_flags_that_do_not_go_with_the_backing);
	tcase_add_test(tc, test_guard_pages_surround_the_region);
	tcase_add_test(tc, test_populate_says_why_it_cannot);
	tcase_add_test(tc, test_every_failing_step_leaves_nothing);
	suite_add_tcase(s, tc);
	return support_run(s);
}
