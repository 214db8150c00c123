/* SPDX-License-Identifier: BSD-3-Clause */
/* MSI-X: the table, masks, pending bits, accesses nobody should make. */
#include "common.h"

#define VECTORS 4u

#define CONTROL PCI_MSIX_ENTRY_VECTOR_CTRL

static uint32_t cap;
static uint64_t table, pba;

static struct vcore_irq *
irq_of(uint32_t vector)
{
	struct vcore_irq *irq = NULL;

	ck_assert_ok(vcore_pci_vector(pci, vector, &irq));
	return irq;
}

static void
msix_setup(void)
{
	pci_setup();
	cap = get(PCI_CAPABILITY_LIST, 1);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	table = bar_at(4) + (get(cap + PCI_MSIX_TABLE, 4) & ~7u);
	pba = bar_at(4) + (get(cap + PCI_MSIX_PBA, 4) & ~7u);
}

static void
enable(uint32_t flags)
{
	set(cap + PCI_MSIX_FLAGS, 2, flags);
}

/* As Linux does: masked, message, unmasked. */
static void
program(uint32_t vector, uint64_t addr, uint32_t data)
{
	uint64_t entry = table + 16ull * vector;

	poke(entry + CONTROL, 4, 1);
	poke(entry, 4, (uint32_t)addr);
	poke(entry + 4, 4, (uint32_t)(addr >> 32));
	poke(entry + 8, 4, data);
	poke(entry + CONTROL, 4, 0);
}

START_TEST(test_msix_capability_describes_the_table)
{
	ck_assert_uint_eq(get(cap, 1), PCI_CAP_ID_MSIX);
	ck_assert_uint_eq(get(cap + PCI_MSIX_FLAGS, 2), VECTORS - 1);
	ck_assert_uint_eq(get(cap + PCI_MSIX_TABLE, 4) & 7, 4);
	ck_assert_uint_eq(get(cap + PCI_MSIX_PBA, 4) & 7, 4);
	ck_assert_uint_ge(pba, table + 16 * VECTORS);
	enable(0xffff);
	ck_assert_uint_eq(get(cap + PCI_MSIX_FLAGS, 2),
			  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL |
			  (VECTORS - 1));
}
END_TEST

START_TEST(test_msix_entries_are_masked_at_first)
{
	for (uint32_t i = 0; i < VECTORS; i++) {
		ck_assert_uint_eq(peek(table + 16ull * i, 8), 0);
		ck_assert_uint_eq(peek(table + 16ull * i + 8, 8), 1ull << 32);
	}
}
END_TEST

START_TEST(test_msix_message_is_raised)
{
	enable(PCI_MSIX_FLAGS_ENABLE);
	program(2, 0xfee01000, 0x4031);
	ck_assert_uint_eq(routes, 1);
	ck_assert_uint_eq(routed_addr, 0xfee01000);
	vcore_irq_raise(irq_of(2));
	ck_assert_uint_eq(raises, 1);
	ck_assert_uint_eq(raised_data, 0x4031);
}
END_TEST

START_TEST(test_msix_table_takes_qwords)
{
	enable(PCI_MSIX_FLAGS_ENABLE);
	poke(table + 16, 8, 0x1234567890abcdef);
	poke(table + 24, 8, 0x00000000cafe0001);
	/* The low 2 bits of an address are 0. */
	ck_assert_uint_eq(peek(table + 16, 8), 0x1234567890abcdec);
	ck_assert_uint_eq(peek(table + 24, 8), 0xcafe0001);
	ck_assert_uint_eq(routed_addr, 0x1234567890abcdec);
	ck_assert_uint_eq(routed_data, 0xcafe0001);
}
END_TEST

START_TEST(test_msix_odd_accesses_do_nothing)
{
	static const uint32_t at[][2] = {
		{ 0, 1 }, { 0, 2 }, { 1, 4 }, { 2, 4 }, { 4, 8 }, { 12, 8 },
		{ 15, 1 },
	};

	for (uint32_t i = 0; i < VCORE__ARRAY_SIZE(at); i++) {
		poke(table + at[i][0], at[i][1], UINT64_MAX);
		ck_assert_uint_eq(peek(table + at[i][0], at[i][1]), 0);
	}
	ck_assert_uint_eq(peek(table, 8), 0);
}
END_TEST

START_TEST(test_msix_behind_the_table_is_nothing)
{
	poke(table + 16 * VECTORS, 8, UINT64_MAX);
	ck_assert_uint_eq(peek(table + 16 * VECTORS, 8), 0);
	poke(table + 0xff8, 8, UINT64_MAX);
	ck_assert_uint_eq(peek(table + 0xff8, 8), 0);
}
END_TEST

START_TEST(test_msix_pba_ignores_writes)
{
	poke(pba, 8, UINT64_MAX);
	poke(pba, 4, UINT32_MAX);
	ck_assert_uint_eq(peek(pba, 8), 0);
}
END_TEST

START_TEST(test_msix_masked_entry_is_pending_and_raised_once)
{
	enable(PCI_MSIX_FLAGS_ENABLE);
	program(1, 0xfee00000, 5);
	poke(table + 16 + CONTROL, 4, 1);
	vcore_irq_raise(irq_of(1));
	vcore_irq_raise(irq_of(1));
	ck_assert_uint_eq(raises, 0);
	ck_assert_uint_eq(peek(pba, 8), 2);
	poke(table + 16 + CONTROL, 4, 0);
	ck_assert_uint_eq(raises, 1);
	ck_assert_uint_eq(peek(pba, 8), 0);
}
END_TEST

START_TEST(test_msix_message_changed_while_pending_goes_to_the_new_one)
{
	enable(PCI_MSIX_FLAGS_ENABLE);
	program(1, 0xfee00000, 5);
	poke(table + 16 + CONTROL, 4, 1);
	vcore_irq_raise(irq_of(1));
	poke(table + 16 + 8, 4, 6);
	ck_assert_uint_eq(raises, 0);
	poke(table + 16 + CONTROL, 4, 0);
	ck_assert_uint_eq(raises, 1);
	ck_assert_uint_eq(raised_data, 6);
}
END_TEST

START_TEST(test_msix_function_mask_holds_all)
{
	enable(PCI_MSIX_FLAGS_ENABLE);
	for (uint32_t i = 0; i < VECTORS; i++)
		program(i, 0xfee00000, i);
	enable(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	for (uint32_t i = 0; i < VECTORS; i++)
		vcore_irq_raise(irq_of(i));
	ck_assert_uint_eq(raises, 0);
	ck_assert_uint_eq(peek(pba, 8), 0xf);
	enable(PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(raises, VECTORS);
}
END_TEST

START_TEST(test_msix_raised_while_disabled_is_forgotten)
{
	program(0, 0xfee00000, 1);
	vcore_irq_raise(irq_of(0));
	ck_assert_uint_eq(raises, 0);
	enable(PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(raises, 0);
	vcore_irq_raise(irq_of(0));
	ck_assert_uint_eq(raises, 1);
}
END_TEST

START_TEST(test_msix_message_the_chip_refuses_stays_pending)
{
	enable(PCI_MSIX_FLAGS_ENABLE);
	route_rc = -EINVAL;
	program(0, 0xdeadbeef00, 1);
	vcore_irq_raise(irq_of(0));
	ck_assert_uint_eq(raises, 0);
	ck_assert_uint_eq(peek(pba, 8), 1);
	route_rc = 0;
	program(0, 0xfee00000, 9);
	ck_assert_uint_eq(raises, 1);
	ck_assert_uint_eq(raised_data, 9);
}
END_TEST

START_TEST(test_msix_address_0_gathers)
{
	enable(PCI_MSIX_FLAGS_ENABLE);
	poke(table + CONTROL, 4, 0);
	vcore_irq_raise(irq_of(0));
	ck_assert_uint_eq(raises, 0);
	program(0, 0xfee00000, 3);
	ck_assert_uint_eq(raises, 1);
}
END_TEST

START_TEST(test_msix_reserved_control_bits_stay_0)
{
	poke(table + CONTROL, 4, UINT32_MAX);
	ck_assert_uint_eq(peek(table + CONTROL, 4), 1);
}
END_TEST

START_TEST(test_msix_largest_table_works)
{
	struct vcore_pci_opts o = pci_opts(600);
	struct vcore_pci *small = pci;
	uint64_t at;

	o.msix_bar = 1;
	ck_assert_ok(vcore_pci_new(bus, &o, &pci));
	cap = get(PCI_CAPABILITY_LIST, 1);
	set(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	enable(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	at = bar_at(1) + (get(cap + PCI_MSIX_PBA, 4) & ~7u);
	vcore_irq_raise(irq_of(599));
	ck_assert_uint_eq(peek(at + 72, 8), 1ull << (599 - 576));
	ck_assert_uint_eq(peek(at + 64, 8), 0);
	vcore_pci_remove(pci);
	ck_assert_uint_eq(released, 1);
	released = 0;
	pci = small;
}
END_TEST

START_TEST(test_msix_vector_errors)
{
	struct vcore_irq *irq = NULL;

	ck_assert_error(vcore_pci_vector(pci, VECTORS, &irq), -ENOENT,
			"vcore_pci_vector: ");
	ck_assert_error(vcore_pci_vector(pci, UINT32_MAX, &irq), -ENOENT,
			"vcore_pci_vector: ");
	ck_assert_error(vcore_pci_vector(NULL, 0, &irq), -EINVAL,
			"vcore_pci_vector: ");
	ck_assert_error(vcore_pci_vector(pci, 0, NULL), -EINVAL,
			"vcore_pci_vector: ");
	ck_assert_ptr_null(irq);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pci/msix");
	TCase *t = tcase_create("msix");

	tcase_add_checked_fixture(t, msix_setup, pci_teardown);
	tcase_add_test(t, test_msix_capability_describes_the_table);
	tcase_add_test(t, test_msix_entries_are_masked_at_first);
	tcase_add_test(t, test_msix_message_is_raised);
	tcase_add_test(t, test_msix_table_takes_qwords);
	tcase_add_test(t, test_msix_odd_accesses_do_nothing);
	tcase_add_test(t, test_msix_behind_the_table_is_nothing);
	tcase_add_test(t, test_msix_pba_ignores_writes);
	tcase_add_test(t, test_msix_masked_entry_is_pending_and_raised_once);
	tcase_add_test(
		t, test_msix_message_changed_while_pending_goes_to_the_new_one);
	tcase_add_test(t, test_msix_function_mask_holds_all);
	tcase_add_test(t, test_msix_raised_while_disabled_is_forgotten);
	tcase_add_test(t, test_msix_message_the_chip_refuses_stays_pending);
	tcase_add_test(t, test_msix_address_0_gathers);
	tcase_add_test(t, test_msix_reserved_control_bits_stay_0);
	tcase_add_test(t, test_msix_largest_table_works);
	tcase_add_test(t, test_msix_vector_errors);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
