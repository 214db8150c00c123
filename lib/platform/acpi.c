/* SPDX-License-Identifier: BSD-3-Clause */
/* The set of ACPI tables: what the embedder and the chips put into it. */
#include "platform/acpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define TABLE_MAX (UINT64_C(1) << 20)

static int
check_opts(struct vcore_acpi_opts *o, const struct vcore_acpi_opts *opts)
{
	int rc;

	VCORE_INIT(o);
	if (opts) {
		rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
		if (rc < 0)
			return vcore__err(NULL, rc,
					  "vcore_acpi_new: opts: bad size %u or unknown field",
					  opts->size);
	}
	if ((o->flags & ~VCORE_ACPI_8259) || o->reserved0)
		return vcore__err(NULL, -E2BIG, "vcore_acpi_new: flags %#x",
				  o->flags);
	if (!o->cpus)
		o->cpus = 1;
	if (!o->ioapic)
		o->ioapic = 0xfec00000;
	if (o->cpus > 4096 || o->ioapic > UINT32_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_new: cpus %u, ioapic %#llx",
				  o->cpus, (unsigned long long)o->ioapic);
	return 0;
}

int
vcore_acpi_new(const struct vcore_acpi_opts *opts, struct vcore_acpi **acpi)
{
	struct vcore_acpi_opts o;
	struct vcore_acpi *a;
	int rc;

	if (!acpi)
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_new: acpi is NULL");
	rc = check_opts(&o, opts);
	if (rc < 0)
		return rc;
	a = calloc(1, sizeof(*a));
	if (!a)
		return vcore__err(NULL, -ENOMEM, "vcore_acpi_new: no memory");
	a->flags = o.flags;
	a->cpus = o.cpus;
	a->ioapic = (uint32_t)o.ioapic;
	*acpi = a;
	return 0;
}

void
vcore_acpi_free(struct vcore_acpi *acpi)
{
	uint32_t i;

	if (!acpi)
		return;
	for (i = 0; i < acpi->tables; i++)
		free(acpi->table[i].bytes);
	vcore__aml_fini(&acpi->sb);
	free(acpi);
}

int
vcore__acpi_added(struct vcore_acpi *acpi, size_t before, const char *fn)
{
	if (acpi->sb.rc == 0)
		return 0;
	vcore__aml_truncate(&acpi->sb, before);
	return vcore__err(NULL, -ENOMEM, "%s: no memory", fn);
}

int
vcore_acpi_add_virtio_mmio(struct vcore_acpi *acpi, uint64_t base,
			   uint64_t len, uint32_t gsi)
{
	struct vcore__aml *a;
	size_t before, device, resources;
	char name[8];
	int rc;

	if (!acpi)
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_add_virtio_mmio: acpi is NULL");
	if (!len || !vcore__range_fits(base, len, UINT64_C(1) << 32))
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_add_virtio_mmio: %#llx, length %#llx",
				  (unsigned long long)base,
				  (unsigned long long)len);
	if (acpi->virtios == 4096)
		return vcore__err(NULL, -ENOSPC,
				  "vcore_acpi_add_virtio_mmio: %u devices",
				  acpi->virtios);
	a = &acpi->sb;
	before = a->len;
	(void)snprintf(name, sizeof(name), "V%03X", acpi->virtios & 0xfff);
	device = vcore__aml_device(a, name);
	vcore__aml_name_string(a, "_HID", "LNRO0005");
	vcore__aml_name_integer(a, "_UID", acpi->virtios);
	vcore__aml_name_integer(a, "_CCA", 1);
	vcore__aml_name(a, "_CRS");
	resources = vcore__aml_resources(a);
	vcore__aml_memory32(a, (uint32_t)base, (uint32_t)len);
	vcore__aml_interrupt_edge(a, gsi);
	vcore__aml_resources_end(a, resources);
	vcore__aml_end(a, device);
	rc = vcore__acpi_added(acpi, before, "vcore_acpi_add_virtio_mmio");
	if (rc == 0)
		acpi->virtios++;
	return rc;
}

int
vcore_acpi_add_aml(struct vcore_acpi *acpi, const void *aml, uint64_t len)
{
	size_t before;

	if (!acpi || !aml)
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_add_aml: %s is NULL",
				  acpi ? "aml" : "acpi");
	if (len > TABLE_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_add_aml: length %llu",
				  (unsigned long long)len);
	before = acpi->sb.len;
	vcore__aml_bytes(&acpi->sb, aml, len);
	return vcore__acpi_added(acpi, before, "vcore_acpi_add_aml");
}

int
vcore_acpi_add_table(struct vcore_acpi *acpi, const void *table, uint64_t len)
{
	uint8_t *copy;

	if (!acpi || !table)
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_add_table: %s is NULL",
				  acpi ? "table" : "acpi");
	if (len < 36 || len > TABLE_MAX)
		return vcore__err(NULL, -EINVAL,
				  "vcore_acpi_add_table: length %llu",
				  (unsigned long long)len);
	if (acpi->tables == VCORE__ACPI_TABLES)
		return vcore__err(NULL, -ENOSPC,
				  "vcore_acpi_add_table: %u tables",
				  acpi->tables);
	copy = malloc(len);
	if (!copy)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_acpi_add_table: no memory");
	memcpy(copy, table, len);
	acpi->table[acpi->tables].bytes = copy;
	acpi->table[acpi->tables].len = len;
	acpi->tables++;
	return 0;
}

int
vcore_acpi_write(struct vcore_acpi *acpi, struct vcore_memory *memory,
		 uint64_t gpa, uint64_t len, uint64_t *rsdp)
{
	struct vcore__aml out = { 0 };
	size_t at = 0;
	int rc;

	if (!acpi || !memory || gpa % 16)
		return vcore__err(NULL, -EINVAL, "vcore_acpi_write: %s",
				  !acpi ? "acpi is NULL" :
				  !memory ? "memory is NULL" :
					    "gpa is not a multiple of 16");
	rc = vcore__acpi_build(acpi, gpa, &out, &at);
	if (rc < 0) {
		rc = vcore__err(NULL, rc, "vcore_acpi_write: no memory");
		goto out;
	}
	if (out.len > len) {
		rc = vcore__err(NULL, -ENOSPC,
				"vcore_acpi_write: %zu bytes needed, %llu given",
				out.len, (unsigned long long)len);
		goto out;
	}
	rc = vcore_memory_write(memory, gpa, out.buf, out.len);
	if (rc < 0) {
		rc = vcore__err(NULL, rc,
				"vcore_acpi_write: no memory at [%#llx, %#llx)",
				(unsigned long long)gpa,
				(unsigned long long)gpa + out.len);
		goto out;
	}
	if (rsdp)
		*rsdp = gpa + at;
	rc = 0;
out:
	vcore__aml_fini(&out);
	return rc;
}
