/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/stream_ring.c: a stream in memory. */
#include <vcore/stream.h>

#include "support/ready.h"

static struct vcore_stream *
open_stream(uint64_t len)
{
	struct vcore_stream *s = NULL;

	ck_assert_ok(vcore_stream_new_ring(len, &s));
	return s;
}

START_TEST(test_bad_arguments_are_refused)
{
	struct vcore_stream *s = NULL;

	ck_assert_error(vcore_stream_new_ring(16, NULL), -EINVAL,
			"vcore_stream_new_ring");
	ck_assert_error(vcore_stream_new_ring(0, &s), -EINVAL,
			"vcore_stream_new_ring");
	ck_assert_error(vcore_stream_new_ring((1u << 30) + 1, &s), -EINVAL,
			"vcore_stream_new_ring");
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(test_other_streams_are_no_rings)
{
	struct vcore_stream *s = NULL;
	char c = 'x';

	ck_assert_ok(vcore_stream_new_fd(-1, -1, &s));
	ck_assert_error((int)vcore_stream_ring_read(s, &c, 1), -EINVAL,
			"vcore_stream_ring_read");
	ck_assert_error((int)vcore_stream_ring_write(s, &c, 1), -EINVAL,
			"vcore_stream_ring_write");
	ck_assert_error((int)vcore_stream_ring_read(NULL, &c, 1), -EINVAL,
			"vcore_stream_ring_read");
	vcore_stream_unref(s);
	s = open_stream(4);
	ck_assert_error((int)vcore_stream_ring_read(s, NULL, 1), -EINVAL,
			"vcore_stream_ring_read");
	ck_assert_error((int)vcore_stream_ring_write(s, NULL, 1), -EINVAL,
			"vcore_stream_ring_write");
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_newest_output_is_kept)
{
	struct vcore_stream *s = open_stream(8);
	char buf[16] = "";

	ck_assert_int_eq(vcore_stream_write(s, "abcde", 5), 5);
	ck_assert_int_eq(vcore_stream_write(s, "fghij", 5), 5);
	ck_assert_int_eq(vcore_stream_ring_read(s, buf, sizeof(buf)), 8);
	ck_assert_str_eq(buf, "cdefghij");
	ck_assert_int_eq(vcore_stream_ring_read(s, buf, sizeof(buf)), 0);
	ck_assert_int_eq(vcore_stream_write(s, "0123456789", 10), 10);
	ck_assert_int_eq(vcore_stream_ring_read(s, buf, 3), 3);
	ck_assert_mem_eq(buf, "234", 3);
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_output_of_every_length_is_the_tail_of_all)
{
	char all[4096], got[8];
	struct vcore_stream *s = open_stream(7);
	uint64_t total = 0;

	for (uint64_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i * 31 + 7);
	for (uint64_t n = 1; total + n < sizeof(all); n = n % 17 + 1) {
		ck_assert_int_eq(vcore_stream_write(s, all + total, n),
				 (int64_t)n);
		total += n;
	}
	ck_assert_int_eq(vcore_stream_ring_read(s, got, sizeof(got)), 7);
	ck_assert_mem_eq(got, all + total - 7, 7);
	vcore_stream_unref(s);
}
END_TEST

/* Case 63: input nobody reads is bounded. */
START_TEST(test_input_flood_is_eagain)
{
	struct vcore_stream *s = open_stream(4);
	char buf[8] = "";

	ck_assert_int_eq(vcore_stream_read(s, buf, 1), -EAGAIN);
	ck_assert_int_eq(vcore_stream_ring_write(s, "abcdef", 6), 4);
	ck_assert_int_eq(vcore_stream_ring_write(s, "g", 1), -EAGAIN);
	ck_assert_int_eq(vcore_stream_read(s, buf, 3), 3);
	ck_assert_int_eq(vcore_stream_ring_write(s, "gh", 2), 2);
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 3);
	ck_assert_mem_eq(buf, "dgh", 3);
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_input_is_told_while_wanted)
{
	struct vcore_stream *s = open_stream(8);
	struct ready r;
	char buf[8];

	ready_init(&r);
	ck_assert_int_eq(vcore_stream_ring_write(s, "a", 1), 1);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_READABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_uint_eq(r.seen, VCORE_STREAM_READABLE);
	r.seen = 0;
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	ck_assert_int_eq(vcore_stream_read(s, buf, sizeof(buf)), 1);
	ready_turn(&r);
	r.seen = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	ck_assert_int_eq(vcore_stream_ring_write(s, "b", 1), 1);
	ck_assert(ready_wait(&r, VCORE_STREAM_READABLE));
	vcore_stream_detach(s);
	r.seen = 0;
	ready_turn(&r);
	ck_assert_uint_eq(r.seen, 0);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

START_TEST(test_writable_is_always_told)
{
	struct vcore_stream *s = open_stream(1);
	struct ready r;

	ready_init(&r);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_WRITABLE));
	ck_assert(ready_wait(&r, VCORE_STREAM_WRITABLE));
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/stream_ring");
	TCase *t = tcase_create("ring");

	tcase_add_test(t, test_bad_arguments_are_refused);
	tcase_add_test(t, test_other_streams_are_no_rings);
	tcase_add_test(t, test_newest_output_is_kept);
	tcase_add_test(t, test_output_of_every_length_is_the_tail_of_all);
	tcase_add_test(t, test_input_flood_is_eagain);
	tcase_add_test(t, test_input_is_told_while_wanted);
	tcase_add_test(t, test_writable_is_always_told);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
