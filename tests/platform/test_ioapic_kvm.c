/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/O APIC in front of a split irqchip of this machine's KVM. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <vcore/platform.h>

#include "support/kvm.h"
#include "support/support.h"

#define BASE   UINT64_C(0xfec00000)
#define MASKED 0x10000u
#define LEVEL  0x8000u

/* A guest that writes 'R' once, and 'I' in its interrupt handler. */
static struct bed {
	struct kvm_bed kvm;
	struct vcore_ioapic *ioapic;
	struct vcore_irq *irq;
	struct vcore_range *range;
	pthread_t thread;
	_Atomic uint32_t ready, interrupts, failed;
	_Atomic uint32_t low_after;	/* the device lowers its line then */
	uint32_t level;
} bed;

static int
device_write(void *opaque, uint64_t off, uint32_t len, uint64_t val,
	     struct vcore_access *later)
{
	struct bed *b = opaque;
	uint32_t n;

	(void)off;
	(void)len;
	(void)later;
	if ((uint8_t)val == 'R') {
		atomic_store(&b->ready, 1);
	} else if ((uint8_t)val == 'I') {
		/* Counted last: the test goes on when it has changed. */
		n = atomic_load(&b->interrupts) + 1;
		if (b->level && n >= atomic_load(&b->low_after))
			(void)vcore_irq_set_level(b->irq, 0);
		atomic_store(&b->interrupts, n);
	}
	return 0;
}

static int
device_read(void *opaque, uint64_t off, uint32_t len, uint64_t *val,
	    struct vcore_access *later)
{
	(void)opaque;
	(void)off;
	(void)len;
	(void)later;
	*val = 0;
	return 0;
}

static void
on_eoi(void *opaque, uint32_t vector)
{
	vcore_ioapic_eoi(opaque, vector);
}

static void *
run_main(void *opaque)
{
	struct vcore_exit e;
	int rc;

	(void)opaque;
	do {
		VCORE_INIT(&e);
		rc = vcore_vcpu_run(bed.kvm.vcpu, &e);
	} while (rc == 0 && e.kind == VCORE_EXIT_HALT);
	if (rc || e.kind != VCORE_EXIT_KICKED)
		atomic_store(&bed.failed, e.kind ? e.kind : 1000);
	return NULL;
}

static void
add_device(void)
{
	static const struct vcore_bus_ops ops = {
		.size = sizeof(ops), .read = device_read,
		.write = device_write,
	};
	struct vcore_range_opts o;

	VCORE_INIT(&o);
	o.base = GUEST_PORT;
	o.len = 0x20;
	o.ops = &ops;
	o.opaque = &bed;
	ck_assert_ok(vcore_bus_add(bed.kvm.pio, &o, &bed.range));
}

static void
start(uint32_t flags)
{
	struct vcore_ioapic_opts o;
	struct vcore_irq_opts io;

	memset(&bed, 0, sizeof(bed));
	kvm_bed_new(&bed.kvm, VCORE_VM_IRQCHIP_SPLIT, 0);
	add_device();
	VCORE_INIT(&o);
	o.below = vcore_vm_irqchip(bed.kvm.vm);
	o.mmio = bed.kvm.mmio;
	ck_assert_ok(vcore_ioapic_new(&o, &bed.ioapic));
	ck_assert_ok(vcore_vm_set_eoi_handler(bed.kvm.vm, on_eoi, bed.ioapic,
					      NULL));
	VCORE_INIT(&io);
	io.flags = VCORE_IRQ_LINE | flags;
	io.gsi = 9;
	bed.level = flags;
	ck_assert_ok(vcore_irq_new(vcore_ioapic_irqchip(bed.ioapic), &io,
				   &bed.irq));
	kvm_bed_guest(&bed.kvm, irq);
	ck_assert_int_eq(pthread_create(&bed.thread, NULL, run_main, NULL), 0);
	while (!atomic_load(&bed.ready) && !atomic_load(&bed.failed))
		sched_yield();
}

static void
finish(void)
{
	ck_assert_ok(vcore_vcpu_kick(bed.kvm.vcpu));
	pthread_join(bed.thread, NULL);
	ck_assert_uint_eq(atomic_load(&bed.failed), 0);
	ck_assert_ok(vcore_vm_set_eoi_handler(bed.kvm.vm, NULL, NULL, NULL));
	vcore_irq_unref(bed.irq);
	vcore_ioapic_free(bed.ioapic);
	vcore_range_remove(bed.range);
	kvm_bed_free(&bed.kvm);
}

static void
set_rte(uint32_t low)
{
	ck_assert_ok(vcore_bus_write(bed.kvm.mmio, BASE, 4, 0x10 + 2 * 9));
	ck_assert_ok(vcore_bus_write(bed.kvm.mmio, BASE + 0x10, 4, low));
}

static void
wait_interrupts(uint32_t n)
{
	while (atomic_load(&bed.interrupts) < n && !atomic_load(&bed.failed))
		sched_yield();
	ck_assert_uint_eq(atomic_load(&bed.interrupts), n);
}

START_TEST(test_edge_line_reaches_the_guest)
{
	const uint64_t one = 1;
	uint32_t i;

	start(0);
	set_rte(GUEST_VECTOR);
	for (i = 1; i <= 50; i++) {
		ck_assert_ok(vcore_irq_raise(bed.irq));
		wait_interrupts(i);
	}
	/* Through the kernel alone: the line's eventfd is the pin's. */
	ck_assert_int_eq(write(vcore_irq_fd(bed.irq), &one, 8), 8);
	wait_interrupts(51);
	finish();
}
END_TEST

START_TEST(test_masked_edges_reach_the_guest_once_unmasked)
{
	start(0);
	set_rte(MASKED | GUEST_VECTOR);
	ck_assert_ok(vcore_irq_raise(bed.irq));
	ck_assert_ok(vcore_irq_raise(bed.irq));
	ck_assert_uint_eq(atomic_load(&bed.interrupts), 0);
	set_rte(GUEST_VECTOR);
	wait_interrupts(1);
	ck_assert_ok(vcore_irq_raise(bed.irq));
	wait_interrupts(2);
	finish();
}
END_TEST

START_TEST(test_level_line_is_sent_until_it_is_low)
{
	uint32_t i;

	start(VCORE_IRQ_LEVEL);
	set_rte(LEVEL | GUEST_VECTOR);
	/* High over three ends of interrupt, then once each. */
	atomic_store(&bed.low_after, 3);
	ck_assert_ok(vcore_irq_set_level(bed.irq, 1));
	wait_interrupts(3);
	for (i = 4; i <= 20; i++) {
		atomic_store(&bed.low_after, i);
		ck_assert_ok(vcore_irq_set_level(bed.irq, 1));
		wait_interrupts(i);
	}
	finish();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ioapic_kvm");
	TCase *t = tcase_create("ioapic_kvm");
	struct vcore_host *host = kvm_host();

	if (!host)
		return KVM_SKIPPED;
	vcore_host_unref(host);
	tcase_add_test(t, test_edge_line_reaches_the_guest);
	tcase_add_test(t, test_masked_edges_reach_the_guest_once_unmasked);
	tcase_add_test(t, test_level_line_is_sent_until_it_is_low);
	suite_add_tcase(s, t);
	return support_run(s);
}
