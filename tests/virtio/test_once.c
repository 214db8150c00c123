/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that changes each field of the ring right after the device has read
 * it (class E of the hostile cases): no field is read a second time, and what
 * was checked is what is used.
 */
#include "bare.h"

#include "base/base.h"
#include "support/trap.h"

#define DESC  0x4000u		/* a page each: descriptors, rings, a table */
#define AVAIL 0x5000u
#define USED  0x6000u
#define TABLE 0x7000u
#define EVIL  0xffffffffffffffffull

static struct trap trap;

static void
setup(void)
{
	struct vcore__ring r = {
		.desc = DESC, .driver = AVAIL, .device = USED,
		.size = BARE_MAX, .event_idx = true, .indirect = true,
	};

	bare_setup();
	*ring = (struct vdriver_queue){
		.d = &driver, .size = BARE_MAX, .desc = DESC, .avail = AVAIL,
		.used = USED, .event_idx = true,
	};
	vcore__virtqueue_setup(&q, &r);
	vcore__virtqueue_open(&q);
}

/* Of a descriptor: address, length, flags, next. */
#define FIELDS 4u
static const struct {
	uint32_t off, len;
} fields[FIELDS] = { { 0, 8 }, { 8, 4 }, { 12, 2 }, { 14, 2 } };

/* The field that was just read becomes what the test says. */
static void
flip(struct trap *t, uint32_t off, bool write)
{
	const uint8_t *evil = t->opaque;

	for (uint32_t i = 0; i < FIELDS && !write; i++)
		if (off % 16 == fields[i].off)
			memcpy(t->page + off, evil + off % 8, fields[i].len);
}

/* The fields of the first descriptors were read once, and nothing else was. */
static void
assert_read_once(uint32_t descriptors)
{
	ck_assert_uint_eq(trap_reads(&trap, 0, TRAP_BYTES),
			  FIELDS * descriptors);
	for (uint32_t i = 0; i < FIELDS * descriptors; i++)
		ck_assert_uint_eq(trap.reads[i / FIELDS * 16 +
					     fields[i % FIELDS].off], 1);
}

static void
watch(uint64_t gpa, uint64_t *evil)
{
	trap_begin(&trap, vdriver_ram(&env, gpa), evil ? flip : NULL, evil);
}

/* What a descriptor turns into: nowhere, endless, another way, itself. */
static const uint64_t evils[] = {
	EVIL,
	0,
	UINT32_MAX,				/* len */
	(uint64_t)(WRITE | NEXT) << 32 | 0x10,	/* flags */
	(uint64_t)NEXT << 32 | 16,		/* next: head 0 */
	(uint64_t)(INDIRECT | NEXT) << 32 | 16,
};

START_TEST(test_once_descriptor_changed_after_it_was_read)
{
	uint64_t evil = evils[_i];
	struct vcore_chain *c;

	vdriver_desc(ring, 0, buf, 16, NEXT, 1);
	vdriver_desc(ring, 1, buf + 64, 32, NEXT, 2);
	vdriver_desc(ring, 2, buf + 128, 8, WRITE, 0);
	vdriver_avail(ring, 0);
	watch(DESC, &evil);
	c = bare_pop();
	trap_end(&trap);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable, 2);
	ck_assert_uint_eq(c->readable_len, 48);
	ck_assert_uint_eq(c->writable_len, 8);
	ck_assert_ptr_eq(c->iov[1].iov_base, vdriver_ram(&env, buf + 64));
	assert_read_once(3);
	ck_assert_uint_eq(trap_writes(&trap, 0, TRAP_BYTES), 0);
}
END_TEST

/* Eight descriptors at this address. */
static void
make_table(uint64_t table)
{
	for (uint32_t i = 0; i < 8; i++)
		vdriver_desc_at(&env, table + 16ull * i, buf + 16 * i, 16,
				i < 7 ? NEXT : WRITE, (uint16_t)(i + 1));
	vdriver_desc(ring, 0, table, 128, INDIRECT, 0);
	vdriver_avail(ring, 0);
}

START_TEST(test_once_indirect_table_changed_while_it_is_walked)
{
	uint64_t evil = evils[_i];
	struct vcore_chain *c;

	make_table(TABLE);
	watch(TABLE, &evil);
	c = bare_pop();
	trap_end(&trap);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable_len, 7 * 16);
	ck_assert_uint_eq(c->writable_len, 16);
	assert_read_once(8);
}
END_TEST

/*
 * Unaligned, a descriptor is copied by memcpy(), which may load a byte more
 * than once: the copy is what is checked, so it is that or a broken queue.
 */
START_TEST(test_once_unaligned_table_changed_while_it_is_walked)
{
	uint64_t evil = evils[_i];
	struct vcore_chain *c;

	make_table(TABLE + 4);
	watch(TABLE, &evil);
	c = bare_pop();
	trap_end(&trap);
	ck_assert_int_eq(c == NULL, broken_why != NULL);
	ck_assert_uint_le(trap.total, 16 * BARE_MAX);
	for (uint32_t i = 0; c && i < c->readable + c->writable; i++) {
		const uint8_t *p = c->iov[i].iov_base;

		ck_assert(p >= env.ram && p < env.ram + VDRIVER_SEAM);
		ck_assert_uint_le(c->iov[i].iov_len,
				  (size_t)(env.ram + VDRIVER_SEAM - p));
	}
}
END_TEST

/* The entry that points at the table, once it was followed. */
START_TEST(test_once_indirect_table_moved_while_it_is_walked)
{
	uint64_t evil = VDRIVER_RAM - 16;
	struct vcore_chain *c;

	make_table(TABLE);
	watch(DESC, &evil);
	c = bare_pop();
	trap_end(&trap);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->readable_len + c->writable_len, 128);
	assert_read_once(1);
}
END_TEST

/* The index, then the head: 2 and 2 bytes of the same word of the page. */
static void
flip_avail(struct trap *t, uint32_t off, bool write)
{
	uint16_t evil = off == 2 ? 0x8000 : 0xffff;

	if (!write)
		memcpy(t->page + off, &evil, 2);
}

START_TEST(test_once_head_and_index_changed_after_they_were_read)
{
	struct vcore_chain *c, *second;

	vdriver_desc(ring, 5, buf, 16, 0, 0);
	vdriver_desc(ring, 6, buf, 16, 0, 0);
	vdriver_avail(ring, 5);
	vdriver_avail(ring, 6);
	trap_begin(&trap, vdriver_ram(&env, AVAIL), flip_avail, NULL);
	c = bare_pop();
	second = bare_pop();
	trap_end(&trap);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->head, 5);
	ck_assert_ptr_nonnull(second);
	ck_assert_uint_eq(second->head, 6);
	/* The index is enough for two, each head is read once. */
	ck_assert_uint_eq(trap.reads[2], 1);
	ck_assert_uint_eq(trap.reads[4], 1);
	ck_assert_uint_eq(trap.reads[6], 1);
	/* Now it looks again, and sees that it jumped. */
	ck_assert_ptr_null(bare_pop());
	ck_assert_str_eq(broken_why, "available index jumped");
}
END_TEST

/* Case 20: indices and elements are the device's; it never reads them back. */
START_TEST(test_once_used_ring_is_only_written)
{
	watch(USED, NULL);
	for (uint16_t i = 0; i < 3 * BARE_MAX; i++) {
		struct vcore_chain *c;

		vdriver_desc(ring, i % BARE_MAX, buf, 16, WRITE, 0);
		vdriver_avail(ring, i % BARE_MAX);
		vcore_virtqueue_disable_kick(&q);
		c = bare_pop();
		ck_assert_ptr_nonnull(c);
		vcore_virtqueue_push(&q, c, 16);
		vcore_virtqueue_flush(&q);
		(void)vcore_virtqueue_enable_kick(&q);
	}
	trap_end(&trap);
	ck_assert_uint_eq(trap_reads(&trap, 0, TRAP_BYTES), 0);
	/* Per chain: id, len, idx, and one or two of avail_event. */
	ck_assert_uint_ge(trap_writes(&trap, 0, TRAP_BYTES), 9 * BARE_MAX);
	ck_assert_uint_eq(vdriver_used_idx(ring), 3 * BARE_MAX);
}
END_TEST

/* One read of each field, whatever it is: bounded work, no retry. */
START_TEST(test_once_broken_chain_is_read_once)
{
	vdriver_desc(ring, 0, buf, 16, NEXT, 1);
	vdriver_desc(ring, 1, UINT64_MAX, 16, 0, 0);
	vdriver_avail(ring, 0);
	watch(DESC, NULL);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_ptr_null(bare_pop());
	trap_end(&trap);
	ck_assert_str_eq(broken_why, "buffer not in memory");
	ck_assert_uint_eq(trap.total, 2 * FIELDS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("virtio/once");
	TCase *t = tcase_create("once");
	int n = (int)VCORE__ARRAY_SIZE(evils);

	tcase_add_checked_fixture(t, setup, bare_teardown);
	tcase_add_loop_test(t, test_once_descriptor_changed_after_it_was_read,
			    0, n);
	tcase_add_loop_test(
		t, test_once_indirect_table_changed_while_it_is_walked, 0, n);
	tcase_add_loop_test(
		t, test_once_unaligned_table_changed_while_it_is_walked, 0, n);
	tcase_add_test(t, test_once_indirect_table_moved_while_it_is_walked);
	tcase_add_test(t,
		       test_once_head_and_index_changed_after_they_were_read);
	tcase_add_test(t, test_once_used_ring_is_only_written);
	tcase_add_test(t, test_once_broken_chain_is_read_once);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
