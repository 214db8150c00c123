/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole PC's chips on their two buses, and a guest that tries every port with
 * every width, string after string: all answer, and work afterwards.
 */
#include <vcore/platform.h>
#include <vcore/stream.h>

#include "support/ports.h"
#include "support/support.h"

#define ECAM 0xe0000000u
#define ID   0x10411af4u

static struct vcore_bus *pio, *mmio;
static struct vcore_events *events;
static struct vcore_loop *loop;
static struct vcore_stream *stream;
static struct vcore_pci_bus *pci;
static struct vcore_pci *function;
static struct vcore_irq *line;
static struct vcore_irqchip *chip;
static struct vcore_uart *uart;
static struct vcore_rtc *rtc;
static struct vcore_power *power;
static struct vcore_pci_host *host;
static struct vcore_ioapic *ioapic;
static uint32_t raised;

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
make_buses(void)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .route = route, .raise = count_raise,
	};
	struct vcore_ioapic_opts io;
	struct vcore_irq_opts o;

	pio = new_bus(VCORE_BUS_PIO);
	mmio = new_bus(VCORE_BUS_MMIO);
	ck_assert_ok(vcore_events_new(NULL, &events));
	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_stream_new_ring(4096, &stream));
	ck_assert_ok(vcore_irqchip_new(&ops, &raised, NULL, &chip));
	VCORE_INIT(&io);
	io.below = chip;
	io.mmio = mmio;
	ck_assert_ok(vcore_ioapic_new(&io, &ioapic));
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE;
	o.gsi = 4;
	ck_assert_ok(vcore_irq_new(vcore_ioapic_irqchip(ioapic), &o, &line));
}

static void
make_pci(void)
{
	struct vcore_pci_bus_opts bo;
	struct vcore_pci_host_opts ho;
	struct vcore_pci_opts fo;

	VCORE_INIT(&bo);
	bo.mmio = mmio;
	bo.irqchip = vcore_ioapic_irqchip(ioapic);
	bo.window32 = 0xc0000000;
	bo.window32_len = 0x10000000;
	ck_assert_ok(vcore_pci_bus_new(&bo, &pci));
	VCORE_INIT(&fo);
	fo.vendor = ID & 0xffff;
	fo.device = ID >> 16;
	fo.slot = 1;
	fo.vectors = 4;
	ck_assert_ok(vcore_pci_new(pci, &fo, &function));
	VCORE_INIT(&ho);
	ho.pci = pci;
	ho.pio = pio;
	ho.mmio = mmio;
	ho.ecam = ECAM;
	ho.events = events;
	ck_assert_ok(vcore_pci_host_new(&ho, &host));
}

static void
setup(void)
{
	struct vcore_power_opts po;
	struct vcore_uart_opts uo;
	struct vcore_rtc_opts ro;

	make_buses();
	make_pci();
	VCORE_INIT(&uo);
	uo.bus = pio;
	uo.irq = line;
	uo.stream = stream;
	uo.loop = loop;
	ck_assert_ok(vcore_uart_new(&uo, &uart));
	VCORE_INIT(&ro);
	ro.pio = pio;
	ck_assert_ok(vcore_rtc_new(&ro, &rtc));
	VCORE_INIT(&po);
	po.pio = pio;
	po.events = events;
	ck_assert_ok(vcore_power_new(&po, &power));
}

static void
teardown(void)
{
	vcore_uart_free(uart);
	vcore_rtc_free(rtc);
	vcore_power_free(power);
	vcore_pci_host_free(host);
	vcore_pci_remove(function);
	vcore_pci_bus_unref(pci);
	vcore_irq_unref(line);
	vcore_ioapic_free(ioapic);
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	vcore_irqchip_unref(chip);
	vcore_stream_unref(stream);
	vcore_loop_unref(loop);
	vcore_events_unref(events);
	vcore_bus_unref(pio);
	vcore_bus_unref(mmio);
}

/* Each chip, set up as a driver does, does what it is for. */
static void
assert_chips_work(void)
{
	out(pio, 0x3fb, 1, 3);
	out(pio, 0x3fc, 1, 0);
	out(pio, 0x3ff, 1, 0x5a);
	ck_assert_uint_eq(in(pio, 0x3ff, 1), 0x5a);
	out(pio, 0x70, 1, 0x50);
	out(pio, 0x71, 1, 0xa5);
	ck_assert_uint_eq(in(pio, 0x71, 1), 0xa5);
	out(pio, 0xcf8, 4, 0x80000000 | 1 << 11);
	ck_assert_uint_eq(in(pio, 0xcfc, 4), ID);
	ck_assert_uint_eq(in(mmio, ECAM + (1 << 15), 4), ID);
	out(mmio, 0xfec00000, 4, 1);
	ck_assert_uint_eq(in(mmio, 0xfec00010, 4) & 0xff, 0x11);
}

static void
take_events(void)
{
	while (next_event(events, NULL))
		;
}

/* Every port, width 1, 2, 4, read, written with ones, zeroes and its number. */
START_TEST(test_hostile_every_port_with_every_width)
{
	uint64_t val;

	for (uint32_t len = 1; len <= 4; len *= 2)
		for (uint32_t port = 0; port <= 0xffff; port++) {
			val = 0;
			(void)vcore_bus_read(pio, port, len, &val);
			/* Nothing behind the width, ever. */
			ck_assert_uint_eq(val >> (8 * len - 1) >> 1, 0);
			(void)vcore_bus_write(pio, port, len, UINT64_MAX);
			(void)vcore_bus_write(pio, port, len, 0);
			(void)vcore_bus_write(pio, port, len, port * 257);
		}
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	assert_chips_work();
	take_events();
}
END_TEST

/* 4096 elements to one port: each is an access of its own to the chip. */
START_TEST(test_hostile_strings_at_every_chip)
{
	static const uint16_t ports[] = { 0x3f8, 0x3f9, 0x3fb, 0x60, 0x64,
					  0x70, 0x71, 0xcf8, 0xcf9, 0xcfc,
					  0x505, 0x600, 0x602 };
	uint64_t val;

	for (uint32_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		for (uint32_t n = 0; n < 4096; n++) {
			(void)vcore_bus_write(pio, ports[i], 1u << n % 3,
					      n * 0x01010101u);
			(void)vcore_bus_read(pio, ports[i], 1u << n % 3, &val);
		}
	while (vcore_loop_dispatch(loop, 0) > 0)
		;
	assert_chips_work();
	take_events();
}
END_TEST

/* Functions, devices and buses that are not there, and registers behind 256. */
START_TEST(test_hostile_configuration_of_nobody)
{
	for (uint32_t bdf = 0; bdf <= 0xffff; bdf++) {
		if (bdf == 0 || bdf == 1 << 3)
			continue;
		out(pio, 0xcf8, 4, 0x80000000 | bdf << 8);
		ck_assert_uint_eq(in(pio, 0xcfc, 4), UINT32_MAX);
		out(pio, 0xcfc, 4, UINT32_MAX);
	}
	/* Reserved bits of the address, and of the register. */
	out(pio, 0xcf8, 4, 0xff000000 | 1 << 11 | 3);
	(void)in(pio, 0xcfc, 4);
	for (uint32_t off = 0x100; off < 0x1000; off += 4) {
		out(mmio, ECAM + (1 << 15) + off, 4, 0x12345678);
		/* A conventional function has 256 bytes. */
		ck_assert_uint_eq(in(mmio, ECAM + (1 << 15) + off, 4),
				  UINT32_MAX);
	}
	/* Every byte of the data port, at its four places. */
	out(pio, 0xcf8, 4, 0x80000000 | 1 << 11);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(in(pio, 0xcfc + i, 1),
				  ID >> (8 * i) & 0xff);
	assert_chips_work();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("platform/hostile");
	TCase *t = tcase_create("hostile");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_hostile_every_port_with_every_width);
	tcase_add_test(t, test_hostile_strings_at_every_chip);
	tcase_add_test(t, test_hostile_configuration_of_nobody);
	suite_add_tcase(s, t);
	return support_run(s);
}
