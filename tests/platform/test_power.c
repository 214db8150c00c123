/* SPDX-License-Identifier: BSD-3-Clause */
/* Reset, power-off and panic: which writes post which event. */
#include <vcore/platform.h>

#include "platform/part.h"
#include "support/ports.h"
#include "support/support.h"

static struct vcore_bus *pio;
static struct vcore_events *events;
static struct vcore_power *power;

static void
make(uint32_t flags)
{
	struct vcore_power_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	o.events = events;
	o.flags = flags;
	ck_assert_ok(vcore_power_new(&o, &power));
}

static void
setup(void)
{
	pio = new_bus(VCORE_BUS_PIO);
	ck_assert_ok(vcore_events_new(NULL, &events));
	make(VCORE_POWER_CF9);
}

static void
teardown(void)
{
	vcore_power_free(power);
	ck_assert_uint_eq(ranges_on(pio), 0);
	vcore_events_unref(events);
	vcore_bus_unref(pio);
}

static void
ck_event(uint32_t kind, uint64_t value)
{
	uint64_t seen = 0;

	ck_assert_uint_eq(next_event(events, &seen), kind);
	if (kind != VCORE_EVENT_POWEROFF)
		ck_assert_uint_eq(seen, value);
	ck_assert_uint_eq(next_event(events, NULL), 0);
}

START_TEST(test_keyboard_controller_resets)
{
	ck_assert_uint_eq(in(pio, 0x64, 1), 0);
	ck_assert_uint_eq(in(pio, 0x60, 1), 0);
	out(pio, 0x64, 1, 0xd1);
	out(pio, 0x60, 1, 0xfe);
	ck_assert_uint_eq(next_event(events, NULL), 0);
	out(pio, 0x64, 1, 0xfe);
	ck_event(VCORE_EVENT_RESET, VCORE_RESET_I8042);
}
END_TEST

START_TEST(test_cf9_resets_on_a_rising_bit)
{
	out(pio, 0xcf9, 1, 0x02);
	ck_assert_uint_eq(next_event(events, NULL), 0);
	ck_assert_uint_eq(in(pio, 0xcf9, 1), 0x02);
	out(pio, 0xcf9, 1, 0x06);
	ck_event(VCORE_EVENT_RESET, VCORE_RESET_CF9);
	out(pio, 0xcf9, 1, 0x0e);
	ck_assert_uint_eq(next_event(events, NULL), 0);
	out(pio, 0xcf9, 1, 0x00);
	out(pio, 0xcf9, 1, 0x04);
	ck_event(VCORE_EVENT_RESET, VCORE_RESET_CF9);
}
END_TEST

START_TEST(test_acpi_reset_register_resets)
{
	out(pio, 0x602, 1, 0);
	out(pio, 0x602, 1, 2);
	ck_assert_uint_eq(next_event(events, NULL), 0);
	out(pio, 0x602, 1, 1);
	ck_event(VCORE_EVENT_RESET, VCORE_RESET_ACPI);
	/* The same register as part of a wide access. */
	out(pio, 0x600, 4, 0x010000);
	ck_event(VCORE_EVENT_RESET, VCORE_RESET_ACPI);
}
END_TEST

START_TEST(test_sleep_control_powers_off_for_s5_only)
{
	uint32_t type;

	for (type = 0; type < 8; type++) {
		out(pio, 0x600, 1, type << 2);
		if (type != 5)
			out(pio, 0x600, 1, type << 2 | 0x20);
	}
	ck_assert_uint_eq(next_event(events, NULL), 0);
	out(pio, 0x600, 1, 5 << 2 | 0x20);
	ck_event(VCORE_EVENT_POWEROFF, 0);
	ck_assert_uint_eq(in(pio, 0x601, 1), 0);
}
END_TEST

START_TEST(test_pvpanic_tells)
{
	ck_assert_uint_eq(in(pio, 0x505, 1), 1);
	out(pio, 0x505, 1, 2);
	ck_assert_uint_eq(next_event(events, NULL), 0);
	out(pio, 0x505, 1, 1);
	ck_event(VCORE_EVENT_PANIC, 1);
}
END_TEST

START_TEST(test_parts_may_be_left_out)
{
	uint64_t val;

	vcore_power_free(power);
	make(VCORE_POWER_NO_I8042 | VCORE_POWER_NO_PVPANIC);
	ck_assert_int_eq(vcore_bus_read(pio, 0x64, 1, &val), -ENOENT);
	ck_assert_int_eq(vcore_bus_read(pio, 0x60, 1, &val), -ENOENT);
	ck_assert_int_eq(vcore_bus_read(pio, 0x505, 1, &val), -ENOENT);
	ck_assert_int_eq(vcore_bus_read(pio, 0xcf9, 1, &val), -ENOENT);
	ck_assert_uint_eq(ranges_on(pio), 1);
}
END_TEST

START_TEST(test_a_storm_is_one_event)
{
	struct vcore_event e;
	int i;

	for (i = 0; i < 10000; i++)
		out(pio, 0x64, 1, 0xfe);
	VCORE_INIT(&e);
	ck_assert_int_eq(vcore_events_next(events, &e), 1);
	ck_assert_uint_eq(e.count, 10000);
	ck_assert_uint_eq(next_event(events, NULL), 0);
}
END_TEST

START_TEST(test_any_access_is_survived)
{
	poke_everywhere(pio, 0x60, 8);
	poke_everywhere(pio, 0x505, 1);
	poke_everywhere(pio, 0x600, 4);
	poke_everywhere(pio, 0xcf9, 1);
	while (next_event(events, NULL))
		;
	out(pio, 0x64, 1, 0xfe);
	ck_event(VCORE_EVENT_RESET, VCORE_RESET_I8042);
}
END_TEST

START_TEST(test_reset_clears_cf9)
{
	struct vcore__part part;

	out(pio, 0xcf9, 1, 0x06);
	vcore__power_part(power, &part);
	part.ops->reset(part.p);
	ck_assert_uint_eq(in(pio, 0xcf9, 1), 0);
}
END_TEST

START_TEST(test_taken_port_returns_eexist_and_undoes_the_rest)
{
	struct vcore_power *p = NULL;
	struct vcore_power_opts o;
	uint32_t before = ranges_on(pio);

	VCORE_INIT(&o);
	o.pio = pio;
	o.events = events;
	o.base = 0x700;
	ck_assert_error(vcore_power_new(&o, &p), -EEXIST, "vcore_power_new: ");
	ck_assert_uint_eq(ranges_on(pio), before);
	ck_assert_ptr_null(p);
}
END_TEST

START_TEST(test_bad_options_are_refused)
{
	struct vcore_power *p = NULL;
	struct vcore_power_opts o;

	VCORE_INIT(&o);
	o.pio = pio;
	o.events = events;
	ck_assert_error(vcore_power_new(NULL, &p), -EINVAL,
			"vcore_power_new: ");
	ck_assert_error(vcore_power_new(&o, NULL), -EINVAL,
			"vcore_power_new: ");
	o.base = 0x602;
	ck_assert_error(vcore_power_new(&o, &p), -EINVAL, "vcore_power_new: ");
	o.base = 0x10000;
	ck_assert_error(vcore_power_new(&o, &p), -EINVAL, "vcore_power_new: ");
	o.base = 0;
	o.flags = 1u << 31;
	ck_assert_error(vcore_power_new(&o, &p), -E2BIG, "vcore_power_new: ");
	o.flags = 0;
	o.events = NULL;
	ck_assert_error(vcore_power_new(&o, &p), -EINVAL, "vcore_power_new: ");
	o.size = 3;
	ck_assert_error(vcore_power_new(&o, &p), -EINVAL, "vcore_power_new: ");
	ck_assert_error(vcore_power_describe(power, NULL), -EINVAL,
			"vcore_power_describe: ");
	ck_assert_error(vcore_power_describe(NULL, NULL), -EINVAL,
			"vcore_power_describe: ");
	ck_assert_ptr_null(p);
	vcore_power_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("power");
	TCase *t = tcase_create("power");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_keyboard_controller_resets);
	tcase_add_test(t, test_cf9_resets_on_a_rising_bit);
	tcase_add_test(t, test_acpi_reset_register_resets);
	tcase_add_test(t, test_sleep_control_powers_off_for_s5_only);
	tcase_add_test(t, test_pvpanic_tells);
	tcase_add_test(t, test_parts_may_be_left_out);
	tcase_add_test(t, test_a_storm_is_one_event);
	tcase_add_test(t, test_any_access_is_survived);
	tcase_add_test(t, test_reset_clears_cf9);
	tcase_add_test(t,
		       test_taken_port_returns_eexist_and_undoes_the_rest);
	tcase_add_test(t, test_bad_options_are_refused);
	suite_add_tcase(s, t);
	return support_run(s);
}
