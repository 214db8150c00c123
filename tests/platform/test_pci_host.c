/* SPDX-License-Identifier: BSD-3-Clause */
/* The host bridge: both ways to a function's configuration space. */
#include <vcore/platform.h>

#include "platform/part.h"
#include "support/ports.h"
#include "support/support.h"

#define ECAM UINT64_C(0xe0000000)
#define ID   0x10411af4u	/* of the function at 00:03.0 */

static struct vcore_bus *pio, *mmio;
static struct vcore_irqchip *chip;
static struct vcore_events *events;
static struct vcore_pci_bus *pci;
static struct vcore_pci *function;
static struct vcore_pci_host *host;

static int
route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
      uint32_t devid)
{
	(void)opaque;
	(void)irq;
	(void)addr;
	(void)data;
	(void)devid;
	return 0;
}

static void
fill(struct vcore_pci_host_opts *o)
{
	VCORE_INIT(o);
	o->pci = pci;
	o->pio = pio;
	o->mmio = mmio;
	o->ecam = ECAM;
	o->events = events;
	o->window32 = 0xc0000000;
	o->window32_len = 0x10000000;
}

static void
setup(void)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .route = route,
	};
	struct vcore_pci_bus_opts bo;
	struct vcore_pci_opts fo;
	struct vcore_pci_host_opts o;

	pio = new_bus(VCORE_BUS_PIO);
	mmio = new_bus(VCORE_BUS_MMIO);
	ck_assert_ok(vcore_irqchip_new(&ops, NULL, NULL, &chip));
	ck_assert_ok(vcore_events_new(NULL, &events));
	VCORE_INIT(&bo);
	bo.mmio = mmio;
	bo.irqchip = chip;
	bo.window32 = 0xc0000000;
	bo.window32_len = 0x10000000;
	ck_assert_ok(vcore_pci_bus_new(&bo, &pci));
	VCORE_INIT(&fo);
	fo.vendor = ID & 0xffff;
	fo.device = ID >> 16;
	fo.slot = 3;
	ck_assert_ok(vcore_pci_new(pci, &fo, &function));
	fill(&o);
	ck_assert_ok(vcore_pci_host_new(&o, &host));
}

static void
teardown(void)
{
	vcore_pci_host_free(host);
	ck_assert_uint_eq(ranges_on(pio), 0);
	vcore_pci_remove(function);
	ck_assert_uint_eq(ranges_on(mmio), 0);
	vcore_pci_bus_unref(pci);
	vcore_events_unref(events);
	vcore_irqchip_unref(chip);
	vcore_bus_unref(pio);
	vcore_bus_unref(mmio);
}

static void
select_reg(uint32_t bdf, uint32_t reg)
{
	out(pio, 0xcf8, 4, 0x80000000u | bdf << 8 | reg);
}

START_TEST(test_ports_reach_the_function)
{
	select_reg(3 << 3, 0);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0x80001800);
	ck_assert_uint_eq(in(pio, 0xcfc, 4), ID);
	ck_assert_uint_eq(in(pio, 0xcfc, 2), ID & 0xffff);
	ck_assert_uint_eq(in(pio, 0xcfe, 2), ID >> 16);
	ck_assert_uint_eq(in(pio, 0xcff, 1), ID >> 24);
	/* The interrupt line register is plain memory. */
	select_reg(3 << 3, 0x3c);
	out(pio, 0xcfc, 1, 0x5a);
	ck_assert_uint_eq(in(pio, 0xcfc, 1), 0x5a);
}
END_TEST

START_TEST(test_absent_functions_read_all_ones)
{
	static const uint32_t bdf[] = { 4 << 3, 3 << 3 | 1, 1 << 8, 0xffff };

	select_reg(bdf[_i], 0);
	ck_assert_uint_eq(in(pio, 0xcfc, 4), UINT32_MAX);
	out(pio, 0xcfc, 4, 0);
	ck_assert_uint_eq(in(pio, 0xcfc, 1), 0xff);
}
END_TEST

START_TEST(test_disabled_address_reads_all_ones)
{
	out(pio, 0xcf8, 4, 3 << 11);
	ck_assert_uint_eq(in(pio, 0xcfc, 4), UINT32_MAX);
	ck_assert_uint_eq(in(pio, 0xcfc, 2), 0xffff);
}
END_TEST

START_TEST(test_address_port_takes_double_words_only)
{
	select_reg(3 << 3, 0);
	out(pio, 0xcf8, 1, 0xff);
	out(pio, 0xcf8, 2, 0xffff);
	out(pio, 0xcfa, 2, 0xffff);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0x80001800);
	ck_assert_uint_eq(in(pio, 0xcf8, 2), 0xffff);
	out(pio, 0xcf8, 4, UINT32_MAX);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0x80fffffc);
	/* Half of it, half of the data port: nobody's. */
	ck_assert_uint_eq(in(pio, 0xcfa, 4), UINT32_MAX);
}
END_TEST

START_TEST(test_unaligned_data_reads_all_ones)
{
	uint64_t val;

	select_reg(3 << 3, 0);
	ck_assert_uint_eq(in(pio, 0xcfd, 2), 0xffff);
	ck_assert_int_eq(vcore_bus_read(pio, 0xcfd, 4, &val), -ENOENT);
	ck_assert_uint_eq(in(mmio, ECAM + (3 << 15) + 1, 2), 0xffff);
	ck_assert_uint_eq(in(mmio, ECAM + (3 << 15) + 2, 4), UINT32_MAX);
	ck_assert_uint_eq(in(mmio, ECAM + (3 << 15) + 4, 8), UINT64_MAX);
}
END_TEST

START_TEST(test_unaligned_writes_are_dropped)
{
	uint64_t at = ECAM + (3 << 15);

	out(mmio, at + 0x3c, 1, 0x5a);
	out(mmio, at + 0x3c - 1, 2, 0x1111);
	out(mmio, at + 0x3c - 2, 4, 0x11111111);
	/* Each half would be aligned. */
	out(mmio, at + 0x3c, 8, 0x11);
	select_reg(3 << 3, 0x3c);
	out(pio, 0xcfd, 2, 0x1111);
	ck_assert_uint_eq(in(mmio, at + 0x3c, 1), 0x5a);
}
END_TEST

START_TEST(test_window_reaches_the_function)
{
	uint64_t at = ECAM + (3 << 15), val;

	ck_assert_uint_eq(in(mmio, at, 4), ID);
	ck_assert_uint_eq(in(mmio, at + 2, 2), ID >> 16);
	ck_assert_uint_eq(in(mmio, at, 8) & UINT32_MAX, ID);
	out(mmio, at + 0x3c, 1, 0xa5);
	ck_assert_uint_eq(in(mmio, at + 0x3c, 1), 0xa5);
	out(mmio, at + 0x38, 8, UINT64_C(0x77) << 32);
	ck_assert_uint_eq(in(mmio, at + 0x3c, 1), 0x77);
	ck_assert_uint_eq(in(mmio, ECAM + (4 << 15), 4), UINT32_MAX);
	ck_assert_uint_eq(in(mmio, ECAM + 0xffffc, 4), UINT32_MAX);
	ck_assert_int_eq(vcore_bus_read(mmio, ECAM + 0x100000, 4, &val),
			 -ENOENT);
}
END_TEST

START_TEST(test_cf9_resets)
{
	uint64_t source = 0;

	out(pio, 0xcf9, 1, 0x02);
	out(pio, 0xcf9, 1, 0x06);
	ck_assert_uint_eq(next_event(events, &source), VCORE_EVENT_RESET);
	ck_assert_uint_eq(source, VCORE_RESET_CF9);
	ck_assert_uint_eq(in(pio, 0xcf9, 1), 0x06);
}
END_TEST

START_TEST(test_bridge_without_events_has_no_cf9)
{
	struct vcore_pci_host_opts o;

	vcore_pci_host_free(host);
	fill(&o);
	o.events = NULL;
	ck_assert_ok(vcore_pci_host_new(&o, &host));
	out(pio, 0xcf9, 1, 0x06);
	ck_assert_uint_eq(in(pio, 0xcf9, 1), 0xff);
}
END_TEST

START_TEST(test_any_access_is_survived)
{
	select_reg(3 << 3, 0);
	poke_everywhere(pio, 0xcf8, 8);
	poke_everywhere(mmio, ECAM + (3 << 15), 0x1000);
	ck_assert_uint_eq(in(mmio, ECAM + (3 << 15), 4), ID);
}
END_TEST

START_TEST(test_reset_clears_the_address)
{
	struct vcore__part part;

	select_reg(3 << 3, 0);
	vcore__pci_host_part(host, &part);
	part.ops->reset(part.p);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0);
	ck_assert_uint_eq(in(pio, 0xcf9, 1), 0);
}
END_TEST

START_TEST(test_bad_options_are_refused)
{
	struct vcore_pci_host *h = NULL;
	struct vcore_pci_host_opts o;
	uint32_t before = ranges_on(pio);

	fill(&o);
	ck_assert_error(vcore_pci_host_new(NULL, &h), -EINVAL,
			"vcore_pci_host_new: ");
	ck_assert_error(vcore_pci_host_new(&o, NULL), -EINVAL,
			"vcore_pci_host_new: ");
	ck_assert_error(vcore_pci_host_new(&o, &h), -EEXIST,
			"vcore_pci_host_new: ");
	o.pio = NULL;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EEXIST,
			"vcore_pci_host_new: ");
	o.mmio = NULL;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	fill(&o);
	o.pci = NULL;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	fill(&o);
	o.ecam = ECAM + 0x80000;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	o.ecam = UINT64_MAX - 0xfffff;
	o.buses = 2;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	fill(&o);
	o.buses = 257;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	fill(&o);
	o.window32_len = UINT64_C(0x40000001);
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	fill(&o);
	o.window64 = UINT64_MAX - 1;
	o.window64_len = 3;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	fill(&o);
	o.flags = 4;
	ck_assert_error(vcore_pci_host_new(&o, &h), -E2BIG,
			"vcore_pci_host_new: ");
	o.size = 5;
	ck_assert_error(vcore_pci_host_new(&o, &h), -EINVAL,
			"vcore_pci_host_new: ");
	ck_assert_error(vcore_pci_host_describe(host, NULL), -EINVAL,
			"vcore_pci_host_describe: ");
	ck_assert_error(vcore_pci_host_describe(NULL, NULL), -EINVAL,
			"vcore_pci_host_describe: ");
	ck_assert_uint_eq(ranges_on(pio), before);
	ck_assert_ptr_null(h);
	vcore_pci_host_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pci_host");
	TCase *t = tcase_create("pci_host");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_ports_reach_the_function);
	tcase_add_loop_test(t, test_absent_functions_read_all_ones, 0, 4);
	tcase_add_test(t, test_disabled_address_reads_all_ones);
	tcase_add_test(t, test_address_port_takes_double_words_only);
	tcase_add_test(t, test_unaligned_data_reads_all_ones);
	tcase_add_test(t, test_unaligned_writes_are_dropped);
	tcase_add_test(t, test_window_reaches_the_function);
	tcase_add_test(t, test_cf9_resets);
	tcase_add_test(t, test_bridge_without_events_has_no_cf9);
	tcase_add_test(t, test_any_access_is_survived);
	tcase_add_test(t, test_reset_clears_the_address);
	tcase_add_test(t, test_bad_options_are_refused);
	suite_add_tcase(s, t);
	return support_run(s);
}
