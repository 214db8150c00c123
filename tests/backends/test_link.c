/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/link.c: the object and its dispatch. */
#include <vcore/link.h>

#include "base/base.h"
#include "support/ready.h"

struct fake {
	uint32_t wanted, offloads, rx_offloads, queues;
	int attaches, detaches, released, attach_rc;
};

static int
fake_send(void *opaque, void *queue, const struct iovec *iov, uint32_t count)
{
	(void)opaque;
	(void)queue;
	(void)iov;
	return count == 2 ? 0 : -EAGAIN;
}

static int64_t
fake_receive(void *opaque, void *queue, const struct iovec *iov,
	     uint32_t count)
{
	(void)opaque;
	(void)queue;
	(void)count;
	return (int64_t)iov[0].iov_len;
}

static int
fake_attach(void *opaque, uint32_t index, struct vcore_loop *loop,
	    vcore_link_ready_fn ready, void *ready_opaque, void **queue)
{
	struct fake *f = opaque;

	(void)loop;
	(void)ready;
	(void)ready_opaque;
	f->attaches++;
	*queue = (char *)f + index;
	return f->attach_rc;
}

static void
fake_detach(void *opaque, void *queue)
{
	(void)queue;
	((struct fake *)opaque)->detaches++;
}

static int
fake_want(void *opaque, void *queue, uint32_t events)
{
	(void)queue;
	((struct fake *)opaque)->wanted = events;
	return 0;
}

static uint32_t
fake_offloads(void *opaque)
{
	return ((struct fake *)opaque)->offloads;
}

static int
fake_set_offloads(void *opaque, uint32_t rx_offloads)
{
	((struct fake *)opaque)->rx_offloads = rx_offloads;
	return 0;
}

static uint32_t
fake_queues(void *opaque)
{
	return ((struct fake *)opaque)->queues;
}

static void
fake_release(void *opaque)
{
	((struct fake *)opaque)->released++;
}

static const struct vcore_link_ops full_ops = {
	.size = sizeof(full_ops),
	.send = fake_send,
	.receive = fake_receive,
	.attach = fake_attach,
	.detach = fake_detach,
	.want = fake_want,
	.offloads = fake_offloads,
	.set_offloads = fake_set_offloads,
	.queues = fake_queues,
};

static struct vcore_link *
make(const struct vcore_link_ops *ops, struct fake *f)
{
	struct vcore_link *l = NULL;

	ck_assert_ok(vcore_link_new(ops, f, fake_release, &l));
	return l;
}

START_TEST(test_new_bad_arguments_are_refused)
{
	struct vcore_link_ops o;
	struct vcore_link *l = NULL;
	struct fake f = { 0 };

	ck_assert_error(vcore_link_new(NULL, &f, fake_release, &l), -EINVAL,
			"vcore_link_new");
	ck_assert_error(vcore_link_new(&full_ops, &f, fake_release, NULL),
			-EINVAL, "vcore_link_new");
	o = full_ops;
	o.flags = 4;
	ck_assert_error(vcore_link_new(&o, &f, fake_release, &l), -E2BIG,
			"vcore_link_new");
	for (int i = 0; i < 5; i++) {
		o = full_ops;
		if (i == 0)
			o.send = NULL;
		else if (i == 1)
			o.receive = NULL;
		else if (i == 2)
			o.attach = NULL;
		else if (i == 3)
			o.detach = NULL;
		else
			o.want = NULL;
		ck_assert_error(vcore_link_new(&o, &f, fake_release, &l),
				-EINVAL, "vcore_link_new");
	}
	ck_assert_ptr_null(l);
	ck_assert_int_eq(f.released, 0);
}
END_TEST

START_TEST(test_new_without_memory_is_enomem)
{
	struct vcore_link *l = NULL;
	struct fake f = { 0 };
	bool failed;
	int rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_link_new(&full_ops, &f, fake_release, &l);
	failed = fail_stop();
	ck_assert(failed);
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_ptr_null(l);
	ck_assert_int_eq(f.released, 0);
}
END_TEST

START_TEST(test_last_unref_releases_once)
{
	struct fake f = { 0 };
	struct vcore_link *l = make(&full_ops, &f);

	ck_assert_ptr_eq(vcore_link_ref(l), l);
	vcore_link_unref(l);
	ck_assert_int_eq(f.released, 0);
	vcore_link_unref(l);
	ck_assert_int_eq(f.released, 1);
	vcore_link_unref(NULL);
	ck_assert_ptr_null(vcore_link_ref(NULL));
}
END_TEST

START_TEST(test_methods_pass_through)
{
	struct fake f = { .queues = 4 };
	struct vcore_link *l = make(&full_ops, &f);
	struct iovec iov[2] = { { &f, 12 }, { &f, 1 } };
	struct ready r;
	void *q = NULL;

	ready_init(&r);
	ck_assert_ok(vcore_link_attach(l, 3, r.loop, ready_fn, &r, &q));
	ck_assert_ptr_eq(q, (char *)&f + 3);
	ck_assert_int_eq(vcore_link_send(l, q, iov, 2), 0);
	ck_assert_int_eq(vcore_link_send(l, q, iov, 1), -EAGAIN);
	ck_assert_int_eq(vcore_link_receive(l, q, iov, 2), 12);
	ck_assert_ok(vcore_link_want(l, q, VCORE_LINK_READABLE));
	ck_assert_uint_eq(f.wanted, VCORE_LINK_READABLE);
	vcore_link_detach(l, q);
	ck_assert_int_eq(f.detaches, 1);
	vcore_link_unref(l);
	ready_fini(&r);
}
END_TEST

START_TEST(test_attach_bad_arguments_are_refused)
{
	struct fake f = { .queues = 2 };
	struct vcore_link *l = make(&full_ops, &f);
	struct ready r;
	void *q = &r;

	ready_init(&r);
	ck_assert_error(vcore_link_attach(NULL, 0, r.loop, ready_fn, &r, &q),
			-EINVAL, "vcore_link_attach");
	ck_assert_error(vcore_link_attach(l, 0, NULL, ready_fn, &r, &q),
			-EINVAL, "vcore_link_attach");
	ck_assert_error(vcore_link_attach(l, 0, r.loop, NULL, &r, &q), -EINVAL,
			"vcore_link_attach");
	ck_assert_error(vcore_link_attach(l, 0, r.loop, ready_fn, &r, NULL),
			-EINVAL, "vcore_link_attach");
	ck_assert_error(vcore_link_attach(l, 2, r.loop, ready_fn, &r, &q),
			-EINVAL, "vcore_link_attach");
	ck_assert_int_eq(f.attaches, 0);
	f.attach_rc = -EIO;
	ck_assert_int_eq(vcore_link_attach(l, 1, r.loop, ready_fn, &r, &q),
			 -EIO);
	ck_assert_ptr_eq(q, &r);
	vcore_link_detach(NULL, NULL);
	vcore_link_unref(l);
	ready_fini(&r);
}
END_TEST

START_TEST(test_send_and_receive_without_something_are_einval)
{
	struct iovec iov = { .iov_base = &iov, .iov_len = 1 };
	struct fake f = { 0 };
	struct vcore_link *l = make(&full_ops, &f);

	ck_assert_error(vcore_link_send(NULL, NULL, &iov, 1), -EINVAL,
			"vcore_link_send: ");
	ck_assert_error(vcore_link_send(l, NULL, NULL, 1), -EINVAL,
			"vcore_link_send: ");
	ck_assert_error((int)vcore_link_receive(NULL, NULL, &iov, 1), -EINVAL,
			"vcore_link_receive: ");
	ck_assert_error((int)vcore_link_receive(l, NULL, NULL, 1), -EINVAL,
			"vcore_link_receive: ");
	vcore_link_detach(NULL, NULL);
	vcore_link_unref(l);
}
END_TEST

START_TEST(test_want_unknown_bit_is_einval)
{
	struct fake f = { 0 };
	struct vcore_link *l = make(&full_ops, &f);

	ck_assert_error(vcore_link_want(l, NULL, VCORE_LINK_DOWN), -EINVAL,
			"vcore_link_want");
	ck_assert_error(vcore_link_want(NULL, NULL, 0), -EINVAL,
			"vcore_link_want");
	vcore_link_unref(l);
}
END_TEST

START_TEST(test_offloads_must_be_the_links)
{
	struct fake f = { .offloads = VCORE_LINK_OFFLOAD_CSUM };
	struct vcore_link *l = make(&full_ops, &f);

	ck_assert_uint_eq(vcore_link_offloads(l), VCORE_LINK_OFFLOAD_CSUM);
	ck_assert_ok(vcore_link_set_offloads(l, VCORE_LINK_OFFLOAD_CSUM));
	ck_assert_uint_eq(f.rx_offloads, VCORE_LINK_OFFLOAD_CSUM);
	ck_assert_error(vcore_link_set_offloads(l, VCORE_LINK_OFFLOAD_TSO4),
			-EINVAL, "vcore_link_set_offloads");
	ck_assert_error(vcore_link_set_offloads(NULL, 0), -EINVAL,
			"vcore_link_set_offloads");
	vcore_link_unref(l);
}
END_TEST

START_TEST(test_optional_methods_may_be_missing)
{
	struct vcore_link_ops o = full_ops;
	struct fake f = { 0 };
	struct vcore_link *l;

	o.offloads = NULL;
	o.set_offloads = NULL;
	o.queues = NULL;
	l = make(&o, &f);
	ck_assert_uint_eq(vcore_link_offloads(l), 0);
	ck_assert_ok(vcore_link_set_offloads(l, 0));
	ck_assert_uint_eq(vcore_link_queues(l), 1);
	vcore_link_unref(l);
	f.queues = 0;
	l = make(&full_ops, &f);
	ck_assert_uint_eq(vcore_link_queues(l), 1);
	f.queues = 100000;
	ck_assert_uint_eq(vcore_link_queues(l), 32768);
	vcore_link_unref(l);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/link");
	TCase *t = tcase_create("link");

	tcase_add_test(t, test_new_bad_arguments_are_refused);
	tcase_add_test(t, test_new_without_memory_is_enomem);
	tcase_add_test(t, test_last_unref_releases_once);
	tcase_add_test(t, test_methods_pass_through);
	tcase_add_test(t, test_attach_bad_arguments_are_refused);
	tcase_add_test(t, test_send_and_receive_without_something_are_einval);
	tcase_add_test(t, test_want_unknown_bit_is_einval);
	tcase_add_test(t, test_offloads_must_be_the_links);
	tcase_add_test(t, test_optional_methods_may_be_missing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
