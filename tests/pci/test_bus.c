/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus: the host bridge, slots, accesses to what is not there. */
#include "common.h"
#include "pci/part.h"

static uint32_t
read_at(uint32_t bdf, uint32_t off, uint32_t len)
{
	uint32_t val = 0x12345678;

	ck_assert_ok(vcore_pci_bus_config_read(bus, bdf, off, len, &val));
	return val;
}

START_TEST(test_pci_bus_device_0_is_a_host_bridge)
{
	ck_assert_uint_eq(read_at(0, PCI_CLASS_DEVICE, 2), 0x0600);
	ck_assert_uint_ne(read_at(0, PCI_VENDOR_ID, 2), 0xffff);
	ck_assert_uint_eq(read_at(0, PCI_HEADER_TYPE, 1), 0);
	ck_assert_ok(vcore_pci_bus_config_write(bus, 0, 0, 4, 0));
	ck_assert_uint_ne(read_at(0, PCI_VENDOR_ID, 2), 0);
}
END_TEST

START_TEST(test_pci_bus_absent_function_reads_all_ones)
{
	static const uint32_t bdf[] = { 1, 7, 1 << 3, 31 << 3, 2 << 3 | 1,
					1 << 8, 0x10000, UINT32_MAX };

	for (uint32_t i = 0; i < 8; i++) {
		ck_assert_uint_eq(read_at(bdf[i], 0, 4), UINT32_MAX);
		ck_assert_uint_eq(read_at(bdf[i], 0, 2), 0xffff);
		ck_assert_uint_eq(read_at(bdf[i], 0, 1), 0xff);
		ck_assert_ok(vcore_pci_bus_config_write(bus, bdf[i], 4, 4, 0));
	}
}
END_TEST

START_TEST(test_pci_bus_odd_accesses_read_all_ones)
{
	static const uint32_t at[][2] = {
		{ 1, 4 }, { 2, 4 }, { 3, 2 }, { 0, 3 }, { 0, 0 }, { 0, 8 },
		{ 256, 4 }, { 4092, 4 }, { 4096, 4 }, { UINT32_MAX, 1 },
		{ 0, UINT32_MAX },
	};
	uint32_t val;

	pci_setup();
	for (uint32_t i = 0; i < VCORE__ARRAY_SIZE(at); i++) {
		val = 0;
		ck_assert_ok(vcore_pci_bus_config_read(
			bus, vcore_pci_bdf(pci), at[i][0], at[i][1], &val));
		if (at[i][1] < 4)
			ck_assert_uint_eq(val, (1u << (8 * at[i][1])) - 1);
		else
			ck_assert_uint_eq(val, UINT32_MAX);
		ck_assert_ok(vcore_pci_bus_config_write(
			bus, vcore_pci_bdf(pci), at[i][0], at[i][1], 0));
	}
	ck_assert_uint_eq(get(PCI_VENDOR_ID, 4), 0x56781234);
	pci_teardown();
}
END_TEST

START_TEST(test_pci_bus_unaligned_inside_a_dword_works)
{
	pci_setup();
	ck_assert_uint_eq(get(PCI_VENDOR_ID + 1, 2), 0x7812);
	ck_assert_uint_eq(get(PCI_VENDOR_ID + 3, 1), 0x56);
	set(PCI_COMMAND + 1, 2, 0xffff);
	ck_assert_uint_eq(get(PCI_COMMAND, 2), PCI_COMMAND_INTX_DISABLE);
	pci_teardown();
}
END_TEST

START_TEST(test_pci_bus_null_returns_einval)
{
	uint32_t val;

	ck_assert_error(vcore_pci_bus_config_read(NULL, 0, 0, 4, &val),
			-EINVAL, "vcore_pci_bus_config_read: ");
	ck_assert_error(vcore_pci_bus_config_read(bus, 0, 0, 4, NULL), -EINVAL,
			"vcore_pci_bus_config_read: ");
	ck_assert_error(vcore_pci_bus_config_write(NULL, 0, 0, 4, 0), -EINVAL,
			"vcore_pci_bus_config_write: ");
	ck_assert_ptr_null(vcore_pci_bus_ref(NULL));
	vcore_pci_bus_unref(NULL);
}
END_TEST

START_TEST(test_pci_bus_new_errors)
{
	struct vcore_pci_bus *b = NULL;
	struct vcore_pci_bus_opts o;

	VCORE_INIT(&o);
	o.mmio = mmio;
	ck_assert_error(vcore_pci_bus_new(&o, &b), -EINVAL,
			"vcore_pci_bus_new: ");
	o.irqchip = chip;
	ck_assert_error(vcore_pci_bus_new(&o, NULL), -EINVAL,
			"vcore_pci_bus_new: ");
	ck_assert_error(vcore_pci_bus_new(NULL, &b), -EINVAL,
			"vcore_pci_bus_new: ");
	o.mmio = NULL;
	ck_assert_error(vcore_pci_bus_new(&o, &b), -EINVAL,
			"vcore_pci_bus_new: ");
	o.mmio = mmio;
	o.flags = 1;
	ck_assert_error(vcore_pci_bus_new(&o, &b), -E2BIG,
			"vcore_pci_bus_new: ");
	o.flags = 0;
	o.window32 = 0xffff0000;
	o.window32_len = 0x20000;
	ck_assert_error(vcore_pci_bus_new(&o, &b), -EINVAL,
			"vcore_pci_bus_new: ");
	o.window32_len = 0;
	o.window64 = UINT64_MAX;
	o.window64_len = 2;
	ck_assert_error(vcore_pci_bus_new(&o, &b), -EINVAL,
			"vcore_pci_bus_new: ");
	ck_assert_ptr_null(b);
}
END_TEST

START_TEST(test_pci_bus_has_31_slots)
{
	struct vcore_pci_opts o = pci_opts(0);
	struct vcore_pci *p[32], *more = NULL;

	o.slot = 5;
	ck_assert_ok(vcore_pci_new(bus, &o, &p[31]));
	ck_assert_uint_eq(vcore_pci_bdf(p[31]), 5 << 3);
	ck_assert_error(vcore_pci_new(bus, &o, &more), -EEXIST,
			"vcore_pci_new: ");
	o.slot = 0;
	for (uint32_t i = 1; i < 31; i++)
		ck_assert_ok(vcore_pci_new(bus, &o, &p[i]));
	ck_assert_error(vcore_pci_new(bus, &o, &more), -ENOSPC,
			"vcore_pci_new: all 31 slots are taken");
	ck_assert_ptr_null(more);
	ck_assert_uint_eq(released, 0);
	/* A slot that became free is used again. */
	vcore_pci_remove(p[3]);
	ck_assert_uint_eq(released, 1);
	ck_assert_ok(vcore_pci_new(bus, &o, &p[3]));
	for (uint32_t i = 1; i < 32; i++)
		vcore_pci_remove(p[i]);
	ck_assert_uint_eq(released, 32);
}
END_TEST

static uint32_t calls_done;

static void
count_call(struct vcore__call *c)
{
	calls_done += c->rc == 0;
}

START_TEST(test_pci_bus_part_resets_all_functions)
{
	struct vcore__call c = { .fn = count_call };
	struct vcore__part part;
	uint64_t home;

	pci_setup();
	ck_assert_ok(vcore_pci_add_bar(pci, 0, 4096, 0, &bar_ops, NULL));
	home = bar_at(0);
	set(PCI_BASE_ADDRESS_0, 4, (uint32_t)home + 0x10000);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_ne(ranges(), 0);
	vcore__pci_bus_part(bus, &part);
	ck_assert_uint_eq(part.ops->rank, VCORE__RANK_PLATFORM);
	part.ops->stop(part.p, VCORE__DROP, &c);
	ck_assert_uint_eq(calls_done, 1);
	part.ops->reset(part.p);
	ck_assert_int_eq(part.ops->start(part.p), 0);
	ck_assert_uint_eq(ranges(), 0);
	ck_assert_uint_eq(get(PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(bar_at(0), home);
	pci_teardown();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pci/bus");
	TCase *t = tcase_create("bus"), *own = tcase_create("function");

	tcase_add_checked_fixture(t, bus_setup, bus_teardown);
	tcase_add_test(t, test_pci_bus_device_0_is_a_host_bridge);
	tcase_add_test(t, test_pci_bus_absent_function_reads_all_ones);
	tcase_add_test(t, test_pci_bus_null_returns_einval);
	tcase_add_test(t, test_pci_bus_new_errors);
	tcase_add_test(t, test_pci_bus_has_31_slots);
	suite_add_tcase(suite, t);
	tcase_add_test(own, test_pci_bus_odd_accesses_read_all_ones);
	tcase_add_test(own, test_pci_bus_unaligned_inside_a_dword_works);
	tcase_add_test(own, test_pci_bus_part_resets_all_functions);
	suite_add_tcase(suite, own);
	return support_run(suite);
}
