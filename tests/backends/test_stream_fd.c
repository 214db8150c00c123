/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/stream_fd.c: streams over descriptors. */
#include <vcore/stream.h>

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "support/ready.h"

static struct vcore_stream *
open_stream(int in, int out)
{
	struct vcore_stream *s = NULL;

	ck_assert_ok(vcore_stream_new_fd(in, out, &s));
	return s;
}

/* Write until the stream takes no more; returns how much it took. */
static uint64_t
fill(struct vcore_stream *s)
{
	static const char junk[8192];
	uint64_t total = 0;
	int64_t n;

	while ((n = vcore_stream_write(s, junk, sizeof(junk))) > 0)
		total += (uint64_t)n;
	ck_assert_int_eq(n, -EAGAIN);
	return total;
}

START_TEST(test_bad_arguments_are_refused)
{
	struct vcore_stream *s = NULL;

	ck_assert_error(vcore_stream_new_fd(0, 1, NULL), -EINVAL,
			"vcore_stream_new_fd");
	ck_assert_error(vcore_stream_new_fd(-2, 1, &s), -EINVAL,
			"vcore_stream_new_fd");
	ck_assert_error(vcore_stream_new_fd(0, -7, &s), -EINVAL,
			"vcore_stream_new_fd");
	ck_assert_error(vcore_stream_new_fd(1000, -1, &s), -EBADF,
			"vcore_stream_new_fd");
	ck_assert_error(vcore_stream_new_fd(-1, 1000, &s), -EBADF,
			"vcore_stream_new_fd");
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(test_descriptors_are_duplicated_and_closed)
{
	int p[2], fds = support_open_fds();
	struct vcore_stream *s;
	char c;

	ck_assert_int_eq(pipe(p), 0);
	s = open_stream(p[0], p[1]);
	close(p[0]);
	close(p[1]);
	ck_assert_int_eq(vcore_stream_write(s, "x", 1), 1);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
	vcore_stream_unref(s);
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

START_TEST(test_absent_ends_are_silent)
{
	struct vcore_stream *s = open_stream(-1, -1);
	struct ready r;
	char c;

	ready_init(&r);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), -EAGAIN);
	ck_assert_int_eq(vcore_stream_write(s, "abc", 3), 3);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE |
						  VCORE_STREAM_WRITABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_WRITABLE));
	ck_assert_uint_eq(r.seen, VCORE_STREAM_WRITABLE);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

START_TEST(test_pipe_input_is_told_while_wanted)
{
	struct vcore_stream *s;
	struct ready r;
	char buf[8];
	int p[2];

	ready_init(&r);
	ck_assert_int_eq(pipe(p), 0);
	s = open_stream(p[0], -1);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), -EAGAIN);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_int_eq(write(p[1], "hello", 5), 5);
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	r.seen = 0;
	ck_assert_int_eq(vcore_stream_read(s, buf, 2), 2);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 3);
	r.seen = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	close(p[0]);
	close(p[1]);
	ready_fini(&r);
}
END_TEST

START_TEST(test_pipe_end_is_zero)
{
	struct vcore_stream *s;
	char buf[8];
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	s = open_stream(p[0], -1);
	ck_assert_int_eq(write(p[1], "ab", 2), 2);
	close(p[1]);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 2);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 0);
	vcore_stream_unref(s);
	close(p[0]);
}
END_TEST

/* Case 63: output to a blocked pipe must not block who writes. */
START_TEST(test_full_pipe_is_eagain_then_told_writable)
{
	struct vcore_stream *s;
	char buf[65536];
	struct ready r;
	int p[2];

	ready_init(&r);
	ck_assert_int_eq(pipe(p), 0);
	s = open_stream(-1, p[1]);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_uint_ge(fill(s), 4096);
	ck_assert_int_eq(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_WRITABLE));
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	ck_assert_int_gt(read(p[0], buf, sizeof(buf)), 0);
	ck_assert(ready_wait(&r, VCORE_STREAM_WRITABLE));
	ck_assert_int_gt(vcore_stream_write(s, "more", 4), 0);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	close(p[0]);
	close(p[1]);
	ready_fini(&r);
}
END_TEST

START_TEST(test_broken_pipe_is_epipe_without_signal)
{
	struct vcore_stream *s;
	sigset_t pending;
	int p[2];

	/* The default action would end this program. */
	ck_assert_int_eq(pipe(p), 0);
	s = open_stream(-1, p[1]);
	close(p[0]);
	ck_assert_int_eq(vcore_stream_write(s, "x", 1), -EPIPE);
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert_int_eq(sigismember(&pending, SIGPIPE), 0);
	vcore_stream_unref(s);
	close(p[1]);
}
END_TEST

START_TEST(test_socket_both_ways_without_touching_flags)
{
	struct vcore_stream *s;
	char buf[8];
	int p[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	s = open_stream(p[0], p[0]);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), -EAGAIN);
	ck_assert_int_eq(vcore_stream_write(s, "hi", 2), 2);
	ck_assert_int_eq(read(p[1], buf, sizeof(buf)), 2);
	ck_assert_int_eq(write(p[1], "yo", 2), 2);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 2);
	fill(s);
	ck_assert_int_eq(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
	close(p[1]);
	/* What was not read makes the kernel reset the connection. */
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 0);
	ck_assert_int_eq(vcore_stream_write(s, "x", 1), -EPIPE);
	vcore_stream_unref(s);
	close(p[0]);
}
END_TEST

START_TEST(test_hangup_is_told_with_readable)
{
	struct vcore_stream *s;
	struct ready r;
	char c;
	int p[2];

	ready_init(&r);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	s = open_stream(p[0], -1);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	close(p[1]);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE | VCORE_STREAM_HANGUP));
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), 0);
	ck_assert_ok(vcore_stream_want(s, 0));
	r.seen = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	close(p[0]);
	ready_fini(&r);
}
END_TEST

START_TEST(test_file_input_is_always_ready_until_its_end)
{
	char path[] = "/tmp/vcore-stream-XXXXXX", buf[16];
	struct vcore_stream *s;
	struct ready r;
	int fd = mkstemp(path);

	ready_init(&r);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(write(fd, "file", 4), 4);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	s = open_stream(fd, -1);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 4);
	r.seen = 0;
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 0);
	ck_assert_ok(vcore_stream_want(s, 0));
	ready_turn(&r);
	r.seen = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	close(fd);
	ready_fini(&r);
}
END_TEST

START_TEST(test_dev_null_is_an_end_and_a_sink)
{
	struct vcore_stream *s;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	char c;

	ck_assert_int_ge(fd, 0);
	s = open_stream(fd, fd);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), 0);
	ck_assert_int_eq(vcore_stream_write(s, "abc", 3), 3);
	vcore_stream_unref(s);
	close(fd);
}
END_TEST

/* A terminal whose other side nobody reads: bytes go while there is room. */
START_TEST(test_full_terminal_is_eagain)
{
	int master, slave;
	struct vcore_stream *s;
	struct termios t;
	char buf[8];

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(slave, &t), 0);
	cfmakeraw(&t);
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &t), 0);
	s = open_stream(slave, slave);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), -EAGAIN);
	ck_assert_int_eq(write(master, "key", 3), 3);
	while (!support_readable(slave))
		;
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 3);
	ck_assert_uint_ge(fill(s), 1);
	ck_assert_int_eq(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
	close(master);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 0);
	ck_assert_int_eq(vcore_stream_write(s, "x", 1), -EPIPE);
	vcore_stream_unref(s);
	close(slave);
}
END_TEST

static void
detach_inside(struct ready *r, uint32_t bits)
{
	(void)bits;
	vcore_stream_detach(r->opaque);
	r->then = NULL;
}

START_TEST(test_detach_inside_ready_ends_calls)
{
	struct vcore_stream *s;
	struct ready r;
	int p[2];

	ready_init(&r);
	ck_assert_int_eq(pipe(p), 0);
	s = open_stream(p[0], p[1]);
	r.then = detach_inside;
	r.opaque = s;
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE |
						  VCORE_STREAM_WRITABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE) ||
		  r.seen == VCORE_STREAM_WRITABLE);
	ready_turn(&r);
	ck_assert_uint_eq(r.calls, 1);
	vcore_stream_unref(s);
	close(p[0]);
	close(p[1]);
	ready_fini(&r);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/stream_fd");
	TCase *t = tcase_create("fd");

	tcase_add_test(t, test_bad_arguments_are_refused);
	tcase_add_test(t, test_descriptors_are_duplicated_and_closed);
	tcase_add_test(t, test_absent_ends_are_silent);
	tcase_add_test(t, test_pipe_input_is_told_while_wanted);
	tcase_add_test(t, test_pipe_end_is_zero);
	tcase_add_test(t, test_full_pipe_is_eagain_then_told_writable);
	tcase_add_test(t, test_broken_pipe_is_epipe_without_signal);
	tcase_add_test(t, test_socket_both_ways_without_touching_flags);
	tcase_add_test(t, test_hangup_is_told_with_readable);
	tcase_add_test(t, test_file_input_is_always_ready_until_its_end);
	tcase_add_test(t, test_dev_null_is_an_end_and_a_sink);
	tcase_add_test(t, test_full_terminal_is_eagain);
	tcase_add_test(t, test_detach_inside_ready_ends_calls);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
