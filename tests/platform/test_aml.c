/* SPDX-License-Identifier: BSD-3-Clause */
/* The AML writer's bytes, as ACPI 6.4 spells them. */
#include "platform/aml.h"

#include "support/support.h"

static struct vcore__aml a;

static void
setup(void)
{
	memset(&a, 0, sizeof(a));
}

static void
teardown(void)
{
	vcore__aml_fini(&a);
}

#define ck_bytes(...)                                                  \
	do {                                                           \
		static const uint8_t want_[] = { __VA_ARGS__ };        \
		ck_assert_int_eq(a.rc, 0);                             \
		ck_assert_uint_eq(a.len, sizeof(want_));               \
		ck_assert_mem_eq(a.buf, want_, sizeof(want_));         \
		a.len = 0;                                             \
	} while (0)

START_TEST(test_integers_take_their_shortest_form)
{
	vcore__aml_integer(&a, 0);
	ck_bytes(0x00);
	vcore__aml_integer(&a, 1);
	ck_bytes(0x01);
	vcore__aml_integer(&a, 0xff);
	ck_bytes(0x0a, 0xff);
	vcore__aml_integer(&a, 0x100);
	ck_bytes(0x0b, 0x00, 0x01);
	vcore__aml_integer(&a, 0x10000);
	ck_bytes(0x0c, 0x00, 0x00, 0x01, 0x00);
	vcore__aml_integer(&a, UINT64_C(0x100000000));
	ck_bytes(0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}
END_TEST

START_TEST(test_strings_and_ids)
{
	vcore__aml_string(&a, "AB");
	ck_bytes(0x0d, 'A', 'B', 0);
	/* The specification's own example: PNP0303 is 0x0303d041. */
	vcore__aml_eisaid(&a, "PNP0303");
	ck_bytes(0x0c, 0x41, 0xd0, 0x03, 0x03);
	vcore__aml_eisaid(&a, "PNP0A08");
	ck_bytes(0x0c, 0x41, 0xd0, 0x0a, 0x08);
}
END_TEST

START_TEST(test_names_have_their_prefixes)
{
	vcore__aml_name_integer(&a, "_UID", 1);
	ck_bytes(0x08, '_', 'U', 'I', 'D', 1);
	vcore__aml_name_integer(&a, "\\_SB_.ABCD", 0);
	ck_bytes(0x08, '\\', 0x2e, '_', 'S', 'B', '_', 'A', 'B', 'C', 'D', 0);
	vcore__aml_name_integer(&a, "AAAA.BBBB.CCCC", 0);
	ck_bytes(0x08, 0x2f, 3, 'A', 'A', 'A', 'A', 'B', 'B', 'B', 'B', 'C',
		 'C', 'C', 'C', 0);
	vcore__aml_name_string(&a, "_HID", "X");
	ck_bytes(0x08, '_', 'H', 'I', 'D', 0x0d, 'X', 0);
	vcore__aml_name_eisaid(&a, "_HID", "PNP0303");
	ck_bytes(0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x03, 0x03);
}
END_TEST

START_TEST(test_containers_nest)
{
	size_t scope = vcore__aml_scope(&a, "\\_SB_");
	size_t device = vcore__aml_device(&a, "DEV0");
	size_t method = vcore__aml_method(&a, "_STA", 0);

	vcore__aml_return_integer(&a, 15);
	vcore__aml_end(&a, method);
	vcore__aml_end(&a, device);
	vcore__aml_end(&a, scope);
	ck_bytes(0x10, 23, '\\', '_', 'S', 'B', '_', 0x5b, 0x82, 15, 'D', 'E',
		 'V', '0', 0x14, 9, '_', 'S', 'T', 'A', 0, 0xa4, 0x0a, 15);
}
END_TEST

START_TEST(test_package_length_counts_itself)
{
	/* Bytes inside, bytes of length, first byte. */
	static const size_t want[][3] = {
		{ 62, 1, 63 }, { 63, 2, 0x41 }, { 4093, 2, 0x4f },
		{ 4094, 3, 0x81 }, { 1048572, 3, 0x8f },
		{ 1048573, 4, 0xc1 },
	};
	size_t n = want[_i][0], len, i, mark;

	vcore__aml_string(&a, "");	/* something stands before */
	mark = a.len;
	for (i = 0; i < n; i++)
		vcore__aml_bytes(&a, "x", 1);
	vcore__aml_end(&a, mark);
	ck_assert_uint_eq(a.len, mark + n + want[_i][1]);
	ck_assert_uint_eq(a.buf[mark], want[_i][2]);
	len = want[_i][1] == 1 ? a.buf[mark] : a.buf[mark] & 15;
	for (i = 1; i < want[_i][1]; i++)
		len |= (size_t)a.buf[mark + i] << (8 * i - 4);
	ck_assert_uint_eq(len, n + want[_i][1]);
	ck_assert_uint_eq(a.buf[mark + want[_i][1]], 'x');
}
END_TEST

START_TEST(test_resources_have_size_and_end_tag)
{
	size_t r = vcore__aml_resources(&a);

	vcore__aml_io(&a, 0x3f8, 8);
	vcore__aml_resources_end(&a, r);
	ck_bytes(0x11, 13, 0x0a, 10, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x79,
		 0);
	vcore__aml_memory32(&a, 0xd0000000, 0x200);
	ck_bytes(0x86, 9, 0, 1, 0, 0, 0, 0xd0, 0, 2, 0, 0);
	vcore__aml_interrupt_edge(&a, 5);
	ck_bytes(0x89, 6, 0, 3, 1, 5, 0, 0, 0);
	vcore__aml_bus_numbers(&a, 0, 255);
	ck_bytes(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 1);
}
END_TEST

START_TEST(test_truncate_forgets_a_failure)
{
	vcore__aml_string(&a, "kept");
	vcore__aml_string(&a, "not");
	a.rc = -12;
	vcore__aml_string(&a, "ignored");
	vcore__aml_end(&a, 0);
	vcore__aml_truncate(&a, 6);
	ck_bytes(0x0d, 'k', 'e', 'p', 't', 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("aml");
	TCase *t = tcase_create("aml");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_integers_take_their_shortest_form);
	tcase_add_test(t, test_strings_and_ids);
	tcase_add_test(t, test_names_have_their_prefixes);
	tcase_add_test(t, test_containers_nest);
	tcase_add_loop_test(t, test_package_length_counts_itself, 0, 6);
	tcase_add_test(t, test_resources_have_size_and_end_tag);
	tcase_add_test(t, test_truncate_forgets_a_failure);
	suite_add_tcase(s, t);
	return support_run(s);
}
