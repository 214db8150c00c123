/* SPDX-License-Identifier: BSD-3-Clause */
/* The user-mode link, by frames of a guest without network stack. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vcore/slirp.h>

#include "base/base.h"
#include "slirp/packets.h"
#include "support/support.h"

#define HDR    VCORE_LINK_HEADER
#define WAIT_NS 10000000000ull

static struct vcore_loop *loop;
static struct vcore_link *link_;
static void *queue;
static uint32_t told;
static uint8_t out[2048], in[2048];
static uint32_t in_len;

static void
on_ready(void *opaque, uint32_t ready)
{
	(void)opaque;
	ck_assert_uint_ne(ready, 0);
	told |= ready;
	/* Level triggered: until it is asked for again. */
	ck_assert_ok(vcore_link_want(link_, queue, 0));
}

static void
attach(void)
{
	ck_assert_ok(vcore_link_attach(link_, 0, loop, on_ready, NULL,
				       &queue));
}

static void
up(const struct vcore_slirp_opts *o)
{
	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_slirp_new(o, &link_));
	attach();
}

static void
teardown(void)
{
	vcore_link_detach(link_, queue);
	vcore_link_unref(link_);
	vcore_loop_unref(loop);
}

/* Send what is in `out`, in two pieces. */
static void
send_frame(uint32_t len)
{
	static uint8_t header[HDR];
	struct iovec iov[3] = {
		{ .iov_base = header, .iov_len = HDR },
		{ .iov_base = out, .iov_len = 20 },
		{ .iov_base = out + 20, .iov_len = len - 20 },
	};

	ck_assert_ok(vcore_link_send(link_, queue, iov, 3));
}

/* The next frame for the guest is put in `in`: false if none comes. */
static bool
receive_frame(bool wait)
{
	uint64_t deadline = vcore__now_ns() + WAIT_NS;
	uint8_t header[5], rest[7];
	struct iovec iov[3] = {
		{ .iov_base = header, .iov_len = 5 },
		{ .iov_base = rest, .iov_len = 7 },
		{ .iov_base = in, .iov_len = sizeof(in) },
	};
	int64_t n;

	for (;;) {
		n = vcore_link_receive(link_, queue, iov, 3);
		if (n != -EAGAIN)
			break;
		if (!wait || vcore__now_ns() > deadline)
			return false;
		told = 0;
		ck_assert_ok(vcore_link_want(link_, queue,
					     VCORE_LINK_READABLE));
		while (!told && vcore__now_ns() < deadline)
			ck_assert_int_ge(vcore_loop_dispatch(loop, 100), 0);
		ck_assert_uint_eq(told & VCORE_LINK_WRITABLE, 0);
	}
	ck_assert_int_ge(n, HDR + ETH);
	/* num_buffers is 1, all else 0. */
	ck_assert_int_eq(memcmp(header, "\0\0\0\0\0", 5), 0);
	ck_assert_int_eq(memcmp(rest, "\0\0\0\0\0\1\0", 7), 0);
	in_len = (uint32_t)n - HDR;
	return true;
}

/* Skip frames until one of this type, and IP protocol if type is IP. */
static void
expect_type(uint32_t type, uint8_t protocol)
{
	do {
		ck_assert_msg(receive_frame(true), "no frame %#x/%u", type,
			      protocol);
	} while (get16(in + 12) != type ||
		 (type == 0x0800 && in[ETH + 9] != protocol));
}

static void
expect_tcp(struct tcp *t, uint8_t flags)
{
	const uint8_t *p = in + ETH + IP;
	uint32_t len;

	do {
		expect_type(0x0800, 6);
	} while ((p[13] & (uint8_t)(flags | RST)) == 0);
	ck_assert_uint_eq(get16(p), t->dport);
	ck_assert_uint_eq(get16(p + 2), t->sport);
	ck_assert_uint_eq(p[13] & flags, flags);
	len = get16(in + ETH + 2) - IP - 4u * (p[12] >> 4);
	t->ack = get32(p + 4) + len + ((p[13] & (SYN | FIN)) ? 1 : 0);
}

/* Lets 10.0.2.2 know the guest's address; nothing else goes before. */
static void
meet(void)
{
	send_frame(arp(out, HOST));
	expect_type(0x0806, 0);
}

START_TEST(test_arp_is_answered)
{
	up(NULL);
	send_frame(arp(out, HOST));
	expect_type(0x0806, 0);
	ck_assert_uint_eq(get16(in + ETH + 6), 2);
	ck_assert_uint_eq(get32(in + ETH + 14), HOST);
	ck_assert_uint_eq(get32(in + ETH + 24), GUEST);
	ck_assert_int_eq(memcmp(in, guest_mac, 6), 0);
}
END_TEST

START_TEST(test_ping_of_the_host_is_answered)
{
	up(NULL);
	meet();
	for (uint32_t i = 0; i < 3; i++) {
		send_frame(ping(out, HOST, i));
		expect_type(0x0800, 1);
		ck_assert_uint_eq(in[ETH + IP], 0);
		ck_assert_uint_eq(get16(in + ETH + IP + 6), i);
		ck_assert_str_eq((char *)in + ETH + IP + 8, "payload");
	}
}
END_TEST

START_TEST(test_dhcp_offers_the_documented_address)
{
	up(NULL);
	send_frame(dhcp_discover(out));
	expect_type(0x0800, 17);
	ck_assert_uint_eq(get16(in + ETH + IP + 2), 68);
	ck_assert_uint_eq(get32(in + ETH + IP + 8 + 16), GUEST);
}
END_TEST

/* A socket that listens on 127.0.0.1, its port. */
static int
listener(uint32_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* Turn the loop until a descriptor is readable. */
static void
wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t deadline = vcore__now_ns() + WAIT_NS;

	while (poll(&p, 1, 0) == 0) {
		ck_assert_msg(vcore__now_ns() < deadline, "nothing to read");
		ck_assert_int_ge(vcore_loop_dispatch(loop, 10), 0);
	}
}

START_TEST(test_tcp_connection_to_the_host_carries_bytes_and_ends)
{
	struct tcp t = { .dst = HOST, .sport = 4000, .seq = 1000 };
	int server, fd, fds = support_open_fds();
	char buf[64];

	up(NULL);
	server = listener(&t.dport);
	meet();
	send_frame(tcp(out, &t, SYN, NULL, 0));
	wait_for(server);
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	expect_tcp(&t, SYN | ACK);
	send_frame(tcp(out, &t, ACK, NULL, 0));
	send_frame(tcp(out, &t, ACK | PSH, "from the guest", 14));
	wait_for(fd);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 14);
	ck_assert_int_eq(memcmp(buf, "from the guest", 14), 0);

	ck_assert_int_eq(write(fd, "from the host", 13), 13);
	expect_tcp(&t, PSH);
	ck_assert_int_eq(memcmp(in + in_len - 13, "from the host", 13), 0);
	send_frame(tcp(out, &t, ACK, NULL, 0));

	/* The end of either side is seen by the other. */
	send_frame(tcp(out, &t, FIN | ACK, NULL, 0));
	wait_for(fd);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 0);
	close(fd);
	expect_tcp(&t, FIN);
	send_frame(tcp(out, &t, ACK, NULL, 0));
	close(server);
	teardown();
	ck_assert_int_eq(support_open_fds(), fds);
	up(NULL);
}
END_TEST

START_TEST(test_tcp_reset_by_the_guest_closes_the_socket)
{
	struct tcp t = { .dst = HOST, .sport = 4001, .seq = 1000 };
	char buf[4];
	int server, fd;

	up(NULL);
	server = listener(&t.dport);
	meet();
	send_frame(tcp(out, &t, SYN, NULL, 0));
	wait_for(server);
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	expect_tcp(&t, SYN | ACK);
	send_frame(tcp(out, &t, ACK, NULL, 0));
	send_frame(tcp(out, &t, RST | ACK, NULL, 0));
	wait_for(fd);
	ck_assert_int_le(read(fd, buf, sizeof(buf)), 0);
	close(fd);
	close(server);
}
END_TEST

START_TEST(test_tcp_to_a_closed_port_is_refused)
{
	struct tcp t = { .dst = HOST, .sport = 4002, .seq = 1000 };
	int server;

	up(NULL);
	server = listener(&t.dport);
	close(server);
	meet();
	send_frame(tcp(out, &t, SYN, NULL, 0));
	expect_tcp(&t, RST);
}
END_TEST

/* No more sockets than allowed, however many ports the guest uses. */
START_TEST(test_flows_are_limited)
{
	struct tcp t = { .dst = HOST, .seq = 1000 };
	struct vcore_slirp_opts o;
	int server, fds;

	VCORE_INIT(&o);
	o.max_flows = 3;
	up(&o);
	server = listener(&t.dport);
	meet();
	fds = support_open_fds();
	for (uint16_t i = 0; i < 40; i++) {
		t.sport = (uint16_t)(5000 + i);
		send_frame(tcp(out, &t, SYN, NULL, 0));
		send_frame(udp(out, GUEST, HOST, 6000u + i, t.dport, "x", 1));
		send_frame(ping(out, HOST + 100u + i, i));
		ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	}
	/* Each is held twice: by libslirp and by the loop. */
	ck_assert_int_le(support_open_fds(), fds + 2 * 3);
	ck_assert_int_gt(support_open_fds(), fds);
	/* What is open still works. */
	t.sport = 5000;
	t.ack = 0;
	expect_tcp(&t, SYN | ACK);
	close(server);
}
END_TEST

START_TEST(test_restricted_guest_reaches_nothing)
{
	struct tcp t = { .dst = HOST, .sport = 4003, .seq = 1000 };
	struct vcore_slirp_opts o;
	struct pollfd p = { .events = POLLIN };

	VCORE_INIT(&o);
	o.flags = VCORE_SLIRP_RESTRICT;
	up(&o);
	p.fd = listener(&t.dport);
	meet();
	send_frame(tcp(out, &t, SYN, NULL, 0));
	/* Answers come in order: with that of ARP the SYN has been dealt with. */
	meet();
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	/* DHCP still works. */
	send_frame(dhcp_discover(out));
	expect_type(0x0800, 17);
	close(p.fd);
}
END_TEST

START_TEST(test_guest_without_loopback_does_not_reach_it)
{
	struct tcp t = { .dst = HOST, .sport = 4004, .seq = 1000 };
	struct vcore_slirp_opts o;
	struct pollfd p = { .events = POLLIN };

	VCORE_INIT(&o);
	o.flags = VCORE_SLIRP_NO_LOOPBACK;
	up(&o);
	p.fd = listener(&t.dport);
	meet();
	send_frame(tcp(out, &t, SYN, NULL, 0));
	meet();
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	close(p.fd);
}
END_TEST

/* A port nobody has: bound and given back. */
static uint16_t
free_port(void)
{
	uint32_t port;

	close(listener(&port));
	return (uint16_t)port;
}

START_TEST(test_forwarded_port_reaches_the_guest)
{
	struct vcore_slirp_forward f = { .protocol = VCORE_SLIRP_TCP,
					 .guest_port = 22 };
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct vcore_slirp_opts o;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	f.host_port = free_port();
	VCORE_INIT(&o);
	o.forwards = &f;
	o.forward_count = 1;
	up(&o);
	meet();
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons(f.host_port);
	ck_assert(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ||
		  errno == EINPROGRESS);
	expect_type(0x0800, 6);
	ck_assert_uint_eq(get16(in + ETH + IP + 2), 22);
	ck_assert_uint_eq(in[ETH + IP + 13], SYN);
	close(fd);
}
END_TEST

START_TEST(test_forwarded_udp_port_reaches_the_guest)
{
	struct vcore_slirp_forward f = { .protocol = VCORE_SLIRP_UDP,
					 .address = "127.0.0.1",
					 .guest_port = 53 };
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct vcore_slirp_opts o;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	f.host_port = free_port();
	VCORE_INIT(&o);
	o.forwards = &f;
	o.forward_count = 1;
	up(&o);
	meet();
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons(f.host_port);
	ck_assert_int_eq(sendto(fd, "hi", 2, 0, (struct sockaddr *)&a,
				sizeof(a)), 2);
	expect_type(0x0800, 17);
	ck_assert_uint_eq(get16(in + ETH + IP + 2), 53);
	ck_assert_int_eq(memcmp(in + ETH + IP + 8, "hi", 2), 0);
	close(fd);
}
END_TEST

START_TEST(test_writable_is_told_when_wanted)
{
	up(NULL);
	told = 0;
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_WRITABLE));
	while (!told)
		ck_assert_int_ge(vcore_loop_dispatch(loop, 100), 0);
	ck_assert_uint_eq(told, VCORE_LINK_WRITABLE);
}
END_TEST

START_TEST(test_detached_link_rests_and_goes_on_when_attached)
{
	up(NULL);
	meet();
	send_frame(ping(out, HOST, 1));
	ck_assert_ok(vcore_link_want(link_, queue, VCORE_LINK_READABLE));
	vcore_link_detach(link_, queue);
	told = 0;
	for (int i = 0; i < 10; i++)
		ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	ck_assert_uint_eq(told, 0);
	attach();
	expect_type(0x0800, 1);
	ck_assert_uint_eq(get16(in + ETH + IP + 6), 1);
}
END_TEST

START_TEST(test_frames_nobody_takes_are_bounded)
{
	uint32_t n = 0;

	up(NULL);
	meet();
	for (uint32_t i = 0; i < 1000; i++)
		send_frame(ping(out, HOST, i));
	while (receive_frame(false))
		n++;
	ck_assert_uint_le(n, 256);
	ck_assert_uint_ge(n, 1);
	send_frame(ping(out, HOST, 0xffff));
	expect_type(0x0800, 1);
}
END_TEST

/* Every length from nothing on, and one too long. */
START_TEST(test_nonsense_frames_do_no_harm)
{
	static uint8_t big[70000];
	struct iovec iov = { .iov_base = big };

	up(NULL);
	meet();
	for (uint32_t i = 0; i <= 200; i++) {
		iov.iov_len = i;
		memset(big, (int)i, sizeof(big));
		ck_assert_ok(vcore_link_send(link_, queue, &iov, 1));
		/* An IP packet that is cut off. */
		memcpy(big + HDR, out, tcp(out, &(struct tcp){ .dst = HOST },
					   SYN, NULL, 0));
		ck_assert_ok(vcore_link_send(link_, queue, &iov, 1));
	}
	iov.iov_len = HDR + 65551;
	ck_assert_int_eq(vcore_link_send(link_, queue, &iov, 1), -EMSGSIZE);
	meet();
}
END_TEST

START_TEST(test_frame_longer_than_the_room_is_dropped)
{
	struct iovec iov = { .iov_base = in, .iov_len = HDR + 20 };

	up(NULL);
	send_frame(arp(out, HOST));
	ck_assert_int_eq(vcore_link_receive(link_, queue, &iov, 1), -EMSGSIZE);
	ck_assert_int_eq(vcore_link_receive(link_, queue, &iov, 1), -EAGAIN);
}
END_TEST

START_TEST(test_link_has_one_queue_and_one_user)
{
	void *other;

	up(NULL);
	ck_assert_uint_eq(vcore_link_queues(link_), 1);
	ck_assert_uint_eq(vcore_link_offloads(link_), 0);
	ck_assert_int_eq(vcore_link_attach(link_, 0, loop, on_ready, NULL,
					   &other), -EBUSY);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("slirp");
	TCase *t = tcase_create("link");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_arp_is_answered);
	tcase_add_test(t, test_ping_of_the_host_is_answered);
	tcase_add_test(t, test_dhcp_offers_the_documented_address);
	tcase_add_test(
		t, test_tcp_connection_to_the_host_carries_bytes_and_ends);
	tcase_add_test(t, test_tcp_reset_by_the_guest_closes_the_socket);
	tcase_add_test(t, test_tcp_to_a_closed_port_is_refused);
	tcase_add_test(t, test_flows_are_limited);
	tcase_add_test(t, test_restricted_guest_reaches_nothing);
	tcase_add_test(t, test_guest_without_loopback_does_not_reach_it);
	tcase_add_test(t, test_forwarded_port_reaches_the_guest);
	tcase_add_test(t, test_forwarded_udp_port_reaches_the_guest);
	tcase_add_test(t, test_writable_is_told_when_wanted);
	tcase_add_test(t, test_detached_link_rests_and_goes_on_when_attached);
	tcase_add_test(t, test_frames_nobody_takes_are_bounded);
	tcase_add_test(t, test_nonsense_frames_do_no_harm);
	tcase_add_test(t, test_frame_longer_than_the_room_is_dropped);
	tcase_add_test(t, test_link_has_one_queue_and_one_user);
	suite_add_tcase(s, t);
	return support_run(s);
}
