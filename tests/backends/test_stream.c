/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/stream.c: the object and its dispatch. */
#include <vcore/stream.h>

#include "base/base.h"
#include "support/ready.h"

struct fake {
	int attached, detached, released;
	uint32_t wanted;
	int attach_rc;
};

static int64_t
fake_read(void *opaque, void *buf, uint64_t len)
{
	(void)opaque;
	memset(buf, 'r', len);
	return (int64_t)len;
}

static int64_t
fake_write(void *opaque, const void *buf, uint64_t len)
{
	(void)opaque;
	(void)buf;
	return len > 3 ? 3 : (int64_t)len;
}

static int
fake_attach(void *opaque, struct vcore_loop *loop, vcore_stream_ready_fn ready,
	    void *ready_opaque)
{
	struct fake *f = opaque;

	ck_assert_ptr_nonnull(loop);
	ck_assert_ptr_nonnull(ready);
	(void)ready_opaque;
	f->attached++;
	return f->attach_rc;
}

static void
fake_detach(void *opaque)
{
	((struct fake *)opaque)->detached++;
}

static int
fake_want(void *opaque, uint32_t events)
{
	((struct fake *)opaque)->wanted = events;
	return 0;
}

static void
fake_release(void *opaque)
{
	((struct fake *)opaque)->released++;
}

static const struct vcore_stream_ops fake_ops = {
	.size = sizeof(fake_ops),
	.read = fake_read,
	.write = fake_write,
	.attach = fake_attach,
	.detach = fake_detach,
	.want = fake_want,
};

START_TEST(test_new_null_is_einval)
{
	struct vcore_stream *s = NULL;

	ck_assert_error(vcore_stream_new(NULL, NULL, NULL, &s), -EINVAL,
			"vcore_stream_new");
	ck_assert_error(vcore_stream_new(&fake_ops, NULL, NULL, NULL), -EINVAL,
			"vcore_stream_new");
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(test_new_each_missing_method_is_einval)
{
	struct vcore_stream *s = NULL;
	struct fake f = { 0 };
	struct vcore_stream_ops o;

	for (int i = 0; i < 5; i++) {
		o = fake_ops;
		if (i == 0)
			o.read = NULL;
		else if (i == 1)
			o.write = NULL;
		else if (i == 2)
			o.attach = NULL;
		else if (i == 3)
			o.detach = NULL;
		else
			o.want = NULL;
		ck_assert_error(vcore_stream_new(&o, &f, fake_release, &s),
				-EINVAL, "vcore_stream_new");
	}
	ck_assert_ptr_null(s);
	ck_assert_int_eq(f.released, 0);
}
END_TEST

START_TEST(test_new_unknown_flag_or_method_is_e2big)
{
	struct {
		struct vcore_stream_ops ops;
		void *more;
	} longer = { .ops = fake_ops, .more = &longer };
	struct vcore_stream *s = NULL;
	struct vcore_stream_ops o = fake_ops;

	o.flags = 1;
	ck_assert_error(vcore_stream_new(&o, NULL, NULL, &s), -E2BIG,
			"vcore_stream_new");
	longer.ops.size = sizeof(longer);
	ck_assert_error(vcore_stream_new(&longer.ops, NULL, NULL, &s), -E2BIG,
			"vcore_stream_new");
	o = fake_ops;
	o.size = 0;
	ck_assert_error(vcore_stream_new(&o, NULL, NULL, &s), -EINVAL,
			"vcore_stream_new");
}
END_TEST

START_TEST(test_last_unref_releases_once)
{
	struct fake f = { 0 };
	struct vcore_stream *s;

	ck_assert_ok(vcore_stream_new(&fake_ops, &f, fake_release, &s));
	ck_assert_ptr_eq(vcore_stream_ref(s), s);
	vcore_stream_unref(s);
	ck_assert_int_eq(f.released, 0);
	vcore_stream_unref(s);
	ck_assert_int_eq(f.released, 1);
	vcore_stream_unref(NULL);
	ck_assert_ptr_null(vcore_stream_ref(NULL));
}
END_TEST

START_TEST(test_read_write_pass_through)
{
	struct fake f = { 0 };
	struct vcore_stream *s;
	char buf[8] = "";

	ck_assert_ok(vcore_stream_new(&fake_ops, &f, NULL, &s));
	ck_assert_int_eq(vcore_stream_read(s, buf, 4), 4);
	ck_assert_str_eq(buf, "rrrr");
	ck_assert_int_eq(vcore_stream_write(s, "abcdef", 6), 3);
	ck_assert_error((int)vcore_stream_read(s, buf, 0), -EINVAL,
			"vcore_stream_read");
	ck_assert_error((int)vcore_stream_read(s, NULL, 1), -EINVAL,
			"vcore_stream_read");
	ck_assert_error((int)vcore_stream_read(NULL, buf, 1), -EINVAL,
			"vcore_stream_read");
	ck_assert_error((int)vcore_stream_write(s, "a", 0), -EINVAL,
			"vcore_stream_write");
	ck_assert_error((int)vcore_stream_write(s, NULL, 1), -EINVAL,
			"vcore_stream_write");
	ck_assert_error((int)vcore_stream_write(NULL, "a", 1), -EINVAL,
			"vcore_stream_write");
	vcore_stream_unref(s);
}
END_TEST

START_TEST(test_second_user_is_ebusy)
{
	struct fake f = { 0 };
	struct vcore_stream *s;
	struct ready r;

	ready_init(&r);
	ck_assert_ok(vcore_stream_new(&fake_ops, &f, NULL, &s));
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_error(vcore_stream_attach(s, r.loop, ready_fn, &r), -EBUSY,
			"vcore_stream_attach");
	vcore_stream_detach(s);
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	vcore_stream_detach(s);
	ck_assert_int_eq(f.attached, 2);
	ck_assert_int_eq(f.detached, 2);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

START_TEST(test_failed_attach_leaves_no_user)
{
	struct fake f = { .attach_rc = -ENOMEM };
	struct vcore_stream *s;
	struct ready r;

	ready_init(&r);
	ck_assert_ok(vcore_stream_new(&fake_ops, &f, NULL, &s));
	ck_assert_int_eq(vcore_stream_attach(s, r.loop, ready_fn, &r), -ENOMEM);
	vcore_stream_detach(s);
	ck_assert_int_eq(f.detached, 0);
	ck_assert_error(vcore_stream_want(s, VCORE_STREAM_READABLE), -EBUSY,
			"vcore_stream_want");
	f.attach_rc = 0;
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

START_TEST(test_attach_null_is_einval)
{
	struct fake f = { 0 };
	struct vcore_stream *s;
	struct ready r;

	ready_init(&r);
	ck_assert_ok(vcore_stream_new(&fake_ops, &f, NULL, &s));
	ck_assert_error(vcore_stream_attach(NULL, r.loop, ready_fn, &r),
			-EINVAL, "vcore_stream_attach");
	ck_assert_error(vcore_stream_attach(s, NULL, ready_fn, &r), -EINVAL,
			"vcore_stream_attach");
	ck_assert_error(vcore_stream_attach(s, r.loop, NULL, &r), -EINVAL,
			"vcore_stream_attach");
	vcore_stream_detach(NULL);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

START_TEST(test_want_checks_bits_and_user)
{
	struct fake f = { 0 };
	struct vcore_stream *s;
	struct ready r;

	ready_init(&r);
	ck_assert_ok(vcore_stream_new(&fake_ops, &f, NULL, &s));
	ck_assert_error(vcore_stream_want(NULL, 0), -EINVAL,
			"vcore_stream_want");
	ck_assert_error(vcore_stream_want(s, 0), -EBUSY, "vcore_stream_want");
	ck_assert_ok(vcore_stream_attach(s, r.loop, ready_fn, &r));
	ck_assert_error(vcore_stream_want(s, VCORE_STREAM_HANGUP), -EINVAL,
			"vcore_stream_want");
	ck_assert_ok(vcore_stream_want(s, VCORE_STREAM_WRITABLE));
	ck_assert_uint_eq(f.wanted, VCORE_STREAM_WRITABLE);
	vcore_stream_detach(s);
	vcore_stream_unref(s);
	ready_fini(&r);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/stream");
	TCase *t = tcase_create("stream");

	tcase_add_test(t, test_new_null_is_einval);
	tcase_add_test(t, test_new_each_missing_method_is_einval);
	tcase_add_test(t, test_new_unknown_flag_or_method_is_e2big);
	tcase_add_test(t, test_last_unref_releases_once);
	tcase_add_test(t, test_read_write_pass_through);
	tcase_add_test(t, test_second_user_is_ebusy);
	tcase_add_test(t, test_failed_attach_leaves_no_user);
	tcase_add_test(t, test_attach_null_is_einval);
	tcase_add_test(t, test_want_checks_bits_and_user);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
