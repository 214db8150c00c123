/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/O APIC: lines in, messages out, over a chip that records. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vcore/platform.h>

#include "bus/irq.h"
#include "platform/part.h"
#include "support/ports.h"
#include "support/support.h"

#define BASE UINT64_C(0xfec00000)
#define MASKED   0x10000u
#define LEVEL    0x8000u
#define IRR      0x4000u
#define LOGICAL  0x800u

/* What the chip below was told, by GSI; messages of devices count as 63. */
struct below {
	struct {
		uint64_t addr;
		uint32_t data, masked;
		_Atomic uint32_t raised;
	} gsi[64];
	uint32_t attached, detached, released;
	int fail_attach, fail_route;
};

static struct below below;
static struct vcore_irqchip *chip;
static struct vcore_bus *mmio;
static struct vcore_ioapic *ioapic;

static uint32_t
slot(const struct vcore_irq *irq)
{
	return irq->flags & VCORE_IRQ_PIN ? irq->gsi : 63;
}

static int
below_route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
	    uint32_t devid)
{
	struct below *b = opaque;

	(void)devid;
	if (b->fail_route)
		return b->fail_route;
	b->gsi[slot(irq)].addr = addr;
	b->gsi[slot(irq)].data = data;
	return 0;
}

static int
below_mask(void *opaque, struct vcore_irq *irq, int masked)
{
	struct below *b = opaque;

	b->gsi[slot(irq)].masked = masked ? 1 : 0;
	return 0;
}

static int
below_attach(void *opaque, struct vcore_irq *irq, int fd, uint32_t gsi,
	     uint32_t flags)
{
	struct below *b = opaque;

	(void)fd;
	ck_assert_uint_eq(flags & VCORE_IRQ_LINE, 0);
	ck_assert_uint_lt(gsi, VCORE_IOAPIC_PINS);
	if (b->fail_attach)
		return b->fail_attach;
	b->gsi[slot(irq)].masked = 1;
	vcore_irq_set_chip_data(irq, b);
	b->attached++;
	return 0;
}

static void
below_detach(void *opaque, struct vcore_irq *irq)
{
	ck_assert_ptr_eq(vcore_irq_chip_data(irq), opaque);
	((struct below *)opaque)->detached++;
}

static int
below_raise(void *opaque, struct vcore_irq *irq)
{
	struct below *b = opaque;

	ck_assert_uint_eq(b->gsi[slot(irq)].masked, 0);
	atomic_fetch_add(&b->gsi[slot(irq)].raised, 1);
	return 0;
}

static void
below_release(void *opaque)
{
	((struct below *)opaque)->released++;
}

static const struct vcore_irqchip_ops below_ops = {
	.size = sizeof(below_ops), .route = below_route, .mask = below_mask,
	.attach = below_attach, .detach = below_detach, .raise = below_raise,
};

static void
setup(void)
{
	struct vcore_ioapic_opts o;

	memset(&below, 0, sizeof(below));
	mmio = new_bus(VCORE_BUS_MMIO);
	ck_assert_ok(vcore_irqchip_new(&below_ops, &below, below_release,
				       &chip));
	VCORE_INIT(&o);
	o.below = chip;
	o.mmio = mmio;
	ck_assert_ok(vcore_ioapic_new(&o, &ioapic));
}

static void
teardown(void)
{
	vcore_ioapic_free(ioapic);
	vcore_irqchip_unref(chip);
	ck_assert_uint_eq(below.released, 1);
	ck_assert_uint_eq(below.attached, below.detached);
	ck_assert_uint_eq(ranges_on(mmio), 0);
	vcore_bus_unref(mmio);
}

static uint32_t
get(uint32_t reg)
{
	out(mmio, BASE, 4, reg);
	return (uint32_t)in(mmio, BASE + 0x10, 4);
}

static void
set(uint32_t reg, uint32_t val)
{
	out(mmio, BASE, 4, reg);
	out(mmio, BASE + 0x10, 4, val);
}

/* As Linux writes an entry: high half first. */
static void
set_rte(uint32_t pin, uint32_t high, uint32_t low)
{
	set(0x11 + 2 * pin, high);
	set(0x10 + 2 * pin, low);
}

static struct vcore_irq *
line(uint32_t gsi, uint32_t flags)
{
	struct vcore_irq *irq = NULL;
	struct vcore_irq_opts o;

	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE | flags;
	o.gsi = gsi;
	ck_assert_ok(vcore_irq_new(vcore_ioapic_irqchip(ioapic), &o, &irq));
	return irq;
}

static uint32_t
raised(uint32_t gsi)
{
	return atomic_exchange(&below.gsi[gsi].raised, 0);
}

START_TEST(test_registers_after_power_on)
{
	uint32_t i;

	ck_assert_uint_eq(get(0), 0);
	ck_assert_uint_eq(get(1), 0x00170011);
	for (i = 0; i < VCORE_IOAPIC_PINS; i++) {
		ck_assert_uint_eq(get(0x10 + 2 * i), MASKED);
		ck_assert_uint_eq(get(0x11 + 2 * i), 0);
	}
	ck_assert_uint_eq(get(0x40), 0);
	ck_assert_uint_eq(get(0xff), 0);
	set(0, UINT32_MAX);
	ck_assert_uint_eq(get(0), 0x0f000000);
	ck_assert_uint_eq(get(2), 0x0f000000);
	set(1, UINT32_MAX);
	ck_assert_uint_eq(get(1), 0x00170011);
	ck_assert_uint_eq(in(mmio, BASE, 4), 1);
}
END_TEST

START_TEST(test_entry_keeps_what_is_writable)
{
	set_rte(3, UINT32_MAX, UINT32_MAX);
	ck_assert_uint_eq(get(0x16), 0x0001afff);
	ck_assert_uint_eq(get(0x17), 0xfffe0000);
}
END_TEST

START_TEST(test_edge_line_becomes_its_message)
{
	struct vcore_irq *irq = line(4, 0);

	set_rte(4, 0x03000000, 0x31);
	ck_assert_uint_eq(below.gsi[4].addr, 0xfee03000);
	ck_assert_uint_eq(below.gsi[4].data, 0x31);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(4), 1);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 0), 0);
	ck_assert_uint_eq(raised(4), 1);
	/* Logical, lowest priority, a destination above 255. */
	set_rte(4, 0xff060000, LOGICAL | 0x100 | 0x32);
	ck_assert_uint_eq(below.gsi[4].addr, 0xfeeff064);
	ck_assert_uint_eq(below.gsi[4].data, 0x132);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_entry_written_before_the_line_is_used)
{
	struct vcore_irq *irq;

	set_rte(4, 0, 0x31);
	irq = line(4, 0);
	ck_assert_uint_eq(below.gsi[4].data, 0x31);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(4), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_masked_edges_arrive_once_after_unmask)
{
	struct vcore_irq *irq = line(4, 0);

	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(4), 0);
	set_rte(4, 0, 0x31);
	ck_assert_uint_eq(raised(4), 1);
	set_rte(4, 0, MASKED | 0x31);
	set_rte(4, 0, 0x31);
	ck_assert_uint_eq(raised(4), 0);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_line_eventfd_is_the_pins)
{
	struct vcore_irq *irq = line(4, 0);
	uint64_t n = 2;

	/* Who consumes the pin's eventfd gets what is written here. */
	set_rte(4, 0, 0x31);
	ck_assert_int_eq(write(vcore_irq_fd(irq), &n, sizeof(n)), 8);
	ck_assert_int_eq(vcore_irq_deliver(irq), 0);
	ck_assert_uint_eq(raised(4), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_device_mask_of_an_edge_line_gathers)
{
	struct vcore_irq *irq = line(4, 0);

	set_rte(4, 0, 0x31);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(4), 0);
	ck_assert_int_eq(vcore_irq_pending(irq), 1);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_uint_eq(raised(4), 1);
	ck_assert_int_eq(vcore_irq_pending(irq), 0);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_level_is_sent_again_after_eoi_while_high)
{
	struct vcore_irq *irq = line(10, VCORE_IRQ_LEVEL);

	set_rte(10, 0, LEVEL | 0x41);
	ck_assert_uint_eq(below.gsi[10].data, 0xc041);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_uint_eq(raised(10), 1);
	ck_assert_uint_eq(get(0x24), LEVEL | IRR | 0x41);
	/* Another interrupt's end is not this one's. */
	vcore_ioapic_eoi(ioapic, 0x42);
	ck_assert_uint_eq(raised(10), 0);
	vcore_ioapic_eoi(ioapic, 0x41);
	ck_assert_uint_eq(raised(10), 1);
	ck_assert_int_eq(vcore_irq_set_level(irq, 0), 0);
	vcore_ioapic_eoi(ioapic, 0x41);
	ck_assert_uint_eq(raised(10), 0);
	ck_assert_uint_eq(get(0x24), LEVEL | 0x41);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_uint_eq(raised(10), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_masked_level_is_sent_at_unmask)
{
	struct vcore_irq *irq = line(10, VCORE_IRQ_LEVEL);

	set_rte(10, 0, MASKED | LEVEL | 0x41);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_uint_eq(raised(10), 0);
	set_rte(10, 0, LEVEL | 0x41);
	ck_assert_uint_eq(raised(10), 1);
	/* Masked while in service, ended, unmasked. */
	set_rte(10, 0, MASKED | LEVEL | 0x41);
	vcore_ioapic_eoi(ioapic, 0x41);
	ck_assert_uint_eq(raised(10), 0);
	set_rte(10, 0, LEVEL | 0x41);
	ck_assert_uint_eq(raised(10), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_switching_to_edge_ends_service)
{
	struct vcore_irq *irq = line(10, VCORE_IRQ_LEVEL);

	set_rte(10, 0, LEVEL | 0x41);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	/* How Linux ends an interrupt on a chip without EOI register. */
	set(0x24, MASKED | 0x41);
	ck_assert_uint_eq(get(0x24) & IRR, 0);
	set(0x24, LEVEL | 0x41);
	ck_assert_uint_eq(raised(10), 2);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_level_lines_share_a_pin)
{
	struct vcore_irq *a = line(11, VCORE_IRQ_LEVEL);
	struct vcore_irq *b = line(11, VCORE_IRQ_LEVEL);

	set_rte(11, 0, LEVEL | 0x51);
	ck_assert_int_eq(vcore_irq_set_level(a, 1), 0);
	ck_assert_int_eq(vcore_irq_set_level(b, 1), 0);
	ck_assert_uint_eq(raised(11), 1);
	ck_assert_int_eq(vcore_irq_set_level(a, 0), 0);
	vcore_ioapic_eoi(ioapic, 0x51);
	ck_assert_uint_eq(raised(11), 1);
	/* A line that goes away is low. */
	vcore_irq_unref(b);
	vcore_ioapic_eoi(ioapic, 0x51);
	ck_assert_uint_eq(raised(11), 0);
	vcore_irq_unref(a);
}
END_TEST

START_TEST(test_level_line_at_edge_entry_sends_when_rising)
{
	struct vcore_irq *irq = line(10, VCORE_IRQ_LEVEL);

	set_rte(10, 0, 0x41);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 0), 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_uint_eq(raised(10), 2);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_messages_go_below_directly)
{
	struct vcore_irq *irq = NULL;

	ck_assert_ok(vcore_irq_new(vcore_ioapic_irqchip(ioapic), NULL, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, 0xfee05000, 0x99));
	ck_assert_uint_eq(below.gsi[63].addr, 0xfee05000);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(63), 1);
	ck_assert_ok(vcore_irq_set_mask(irq, 1));
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(63), 0);
	ck_assert_ok(vcore_irq_set_mask(irq, 0));
	ck_assert_uint_eq(raised(63), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_hooking_chip_below_consumes_messages)
{
	struct vcore_irqchip_ops ops = below_ops;
	struct vcore_ioapic_opts o;
	struct vcore_irqchip *hooking;
	struct vcore_ioapic *io;
	struct vcore_irq *irq;
	uint64_t n = 0;

	ops.raise = NULL;
	ck_assert_ok(vcore_irqchip_new(&ops, &below, NULL, &hooking));
	VCORE_INIT(&o);
	o.below = hooking;
	o.mmio = mmio;
	o.base = 0xfec10000;
	ck_assert_ok(vcore_ioapic_new(&o, &io));
	ck_assert_ok(vcore_irq_new(vcore_ioapic_irqchip(io), NULL, &irq));
	ck_assert_ok(vcore_irq_set_message(irq, 0xfee00000, 1));
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(read(vcore_irq_fd(irq), &n, sizeof(n)), 8);
	ck_assert_uint_eq(n, 1);
	vcore_irq_unref(irq);
	vcore_ioapic_free(io);
	vcore_irqchip_unref(hooking);
}
END_TEST

START_TEST(test_refused_route_masks_the_pin)
{
	struct vcore_irq *irq = line(4, 0);

	set_rte(4, 0, 0x31);
	below.fail_route = -ENOSPC;
	set_rte(4, 0, 0x32);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(4), 0);
	below.fail_route = 0;
	set_rte(4, 0, 0x33);
	ck_assert_uint_eq(raised(4), 1);
	ck_assert_uint_eq(below.gsi[4].data, 0x33);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_reset_masks_and_forgets)
{
	struct vcore_irq *a = line(4, 0), *b = line(10, VCORE_IRQ_LEVEL);
	struct vcore__part part;

	set_rte(4, 0x01000000, 0x31);
	set_rte(10, 0, LEVEL | 0x41);
	ck_assert_int_eq(vcore_irq_set_level(b, 1), 0);
	vcore__ioapic_part(ioapic, &part);
	ck_assert_uint_eq(part.ops->rank, VCORE__RANK_IRQCHIP);
	part.ops->reset(part.p);
	ck_assert_uint_eq(get(0x18), MASKED);
	ck_assert_uint_eq(get(0x19), 0);
	ck_assert_uint_eq(get(0x24), MASKED);
	(void)raised(10);
	ck_assert_int_eq(vcore_irq_raise(a), 0);
	ck_assert_uint_eq(raised(4), 0);
	/* The device holds its line still. */
	set_rte(10, 0, LEVEL | 0x42);
	ck_assert_uint_eq(raised(10), 1);
	vcore_irq_unref(a);
	vcore_irq_unref(b);
}
END_TEST

START_TEST(test_lines_that_do_not_fit_are_refused)
{
	struct vcore_irqchip *c = vcore_ioapic_irqchip(ioapic);
	struct vcore_irq *edge = line(4, 0), *level = line(5, VCORE_IRQ_LEVEL);
	struct vcore_irq *irq = NULL;
	struct vcore_irq_opts o;

	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE;
	o.gsi = 4;
	ck_assert_error(vcore_irq_new(c, &o, &irq), -EEXIST,
			"vcore_irq_new: ");
	o.gsi = 5;
	ck_assert_int_eq(vcore_irq_new(c, &o, &irq), -EEXIST);
	o.gsi = 24;
	ck_assert_int_eq(vcore_irq_new(c, &o, &irq), -EINVAL);
	o.gsi = 4;
	o.flags |= VCORE_IRQ_LEVEL;
	ck_assert_int_eq(vcore_irq_new(c, &o, &irq), -EEXIST);
	o.flags = VCORE_IRQ_PIN;
	ck_assert_int_eq(vcore_irq_new(c, &o, &irq), -EINVAL);
	o.flags = VCORE_IRQ_LINE;
	o.gsi = 6;
	below.fail_attach = -ENOSPC;
	ck_assert_int_eq(vcore_irq_new(c, &o, &irq), -ENOSPC);
	below.fail_attach = 0;
	ck_assert_ptr_null(irq);
	/* A pin whose line went away takes another. */
	vcore_irq_unref(edge);
	edge = line(4, 0);
	vcore_irq_unref(edge);
	vcore_irq_unref(level);
}
END_TEST

START_TEST(test_irqs_outlive_the_owner)
{
	struct vcore_irq *irq = line(4, 0);
	uint64_t val;

	set_rte(4, 0, 0x31);
	vcore_ioapic_free(ioapic);
	ioapic = NULL;
	ck_assert_int_eq(vcore_bus_read(mmio, BASE, 4, &val), -ENOENT);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(raised(4), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_any_access_is_survived)
{
	struct vcore_irq *a = line(4, 0), *b = line(10, VCORE_IRQ_LEVEL);
	uint32_t reg, i;

	ck_assert_int_eq(vcore_irq_set_level(b, 1), 0);
	for (reg = 0; reg < 256; reg++)
		for (i = 0; i < 32; i++) {
			set(reg, 1u << i);
			(void)get(reg);
			vcore_ioapic_eoi(ioapic, i * 8);
		}
	poke_everywhere(mmio, BASE, 0x100);
	vcore_ioapic_eoi(ioapic, UINT32_MAX);
	vcore_ioapic_eoi(NULL, 0);
	set_rte(4, 0, MASKED);
	(void)raised(4);
	ck_assert_int_eq(vcore_irq_raise(a), 0);
	set_rte(4, 0, 0x31);
	ck_assert_uint_eq(raised(4), 1);
	vcore_irq_unref(a);
	vcore_irq_unref(b);
}
END_TEST

START_TEST(test_bad_options_are_refused)
{
	struct vcore_irqchip_ops ops = { .size = sizeof(ops),
					 .raise = below_raise };
	struct vcore_irqchip *bare;
	struct vcore_ioapic *io = NULL;
	struct vcore_ioapic_opts o;

	VCORE_INIT(&o);
	o.below = chip;
	o.mmio = mmio;
	ck_assert_error(vcore_ioapic_new(NULL, &io), -EINVAL,
			"vcore_ioapic_new: ");
	ck_assert_error(vcore_ioapic_new(&o, NULL), -EINVAL,
			"vcore_ioapic_new: ");
	ck_assert_error(vcore_ioapic_new(&o, &io), -EEXIST,
			"vcore_ioapic_new: ");
	o.flags = 1;
	ck_assert_error(vcore_ioapic_new(&o, &io), -E2BIG,
			"vcore_ioapic_new: ");
	o.flags = 0;
	o.base = UINT64_MAX - 3;
	ck_assert_error(vcore_ioapic_new(&o, &io), -EINVAL,
			"vcore_ioapic_new: ");
	o.mmio = NULL;
	ck_assert_error(vcore_ioapic_new(&o, &io), -EINVAL,
			"vcore_ioapic_new: ");
	o.size = 5;
	ck_assert_error(vcore_ioapic_new(&o, &io), -EINVAL,
			"vcore_ioapic_new: ");
	VCORE_INIT(&o);
	o.mmio = mmio;
	ck_assert_ok(vcore_irqchip_new(&ops, &below, NULL, &bare));
	o.below = bare;
	ck_assert_error(vcore_ioapic_new(&o, &io), -EOPNOTSUPP,
			"vcore_ioapic_new: ");
	vcore_irqchip_unref(bare);
	ck_assert_ptr_null(io);
	ck_assert_ptr_null(vcore_ioapic_irqchip(NULL));
	vcore_ioapic_free(NULL);
}
END_TEST

/* A device, a driver that masks and routes, and CPUs that end interrupts. */

static _Atomic uint32_t stop;

static void *
ender(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		vcore_ioapic_eoi(ioapic, 0x41);
		vcore_ioapic_eoi(ioapic, 0x42);
	}
	return NULL;
}

static void *
toggler(void *arg)
{
	struct vcore_irq *irq = arg;

	while (!atomic_load(&stop)) {
		(void)vcore_irq_set_level(irq, 1);
		(void)vcore_irq_set_level(irq, 0);
	}
	return NULL;
}

START_TEST(test_level_survives_masking_and_eoi_from_all_sides)
{
	struct vcore_irq *irq = line(10, VCORE_IRQ_LEVEL);
	pthread_t t[2];
	uint32_t i;

	atomic_store(&stop, 0);
	ck_assert_int_eq(pthread_create(&t[0], NULL, ender, NULL), 0);
	ck_assert_int_eq(pthread_create(&t[1], NULL, toggler, irq), 0);
	for (i = 0; i < 5000; i++) {
		set_rte(10, i << 24, MASKED | LEVEL | 0x41);
		set_rte(10, i << 24, LEVEL | (i & 1 ? 0x41 : 0x42));
	}
	atomic_store(&stop, 1);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	/* At rest, a rising level still arrives. */
	vcore_ioapic_eoi(ioapic, 0x41);
	vcore_ioapic_eoi(ioapic, 0x42);
	set_rte(10, 0, LEVEL | 0x41);
	vcore_ioapic_eoi(ioapic, 0x41);
	(void)raised(10);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_uint_eq(raised(10), 1);
	vcore_irq_unref(irq);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ioapic");
	TCase *t = tcase_create("ioapic");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_registers_after_power_on);
	tcase_add_test(t, test_entry_keeps_what_is_writable);
	tcase_add_test(t, test_edge_line_becomes_its_message);
	tcase_add_test(t, test_entry_written_before_the_line_is_used);
	tcase_add_test(t, test_masked_edges_arrive_once_after_unmask);
	tcase_add_test(t, test_line_eventfd_is_the_pins);
	tcase_add_test(t, test_device_mask_of_an_edge_line_gathers);
	tcase_add_test(t, test_level_is_sent_again_after_eoi_while_high);
	tcase_add_test(t, test_masked_level_is_sent_at_unmask);
	tcase_add_test(t, test_switching_to_edge_ends_service);
	tcase_add_test(t, test_level_lines_share_a_pin);
	tcase_add_test(t, test_level_line_at_edge_entry_sends_when_rising);
	tcase_add_test(t, test_messages_go_below_directly);
	tcase_add_test(t, test_hooking_chip_below_consumes_messages);
	tcase_add_test(t, test_refused_route_masks_the_pin);
	tcase_add_test(t, test_reset_masks_and_forgets);
	tcase_add_test(t, test_lines_that_do_not_fit_are_refused);
	tcase_add_test(t, test_irqs_outlive_the_owner);
	tcase_add_test(t, test_any_access_is_survived);
	tcase_add_test(t, test_bad_options_are_refused);
	tcase_add_test(t,
		       test_level_survives_masking_and_eoi_from_all_sides);
	suite_add_tcase(s, t);
	return support_run(s);
}
