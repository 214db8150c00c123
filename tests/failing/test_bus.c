/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: buses, their ranges and doorbells, interrupts. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vcore/bus.h>
#include <vcore/irq.h>

#include "base/base.h"
#include "support/ports.h"
#include "support/walk.h"

static struct vcore_bus *bus;
static struct vcore_range *range;
static struct vcore_irqchip *chip;
static struct vcore_irq *irq;
static uint32_t released;
static int fd;

static void
count_release(void *opaque)
{
	(void)opaque;
	released++;
}

static int
any_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	 struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	return 0;
}

static int
any_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	  struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)val;
	(void)later;
	return 0;
}

static int
new_plain(void)
{
	return vcore_bus_new(NULL, &bus);
}

static void
unref_bus(void)
{
	vcore_bus_unref(bus);
}

static void
before_bus(void)
{
	bus = new_bus(VCORE_BUS_MMIO);
	fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
}

static void
after_bus(void)
{
	vcore_bus_unref(bus);
	close(fd);
}

static int
add_range(void)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = any_read, .write = any_write,
	};
	struct vcore_range_opts o;

	VCORE_INIT(&o);
	o.base = 0x1000;
	o.len = 8;
	o.ops = &ops;
	o.release = count_release;
	released = 0;
	return vcore_bus_add(bus, &o, &range);
}

static void
check_range(bool done)
{
	ck_assert_uint_eq(ranges_on(bus), done);
	ck_assert_uint_eq(released, 0);
}

static void
remove_range(void)
{
	vcore_range_remove(range);
	ck_assert_uint_eq(ranges_on(bus), 0);
	ck_assert_uint_eq(released, 1);
}

static int
add_doorbell(void)
{
	struct vcore_doorbell_opts o;

	VCORE_INIT(&o);
	o.addr = 0x1000;
	o.len = 4;
	return vcore_bus_add_doorbell(bus, &o, fd, &range);
}

static void
remove_doorbell(void)
{
	vcore_range_remove(range);
}

static void
check_doorbell(bool done)
{
	ck_assert_int_eq(vcore_bus_write(bus, 0x1000, 4, 1),
			 done ? 0 : -ENOENT);
}

static int
ok_raise(void *opaque, struct vcore_irq *i)
{
	(void)opaque;
	(void)i;
	return 0;
}

static int
ok_level(void *opaque, struct vcore_irq *i, uint32_t gsi, int high)
{
	(void)opaque;
	(void)i;
	(void)gsi;
	(void)high;
	return 0;
}

static int
ok_route(void *opaque, struct vcore_irq *i, uint64_t addr, uint32_t data,
	 uint32_t devid)
{
	(void)opaque;
	(void)i;
	(void)addr;
	(void)data;
	(void)devid;
	return 0;
}

static int
new_chip(void)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .raise = ok_raise, .level = ok_level,
		.route = ok_route,
	};

	released = 0;
	return vcore_irqchip_new(&ops, NULL, count_release, &chip);
}

static void
check_chip(bool done)
{
	(void)done;
	ck_assert_uint_eq(released, 0);
}

static void
unref_chip(void)
{
	vcore_irqchip_unref(chip);
	ck_assert_uint_eq(released, 1);
}

static void
before_chip(void)
{
	ck_assert_ok(new_chip());
}

static uint32_t flags;

static int
new_irq(void)
{
	struct vcore_irq_opts o;

	VCORE_INIT(&o);
	o.flags = flags;
	return vcore_irq_new(chip, &o, &irq);
}

static void
unref_irq(void)
{
	vcore_irq_unref(irq);
}

static void
before_line(void)
{
	before_chip();
	flags = VCORE_IRQ_LINE;
}

static void
before_message(void)
{
	before_chip();
	flags = 0;
}

static void
before_edge(void)
{
	before_line();
	ck_assert_ok(new_irq());
}

static void
before_level(void)
{
	before_chip();
	flags = VCORE_IRQ_LINE | VCORE_IRQ_LEVEL;
	ck_assert_ok(new_irq());
}

static void
before_routed(void)
{
	before_message();
	ck_assert_ok(new_irq());
}

static void
after_irq(void)
{
	unref_irq();
	unref_chip();
}

static int
raise_irq(void)
{
	return vcore_irq_raise(irq);
}

static int
set_level(void)
{
	return vcore_irq_set_level(irq, 1);
}

static int
set_message(void)
{
	return vcore_irq_set_message(irq, 0xfee00000, 0x41);
}

static int
set_mask(void)
{
	return vcore_irq_set_mask(irq, 1);
}

static const struct walk cases[] = {
	{ WALK(vcore_bus_new), .call = new_plain, .undo = unref_bus,
	  .least = 2 },
	{ WALK(vcore_bus_add), .before = before_bus, .call = add_range,
	  .check = check_range, .undo = remove_range, .after = after_bus,
	  .least = 2 },
	{ WALK(vcore_bus_add_doorbell), .before = before_bus,
	  .call = add_doorbell, .check = check_doorbell,
	  .undo = remove_doorbell, .after = after_bus, .least = 3 },
	{ WALK(vcore_irqchip_new), .call = new_chip, .check = check_chip,
	  .undo = unref_chip, .least = 1 },
	{ WALK(vcore_irq_new), .before = before_line, .call = new_irq,
	  .undo = unref_irq, .after = unref_chip, .least = 2 },
	{ WALK(vcore_irq_new), .before = before_message, .call = new_irq,
	  .undo = unref_irq, .after = unref_chip, .least = 2 },
	{ WALK(vcore_irq_raise), .before = before_edge, .call = raise_irq,
	  .after = after_irq },
	{ WALK(vcore_irq_set_level), .before = before_level,
	  .call = set_level, .after = after_irq },
	{ WALK(vcore_irq_set_message), .before = before_routed,
	  .call = set_message, .after = after_irq },
	{ WALK(vcore_irq_set_mask), .before = before_routed,
	  .call = set_mask, .after = after_irq },
};

START_TEST(test_bus_with_each_call_failing)
{
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/bus");
	TCase *t = tcase_create("bus");

	tcase_add_test(t, test_bus_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
