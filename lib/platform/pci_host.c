/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI host bridge: configuration ports and the ECAM window. */
#include "platform/part.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "platform/acpi.h"
#include "platform/power.h"

#define PORTS     0xcf8u
#define PORTS_LEN 8u
#define ADDRESS_ENABLE 0x80000000u
#define BUS_LEN   (UINT64_C(1) << 20)	/* of ECAM, for a bus */

struct vcore_pci_host {
	_Atomic uint32_t refs;		/* owner and ranges */
	_Atomic uint32_t address;	/* port 0xcf8 */
	_Atomic uint32_t cf9;
	uint32_t buses;
	struct vcore_pci_bus *pci;
	struct vcore_events *events;
	struct vcore_range *ports, *window;
	uint64_t ecam, window32, window32_len, window64, window64_len;
};

static void
unref(struct vcore_pci_host *h)
{
	if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
		return;
	vcore_pci_bus_unref(h->pci);
	vcore_events_unref(h->events);
	free(h);
}

static void
release(void *opaque)
{
	unref(opaque);
}

static uint64_t
ones(uint32_t len)
{
	return len == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;
}

/* len 1, 2, 4 or 8 at any offset: only what lies in a double word exists. */
static void
config_read(struct vcore_pci_host *h, uint32_t bdf, uint32_t off, uint32_t len,
	    uint64_t *val)
{
	uint32_t low = UINT32_MAX, high = UINT32_MAX;

	*val = ones(len);
	if (off % len)
		return;
	if (len < 8) {
		if (vcore_pci_bus_config_read(h->pci, bdf, off, len, &low) == 0)
			*val = low & ones(len);
		return;
	}
	(void)vcore_pci_bus_config_read(h->pci, bdf, off, 4, &low);
	(void)vcore_pci_bus_config_read(h->pci, bdf, off + 4, 4, &high);
	*val = (uint64_t)high << 32 | low;
}

static void
config_write(struct vcore_pci_host *h, uint32_t bdf, uint32_t off,
	     uint32_t len, uint64_t val)
{
	if (off % len)
		return;
	if (len == 8) {
		(void)vcore_pci_bus_config_write(h->pci, bdf, off, 4,
						 (uint32_t)val);
		off += 4;
		len = 4;
		val >>= 32;
	}
	(void)vcore_pci_bus_config_write(h->pci, bdf, off, len, (uint32_t)val);
}

/* Where an access to the data port goes; false: nowhere. */
static bool
data_target(struct vcore_pci_host *h, uint64_t off, uint32_t *bdf,
	    uint32_t *reg)
{
	uint32_t address = atomic_load(&h->address);

	*bdf = address >> 8 & 0xffff;
	*reg = (address & 0xfc) + (uint32_t)(off - 4);
	return off >= 4 && (address & ADDRESS_ENABLE);
}

static int
ports_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	   struct vcore_access *later)
{
	struct vcore_pci_host *h = opaque;
	uint32_t bdf, reg;

	(void)later;
	*val = ones(len);
	if (off == 0 && len == 4)
		*val = atomic_load(&h->address);
	else if (off == 1 && len == 1 && h->events)
		*val = atomic_load(&h->cf9);
	else if (data_target(h, off, &bdf, &reg))
		config_read(h, bdf, reg, len, val);
	return 0;
}

static int
ports_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	    struct vcore_access *later)
{
	struct vcore_pci_host *h = opaque;
	uint32_t bdf, reg;

	(void)later;
	if (off == 0 && len == 4)
		atomic_store(&h->address, (uint32_t)val & 0x80fffffcu);
	else if (off == 1 && len == 1 && h->events)
		vcore__cf9_write(h->events, &h->cf9, (uint8_t)val);
	else if (data_target(h, off, &bdf, &reg))
		config_write(h, bdf, reg, len, val);
	return 0;
}

static int
window_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	    struct vcore_access *later)
{
	(void)later;
	config_read(opaque, (uint32_t)(off >> 12), off & 0xfff, len, val);
	return 0;
}

static int
window_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	     struct vcore_access *later)
{
	(void)later;
	config_write(opaque, (uint32_t)(off >> 12), off & 0xfff, len, val);
	return 0;
}

static bool
windows_fit(const struct vcore_pci_host_opts *o)
{
	if (o->window32_len > UINT32_MAX ||
	    !vcore__range_fits(o->window32, o->window32_len,
			       UINT64_C(1) << 32))
		return false;
	if (o->window64_len &&
	    o->window64_len - 1 > UINT64_MAX - o->window64)
		return false;
	if (!o->ecam)
		return true;
	return o->ecam % BUS_LEN == 0 &&
	       o->buses * BUS_LEN - 1 <= UINT64_MAX - o->ecam;
}

static int
check_opts(struct vcore_pci_host_opts *o,
	   const struct vcore_pci_host_opts *opts, struct vcore_pci_host **host)
{
	int rc;

	if (!opts || !host)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_host_new: %s is NULL",
				  opts ? "host" : "opts");
	rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_pci_host_new: opts: bad size %u or unknown field",
				  opts->size);
	if (o->flags || o->reserved0)
		return vcore__err(NULL, -E2BIG,
				  "vcore_pci_host_new: flags %#x", o->flags);
	if (!o->pci || (!o->pio && !o->mmio))
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_host_new: %s NULL",
				  o->pci ? "pio and mmio are" : "pci is");
	if (!o->buses)
		o->buses = 1;
	if (o->buses > 256 || (o->ecam && !o->mmio) || !windows_fit(o))
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_host_new: %u buses, ecam %#llx, windows %#llx, %#llx",
				  o->buses, (unsigned long long)o->ecam,
				  (unsigned long long)o->window32,
				  (unsigned long long)o->window64);
	return 0;
}

static int
add_range(struct vcore_pci_host *h, struct vcore_bus *bus, uint64_t base,
	  uint64_t len, struct vcore_range **range)
{
	static const struct vcore_bus_ops ports = {
		.size = sizeof(ports), .read = ports_read,
		.write = ports_write,
	};
	static const struct vcore_bus_ops window = {
		.size = sizeof(window), .read = window_read,
		.write = window_write,
	};
	struct vcore_range_opts o;
	int rc;

	VCORE_INIT(&o);
	o.base = base;
	o.len = len;
	o.ops = range == &h->ports ? &ports : &window;
	o.opaque = h;
	o.release = release;
	rc = vcore_bus_add(bus, &o, range);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_pci_host_new: address %#llx: %s",
				  (unsigned long long)base,
				  rc == -EEXIST ? "in use" : "refused");
	atomic_fetch_add(&h->refs, 1);
	return 0;
}

int
vcore_pci_host_new(const struct vcore_pci_host_opts *opts,
		   struct vcore_pci_host **host)
{
	struct vcore_pci_host_opts o;
	struct vcore_pci_host *h;
	int rc;

	rc = check_opts(&o, opts, host);
	if (rc < 0)
		return rc;
	h = calloc(1, sizeof(*h));
	if (!h)
		return vcore__err(NULL, -ENOMEM,
				  "vcore_pci_host_new: no memory");
	atomic_init(&h->refs, 1);
	h->buses = o.buses;
	h->pci = vcore_pci_bus_ref(o.pci);
	h->events = vcore_events_ref(o.events);
	h->ecam = o.ecam;
	h->window32 = o.window32;
	h->window32_len = o.window32_len;
	h->window64 = o.window64;
	h->window64_len = o.window64_len;
	if (o.pio)
		rc = add_range(h, o.pio, PORTS, PORTS_LEN, &h->ports);
	if (rc == 0 && o.ecam)
		rc = add_range(h, o.mmio, o.ecam, o.buses * BUS_LEN,
			       &h->window);
	if (rc < 0) {
		vcore_pci_host_free(h);
		return rc;
	}
	*host = h;
	return 0;
}

void
vcore_pci_host_free(struct vcore_pci_host *host)
{
	if (!host)
		return;
	vcore_range_remove(host->ports);
	vcore_range_remove(host->window);
	unref(host);
}

/* The ECAM window is reserved for the bridge, or Linux doesn't use it. */
static void
describe_ecam(const struct vcore_pci_host *h, struct vcore__aml *a)
{
	uint64_t len = h->buses * BUS_LEN;
	size_t device, resources;

	device = vcore__aml_device(a, "MBRD");
	vcore__aml_name_eisaid(a, "_HID", "PNP0C02");
	vcore__aml_name_integer(a, "_UID", 0);
	vcore__aml_name(a, "_CRS");
	resources = vcore__aml_resources(a);
	if (vcore__range_fits(h->ecam, len, UINT64_C(1) << 32))
		vcore__aml_memory32(a, (uint32_t)h->ecam, (uint32_t)len);
	else
		vcore__aml_memory64(a, h->ecam, len);
	vcore__aml_resources_end(a, resources);
	vcore__aml_end(a, device);
}

static void
describe_bridge(const struct vcore_pci_host *h, struct vcore__aml *a)
{
	size_t device, resources;

	device = vcore__aml_device(a, "PCI0");
	vcore__aml_name_eisaid(a, "_HID", h->ecam ? "PNP0A08" : "PNP0A03");
	if (h->ecam)
		vcore__aml_name_eisaid(a, "_CID", "PNP0A03");
	vcore__aml_name_integer(a, "_UID", 0);
	vcore__aml_name_integer(a, "_SEG", 0);
	vcore__aml_name_integer(a, "_BBN", 0);
	vcore__aml_name_integer(a, "_CCA", 1);
	vcore__aml_name(a, "_CRS");
	resources = vcore__aml_resources(a);
	vcore__aml_bus_numbers(a, 0, (uint16_t)(h->buses - 1));
	if (h->ports)
		vcore__aml_io(a, PORTS, PORTS_LEN);
	if (h->window32_len)
		vcore__aml_window32(a, (uint32_t)h->window32,
				    (uint32_t)h->window32_len);
	if (h->window64_len)
		vcore__aml_window64(a, h->window64, h->window64_len);
	vcore__aml_resources_end(a, resources);
	vcore__aml_end(a, device);
}

int
vcore_pci_host_describe(struct vcore_pci_host *host, struct vcore_acpi *acpi)
{
	size_t before;
	int rc;

	if (!host || !acpi)
		return vcore__err(NULL, -EINVAL,
				  "vcore_pci_host_describe: %s is NULL",
				  host ? "acpi" : "host");
	if (acpi->buses)
		return vcore__err(NULL, -EEXIST,
				  "vcore_pci_host_describe: there is a bridge");
	before = acpi->sb.len;
	describe_bridge(host, &acpi->sb);
	if (host->ecam)
		describe_ecam(host, &acpi->sb);
	rc = vcore__acpi_added(acpi, before, "vcore_pci_host_describe");
	if (rc < 0)
		return rc;
	acpi->buses = host->buses;
	acpi->ecam = host->ecam;
	return 0;
}

static void
part_reset(void *p)
{
	struct vcore_pci_host *h = p;

	atomic_store(&h->address, 0);
	atomic_store(&h->cf9, 0);
}

void
vcore__pci_host_part(struct vcore_pci_host *host, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "pci-host", .version = 1,
		.rank = VCORE__RANK_PLATFORM, .stop = vcore__chip_stop,
		.start = vcore__chip_start, .reset = part_reset,
	};

	part->ops = &ops;
	part->p = host;
	(void)snprintf(part->name, sizeof(part->name), "pci-host");
}
