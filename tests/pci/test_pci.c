/* SPDX-License-Identifier: BSD-3-Clause */
/* A function: its header, capabilities, hooks, its coming and going. */
#include "common.h"

#include <pthread.h>
#include <sched.h>

START_TEST(test_pci_header_is_as_asked)
{
	ck_assert_uint_eq(get(PCI_VENDOR_ID, 4), 0x56781234);
	ck_assert_uint_eq(get(PCI_CLASS_REVISION, 4), 0x02000007);
	ck_assert_uint_eq(get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	ck_assert_uint_eq(get(PCI_HEADER_TYPE, 1), 0);
	ck_assert_uint_eq(get(PCI_INTERRUPT_PIN, 1), 0);
	ck_assert_uint_eq(get(PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}
END_TEST

START_TEST(test_pci_only_writable_bits_change)
{
	uint32_t before[64];

	for (uint32_t i = 0; i < 64; i++)
		before[i] = get(4 * i, 4);
	for (uint32_t i = 0; i < 64; i++)
		if (i != PCI_COMMAND / 4 && (i < 4 || i > 9))
			set(4 * i, 4, ~before[i]);
	/* All but the MSI-X control word and the interrupt line. */
	for (uint32_t i = 0; i < 64; i++) {
		if (4 * i == get(PCI_CAPABILITY_LIST, 1) || 4 * i == 0x3c ||
		    4 * i == PCI_CACHE_LINE_SIZE)
			continue;
		ck_assert_msg(get(4 * i, 4) == before[i], "offset %#x", 4 * i);
	}
	set(PCI_COMMAND, 2, 0xffff);
	ck_assert_uint_eq(get(PCI_COMMAND, 2),
			  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			  PCI_COMMAND_INTX_DISABLE);
	set(PCI_INTERRUPT_LINE, 1, 11);
	ck_assert_uint_eq(get(PCI_INTERRUPT_LINE, 1), 11);
}
END_TEST

START_TEST(test_pci_capabilities_are_linked)
{
	static const uint8_t body[6] = { 8, 1, 2, 3, 4, 5 };
	static const uint8_t mask[6] = { 0, 0, 0xff, 0, 0, 0x0f };
	uint32_t a, b, first = get(PCI_CAPABILITY_LIST, 1);

	ck_assert_ok(vcore_pci_add_capability(pci, 9, body, 6, mask, &a));
	ck_assert_ok(vcore_pci_add_capability(pci, 9, body, 1, NULL, &b));
	ck_assert_uint_eq(get(first, 1), PCI_CAP_ID_MSIX);
	ck_assert_uint_eq(get(first + 1, 1), a);
	ck_assert_uint_eq(get(a + 1, 1), b);
	ck_assert_uint_eq(get(b + 1, 1), 0);
	ck_assert_uint_eq(a % 4 + b % 4, 0);
	set(a, 4, 0);
	set(a + 4, 4, 0xffffffff);
	ck_assert_uint_eq(get(a, 1), 9);
	ck_assert_uint_eq(get(a + 2, 2), 0x0108);
	ck_assert_uint_eq(get(a + 4, 4), 0x0f0403ff);
}
END_TEST

START_TEST(test_pci_capability_errors)
{
	uint8_t body[256] = { 0 };
	uint32_t off = 77;

	ck_assert_error(vcore_pci_add_capability(NULL, 9, body, 1, NULL, &off),
			-EINVAL, "vcore_pci_add_capability: ");
	ck_assert_error(vcore_pci_add_capability(pci, 9, NULL, 1, NULL, &off),
			-EINVAL, "vcore_pci_add_capability: ");
	ck_assert_error(vcore_pci_add_capability(pci, 9, body, 1, NULL, NULL),
			-EINVAL, "vcore_pci_add_capability: ");
	ck_assert_error(vcore_pci_add_capability(pci, 9, body, 255, NULL,
						 &off),
			-ENOSPC, "vcore_pci_add_capability: ");
	ck_assert_error(vcore_pci_add_capability(pci, 9, body, UINT32_MAX,
						 NULL, &off),
			-ENOSPC, "vcore_pci_add_capability: ");
	ck_assert_uint_eq(off, 77);
	/* Up to the last byte. */
	ck_assert_ok(vcore_pci_add_capability(pci, 9, body, 256 - 0x4c - 2,
					      NULL, &off));
	ck_assert_error(vcore_pci_add_capability(pci, 9, body, 0, NULL, &off),
			-ENOSPC, "vcore_pci_add_capability: ");
}
END_TEST

static uint32_t hook_reads, hook_writes, hook_off, hook_len;

static void
hook_read(void *opaque, uint32_t off, uint32_t len)
{
	uint32_t val = 0xabcd0000 + ++hook_reads;

	(void)len;
	(void)off;
	ck_assert_int_eq(vcore_pci_config_set(opaque, 0xf0, &val, 4), 0);
}

static void
hook_write(void *opaque, uint32_t off, uint32_t len)
{
	(void)opaque;
	hook_writes++;
	hook_off = off;
	hook_len = len;
}

START_TEST(test_pci_hooks_see_every_access)
{
	static const struct vcore_pci_config_ops hooks = {
		.size = sizeof(hooks), .read = hook_read, .write = hook_write,
	};

	ck_assert_ok(vcore_pci_set_config_ops(pci, &hooks, pci));
	ck_assert_uint_eq(get(0xf0, 4), 0xabcd0001);
	ck_assert_uint_eq(get(0xf2, 2), 0xabcd);
	set(0xf1, 2, 3);
	ck_assert_uint_eq(hook_writes, 1);
	ck_assert_uint_eq(hook_off, 0xf1);
	ck_assert_uint_eq(hook_len, 2);
	ck_assert_uint_eq(hook_reads, 2);
}
END_TEST

START_TEST(test_pci_hooks_errors)
{
	struct vcore_pci_config_ops hooks;

	VCORE_INIT(&hooks);
	ck_assert_error(vcore_pci_set_config_ops(NULL, &hooks, NULL), -EINVAL,
			"vcore_pci_set_config_ops: ");
	ck_assert_error(vcore_pci_set_config_ops(pci, NULL, NULL), -EINVAL,
			"vcore_pci_set_config_ops: ");
	hooks.flags = 1;
	ck_assert_error(vcore_pci_set_config_ops(pci, &hooks, NULL), -E2BIG,
			"vcore_pci_set_config_ops: ");
}
END_TEST

START_TEST(test_pci_config_get_set_bounds)
{
	uint8_t buf[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	ck_assert_ok(vcore_pci_config_set(pci, 248, buf, 8));
	memset(buf, 0, sizeof(buf));
	ck_assert_ok(vcore_pci_config_get(pci, 248, buf, 8));
	ck_assert_uint_eq(buf[7], 8);
	ck_assert_error(vcore_pci_config_get(pci, 249, buf, 8), -EINVAL,
			"vcore_pci_config_get: ");
	ck_assert_error(vcore_pci_config_set(pci, UINT32_MAX, buf, 2), -EINVAL,
			"vcore_pci_config_set: ");
	ck_assert_error(vcore_pci_config_get(NULL, 0, buf, 1), -EINVAL,
			"vcore_pci_config_get: ");
	ck_assert_error(vcore_pci_config_set(pci, 0, NULL, 1), -EINVAL,
			"vcore_pci_config_set: ");
}
END_TEST

START_TEST(test_pci_new_errors)
{
	struct vcore_pci_opts o = pci_opts(0);
	struct vcore_pci *p = NULL;

	ck_assert_error(vcore_pci_new(NULL, &o, &p), -EINVAL,
			"vcore_pci_new: ");
	ck_assert_error(vcore_pci_new(bus, NULL, &p), -EINVAL,
			"vcore_pci_new: ");
	ck_assert_error(vcore_pci_new(bus, &o, NULL), -EINVAL,
			"vcore_pci_new: ");
	o.slot = 32;
	ck_assert_error(vcore_pci_new(bus, &o, &p), -EINVAL, "vcore_pci_new: ");
	o = pci_opts(2049);
	ck_assert_error(vcore_pci_new(bus, &o, &p), -EINVAL, "vcore_pci_new: ");
	o = pci_opts(1);
	o.msix_bar = 6;
	ck_assert_error(vcore_pci_new(bus, &o, &p), -EINVAL, "vcore_pci_new: ");
	o = pci_opts(0);
	o.class_code = 0x1000000;
	ck_assert_error(vcore_pci_new(bus, &o, &p), -EINVAL, "vcore_pci_new: ");
	o = pci_opts(0);
	o.vendor = 0xffff;
	ck_assert_error(vcore_pci_new(bus, &o, &p), -EINVAL, "vcore_pci_new: ");
	o = pci_opts(0);
	o.flags = 1;
	ck_assert_error(vcore_pci_new(bus, &o, &p), -E2BIG, "vcore_pci_new: ");
	o = pci_opts(0);
	o.size = 3;
	ck_assert_error(vcore_pci_new(bus, &o, &p), -EINVAL, "vcore_pci_new: ");
	ck_assert_ptr_null(p);
	ck_assert_uint_eq(released, 0);
}
END_TEST

START_TEST(test_pci_removed_function_is_gone_though_referenced)
{
	struct vcore_pci_opts o = pci_opts(1);
	struct vcore_pci *p;
	uint32_t val;

	released = 0;
	ck_assert_ok(vcore_pci_new(bus, &o, &p));
	vcore_pci_ref(p);
	vcore_pci_remove(p);
	ck_assert_uint_eq(released, 1);
	ck_assert_ok(vcore_pci_bus_config_read(bus, vcore_pci_bdf(p), 0, 4,
					       &val));
	ck_assert_uint_eq(val, UINT32_MAX);
	vcore_pci_unref(p);
	ck_assert_uint_eq(released, 1);
	released = 0;
}
END_TEST

START_TEST(test_pci_last_unref_removes)
{
	struct vcore_pci_opts o = pci_opts(1);
	struct vcore_pci *p;

	released = 0;
	ck_assert_ok(vcore_pci_new(bus, &o, &p));
	ck_assert_ptr_eq(vcore_pci_ref(p), p);
	vcore_pci_unref(p);
	ck_assert_uint_eq(released, 0);
	vcore_pci_unref(p);
	ck_assert_uint_eq(released, 1);
	released = 0;
	ck_assert_ptr_null(vcore_pci_ref(NULL));
	vcore_pci_unref(NULL);
	vcore_pci_remove(NULL);
	ck_assert_uint_eq(vcore_pci_bdf(NULL), 0);
}
END_TEST

/* A hook that is still running holds up release, and nothing else. */
static _Atomic uint32_t in_hook, let_go;

static void
hook_stay(void *opaque, uint32_t off, uint32_t len)
{
	(void)opaque;
	(void)off;
	(void)len;
	atomic_store(&in_hook, 1);
	while (!atomic_load(&let_go))
		sched_yield();
}

static void *
read_config(void *arg)
{
	uint32_t val;
	uint32_t *bdf = arg;

	support_asserts_here();
	(void)vcore_pci_bus_config_read(bus, *bdf, 0, 4, &val);
	return NULL;
}

START_TEST(test_pci_remove_while_hook_runs_releases_afterwards)
{
	static const struct vcore_pci_config_ops hooks = {
		.size = sizeof(hooks), .read = hook_stay,
	};
	struct vcore_pci_opts o = pci_opts(1);
	struct vcore_pci *p;
	pthread_t thread;
	uint32_t bdf;

	released = 0;
	ck_assert_ok(vcore_pci_new(bus, &o, &p));
	bdf = vcore_pci_bdf(p);
	ck_assert_ok(vcore_pci_set_config_ops(p, &hooks, NULL));
	ck_assert_int_eq(pthread_create(&thread, NULL, read_config, &bdf), 0);
	while (!atomic_load(&in_hook))
		sched_yield();
	vcore_pci_remove(p);
	ck_assert_uint_eq(released, 0);
	atomic_store(&let_go, 1);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(released, 1);
	released = 0;
}
END_TEST

START_TEST(test_pci_out_of_everything_undoes_everything)
{
	struct vcore_pci_opts o = pci_opts(3);
	struct vcore_pci *p = NULL;
	bool failed = true;
	int rc, fds = support_open_fds();

	released = 0;
	for (unsigned int n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_pci_new(bus, &o, &p);
		failed = fail_stop();
		ck_assert_int_eq(rc < 0, failed);
		ck_assert(rc == 0 || p == NULL);
		ck_assert_uint_lt(n, 1000);
		if (failed)
			ck_assert_int_eq(support_open_fds(), fds);
	}
	ck_assert_uint_eq(released, 0);
	vcore_pci_remove(p);
	ck_assert_int_eq(support_open_fds(), fds);
	released = 0;
}
END_TEST

START_TEST(test_pci_new_out_of_memory_returns_enomem)
{
	struct vcore_pci_opts o = pci_opts(1);
	struct vcore_pci *p = NULL;
	int rc;

	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_pci_new(bus, &o, &p);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_pci_new: ");
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_pci_new(bus, &o, &p);
	ck_assert(fail_stop());
	ck_assert_error(rc, -EMFILE, "vcore_pci_new: ");
	ck_assert_ptr_null(p);
}
END_TEST

START_TEST(test_pci_bus_new_out_of_memory_returns_enomem)
{
	struct vcore_pci_bus *b = NULL;
	struct vcore_pci_bus_opts o;
	int rc;

	VCORE_INIT(&o);
	o.mmio = mmio;
	o.irqchip = chip;
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_pci_bus_new(&o, &b);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_pci_bus_new: ");
	ck_assert_ptr_null(b);
}
END_TEST

START_TEST(test_pci_add_doorbell_out_of_everything_returns_errors)
{
	struct vcore_doorbell_opts o;
	uint32_t id = 0;
	int rc, fds = support_open_fds();

	VCORE_INIT(&o);
	fail_nth(FAIL_ALLOC, 1);
	rc = vcore_pci_add_doorbell(pci, 4, &o, 0, &id);
	ck_assert(fail_stop());
	ck_assert_error(rc, -ENOMEM, "vcore_pci_add_doorbell: ");
	fail_nth(FAIL_SYSTEM, 1);
	rc = vcore_pci_add_doorbell(pci, 4, &o, 0, &id);
	ck_assert(fail_stop());
	ck_assert_error(rc, -EMFILE, "vcore_pci_add_doorbell: ");
	ck_assert_uint_eq(id, 0);
	ck_assert_int_eq(support_open_fds(), fds);
}
END_TEST

/* A table of a newer library, that says something this one can't know. */
START_TEST(test_pci_add_doorbell_unknown_field_returns_e2big)
{
	struct {
		struct vcore_doorbell_opts o;
		uint64_t more;
	} newer;
	uint32_t id = 0;

	memset(&newer, 0, sizeof(newer));
	newer.o.size = sizeof(newer);
	newer.more = 1;
	ck_assert_error(vcore_pci_add_doorbell(pci, 4, &newer.o, 0, &id),
			-E2BIG, "vcore_pci_add_doorbell: ");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pci/pci");
	TCase *t = tcase_create("function");

	tcase_add_checked_fixture(t, pci_setup, pci_teardown);
	tcase_add_test(t, test_pci_header_is_as_asked);
	tcase_add_test(t, test_pci_only_writable_bits_change);
	tcase_add_test(t, test_pci_capabilities_are_linked);
	tcase_add_test(t, test_pci_capability_errors);
	tcase_add_test(t, test_pci_hooks_see_every_access);
	tcase_add_test(t, test_pci_hooks_errors);
	tcase_add_test(t, test_pci_config_get_set_bounds);
	tcase_add_test(t, test_pci_new_errors);
	tcase_add_test(t, test_pci_removed_function_is_gone_though_referenced);
	tcase_add_test(t, test_pci_last_unref_removes);
	tcase_add_test(t, test_pci_remove_while_hook_runs_releases_afterwards);
	tcase_add_test(t, test_pci_out_of_everything_undoes_everything);
	tcase_add_test(t, test_pci_new_out_of_memory_returns_enomem);
	tcase_add_test(t, test_pci_bus_new_out_of_memory_returns_enomem);
	tcase_add_test(t,
		       test_pci_add_doorbell_out_of_everything_returns_errors);
	tcase_add_test(t, test_pci_add_doorbell_unknown_field_returns_e2big);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
