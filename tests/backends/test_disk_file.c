/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/disk_file.c: requests through a pool. */
#include "backends/disk_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "support/support.h"

#define CAPACITY (1u << 20)

static char path[64];

static int
make_file(uint64_t size)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/vcore-disk-XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct vcore_disk_file_opts
options(uint32_t flags)
{
	struct vcore_disk_file_opts o;

	VCORE_INIT(&o);
	o.flags = flags;
	o.path = path;
	return o;
}

/* A user on this thread, with a loop it never needs to turn. */
struct user {
	struct vcore_disk *disk;
	struct vcore_loop *loop;
	void *queue;
	sem_t done;
	_Atomic int failed, cancelled, good;
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
	struct one *one = (struct one *)(void *)req;

	if (req->rc == -ECANCELED)
		one->user->cancelled++;
	else if (req->rc < 0)
		one->user->failed++;
	else
		one->user->good++;
	sem_post(&one->user->done);
}

static void
user_init(struct user *u, const struct vcore_disk_file_opts *o,
	  const struct vcore__file_sys *sys)
{
	memset(u, 0, sizeof(*u));
	sem_init(&u->done, 0, 0);
	ck_assert_ok(vcore__disk_new_file(o, sys, &u->disk));
	ck_assert_ok(vcore_loop_new(NULL, &u->loop));
	ck_assert_ok(vcore_disk_attach(u->disk, u->loop, &u->queue));
}

static void
user_fini(struct user *u)
{
	vcore_disk_detach(u->disk, u->queue);
	vcore_disk_unref(u->disk);
	vcore_loop_unref(u->loop);
	sem_destroy(&u->done);
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
wait_done(struct user *u, int n)
{
	while (n > 0)
		if (sem_wait(&u->done) == 0)
			n--;
}

#define BATCH 300

START_TEST(test_batches_through_the_pool_keep_every_byte)
{
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(CAPACITY);
	static struct one w[BATCH], r[BATCH];
	struct user u;

	user_init(&u, &o, &vcore__file_sys);
	for (int i = 0; i < BATCH; i++) {
		memset(w[i].data, i + 1, sizeof(w[i].data));
		submit(&u, &w[i], VCORE_DISK_WRITE, (uint64_t)i * 512);
	}
	vcore_disk_commit(u.disk, u.queue);
	wait_done(&u, BATCH);
	for (int i = 0; i < BATCH; i++)
		submit(&u, &r[i], VCORE_DISK_READ, (uint64_t)i * 512);
	vcore_disk_commit(u.disk, u.queue);
	wait_done(&u, BATCH);
	ck_assert_int_eq(u.good, 2 * BATCH);
	for (int i = 0; i < BATCH; i++)
		ck_assert_mem_eq(r[i].data, w[i].data, sizeof(w[i].data));
	user_fini(&u);
	unlink(path);
	close(fd);
}
END_TEST

/* Where a request was done. */
static pthread_t done_on;

static void
note_thread(struct vcore_disk_request *req)
{
	done_on = pthread_self();
	request_done(req);
}

/* One request of len bytes, committed: was it done inside of that? */
static bool
is_done_here(struct user *u, uint32_t op, void *data, uint64_t len)
{
	struct one one = { .user = u, .iov = { data, len } };

	one.req = (struct vcore_disk_request){
		.op = op, .len = len, .iov = &one.iov, .iov_count = 1,
		.done = note_thread,
	};
	vcore_disk_submit(u->disk, u->queue, &one.req);
	vcore_disk_commit(u->disk, u->queue);
	wait_done(u, 1);
	ck_assert_int_eq(one.req.rc, 0);
	return pthread_equal(done_on, pthread_self());
}

START_TEST(test_file_in_memory_is_copied_by_the_loop)
{
	static uint8_t big[512 << 10], small[512];
	struct vcore_disk_file_opts o = options(0);
	int fd = memfd_create("disk", MFD_CLOEXEC);
	struct user u;

	ck_assert_int_eq(ftruncate(fd, CAPACITY), 0);
	o.path = NULL;
	o.fd = fd;
	o.flags = VCORE_DISK_FILE_FD;
	user_init(&u, &o, &vcore__file_sys);
	memset(small, 7, sizeof(small));
	ck_assert(is_done_here(&u, VCORE_DISK_WRITE, small, sizeof(small)));
	memset(small, 0, sizeof(small));
	ck_assert(is_done_here(&u, VCORE_DISK_READ, small, sizeof(small)));
	ck_assert_uint_eq(small[511], 7);
	/* What takes long is not. */
	ck_assert(!is_done_here(&u, VCORE_DISK_READ, big, sizeof(big)));
	ck_assert_uint_eq(big[511], 7);
	ck_assert(!is_done_here(&u, VCORE_DISK_FLUSH, NULL, 0));
	ck_assert(!is_done_here(&u, VCORE_DISK_DISCARD, NULL, 4096));
	user_fini(&u);
	close(fd);
}
END_TEST

/* From a done inside of commit: another commit, and for the last one the end. */
static int again;

static void
commit_again(struct vcore_disk_request *req)
{
	struct one *one = (struct one *)(void *)req;
	struct user *u = one->user;

	ck_assert_int_eq(req->rc, 0);
	if (again-- > 0) {
		vcore_disk_submit(u->disk, u->queue, req);
		vcore_disk_commit(u->disk, u->queue);
	} else {
		vcore_disk_detach(u->disk, u->queue);
		vcore_disk_unref(u->disk);
	}
}

START_TEST(test_done_inside_of_commit_may_commit_and_detach)
{
	struct vcore_disk_file_opts o = options(0);
	int fd = memfd_create("disk", MFD_CLOEXEC);
	struct user u;
	struct one one;

	ck_assert_int_eq(ftruncate(fd, CAPACITY), 0);
	o.path = NULL;
	o.fd = fd;
	o.flags = VCORE_DISK_FILE_FD;
	user_init(&u, &o, &vcore__file_sys);
	again = 100;
	submit(&u, &one, VCORE_DISK_READ, 0);
	one.req.done = commit_again;
	vcore_disk_commit(u.disk, u.queue);
	ck_assert_int_eq(again, -1);
	vcore_loop_unref(u.loop);
	sem_destroy(&u.done);
	close(fd);
}
END_TEST

START_TEST(test_two_users_share_a_pool)
{
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(CAPACITY);
	static struct one a[BATCH], b[BATCH];
	struct vcore_pool_opts po;
	struct user u, v;

	VCORE_INIT(&po);
	po.threads = 2;
	ck_assert_ok(vcore_pool_new(&po, &o.pool));
	user_init(&u, &o, &vcore__file_sys);
	user_init(&v, &o, &vcore__file_sys);
	vcore_pool_unref(o.pool);
	for (int i = 0; i < BATCH; i++) {
		submit(&u, &a[i], VCORE_DISK_WRITE, (uint64_t)i * 512);
		submit(&v, &b[i], VCORE_DISK_READ, (uint64_t)i * 512);
		vcore_disk_commit(u.disk, u.queue);
		vcore_disk_commit(v.disk, v.queue);
	}
	wait_done(&u, BATCH);
	wait_done(&v, BATCH);
	ck_assert_int_eq(u.good + v.good, 2 * BATCH);
	user_fini(&u);
	user_fini(&v);
	unlink(path);
	close(fd);
}
END_TEST

/* Transfers stop at a gate until the test opens it. */
static sem_t entered, gate;

static ssize_t
gated_pwritev(int fd, const struct iovec *iov, int count, off_t off)
{
	sem_post(&entered);
	while (sem_wait(&gate) < 0)
		;
	return pwritev(fd, iov, count, off);
}

/* Class D: what the kernel has is waited for, what it has not never starts. */
START_TEST(test_cancel_ends_what_has_not_begun)
{
	struct vcore__file_sys sys = vcore__file_sys;
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(CAPACITY), begun = 4;
	static struct one w[256];
	uint8_t got[512];
	struct user u;

	sem_init(&entered, 0, 0);
	sem_init(&gate, 0, 0);
	sys.pwritev = gated_pwritev;
	sys.in_memory = NULL;	/* wherever it is: by the pool */
	user_init(&u, &o, &sys);
	for (int i = 0; i < 256; i++) {
		memset(w[i].data, 0xaa, sizeof(w[i].data));
		submit(&u, &w[i], VCORE_DISK_WRITE, (uint64_t)i * 512);
	}
	vcore_disk_commit(u.disk, u.queue);
	for (int i = 0; i < begun; i++)
		while (sem_wait(&entered) < 0)
			;
	vcore_disk_cancel(u.disk, u.queue);
	wait_done(&u, 256 - begun);
	ck_assert_int_eq(u.cancelled, 256 - begun);
	for (int i = 0; i < begun; i++)
		sem_post(&gate);
	wait_done(&u, begun);
	ck_assert_int_eq(u.good, begun);
	user_fini(&u);
	for (int i = begun; i < 256; i++) {
		ck_assert_int_eq(pread(fd, got, 512, i * 512), 512);
		ck_assert_uint_eq(got[0], 0);
	}
	unlink(path);
	close(fd);
	sem_destroy(&entered);
	sem_destroy(&gate);
}
END_TEST

START_TEST(test_uncommitted_requests_can_be_cancelled)
{
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(CAPACITY);
	struct one w[2];
	struct user u;

	user_init(&u, &o, &vcore__file_sys);
	submit(&u, &w[0], VCORE_DISK_WRITE, 0);
	submit(&u, &w[1], VCORE_DISK_WRITE, 512);
	vcore_disk_cancel(u.disk, u.queue);
	ck_assert_int_eq(u.cancelled, 2);
	vcore_disk_commit(u.disk, u.queue);
	vcore_disk_cancel(u.disk, u.queue);
	user_fini(&u);
	unlink(path);
	close(fd);
}
END_TEST

static int sync_fails;

static int
failing_fdatasync(int fd)
{
	(void)fd;
	errno = EIO;
	return sync_fails-- > 0 ? -1 : 0;
}

START_TEST(test_failed_flush_stays_until_cleared)
{
	struct vcore__file_sys sys = vcore__file_sys;
	struct vcore_disk_file_opts o = options(0);
	int fd = make_file(CAPACITY);
	struct one f;
	struct user u;

	sys.fdatasync = failing_fdatasync;
	sync_fails = 1;
	user_init(&u, &o, &sys);
	for (int i = 0; i < 3; i++) {
		submit(&u, &f, VCORE_DISK_FLUSH, 0);
		vcore_disk_commit(u.disk, u.queue);
		wait_done(&u, 1);
		if (i == 1)
			ck_assert_ok(vcore_disk_clear_error(u.disk));
	}
	ck_assert_int_eq(u.failed, 2);
	ck_assert_int_eq(u.good, 1);
	user_fini(&u);
	unlink(path);
	close(fd);
}
END_TEST

START_TEST(test_unref_closes_everything)
{
	struct vcore_disk_file_opts o = options(VCORE_DISK_FILE_FD);
	int fds = support_open_fds(), fd = make_file(CAPACITY);
	struct vcore_disk *d;

	o.path = NULL;
	o.fd = fd;
	ck_assert_ok(vcore_disk_new_file(&o, &d));
	close(fd);
	vcore_disk_unref(d);
	unlink(path);
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

/* The file system under /tmp may have no O_DIRECT: then it says so. */
START_TEST(test_direct_reads_and_writes_or_is_einval)
{
	struct vcore_disk_file_opts o = options(VCORE_DISK_FILE_DIRECT);
	int fd = make_file(CAPACITY);
	static struct one w, r;
	struct vcore_disk *d = NULL;
	struct user u;
	int rc = vcore_disk_new_file(&o, &d);

	if (rc == 0) {
		vcore_disk_unref(d);
		user_init(&u, &o, &vcore__file_sys);
		memset(w.data, 0x5a, sizeof(w.data));
		submit(&u, &w, VCORE_DISK_WRITE, 512);
		vcore_disk_commit(u.disk, u.queue);
		wait_done(&u, 1);
		submit(&u, &r, VCORE_DISK_READ, 512);
		vcore_disk_commit(u.disk, u.queue);
		wait_done(&u, 1);
		ck_assert_int_eq(u.good, 2);
		ck_assert_mem_eq(r.data, w.data, sizeof(w.data));
		user_fini(&u);
	} else {
		ck_assert_int_eq(rc, -EINVAL);
	}
	unlink(path);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/disk_file");
	TCase *t = tcase_create("file");

	tcase_add_test(t, test_batches_through_the_pool_keep_every_byte);
	tcase_add_test(t, test_file_in_memory_is_copied_by_the_loop);
	tcase_add_test(t, test_done_inside_of_commit_may_commit_and_detach);
	tcase_add_test(t, test_two_users_share_a_pool);
	tcase_add_test(t, test_cancel_ends_what_has_not_begun);
	tcase_add_test(t, test_uncommitted_requests_can_be_cancelled);
	tcase_add_test(t, test_failed_flush_stays_until_cleared);
	tcase_add_test(t, test_unref_closes_everything);
	tcase_add_test(t, test_direct_reads_and_writes_or_is_einval);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
