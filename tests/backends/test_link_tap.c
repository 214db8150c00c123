/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of lib/backends/link_tap.c in a network of their own: a user namespace
 * gives the right to make interfaces, where the machine allows one.
 */
#include <vcore/link.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "support/own_network.h"
#include "support/ready.h"

#define SKIPPED 77
#define NAME "vtap0"

static struct ready r;

static struct vcore_link *
open_tap(const char *name, uint32_t queues)
{
	struct vcore_link_tap_opts o;
	struct vcore_link *l = NULL;

	VCORE_INIT(&o);
	o.flags = VCORE_LINK_TAP_CREATE;
	o.name = name;
	o.queues = queues;
	ck_assert_ok(vcore_link_new_tap(&o, &l));
	return l;
}

/* The kernel's end: a packet socket on the interface, which is set up. */
static int
open_packet(const char *name)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL) };
	struct ifreq ifr = { 0 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	ck_assert_int_ge(fd, 0);
	memcpy(ifr.ifr_name, name, strlen(name));
	ck_assert_int_eq(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	ll.sll_ifindex = (int)if_nametoindex(name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return fd;
}

/* A frame nobody but us would send: an experimental EtherType. */
static void
make_frame(uint8_t *frame, size_t len, uint8_t mark)
{
	memset(frame, mark, len);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\002\0\0\0\0\1\x88\xb5", 8);
}

static bool
is_ours(const uint8_t *frame)
{
	return frame[12] == 0x88 && frame[13] == 0xb5;
}

/* Receive until one of ours comes; the kernel itself chatters, too. */
static int64_t
receive_ours(struct vcore_link *l, void *queue, struct iovec *iov)
{
	int64_t n;

	for (;;) {
		n = vcore_link_receive(l, queue, iov, 2);
		if (n == -EAGAIN) {
			r.seen = 0;
			ck_assert(ready_wait(&r, VCORE_LINK_READABLE));
		} else if (n < 0 || is_ours(iov[1].iov_base)) {
			return n;
		}
	}
}

START_TEST(test_bad_arguments_are_refused)
{
	struct vcore_link_tap_opts o;
	struct vcore_link *l = NULL;
	int32_t fds[1];
	int p[2];

	VCORE_INIT(&o);
	ck_assert_error(vcore_link_new_tap(NULL, &l), -EINVAL,
			"vcore_link_new_tap");
	ck_assert_error(vcore_link_new_tap(&o, NULL), -EINVAL,
			"vcore_link_new_tap");
	o.flags = VCORE_LINK_TAP_CREATE << 1;
	ck_assert_error(vcore_link_new_tap(&o, &l), -E2BIG,
			"vcore_link_new_tap");
	VCORE_INIT(&o);
	o.queues = 257;
	ck_assert_error(vcore_link_new_tap(&o, &l), -EINVAL,
			"vcore_link_new_tap");
	o.queues = 0;
	o.name = "";
	ck_assert_error(vcore_link_new_tap(&o, &l), -EINVAL,
			"vcore_link_new_tap");
	o.name = "a-name-longer-than-15";
	ck_assert_error(vcore_link_new_tap(&o, &l), -EINVAL,
			"vcore_link_new_tap");
	ck_assert_int_eq(pipe(p), 0);
	o.name = NULL;
	o.fds = fds;
	fds[0] = p[0];
	ck_assert_error(vcore_link_new_tap(&o, &l), -EINVAL,
			"vcore_link_new_tap");
	fds[0] = 1000;
	ck_assert_error(vcore_link_new_tap(&o, &l), -EBADF,
			"vcore_link_new_tap");
	close(p[0]);
	close(p[1]);
	ck_assert_ptr_null(l);
}
END_TEST

START_TEST(test_name_in_use_is_ebusy)
{
	struct vcore_link *l = open_tap(NAME, 1), *m = NULL;
	struct vcore_link_tap_opts o;

	VCORE_INIT(&o);
	o.name = NAME;
	ck_assert_error(vcore_link_new_tap(&o, &m), -EBUSY,
			"vcore_link_new_tap");
	o.queues = 2;
	ck_assert_error(vcore_link_new_tap(&o, &m), -EINVAL,
			"vcore_link_new_tap");
	ck_assert_ptr_null(m);
	vcore_link_unref(l);
	ck_assert_uint_eq(if_nametoindex(NAME), 0);
}
END_TEST

START_TEST(test_missing_interface_is_enodev)
{
	struct vcore_link_tap_opts o;
	struct vcore_link *l = NULL;

	VCORE_INIT(&o);
	o.name = NAME;
	ck_assert_error(vcore_link_new_tap(&o, &l), -ENODEV,
			"vcore_link_new_tap: there is no interface 'vtap0'");
	ck_assert_ptr_null(l);
	ck_assert_uint_eq(if_nametoindex(NAME), 0);
}
END_TEST

START_TEST(test_kernel_names_an_interface_without_name)
{
	struct vcore_link *l = open_tap(NULL, 1);

	ck_assert_uint_eq(vcore_link_queues(l), 1);
	ck_assert_uint_ne(if_nametoindex("tap0"), 0);
	vcore_link_unref(l);
}
END_TEST

START_TEST(test_descriptor_with_other_flags_is_einval)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int32_t fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct vcore_link_tap_opts o;
	struct vcore_link *l = NULL;

	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	VCORE_INIT(&o);
	o.fds = &fd;
	ck_assert_error(vcore_link_new_tap(&o, &l), -EINVAL,
			"vcore_link_new_tap");
	close(fd);
}
END_TEST

START_TEST(test_frames_pass_both_ways)
{
	uint8_t frame[200], got[2048];
	struct virtio_net_hdr_v1 hdr = { 0 };
	struct iovec tx[2] = { { &hdr, sizeof(hdr) }, { frame, sizeof(frame) } };
	struct iovec rx[2] = { { &hdr, sizeof(hdr) }, { got, sizeof(got) } };
	struct vcore_link *l = open_tap(NAME, 1);
	int packet = open_packet(NAME);
	void *queue;

	ready_init(&r);
	ck_assert_ok(vcore_link_attach(l, 0, r.loop, ready_fn, &r, &queue));
	make_frame(frame, sizeof(frame), 0x11);
	ck_assert_int_eq(vcore_link_send(l, queue, tx, 2), 0);
	do {
		ck_assert_int_gt(recv(packet, got, sizeof(got), 0), 14);
	} while (!is_ours(got));
	ck_assert_mem_eq(got, frame, sizeof(frame));

	make_frame(frame, sizeof(frame), 0x22);
	ck_assert_ok(vcore_link_want(l, queue, VCORE_LINK_READABLE));
	ck_assert_int_eq(send(packet, frame, sizeof(frame), 0), 200);
	ck_assert_int_eq(receive_ours(l, queue, rx), 12 + 200);
	ck_assert_mem_eq(got, frame, sizeof(frame));
	ck_assert_uint_eq(hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	vcore_link_detach(l, queue);
	vcore_link_unref(l);
	close(packet);
	ready_fini(&r);
}
END_TEST

START_TEST(test_frame_longer_than_room_is_emsgsize)
{
	uint8_t frame[1000], got[1000];
	struct virtio_net_hdr_v1 hdr;
	struct iovec rx[2] = { { &hdr, sizeof(hdr) }, { got, 999 } };
	struct vcore_link *l = open_tap(NAME, 1);
	int packet = open_packet(NAME);
	void *queue;

	ready_init(&r);
	ck_assert_ok(vcore_link_attach(l, 0, r.loop, ready_fn, &r, &queue));
	ck_assert_ok(vcore_link_want(l, queue, VCORE_LINK_READABLE));
	make_frame(frame, sizeof(frame), 0x33);
	ck_assert_int_eq(send(packet, frame, sizeof(frame), 0), 1000);
	ck_assert_int_eq(send(packet, frame, 999, 0), 999);
	ck_assert_int_eq(receive_ours(l, queue, rx), -EMSGSIZE);
	ck_assert_int_eq(receive_ours(l, queue, rx), 12 + 999);
	vcore_link_detach(l, queue);
	vcore_link_unref(l);
	close(packet);
	ready_fini(&r);
}
END_TEST

START_TEST(test_offloads_are_there_and_settable)
{
	struct vcore_link *l = open_tap(NAME, 1);
	uint32_t least = VCORE_LINK_OFFLOAD_CSUM | VCORE_LINK_OFFLOAD_TSO4 |
			 VCORE_LINK_OFFLOAD_TSO6 | VCORE_LINK_OFFLOAD_ECN;

	ck_assert_uint_eq(vcore_link_offloads(l) & least, least);
	ck_assert_ok(vcore_link_set_offloads(l, least));
	ck_assert_ok(vcore_link_set_offloads(l, 0));
	/* Segments need checksums. */
	ck_assert_error(vcore_link_set_offloads(l, VCORE_LINK_OFFLOAD_TSO4),
			-EINVAL, "vcore_link_set_offloads");
	vcore_link_unref(l);
}
END_TEST

START_TEST(test_queues_are_switched_on_by_attaching)
{
	struct vcore_link *l = open_tap(NAME, 4);
	void *queue[4], *again;

	ready_init(&r);
	ck_assert_uint_eq(vcore_link_queues(l), 4);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_ok(vcore_link_attach(l, i, r.loop, ready_fn, &r,
					       &queue[i]));
	ck_assert_error(vcore_link_attach(l, 2, r.loop, ready_fn, &r, &again),
			-EBUSY, "vcore_link_attach");
	vcore_link_detach(l, queue[2]);
	ck_assert_ok(vcore_link_attach(l, 2, r.loop, ready_fn, &r, &queue[2]));
	for (uint32_t i = 0; i < 4; i++)
		vcore_link_detach(l, queue[i]);
	vcore_link_unref(l);
	ready_fini(&r);
}
END_TEST

START_TEST(test_descriptors_are_duplicated)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int32_t fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct vcore_link_tap_opts o;
	struct vcore_link *l = NULL;
	int fds;

	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	fds = support_open_fds();
	VCORE_INIT(&o);
	o.fds = &fd;
	ck_assert_ok(vcore_link_new_tap(&o, &l));
	vcore_link_unref(l);
	ck_assert_int_eq(support_open_fds(), fds);
	close(fd);
}
END_TEST

START_TEST(test_every_failing_step_is_undone)
{
	struct vcore_link_tap_opts o;
	int fds = support_open_fds(), rc;
	struct vcore_link *l;
	bool failed = true;

	VCORE_INIT(&o);
	o.flags = VCORE_LINK_TAP_CREATE;
	o.name = NAME;
	for (unsigned n = 1; failed; n++) {
		l = NULL;
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_link_new_tap(&o, &l);
		failed = fail_stop();
		ck_assert(failed ? rc == -ENOMEM || rc == -EMFILE : rc == 0);
		vcore_link_unref(l);
		ck_assert_int_eq(support_open_fds(), fds);
		ck_assert_uint_eq(if_nametoindex(NAME), 0);
	}
}
END_TEST

/* Root without the right over networks, as in most containers. */
START_TEST(test_without_the_right_is_eperm)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct d[2];
	struct vcore_link_tap_opts o;
	struct vcore_link *l = NULL;

	ck_assert_int_eq(syscall(SYS_capget, &h, d), 0);
	d[0].effective &= ~(1u << CAP_NET_ADMIN);
	ck_assert_int_eq(syscall(SYS_capset, &h, d), 0);
	VCORE_INIT(&o);
	o.flags = VCORE_LINK_TAP_CREATE;
	o.name = NAME;
	ck_assert_error(vcore_link_new_tap(&o, &l), -EPERM,
			"vcore_link_new_tap");
	ck_assert_ptr_null(l);
}
END_TEST

/* This test's process is one of its own: nothing is hidden from others. */
START_TEST(test_without_tun_is_enoent)
{
	struct vcore_link_tap_opts o;
	struct vcore_link *l = NULL;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/dev/net", "tmpfs", 0, NULL) < 0)
		return;
	VCORE_INIT(&o);
	ck_assert_error(vcore_link_new_tap(&o, &l), -ENOENT,
			"vcore_link_new_tap");
	ck_assert_ptr_null(l);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/link_tap");
	TCase *t = tcase_create("tap");

	if (enter_own_network() < 0) {
		printf("skipped: no network namespace or no /dev/net/tun\n");
		return SKIPPED;
	}
	tcase_add_test(t, test_bad_arguments_are_refused);
	tcase_add_test(t, test_name_in_use_is_ebusy);
	tcase_add_test(t, test_missing_interface_is_enodev);
	tcase_add_test(t, test_kernel_names_an_interface_without_name);
	tcase_add_test(t, test_descriptor_with_other_flags_is_einval);
	tcase_add_test(t, test_frames_pass_both_ways);
	tcase_add_test(t, test_frame_longer_than_room_is_emsgsize);
	tcase_add_test(t, test_offloads_are_there_and_settable);
	tcase_add_test(t, test_queues_are_switched_on_by_attaching);
	tcase_add_test(t, test_descriptors_are_duplicated);
	tcase_add_test(t, test_every_failing_step_is_undone);
	tcase_add_test(t, test_without_the_right_is_eperm);
	if (getenv("CK_FORK") == NULL || strcmp(getenv("CK_FORK"), "no") != 0)
		tcase_add_test(t, test_without_tun_is_enoent);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
