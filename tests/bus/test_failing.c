/* SPDX-License-Identifier: BSD-3-Clause */
/* Every step of creation fails once: nothing is taken, nothing is left. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vcore/bus.h>
#include <vcore/irq.h>

#include "support/support.h"

static uint32_t released;

static int
any_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
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
any_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
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
any_raise(void *opaque, struct vcore_irq *irq)
{
	(void)opaque;
	(void)irq;
	return 0;
}

static void
count_release(void *opaque)
{
	(void)opaque;
	released++;
}

static bool
is_failure(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

START_TEST(test_bus_new_survives_each_failure)
{
	struct vcore_bus *bus = NULL;
	bool failed = true;
	unsigned int n;
	int rc = -1;

	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_bus_new(NULL, &bus);
		failed = fail_stop();
		ck_assert(!failed || (is_failure(rc) && !bus));
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 2);
	vcore_bus_unref(bus);
}
END_TEST

START_TEST(test_add_survives_each_failure)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = any_read, .write = any_write,
	};
	struct vcore_range *range = NULL;
	struct vcore_range_opts o;
	struct vcore_bus *bus;
	bool failed = true;
	uint64_t val;
	unsigned int n;
	int rc = -1;

	ck_assert_ok(vcore_bus_new(NULL, &bus));
	VCORE_INIT(&o);
	o.len = 8;
	o.ops = &ops;
	o.release = count_release;
	released = 0;
	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_bus_add(bus, &o, &range);
		failed = fail_stop();
		ck_assert(!failed || (is_failure(rc) && !range));
		ck_assert_uint_eq(released, 0);
		rc = vcore_bus_read(bus, 0, 8, &val);
		ck_assert_int_eq(rc, failed ? -ENOENT : 0);
	}
	ck_assert_uint_gt(n, 3);
	/* Removing needs no memory. */
	fail_nth(FAIL_ALLOC | FAIL_SYSTEM, 1);
	vcore_range_remove(range);
	failed = fail_stop();
	ck_assert_uint_eq(released, 1);
	ck_assert_int_eq(vcore_bus_read(bus, 0, 8, &val), -ENOENT);
	vcore_bus_unref(bus);
}
END_TEST

START_TEST(test_add_doorbell_survives_each_failure)
{
	struct vcore_range *bell = NULL;
	struct vcore_doorbell_opts o;
	int fd = eventfd(0, EFD_CLOEXEC), open_fds = support_open_fds();
	struct vcore_bus *bus;
	bool failed = true;
	unsigned int n;
	int rc = -1;

	ck_assert_ok(vcore_bus_new(NULL, &bus));
	VCORE_INIT(&o);
	o.len = 4;
	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_bus_add_doorbell(bus, &o, fd, &bell);
		failed = fail_stop();
		ck_assert(!failed || (is_failure(rc) && !bell));
		ck_assert_int_eq(support_open_fds(), open_fds + !failed);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 3);
	vcore_range_remove(bell);
	ck_assert_int_eq(support_open_fds(), open_fds);
	vcore_bus_unref(bus);
	close(fd);
}
END_TEST

START_TEST(test_irq_new_survives_each_failure)
{
	static const struct vcore_irqchip_ops ops = {
		.size = sizeof(ops), .raise = any_raise,
	};
	struct vcore_irqchip *chip = NULL;
	struct vcore_irq *irq = NULL;
	struct vcore_irq_opts o;
	int open_fds = support_open_fds();
	bool failed = true;
	unsigned int n;
	int rc = -1;

	released = 0;
	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_irqchip_new(&ops, NULL, count_release, &chip);
		failed = fail_stop();
		ck_assert(!failed || (is_failure(rc) && !chip));
	}
	ck_assert_int_eq(rc, 0);
	VCORE_INIT(&o);
	o.flags = VCORE_IRQ_LINE;
	failed = true;
	for (n = 1; failed; n++) {
		fail_nth(FAIL_ALLOC | FAIL_SYSTEM, n);
		rc = vcore_irq_new(chip, &o, &irq);
		failed = fail_stop();
		ck_assert(!failed || (is_failure(rc) && !irq));
		ck_assert_int_eq(support_open_fds(), open_fds + !failed);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 2);
	vcore_irq_unref(irq);
	ck_assert_uint_eq(released, 0);
	vcore_irqchip_unref(chip);
	ck_assert_uint_eq(released, 1);
	ck_assert_int_eq(support_open_fds(), open_fds);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("failing");
	TCase *t = tcase_create("failing");

	tcase_add_test(t, test_bus_new_survives_each_failure);
	tcase_add_test(t, test_add_survives_each_failure);
	tcase_add_test(t, test_add_doorbell_survives_each_failure);
	tcase_add_test(t, test_irq_new_survives_each_failure);
	suite_add_tcase(s, t);
	return support_run(s);
}
