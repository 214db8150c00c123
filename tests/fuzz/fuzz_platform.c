/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chips under any sequence of register accesses, input, interrupts and ends of
 * interrupt. Each step takes 12 bytes: what (low 4 bits) and width (next 2);
 * which chip; offset (2); value (8). At the end every chip still works.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vcore/platform.h>

#define STEP 12u
#define ECAM UINT64_C(0xe0000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct pc {
	struct vcore_bus *pio, *mmio;
	struct vcore_events *events;
	struct vcore_loop *loop;
	struct vcore_stream *stream;
	struct vcore_irqchip *chip;
	struct vcore_pci_bus *pci;
	struct vcore_pci *function;
	struct vcore_irq *edge, *level;
	struct vcore_uart *uart;
	struct vcore_rtc *rtc;
	struct vcore_power *power;
	struct vcore_pci_host *host;
	struct vcore_ioapic *ioapic;
} pc;

static void
must(int good)
{
	if (!good)
		abort();
}

static int
route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
      uint32_t devid)
{
	(void)opaque;
	(void)irq;
	(void)data;
	(void)devid;
	/* As KVM does with what no local APIC decodes. */
	return addr >> 20 == 0xfee || !addr ? 0 : -22;
}

static int
raise_irq(void *opaque, struct vcore_irq *irq)
{
	(void)opaque;
	(void)irq;
	return 0;
}

static void
make_base(void)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .route = route, .raise = raise_irq,
	};
	struct vcore_bus_opts bo;

	VCORE_INIT(&bo);
	bo.kind = VCORE_BUS_PIO;
	must(vcore_bus_new(&bo, &pc.pio) == 0);
	must(vcore_bus_new(NULL, &pc.mmio) == 0);
	must(vcore_events_new(NULL, &pc.events) == 0);
	must(vcore_loop_new(NULL, &pc.loop) == 0);
	must(vcore_stream_new_ring(4096, &pc.stream) == 0);
	must(vcore_irqchip_new(&ops, NULL, NULL, &pc.chip) == 0);
}

static void
make_irqs(void)
{
	struct vcore_ioapic_opts io;
	struct vcore_irq_opts o;

	VCORE_INIT(&io);
	io.below = pc.chip;
	io.mmio = pc.mmio;
	must(vcore_ioapic_new(&io, &pc.ioapic) == 0);
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE;
	o.gsi = 4;
	must(vcore_irq_new(vcore_ioapic_irqchip(pc.ioapic), &o, &pc.edge) ==
	     0);
	o.flags |= VCORE_IRQ_LEVEL;
	o.gsi = 5;
	must(vcore_irq_new(vcore_ioapic_irqchip(pc.ioapic), &o, &pc.level) ==
	     0);
}

static void
make_pci(void)
{
	struct vcore_pci_bus_opts bo;
	struct vcore_pci_opts fo;
	struct vcore_pci_host_opts ho;

	VCORE_INIT(&bo);
	bo.mmio = pc.mmio;
	bo.irqchip = vcore_ioapic_irqchip(pc.ioapic);
	bo.window32 = 0xc0000000;
	bo.window32_len = 0x10000000;
	must(vcore_pci_bus_new(&bo, &pc.pci) == 0);
	VCORE_INIT(&fo);
	fo.vendor = 0x1af4;
	fo.device = 0x1041;
	fo.slot = 1;
	fo.vectors = 4;
	must(vcore_pci_new(pc.pci, &fo, &pc.function) == 0);
	VCORE_INIT(&ho);
	ho.pci = pc.pci;
	ho.pio = pc.pio;
	ho.mmio = pc.mmio;
	ho.ecam = ECAM;
	ho.events = pc.events;
	must(vcore_pci_host_new(&ho, &pc.host) == 0);
}

static void
make_chips(void)
{
	struct vcore_uart_opts uo;
	struct vcore_rtc_opts ro;
	struct vcore_power_opts po;

	VCORE_INIT(&uo);
	uo.bus = pc.pio;
	uo.irq = pc.edge;
	uo.stream = pc.stream;
	uo.loop = pc.loop;
	must(vcore_uart_new(&uo, &pc.uart) == 0);
	VCORE_INIT(&ro);
	ro.pio = pc.pio;
	must(vcore_rtc_new(&ro, &pc.rtc) == 0);
	VCORE_INIT(&po);
	po.pio = pc.pio;
	po.events = pc.events;
	must(vcore_power_new(&po, &pc.power) == 0);
}

static void
free_all(void)
{
	vcore_uart_free(pc.uart);
	vcore_rtc_free(pc.rtc);
	vcore_power_free(pc.power);
	vcore_pci_host_free(pc.host);
	vcore_pci_remove(pc.function);
	vcore_pci_bus_unref(pc.pci);
	vcore_irq_unref(pc.edge);
	vcore_irq_unref(pc.level);
	vcore_ioapic_free(pc.ioapic);
	must(vcore_loop_dispatch(pc.loop, 0) >= 0);
	vcore_irqchip_unref(pc.chip);
	vcore_stream_unref(pc.stream);
	vcore_loop_unref(pc.loop);
	vcore_events_unref(pc.events);
	vcore_bus_unref(pc.pio);
	vcore_bus_unref(pc.mmio);
}

/* Where a chip's registers are, and a little more to both sides. */
static struct vcore_bus *
place(uint8_t which, uint16_t off, uint64_t *addr)
{
	static const uint64_t ports[] = { 0x3f6, 0x6e, 0xcf6, 0x5e, 0x503,
					  0x5fe };

	if (which < 160) {
		*addr = ports[which % 6] + off % 16;
		return pc.pio;
	}
	if (which < 210)
		*addr = UINT64_C(0xfec00000) + off % 0x110;
	else if (which < 250)
		*addr = ECAM + (1 << 15) + off % 0x1010;
	else
		*addr = UINT64_C(0xc0000000) + off;
	return pc.mmio;
}

static void
step(const uint8_t *p)
{
	uint32_t width = 1u << (p[0] >> 4 & 3);
	uint8_t buf[64];
	uint64_t addr, val, seen;
	uint16_t off;
	struct vcore_bus *bus;

	memcpy(&off, p + 2, sizeof(off));
	memcpy(&val, p + 4, sizeof(val));
	bus = place(p[1], off, &addr);
	switch (p[0] & 15) {
	case 0:
		(void)vcore_stream_ring_write(pc.stream, p + 4, 8);
		break;
	case 1:
		(void)vcore_stream_ring_read(pc.stream, buf, sizeof(buf));
		break;
	case 2:
		must(vcore_loop_dispatch(pc.loop, 0) >= 0);
		break;
	case 3:
		vcore_ioapic_eoi(pc.ioapic, p[1]);
		break;
	case 4:
		must(vcore_irq_set_level(pc.level, p[1] & 1) == 0);
		break;
	case 5:
		must(vcore_irq_raise(pc.edge) == 0);
		break;
	default:
		if (p[0] & 1)
			(void)vcore_bus_write(bus, addr, width, val);
		else
			(void)vcore_bus_read(bus, addr, width, &seen);
		break;
	}
}

static void
ck_alive(void)
{
	uint64_t val = 0;

	must(vcore_bus_write(pc.pio, 0x3ff, 1, 0x5a) == 0);
	must(vcore_bus_read(pc.pio, 0x3ff, 1, &val) == 0 && val == 0x5a);
	must(vcore_bus_write(pc.mmio, 0xfec00000, 4, 1) == 0);
	must(vcore_bus_read(pc.mmio, 0xfec00010, 4, &val) == 0 &&
	     val == 0x170011);
	must(vcore_bus_read(pc.mmio, ECAM + (1 << 15), 4, &val) == 0 &&
	     val == 0x10411af4);
	must(vcore_bus_write(pc.pio, 0x70, 1, 13) == 0);
	must(vcore_bus_read(pc.pio, 0x71, 1, &val) == 0 && val == 0x80);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t at;

	make_base();
	make_irqs();
	make_pci();
	make_chips();
	for (at = 0; at + STEP <= len; at += STEP)
		step(data + at);
	ck_alive();
	free_all();
	return 0;
}
