/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: PCI buses, functions and what functions are made of. */
#include "pci/common.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "support/walk.h"

static struct vcore_pci_bus_opts opts;
static struct vcore_irq *vector;
static uint32_t bell;
static int fd;

static void
on_release(void *opaque)
{
	(void)opaque;
	released++;
}

static void
before_bus(void)
{
	ck_assert_ok(vcore_bus_new(NULL, &mmio));
	ck_assert_ok(vcore_irqchip_new(&chip_ops, NULL, NULL, &chip));
	VCORE_INIT(&opts);
	opts.mmio = mmio;
	opts.irqchip = chip;
	opts.window32 = W32;
	opts.window32_len = W32_LEN;
	opts.window64 = W64;
	opts.window64_len = W64_LEN;
	fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
}

static void
after_bus(void)
{
	vcore_bus_unref(mmio);
	vcore_irqchip_unref(chip);
	close(fd);
}

static int
new_bus(void)
{
	return vcore_pci_bus_new(&opts, &bus);
}

static void
unref_bus(void)
{
	vcore_pci_bus_unref(bus);
}

static void
with_bus(void)
{
	before_bus();
	ck_assert_ok(new_bus());
	released = 0;
}

static void
without_bus(void)
{
	unref_bus();
	after_bus();
}

static int
new_function(void)
{
	struct vcore_pci_opts o;

	VCORE_INIT(&o);
	o.vendor = 0x1234;
	o.device = 1;
	o.vectors = 3;
	o.msix_bar = 1;
	o.release = on_release;
	return vcore_pci_new(bus, &o, &pci);
}

/* The slot is free still, and nothing was taken. */
static void
check_function(bool done)
{
	uint32_t id = 0;

	ck_assert_ok(vcore_pci_bus_config_read(bus, 1 << 3, 0, 4, &id));
	ck_assert_uint_eq(id, done ? 0x00011234 : UINT32_MAX);
	ck_assert_uint_eq(released, 0);
}

static void
remove_function(void)
{
	vcore_pci_remove(pci);
}

static void
with_function(void)
{
	with_bus();
	ck_assert_ok(new_function());
}

static void
without_function(void)
{
	remove_function();
	ck_assert_uint_eq(released, 1);
	without_bus();
}

static int
add_bar(void)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = bar_read, .write = bar_write,
	};

	return vcore_pci_add_bar(pci, 2, 4096, 0, &ops, NULL);
}

static int
add_capability(void)
{
	const uint8_t body[4] = { 4 };
	uint32_t offset;

	return vcore_pci_add_capability(pci, 9, body, sizeof(body), NULL,
					&offset);
}

static int
set_ops(void)
{
	static const struct vcore_pci_config_ops ops = { .size = sizeof(ops) };

	return vcore_pci_set_config_ops(pci, &ops, NULL);
}

static int
set_config(void)
{
	const uint8_t byte = 1;

	return vcore_pci_config_set(pci, 0x2c, &byte, 1);
}

static int
get_vector(void)
{
	return vcore_pci_vector(pci, 0, &vector);
}

static void
with_bar(void)
{
	with_function();
	ck_assert_ok(add_bar());
	/* Decoded, so that a doorbell is on the bus. */
	ck_assert_ok(vcore_pci_bus_config_write(bus, 1 << 3, PCI_COMMAND, 2,
						PCI_COMMAND_MEMORY));
}

static int
add_bell(void)
{
	struct vcore_doorbell_opts o;

	VCORE_INIT(&o);
	o.addr = 64;
	o.len = 4;
	return vcore_pci_add_doorbell(pci, 2, &o, fd, &bell);
}

static void
remove_bell(void)
{
	vcore_pci_remove_doorbell(pci, bell);
}

static int
write_config(void)
{
	return vcore_pci_bus_config_write(bus, 1 << 3, PCI_COMMAND, 2, 0);
}

static const struct walk cases[] = {
	{ WALK(vcore_pci_bus_new), .before = before_bus, .call = new_bus,
	  .undo = unref_bus, .after = after_bus, .least = 1 },
	{ WALK(vcore_pci_new), .before = with_bus, .call = new_function,
	  .check = check_function, .undo = remove_function,
	  .after = without_bus, .least = 1 },
	{ WALK(vcore_pci_add_bar), .before = with_function,
	  .call = add_bar, .after = without_function },
	{ WALK(vcore_pci_add_capability), .before = with_function,
	  .call = add_capability, .after = without_function },
	{ WALK(vcore_pci_set_config_ops), .before = with_function,
	  .call = set_ops, .after = without_function },
	{ WALK(vcore_pci_config_set), .before = with_function,
	  .call = set_config, .after = without_function },
	{ WALK(vcore_pci_vector), .before = with_function,
	  .call = get_vector, .after = without_function },
	{ WALK(vcore_pci_add_doorbell), .before = with_bar,
	  .call = add_bell, .undo = remove_bell, .after = without_function,
	  .least = 1 },
	{ WALK(vcore_pci_bus_config_write), .before = with_bar,
	  .call = write_config, .after = without_function },
};

START_TEST(test_pci_with_each_call_failing)
{
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/pci");
	TCase *t = tcase_create("pci");

	tcase_add_test(t, test_pci_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
