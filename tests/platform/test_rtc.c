/* SPDX-License-Identifier: BSD-3-Clause */
/* The clock: what a driver reads, sets and cannot break. */
#include <time.h>

#include <vcore/platform.h>

#include "platform/calendar.h"
#include "platform/part.h"
#include "support/ports.h"
#include "support/support.h"

static struct vcore_bus *pio;
static struct vcore_rtc *rtc;

static uint32_t
get(uint32_t index)
{
	out(pio, 0x70, 1, index);
	return (uint32_t)in(pio, 0x71, 1);
}

static void
set(uint32_t index, uint32_t val)
{
	out(pio, 0x70, 1, index);
	out(pio, 0x71, 1, val);
}

static void
make(int64_t offset)
{
	struct vcore_rtc_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	o.offset_s = offset;
	o.memory_low = UINT64_C(3) << 30;
	o.memory_high = UINT64_C(5) << 30;
	ck_assert_ok(vcore_rtc_new(&o, &rtc));
}

static void
setup(void)
{
	pio = new_bus(VCORE_BUS_PIO);
	make(0);
}

static void
teardown(void)
{
	vcore_rtc_free(rtc);
	ck_assert_uint_eq(ranges_on(pio), 0);
	vcore_bus_unref(pio);
}

static uint32_t
bcd(uint32_t v)
{
	return v / 10 * 16 + v % 10;
}

static uint32_t
unbcd(uint32_t v)
{
	return v / 16 * 10 + v % 16;
}

/* As drivers do it: again until the seconds stand still. */
static int64_t
clock_s(bool binary)
{
	struct vcore__calendar c;
	uint32_t second, v[7];
	static const uint8_t reg[] = { 0, 2, 4, 7, 8, 9, 0x32 };
	int i;

	do {
		while (get(10) & 0x80)
			;
		second = get(0);
		for (i = 0; i < 7; i++) {
			v[i] = get(reg[i]);
			if (!binary)
				v[i] = unbcd(v[i]);
		}
	} while (get(0) != second);
	c = (struct vcore__calendar){ .second = v[0], .minute = v[1],
				      .hour = v[2], .day = v[3],
				      .month = v[4],
				      .year = v[6] * 100 + v[5] };
	return vcore__calendar_to_seconds(&c);
}

/* The clock shows what is between two looks at the host's. */
static void
ck_clock(bool binary, int64_t ahead)
{
	int64_t before = time(NULL), seen = clock_s(binary) - ahead;

	/* Both are CLOCK_REALTIME; time() may be a tick behind. */
	ck_assert_int_ge(seen, before);
	ck_assert_int_le(seen, time(NULL) + 1);
}

START_TEST(test_clock_shows_host_time_in_bcd)
{
	ck_assert_uint_eq(get(11), 0x02);
	ck_assert_uint_eq(get(13), 0x80);
	ck_clock(false, 0);
}
END_TEST

START_TEST(test_clock_shows_host_time_in_binary)
{
	set(11, 0x06);
	ck_clock(true, 0);
}
END_TEST

START_TEST(test_offset_is_added)
{
	vcore_rtc_free(rtc);
	make(-86400 * 400);
	ck_clock(false, -86400 * 400);
}
END_TEST

/* 2040-02-29 23:58:57, a Wednesday. */
static void
set_2040(uint32_t b, uint32_t hour)
{
	bool binary = (b & 4) != 0;

	set(11, b | 0x80);
	set(0, binary ? 57 : 0x57);
	set(2, binary ? 58 : 0x58);
	set(4, hour);
	set(7, binary ? 29 : 0x29);
	set(8, 2);
	set(9, binary ? 40 : 0x40);
	set(0x32, binary ? 20 : 0x20);
	set(11, b);
}

#define T2040 INT64_C(2214172737)

START_TEST(test_guest_sets_the_clock)
{
	/* B, and 23 hours as it is written in that mode. */
	static const uint32_t mode[][2] = {
		{ 0x02, 0x23 }, { 0x06, 23 }, { 0x00, 0x91 }, { 0x04, 0x8b },
	};
	int64_t before, seen;

	before = time(NULL);
	set_2040(mode[_i][0], mode[_i][1]);
	set(11, 0x06);
	seen = clock_s(true);
	ck_assert_int_ge(seen, T2040);
	ck_assert_int_le(seen, T2040 + 1 + (time(NULL) - before));
	ck_assert_uint_eq(get(6), 4);
}
END_TEST

START_TEST(test_twelve_hours_of_midnight_and_noon)
{
	/* Hour written in 24 h, BCD; what 12 h BCD shows. */
	static const uint32_t want[][2] = {
		{ 0x00, 0x12 }, { 0x01, 0x01 }, { 0x11, 0x11 },
		{ 0x12, 0x92 }, { 0x13, 0x81 }, { 0x23, 0x91 },
	};

	set(11, 0x82);
	set(0, 0);
	set(2, 0);
	set(4, want[_i][0]);
	set(11, 0x02);
	set(11, 0x00);
	ck_assert_uint_eq(get(4), want[_i][1]);
}
END_TEST

START_TEST(test_setting_holds_the_registers)
{
	set(11, 0x82);
	set(0, 0x31);
	ck_assert_uint_eq(get(0), 0x31);
	ck_assert_uint_eq(get(10) & 0x80, 0);
	set(9, 0x99);
	ck_assert_uint_eq(get(9), 0x99);
	set(11, 0x02);
	ck_assert_uint_eq(get(9), 0x99);
}
END_TEST

START_TEST(test_one_field_is_set_while_running)
{
	set(9, bcd(35));
	set(0x32, 0x20);
	ck_assert_uint_eq(get(9), 0x35);
	ck_assert_uint_eq(get(0x32), 0x20);
}
END_TEST

START_TEST(test_interrupts_cannot_be_enabled)
{
	set(11, 0x72);
	ck_assert_uint_eq(get(11), 0x02);
	set(12, 0xff);
	ck_assert_uint_eq(get(12), 0);
	set(13, 0);
	ck_assert_uint_eq(get(13), 0x80);
	set(10, 0xff);
	ck_assert_uint_eq(get(10) & 0x7f, 0x7f);
}
END_TEST

START_TEST(test_memory_sizes_are_shown)
{
	ck_assert_uint_eq(get(0x15) | get(0x16) << 8, 640);
	ck_assert_uint_eq(get(0x17) | get(0x18) << 8, 0xffff);
	ck_assert_uint_eq(get(0x30) | get(0x31) << 8, 0xffff);
	/* 3 GiB less 16 MiB, in 64 KiB. */
	ck_assert_uint_eq(get(0x34) | get(0x35) << 8, 0xbf00);
	ck_assert_uint_eq(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16,
			  0x14000);
}
END_TEST

START_TEST(test_cmos_keeps_bytes_over_reset)
{
	struct vcore__part part;
	uint32_t i;

	for (i = 0x40; i < 0x58; i++)
		set(i, i ^ 0xff);
	set(11, 0x86);
	vcore__rtc_part(rtc, &part);
	ck_assert_uint_eq(part.ops->rank, VCORE__RANK_PLATFORM);
	part.ops->reset(part.p);
	ck_assert_uint_eq(get(11), 0x02);
	for (i = 0x40; i < 0x58; i++)
		ck_assert_uint_eq(get(i), i ^ 0xff);
}
END_TEST

START_TEST(test_index_wraps_and_is_not_readable)
{
	set(0x50, 0x5a);
	ck_assert_uint_eq(get(0xd0), 0x5a);
	ck_assert_uint_eq(in(pio, 0x70, 1), 0xff);
	/* Both ports at once: index first. */
	ck_assert_uint_eq(in(pio, 0x70, 2), 0x5aff);
	out(pio, 0x70, 2, 0x3351);
	ck_assert_uint_eq(get(0x51), 0x33);
}
END_TEST

START_TEST(test_any_bytes_leave_a_clock_that_can_be_set)
{
	uint32_t i, b;

	for (b = 0; b < 256; b += 3)
		for (i = 0; i < 128; i++) {
			set(11, 0x80 | b);
			set(i, b ^ i * 7);
			set(11, b & 0x7f);
			(void)get(i);
		}
	poke_everywhere(pio, 0x70, 2);
	set_2040(0x06, 23);
	ck_assert_int_ge(clock_s(true), T2040);
}
END_TEST

START_TEST(test_bad_clocks_are_refused)
{
	struct vcore_rtc *r = NULL;
	struct vcore_rtc_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	ck_assert_error(vcore_rtc_new(NULL, &r), -EINVAL, "vcore_rtc_new: ");
	ck_assert_error(vcore_rtc_new(&o, NULL), -EINVAL, "vcore_rtc_new: ");
	ck_assert_error(vcore_rtc_new(&o, &r), -EEXIST, "vcore_rtc_new: ");
	o.flags = 1;
	ck_assert_error(vcore_rtc_new(&o, &r), -E2BIG, "vcore_rtc_new: ");
	o.flags = 0;
	o.offset_s = INT64_MIN;
	ck_assert_error(vcore_rtc_new(&o, &r), -EINVAL, "vcore_rtc_new: ");
	o.offset_s = 0;
	o.pio = NULL;
	ck_assert_error(vcore_rtc_new(&o, &r), -EINVAL, "vcore_rtc_new: ");
	o.size = 0;
	ck_assert_error(vcore_rtc_new(&o, &r), -EINVAL, "vcore_rtc_new: ");
	ck_assert_error(vcore_rtc_describe(rtc, NULL), -EINVAL,
			"vcore_rtc_describe: ");
	ck_assert_error(vcore_rtc_describe(NULL, NULL), -EINVAL,
			"vcore_rtc_describe: ");
	ck_assert_ptr_null(r);
	vcore_rtc_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rtc");
	TCase *t = tcase_create("rtc");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_clock_shows_host_time_in_bcd);
	tcase_add_test(t, test_clock_shows_host_time_in_binary);
	tcase_add_test(t, test_offset_is_added);
	tcase_add_loop_test(t, test_guest_sets_the_clock, 0, 4);
	tcase_add_loop_test(t, test_twelve_hours_of_midnight_and_noon, 0, 6);
	tcase_add_test(t, test_setting_holds_the_registers);
	tcase_add_test(t, test_one_field_is_set_while_running);
	tcase_add_test(t, test_interrupts_cannot_be_enabled);
	tcase_add_test(t, test_memory_sizes_are_shown);
	tcase_add_test(t, test_cmos_keeps_bytes_over_reset);
	tcase_add_test(t, test_index_wraps_and_is_not_readable);
	tcase_add_test(t, test_any_bytes_leave_a_clock_that_can_be_set);
	tcase_add_test(t, test_bad_clocks_are_refused);
	suite_add_tcase(s, t);
	return support_run(s);
}
