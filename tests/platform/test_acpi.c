/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables: found and checked as a guest does, and read by iasl. */
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vcore/platform.h>

#include "platform/acpi.h"
#include "support/ports.h"
#include "support/support.h"

#define AREA     UINT64_C(0xe0000)
#define AREA_LEN 0x20000u
#define ECAM     UINT64_C(0xe0000000)

static struct vcore_memory *memory;
static struct vcore_acpi *acpi;
static uint8_t area[AREA_LEN];
static uint64_t rsdp;

static void
setup(void)
{
	struct vcore_region_opts o;
	struct vcore_region *region;

	VCORE_INIT(&o);
	o.len = 1 << 20;
	ck_assert_ok(vcore_region_new(&o, &region));
	ck_assert_ok(vcore_memory_new(NULL, &memory));
	ck_assert_ok(vcore_memory_add(memory, 0, region, 0));
	vcore_region_unref(region);
	ck_assert_ok(vcore_acpi_new(NULL, &acpi));
}

static void
teardown(void)
{
	vcore_acpi_free(acpi);
	vcore_memory_unref(memory);
}

static void
make(uint32_t cpus, uint32_t flags)
{
	struct vcore_acpi_opts o;

	vcore_acpi_free(acpi);
	VCORE_INIT(&o);
	o.cpus = cpus;
	o.flags = flags;
	ck_assert_ok(vcore_acpi_new(&o, &acpi));
}

/* Write the tables, and read the guest's memory back. */
static void
write_tables(void)
{
	ck_assert_ok(vcore_acpi_write(acpi, memory, AREA, AREA_LEN, &rsdp));
	ck_assert_ok(vcore_memory_read(memory, AREA, area, AREA_LEN));
}

static uint64_t
number(const uint8_t *p, uint32_t len)
{
	uint64_t v = 0;

	while (len-- > 0)
		v = v << 8 | p[len];
	return v;
}

static uint8_t
sum(const uint8_t *p, uint64_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return s;
}

static const uint8_t *
at(uint64_t gpa)
{
	ck_assert_uint_ge(gpa, AREA);
	ck_assert_uint_lt(gpa, AREA + AREA_LEN);
	return area + (gpa - AREA);
}

static uint32_t
length(const uint8_t *table)
{
	return (uint32_t)number(table + 4, 4);
}

static const uint8_t *
xsdt(void)
{
	const uint8_t *p = at(rsdp);

	ck_assert_mem_eq(p, "RSD PTR ", 8);
	ck_assert_uint_eq(p[15], 2);
	ck_assert_uint_eq(sum(p, 20), 0);
	ck_assert_uint_eq(sum(p, 36), 0);
	ck_assert_uint_eq(number(p + 16, 4), 0);
	return at(number(p + 24, 8));
}

static uint32_t
count_tables(void)
{
	return (length(xsdt()) - 36) / 8;
}

static const uint8_t *
nth(uint32_t n)
{
	return at(number(xsdt() + 36 + 8 * n, 8));
}

static const uint8_t *
find(const char *signature)
{
	uint32_t n;

	for (n = 0; n < count_tables(); n++)
		if (memcmp(nth(n), signature, 4) == 0)
			return nth(n);
	return NULL;
}

static const uint8_t *
dsdt(void)
{
	return at(number(find("FACP") + 140, 8));
}

/* How often bytes stand in the DSDT. */
static uint32_t
in_dsdt(const char *bytes)
{
	size_t len = strlen(bytes);
	const uint8_t *d = dsdt();
	uint32_t n = 0, i;

	for (i = 0; i + len <= length(d); i++)
		n += memcmp(d + i, bytes, len) == 0;
	return n;
}

static void
ck_tables(void)
{
	uint32_t n;

	ck_assert_uint_eq(sum(xsdt(), length(xsdt())), 0);
	ck_assert_uint_eq(sum(dsdt(), length(dsdt())), 0);
	for (n = 0; n < count_tables(); n++) {
		ck_assert_uint_eq(sum(nth(n), length(nth(n))), 0);
		ck_assert_uint_eq((uint64_t)(nth(n) - area) % 16, 0);
	}
}

START_TEST(test_smallest_set_has_its_tables)
{
	const uint8_t *fadt, *madt;

	write_tables();
	ck_tables();
	ck_assert_uint_eq(rsdp % 16, 0);
	ck_assert_uint_eq(count_tables(), 2);
	fadt = find("FACP");
	ck_assert_ptr_nonnull(fadt);
	ck_assert_uint_eq(length(fadt), 276);
	ck_assert_uint_eq(fadt[8], 6);
	/* Hardware-reduced; no reset register, no clock were described. */
	ck_assert_uint_eq(number(fadt + 112, 4) >> 20 & 1, 1);
	ck_assert_uint_eq(number(fadt + 112, 4) >> 10 & 1, 0);
	ck_assert_uint_eq(number(fadt + 109, 2), 0x24);
	madt = find("APIC");
	ck_assert_ptr_nonnull(madt);
	ck_assert_uint_eq(length(madt), 36 + 8 + 8 + 12 + 6);
	ck_assert_uint_eq(number(madt + 36, 4), 0xfee00000);
	ck_assert_uint_eq(number(madt + 40, 4), 0);
	ck_assert_ptr_null(find("MCFG"));
}
END_TEST

START_TEST(test_madt_lists_cpus_up_to_x2apic)
{
	const uint8_t *p, *end;
	uint32_t apic = 0, x2apic = 0, io = 0, nmi = 0;

	make(300, VCORE_ACPI_8259);
	write_tables();
	ck_tables();
	p = find("APIC");
	end = p + length(p);
	ck_assert_uint_eq(number(p + 40, 4), 1);
	for (p += 44; p < end; p += p[1]) {
		if (p[0] == 0) {
			ck_assert_uint_eq(p[2], apic);
			ck_assert_uint_eq(p[3], apic++);
		} else if (p[0] == 9) {
			ck_assert_uint_eq(number(p + 4, 4), 255 + x2apic);
			ck_assert_uint_eq(number(p + 12, 4), 255 + x2apic++);
		} else if (p[0] == 1) {
			ck_assert_uint_eq(number(p + 4, 4), 0xfec00000);
			io++;
		} else {
			nmi++;
		}
	}
	ck_assert_ptr_eq(p, end);
	ck_assert_uint_eq(apic, 255);
	ck_assert_uint_eq(x2apic, 45);
	ck_assert_uint_eq(io, 1);
	ck_assert_uint_eq(nmi, 2);
	ck_assert_uint_eq(in_dsdt("ACPI0007"), 300);
}
END_TEST

/* All chips there are, on buses that vanish with the test's process. */
struct pc {
	struct vcore_bus *pio, *mmio;
	struct vcore_events *events;
	struct vcore_irqchip *chip;
	struct vcore_irq *irq;
	struct vcore_pci_bus *pci;
	struct vcore_uart *uart, *uart2;
	struct vcore_rtc *rtc;
	struct vcore_power *power;
	struct vcore_pci_host *host;
	uint32_t irqs;
	uint32_t reserved0;
};

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
make_uarts(struct pc *pc)
{
	struct vcore_uart_opts o;

	pc->irq = counting_line(&pc->irqs, 4);
	VCORE_INIT(&o);
	o.bus = pc->pio;
	o.irq = pc->irq;
	ck_assert_ok(vcore_uart_new(&o, &pc->uart));
	o.bus = pc->mmio;
	o.base = UINT64_C(0x200000000);
	o.irq = NULL;
	ck_assert_ok(vcore_uart_new(&o, &pc->uart2));
}

static void
make_pci(struct pc *pc, uint64_t ecam)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .route = route,
	};
	struct vcore_pci_bus_opts bo;
	struct vcore_pci_host_opts o;

	ck_assert_ok(vcore_irqchip_new(&ops, NULL, NULL, &pc->chip));
	VCORE_INIT(&bo);
	bo.mmio = pc->mmio;
	bo.irqchip = pc->chip;
	bo.window32 = 0xc0000000;
	bo.window32_len = 0x10000000;
	ck_assert_ok(vcore_pci_bus_new(&bo, &pc->pci));
	VCORE_INIT(&o);
	o.pci = pc->pci;
	o.pio = pc->pio;
	o.mmio = pc->mmio;
	o.ecam = ecam;
	o.window32 = bo.window32;
	o.window32_len = bo.window32_len;
	o.window64 = UINT64_C(0x4000000000);
	o.window64_len = UINT64_C(0x1000000000);
	ck_assert_ok(vcore_pci_host_new(&o, &pc->host));
}

static void
make_pc(struct pc *pc, uint64_t ecam)
{
	struct vcore_rtc_opts ro;
	struct vcore_power_opts po;

	memset(pc, 0, sizeof(*pc));
	pc->pio = new_bus(VCORE_BUS_PIO);
	pc->mmio = new_bus(VCORE_BUS_MMIO);
	make_uarts(pc);
	make_pci(pc, ecam);
	VCORE_INIT(&ro);
	ro.pio = pc->pio;
	ck_assert_ok(vcore_rtc_new(&ro, &pc->rtc));
	ck_assert_ok(vcore_events_new(NULL, &pc->events));
	VCORE_INIT(&po);
	po.pio = pc->pio;
	po.events = pc->events;
	ck_assert_ok(vcore_power_new(&po, &pc->power));
}

static void
describe(struct pc *pc)
{
	uint32_t i;

	ck_assert_ok(vcore_uart_describe(pc->uart, acpi));
	ck_assert_ok(vcore_uart_describe(pc->uart2, acpi));
	ck_assert_ok(vcore_rtc_describe(pc->rtc, acpi));
	ck_assert_ok(vcore_power_describe(pc->power, acpi));
	ck_assert_ok(vcore_pci_host_describe(pc->host, acpi));
	for (i = 0; i < 8; i++)
		ck_assert_ok(vcore_acpi_add_virtio_mmio(
			acpi, 0xd0000000 + 0x1000 * i, 0x1000, 5 + i));
}

static void
free_pc(struct pc *pc)
{
	vcore_uart_free(pc->uart);
	vcore_uart_free(pc->uart2);
	vcore_irq_unref(pc->irq);
	vcore_rtc_free(pc->rtc);
	vcore_power_free(pc->power);
	vcore_pci_host_free(pc->host);
	vcore_pci_bus_unref(pc->pci);
	vcore_irqchip_unref(pc->chip);
	vcore_events_unref(pc->events);
	vcore_bus_unref(pc->pio);
	vcore_bus_unref(pc->mmio);
}

START_TEST(test_chips_describe_themselves)
{
	struct pc pc;
	const uint8_t *fadt, *mcfg;

	make_pc(&pc, ECAM);
	describe(&pc);
	write_tables();
	ck_tables();
	fadt = find("FACP");
	ck_assert_uint_eq(number(fadt + 112, 4) >> 10 & 1, 1);
	ck_assert_uint_eq(fadt[108], 0x32);
	ck_assert_uint_eq(number(fadt + 109, 2), 0x04);
	ck_assert_uint_eq(number(fadt + 120, 8), 0x602);
	ck_assert_uint_eq(fadt[128], 1);
	ck_assert_uint_eq(number(fadt + 248, 8), 0x600);
	ck_assert_uint_eq(number(fadt + 260, 8), 0x601);
	mcfg = find("MCFG");
	ck_assert_ptr_nonnull(mcfg);
	ck_assert_uint_eq(length(mcfg), 60);
	ck_assert_uint_eq(number(mcfg + 44, 8), ECAM);
	ck_assert_uint_eq(mcfg[55], 0);
	ck_assert_uint_eq(in_dsdt("LNRO0005"), 8);
	ck_assert_uint_eq(in_dsdt("_S5_"), 1);
	ck_assert_uint_eq(in_dsdt("PCI0"), 1);
	free_pc(&pc);
}
END_TEST

START_TEST(test_what_there_is_one_of_returns_eexist)
{
	struct pc pc;
	uint32_t i;

	make_pc(&pc, ECAM);
	describe(&pc);
	ck_assert_error(vcore_rtc_describe(pc.rtc, acpi), -EEXIST,
			"vcore_rtc_describe: ");
	ck_assert_error(vcore_power_describe(pc.power, acpi), -EEXIST,
			"vcore_power_describe: ");
	ck_assert_error(vcore_pci_host_describe(pc.host, acpi), -EEXIST,
			"vcore_pci_host_describe: ");
	for (i = 2; i < 256; i++)
		ck_assert_ok(vcore_uart_describe(pc.uart, acpi));
	ck_assert_error(vcore_uart_describe(pc.uart, acpi), -ENOSPC,
			"vcore_uart_describe: ");
	free_pc(&pc);
}
END_TEST

/* Run a program in dir; its output goes to log. True: it returned 0. */
static bool
run(const char *dir, char *const argv[], const char *log)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (chdir(dir) == 0 && freopen(log, "w", stdout) &&
		    dup2(STDOUT_FILENO, STDERR_FILENO) >= 0)
			execvp(argv[0], argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	       WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
save(const char *dir, const char *name, const uint8_t *table)
{
	char path[PATH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(table, 1, length(table), f), length(table));
	ck_assert_int_eq(fclose(f), 0);
}

/* The log has none of the words of trouble. */
static void
ck_log(const char *dir, const char *name, const char *quiet)
{
	static const char *const trouble[] = { "Error", "Warning", "error",
					       "warning", "Invalid",
					       "incorrect" };
	char path[PATH_MAX], line[512];
	uint32_t i;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (quiet && strstr(line, quiet))
			continue;
		for (i = 0; i < 6; i++)
			ck_assert_msg(!strstr(line, trouble[i]), "%s: %s",
				      name, line);
	}
	(void)fclose(f);
}

static void
disassemble(const char *dir, const char *name, const uint8_t *table)
{
	char file[32];
	char *const argv[] = { "iasl", "-d", file, NULL };

	(void)snprintf(file, sizeof(file), "%s", name);
	save(dir, name, table);
	ck_assert_msg(run(dir, argv, "log"), "iasl -d %s", name);
	ck_log(dir, "log", NULL);
}

static void
ck_iasl(void)
{
	char dir[] = "/tmp/vcore-acpi-XXXXXX";
	char *const argv[] = { "iasl", "-p", "again", "dsdt.dsl", NULL };
	char *const rm[] = { "rm", "-rf", dir, NULL };
	char name[16];
	uint32_t n;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	disassemble(dir, "dsdt", dsdt());
	disassemble(dir, "xsdt", xsdt());
	for (n = 0; n < count_tables(); n++) {
		(void)snprintf(name, sizeof(name), "table%u", n);
		disassemble(dir, name, nth(n));
	}
	ck_assert_msg(run(dir, argv, "log2"), "iasl dsdt.dsl");
	ck_log(dir, "log2", "0 Errors, 0 Warnings");
	ck_assert(run("/", rm, "/dev/null"));
}

static bool
have_iasl(void)
{
	char *const argv[] = { "iasl", "-v", NULL };

	return run("/", argv, "/dev/null");
}

START_TEST(test_iasl_reads_all_tables_without_a_warning)
{
	/* CPUs, where ECAM is. */
	static const uint64_t cases[][2] = {
		{ 1, ECAM }, { 64, ECAM }, { 300, UINT64_C(0x300000000) },
		{ 2, 0 },
	};
	struct pc pc;

	make((uint32_t)cases[_i][0], _i & 1 ? VCORE_ACPI_8259 : 0);
	make_pc(&pc, cases[_i][1]);
	describe(&pc);
	write_tables();
	ck_iasl();
	free_pc(&pc);
}
END_TEST

START_TEST(test_own_aml_and_tables_are_taken)
{
	/* Device (OWN0) { Name (_HID, "OWN0001") } */
	static const char aml[] = "\x5b\x82\x13"
				  "OWN0"
				  "\x08_HID\x0dOWN0001";
	uint8_t table[40] = "OEM7";

	write_tables();
	ck_assert_ok(vcore_acpi_add_aml(acpi, aml, sizeof(aml)));
	ck_assert_ok(vcore_acpi_add_table(acpi, table, sizeof(table)));
	write_tables();
	ck_tables();
	ck_assert_uint_eq(in_dsdt("OWN0001"), 1);
	ck_assert_ptr_nonnull(find("OEM7"));
	ck_assert_uint_eq(length(find("OEM7")), 40);
}
END_TEST

START_TEST(test_no_room_returns_enospc_and_writes_nothing)
{
	uint64_t at_first = 42;

	ck_assert_error(vcore_acpi_write(acpi, memory, AREA, 500, &at_first),
			-ENOSPC, "vcore_acpi_write: ");
	ck_assert_uint_eq(at_first, 42);
	ck_assert_ok(vcore_memory_read(memory, AREA, area, AREA_LEN));
	ck_assert_uint_eq(area[0], 0);
	ck_assert_ok(vcore_acpi_write(acpi, memory, AREA, AREA_LEN, NULL));
}
END_TEST

START_TEST(test_no_memory_there_returns_efault)
{
	uint64_t at_first = 42;

	ck_assert_error(vcore_acpi_write(acpi, memory, 1 << 20, AREA_LEN,
					 &at_first),
			-EFAULT, "vcore_acpi_write: ");
	ck_assert_uint_eq(at_first, 42);
}
END_TEST

START_TEST(test_limits_return_enospc)
{
	uint8_t table[36] = "OEM1";
	uint32_t i;

	for (i = 0; i < 16; i++)
		ck_assert_ok(vcore_acpi_add_table(acpi, table, 36));
	ck_assert_error(vcore_acpi_add_table(acpi, table, 36), -ENOSPC,
			"vcore_acpi_add_table: ");
	for (i = 0; i < 4096; i++)
		ck_assert_int_eq(vcore_acpi_add_virtio_mmio(acpi, i * 0x1000,
							    0x1000, 5),
				 0);
	ck_assert_error(vcore_acpi_add_virtio_mmio(acpi, 0, 0x1000, 5),
			-ENOSPC, "vcore_acpi_add_virtio_mmio: ");
}
END_TEST

START_TEST(test_bad_arguments_are_refused)
{
	struct vcore_acpi *a = NULL;
	struct vcore_acpi_opts o;
	uint8_t table[36] = "OEM1";

	ck_assert_error(vcore_acpi_new(NULL, NULL), -EINVAL,
			"vcore_acpi_new: ");
	VCORE_INIT(&o);
	o.cpus = 4097;
	ck_assert_error(vcore_acpi_new(&o, &a), -EINVAL, "vcore_acpi_new: ");
	o.cpus = 1;
	o.ioapic = UINT64_C(1) << 32;
	ck_assert_error(vcore_acpi_new(&o, &a), -EINVAL, "vcore_acpi_new: ");
	o.flags = 2;
	ck_assert_error(vcore_acpi_new(&o, &a), -E2BIG, "vcore_acpi_new: ");
	o.size = 0;
	ck_assert_error(vcore_acpi_new(&o, &a), -EINVAL, "vcore_acpi_new: ");
	ck_assert_ptr_null(a);
	vcore_acpi_free(NULL);
	ck_assert_error(vcore_acpi_add_virtio_mmio(NULL, 0, 1, 1), -EINVAL,
			"vcore_acpi_add_virtio_mmio: ");
	ck_assert_error(vcore_acpi_add_virtio_mmio(acpi, 0, 0, 1), -EINVAL,
			"vcore_acpi_add_virtio_mmio: ");
	ck_assert_error(vcore_acpi_add_virtio_mmio(acpi, 0xffffffff, 2, 1),
			-EINVAL, "vcore_acpi_add_virtio_mmio: ");
	ck_assert_error(vcore_acpi_add_aml(NULL, table, 1), -EINVAL,
			"vcore_acpi_add_aml: ");
	ck_assert_error(vcore_acpi_add_aml(acpi, NULL, 1), -EINVAL,
			"vcore_acpi_add_aml: ");
	ck_assert_error(vcore_acpi_add_aml(acpi, table, UINT64_MAX), -EINVAL,
			"vcore_acpi_add_aml: ");
	ck_assert_error(vcore_acpi_add_table(NULL, table, 36), -EINVAL,
			"vcore_acpi_add_table: ");
	ck_assert_error(vcore_acpi_add_table(acpi, NULL, 36), -EINVAL,
			"vcore_acpi_add_table: ");
	ck_assert_error(vcore_acpi_add_table(acpi, table, 35), -EINVAL,
			"vcore_acpi_add_table: ");
	ck_assert_error(vcore_acpi_add_table(acpi, table, (1 << 20) + 1),
			-EINVAL, "vcore_acpi_add_table: ");
	ck_assert_error(vcore_acpi_write(NULL, memory, AREA, 1, NULL), -EINVAL,
			"vcore_acpi_write: ");
	ck_assert_error(vcore_acpi_write(acpi, NULL, AREA, 1, NULL), -EINVAL,
			"vcore_acpi_write: ");
	ck_assert_error(vcore_acpi_write(acpi, memory, AREA + 8, AREA_LEN,
					 NULL),
			-EINVAL, "vcore_acpi_write: ");
}
END_TEST

/* Built twice: what needs iasl is a program that may be skipped. */
#ifdef WITH_IASL
static const bool with_iasl = true;
#else
static const bool with_iasl;
#endif

int
main(void)
{
	TCase *t;
	Suite *s;

	if (with_iasl && !have_iasl()) {
		printf("no iasl here: tables are not disassembled\n");
		return 77;
	}
	s = suite_create(with_iasl ? "acpi_iasl" : "acpi");
	t = tcase_create("acpi");
	tcase_add_checked_fixture(t, setup, teardown);
	suite_add_tcase(s, t);
	if (with_iasl) {
		tcase_add_loop_test(
			t, test_iasl_reads_all_tables_without_a_warning, 0, 4);
		return support_run(s);
	}
	tcase_add_test(t, test_smallest_set_has_its_tables);
	tcase_add_test(t, test_madt_lists_cpus_up_to_x2apic);
	tcase_add_test(t, test_chips_describe_themselves);
	tcase_add_test(t, test_what_there_is_one_of_returns_eexist);
	tcase_add_test(t, test_own_aml_and_tables_are_taken);
	tcase_add_test(t, test_no_room_returns_enospc_and_writes_nothing);
	tcase_add_test(t, test_no_memory_there_returns_efault);
	tcase_add_test(t, test_limits_return_enospc);
	tcase_add_test(t, test_bad_arguments_are_refused);
	return support_run(s);
}
