/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges: who gets an access, and when a handler is released. */
#include "bus/bus.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/bus.h>

/* A handler that records what it was asked and answers with `answer`. */
struct recorder {
	uint64_t off, val, answer;
	uint32_t len, reads, writes, released;
	int rc;
	struct vcore_bus *bus;
	struct vcore_range *self;
};

static int
record_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	    struct vcore_access *later)
{
	struct recorder *r = opaque;

	(void)later;
	r->off = off;
	r->len = len;
	r->reads++;
	*val = r->answer;
	return r->rc;
}

static int
record_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	     struct vcore_access *later)
{
	struct recorder *r = opaque;

	(void)later;
	r->off = off;
	r->len = len;
	r->val = val;
	r->writes++;
	return r->rc;
}

static void
record_release(void *opaque)
{
	((struct recorder *)opaque)->released++;
}

static const struct vcore_bus_ops record_ops = {
	.size = sizeof(struct vcore_bus_ops),
	.read = record_read,
	.write = record_write,
};

static struct vcore_bus *bus;

static void
setup(void)
{
	ck_assert_int_eq(vcore_bus_new(NULL, &bus), 0);
}

static void
teardown(void)
{
	vcore_bus_unref(bus);
}

static void
fill(struct vcore_range_opts *o, uint64_t base, uint64_t len,
     struct recorder *r)
{
	VCORE_INIT(o);
	o->base = base;
	o->len = len;
	o->ops = &record_ops;
	o->opaque = r;
	o->release = record_release;
}

static int
add(uint64_t base, uint64_t len, struct recorder *r, struct vcore_range **range)
{
	struct vcore_range_opts o;

	fill(&o, base, len, r);
	return vcore_bus_add(bus, &o, range);
}

static uint64_t
unclaimed(void)
{
	struct vcore_bus_info i;

	VCORE_INIT(&i);
	ck_assert_int_eq(vcore_bus_get_info(bus, &i), 0);
	return i.unclaimed;
}

#define ck_text(prefix)                                                      \
	ck_assert_msg(!strncmp(vcore_error_text(), prefix, strlen(prefix)),  \
		      "text is \"%s\"", vcore_error_text())

START_TEST(test_read_reaches_handler_with_offset)
{
	struct recorder r = { .answer = 0x1122334455667788 };
	struct vcore_range *range;
	uint64_t val;

	ck_assert_int_eq(add(0x1000, 0x100, &r, &range), 0);
	ck_assert_int_eq(vcore_bus_read(bus, 0x1010, 4, &val), 0);
	ck_assert_uint_eq(val, 0x55667788);
	ck_assert_uint_eq(r.off, 0x10);
	ck_assert_uint_eq(r.len, 4);
	vcore_range_remove(range);
}
END_TEST

START_TEST(test_answer_is_cut_to_width)
{
	static const uint32_t len[] = { 1, 2, 4, 8 };
	static const uint64_t want[] = { 0x88, 0x7788, 0x55667788,
					 0x1122334455667788 };
	struct recorder r = { .answer = 0x1122334455667788 };
	struct vcore_range *range;
	uint64_t val;

	ck_assert_int_eq(add(0, 8, &r, &range), 0);
	ck_assert_int_eq(vcore_bus_read(bus, 0, len[_i], &val), 0);
	ck_assert_uint_eq(val, want[_i]);
	ck_assert_int_eq(vcore_bus_write(bus, 0, len[_i], r.answer), 0);
	ck_assert_uint_eq(r.val, want[_i]);
	vcore_range_remove(range);
}
END_TEST

START_TEST(test_unclaimed_read_is_all_ones_of_width)
{
	static const uint32_t len[] = { 1, 2, 4, 8 };
	static const uint64_t want[] = { 0xff, 0xffff, 0xffffffff,
					 UINT64_MAX };
	uint64_t val = 0;

	ck_assert_int_eq(vcore_bus_read(bus, 0x2000, len[_i], &val), -ENOENT);
	ck_text("vcore_bus_read: ");
	ck_assert_uint_eq(val, want[_i]);
	ck_assert_int_eq(vcore_bus_write(bus, 0x2000, len[_i], 0), -ENOENT);
	ck_text("vcore_bus_write: ");
	ck_assert_uint_eq(unclaimed(), 2);
}
END_TEST

START_TEST(test_bad_width_returns_einval)
{
	static const uint32_t len[] = { 0, 3, 5, 6, 7, 9, 16, UINT32_MAX };
	uint64_t val = 42;

	ck_assert_int_eq(vcore_bus_read(bus, 0, len[_i], &val), -EINVAL);
	ck_assert_uint_eq(val, 42);
	ck_assert_int_eq(vcore_bus_write(bus, 0, len[_i], 0), -EINVAL);
	ck_assert_uint_eq(unclaimed(), 0);
}
END_TEST

START_TEST(test_access_across_a_border_is_unclaimed)
{
	struct recorder a = { .answer = 1 }, b = { .answer = 2 };
	struct vcore_range *ra, *rb;
	uint64_t val;

	ck_assert_int_eq(add(0x100, 0x10, &a, &ra), 0);
	ck_assert_int_eq(add(0x110, 0x10, &b, &rb), 0);
	/* The last whole access, then one byte further. */
	ck_assert_int_eq(vcore_bus_read(bus, 0x10c, 4, &val), 0);
	ck_assert_int_eq(vcore_bus_read(bus, 0x10d, 4, &val), -ENOENT);
	ck_assert_int_eq(vcore_bus_read(bus, 0x11f, 2, &val), -ENOENT);
	ck_assert_int_eq(vcore_bus_read(bus, 0x0ff, 2, &val), -ENOENT);
	ck_assert_uint_eq(a.reads, 1);
	ck_assert_uint_eq(b.reads, 0);
	ck_assert_uint_eq(unclaimed(), 3);
	vcore_range_remove(ra);
	vcore_range_remove(rb);
}
END_TEST

START_TEST(test_last_addresses_of_mmio_work)
{
	struct recorder r = { .answer = 7 };
	struct vcore_range *range;
	uint64_t val;

	ck_assert_int_eq(add(UINT64_MAX - 7, 8, &r, &range), 0);
	ck_assert_int_eq(vcore_bus_read(bus, UINT64_MAX, 1, &val), 0);
	ck_assert_uint_eq(r.off, 7);
	ck_assert_int_eq(vcore_bus_read(bus, UINT64_MAX, 2, &val), -ENOENT);
	vcore_range_remove(range);
}
END_TEST

START_TEST(test_ports_end_at_64k)
{
	struct vcore_bus_opts bo;
	struct vcore_range_opts o;
	struct recorder r = { .answer = 7 };
	struct vcore_range *range = NULL;
	struct vcore_bus *pio;

	VCORE_INIT(&bo);
	bo.kind = VCORE_BUS_PIO;
	ck_assert_int_eq(vcore_bus_new(&bo, &pio), 0);
	fill(&o, 0xffff, 2, &r);
	ck_assert_int_eq(vcore_bus_add(pio, &o, &range), -EINVAL);
	fill(&o, 0x10000, 1, &r);
	ck_assert_int_eq(vcore_bus_add(pio, &o, &range), -EINVAL);
	fill(&o, 0xffff, 1, &r);
	ck_assert_int_eq(vcore_bus_add(pio, &o, &range), 0);
	vcore_range_remove(range);
	vcore_bus_unref(pio);
	ck_assert_uint_eq(r.released, 1);
}
END_TEST

START_TEST(test_handler_error_reads_all_ones_and_counts)
{
	struct recorder r = { .answer = 7, .rc = -EIO };
	struct vcore_range *range;
	uint64_t val;

	ck_assert_int_eq(add(0, 8, &r, &range), 0);
	ck_assert_int_eq(vcore_bus_read(bus, 0, 2, &val), -ENOENT);
	ck_assert_uint_eq(val, 0xffff);
	ck_assert_int_eq(vcore_bus_write(bus, 0, 2, 0), -ENOENT);
	ck_assert_uint_eq(unclaimed(), 2);
	vcore_range_remove(range);
}
END_TEST

START_TEST(test_new_bad_opts_are_refused)
{
	struct vcore_bus_opts o;
	struct vcore_bus *b = NULL;

	ck_assert_int_eq(vcore_bus_new(NULL, NULL), -EINVAL);
	ck_text("vcore_bus_new: ");
	VCORE_INIT(&o);
	o.kind = 3;
	ck_assert_int_eq(vcore_bus_new(&o, &b), -EINVAL);
	ck_text("vcore_bus_new: ");
	VCORE_INIT(&o);
	o.size = 0;
	ck_assert_int_eq(vcore_bus_new(&o, &b), -EINVAL);
	VCORE_INIT(&o);
	o.flags = 1;
	ck_assert_int_eq(vcore_bus_new(&o, &b), -E2BIG);
	ck_text("vcore_bus_new: ");
	VCORE_INIT(&o);
	o.reserved0 = 1;
	ck_assert_int_eq(vcore_bus_new(&o, &b), -E2BIG);
	ck_assert_ptr_null(b);
}
END_TEST

START_TEST(test_add_null_returns_einval)
{
	struct recorder r = { 0 };
	struct vcore_range_opts o;
	struct vcore_bus_ops half = record_ops;
	struct vcore_range *range = NULL;

	fill(&o, 0, 8, &r);
	ck_assert_int_eq(vcore_bus_add(NULL, &o, &range), -EINVAL);
	ck_text("vcore_bus_add: ");
	ck_assert_int_eq(vcore_bus_add(bus, NULL, &range), -EINVAL);
	ck_assert_int_eq(vcore_bus_add(bus, &o, NULL), -EINVAL);
	o.ops = NULL;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), -EINVAL);
	half.read = NULL;
	o.ops = &half;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), -EINVAL);
	half = record_ops;
	half.write = NULL;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), -EINVAL);
	half = record_ops;
	half.size = 0;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), -EINVAL);
	ck_assert_ptr_null(range);
	ck_assert_uint_eq(r.released, 0);
}
END_TEST

START_TEST(test_add_unknown_flag_returns_e2big)
{
	struct recorder r = { 0 };
	struct vcore_range_opts o;
	struct vcore_bus_ops ops = record_ops;
	struct vcore_range *range = NULL;

	fill(&o, 0, 8, &r);
	o.flags = 1;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), -E2BIG);
	ck_text("vcore_bus_add: ");
	fill(&o, 0, 8, &r);
	ops.flags = 1;
	o.ops = &ops;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), -E2BIG);
	ck_assert_ptr_null(range);
}
END_TEST

START_TEST(test_add_overlap_returns_eexist_and_takes_nothing)
{
	struct recorder a = { 0 }, b = { 0 };
	struct vcore_range *range, *other = NULL;

	ck_assert_int_eq(add(0x100, 0x10, &a, &range), 0);
	ck_assert_int_eq(add(0x10f, 0x10, &b, &other), -EEXIST);
	ck_text("vcore_bus_add: ");
	ck_assert_int_eq(add(0xf0, 0x11, &b, &other), -EEXIST);
	ck_assert_int_eq(add(0x108, 1, &b, &other), -EEXIST);
	ck_assert_ptr_null(other);
	ck_assert_uint_eq(b.released, 0);
	vcore_range_remove(range);
}
END_TEST

START_TEST(test_add_empty_or_wrapping_returns_einval)
{
	struct recorder r = { 0 };
	struct vcore_range *range = NULL;

	ck_assert_int_eq(add(0, 0, &r, &range), -EINVAL);
	ck_text("vcore_bus_add: ");
	ck_assert_int_eq(add(UINT64_MAX, 2, &r, &range), -EINVAL);
	ck_assert_int_eq(add(1, UINT64_MAX, &r, &range), 0);
	vcore_range_remove(range);
}
END_TEST

START_TEST(test_remove_releases_once_and_address_is_free)
{
	struct recorder r = { 0 };
	struct vcore_range *range;
	uint64_t val;

	ck_assert_int_eq(add(0, 8, &r, &range), 0);
	vcore_range_remove(range);
	ck_assert_uint_eq(r.released, 1);
	ck_assert_int_eq(vcore_bus_read(bus, 0, 1, &val), -ENOENT);
	ck_assert_int_eq(add(0, 8, &r, &range), 0);
	ck_assert_int_eq(vcore_bus_read(bus, 0, 1, &val), 0);
	vcore_range_remove(range);
	ck_assert_uint_eq(r.released, 2);
	vcore_range_remove(NULL);
}
END_TEST

START_TEST(test_range_keeps_its_bus)
{
	struct recorder r = { 0 };
	struct vcore_bus *own;
	struct vcore_range *range;
	struct vcore_range_opts o;

	ck_assert_int_eq(vcore_bus_new(NULL, &own), 0);
	fill(&o, 0, 8, &r);
	ck_assert_int_eq(vcore_bus_add(own, &o, &range), 0);
	ck_assert_ptr_eq(vcore_bus_ref(own), own);
	vcore_bus_unref(own);
	vcore_bus_unref(own);
	ck_assert_uint_eq(r.released, 0);
	vcore_range_remove(range);
	ck_assert_uint_eq(r.released, 1);
	ck_assert_ptr_null(vcore_bus_ref(NULL));
	vcore_bus_unref(NULL);
}
END_TEST

/* A guest that moves a BAR: the handler removes itself and comes elsewhere. */
static int
move_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	   struct vcore_access *later)
{
	struct recorder *r = opaque;

	(void)off;
	(void)len;
	(void)later;
	vcore_range_remove(r->self);
	/* This call of its handler has not returned. */
	ck_assert_uint_eq(r->released, 0);
	ck_assert_int_eq(add(val, 8, r, &r->self), 0);
	return 0;
}

START_TEST(test_handler_may_move_itself)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = record_read, .write = move_write,
	};
	struct recorder r = { .answer = 5 };
	struct vcore_range_opts o;
	uint64_t val;

	fill(&o, 0x100, 8, &r);
	o.ops = &ops;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &r.self), 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x100, 4, 0x200), 0);
	ck_assert_uint_eq(r.released, 1);
	ck_assert_int_eq(vcore_bus_read(bus, 0x100, 4, &val), -ENOENT);
	ck_assert_int_eq(vcore_bus_read(bus, 0x200, 4, &val), 0);
	vcore_range_remove(r.self);
	ck_assert_uint_eq(r.released, 2);
}
END_TEST

/* release() may use the bus: no lock of it is held. */
static void
release_adds(void *opaque)
{
	struct recorder *r = opaque;

	r->released++;
	ck_assert_int_eq(add(0x300, 8, r, &r->self), 0);
}

START_TEST(test_release_may_use_the_bus)
{
	struct recorder r = { .answer = 5 }, other = { 0 };
	struct vcore_range_opts o;
	struct vcore_range *range, *second;

	fill(&o, 0x100, 8, &r);
	o.release = release_adds;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), 0);
	vcore_range_remove(range);
	ck_assert_uint_eq(r.released, 1);
	ck_assert_int_eq(add(0x300, 1, &other, &second), -EEXIST);
	vcore_range_remove(r.self);
	ck_assert_uint_eq(r.released, 2);
}
END_TEST

START_TEST(test_reader_access_works_and_defers_release)
{
	struct recorder r = { .answer = 0xabcd };
	struct vcore_access a = { 0 };
	struct vcore__reader reader;
	struct vcore_range *range;
	uint64_t val = 0;

	vcore__bus_reader_init(bus, &reader);
	ck_assert_int_eq(add(0, 8, &r, &range), 0);
	ck_assert_int_eq(vcore__bus_access(bus, &reader, 0, 2, 2, &val, &a),
			 0);
	ck_assert_uint_eq(val, 0xabcd);
	ck_assert_int_eq(vcore__bus_access(bus, &reader, 0, 2, 3, &val, &a),
			 -EINVAL);
	vcore__reader_enter(&reader);
	vcore_range_remove(range);
	ck_assert_uint_eq(r.released, 0);
	vcore__reader_exit(&reader);
	/* The next one to pass without a lock calls release. */
	ck_assert_int_eq(vcore__bus_access(bus, &reader, 0, 2, 2, &val, &a),
			 -ENOENT);
	ck_assert_uint_eq(r.released, 1);
	vcore__reader_fini(&reader);
}
END_TEST

START_TEST(test_thousand_ranges_are_found)
{
	static struct recorder r[1000];
	static struct vcore_range *range[1000];
	struct vcore_bus_info i;
	uint64_t val;
	uint32_t n;

	for (n = 0; n < 1000; n++) {
		/* An order neither up nor down; 7 and 1000: coprime */
		uint32_t k = n * 7 % 1000;

		r[k].answer = k;
		ck_assert_int_eq(add(k * 16, 8, &r[k], &range[k]), 0);
	}
	for (n = 0; n < 1000; n++) {
		ck_assert_int_eq(vcore_bus_read(bus, n * 16 + 4, 4, &val), 0);
		ck_assert_uint_eq(val, n);
		ck_assert_int_eq(vcore_bus_read(bus, n * 16 + 8, 4, &val),
				 -ENOENT);
	}
	VCORE_INIT(&i);
	ck_assert_int_eq(vcore_bus_get_info(bus, &i), 0);
	ck_assert_uint_eq(i.ranges, 1000);
	for (n = 0; n < 1000; n++) {
		vcore_range_remove(range[n]);
		ck_assert_uint_eq(r[n].released, 1);
	}
}
END_TEST

START_TEST(test_null_arguments_return_einval)
{
	struct vcore_bus_info i;
	uint64_t val;

	VCORE_INIT(&i);
	ck_assert_int_eq(vcore_bus_read(NULL, 0, 1, &val), -EINVAL);
	ck_assert_int_eq(vcore_bus_read(bus, 0, 1, NULL), -EINVAL);
	ck_text("vcore_bus_read: ");
	ck_assert_int_eq(vcore_bus_write(NULL, 0, 1, 0), -EINVAL);
	ck_text("vcore_bus_write: ");
	ck_assert_int_eq(vcore_bus_get_info(NULL, &i), -EINVAL);
	ck_assert_int_eq(vcore_bus_get_info(bus, NULL), -EINVAL);
	ck_text("vcore_bus_get_info: ");
	i.size = 0;
	ck_assert_int_eq(vcore_bus_get_info(bus, &i), -EINVAL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus");
	TCase *t = tcase_create("bus");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_read_reaches_handler_with_offset);
	tcase_add_loop_test(t, test_answer_is_cut_to_width, 0, 4);
	tcase_add_loop_test(t, test_unclaimed_read_is_all_ones_of_width, 0, 4);
	tcase_add_loop_test(t, test_bad_width_returns_einval, 0, 8);
	tcase_add_test(t, test_access_across_a_border_is_unclaimed);
	tcase_add_test(t, test_last_addresses_of_mmio_work);
	tcase_add_test(t, test_ports_end_at_64k);
	tcase_add_test(t, test_handler_error_reads_all_ones_and_counts);
	tcase_add_test(t, test_new_bad_opts_are_refused);
	tcase_add_test(t, test_add_null_returns_einval);
	tcase_add_test(t, test_add_unknown_flag_returns_e2big);
	tcase_add_test(t, test_add_overlap_returns_eexist_and_takes_nothing);
	tcase_add_test(t, test_add_empty_or_wrapping_returns_einval);
	tcase_add_test(t, test_remove_releases_once_and_address_is_free);
	tcase_add_test(t, test_range_keeps_its_bus);
	tcase_add_test(t, test_handler_may_move_itself);
	tcase_add_test(t, test_release_may_use_the_bus);
	tcase_add_test(t, test_reader_access_works_and_defers_release);
	tcase_add_test(t, test_thousand_ranges_are_found);
	tcase_add_test(t, test_null_arguments_return_einval);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
