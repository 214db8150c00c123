/* SPDX-License-Identifier: BSD-3-Clause */
/* The entropy device: whole buffers, bounded work, only bytes of the source. */
#include <errno.h>
#include <linux/virtio_config.h>

#include <vcore/rng.h>

#include "base/base.h"
#include "support/support.h"
#include "support/vdriver.h"

static struct vdriver_env env;
static struct vdriver d;
static struct vcore_virtio *virtio;

/* A source that counts: byte n is n. */
static struct source {
	uint64_t given, limit;		/* bytes; limit: all at once */
	uint64_t step;			/* at most in one call */
	uint32_t calls, released;
	int64_t rc;			/* instead, if not 0 */
} source;

static int64_t
source_read(void *opaque, void *buf, uint64_t len)
{
	struct source *s = opaque;
	uint8_t *p = buf;

	s->calls++;
	if (s->rc)
		return s->rc;
	if (s->step && len > s->step)
		len = s->step;
	if (len > s->limit - s->given)
		len = s->limit - s->given;
	for (uint64_t i = 0; i < len; i++)
		p[i] = (uint8_t)(s->given + i + 1);
	s->given += len;
	return (int64_t)len;
}

static void
source_release(void *opaque)
{
	((struct source *)opaque)->released++;
}

static void
up(bool own)
{
	struct vcore_rng_opts o;

	memset(&source, 0, sizeof(source));
	source.limit = UINT64_MAX;
	vdriver_env_init(&env, 0);
	VCORE_INIT(&o);
	if (own) {
		o.read = source_read;
		o.opaque = &source;
		o.release = source_release;
	}
	ck_assert_ok(vcore_rng_new(&o, &virtio));
	vdriver_attach(&d, &env, virtio, VDRIVER_MMIO);
	vdriver_up(&d, 1, 64);
}

static void
teardown(void)
{
	vdriver_detach(&d);
	vcore_virtio_unref(virtio);
	vdriver_env_fini(&env);
}

static uint64_t
add(uint32_t len)
{
	struct vdriver_buf buf = { .gpa = vdriver_alloc(&env, len, 1),
				   .len = len, .write = true };

	memset(vdriver_ram(&env, buf.gpa), 0, len);
	vdriver_add(&d.queue[0], &buf, 1);
	return buf.gpa;
}

static void
kick(void)
{
	vdriver_kick(&d.queue[0]);
	vdriver_run(&env);
}

/* The next used length, or 0. */
static uint32_t
used(void)
{
	uint32_t len = 0;

	return vdriver_used(&d.queue[0], NULL, &len) ? len : 0;
}

START_TEST(test_new_refuses_bad_options)
{
	struct vcore_virtio *v = NULL;
	struct vcore_rng_opts o;

	memset(&source, 0, sizeof(source));
	ck_assert_error(vcore_rng_new(NULL, NULL), -EINVAL,
			"vcore_rng_new: virtio");
	VCORE_INIT(&o);
	o.release = source_release;
	o.opaque = &source;
	o.size = 4;
	ck_assert_error(vcore_rng_new(&o, &v), -EINVAL, "vcore_rng_new: opts");
	o.size = sizeof(o);
	o.flags = 1;
	ck_assert_error(vcore_rng_new(&o, &v), -E2BIG, "vcore_rng_new: flags");
	ck_assert_ptr_null(v);
	ck_assert_uint_eq(source.released, 0);
	o.flags = 0;
	ck_assert_ok(vcore_rng_new(&o, &v));
	vcore_virtio_unref(v);
	ck_assert_uint_eq(source.released, 1);
}
END_TEST

START_TEST(test_new_takes_nothing_when_memory_is_short)
{
	struct vcore_virtio *v;
	struct vcore_rng_opts o;
	bool failed = true;
	int rc;

	VCORE_INIT(&o);
	o.release = source_release;
	o.opaque = &source;
	for (unsigned int n = 1; failed; n++) {
		memset(&source, 0, sizeof(source));
		v = NULL;
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_rng_new(&o, &v);
		failed = fail_stop();
		ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
		ck_assert_uint_eq(source.released, 0);
		vcore_virtio_unref(v);
	}
}
END_TEST

START_TEST(test_buffer_is_filled_with_random_bytes)
{
	uint8_t *a, *b;

	up(false);
	a = vdriver_ram(&env, add(64));
	b = vdriver_ram(&env, add(64));
	kick();
	ck_assert_uint_eq(used(), 64);
	ck_assert_uint_eq(used(), 64);
	ck_assert_int_ne(memcmp(a, b, 64), 0);
}
END_TEST

/* Only what the source gave, and all of it, in order. */
START_TEST(test_buffer_gets_exactly_the_bytes_of_the_source)
{
	uint64_t at;

	up(true);
	source.step = 7;
	at = add(10000);
	kick();
	ck_assert_uint_eq(used(), 10000);
	for (uint32_t i = 0; i < 10000; i++)
		ck_assert_uint_eq(*((uint8_t *)vdriver_ram(&env, at) + i),
				  (uint8_t)(i + 1));
	ck_assert_uint_eq(source.given, 10000);
}
END_TEST

START_TEST(test_source_that_has_less_gives_a_shorter_answer)
{
	uint64_t at;

	up(true);
	source.limit = 10;
	at = add(64);
	kick();
	ck_assert_uint_eq(used(), 10);
	ck_assert_uint_eq(*((uint8_t *)vdriver_ram(&env, at) + 10), 0);
}
END_TEST

START_TEST(test_source_without_bytes_is_asked_again_later)
{
	uint64_t deadline = vcore__now_ns() + 10000000000u;
	uint32_t calls;

	up(true);
	source.rc = _i ? -EAGAIN : -EIO;
	add(64);
	kick();
	ck_assert_uint_eq(used(), 0);
	calls = source.calls;
	/* Kicks don't ask it more often. */
	add(64);
	kick();
	kick();
	ck_assert_uint_le(source.calls, calls + 1);
	source.rc = 0;
	while (vdriver_used_idx(&d.queue[0]) < 2 && vcore__now_ns() < deadline)
		(void)vcore_loop_dispatch(env.loop, 100);
	ck_assert_uint_eq(used(), 64);
	ck_assert_uint_eq(used(), 64);
}
END_TEST

START_TEST(test_source_that_waits_does_not_hold_up_reset)
{
	up(true);
	source.rc = -EAGAIN;
	add(64);
	kick();
	vdriver_up(&d, 1, 64);
	source.rc = 0;
	add(64);
	kick();
	ck_assert_uint_eq(used(), 64);
}
END_TEST

START_TEST(test_source_that_lies_about_its_length_is_not_believed)
{
	up(true);
	source.rc = 1 << 30;
	add(64);
	kick();
	ck_assert_uint_eq(used(), 0);
	source.rc = 0;
}
END_TEST

/* Hostile case 64: a request for far more than is given to one. */
START_TEST(test_huge_request_is_capped)
{
	struct vdriver_buf bufs[40];
	uint64_t at;

	up(true);
	at = vdriver_alloc(&env, 1 << 20, 1);
	for (uint32_t i = 0; i < 40; i++)
		bufs[i] = (struct vdriver_buf){ .gpa = at, .len = 1 << 20,
						.write = true };
	vdriver_add(&d.queue[0], bufs, 40);
	kick();
	ck_assert_uint_eq(used(), 64 << 10);
	ck_assert_uint_eq(source.given, 64 << 10);
}
END_TEST

START_TEST(test_many_huge_requests_yield_between_calls)
{
	struct vdriver_buf buf = { .len = 1 << 20, .write = true };

	up(true);
	buf.gpa = vdriver_alloc(&env, buf.len, 1);
	for (uint32_t i = 0; i < 20; i++)
		vdriver_add(&d.queue[0], &buf, 1);
	vdriver_kick(&d.queue[0]);
	ck_assert_int_eq(vcore_loop_dispatch(env.loop, 0), 1);
	ck_assert_uint_eq(source.given, 256 << 10);
	vdriver_run(&env);
	ck_assert_uint_eq(source.given, 20 * (64 << 10));
	ck_assert_uint_eq(vdriver_used_idx(&d.queue[0]), 20);
}
END_TEST

START_TEST(test_request_without_room_needs_reset_and_works_afterwards)
{
	struct vdriver_buf buf = { .len = 64 };

	up(true);
	buf.gpa = vdriver_alloc(&env, buf.len, 1);
	vdriver_add(&d.queue[0], &buf, 1);
	kick();
	ck_assert(vdriver_status(&d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	vdriver_up(&d, 1, 64);
	add(64);
	kick();
	ck_assert_uint_eq(used(), 64);
}
END_TEST

START_TEST(test_readable_part_is_not_counted_as_written)
{
	struct vdriver_buf bufs[2] = { { .len = 100 },
				       { .len = 50, .write = true } };

	up(true);
	bufs[0].gpa = vdriver_alloc(&env, 100, 1);
	bufs[1].gpa = vdriver_alloc(&env, 50, 1);
	vdriver_add(&d.queue[0], bufs, 2);
	kick();
	ck_assert_uint_eq(used(), 50);
	ck_assert_uint_eq(*(uint8_t *)vdriver_ram(&env, bufs[0].gpa), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rng");
	TCase *t = tcase_create("device"), *u = tcase_create("alone");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_buffer_is_filled_with_random_bytes);
	tcase_add_test(t, test_buffer_gets_exactly_the_bytes_of_the_source);
	tcase_add_test(t, test_source_that_has_less_gives_a_shorter_answer);
	tcase_add_loop_test(t, test_source_without_bytes_is_asked_again_later,
			    0, 2);
	tcase_add_test(t, test_source_that_waits_does_not_hold_up_reset);
	tcase_add_test(t,
		       test_source_that_lies_about_its_length_is_not_believed);
	tcase_add_test(t, test_huge_request_is_capped);
	tcase_add_test(t, test_many_huge_requests_yield_between_calls);
	tcase_add_test(
		t, test_request_without_room_needs_reset_and_works_afterwards);
	tcase_add_test(t, test_readable_part_is_not_counted_as_written);
	suite_add_tcase(s, t);
	tcase_add_test(u, test_new_refuses_bad_options);
	tcase_add_test(u, test_new_takes_nothing_when_memory_is_short);
	suite_add_tcase(s, u);
	return support_run(s);
}
