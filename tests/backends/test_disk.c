/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/backends/disk.c: the object and its dispatch. */
#include <vcore/disk.h>

#include "base/base.h"
#include "support/support.h"

struct fake {
	struct vcore_disk_limits limits;
	int limits_rc, attach_rc;
	int submits, commits, attaches, detaches, cancels, cleared, released;
};

static void
fake_submit(void *opaque, void *queue, struct vcore_disk_request *req)
{
	struct fake *f = opaque;

	ck_assert_ptr_eq(queue, f);
	f->submits++;
	vcore_disk_done(req, -ENOSPC);
}

static int
fake_limits(void *opaque, struct vcore_disk_limits *limits)
{
	struct fake *f = opaque;

	ck_assert_uint_eq(limits->size, sizeof(*limits));
	f->limits.size = limits->size;
	*limits = f->limits;
	return f->limits_rc;
}

static void
fake_commit(void *opaque, void *queue)
{
	(void)queue;
	((struct fake *)opaque)->commits++;
}

static int
fake_attach(void *opaque, struct vcore_loop *loop, void **queue)
{
	struct fake *f = opaque;

	ck_assert_ptr_nonnull(loop);
	f->attaches++;
	*queue = f;
	return f->attach_rc;
}

static void
fake_detach(void *opaque, void *queue)
{
	(void)queue;
	((struct fake *)opaque)->detaches++;
}

static void
fake_cancel(void *opaque, void *queue)
{
	(void)queue;
	((struct fake *)opaque)->cancels++;
}

static void
fake_clear(void *opaque)
{
	((struct fake *)opaque)->cleared++;
}

static void
fake_release(void *opaque)
{
	((struct fake *)opaque)->released++;
}

static const struct vcore_disk_ops full_ops = {
	.size = sizeof(full_ops),
	.submit = fake_submit,
	.limits = fake_limits,
	.commit = fake_commit,
	.attach = fake_attach,
	.detach = fake_detach,
	.cancel = fake_cancel,
	.clear_error = fake_clear,
};

static const struct vcore_disk_ops least_ops = {
	.size = sizeof(least_ops),
	.submit = fake_submit,
	.limits = fake_limits,
};

static int dones;

static void
count_done(struct vcore_disk_request *req)
{
	(void)req;
	dones++;
}

static struct vcore_disk *
make(const struct vcore_disk_ops *ops, struct fake *f)
{
	struct vcore_disk *d = NULL;

	ck_assert_ok(vcore_disk_new(ops, f, fake_release, &d));
	return d;
}

START_TEST(test_new_bad_arguments_are_refused)
{
	struct vcore_disk_ops o = full_ops;
	struct vcore_disk *d = NULL;
	struct fake f = { 0 };

	ck_assert_error(vcore_disk_new(NULL, &f, fake_release, &d), -EINVAL,
			"vcore_disk_new");
	ck_assert_error(vcore_disk_new(&o, &f, fake_release, NULL), -EINVAL,
			"vcore_disk_new");
	o.flags = 2;
	ck_assert_error(vcore_disk_new(&o, &f, fake_release, &d), -E2BIG,
			"vcore_disk_new");
	o = full_ops;
	o.submit = NULL;
	ck_assert_error(vcore_disk_new(&o, &f, fake_release, &d), -EINVAL,
			"vcore_disk_new");
	o = full_ops;
	o.limits = NULL;
	ck_assert_error(vcore_disk_new(&o, &f, fake_release, &d), -EINVAL,
			"vcore_disk_new");
	o = full_ops;
	o.size = 4;
	ck_assert_error(vcore_disk_new(&o, &f, fake_release, &d), -EINVAL,
			"vcore_disk_new");
	ck_assert_ptr_null(d);
	ck_assert_int_eq(f.released, 0);
}
END_TEST

START_TEST(test_last_unref_releases_once)
{
	struct fake f = { 0 };
	struct vcore_disk *d = make(&full_ops, &f);

	ck_assert_ptr_eq(vcore_disk_ref(d), d);
	vcore_disk_unref(d);
	ck_assert_int_eq(f.released, 0);
	vcore_disk_unref(d);
	ck_assert_int_eq(f.released, 1);
	vcore_disk_unref(NULL);
	ck_assert_ptr_null(vcore_disk_ref(NULL));
}
END_TEST

START_TEST(test_methods_pass_through)
{
	struct vcore_disk_request req = { .op = VCORE_DISK_FLUSH,
					  .done = count_done };
	struct fake f = { 0 };
	struct vcore_disk *d = make(&full_ops, &f);
	struct vcore_loop *loop;
	void *queue = NULL;

	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_disk_attach(d, loop, &queue));
	ck_assert_ptr_eq(queue, &f);
	dones = 0;
	vcore_disk_submit(d, queue, &req);
	ck_assert_int_eq(dones, 1);
	ck_assert_int_eq(req.rc, -ENOSPC);
	vcore_disk_commit(d, queue);
	vcore_disk_cancel(d, queue);
	ck_assert_ok(vcore_disk_clear_error(d));
	vcore_disk_detach(d, queue);
	ck_assert_int_eq(f.submits + f.commits + f.cancels + f.cleared +
				 f.detaches,
			 5);
	vcore_disk_unref(d);
	vcore_loop_unref(loop);
}
END_TEST

START_TEST(test_optional_methods_may_be_missing)
{
	struct fake f = { 0 };
	struct vcore_disk *d = make(&least_ops, &f);
	struct vcore_loop *loop;
	void *queue = &loop;

	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_disk_attach(d, loop, &queue));
	ck_assert_ptr_null(queue);
	vcore_disk_commit(d, queue);
	vcore_disk_cancel(d, queue);
	vcore_disk_detach(d, queue);
	ck_assert_error(vcore_disk_clear_error(d), -EOPNOTSUPP,
			"vcore_disk_clear_error");
	ck_assert_error(vcore_disk_clear_error(NULL), -EINVAL,
			"vcore_disk_clear_error");
	vcore_disk_unref(d);
	vcore_loop_unref(loop);
}
END_TEST

START_TEST(test_attach_failure_leaves_queue_alone)
{
	struct fake f = { .attach_rc = -EMFILE };
	struct vcore_disk *d = make(&full_ops, &f);
	struct vcore_loop *loop;
	void *queue = &loop;

	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_int_eq(vcore_disk_attach(d, loop, &queue), -EMFILE);
	ck_assert_ptr_eq(queue, &loop);
	ck_assert_error(vcore_disk_attach(NULL, loop, &queue), -EINVAL,
			"vcore_disk_attach");
	ck_assert_error(vcore_disk_attach(d, NULL, &queue), -EINVAL,
			"vcore_disk_attach");
	ck_assert_error(vcore_disk_attach(d, loop, NULL), -EINVAL,
			"vcore_disk_attach");
	vcore_disk_unref(d);
	vcore_loop_unref(loop);
}
END_TEST

START_TEST(test_unknown_op_is_eopnotsupp)
{
	static const uint32_t ops[] = { 0, 6, UINT32_MAX };
	struct vcore_disk_request req = { .done = count_done };
	struct fake f = { 0 };
	struct vcore_disk *d = make(&full_ops, &f);

	dones = 0;
	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(ops); i++) {
		req.op = ops[i];
		vcore_disk_submit(d, &f, &req);
		ck_assert_int_eq(req.rc, -EOPNOTSUPP);
	}
	ck_assert_int_eq(dones, 3);
	ck_assert_int_eq(f.submits, 0);
	vcore_disk_unref(d);
}
END_TEST

START_TEST(test_without_disk_or_request_nothing_happens)
{
	struct vcore_disk_request req = { .op = VCORE_DISK_READ,
					  .done = count_done };
	struct fake f = { 0 };
	struct vcore_disk *d = make(&full_ops, &f);

	dones = 0;
	vcore_disk_submit(NULL, &f, &req);
	ck_assert_int_eq(dones, 1);
	ck_assert_int_eq(req.rc, -EINVAL);
	vcore_disk_submit(d, &f, NULL);
	ck_assert_int_eq(f.submits, 0);
	vcore_disk_done(NULL, 0);
	vcore_disk_commit(NULL, &f);
	vcore_disk_cancel(NULL, &f);
	vcore_disk_detach(NULL, &f);
	vcore_disk_unref(d);
}
END_TEST

START_TEST(test_limits_get_defaults_and_whole_blocks)
{
	struct fake f = { .limits.capacity = 5000 };
	struct vcore_disk *d = make(&least_ops, &f);
	struct vcore_disk_limits l;

	VCORE_INIT(&l);
	ck_assert_ok(vcore_disk_get_limits(d, &l));
	ck_assert_uint_eq(l.logical_block, 512);
	ck_assert_uint_eq(l.physical_block, 512);
	ck_assert_uint_eq(l.capacity, 4608);
	f.limits.logical_block = 4096;
	ck_assert_ok(vcore_disk_get_limits(d, &l));
	ck_assert_uint_eq(l.capacity, 4096);
	ck_assert_uint_eq(l.physical_block, 4096);
	vcore_disk_unref(d);
}
END_TEST

START_TEST(test_impossible_limits_are_einval)
{
	static const uint32_t bad[][2] = { { 256, 0 }, { 513, 0 },
					   { 4096, 512 }, { 512, 513 },
					   { 1u << 31, 0 } };
	struct fake f = { .limits.capacity = 1 << 20 };
	struct vcore_disk *d = make(&least_ops, &f);
	struct vcore_disk_limits l;

	VCORE_INIT(&l);
	for (unsigned i = 0; i < VCORE__ARRAY_SIZE(bad); i++) {
		f.limits.logical_block = bad[i][0];
		f.limits.physical_block = bad[i][1];
		ck_assert_error(vcore_disk_get_limits(d, &l), -EINVAL,
				"vcore_disk_get_limits");
	}
	f.limits.logical_block = f.limits.physical_block = 0;
	ck_assert_error(vcore_disk_get_limits(NULL, &l), -EINVAL,
			"vcore_disk_get_limits");
	ck_assert_error(vcore_disk_get_limits(d, NULL), -EINVAL,
			"vcore_disk_get_limits");
	l.size = 8;
	ck_assert_error(vcore_disk_get_limits(d, &l), -EINVAL,
			"vcore_disk_get_limits");
	VCORE_INIT(&l);
	f.limits_rc = -EIO;
	ck_assert_error(vcore_disk_get_limits(d, &l), -EIO,
			"vcore_disk_get_limits");
	vcore_disk_unref(d);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backends/disk");
	TCase *t = tcase_create("disk");

	tcase_add_test(t, test_new_bad_arguments_are_refused);
	tcase_add_test(t, test_last_unref_releases_once);
	tcase_add_test(t, test_methods_pass_through);
	tcase_add_test(t, test_optional_methods_may_be_missing);
	tcase_add_test(t, test_attach_failure_leaves_queue_alone);
	tcase_add_test(t, test_unknown_op_is_eopnotsupp);
	tcase_add_test(t, test_without_disk_or_request_nothing_happens);
	tcase_add_test(t, test_limits_get_defaults_and_whole_blocks);
	tcase_add_test(t, test_impossible_limits_are_einval);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
