/* SPDX-License-Identifier: BSD-3-Clause */
/* Dates and seconds, without time zones and for any numbers a guest writes. */
#ifndef VCORE_LIB_PLATFORM_CALENDAR_H
#define VCORE_LIB_PLATFORM_CALENDAR_H

#include <stdint.h>

/* Seconds that calendars reach to, both ways from 1970: 5,000 years or so. */
#define VCORE__CALENDAR_MAX INT64_C(160000000000)

struct vcore__calendar {
	uint32_t year;		/* 0 up to 9999 */
	uint32_t month;		/* 1 up to 12 */
	uint32_t day;		/* 1 up to 31 */
	uint32_t weekday;	/* 1: Sunday */
	uint32_t hour, minute, second;
};

/* Times out of range give the nearest that is in it. */
void vcore__calendar_from_seconds(struct vcore__calendar *c, int64_t seconds);
/* Fields may be out of their ranges, up to 65535; weekday is not used. */
int64_t vcore__calendar_to_seconds(const struct vcore__calendar *c);

#endif
