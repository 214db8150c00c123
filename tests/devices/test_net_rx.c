/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving: frames of a link in the guest's buffers, however small these are. */
#include "devices/net_bed.h"

static struct net_bed b;
static uint8_t frame[70000];

static void
teardown(void)
{
	bed_down(&b);
}

static void
put(uint32_t len, uint32_t seed)
{
	bed_frame(frame, len, seed);
	fake_link_put(&b.link, 0, NULL, frame, len);
}

/*
 * The next frame in buffers of size bytes that lie in a row from gpa: header
 * and payload are as put. Returns the number of buffers.
 */
static uint32_t
check_frame(uint64_t gpa, uint32_t size, uint32_t len)
{
	uint32_t total = HDR + len, n = (total + size - 1) / size, used;
	const uint8_t *at = vdriver_ram(&b.env, gpa);
	struct virtio_net_hdr_v1 hdr;

	for (uint32_t i = 0; i < n; i++) {
		ck_assert(vdriver_used(b.rx, NULL, &used));
		ck_assert_uint_eq(used, i + 1 < n ? size :
						    total - i * size);
	}
	memcpy(&hdr, at, HDR);
	ck_assert_uint_eq(le16toh(hdr.num_buffers), n);
	ck_assert_int_eq(memcmp(at + HDR, frame, len), 0);
	return n;
}

START_TEST(test_rx_frame_lies_behind_header_in_one_buffer)
{
	uint64_t gpa;

	bed_up(&b, 0, 0, 64);
	gpa = bed_add_rx(&b, 1, 2048);
	vdriver_kick(b.rx);
	put(60, 1);
	vdriver_run(&b.env);
	check_frame(gpa, 2048, 60);
	/* Not one byte more than the used length was written. */
	ck_assert_uint_eq(*(uint8_t *)vdriver_ram(&b.env, gpa + HDR + 60),
			  0xee);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 1);
	ck_assert_uint_eq(bed_info(&b).rx_bytes, 60);
	ck_assert_uint_eq(bed_info(&b).queue_frames[0], 1);
}
END_TEST

static const struct {
	uint32_t size, len;
} merges[] = {
	{ 12, 60 }, { 13, 61 }, { 17, 1000 }, { 18, 500 }, { 19, 300 },
	{ 64, 52 }, { 64, 53 }, { 64, 1514 }, { 128, 1514 }, { 256, 9000 },
	{ 1526, 1514 }, { 1526, 1515 }, { 1536, 65550 }, { 4096, 65550 },
	{ 600, 65550 }, { 65562, 65550 }, { 70000, 65568 },
};

START_TEST(test_rx_frame_is_merged_from_buffers_of_any_size)
{
	uint32_t size = merges[_i].size, len = merges[_i].len;
	uint32_t n = (HDR + len + size - 1) / size;
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, 0, 256);
	gpa = bed_add_rx(&b, n, size);
	vdriver_kick(b.rx);
	put(len, 7);
	vdriver_run(&b.env);
	ck_assert_uint_eq(check_frame(gpa, size, len), n);
	ck_assert_uint_eq(bed_info(&b).rx_merged, n > 1);
	ck_assert(!vdriver_used(b.rx, NULL, NULL));
}
END_TEST

START_TEST(test_rx_many_frames_keep_their_order_and_content)
{
	uint64_t gpa, heap;
	uint32_t len;

	bed_up(&b, ALL_OFFLOADS, 0, 256);
	heap = b.env.heap;
	for (uint32_t i = 0; i < 400; i++) {
		len = i % 7 == 3 ? 3000 + i : 60 + i;
		b.env.heap = heap;
		gpa = bed_add_rx(&b, 8, 1024);
		vdriver_kick(b.rx);
		put(len, i);
		vdriver_run(&b.env);
		/* Use up what is left of the 8. */
		for (uint32_t k = check_frame(gpa, 1024, len); k < 8; k++) {
			put(60, k);
			vdriver_run(&b.env);
			check_frame(gpa + 1024 * k, 1024, 60);
		}
	}
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 0);
}
END_TEST

START_TEST(test_rx_waits_in_the_link_without_buffers)
{
	bed_up(&b, 0, 0, 64);
	for (uint32_t i = 0; i < 20; i++)
		put(100, i);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].in_count, 20);
	ck_assert_uint_eq(b.link.q[0].want, 0);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 0);
}
END_TEST

/* Hostile cases 60: an empty queue under flood recovers when refilled. */
START_TEST(test_rx_resumes_when_buffers_come)
{
	uint64_t gpa;

	bed_up(&b, 0, 0, 64);
	for (uint32_t i = 0; i < 20; i++)
		put(100, i);
	vdriver_run(&b.env);
	for (uint32_t i = 0; i < 20; i++) {
		gpa = bed_add_rx(&b, 1, 2048);
		vdriver_kick(b.rx);
		vdriver_run(&b.env);
		bed_frame(frame, 100, i);
		check_frame(gpa, 2048, 100);
	}
	put(100, 99);
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].in_count, 1);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 20);
}
END_TEST

START_TEST(test_rx_frame_waits_until_enough_buffers_are_there)
{
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, 0, 256);
	gpa = bed_add_rx(&b, 3, 1024);
	vdriver_kick(b.rx);
	put(20000, 5);
	vdriver_run(&b.env);
	ck_assert(!vdriver_used(b.rx, NULL, NULL));
	/* One more at a time; they lie in a row. */
	for (uint32_t i = 3; i < 20; i++) {
		ck_assert(!vdriver_used(b.rx, NULL, NULL));
		bed_add_rx(&b, 1, 1024);
		vdriver_kick(b.rx);
		vdriver_run(&b.env);
	}
	check_frame(gpa, 1024, 20000);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 0);
}
END_TEST

START_TEST(test_rx_frame_that_waits_survives_a_pause)
{
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	gpa = bed_add_rx(&b, 1, 1024);
	vdriver_kick(b.rx);
	put(1500, 5);
	vdriver_run(&b.env);
	ck_assert_int_eq(vcore_virtio_stop(b.virtio, VCORE_VIRTIO_STOP_PARK,
					   1), -ETIMEDOUT);
	vdriver_run(&b.env);
	ck_assert_ok(vcore_virtio_start(b.virtio));
	vdriver_run(&b.env);
	ck_assert_uint_eq(b.link.q[0].attaches, 2);
	bed_add_rx(&b, 1, 1024);
	vdriver_kick(b.rx);
	vdriver_run(&b.env);
	check_frame(gpa, 1024, 1500);
}
END_TEST

START_TEST(test_rx_frame_that_waits_is_dropped_by_reset)
{
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	bed_add_rx(&b, 1, 1024);
	vdriver_kick(b.rx);
	put(1500, 5);
	vdriver_run(&b.env);
	bed_start(&b, 0, 64);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 1);
	gpa = bed_add_rx(&b, 1, 1024);
	vdriver_kick(b.rx);
	put(100, 6);
	vdriver_run(&b.env);
	check_frame(gpa, 1024, 100);
}
END_TEST

START_TEST(test_rx_big_packet_mode_takes_64k_in_one_chain)
{
	struct vdriver_buf bufs[18];
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, BIT(MRG_RXBUF), 256);
	gpa = vdriver_alloc(&b.env, 18 * 4096, 4096);
	for (uint32_t i = 0; i < 18; i++)
		bufs[i] = (struct vdriver_buf){ .gpa = gpa + 4096 * i,
						.len = 4096, .write = true };
	vdriver_add(b.rx, bufs, 18);
	vdriver_kick(b.rx);
	put(65550, 9);
	vdriver_run(&b.env);
	check_frame(gpa, 18 * 4096, 65550);
}
END_TEST

START_TEST(test_rx_without_merging_drops_what_is_longer_than_a_chain)
{
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, BIT(MRG_RXBUF), 64);
	gpa = bed_add_rx(&b, 2, 1526);
	vdriver_kick(b.rx);
	put(1515, 1);
	put(1514, 2);
	vdriver_run(&b.env);
	check_frame(gpa, 1526, 1514);
	ck_assert(!vdriver_used(b.rx, NULL, NULL));
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 1);
}
END_TEST

START_TEST(test_rx_frame_longer_than_any_is_dropped)
{
	bed_up(&b, ALL_OFFLOADS, 0, 64);
	bed_add_rx(&b, 40, 2048);
	vdriver_kick(b.rx);
	put(65569, 1);
	put(60, 1);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 1);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 1);
}
END_TEST

/* A link that claims more than there was room for. */
START_TEST(test_rx_length_that_cannot_be_is_dropped)
{
	bed_up(&b, ALL_OFFLOADS, 0, 64);
	bed_add_rx(&b, 40, 2048);
	vdriver_kick(b.rx);
	b.link.claim = 65536;
	put(60, 1);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 0);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 1);
	put(60, 1);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 1);
}
END_TEST

START_TEST(test_rx_runt_is_dropped)
{
	bed_up(&b, 0, 0, 64);
	bed_add_rx(&b, 4, 2048);
	vdriver_kick(b.rx);
	put(13, 1);
	put(0, 1);
	put(14, 1);
	vdriver_run(&b.env);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 2);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 1);
}
END_TEST

/* Hostile cases 60: buffers of 1 byte. */
START_TEST(test_rx_buffer_of_one_byte_needs_reset_and_works_afterwards)
{
	uint64_t gpa;

	bed_up(&b, 0, _i ? BIT(MRG_RXBUF) : 0, 64);
	bed_add_rx(&b, 60, 1);
	vdriver_kick(b.rx);
	put(60, 1);
	vdriver_run(&b.env);
	ck_assert(bed_is_broken(&b));
	put(60, 2);
	vdriver_run(&b.env);
	bed_start(&b, 0, 64);
	ck_assert(!bed_is_broken(&b));
	gpa = bed_add_rx(&b, 2, 2048);
	vdriver_kick(b.rx);
	vdriver_run(&b.env);
	ck_assert(vdriver_used(b.rx, NULL, NULL));
	(void)gpa;
}
END_TEST

START_TEST(test_rx_chain_without_room_needs_reset)
{
	struct vdriver_buf buf = { .len = 2048 };

	bed_up(&b, 0, 0, 64);
	buf.gpa = vdriver_alloc(&b.env, 2048, 1);
	vdriver_add(b.rx, &buf, 1);
	vdriver_kick(b.rx);
	put(60, 1);
	vdriver_run(&b.env);
	ck_assert(bed_is_broken(&b));
}
END_TEST

/* Hostile cases 60: so many small buffers that a frame never fits. */
START_TEST(test_rx_too_scattered_buffers_drop_frames_not_the_queue)
{
	bed_up(&b, ALL_OFFLOADS, 0, 1024);
	bed_add_rx(&b, 1000, 12);
	vdriver_kick(b.rx);
	put(9000, 1);
	put(60, 2);
	vdriver_run(&b.env);
	ck_assert(!bed_is_broken(&b));
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 1);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 1);
	ck_assert_uint_eq(b.link.q[0].in_count, 0);
}
END_TEST

START_TEST(test_rx_chains_of_many_descriptors_do_not_spin)
{
	struct vdriver_buf bufs[64];
	uint64_t gpa;
	uint32_t calls;

	bed_up(&b, ALL_OFFLOADS, 0, 1024);
	gpa = vdriver_alloc(&b.env, 4096, 1);
	for (uint32_t i = 0; i < 64; i++)
		bufs[i] = (struct vdriver_buf){ .gpa = gpa + i, .len = 1,
						.write = true };
	for (uint32_t i = 0; i < 15; i++)
		vdriver_add(b.rx, bufs, 64);
	vdriver_kick(b.rx);
	put(9000, 1);
	vdriver_run(&b.env);
	calls = b.link.q[0].calls;
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 1);
	ck_assert_int_eq(vcore_loop_dispatch(b.env.loop, 0), 0);
	ck_assert_uint_eq(b.link.q[0].calls, calls);
}
END_TEST

/* Readable descriptors in a receive chain are the driver's error, not ours. */
START_TEST(test_rx_readable_part_of_a_chain_is_left_alone)
{
	struct vdriver_buf bufs[2] = { { .len = 64 },
				       { .len = 2048, .write = true } };
	uint32_t used;

	bed_up(&b, 0, 0, 64);
	bufs[0].gpa = vdriver_alloc(&b.env, 64, 1);
	bufs[1].gpa = vdriver_alloc(&b.env, 2048, 1);
	vdriver_add(b.rx, bufs, 2);
	vdriver_kick(b.rx);
	put(60, 1);
	vdriver_run(&b.env);
	ck_assert(vdriver_used(b.rx, NULL, &used));
	ck_assert_uint_eq(used, HDR + 60);
	ck_assert_int_eq(memcmp((uint8_t *)vdriver_ram(&b.env, bufs[1].gpa) +
				HDR, frame, 60), 0);
	ck_assert_uint_eq(*(uint8_t *)vdriver_ram(&b.env, bufs[0].gpa), 0);
}
END_TEST

static const struct {
	uint64_t without;
	struct virtio_net_hdr_v1 hdr;
	bool given;
	uint8_t flags, gso_type;	/* as the guest sees them */
} headers[] = {
	{ 0, { .gso_type = 1, .flags = 1, .gso_size = 1448 }, true, 1, 1 },
	{ 0, { .gso_type = 4, .flags = 1, .gso_size = 1448 }, true, 1, 4 },
	{ 0, { .gso_type = 3, .flags = 1, .gso_size = 1448 }, true, 1, 3 },
	{ 0, { .gso_type = 0x81, .flags = 1 }, true, 1, 0x81 },
	{ 0, { .flags = 2 }, true, 2, 0 },
	{ 0, { .flags = 0xfe }, true, 2, 0 },
	{ 0, { .gso_type = 0x80 }, true, 0, 0 },
	{ 0, { .gso_type = 2 }, false, 0, 0 },
	{ 0, { .gso_type = 5 }, false, 0, 0 },
	{ 0, { .gso_type = 0x7f }, false, 0, 0 },
	{ BIT(GUEST_TSO4) | BIT(GUEST_ECN), { .gso_type = 1, .flags = 1 },
	  false, 0, 0 },
	{ BIT(GUEST_ECN), { .gso_type = 0x81, .flags = 1 }, false, 0, 0 },
	{ BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) |
	  BIT(GUEST_UFO) | BIT(GUEST_ECN), { .flags = 1 }, false, 0, 0 },
	{ BIT(GUEST_CSUM) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) |
	  BIT(GUEST_UFO) | BIT(GUEST_ECN), { .flags = 2 }, true, 0, 0 },
};

START_TEST(test_rx_header_says_only_what_was_negotiated)
{
	struct virtio_net_hdr_v1 hdr;
	uint64_t gpa;

	bed_up(&b, ALL_OFFLOADS, headers[_i].without, 64);
	gpa = bed_add_rx(&b, 1, 4096);
	vdriver_kick(b.rx);
	bed_frame(frame, 3000, 1);
	fake_link_put(&b.link, 0, &headers[_i].hdr, frame, 3000);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_used(b.rx, NULL, NULL), headers[_i].given);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, !headers[_i].given);
	memcpy(&hdr, vdriver_ram(&b.env, gpa), HDR);
	if (headers[_i].given) {
		ck_assert_uint_eq(hdr.flags, headers[_i].flags);
		ck_assert_uint_eq(hdr.gso_type, headers[_i].gso_type);
		ck_assert_uint_eq(bed_info(&b).rx_gso, hdr.gso_type != 0);
	}
}
END_TEST

START_TEST(test_rx_one_call_is_bounded)
{
	bed_up(&b, 0, 0, 1024);
	bed_add_rx(&b, 500, 256);
	vdriver_kick(b.rx);
	vdriver_run(&b.env);
	for (uint32_t i = 0; i < 500; i++)
		put(60, i);
	vdriver_run(&b.env);
	ck_assert_uint_ge(b.link.q[0].calls, 500 / 64);
	ck_assert_uint_eq(bed_info(&b).rx_frames, 500);
}
END_TEST

START_TEST(test_rx_link_that_fails_takes_the_link_down)
{
	bed_up(&b, 0, 0, 64);
	bed_add_rx(&b, 4, 2048);
	vdriver_kick(b.rx);
	b.link.receive_rc = -EIO;
	put(60, 1);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 6, 2), 0);
	ck_assert_uint_eq(b.link.q[0].want, 0);
	/* A frame that can be sent shows that it is up again. */
	b.link.receive_rc = 0;
	bed_add_tx(&b, NULL, frame, 60);
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_config_read(&b.d, 6, 2),
			  VIRTIO_NET_S_LINK_UP);
	ck_assert(vdriver_used(b.rx, NULL, NULL));
}
END_TEST

START_TEST(test_rx_without_event_idx_works_the_same)
{
	uint64_t gpa;

	bed_up(&b, 0, UINT64_C(1) << 29, 64);
	for (uint32_t i = 0; i < 200; i++) {
		vdriver_free_all(&b.env);
		b.env.heap += 64 * 4096;
		gpa = bed_add_rx(&b, 1, 2048);
		vdriver_kick(b.rx);
		vdriver_run(&b.env);
		put(60 + i, i);
		vdriver_run(&b.env);
		check_frame(gpa, 2048, 60 + i);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("net_rx");
	TCase *t = tcase_create("rx");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_rx_frame_lies_behind_header_in_one_buffer);
	tcase_add_loop_test(t, test_rx_frame_is_merged_from_buffers_of_any_size,
			    0, sizeof(merges) / sizeof(merges[0]));
	tcase_add_test(t, test_rx_many_frames_keep_their_order_and_content);
	tcase_add_test(t, test_rx_waits_in_the_link_without_buffers);
	tcase_add_test(t, test_rx_resumes_when_buffers_come);
	tcase_add_test(t, test_rx_frame_waits_until_enough_buffers_are_there);
	tcase_add_test(t, test_rx_frame_that_waits_survives_a_pause);
	tcase_add_test(t, test_rx_frame_that_waits_is_dropped_by_reset);
	tcase_add_test(t, test_rx_big_packet_mode_takes_64k_in_one_chain);
	tcase_add_test(t,
		       test_rx_without_merging_drops_what_is_longer_than_a_chain);
	tcase_add_test(t, test_rx_frame_longer_than_any_is_dropped);
	tcase_add_test(t, test_rx_length_that_cannot_be_is_dropped);
	tcase_add_test(t, test_rx_runt_is_dropped);
	tcase_add_loop_test(
		t, test_rx_buffer_of_one_byte_needs_reset_and_works_afterwards,
		0, 2);
	tcase_add_test(t, test_rx_chain_without_room_needs_reset);
	tcase_add_test(t,
		       test_rx_too_scattered_buffers_drop_frames_not_the_queue);
	tcase_add_test(t, test_rx_chains_of_many_descriptors_do_not_spin);
	tcase_add_test(t, test_rx_readable_part_of_a_chain_is_left_alone);
	tcase_add_loop_test(t, test_rx_header_says_only_what_was_negotiated, 0,
			    sizeof(headers) / sizeof(headers[0]));
	tcase_add_test(t, test_rx_one_call_is_bounded);
	tcase_add_test(t, test_rx_link_that_fails_takes_the_link_down);
	tcase_add_test(t, test_rx_without_event_idx_works_the_same);
	suite_add_tcase(s, t);
	return support_run(s);
}
