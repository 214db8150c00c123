/* SPDX-License-Identifier: BSD-3-Clause */
/* Irqs: on a chip that watches eventfds, and on one that only counts. */
#include "bus/irq.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define ck_text(prefix)                                                      \
	ck_assert_msg(!strncmp(vcore_error_text(), prefix, strlen(prefix)),  \
		      "text is \"%s\"", vcore_error_text())

/* What a chip has been told. */
struct chip {
	uint32_t attached, detached, released, raised, routes, masks, unmasks;
	uint32_t gsi, flags, data, levels;
	uint64_t addr;
	int level, hook, fd;
	int fail_attach, fail_route, fail_mask;
	/* In the middle of mask(0): the raise that comes in between. */
	int raise_in_mask;
};

static struct chip chip;
static struct vcore_irqchip *irqchip;

static int
chip_route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
	   uint32_t devid)
{
	struct chip *c = opaque;

	(void)irq;
	(void)devid;
	if (c->fail_route)
		return c->fail_route;
	c->routes++;
	c->addr = addr;
	c->data = data;
	return 0;
}

static int
chip_mask(void *opaque, struct vcore_irq *irq, int masked)
{
	static const uint64_t one = 1;
	struct chip *c = opaque;

	(void)irq;
	if (c->fail_mask)
		return c->fail_mask;
	if (masked)
		c->masks++;
	else
		c->unmasks++;
	if (!masked && c->raise_in_mask)
		ck_assert_int_eq(write(c->fd, &one, sizeof(one)), 8);
	return masked ? 0 : c->hook;
}

static int
chip_level(void *opaque, struct vcore_irq *irq, uint32_t gsi, int high)
{
	struct chip *c = opaque;

	(void)irq;
	c->gsi = gsi;
	c->level = high;
	c->levels++;
	return 0;
}

static int
chip_attach(void *opaque, struct vcore_irq *irq, int fd, uint32_t gsi,
	    uint32_t flags)
{
	struct chip *c = opaque;

	if (c->fail_attach)
		return c->fail_attach;
	c->attached++;
	c->fd = fd;
	c->gsi = gsi;
	c->flags = flags;
	vcore_irq_set_chip_data(irq, c);
	return c->hook;
}

static void
chip_detach(void *opaque, struct vcore_irq *irq)
{
	struct chip *c = opaque;

	ck_assert_ptr_eq(vcore_irq_chip_data(irq), c);
	c->detached++;
}

static int
chip_raise(void *opaque, struct vcore_irq *irq)
{
	struct chip *c = opaque;

	(void)irq;
	c->raised++;
	return 0;
}

static void
chip_release(void *opaque)
{
	((struct chip *)opaque)->released++;
}

static const struct vcore_irqchip_ops chip_ops = {
	.size = sizeof(struct vcore_irqchip_ops),
	.route = chip_route,
	.mask = chip_mask,
	.level = chip_level,
	.attach = chip_attach,
	.detach = chip_detach,
	.raise = chip_raise,
};

static void
setup(void)
{
	memset(&chip, 0, sizeof(chip));
	ck_assert_int_eq(vcore_irqchip_new(&chip_ops, &chip, chip_release,
					   &irqchip),
			 0);
}

static void
teardown(void)
{
	vcore_irqchip_unref(irqchip);
	ck_assert_uint_eq(chip.released, 1);
	ck_assert_uint_eq(chip.detached, chip.attached);
}

static struct vcore_irq *
make(uint32_t flags, uint32_t gsi)
{
	struct vcore_irq *irq = NULL;
	struct vcore_irq_opts o;

	VCORE_INIT(&o);
	o.flags = flags;
	o.gsi = gsi;
	ck_assert_int_eq(vcore_irq_new(irqchip, &o, &irq), 0);
	return irq;
}

/* What the eventfd holds; it is empty afterwards. */
static uint64_t
taken(struct vcore_irq *irq)
{
	uint64_t n;

	return read(vcore_irq_fd(irq), &n, sizeof(n)) == 8 ? n : 0;
}

START_TEST(test_edge_line_raises_at_once)
{
	struct vcore_irq *irq = make(VCORE_IRQ_LINE, 9);

	ck_assert_uint_eq(chip.gsi, 9);
	ck_assert_uint_eq(chip.flags, VCORE_IRQ_LINE);
	ck_assert_int_eq(chip.fd, vcore_irq_fd(irq));
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(chip.raised, 2);
	ck_assert_int_eq(vcore_irq_pending(irq), 0);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_hooked_line_writes_its_eventfd)
{
	struct vcore_irq *irq;

	chip.hook = 1;
	irq = make(VCORE_IRQ_LINE, 9);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(chip.raised, 0);
	ck_assert_uint_eq(taken(irq), 2);
	/* The chip looks there itself. */
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_deliver(irq), 0);
	ck_assert_uint_eq(taken(irq), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_chip_without_raise_counts_as_hooked)
{
	struct vcore_irqchip_ops ops = chip_ops;
	struct vcore_irqchip *other;
	struct vcore_irq *irq;
	struct vcore_irq_opts o;

	ops.raise = NULL;
	ck_assert_int_eq(vcore_irqchip_new(&ops, &chip, NULL, &other), 0);
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE;
	ck_assert_int_eq(vcore_irq_new(other, &o, &irq), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(taken(irq), 1);
	vcore_irq_unref(irq);
	vcore_irqchip_unref(other);
}
END_TEST

START_TEST(test_edge_line_raises_on_rising_level)
{
	struct vcore_irq *irq = make(VCORE_IRQ_LINE, 4);

	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 2), 0);
	ck_assert_uint_eq(chip.raised, 1);
	ck_assert_int_eq(vcore_irq_set_level(irq, 0), 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_uint_eq(chip.raised, 2);
	ck_assert_uint_eq(chip.levels, 0);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_level_line_is_driven)
{
	struct vcore_irq *irq = make(VCORE_IRQ_LINE | VCORE_IRQ_LEVEL, 10);

	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_uint_eq(chip.levels, 1);
	ck_assert_int_eq(chip.level, 1);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(chip.level, 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 0), 0);
	ck_assert_int_eq(vcore_irq_set_level(irq, 1), 0);
	ck_assert_int_eq(chip.level, 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_int_eq(chip.level, 1);
	ck_assert_uint_eq(chip.masks + chip.unmasks, 0);
	ck_assert_int_eq(vcore_irq_raise(irq), -EINVAL);
	ck_text("vcore_irq_raise: ");
	ck_assert_int_eq(vcore_irq_deliver(irq), -EINVAL);
	ck_text("vcore_irq_deliver: ");
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_message_gathers_until_it_has_an_address)
{
	struct vcore_irq *irq = make(0, 0);

	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(chip.raised, 0);
	ck_assert_int_eq(vcore_irq_pending(irq), 1);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 0x41), 0);
	ck_assert_uint_eq(chip.addr, 0xfee00000);
	ck_assert_uint_eq(chip.data, 0x41);
	ck_assert_uint_eq(chip.unmasks, 1);
	ck_assert_uint_eq(chip.raised, 1);
	ck_assert_int_eq(vcore_irq_pending(irq), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(chip.raised, 2);
	/* No address any more. */
	ck_assert_int_eq(vcore_irq_set_message(irq, 0, 0), 0);
	ck_assert_uint_eq(chip.masks, 1);
	ck_assert_uint_eq(chip.addr, 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_pending(irq), 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_same_message_again_costs_nothing)
{
	struct vcore_irq *irq = make(0, 0);

	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_uint_eq(chip.routes, 1);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 2), 0);
	ck_assert_uint_eq(chip.routes, 2);
	ck_assert_uint_eq(chip.unmasks, 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_unmask_raises_once_for_all_that_gathered)
{
	struct vcore_irq *irq = make(0, 0);
	int i;

	chip.hook = _i;
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_pending(irq), 0);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_pending(irq), 1);
	ck_assert_uint_eq(chip.raised, 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_uint_eq(chip.raised + taken(irq), 1);
	/* And nothing if nothing came. */
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_uint_eq(chip.raised + taken(irq), _i ? 0 : 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_masked_message_may_change_its_address)
{
	struct vcore_irq *irq = make(0, 0);

	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_uint_eq(chip.unmasks, 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(chip.raised, 0);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee01000, 2), 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_uint_eq(chip.addr, 0xfee01000);
	ck_assert_uint_eq(chip.raised, 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_raise_during_unmask_is_not_lost)
{
	struct vcore_irq *irq = make(0, 0);

	/* Not hooked: what is written while the chip unmasks is delivered. */
	chip.raise_in_mask = 1;
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_uint_eq(chip.raised, 1);
	/* Hooked: the chip has seen the counter; it is not seen again. */
	chip.hook = 1;
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_uint_eq(chip.raised, 1);
	ck_assert_uint_eq(taken(irq), 0);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_foreign_writes_are_delivered_once)
{
	static const uint64_t three = 3;
	struct vcore_irq *irq = make(VCORE_IRQ_LINE, 1);

	ck_assert_int_eq(write(vcore_irq_fd(irq), &three, 8), 8);
	ck_assert_uint_eq(chip.raised, 0);
	ck_assert_int_eq(vcore_irq_deliver(irq), 0);
	ck_assert_int_eq(vcore_irq_deliver(irq), 0);
	ck_assert_uint_eq(chip.raised, 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_clear_forgets_what_gathered)
{
	struct vcore_irq *irq = make(0, 0);

	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	vcore_irq_clear(irq);
	ck_assert_int_eq(vcore_irq_pending(irq), 0);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_uint_eq(chip.raised, 0);
	vcore_irq_clear(irq);
	vcore_irq_clear(NULL);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_eventfd_stays_the_same)
{
	struct vcore_irq *irq = make(0, 0);
	int fd = vcore_irq_fd(irq);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_fd(irq), fd);
	ck_assert_ptr_eq(vcore_irq_ref(irq), irq);
	vcore_irq_unref(irq);
	ck_assert_uint_eq(chip.detached, 0);
	vcore_irq_unref(irq);
	ck_assert_uint_eq(chip.detached, 1);
	ck_assert_ptr_null(vcore_irq_ref(NULL));
	vcore_irq_unref(NULL);
}
END_TEST

START_TEST(test_refused_route_changes_nothing)
{
	struct vcore_irq *irq = make(0, 0);

	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	chip.fail_route = -ENOSPC;
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee01000, 2), -ENOSPC);
	ck_text("vcore_irq_set_message: ");
	ck_assert_int_eq(vcore_irq_set_message(irq, 0, 0), -ENOSPC);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(chip.raised, 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_refused_unmask_keeps_what_gathered)
{
	struct vcore_irq *irq = make(0, 0);

	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	chip.fail_mask = -EIO;
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), -EIO);
	ck_text("vcore_irq_set_mask: ");
	ck_assert_int_eq(vcore_irq_pending(irq), 1);
	chip.fail_mask = 0;
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_uint_eq(chip.raised, 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_message_whose_unmask_fails_has_no_address)
{
	struct vcore_irq *irq = make(0, 0);

	chip.fail_mask = -EIO;
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), -EIO);
	ck_assert_uint_eq(chip.addr, 0);
	ck_assert_int_eq(vcore_irq_pending(irq), 1);
	chip.fail_mask = 0;
	ck_assert_int_eq(vcore_irq_set_message(irq, 0xfee00000, 1), 0);
	ck_assert_uint_eq(chip.raised, 1);
	vcore_irq_unref(irq);
}
END_TEST

START_TEST(test_refused_attach_makes_no_irq)
{
	struct vcore_irq *irq = NULL;

	chip.fail_attach = -ENOSPC;
	ck_assert_int_eq(vcore_irq_new(irqchip, NULL, &irq), -ENOSPC);
	ck_text("vcore_irq_new: ");
	ck_assert_ptr_null(irq);
	ck_assert_uint_eq(chip.detached, 0);
}
END_TEST

START_TEST(test_bad_irqs_are_refused)
{
	struct vcore_irq *irq = NULL;
	struct vcore_irq_opts o;

	ck_assert_int_eq(vcore_irq_new(NULL, NULL, &irq), -EINVAL);
	ck_text("vcore_irq_new: ");
	ck_assert_int_eq(vcore_irq_new(irqchip, NULL, NULL), -EINVAL);
	VCORE_INIT(&o);
	o.size = 1;
	ck_assert_int_eq(vcore_irq_new(irqchip, &o, &irq), -EINVAL);
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LEVEL;
	ck_assert_int_eq(vcore_irq_new(irqchip, &o, &irq), -EINVAL);
	o.flags = VCORE_IRQ_PIN | VCORE_IRQ_LINE;
	ck_assert_int_eq(vcore_irq_new(irqchip, &o, &irq), -EINVAL);
	o.flags = 1u << 31;
	ck_assert_int_eq(vcore_irq_new(irqchip, &o, &irq), -E2BIG);
	ck_text("vcore_irq_new: ");
	ck_assert_ptr_null(irq);
}
END_TEST

START_TEST(test_chip_lacking_an_op_returns_eopnotsupp)
{
	struct vcore_irqchip_ops ops = { .size = sizeof(ops),
					 .raise = chip_raise };
	struct vcore_irqchip *bare;
	struct vcore_irq *irq = NULL;
	struct vcore_irq_opts o;

	ck_assert_int_eq(vcore_irqchip_new(&ops, &chip, NULL, &bare), 0);
	ck_assert_int_eq(vcore_irq_new(bare, NULL, &irq), -EOPNOTSUPP);
	ck_text("vcore_irq_new: ");
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE | VCORE_IRQ_LEVEL;
	ck_assert_int_eq(vcore_irq_new(bare, &o, &irq), -EOPNOTSUPP);
	/* A counter is a chip with one function. */
	o.flags = VCORE_IRQ_LINE;
	ck_assert_int_eq(vcore_irq_new(bare, &o, &irq), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
	ck_assert_int_eq(vcore_irq_raise(irq), 0);
	ck_assert_uint_eq(chip.raised, 1);
	ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	ck_assert_uint_eq(chip.raised, 2);
	vcore_irq_unref(irq);
	vcore_irqchip_unref(bare);
}
END_TEST

START_TEST(test_wrong_kind_returns_einval)
{
	struct vcore_irq *line = make(VCORE_IRQ_LINE, 1), *msg = make(0, 0);

	ck_assert_int_eq(vcore_irq_set_message(line, 1, 1), -EINVAL);
	ck_text("vcore_irq_set_message: ");
	ck_assert_int_eq(vcore_irq_set_level(msg, 1), -EINVAL);
	ck_text("vcore_irq_set_level: ");
	vcore_irq_unref(line);
	vcore_irq_unref(msg);
}
END_TEST

START_TEST(test_null_returns_einval)
{
	struct vcore_irqchip *c = NULL;
	struct vcore_irqchip_ops ops = chip_ops;

	ck_assert_int_eq(vcore_irq_raise(NULL), -EINVAL);
	ck_assert_int_eq(vcore_irq_deliver(NULL), -EINVAL);
	ck_assert_int_eq(vcore_irq_set_level(NULL, 1), -EINVAL);
	ck_assert_int_eq(vcore_irq_set_message(NULL, 1, 1), -EINVAL);
	ck_assert_int_eq(vcore_irq_set_mask(NULL, 1), -EINVAL);
	ck_assert_int_eq(vcore_irq_pending(NULL), -EINVAL);
	ck_text("vcore_irq_pending: ");
	ck_assert_int_eq(vcore_irq_fd(NULL), -EINVAL);
	ck_text("vcore_irq_fd: ");
	ck_assert_int_eq(vcore_irqchip_new(NULL, NULL, NULL, &c), -EINVAL);
	ck_text("vcore_irqchip_new: ");
	ck_assert_int_eq(vcore_irqchip_new(&ops, NULL, NULL, NULL), -EINVAL);
	ops.size = 0;
	ck_assert_int_eq(vcore_irqchip_new(&ops, NULL, NULL, &c), -EINVAL);
	ops = chip_ops;
	ops.flags = 1;
	ck_assert_int_eq(vcore_irqchip_new(&ops, NULL, NULL, &c), -E2BIG);
	ck_text("vcore_irqchip_new: ");
	ck_assert_ptr_null(c);
	vcore_irq_set_chip_data(NULL, &ops);
	ck_assert_ptr_null(vcore_irq_chip_data(NULL));
	ck_assert_ptr_null(vcore_irqchip_ref(NULL));
	vcore_irqchip_unref(NULL);
}
END_TEST

START_TEST(test_irq_keeps_its_chip)
{
	struct vcore_irq *irq = make(VCORE_IRQ_LINE, 1);

	vcore_irqchip_ref(irqchip);
	vcore_irqchip_unref(irqchip);
	ck_assert_uint_eq(chip.released, 0);
	vcore_irqchip_ref(irqchip);
	vcore_irqchip_unref(irqchip);
	vcore_irq_unref(irq);
	ck_assert_uint_eq(chip.released, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("irq");
	TCase *t = tcase_create("irq");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_edge_line_raises_at_once);
	tcase_add_test(t, test_hooked_line_writes_its_eventfd);
	tcase_add_test(t, test_chip_without_raise_counts_as_hooked);
	tcase_add_test(t, test_edge_line_raises_on_rising_level);
	tcase_add_test(t, test_level_line_is_driven);
	tcase_add_test(t, test_message_gathers_until_it_has_an_address);
	tcase_add_test(t, test_same_message_again_costs_nothing);
	tcase_add_loop_test(t, test_unmask_raises_once_for_all_that_gathered,
			    0, 2);
	tcase_add_test(t, test_masked_message_may_change_its_address);
	tcase_add_test(t, test_raise_during_unmask_is_not_lost);
	tcase_add_test(t, test_foreign_writes_are_delivered_once);
	tcase_add_test(t, test_clear_forgets_what_gathered);
	tcase_add_test(t, test_eventfd_stays_the_same);
	tcase_add_test(t, test_refused_route_changes_nothing);
	tcase_add_test(t, test_refused_unmask_keeps_what_gathered);
	tcase_add_test(t, test_message_whose_unmask_fails_has_no_address);
	tcase_add_test(t, test_refused_attach_makes_no_irq);
	tcase_add_test(t, test_bad_irqs_are_refused);
	tcase_add_test(t, test_chip_lacking_an_op_returns_eopnotsupp);
	tcase_add_test(t, test_wrong_kind_returns_einval);
	tcase_add_test(t, test_null_returns_einval);
	tcase_add_test(t, test_irq_keeps_its_chip);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
