/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/stream_unix.c: a listening socket and its peers. */
#include <vcore/stream.h>

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"
#include "support/ready.h"

static char path[64];

static void
make_path(void)
{
	static int n;

	snprintf(path, sizeof(path), "/tmp/vcore-unix-%d-%d", getpid(), n++);
}

static struct sockaddr_un
address(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	memcpy(sun.sun_path, path, strlen(path));
	return sun;
}

static int
connect_peer(void)
{
	struct sockaddr_un sun = address();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static struct vcore_stream *
open_attached(struct ready *r)
{
	struct vcore_stream *s = NULL;

	ready_init(r);
	make_path();
	ck_assert_ok(vcore_stream_new_unix(path, -1, &s));
	ck_assert_ok(vcore_stream_attach(s, r->loop, ready_fn, r));
	return s;
}

static void
close_attached(struct vcore_stream *s, struct ready *r)
{
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(r);
}

START_TEST(test_bad_arguments_are_refused)
{
	struct vcore_stream *s = NULL;
	char longer[200];

	make_path();
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_error(vcore_stream_new_unix(path, -1, NULL), -EINVAL,
			"vcore_stream_new_unix");
	ck_assert_error(vcore_stream_new_unix(NULL, -1, &s), -EINVAL,
			"vcore_stream_new_unix");
	ck_assert_error(vcore_stream_new_unix(path, 0, &s), -EINVAL,
			"vcore_stream_new_unix");
	ck_assert_error(vcore_stream_new_unix(longer, -1, &s), -EINVAL,
			"vcore_stream_new_unix");
	ck_assert_error(vcore_stream_new_unix("/nonexistent/x", -1, &s),
			-ENOENT, "vcore_stream_new_unix");
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(test_existing_path_is_eaddrinuse_and_stays)
{
	struct vcore_stream *s = NULL, *t = NULL;

	make_path();
	ck_assert_ok(vcore_stream_new_unix(path, -1, &s));
	ck_assert_error(vcore_stream_new_unix(path, -1, &t), -EADDRINUSE,
			"vcore_stream_new_unix");
	ck_assert_int_eq(access(path, F_OK), 0);
	vcore_stream_unref(s);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_descriptor_must_listen)
{
	struct vcore_stream *s = NULL;
	int p[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	ck_assert_error(vcore_stream_new_unix(NULL, p[0], &s), -ENOTSOCK,
			"vcore_stream_new_unix");
	close(p[0]);
	close(p[1]);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_error(vcore_stream_new_unix(NULL, p[0], &s), -ENOTSOCK,
			"vcore_stream_new_unix");
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(test_listening_descriptor_is_used_and_path_left)
{
	struct vcore_stream *s = NULL;
	struct sockaddr_un sun;
	struct ready r;
	int fd, peer;
	char c;

	ready_init(&r);
	make_path();
	sun = address();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_ok(vcore_stream_new_unix(NULL, fd, &s));
	close(fd);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	peer = connect_peer();
	ck_assert_int_eq(write(peer, "z", 1), 1);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), 1);
	ck_assert_int_eq(c, 'z');
	close(peer);
	close_attached(s, &r);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(test_without_peer_nothing_goes_or_comes)
{
	struct ready r;
	struct vcore_stream *s = open_attached(&r);
	char c;

	ck_assert_int_eq(vcore_stream_write(s, "x", 1), -EPIPE);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), -EAGAIN);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE |
						  VCORE_STREAM_WRITABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_WRITABLE));
	ck_assert_uint_eq(r.seen, VCORE_STREAM_WRITABLE);
	close_attached(s, &r);
}
END_TEST

START_TEST(test_second_peer_waits_for_the_first_to_go)
{
	struct ready r;
	struct vcore_stream *s = open_attached(&r);
	int first, second;
	char buf[8];

	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	first = connect_peer();
	second = connect_peer();
	ck_assert_int_eq(write(second, "2", 1), 1);
	ck_assert_int_eq(write(first, "1", 1), 1);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 1);
	ck_assert_int_eq(buf[0], '1');
	ck_assert_int_eq(vcore_stream_write(s, "one", 3), 3);
	ck_assert_int_eq(read(first, buf, sizeof(buf)), 3);
	ready_turn(&r);
	r.seen = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	close(first);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	/* The end of the first: the stream has no end, it may get another. */
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), -EAGAIN);
	r.seen = 0;
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE | VCORE_STREAM_HANGUP));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 1);
	ck_assert_int_eq(buf[0], '2');
	close(second);
	close_attached(s, &r);
}
END_TEST

/* A peer that can't be accepted waits, and does not keep the loop awake. */
START_TEST(test_peer_without_a_descriptor_left_is_accepted_later)
{
	struct vcore_stream *s;
	const char *name = "";
	struct ready r;
	uint64_t begin;
	int peer, rc;
	bool failed;
	char c;

	s = open_attached(&r);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	peer = connect_peer();
	begin = vcore__now_ns();
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_loop_dispatch(r.loop, 0);
	failed = fail_stop();
	ck_assert_int_eq(rc, 1);
	ck_assert(failed);
	ck_assert_int_eq(fail_error(&name), EMFILE);
	ck_assert_str_eq(name, "accept4");
	ck_assert_uint_eq(r.seen, 0);
	/* It is looked at again after 100 ms, unless that is over already. */
	rc = vcore_loop_dispatch(r.loop, 0);
	if (vcore__now_ns() - begin < 50000000)
		ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(write(peer, "x", 1), 1);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), 1);
	close(peer);
	close_attached(s, &r);
}
END_TEST

/* A peer that only listens is noticed, too: once. */
START_TEST(test_silent_peer_is_told_as_readable_once)
{
	struct ready r;
	struct vcore_stream *s = open_attached(&r);
	int peer = connect_peer();
	char c;

	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_uint_eq(r.seen, VCORE_STREAM_READABLE);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), -EAGAIN);
	r.calls = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.calls, 0);
	close(peer);
	close_attached(s, &r);
}
END_TEST

START_TEST(test_write_to_gone_peer_is_epipe)
{
	struct ready r;
	struct vcore_stream *s = open_attached(&r);
	int peer = connect_peer();

	ready_turn(&r);
	ck_assert_int_eq(vcore_stream_write(s, "x", 1), 1);
	close(peer);
	ck_assert_int_eq(vcore_stream_write(s, "x", 1), -EPIPE);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_HANGUP));
	peer = connect_peer();
	ready_turn(&r);
	ck_assert_int_eq(vcore_stream_write(s, "y", 1), 1);
	close(peer);
	close_attached(s, &r);
}
END_TEST

START_TEST(test_peer_that_does_not_read_is_eagain)
{
	static const char junk[65536];
	struct ready r;
	struct vcore_stream *s = open_attached(&r);
	int peer = connect_peer();
	char buf[65536];
	int64_t n;

	ready_turn(&r);
	while ((n = vcore_stream_write(s, junk, sizeof(junk))) > 0)
		;
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_WRITABLE));
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	while (!(r.seen & VCORE_STREAM_WRITABLE)) {
		ck_assert_int_gt(read(peer, buf, sizeof(buf)), 0);
		ready_turn(&r);
	}
	close(peer);
	close_attached(s, &r);
}
END_TEST

START_TEST(test_peer_survives_another_attach)
{
	struct ready r;
	struct vcore_stream *s = open_attached(&r);
	int peer = connect_peer();
	char buf[8];

	ready_turn(&r);
	vcore_stream_detach(s);
	ck_assert_int_eq(write(peer, "late", 4), 4);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 4);
	close(peer);
	close_attached(s, &r);
}
END_TEST

START_TEST(test_unref_closes_everything)
{
	int fds = support_open_fds();
	struct ready r;
	struct vcore_stream *s = open_attached(&r);
	int peer = connect_peer();
	char c;

	ready_turn(&r);
	close_attached(s, &r);
	ck_assert_int_eq(read(peer, &c, 1), 0);
	close(peer);
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/stream_unix");
	TCase *t = tcase_create("unix");

	tcase_add_test(t, test_bad_arguments_are_refused);
	tcase_add_test(t, test_existing_path_is_eaddrinuse_and_stays);
	tcase_add_test(t, test_descriptor_must_listen);
	tcase_add_test(t, test_listening_descriptor_is_used_and_path_left);
	tcase_add_test(t, test_without_peer_nothing_goes_or_comes);
	tcase_add_test(t, test_second_peer_waits_for_the_first_to_go);
	tcase_add_test(t,
		       test_peer_without_a_descriptor_left_is_accepted_later);
	tcase_add_test(t, test_silent_peer_is_told_as_readable_once);
	tcase_add_test(t, test_write_to_gone_peer_is_epipe);
	tcase_add_test(t, test_peer_that_does_not_read_is_eagain);
	tcase_add_test(t, test_peer_survives_another_attach);
	tcase_add_test(t, test_unref_closes_everything);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
