/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges, doorbells and masks that change while vCPUs use them. */
#include "bus/bus.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vcore/irq.h>

#include "support/support.h"

#define VCPUS  3
#define ROUNDS support_rounds(10000, 400000)

static struct vcore_bus *bus;
static _Atomic uint32_t stop;

/* Memory that ASan and TSan watch: used by handlers, freed by release. */
struct device {
	_Atomic uint64_t calls;
	uint64_t tag;
	struct vcore_range *self;
};

static _Atomic uint64_t made, released;

static int
dev_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	 struct vcore_access *later)
{
	struct device *d = opaque;

	(void)off;
	(void)len;
	(void)later;
	atomic_fetch_add(&d->calls, 1);
	*val = d->tag;
	return 0;
}

static int
dev_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	  struct vcore_access *later)
{
	(void)off;
	(void)len;
	(void)val;
	(void)later;
	atomic_fetch_add(&((struct device *)opaque)->calls, 1);
	return 0;
}

static void
dev_release(void *opaque)
{
	atomic_fetch_add(&released, 1);
	free(opaque);
}

static struct vcore_range *
plug(uint64_t base)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = dev_read, .write = dev_write,
	};
	struct vcore_range *range = NULL;
	struct vcore_range_opts o;
	struct device *d = calloc(1, sizeof(*d));

	ck_assert_ptr_nonnull(d);
	d->tag = base;
	VCORE_INIT(&o);
	o.base = base;
	o.len = 16;
	o.ops = &ops;
	o.opaque = d;
	o.release = dev_release;
	ck_assert_int_eq(vcore_bus_add(bus, &o, &range), 0);
	atomic_fetch_add(&made, 1);
	return range;
}

/* A vCPU: whoever answers at an address is the one that belongs there. */
static void *
vcpu(void *arg)
{
	struct vcore_access a = { 0 };
	struct vcore__reader r;
	uint64_t addr, val;
	uint32_t n = 0;
	bool ok = true;
	int rc;

	(void)arg;
	vcore__bus_reader_init(bus, &r);
	while (!atomic_load(&stop)) {
		addr = (uint64_t)(n++ % 64) * 32;
		rc = vcore__bus_access(bus, &r, 0, addr, 8, &val, &a);
		ok = ok && (rc == 0 ? val == addr :
				      rc == -ENOENT && val == UINT64_MAX);
		val = n;
		rc = vcore__bus_access(bus, &r, 1, addr + 4, 4, &val, &a);
		ok = ok && (rc == 0 || rc == -ENOENT);
	}
	vcore__reader_fini(&r);
	return ok ? NULL : &stop;
}

static void
start(pthread_t *t, uint32_t count, void *(*fn)(void *))
{
	uint32_t i;

	atomic_store(&stop, 0);
	for (i = 0; i < count; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, fn, NULL), 0);
}

static void
finish(const pthread_t *t, uint32_t count)
{
	void *bad;
	uint32_t i;

	atomic_store(&stop, 1);
	for (i = 0; i < count; i++) {
		ck_assert_int_eq(pthread_join(t[i], &bad), 0);
		ck_assert_ptr_null(bad);
	}
}

START_TEST(test_ranges_come_and_go_under_readers)
{
	struct vcore_range *range[64] = { 0 };
	pthread_t t[VCPUS];
	uint32_t i, k, rounds = ROUNDS;

	start(t, VCPUS, vcpu);
	for (i = 0; i < rounds; i++) {
		k = (i * 37 + i / 64) % 64;
		if (range[k]) {
			vcore_range_remove(range[k]);
			range[k] = NULL;
		} else {
			range[k] = plug(k * 32);
		}
	}
	finish(t, VCPUS);
	for (k = 0; k < 64; k++)
		vcore_range_remove(range[k]);
	vcore_bus_unref(bus);
	ck_assert_uint_eq(atomic_load(&made), atomic_load(&released));
}
END_TEST

static _Atomic uint64_t rings;

static void *
ringer(void *arg)
{
	struct vcore_access a = { 0 };
	struct vcore__reader r;
	uint64_t val;

	(void)arg;
	vcore__bus_reader_init(bus, &r);
	while (!atomic_load(&stop)) {
		/* This bell is always there, whatever comes and goes. */
		val = 7;
		if (vcore__bus_access(bus, &r, 1, 0x50, 2, &val, &a) == 0)
			atomic_fetch_add(&rings, 1);
		val = 8;
		(void)vcore__bus_access(bus, &r, 1, 0x50, 2, &val, &a);
	}
	vcore__reader_fini(&r);
	return NULL;
}

static struct vcore_range *
bell(uint64_t value, int fd)
{
	struct vcore_range *range = NULL;
	struct vcore_doorbell_opts o;

	VCORE_INIT(&o);
	o.addr = 0x50;
	o.len = 2;
	o.flags = VCORE_DOORBELL_MATCH;
	o.value = value;
	ck_assert_int_eq(vcore_bus_add_doorbell(bus, &o, fd, &range), 0);
	return range;
}

START_TEST(test_no_ring_is_lost_while_other_bells_change)
{
	struct vcore_range *kept, *other[4] = { 0 };
	int fd = eventfd(0, EFD_CLOEXEC), rest = eventfd(0, EFD_CLOEXEC);
	pthread_t t[VCPUS];
	uint32_t i, rounds = ROUNDS;
	uint64_t n = 0;

	kept = bell(7, fd);
	start(t, VCPUS, ringer);
	for (i = 0; i < rounds; i++) {
		if (other[i % 4])
			vcore_range_remove(other[i % 4]);
		other[i % 4] = bell(8 + i % 4, rest);
	}
	while (!atomic_load(&rings))
		sched_yield();
	finish(t, VCPUS);
	ck_assert_int_eq(read(fd, &n, sizeof(n)), 8);
	ck_assert_uint_eq(n, atomic_load(&rings));
	for (i = 0; i < 4; i++)
		vcore_range_remove(other[i]);
	vcore_range_remove(kept);
	vcore_bus_unref(bus);
	close(fd);
	close(rest);
}
END_TEST

/* Irqs: what is raised while the mask flips arrives, late perhaps. */

static _Atomic uint64_t raised, arrived;
static struct vcore_irq *irq;

static int
count_raise(void *opaque, struct vcore_irq *i)
{
	(void)opaque;
	(void)i;
	atomic_fetch_add(&arrived, 1);
	return 0;
}

static void *
raiser(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&raised, 1);
		if (vcore_irq_raise(irq) < 0)
			return &stop;
	}
	return NULL;
}

START_TEST(test_no_raise_is_lost_while_mask_flips)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .raise = count_raise,
	};
	struct vcore_irqchip *chip;
	struct vcore_irq_opts o;
	pthread_t t[VCPUS];
	uint32_t i, rounds = ROUNDS;
	uint64_t before;

	ck_assert_int_eq(vcore_irqchip_new(&ops, NULL, NULL, &chip), 0);
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE;
	ck_assert_int_eq(vcore_irq_new(chip, &o, &irq), 0);
	start(t, VCPUS, raiser);
	for (i = 0; i < rounds; i++) {
		ck_assert_int_eq(vcore_irq_set_mask(irq, 1), 0);
		ck_assert_int_eq(vcore_irq_set_mask(irq, 0), 0);
	}
	while (!atomic_load(&raised))
		sched_yield();
	finish(t, VCPUS);
	/* Unmasked and quiet: nothing is left behind in the eventfd. */
	before = atomic_load(&arrived);
	ck_assert_int_eq(vcore_irq_deliver(irq), 0);
	ck_assert_uint_eq(atomic_load(&arrived), before);
	ck_assert_uint_ge(atomic_load(&raised), before);
	ck_assert_uint_gt(before, 0);
	vcore_irq_unref(irq);
	vcore_irqchip_unref(chip);
	vcore_bus_unref(bus);
}
END_TEST

static void
setup(void)
{
	ck_assert_int_eq(vcore_bus_new(NULL, &bus), 0);
}

int
main(void)
{
	Suite *s = suite_create("stress");
	TCase *t = tcase_create("stress");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, test_ranges_come_and_go_under_readers);
	tcase_add_test(t, test_no_ring_is_lost_while_other_bells_change);
	tcase_add_test(t, test_no_raise_is_lost_while_mask_flips);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
