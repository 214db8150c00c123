/* SPDX-License-Identifier: BSD-3-Clause */
/* Dates and seconds of the proleptic Gregorian calendar. */
#include "platform/calendar.h"

#define DAY_S      INT64_C(86400)
#define FIRST      INT64_C(-62167219200)	/* 0000-01-01 00:00:00 */
#define LAST       INT64_C(253402300799)	/* 9999-12-31 23:59:59 */
#define ERA_DAYS   INT64_C(146097)		/* of 400 years */
#define EPOCH_DAYS INT64_C(719468)		/* 0000-03-01 to 1970-01-01 */

/* Years begin in March here, so that a leap day is a year's last. */
static int64_t
days_of(int64_t year, uint32_t month, uint32_t day)
{
	int64_t y = year - (month <= 2);
	int64_t m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 +
	       (int64_t)day - 1 - EPOCH_DAYS;
}

int64_t
vcore__calendar_to_seconds(const struct vcore__calendar *c)
{
	/* 400 years up, so that divisions don't meet negative years. */
	uint32_t month = c->month ? c->month - 1 : 0;
	int64_t year = (int64_t)c->year + month / 12 + 400;
	int64_t days = days_of(year, month % 12 + 1, c->day) - ERA_DAYS;

	return days * DAY_S + (int64_t)c->hour * 3600 +
	       (int64_t)c->minute * 60 + (int64_t)c->second;
}

void
vcore__calendar_from_seconds(struct vcore__calendar *c, int64_t seconds)
{
	int64_t days, rest, of_era, era, year, of_year, m;

	if (seconds < FIRST)
		seconds = FIRST;
	if (seconds > LAST)
		seconds = LAST;
	days = (seconds - FIRST) / DAY_S;	/* since 0000-01-01 */
	rest = (seconds - FIRST) % DAY_S;
	c->hour = (uint32_t)(rest / 3600);
	c->minute = (uint32_t)(rest / 60 % 60);
	c->second = (uint32_t)(rest % 60);
	c->weekday = (uint32_t)((days + 6) % 7 + 1);	/* it was a Saturday */
	days += ERA_DAYS - 60;			/* since -0400-03-01 */
	era = days / ERA_DAYS;
	of_era = days % ERA_DAYS;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
	       365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	m = (5 * of_year + 2) / 153;
	c->day = (uint32_t)(of_year - (153 * m + 2) / 5 + 1);
	c->month = (uint32_t)(m < 10 ? m + 3 : m - 9);
	c->year = (uint32_t)(year + era * 400 - 400 + (c->month <= 2));
}
