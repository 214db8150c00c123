/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring: indices, suppression, budgets; a queue without a device. */
#include "bare.h"

/* A chain of one readable byte with this head. */
static void
offer(uint16_t head)
{
	vdriver_desc(ring, head, buf, 1, 0, 0);
	vdriver_avail(ring, head);
}

static void
serve_one(void)
{
	struct vcore_chain *c = bare_pop();

	ck_assert_ptr_nonnull(c);
	vcore_virtqueue_push(&q, c, 0);
	vcore_virtqueue_flush(&q);
}

START_TEST(test_virtqueue_pop_empty_returns_0)
{
	struct vcore_chain *c;

	ck_assert_int_eq(vcore_virtqueue_pop(&q, &c), 0);
	ck_assert_int_eq(vcore_virtqueue_pop(NULL, &c), 0);
	ck_assert_int_eq(vcore_virtqueue_pop(&q, NULL), 0);
}
END_TEST

START_TEST(test_virtqueue_pushed_chain_is_seen_after_flush)
{
	struct vdriver_buf b = { buf, 64, true };
	struct vcore_chain *c;
	uint32_t id, len;
	uint16_t head = vdriver_add(ring, &b, 1);

	c = bare_pop();
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 1);
	vcore_virtqueue_push(&q, c, 17);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 0);
	ck_assert(!vdriver_used(ring, &id, &len));
	vcore_virtqueue_flush(&q);
	ck_assert(vdriver_used(ring, &id, &len));
	ck_assert_uint_eq(id, head);
	ck_assert_uint_eq(len, 17);
}
END_TEST

START_TEST(test_virtqueue_used_len_never_exceeds_writable_part)
{
	struct vdriver_buf b[2] = { { buf, 64, false }, { buf, 8, true } };
	uint32_t id, len;

	vdriver_add(ring, b, 2);
	vcore_virtqueue_push(&q, bare_pop(), UINT32_MAX);
	vdriver_add(ring, b, 1);
	vcore_virtqueue_push(&q, bare_pop(), 1);
	vcore_virtqueue_flush(&q);
	ck_assert(vdriver_used(ring, &id, &len));
	ck_assert_uint_eq(len, 8);
	ck_assert(vdriver_used(ring, &id, &len));
	ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(test_virtqueue_push_twice_counts_once)
{
	struct vcore_chain *c;

	offer(0);
	c = bare_pop();
	vcore_virtqueue_push(&q, c, 0);
	vcore_virtqueue_push(&q, c, 0);
	vcore_virtqueue_drop(&q, c);
	vcore_virtqueue_push(&q, NULL, 0);
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(vdriver_used_idx(ring), 1);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 0);
}
END_TEST

START_TEST(test_virtqueue_unpop_gives_the_same_chain_again)
{
	struct vcore_chain *a, *b;

	offer(3);
	offer(4);
	a = bare_pop();
	b = bare_pop();
	/* Not the newest: nothing happens. */
	vcore_virtqueue_unpop(&q, a);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 2);
	vcore_virtqueue_unpop(&q, b);
	vcore_virtqueue_unpop(&q, a);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 0);
	ck_assert_uint_eq(bare_pop()->head, 3);
	ck_assert_uint_eq(bare_pop()->head, 4);
	ck_assert_ptr_null(bare_pop());
}
END_TEST

START_TEST(test_virtqueue_indices_wrap_at_65536)
{
	for (uint32_t i = 0; i < 70000; i++) {
		offer((uint16_t)(i % BARE_MAX));
		serve_one();
	}
	ck_assert_ptr_null(broken_why);
	ck_assert_uint_eq(vdriver_used_idx(ring), 70000 % 65536);
}
END_TEST

START_TEST(test_virtqueue_avail_idx_jump_breaks)
{
	static const uint16_t idx[] = { BARE_MAX + 1, 0x8000, 0xffff };

	vdriver_set_avail_idx(ring, idx[_i]);
	bare_assert_broken("available index jumped");
}
END_TEST

START_TEST(test_virtqueue_avail_idx_goes_backwards_breaks)
{
	offer(0);
	offer(1);
	serve_one();
	serve_one();
	vdriver_set_avail_idx(ring, 1);
	ck_assert_ptr_null(bare_pop());
	ck_assert_str_eq(broken_why, "available index jumped");
}
END_TEST

START_TEST(test_virtqueue_full_ring_works)
{
	for (uint16_t i = 0; i < BARE_MAX; i++)
		offer(i);
	for (uint16_t i = 0; i < BARE_MAX; i++)
		ck_assert_uint_eq(bare_pop()->head, i);
	ck_assert_ptr_null(bare_pop());
	ck_assert_ptr_null(broken_why);
}
END_TEST

START_TEST(test_virtqueue_head_beyond_queue_breaks)
{
	vdriver_avail(ring, _i ? 0xffff : BARE_MAX);
	bare_assert_broken("head beyond the queue");
}
END_TEST

START_TEST(test_virtqueue_head_in_flight_twice_breaks)
{
	offer(5);
	offer(5);
	ck_assert_ptr_nonnull(bare_pop());
	ck_assert_ptr_null(bare_pop());
	ck_assert_str_eq(broken_why, "head is in flight already");
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 1);
}
END_TEST

START_TEST(test_virtqueue_head_reused_after_push_works)
{
	for (uint32_t i = 0; i < 3; i++) {
		offer(5);
		serve_one();
	}
	ck_assert_ptr_null(broken_why);
}
END_TEST

START_TEST(test_virtqueue_used_ring_rewritten_by_guest_is_not_read)
{
	uint16_t *used = vdriver_ram(&env, ring->used);

	offer(0);
	serve_one();
	used[0] = 0xffff;
	used[1] = 0x1234;
	offer(1);
	serve_one();
	ck_assert_uint_eq(vdriver_used_idx(ring), 2);
}
END_TEST

START_TEST(test_virtqueue_broken_pushes_nothing)
{
	struct vcore_chain *c;

	offer(0);
	c = bare_pop();
	vcore_virtqueue_break(&q, "test");
	ck_assert_str_eq(broken_why, "test");
	vcore_virtqueue_push(&q, c, 0);
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(vdriver_used_idx(ring), 0);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 0);
	ck_assert_uint_eq(interrupts, 0);
	ck_assert_int_eq(vcore_virtqueue_enable_kick(&q), 0);
}
END_TEST

START_TEST(test_virtqueue_no_interrupt_flag_is_obeyed)
{
	offer(0);
	serve_one();
	ck_assert_uint_eq(interrupts, 1);
	vdriver_set_no_interrupt(ring, true);
	offer(1);
	serve_one();
	ck_assert_uint_eq(interrupts, 1);
	vdriver_set_no_interrupt(ring, false);
	offer(2);
	serve_one();
	ck_assert_uint_eq(interrupts, 2);
}
END_TEST

START_TEST(test_virtqueue_flush_of_nothing_does_not_interrupt)
{
	vcore_virtqueue_flush(&q);
	offer(0);
	serve_one();
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(interrupts, 1);
}
END_TEST

START_TEST(test_virtqueue_batch_interrupts_once)
{
	for (uint16_t i = 0; i < 8; i++)
		offer(i);
	for (uint16_t i = 0; i < 8; i++)
		vcore_virtqueue_push(&q, bare_pop(), 0);
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(interrupts, 1);
	ck_assert_uint_eq(vdriver_used_idx(ring), 8);
}
END_TEST

START_TEST(test_virtqueue_used_event_decides)
{
	bare_open(BARE_MAX, true);
	/* The first is always told: the driver's wish is not known before. */
	vdriver_set_used_event(ring, 0x8000);
	offer(0);
	serve_one();
	ck_assert_uint_eq(interrupts, 1);
	vdriver_set_used_event(ring, 3);
	offer(1);
	serve_one();
	offer(2);
	serve_one();
	ck_assert_uint_eq(interrupts, 1);
	offer(3);
	serve_one();
	ck_assert_uint_eq(interrupts, 2);
	/* Far behind or far ahead: none. */
	vdriver_set_used_event(ring, 0x8000);
	offer(4);
	serve_one();
	ck_assert_uint_eq(interrupts, 2);
}
END_TEST

START_TEST(test_virtqueue_used_event_inside_batch_interrupts)
{
	bare_open(BARE_MAX, true);
	offer(0);
	serve_one();
	vdriver_set_used_event(ring, 4);
	for (uint16_t i = 1; i < 8; i++)
		offer(i);
	for (uint16_t i = 1; i < 8; i++)
		vcore_virtqueue_push(&q, bare_pop(), 0);
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(interrupts, 2);
}
END_TEST

START_TEST(test_virtqueue_disable_kick_tells_the_driver)
{
	vcore_virtqueue_disable_kick(&q);
	ck_assert_uint_eq(vdriver_used_flags(ring), VRING_USED_F_NO_NOTIFY);
	ck_assert_int_eq(vcore_virtqueue_enable_kick(&q), 0);
	ck_assert_uint_eq(vdriver_used_flags(ring), 0);
}
END_TEST

START_TEST(test_virtqueue_enable_kick_sees_what_came_meanwhile)
{
	vcore_virtqueue_disable_kick(&q);
	offer(0);
	ck_assert_int_eq(vcore_virtqueue_enable_kick(&q), 1);
	ck_assert_ptr_nonnull(bare_pop());
}
END_TEST

START_TEST(test_virtqueue_empty_pop_moves_avail_event)
{
	bare_open(BARE_MAX, true);
	for (uint16_t i = 0; i < 5; i++) {
		offer(i);
		serve_one();
	}
	/* A driver that has seen 5 used would have to kick for the 6th. */
	ck_assert_ptr_null(bare_pop());
	ck_assert_uint_eq(vdriver_avail_event(ring), 5);
}
END_TEST

START_TEST(test_virtqueue_disable_kick_leaves_avail_event_behind)
{
	bare_open(BARE_MAX, true);
	ck_assert_ptr_null(bare_pop());
	vcore_virtqueue_disable_kick(&q);
	offer(0);
	serve_one();
	ck_assert_ptr_null(bare_pop());
	ck_assert_uint_eq(vdriver_avail_event(ring), 0);
	ck_assert_int_eq(vcore_virtqueue_enable_kick(&q), 0);
	ck_assert_uint_eq(vdriver_avail_event(ring), 1);
}
END_TEST

START_TEST(test_virtqueue_garbage_avail_event_is_overwritten_at_first)
{
	bare_open(BARE_MAX, true);
	*(uint16_t *)vdriver_ram(&env, ring->used + 4 + 8ull * BARE_MAX) = 77;
	ck_assert_ptr_null(bare_pop());
	ck_assert_uint_eq(vdriver_avail_event(ring), 0);
}
END_TEST

/* Pop and push as long as there is something; how many. */
static uint32_t
serve_all(void)
{
	struct vcore_chain *c;
	uint32_t n = 0;

	for (; (c = bare_pop()); n++)
		vcore_virtqueue_push(&q, c, 0);
	vcore_virtqueue_flush(&q);
	return n;
}

/* All heads, each a chain through the whole table from there. */
static void
overlapping_chains(void)
{
	for (uint16_t i = 0; i < BARE_MAX; i++)
		vdriver_desc(ring, i, buf, 1, i + 1 < (int)BARE_MAX ? NEXT : 0,
			     (uint16_t)(i + 1));
	for (uint16_t i = 0; i < BARE_MAX; i++)
		vdriver_avail(ring, i);
}

START_TEST(test_virtqueue_dispatch_is_bounded_in_descriptors)
{
	uint32_t n;

	overlapping_chains();
	vcore__virtqueue_begin(&q);
	n = serve_all();
	/* 64 + 63 + 62 + 61 + 60 descriptors: 4 * 64 are exceeded once. */
	ck_assert_uint_eq(n, 5);
	ck_assert(vcore__virtqueue_end(&q));
	for (uint32_t rounds = 0; n < BARE_MAX; rounds++) {
		ck_assert_uint_lt(rounds, 16);
		vcore__virtqueue_begin(&q);
		n += serve_all();
		(void)vcore__virtqueue_end(&q);
	}
	vcore__virtqueue_begin(&q);
	ck_assert_uint_eq(serve_all(), 0);
	ck_assert(!vcore__virtqueue_end(&q));
}
END_TEST

START_TEST(test_virtqueue_enable_kick_out_of_budget_does_not_spin)
{
	overlapping_chains();
	vcore__virtqueue_begin(&q);
	vcore_virtqueue_disable_kick(&q);
	ck_assert_uint_eq(serve_all(), 5);
	ck_assert_int_eq(vcore_virtqueue_enable_kick(&q), 0);
	ck_assert(vcore__virtqueue_end(&q));
}
END_TEST

START_TEST(test_virtqueue_outside_a_dispatch_has_no_budget)
{
	overlapping_chains();
	ck_assert_uint_eq(serve_all(), BARE_MAX);
}
END_TEST

START_TEST(test_virtqueue_draining_pushes_but_does_not_pop)
{
	struct vcore_chain *c;

	offer(0);
	offer(1);
	c = bare_pop();
	vcore__virtqueue_drain(&q);
	ck_assert_ptr_null(bare_pop());
	vcore_virtqueue_push(&q, c, 0);
	vcore_virtqueue_flush(&q);
	ck_assert_uint_eq(vdriver_used_idx(ring), 1);
	vcore__virtqueue_open(&q);
	ck_assert_ptr_nonnull(bare_pop());
}
END_TEST

START_TEST(test_virtqueue_closed_touches_nothing)
{
	uint8_t before[64], *used = vdriver_ram(&env, ring->used);
	struct vcore_chain *c;

	offer(0);
	c = bare_pop();
	memcpy(before, used, sizeof(before));
	vcore__virtqueue_close(&q);
	vcore_virtqueue_push(&q, c, 0);
	vcore_virtqueue_flush(&q);
	vcore_virtqueue_disable_kick(&q);
	ck_assert_int_eq(vcore_virtqueue_enable_kick(&q), 0);
	ck_assert_int_eq(memcmp(before, used, sizeof(before)), 0);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(&q), 0);
}
END_TEST

START_TEST(test_virtqueue_ring_memory_removed_breaks)
{
	struct vcore__ring r = {
		.desc = VDRIVER_SEAM, .driver = VDRIVER_SEAM + 4096,
		.device = VDRIVER_SEAM + 8192, .size = 16,
	};
	struct vcore_chain *c;

	vcore__virtqueue_setup(&q, &r);
	vcore__virtqueue_open(&q);
	ck_assert_int_eq(vcore_virtqueue_pop(&q, &c), 0);
	ck_assert_ptr_null(broken_why);
	ck_assert_ok(vcore_memory_remove(env.memory, VDRIVER_SEAM));
	ck_assert_int_eq(vcore_virtqueue_pop(&q, &c), 0);
	ck_assert_str_eq(broken_why, "ring not in memory any more");
}
END_TEST

START_TEST(test_virtqueue_pinned_buffer_holds_up_removal_of_memory)
{
	struct vcore_memory_opts o;
	struct vcore_chain *c;

	/* A memory of its own, that does not wait long. */
	vcore_memory_unref(env.memory);
	vcore__virtqueue_fini(&q);
	VCORE_INIT(&o);
	o.remove_timeout_ns = 1000000;
	ck_assert_ok(vcore_memory_new(&o, &env.memory));
	ck_assert_ok(vcore_memory_add(env.memory, 0, env.low, 0));
	ck_assert_ok(vcore_memory_add(env.memory, VDRIVER_SEAM, env.high, 0));
	ck_assert_int_eq(vcore__virtqueue_init(&q, env.memory, 0, BARE_MAX),
			 0);
	bare_open(BARE_MAX, false);
	vdriver_desc(ring, 0, VDRIVER_SEAM, 16, WRITE, 0);
	vdriver_avail(ring, 0);
	c = bare_pop();
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(vcore_memory_remove(env.memory, VDRIVER_SEAM),
			 -ETIMEDOUT);
	ck_assert_uint_eq(vcore_chain_write(c, 0, "x", 1), 1);
	vcore_virtqueue_push(&q, c, 1);
	ck_assert_ok(vcore_memory_remove(env.memory, VDRIVER_SEAM));
}
END_TEST

static const struct {
	uint64_t desc, driver, device;
	uint32_t size;
	const char *why;
} bad_rings[] = {
	{ 0x1000, 0x2000, 0x3000, 0, "bad queue size" },
	{ 0x1000, 0x2000, 0x3000, 3, "bad queue size" },
	{ 0x1000, 0x2000, 0x3000, BARE_MAX * 2, "bad queue size" },
	{ 0x1000, 0x2000, 0x3000, 0x80000000, "bad queue size" },
	{ 0x1008, 0x2000, 0x3000, 16, "ring address not aligned" },
	{ 0x1000, 0x2001, 0x3000, 16, "ring address not aligned" },
	{ 0x1000, 0x2000, 0x3002, 16, "ring address not aligned" },
	{ VDRIVER_RAM, 0x2000, 0x3000, 16, NULL },
	{ VDRIVER_RAM - 16, 0x2000, 0x3000, 16, NULL },
	{ 0x1000, VDRIVER_RAM - 36, 0x3000, 16, NULL },
	{ 0x1000, 0x2000, VDRIVER_RAM - 132, 16, NULL },
	{ 0x1000, 0x2000, VDRIVER_ROM, 16, NULL },
	{ 0xfffffffffffffff0, 0x2000, 0x3000, 16, NULL },
	{ 0x1000, 0xfffffffffffffffe, 0x3000, 16, NULL },
	{ 0x1000, 0x2000, 0xfffffffffffffffc, 16, NULL },
};

START_TEST(test_ring_check_refuses_bad_rings)
{
	struct vcore__ring r = {
		.desc = bad_rings[_i].desc, .driver = bad_rings[_i].driver,
		.device = bad_rings[_i].device, .size = bad_rings[_i].size,
	};
	const char *why = vcore__ring_check(&q.user, &r, BARE_MAX);

	ck_assert_ptr_nonnull(why);
	ck_assert_str_eq(why, bad_rings[_i].why ?
				      bad_rings[_i].why :
				      "ring not in one stretch of writable memory");
}
END_TEST

START_TEST(test_ring_check_accepts_a_ring_up_to_the_last_byte)
{
	struct vcore__ring r = {
		.desc = VDRIVER_SEAM, .driver = VDRIVER_ROM,
		.device = VDRIVER_RAM - 136, .size = 16,
	};

	/* 6 + 8 * 16 bytes; the address is a multiple of 4. */
	ck_assert_ptr_null(vcore__ring_check(&q.user, &r, BARE_MAX));
}
END_TEST

START_TEST(test_virtqueue_getters)
{
	ck_assert_uint_eq(vcore_virtqueue_size(&q), BARE_MAX);
	ck_assert_uint_eq(vcore_virtqueue_index(&q), 0);
	ck_assert_ptr_null(vcore_virtqueue_loop(&q));
	ck_assert_ptr_null(vcore_virtqueue_opaque(&q));
	vcore_virtqueue_set_opaque(&q, &env);
	ck_assert_ptr_eq(vcore_virtqueue_opaque(&q), &env);
	ck_assert_uint_eq(vcore_virtqueue_size(NULL), 0);
	ck_assert_uint_eq(vcore_virtqueue_index(NULL), 0);
	ck_assert_uint_eq(vcore_virtqueue_in_flight(NULL), 0);
	ck_assert_ptr_null(vcore_virtqueue_loop(NULL));
	ck_assert_ptr_null(vcore_virtqueue_opaque(NULL));
	vcore_virtqueue_break(NULL, "x");
	vcore_virtqueue_flush(NULL);
	vcore_virtqueue_unpop(&q, NULL);
}
END_TEST

static void
add_ring_tests(TCase *t)
{
	tcase_add_test(t, test_virtqueue_pop_empty_returns_0);
	tcase_add_test(t, test_virtqueue_pushed_chain_is_seen_after_flush);
	tcase_add_test(t, test_virtqueue_used_len_never_exceeds_writable_part);
	tcase_add_test(t, test_virtqueue_push_twice_counts_once);
	tcase_add_test(t, test_virtqueue_unpop_gives_the_same_chain_again);
	tcase_add_test(t, test_virtqueue_indices_wrap_at_65536);
	tcase_add_loop_test(t, test_virtqueue_avail_idx_jump_breaks, 0, 3);
	tcase_add_test(t, test_virtqueue_avail_idx_goes_backwards_breaks);
	tcase_add_test(t, test_virtqueue_full_ring_works);
	tcase_add_loop_test(t, test_virtqueue_head_beyond_queue_breaks, 0, 2);
	tcase_add_test(t, test_virtqueue_head_in_flight_twice_breaks);
	tcase_add_test(t, test_virtqueue_head_reused_after_push_works);
	tcase_add_test(t,
		       test_virtqueue_used_ring_rewritten_by_guest_is_not_read);
	tcase_add_test(t, test_virtqueue_broken_pushes_nothing);
	tcase_add_test(t, test_virtqueue_getters);
	tcase_add_loop_test(t, test_ring_check_refuses_bad_rings, 0,
			    (int)VCORE__ARRAY_SIZE(bad_rings));
	tcase_add_test(t, test_ring_check_accepts_a_ring_up_to_the_last_byte);
}

static void
add_suppression_tests(TCase *t)
{
	tcase_add_test(t, test_virtqueue_no_interrupt_flag_is_obeyed);
	tcase_add_test(t, test_virtqueue_flush_of_nothing_does_not_interrupt);
	tcase_add_test(t, test_virtqueue_batch_interrupts_once);
	tcase_add_test(t, test_virtqueue_used_event_decides);
	tcase_add_test(t, test_virtqueue_used_event_inside_batch_interrupts);
	tcase_add_test(t, test_virtqueue_disable_kick_tells_the_driver);
	tcase_add_test(t, test_virtqueue_enable_kick_sees_what_came_meanwhile);
	tcase_add_test(t, test_virtqueue_empty_pop_moves_avail_event);
	tcase_add_test(t, test_virtqueue_disable_kick_leaves_avail_event_behind);
	tcase_add_test(t,
		       test_virtqueue_garbage_avail_event_is_overwritten_at_first);
}

int
main(void)
{
	Suite *suite = suite_create("virtio/virtqueue");
	TCase *t = tcase_create("virtqueue");

	tcase_add_checked_fixture(t, bare_setup, bare_teardown);
	add_ring_tests(t);
	add_suppression_tests(t);
	tcase_add_test(t, test_virtqueue_dispatch_is_bounded_in_descriptors);
	tcase_add_test(t,
		       test_virtqueue_enable_kick_out_of_budget_does_not_spin);
	tcase_add_test(t, test_virtqueue_outside_a_dispatch_has_no_budget);
	tcase_add_test(t, test_virtqueue_draining_pushes_but_does_not_pop);
	tcase_add_test(t, test_virtqueue_closed_touches_nothing);
	tcase_add_test(t, test_virtqueue_ring_memory_removed_breaks);
	tcase_add_test(t,
		       test_virtqueue_pinned_buffer_holds_up_removal_of_memory);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
