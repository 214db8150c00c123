/* SPDX-License-Identifier: BSD-3-Clause */
/* Transmitting: what the link gets, and which headers it never sees. */
#include "devices/net_bed.h"

#include "devices/net.h"

static struct net_bed b;
static uint8_t frame[70000];

static void
teardown(void)
{
	bed_down(&b);
}

static void
kick(void)
{
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
}

static const uint8_t *
sent(uint32_t i, uint32_t len)
{
	const struct fake_frame *f = fake_link_sent(&b.link, 0, i);

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(f->len, HDR + len);
	return f->bytes;
}

START_TEST(test_tx_frame_reaches_the_link)
{
	static const uint8_t zero[HDR];
	uint32_t used;

	bed_up(&b, 0, 0, 64);
	bed_frame(frame, 1514, 1);
	bed_add_tx(&b, NULL, frame, 1514);
	kick();
	ck_assert(vdriver_used(b.tx, NULL, &used));
	ck_assert_uint_eq(used, 0);
	ck_assert_int_eq(memcmp(sent(0, 1514), zero, HDR), 0);
	ck_assert_int_eq(memcmp(sent(0, 1514) + HDR, frame, 1514), 0);
	ck_assert_uint_eq(bed_info(&b).tx_frames, 1);
	ck_assert_uint_eq(bed_info(&b).tx_bytes, 1514);
}
END_TEST

/* Hostile cases 15, 59: the header in twelve descriptors, the rest in n. */
START_TEST(test_tx_chain_may_be_cut_anywhere)
{
	struct virtio_net_hdr_v1 hdr = { .flags = 1, .csum_start = 14,
					 .csum_offset = 16 };
	struct vdriver_buf bufs[300];
	uint32_t n = 0, len = 1500, step = (uint32_t)_i;
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, 0, 512);
	gpa = vdriver_alloc(&b.env, HDR + len, 1);
	bed_frame(frame, len, 3);
	memcpy(vdriver_ram(&b.env, gpa), &hdr, HDR);
	memcpy((uint8_t *)vdriver_ram(&b.env, gpa) + HDR, frame, len);
	for (uint32_t at = 0, k; at < HDR + len; at += k) {
		k = at < HDR + 20 ? 1 : step;
		k = k > HDR + len - at ? HDR + len - at : k;
		ck_assert_uint_lt(n, 300);
		bufs[n++] = (struct vdriver_buf){ .gpa = gpa + at, .len = k };
	}
	vdriver_add(b.tx, bufs, n);
	kick();
	ck_assert_int_eq(memcmp(sent(0, len), &hdr, HDR), 0);
	ck_assert_int_eq(memcmp(sent(0, len) + HDR, frame, len), 0);
	ck_assert_uint_le(b.link.q[0].sent_iovs, VCORE__NET_HELD + 1);
}
END_TEST

/* Hostile case 59: lengths around both ends. */
static const struct {
	uint32_t len;			/* with header */
	bool good;
} lengths[] = {
	{ 1, false }, { 11, false }, { 12, false }, { 13, false },
	{ 25, false }, { 26, true }, { 12 + 65536, true },
	{ 12 + 65568, true }, { 12 + 65569, false }, { 1 << 20, false },
};

START_TEST(test_tx_frame_of_bad_length_is_dropped)
{
	struct vdriver_buf buf = { .len = lengths[_i].len };

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	buf.gpa = vdriver_alloc(&b.env, buf.len, 1);
	vdriver_add(b.tx, &buf, 1);
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	ck_assert(vdriver_used(b.tx, NULL, NULL));
	ck_assert(vdriver_used(b.tx, NULL, NULL));
	ck_assert_uint_eq(bed_info(&b).tx_frames, lengths[_i].good ? 2 : 1);
	ck_assert_uint_eq(bed_info(&b).tx_dropped, lengths[_i].good ? 0 : 1);
	ck_assert(!bed_is_broken(&b));
}
END_TEST

START_TEST(test_tx_chain_without_readable_part_is_dropped)
{
	struct vdriver_buf buf = { .len = 2048, .write = true };
	uint32_t used;

	bed_up(&b, 0, 0, 64);
	buf.gpa = vdriver_alloc(&b.env, buf.len, 1);
	vdriver_add(b.tx, &buf, 1);
	kick();
	ck_assert(vdriver_used(b.tx, NULL, &used));
	ck_assert_uint_eq(used, 0);
	ck_assert_uint_eq(bed_info(&b).tx_dropped, 1);
}
END_TEST

/* Nothing behind RAM is read: the chain is refused as a whole. */
START_TEST(test_tx_descriptor_of_4_gib_needs_reset)
{
	struct vdriver_buf buf = { .gpa = 0, .len = UINT32_MAX };

	bed_up(&b, 0, 0, 64);
	vdriver_add(b.tx, &buf, 1);
	kick();
	ck_assert(bed_is_broken(&b));
	bed_start(&b, 0, 64);
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	ck_assert_uint_eq(bed_info(&b).tx_frames, 1);
}
END_TEST

#define F_ALL (BIT(CSUM) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_UFO) | \
	       BIT(HOST_ECN))

/* Hostile cases 47, 59; len is 1000. */
static const struct {
	struct virtio_net_hdr_v1 hdr;
	uint64_t features;
	bool good;
} headers[] = {
	{ { .flags = 0 }, 0, true },
	/* Checksum */
	{ { .flags = 1, .csum_start = 34, .csum_offset = 16 }, F_ALL, true },
	{ { .flags = 1, .csum_start = 34, .csum_offset = 16 }, 0, false },
	{ { .flags = 1, .csum_start = 13, .csum_offset = 16 }, F_ALL, false },
	{ { .flags = 1, .csum_start = 982, .csum_offset = 16 }, F_ALL, true },
	{ { .flags = 1, .csum_start = 983, .csum_offset = 16 }, F_ALL, false },
	{ { .flags = 1, .csum_start = 1000 }, F_ALL, false },
	{ { .flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff }, F_ALL,
	  false },
	{ { .flags = 1, .csum_start = 14, .csum_offset = 0xffff }, F_ALL,
	  false },
	{ { .flags = 0xfe, .csum_start = 0xffff }, F_ALL, true },
	/* Segmentation */
	{ { .flags = 1, .gso_type = 1, .gso_size = 100, .hdr_len = 54,
	    .csum_start = 34, .csum_offset = 16 }, F_ALL, true },
	{ { .flags = 1, .gso_type = 4, .gso_size = 100, .hdr_len = 74,
	    .csum_start = 54, .csum_offset = 16 }, F_ALL, true },
	{ { .flags = 1, .gso_type = 3, .gso_size = 100, .hdr_len = 42,
	    .csum_start = 34, .csum_offset = 6 }, F_ALL, true },
	{ { .flags = 1, .gso_type = 0x81, .gso_size = 1, .hdr_len = 0,
	    .csum_start = 34, .csum_offset = 16 }, F_ALL, true },
	{ { .flags = 1, .gso_type = 0x81, .gso_size = 1, .csum_start = 34,
	    .csum_offset = 16 }, F_ALL & ~BIT(HOST_ECN), false },
	{ { .flags = 1, .gso_type = 1, .gso_size = 0, .csum_start = 34,
	    .csum_offset = 16 }, F_ALL, false },
	{ { .flags = 0, .gso_type = 1, .gso_size = 100 }, F_ALL, false },
	{ { .flags = 1, .gso_type = 1, .gso_size = 100, .hdr_len = 1000,
	    .csum_start = 34 }, F_ALL, true },
	{ { .flags = 1, .gso_type = 1, .gso_size = 100, .hdr_len = 1001,
	    .csum_start = 34 }, F_ALL, false },
	{ { .flags = 1, .gso_type = 1, .gso_size = 100, .csum_start = 34 },
	  F_ALL & ~BIT(HOST_TSO4), false },
	{ { .flags = 1, .gso_type = 4, .gso_size = 100, .csum_start = 34 },
	  F_ALL & ~BIT(HOST_TSO6), false },
	{ { .flags = 1, .gso_type = 3, .gso_size = 100, .csum_start = 34 },
	  F_ALL & ~BIT(HOST_UFO), false },
	{ { .flags = 1, .gso_type = 2, .gso_size = 100, .csum_start = 34 },
	  F_ALL, false },
	{ { .flags = 1, .gso_type = 5, .gso_size = 100, .csum_start = 34 },
	  F_ALL, false },
	{ { .flags = 1, .gso_type = 0x7f, .gso_size = 100, .csum_start = 34 },
	  F_ALL, false },
	{ { .flags = 1, .gso_type = 0x80, .gso_size = 100, .csum_start = 34 },
	  F_ALL, false },
};

START_TEST(test_tx_header_check_refuses_nonsense)
{
	struct virtio_net_hdr_v1 hdr = headers[_i].hdr;

	hdr.num_buffers = 0xffff;
	ck_assert_int_eq(vcore__net_hdr_check(&hdr, headers[_i].features,
					      1000),
			 headers[_i].good);
	if (!headers[_i].good)
		return;
	/* What goes on has no bit that was not checked. */
	ck_assert_uint_eq(hdr.flags & ~1u, 0);
	ck_assert_uint_eq(hdr.num_buffers, 0);
	if (!hdr.flags)
		ck_assert_uint_eq(hdr.csum_start | hdr.csum_offset, 0);
	if (!hdr.gso_type)
		ck_assert_uint_eq(hdr.gso_size | hdr.hdr_len, 0);
}
END_TEST

START_TEST(test_tx_bad_header_is_dropped_and_counted)
{
	struct virtio_net_hdr_v1 hdr = { .flags = 1, .csum_start = 0xfff0,
					 .csum_offset = 0xfff0 };

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	bed_add_tx(&b, &hdr, frame, 60);
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	ck_assert_uint_eq(b.link.q[0].sent_count, 1);
	ck_assert_uint_eq(bed_info(&b).tx_dropped, 1);
	ck_assert(!bed_is_broken(&b));
}
END_TEST

START_TEST(test_tx_offload_the_driver_did_not_accept_is_dropped)
{
	struct virtio_net_hdr_v1 hdr = { .flags = 1, .csum_start = 34,
					 .csum_offset = 16, .gso_type = 1,
					 .gso_size = 1448 };

	bed_up(&b, ALL_OFFLOADS, BIT(HOST_TSO4) | BIT(HOST_ECN), 64);
	bed_add_tx(&b, &hdr, frame, 9000);
	hdr.gso_type = 4;
	bed_add_tx(&b, &hdr, frame, 9000);
	kick();
	ck_assert_uint_eq(b.link.q[0].sent_count, 1);
	ck_assert_uint_eq(bed_info(&b).tx_gso, 1);
}
END_TEST

START_TEST(test_tx_stays_in_the_queue_while_the_link_is_full)
{
	bed_up(&b, 0, 0, 64);
	fake_link_set_full(&b.link, true);
	for (uint32_t i = 0; i < 10; i++) {
		bed_frame(frame, 60, i);
		bed_add_tx(&b, NULL, frame, 60);
	}
	kick();
	ck_assert(!vdriver_used(b.tx, NULL, NULL));
	ck_assert_uint_eq(b.link.q[0].want & VCORE_LINK_WRITABLE,
			  VCORE_LINK_WRITABLE);
	/* More kicks don't ask the link again. */
	kick();
	fake_link_set_full(&b.link, false);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_used_idx(b.tx), 10);
	for (uint32_t i = 0; i < 10; i++) {
		bed_frame(frame, 60, i);
		ck_assert_int_eq(memcmp(sent(i, 60) + HDR, frame, 60), 0);
	}
	ck_assert_uint_eq(b.link.q[0].want & VCORE_LINK_WRITABLE, 0);
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	ck_assert_uint_eq(b.link.q[0].sent_count, 11);
}
END_TEST

START_TEST(test_tx_blocked_queue_pauses_and_goes_on)
{
	bed_up(&b, 0, 0, 64);
	fake_link_set_full(&b.link, true);
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	ck_assert_int_eq(vcore_virtio_stop(b.virtio, VCORE_VIRTIO_STOP_DRAIN,
					   1), -ETIMEDOUT);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].attaches, 2);
	fake_link_set_full(&b.link, false);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].sent_count, 1);
}
END_TEST

START_TEST(test_tx_blocked_queue_is_forgotten_by_reset)
{
	bed_up(&b, 0, 0, 64);
	fake_link_set_full(&b.link, true);
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	bed_start(&b, 0, 64);
	fake_link_set_full(&b.link, false);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].sent_count, 0);
	ck_assert_uint_eq(vdriver_used_idx(b.tx), 0);
}
END_TEST

START_TEST(test_tx_error_of_the_link_drops_the_frame_only)
{
	bed_up(&b, 0, 0, 64);
	b.link.send_rc = -EIO;
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	ck_assert(vdriver_used(b.tx, NULL, NULL));
	b.link.send_rc = 0;
	bed_add_tx(&b, NULL, frame, 60);
	kick();
	ck_assert(vdriver_used(b.tx, NULL, NULL));
	ck_assert_uint_eq(bed_info(&b).tx_dropped, 1);
	ck_assert_uint_eq(bed_info(&b).tx_frames, 1);
}
END_TEST

START_TEST(test_tx_many_frames_are_sent_in_bounded_calls)
{
	uint64_t without = _i ? UINT64_C(1) << 29 : 0;

	bed_up(&b, 0, without, 512);
	bed_frame(frame, 60, 0);
	for (uint32_t i = 0; i < 500; i++) {
		frame[59] = (uint8_t)i;
		bed_add_tx(&b, NULL, frame, 60);
	}
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_info(&b).tx_frames, 500);
	for (uint32_t i = 0; i < 500; i++)
		ck_assert_uint_eq(sent(i, 60)[HDR + 59], (uint8_t)i);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("net_tx");
	TCase *t = tcase_create("tx"), *u = tcase_create("header");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_tx_frame_reaches_the_link);
	tcase_add_loop_test(t, test_tx_chain_may_be_cut_anywhere, 8, 60);
	tcase_add_loop_test(t, test_tx_frame_of_bad_length_is_dropped, 0,
			    sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(t, test_tx_chain_without_readable_part_is_dropped);
	tcase_add_test(t, test_tx_descriptor_of_4_gib_needs_reset);
	tcase_add_test(t, test_tx_bad_header_is_dropped_and_counted);
	tcase_add_test(t,
		       test_tx_offload_the_driver_did_not_accept_is_dropped);
	tcase_add_test(t, test_tx_stays_in_the_queue_while_the_link_is_full);
	tcase_add_test(t, test_tx_blocked_queue_pauses_and_goes_on);
	tcase_add_test(t, test_tx_blocked_queue_is_forgotten_by_reset);
	tcase_add_test(t, test_tx_error_of_the_link_drops_the_frame_only);
	tcase_add_loop_test(t, test_tx_many_frames_are_sent_in_bounded_calls,
			    0, 2);
	suite_add_tcase(s, t);
	tcase_add_loop_test(u, test_tx_header_check_refuses_nonsense, 0,
			    sizeof(headers) / sizeof(headers[0]));
	suite_add_tcase(s, u);
	return support_run(s);
}
