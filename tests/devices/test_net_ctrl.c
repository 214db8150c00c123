/* SPDX-License-Identifier: BSD-3-Clause */
/* The control queue of a network device, and the filter it sets. */
#include "devices/net_bed.h"

#include "devices/net.h"

#define PROMISC VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC
#define MAC_TABLE VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET
#define MAC_ADDR VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET
#define PAIRS VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET
#define OFFLOADS VIRTIO_NET_CTRL_GUEST_OFFLOADS, \
		 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET

static struct net_bed b;
static uint8_t frame[1514];

static void
teardown(void)
{
	bed_down(&b);
}

/* Is a frame for this address given to the guest? */
static bool
is_given(const uint8_t dst[6])
{
	uint64_t before = bed_info(&b).rx_frames;

	bed_add_rx(&b, 1, 2048);
	vdriver_kick(b.rx);
	bed_frame(frame, 60, 0);
	memcpy(frame, dst, 6);
	fake_link_put(&b.link, 0, NULL, frame, 60);
	vdriver_run(&b.env);
	return bed_info(&b).rx_frames > before;
}

static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };
static const uint8_t multicast[6] = { 0x33, 0x33, 0, 0, 0, 1 };
static const uint8_t other[6] = { 0x52, 0x54, 0, 9, 9, 9 };

START_TEST(test_ctrl_all_is_given_until_the_driver_filters)
{
	bed_up(&b, 0, 0, 64);
	ck_assert(is_given(bed_mac));
	ck_assert(is_given(other));
	ck_assert(is_given(multicast));
	ck_assert(is_given(broadcast));
}
END_TEST

START_TEST(test_ctrl_promisc_off_leaves_own_address_and_broadcast)
{
	uint8_t off = 0;

	bed_up(&b, 0, 0, 64);
	ck_assert_uint_eq(bed_control(&b, PROMISC, &off, 1), VIRTIO_NET_OK);
	ck_assert(is_given(bed_mac));
	ck_assert(!is_given(other));
	ck_assert(!is_given(multicast));
	ck_assert(is_given(broadcast));
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 2);
	/* A reset opens it again. */
	bed_start(&b, 0, 64);
	ck_assert(is_given(other));
}
END_TEST

START_TEST(test_ctrl_filter_holds_only_while_negotiated)
{
	uint8_t off = 0;

	bed_up(&b, 0, BIT(CTRL_RX) | BIT(CTRL_RX_EXTRA), 64);
	ck_assert_uint_eq(bed_control(&b, PROMISC, &off, 1), VIRTIO_NET_ERR);
	ck_assert(is_given(other));
}
END_TEST

static const struct {
	uint8_t cmd;
	bool own, other, multicast, broadcast;	/* given */
} modes[] = {
	{ VIRTIO_NET_CTRL_RX_PROMISC, true, true, true, true },
	{ VIRTIO_NET_CTRL_RX_ALLMULTI, true, false, true, true },
	{ VIRTIO_NET_CTRL_RX_ALLUNI, true, true, false, true },
	{ VIRTIO_NET_CTRL_RX_NOMULTI, true, false, false, true },
	{ VIRTIO_NET_CTRL_RX_NOUNI, false, false, false, true },
	{ VIRTIO_NET_CTRL_RX_NOBCAST, true, false, false, false },
};

START_TEST(test_ctrl_rx_modes)
{
	uint8_t off = 0, on = 1;

	bed_up(&b, 0, 0, 64);
	ck_assert_uint_eq(bed_control(&b, PROMISC, &off, 1), VIRTIO_NET_OK);
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_RX, modes[_i].cmd,
				      &on, 1), VIRTIO_NET_OK);
	ck_assert_int_eq(is_given(bed_mac), modes[_i].own);
	ck_assert_int_eq(is_given(other), modes[_i].other);
	ck_assert_int_eq(is_given(multicast), modes[_i].multicast);
	ck_assert_int_eq(is_given(broadcast), modes[_i].broadcast);
}
END_TEST

/* A table of n unicast and m multicast addresses: its length. */
static uint32_t
table(uint8_t *p, uint32_t n, uint32_t m)
{
	uint32_t at = 0, count;

	for (uint32_t half = 0; half < 2; half++) {
		count = htole32(half ? m : n);
		memcpy(p + at, &count, 4);
		at += 4;
		for (uint32_t i = 0; i < (half ? m : n); i++, at += 6) {
			memcpy(p + at, half ? multicast : other, 6);
			p[at + 5] = (uint8_t)(i + 1);
		}
	}
	return at;
}

START_TEST(test_ctrl_mac_table_is_given)
{
	uint8_t off = 0, data[1000], mac[6];
	uint32_t len = table(data, 3, 2);

	bed_up(&b, 0, 0, 64);
	bed_control(&b, PROMISC, &off, 1);
	ck_assert_uint_eq(bed_control(&b, MAC_TABLE, data, len),
			  VIRTIO_NET_OK);
	memcpy(mac, other, 6);
	for (uint8_t i = 0; i < 5; i++) {
		mac[5] = i;
		ck_assert_int_eq(is_given(mac), i >= 1 && i <= 3);
	}
	memcpy(mac, multicast, 6);
	for (uint8_t i = 0; i < 5; i++) {
		mac[5] = i;
		ck_assert_int_eq(is_given(mac), i >= 1 && i <= 2);
	}
	/* The next table replaces it. */
	len = table(data, 0, 0);
	ck_assert_uint_eq(bed_control(&b, MAC_TABLE, data, len),
			  VIRTIO_NET_OK);
	ck_assert(!is_given(multicast));
	ck_assert(is_given(bed_mac));
}
END_TEST

START_TEST(test_ctrl_mac_table_that_is_too_large_opens_the_filter)
{
	uint8_t off = 0, data[2000], mac[6] = { 2, 2, 2, 2, 2, 2 };
	uint32_t len = table(data, 60, 10);

	bed_up(&b, 0, 0, 64);
	bed_control(&b, PROMISC, &off, 1);
	ck_assert_uint_eq(bed_control(&b, MAC_TABLE, data, len),
			  VIRTIO_NET_OK);
	/* 60 unicasts fit, then 4 of 10 multicasts. */
	ck_assert(!is_given(mac));
	mac[0] = 3;
	ck_assert(is_given(mac));
	len = table(data, 200, 0);
	ck_assert_uint_eq(bed_control(&b, MAC_TABLE, data, len),
			  VIRTIO_NET_OK);
	mac[0] = 2;
	ck_assert(is_given(mac));
}
END_TEST

/* Hostile case 61: a count that lies. */
START_TEST(test_ctrl_mac_table_with_a_wrong_count_is_refused)
{
	static const uint32_t counts[] = { 4, 5, 0x2aaaaaab, 0x80000000,
					   0xffffffff };
	uint8_t off = 0, data[1000];
	uint32_t len = table(data, 3, 0), count = htole32(counts[_i]);

	bed_up(&b, 0, 0, 64);
	bed_control(&b, PROMISC, &off, 1);
	memcpy(data, &count, 4);
	ck_assert_uint_eq(bed_control(&b, MAC_TABLE, data, len),
			  VIRTIO_NET_ERR);
	count = 0;
	memcpy(data, &count, 4);
	ck_assert_uint_eq(bed_control(&b, MAC_TABLE, data, len),
			  VIRTIO_NET_ERR);
	ck_assert(is_given(bed_mac));
	ck_assert(!is_given(other));
}
END_TEST

START_TEST(test_ctrl_mac_address_is_seen_in_the_configuration)
{
	uint8_t off = 0, mac[6] = { 2, 4, 6, 8, 10, 12 };

	bed_up(&b, 0, 0, 64);
	bed_control(&b, PROMISC, &off, 1);
	ck_assert_uint_eq(bed_control(&b, MAC_ADDR, mac, 6), VIRTIO_NET_OK);
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_uint_eq(vdriver_config_read(&b.d, i, 1), mac[i]);
	ck_assert(is_given(mac));
	ck_assert(!is_given(bed_mac));
	mac[0] = 3;
	ck_assert_uint_eq(bed_control(&b, MAC_ADDR, mac, 6), VIRTIO_NET_ERR);
	/* A reset brings the first one back. */
	bed_start(&b, 0, 64);
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_uint_eq(vdriver_config_read(&b.d, i, 1),
				  bed_mac[i]);
}
END_TEST

START_TEST(test_ctrl_offloads_reach_the_link)
{
	uint64_t bits = htole64(BIT(GUEST_CSUM) | BIT(GUEST_TSO6));

	bed_up(&b, ALL_OFFLOADS, BIT(GUEST_TSO4), 64);
	ck_assert_uint_eq(b.link.rx_offloads,
			  ALL_OFFLOADS & ~VCORE_LINK_OFFLOAD_TSO4);
	ck_assert_uint_eq(bed_control(&b, OFFLOADS, &bits, 8), VIRTIO_NET_OK);
	ck_assert_uint_eq(b.link.rx_offloads, VCORE_LINK_OFFLOAD_CSUM |
			  VCORE_LINK_OFFLOAD_TSO6);
	/* Not negotiated; no offload at all; a link that says no. */
	bits = htole64(BIT(GUEST_CSUM) | BIT(GUEST_TSO4));
	ck_assert_uint_eq(bed_control(&b, OFFLOADS, &bits, 8), VIRTIO_NET_ERR);
	bits = htole64(BIT(MAC));
	ck_assert_uint_eq(bed_control(&b, OFFLOADS, &bits, 8), VIRTIO_NET_ERR);
	b.link.set_rc = -EIO;
	bits = 0;
	ck_assert_uint_eq(bed_control(&b, OFFLOADS, &bits, 8), VIRTIO_NET_ERR);
	ck_assert_uint_eq(b.link.rx_offloads, VCORE_LINK_OFFLOAD_CSUM |
			  VCORE_LINK_OFFLOAD_TSO6);
}
END_TEST

START_TEST(test_ctrl_offload_given_up_is_not_received_any_more)
{
	struct virtio_net_hdr_v1 hdr = { .flags = 1, .gso_type = 1,
					 .gso_size = 1448 };
	uint64_t bits = 0;

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	ck_assert_uint_eq(bed_control(&b, OFFLOADS, &bits, 8), VIRTIO_NET_OK);
	bed_add_rx(&b, 2, 2048);
	vdriver_kick(b.rx);
	fake_link_put(&b.link, 0, &hdr, frame, 1514);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 1);
}
END_TEST

/* Hostile case 61: 0, one too many, 0xffff, truncated. */
START_TEST(test_ctrl_pairs_out_of_range_are_refused)
{
	static const uint16_t bad[] = { 0, 3, 0x8000, 0x8001, 0xffff };
	uint16_t n;

	bed_make(&b, 0, 2, 64);
	bed_start(&b, 0, 64);
	for (uint32_t i = 0; i < 5; i++) {
		n = htole16(bad[i]);
		ck_assert_uint_eq(bed_control(&b, PAIRS, &n, 2),
				  VIRTIO_NET_ERR);
	}
	n = htole16(2);
	ck_assert_uint_eq(bed_control(&b, PAIRS, &n, 1), VIRTIO_NET_ERR);
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_MQ, 1, &n, 2),
			  VIRTIO_NET_ERR);
	ck_assert_uint_eq(bed_info(&b).pairs, 1);
	ck_assert_uint_eq(bed_control(&b, PAIRS, &n, 2), VIRTIO_NET_OK);
	ck_assert_uint_eq(bed_info(&b).pairs, 2);
}
END_TEST

/* Hostile case 61: every length up to too much of each command. */
START_TEST(test_ctrl_truncated_commands_are_refused)
{
	static const struct {
		uint8_t class, cmd;
		uint32_t len;		/* the only good one; 0: none */
	} commands[] = {
		{ PROMISC, 1 }, { MAC_TABLE, 8 }, { MAC_ADDR, 6 },
		{ OFFLOADS, 8 }, { VIRTIO_NET_CTRL_RX, 6, 0 },
		{ VIRTIO_NET_CTRL_MAC, 2, 0 }, { VIRTIO_NET_CTRL_VLAN, 0, 0 },
		{ VIRTIO_NET_CTRL_ANNOUNCE, 0, 0 }, { 255, 255, 0 },
		{ VIRTIO_NET_CTRL_GUEST_OFFLOADS, 1, 0 }, { PAIRS, 0 },
	};
	uint8_t zero[16] = { 0 };

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	for (uint32_t len = 0; len <= 16; len++)
		ck_assert_uint_eq(bed_control(&b, commands[_i].class,
					      commands[_i].cmd, zero, len),
				  len && len == commands[_i].len ?
				  VIRTIO_NET_OK : VIRTIO_NET_ERR);
}
END_TEST

START_TEST(test_ctrl_half_a_header_is_refused)
{
	struct vdriver_buf bufs[2] = { { .len = 1 },
				       { .len = 1, .write = true } };

	bed_up(&b, 0, 0, 64);
	bufs[0].gpa = vdriver_alloc(&b.env, 2, 1);
	bufs[1].gpa = bufs[0].gpa + 1;
	vdriver_add(b.ctrl, bufs, 2);
	vdriver_kick(b.ctrl);
	vdriver_run(&b.env);
	ck_assert_uint_eq(*((uint8_t *)vdriver_ram(&b.env, bufs[1].gpa)),
			  VIRTIO_NET_ERR);
}
END_TEST

START_TEST(test_ctrl_command_without_room_for_the_answer_needs_reset)
{
	struct vdriver_buf buf = { .len = 3 };
	uint8_t off = 0;

	bed_up(&b, 0, 0, 64);
	buf.gpa = vdriver_alloc(&b.env, 3, 1);
	vdriver_add(b.ctrl, &buf, 1);
	vdriver_kick(b.ctrl);
	vdriver_run(&b.env);
	ck_assert(bed_is_broken(&b));
	bed_start(&b, 0, 64);
	ck_assert_uint_eq(bed_control(&b, PROMISC, &off, 1), VIRTIO_NET_OK);
}
END_TEST

START_TEST(test_ctrl_queue_follows_the_first_pair_without_mq)
{
	uint8_t off = 0;

	bed_make(&b, 0, 2, 64);
	ck_assert(vdriver_begin(&b.d, BIT(MQ)));
	for (uint32_t i = 0; i < 5; i++)
		ck_assert(vdriver_queue(&b.d, i, 64));
	vdriver_ok(&b.d);
	b.ctrl = &b.d.queue[2];
	ck_assert_uint_eq(bed_control(&b, PROMISC, &off, 1), VIRTIO_NET_OK);
	/* What would be the one with MQ is nobody's queue. */
	b.ctrl = &b.d.queue[4];
	ck_assert_uint_eq(bed_control(&b, PROMISC, &off, 1), 0xff);
	ck_assert(!bed_is_broken(&b));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("net_ctrl");
	TCase *t = tcase_create("ctrl");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_ctrl_all_is_given_until_the_driver_filters);
	tcase_add_test(t,
		       test_ctrl_promisc_off_leaves_own_address_and_broadcast);
	tcase_add_test(t, test_ctrl_filter_holds_only_while_negotiated);
	tcase_add_loop_test(t, test_ctrl_rx_modes, 0,
			    sizeof(modes) / sizeof(modes[0]));
	tcase_add_test(t, test_ctrl_mac_table_is_given);
	tcase_add_test(t,
		       test_ctrl_mac_table_that_is_too_large_opens_the_filter);
	tcase_add_loop_test(
		t, test_ctrl_mac_table_with_a_wrong_count_is_refused, 0, 5);
	tcase_add_test(t, test_ctrl_mac_address_is_seen_in_the_configuration);
	tcase_add_test(t, test_ctrl_offloads_reach_the_link);
	tcase_add_test(t,
		       test_ctrl_offload_given_up_is_not_received_any_more);
	tcase_add_test(t, test_ctrl_pairs_out_of_range_are_refused);
	tcase_add_loop_test(t, test_ctrl_truncated_commands_are_refused, 0,
			    11);
	tcase_add_test(t, test_ctrl_half_a_header_is_refused);
	tcase_add_test(
		t, test_ctrl_command_without_room_for_the_answer_needs_reset);
	tcase_add_test(t, test_ctrl_queue_follows_the_first_pair_without_mq);
	suite_add_tcase(s, t);
	return support_run(s);
}
