/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptor chains, well-formed and hostile, on a queue without a device. */
#include "bare.h"

/* A buffer, and where it is from the host. */
static struct vdriver_buf
guest_buf(uint64_t len, bool write)
{
	return (struct vdriver_buf){
		vdriver_alloc(&env, len, 1), (uint32_t)len, write
	};
}

START_TEST(test_chain_readable_then_writable_is_split)
{
	struct vdriver_buf b[3] = { guest_buf(10, false), guest_buf(20, false),
				    guest_buf(30, true) };
	struct vcore_chain *c;
	uint16_t head = vdriver_add(ring, b, 3);

	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->head, head);
	ck_assert_uint_eq(c->readable, 2);
	ck_assert_uint_eq(c->readable_len, 30);
	ck_assert_uint_eq(c->writable, 1);
	ck_assert_uint_eq(c->writable_len, 30);
	ck_assert_ptr_eq(c->iov[1].iov_base, vdriver_ram(&env, b[1].gpa));
	ck_assert_uint_eq(c->iov[2].iov_len, 30);
}
END_TEST

START_TEST(test_chain_copies_stop_at_its_ends)
{
	struct vdriver_buf b[3] = { guest_buf(10, false), guest_buf(10, true),
				    guest_buf(10, true) };
	struct vcore_chain *c;
	char got[32];

	memcpy(vdriver_ram(&env, b[0].gpa), "0123456789", 10);
	vdriver_add(ring, b, 3);
	c = bare_pop();
	ck_assert_uint_eq(vcore_chain_read(c, 4, got, sizeof(got)), 6);
	ck_assert_int_eq(memcmp(got, "456789", 6), 0);
	ck_assert_uint_eq(vcore_chain_read(c, 10, got, 1), 0);
	ck_assert_uint_eq(vcore_chain_read(c, UINT64_MAX, got, 1), 0);
	ck_assert_uint_eq(vcore_chain_write(c, 8, "abcd", 4), 4);
	ck_assert_uint_eq(vcore_chain_write(c, 18, "wxyz", 4), 2);
	ck_assert_uint_eq(vcore_chain_write(c, 20, "w", 1), 0);
	ck_assert_int_eq(memcmp((char *)vdriver_ram(&env, b[1].gpa) + 8, "ab",
				2), 0);
	ck_assert_int_eq(memcmp(vdriver_ram(&env, b[2].gpa), "cd", 2), 0);
	ck_assert_uint_eq(vcore_chain_read(NULL, 0, got, 1), 0);
	ck_assert_uint_eq(vcore_chain_write(c, 0, NULL, 1), 0);
}
END_TEST

/* Descriptors 0..n-1 in a row; `last` says how the chain goes on after them. */
static void
long_chain(uint32_t n, uint16_t last_flags, uint16_t last_next)
{
	for (uint32_t i = 0; i + 1 < n; i++)
		vdriver_desc(ring, i, buf + i, 1, NEXT, (uint16_t)(i + 1));
	vdriver_desc(ring, n - 1, buf + n, 1, last_flags, last_next);
	vdriver_avail(ring, 0);
}

START_TEST(test_chain_of_exactly_queue_size_works)
{
	struct vcore_chain *c;

	long_chain(BARE_MAX, 0, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, BARE_MAX);
	ck_assert_uint_eq(c->readable_len, BARE_MAX);
}
END_TEST

START_TEST(test_chain_of_queue_size_and_one_more_breaks)
{
	long_chain(BARE_MAX, NEXT, 5);
	bare_assert_broken("chain longer than the queue");
}
END_TEST

START_TEST(test_chain_self_loop_breaks)
{
	vdriver_desc(ring, 0, buf, 1, NEXT, 0);
	vdriver_avail(ring, 0);
	bare_assert_broken("chain longer than the queue");
}
END_TEST

START_TEST(test_chain_self_loop_in_a_small_ring_breaks)
{
	bare_open(8, false);
	vdriver_desc(ring, 0, buf, 1, NEXT, 0);
	vdriver_avail(ring, 0);
	bare_assert_broken("chain longer than the queue");
}
END_TEST

START_TEST(test_chain_two_cycle_after_good_descriptors_breaks)
{
	long_chain(10, NEXT, 8);
	bare_assert_broken("chain longer than the queue");
}
END_TEST

START_TEST(test_chain_next_at_queue_size_breaks)
{
	long_chain(2, NEXT, _i ? 0xffff : BARE_MAX);
	bare_assert_broken("next descriptor beyond the table");
}
END_TEST

START_TEST(test_chain_readable_after_writable_breaks)
{
	vdriver_desc(ring, 0, buf, 8, WRITE | NEXT, 1);
	vdriver_desc(ring, 1, buf, 8, 0, 0);
	vdriver_avail(ring, 0);
	bare_assert_broken("readable descriptor after a writable one");
}
END_TEST

START_TEST(test_chain_empty_writable_then_readable_breaks)
{
	vdriver_desc(ring, 0, buf, 0, WRITE | NEXT, 1);
	vdriver_desc(ring, 1, buf, 8, 0, 0);
	vdriver_avail(ring, 0);
	bare_assert_broken("readable descriptor after a writable one");
}
END_TEST

static const struct {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	const char *why;
} bad_buffers[] = {
	{ 0xfffffffffffff000, 0x2000, 0, "buffer not in memory" },
	{ UINT64_MAX, 1, 0, "buffer not in memory" },
	{ UINT64_MAX, 2, WRITE, "buffer not in writable memory" },
	{ 0, UINT32_MAX, 0, "buffer not in memory" },
	{ VDRIVER_RAM - 1, 2, 0, "buffer not in memory" },
	{ VDRIVER_RAM, 1, 0, "buffer not in memory" },
	{ VDRIVER_MMIO_BASE, 4, WRITE, "buffer not in writable memory" },
	{ 0xfee00000, 4, 0, "buffer not in memory" },
	{ VDRIVER_ROM, 4, WRITE, "buffer not in writable memory" },
};

START_TEST(test_chain_buffer_outside_memory_breaks)
{
	vdriver_desc(ring, 0, bad_buffers[_i].addr, bad_buffers[_i].len,
		     bad_buffers[_i].flags, 0);
	vdriver_avail(ring, 0);
	bare_assert_broken(bad_buffers[_i].why);
}
END_TEST

/* Where the region of the first buffer doesn't help. */
START_TEST(test_chain_second_buffer_outside_memory_breaks)
{
	vdriver_desc(ring, 0, buf, 16, NEXT, 1);
	vdriver_desc(ring, 1, bad_buffers[_i].addr, bad_buffers[_i].len,
		     bad_buffers[_i].flags, 0);
	vdriver_avail(ring, 0);
	bare_assert_broken(bad_buffers[_i].len > UINT32_MAX - 16 ?
			   "chain longer than 4 GiB" : bad_buffers[_i].why);
}
END_TEST

START_TEST(test_chain_buffers_in_several_regions_work)
{
	struct vcore_chain *c;

	vdriver_desc(ring, 0, VDRIVER_ROM, 8, NEXT, 1);
	vdriver_desc(ring, 1, VDRIVER_SEAM, 8, NEXT, 2);
	vdriver_desc(ring, 2, VDRIVER_SEAM - 8, 8, NEXT | WRITE, 3);
	vdriver_desc(ring, 3, VDRIVER_SEAM + 8, 8, WRITE, 0);
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, 2);
	ck_assert_uint_eq(c->writable, 2);
	ck_assert_uint_eq(c->readable_len, 16);
	ck_assert_uint_eq(c->writable_len, 16);
	ck_assert_ptr_eq(c->iov[1].iov_base, vdriver_ram(&env, VDRIVER_SEAM));
	ck_assert_ptr_eq(c->iov[2].iov_base,
			 vdriver_ram(&env, VDRIVER_SEAM - 8));
}
END_TEST

START_TEST(test_chain_readable_rom_works)
{
	vdriver_desc(ring, 0, VDRIVER_ROM, VDRIVER_ROM_LEN, 0, 0);
	vdriver_avail(ring, 0);
	ck_assert_ptr_nonnull(bare_pop());
}
END_TEST

START_TEST(test_chain_buffer_up_to_the_last_byte_works)
{
	vdriver_desc(ring, 0, VDRIVER_RAM - 16, 16, WRITE, 0);
	vdriver_avail(ring, 0);
	ck_assert_ptr_nonnull(bare_pop());
}
END_TEST

START_TEST(test_chain_buffer_over_region_border_is_split)
{
	struct vcore_chain *c;
	char got[8];

	memcpy(vdriver_ram(&env, VDRIVER_SEAM - 4), "abcd", 4);
	memcpy(vdriver_ram(&env, VDRIVER_SEAM), "efgh", 4);
	vdriver_desc(ring, 0, VDRIVER_SEAM - 4, 8, 0, 0);
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	/* One piece if the host put the regions side by side. */
	ck_assert_uint_ge(c->readable, 1);
	ck_assert_uint_le(c->readable, 2);
	ck_assert_uint_eq(c->readable_len, 8);
	ck_assert_uint_eq(vcore_chain_read(c, 0, got, 8), 8);
	ck_assert_int_eq(memcmp(got, "abcdefgh", 8), 0);
}
END_TEST

START_TEST(test_chain_zero_lengths_are_skipped)
{
	struct vcore_chain *c;

	/* Nobody looks at the address of nothing. */
	vdriver_desc(ring, 0, UINT64_MAX, 0, NEXT, 1);
	vdriver_desc(ring, 1, buf, 8, NEXT, 2);
	vdriver_desc(ring, 2, 0, 0, WRITE | NEXT, 3);
	vdriver_desc(ring, 3, buf, 4, WRITE, 0);
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, 1);
	ck_assert_uint_eq(c->writable, 1);
}
END_TEST

START_TEST(test_chain_of_nothing_works)
{
	struct vcore_chain *c;

	for (uint32_t i = 0; i < BARE_MAX; i++)
		vdriver_desc(ring, i, 0, 0, i + 1 < BARE_MAX ? NEXT : 0,
			     (uint16_t)(i + 1));
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable + c->writable, 0);
	vcore_virtqueue_push(&q, c, 100);
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(vdriver_used_idx(ring), 1);
}
END_TEST

/* As many as a ring can have, in every place that says nothing. */
START_TEST(test_chain_of_32768_empty_descriptors_works)
{
	struct vcore__ring r = {
		.desc = 0x100000, .driver = 0x200000, .device = 0x300000,
		.size = VCORE__QUEUE_MAX,
	};
	struct vcore_chain *c;
	uint32_t used, n = r.size;

	bare_teardown();
	bare_setup_max(n);
	*ring = (struct vdriver_queue){
		.d = &driver, .size = n, .desc = r.desc, .avail = r.driver,
		.used = r.device,
	};
	vcore__virtqueue_setup(&q, &r);
	vcore__virtqueue_open(&q);
	for (uint32_t i = 0; i < n; i++)
		vdriver_desc(ring, i, i % 2 ? UINT64_MAX : buf, 0,
			     (uint16_t)((i > n / 2 ? WRITE : 0) |
					(i + 1 < n ? NEXT : 0)),
			     (uint16_t)(i + 1));
	vdriver_avail(ring, 0);
	vcore__virtqueue_begin(&q);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable + c->writable, 0);
	vcore_virtqueue_push(&q, c, 1);
	vcore_virtqueue_flush(&q);
	(void)vcore__virtqueue_end(&q);
	ck_assert(vdriver_used(ring, NULL, &used));
	ck_assert_uint_eq(used, 0);
	/* One more, and it is a loop. */
	vdriver_desc(ring, n - 1, buf, 0, WRITE | NEXT, 9000);
	vdriver_avail(ring, 0);
	ck_assert_ptr_null(bare_pop());
	ck_assert_str_eq(broken_why, "chain longer than the queue");
}
END_TEST

/* n times 4 MiB, all the same memory. */
static void
big_chain(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		vdriver_desc(ring, i, 0, (uint32_t)VDRIVER_SEAM,
			     i + 1 < n ? NEXT : 0, (uint16_t)(i + 1));
	vdriver_avail(ring, 0);
}

START_TEST(test_chain_longer_than_4_gib_breaks)
{
	bare_teardown();
	bare_setup_max(2048);
	big_chain(1024);
	ck_assert_ptr_null(bare_pop());
	ck_assert_str_eq(broken_why, "chain longer than 4 GiB");
}
END_TEST

/* Not even in few pieces. */
START_TEST(test_chain_of_a_few_gib_sized_buffers_breaks)
{
	const uint64_t gpa = 1ull << 40, len = 1ull << 30;
	struct vcore_region_opts o;
	struct vcore_region *region;

	VCORE_INIT(&o);
	o.len = len;
	o.backing = VCORE_BACKING_ANONYMOUS;
	o.fd = -1;
	ck_assert_ok(vcore_region_new(&o, &region));
	ck_assert_ok(vcore_memory_add(env.memory, gpa, region, 0));
	vcore_region_unref(region);
	for (uint16_t i = 0; i < 4; i++)
		vdriver_desc(ring, i, gpa, (uint32_t)len, i < 3 ? NEXT : 0,
			     (uint16_t)(i + 1));
	vdriver_avail(ring, 0);
	bare_assert_broken("chain longer than 4 GiB");
}
END_TEST

START_TEST(test_chain_just_below_4_gib_works)
{
	struct vcore_chain *c;

	bare_teardown();
	bare_setup_max(2048);
	big_chain(1023);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable_len, 1023ull * VDRIVER_SEAM);
}
END_TEST

/* A table of n descriptors of 1 byte, the last with these flags. */
static uint64_t
make_table(uint32_t n, uint16_t last_flags, uint16_t last_next)
{
	uint64_t table = vdriver_alloc(&env, 16ull * n, 16);

	for (uint32_t i = 0; i < n; i++)
		vdriver_desc_at(&env, table + 16ull * i, buf + i, 1,
				i + 1 < n ? NEXT : last_flags,
				i + 1 < n ? (uint16_t)(i + 1) : last_next);
	return table;
}

static void
add_table(uint64_t table, uint32_t len, uint16_t flags)
{
	vdriver_desc(ring, 0, table, len, flags, 1);
	vdriver_desc(ring, 1, buf, 1, 0, 0);
	vdriver_avail(ring, 0);
}

START_TEST(test_chain_indirect_table_of_queue_size_works)
{
	struct vcore_chain *c;

	add_table(make_table(BARE_MAX, 0, 0), 16 * BARE_MAX, INDIRECT);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, BARE_MAX);
}
END_TEST

START_TEST(test_chain_indirect_table_of_queue_size_works_in_smaller_ring)
{
	struct vcore_chain *c;

	bare_open(4, false);
	add_table(make_table(BARE_MAX, 0, 0), 16 * BARE_MAX, INDIRECT);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, BARE_MAX);
}
END_TEST

START_TEST(test_chain_indirect_after_direct_works)
{
	struct vcore_chain *c;

	vdriver_desc(ring, 0, buf, 100, NEXT, 1);
	vdriver_desc(ring, 1, make_table(3, WRITE, 0), 48, INDIRECT, 9);
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, 3);
	ck_assert_uint_eq(c->readable_len, 102);
	ck_assert_uint_eq(c->writable, 1);
}
END_TEST

START_TEST(test_chain_indirect_write_flag_is_ignored)
{
	struct vcore_chain *c;

	add_table(make_table(2, 0, 0), 32, INDIRECT | WRITE);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, 2);
}
END_TEST

START_TEST(test_chain_indirect_table_over_region_border_works)
{
	struct vcore_chain *c;

	for (uint32_t i = 0; i < 4; i++)
		vdriver_desc_at(&env, VDRIVER_SEAM - 32 + 16ull * i, buf + i, 1,
				i < 3 ? NEXT : 0, (uint16_t)(i + 1));
	add_table(VDRIVER_SEAM - 32, 64, INDIRECT);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, 4);
}
END_TEST

START_TEST(test_chain_indirect_table_unaligned_works)
{
	uint64_t table = make_table(4, 0, 0), odd = vdriver_alloc(&env, 80, 16);

	odd += 3;
	memcpy(vdriver_ram(&env, odd), vdriver_ram(&env, table), 64);
	add_table(odd, 64, INDIRECT);
	ck_assert_ptr_nonnull(bare_pop());
}
END_TEST

START_TEST(test_chain_indirect_without_feature_breaks)
{
	q.ring.indirect = false;
	add_table(make_table(2, 0, 0), 32, INDIRECT);
	bare_assert_broken("indirect descriptor without the feature");
}
END_TEST

START_TEST(test_chain_indirect_with_next_breaks)
{
	add_table(make_table(2, 0, 0), 32, INDIRECT | NEXT);
	bare_assert_broken("indirect descriptor with a next one");
}
END_TEST

START_TEST(test_chain_indirect_in_indirect_breaks)
{
	uint64_t inner = make_table(2, 0, 0), outer = make_table(2, 0, 0);

	vdriver_desc_at(&env, outer + 16, inner, 32, INDIRECT, 0);
	add_table(outer, 32, INDIRECT);
	bare_assert_broken("indirect descriptor in an indirect table");
}
END_TEST

START_TEST(test_chain_indirect_table_of_bad_length_breaks)
{
	static const uint32_t lens[] = { 0, 15, 17, 31 };

	add_table(make_table(2, 0, 0), lens[_i], INDIRECT);
	bare_assert_broken("indirect table of a bad length");
}
END_TEST

START_TEST(test_chain_indirect_table_longer_than_queue_breaks)
{
	static const uint32_t lens[] = { 16 * (BARE_MAX + 1), 16 * 65536,
					 0xfffffff0 };

	add_table(make_table(2, 0, 0), lens[_i], INDIRECT);
	bare_assert_broken("indirect table longer than the queue");
}
END_TEST

START_TEST(test_chain_indirect_table_that_wraps_breaks)
{
	add_table(0xffffffffffffffe0, 64, INDIRECT);
	bare_assert_broken("indirect table passes the end of memory");
}
END_TEST

START_TEST(test_chain_indirect_table_beyond_memory_breaks)
{
	/* The first two descriptors are there and say that it goes on. */
	vdriver_desc_at(&env, VDRIVER_RAM - 32, buf, 1, NEXT, 1);
	vdriver_desc_at(&env, VDRIVER_RAM - 16, buf, 1, NEXT, 2);
	add_table(VDRIVER_RAM - 32, 48, INDIRECT);
	bare_assert_broken("indirect table not in memory");
}
END_TEST

START_TEST(test_chain_indirect_loop_breaks)
{
	add_table(make_table(4, NEXT, 1), 64, INDIRECT);
	bare_assert_broken("chain longer than the queue");
}
END_TEST

START_TEST(test_chain_indirect_next_beyond_table_breaks)
{
	add_table(make_table(4, NEXT, 4), 64, INDIRECT);
	bare_assert_broken("next descriptor beyond the table");
}
END_TEST

START_TEST(test_chain_table_in_the_ring_is_read_as_data)
{
	/* Its first descriptor is the indirect one itself. */
	add_table(ring->desc, 32, INDIRECT);
	bare_assert_broken("indirect descriptor in an indirect table");
}
END_TEST

START_TEST(test_chain_with_more_than_small_iovecs_keeps_all)
{
	uint32_t n = VCORE__CHAIN_SMALL + 5;
	struct vcore_chain *c;

	for (uint32_t i = 0; i < n; i++)
		vdriver_desc(ring, i, buf + 2 * i, 2, i + 1 < n ? NEXT : 0,
			     (uint16_t)(i + 1));
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, n);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_ptr_eq(c->iov[i].iov_base,
				 vdriver_ram(&env, buf + 2 * i));
		ck_assert_uint_eq(c->iov[i].iov_len, 2);
	}
}
END_TEST

START_TEST(test_chain_pool_without_large_arrays_waits_for_one)
{
	struct vcore_chain *c[VCORE__CHAIN_LARGE_MIN], *more;
	uint64_t table;
	uint32_t n;

	/* Queues this big have the minimum of large arrays. */
	bare_teardown();
	bare_setup_max(VCORE__QUEUE_MAX);
	n = q.pool.large_max;
	ck_assert_uint_eq(n, VCORE__CHAIN_LARGE_MIN);
	table = make_table(100, 0, 0);
	for (uint32_t i = 0; i <= n; i++) {
		vdriver_desc(ring, i, table, 1600, INDIRECT, 0);
		vdriver_avail(ring, (uint16_t)i);
	}
	for (uint32_t i = 0; i < n; i++) {
		c[i] = bare_pop();
		ck_assert_ptr_nonnull(c[i]);
	}
	ck_assert_ptr_null(bare_pop());
	ck_assert_ptr_null(broken_why);
	ck_assert_uint_eq(agains, 0);
	vcore_virtqueue_push(&q, c[0], 0);
	ck_assert_uint_eq(agains, 1);
	more = bare_pop();
	ck_assert_ptr_nonnull(more);
	ck_assert_uint_eq(more->head, n);
}
END_TEST

START_TEST(test_chain_descriptors_changed_after_pop_have_no_effect)
{
	struct vcore_chain *c;

	vdriver_desc(ring, 0, buf, 16, NEXT, 1);
	vdriver_desc(ring, 1, buf + 16, 16, WRITE, 0);
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	vdriver_desc(ring, 0, UINT64_MAX, UINT32_MAX, WRITE, 7);
	vdriver_desc(ring, 1, 0, UINT32_MAX, 0, 7);
	ck_assert_uint_eq(vcore_chain_write(c, 0, "0123456789abcdefXX", 18),
			  16);
	vcore_virtqueue_push(&q, c, 16);
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(vdriver_used_idx(ring), 1);
}
END_TEST

static void
add_indirect_tests(TCase *t)
{
	tcase_add_test(t, test_chain_indirect_table_of_queue_size_works);
	tcase_add_test(t,
		       test_chain_indirect_table_of_queue_size_works_in_smaller_ring);
	tcase_add_test(t, test_chain_indirect_after_direct_works);
	tcase_add_test(t, test_chain_indirect_write_flag_is_ignored);
	tcase_add_test(t, test_chain_indirect_table_over_region_border_works);
	tcase_add_test(t, test_chain_indirect_table_unaligned_works);
	tcase_add_test(t, test_chain_indirect_without_feature_breaks);
	tcase_add_test(t, test_chain_indirect_with_next_breaks);
	tcase_add_test(t, test_chain_indirect_in_indirect_breaks);
	tcase_add_loop_test(t, test_chain_indirect_table_of_bad_length_breaks,
			    0, 4);
	tcase_add_loop_test(t,
			    test_chain_indirect_table_longer_than_queue_breaks,
			    0, 3);
	tcase_add_test(t, test_chain_indirect_table_that_wraps_breaks);
	tcase_add_test(t, test_chain_indirect_table_beyond_memory_breaks);
	tcase_add_test(t, test_chain_indirect_loop_breaks);
	tcase_add_test(t, test_chain_indirect_next_beyond_table_breaks);
	tcase_add_test(t, test_chain_table_in_the_ring_is_read_as_data);
}

int
main(void)
{
	Suite *suite = suite_create("virtio/chain");
	TCase *t = tcase_create("chain");

	tcase_add_checked_fixture(t, bare_setup, bare_teardown);
	tcase_add_test(t, test_chain_readable_then_writable_is_split);
	tcase_add_test(t, test_chain_copies_stop_at_its_ends);
	tcase_add_test(t, test_chain_of_exactly_queue_size_works);
	tcase_add_test(t, test_chain_of_queue_size_and_one_more_breaks);
	tcase_add_test(t, test_chain_self_loop_breaks);
	tcase_add_test(t, test_chain_self_loop_in_a_small_ring_breaks);
	tcase_add_test(t, test_chain_two_cycle_after_good_descriptors_breaks);
	tcase_add_loop_test(t, test_chain_next_at_queue_size_breaks, 0, 2);
	tcase_add_test(t, test_chain_readable_after_writable_breaks);
	tcase_add_test(t, test_chain_empty_writable_then_readable_breaks);
	tcase_add_loop_test(t, test_chain_buffer_outside_memory_breaks, 0,
			    (int)VCORE__ARRAY_SIZE(bad_buffers));
	tcase_add_loop_test(t, test_chain_second_buffer_outside_memory_breaks,
			    0, (int)VCORE__ARRAY_SIZE(bad_buffers));
	tcase_add_test(t, test_chain_buffers_in_several_regions_work);
	tcase_add_test(t, test_chain_readable_rom_works);
	tcase_add_test(t, test_chain_buffer_up_to_the_last_byte_works);
	tcase_add_test(t, test_chain_buffer_over_region_border_is_split);
	tcase_add_test(t, test_chain_zero_lengths_are_skipped);
	tcase_add_test(t, test_chain_of_nothing_works);
	tcase_add_test(t, test_chain_of_32768_empty_descriptors_works);
	tcase_add_test(t, test_chain_longer_than_4_gib_breaks);
	tcase_add_test(t, test_chain_of_a_few_gib_sized_buffers_breaks);
	tcase_add_test(t, test_chain_just_below_4_gib_works);
	tcase_add_test(t, test_chain_with_more_than_small_iovecs_keeps_all);
	tcase_add_test(t, test_chain_pool_without_large_arrays_waits_for_one);
	tcase_add_test(t,
		       test_chain_descriptors_changed_after_pop_have_no_effect);
	add_indirect_tests(t);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
