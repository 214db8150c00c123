/* SPDX-License-Identifier: BSD-3-Clause */
/* The ACPI tables' bytes: RSDP, XSDT, FADT, MADT, MCFG, DSDT (ACPI 6.4, 5). */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "platform/acpi.h"

#define HEADER 36u
#define RSDP_LEN 36u
#define FADT_LEN 276u
#define TABLES (VCORE__ACPI_TABLES + 4u)

/* Tables are made one behind the other in one growing buffer. */
struct layout {
	struct vcore__aml *out;
	uint64_t gpa;		/* of out's first byte */
	size_t start;		/* of the table under way */
	uint64_t xsdt[TABLES];
	uint32_t count;
};

static void
put(struct layout *l, uint64_t value, size_t len)
{
	uint8_t bytes[8];
	size_t i;

	for (i = 0; i < len; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	vcore__aml_bytes(l->out, bytes, len);
}

static void
zeroes(struct layout *l, size_t len)
{
	for (; len > 8; len -= 8)
		put(l, 0, 8);
	put(l, 0, len);
}

/* Overwrite len bytes at an offset of the table under way. */
static void
set(struct layout *l, size_t off, uint64_t value, size_t len)
{
	size_t i;

	if (l->out->rc < 0)
		return;
	for (i = 0; i < len; i++)
		l->out->buf[l->start + off + i] = (uint8_t)(value >> (8 * i));
}

static uint8_t
checksum(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	while (len > 0)
		sum = (uint8_t)(sum + bytes[--len]);
	return (uint8_t)-sum;
}

static void
align(struct layout *l)
{
	while (l->out->rc == 0 && l->out->len % 16)
		put(l, 0, 1);
}

static void
begin(struct layout *l, const char *signature, uint8_t revision)
{
	align(l);
	l->start = l->out->len;
	vcore__aml_bytes(l->out, signature, 4);
	put(l, 0, 4);			/* length: at the end */
	put(l, revision, 1);
	put(l, 0, 1);			/* checksum: at the end */
	vcore__aml_bytes(l->out, "VCORE ", 6);
	vcore__aml_bytes(l->out, "VCORE", 5);
	vcore__aml_bytes(l->out, signature, 3);
	put(l, 1, 4);
	vcore__aml_bytes(l->out, "VCOR", 4);
	put(l, 1, 4);
}

/* Length and checksum; returns the table's address. */
static uint64_t
finish(struct layout *l)
{
	size_t len = l->out->len - l->start;

	set(l, 4, len, 4);
	set(l, 9, 0, 1);
	if (l->out->rc == 0)
		set(l, 9, checksum(l->out->buf + l->start, len), 1);
	return l->gpa + l->start;
}

static void
finish_listed(struct layout *l)
{
	l->xsdt[l->count++] = finish(l);
}

static uint64_t
dsdt(struct layout *l, const struct vcore_acpi *acpi)
{
	struct vcore__aml *a = l->out;
	size_t scope, device, package;
	char name[8];
	uint32_t i;

	begin(l, "DSDT", 2);
	if (acpi->power) {
		vcore__aml_name(a, "\\_S5_");
		package = vcore__aml_package(a, 4);
		vcore__aml_integer(a, VCORE__POWER_S5);
		vcore__aml_integer(a, VCORE__POWER_S5);
		vcore__aml_integer(a, 0);
		vcore__aml_integer(a, 0);
		vcore__aml_end(a, package);
	}
	scope = vcore__aml_scope(a, "\\_SB_");
	for (i = 0; i < acpi->cpus; i++) {
		(void)snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		device = vcore__aml_device(a, name);
		vcore__aml_name_string(a, "_HID", "ACPI0007");
		vcore__aml_name_integer(a, "_UID", i);
		vcore__aml_end(a, device);
	}
	vcore__aml_bytes(a, acpi->sb.buf, acpi->sb.len);
	vcore__aml_end(a, scope);
	return finish(l);
}

/* Generic address structure: an 8-bit port. */
static void
set_port(struct layout *l, size_t off, uint32_t port)
{
	set(l, off, 1, 1);		/* system I/O */
	set(l, off + 1, 8, 1);		/* bits */
	set(l, off + 3, 1, 1);		/* byte access */
	set(l, off + 4, port, 8);
}

static void
fadt(struct layout *l, const struct vcore_acpi *acpi, uint64_t dsdt_at)
{
	/* WBINVD, C1, no fixed buttons, hardware-reduced. */
	uint32_t flags = 1u << 0 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 20;

	begin(l, "FACP", 6);
	zeroes(l, FADT_LEN - HEADER);
	set(l, 96, 0xfff, 2);		/* no C2 */
	set(l, 98, 0xfff, 2);		/* no C3 */
	set(l, 108, acpi->century, 1);
	/* No VGA; no clock if none was described; no 8042, no legacy. */
	set(l, 109, 1u << 2 | (acpi->century ? 0u : 1u << 5), 2);
	set(l, 140, dsdt_at, 8);
	if (acpi->power) {
		flags |= 1u << 10;
		set_port(l, 116, acpi->power + VCORE__POWER_RESET);
		set(l, 128, VCORE__POWER_RESET_VALUE, 1);
		set_port(l, 244, acpi->power + VCORE__POWER_SLEEP_CONTROL);
		set_port(l, 256, acpi->power + VCORE__POWER_SLEEP_STATUS);
	}
	set(l, 112, flags, 4);
	finish_listed(l);
}

static void
madt_cpu(struct layout *l, uint32_t id)
{
	if (id < 255) {
		put(l, 0, 1);		/* local APIC */
		put(l, 8, 1);
		put(l, id, 1);		/* processor's _UID */
		put(l, id, 1);
		put(l, 1, 4);		/* enabled */
		return;
	}
	put(l, 9, 1);			/* local x2APIC */
	put(l, 16, 1);
	put(l, 0, 2);
	put(l, id, 4);
	put(l, 1, 4);
	put(l, id, 4);
}

static void
madt(struct layout *l, const struct vcore_acpi *acpi)
{
	uint32_t i;

	begin(l, "APIC", 5);
	put(l, 0xfee00000, 4);
	put(l, acpi->flags & VCORE_ACPI_8259 ? 1 : 0, 4);
	for (i = 0; i < acpi->cpus; i++)
		madt_cpu(l, i);
	put(l, 1, 1);			/* I/O APIC, its id 0, GSIs from 0 */
	put(l, 12, 1);
	put(l, 0, 2);
	put(l, acpi->ioapic, 4);
	put(l, 0, 4);
	put(l, 4, 1);			/* NMI at LINT1 of all local APICs */
	put(l, 6, 1);
	put(l, 0xff, 1);
	put(l, 0, 2);
	put(l, 1, 1);
	if (acpi->cpus > 255) {
		put(l, 10, 1);		/* the same of all x2APICs */
		put(l, 12, 1);
		put(l, 0, 2);
		put(l, UINT32_MAX, 4);
		put(l, 1, 1);
		put(l, 0, 3);
	}
	finish_listed(l);
}

static void
mcfg(struct layout *l, const struct vcore_acpi *acpi)
{
	begin(l, "MCFG", 1);
	put(l, 0, 8);
	put(l, acpi->ecam, 8);
	put(l, 0, 2);			/* segment */
	put(l, 0, 1);			/* first bus */
	put(l, acpi->buses - 1, 1);
	put(l, 0, 4);
	finish_listed(l);
}

static uint64_t
xsdt(struct layout *l)
{
	uint32_t i;

	begin(l, "XSDT", 1);
	for (i = 0; i < l->count; i++)
		put(l, l->xsdt[i], 8);
	return finish(l);
}

static void
rsdp_fill(struct layout *l, size_t at, uint64_t xsdt_at)
{
	uint8_t *p;

	if (l->out->rc < 0)
		return;
	p = l->out->buf + at;
	l->start = at;
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "VCORE ", 6);
	p[15] = 2;
	set(l, 20, RSDP_LEN, 4);
	set(l, 24, xsdt_at, 8);
	p[8] = checksum(p, 20);
	p[32] = checksum(p, RSDP_LEN);
}

int
vcore__acpi_build(const struct vcore_acpi *acpi, uint64_t gpa,
		  struct vcore__aml *out, size_t *rsdp)
{
	struct layout l = { .out = out, .gpa = gpa };
	uint64_t dsdt_at, xsdt_at;
	uint32_t i;

	zeroes(&l, RSDP_LEN);
	dsdt_at = dsdt(&l, acpi);
	fadt(&l, acpi, dsdt_at);
	madt(&l, acpi);
	if (acpi->ecam)
		mcfg(&l, acpi);
	for (i = 0; i < acpi->tables; i++) {
		align(&l);
		l.start = out->len;
		vcore__aml_bytes(out, acpi->table[i].bytes,
				 acpi->table[i].len);
		finish_listed(&l);
	}
	xsdt_at = xsdt(&l);
	rsdp_fill(&l, 0, xsdt_at);
	*rsdp = 0;
	return out->rc;
}
