/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network device against a driver that changes headers, counts and payload
 * while they are read, and looks at when what is written.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "devices/net.h"
#include "devices/net_bed.h"
#include "support/as_guest.h"
#include "support/trap.h"

#define PAGE 4096u
/* Where the two counts of a table command are, with 3 addresses each. */
#define COUNT_1 2u
#define COUNT_2 (COUNT_1 + 4 + 3 * 6)
/* What no device of ours offers: 5.1.3. */
#define F_RSS         (UINT64_C(1) << 60)
#define F_HASH_REPORT (UINT64_C(1) << 57)

static struct net_bed b;
static struct trap trap;
static uint8_t frame[2000];

static void
teardown(void)
{
	bed_down(&b);
}

static void
replace(struct trap *t, uint32_t off, bool write)
{
	(void)off;
	if (!write)
		memcpy(t->page, t->opaque, HDR);
}

static const struct virtio_net_hdr_v1 evil[] = {
	{ .flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff },
	{ .flags = 0xff, .gso_type = 0xff, .gso_size = 0xffff,
	  .hdr_len = 0xffff, .csum_start = 0xffff, .csum_offset = 0xffff,
	  .num_buffers = 0xffff },
	{ .flags = 1, .gso_type = 1, .gso_size = 0, .csum_start = 34,
	  .csum_offset = 16 },
	{ .flags = 1, .gso_type = 1, .gso_size = 1, .hdr_len = 0xffff,
	  .csum_start = 34, .csum_offset = 16 },
};

/* Case 47: the link gets the header that was checked. */
START_TEST(test_hostile_header_changed_as_soon_as_it_was_read)
{
	struct virtio_net_hdr_v1 good = { .flags = 1, .csum_start = 34,
					  .csum_offset = 16, .gso_type = 1,
					  .gso_size = 1448, .hdr_len = 54 };
	struct virtio_net_hdr_v1 bad = evil[_i], sent;
	struct vdriver_buf bufs[2];
	const struct fake_frame *f;

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	bufs[0] = (struct vdriver_buf){
		.gpa = vdriver_alloc(&b.env, PAGE, PAGE), .len = HDR
	};
	bufs[1] = (struct vdriver_buf){
		.gpa = vdriver_alloc(&b.env, 1514, 1), .len = 1514
	};
	memcpy(vdriver_ram(&b.env, bufs[0].gpa), &good, HDR);
	vdriver_add(b.tx, bufs, 2);
	trap_begin(&trap, vdriver_ram(&b.env, bufs[0].gpa), replace, &bad);
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
	trap_end(&trap);
	ck_assert(vdriver_used(b.tx, NULL, NULL));
	ck_assert_uint_ge(trap.total, 1);
	ck_assert_uint_le(trap.total, HDR);
	/* memcpy() may have seen both; what was sent passes the check. */
	f = fake_link_sent(&b.link, 0, 0);
	if (f) {
		memcpy(&sent, f->bytes, HDR);
		ck_assert(vcore__net_hdr_check(&sent, UINT64_MAX, 1514));
		ck_assert_int_eq(memcmp(&sent, f->bytes, HDR), 0);
	}
	ck_assert(!bed_is_broken(&b));
}
END_TEST

/* The device itself never looks at what is behind the header. */
START_TEST(test_hostile_payload_is_the_links_to_read)
{
	struct vdriver_buf bufs[2];

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	fake_link_set_full(&b.link, true);
	bufs[0] = (struct vdriver_buf){
		.gpa = vdriver_alloc(&b.env, HDR, 1), .len = HDR
	};
	bufs[1] = (struct vdriver_buf){
		.gpa = vdriver_alloc(&b.env, PAGE, PAGE), .len = 1514
	};
	vdriver_add(b.tx, bufs, 2);
	trap_begin(&trap, vdriver_ram(&b.env, bufs[1].gpa), NULL, NULL);
	vdriver_kick(b.tx);
	vdriver_run(&b.env);
	trap_end(&trap);
	ck_assert_uint_eq(trap.total, 0);
	fake_link_set_full(&b.link, false);
	vdriver_run(&b.env);
	ck_assert(vdriver_used(b.tx, NULL, NULL));
}
END_TEST

/* Case 60: num_buffers is written before the driver gets the first buffer. */
static void
not_used_yet(struct trap *t, uint32_t off, bool write)
{
	uint32_t *late = t->opaque;

	(void)off;
	if (!write || vdriver_used_idx(b.rx) != 0)
		++*late;
}

START_TEST(test_hostile_receive_header_is_only_written_and_in_time)
{
	uint32_t late = 0;
	struct virtio_net_hdr_v1 hdr;
	struct vdriver_buf buf = { .len = 100, .write = true };
	uint64_t first;

	bed_up(&b, 0, 0, 64);
	first = vdriver_alloc(&b.env, PAGE, PAGE);
	buf.gpa = first;
	vdriver_add(b.rx, &buf, 1);
	bed_add_rx(&b, 30, 100);
	trap_begin(&trap, vdriver_ram(&b.env, first), not_used_yet, &late);
	vdriver_kick(b.rx);
	bed_frame(frame, 1514, 1);
	fake_link_put(&b.link, 0, NULL, frame, 1514);
	vdriver_run(&b.env);
	trap_end(&trap);
	ck_assert_uint_eq(late, 0);
	ck_assert_uint_ge(trap_writes(&trap, 0, HDR), 1);
	memcpy(&hdr, vdriver_ram(&b.env, first), HDR);
	ck_assert_uint_eq(le16toh(hdr.num_buffers), 16);
	ck_assert_uint_eq(vdriver_used_idx(b.rx), 16);
}
END_TEST

/* Case 91: nothing of a frame that is not for the guest is claimed. */
START_TEST(test_hostile_frames_that_are_dropped_claim_nothing)
{
	uint8_t off = 0;

	bed_up(&b, 0, 0, 64);
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_RX,
				      VIRTIO_NET_CTRL_RX_PROMISC, &off, 1),
			  VIRTIO_NET_OK);
	bed_add_rx(&b, 4, 2048);
	vdriver_kick(b.rx);
	memset(frame, 2, sizeof(frame));
	for (uint32_t i = 0; i < 10; i++)
		fake_link_put(&b.link, 0, NULL, frame, 100);
	vdriver_run(&b.env);
	ck_assert_uint_eq(vdriver_used_idx(b.rx), 0);
	ck_assert_uint_eq(bed_info(&b).rx_dropped, 10);
}
END_TEST

/* Case 48: a count that grows once it was read, before it is used. */
static void
grow_count(struct trap *t, uint32_t off, bool write)
{
	if (!write && (off == COUNT_1 || off == COUNT_2))
		memcpy(t->page + off, t->opaque, 4);
}

START_TEST(test_hostile_count_changed_as_soon_as_it_was_read)
{
	static const uint32_t huge[] = { 4, 0x2aaaaaab, UINT32_MAX, 0 };
	uint32_t count = htole32(3), evil_count = htole32(huge[_i]);
	struct vdriver_buf bufs[2] = { { .len = COUNT_2 + 4 + 18 },
				       { .len = 1, .write = true } };
	uint8_t on = 1, *at, *ack;

	bed_up(&b, 0, 0, 64);
	bufs[0].gpa = vdriver_alloc(&b.env, PAGE, PAGE);
	bufs[1].gpa = vdriver_alloc(&b.env, 1, 1);
	at = vdriver_ram(&b.env, bufs[0].gpa);
	ack = vdriver_ram(&b.env, bufs[1].gpa);
	*ack = 0xff;
	at[0] = VIRTIO_NET_CTRL_MAC;
	at[1] = VIRTIO_NET_CTRL_MAC_TABLE_SET;
	memcpy(at + COUNT_1, &count, 4);
	memcpy(at + COUNT_2, &count, 4);
	vdriver_add(b.ctrl, bufs, 2);
	trap_begin(&trap, at, grow_count, &evil_count);
	vdriver_kick(b.ctrl);
	vdriver_run(&b.env);
	trap_end(&trap);
	ck_assert(vdriver_used(b.ctrl, NULL, NULL));
	/* A copy is what was checked and used, whichever memcpy() made. */
	ck_assert(*ack == VIRTIO_NET_OK || *ack == VIRTIO_NET_ERR);
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_RX,
				      VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
			  VIRTIO_NET_OK);
}
END_TEST

static _Atomic bool over;
static _Atomic uint32_t flips;

static void *
flipper(void *arg)
{
	volatile uint32_t *word = arg;
	uint32_t x = 2463534242;

	as_guest_begin();
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		atomic_fetch_add_explicit(&flips, 1, memory_order_relaxed);
		word[x % 3] = x % 4 ? x : 1;
	}
	as_guest_end();
	return NULL;
}

/* Case 47 with a thread. */
START_TEST(test_hostile_header_rewritten_by_a_racing_thread)
{
	uint32_t rounds = support_rounds(20000, 200000);
	uint32_t until = support_rounds(0, 10000000), done = 0;
	struct virtio_net_hdr_v1 sent;
	struct vdriver_buf buf = { .len = HDR + 100 };
	const struct fake_frame *f;
	pthread_t thread;

	bed_up(&b, ALL_OFFLOADS, 0, 64);
	buf.gpa = vdriver_alloc(&b.env, buf.len, 16);
	atomic_store(&over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, flipper,
					vdriver_ram(&b.env, buf.gpa)), 0);
	for (; done < rounds || atomic_load(&flips) < until; done++) {
		vdriver_add(b.tx, &buf, 1);
		vdriver_kick(b.tx);
		ck_assert(vdriver_wait(b.tx, NULL, NULL));
		f = fake_link_sent(&b.link, 0, 0);
		if (f) {
			memcpy(&sent, f->bytes, HDR);
			if (!vcore__net_hdr_check(&sent, UINT64_MAX, 100))
				ck_abort();
			fake_link_clear(&b.link);
		}
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(bed_info(&b).tx_frames + bed_info(&b).tx_dropped,
			  done);
}
END_TEST

/* Cases 59, 61: headers and tables of hashes are not there to be wrong. */
START_TEST(test_hostile_hashes_are_not_offered)
{
	uint8_t rss[4 + 2 + 2 + 128 * 2 + 2 + 1 + 255] = { 0 };

	bed_make(&b, ALL_OFFLOADS, 2, 64);
	ck_assert_uint_eq(vdriver_device_features(&b.d) &
			  (F_RSS | F_HASH_REPORT), 0);
	bed_start(&b, 0, 64);
	memset(rss, 0xff, sizeof(rss));
	/* MQ_RSS_CONFIG, MQ_HASH_CONFIG */
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_MQ, 1, rss,
				      sizeof(rss)), VIRTIO_NET_ERR);
	ck_assert_uint_eq(bed_control(&b, VIRTIO_NET_CTRL_MQ, 2, rss,
				      sizeof(rss)), VIRTIO_NET_ERR);
	ck_assert_uint_eq(bed_info(&b).pairs, 1);
}
END_TEST

/* Case 60: one byte a descriptor, as many as there can be, in one chain. */
START_TEST(test_hostile_receive_chain_of_single_bytes)
{
	struct vdriver_buf bufs[1024];
	uint64_t at;

	bed_up(&b, ALL_OFFLOADS, _i ? BIT(MRG_RXBUF) : 0, 1024);
	at = vdriver_alloc(&b.env, 1024, 1);
	for (uint32_t i = 0; i < 1024; i++)
		bufs[i] = (struct vdriver_buf){ at + i, 1, true };
	vdriver_add(b.rx, bufs, 1024);
	vdriver_kick(b.rx);
	bed_frame(frame, 900, 1);
	for (uint32_t i = 0; i < 20; i++)
		fake_link_put(&b.link, 0, NULL, frame, 900);
	vdriver_run(&b.env);
	ck_assert(!bed_is_broken(&b));
	/* It fits, all of it, once; then there are no more buffers. */
	ck_assert_uint_le(vdriver_used_idx(b.rx), 1);
	bed_start(&b, 0, 64);
	bed_add_rx(&b, 20, 2048);
	vdriver_kick(b.rx);
	vdriver_run(&b.env);
	ck_assert_uint_ge(vdriver_used_idx(b.rx), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("devices/net_hostile");
	TCase *t = tcase_create("hostile");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(
		t, test_hostile_header_changed_as_soon_as_it_was_read, 0, 4);
	tcase_add_test(t, test_hostile_payload_is_the_links_to_read);
	tcase_add_test(
		t, test_hostile_receive_header_is_only_written_and_in_time);
	tcase_add_test(t, test_hostile_frames_that_are_dropped_claim_nothing);
	tcase_add_loop_test(
		t, test_hostile_count_changed_as_soon_as_it_was_read, 0, 4);
	tcase_add_test(t, test_hostile_header_rewritten_by_a_racing_thread);
	tcase_add_test(t, test_hostile_hashes_are_not_offered);
	tcase_add_loop_test(t, test_hostile_receive_chain_of_single_bytes, 0,
			    2);
	suite_add_tcase(s, t);
	return support_run(s);
}
