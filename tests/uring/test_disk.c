/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of optional/uring/disk.c: requests through a real ring. */
#include <vcore/uring.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/support.h"

#define SKIPPED  77
#define CAPACITY (1u << 20)
#define BATCH    300u

static char path[64];
static int file;

/* Also called outside of tests, where nothing can be asserted. */
static void
make_file(uint64_t size)
{
	snprintf(path, sizeof(path), "/tmp/vcore-uring-XXXXXX");
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0 || ftruncate(file, (off_t)size) < 0)
		abort();
}

static void
remove_file(void)
{
	unlink(path);
	close(file);
}

static struct vcore_uring_opts
options(uint32_t flags)
{
	struct vcore_uring_opts o;

	VCORE_INIT(&o);
	o.flags = flags;
	o.path = path;
	return o;
}

struct user {
	struct vcore_disk *disk;
	struct vcore_loop *loop;
	void *queue;
	uint32_t done, good, cancelled;
	int last_rc;
};

struct one {
	struct vcore_disk_request req;	/* first */
	struct user *user;
	struct iovec iov;
	uint8_t data[512];
};

static void
request_done(struct vcore_disk_request *req)
{
	struct user *u = ((struct one *)(void *)req)->user;

	u->done++;
	u->good += req->rc == 0;
	u->cancelled += req->rc == -ECANCELED;
	u->last_rc = req->rc;
}

static void
user_init(struct user *u, const struct vcore_uring_opts *o)
{
	memset(u, 0, sizeof(*u));
	ck_assert_ok(vcore_uring_new(o, &u->disk));
	ck_assert_ok(vcore_loop_new(NULL, &u->loop));
	ck_assert_ok(vcore_disk_attach(u->disk, u->loop, &u->queue));
}

static void
user_fini(struct user *u)
{
	vcore_disk_detach(u->disk, u->queue);
	vcore_disk_unref(u->disk);
	vcore_loop_unref(u->loop);
}

static void
submit(struct user *u, struct one *one, uint32_t op, uint64_t offset)
{
	one->user = u;
	one->iov = (struct iovec){ one->data, sizeof(one->data) };
	one->req = (struct vcore_disk_request){
		.op = op, .offset = offset, .len = sizeof(one->data),
		.iov = &one->iov, .iov_count = 1, .done = request_done,
	};
	vcore_disk_submit(u->disk, u->queue, &one->req);
}

static void
wait_done(struct user *u, uint32_t n)
{
	while (u->done < n)
		ck_assert_int_ge(vcore_loop_dispatch(u->loop, 1000), 0);
	ck_assert_uint_eq(u->done, n);
}

static int
do_one(struct user *u, struct one *one, uint32_t op, uint64_t offset)
{
	uint32_t n = u->done + 1;

	submit(u, one, op, offset);
	vcore_disk_commit(u->disk, u->queue);
	wait_done(u, n);
	return u->last_rc;
}

static void
check_refused(const struct vcore_uring_opts *o, int error)
{
	int fds = support_open_fds();
	struct vcore_disk *d = NULL;

	ck_assert_error(vcore_uring_new(o, &d), error, "vcore_uring_new");
	ck_assert_ptr_null(d);
	ck_assert_int_eq(support_open_fds(), fds);
}

START_TEST(test_bad_options_are_refused)
{
	struct vcore_uring_opts o = options(0);
	struct {
		struct vcore_uring_opts opts;
		uint64_t more;
	} longer = { .more = 1 };

	make_file(CAPACITY);
	check_refused(NULL, -EINVAL);
	ck_assert_error(vcore_uring_new(&o, NULL), -EINVAL, "vcore_uring_new");
	o.flags = 16;
	check_refused(&o, -E2BIG);
	o = options(0);
	o.entries = 4097;
	check_refused(&o, -EINVAL);
	o = options(0);
	o.size = 4;
	check_refused(&o, -EINVAL);
	longer.opts = options(0);
	longer.opts.size = sizeof(longer);
	check_refused(&longer.opts, -E2BIG);
	o = options(VCORE_DISK_FILE_FD);
	check_refused(&o, -EINVAL);
	o = options(0);
	o.path = "/nonexistent/disk";
	check_refused(&o, -ENOENT);
	o.path = "/tmp";
	check_refused(&o, -EISDIR);
	remove_file();
}
END_TEST

/* From here on this test's process gets this error from io_uring_setup(). */
static void
deny_io_uring(int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
			 SECCOMP_RET_ERRNO | ((uint32_t)error &
					      SECCOMP_RET_DATA)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = filter };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

START_TEST(test_kernel_without_io_uring_is_eopnotsupp)
{
	struct vcore_uring_opts o = options(0);

	make_file(CAPACITY);
	deny_io_uring(ENOSYS);
	check_refused(&o, -EOPNOTSUPP);
	remove_file();
}
END_TEST

START_TEST(test_forbidden_io_uring_is_eperm)
{
	struct vcore_uring_opts o = options(0);

	make_file(CAPACITY);
	deny_io_uring(EPERM);
	check_refused(&o, -EPERM);
	remove_file();
}
END_TEST

START_TEST(test_no_memory_for_the_ring_is_enomem)
{
	struct vcore_uring_opts o = options(0);

	make_file(CAPACITY);
	deny_io_uring(ENOMEM);
	check_refused(&o, -ENOMEM);
	remove_file();
}
END_TEST

START_TEST(test_attach_that_fails_leaves_the_disk)
{
	struct vcore_uring_opts o = options(0);
	struct vcore_disk *d;
	struct vcore_loop *loop;
	void *queue = &o;
	int fds;

	make_file(CAPACITY);
	ck_assert_ok(vcore_uring_new(&o, &d));
	ck_assert_ok(vcore_loop_new(NULL, &loop));
	fds = support_open_fds();
	deny_io_uring(ENOMEM);
	ck_assert_error(vcore_disk_attach(d, loop, &queue), -ENOMEM,
			"vcore_disk_attach");
	ck_assert_ptr_eq(queue, &o);
	ck_assert_int_eq(support_open_fds(), fds);
	vcore_loop_unref(loop);
	vcore_disk_unref(d);
	remove_file();
}
END_TEST

START_TEST(test_batches_keep_every_byte)
{
	static struct one w[BATCH], r[BATCH];
	struct vcore_uring_opts o = options(0);
	struct user u;

	make_file(CAPACITY);
	user_init(&u, &o);
	for (uint32_t i = 0; i < BATCH; i++) {
		memset(w[i].data, (int)i + 1, sizeof(w[i].data));
		submit(&u, &w[i], VCORE_DISK_WRITE, i * 512);
	}
	ck_assert_uint_eq(u.done, 0);
	vcore_disk_commit(u.disk, u.queue);
	wait_done(&u, BATCH);
	for (uint32_t i = 0; i < BATCH; i++)
		submit(&u, &r[i], VCORE_DISK_READ, i * 512);
	vcore_disk_commit(u.disk, u.queue);
	wait_done(&u, 2 * BATCH);
	ck_assert_uint_eq(u.good, 2 * BATCH);
	for (uint32_t i = 0; i < BATCH; i++)
		ck_assert_mem_eq(r[i].data, w[i].data, sizeof(w[i].data));
	user_fini(&u);
	remove_file();
}
END_TEST

/* More requests than the ring has entries and completions. */
START_TEST(test_small_ring_takes_any_number)
{
	static struct one w[BATCH];
	struct vcore_uring_opts o = options(0);
	struct user u;

	make_file(CAPACITY);
	o.entries = 2;
	user_init(&u, &o);
	for (uint32_t i = 0; i < BATCH; i++)
		submit(&u, &w[i], VCORE_DISK_READ, i * 512);
	vcore_disk_commit(u.disk, u.queue);
	wait_done(&u, BATCH);
	ck_assert_uint_eq(u.good, BATCH);
	user_fini(&u);
	remove_file();
}
END_TEST

START_TEST(test_every_operation_works)
{
	struct vcore_uring_opts o = options(0);
	static struct one one;
	static const uint8_t zero[512];
	struct user u;

	make_file(CAPACITY);
	user_init(&u, &o);
	memset(one.data, 7, 512);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_WRITE, 4096), 0);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_FLUSH, 0), 0);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_WRITE_ZEROES, 4096), 0);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_READ, 4096), 0);
	ck_assert_mem_eq(one.data, zero, 512);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_DISCARD, 0), 0);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_READ, CAPACITY), -EINVAL);
	ck_assert_ok(vcore_disk_clear_error(u.disk));
	user_fini(&u);
	remove_file();
}
END_TEST

START_TEST(test_limits_are_the_files)
{
	struct vcore_uring_opts o = options(VCORE_DISK_FILE_READONLY);
	struct vcore_disk_limits l;
	static struct one one;
	struct user u;

	make_file(CAPACITY + 100);
	user_init(&u, &o);
	VCORE_INIT(&l);
	ck_assert_ok(vcore_disk_get_limits(u.disk, &l));
	ck_assert_uint_eq(l.capacity, CAPACITY);
	ck_assert_uint_eq(l.flags, VCORE_DISK_READONLY);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_WRITE, 0), -EROFS);
	user_fini(&u);
	remove_file();
}
END_TEST

/* Case 57. */
START_TEST(test_truncated_file_reads_as_zeroes)
{
	struct vcore_uring_opts o = options(0);
	static const uint8_t zero[512];
	static struct one one;
	struct user u;

	make_file(CAPACITY);
	user_init(&u, &o);
	ck_assert_int_eq(pwrite(file, "some bytes", 10, 0), 10);
	ck_assert_int_eq(ftruncate(file, 5), 0);
	memset(one.data, 0xee, 512);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_READ, 0), 0);
	ck_assert_mem_eq(one.data, "some ", 5);
	ck_assert_mem_eq(one.data + 5, zero, 507);
	memset(one.data, 0xee, 512);
	ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_READ, 8192), 0);
	ck_assert_mem_eq(one.data, zero, 512);
	user_fini(&u);
	remove_file();
}
END_TEST

START_TEST(test_many_buffers_in_one_request)
{
	static struct iovec many[3000];
	static uint8_t data[3000 * 16];
	struct vcore_uring_opts o = options(0);
	static struct one one;
	struct user u;

	make_file(CAPACITY);
	user_init(&u, &o);
	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	ck_assert_int_eq(pwrite(file, data, sizeof(data), 512),
			 (ssize_t)sizeof(data));
	memset(data, 0, sizeof(data));
	for (uint32_t i = 0; i < 3000; i++)
		many[i] = (struct iovec){ data + i * 16, 16 };
	one.user = &u;
	one.req = (struct vcore_disk_request){
		.op = VCORE_DISK_READ, .offset = 512, .len = sizeof(data),
		.iov = many, .iov_count = 3000, .done = request_done,
	};
	vcore_disk_submit(u.disk, u.queue, &one.req);
	vcore_disk_commit(u.disk, u.queue);
	wait_done(&u, 1);
	ck_assert_uint_eq(u.good, 1);
	for (uint32_t i = 0; i < sizeof(data); i++)
		ck_assert_uint_eq(data[i], (uint8_t)(i * 7 + i / 256));
	user_fini(&u);
	remove_file();
}
END_TEST

START_TEST(test_cancel_ends_what_waits)
{
	static struct one w[BATCH];
	struct vcore_uring_opts o = options(0);
	struct user u;

	make_file(CAPACITY);
	user_init(&u, &o);
	for (uint32_t i = 0; i < BATCH; i++)
		submit(&u, &w[i], VCORE_DISK_WRITE, i * 512);
	vcore_disk_cancel(u.disk, u.queue);
	ck_assert_uint_eq(u.cancelled, BATCH);
	/* And among what the kernel has: each is done once, well or not. */
	for (uint32_t i = 0; i < BATCH; i++)
		submit(&u, &w[i], VCORE_DISK_FLUSH, 0);
	vcore_disk_commit(u.disk, u.queue);
	vcore_disk_cancel(u.disk, u.queue);
	wait_done(&u, 2 * BATCH);
	ck_assert_uint_eq(u.good + u.cancelled, 2 * BATCH);
	ck_assert_int_eq(do_one(&u, &w[0], VCORE_DISK_READ, 0), 0);
	user_fini(&u);
	remove_file();
}
END_TEST

static uint32_t left;

/* A user that asks for more inside of done, and leaves in the last one. */
static void
done_and_again(struct vcore_disk_request *req)
{
	struct one *one = (struct one *)(void *)req;
	struct user *u = one->user;

	ck_assert_int_eq(req->rc, 0);
	u->done++;
	if (--left > 0) {
		submit(u, one, VCORE_DISK_READ, 0);
		one->req.done = done_and_again;
		vcore_disk_commit(u->disk, u->queue);
	} else {
		vcore_disk_detach(u->disk, u->queue);
		u->queue = NULL;
	}
}

START_TEST(test_submitting_and_detaching_inside_done)
{
	struct vcore_uring_opts o = options(0);
	static struct one one;
	struct user u;

	make_file(CAPACITY);
	user_init(&u, &o);
	left = 1000;
	submit(&u, &one, VCORE_DISK_READ, 0);
	one.req.done = done_and_again;
	vcore_disk_commit(u.disk, u.queue);
	while (u.queue != NULL)
		ck_assert_int_ge(vcore_loop_dispatch(u.loop, 1000), 0);
	ck_assert_uint_eq(u.done, 1000);
	vcore_disk_unref(u.disk);
	vcore_loop_unref(u.loop);
	remove_file();
}
END_TEST

START_TEST(test_two_users_have_rings_of_their_own)
{
	static struct one a[BATCH], b[BATCH];
	struct vcore_uring_opts o = options(0);
	uint32_t done = 0;
	struct user u, v;

	make_file(CAPACITY);
	user_init(&u, &o);
	v = u;
	ck_assert_ok(vcore_loop_new(NULL, &v.loop));
	ck_assert_ok(vcore_disk_attach(v.disk, v.loop, &v.queue));
	vcore_disk_ref(v.disk);
	for (uint32_t i = 0; i < BATCH; i++) {
		submit(&u, &a[i], VCORE_DISK_WRITE, i * 512);
		submit(&v, &b[i], VCORE_DISK_READ, i * 512);
	}
	vcore_disk_commit(u.disk, u.queue);
	vcore_disk_commit(v.disk, v.queue);
	wait_done(&u, BATCH);
	wait_done(&v, BATCH);
	done = u.good + v.good;
	ck_assert_uint_eq(done, 2 * BATCH);
	user_fini(&u);
	user_fini(&v);
	remove_file();
}
END_TEST

START_TEST(test_direct_reads_and_writes_or_is_einval)
{
	struct vcore_uring_opts o = options(VCORE_DISK_FILE_DIRECT);
	struct vcore_disk *d = NULL;
	static struct one w, r;
	struct user u;
	int rc;

	make_file(CAPACITY);
	rc = vcore_uring_new(&o, &d);
	if (rc == 0) {
		vcore_disk_unref(d);
		user_init(&u, &o);
		memset(w.data, 0x5a, sizeof(w.data));
		ck_assert_int_eq(do_one(&u, &w, VCORE_DISK_WRITE, 512), 0);
		ck_assert_int_eq(do_one(&u, &r, VCORE_DISK_READ, 512), 0);
		ck_assert_mem_eq(r.data, w.data, sizeof(w.data));
		user_fini(&u);
	} else {
		ck_assert_int_eq(rc, -EINVAL);
	}
	remove_file();
}
END_TEST

START_TEST(test_rounds_leave_no_descriptors)
{
	struct vcore_uring_opts o = options(0);
	int fds = support_open_fds();
	static struct one one;
	struct user u;

	make_file(CAPACITY);
	for (int i = 0; i < 20; i++) {
		user_init(&u, &o);
		ck_assert_int_eq(do_one(&u, &one, VCORE_DISK_READ, 0), 0);
		user_fini(&u);
	}
	remove_file();
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

/* Not every machine lets us: then the error is one of the documented. */
static int
can_run(void)
{
	struct vcore_uring_opts o = options(0);
	struct vcore_disk *d;
	int rc;

	make_file(CAPACITY);
	rc = vcore_uring_new(&o, &d);
	remove_file();
	if (rc == 0)
		vcore_disk_unref(d);
	return rc;
}

int
main(void)
{
	Suite *suite = suite_create("uring/disk");
	TCase *t = tcase_create("disk");
	int rc = can_run();

	if (rc == -EPERM || rc == -EOPNOTSUPP) {
		printf("skipped: %s\n", vcore_error_text());
		return SKIPPED;
	}
	tcase_add_test(t, test_bad_options_are_refused);
	/* These leave their process without io_uring. */
	if (getenv("CK_FORK") == NULL || strcmp(getenv("CK_FORK"), "no") != 0) {
		tcase_add_test(t, test_kernel_without_io_uring_is_eopnotsupp);
		tcase_add_test(t, test_forbidden_io_uring_is_eperm);
		tcase_add_test(t, test_no_memory_for_the_ring_is_enomem);
		tcase_add_test(t, test_attach_that_fails_leaves_the_disk);
	}
	tcase_add_test(t, test_batches_keep_every_byte);
	tcase_add_test(t, test_small_ring_takes_any_number);
	tcase_add_test(t, test_every_operation_works);
	tcase_add_test(t, test_limits_are_the_files);
	tcase_add_test(t, test_truncated_file_reads_as_zeroes);
	tcase_add_test(t, test_many_buffers_in_one_request);
	tcase_add_test(t, test_cancel_ends_what_waits);
	tcase_add_test(t, test_submitting_and_detaching_inside_done);
	tcase_add_test(t, test_two_users_have_rings_of_their_own);
	tcase_add_test(t, test_direct_reads_and_writes_or_is_einval);
	tcase_add_test(t, test_rounds_leave_no_descriptors);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
