/* SPDX-License-Identifier: BSD-3-Clause */
/* Dates and seconds, compared with the C library's. */
#include "platform/calendar.h"

#include <time.h>

#include "support/support.h"

static bool
agrees(int64_t seconds)
{
	struct vcore__calendar c;
	time_t t = (time_t)seconds;
	struct tm tm;

	vcore__calendar_from_seconds(&c, seconds);
	return gmtime_r(&t, &tm) && c.year == (uint32_t)tm.tm_year + 1900 &&
	       c.month == (uint32_t)tm.tm_mon + 1 &&
	       c.day == (uint32_t)tm.tm_mday &&
	       c.weekday == (uint32_t)tm.tm_wday + 1 &&
	       c.hour == (uint32_t)tm.tm_hour &&
	       c.minute == (uint32_t)tm.tm_min &&
	       c.second == (uint32_t)tm.tm_sec &&
	       vcore__calendar_to_seconds(&c) == seconds;
}

START_TEST(test_each_day_of_1600_years_agrees)
{
	int64_t day = -281234, seconds = day * 86400;

	/* From 1200 to 2800, at a time of day that moves. */
	while (day < 303151 && agrees(seconds)) {
		day++;
		seconds = day * 86400 + (day & 0xffff);
	}
	ck_assert_int_eq(day, 303151);
}
END_TEST

START_TEST(test_ends_of_the_calendar_agree)
{
	ck_assert(agrees(INT64_C(-62167219200)));
	ck_assert(agrees(INT64_C(253402300799)));
	ck_assert(agrees(0));
	ck_assert(agrees(-1));
}
END_TEST

START_TEST(test_times_out_of_range_are_cut)
{
	struct vcore__calendar c;

	vcore__calendar_from_seconds(&c, INT64_MIN);
	ck_assert_uint_eq(c.year, 0);
	ck_assert_uint_eq(c.month, 1);
	vcore__calendar_from_seconds(&c, INT64_MAX);
	ck_assert_uint_eq(c.year, 9999);
	ck_assert_uint_eq(c.second, 59);
}
END_TEST

START_TEST(test_fields_out_of_range_count_on)
{
	/* 2023-14-31 25:61:61 is 2024-02-31 and so 2024-03-03. */
	struct vcore__calendar odd = { .year = 2023, .month = 14, .day = 31,
				       .hour = 25, .minute = 61,
				       .second = 61 };
	struct vcore__calendar c;

	vcore__calendar_from_seconds(&c, vcore__calendar_to_seconds(&odd));
	ck_assert_uint_eq(c.year, 2024);
	ck_assert_uint_eq(c.month, 3);
	ck_assert_uint_eq(c.day, 3);
	ck_assert_uint_eq(c.hour, 2);
	ck_assert_uint_eq(c.minute, 2);
	ck_assert_uint_eq(c.second, 1);
}
END_TEST

START_TEST(test_any_bytes_give_a_number)
{
	struct vcore__calendar c = { 0, 0, 0, 0, 0, 0, 0 };
	struct vcore__calendar most = { 25755, 255, 255, 255, 255, 255, 255 };

	ck_assert_int_lt(vcore__calendar_to_seconds(&c),
			 VCORE__CALENDAR_MAX);
	ck_assert_int_gt(vcore__calendar_to_seconds(&most), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("calendar");
	TCase *t = tcase_create("calendar");

	tcase_add_test(t, test_each_day_of_1600_years_agrees);
	tcase_add_test(t, test_ends_of_the_calendar_agree);
	tcase_add_test(t, test_times_out_of_range_are_cut);
	tcase_add_test(t, test_fields_out_of_range_count_on);
	tcase_add_test(t, test_any_bytes_give_a_number);
	suite_add_tcase(s, t);
	return support_run(s);
}
