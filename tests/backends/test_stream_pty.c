/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/stream_pty.c: pseudo-terminals that come and go. */
#include <vcore/stream.h>

#include <fcntl.h>
#include <unistd.h>

#include "support/ready.h"

static struct vcore_stream *
open_stream(char path[64])
{
	struct vcore_stream *s = NULL;

	ck_assert_ok(vcore_stream_new_pty(&s, path, 64));
	ck_assert_int_eq(strncmp(path, "/dev/", 5), 0);
	return s;
}

START_TEST(test_bad_arguments_are_refused)
{
	struct vcore_stream *s = NULL;
	int fds = support_open_fds();
	char path[4];

	ck_assert_error(vcore_stream_new_pty(NULL, NULL, 0), -EINVAL,
			"vcore_stream_new_pty");
	ck_assert_error(vcore_stream_new_pty(&s, path, sizeof(path)), -ERANGE,
			"vcore_stream_new_pty");
	ck_assert_ptr_null(s);
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

START_TEST(test_nobody_there_is_epipe_and_no_input)
{
	char path[64], c;
	struct vcore_stream *s = open_stream(path);

	ck_assert_int_eq(vcore_stream_write(s, "lost", 4), -EPIPE);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), -EAGAIN);
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_bytes_pass_raw_both_ways)
{
	char path[64], buf[16];
	struct vcore_stream *s = open_stream(path);
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vcore_stream_write(s, "a\nb\003", 4), 4);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 4);
	ck_assert_mem_eq(buf, "a\nb\003", 4);
	ck_assert_int_eq(write(fd, "\r\004x", 3), 3);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 3);
	ck_assert_mem_eq(buf, "\r\004x", 3);
	close(fd);
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_comer_is_noticed_and_goer_is_a_hangup)
{
	char path[64], buf[16];
	struct vcore_stream *s = open_stream(path);
	struct ready r;
	int fd;

	ready_init(&r);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_HANGUP));
	for (int i = 0; i < 2; i++) {
		r.seen = 0;
		fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, "hi", 2), 2);
		ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
		ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 2);
		r.seen = 0;
		close(fd);
		ck_assert(ready_wait(&r, VCORE_STREAM_HANGUP));
	}
	r.calls = 0;
	ready_turn(&r);
	ck_assert_uint_le(r.calls, 1);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

/* echo text > /dev/pts/N */
START_TEST(test_bytes_of_a_short_visit_are_told)
{
	char path[64], buf[16];
	struct vcore_stream *s = open_stream(path);
	struct ready r;
	int fd;

	ready_init(&r);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_HANGUP));
	r.seen = 0;
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_eq(write(fd, "text", 4), 4);
	close(fd);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 4);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

START_TEST(test_silent_comer_is_told_as_readable)
{
	char path[64], c;
	struct vcore_stream *s = open_stream(path);
	struct ready r;
	int fd;

	ready_init(&r);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_HANGUP));
	r.seen = 0;
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_uint_eq(r.seen, VCORE_STREAM_READABLE);
	ck_assert_int_eq(vcore_stream_read(s, &c, 1), -EAGAIN);
	close(fd);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

/* Who waits to write learns that nobody is there, instead of waiting on. */
START_TEST(test_writable_is_told_while_nobody_is_there)
{
	char path[64];
	struct vcore_stream *s = open_stream(path);
	struct ready r;

	ready_init(&r);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_WRITABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_WRITABLE));
	ck_assert_int_eq(vcore_stream_write(s, "x", 1), -EPIPE);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

START_TEST(test_full_is_eagain_then_writable)
{
	static char junk[65536];
	char path[64];
	struct vcore_stream *s = open_stream(path);
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct ready r;
	int64_t n;

	ready_init(&r);
	ck_assert_int_ge(fd, 0);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	while ((n = vcore_stream_write(s, junk, sizeof(junk))) > 0)
		;
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_WRITABLE));
	while (!(r.seen & VCORE_STREAM_WRITABLE)) {
		ck_assert_int_gt(read(fd, junk, sizeof(junk)), 0);
		ready_turn(&r);
	}
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	close(fd);
	ready_fini(&r);
}
END_TEST

START_TEST(test_unref_closes_everything)
{
	int fds = support_open_fds();
	struct vcore_stream *s;
	struct ready r;
	char path[64];

	ready_init(&r);
	s = open_stream(path);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/stream_pty");
	TCase *t = tcase_create("pty");

	tcase_add_test(t, test_bad_arguments_are_refused);
	tcase_add_test(t, test_nobody_there_is_epipe_and_no_input);
	tcase_add_test(t, test_bytes_pass_raw_both_ways);
	tcase_add_test(t, test_comer_is_noticed_and_goer_is_a_hangup);
	tcase_add_test(t, test_bytes_of_a_short_visit_are_told);
	tcase_add_test(t, test_silent_comer_is_told_as_readable);
	tcase_add_test(t, test_writable_is_told_while_nobody_is_there);
	tcase_add_test(t, test_full_is_eagain_then_writable);
	tcase_add_test(t, test_unref_closes_everything);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
