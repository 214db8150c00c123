/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of chips share: buses, and accesses as a guest makes them. */
#ifndef VCORE_TESTS_PORTS_H
#define VCORE_TESTS_PORTS_H

#include <check.h>
#include <errno.h>
#include <stdint.h>

#include <vcore/bus.h>
#include <vcore/event.h>
#include <vcore/irq.h>

static inline struct vcore_bus *
new_bus(uint32_t kind)
{
	struct vcore_bus *bus = NULL;
	struct vcore_bus_opts o;

	VCORE_INIT(&o);
	o.kind = kind;
	ck_assert_int_eq(vcore_bus_new(&o, &bus), 0);
	return bus;
}

static inline uint32_t
ranges_on(struct vcore_bus *bus)
{
	struct vcore_bus_info i;

	VCORE_INIT(&i);
	ck_assert_int_eq(vcore_bus_get_info(bus, &i), 0);
	return i.ranges;
}

static inline uint64_t
in(struct vcore_bus *bus, uint64_t addr, uint32_t len)
{
	uint64_t val = 0;

	ck_assert_int_eq(vcore_bus_read(bus, addr, len, &val), 0);
	return val;
}

static inline void
out(struct vcore_bus *bus, uint64_t addr, uint32_t len, uint64_t val)
{
	ck_assert_int_eq(vcore_bus_write(bus, addr, len, val), 0);
}

/*
 * Every width at every offset of [base, base + len), and over both ends: all
 * ones, zeroes and a pattern are written, and everything is read.
 */
static inline void
poke_everywhere(struct vcore_bus *bus, uint64_t base, uint64_t len)
{
	static const uint64_t vals[] = { UINT64_MAX, 0, 0x0123456789abcdef,
					 0x8080808080808080 };
	uint64_t addr, val;
	uint32_t width, i;

	for (width = 1; width <= 8; width *= 2)
		for (addr = base - 8; addr < base + len + 8; addr++)
			for (i = 0; i < 4; i++) {
				(void)vcore_bus_write(bus, addr, width,
						      vals[i]);
				(void)vcore_bus_read(bus, addr, width, &val);
			}
}

/* Takes the next event: its kind, or 0. */
static inline uint32_t
next_event(struct vcore_events *events, uint64_t *value)
{
	struct vcore_event e;

	VCORE_INIT(&e);
	if (vcore_events_next(events, &e) != 1)
		return 0;
	if (value)
		*value = e.value[0];
	return e.kind;
}

/* A chip that counts. */
static inline int
count_raise(void *opaque, struct vcore_irq *irq)
{
	(void)irq;
	++*(uint32_t *)opaque;
	return 0;
}

static inline struct vcore_irq *
counting_line(uint32_t *count, uint32_t gsi)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .raise = count_raise,
	};
	struct vcore_irqchip *chip;
	struct vcore_irq *irq;
	struct vcore_irq_opts o;

	ck_assert_int_eq(vcore_irqchip_new(&ops, count, NULL, &chip), 0);
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE;
	o.gsi = gsi;
	ck_assert_int_eq(vcore_irq_new(chip, &o, &irq), 0);
	vcore_irqchip_unref(chip);
	return irq;
}

#endif
