/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every creating call of the backends with each allocation and each system
 * call that makes something failing, one after the other: an error comes back,
 * nothing is left, and the call works once nothing fails.
 */
#include <vcore/disk.h>
#include <vcore/link.h>
#include <vcore/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/ready.h"

/* What is made: all of one sort are released by the same function. */
struct making {
	int (*make)(void *out);
	void (*release)(void *made);
	int errors[3];			/* what may come back */
};

static bool
is_listed(const struct making *m, int rc)
{
	for (unsigned i = 0; i < 3; i++)
		if (m->errors[i] == rc)
			return true;
	return false;
}

/* How many calls were made to fail. */
static unsigned
walk(const struct making *m)
{
	int fds = support_open_fds(), rc;
	bool failed = true;
	unsigned n = 0;
	void *made;

	while (failed) {
		made = NULL;
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, ++n);
		rc = m->make(&made);
		failed = fail_stop();
		if (rc == 0) {
			ck_assert_ptr_nonnull(made);
			m->release(made);
		} else {
			ck_assert(failed);
			ck_assert_msg(is_listed(m, rc), "step %u: %d (%s)", n,
				      rc, vcore_error_text());
			ck_assert_int_eq(strncmp(vcore_error_text(), "vcore_",
						 6),
					 0);
			ck_assert_ptr_null(made);
		}
		ck_assert_int_eq(support_open_fds(), fds);
	}
	return n - 1;
}

static void
release_stream(void *made)
{
	vcore_stream_unref(made);
}

static void
release_disk(void *made)
{
	vcore_disk_unref(made);
}

static void
release_link(void *made)
{
	vcore_link_unref(made);
}

static int p[2];
static char path[64];

static int
make_fd(void *out)
{
	return vcore_stream_new_fd(p[0], p[1], out);
}

START_TEST(test_vcore_stream_new_fd_enomem_emfile)
{
	const struct making m = { make_fd, release_stream,
				  { -ENOMEM, -EMFILE, -ENOSPC } };

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_uint_ge(walk(&m), 6);
	close(p[0]);
	close(p[1]);
}
END_TEST

static int
make_pty(void *out)
{
	return vcore_stream_new_pty(out, NULL, 0);
}

START_TEST(test_vcore_stream_new_pty_enomem)
{
	const struct making m = { make_pty, release_stream,
				  { -ENOMEM, -EMFILE } };

	ck_assert_uint_ge(walk(&m), 2);
}
END_TEST

static int
make_ring(void *out)
{
	return vcore_stream_new_ring(4096, out);
}

START_TEST(test_vcore_stream_new_ring_enomem)
{
	const struct making m = { make_ring, release_stream, { -ENOMEM } };

	ck_assert_uint_eq(walk(&m), 4);
}
END_TEST

static int
make_unix(void *out)
{
	return vcore_stream_new_unix(path, -1, out);
}

START_TEST(test_vcore_stream_new_unix_enomem)
{
	const struct making m = { make_unix, release_stream,
				  { -ENOMEM, -EMFILE } };

	snprintf(path, sizeof(path), "/tmp/vcore-failing-%d", getpid());
	ck_assert_uint_eq(walk(&m), 4);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

static int
make_open(void *out)
{
	return vcore_stream_open("null", out, NULL, 0);
}

START_TEST(test_vcore_stream_open_enomem)
{
	const struct making m = { make_open, release_stream, { -ENOMEM } };

	ck_assert_uint_eq(walk(&m), 2);
}
END_TEST

static int
make_disk_file(void *out)
{
	struct vcore_disk_file_opts o;

	VCORE_INIT(&o);
	o.path = path;
	return vcore_disk_new_file(&o, out);
}

START_TEST(test_vcore_disk_new_file_enomem)
{
	const struct making m = { make_disk_file, release_disk,
				  { -ENOMEM, -EMFILE, -EAGAIN } };
	int fd;

	snprintf(path, sizeof(path), "/tmp/vcore-failing-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_uint_ge(walk(&m), 4);
	unlink(path);
	close(fd);
}
END_TEST

static int
no_limits(void *opaque, struct vcore_disk_limits *limits)
{
	(void)opaque;
	(void)limits;
	return 0;
}

static void
no_submit(void *opaque, void *queue, struct vcore_disk_request *req)
{
	(void)opaque;
	(void)queue;
	vcore_disk_done(req, 0);
}

static int
make_disk(void *out)
{
	static const struct vcore_disk_ops ops = { .size = sizeof(ops),
						   .submit = no_submit,
						   .limits = no_limits };

	return vcore_disk_new(&ops, NULL, NULL, out);
}

START_TEST(test_vcore_disk_new_enomem)
{
	const struct making m = { make_disk, release_disk, { -ENOMEM } };

	ck_assert_uint_eq(walk(&m), 1);
}
END_TEST

static struct vcore_disk *file_disk;
static struct vcore_loop *loop;

static int
attach_disk(void *out)
{
	return vcore_disk_attach(file_disk, loop, out);
}

static void
detach_disk(void *made)
{
	vcore_disk_detach(file_disk, made);
}

START_TEST(test_vcore_disk_attach_enomem)
{
	const struct making m = { attach_disk, detach_disk, { -ENOMEM } };
	int fd;

	snprintf(path, sizeof(path), "/tmp/vcore-failing-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_ok(make_disk_file(&file_disk));
	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_uint_eq(walk(&m), 1);
	vcore_loop_unref(loop);
	vcore_disk_unref(file_disk);
	unlink(path);
	close(fd);
}
END_TEST

static int
make_socket(void *out)
{
	return vcore_link_new_socket(NULL, p[0], out);
}

START_TEST(test_vcore_link_new_socket_enomem)
{
	const struct making m = { make_socket, release_link,
				  { -ENOMEM, -EMFILE } };

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	ck_assert_uint_eq(walk(&m), 3);
	close(p[0]);
	close(p[1]);
}
END_TEST

static struct vcore_link *socket_link;

static int
attach_link(void *out)
{
	return vcore_link_attach(socket_link, 0, loop, ready_fn, NULL, out);
}

static void
detach_link(void *made)
{
	vcore_link_detach(socket_link, made);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
}

START_TEST(test_vcore_link_attach_enomem)
{
	const struct making m = { attach_link, detach_link,
				  { -ENOMEM, -EMFILE } };

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	ck_assert_ok(make_socket(&socket_link));
	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_uint_ge(walk(&m), 3);
	vcore_loop_unref(loop);
	vcore_link_unref(socket_link);
	close(p[0]);
	close(p[1]);
}
END_TEST

static struct vcore_stream *stream;
static struct ready ready;

static int
attach_stream(void *out)
{
	int rc = vcore_stream_attach(stream, ready.loop, ready_fn, &ready);

	if (rc == 0)
		*(struct vcore_stream **)out = stream;
	return rc;
}

static void
detach_stream(void *made)
{
	vcore_stream_detach(made);
	ready_turn(&ready);
}

/* Of each sort of stream: attaching that failed can be tried again. */
START_TEST(test_vcore_stream_attach_enomem)
{
	const struct making m = { attach_stream, detach_stream,
				  { -ENOMEM, -EMFILE, -ENOSPC } };
	int (*const sorts[])(void *) = { make_fd, make_pty, make_ring,
					 make_unix };

	snprintf(path, sizeof(path), "/tmp/vcore-failing-%d", getpid());
	ck_assert_int_eq(pipe(p), 0);
	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(sorts); i++) {
		ready_init(&ready);
		ck_assert_ok(sorts[i](&stream));
		ck_assert_uint_ge(walk(&m), 1);
		vcore_stream_unref(stream);
		ready_fini(&ready);
	}
	close(p[0]);
	close(p[1]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/failing");
	TCase *t = tcase_create("failing");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, test_vcore_stream_new_fd_enomem_emfile);
	tcase_add_test(t, test_vcore_stream_new_pty_enomem);
	tcase_add_test(t, test_vcore_stream_new_ring_enomem);
	tcase_add_test(t, test_vcore_stream_new_unix_enomem);
	tcase_add_test(t, test_vcore_stream_open_enomem);
	tcase_add_test(t, test_vcore_stream_attach_enomem);
	tcase_add_test(t, test_vcore_disk_new_enomem);
	tcase_add_test(t, test_vcore_disk_new_file_enomem);
	tcase_add_test(t, test_vcore_disk_attach_enomem);
	tcase_add_test(t, test_vcore_link_new_socket_enomem);
	tcase_add_test(t, test_vcore_link_attach_enomem);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
