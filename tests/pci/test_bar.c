/* SPDX-License-Identifier: BSD-3-Clause */
/* BARs and their doorbells, wherever a guest puts them. */
#include "common.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define LEN 0x4000ull

static void
enable(bool on)
{
	set(PCI_COMMAND, 2, on ? PCI_COMMAND_MEMORY : 0);
}

static void
bar_setup(void)
{
	struct vcore_pci_opts o = pci_opts(0);

	bus_setup();
	ck_assert_ok(vcore_pci_new(bus, &o, &pci));
	ck_assert_ok(vcore_pci_add_bar(pci, 0, LEN, 0, &bar_ops, NULL));
}

static void
wide_setup(void)
{
	bar_setup();
	ck_assert_ok(vcore_pci_add_bar(pci, 2, LEN, VCORE_PCI_BAR_64 |
				       VCORE_PCI_BAR_PREFETCH, &bar_ops,
				       NULL));
}

START_TEST(test_bar_has_an_address_in_the_window_at_once)
{
	ck_assert_uint_ge(bar_at(0), W32);
	ck_assert_uint_le(bar_at(0) + LEN, W32 + W32_LEN);
	ck_assert_uint_eq(bar_at(0) % LEN, 0);
	ck_assert_uint_eq(get(PCI_BASE_ADDRESS_0, 1) & 0xf, 0);
	/* Not decoded before the guest enables it. */
	ck_assert_uint_eq(peek(bar_at(0) + 8, 4), UINT32_MAX);
	enable(true);
	ck_assert_uint_eq(peek(bar_at(0) + 8, 4), 8);
	poke(bar_at(0) + 0x3ffc, 4, 99);
	ck_assert_uint_eq(last_off, 0x3ffc);
	ck_assert_uint_eq(last_val, 99);
	enable(false);
	ck_assert_uint_eq(peek(bar_at(0) + 8, 4), UINT32_MAX);
}
END_TEST

START_TEST(test_bar_sizing_tells_its_length)
{
	uint32_t home = (uint32_t)bar_at(0);

	set(PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	ck_assert_uint_eq(get(PCI_BASE_ADDRESS_0, 4), 0xffffc000);
	set(PCI_BASE_ADDRESS_0, 4, home);
	ck_assert_uint_eq(get(PCI_BASE_ADDRESS_0, 4), home);
	/* What isn't there is 0. */
	set(PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	ck_assert_uint_eq(get(PCI_BASE_ADDRESS_1, 4), 0);
	set(PCI_ROM_ADDRESS, 4, UINT32_MAX);
	ck_assert_uint_eq(get(PCI_ROM_ADDRESS, 4), 0);
}
END_TEST

START_TEST(test_bar_sizing_while_enabled_is_harmless)
{
	uint32_t home = (uint32_t)bar_at(0);

	enable(true);
	set(PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	ck_assert_uint_eq(ranges(), 0);
	set(PCI_BASE_ADDRESS_0, 4, home);
	ck_assert_uint_eq(peek(home + 4, 4), 4);
}
END_TEST

START_TEST(test_bar_of_64_bits_is_sized_and_placed)
{
	uint64_t at;

	ck_assert_uint_eq(get(PCI_BASE_ADDRESS_2, 4) & 0xf,
			  PCI_BASE_ADDRESS_MEM_TYPE_64 |
			  PCI_BASE_ADDRESS_MEM_PREFETCH);
	at = bar_at(2) | (uint64_t)get(PCI_BASE_ADDRESS_3, 4) << 32;
	ck_assert_uint_ge(at, W64);
	ck_assert_uint_le(at + LEN, W64 + W64_LEN);
	enable(true);
	ck_assert_uint_eq(peek(at + 16, 4), 16);
	set(PCI_BASE_ADDRESS_2, 4, UINT32_MAX);
	set(PCI_BASE_ADDRESS_3, 4, UINT32_MAX);
	ck_assert_uint_eq(get(PCI_BASE_ADDRESS_2, 4), 0xffffc00c);
	ck_assert_uint_eq(get(PCI_BASE_ADDRESS_3, 4), UINT32_MAX);
}
END_TEST

START_TEST(test_bar_of_64_bits_moves_into_the_low_window)
{
	enable(true);
	set(PCI_BASE_ADDRESS_2, 4, (uint32_t)W32 + 0x100000);
	set(PCI_BASE_ADDRESS_3, 4, 0);
	ck_assert_uint_eq(peek(W32 + 0x100020, 4), 0x20);
}
END_TEST

/* Where a BAR of 16 KiB is not decoded. */
static const uint64_t nowhere[] = {
	0, 0x100000, W32 - LEN, W32 + W32_LEN, 0xfee00000, 0xffffc000,
	W64 - LEN, W64 + W64_LEN, 0xffffffffffffc000, 0x8000000000000000,
};

START_TEST(test_bar_outside_the_windows_is_not_decoded)
{
	uint64_t at = nowhere[_i];

	enable(true);
	set(PCI_BASE_ADDRESS_2, 4, (uint32_t)at);
	set(PCI_BASE_ADDRESS_3, 4, (uint32_t)(at >> 32));
	ck_assert_uint_eq(ranges(), 1);
	ck_assert_uint_eq(peek(at, 4), UINT32_MAX);
	/* The other one is still there. */
	ck_assert_uint_eq(peek(bar_at(0) + 4, 4), 4);
	/* And this one can come back. */
	set(PCI_BASE_ADDRESS_3, 4, (uint32_t)(W64 >> 32));
	set(PCI_BASE_ADDRESS_2, 4, (uint32_t)W64 + 0x10000);
	ck_assert_uint_eq(peek(W64 + 0x10004, 4), 4);
}
END_TEST

START_TEST(test_bar_over_another_is_not_decoded)
{
	uint64_t first = bar_at(0);

	enable(true);
	set(PCI_BASE_ADDRESS_3, 4, 0);
	set(PCI_BASE_ADDRESS_2, 4, (uint32_t)first);
	ck_assert_uint_eq(ranges(), 1);
	/* Once the first has moved it has to be asked for again. */
	set(PCI_BASE_ADDRESS_0, 4, (uint32_t)W32 + 0x200000);
	ck_assert_uint_eq(ranges(), 2);
	ck_assert_uint_eq(peek(first + 4, 4), 4);
}
END_TEST

START_TEST(test_bar_over_a_foreign_range_is_not_decoded)
{
	struct vcore_range_opts o;
	struct vcore_range *range;

	VCORE_INIT(&o);
	o.base = W32 + 0x102000;
	o.len = 0x100;
	o.ops = &bar_ops;
	ck_assert_ok(vcore_bus_add(mmio, &o, &range));
	enable(true);
	set(PCI_BASE_ADDRESS_0, 4, (uint32_t)W32 + 0x100000);
	ck_assert_uint_eq(ranges(), 1);
	vcore_range_remove(range);
	enable(false);
	enable(true);
	ck_assert_uint_eq(peek(W32 + 0x100004, 4), 4);
}
END_TEST

static struct vcore_pci *
another(void)
{
	struct vcore_pci_opts o = pci_opts(0);
	struct vcore_pci *p;

	ck_assert_ok(vcore_pci_new(bus, &o, &p));
	ck_assert_ok(vcore_pci_add_bar(p, 0, LEN, 0, &bar_ops, NULL));
	return p;
}

START_TEST(test_bars_of_functions_do_not_overlap)
{
	struct vcore_pci *p[30], *mine = pci;
	uint64_t at[31];

	at[30] = bar_at(0);
	for (uint32_t i = 0; i < 30; i++) {
		p[i] = another();
		pci = p[i];
		at[i] = bar_at(0);
		enable(true);
	}
	pci = mine;
	enable(true);
	ck_assert_uint_eq(ranges(), 31);
	for (uint32_t i = 0; i < 31; i++)
		ck_assert_uint_eq(peek(at[i] + 0x20, 4), 0x20);
	for (uint32_t i = 0; i < 30; i++)
		vcore_pci_remove(p[i]);
	ck_assert_uint_eq(released, 30);
	released = 0;
}
END_TEST

START_TEST(test_bar_window_full_returns_enospc)
{
	ck_assert_error(vcore_pci_add_bar(pci, 1, W32_LEN, 0, &bar_ops, NULL),
			-ENOSPC, "vcore_pci_add_bar: ");
	ck_assert_ok(vcore_pci_add_bar(pci, 1, W32_LEN / 2, 0, &bar_ops,
				       NULL));
	ck_assert_error(vcore_pci_add_bar(pci, 2, W32_LEN / 2, 0, &bar_ops,
					  NULL),
			-ENOSPC, "vcore_pci_add_bar: ");
	/* A wide one too large for its own window. */
	ck_assert_error(vcore_pci_add_bar(pci, 2, W64_LEN * 2,
					  VCORE_PCI_BAR_64, &bar_ops, NULL),
			-ENOSPC, "vcore_pci_add_bar: ");
	ck_assert_ok(vcore_pci_add_bar(pci, 2, W64_LEN, VCORE_PCI_BAR_64,
				       &bar_ops, NULL));
}
END_TEST

START_TEST(test_bar_errors)
{
	struct vcore_bus_ops ops = bar_ops;

	ck_assert_error(vcore_pci_add_bar(NULL, 1, LEN, 0, &ops, NULL),
			-EINVAL, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 6, LEN, 0, &ops, NULL),
			-EINVAL, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, UINT32_MAX, LEN,
					  VCORE_PCI_BAR_64, &ops, NULL),
			-EINVAL, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 5, LEN, VCORE_PCI_BAR_64, &ops,
					  NULL), -EINVAL, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 1, 2048, 0, &ops, NULL),
			-EINVAL, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 1, 0x3000, 0, &ops, NULL),
			-EINVAL, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 1, 1ull << 32, 0, &ops, NULL),
			-EINVAL, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 1, LEN, 4, &ops, NULL), -E2BIG,
			"vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 0, LEN, 0, &ops, NULL), -EEXIST,
			"vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 3, LEN, 0, &ops, NULL), -EEXIST,
			"vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 1, LEN, VCORE_PCI_BAR_64, &ops,
					  NULL), -EEXIST, "vcore_pci_add_bar: ");
	ck_assert_error(vcore_pci_add_bar(pci, 1, LEN, 0, NULL, NULL), -EINVAL,
			"vcore_pci_add_bar: ops");
	ops.read = NULL;
	ck_assert_error(vcore_pci_add_bar(pci, 1, LEN, 0, &ops, NULL), -EINVAL,
			"vcore_pci_add_bar: ops");
	ops = bar_ops;
	ops.flags = 1;
	ck_assert_error(vcore_pci_add_bar(pci, 1, LEN, 0, &ops, NULL), -E2BIG,
			"vcore_pci_add_bar: ops");
}
END_TEST

static int efd;

static uint64_t
rings(void)
{
	uint64_t n = 0;

	return read(efd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

START_TEST(test_doorbell_follows_its_bar)
{
	struct vcore_doorbell_opts o;
	uint32_t id;

	efd = eventfd(0, EFD_NONBLOCK);
	VCORE_INIT(&o);
	o.addr = 0x3004;
	ck_assert_ok(vcore_pci_add_doorbell(pci, 0, &o, efd, &id));
	enable(true);
	poke(bar_at(0) + 0x3004, 2, 7);
	ck_assert_uint_eq(rings(), 1);
	ck_assert_uint_eq(accesses, 0);
	poke(bar_at(0) + 0x3008, 2, 7);
	ck_assert_uint_eq(accesses, 1);
	set(PCI_BASE_ADDRESS_0, 4, (uint32_t)W32 + 0x300000);
	poke(W32 + 0x303004, 4, 7);
	ck_assert_uint_eq(rings(), 1);
	enable(false);
	poke(W32 + 0x303004, 4, 7);
	ck_assert_uint_eq(rings(), 0);
	enable(true);
	/* Our descriptor is no longer needed, then the bell is taken away. */
	vcore_pci_remove_doorbell(pci, id + 1);
	vcore_pci_remove_doorbell(pci, id);
	vcore_pci_remove_doorbell(pci, id);
	vcore_pci_remove_doorbell(NULL, id);
	poke(W32 + 0x303004, 4, 7);
	ck_assert_uint_eq(rings(), 0);
	ck_assert_uint_eq(accesses, 2);
	/* Added while decoded. */
	ck_assert_ok(vcore_pci_add_doorbell(pci, 0, &o, efd, &id));
	poke(W32 + 0x303004, 4, 7);
	ck_assert_uint_eq(rings(), 1);
	close(efd);
}
END_TEST

START_TEST(test_doorbell_errors)
{
	struct vcore_doorbell_opts o;
	uint32_t id = 0;

	efd = eventfd(0, 0);
	VCORE_INIT(&o);
	ck_assert_error(vcore_pci_add_doorbell(NULL, 0, &o, efd, &id), -EINVAL,
			"vcore_pci_add_doorbell: ");
	ck_assert_error(vcore_pci_add_doorbell(pci, 0, &o, efd, NULL), -EINVAL,
			"vcore_pci_add_doorbell: ");
	ck_assert_error(vcore_pci_add_doorbell(pci, 0, NULL, efd, &id),
			-EINVAL, "vcore_pci_add_doorbell: ");
	ck_assert_error(vcore_pci_add_doorbell(pci, 0, &o, -1, &id), -EBADF,
			"vcore_pci_add_doorbell: ");
	ck_assert_error(vcore_pci_add_doorbell(pci, 1, &o, efd, &id), -EINVAL,
			"vcore_pci_add_doorbell: ");
	ck_assert_error(vcore_pci_add_doorbell(pci, 6, &o, efd, &id), -EINVAL,
			"vcore_pci_add_doorbell: ");
	o.addr = LEN;
	ck_assert_error(vcore_pci_add_doorbell(pci, 0, &o, efd, &id), -EINVAL,
			"vcore_pci_add_doorbell: ");
	o.addr = LEN - 2;
	o.len = 4;
	ck_assert_error(vcore_pci_add_doorbell(pci, 0, &o, efd, &id), -EINVAL,
			"vcore_pci_add_doorbell: ");
	o.addr = 0;
	o.len = 3;
	ck_assert_error(vcore_pci_add_doorbell(pci, 0, &o, efd, &id), -EINVAL,
			"vcore_pci_add_doorbell: ");
	o.len = 0;
	o.flags = VCORE_DOORBELL_MATCH;
	ck_assert_error(vcore_pci_add_doorbell(pci, 0, &o, efd, &id), -EINVAL,
			"vcore_pci_add_doorbell: ");
	ck_assert_uint_eq(id, 0);
	close(efd);
}
END_TEST

/* A guest that moves the BAR of the very handler it is in. */
static int
write_moves(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	    struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	set(PCI_BASE_ADDRESS_1, 4, (uint32_t)val);
	accesses++;
	return 0;
}

START_TEST(test_bar_moved_inside_its_own_handler)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = bar_read, .write = write_moves,
	};

	ck_assert_ok(vcore_pci_add_bar(pci, 1, LEN, 0, &ops, NULL));
	enable(true);
	for (uint32_t i = 0; i < 10; i++)
		poke(bar_at(1), 4, W32 + 0x400000 + i * LEN);
	ck_assert_uint_eq(accesses, 10);
	ck_assert_uint_eq(peek(W32 + 0x400000 + 9 * LEN + 4, 4), 4);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pci/bar");
	TCase *t = tcase_create("bar"), *wide = tcase_create("wide");

	tcase_add_checked_fixture(t, bar_setup, pci_teardown);
	tcase_add_test(t, test_bar_has_an_address_in_the_window_at_once);
	tcase_add_test(t, test_bar_sizing_tells_its_length);
	tcase_add_test(t, test_bar_sizing_while_enabled_is_harmless);
	tcase_add_test(t, test_bar_over_a_foreign_range_is_not_decoded);
	tcase_add_test(t, test_bars_of_functions_do_not_overlap);
	tcase_add_test(t, test_bar_window_full_returns_enospc);
	tcase_add_test(t, test_doorbell_follows_its_bar);
	tcase_add_test(t, test_doorbell_errors);
	tcase_add_test(t, test_bar_moved_inside_its_own_handler);
	suite_add_tcase(suite, t);
	tcase_add_checked_fixture(wide, wide_setup, pci_teardown);
	tcase_add_test(wide, test_bar_of_64_bits_is_sized_and_placed);
	tcase_add_test(wide, test_bar_of_64_bits_moves_into_the_low_window);
	tcase_add_loop_test(wide, test_bar_outside_the_windows_is_not_decoded,
			    0, (int)VCORE__ARRAY_SIZE(nowhere));
	tcase_add_test(wide, test_bar_over_another_is_not_decoded);
	tcase_add_test(wide, test_bar_errors);
	suite_add_tcase(suite, wide);
	return support_run(suite);
}
