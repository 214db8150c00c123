/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells: which writes ring, and what listeners hear. */
#include "bus/bus.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ck_text(prefix)                                                      \
	ck_assert_msg(!strncmp(vcore_error_text(), prefix, strlen(prefix)),  \
		      "text is \"%s\"", vcore_error_text())

static struct vcore_bus *bus;
static int efd[2];
static uint32_t reads, writes;

static void
setup(void)
{
	int i;

	ck_assert_int_eq(vcore_bus_new(NULL, &bus), 0);
	for (i = 0; i < 2; i++) {
		efd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ck_assert_int_ge(efd[i], 0);
	}
	reads = writes = 0;
}

static void
teardown(void)
{
	close(efd[0]);
	close(efd[1]);
	vcore_bus_unref(bus);
}

/* How often a bell rang since the last look. */
static uint64_t
rung(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

static int
bell(uint64_t addr, uint32_t len, uint32_t flags, uint64_t value, int fd,
     struct vcore_range **range)
{
	struct vcore_doorbell_opts o;

	VCORE_INIT(&o);
	o.addr = addr;
	o.len = len;
	o.flags = flags;
	o.value = value;
	return vcore_bus_add_doorbell(bus, &o, fd, range);
}

static int
count_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	   struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	reads++;
	return 0;
}

static int
count_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	    struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)val;
	(void)later;
	writes++;
	return 0;
}

static struct vcore_range *
handler(uint64_t base, uint64_t len)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = count_read, .write = count_write,
	};
	struct vcore_range *range = NULL;
	struct vcore_range_opts o;

	VCORE_INIT(&o);
	o.base = base;
	o.len = len;
	o.ops = &ops;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), 0);
	return range;
}

START_TEST(test_write_rings_and_read_is_unclaimed)
{
	struct vcore_bus_info i;
	struct vcore_range *b;
	uint64_t val;

	ck_assert_int_eq(bell(0x10, 4, 0, 0, efd[0], &b), 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x10, 4, 77), 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x10, 4, 78), 0);
	ck_assert_uint_eq(rung(efd[0]), 2);
	ck_assert_int_eq(vcore_bus_read(bus, 0x10, 4, &val), -ENOENT);
	ck_assert_int_eq(vcore_bus_write(bus, 0x10, 2, 77), -ENOENT);
	ck_assert_int_eq(vcore_bus_write(bus, 0x11, 4, 77), -ENOENT);
	ck_assert_uint_eq(rung(efd[0]), 0);
	VCORE_INIT(&i);
	ck_assert_int_eq(vcore_bus_get_info(bus, &i), 0);
	ck_assert_uint_eq(i.doorbells, 2);
	ck_assert_uint_eq(i.ranges, 1);
	vcore_range_remove(b);
	ck_assert_int_eq(vcore_bus_write(bus, 0x10, 4, 77), -ENOENT);
}
END_TEST

START_TEST(test_bell_over_a_handler_takes_matching_writes_only)
{
	struct vcore_range *h, *b;
	uint64_t val;

	h = handler(0, 0x100);
	ck_assert_int_eq(bell(0x50, 4, VCORE_DOORBELL_MATCH, 1, efd[0], &b),
			 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 4, 1), 0);
	ck_assert_uint_eq(writes, 0);
	ck_assert_uint_eq(rung(efd[0]), 1);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 4, 2), 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 2, 1), 0);
	ck_assert_uint_eq(writes, 2);
	ck_assert_int_eq(vcore_bus_read(bus, 0x50, 4, &val), 0);
	ck_assert_uint_eq(reads, 1);
	ck_assert_uint_eq(rung(efd[0]), 0);
	vcore_range_remove(b);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 4, 1), 0);
	ck_assert_uint_eq(writes, 3);
	vcore_range_remove(h);
}
END_TEST

START_TEST(test_bell_may_come_before_the_handler_and_outlive_it)
{
	struct vcore_range *h, *b;

	ck_assert_int_eq(bell(0x50, 0, 0, 0, efd[0], &b), 0);
	h = handler(0, 0x100);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 8, 1), 0);
	vcore_range_remove(h);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 1, 1), 0);
	ck_assert_uint_eq(writes, 0);
	ck_assert_uint_eq(rung(efd[0]), 2);
	vcore_range_remove(b);
}
END_TEST

START_TEST(test_match_values_share_an_address)
{
	struct vcore_range *b[64];
	uint32_t i;

	for (i = 0; i < 64; i++)
		ck_assert_int_eq(bell(0x50, 2, VCORE_DOORBELL_MATCH, i,
				      efd[i & 1], &b[i]),
				 0);
	for (i = 0; i < 64; i++)
		ck_assert_int_eq(vcore_bus_write(bus, 0x50, 2, i), 0);
	ck_assert_uint_eq(rung(efd[0]), 32);
	ck_assert_uint_eq(rung(efd[1]), 32);
	/* From the middle, the ends, then the rest. */
	vcore_range_remove(b[30]);
	vcore_range_remove(b[0]);
	vcore_range_remove(b[63]);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 2, 30), -ENOENT);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 2, 29), 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 2, 62), 0);
	ck_assert_uint_eq(rung(efd[1]), 1);
	for (i = 1; i < 63; i++)
		if (i != 30)
			vcore_range_remove(b[i]);
	ck_assert_int_eq(bell(0x50, 0, 0, 0, efd[0], &b[0]), 0);
	vcore_range_remove(b[0]);
}
END_TEST

START_TEST(test_ambiguous_bell_returns_eexist)
{
	struct vcore_range *a, *b, *c = NULL;

	ck_assert_int_eq(bell(0x50, 2, VCORE_DOORBELL_MATCH, 5, efd[0], &a),
			 0);
	ck_assert_int_eq(bell(0x50, 2, VCORE_DOORBELL_MATCH, 5, efd[1], &c),
			 -EEXIST);
	ck_text("vcore_bus_add_doorbell: ");
	ck_assert_int_eq(bell(0x50, 2, 0, 0, efd[1], &c), -EEXIST);
	ck_assert_int_eq(bell(0x50, 0, 0, 0, efd[1], &c), -EEXIST);
	ck_assert_ptr_null(c);
	/* Another width can't match the same write. */
	ck_assert_int_eq(bell(0x50, 4, 0, 0, efd[1], &b), 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x50, 4, 5), 0);
	ck_assert_uint_eq(rung(efd[1]), 1);
	vcore_range_remove(a);
	vcore_range_remove(b);
}
END_TEST

START_TEST(test_bad_bells_are_refused)
{
	struct vcore_range *b = NULL;
	struct vcore_doorbell_opts o;

	VCORE_INIT(&o);
	ck_assert_int_eq(vcore_bus_add_doorbell(NULL, &o, efd[0], &b),
			 -EINVAL);
	ck_text("vcore_bus_add_doorbell: ");
	ck_assert_int_eq(vcore_bus_add_doorbell(bus, NULL, efd[0], &b),
			 -EINVAL);
	ck_assert_int_eq(vcore_bus_add_doorbell(bus, &o, efd[0], NULL),
			 -EINVAL);
	ck_assert_int_eq(bell(0, 3, 0, 0, efd[0], &b), -EINVAL);
	ck_assert_int_eq(bell(0, 16, 0, 0, efd[0], &b), -EINVAL);
	/* Wraps; a value that no write can have; a match of any length. */
	ck_assert_int_eq(bell(UINT64_MAX, 2, 0, 0, efd[0], &b), -EINVAL);
	ck_assert_int_eq(bell(0, 1, VCORE_DOORBELL_MATCH, 256, efd[0], &b),
			 -EINVAL);
	ck_assert_int_eq(bell(0, 0, VCORE_DOORBELL_MATCH, 0, efd[0], &b),
			 -EINVAL);
	ck_assert_int_eq(bell(0, 4, 2, 0, efd[0], &b), -E2BIG);
	ck_text("vcore_bus_add_doorbell: ");
	o.reserved0 = 1;
	ck_assert_int_eq(vcore_bus_add_doorbell(bus, &o, efd[0], &b), -E2BIG);
	VCORE_INIT(&o);
	o.size = 4;
	ck_assert_int_eq(vcore_bus_add_doorbell(bus, &o, efd[0], &b),
			 -EINVAL);
	ck_assert_int_eq(bell(0, 4, 0, 0, -1, &b), -EBADF);
	ck_text("vcore_bus_add_doorbell: ");
	ck_assert_ptr_null(b);
}
END_TEST

START_TEST(test_ports_bound_bells)
{
	struct vcore_bus_opts bo;
	struct vcore_doorbell_opts o;
	struct vcore_range *b = NULL;
	struct vcore_bus *pio;

	VCORE_INIT(&bo);
	bo.kind = VCORE_BUS_PIO;
	ck_assert_int_eq(vcore_bus_new(&bo, &pio), 0);
	VCORE_INIT(&o);
	o.addr = 0xffff;
	o.len = 2;
	ck_assert_int_eq(vcore_bus_add_doorbell(pio, &o, efd[0], &b), -EINVAL);
	o.len = 1;
	ck_assert_int_eq(vcore_bus_add_doorbell(pio, &o, efd[0], &b), 0);
	vcore_range_remove(b);
	vcore_bus_unref(pio);
}
END_TEST

START_TEST(test_descriptor_is_duplicated)
{
	struct vcore_range *b;
	int own = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), twin = dup(own);

	ck_assert_int_eq(bell(0x10, 4, 0, 0, own, &b), 0);
	close(own);
	ck_assert_int_eq(vcore_bus_write(bus, 0x10, 4, 0), 0);
	ck_assert_uint_eq(rung(twin), 1);
	vcore_range_remove(b);
	close(twin);
}
END_TEST

START_TEST(test_full_counter_does_not_block)
{
	const uint64_t most = UINT64_MAX - 1;
	struct vcore_range *b;

	ck_assert_int_eq(bell(0x10, 4, 0, 0, efd[0], &b), 0);
	ck_assert_int_eq(write(efd[0], &most, sizeof(most)), sizeof(most));
	ck_assert_int_eq(vcore_bus_write(bus, 0x10, 4, 0), 0);
	ck_assert_uint_eq(rung(efd[0]), most);
	vcore_range_remove(b);
}
END_TEST

struct ear {
	const struct vcore__bell *heard[8];
	uint32_t adds, dels;
	int rc;
};

static int
hear_add(void *opaque, const struct vcore__bell *b)
{
	struct ear *e = opaque;

	ck_assert_uint_lt(e->adds, 8);
	e->heard[e->adds++] = b;
	return e->rc;
}

static void
hear_del(void *opaque, const struct vcore__bell *b)
{
	struct ear *e = opaque;
	uint32_t i;

	for (i = 0; i < e->adds; i++)
		if (e->heard[i] == b)
			break;
	ck_assert_uint_lt(i, e->adds);
	e->heard[i] = NULL;
	e->dels++;
}

START_TEST(test_listener_hears_old_and_new_bells)
{
	struct ear ear = { 0 };
	struct vcore__bus_listener l = {
		.bell_add = hear_add, .bell_del = hear_del, .opaque = &ear,
	};
	struct vcore_range *a, *b, *c, *gone, *h = handler(0, 0x100);

	ck_assert_int_eq(bell(0x8, 2, 0, 0, efd[0], &gone), 0);
	ck_assert_int_eq(bell(0x10, 2, VCORE_DOORBELL_MATCH, 1, efd[0], &a),
			 0);
	ck_assert_int_eq(bell(0x10, 2, VCORE_DOORBELL_MATCH, 2, efd[0], &b),
			 0);
	vcore_range_remove(gone);
	ck_assert_int_eq(vcore__bus_listen(bus, &l), 0);
	ck_assert_uint_eq(ear.adds, 2);
	ck_assert_int_eq(bell(0x20, 0, 0, 0, efd[1], &c), 0);
	ck_assert_uint_eq(ear.adds, 3);
	ck_assert_uint_eq(ear.heard[2]->addr, 0x20);
	ck_assert_uint_eq(ear.heard[2]->len, 0);
	ck_assert_uint_eq(ear.heard[2]->kind, VCORE_BUS_MMIO);
	ck_assert_int_ne(ear.heard[2]->efd, efd[1]);
	vcore_range_remove(b);
	ck_assert_uint_eq(ear.dels, 1);
	vcore__bus_unlisten(bus, &l);
	ck_assert_uint_eq(ear.dels, 3);
	vcore_range_remove(a);
	vcore_range_remove(c);
	vcore_range_remove(h);
	ck_assert_uint_eq(ear.dels, 3);
	vcore__bus_unlisten(bus, &l);
}
END_TEST

START_TEST(test_bell_works_when_listener_refuses)
{
	struct ear ear = { .rc = -ENOSPC };
	struct vcore__bus_listener l = {
		.bell_add = hear_add, .bell_del = hear_del, .opaque = &ear,
	};
	struct vcore_range *b;

	ck_assert_int_eq(vcore__bus_listen(bus, &l), 0);
	ck_assert_int_eq(bell(0x10, 2, 0, 0, efd[0], &b), 0);
	ck_assert_int_eq(vcore_bus_write(bus, 0x10, 2, 0), 0);
	ck_assert_uint_eq(rung(efd[0]), 1);
	vcore_range_remove(b);
	ck_assert_uint_eq(ear.dels, 1);
	vcore__bus_unlisten(bus, &l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("doorbell");
	TCase *t = tcase_create("doorbell");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_write_rings_and_read_is_unclaimed);
	tcase_add_test(t, test_bell_over_a_handler_takes_matching_writes_only);
	tcase_add_test(t,
		       test_bell_may_come_before_the_handler_and_outlive_it);
	tcase_add_test(t, test_match_values_share_an_address);
	tcase_add_test(t, test_ambiguous_bell_returns_eexist);
	tcase_add_test(t, test_bad_bells_are_refused);
	tcase_add_test(t, test_ports_bound_bells);
	tcase_add_test(t, test_descriptor_is_duplicated);
	tcase_add_test(t, test_full_counter_does_not_block);
	tcase_add_test(t, test_listener_hears_old_and_new_bells);
	tcase_add_test(t, test_bell_works_when_listener_refuses);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
