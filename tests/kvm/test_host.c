/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening KVM: what can be wrong, and the text that says so. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/host.h"
#include "support/fake_kvm.h"
#include "support/support.h"

static struct fake_kvm fake;
static struct vcore_host_opts opts;
static struct vcore_host *host;

static void
setup(void)
{
	fake_kvm_init(&fake);
	VCORE_INIT(&opts);
	host = NULL;
}

static void
teardown(void)
{
	ck_assert_uint_eq(fake.open, 0);
}

static void
fails(int error)
{
	ck_assert_error(vcore__host_open(&opts, &fake.kvm, &host), error,
			"vcore_host_open");
	ck_assert_ptr_null(host);
}

START_TEST(test_host_open_and_unref_closes)
{
	ck_assert_ok(vcore__host_open(NULL, &fake.kvm, &host));
	ck_assert_int_ge(vcore_host_fd(host), 0);
	ck_assert_ptr_eq(vcore_host_ref(host), host);
	vcore_host_unref(host);
	ck_assert_uint_eq(fake.open, 1);
	vcore_host_unref(host);
	vcore_host_unref(NULL);
	ck_assert_ptr_null(vcore_host_ref(NULL));
}
END_TEST

START_TEST(test_host_open_without_kvm_is_enoent)
{
	opts.path = "/nonexistent/kvm";
	ck_assert_error(vcore_host_open(&opts, &host), -ENOENT,
			"vcore_host_open: no KVM at /nonexistent/kvm");
	fake.fail_request = FAKE_OPEN;
	fake.fail_error = ENXIO;
	fails(-ENOENT);
}
END_TEST

START_TEST(test_host_open_without_permission_names_group)
{
	fake.fail_request = FAKE_OPEN;
	fake.fail_error = EACCES;
	opts.path = "/";
	ck_assert_error(vcore__host_open(&opts, &fake.kvm, &host), -EACCES,
			"vcore_host_open: no permission for /: its group is root");
}
END_TEST

START_TEST(test_host_open_other_error_passes_through)
{
	fake.fail_request = FAKE_OPEN;
	fake.fail_error = EMFILE;
	fails(-EMFILE);
}
END_TEST

START_TEST(test_host_open_of_something_else_is_eopnotsupp)
{
	opts.path = "/dev/null";
	ck_assert_error(vcore_host_open(&opts, &host), -EOPNOTSUPP,
			"vcore_host_open: not KVM");
}
END_TEST

static int
old_version(void *opaque, int fd, unsigned long request, void *arg)
{
	if (request == KVM_GET_API_VERSION)
		return 10;
	return fake.kvm.ops->ioctl(opaque, fd, request, arg);
}

START_TEST(test_host_open_of_old_version_is_eopnotsupp)
{
	struct vcore__kvm_ops ops = *fake.kvm.ops;
	struct vcore__kvm kvm = { &ops, &fake };

	ops.ioctl = old_version;
	ck_assert_error(vcore__host_open(NULL, &kvm, &host), -EOPNOTSUPP,
			"vcore_host_open: KVM has interface version 10");
}
END_TEST

START_TEST(test_host_open_without_user_memory_names_capability)
{
	fake.caps[KVM_CAP_USER_MEMORY] = 0;
	ck_assert_error(vcore__host_open(NULL, &fake.kvm, &host), -EOPNOTSUPP,
			"vcore_host_open: KVM lacks KVM_CAP_USER_MEMORY");
}
END_TEST

START_TEST(test_host_open_bad_opts)
{
	ck_assert_error(vcore_host_open(NULL, NULL), -EINVAL,
			"vcore_host_open");
	opts.flags = 2;
	fails(-E2BIG);
	opts.flags = 0;
	opts.reserved0 = 1;
	fails(-E2BIG);
	opts.reserved0 = 0;
	opts.size = 4;
	fails(-EINVAL);
}
END_TEST

START_TEST(test_host_open_fd_is_duplicated)
{
	int fd = eventfd(0, 0);

	opts.flags = VCORE_HOST_FD;
	opts.fd = fd;
	ck_assert_ok(vcore__host_open(&opts, &fake.kvm, &host));
	fake.open++;		/* one that it did not open itself */
	ck_assert_int_ne(vcore_host_fd(host), fd);
	ck_assert_int_eq(fcntl(vcore_host_fd(host), F_GETFD), FD_CLOEXEC);
	vcore_host_unref(host);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(test_host_open_bad_fd_is_ebadf)
{
	opts.flags = VCORE_HOST_FD;
	opts.fd = -1;
	fails(-EBADF);
}
END_TEST

START_TEST(test_host_open_fails_at_each_step_without_leak)
{
	uint32_t n;

	for (n = 1;; n++) {
		fake.failed = false;
		fake.fail_at = n;
		if (vcore__host_open(NULL, &fake.kvm, &host) == 0)
			break;
		ck_assert(fake.failed);
		ck_assert_ptr_null(host);
		ck_assert_uint_eq(fake.open, 0);
	}
	ck_assert_uint_gt(n, 3);
	fake.fail_at = 0;
	vcore_host_unref(host);
}
END_TEST

START_TEST(test_host_open_out_of_memory)
{
	int rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_host_open(NULL, &host);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_host_open");
	ck_assert_ptr_null(host);
}
END_TEST

START_TEST(test_host_capability_is_asked_once)
{
	host = fake_kvm_host(&fake);
	fake_kvm_clear(&fake);
	ck_assert_int_eq(vcore_host_capability(host, KVM_CAP_NR_MEMSLOTS),
			 FAKE_SLOTS);
	ck_assert_int_eq(vcore_host_capability(host, KVM_CAP_NR_MEMSLOTS),
			 FAKE_SLOTS);
	ck_assert_uint_eq(fake_kvm_count(&fake, KVM_CHECK_EXTENSION), 1);
	ck_assert_int_eq(vcore_host_capability(host, 100000), 0);
	ck_assert_error(vcore_host_capability(NULL, 1), -EINVAL,
			"vcore_host_capability");
	ck_assert_error(vcore_host_fd(NULL), -EINVAL, "vcore_host_fd");
	vcore_host_unref(host);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kvm/host");
	TCase *t = tcase_create("host");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_host_open_and_unref_closes);
	tcase_add_test(t, test_host_open_without_kvm_is_enoent);
	tcase_add_test(t, test_host_open_without_permission_names_group);
	tcase_add_test(t, test_host_open_other_error_passes_through);
	tcase_add_test(t, test_host_open_of_something_else_is_eopnotsupp);
	tcase_add_test(t, test_host_open_of_old_version_is_eopnotsupp);
	tcase_add_test(t, test_host_open_without_user_memory_names_capability);
	tcase_add_test(t, test_host_open_bad_opts);
	tcase_add_test(t, test_host_open_fd_is_duplicated);
	tcase_add_test(t, test_host_open_bad_fd_is_ebadf);
	tcase_add_test(t, test_host_open_fails_at_each_step_without_leak);
	tcase_add_test(t, test_host_open_out_of_memory);
	tcase_add_test(t, test_host_capability_is_asked_once);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
