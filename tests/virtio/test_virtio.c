/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio devices as objects: creation, environment, counters, failures. */
#include "device.h"

static struct vcore_virtio_ops ops;
static struct vcore_virtio_opts opts;
static struct vcore_virtio *v;

static void
good_opts(void)
{
	ops = echo_ops;
	VCORE_INIT(&opts);
	opts.ops = &ops;
	opts.opaque = &e;
	memset(&e, 0, sizeof(e));
	v = NULL;
}

static void
assert_new_fails(int rc, const char *prefix)
{
	ck_assert_error(vcore_virtio_new(&opts, &v), rc, prefix);
	ck_assert_ptr_null(v);
}

START_TEST(test_virtio_new_null_returns_einval)
{
	good_opts();
	ck_assert_error(vcore_virtio_new(NULL, &v), -EINVAL,
			"vcore_virtio_new: ");
	ck_assert_error(vcore_virtio_new(&opts, NULL), -EINVAL,
			"vcore_virtio_new: ");
	opts.ops = NULL;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ");
}
END_TEST

START_TEST(test_virtio_new_bad_options_return_einval)
{
	good_opts();
	opts.size = 0;
	assert_new_fails(-EINVAL, "vcore_virtio_new: opts");
	good_opts();
	opts.queue_size = 3;
	assert_new_fails(-EINVAL, "vcore_virtio_new: queue_size");
	opts.queue_size = 65536;
	assert_new_fails(-EINVAL, "vcore_virtio_new: queue_size");
}
END_TEST

START_TEST(test_virtio_new_unknown_flags_return_e2big)
{
	good_opts();
	opts.flags = 1;
	assert_new_fails(-E2BIG, "vcore_virtio_new: ");
	good_opts();
	opts.reserved0 = 1;
	assert_new_fails(-E2BIG, "vcore_virtio_new: ");
	good_opts();
	ops.flags = 1;
	assert_new_fails(-E2BIG, "vcore_virtio_new: ops");
}
END_TEST

START_TEST(test_virtio_new_bad_ops_return_einval)
{
	good_opts();
	ops.type = 0;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
	good_opts();
	ops.type = 64;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
	good_opts();
	ops.queues = 1025;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
	good_opts();
	ops.config_size = 257;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
	good_opts();
	ops.queue_start = NULL;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
	good_opts();
	ops.queue_kick = NULL;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
	good_opts();
	ops.queue_stop = NULL;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
	good_opts();
	ops.config = NULL;
	assert_new_fails(-EINVAL, "vcore_virtio_new: ops");
}
END_TEST

START_TEST(test_virtio_new_optional_methods_may_be_null)
{
	vdriver_env_init(&env, 0);
	good_opts();
	ops.features = NULL;
	ops.set_features = NULL;
	ops.config = NULL;
	ops.config_size = 0;
	ops.reset = NULL;
	ck_assert_ok(vcore_virtio_new(&opts, &v));
	ck_assert_str_eq(vcore_virtio_name(v), "virtio");
	vdriver_attach(&d, &env, v, _i ? VDRIVER_PCI : VDRIVER_MMIO);
	buf = vdriver_alloc(&env, 4096, 4096);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	if (!_i)
		vdriver_config_write(&d, 0, 4, 1);
	vcore_virtio_unref(v);
	vdriver_run(&env);
	vdriver_env_fini(&env);
}
END_TEST

START_TEST(test_virtio_set_env_errors)
{
	struct vcore_loop *loops[2];
	struct vcore_virtio_env x;

	vdriver_env_init(&env, 0);
	good_opts();
	ck_assert_ok(vcore_virtio_new(&opts, &v));
	loops[0] = env.loop;
	loops[1] = NULL;
	VCORE_INIT(&x);
	ck_assert_error(vcore_virtio_set_env(NULL, &x), -EINVAL,
			"vcore_virtio_set_env: ");
	ck_assert_error(vcore_virtio_set_env(v, NULL), -EINVAL,
			"vcore_virtio_set_env: ");
	ck_assert_error(vcore_virtio_set_env(v, &x), -EINVAL,
			"vcore_virtio_set_env: ");
	x.memory = env.memory;
	x.loops = loops;
	x.loop_count = 2;
	ck_assert_error(vcore_virtio_set_env(v, &x), -EINVAL,
			"vcore_virtio_set_env: loops[1]");
	x.loop_count = 1;
	x.flags = 1;
	ck_assert_error(vcore_virtio_set_env(v, &x), -E2BIG,
			"vcore_virtio_set_env: ");
	x.flags = 0;
	ck_assert_ok(vcore_virtio_set_env(v, &x));
	ck_assert_error(vcore_virtio_set_env(v, &x), -EBUSY,
			"vcore_virtio_set_env: ");
	vcore_virtio_unref(v);
	vdriver_env_fini(&env);
}
END_TEST

START_TEST(test_virtio_queues_are_spread_over_loops)
{
	struct vcore_loop_opts lo;
	struct vcore_loop *loops[2];
	struct vcore_virtio_env x;

	vdriver_env_init(&env, 0);
	VCORE_INIT(&lo);
	loops[0] = env.loop;
	ck_assert_ok(vcore_loop_new(&lo, &loops[1]));
	echo_init(&e, QSIZE, 0);
	VCORE_INIT(&x);
	x.memory = env.memory;
	x.loops = loops;
	x.loop_count = 2;
	ck_assert_ok(vcore_virtio_set_env(e.virtio, &x));
	for (uint32_t i = 0; i < ECHO_QUEUES; i++)
		ck_assert_ptr_eq(
			vcore_virtqueue_loop(&e.virtio->queues[i].vq),
			loops[i % 2]);
	vcore_virtio_unref(e.virtio);
	vcore_loop_unref(loops[1]);
	vdriver_env_fini(&env);
}
END_TEST

START_TEST(test_virtio_info_counts)
{
	struct vcore_virtio_info info;

	device_setup(_i, 0, 0);
	vdriver_up(&d, 2, QSIZE);
	device_assert_serves(0);
	device_assert_serves(1);
	vcore_virtio_config_changed(e.virtio);
	VCORE_INIT(&info);
	ck_assert_ok(vcore_virtio_get_info(e.virtio, &info));
	ck_assert_uint_eq(info.type, 42);
	ck_assert_uint_eq(info.queues, ECHO_QUEUES);
	ck_assert_uint_eq(info.status, STATUS_RUNNING);
	ck_assert_uint_eq(info.features, vcore_virtio_features(e.virtio));
	ck_assert_uint_eq(info.chains, 2);
	ck_assert_uint_eq(info.interrupts, 3);
	ck_assert_uint_ge(info.kicks, 2);
	ck_assert_uint_eq(info.bad, 0);
	device_teardown();
}
END_TEST

START_TEST(test_virtio_info_errors)
{
	struct vcore_virtio_info info;

	good_opts();
	ck_assert_ok(vcore_virtio_new(&opts, &v));
	VCORE_INIT(&info);
	ck_assert_error(vcore_virtio_get_info(NULL, &info), -EINVAL,
			"vcore_virtio_get_info: ");
	ck_assert_error(vcore_virtio_get_info(v, NULL), -EINVAL,
			"vcore_virtio_get_info: ");
	info.size = 4;
	ck_assert_error(vcore_virtio_get_info(v, &info), -EINVAL,
			"vcore_virtio_get_info: ");
	vcore_virtio_unref(v);
}
END_TEST

START_TEST(test_virtio_null_getters)
{
	ck_assert_ptr_null(vcore_virtio_ref(NULL));
	vcore_virtio_unref(NULL);
	ck_assert_ptr_null(vcore_virtio_queue(NULL, 0));
	ck_assert_ptr_null(vcore_virtio_events(NULL));
	ck_assert_str_eq(vcore_virtio_name(NULL), "");
	ck_assert_uint_eq(vcore_virtio_features(NULL), 0);
}
END_TEST

START_TEST(test_virtio_getters)
{
	device_setup(_i, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	ck_assert_ptr_eq(vcore_virtio_events(e.virtio), env.events);
	ck_assert_str_eq(vcore_virtio_name(e.virtio), "echo");
	ck_assert_ptr_eq(vcore_virtio_queue(e.virtio, 0), e.queue[0]);
	ck_assert_ptr_null(vcore_virtio_queue(e.virtio, 1));
	ck_assert_ptr_null(vcore_virtio_queue(e.virtio, ECHO_QUEUES));
	ck_assert_ptr_eq(vcore__virtio_model(e.virtio, &echo_ops), &e);
	ops = echo_ops;
	ops.queue_kick = NULL;
	ck_assert_ptr_null(vcore__virtio_model(e.virtio, &ops));
	ck_assert_ptr_null(vcore__virtio_model(NULL, &ops));
	ck_assert_ptr_eq(vcore_virtio_ref(e.virtio), e.virtio);
	vcore_virtio_unref(e.virtio);
	device_teardown();
}
END_TEST

/* Every allocation and descriptor of creation and attaching fails once. */
START_TEST(test_virtio_out_of_everything_undoes_everything)
{
	struct vcore_loop *loops[1];
	struct vcore_virtio_env x;
	bool failed = true;
	unsigned int n;
	int fds, rc;

	vdriver_env_init(&env, 0);
	loops[0] = env.loop;
	fds = support_open_fds();
	for (n = 1; failed; n++) {
		good_opts();
		VCORE_INIT(&x);
		x.memory = env.memory;
		x.loops = loops;
		x.loop_count = 1;
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_virtio_new(&opts, &v);
		if (rc == 0)
			rc = vcore_virtio_set_env(v, &x);
		if (rc == 0 && _i == 0)
			rc = vcore_virtio_attach_mmio(v, env.bus, 0x1000,
						      env.line);
		if (rc == 0 && _i == 1)
			rc = vcore_virtio_attach_pci(v, env.pci, 0);
		failed = fail_stop();
		ck_assert_int_eq(rc < 0, failed);
		if (failed)
			ck_assert_uint_ne(strlen(vcore_error_text()), 0);
		vcore_virtio_unref(v);
		vdriver_run(&env);
		ck_assert_int_eq(support_open_fds(), fds);
	}
	ck_assert_uint_gt(n, 20);
	vdriver_env_fini(&env);
}
END_TEST

START_TEST(test_virtio_new_out_of_memory_returns_enomem)
{
	int rc;

	good_opts();
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_virtio_new(&opts, &v);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_virtio_new: ");
	ck_assert_ptr_null(v);
}
END_TEST

START_TEST(test_virtio_set_env_out_of_memory_or_descriptors)
{
	struct vcore_loop *loops[1];
	struct vcore_virtio_env x;
	int rc;

	vdriver_env_init(&env, 0);
	loops[0] = env.loop;
	echo_init(&e, QSIZE, 0);
	VCORE_INIT(&x);
	x.memory = env.memory;
	x.loops = loops;
	x.loop_count = 1;
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_virtio_set_env(e.virtio, &x);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_virtio_set_env: ");
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_virtio_set_env(e.virtio, &x);
	ck_assert(fail_stop());
	ck_assert_error(rc, -EMFILE, "vcore_virtio_set_env: ");
	ck_assert_ok(vcore_virtio_set_env(e.virtio, &x));
	vcore_virtio_unref(e.virtio);
	vdriver_env_fini(&env);
}
END_TEST

START_TEST(test_virtio_attach_out_of_memory_or_descriptors)
{
	int rc;

	device_setup(_i, 0, 0);
	vdriver_detach(&d);
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_virtio_attach_mmio(e.virtio, env.bus, 0x1000, env.line);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_virtio_attach_mmio: ");
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_virtio_attach_mmio(e.virtio, env.bus, 0x1000, env.line);
	ck_assert(fail_stop());
	ck_assert_error(rc, -EMFILE, "vcore_virtio_attach_mmio: ");
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_virtio_attach_pci(e.virtio, env.pci, 0);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_virtio_attach_pci: ");
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_virtio_attach_pci(e.virtio, env.pci, 0);
	ck_assert(fail_stop());
	ck_assert_error(rc, -EMFILE, "vcore_virtio_attach_pci: ");
	vdriver_attach(&d, &env, e.virtio, _i ? VDRIVER_PCI : VDRIVER_MMIO);
	vdriver_up(&d, 1, QSIZE);
	device_assert_serves(0);
	device_teardown();
}
END_TEST

START_TEST(test_virtio_attach_pci_without_room_returns_enospc)
{
	struct vcore_pci_bus_opts o;
	struct vcore_pci_bus *bus;

	device_setup(_i, 0, 0);
	vdriver_detach(&d);
	VCORE_INIT(&o);
	o.mmio = env.bus;
	o.irqchip = env.chip;
	o.window32 = VDRIVER_PCI32;
	o.window32_len = 0x4000;
	ck_assert_ok(vcore_pci_bus_new(&o, &bus));
	ck_assert_error(vcore_virtio_attach_pci(e.virtio, bus, 0), -ENOSPC,
			"vcore_virtio_attach_pci: ");
	vcore_pci_bus_unref(bus);
	vdriver_attach(&d, &env, e.virtio, _i ? VDRIVER_PCI : VDRIVER_MMIO);
	device_teardown();
}
END_TEST

START_TEST(test_virtio_stop_and_detach_out_of_memory_return_enomem)
{
	int rc;

	device_setup(_i, 0, 0);
	vdriver_up(&d, 1, QSIZE);
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_virtio_stop(e.virtio, VCORE_VIRTIO_STOP_DRAIN, 0);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_virtio_stop: ");
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_virtio_detach(e.virtio, 0);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_virtio_detach: ");
	device_assert_serves(0);
	device_teardown();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("virtio/virtio");
	TCase *t = tcase_create("virtio");

	tcase_add_test(t, test_virtio_new_null_returns_einval);
	tcase_add_test(t, test_virtio_new_bad_options_return_einval);
	tcase_add_test(t, test_virtio_new_unknown_flags_return_e2big);
	tcase_add_test(t, test_virtio_new_bad_ops_return_einval);
	tcase_add_loop_test(t, test_virtio_new_optional_methods_may_be_null, 0,
			    2);
	tcase_add_test(t, test_virtio_set_env_errors);
	tcase_add_test(t, test_virtio_queues_are_spread_over_loops);
	tcase_add_loop_test(t, test_virtio_info_counts, 0, 2);
	tcase_add_test(t, test_virtio_info_errors);
	tcase_add_test(t, test_virtio_null_getters);
	tcase_add_loop_test(t, test_virtio_getters, 0, 2);
	tcase_add_loop_test(t, test_virtio_out_of_everything_undoes_everything,
			    0, 2);
	tcase_add_test(t, test_virtio_new_out_of_memory_returns_enomem);
	tcase_add_test(t, test_virtio_set_env_out_of_memory_or_descriptors);
	tcase_add_loop_test(t, test_virtio_attach_out_of_memory_or_descriptors,
			    0, 2);
	tcase_add_loop_test(
		t, test_virtio_attach_pci_without_room_returns_enospc, 0, 2);
	tcase_add_loop_test(
		t, test_virtio_stop_and_detach_out_of_memory_return_enomem, 0,
		2);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
