/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures walked: chips, ACPI tables, and kernels put into memory. */
#include "boot/common.h"

#include <vcore/platform.h>

#include "base/base.h"
#include "support/ports.h"
#include "support/walk.h"

static struct vcore_bus *pio, *mmio;
static struct vcore_events *events;
static struct vcore_loop *loop;
static struct vcore_stream *stream;
static struct vcore_irqchip *chip;
static struct vcore_pci_bus *pci;
static struct vcore_uart *uart;
static struct vcore_rtc *rtc;
static struct vcore_power *power;
static struct vcore_pci_host *pci_host;
static struct vcore_ioapic *ioapic;
static struct vcore_acpi *acpi;
static uint32_t ports, windows;
static char kernel[64];
static int kernel_file;

static int
ok_route(void *opaque, struct vcore_irq *irq, uint64_t addr, uint32_t data,
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
before(void)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .route = ok_route,
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

/* Nothing of a chip stays on a bus. */
static void
after(void)
{
	ck_assert_uint_eq(ranges_on(pio), ports);
	ck_assert_uint_eq(ranges_on(mmio), windows);
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
	vcore_pci_bus_unref(pci);
	vcore_irqchip_unref(chip);
	vcore_stream_unref(stream);
	vcore_loop_unref(loop);
	vcore_events_unref(events);
	vcore_bus_unref(pio);
	vcore_bus_unref(mmio);
}

/* What a chip that was not made gave up is seen by the loop. */
static void
settle(bool done)
{
	(void)done;
	ck_assert_int_ge(vcore_loop_dispatch(loop, 0), 0);
}

static int
new_uart(void)
{
	struct vcore_uart_opts o;

	VCORE_INIT(&o);
	o.bus = pio;
	o.stream = stream;
	o.loop = loop;
	return vcore_uart_new(&o, &uart);
}

static void
free_uart(void)
{
	vcore_uart_free(uart);
}

static int
new_rtc(void)
{
	struct vcore_rtc_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	return vcore_rtc_new(&o, &rtc);
}

static void
free_rtc(void)
{
	vcore_rtc_free(rtc);
}

static int
new_power(void)
{
	struct vcore_power_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	o.events = events;
	return vcore_power_new(&o, &power);
}

static void
free_power(void)
{
	vcore_power_free(power);
}

static int
new_pci_host(void)
{
	struct vcore_pci_host_opts o;

	VCORE_INIT(&o);
	o.pci = pci;
	o.pio = pio;
	o.mmio = mmio;
	o.ecam = 0xe0000000;
	o.window32 = 0xc0000000;
	o.window32_len = 0x10000000;
	return vcore_pci_host_new(&o, &pci_host);
}

static void
free_pci_host(void)
{
	vcore_pci_host_free(pci_host);
}

static int
new_ioapic(void)
{
	struct vcore_ioapic_opts o;

	VCORE_INIT(&o);
	o.below = chip;
	o.mmio = mmio;
	return vcore_ioapic_new(&o, &ioapic);
}

static void
free_ioapic(void)
{
	vcore_ioapic_free(ioapic);
}

static int
new_acpi(void)
{
	return vcore_acpi_new(NULL, &acpi);
}

static void
free_acpi(void)
{
	vcore_acpi_free(acpi);
}

static void
with_chips(void)
{
	before();
	ck_assert_ok(new_uart());
	ck_assert_ok(new_rtc());
	ck_assert_ok(new_power());
	ck_assert_ok(new_pci_host());
	ck_assert_ok(new_acpi());
}

static void
without_chips(void)
{
	free_acpi();
	free_pci_host();
	free_power();
	free_rtc();
	free_uart();
	after();
}

static int
describe_uart(void)
{
	return vcore_uart_describe(uart, acpi);
}

static int
describe_rtc(void)
{
	return vcore_rtc_describe(rtc, acpi);
}

static int
describe_power(void)
{
	return vcore_power_describe(power, acpi);
}

static int
describe_pci_host(void)
{
	return vcore_pci_host_describe(pci_host, acpi);
}

static int
add_virtio(void)
{
	return vcore_acpi_add_virtio_mmio(acpi, 0xd0000000, 0x1000, 5);
}

static int
add_aml(void)
{
	const uint8_t aml[] = { 0x10, 0x06, 0x5c, 0x00 };

	return vcore_acpi_add_aml(acpi, aml, sizeof(aml));
}

static int
add_table(void)
{
	char table[36];

	memset(table, 0x20, sizeof(table));
	return vcore_acpi_add_table(acpi, table, sizeof(table));
}

static void
with_tables(void)
{
	with_chips();
	boot_setup_ram();
}

static void
without_tables(void)
{
	boot_teardown();
	without_chips();
}

static int
write_tables(void)
{
	uint64_t rsdp;

	return vcore_acpi_write(acpi, memory, 0xe0000, 0x20000, &rsdp);
}

/* An ELF file that halts. */
static void
with_kernel(void)
{
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr;
		uint8_t code[16];
	} image;

	memset(&image, 0, sizeof(image));
	memcpy(image.ehdr.e_ident, ELFMAG, SELFMAG);
	image.ehdr.e_ident[EI_CLASS] = ELFCLASS64;
	image.ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	image.ehdr.e_ident[EI_VERSION] = EV_CURRENT;
	image.ehdr.e_type = ET_EXEC;
	image.ehdr.e_machine = EM_X86_64;
	image.ehdr.e_version = EV_CURRENT;
	image.ehdr.e_entry = MIB;
	image.ehdr.e_phoff = sizeof(image.ehdr);
	image.ehdr.e_ehsize = sizeof(image.ehdr);
	image.ehdr.e_phentsize = sizeof(image.phdr);
	image.ehdr.e_phnum = 1;
	image.phdr.p_type = PT_LOAD;
	image.phdr.p_flags = PF_R | PF_X;
	image.phdr.p_offset = sizeof(image.ehdr) + sizeof(image.phdr);
	image.phdr.p_vaddr = MIB;
	image.phdr.p_paddr = MIB;
	image.phdr.p_filesz = sizeof(image.code);
	image.phdr.p_memsz = sizeof(image.code);
	image.code[0] = 0xf4;
	kernel_file = memfd_create("kernel", MFD_CLOEXEC);
	ck_assert_int_eq(write(kernel_file, &image, sizeof(image)),
			 sizeof(image));
	snprintf(kernel, sizeof(kernel), "/proc/self/fd/%d", kernel_file);
	boot_setup_ram();
	opts.kernel = kernel;
	opts.initrd = kernel;
	opts.cmdline = "console=ttyS0";
}

static void
without_kernel(void)
{
	boot_teardown();
	close(kernel_file);
}

static int
boot_paths(void)
{
	return vcore_boot_linux(memory, &opts, &info);
}

static int
boot_fds(void)
{
	opts.kernel = NULL;
	opts.initrd = NULL;
	opts.flags = VCORE_BOOT_KERNEL_FD | VCORE_BOOT_INITRD_FD;
	opts.kernel_fd = kernel_file;
	opts.initrd_fd = kernel_file;
	return boot_paths();
}

#define CHIP(x) .before = before, .call = new_##x, .check = settle, \
		.undo = free_##x, .after = after
#define TABLE   .before = with_chips, .after = without_chips, .least = 1

static const struct walk cases[] = {
	{ WALK(vcore_uart_new), CHIP(uart), .least = 4 },
	{ WALK(vcore_rtc_new), CHIP(rtc), .least = 2 },
	{ WALK(vcore_power_new), CHIP(power), .least = 5 },
	{ WALK(vcore_pci_host_new), CHIP(pci_host), .least = 3 },
	{ WALK(vcore_ioapic_new), CHIP(ioapic), .least = 3 },
	{ WALK(vcore_acpi_new), .call = new_acpi, .undo = free_acpi,
	  .least = 1 },
	{ WALK(vcore_uart_describe), TABLE, .call = describe_uart },
	{ WALK(vcore_rtc_describe), TABLE, .call = describe_rtc },
	{ WALK(vcore_power_describe), TABLE, .call = describe_power },
	{ WALK(vcore_pci_host_describe), TABLE, .call = describe_pci_host },
	{ WALK(vcore_acpi_add_virtio_mmio), TABLE, .call = add_virtio },
	{ WALK(vcore_acpi_add_aml), TABLE, .call = add_aml },
	{ WALK(vcore_acpi_add_table), TABLE, .call = add_table },
	{ WALK(vcore_acpi_write), .before = with_tables,
	  .call = write_tables, .after = without_tables, .least = 2 },
	{ WALK(vcore_boot_linux), .before = with_kernel,
	  .call = boot_paths, .after = without_kernel, .least = 4 },
	{ WALK(vcore_boot_linux), .before = with_kernel,
	  .call = boot_fds, .after = without_kernel, .least = 2 },
};

START_TEST(test_platform_with_each_call_failing)
{
	walk(cases, VCORE__ARRAY_SIZE(cases));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failing/platform");
	TCase *t = tcase_create("platform");

	tcase_add_test(t, test_platform_with_each_call_failing);
	suite_add_tcase(suite, t);
	return support_run(suite);
}
