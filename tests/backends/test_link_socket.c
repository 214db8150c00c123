/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/link_socket.c: frames on a stream, and its peers. */
#include <vcore/link.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"
#include "support/ready.h"

#define FRAME_MAX 69632u	/* longer lengths are a lie */

static struct ready r;
static struct vcore_link *link_;
static void *queue;
static int peer;
static uint8_t hdr[12];
static uint8_t data[FRAME_MAX + 64];
static struct iovec iov[2];

static void
setup(void)
{
	int p[2];

	ready_init(&r);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	ck_assert_ok(vcore_link_new_socket(NULL, p[0], &link_));
	close(p[0]);
	peer = p[1];
	ck_assert_ok(vcore_link_attach(link_, 0, r.loop, ready_fn, &r, &queue));
	memset(hdr, 0xee, sizeof(hdr));
	iov[0] = (struct iovec){ hdr, sizeof(hdr) };
	iov[1] = (struct iovec){ data, 1514 };
}

static void
teardown(void)
{
	vcore_link_detach(link_, queue);
	vcore_link_unref(link_);
	if (peer >= 0)
		close(peer);
	ready_fini(&r);
}

static void
peer_write(const void *buf, size_t len)
{
	ck_assert_int_eq(write(peer, buf, len), (ssize_t)len);
}

static void
peer_length(uint32_t len)
{
	uint32_t be = htonl(len);

	peer_write(&be, 4);
}

static void
peer_read(void *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;

	for (; done < len; done += (size_t)n) {
		ready_turn(&r);
		n = read(peer, (char *)buf + done, len - done);
		ck_assert_int_gt(n, 0);
	}
}

static int64_t
receive(void)
{
	return vcore_link_receive(link_, queue, iov, 2);
}

START_TEST(test_frame_arrives_with_an_empty_header)
{
	static const uint8_t want[12] = { [10] = 1 };

	ck_assert_int_eq(receive(), -EAGAIN);
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_READABLE));
	peer_length(60);
	memset(data, 0, sizeof(data));
	peer_write("0123456789012345678901234567890123456789"
		   "01234567890123456789", 60);
	ck_assert(ready_wait(&r, VCORE_LINK_READABLE));
	ck_assert_int_eq(receive(), 72);
	ck_assert_mem_eq(hdr, want, sizeof(hdr));
	ck_assert_mem_eq(data, "01234567890", 11);
	ck_assert_uint_eq(data[60], 0);
	ck_assert_int_eq(receive(), -EAGAIN);
}
END_TEST

START_TEST(test_frame_in_single_bytes_arrives_whole)
{
	uint8_t frame[4 + 64] = { 0, 0, 0, 64 };

	for (unsigned i = 0; i < 64; i++)
		frame[4 + i] = (uint8_t)(i + 1);
	for (unsigned i = 0; i < sizeof(frame); i++) {
		ck_assert_int_eq(receive(), -EAGAIN);
		peer_write(frame + i, 1);
	}
	ck_assert_int_eq(receive(), 12 + 64);
	ck_assert_mem_eq(data, frame + 4, 64);
}
END_TEST

/* Several frames in one read: those in our buffer are told, too. */
START_TEST(test_buffered_frames_are_told)
{
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_READABLE));
	for (int i = 0; i < 5; i++) {
		peer_length(20);
		peer_write("abcdefghijklmnopqrst", 20);
	}
	for (int i = 0; i < 5; i++) {
		r.seen = 0;
		ck_assert(ready_wait(&r, VCORE_LINK_READABLE));
		ck_assert_int_eq(receive(), 32);
	}
	ready_turn(&r);
	r.seen = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
}
END_TEST

START_TEST(test_wanting_later_tells_buffered_frames)
{
	peer_length(20);
	peer_write("abcdefghijklmnopqrst", 20);
	peer_length(20);
	peer_write("abcdefghijklmnopqrst", 20);
	ck_assert_int_eq(receive(), 32);
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_READABLE));
	ck_assert(ready_wait(&r, VCORE_LINK_READABLE));
	ck_assert_int_eq(receive(), 32);
}
END_TEST

START_TEST(test_frame_longer_than_room_is_emsgsize_and_gone)
{
	iov[1].iov_len = 30;
	peer_length(31);
	peer_write(data, 31);
	peer_length(30);
	peer_write(data, 30);
	ck_assert_int_eq(receive(), -EMSGSIZE);
	ck_assert_int_eq(receive(), 42);
}
END_TEST

START_TEST(test_longest_frame_passes)
{
	static uint8_t sent[FRAME_MAX];

	for (unsigned i = 0; i < FRAME_MAX; i++)
		sent[i] = (uint8_t)(i * 13 + i / 251);
	iov[1].iov_len = sizeof(data);
	peer_length(FRAME_MAX);
	peer_write(sent, FRAME_MAX);
	ck_assert_int_eq(receive(), 12 + (int64_t)FRAME_MAX);
	ck_assert_mem_eq(data, sent, FRAME_MAX);
}
END_TEST

START_TEST(test_empty_frames_are_skipped)
{
	for (int i = 0; i < 100; i++)
		peer_length(0);
	peer_length(14);
	peer_write("abcdefghijklmn", 14);
	ck_assert_int_eq(receive(), 26);
}
END_TEST

static void *
flood(void *stop)
{
	static const uint8_t zeroes[65536];

	/* Lengths of 0, as fast as they are taken. */
	while (!atomic_load((_Atomic int *)stop))
		(void)send(peer, zeroes, sizeof(zeroes), MSG_DONTWAIT);
	return NULL;
}

/* With a peer that always sends more, each call still returns. */
START_TEST(test_hostile_flood_of_empty_frames_gives_others_their_turn)
{
	_Atomic int stop = 0;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, flood, &stop), 0);
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_READABLE));
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(receive(), -EAGAIN);
		r.seen = 0;
		ck_assert(ready_wait(&r, VCORE_LINK_READABLE));
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(test_hostile_length_ends_the_link)
{
	static const uint32_t lengths[] = { FRAME_MAX + 1, 0x80000000,
					    0xffffffff };

	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(lengths); i++) {
		if (i > 0) {
			teardown();
			setup();
		}
		r.seen = 0;
		ck_assert_ok(vcore_link_want(link_, queue,
					     VCORE_LINK_READABLE));
		peer_length(lengths[i]);
		peer_write("x", 1);
		ck_assert(ready_wait(&r, VCORE_LINK_READABLE));
		ck_assert_int_eq(receive(), -EAGAIN);
		ck_assert(ready_wait(&r, VCORE_LINK_DOWN));
		ck_assert_int_eq(vcore_link_send(link_, queue, iov, 2), -EPIPE);
		ck_assert_int_eq(receive(), -EAGAIN);
	}
}
END_TEST

START_TEST(test_gone_peer_is_down_once)
{
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_READABLE));
	close(peer);
	peer = -1;
	ck_assert(ready_wait(&r, VCORE_LINK_READABLE));
	ck_assert_int_eq(receive(), -EAGAIN);
	ck_assert(ready_wait(&r, VCORE_LINK_DOWN));
	ready_turn(&r);
	r.seen = 0;
	r.calls = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.calls, 0);
	ck_assert_int_eq(vcore_link_send(link_, queue, iov, 2), -EPIPE);
	/* Who waits to send is told, to find out. */
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_WRITABLE));
	ck_assert(ready_wait(&r, VCORE_LINK_WRITABLE));
}
END_TEST

START_TEST(test_frame_is_sent_with_its_length)
{
	uint8_t got[4 + 100];

	for (unsigned i = 0; i < 100; i++)
		data[i] = (uint8_t)(i * 3);
	iov[1].iov_len = 100;
	ck_assert_int_eq(vcore_link_send(link_, queue, iov, 2), 0);
	peer_read(got, sizeof(got));
	ck_assert_mem_eq(got, "\0\0\0\144", 4);
	ck_assert_mem_eq(got + 4, data, 100);
}
END_TEST

START_TEST(test_header_cut_anywhere_is_left_out)
{
	uint8_t all[12 + 20], got[24];

	for (unsigned cut = 1; cut < sizeof(all); cut++) {
		for (unsigned i = 0; i < sizeof(all); i++)
			all[i] = (uint8_t)(cut + i);
		iov[0] = (struct iovec){ all, cut };
		iov[1] = (struct iovec){ all + cut, sizeof(all) - cut };
		ck_assert_int_eq(vcore_link_send(link_, queue, iov, 2), 0);
		peer_read(got, sizeof(got));
		ck_assert_mem_eq(got, "\0\0\0\024", 4);
		ck_assert_mem_eq(got + 4, all + 12, 20);
	}
}
END_TEST

START_TEST(test_impossible_frames_are_emsgsize)
{
	iov[1].iov_len = 0;
	ck_assert_int_eq(vcore_link_send(link_, queue, iov, 2), -EMSGSIZE);
	iov[1].iov_len = FRAME_MAX + 1;
	ck_assert_int_eq(vcore_link_send(link_, queue, iov, 2), -EMSGSIZE);
	ck_assert_int_eq(vcore_link_send(link_, queue, iov, 0), -EMSGSIZE);
}
END_TEST

/* A slow peer: refused frames are whole frames, and no byte is lost. */
START_TEST(test_slow_peer_gets_every_accepted_frame_whole)
{
	static uint8_t got[FRAME_MAX];
	uint32_t sent = 0, be, mark;
	int rc;

	iov[1].iov_len = 5003;
	for (int round = 0; round < 20; round++) {
		do {
			memcpy(data, &sent, 4);
			memset(data + 4, (int)sent, 4999);
			rc = vcore_link_send(link_, queue, iov, 2);
			sent += rc == 0;
		} while (rc == 0);
		ck_assert_int_eq(rc, -EAGAIN);
		r.seen = 0;
		ck_assert_ok(vcore_link_want(link_, queue,
					     VCORE_LINK_WRITABLE));
		for (mark = 0; !(r.seen & VCORE_LINK_WRITABLE); mark++) {
			static uint32_t next;

			peer_read(&be, 4);
			ck_assert_uint_eq(ntohl(be), 5003);
			peer_read(got, 5003);
			ck_assert_mem_eq(got, &next, 4);
			ck_assert_uint_eq(got[5002], next & 0xff);
			next++;
			ready_turn(&r);
		}
		ck_assert_ok(vcore_link_want(link_, queue, 0));
	}
}
END_TEST

START_TEST(test_rest_of_a_frame_leaves_without_being_wanted)
{
	static uint8_t got[65536];
	uint64_t sent = 0, seen = 0;
	ssize_t n;

	iov[1].iov_len = 60000;
	while (vcore_link_send(link_, queue, iov, 2) == 0)
		sent += 60004;
	ck_assert_ok(vcore_link_want(link_, queue, 0));
	while (seen < sent) {
		n = recv(peer, got, sizeof(got), MSG_DONTWAIT);
		if (n > 0)
			seen += (uint64_t)n;
		ready_turn(&r);
	}
	ck_assert_uint_eq(seen, sent);
	ck_assert_uint_eq(r.seen, 0);
}
END_TEST

START_TEST(test_second_user_is_ebusy)
{
	void *q = NULL;

	ck_assert_error(vcore_link_attach(link_, 0, r.loop, ready_fn, &r, &q),
			-EBUSY, "vcore_link_attach");
	ck_assert_uint_eq(vcore_link_queues(link_), 1);
	ck_assert_uint_eq(vcore_link_offloads(link_), 0);
}
END_TEST

START_TEST(test_bad_arguments_are_refused)
{
	struct vcore_link *l = NULL;
	char longer[200];
	int p[2];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_error(vcore_link_new_socket(NULL, -1, &l), -EINVAL,
			"vcore_link_new_socket");
	ck_assert_error(vcore_link_new_socket("/x", 0, &l), -EINVAL,
			"vcore_link_new_socket");
	ck_assert_error(vcore_link_new_socket("/x", -1, NULL), -EINVAL,
			"vcore_link_new_socket");
	ck_assert_error(vcore_link_new_socket(longer, -1, &l), -EINVAL,
			"vcore_link_new_socket");
	ck_assert_error(vcore_link_new_socket("/nonexistent/x", -1, &l),
			-ENOENT, "vcore_link_new_socket");
	ck_assert_error(vcore_link_new_socket(NULL, 1000, &l), -EBADF,
			"vcore_link_new_socket");
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_error(vcore_link_new_socket(NULL, p[0], &l), -ENOTSOCK,
			"vcore_link_new_socket");
	close(p[0]);
	close(p[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
	ck_assert_error(vcore_link_new_socket(NULL, p[0], &l), -EINVAL,
			"vcore_link_new_socket");
	close(p[0]);
	close(p[1]);
	p[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_error(vcore_link_new_socket(NULL, p[0], &l), -ENOTCONN,
			"vcore_link_new_socket");
	close(p[0]);
	ck_assert_ptr_null(l);
}
END_TEST

START_TEST(test_path_is_connected_or_refused)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct vcore_link *l = NULL;
	int fds, fd;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/vcore-link-%d",
		 getpid());
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	fds = support_open_fds();
	ck_assert_error(vcore_link_new_socket(sun.sun_path, -1, &l),
			-ECONNREFUSED, "vcore_link_new_socket");
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_ok(vcore_link_new_socket(sun.sun_path, -1, &l));
	vcore_link_unref(l);
	ck_assert_int_eq(support_open_fds(), fds);
	unlink(sun.sun_path);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/link_socket");
	TCase *t = tcase_create("connected");
	TCase *n = tcase_create("new");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_frame_arrives_with_an_empty_header);
	tcase_add_test(t, test_frame_in_single_bytes_arrives_whole);
	tcase_add_test(t, test_buffered_frames_are_told);
	tcase_add_test(t, test_wanting_later_tells_buffered_frames);
	tcase_add_test(t, test_frame_longer_than_room_is_emsgsize_and_gone);
	tcase_add_test(t, test_longest_frame_passes);
	tcase_add_test(t, test_empty_frames_are_skipped);
	tcase_add_test(t, test_hostile_flood_of_empty_frames_gives_others_their_turn);
	tcase_add_test(t, test_hostile_length_ends_the_link);
	tcase_add_test(t, test_gone_peer_is_down_once);
	tcase_add_test(t, test_frame_is_sent_with_its_length);
	tcase_add_test(t, test_header_cut_anywhere_is_left_out);
	tcase_add_test(t, test_impossible_frames_are_emsgsize);
	tcase_add_test(t, test_slow_peer_gets_every_accepted_frame_whole);
	tcase_add_test(t, test_rest_of_a_frame_leaves_without_being_wanted);
	tcase_add_test(t, test_second_user_is_ebusy);
	suite_add_tcase(suite, t);
	tcase_add_test(n, test_bad_arguments_are_refused);
	tcase_add_test(n, test_path_is_connected_or_refused);
	suite_add_tcase(suite, n);
	return support_run(suite);
}
