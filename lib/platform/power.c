/* SPDX-License-Identifier: BSD-3-Clause */
/* Reset, power-off and panic: registers that post events. */
#include "platform/power.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "platform/acpi.h"
#include "platform/part.h"

#define I8042_DATA    0x60u
#define I8042_COMMAND 0x64u
#define I8042_PULSE   0xfeu	/* pulse the reset line */
#define CF9           0xcf9u
#define CF9_RESET     0x04u	/* 0 to 1 resets; bit 1: hard */
#define PVPANIC       0x505u
#define PVPANIC_PANICKED 0x01u
#define SLEEP_TYPE    0x1cu	/* of sleep control */
#define SLEEP_ENABLE  0x20u

enum place { I8042_A, I8042_B, RESET_CF9, ACPI, PANIC, PLACES };

struct vcore_power {
	_Atomic uint32_t refs;		/* owner and ranges */
	uint32_t flags;
	uint32_t base;
	_Atomic uint32_t cf9;
	struct vcore_events *events;
	struct vcore_range *range[PLACES];
};

static void
unref(struct vcore_power *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	vcore_events_unref(p->events);
	free(p);
}

static void
release(void *opaque)
{
	unref(opaque);
}

static void
post(struct vcore_events *events, uint32_t kind, uint64_t value,
     const char *text)
{
	struct vcore_event e;

	VCORE_INIT(&e);
	e.kind = kind;
	e.value[0] = value;
	(void)snprintf(e.object, sizeof(e.object), "platform");
	(void)snprintf(e.text, sizeof(e.text), "%s", text);
	/* A full queue loses a panic only, and counts it. */
	(void)vcore_events_post(events, &e);
}

void
vcore__cf9_write(struct vcore_events *events, _Atomic uint32_t *reg,
		 uint8_t val)
{
	uint32_t was = atomic_exchange(reg, val & 0x0e);

	if ((val & CF9_RESET) && !(was & CF9_RESET))
		post(events, VCORE_EVENT_RESET, VCORE_RESET_CF9,
		     "the guest wrote port 0xcf9");
}

static void
i8042_write(struct vcore_power *p, uint8_t val)
{
	if (val == I8042_PULSE)
		post(p->events, VCORE_EVENT_RESET, VCORE_RESET_I8042,
		     "the guest reset by the keyboard controller");
}

static void
acpi_write(struct vcore_power *p, uint64_t off, uint8_t val)
{
	if (off == VCORE__POWER_RESET && val == VCORE__POWER_RESET_VALUE)
		post(p->events, VCORE_EVENT_RESET, VCORE_RESET_ACPI,
		     "the guest wrote the reset register");
	if (off == VCORE__POWER_SLEEP_CONTROL && (val & SLEEP_ENABLE) &&
	    (val & SLEEP_TYPE) >> 2 == VCORE__POWER_S5)
		post(p->events, VCORE_EVENT_POWEROFF, 0,
		     "the guest switched off");
}

static int
zero_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
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
ignore_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
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
i8042_write_op(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	       struct vcore_access *later)
{
	(void)off;
	(void)len;
	(void)later;
	i8042_write(opaque, (uint8_t)val);
	return 0;
}

static int
cf9_read_op(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	    struct vcore_access *later)
{
	struct vcore_power *p = opaque;

	(void)off;
	(void)len;
	(void)later;
	*val = atomic_load(&p->cf9);
	return 0;
}

static int
cf9_write_op(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	     struct vcore_access *later)
{
	struct vcore_power *p = opaque;

	(void)off;
	(void)len;
	(void)later;
	vcore__cf9_write(p->events, &p->cf9, (uint8_t)val);
	return 0;
}

/* A wide access is one of each register, from the lowest. */
static int
acpi_write_op(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	      struct vcore_access *later)
{
	uint32_t i;

	(void)later;
	for (i = 0; i < len; i++)
		acpi_write(opaque, off + i, (uint8_t)(val >> (8 * i)));
	return 0;
}

static int
panic_read_op(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	      struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = PVPANIC_PANICKED;	/* what may be written */
	return 0;
}

static int
panic_write_op(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	       struct vcore_access *later)
{
	struct vcore_power *p = opaque;

	(void)off;
	(void)len;
	(void)later;
	if (val & PVPANIC_PANICKED)
		post(p->events, VCORE_EVENT_PANIC, val, "the guest panicked");
	return 0;
}

static int
add(struct vcore_power *p, struct vcore_bus *pio, uint32_t place,
    uint32_t base)
{
	static const struct vcore_bus_ops ops[PLACES] = {
		[I8042_A] = { .size = sizeof(ops[0]), .read = zero_read,
			      .write = ignore_write },
		[I8042_B] = { .size = sizeof(ops[0]), .read = zero_read,
			      .write = i8042_write_op },
		[RESET_CF9] = { .size = sizeof(ops[0]), .read = cf9_read_op,
				.write = cf9_write_op },
		[ACPI] = { .size = sizeof(ops[0]), .read = zero_read,
			   .write = acpi_write_op },
		[PANIC] = { .size = sizeof(ops[0]), .read = panic_read_op,
			    .write = panic_write_op },
	};
	struct vcore_range_opts o;
	int rc;

	VCORE_INIT(&o);
	o.base = base;
	o.len = place == ACPI ? VCORE__POWER_PORTS : 1;
	o.ops = &ops[place];
	o.opaque = p;
	o.release = release;
	rc = vcore_bus_add(pio, &o, &p->range[place]);
	if (rc < 0)
		return vcore__err(NULL, rc, "vcore_power_new: port %#x: %s",
				  base,
				  rc == -EEXIST ? "in use" : "refused");
	atomic_fetch_add(&p->refs, 1);
	return 0;
}

static int
add_all(struct vcore_power *p, struct vcore_bus *pio)
{
	int rc = add(p, pio, ACPI, p->base);

	if (rc == 0 && !(p->flags & VCORE_POWER_NO_I8042)) {
		rc = add(p, pio, I8042_A, I8042_DATA);
		if (rc == 0)
			rc = add(p, pio, I8042_B, I8042_COMMAND);
	}
	if (rc == 0 && !(p->flags & VCORE_POWER_NO_PVPANIC))
		rc = add(p, pio, PANIC, PVPANIC);
	if (rc == 0 && (p->flags & VCORE_POWER_CF9))
		rc = add(p, pio, RESET_CF9, CF9);
	return rc;
}

static int
check_opts(struct vcore_power_opts *o, const struct vcore_power_opts *opts,
	   struct vcore_power **power)
{
	const uint32_t known = VCORE_POWER_NO_I8042 | VCORE_POWER_NO_PVPANIC |
			       VCORE_POWER_CF9;
	int rc;

	if (!opts || !power)
		return vcore__err(NULL, -EINVAL, "vcore_power_new: %s is NULL",
				  opts ? "power" : "opts");
	rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_power_new: opts: bad size %u or unknown field",
				  opts->size);
	if ((o->flags & ~known) || o->reserved0)
		return vcore__err(NULL, -E2BIG, "vcore_power_new: flags %#x",
				  o->flags);
	if (!o->pio || !o->events)
		return vcore__err(NULL, -EINVAL, "vcore_power_new: %s is NULL",
				  o->pio ? "events" : "pio");
	if (!o->base)
		o->base = 0x600;
	if (o->base % 4 || o->base > 0xfffc)
		return vcore__err(NULL, -EINVAL, "vcore_power_new: base %#x",
				  o->base);
	return 0;
}

int
vcore_power_new(const struct vcore_power_opts *opts, struct vcore_power **power)
{
	struct vcore_power_opts o;
	struct vcore_power *p;
	int rc;

	rc = check_opts(&o, opts, power);
	if (rc < 0)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return vcore__err(NULL, -ENOMEM, "vcore_power_new: no memory");
	atomic_init(&p->refs, 1);
	p->flags = o.flags;
	p->base = o.base;
	p->events = vcore_events_ref(o.events);
	rc = add_all(p, o.pio);
	if (rc < 0) {
		vcore_power_free(p);
		return rc;
	}
	*power = p;
	return 0;
}

void
vcore_power_free(struct vcore_power *power)
{
	uint32_t i;

	if (!power)
		return;
	for (i = 0; i < PLACES; i++)
		vcore_range_remove(power->range[i]);
	unref(power);
}

int
vcore_power_describe(struct vcore_power *power, struct vcore_acpi *acpi)
{
	struct vcore__aml *a;
	size_t before, device, resources;
	int rc;

	if (!power || !acpi)
		return vcore__err(NULL, -EINVAL,
				  "vcore_power_describe: %s is NULL",
				  power ? "acpi" : "power");
	if (acpi->power)
		return vcore__err(NULL, -EEXIST,
				  "vcore_power_describe: described already");
	a = &acpi->sb;
	before = a->len;
	if (!(power->flags & VCORE_POWER_NO_PVPANIC)) {
		device = vcore__aml_device(a, "PEVT");
		vcore__aml_name_string(a, "_HID", "QEMU0001");
		vcore__aml_name(a, "_CRS");
		resources = vcore__aml_resources(a);
		vcore__aml_io(a, PVPANIC, 1);
		vcore__aml_resources_end(a, resources);
		vcore__aml_end(a, device);
	}
	rc = vcore__acpi_added(acpi, before, "vcore_power_describe");
	if (rc == 0)
		acpi->power = power->base;
	return rc;
}

static void
part_reset(void *p)
{
	atomic_store(&((struct vcore_power *)p)->cf9, 0);
}

void
vcore__power_part(struct vcore_power *power, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "power", .version = 1, .rank = VCORE__RANK_PLATFORM,
		.stop = vcore__chip_stop, .start = vcore__chip_start,
		.reset = part_reset,
	};

	part->ops = &ops;
	part->p = power;
	(void)snprintf(part->name, sizeof(part->name), "power");
}
