/* SPDX-License-Identifier: BSD-3-Clause */
/* Every step of creation fails once: nothing is taken, nothing is left. */
#include <vcore/platform.h>

#include "support/ports.h"
#include "support/support.h"

static struct vcore_bus *pio, *mmio;
static struct vcore_events *events;
static struct vcore_loop *loop;
static struct vcore_stream *stream;
static struct vcore_irqchip *chip;
static struct vcore_pci_bus *pci;
static uint32_t ports, windows;

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
setup(void)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .route = route,
	};
	struct vcore_pci_bus_opts o;

	pio = new_bus(VCORE_BUS_PIO);
	mmio = new_bus(VCORE_BUS_MMIO);
	ck_assert_ok(vcore_events_new(NULL, &events));
	ck_assert_ok(vcore_loop_new(NULL, &loop));
	ck_assert_ok(vcore_stream_new_ring(4096, &stream));
	ck_assert_ok(vcore_irqchip_new(&ops, NULL, NULL, &chip));
	VCORE_INIT(&o);
	o.mmio = mmio;
	o.irqchip = chip;
	o.window32 = 0xc0000000;
	o.window32_len = 0x10000000;
	ck_assert_ok(vcore_pci_bus_new(&o, &pci));
	ports = ranges_on(pio);
	windows = ranges_on(mmio);
}

static void
teardown(void)
{
	ck_assert_uint_eq(ranges_on(pio), ports);
	ck_assert_uint_eq(ranges_on(mmio), windows);
	/* What is left to the loop: streams and timers given up. */
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	vcore_pci_bus_unref(pci);
	vcore_irqchip_unref(chip);
	vcore_stream_unref(stream);
	vcore_loop_unref(loop);
	vcore_events_unref(events);
	vcore_bus_unref(pio);
	vcore_bus_unref(mmio);
}

static int
new_uart(struct vcore_uart **uart)
{
	struct vcore_uart_opts o;

	VCORE_INIT(&o);
	o.bus = pio;
	o.stream = stream;
	o.loop = loop;
	return vcore_uart_new(&o, uart);
}

static int
new_rtc(struct vcore_rtc **rtc)
{
	struct vcore_rtc_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	return vcore_rtc_new(&o, rtc);
}

static int
new_power(struct vcore_power **power)
{
	struct vcore_power_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	o.events = events;
	return vcore_power_new(&o, power);
}

static int
new_pci_host(struct vcore_pci_host **host)
{
	struct vcore_pci_host_opts o;

	VCORE_INIT(&o);
	o.pci = pci;
	o.pio = pio;
	o.mmio = mmio;
	o.ecam = 0xe0000000;
	o.window32 = 0xc0000000;
	o.window32_len = 0x10000000;
	return vcore_pci_host_new(&o, host);
}

static int
new_ioapic(struct vcore_ioapic **ioapic)
{
	struct vcore_ioapic_opts o;

	VCORE_INIT(&o);
	o.below = chip;
	o.mmio = mmio;
	return vcore_ioapic_new(&o, ioapic);
}

static int
new_acpi(struct vcore_acpi **acpi)
{
	return vcore_acpi_new(NULL, acpi);
}

/* Walk one constructor's steps; *x is the object of the run that worked. */
#define WALK(x, call, at_least)                                        \
	do {                                                           \
		bool failed_ = true;                                   \
		unsigned int n_;                                       \
		int rc_ = -1;                                          \
		for (n_ = 1; failed_; n_++) {                          \
			fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n_);        \
			rc_ = (call);                                  \
			failed_ = fail_stop();                         \
			ck_assert_msg(!failed_ || (rc_ < 0 && !(x)),   \
				      "%s: step %u: %d", #call, n_,    \
				      rc_);                            \
			/* A timer or stream given up on the loop. */ \
			if (failed_)                                   \
				(void)vcore_loop_dispatch(loop, 0);    \
		}                                                      \
		ck_assert_int_eq(rc_, 0);                              \
		ck_assert_uint_gt(n_, (at_least) + 1u);                \
	} while (0)

START_TEST(test_chips_survive_each_failure)
{
	struct vcore_uart *uart = NULL;
	struct vcore_rtc *rtc = NULL;
	struct vcore_power *power = NULL;
	struct vcore_pci_host *host = NULL;
	struct vcore_ioapic *ioapic = NULL;

	WALK(rtc, new_rtc(&rtc), 2);
	vcore_rtc_free(rtc);
	WALK(power, new_power(&power), 5);
	vcore_power_free(power);
	WALK(host, new_pci_host(&host), 3);
	vcore_pci_host_free(host);
	WALK(ioapic, new_ioapic(&ioapic), 3);
	vcore_ioapic_free(ioapic);
	WALK(uart, new_uart(&uart), 4);
	vcore_uart_free(uart);
}
END_TEST

static int
describe_all(struct vcore_acpi **acpi, struct vcore_uart *uart,
	     struct vcore_rtc *rtc, struct vcore_power *power,
	     struct vcore_pci_host *host)
{
	struct vcore_acpi *a = NULL;
	int rc = new_acpi(&a);

	if (rc == 0)
		rc = vcore_uart_describe(uart, a);
	if (rc == 0)
		rc = vcore_rtc_describe(rtc, a);
	if (rc == 0)
		rc = vcore_power_describe(power, a);
	if (rc == 0)
		rc = vcore_pci_host_describe(host, a);
	if (rc == 0)
		rc = vcore_acpi_add_virtio_mmio(a, 0xd0000000, 0x1000, 5);
	if (rc == 0)
		rc = vcore_acpi_add_table(a, "0123456789abcdef0123456789abcdef"
					     "0123", 36);
	if (rc < 0)
		vcore_acpi_free(a);
	else
		*acpi = a;
	return rc;
}

START_TEST(test_tables_survive_each_failure)
{
	struct vcore_uart *uart = NULL;
	struct vcore_rtc *rtc = NULL;
	struct vcore_power *power = NULL;
	struct vcore_pci_host *host = NULL;
	struct vcore_acpi *acpi = NULL;
	struct vcore_memory *memory;
	struct vcore_region *region;
	struct vcore_region_opts o;
	uint64_t at = 0;

	ck_assert_ok(new_uart(&uart));
	ck_assert_ok(new_rtc(&rtc));
	ck_assert_ok(new_power(&power));
	ck_assert_ok(new_pci_host(&host));
	WALK(acpi, describe_all(&acpi, uart, rtc, power, host), 4);
	VCORE_INIT(&o);
	o.len = 1 << 20;
	ck_assert_ok(vcore_region_new(&o, &region));
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	ck_assert_ok(vcore_memory_add(memory, 0, region, 0));
	WALK(at, vcore_acpi_write(acpi, memory, 0xe0000, 0x20000, &at), 2);
	vcore_acpi_free(acpi);
	vcore_memory_unref(memory);
	vcore_region_unref(region);
	vcore_uart_free(uart);
	vcore_rtc_free(rtc);
	vcore_power_free(power);
	vcore_pci_host_free(host);
}
END_TEST

START_TEST(test_failed_description_takes_itself_back)
{
	struct vcore_rtc *rtc = NULL;
	struct vcore_acpi *acpi;
	bool failed = true;
	unsigned int n;
	int rc = -1;

	ck_assert_ok(new_rtc(&rtc));
	for (n = 1; failed; n++) {
		ck_assert_ok(vcore_acpi_new(NULL, &acpi));
		fail_nth(FAIL_ALLOC, n);
		rc = vcore_rtc_describe(rtc, acpi);
		failed = fail_stop();
		ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
		/* Then it can be described still. */
		if (failed)
			ck_assert_ok(vcore_rtc_describe(rtc, acpi));
		vcore_acpi_free(acpi);
	}
	ck_assert_uint_gt(n, 2);
	vcore_rtc_free(rtc);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("failing");
	TCase *t = tcase_create("failing");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_chips_survive_each_failure);
	tcase_add_test(t, test_tables_survive_each_failure);
	tcase_add_test(t, test_failed_description_takes_itself_back);
	suite_add_tcase(s, t);
	return support_run(s);
}
