/* SPDX-License-Identifier: BSD-3-Clause */
/* The MC146818 clock and its CMOS memory. */
#include "platform/part.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "platform/acpi.h"
#include "platform/calendar.h"

#define PORT     0x70u
#define CMOS_LEN 128u

enum {
	SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY = 7, MONTH = 8,
	YEAR = 9, REG_A = 10, REG_B = 11, REG_C = 12, REG_D = 13,
	CENTURY = 0x32
};

#define A_UPDATING 0x80u
#define B_SET      0x80u	/* the guest sets the time */
#define B_IRQS     0x70u	/* periodic, alarm, update: not here */
#define B_BINARY   0x04u
#define B_24H      0x02u
#define D_VALID    0x80u
#define HOURS_PM   0x80u

/* A second's last part, in which a real clock is busy counting on. */
#define UPDATE_NS  244000

struct vcore_rtc {
	pthread_mutex_t lock;
	_Atomic uint32_t refs;		/* owner and range */
	uint8_t index;
	bool setting;			/* the guest writes the time */
	uint8_t cmos[CMOS_LEN];
	int64_t offset;			/* seconds ahead of the host */
	struct vcore_range *range;
	uint64_t memory_low, memory_high;
};

static void
unref(struct vcore_rtc *r)
{
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void
release(void *opaque)
{
	unref(opaque);
}

static bool
is_time(uint8_t reg)
{
	/* The alarm's registers 1, 3 and 5 are plain memory. */
	return reg == SECONDS || reg == MINUTES || reg == HOURS ||
	       (reg >= WEEKDAY && reg <= YEAR) || reg == CENTURY;
}

static uint8_t
encode(const struct vcore_rtc *r, uint32_t value)
{
	if (r->cmos[REG_B] & B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static uint32_t
decode(const struct vcore_rtc *r, uint8_t value)
{
	if (r->cmos[REG_B] & B_BINARY)
		return value;
	return (uint32_t)(value >> 4) * 10 + (value & 15);
}

static uint8_t
encode_hours(const struct vcore_rtc *r, uint32_t hours)
{
	uint32_t twelve = hours % 12 ? hours % 12 : 12;

	if (r->cmos[REG_B] & B_24H)
		return encode(r, hours);
	return (uint8_t)(encode(r, twelve) | (hours >= 12 ? HOURS_PM : 0));
}

static uint32_t
decode_hours(const struct vcore_rtc *r, uint8_t value)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, value);
	return decode(r, value & 0x7f) % 12 + (value & HOURS_PM ? 12 : 0);
}

/* The time registers become the time now. */
static void
latch(struct vcore_rtc *r, int64_t host_s)
{
	struct vcore__calendar c;
	uint8_t *m = r->cmos;

	vcore__calendar_from_seconds(&c, host_s + r->offset);
	m[SECONDS] = encode(r, c.second);
	m[MINUTES] = encode(r, c.minute);
	m[HOURS] = encode_hours(r, c.hour);
	m[WEEKDAY] = encode(r, c.weekday);
	m[DAY] = encode(r, c.day);
	m[MONTH] = encode(r, c.month);
	m[YEAR] = encode(r, c.year % 100);
	m[CENTURY] = encode(r, c.year / 100);
}

/* The time becomes what the time registers say. */
static void
take(struct vcore_rtc *r, int64_t host_s)
{
	struct vcore__calendar c;
	const uint8_t *m = r->cmos;

	c.second = decode(r, m[SECONDS]);
	c.minute = decode(r, m[MINUTES]);
	c.hour = decode_hours(r, m[HOURS]);
	c.day = decode(r, m[DAY]);
	c.month = decode(r, m[MONTH]);
	c.year = decode(r, m[CENTURY]) * 100 + decode(r, m[YEAR]);
	c.weekday = 0;
	/* What is no date is counted on from the nearest one. */
	r->offset = vcore__calendar_to_seconds(&c) - host_s;
}

static struct timespec
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts;
}

static uint8_t
read_cmos(struct vcore_rtc *r)
{
	struct timespec ts = now();
	uint8_t val;

	if (is_time(r->index) && !r->setting)
		latch(r, ts.tv_sec);
	val = r->cmos[r->index];
	if (r->index == REG_A && !r->setting &&
	    ts.tv_nsec >= 1000000000 - UPDATE_NS)
		val |= A_UPDATING;
	return val;
}

static void
write_b(struct vcore_rtc *r, uint8_t val)
{
	struct timespec ts = now();
	bool set = (val & B_SET) != 0;

	/* Leaving it: the registers are read in the mode they were written. */
	if (r->setting && !set)
		take(r, ts.tv_sec);
	if (!r->setting && set)
		latch(r, ts.tv_sec);
	r->setting = set;
	r->cmos[REG_B] = val & (uint8_t)~B_IRQS;
}

static void
write_cmos(struct vcore_rtc *r, uint8_t val)
{
	struct timespec ts = now();

	switch (r->index) {
	case REG_A:
		r->cmos[REG_A] = val & 0x7f;
		return;
	case REG_B:
		write_b(r, val);
		return;
	case REG_C:
	case REG_D:
		return;
	default:
		break;
	}
	if (!is_time(r->index) || r->setting) {
		r->cmos[r->index] = val;
		return;
	}
	/* One field set while the clock runs. */
	latch(r, ts.tv_sec);
	r->cmos[r->index] = val;
	take(r, ts.tv_sec);
}

static int
rtc_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	 struct vcore_access *later)
{
	struct vcore_rtc *r = opaque;

	(void)later;
	*val = UINT64_MAX;	/* the index can't be read */
	if (off + len < 2)
		return 0;
	pthread_mutex_lock(&r->lock);
	*val = off == 1 ? read_cmos(r) : 0xff | (uint64_t)read_cmos(r) << 8;
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static int
rtc_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	  struct vcore_access *later)
{
	struct vcore_rtc *r = opaque;

	(void)later;
	pthread_mutex_lock(&r->lock);
	if (off == 0) {
		r->index = val & (CMOS_LEN - 1);	/* bit 7 masks NMIs */
		val >>= 8;
	}
	if (off + len == 2)
		write_cmos(r, (uint8_t)val);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static void
set16(struct vcore_rtc *r, uint8_t at, uint64_t value)
{
	if (value > UINT16_MAX)
		value = UINT16_MAX;
	r->cmos[at] = (uint8_t)value;
	r->cmos[at + 1] = (uint8_t)(value >> 8);
}

/* What old software reads memory sizes from. */
static void
set_memory(struct vcore_rtc *r)
{
	const uint64_t mib = UINT64_C(1) << 20;
	uint64_t low = r->memory_low, high = r->memory_high >> 16;

	if (!low && !high)
		return;
	set16(r, 0x15, 640);				/* KiB */
	set16(r, 0x17, low > mib ? (low - mib) >> 10 : 0);	/* KiB */
	set16(r, 0x30, low > mib ? (low - mib) >> 10 : 0);
	set16(r, 0x34, low > 16 * mib ? (low - 16 * mib) >> 16 : 0);
	if (high > 0xffffff)
		high = 0xffffff;
	set16(r, 0x5b, high & 0xffff);			/* 64 KiB */
	r->cmos[0x5d] = (uint8_t)(high >> 16);
}

static void
power_on(struct vcore_rtc *r)
{
	r->index = 0;
	r->setting = false;
	r->cmos[REG_A] = 0x26;		/* 32,768 Hz; no rate is used */
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_C] = 0;
	r->cmos[REG_D] = D_VALID;
}

static int
check_opts(struct vcore_rtc_opts *o, const struct vcore_rtc_opts *opts,
	   struct vcore_rtc **rtc)
{
	int rc;

	if (!opts || !rtc)
		return vcore__err(NULL, -EINVAL, "vcore_rtc_new: %s is NULL",
				  opts ? "rtc" : "opts");
	rc = vcore__sized_copy(o, sizeof(*o), sizeof(*o), opts);
	if (rc < 0)
		return vcore__err(NULL, rc,
				  "vcore_rtc_new: opts: bad size %u or unknown field",
				  opts->size);
	if (o->flags)
		return vcore__err(NULL, -E2BIG, "vcore_rtc_new: flags %#x",
				  o->flags);
	if (!o->pio)
		return vcore__err(NULL, -EINVAL, "vcore_rtc_new: pio is NULL");
	if (o->offset_s > VCORE__CALENDAR_MAX ||
	    o->offset_s < -VCORE__CALENDAR_MAX)
		return vcore__err(NULL, -EINVAL, "vcore_rtc_new: offset %lld s",
				  (long long)o->offset_s);
	return 0;
}

int
vcore_rtc_new(const struct vcore_rtc_opts *opts, struct vcore_rtc **rtc)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = rtc_read, .write = rtc_write,
	};
	struct vcore_rtc_opts o;
	struct vcore_range_opts range;
	struct vcore_rtc *r;
	int rc;

	rc = check_opts(&o, opts, rtc);
	if (rc < 0)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return vcore__err(NULL, -ENOMEM, "vcore_rtc_new: no memory");
	pthread_mutex_init(&r->lock, NULL);
	atomic_init(&r->refs, 2);
	r->offset = o.offset_s;
	r->memory_low = o.memory_low;
	r->memory_high = o.memory_high;
	power_on(r);
	set_memory(r);
	VCORE_INIT(&range);
	range.base = PORT;
	range.len = 2;
	range.ops = &ops;
	range.opaque = r;
	range.release = release;
	rc = vcore_bus_add(o.pio, &range, &r->range);
	if (rc < 0) {
		pthread_mutex_destroy(&r->lock);
		free(r);
		return vcore__err(NULL, rc, "vcore_rtc_new: port %#x: %s",
				  PORT, rc == -EEXIST ? "in use" : "refused");
	}
	*rtc = r;
	return 0;
}

void
vcore_rtc_free(struct vcore_rtc *rtc)
{
	if (!rtc)
		return;
	vcore_range_remove(rtc->range);
	unref(rtc);
}

int
vcore_rtc_describe(struct vcore_rtc *rtc, struct vcore_acpi *acpi)
{
	struct vcore__aml *a;
	size_t before, device, resources;
	int rc;

	if (!rtc || !acpi)
		return vcore__err(NULL, -EINVAL,
				  "vcore_rtc_describe: %s is NULL",
				  rtc ? "acpi" : "rtc");
	if (acpi->century)
		return vcore__err(NULL, -EEXIST,
				  "vcore_rtc_describe: there is a clock");
	a = &acpi->sb;
	before = a->len;
	device = vcore__aml_device(a, "RTC_");
	vcore__aml_name_eisaid(a, "_HID", "PNP0B00");
	vcore__aml_name(a, "_CRS");
	resources = vcore__aml_resources(a);
	vcore__aml_io(a, PORT, 2);
	vcore__aml_resources_end(a, resources);
	vcore__aml_end(a, device);
	rc = vcore__acpi_added(acpi, before, "vcore_rtc_describe");
	if (rc == 0)
		acpi->century = CENTURY;
	return rc;
}

/* Memory and time are kept by a battery. */
static void
part_reset(void *p)
{
	struct vcore_rtc *r = p;

	pthread_mutex_lock(&r->lock);
	power_on(r);
	pthread_mutex_unlock(&r->lock);
}

void
vcore__rtc_part(struct vcore_rtc *rtc, struct vcore__part *part)
{
	static const struct vcore__part_ops ops = {
		.kind = "rtc", .version = 1, .rank = VCORE__RANK_PLATFORM,
		.stop = vcore__chip_stop, .start = vcore__chip_start,
		.reset = part_reset,
	};

	part->ops = &ops;
	part->p = rtc;
	(void)snprintf(part->name, sizeof(part->name), "rtc");
}
